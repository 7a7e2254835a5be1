"""The `openai` provider against a real OpenAI-compatible endpoint: the port that llama.cpp opens itself."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import traceback
from urllib.parse import unquote

import pytest
import xllamacpp

from cozeloop_magic.entities.prompt import (
    ContentPart,
    ExecuteResult,
    Function,
    FunctionCall,
    LLMConfig,
    Message,
    Tool,
    ToolCall,
)
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import BadRequest, RemoteError
from cozeloop_magic.local.models import Parameters, chat_request
from cozeloop_magic.local.openai_model import OpenAIModel

KEY = "the-key-of-the-endpoint"


@pytest.fixture(scope="module")
def endpoint(weights):
    """Serve the real model as an OpenAI-compatible endpoint."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(weights)
    settings.n_ctx = 512
    settings.cpuparams.n_threads = 1
    settings.verbosity = 1
    settings.warmup = False
    settings.api_keys = [KEY]
    server = xllamacpp.Server(settings)
    yield f"{server.listening_address}/v1"
    del server


def said(model, messages, parameters):
    builder = ResultBuilder()

    def emit(piece: ExecuteResult) -> bool:
        builder.add(piece)
        return True

    model.generate(messages, parameters, emit)
    return builder.result()


QUESTION = [Message("system", "You are a helpful assistant."), Message("user", "What is the capital of France?")]
BRIEF = Parameters(LLMConfig(temperature=0.0, max_tokens=12, top_k=40))


@pytest.mark.model
class TestAgainstARealEndpoint:
    def test_it_answers(self, endpoint):
        result = said(OpenAIModel(endpoint, "smollm2", KEY), QUESTION, BRIEF)
        assert "Paris" in result.text and result.finish_reason == "stop"
        assert result.usage.input_tokens > 20 and result.usage.output_tokens > 5

    def test_it_stops_when_nobody_listens(self, endpoint):
        pieces = []
        parameters = Parameters(LLMConfig(max_tokens=400))
        OpenAIModel(endpoint, "smollm2", KEY).generate(QUESTION, parameters, lambda piece: bool(pieces.append(piece)))
        assert len(pieces) == 1

    def test_a_wrong_key_is_told_with_the_endpoint(self, endpoint):
        with pytest.raises(RemoteError, match="smollm2 at http://127"):
            said(OpenAIModel(endpoint, "smollm2", "wrong"), QUESTION, BRIEF)

    def test_a_prompt_too_long_is_a_bad_request(self, endpoint):
        with pytest.raises(BadRequest, match="context"):
            said(OpenAIModel(endpoint, "smollm2", KEY), [Message("user", "word " * 600)], BRIEF)


def test_an_endpoint_that_is_not_there_is_told():
    with pytest.raises(
        RemoteError, match=r"m at http://127\.0\.0\.1:9/v1 .* is it running\? Check COZELOOP_MAGIC_OPENAI_BASE_URL"
    ):
        said(OpenAIModel("http://127.0.0.1:9/v1", "m", ""), QUESTION, BRIEF)


class TestSecrets:
    @pytest.fixture
    def parrot(self):
        """An endpoint that says back what it is told, as bad gateways do."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                given = self.headers["Authorization"]
                basic = base64.b64encode(f":{given.removeprefix('Bearer ')}".encode()).decode()
                body = json.dumps(
                    {"error": {"message": f"{given} Basic {basic} {self.path} {unquote(self.path)}\x1b[31m"}}
                )
                self.send_response(401)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            yield f"127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    @pytest.mark.parametrize("key", ["k3y", "sk-0123456789abcdef/'\"", "a-long-key-0123456789"])
    def test_the_key_is_quoted_in_no_form(self, parrot, key):
        with pytest.raises(RemoteError) as caught:
            said(OpenAIModel(f"http://{parrot}/v1?k=query-secret", "m", key), QUESTION, BRIEF)
        text = "".join(traceback.format_exception(caught.value))
        basic = base64.b64encode(f":{key}".encode()).decode()
        assert key not in text and repr(key)[1:-1] not in text and basic not in text
        assert f"m at http://{parrot}/v1 cannot answer" in str(caught.value) and "query-secret" not in str(
            caught.value
        )
        assert "\x1b" not in str(caught.value)

    @pytest.mark.parametrize(
        ("query", "hidden", "shown"),
        [
            ("key=query-s3cret&api-version=2024-06-01", "query-s3cret", "2024-06-01"),
            ("sig=a%2Fb%3D%3D-s3cret", "a/b==-s3cret", "/v1"),
            ("code=q-s3cret&code=r-s3cret", "q-s3cret", "/v1"),
        ],
    )
    def test_what_the_address_s_query_holds_is_quoted_nowhere(self, parrot, query, hidden, shown):
        with pytest.raises(RemoteError) as caught:
            said(OpenAIModel(f"http://{parrot}/v1?{query}", "m", "k"), QUESTION, BRIEF)
        text = "".join(traceback.format_exception(caught.value))
        assert "s3cret" not in text and hidden not in text and shown in text

    def test_a_key_that_is_no_header_is_quoted_in_no_traceback(self, parrot):
        key = base64.b64decode("czNjcmV0Cmtleg==").decode()  # so that the traceback's source lines do not hold it
        with pytest.raises(RemoteError) as caught:
            said(OpenAIModel(f"http://{parrot}/v1", "m", key), QUESTION, BRIEF)
        assert key[:6] not in "".join(traceback.format_exception(caught.value))

    def test_a_mistake_of_the_caller_stays_one(self, parrot):
        tools = Parameters(LLMConfig(), [Tool("function", Function("f", parameters="{"))])
        with pytest.raises(BadRequest, match="tool f"):
            said(OpenAIModel(f"http://{parrot}/v1", "m", "k"), QUESTION, tools)


class TestTheFormat:
    def test_pictures_video_and_tool_messages_have_openai_s_shapes(self):
        picture, video = "data:image/png;base64,iVBORw0KGgo=", "https://example.com/v.mp4"
        messages = [
            Message(
                "user",
                parts=[
                    ContentPart("text", "See"),
                    ContentPart("base64_data", base64_data=picture),
                    ContentPart("video_url", video_url=video),
                ],
            ),
            Message("assistant", tool_calls=[ToolCall(0, "c1", "function", FunctionCall("f", '{"a":1}'))]),
            Message("tool", "42", tool_call_id="c1"),
        ]
        assert chat_request(messages, Parameters(LLMConfig()))["messages"] == [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "video_url", "video_url": {"url": video}},
                ],
            },
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
        ]

    def test_what_was_not_asked_for_is_not_sent(self):
        assert set(chat_request([], Parameters(LLMConfig()))) == {"messages", "stream", "stream_options"}

    def test_json_mode_and_tools_are_sent(self):
        tool = Tool("function", Function("f", "Does it", '{"type": "object"}'))
        request = chat_request([], Parameters(LLMConfig(json_mode=True), [tool], "auto"))
        assert request["response_format"] == {"type": "json_object"} and request["tool_choice"] == "auto"
        function = {"name": "f", "description": "Does it", "parameters": {"type": "object"}}
        assert request["tools"] == [{"type": "function", "function": function}]

    def test_a_tool_s_parameters_must_be_json(self):
        with pytest.raises(BadRequest, match="tool f"):
            chat_request([], Parameters(LLMConfig(), [Tool("function", Function("f", parameters="{"))]))
