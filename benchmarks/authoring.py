"""What finding a prompt costs among 5,000: the first page of `%loop prompts`, and completion while somebody types.

A real store behind the embedded Loop's own HTTP API, in a process of its own, and a real shell. A page is held
against the one HTTP call that it stands for; completion of our lines against IPython's own of a line of Python.

    python benchmarks/authoring.py
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import requests
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.streaming import served
from cozeloop_magic.local.calls import Loop
from cozeloop_magic.local.llama import LlamaModel
from cozeloop_magic.local.store import Store

PROMPTS = 5_000
ROUNDS = 30
TOKEN = "a-token-of-this-benchmark"
LINES = ("%loop show many_", "%loop show many_49", "%%loop_prompt m", "%loop_compare many_1", "%loop ver")
DETAIL = {
    "prompt_template": {
        "template_type": "normal",
        "messages": [{"role": "user", "content": "Write about {{topic}}."}],
        "variable_defs": [{"key": "topic", "type": "string"}],
    }
}


def fill(store: Store) -> None:
    """Put prompts in, as a course brings them."""
    commit = {"detail": DETAIL, "description": ""}
    prompt = {"display_name": "One of many", "description": "", "versions": {"0.1.0": commit}, "labels": {}}
    store.seed({f"many_{number:04}": prompt for number in range(PROMPTS)})


def milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def completions(shell: InteractiveShell, line: str) -> list[str]:
    """Return what the front end is offered."""
    with provisionalcompleter():
        return [each.text for each in shell.Completer.completions(line, len(line))]


def show(name: str, times: list[float], other: list[float]) -> None:
    ours, theirs = statistics.median(times), statistics.median(other)
    print(
        f"{name:<34} {ours:7.1f} ms, at most {max(times):6.1f}   beside {theirs:6.1f} ms   ratio {ours / theirs:5.2f}"
    )


def measure(url: str, workspace_id: str) -> None:
    os.environ |= {"COZELOOP_API_BASE_URL": url, "COZELOOP_WORKSPACE_ID": workspace_id, "COZELOOP_API_TOKEN": TOKEN}
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)  # type: ignore[no-untyped-call]
    shell.run_line_magic("load_ext", "cozeloop_magic")
    first = milliseconds(lambda: shell.run_line_magic("loop", "prompts"))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {"workspace_id": workspace_id, "page_num": 1, "page_size": 50}

    def page() -> None:
        requests.post(f"{url}/v1/loop/prompts/list", json=body, headers=headers, timeout=60).raise_for_status()

    turns = [
        (milliseconds(lambda: shell.run_line_magic("loop", "prompts")), milliseconds(page)) for _ in range(ROUNDS)
    ]
    print(f"the very first page, imports and all {first:.0f} ms")
    show("a page of %loop prompts", [ours for ours, _ in turns], [theirs for _, theirs in turns])
    while len(completions(shell, "%loop show many_49")) < 100:
        time.sleep(0.1)  # the keys come behind what is typed
    ours = [[milliseconds(lambda: completions(shell, line)) for _ in range(ROUNDS)] for line in LINES]  # noqa: B023
    # Last: what Python's collector does about all that IPython's completer loads is not ours.
    theirs = [milliseconds(lambda: completions(shell, "import os; os.pa")) for _ in range(ROUNDS)]
    for line, times in zip(LINES, ours, strict=True):
        show(f"Tab after {line}", times, theirs)


def serve(told: Connection, directory: str) -> None:
    """Serve the prompts until the other end closes."""
    with closing(Store(Path(directory) / "prompts.db")) as store:
        fill(store)
        loop = Loop(store, [LlamaModel(Path(directory) / "none.gguf", default_system="")], TOKEN, store.workspace_id)
        with served([loop]) as port:
            told.send((f"http://127.0.0.1:{port}", store.workspace_id))
            told.recv()


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["COZELOOP_MAGIC_HOME"] = directory
        process = spawn.Process(target=serve, args=(theirs, directory))
        process.start()
        measure(*ours.recv())
        ours.send(None)
        process.join()


if __name__ == "__main__":
    main()
