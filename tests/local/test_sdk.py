"""The official SDK, as it comes from PyPI, against the embedded Loop: Coze's own examples."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role, TokenUsage
from tests.local.conftest import TOKEN, Parrot

TRACED = Path(__file__).with_name("sdk_traced.py")

# The SDK (0.1.28) calls pydantic by its old names.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")


@pytest.fixture(scope="module")
def cozeloop():
    """Import the SDK, without the warnings of authlib and pydantic about how it (0.1.28) uses them."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        import cozeloop
        import cozeloop.entities.prompt
        import cozeloop.internal.consts.error
    return cozeloop


@pytest.fixture(scope="module")
def client_of(cozeloop):
    """Make clients, and close them when the module ends: the SDK gives the same client for the same arguments."""
    clients = []

    def make(server):
        clients.append(
            cozeloop.new_client(api_base_url=server.url, workspace_id=server.workspace_id, api_token=TOKEN)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def client(client_of, server):
    return client_of(server)


@pytest.fixture
def entities(cozeloop):
    return cozeloop.entities.prompt


def text_of(reader):
    pieces = list(reader)
    return "".join(piece.message.content or "" for piece in pieces if piece.message), pieces[-1]


def test_a_label_in_one_piece(client):
    result = client.execute_prompt(
        "ptaas_demo", label="production", variable_vals={"topic": "tea", "user_request": "x"}
    )
    assert result.message.content == "system: You are a helpful assistant for tea. user: Please help me with x "
    assert result.finish_reason == "stop" and result.usage.input_tokens == 2


def test_a_version_as_a_stream(client):
    variables = {"topic": "tea", "user_request": "x"}
    text, last = text_of(client.execute_prompt("ptaas_demo", version="0.0.1", variable_vals=variables, stream=True))
    assert text.endswith("with x ") and last.finish_reason == "stop" and last.usage.output_tokens == 14


def test_a_stream_of_asyncio(client_of, server):
    async def run():
        variables = {"topic": "tea", "user_request": "x"}
        reader = await client_of(server).aexecute_prompt(
            "ptaas_demo", version="0.0.1", variable_vals=variables, stream=True
        )
        return "".join([piece.message.content async for piece in reader])

    assert asyncio.run(run()).endswith("with x ")


def test_an_object_in_a_jinja2_prompt(client):
    param = {"topic": "artificial intelligence", "age": 10, "user_request": "machine learning"}
    result = client.execute_prompt("ptaas_demo", version="0.0.2", variable_vals={"param": param})
    assert "artificial intelligence. Your audience is 10.0 years old. user: Please help me with machine" in str(
        result.message.content
    )


def test_a_placeholder_and_appended_messages(client, entities):
    message, role = entities.Message, entities.Role
    history = [message(role=role.USER, content="Hello!"), message(role=role.ASSISTANT, content="Hello back!")]
    result = client.execute_prompt(
        "ptaas_demo",
        version="0.0.5",
        variable_vals={"topic": "tea", "user_request": "x", "chat_history": history},
        messages=[message(role=role.USER, content="Keep the answer brief.")],
    )
    assert "user: Hello! assistant: Hello back! user: Please" in result.message.content
    assert result.message.content.endswith("user: Keep the answer brief. ")


def test_pictures_are_refused_with_the_platform_s_code(client, entities, cozeloop):
    part, kind = entities.ContentPart, entities.ContentType
    example = [part(type=kind.IMAGE_URL, image_url="https://example.com/a.png"), part(type=kind.TEXT, text="Where?")]
    variables = {"example1": example, "city1": "Paris", "example2": example, "city2": "Rome"}
    with pytest.raises(cozeloop.internal.consts.error.RemoteServiceError, match="reads text only") as caught:
        client.execute_prompt("ptaas_demo", version="0.0.8", variable_vals=variables)
    assert caught.value.error_code == 600500202 and caught.value.log_id


class Seer(Parrot):
    """A model that sees: it says what was shown to it."""

    def generate(self, messages, parameters, emit):
        shown = [part.image_url or part.base64_data or part.text for each in messages for part in each.parts or ()]
        emit(ExecuteResult(Message(Role.ASSISTANT, " ".join(shown)), "stop", TokenUsage(1, 1)))


def test_a_model_that_sees_gets_the_pictures_of_variables_and_messages(client_of, start, entities):
    part, kind = entities.ContentPart, entities.ContentType
    url = "https://p8.itc.cn/q_70/images03/20221219/61785c89cd17421ca0d007c7a87d09fb.jpeg"
    other = "https://img0.baidu.com/it/u=1402951118,1660594928&fm=253&app=138&f=JPEG?w=800&h=1200"
    variables = {
        "example1": [part(type=kind.IMAGE_URL, image_url=url)],
        "city1": "Beijing",
        "example2": [part(type=kind.BASE64_DATA, base64_data="data:image/jpeg;base64,/9j/4AAQ")],
        "city2": "Shanghai",
    }
    asked = [part(type=kind.IMAGE_URL, image_url=other), part(type=kind.TEXT, text="Where is this?")]
    message = entities.Message(role=entities.Role.USER, parts=asked)
    result = client_of(start(Seer())).execute_prompt(
        "ptaas_demo", version="0.0.8", variable_vals=variables, messages=[message], stream=False
    )
    said = f"For example:  {url} For example:  data:image/jpeg;base64,/9j/4AAQ {other} Where is this?"
    assert result.message.content == said


def test_a_timeout_ends_the_call_and_the_model(client_of, start, cozeloop):
    parrot = Parrot(seconds_a_word=0.5)
    with pytest.raises(cozeloop.internal.consts.error.NetworkError):
        client_of(start(parrot)).execute_prompt("ptaas_demo", version="0.0.1", timeout=1)
    assert parrot.stopped_early.wait(60)


def test_a_prompt_and_its_versions_can_be_looked_at(client):
    prompt = client.get_prompt("ptaas_demo", version="0.0.8")
    assert prompt.version == "0.0.8" and prompt.prompt_template.variable_defs[0].key == "example1"
    assert client.get_prompt("explain_concept", label="beta").version == "1.1.0"


def test_a_wrong_token_is_told(cozeloop, server):
    client = cozeloop.new_client(api_base_url=server.url, workspace_id=server.workspace_id, api_token="wrong")
    with pytest.raises(cozeloop.internal.consts.error.RemoteServiceError, match="authentication is invalid"):
        client.execute_prompt("ptaas_demo")
    client.close()


def test_tracing_prints_no_error_and_what_it_sends_is_there(server):
    """The SDK logs what it cannot send, and goes on: only its log tells."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONWARNINGS": "ignore",
        "COZELOOP_API_BASE_URL": server.url,
        "COZELOOP_WORKSPACE_ID": server.workspace_id,
        "COZELOOP_API_TOKEN": TOKEN,
    }
    done = subprocess.run([sys.executable, TRACED], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    log = done.stdout + done.stderr
    assert "[ERROR]" not in log and "[WARNING]" not in log and "Traceback" not in log
    assert "/v1/loop/traces/ingest" in log and "/v1/loop/files/upload" in log
    assert log.count("Call remote service success. Path: ") >= 4
    assert '"content": "You are a helpful bot, the conversation topic is artificial intelligence."' in done.stdout
    trace_id = re.search(r"^trace (\w+)$", done.stderr, re.M)[1]
    body = {"workspace_id": server.workspace_id, "trace_id": trace_id, "page_size": 100}
    answer = server.session.post(f"{server.url}/v1/loop/traces/search", json=body, timeout=30).json()
    spans = answer["data"]["spans"]
    names = [span["span_name"] for span in spans]
    assert names.count("llmCall") == 4 and names.count("PromptHub") == names.count("PromptTemplate") == 4
    assert spans[0]["span_name"] == "root_span" and spans[0]["parent_id"] == "0"
    (large,) = (span for span in spans if span["span_name"] == "large")
    assert large["status"] == "error" and large["custom_tags"]["error"] == "an error of its own"
    assert answer["data"]["traces_advance_info"]["tokens"] == {"input": "928", "output": "4844"}


@pytest.mark.model
def test_the_real_model_answers_it(client_of, real_server):
    variables = {"topic": "geography", "user_request": "naming the capital of France"}
    text, last = text_of(
        client_of(real_server).execute_prompt("ptaas_demo", label="production", variable_vals=variables, stream=True)
    )
    assert text and last.finish_reason in ("stop", "length") and last.usage.output_tokens > 1
