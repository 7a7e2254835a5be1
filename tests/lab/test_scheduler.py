"""Many calls at once, against a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.errors import ContentRejected, RateLimited, StoreError
from cozeloop_magic.lab.events import Paced, Told
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Arrived, Phase, Prepared, Ran, RunState, fold
from tests.conftest import soon
from tests.lab.loop import BUSY, FakeLoop, error_event, fake_loop, refusal
from tests.wire_server import delta, framed, stay, stream
from tests.wire_server import send as send_bytes

Reply = Callable[[str, str], Any]


@pytest.fixture
def loops(client_of: Callable[..., Client]) -> Iterator[Callable[[Reply | None], tuple[FakeLoop, Client]]]:
    """Start a server that replies in a way, with a client of it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(reply: Reply | None = None) -> tuple[FakeLoop, Client]:
            loop = stack.enter_context(fake_loop(reply))
            return loop, client_of(loop.server, max_retries=2)

        yield start


def request_of(task: int) -> ExecuteRequest:
    return ExecuteRequest("greet", "1.0.0", variable_vals={"text": str(task)})


def scheduler(client: Client, most: int = 4, stop: Stop | None = None, **options: Any) -> Scheduler[int]:
    return Scheduler(client, request_of, Limiter(most), stop or Stop(), **options)


def run(scheduler: Scheduler[int], tasks: Any) -> tuple[dict[int, RunState], list[Paced]]:
    """Run to the end; give what each task's events fold to, and what was told of the pace."""
    items = [item for batch in scheduler.run(tasks, 0.01) for item in batch]
    return folded(items), [item for item in items if isinstance(item, Paced)]


def folded(items: Iterable[Any]) -> dict[int, RunState]:
    runs: dict[int, RunState] = {}
    for item in items:
        if isinstance(item, Told):
            runs[item.task] = fold(runs.get(item.task, RunState(request_of(item.task))), item.event)
    return runs


def test_every_task_is_run_once_and_told_to_its_end(loops: Any) -> None:
    loop, client = loops()
    kept: dict[int, RunState] = {}
    ends, paced = run(scheduler(client, keep=kept.update), range(100))
    assert all(ends[task].phase is Phase.DONE for task in range(100)) and not paced
    assert set(loop.calls.values()) == {1} and loop.executions == 100
    assert {task: state.text for task, state in kept.items()} == {task: f"1.0.0: {task}" for task in range(100)}
    assert all(state.phase is Phase.DONE and state.ttft is not None for state in kept.values())


def test_no_more_run_at_once_than_allowed(loops: Any) -> None:
    here = threading.Barrier(3)

    def reply(version: str, text: str) -> str:
        here.wait(5)  # three at once, or never
        return text

    loop, client = loops(reply)
    run(scheduler(client, 3), range(12))
    assert loop.most == 3


def test_tasks_are_taken_when_their_turn_comes(loops: Any) -> None:
    loop, client = loops()
    ahead = []

    def tasks() -> Iterator[int]:
        for task in range(200):
            ahead.append(task - loop.executions)
            yield task

    run(scheduler(client, 4), tasks())
    assert max(ahead) <= 8 and loop.executions == 200


def test_a_storm_of_refusals_loses_nothing(loops: Any) -> None:
    refusals = iter(range(18))

    def reply(version: str, text: str) -> Any:
        return BUSY if next(refusals, None) is not None and int(text) % 3 else text

    loop, client = loops(reply)
    ends, paced = run(scheduler(client, 16), range(120))
    assert all(ends[task].phase is Phase.DONE for task in range(120)) and len(ends) == 120
    assert min(each.concurrency for each in paced) < 16 and len(set(loop.calls)) == 120


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_the_time_that_a_server_names_is_waited(loops: Any, status: str) -> None:
    began: list[float] = []

    def reply(version: str, text: str) -> Any:
        began.append(time.monotonic())
        return refusal(1, "later", status, Retry_After="1") if len(began) == 1 else text

    _loop, client = loops(reply)
    ends, paced = run(scheduler(client, 1), range(3))
    assert began[1] - began[0] >= 1.0
    assert all(end.phase is Phase.DONE for end in ends.values()) and paced[0].wait == pytest.approx(1.0, abs=0.1)


def test_a_server_that_never_answers_is_a_failure_in_the_end(loops: Any) -> None:
    loop, client = loops(lambda version, text: BUSY)
    ends, _ = run(scheduler(client, 2, patience=0.0), range(4))
    assert all(end.phase is Phase.FAILED and type(end.error) is RateLimited for end in ends.values())
    assert loop.executions == 4


def test_an_hour_is_not_waited(loops: Any) -> None:
    loop, client = loops(lambda version, text: refusal(1, "later", "429 Too Many Requests", Retry_After="3600"))
    ends, _ = run(scheduler(client, 1), range(2))
    assert all(end.phase is Phase.FAILED for end in ends.values()) and loop.executions == 2


