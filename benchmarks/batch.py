"""What a table costs: `batch` beside the official SDK, and what its promises cost.

A local server answers each call after 100 ms, in a process of its own. Each ratio is one of two figures of one run.

    python benchmarks/batch.py [speed] [resumed] [killed] [together] [flat] [--rows 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.stub import TOKEN, WORKSPACE, stub

DELAY = 0.1  # seconds the server takes for an answer
CONCURRENT = (16, 64)
SECONDS = 6  # of each arm
DRILL = 10_000
KEY = "greet"

# Who calls.


def ours(url: str, rows: int, concurrency: int, store: Any) -> None:
    from cozeloop_magic import batch, new_client

    table = [{"text": f"row {next(NUMBERS)}"} for _ in range(rows)]
    with new_client(url, WORKSPACE, TOKEN) as client:
        answers = batch(client, table, KEY, version="1.0.0", concurrency=concurrency, store=store)
    assert all(row["answer"] == "a short answer" for row in answers)


NUMBERS = count()


@cache
def sdk_client(url: str) -> Any:
    import cozeloop

    return cozeloop.new_client(api_base_url=url, workspace_id=WORKSPACE, api_token=TOKEN)


def sdk_threads(url: str, rows: int, concurrency: int, store: Any) -> None:
    client = sdk_client(url)

    def one(number: int) -> None:
        with client.execute_prompt(
            KEY, version="1.0.0", variable_vals={"text": f"row {number}"}, stream=True
        ) as reader:
            for _ in reader:
                pass

    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, range(rows)))


def sdk_asyncio(url: str, rows: int, concurrency: int, store: Any) -> None:
    client = sdk_client(url)

    async def run() -> None:
        semaphore = asyncio.Semaphore(concurrency)

        async def one(number: int) -> None:
            async with semaphore:
                reader = await client.aexecute_prompt(
                    KEY, version="1.0.0", variable_vals={"text": f"row {number}"}, stream=True
                )
                async for _ in reader:
                    pass

        await asyncio.gather(*map(one, range(rows)))

    asyncio.run(run())


def timed(run: Callable[..., None], url: str, concurrency: int, path: Path | None) -> tuple[float, float]:
    """Give rows a second, and the milliseconds of this process that a row took."""
    from cozeloop_magic.store.runs import RunStore

    store = RunStore.open(path) if path is not None else False
    if run is not sdk_asyncio:  # whose connections belong to one event loop
        run(url, concurrency, concurrency, store)  # imports, connections
    rows = int(concurrency / DELAY * SECONDS)
    began, worked = time.perf_counter(), time.process_time()
    run(url, rows, concurrency, store)
    return rows / (time.perf_counter() - began), (time.process_time() - worked) / rows * 1000


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do it in a process of its own: no arm inherits another's threads, loops or connections."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def speed(home: Path) -> None:
    print(f"rows a second and CPU of a row, {DELAY * 1000:.0f} ms a call")
    with stub(DELAY) as (url, _):
        for concurrency in CONCURRENT:
            ideal = concurrency / DELAY
            arms = {
                "batch": (ours, home / f"{concurrency}.db"),
                "batch without store": (ours, None),
                "SDK, threads": (sdk_threads, None),
                "SDK, asyncio": (sdk_asyncio, None),
            }
            figures = {name: apart(timed, run, url, concurrency, path) for name, (run, path) in arms.items()}
            print(f"  {concurrency:>3} at once, ideal {ideal:,.0f}:")
            for name, (rate, work) in figures.items():
                print(f"      {name:<20} {rate:>6,.0f} rows/s, {rate / ideal:.2f} of ideal, {work:.2f} ms of CPU")
            print(f"      the store costs {figures['batch without store'][0] / figures['batch'][0]:.2f} x")


def resume(url: str, path: Path, rows: int) -> float:
    """Give the seconds that a finished table takes."""
    from cozeloop_magic import batch, new_client
    from cozeloop_magic.store.runs import RunStore

    table = [{"text": f"resumed {number}"} for number in range(rows)]
    with new_client(url, WORKSPACE, TOKEN) as client, RunStore.open(path) as store:
        began = time.perf_counter()
        batch(client, table, KEY, version="1.0.0", concurrency=64, store=store)
        return time.perf_counter() - began


def resumed(home: Path) -> None:
    with stub(0.0) as (url, calls):
        apart(resume, url, home / "resume.db", DRILL)
        before = calls.value
        seconds = apart(resume, url, home / "resume.db", DRILL)
        print(f"a finished table of {DRILL:,} rows again: {calls.value - before} calls, {seconds:.2f} s")


def long_table(url: str, source: Path, target: Path, rows: int) -> tuple[list[float], list[float], list[float]]:
    """Give the rows a second of each tenth, the milliseconds of CPU of a row in it, and the megabytes at its end."""
    from cozeloop_magic import batch, new_client

    with source.open("w") as file:
        file.write("text\n")
        file.writelines(f"row {number}\n" for number in range(rows))
    ends, worked, held = [time.perf_counter()], [time.process_time()], [resident()]

    def look(progress: Any) -> None:
        while progress.ended >= len(ends) * rows / 10:
            ends.append(time.perf_counter())
            worked.append(time.process_time())
            held.append(resident())

    with new_client(url, WORKSPACE, TOKEN) as client:
        batch(client, source, KEY, version="1.0.0", to=target, concurrency=16, store=False, progress=look)
    with target.open() as file:
        assert sum(1 for _ in file) == rows
    rates = [rows / 10 / (after - before) for before, after in pairwise(ends)]
    return rates, [(after - before) / rows * 10_000 for before, after in pairwise(worked)], held


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def flat(home: Path, rows: int) -> None:
    with stub(0.0) as (url, _):
        rates, work, held = apart(long_table, url, home / "in.csv", home / "out.jsonl", rows)
    print(
        f"from file to file, {rows:,} rows: {rates[0]:,.0f} rows/s in the first tenth, {rates[-1]:,.0f} in the last"
        f" · {work[0]:.2f} and {work[-1]:.2f} ms of CPU a row"
        f" · memory {held[0]:.0f} MB at the start, {max(held):.0f} MB at most (+{max(held) - held[0]:.0f})"
    )


def together(home: Path) -> None:
    with stub(0.0) as (url, calls), ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        began = time.perf_counter()
        for done in [pool.submit(resume_part, url, home / "together.db", number) for number in range(4)]:
            done.result()
        print(f"four processes, one store: {calls.value:,} rows in {time.perf_counter() - began:.1f} s, no error")


def resume_part(url: str, path: Path, part: int) -> None:
    from cozeloop_magic import batch, new_client
    from cozeloop_magic.store.runs import RunStore

    table = [{"text": f"part {part} row {number}"} for number in range(1000)]
    with new_client(url, WORKSPACE, TOKEN) as client, RunStore.open(path) as store:
        assert all(row["answer"] for row in batch(client, table, KEY, version="1.0.0", store=store))


def killed(home: Path, rows: int = DRILL) -> None:
    context = multiprocessing.get_context("spawn")
    with stub(0.01) as (url, calls):
        process = context.Process(target=resume, args=(url, home / "killed.db", rows))
        process.start()
        while calls.value < rows / 2:
            time.sleep(0.002)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        apart(resume, url, home / "killed.db", rows)
        print(f"killed at half of {rows:,} rows and run again: {calls.value:,} calls, {calls.value / rows:.4f} x")


PARTS: dict[str, Callable[..., None]] = {
    "speed": speed,
    "resumed": resumed,
    "killed": killed,
    "together": together,
    "flat": flat,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all, unless named")
    parser.add_argument("--rows", type=int, default=100_000, help="of the table from file to file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for part in args.parts or PARTS:
            PARTS[part](Path(home), **({"rows": args.rows} if part == "flat" else {}))


if __name__ == "__main__":
    main()
