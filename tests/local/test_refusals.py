"""What an endpoint says in place of an answer is read to the person, and what it refuses is left out and told."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, Function, LLMConfig, Message, Role, Tool
from cozeloop_magic.errors import BadRequest, RemoteError
from cozeloop_magic.local.models import Parameters
from cozeloop_magic.local.openai_model import OpenAIModel
from tests.local.endpoint import STOP, WHOLE, Respond, ask, delta, stream


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", "<html><title>Sign in</title></html>", ["an HTML page, 'Sign in'", "/v1"]),
        (200, "application/json", '{"error":"Unexpected endpoint or method."}', ["Unexpected endpoint or method"]),
        (200, "text/plain", "it works", ["it works", "COZELOOP_MAGIC_OPENAI_BASE_URL"]),
        (200, "text/event-stream", "", ["empty answer"]),
        (400, "text/plain", "no such model", ["no such model", "HTTP 400"]),
        (404, "text/html", "<h1>Not Found</h1>", ["an HTML page, 'Not Found'", "/v1"]),
        (404, "application/json", '{"detail": "Not Found"}', ["Not Found"]),
        (422, "application/json", '{"detail":[{"loc":["body","messages"],"msg":"field required"}]}',
         ["body.messages: field required"]),
        (500, "application/json", '{"message":"out of memory"}', ["out of memory", "HTTP 500"]),
        (502, "text/html", "<html><body><h1>Bad Gateway</h1></body></html>", ["Bad Gateway"]),
        (503, "application/json", '{"error":{"message":"overloaded","type":"x"}}', ["overloaded"]),
        (400, "application/json", '{"object":"error","message":"context too long"}', ["context too long"]),
    ],
)  # fmt: skip
def test_what_an_endpoint_says_in_an_error_is_read_to_the_person(
    serve: Any, status: int, kind: str, body: str, said: list[str]
) -> None:
    with pytest.raises(RemoteError) as caught:
        ask(serve(lambda _: (status, kind, body)), path="")
    for words in said:
        assert words in str(caught.value)


def choice(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **said}]}


LOST = {"code": 502, "message": "upstream lost"}


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([{"object": "error", "message": "context length exceeded"}], "context length exceeded"),
        ([{"error": {"message": "out of memory"}}], "out of memory"),
        ([{"error": "out of memory"}], "out of memory"),
        ([{"error": LOST, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}],
         "upstream lost"),
        ([{"error": LOST, "choices": []}], "upstream lost"),
        ([choice(delta={"content": ""}, finish_reason="error", error=LOST)], "upstream lost"),
        ([choice(delta={}, error={"code": 502})], '{"code": 502}'),
        ([delta("stop"), {"error": LOST, "choices": []}], "upstream lost"),
    ],
)  # fmt: skip
def test_an_error_in_mid_stream_is_quoted_and_what_was_said_is_kept(serve: Any, chunks: list[Any], said: str) -> None:
    pieces: list[ExecuteResult] = []
    model = OpenAIModel(serve(stream(delta(content="Hi"), *chunks)).url, "m", "")
    with pytest.raises(RemoteError) as caught:
        model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: not pieces.append(piece))
    assert (
        f"broke off: {said}" in str(caught.value)
        and "again" not in str(caught.value)
        and "BASE_URL" not in str(caught.value)
    )
    assert "".join(piece.text for piece in pieces) == "Hi"


def test_a_connection_that_ends_in_mid_stream_is_told_and_what_was_said_is_kept(serve: Any) -> None:
    pieces: list[ExecuteResult] = []
    endpoint = serve(lambda _: (200, "text/event-stream", f"data: {json.dumps(delta(content='Hi'))}\n\n"))
    endpoint.announced_length = 10_000
    model = OpenAIModel(endpoint.url, "m", "")
    with pytest.raises(RemoteError, match="broke off: peer closed connection"):
        model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: not pieces.append(piece))
    assert "".join(piece.text for piece in pieces) == "Hi"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("<html><title>502 Bad Gateway</title></html>", "an HTML page, '502 Bad Gateway'"),
        ("upstream connect error", "upstream connect error"),
        ('error: {"message": "out of memory"}\n\n', "out of memory"),
        ("data: " + json.dumps(delta("error")) + "\n\n", "finish reason error"),
        ("data: " + json.dumps(delta("network_error")) + "\n\n", "finish reason network_error"),
        ("data: " + "[" * 9000 + "\n\n", "no part of a chat answer: [["),
    ],
)
def test_what_a_server_says_as_it_breaks_off_is_quoted(serve: Any, last: str, said: str) -> None:
    body = f"data: {json.dumps(delta(content='Hi'))}\n\n{last}"
    with pytest.raises(RemoteError) as caught:
        ask(serve(lambda _: (200, "text/event-stream", body)))
    assert said in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "m", "message": {"content": "Hi"}, "done": true}',
        '{"base_resp": {"status_code": 1004, "status_msg": "login fail"}}',
        'event: x\ndata: {"type": "content_block_delta", "delta": {"text": "Hi"}}\n\n',
        'data: {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}\n\n',
        'data: {"choices": null, "info": "no balance"}\n\ndata: [DONE]\n\n',
    ],
)
def test_an_answer_in_another_format_is_quoted_and_not_taken_for_none(serve: Any, body: str) -> None:
    with pytest.raises(RemoteError) as caught:
        ask(serve(lambda _: (200, "application/json", body)))
    assert body[body.index("{") :].split("\n")[0] in caught.value.message
    assert "Check COZELOOP_MAGIC_OPENAI_BASE_URL" in caught.value.message


def test_an_endpoint_that_sends_elsewhere_is_not_followed(serve: Any) -> None:
    endpoint, other = serve(lambda _: (307, "text/html", "")), serve(stream(delta("stop", content="Hi")))
    endpoint.headers["Location"] = other.url
    with pytest.raises(RemoteError) as caught:
        ask(endpoint)
    assert f"it points to {other.url}." in caught.value.message and not other.paths


@pytest.mark.parametrize(
    "first", [b"SSH-2.0-OpenSSH_9\r\n", b"", b"<html>", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_web_server_is_not_told_as_one_that_is_away(first: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(first)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
        connection.close()

    with listener, ThreadPoolExecutor(1) as pool:
        pool.submit(answer)
        model = OpenAIModel(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "m", "")
        with pytest.raises(RemoteError, match="does not answer as a web server does"):
            model.generate([Message(Role.USER, "Hi")], Parameters(LLMConfig()), lambda _: True)


def test_a_quota_that_is_used_up_will_not_pass(serve: Any) -> None:
    for said in ("You exceeded your current quota", "余额不足"):
        with pytest.raises(RemoteError) as caught:
            ask(serve(lambda _, said=said: (429, "application/json", json.dumps({"error": {"message": said}}))))
        assert not caught.value.repeatable and "may pass" not in caught.value.message


@pytest.mark.parametrize("error", [None, "", {}])
def test_an_error_of_nothing_is_none(serve: Any, error: Any) -> None:
    assert ask(serve(stream({**delta(content="Hi"), "error": error}, STOP))).complete


@pytest.mark.parametrize("data", ["out of memory", '{"oh": "no"}', '"out"', '{"message": "out of memory"}'])
@pytest.mark.parametrize("before", ["", f"data: {json.dumps(delta(content='Hi'))}\n\n"])
def test_an_event_of_the_kind_error_is_one_whatever_it_holds(serve: Any, before: str, data: str) -> None:
    body = f"{before}event: error\ndata: {data}\n\n"
    with pytest.raises(RemoteError, match=data.strip('"').split(":")[-1].strip(' "{}')) as caught:
        ask(serve(lambda _: (200, "text/event-stream", body)), path="")
    assert "BASE_URL" not in str(caught.value) and "again" not in str(caught.value)


def test_an_event_that_is_no_json_is_quoted_without_advice_on_the_address(serve: Any) -> None:
    body = f"data: {json.dumps(delta(content='Hi'))}\n\ndata: oh no\n\n"
    with pytest.raises(RemoteError, match="no part of a chat answer: oh no") as caught:
        ask(serve(lambda _: (200, "text/event-stream", body)), path="")
    assert "BASE_URL" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 401, 403, 404, 500])
def test_running_it_again_is_advised_where_that_may_help_alone(serve: Any, status: int) -> None:
    with pytest.raises(RemoteError) as caught:
        ask(serve(lambda _: (status, "application/json", '{"error": {"message": "it is broken"}}')))
    assert "it is broken" in str(caught.value) and "gain" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error", "variable"),
    [
        (404, {"message": "model 'm' not found", "type": "not_found_error"}, "MODEL"),
        (404, {"message": "The model `m` does not exist or you do not have access to it."}, "MODEL"),
        (400, {"message": "m is not a valid model ID", "param": "model"}, "MODEL"),
        (400, {"message": "no such model"}, "MODEL"),
        (401, {"message": "Incorrect API key provided"}, "API_KEY"),
        (403, {"message": "Forbidden"}, "API_KEY"),
    ],
)
def test_what_the_environment_has_wrong_is_named(serve: Any, status: int, error: Any, variable: str) -> None:
    with pytest.raises(RemoteError, match=rf"Check COZELOOP_MAGIC_OPENAI_{variable}\.$"):
        ask(serve(lambda _: (status, "application/json", json.dumps({"error": error}))))


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b:7b"}]}, "MODEL; it has a, b:7b."),
        ({"data": [{"id": f"m{n}"} for n in range(1200)]}, "m8, m9 and 1,190 more."),
        ({"data": []}, "MODEL."),
        ({"data": [{"name": "a"}]}, "MODEL."),
        ({"oh": "no"}, "MODEL."),
        ([], "MODEL."),
    ],
)
def test_the_models_that_are_there_are_named(serve: Any, listed: Any, said: str) -> None:
    endpoint = serve(lambda _: (404, "application/json", '{"error": {"message": "model \'m\' not found"}}'))
    endpoint.listed = listed
    with pytest.raises(RemoteError) as caught:
        ask(endpoint)
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
def test_what_may_pass_is_to_be_tried_again(serve: Any, status: int) -> None:
    with pytest.raises(RemoteError, match=r"it is full.*again"):
        ask(serve(lambda _: (status, "application/json", '{"error": {"message": "it is full"}}')))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "registry.ollama.ai/library/gemma:latest does not support tools"),
        (404, 'No endpoints found that support tool use. Try disabling "f".'),
        (400, "`tools` is not supported by this model"),
    ],
)
def test_tools_that_a_model_cannot_take_are_an_error_that_says_what_to_do(
    serve: Any, status: int, words: str
) -> None:
    endpoint = serve(lambda _: (status, "application/json", json.dumps({"error": {"message": words}})))
    model = OpenAIModel(endpoint.url + "/v1", "m", "")
    parameters = Parameters(LLMConfig(), [Tool("function", Function("f"))], "auto")
    with pytest.raises(RemoteError, match="choose another model, or a version of the prompt without tools"):
        model.generate([Message("user", "x")], parameters, lambda piece: True)
    assert len(endpoint.requests) == 1


class TestRefusedParameters:
    @staticmethod
    def refusing(name: str, words: str, param: str | None = None) -> Respond:
        def respond(body: dict[str, Any]) -> tuple[int, str, str]:
            if name in body:
                return 400, "application/json", json.dumps({"error": {"message": words, "param": param}})
            return stream(delta(content="Hi"), STOP)(body)

        return respond

    def test_max_tokens_is_sent_under_its_new_name(self, serve: Any) -> None:
        words = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        endpoint = serve(self.refusing("max_tokens", words, "max_tokens"))
        result = ask(endpoint, LLMConfig(max_tokens=9))
        assert endpoint.requests[-1]["max_completion_tokens"] == 9
        assert result.notes == ("the endpoint refused a parameter: max_tokens as max_completion_tokens",)

    @pytest.mark.parametrize(
        ("name", "config", "words"),
        [
            (
                "temperature",
                LLMConfig(temperature=0.2),
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
            ),
            ("stream_options", LLMConfig(), "Unrecognized request argument supplied: stream_options"),
            ("top_p", LLMConfig(top_p=0.5), "unknown field top_p"),
            ("top_k", LLMConfig(top_k=5), "Extra inputs are not permitted: top_k"),
            ("presence_penalty", LLMConfig(presence_penalty=0.5), "presence_penalty is not allowed"),
            ("response_format", LLMConfig(json_mode=True), "response_format is not supported"),
        ],
    )
    def test_what_was_named_as_refused_is_left_out_once_and_told(
        self, serve: Any, name: str, config: LLMConfig, words: str
    ) -> None:
        endpoint = serve(self.refusing(name, words))
        result = ask(endpoint, config)
        assert result.text == "Hi" and name in endpoint.requests[0] and name not in endpoint.requests[1]
        assert result.notes == (f"the endpoint refused a parameter: {name} left out",)

    def test_it_is_remembered(self, serve: Any) -> None:
        endpoint = serve(self.refusing("temperature", "temperature is not supported"))
        model = OpenAIModel(endpoint.url + "/v1", "m", "")
        for _ in range(2):
            model.generate([Message("user", "x")], Parameters(LLMConfig(temperature=0.2)), lambda piece: True)
        assert ["temperature" in body for body in endpoint.requests] == [True, False, False]

    def test_what_is_wrong_otherwise_is_an_error(self, serve: Any) -> None:
        endpoint = serve(lambda body: (400, "application/json", '{"error":{"message":"the messages are invalid"}}'))
        with pytest.raises(BadRequest, match="the messages are invalid"):
            ask(endpoint, LLMConfig(temperature=0.2))
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize(
        ("words", "param"),
        [
            ("Invalid value for max_tokens: at most 4096", None),
            ("max_tokens is too large: 9000. This model supports at most 4096 completion tokens", "max_tokens"),
            ("Invalid 'temperature': must be between 0 and 2", None),
            ("temperature: unsupported value, maximum is 1", None),
            ("invalid max_tokens: 9000 exceeds the context", None),
            ("invalid temperature: must be less than 1", None),
            ("invalid temperature: Input should be greater than or equal to 0", None),
            ("invalid top_p: not in the range (0, 1]", None),
            ("Invalid value: top_p <= 1", None),
        ],
    )
    def test_a_value_that_is_refused_is_an_error_and_not_left_out(
        self, serve: Any, words: str, param: str | None
    ) -> None:
        error = json.dumps({"error": {"message": words, "param": param}})
        endpoint = serve(lambda body: (400, "application/json", error))
        with pytest.raises(RemoteError, match=r"Change \w+ in the prompt's model settings") as caught:
            ask(endpoint, LLMConfig(temperature=3.0, max_tokens=9000, top_p=2.0))
        assert len(endpoint.requests) == 1 and words in str(caught.value) and "gain" not in str(caught.value)

    @pytest.mark.parametrize(
        ("words", "param", "left_out"),
        [
            ("top_p is not supported when temperature is set", None, "top_p"),
            ("temperature is not supported, use top_p", None, "temperature"),
            ("unsupported: temperature or top_p", "top_p", "top_p"),
            ("unsupported: temperature", "extra_body", "temperature"),
        ],
    )
    def test_the_one_named_apart_or_first_is_left_out(
        self, serve: Any, words: str, param: str | None, left_out: str
    ) -> None:
        endpoint = serve(self.refusing(left_out, words, param))
        ask(endpoint, LLMConfig(temperature=0.5, top_p=0.5))
        assert [{"temperature", "top_p"} & set(body) for body in endpoint.requests] == [
            {"temperature", "top_p"},
            {"temperature", "top_p"} - {left_out},
        ]

    def test_a_message_that_is_refused_is_no_parameter(self, serve: Any) -> None:
        error = {"error": {"message": "unsupported content; temperature ignored", "param": "messages[0].content"}}
        endpoint = serve(lambda body: (400, "application/json", json.dumps(error)))
        with pytest.raises(BadRequest) as caught:
            ask(endpoint, LLMConfig(temperature=0.5))
        assert len(endpoint.requests) == 1 and "Change" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, {"error": {"message": "create() got an unexpected keyword argument 'stream_options'"}}),
            (500, {"detail": "unknown parameter: stream_options"}),
            (404, {"error": {"message": "parameter stream_options is not supported"}}),
            (200, {"error": "Unsupported parameter: stream_options"}),
            (422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}),
        ],
    )
    def test_it_may_be_refused_with_any_status(self, serve: Any, status: int, body: Any) -> None:
        def respond(asked: dict[str, Any]) -> tuple[int, str, str]:
            if "stream_options" in asked:
                return status, "application/json", json.dumps(body)
            return stream(delta(content="Hi"), STOP)(asked)

        assert ask(serve(respond)).notes == ("the endpoint refused a parameter: stream_options left out",)

    def test_streaming_that_is_refused_is_left_out_with_its_options(self, serve: Any) -> None:
        words = "Your organization must be verified to stream this model."

        def respond(asked: dict[str, Any]) -> tuple[int, str, str]:
            if "stream" in asked:
                return 400, "application/json", json.dumps({"error": {"message": words, "param": "stream"}})
            return 200, "application/json", json.dumps(WHOLE)

        endpoint = serve(respond)
        result = ask(endpoint)
        assert result.text == "Whole answer" and "stream_options" not in endpoint.requests[1]
        assert result.notes == ("the endpoint refused a parameter: stream left out",)

    def test_stream_in_other_words_is_no_parameter(self, serve: Any) -> None:
        endpoint = serve(lambda body: (500, "text/plain", "invalid response: the upstream closed the stream"))
        with pytest.raises(RemoteError, match="closed the stream"):
            ask(endpoint)
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize(("choice", "calls"), [("auto", 2), ("none", 1)])
    def test_a_tool_choice_is_left_out_where_that_changes_nothing(self, serve: Any, choice: str, calls: int) -> None:
        endpoint = serve(self.refusing("tool_choice", "unsupported parameter: tool_choice"))
        parameters = Parameters(LLMConfig(), [Tool("function", Function("f"))], choice)
        with suppress(RemoteError):
            OpenAIModel(endpoint.url, "m", "").generate([Message("user", "x")], parameters, lambda piece: True)
        assert len(endpoint.requests) == calls

    def test_only_what_this_request_asked_for_is_told(self, serve: Any) -> None:
        endpoint = serve(self.refusing("temperature", "temperature is not supported"))
        model = OpenAIModel(endpoint.url + "/v1", "m", "")
        pieces: list[ExecuteResult] = []
        for config in (LLMConfig(temperature=0.2), LLMConfig(), LLMConfig(temperature=0.2)):
            model.generate([Message("user", "x")], Parameters(config), lambda piece: not pieces.append(piece))
        told = ("the endpoint refused a parameter: temperature left out",)
        assert [piece.notes for piece in pieces if piece.text] == [told, (), told]
