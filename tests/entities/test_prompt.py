"""Wire values: to and from JSON, tolerant, nothing dropped."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import fields, replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from cozeloop_magic.entities.prompt import (
    ContentPart,
    ContentType,
    ExecuteResult,
    FunctionCall,
    Message,
    Prompt,
    Role,
    TokenUsage,
    ToolCall,
    VariableType,
)
from cozeloop_magic.entities.stream import PieceReader, join_results
from cozeloop_magic.entities.variables import decode, encode
from cozeloop_magic.errors import VariableError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)

CALL = ToolCall(1, None, None, FunctionCall("add", '{"a": "\x1b"}'))


class TestWire:
    @pytest.mark.parametrize(
        "data",
        [
            {"role": "user", "content": "hi"},
            {"role": "oracle", "content": "hi", "mood": {"calm": True}},
            {"role": "tool", "content": "42", "tool_call_id": "c1", "skip_render": False, "metadata": {"a": 1}},
            {"role": "user", "parts": [{"type": "hologram", "beam": 7}, {"type": "text", "text": "x"}]},
            {
                "role": "assistant",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"index": 0, "id": "a", "type": "teleport", "function_call": {"name": "f", "arguments": "{}"}}
                ],
            },
        ],
    )
    def test_a_message_comes_back_as_it_was(self, data: dict[str, Any]) -> None:
        assert Message.from_json(data).to_json() == data

    def test_what_is_known_is_typed_and_what_is_not_is_kept(self) -> None:
        message = Message.from_json({"role": "user", "parts": [{"type": "image_url", "image_url": "u"}], "new": 1})
        assert message.role is Role.USER
        assert message.parts and message.parts[0].type is ContentType.IMAGE_URL
        assert message.extra == {"new": 1}

    def test_odd_fields_cost_no_text(self) -> None:
        result = ExecuteResult.from_json(
            {
                "message": {"role": 5, "content": 5, "tool_calls": "no", "parts": [5, {"text": "!"}]},
                "usage": {"input_tokens": -1, "output_tokens": 2.0},
            }
        )
        assert str(result) == "5"
        assert result.usage == TokenUsage(None, 2, extra={"input_tokens": -1})
        assert result.message and result.message.extra == {"role": 5, "tool_calls": "no"}
        assert [part.text for part in result.message.parts or ()] == [None, "!"]
        assert result.message.to_json()["parts"][0] == {"type": "", "": 5}

    def test_a_value_is_no_object(self) -> None:
        with pytest.raises(TypeError, match="Message expects a JSON object"):
            Message.from_json("hi")  # type: ignore[arg-type]

    def test_a_repr_shows_what_is_there(self) -> None:
        assert repr(Message(Role.USER, content="hi")) == "Message(role=<Role.USER: 'user'>, content='hi')"
        assert f"{Role.USER}" == "user"

    def test_values_are_frozen(self) -> None:
        with pytest.raises(AttributeError):
            Message(Role.USER).content = "x"  # type: ignore[misc]

    @given(
        st.dictionaries(
            st.sampled_from([f.name for f in (*fields(Prompt), *fields(Message))] + ["other"]), json_values
        )
    )
    def test_any_object_is_read_and_kept(self, data: dict[str, Any]) -> None:
        present = {key for key, value in data.items() if value is not None}
        for kind in (Prompt, Message, ExecuteResult):
            again = kind.from_json(kind.from_json(data).to_json())
            assert present <= set(again.to_json()) | {"extra", "log_id", "model"}


class TestResult:
    def test_reads_as_its_text(self) -> None:
        assert str(ExecuteResult(Message(Role.ASSISTANT, "hi"))) == "hi"
        parts = [ContentPart(ContentType.TEXT, text="a"), ContentPart(ContentType.IMAGE_URL, image_url="u")]
        assert ExecuteResult(Message(Role.ASSISTANT, parts=parts)).text == "a"
        assert str(ExecuteResult()) == ""

    @pytest.mark.parametrize(
        ("result", "shown"),
        [
            (
                ExecuteResult(Message(Role.ASSISTANT, "One.\nTwo."), "stop", TokenUsage(42, 1092), model="SmolLM2"),
                "One.\nTwo.\n\n[finish reason: stop · SmolLM2 · 42 → 1,092 tokens]",
            ),
            (ExecuteResult(Message(Role.ASSISTANT, "Once upon")), "Once upon\n\n[incomplete: no finish reason]"),
            (
                ExecuteResult(Message(Role.ASSISTANT, "\x1b[31mred \u202e"), "st\x07op"),
                "␛[31mred ‹U+202E›\n\n[finish reason: st‹U+0007›op]",
            ),
            (
                ExecuteResult(Message(Role.ASSISTANT, "So:", tool_calls=(ToolCall(0, "c\x1b"), CALL)), "tool_calls"),
                'So:\n\nc␛()\nadd({"a": "␛"})\n\n[finish reason: tool_calls]',
            ),
            (
                ExecuteResult(Message(Role.ASSISTANT, tool_calls=(CALL,))),
                'add({"a": "␛"})\n\n[incomplete: no finish reason]',
            ),
            (ExecuteResult(None, "stop"), "ExecuteResult(finish_reason='stop')"),
        ],
    )
    def test_shows_what_it_says_and_its_end_where_it_ends_a_cell(self, result: ExecuteResult, shown: str) -> None:
        assert pretty(result) == shown
        assert pretty([result]) == f"[{result!r}]", "among others, each is itself"

    def test_pieces_join(self) -> None:
        def piece(**message: Any) -> ExecuteResult:
            return ExecuteResult.from_json({"message": {"role": "assistant", **message}})

        def call(index: int, **more: Any) -> dict[str, Any]:
            return {"tool_calls": [{"index": index, **more}]}

        whole = join_results(
            [
                piece(reasoning_content="let "),
                piece(reasoning_content="me", content="a"),
                piece(**call(1, id="two", type="function", function_call={"name": "g", "arguments": ""})),
                piece(**call(0, id="one", type="function", function_call={"name": "f", "arguments": '{"x"'})),
                piece(**call(0, function_call={"name": "", "arguments": ": 1}"})),
                piece(content="b"),
                ExecuteResult(finish_reason="stop", usage=TokenUsage(1, 2), log_id="l", model="m"),
            ]
        )
        assert whole.message and (whole.text, whole.message.reasoning_content) == ("ab", "let me")
        one, two = whole.message.tool_calls or ()
        assert one == ToolCall.from_json(
            {"index": 0, "id": "one", "type": "function", "function_call": {"name": "f", "arguments": '{"x": 1}'}}
        )
        assert two.id == "two"
        assert (whole.finish_reason, whole.usage, whole.log_id, whole.model) == ("stop", TokenUsage(1, 2), "l", "m")

    def test_what_is_not_known_of_a_tool_call_is_kept(self) -> None:
        first = {"index": 0, "id": "a", "function_call": {"name": "f", "strict": True}, "signature": "s"}
        pieces = [{"message": {"tool_calls": [call]}} for call in (first, {"index": 0, "function_call": {}})]
        (call,) = join_results(map(ExecuteResult.from_json, pieces)).message.tool_calls  # type: ignore[union-attr]
        assert call.extra == {"signature": "s"} and call.function_call.extra == {"strict": True}

    @pytest.mark.parametrize(
        ("deltas", "calls"),
        [
            ([[(None, "a", "1")], [(None, None, "2")]], [("a", "12")]),
            ([[(None, "a", "1")], [(None, "a", "2")]], [("a", "12")]),
            ([[(None, "a", "1")], [(None, "b", "2")], [(None, None, "3")]], [("a", "1"), ("b", "23")]),
            ([[(None, "a", "1")], [(None, "b", "2")], [(None, "a", "3")]], [("a", "13"), ("b", "2")]),
            ([[(None, None, "1")], [(None, None, "2")]], [(None, "12")]),
            ([[(None, None, "1"), (None, None, "2")]], [(None, "1"), (None, "2")]),
            ([[(None, "a", "1"), (None, "b", "2")]], [("a", "1"), ("b", "2")]),
            ([[(1, "b", "1")], [(0, "a", "2")], [(1, None, "3")]], [("a", "2"), ("b", "13")]),
            ([[(0, "a", "1")], [(None, "b", "2")], [(None, None, "3")]], [("a", "1"), ("b", "23")]),
            ([[(0, "a", "1")], [(1, "a", "2")]], [("a", "1"), ("a", "2")]),
        ],
    )
    def test_a_tool_call_goes_on_by_index_then_by_id_then_by_order(self, deltas: Any, calls: Any) -> None:
        def piece(delta: Any) -> ExecuteResult:
            named = [{"index": index, "id": id, "function_call": {"arguments": text}} for index, id, text in delta]
            return ExecuteResult.from_json({"message": {"tool_calls": named}})

        message = join_results(map(piece, deltas)).message
        assert message and message.tool_calls
        assert [
            (call.id, call.function_call and call.function_call.arguments) for call in message.tool_calls
        ] == calls

    def test_a_character_split_over_two_deltas_of_a_tool_call_is_one(self) -> None:
        def read(id: str | None, arguments: str) -> str | None:
            call = {"id": id, "function_call": {"arguments": arguments}}
            piece = reader.read({"message": {"tool_calls": [call]}})
            assert piece and piece.message and piece.message.tool_calls and piece.message.tool_calls[0].function_call
            return piece.message.tool_calls[0].function_call.arguments

        reader = PieceReader()
        given = [("a", "x\ud83d"), ("b", "y"), ("a", "\ude42z"), (None, "!")]
        assert [read(id, arguments) for id, arguments in given] == ["x", "y", "🙂z", "!"]

    @given(st.lists(st.text()), st.integers(0, 10))
    def test_joining_is_associative(self, texts: list[str], cut: int) -> None:
        pieces = [ExecuteResult(Message(Role.ASSISTANT, text)) for text in texts]
        halves = [join_results(pieces[:cut]), join_results(pieces[cut:])]
        assert join_results(halves) == join_results(pieces) if pieces else True

    def test_a_piece_of_nothing_but_text_is_like_any_other(self) -> None:
        body = {"message": {"role": "assistant", "content": "Hé"}, "finish_reason": ""}
        piece, other = PieceReader(log_id="log-1").read(body), replace(ExecuteResult.from_json(body), log_id="log-1")
        assert piece == other and repr(piece) == repr(other)
        assert pickle.loads(pickle.dumps(piece)) == copy.deepcopy(piece) == piece


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("as {{it}} is", "as {{it}} is"),
            ("", ""),
            ([], "[]"),
            (None, "null"),
            (date(2026, 1, 2), "2026-01-02"),
            (datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc), "2026-01-02T03:04:00+00:00"),
            (time(3, 4), "03:04:00"),
            (Decimal("1.10"), "1.10"),
            ({"price": Decimal("1.10")}, '{"price": 1.10}'),
            ({"b", "a"}, '["a", "b"]'),
            ((1, 2), "[1, 2]"),
            ({"名": "值"}, '{"名": "值"}'),
            ({1: date(2026, 1, 2)}, '{"1": "2026-01-02"}'),
            (np.int64(3), "3"),
            (np.float32(0.5), "0.5"),
            (np.bool_(True), "true"),
            (np.str_("x"), "x"),
            (np.array([[1, 2]]), "[[1, 2]]"),
            (np.datetime64("2026-01-02"), "2026-01-02"),
            (pd.Timestamp("2026-01-02 03:04"), "2026-01-02T03:04:00"),
            (pd.Series([1.5, 2.5]), "[1.5, 2.5]"),
            (pd.Series(pd.to_datetime(["2026-01-02"])), '["2026-01-02T00:00:00"]'),
            (Role.USER, "user"),
            (VariableType.OBJECT, "object"),
        ],
    )
    def test_as(self, value: Any, text: str) -> None:
        sent = encode("x", value)
        assert (sent.value, sent.placeholder_messages, sent.multi_part_values) == (text, None, None)

    @given(json_values)
    def test_json_is_as_the_json_module_writes_it(self, value: Any) -> None:
        if not isinstance(value, str):
            assert encode("x", value).value == json.dumps(value, ensure_ascii=False)

    def test_messages_and_parts_have_places_of_their_own(self) -> None:
        message, part = Message(Role.USER, "hi"), ContentPart(ContentType.TEXT, text="x")
        for value in (message, [message], (message,)):
            assert encode("x", value).placeholder_messages == (message,)
        assert encode("x", [message, ExecuteResult(message)]).placeholder_messages == (message, message)
        for value in (part, [part]):
            assert encode("x", value).multi_part_values == (part,)

    circle: ClassVar[list[Any]] = []
    circle.append(circle)

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (float("nan"), "x holds nan"),
            ({"a": [1.0, float("inf")]}, r"x['a'][1] holds inf"),
            (np.float64("nan"), "fillna"),
            (pd.NaT, "fillna"),
            (pd.NA, "fillna"),
            (np.datetime64("NaT"), "datetime64"),
            (Decimal("NaN"), "x holds NaN"),
            (b"bytes", "base64_data"),
            (object(), "of type object"),
            (pd.DataFrame({"a": [1]}), "to_markdown"),
            ([Message(Role.USER, "hi"), "text"], "nothing but messages"),
            (1 + 2j, "complex"),
            (circle, "nested too deep"),
        ],
    )
    def test_what_has_no_json_form_is_an_error(self, value: Any, says: str) -> None:
        with pytest.raises(VariableError) as caught:
            encode("x", value)
        assert says in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("a", "x\ud83d"),
            ("a", {"b": ["\ud83d"]}),
            ("a", Message(Role.USER, "\ud83d")),
            ("a", ContentPart("text", "\ud83d")),
            ("\ud83d", "a"),
        ],
    )
    def test_half_a_character_is_refused_before_anything_is_sent(self, key: str, value: Any) -> None:
        with pytest.raises(VariableError, match=r"holds half a character .* cannot be sent") as caught:
            encode(key, value)
        assert str(caught.value).encode()


class TestDecode:
    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            ("string", "1", "1"),
            ("boolean", "true", True),
            ("integer", "-12", -12),
            ("float", "1e3", 1000.0),
            ("object", '{"a": 1}', {"a": 1}),
            ("array<string>", '["a"]', ["a"]),
            ("array<float>", "[1, 2.5]", [1, 2.5]),
            ("new", "x", "x"),
        ],
    )
    def test_by_type(self, kind: str, text: str, value: Any) -> None:
        assert decode(kind, text) == value

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("boolean", "True"),
            ("integer", "1_000"),
            ("integer", "1.0"),
            ("float", "x"),
            ("object", "{a: 1}"),
            ("array<string>", "[1]"),
            ("array<integer>", "[true]"),
            ("array<boolean>", '"true"'),
            ("object", "[" * 100_000),
        ],
    )
    def test_what_is_no_value_of_the_type(self, kind: str, text: str) -> None:
        with pytest.raises(ValueError, match="is not"):
            decode(kind, text)