def test_an_hour_that_one_is_asked_to_wait_holds_no_other(loops: Any) -> None:
    hour = refusal(1, "later", "429 Too Many Requests", Retry_After="3600")
    _loop, client = loops(lambda version, text: hour if text == "1" else text)
    ends, _ = run(scheduler(client, 2), range(20))
    assert [task for task, end in ends.items() if end.phase is Phase.FAILED] == [1] and len(ends) == 20


def test_what_came_before_an_error_is_told(loops: Any) -> None:
    _loop, client = loops()

    def keep(runs: Sequence[tuple[int, RunState]]) -> None:
        if 10 in dict(runs):
            raise StoreError("The disk is full.")

    told: list[Any] = []
    with pytest.raises(StoreError):
        for batch in scheduler(client, 1, keep=keep).run(range(100), interval=5.0):
            told += batch
    assert folded(told).keys() == set(range(11))


def test_an_answer_that_began_is_never_asked_for_again(loops: Any) -> None:
    broken = [*framed([delta("half"), error_event(600502002, "too many calls a second")], "chunked")]
    loop, client = loops(lambda version, text: send_bytes([b"".join(broken)], stay))
    kept: dict[int, RunState] = {}
    ends, _ = run(scheduler(client, 1, keep=kept.update), [0])
    assert ends[0].phase is Phase.FAILED and kept[0].text == "half" and loop.executions == 1


def test_a_failure_stays_with_its_task(loops: Any) -> None:
    _loop, client = loops(lambda version, text: refusal(600505014, "too risky") if text == "3" else text)
    ends, paced = run(scheduler(client), range(10))
    failed = {task: end.error for task, end in ends.items() if end.phase is Phase.FAILED}
    assert list(failed) == [3] and type(failed[3]) is ContentRejected and not paced


def test_pieces_are_told_as_they_come_only_of_what_is_shown(loops: Any) -> None:
    go_on = threading.Event()
    _loop, client = loops(lambda version, text: stream([delta("Hel"), go_on, *map(delta, ("lo ", "you")), FINISHED]))
    events: dict[int, list[Any]] = {0: [], 1: []}
    for batch in scheduler(client, 2, shows=lambda task: task == 0).run([0, 1], 0.01):
        for item in batch:
            assert isinstance(item, Told)
            events[item.task].append(item.event)
            if isinstance(item.event, Arrived):
                go_on.set()
    kinds = [[type(event) for event in told] for told in events.values()]
    assert kinds[0][:2] == [Prepared, Arrived] and kinds[0].count(Arrived) > 1
    assert kinds[1] == [Ran] and events[1][0].run.text == "Hello you"


FINISHED = delta("", "stop")


def test_a_stop_ends_all_at_once_and_keeps_what_came(loops: Any) -> None:
    never = threading.Event()
    loop, client = loops(lambda version, text: text if text == "0" else stream([delta("half"), never]))
    stop, kept, told = Stop(), {}, []
    runs = scheduler(client, 4, stop, keep=kept.update, shows=lambda task: True)
    for batch in runs.run(range(100), 0.01):
        told += [item for item in batch if isinstance(item, Told)]
        if not stop.asked and len({item.task for item in told if isinstance(item.event, Arrived)}) == 5:
            stop()
    ends = folded(told)
    assert ends.pop(0).phase is Phase.DONE
    assert len(ends) == 4 and all(end.phase is Phase.INTERRUPTED for end in ends.values())
    assert {kept[task].text for task in ends} == {"half"} and loop.executions == 5


def test_a_caller_that_leaves_ends_what_is_under_way(loops: Any) -> None:
    never = threading.Event()
    loop, client = loops(lambda version, text: stream([delta("half"), never]))
    batches = scheduler(client, 4, shows=lambda task: True).run(range(100), 0.01)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert soon(lambda: not [each for each in threading.enumerate() if each.name == "cozeloop-trial"])
    never.set()
    assert loop.executions <= 4


def test_what_cannot_be_kept_ends_the_job(loops: Any) -> None:
    loop, client = loops()

    def keep(runs: Sequence[tuple[int, RunState]]) -> None:
        if 10 in dict(runs):
            raise StoreError("The disk is full.")

    with pytest.raises(StoreError, match="disk is full"):
        run(scheduler(client, 2, keep=keep), range(100_000))
    assert loop.executions < 5000


def test_an_iterator_that_raises_ends_the_job(loops: Any) -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise ValueError("line 2 is broken")

    with pytest.raises(ValueError, match="line 2 is broken"):
        run(scheduler(loops()[1], 2), tasks())


def test_nothing_to_do_is_done_at_once(loops: Any) -> None:
    assert run(scheduler(loops()[1]), []) == ({}, [])


def test_whole_answers_need_no_stream(loops: Any) -> None:
    from tests.wire_server import WHOLE

    loop, client = loops(lambda version, text: WHOLE)
    kept: dict[int, RunState] = {}
    run(scheduler(client, stream=False, keep=kept.update), range(5))
    assert {state.text for state in kept.values()} == {"Hello world"}
    assert {request.path.rpartition("/")[2] for request in loop.server.requests} == {"execute"}
