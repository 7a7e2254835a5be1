"""What a comparison costs: 24 streams in a page, and a thousand inputs in a kernel.

The page: 24 answers stream side by side at full speed in real JupyterLab and Chromium, and the same answers one after
the other, each in a `%%loop_prompt`. How many bytes the browser gets for the text, whether any of it is missing, how
long after the kernel has the last token all of it stands in the page, and what the browser's processors do.

The kernel: 1,000 inputs × 2 versions, against a bare thread pool over the same client, with as many threads. Each is
measured in a process of its own, the server is another one, and the ratio is of medians of the same run.

    python benchmarks/compare.py [page] [kernel]
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.stub import TOKEN, WORKSPACE, stub
from benchmarks.view import browser_cpu
from cozeloop_magic import Client, compare, new_client
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult
from cozeloop_magic.entities.stream import join_results
from tests.browser.conftest import ARGUMENTS, CHROMIUM, Notebook, go, jupyterlab, write
from tests.lab.loop import FakeLoop
from tests.wire_server import Script, delta, last, stream

# The kernel.

INPUTS = 1_000
VERSIONS = ("1.0.0", "2.0.0")
THREADS = {0: 4, 100: 16}  # by the milliseconds an answer takes
ROUNDS = {0: 5, 100: 1}
PIECES = 20
WAYS = ("bare pool", "compare, nothing kept", "compare")


def pooled(client: Client, inputs: list[dict[str, str]], threads: int) -> list[ExecuteResult]:
    """Do the same calls with a thread pool and nothing else."""

    def run(request: ExecuteRequest) -> ExecuteResult:
        return join_results(client.stream(request))

    requests = [ExecuteRequest("greet", version, variable_vals=given) for given in inputs for version in VERSIONS]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, requests))


def measure(told: Any, way: str, url: str, threads: int) -> None:
    """Run one way once, and tell its milliseconds, those of its processor, and kilobytes, each of a trial."""
    inputs = [{"text": f"text {n}"} for n in range(INPUTS)]
    with tempfile.TemporaryDirectory() as home, new_client(url, WORKSPACE, TOKEN) as client:
        os.environ["COZELOOP_MAGIC_HOME"] = home
        versions = [f"greet@{version}" for version in VERSIONS]
        compare(client, versions, inputs[:20], concurrency=threads)  # what is loaded once
        before, began, computed = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
        if way == "bare pool":
            kept: Any = pooled(client, inputs, threads)
            assert len(kept) == 2 * INPUTS
        else:
            store = way == "compare"
            kept = compare(client, versions, inputs, concurrency=threads, max_runs=2 * INPUTS, store=store)
            assert kept.state.complete
        seconds, computed = time.perf_counter() - began, time.process_time() - computed
        grown = psutil.Process().memory_info().rss - before
        told.send([each / (2 * INPUTS) for each in (seconds * 1000, computed * 1000, grown / 1000)])


def kernel() -> None:
    for milliseconds, threads in THREADS.items():
        with stub(milliseconds / 1000, ["word "] * PIECES) as (url, _):
            found = measured(url, threads, ROUNDS[milliseconds])
        print(f"\n{INPUTS:,} inputs × {len(VERSIONS)}, answers after {milliseconds} ms, {threads} at once\n")
        print(f"{'':24}{'ms a trial':>12}{'/ pool':>8}{'CPU ms':>10}{'/ pool':>8}{'kB a trial':>12}")
        middle = {
            way: [statistics.median(each) for each in zip(*rounds, strict=True)] for way, rounds in found.items()
        }
        bare = middle[WAYS[0]]
        for way, (spent, computed, grown) in middle.items():
            ratios = spent / bare[0], computed / bare[1]
            print(f"{way:24}{spent:12.2f}{ratios[0]:8.2f}{computed:10.2f}{ratios[1]:8.2f}{grown:12.1f}")


def measured(url: str, threads: int, rounds: int) -> dict[str, list[list[float]]]:
    """Run each way some times, in turn."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            hears, tells = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(tells, way, url, threads))
            process.start()
            found[way].append(hears.recv())
            process.join()
    return found


# The page.

STREAMS = 24
TOKENS = 1_000
SAID = "word "
END = "the end."
WATCH = """([cell, ends, end]) => {
    const seen = (window.seen = { at: null });
    const look = () => {
        const area = document.querySelectorAll(".jp-Notebook .jp-CodeCell")[cell].querySelector(".jp-OutputArea");
        const text = area?.textContent ?? "";
        if (text.split(end).length > ends) seen.at = Date.now();
        else setTimeout(look, 10);
    };
    look();
}"""


