"""Which tool call a piece of a stream belongs to, also when the pieces are joined again on the way."""

from __future__ import annotations

from typing import Any

import pytest

from cozeloop_magic.entities.prompt import FunctionCall, ToolCall
from cozeloop_magic.entities.stream import PieceReader, join_results
from cozeloop_magic.entities.tool_calls import ToolCallPlaces


def call(index: int | None, id_: str | None, name: str, arguments: str | None) -> ToolCall:
    return ToolCall(index, id_, "function", FunctionCall(name, arguments))


F, G = call(0, None, "f", "{}"), call(0, None, "g", "{}")
CASES = {
    "one in pieces": ([call(0, "a", "f", "{"), call(0, None, "", "}")], [0, 0]),
    "another index": ([call(0, "a", "f", "{}"), call(1, "b", "g", "{}")], [0, 1]),
    "another id": ([call(0, "a", "f", "{}"), call(0, "b", "g", "{}")], [0, 1]),
    "an id that comes again": ([call(0, "a", "f", "{"), call(0, "b", "g", "{}"), call(0, "a", "", "}")], [0, 1, 0]),
    "and goes on without it": (
        [call(0, "a", "f", "{"), call(0, "b", "g", "{}"), call(0, "a", "", ""), call(0, None, "", "}")],
        [0, 1, 0, 0],
    ),
    "one id for all": ([call(0, "x", "f", "{}"), call(1, "x", "g", "{}")], [0, 1]),
    "another name after arguments": ([F, G], [0, 1]),
    "the same name after complete arguments": ([F, F, F], [0, 1, 2]),
    "the name in each piece": ([call(0, None, "f", '{"a":{}'), call(0, None, "f", "}")], [0, 0]),
    "a name that comes after the arguments": ([call(0, "a", "", "{}"), call(0, None, "f", "")], [0, 0]),
    "an id that comes after the name": ([call(0, None, "f", ""), call(0, "a", "f", "{}")], [0, 0]),
    "an index that another was moved to": ([F, G, call(1, None, "h", "{}")], [0, 1, 2]),
    "neither index nor id": ([call(None, None, "f", "{"), call(None, None, "", "}")], [0, 0]),
    "ids alone": ([call(None, "a", "f", "{"), call(None, "b", "g", "{}"), call(None, "a", "", "}")], [0, 1, 0]),
    "an index that begins late": ([call(5, "a", "f", "{}"), call(5, "b", "g", "{}")], [5, 6]),
}


@pytest.mark.parametrize(("calls", "places"), CASES.values(), ids=CASES)
def test_each_piece_has_its_place(calls: list[ToolCall], places: list[int]) -> None:
    found = ToolCallPlaces()
    assert [place for each in calls for place, _ in found.of([each])] == places


@pytest.mark.parametrize(("calls", "places"), CASES.values(), ids=CASES)
def test_it_is_the_same_however_often_they_are_joined(calls: list[ToolCall], places: list[int]) -> None:
    reader = PieceReader()
    events: list[dict[str, Any]] = [{"message": {"role": "assistant", "tool_calls": [c.to_json()]}} for c in calls]
    pieces = [piece for each in events if (piece := reader.read(each))]
    result = join_results(pieces)
    for at in range(1, len(pieces)):
        assert join_results((join_results(pieces[:at]), *pieces[at:])).message == result.message
    assert result.message is not None
    assert len(result.message.tool_calls or ()) == len(set(places))


def test_calls_of_one_piece_that_name_neither_are_different() -> None:
    unnamed = call(None, None, "f", "{")
    assert [place for place, _ in ToolCallPlaces().of([unnamed, unnamed])] == [0, 1]
