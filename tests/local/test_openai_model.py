"""The `openai` provider against a real OpenAI-compatible endpoint: the port that llama.cpp opens itself."""

from __future__ import annotations

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
from cozeloop_magic.local.models import Parameters, chat_request, read_chunk
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
        with pytest.raises(RemoteError, match="smollm2 at http"):
            said(OpenAIModel(endpoint, "smollm2", "wrong"), QUESTION, BRIEF)

    def test_a_prompt_too_long_is_a_bad_request(self, endpoint):
        with pytest.raises(BadRequest, match="context"):
            said(OpenAIModel(endpoint, "smollm2", KEY), [Message("user", "word " * 600)], BRIEF)


def test_an_endpoint_that_is_not_there_is_told():
    with pytest.raises(RemoteError, match=r"m at http://127\.0\.0\.1:9/v1 cannot answer"):
        said(OpenAIModel("http://127.0.0.1:9/v1", "m", ""), QUESTION, BRIEF)


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

    def test_tool_calls_come_in_pieces(self):
        def chunk(**function):
            call = {"index": 0, "id": "c1" if "name" in function else None, "function": function}
            return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}

        builder = ResultBuilder()
        for piece in (chunk(name="f", arguments='{"a"'), chunk(arguments=":1}")):
            builder.add(read_chunk(piece))
        (call,) = builder.result().message.tool_calls
        assert call.to_json() == {
            "index": 0,
            "id": "c1",
            "type": "function",
            "function_call": {"name": "f", "arguments": '{"a":1}'},
        }
