"""The state of a run, from event to event."""

from __future__ import annotations

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Role
from cozeloop_magic.errors import StreamInterrupted
from cozeloop_magic.run.state import (
    Arrived,
    Failed,
    Finished,
    Interrupted,
    Phase,
    Prepared,
    Preparing,
    RunState,
    fold,
)

START = RunState(ExecuteRequest("greet"))


def piece(text: str = "", **more: str) -> ExecuteResult:
    return ExecuteResult(Message(Role.ASSISTANT, text), **more)


def test_a_run_from_start_to_end() -> None:
    state = START
    assert (state.phase, state.ended, state.text) == (Phase.WAITING, False, "")
    state = fold(state, Preparing("Fetching the model"))
    assert (state.phase, state.preparing) == (Phase.WAITING, "Fetching the model")
    state = fold(state, Prepared("embedded Loop", "1.0.0", ("a note",)))
    assert (state.preparing, state.origin, state.version, state.notes) == ("", "embedded Loop", "1.0.0", ("a note",))
    state = fold(state, Arrived(0.1, piece("")))
    assert (state.phase, state.ttft) == (Phase.STREAMING, None)
    state = fold(state, Arrived(0.2, piece("Hel")))
    state = fold(state, Arrived(0.3, piece("lo", finish_reason="stop")))
    assert (state.text, state.ttft, state.result.finish_reason) == ("Hello", 0.2, "stop")
    state = fold(state, Finished(0.4))
    assert (state.phase, state.latency, state.ended) == (Phase.DONE, 0.4, True)


def test_a_run_that_breaks_off_keeps_what_came() -> None:
    state = fold(START, Arrived(0.2, piece("Hel")))
    error = StreamInterrupted("broke off")
    failed = fold(state, Failed(0.3, error))
    assert (failed.phase, failed.error, failed.text) == (Phase.FAILED, error, "Hel")
    stopped = fold(state, Interrupted(0.3))
    assert (stopped.phase, stopped.text, stopped.ended) == (Phase.INTERRUPTED, "Hel", True)


def test_reasoning_counts_as_the_first_sign_of_life() -> None:
    thought = ExecuteResult(Message(Role.ASSISTANT, reasoning_content="hm"))
    state = fold(START, Arrived(0.2, thought))
    assert (state.ttft, state.reasoning, state.text) == (0.2, "hm", "")


def test_folding_changes_nothing() -> None:
    fold(START, Arrived(0.2, piece("Hel")))
    assert START == RunState(ExecuteRequest("greet"))
