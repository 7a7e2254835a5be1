"""Pyodide, which is Python in WebAssembly: fetched from the npm registry, and given packages of our own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import platformdirs

__all__ = ["fetch", "install"]

VERSION = "314.0.7"
ADDRESS = f"https://registry.npmjs.org/pyodide/-/pyodide-{VERSION}.tgz"
SHA512 = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="


def fetch() -> Path:
    """Return the directory of Pyodide's core, kept in the user's cache for the next time.

    Raises
    ------
    OSError
        If the registry cannot be reached, or what it gives is something else.
    """
    kept = Path(platformdirs.user_cache_dir("cozeloop-magic-lite")) / f"pyodide-{VERSION}"
    if not kept.exists():
        content = urllib.request.urlopen(ADDRESS, timeout=120).read()
        if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
            raise OSError(f"{ADDRESS} is not what it was.")
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(part, filter="data")
        part.rename(kept)
    return kept / "package"


def install(wheels: Iterable[Path], target: Path) -> list[str]:
    """Write Pyodide with exactly these packages to a directory, and return their names.

    Its own lock names packages on a server of its makers; this one names files beside it, so that nothing is asked
    of anybody.
    """
    core = fetch()
    target.mkdir(parents=True)
    for name in ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"):
        shutil.copy(core / name, target)
    lock = json.loads((core / "pyodide-lock.json").read_text("utf-8"))
    lock["packages"] = {}
    for wheel in sorted(wheels):
        shutil.copy(wheel, target)
        entry = _entry(wheel)
        lock["packages"][entry["name"]] = entry
    (target / "pyodide-lock.json").write_text(json.dumps(lock, indent=1), encoding="utf-8")
    return list(lock["packages"])


def _entry(wheel: Path) -> dict[str, Any]:
    distribution, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist() if name.endswith(".py")}
    return {
        "name": distribution.lower().replace("_", "-"),
        "version": version,
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(top.removesuffix(".py") for top in tops if "." not in top.removesuffix(".py")),
        "depends": [],
        "unvendored_tests": False,
    }
