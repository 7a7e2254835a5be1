"""Record the tapes of notebooks: ``python -m lite.record NOTEBOOK...`` (``make tapes``).

Each notebook is run from top to bottom by the embedded Loop, in a home of its own, and its tape is written beside it.
Times are on the tape as they are: record while the computer does nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from cozeloop_magic.local import weights
from cozeloop_magic.tape import Tape

PLAYS = "%loop replay"


def record(notebook_file: Path) -> Path:
    """Run a notebook and give its tape; one that was there before stays unless every cell ran as it should."""
    tape = notebook_file.with_suffix(".loop").absolute()
    fresh = tape.with_suffix(".recording")
    notebook = nbformat.read(notebook_file, as_version=4)
    for cell in notebook.cells:
        lines = cell.source.split("\n")
        cell.source = "\n".join(line for line in lines if not line.startswith(PLAYS))
    begin = nbformat.v4.new_code_cell(f"%load_ext cozeloop_magic\n%loop record {fresh} --overwrite")
    notebook.cells.insert(0, begin)
    notebook.cells.append(nbformat.v4.new_code_cell("%loop record stop"))
    try:
        with home_of_its_own():
            NotebookClient(notebook, timeout=1800).execute()
        os.replace(fresh, tape)
    finally:
        fresh.unlink(missing_ok=True)
    return tape


@contextmanager
def home_of_its_own() -> Iterator[None]:
    """Have kernels start a Loop with the prompts that the package brings and no others, and end it afterwards."""
    model = weights.ensure(print)
    for name in [name for name in os.environ if name.startswith("COZELOOP_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ |= {"COZELOOP_MAGIC_HOME": home, "COZELOOP_MAGIC_GGUF": str(model)}
        try:
            yield
        finally:
            for running in Path(home).rglob("loop-*.json"):
                with suppress(OSError):
                    os.kill(json.loads(running.read_text("utf-8"))["pid"], signal.SIGTERM)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        written = record(Path(argument))
        print(f"{written} holds {len(Tape.read(written).exchanges)} exchanges.")
