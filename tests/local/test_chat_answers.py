"""What endpoints that speak OpenAI's chat format say, in all the ways they say it: nothing of it is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import RemoteError
from cozeloop_magic.local.chat_answers import UNKNOWN, AnswerReader, error_in
from cozeloop_magic.local.event_stream import read_body
from tests.local.endpoint import STOP, WHOLE, ask, delta, reasoning, stream, whole


def call(index: int | None, id_: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("chunks", "text", "thought", "reason"),
    [
        ([WHOLE], "Whole answer", None, "stop"),
        ([delta(refusal="I cannot"), STOP], "I cannot", None, "refusal"),
        ([delta(reasoning="Think"), delta(content="Hi"), STOP], "Hi", "Think", "stop"),
        ([delta(reasoning_content="Think"), delta(content="Hi"), STOP], "Hi", "Think", "stop"),
        ([delta(content=[{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}]), STOP], "Hi!", None, "stop"),
        ([delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "T"}]}, "Hi"]), STOP],
         "Hi", "T", "stop"),
        ([delta(content="<thi"), delta(content="nk>T<"), delta(content="/think>\n\nHi"), STOP], "Hi", "T", "stop"),
        ([delta(content="<think>T</thin"), STOP], "", "T</thin", "stop"),
        ([delta(content="<th"), STOP], "<th", None, "stop"),
        ([delta(content="Hi <think>x</think>"), STOP], "Hi <think>x</think>", None, "stop"),
        ([{"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]}], "Hi", None, "stop"),
        ([{"choices": []}, delta(role="assistant"), delta(content="Hi"), delta(content=None), STOP],
         "Hi", None, "stop"),
        ([{"choices": [{"index": 1, "delta": {"content": "other"}}, {"index": 0, "delta": {"content": "Hi"}}]}, STOP],
         "Hi", None, "stop"),
        ([delta(content="Hi")], "Hi", None, None),
        ([delta(content="<think>T")], "", "T", None),
        ([delta("", content="Hi"), delta("length")], "Hi", None, "length"),
        # One text comes once, whatever says it again.
        ([delta(content="Hi"), delta(content=" you"), whole(content="Hi you")], "Hi you", None, "stop"),
        ([delta(content="Hi"), whole(content="Hi you")], "Hi you", None, "stop"),
        ([delta(content="Hi "), whole(content="Hi")], "Hi ", None, "stop"),
        ([delta(content=" Hi"), whole(content="Hi you")], " Hi you", None, "stop"),
        ([delta(content="<think>T</think>Hi"), whole(content="Hi", reasoning_content="T")], "Hi", "T", "stop"),
        ([delta(reasoning="T"), delta(content="Hi"), whole(content="Hi", reasoning="T")], "Hi", "T", "stop"),
        ([delta(content="Hi"), {"choices": [{"index": 0, "delta": {"content": "!"}, "message": {"content": "Hi!"}}]},
          STOP], "Hi!", None, "stop"),
        ([whole("", content="Hi"), whole("", content="Hi you"), whole(content="Hi you!")], "Hi you!", None, "stop"),
        ([whole("", content="Hi"), whole("", content=" you"), whole(content="")], "Hi you", None, "stop"),
        ([delta(reasoning="T", reasoning_content="T"), delta(content="Hi"), STOP], "Hi", "T", "stop"),
        ([delta(reasoning="T", reasoning_details=[{"type": "reasoning.text", "text": "T"}], content="Hi"), STOP],
         "Hi", "T", "stop"),
        # All that is text is read.
        ([delta(reasoning_details=[{"type": "reasoning.text", "text": "T"}]), delta(content="Hi"), STOP],
         "Hi", "T", "stop"),
        ([delta(reasoning_details=[{"type": "reasoning.summary", "summary": "T"},
                                   {"type": "reasoning.encrypted", "data": "x"}], content="Hi"), STOP],
         "Hi", "T", "stop"),
        ([delta(thinking_blocks=[{"type": "thinking", "thinking": "T"}], content="Hi"), STOP], "Hi", "T", "stop"),
        ([delta(content={"type": "text", "text": "Hi"}), STOP], "Hi", None, "stop"),
        ([delta(content={"text": "Hi"}), STOP], "Hi", None, "stop"),
        ([delta(content=[{"type": "output_text", "text": "Hi"}]), STOP], "Hi", None, "stop"),
        ([delta(content=[{"type": "refusal", "refusal": "No"}]), STOP], "No", None, "stop"),
        ([delta(audio={"id": "a", "transcript": "Hi"}), STOP], "Hi", None, "stop"),
        ([delta(content=4), delta(content=False), STOP], "4false", None, "stop"),
        ([delta(content={"a": [1, "é"]}), STOP], '{"a": [1, "é"]}', None, "stop"),
        ([delta(text="Hi"), STOP], "Hi", None, "stop"),
        ([delta(reasoning_text="T"), delta(content="Hi"), STOP], "Hi", "T", "stop"),
        # The answer with another index than 0.
        ([{"choices": [{"index": 1, "delta": {"content": "Hi"}}]},
          {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}], "Hi", None, "stop"),
        ([{"choices": [{"index": 1, "delta": {"content": "Hi"}}]}, delta("stop", content="other"),
          {"choices": [{"index": 1, "delta": {"content": "!"}, "finish_reason": "length"}]}], "Hi!", None, "length"),
        ([{"choices": [{"delta": {"content": "Hi"}}, {"delta": {"content": "other"}}]}, STOP], "Hi", None, "stop"),
    ],
)  # fmt: skip
def test_what_a_model_says_is_read_wherever_it_stands(
    serve: Any, chunks: list[Any], text: str, thought: str | None, reason: str | None
) -> None:
    result = ask(serve(stream(*chunks)))
    assert (result.text, reasoning(result), result.finish_reason) == (text, thought, reason)


@pytest.mark.parametrize(
    ("written", "text", "thought"),
    [
        ("<think>T</think>\n\nHi", "Hi", "T"),
        ("\n<think>\nT\n</think>\r\n\r\nHi\n", "Hi\n", "T\n"),
        ("<think>\n\n</think>\n\nHi", "Hi", None),
        ("<think></think>    Hi", "    Hi", None),
        ("<think>a < b</thin></think>Hi", "Hi", "a < b</thin>"),
        ("<think>T</think>\n\n", "", "T"),
        ("<thinking>Hi", "<thinking>Hi", None),
    ],
)
def test_think_tags_are_read_alike_wherever_the_pieces_are_cut(written: str, text: str, thought: str | None) -> None:
    cuts = [[written], list(written), *([written[:at], written[at:]] for at in range(1, len(written)))]
    for pieces in cuts:
        reader, builder = AnswerReader(), ResultBuilder()
        for chunk in (*(delta(content=piece) for piece in pieces), STOP):
            if piece := reader.read(chunk):
                builder.add(piece)
        result = builder.result()
        assert (result.text, reasoning(result)) == (text, thought), pieces


NAMES = (
    "arguments", "audio", "choices", "content", "delta", "error", "finish_reason", "function", "function_call", "id",
    "images", "index", "message", "name", "reasoning", "reasoning_details", "refusal", "text", "tool_calls", "type",
)  # fmt: skip
ODD = "a\u2028b\u0085c\x0bd\x0ce\x1cf\u2029g 😀"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_ends_where_the_format_says_and_nowhere_else(serve: Any, end: str) -> None:
    events = [json.dumps(chunk, ensure_ascii=False) for chunk in (delta(content=ODD), STOP)]
    body = "\ufeff" + "".join(f": hm{end}event: x{end}id: 1{end}data: {event}{end}{end}" for event in events)
    result = ask(serve(lambda _: (200, "text/event-stream", body)))
    assert (result.text, result.finish_reason) == (ODD, "stop")


@pytest.mark.parametrize(
    "body",
    [
        "".join("".join(f"data: {line}\n" for line in json.dumps(chunk, indent=1).split("\n")) + "\n"
                for chunk in (delta(content="Hi"), STOP)),
        "".join(f"data:{json.dumps(chunk)}\n" for chunk in (delta(content="Hi"), STOP)) + "data:[DONE]\n",
        f"data: {json.dumps(delta(content='Hi'))}\n\ndata: {json.dumps(STOP)}",
        f"data:\n\ndata: \n\nevent: ping\ndata: {{}}\n\ndata: {json.dumps(delta('stop', content='Hi'))}\n\n",
    ],
)  # fmt: skip
def test_an_event_may_have_several_lines_and_no_blank_one_after_it(serve: Any, body: str) -> None:
    result = ask(serve(lambda _: (200, "text/event-stream", body)))
    assert (result.text, result.finish_reason) == ("Hi", "stop")


def test_bytes_may_be_cut_anywhere() -> None:
    body = f"data: {json.dumps(delta(content=ODD), ensure_ascii=False)}\r\n\r\ndata: [DONE]\r\n\r\n".encode()
    whole_body = list(read_body([body]))
    assert [event.text for event in whole_body] == [json.dumps(delta(content=ODD), ensure_ascii=False), "[DONE]"]
    for at in range(len(body)):
        assert list(read_body([body[:at], b"", body[at:]])) == whole_body


@pytest.mark.parametrize("place", ["content", "reasoning_content", "arguments"])
def test_a_character_cut_in_two_is_joined(serve: Any, place: str) -> None:
    halves = ["a\ud83d", "\ude00b"]
    says = {
        "content": lambda half: delta(content=half),
        "reasoning_content": lambda half: delta(reasoning_content=half),
        "arguments": lambda half: delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": half}}]),
    }[place]
    result = ask(serve(stream(*map(says, halves), STOP)))
    calls = result.message and result.message.tool_calls
    call = calls[0].function_call if calls else None
    assert "a😀b" in (result.text, reasoning(result), call and call.arguments)


@pytest.mark.parametrize(
    ("chunks", "note"),
    [
        ([delta(content=["Hi", {"type": "image_url", "image_url": {"url": "x"}}]), STOP],
         "a part of the answer cannot be shown: image_url"),
        ([delta(content="Hi"), delta(images=[{"type": "image_url"}]), STOP],
         "a part of the answer cannot be shown: image"),
        ([delta(audio={"transcript": "Hi", "data": "…"}), STOP], "a part of the answer cannot be shown: audio"),
        ([{"choices": [{"index": i, "delta": {"content": "Hi"}} for i in (0, 1)]}, STOP],
         "the endpoint gave several answers, of which one is shown"),
        ([delta(content="Hi"), {"choices": [{"index": 1, "delta": {"content": "other"}}]}, STOP],
         "the endpoint gave several answers, of which one is shown"),
        ([delta(content="Hi"), whole(content="No")],
         "the endpoint streamed one text and then gave another; both are shown"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_told_once(serve: Any, chunks: list[Any], note: str) -> None:
    result = ask(serve(stream(*chunks)))
    assert result.text.startswith("Hi") and result.notes == (note,)


@pytest.mark.parametrize(
    "choice", [{"message": {"content": "Hi"}}, {"message": {"content": "Hi"}, "finish_reason": None}, {"text": "Hi"}]
)
def test_a_whole_answer_without_a_finish_reason_is_complete_and_its_reason_unknown(serve: Any, choice: Any) -> None:
    result = ask(serve(lambda _: (200, "application/json", json.dumps({"choices": [choice]}))))
    assert (result.text, result.finish_reason, result.notes) == (
        "Hi",
        UNKNOWN,
        ("the endpoint gave no finish reason",),
    )


@pytest.mark.parametrize("data", ["[done]", '"[DONE]"', "bye", "7"])
def test_what_comes_after_the_end_is_no_part_of_an_answer(serve: Any, data: str) -> None:
    body = f"data: {json.dumps(delta('stop', content='Hi'))}\n\ndata: {data}\n\nbye"
    assert ask(serve(lambda _: (200, "text/event-stream", body))).text == "Hi"


def test_a_ping_is_none_either(serve: Any) -> None:
    body = f"event: ping\ndata: 12:30\n\ndata: {json.dumps(delta('stop', content='Hi'))}\n\n"
    assert ask(serve(lambda _: (200, "text/event-stream", body))).text == "Hi"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1//", "/v1/chat/completions", "/v1/chat/completions/"])
def test_an_address_may_end_with_the_path_of_its_calls(serve: Any, path: str) -> None:
    endpoint = serve(stream(delta("stop", content="Hi")))
    assert ask(endpoint, path=path).text == "Hi"
    assert endpoint.paths == ["/v1/chat/completions"]


def test_a_whole_body_that_is_cut_off_is_an_error(serve: Any) -> None:
    with pytest.raises(RemoteError, match="no chat answer"):
        ask(serve(lambda _: (200, "application/json", json.dumps(WHOLE)[:-9])))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["", "text", "f", "{}", "\ud83d", "<think>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(st.fixed_dictionaries({"choices": st.lists(JSON, max_size=2) | JSON}, optional={"usage": JSON})))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_shape_is_too_odd_to_be_read(chunks: list[Any]) -> None:
    reader = AnswerReader()
    for chunk in chunks:
        reader.read(chunk)
        error_in(chunk)
    reader.end(whole=True)


def test_a_setting_keeps_think_tags(serve: Any) -> None:
    endpoint = serve(stream(delta(content="<think>T</think>Hi"), STOP))
    assert ask(endpoint, keep_think=True).text == "<think>T</think>Hi"


def test_one_whole_answer_where_a_stream_was_asked_for_is_an_answer(serve: Any) -> None:
    body = {**WHOLE, "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    result = ask(serve(lambda _: (200, "application/json", json.dumps(body, indent=2))))
    assert (result.text, result.finish_reason, result.usage and result.usage.output_tokens) == (
        "Whole answer",
        "stop",
        2,
    )


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        ([{"prompt_tokens": 5, "completion_tokens": 1234}], "5 → 1,234"),
        ([{"prompt_tokens": 5}], "5 → ?"),
        ([{"prompt_tokens": 5, "completion_tokens": None}], "5 → ?"),
        ([{"prompt_tokens": None, "completion_tokens": 0}], "? → 0"),
        ([{"prompt_tokens": 5}, {"completion_tokens": 2}], "5 → 2"),
        ([{"prompt_tokens": 5, "completion_tokens": 2, "alone": True}], "5 → 2"),
        ([{"prompt_tokens": -1, "completion_tokens": "2"}], "? → 2"),
        ([{"prompt_tokens": 5.0, "completion_tokens": True}], "5 → ?"),
        ([{"input_tokens": 5, "output_tokens": 2}], "5 → 2"),
        ([{"total_tokens": 7}], "None"),
        ([{}, None, 7], "None"),
    ],
)
def test_tokens_that_are_not_told_are_not_0(serve: Any, usage: list[Any], shown: str) -> None:
    chunks = [{**({} if isinstance(each, dict) and "alone" in each else STOP), "usage": each} for each in usage]
    assert str(ask(serve(stream(delta(content="Hi"), *chunks))).usage) == shown


class TestToolCalls:
    @staticmethod
    def calls(result: ExecuteResult) -> list[tuple[str, str | None]]:
        found = result.message and result.message.tool_calls
        return [(call.function_call.name, call.function_call.arguments) for call in found or () if call.function_call]

    def test_one_of_the_old_kind(self, serve: Any) -> None:
        pieces = [delta(function_call={"name": "f", "arguments": '{"a"'}), delta(function_call={"arguments": ":1}"})]
        assert self.calls(ask(serve(stream(*pieces, delta("function_call"))))) == [("f", '{"a":1}')]

    def test_one_that_comes_in_pieces(self, serve: Any) -> None:
        first = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}
        second = {"index": 0, "id": None, "function": {"arguments": ":1}"}}
        result = ask(serve(stream(delta(tool_calls=[first]), delta(tool_calls=[second]), delta("tool_calls"))))
        assert self.calls(result) == [("f", '{"a":1}')]

    def test_a_new_id_at_a_used_index_is_another_call(self, serve: Any) -> None:
        pieces = [
            delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"p":1}'}}]),
            delta(tool_calls=[{"index": 0, "id": "b", "function": {"name": "g", "arguments": '{"p"'}}]),
            delta(tool_calls=[{"index": 0, "id": "", "function": {"arguments": ":2}"}}]),
        ]
        result = ask(serve(stream(*pieces, delta("tool_calls"))))
        assert self.calls(result) == [("f", '{"p":1}'), ("g", '{"p":2}')]

    def test_several_without_an_index(self, serve: Any) -> None:
        both = [
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"function": {"name": "g", "arguments": {"p": 2}}},
        ]
        assert self.calls(ask(serve(stream(delta(tool_calls=both), STOP)))) == [("f", "{}"), ("g", '{"p": 2}')]

    @pytest.mark.parametrize(
        ("given", "calls"),
        [
            ({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}, [("f", "{}")]),
            ([{"index": 0, "id": "a", "name": "f", "arguments": "{}"}], [("f", "{}")]),
            ([{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}], [("f", "x")]),
            ([{"id": "a", "function": None, "name": "f", "input": {"p": 1}}], [("f", '{"p": 1}')]),
        ],
    )
    def test_one_written_in_another_way_is_read(self, serve: Any, given: Any, calls: list[tuple[str, str]]) -> None:
        assert self.calls(ask(serve(stream(delta(tool_calls=given), delta("tool_calls"))))) == calls

    @pytest.mark.parametrize(
        ("pieces", "calls"),
        [
            ([call(0, None, "f", "{}"), call(0, None, "g", "{}")], [("f", "{}"), ("g", "{}")]),
            ([call(0, None, "f", "{}"), call(0, None, "f", "{}")], [("f", "{}"), ("f", "{}")]),
            ([call(0, None, "f", '{"a"'), call(0, None, "f", ":1}")], [("f", '{"a":1}')]),
            ([call(0, None, "f", '{"a":{}'), call(0, None, "f", "}")], [("f", '{"a":{}}')]),
            ([call(0, None, "f", None), call(0, None, "f", "{}")], [("f", "{}")]),
            ([call(None, None, "f", "{}"), call(None, None, "g", "{}")], [("f", "{}"), ("g", "{}")]),
            ([call(0, None, "f", "{}"), call(0, None, "g", "{"), call(0, None, None, "}")],
             [("f", "{}"), ("g", "{}")]),
            ([call(0, "a", "f", '{"p"'), call(0, "b", "g", "{}"), call(0, "a", None, ":1}")],
             [("f", '{"p":1}'), ("g", "{}")]),
            ([call(0, "a", "f", '{"p"'), call(0, "b", "g", "{"), call(0, "a", None, ":"), call(0, None, None, "1}"),
              call(0, "b", None, "}")], [("f", '{"p":1}'), ("g", "{}")]),
            ([call(0, "x", "f", "{}"), call(1, "x", "g", "{}")], [("f", "{}"), ("g", "{}")]),
            ([call(0, "a", "f", "{}"), call(0, "b", "g", "{}"), call(1, None, "h", "{}")],
             [("f", "{}"), ("g", "{}"), ("h", "{}")]),
        ],
    )  # fmt: skip
    def test_each_begins_where_it_must(self, serve: Any, pieces: list[Any], calls: list[tuple[str, str]]) -> None:
        chunks = [delta(tool_calls=[piece]) for piece in pieces]
        assert self.calls(ask(serve(stream(*chunks, delta("tool_calls"))))) == calls

    @pytest.mark.parametrize(
        ("streamed", "given", "calls"),
        [
            ([call(0, "a", "f", "{}")], [call(None, "a", "f", "{}")], [("f", "{}")]),
            ([call(0, "a", "f", '{"p"')], [call(None, "a", "f", '{"p":1}')], [("f", '{"p":1}')]),
            ([call(0, None, "f", "{}")], [call(None, "a", "f", "{}")], [("f", "{}")]),
            ([call(0, "a", "f", "{}")], [call(None, "a", "f", "{}"), call(None, "b", "g", "{}")],
             [("f", "{}"), ("g", "{}")]),
            ([call(0, None, "f", "{}")], [call(None, None, "f", "{}"), call(None, None, "f", "{}")],
             [("f", "{}"), ("f", "{}")]),
        ],
    )  # fmt: skip
    def test_those_of_a_message_after_deltas_come_once(
        self, serve: Any, streamed: list[Any], given: list[Any], calls: list[tuple[str, str]]
    ) -> None:
        chunks = [delta(tool_calls=[piece]) for piece in streamed]
        assert self.calls(ask(serve(stream(*chunks, whole("tool_calls", tool_calls=given))))) == calls
