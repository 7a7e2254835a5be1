"""The real language model, through the API."""

from __future__ import annotations

import threading
from typing import ClassVar
from urllib.parse import unquote

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import BadRequest, RemoteError
from cozeloop_magic.local.llama import LlamaModel
from cozeloop_magic.local.models import Parameters
from cozeloop_magic.local.weights import DEFAULT_SYSTEM
from tests.local.conftest import asked

pytestmark = pytest.mark.model

ONE_WORD = {"model_id": "1", "max_tokens": 2}
QUESTION = [Message("user", "What is the capital of France?")]


def said(model, messages, **config):
    """Let a model answer; give the whole answer."""
    builder = ResultBuilder()

    def emit(piece: ExecuteResult) -> bool:
        builder.add(piece)
        return True

    model.generate(messages, Parameters(LLMConfig(**{"temperature": 0.0, "max_tokens": 20} | config)), emit)
    return builder.result()


def test_it_knows_the_capital_of_france(llama):
    result = said(llama, QUESTION)
    assert "Paris" in result.text and result.finish_reason == "stop"
    assert result.usage.input_tokens > 20 and 5 < result.usage.output_tokens < 20


def test_it_is_cut_off_at_max_tokens(llama):
    result = said(llama, QUESTION, max_tokens=3)
    assert result.finish_reason == "length" and result.usage.output_tokens == 3


def test_json_mode_gives_json(llama):
    assert (
        said(llama, [Message("user", "Describe Paris.")], json_mode=True, max_tokens=8).text.lstrip().startswith("{")
    )


def test_it_stops_at_once_when_nobody_listens(llama):
    pieces = []
    llama.generate(QUESTION, Parameters(LLMConfig(max_tokens=4000)), lambda piece: bool(pieces.append(piece)))
    assert len(pieces) == 1


def test_several_calls_share_it(llama):
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(said(llama, QUESTION).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 3 and all("Paris" in text for text in texts)


def test_a_prompt_longer_than_its_context_is_refused_in_numbers(llama):
    with pytest.raises(BadRequest, match=r"\d{4,} tokens, and this model reads at most 8192"):
        said(llama, [Message("user", "word " * 9000)])


def test_a_file_that_is_no_model_is_a_clear_error(tmp_path):
    file = tmp_path / "no-model.gguf"
    file.write_text("nothing")
    with pytest.raises(RemoteError, match=r"no GGUF file.* Check COZELOOP_MAGIC_GGUF"):
        LlamaModel(file).load()


def test_a_seeded_prompt_streams_through_the_server(real_server):
    body = asked(custom_model_config={"model_id": "1", "max_tokens": 8, "temperature": 0.0})
    response = real_server.post("/execute_streaming", body, stream=True)
    assert response.headers["X-Loop-Model"] == "SmolLM2-135M-Instruct.Q4_1"
    assert response.content.count(b"event: data") > 5
    assert b'"finish_reason":"length"' in response.content.split(b"\n\n")[-2]


class TestRepetition:
    """Asked for twenty animals, the model says "Lion" without end, unless that is made costly."""

    ASKED: ClassVar[list[Message]] = [Message("user", "Write a list of twenty animals.")]

    def test_it_comes_to_an_end(self, llama):
        result = said(llama, self.ASKED, max_tokens=200)
        assert result.finish_reason == "stop" and result.text.count("Lion") < 15

    @pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
    def test_a_prompt_s_own_penalty_is_all_there_is(self, llama, penalty):
        result = said(llama, self.ASKED, max_tokens=100, **{penalty: 0.0})
        assert result.finish_reason == "length" and result.text.count("Lion") > 15

    def test_another_model_is_asked_as_the_prompt_says(self, weights):
        result = said(LlamaModel(weights), [Message("system", DEFAULT_SYSTEM), *self.ASKED], max_tokens=100)
        assert result.finish_reason == "length" and result.text.count("Lion") > 15

    def test_a_text_can_be_quoted(self, llama):
        text = "The plan for the new library stands beside the old one."
        assert said(llama, [Message("user", f"Repeat this text word for word: {text}")], max_tokens=40).text == text

    def test_keys_of_json_may_come_again(self, llama):
        asked = [Message("user", "Give a JSON list of ten people named Ann, each with the fields name and age.")]
        result = said(llama, asked, json_mode=True, max_tokens=150)
        assert result.text.count('"age": 25') > 8


def test_a_request_in_another_script_is_remarked_upon(real_server):
    variables = [
        {"key": "topic", "value": "茶"},
        {"key": "user_request", "value": "请告诉我怎样泡一杯好茶,一步一步地说明"},
    ]
    body = asked(custom_model_config=ONE_WORD, variable_vals=variables)
    response = real_server.post("/execute_streaming", body, stream=True)
    assert "knows English only, and this is mostly in another script" in unquote(response.headers["X-Loop-Notes"])
    assert "X-Loop-Notes" not in real_server.post("/execute", asked(custom_model_config=ONE_WORD)).headers
