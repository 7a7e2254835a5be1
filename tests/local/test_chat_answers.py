"""What endpoints that speak OpenAI's chat format say, in all the ways they say it: nothing of it is lost."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message, Role
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import BadRequest, LocalLoopError, RemoteError
from cozeloop_magic.local.models import Parameters
from cozeloop_magic.local.openai_model import KEEP_THINK_VARIABLE, OpenAIModel

Respond = Callable[[dict[str, Any]], tuple[int, str, str]]


class Endpoint:
    """A server that answers by a function of the request's body, and remembers what it was asked."""

    def __init__(self, respond: Respond) -> None:
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(body)
                endpoint.paths.append(self.path)
                status, kind, text = respond(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], Endpoint]]:
    running: list[Endpoint] = []

    def start(respond: Respond) -> Endpoint:
        running.append(Endpoint(respond))
        return running[-1]

    yield start
    for endpoint in running:
        endpoint.close()


def stream(*chunks: Any) -> Respond:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return lambda body: (200, "text/event-stream", events + "data: [DONE]\n\n")


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


STOP = delta("stop")


def ask(endpoint: Endpoint, config: LLMConfig | None = None, path: str = "/v1") -> ExecuteResult:
    builder = ResultBuilder()

    def emit(piece: ExecuteResult) -> bool:
        builder.add(piece)
        return True

    model = OpenAIModel(endpoint.url + path, "m", "")
    model.generate([Message(Role.USER, "Hi")], Parameters(config or LLMConfig()), emit)
    return builder.result()


def reasoning(result: ExecuteResult) -> str | None:
    return result.message and result.message.reasoning_content


WHOLE = {"choices": [{"index": 0, "message": {"content": "Whole answer"}, "finish_reason": "stop"}]}


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
    ],
)  # fmt: skip
def test_what_a_model_says_is_read_wherever_it_stands(
    serve: Any, chunks: list[Any], text: str, thought: str | None, reason: str | None
) -> None:
    result = ask(serve(stream(*chunks)))
    assert (result.text, reasoning(result), result.finish_reason) == (text, thought, reason)


def test_a_setting_keeps_think_tags(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEEP_THINK_VARIABLE, "1")
    assert ask(serve(stream(delta(content="<think>T</think>Hi"), STOP))).text == "<think>T</think>Hi"


def test_one_whole_answer_where_a_stream_was_asked_for_is_an_answer(serve: Any) -> None:
    body = {**WHOLE, "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    result = ask(serve(lambda _: (200, "application/json", json.dumps(body, indent=2))))
    assert (result.text, result.finish_reason, result.usage and result.usage.output_tokens) == (
        "Whole answer",
        "stop",
        2,
    )


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": 5}, {"prompt_tokens": 5, "completion_tokens": None}, {}, None, 7]
)
def test_tokens_that_are_not_told_are_not_0(serve: Any, usage: Any) -> None:
    assert ask(serve(stream(delta(content="Hi"), {**STOP, "usage": usage}))).usage is None


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


def test_an_error_in_mid_stream_is_quoted(serve: Any) -> None:
    with pytest.raises(RemoteError, match="context length exceeded") as caught:
        ask(serve(stream(delta(content="Hi"), {"object": "error", "message": "context length exceeded"})))
    assert "again" not in caught.value.message


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


class TestTheWayThere:
    @pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
    @pytest.mark.parametrize("no_proxy", ["", "localhost,127.0.0.1"])
    def test_a_loopback_address_is_reached_directly(
        self, serve: Any, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, no_proxy: str
    ) -> None:
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("no_proxy", no_proxy)
        assert ask(serve(stream(WHOLE))).text == "Whole answer"

    def test_elsewhere_a_proxy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://user:s3cret@127.0.0.1:9")
        model = OpenAIModel("http://models.example/v1", "m", "")
        with pytest.raises(RemoteError, match=r"through the proxy http://127\.0\.0\.1:9") as caught:
            model.generate([Message("user", "x")], Parameters(LLMConfig()), lambda piece: True)
        assert "s3cret" not in str(caught.value)

    def test_one_that_cannot_be_used_is_told_before_anything_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALL_PROXY", "socks9://127.0.0.1:9")
        with pytest.raises(LocalLoopError, match=r"The proxy that the environment names for http://models\.example"):
            OpenAIModel("http://models.example/v1", "m", "")

    def test_a_query_in_the_address_goes_along(self, serve: Any) -> None:
        endpoint = serve(stream(WHOLE))
        ask(endpoint, path="/openai?api-version=2024-06-01")
        assert endpoint.paths == ["/openai/chat/completions?api-version=2024-06-01"]
