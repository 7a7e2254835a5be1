"""The state of a comparison, from event to event."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role
from cozeloop_magic.errors import ServerFailed
from cozeloop_magic.lab.checks import Score
from cozeloop_magic.lab.events import Paced, Told, join_told
from cozeloop_magic.lab.inputs import Row
from cozeloop_magic.lab.plan import Input, Plan, Trial
from cozeloop_magic.lab.state import Decided, ExperimentState, Noted, Scored, fold
from cozeloop_magic.lab.variants import ResolvedVariant, Variant
from cozeloop_magic.run.state import Arrived, Failed, Finished, Phase, Prepared
from cozeloop_magic.store.key import Place


def plan_of(inputs: int) -> Plan:
    variants = tuple(ResolvedVariant(version, Variant("greet", version), version) for version in ("1", "2"))
    rows = [Row(n, f"row {n}", {"x": n}) for n in range(inputs)]
    return Plan(
        variants,
        tuple(Input(row, row.values, None, str(row.number)) for row in rows),
        {n: n for n in range(inputs)},
        Place("here", "7"),
    )


START = ExperimentState.of(plan_of(2), 4)
TRIAL = Trial(0, 1)


def piece(at: float, text: str) -> Arrived:
    return Arrived(at, ExecuteResult(Message(Role.ASSISTANT, text)))


def test_trials_go_their_own_ways() -> None:
    state = fold(START, Told(TRIAL, Prepared("here", "2")), Told(TRIAL, piece(0.1, "Hel")))
    state = fold(state, Told(TRIAL, piece(0.2, "lo")), Told(Trial(1, 0), Failed(0.3, ServerFailed("no"))))
    state = fold(state, Told(TRIAL, Finished(0.4)), Scored(TRIAL, (Score("equals", True),)))
    assert state.trials[TRIAL].run.text == "Hello" and state.trials[TRIAL].scores[0].value is True
    assert state.phases == {Phase.DONE: 1, Phase.FAILED: 1, Phase.WAITING: 2} and not state.complete


def test_events_one_by_one_or_together_come_to_the_same() -> None:
    events = (
        Told(TRIAL, Prepared("here", "2")),
        Paced(2, 1.5),
        Told(TRIAL, piece(0.1, "a")),
        Noted("a note"),
        Told(TRIAL, Finished(0.2)),
        Decided(()),
    )
    one_by_one = START
    for event in events:
        one_by_one = fold(one_by_one, event)
    together = fold(START, *events)
    assert one_by_one == together and (together.concurrency, together.wait, together.notes) == (2, 1.5, ("a note",))


def test_folding_changes_nothing() -> None:
    fold(START, Told(TRIAL, piece(0.1, "a")))
    assert START.phases == {Phase.WAITING: 4}
    with pytest.raises(TypeError):
        START.trials[TRIAL] = START.trials[TRIAL]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        START.wait = 1.0  # type: ignore[misc]


def test_pieces_of_a_moment_are_joined_by_trial_and_in_order() -> None:
    other = Trial(1, 0)
    told = [Told(TRIAL, piece(0.1, "")), Told(other, piece(0.1, "x")), Told(TRIAL, piece(0.2, "a"))]
    joined = join_told([*told, Paced(1), Told(TRIAL, piece(0.3, "b")), Told(TRIAL, Finished(0.4))])
    assert [type(item.event).__name__ if isinstance(item, Told) else "Paced" for item in joined] == [
        "Arrived", "Arrived", "Paced", "Finished",
    ]  # fmt: skip
    first = joined[0]
    assert isinstance(first, Told) and isinstance(first.event, Arrived)
    assert (first.event.piece.text, first.event.at, first.event.until, first.event.pieces) == ("ab", 0.2, 0.3, 3)
