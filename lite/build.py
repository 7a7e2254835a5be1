"""Build the page: ``python -m lite.build CONTENTS OUTPUT`` (``make lite``).

It takes the package index for wheels, and the npm registry for Pyodide; the page takes a server of plain files.
Packages without a wheel of pure Python cannot be had so: pandas and polars, Jinja2 (its MarkupSafe), and what runs
the embedded Loop. A tape needs none of them; tables are lists of dicts there, ``--dry-run`` is of normal templates.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from lite import pyodide

ROOT = Path(__file__).parents[1]
PURE = [  # what the kernel and this package import, but for PyYAML, which has a pure part and no pure wheel
    "anywidget>=0.9.13",
    "ipython>=9.0",
    "ipywidgets>=8.1",
    "markdown-it-py>=3.0",
    "mdit-py-plugins>=0.4",
    "micropip>=0.11",
    "narwhals>=1.20",
    "packaging>=23",
    "platformdirs>=4.0",
    "Pygments>=2.15",
    "requests>=2.31",
    "sseclient-py>=1.8",
    "tabulate>=0.9",
]
KERNEL = Path(sys.prefix, "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension/static/pypi")
STANDS_IN = ("widgetsnbextension", "jupyterlab_widgets")  # the kernel brings its own, or the page has it


def build(contents: Path, output: Path) -> None:
    """Build the page with these notebooks and tapes; `output` is written anew."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "lite")
        packages = pyodide.install(_wheels(Path(scratch, "wheels")), source / "static/pyodide")
        kernel = {
            "disablePyPIFallback": True,
            "loadPyodideOptions": {"lockFileURL": "./static/pyodide/pyodide-lock.json", "packages": packages},
        }
        settings = {"litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel}}
        config = {"jupyter-lite-schema-version": 0, "jupyter-config-data": settings}
        (source / "jupyter-lite.json").write_text(json.dumps(config), encoding="utf-8")
        files = shutil.copytree(contents, source / "files")
        for notebook in files.rglob("*.ipynb"):
            _use_the_pages_kernel(notebook)
        shutil.rmtree(output, ignore_errors=True)
        command = [sys.executable, "-m", "jupyterlite_core.app", "build", "--lite-dir", source]
        options = ["--contents", files, "--output-dir", output.resolve(), "--apps", "lab"]
        subprocess.run([*command, *options], cwd=source, check=True, stdout=subprocess.DEVNULL)


def _use_the_pages_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
    nbformat.write(notebook, path)


def _wheels(target: Path) -> list[Path]:
    target.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pure = ["--only-binary", ":all:", "--python-version", "3.14", "--platform", "any", "--implementation", "py"]
    subprocess.run([*pip, "download", *pure, "--abi", "none", "--dest", target, *PURE], check=True)
    without_c = os.environ | {"PYYAML_FORCE_CYTHON": "0", "PYYAML_FORCE_LIBYAML": "0"}
    made = ["wheel", "--no-deps", "--wheel-dir", target]
    subprocess.run([*pip, *made, "--no-binary", "PyYAML", "PyYAML>=6.0"], check=True, env=without_c)
    subprocess.run([*pip, *made, ROOT], check=True)
    brought = [wheel for wheel in KERNEL.glob("*.whl") if not wheel.name.startswith("widgetsnbextension-3")]
    return [*(wheel for wheel in target.glob("*.whl") if not wheel.name.startswith(STANDS_IN)), *brought]


if __name__ == "__main__":
    build(*map(Path, sys.argv[1:3]))