NOTE = dedent(
    """
    import time
    from cozeloop_magic.lab.events import OngoingRun
    arrived, token_at = OngoingRun.arrived, 0.0
    def noting(self, piece, tell):
        global token_at
        token_at = time.time()
        return arrived(self, piece, tell)
    OngoingRun.arrived = noting
    """
)


@dataclass(frozen=True)
class Shown:
    """What showing 24 answers cost."""

    megabytes: float
    browser_cpu: float
    final_ms: float
    seconds: float


def answers(gone: dict[str, float]) -> FakeLoop:
    """Serve answers at full speed, and note when the last token went."""

    def reply(version: str, text: str) -> Script:
        def pieces() -> Iterator[bytes]:
            for _ in range(TOKENS):
                yield delta(SAID)
            gone["at"] = time.time()
            yield delta(END)
            yield last()

        return stream(pieces())

    return FakeLoop(reply)


def shown(notebook: Notebook, received: list[int], gone: dict[str, float], cells: list[int], ends: int) -> Shown:
    """Run cells one after the other, and wait until all of the text is there."""
    size, cpu, began = sum(received), browser_cpu(), time.monotonic()
    late = []
    for cell in cells:
        notebook.page.evaluate(WATCH, [cell, ends, END])
        notebook.start(cell)
        notebook.page.wait_for_function("window.seen.at !== null", timeout=180_000)
        late.append(notebook.page.evaluate("window.seen.at") - gone["at"] * 1000)
        notebook.wait(cell, 180)
    final = statistics.median(late)
    return Shown((sum(received) - size) / 1e6, browser_cpu() - cpu, final, time.monotonic() - began)


def page() -> None:
    gone: dict[str, float] = {}
    loop = answers(gone)
    environ = {"COZELOOP_API_BASE_URL": loop.server.url, "COZELOOP_WORKSPACE_ID": "7", "COZELOOP_API_TOKEN": "token"}
    inputs = f"inputs = [{{'text': str(n)}} for n in range({STREAMS // 2})]"
    grid = f"%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs inputs -j {STREAMS}"
    single = "%loop_prompt greet -v 1.0.0 --var text={}"
    cells = [
        f"%load_ext cozeloop_magic\n{inputs}{NOTE}",
        f"{grid} --seed 1",
        single.format("first"),
        f"{grid} --seed 2",
    ]
    cells += [single.format(n) for n in range(STREAMS)] + ["print(token_at)"]
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with jupyterlab(Path(home), {**os.environ, **environ, "COZELOOP_MAGIC_HOME": home}) as (url, files, _):
            write(files / "compare.ipynb", cells)
            tab, received = browser.new_page(viewport={"width": 1000, "height": 1300}), list[int]()
            tab.on("websocket", lambda ws: ws.on("framereceived", lambda frame: received.append(len(frame))))
            notebook = go(tab, url, files / "compare.ipynb")
            for cell in range(3):  # what is loaded once
                notebook.start(cell)
                notebook.wait(cell, 120)
            side_by_side = shown(notebook, received, gone, [3], STREAMS)
            whole = (notebook.output(3).text_content() or "").count(END)
            notebook.run(len(cells) - 1)
            token_at = float(notebook.output(len(cells) - 1).inner_text())
            side_by_side = replace(side_by_side, final_ms=side_by_side.final_ms + (gone["at"] - token_at) * 1000)
            one_by_one = shown(notebook, received, gone, list(range(4, 4 + STREAMS)), 1)
        browser.close()
    loop.server.stop()
    text = STREAMS * (TOKENS * len(SAID) + len(END)) / 1e6
    print(f"\n{STREAMS} answers of {TOKENS:,} tokens at full speed, {text:.2f} MB of text\n")
    print(f"{'':24}{'MB':>8}{'/ text':>8}{'browser s':>11}{'final ms':>10}{'seconds':>9}")
    for name, cost in (("side by side", side_by_side), ("one by one", one_by_one)):
        ratio = cost.megabytes / text
        print(
            f"{name:24}{cost.megabytes:8.2f}{ratio:8.2f}{cost.browser_cpu:11.1f}{cost.final_ms:10.0f}{cost.seconds:9.1f}"
        )
    print(f"answers that are there to their last word: {whole} of {STREAMS}")


def main() -> None:
    parts = sys.argv[1:] or ["page", "kernel"]
    if "page" in parts:
        page()
    if "kernel" in parts:
        kernel()


if __name__ == "__main__":
    main()
