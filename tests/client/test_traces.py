"""What a server keeps of runs, over the embedded Loop, and over a server that answers as the platform does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.entities.prompt import Message, Role
from cozeloop_magic.entities.trace import Span
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from tests.client.ways import ClientOf, Serve
from tests.local.conftest import TOKEN, Parrot, Server
from tests.wire_server import answer, by_path, in_turn

VARIABLES = {"topic": "tea", "user_request": "brewing it"}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with closing(Store(tmp_path_factory.mktemp("store") / "prompts.db")) as store:
        store.seed(read_seeds())
        server = Server(store, Parrot())
        yield server
        server.stop()


@pytest.fixture
def client(loop: Server) -> Iterator[Client]:
    with new_client(loop.url, loop.workspace_id, TOKEN) as client:
        yield client


class TestTheEmbeddedLoop:
    @pytest.mark.parametrize("stream", [False, True])
    def test_what_the_model_really_got(self, client: Client, stream: bool) -> None:
        asked: Any = {"version": "0.0.1", "variable_vals": VARIABLES, "messages": [Message(Role.USER, "{{topic}}?")]}
        if stream:
            last = list(client.execute_prompt("ptaas_demo", **asked, stream=True))[-1]
        else:
            last = client.execute_prompt("ptaas_demo", **asked)
        spans = client.traces.search(last.log_id)
        (model,) = (span for span in spans if span.span_type == "model")
        assert [(each.role, each.content) for each in model.messages] == [
            (Role.SYSTEM, "You are a helpful assistant for tea."),
            (Role.USER, "Please help me with brewing it"),
            (Role.USER, "tea?"),
        ]
        assert model.custom_tags is not None and model.custom_tags["model_name"] == "parrot"
        assert spans == client.traces.search(trace_id=model.trace_id) and spans[0].span_name == "PromptExecutor"

    def test_why_it_failed(self, client: Client) -> None:
        with pytest.raises(errors.TemplateFailed) as caught:
            client.execute_prompt("ptaas_demo", version="0.0.2", variable_vals={})
        failed = [span for span in client.traces.search(caught.value.log_id or "") if span.status == "error"]
        assert {span.span_name for span in failed} == {"PromptExecutor", "Sequence", "PromptTemplate"}
        assert {span.status_code for span in failed} == {600501005}

    def test_what_nobody_asked_for_is_not_there(self, client: Client) -> None:
        assert client.traces.search("nothing") == []

    def test_an_id_is_needed(self, client: Client) -> None:
        with pytest.raises(errors.InvalidRequest, match="log id or a trace id"):
            client.traces.search()


def page(*names: str, **fields: Any) -> Any:
    spans = [{"trace_id": "t", "span_id": name, "span_name": name} for name in names]
    return answer({"code": 0, "data": {"spans": spans, **fields}})


class TestAnotherServer:
    def test_is_asked_by_log_id_and_time_page_by_page(self, serve: Serve, client_of: ClientOf) -> None:
        pages = page("a", "b", has_more=True, next_page_token="T"), page("c", has_more=False)
        server = serve(by_path(search=in_turn(*pages)))
        found = client_of(server).traces.search("L")
        assert [span.span_name for span in found] == ["a", "b", "c"]
        first, second = (request.body for request in server.requests)
        assert (first["logid"], first["workspace_id"]) == ("L", "73917") and "trace_id" not in first
        assert 7 * 24 * 3600 * 1000 <= int(first["end_time"]) - int(first["start_time"]) <= 8 * 24 * 3600 * 1000
        assert second["page_token"] == "T" and "page_token" not in first

    @pytest.mark.parametrize("token", ["", "T"])
    def test_one_that_goes_on_for_ever_is_an_error(self, serve: Serve, client_of: ClientOf, token: str) -> None:
        server = serve(by_path(search=page("a", has_more=True, next_page_token=token)))
        with pytest.raises(errors.UnexpectedContent, match="does not say where"):
            client_of(server).traces.search("L")

    @pytest.mark.parametrize("data", [None, [], {"spans": "x"}])
    def test_what_is_no_list_of_spans_is_an_error(self, serve: Serve, client_of: ClientOf, data: Any) -> None:
        server = serve(by_path(search=answer({"code": 0, "data": data})))
        with pytest.raises(errors.UnexpectedContent):
            client_of(server).traces.search("L")


@pytest.mark.parametrize("text", [None, "", "x", "[]", "{}", '{"messages": 5}', "[" * 100_000, '{"messages": [1]}'])
def test_a_span_without_messages_has_none(text: str | None) -> None:
    assert Span("t", "s", "0", "m", "model", input=text).messages == ()


def test_a_message_keeps_what_is_not_known() -> None:
    written = json.dumps({"messages": [{"role": "user", "content": "Hi", "name": "Ada"}]})
    (message,) = Span("t", "s", "0", "m", "model", input=written).messages
    assert (message.role, message.content, message.extra) == (Role.USER, "Hi", {"name": "Ada"})
