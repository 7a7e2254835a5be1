"""How long a class waits: the fair queue of the embedded Loop, against llama.cpp's own, which goes by arrival.

Thirty students ask at once; then nine ask while a table of forty rows runs. Both queues serve both, twice and in
turn, with the same model in this process. The first ratio is what those who look on wait, the second what all get.
At last, the thirty ask a class as `cozeloop-magic serve --class` has it: what that takes of memory beyond the model.

    python benchmarks/classroom.py
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.streaming import served
from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.local import weights
from cozeloop_magic.local.calls import Loop
from cozeloop_magic.local.classroom import open_class
from cozeloop_magic.local.llama import PARALLEL_CALLS, LlamaModel
from cozeloop_magic.local.paths import HOME_VARIABLE
from cozeloop_magic.local.queue import FairQueue
from cozeloop_magic.local.roster import Member
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.spans import Spans
from cozeloop_magic.local.store import Store

STUDENTS, BESIDE, ROWS = 30, 9, 40
MAX_TOKENS = 24
HEAD_START = 1.0
"""Seconds in which the table fills all places before the nine come."""


@dataclass
class Call:
    """One call, and when what came of it."""

    token: str
    row: bool
    asked: float = 0.0
    first: float = 0.0
    last: float = 0.0
    tokens: int = 0

    @property
    def wait(self) -> float:
        """Seconds to the first text."""
        return self.first - self.asked


@dataclass
class Outcome:
    """What a queue made of a crowd."""

    calls: list[Call] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max(call.last for call in self.calls) - min(call.asked for call in self.calls)

    @property
    def waits(self) -> list[float]:
        """Of those who look on."""
        return [call.wait for call in self.calls if not call.row]


@dataclass
class Outcomes:
    """What a queue made of it, each time."""

    outcomes: list[Outcome]

    @property
    def tokens_per_second(self) -> float:
        tokens = sum(call.tokens for outcome in self.outcomes for call in outcome.calls)
        return tokens / sum(outcome.seconds for outcome in self.outcomes)

    @property
    def median_wait(self) -> float:
        return statistics.median(wait for outcome in self.outcomes for wait in outcome.waits)

    @property
    def worst_wait(self) -> float:
        return max(wait for outcome in self.outcomes for wait in outcome.waits)


def ask(port: int, workspace_id: str, call: Call) -> None:
    settings = {"model_id": "1", "max_tokens": MAX_TOKENS, "temperature": 0.0}
    values = {"concept": f"gravity, for {call.token}", "audience": "5 years old"}
    body = json.dumps(
        {
            "workspace_id": workspace_id,
            "prompt_identifier": {"prompt_key": "explain_concept"},
            "variable_vals": [{"key": key, "value": value} for key, value in values.items()],
            "custom_model_config": settings,
        }
    )
    headers = {"Authorization": f"Bearer {call.token}", "Priority": "u=6" if call.row else "u=3"}
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        call.asked = time.perf_counter()
        connection.request("POST", "/v1/loop/prompts/execute_streaming", body, headers)
        response = connection.getresponse()
        while line := response.readline():
            if line.startswith(b"data:"):
                piece = ExecuteResult.from_json(json.loads(line[5:]))
                call.first = call.first or (time.perf_counter() if piece.text else 0.0)
                call.tokens = (piece.usage and piece.usage.output_tokens) or call.tokens
        call.last = time.perf_counter()


def crowd(port: int, workspace_id: str, groups: Sequence[Sequence[Call]]) -> Outcome:
    """Let groups ask, one after the other, each all at once."""
    threads = []
    for number, group in enumerate(groups):
        time.sleep(HEAD_START if number else 0.0)
        for call in group:
            threads.append(threading.Thread(target=ask, args=(port, workspace_id, call)))
            threads[-1].start()
    for thread in threads:
        thread.join()
    return Outcome([call for group in groups for call in group])


def at_once() -> list[list[Call]]:
    return [[Call(f"student{number}", row=False) for number in range(STUDENTS)]]


def beside_a_table() -> list[list[Call]]:
    table = [Call("teacher", row=True) for _ in range(ROWS)]
    return [table, [Call(f"student{number}", row=False) for number in range(BESIDE)]]


def measured(model: LlamaModel, store: Store, queue: FairQueue, groups: Callable[[], list[list[Call]]]) -> Outcome:
    names = ["teacher", *(f"student{number}" for number in range(STUDENTS))]
    loops = [Loop(store, [model], name, store.workspace_id, Spans(), queue, name) for name in names]
    with served(loops) as port:
        return crowd(port, store.workspace_id, groups())


def memory() -> float:
    """Megabytes of this process that are in memory."""
    return float(psutil.Process().memory_info().rss) / 1e6


def class_memory(model: LlamaModel, store: Store) -> float:
    """Let a class ask all at once, and give the megabytes in memory while its stores and spans are open."""
    members = [Member(name, name) for name in ("teacher", *(f"student{number}" for number in range(STUDENTS)))]
    loops = open_class(Loop(store, [model], "", store.workspace_id, Spans(), FairQueue(PARALLEL_CALLS)), members)
    with served(loops) as port:
        crowd(port, store.workspace_id, at_once())
    taken = memory()
    for loop in loops[1:]:
        loop.store.close()
    return taken


def main() -> None:
    before = memory()
    model = LlamaModel(weights.ensure(print), default_system=weights.DEFAULT_SYSTEM)
    model.load()
    with tempfile.TemporaryDirectory() as directory, closing(Store(Path(directory) / "prompts.db")) as store:
        os.environ[HOME_VARIABLE] = directory
        store.seed(read_seeds())
        measured(model, store, FairQueue(PARALLEL_CALLS), lambda: [at_once()[0][:PARALLEL_CALLS]])  # warm up
        alone = memory()
        for name, groups in ((f"{STUDENTS} at once", at_once), (f"{BESIDE} beside a table", beside_a_table)):
            outcomes: dict[str, list[Outcome]] = {"in order": [], "fair": []}
            for queue in ("in order", "fair", "fair", "in order"):  # so that a drift of the computer's is in both
                slots = PARALLEL_CALLS if queue == "fair" else None
                outcomes[queue].append(measured(model, store, FairQueue(slots), groups))
            in_order, fair = (Outcomes(outcomes[queue]) for queue in ("in order", "fair"))
            for queue, both in (("in order", in_order), ("fair", fair)):
                print(
                    f"{name:<16} {queue:<9} first token after {both.median_wait:6.1f} s, at worst "
                    f"{both.worst_wait:6.1f} s; {both.tokens_per_second:6.1f} tokens/s"
                )
            waits = fair.median_wait / in_order.median_wait
            tokens = fair.tokens_per_second / in_order.tokens_per_second
            print(f"ratio            waits {waits:.2f}, tokens {tokens:.2f}")
        more = class_memory(model, store) - alone
        print(
            f"memory           {alone - before:.0f} MB with the model; {more:.0f} MB more for a class of {STUDENTS}"
        )


if __name__ == "__main__":
    main()
