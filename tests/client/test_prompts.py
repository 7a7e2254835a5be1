"""What authors do with prompts, over the embedded Loop, and over a server that answers as the platform does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.entities.authoring import DraftInfo, PromptDetail, moment
from cozeloop_magic.entities.prompt import Message, PromptTemplate, Role, VariableDef
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from tests.client.ways import ClientOf, Serve
from tests.local.conftest import TOKEN, Parrot, Server
from tests.wire_server import Request, WireServer, answer, by_path, in_turn, reset, send

DETAIL = PromptDetail(
    PromptTemplate(
        messages=(Message(Role.USER, "Write a poem about {{subject}}"),), variable_defs=(VariableDef("subject"),)
    ),
    model_config={"model_id": "1", "temperature": 0.5},
)


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


@pytest.fixture
def poem(client: Client) -> Iterator[str]:
    """Make a prompt and give its id."""
    prompt_id = client.prompts.create("poem", "A poem", "Four lines")
    yield prompt_id
    try:
        client.prompts.delete(prompt_id)
    except errors.PromptNotFound:
        pass  # the test did


def commit(client: Client, prompt_id: str, version: str) -> None:
    draft = client.prompts.get(prompt_id, with_draft=True).prompt_draft
    client.prompts.save_draft(prompt_id, DETAIL, replaces=draft and draft.draft_info)
    client.prompts.commit_draft(prompt_id, version, f"why {version}")


class TestTheLifeOfAPrompt:
    def test_from_nothing_to_a_version_that_runs(self, client: Client, poem: str) -> None:
        draft = client.prompts.save_draft(poem, DETAIL)
        assert draft.is_modified and draft.updated_at
        client.prompts.commit_draft(poem, "0.1.0", "first")
        assert "poem about tea" in str(client.execute_prompt("poem", variable_vals={"subject": "tea"}))
        record = client.prompts.get(client.prompts.find("poem").id or "")
        assert record.prompt_key == "poem" and record.prompt_basic and record.prompt_basic.description == "Four lines"
        assert record.prompt_commit and record.prompt_commit.detail == DETAIL
        info = record.prompt_commit.commit_info
        assert info and (info.version, info.description, info.committed_by) == ("0.1.0", "first", "local")
        assert (when := moment(info.committed_at)) and when.year >= 2024

    def test_a_version_is_got_by_its_name(self, client: Client, poem: str) -> None:
        commit(client, poem, "0.1.0")
        commit(client, poem, "0.2.0")
        got = [client.prompts.get(poem, version).prompt_commit for version in ("0.1.0", "")]
        assert [commit.commit_info.version for commit in got if commit and commit.commit_info] == ["0.1.0", "0.2.0"]
        with pytest.raises(errors.VersionNotFound):
            client.prompts.get(poem, "9.9.9")

    def test_a_prompt_without_a_version_has_its_draft_alone(self, client: Client, poem: str) -> None:
        client.prompts.save_draft(poem, DETAIL)
        record = client.prompts.get(poem, with_draft=True)
        assert record.prompt_commit is None and record.prompt_draft and record.prompt_draft.detail == DETAIL

    def test_a_detail_may_be_a_dict(self, client: Client, poem: str) -> None:
        client.prompts.save_draft(poem, DETAIL.to_json())
        client.prompts.commit_draft(poem, "0.1.0")
        assert client.get_prompt("poem").variable_defs[0].key == "subject"

    def test_a_deleted_prompt_is_gone(self, client: Client, poem: str) -> None:
        client.prompts.delete(poem)
        with pytest.raises(errors.PromptNotFound):
            client.prompts.get(poem)

    def test_what_is_taken_is_told(self, client: Client, poem: str) -> None:
        with pytest.raises(errors.AlreadyExists):
            client.prompts.create("poem", "Another")
        commit(client, poem, "0.1.0")
        with pytest.raises(errors.AlreadyExists):
            commit(client, poem, "0.1.0")

    @pytest.mark.parametrize("prompt_id", ["", "poem", "1/../2", "1?x=y", "-1", "\ud800", "१"])
    def test_an_id_is_a_number(self, client: Client, prompt_id: str) -> None:
        with pytest.raises(errors.InvalidRequest, match="not the id of a prompt"):
            client.prompts.get(prompt_id)


class TestDrafts:
    def test_another_draft_is_left_as_it_is(self, client: Client, poem: str) -> None:
        mine = client.prompts.save_draft(poem, DETAIL)
        with pytest.raises(errors.DraftConflict, match="by local") as caught:
            client.prompts.save_draft(poem, PromptDetail())
        assert caught.value.draft_info == mine
        draft = client.prompts.get(poem, with_draft=True).prompt_draft
        assert draft and draft.detail == DETAIL

    def test_the_one_that_was_looked_at_may_be_overwritten(self, client: Client, poem: str) -> None:
        mine = client.prompts.save_draft(poem, DETAIL)
        client.prompts.save_draft(poem, DETAIL, replaces=mine)

    def test_one_that_was_written_since_is_not(self, client: Client, poem: str) -> None:
        mine = client.prompts.save_draft(poem, DETAIL)
        older = DraftInfo(mine.user_id, mine.base_version, updated_at=(mine.updated_at or 0) - 1)
        with pytest.raises(errors.DraftConflict):
            client.prompts.save_draft(poem, DETAIL, replaces=older)

    def test_it_is_begun_from_a_version(self, client: Client, poem: str) -> None:
        commit(client, poem, "0.1.0")
        assert client.prompts.save_draft(poem, DETAIL, base_version="0.1.0").base_version == "0.1.0"

    def test_one_that_the_platform_keeps_unmodified_is_no_draft(self, serve: Serve, client_of: ClientOf) -> None:
        kept = {"prompt_key": "poem", "prompt_draft": {"detail": {}, "draft_info": {"is_modified": False}}}
        saved = answer({"code": 0, "msg": "success", "draft_info": {"base_version": "1.0.0"}})
        server = serve(in_turn(answer({"code": 0, "data": {"prompt": kept}}), saved))
        assert client_of(server).prompts.save_draft("7", DETAIL).base_version == "1.0.0"
        assert server.requests[1].body["prompt_draft"]["detail"] == DETAIL.to_json()


class TestLists:
    def test_all_pages_are_gone_through(self, client: Client) -> None:
        keys = [prompt.prompt_key for prompt in client.prompts.iterate(page_size=2)]
        assert len(keys) == len(set(keys)) == client.list_prompts().total and "ptaas_demo" in keys

    def test_a_page_is_asked_for_when_it_is_come_to(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(listing(*(f"p{number}" for number in range(5))))
        prompts = client_of(server).prompts.iterate(page_size=2)
        assert [next(prompts).prompt_key for _ in range(2)] == ["p0", "p1"] and len(server.requests) == 1
        assert [prompt.prompt_key for prompt in prompts] == ["p2", "p3", "p4"] and len(server.requests) == 3

    def test_a_list_shorter_than_it_says_ends(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(in_turn(page_of("a", total=99), page_of(total=99)))
        assert [prompt.prompt_key for prompt in client_of(server).prompts.iterate()] == ["a"]

    def test_a_key_is_found_among_those_that_begin_alike(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(page_of("poem_long", "Poem", "poem")))
        assert client.prompts.find("poem").id == "2"
        with pytest.raises(errors.PromptNotFound, match="'poe'"):
            client.prompts.find("poe")

    def test_versions_are_listed_over_pages_with_what_they_hold(self, client: Client, poem: str) -> None:
        for version in ("0.1.0", "0.2.0", "0.3.0"):
            commit(client, poem, version)
        commits = list(client.prompts.iterate_commits(poem, with_detail=True, page_size=2))
        assert [each.commit_info.version for each in commits if each.commit_info] == ["0.3.0", "0.2.0", "0.1.0"]
        assert all(each.detail == DETAIL for each in commits)
        first = client.prompts.commits(poem, page_size=2)
        assert first.has_more and first.next_page_token and first.commits[0].detail is None

    @pytest.mark.parametrize("token", ["", "same"])
    def test_versions_that_would_never_end_are_told(self, serve: Serve, client_of: ClientOf, token: str) -> None:
        page = {"prompt_commit_infos": [{"version": "1.0.0"}], "has_more": True, "next_page_token": token}
        client = client_of(serve(answer({"code": 0, "data": page})))
        with pytest.raises(errors.UnexpectedContent, match="goes on"):
            list(client.prompts.iterate_commits("7"))


def page_of(*keys: str, total: int | None = None) -> Any:
    prompts = [{"id": str(number), "prompt_key": key} for number, key in enumerate(keys)]
    return answer({"code": 0, "data": {"prompts": prompts, "total": len(keys) if total is None else total}})


def listing(*keys: str) -> Any:
    """Answer a list call with the page that it asks for."""

    def script(request: Request, connection: Any) -> None:
        number, size = request.body["page_number"], request.body["page_size"]
        page_of(*keys[(number - 1) * size : number * size], total=len(keys))(request, connection)

    return script


class TestWire:
    """What goes over it, and what may come in place of an answer."""

    def requests_of(self, server: WireServer) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in server.requests]

    def test_calls_are_the_protocol_s(self, serve: Serve, client_of: ClientOf) -> None:
        done = {"code": 0, "msg": "success", "prompt_id": "7", "draft_info": {}, "prompt_commit_infos": []}
        server = serve(answer({**done, "prompt": {"id": "7", "prompt_key": "poem"}}))
        prompts = client_of(server).prompts
        assert prompts.create("poem", "A poem") == "7"
        prompts.get("7", "0.1.0", with_draft=True)
        prompts.save_draft("7", DETAIL, base_version="0.1.0")
        prompts.commit_draft("7", "0.2.0", "why")
        prompts.commits("7", with_detail=True)
        prompts.delete("7")
        whole = "workspace_id=73917&with_commit=true"
        assert self.requests_of(server) == [
            ("POST", "/v1/loop/prompts"),
            ("GET", f"/v1/loop/prompts/7?{whole}&with_draft=true&commit_version=0.1.0"),
            ("GET", f"/v1/loop/prompts/7?{whole}&with_draft=true"),
            ("POST", "/v1/loop/prompts/7/drafts/save"),
            ("POST", "/v1/loop/prompts/7/drafts/commit"),
            ("POST", "/v1/loop/prompts/7/commits/list?with_commit_detail=true"),
            ("DELETE", "/v1/loop/prompts/7?workspace_id=73917"),
        ]
        bodies = [request.body for request in server.requests if request.method == "POST"]
        assert bodies[0] == {"workspace_id": "73917", "prompt_key": "poem", "prompt_name": "A poem"}
        assert bodies[1]["prompt_draft"] == {
            "detail": DETAIL.to_json(),
            "draft_info": {"base_version": "0.1.0"},
        }
        assert bodies[2] == {"workspace_id": "73917", "commit_version": "0.2.0", "commit_description": "why"}
        reading = [request for request in server.requests if request.method != "POST"]
        assert not any(request.raw_body or "content-type" in request.headers for request in reading)

    @pytest.mark.parametrize(
        "body", [{}, {"prompt": 5}, {"prompt": []}, {"prompt_commit_infos": 5}, {"prompt_id": {}}]
    )
    def test_what_is_no_answer_is_quoted(self, serve: Serve, client_of: ClientOf, body: dict[str, Any]) -> None:
        prompts = client_of(serve(answer({"code": 0, "msg": "", **body}))).prompts
        for call in (lambda: prompts.get("7"), lambda: prompts.create("poem", "A poem")):
            with pytest.raises(errors.UnexpectedContent, match="cannot be read: "):
                call()

    @pytest.mark.parametrize("code", [600501001, 600500101])
    def test_what_the_server_refuses_is_an_error_of_its_kind(
        self, serve: Serve, client_of: ClientOf, code: int
    ) -> None:
        prompts = client_of(serve(answer({"code": code, "msg": "no"}))).prompts
        for call in (lambda: prompts.delete("7"), lambda: prompts.commit_draft("7", "1.0.0")):
            with pytest.raises(errors.kind_of(code, 200)):
                call()

    def test_half_a_character_is_not_sent(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(answer({"code": 0}))
        for call in (
            lambda prompts: prompts.create("poem", "\ud800"),
            lambda prompts: prompts.get("7", "\ud800"),
            lambda prompts: prompts.page("\ud800"),
            lambda prompts: prompts.commit_draft("7", "1.0.0", "\udfff"),
        ):
            with pytest.raises(errors.InvalidRequest, match="half a character"):
                call(client_of(server).prompts)
        assert not server.requests


BUSY = answer({"code": 1, "msg": "busy"}, "503 Service Unavailable", Retry_After="0")
LIMITED = answer({"code": 600502001, "msg": "slow down"}, Retry_After="0")
READ = answer({"code": 0, "data": {"prompt": {"id": "7", "prompt_key": "poem"}}})
WRITTEN = answer({"code": 0, "prompt_id": "7"})


class TestRetries:
    @pytest.mark.parametrize("fault", [BUSY, LIMITED, send([], reset), answer("", "502 Bad Gateway")])
    def test_what_reads_is_done_again(self, serve: Serve, client_of: ClientOf, fault: Any) -> None:
        server = serve(in_turn(fault, READ))
        assert client_of(server, max_retries=1).prompts.get("7").prompt_key == "poem"
        assert len(server.requests) == 2

    @pytest.mark.parametrize("fault", [BUSY, send([], reset), answer("", "502 Bad Gateway")])
    def test_what_changes_something_is_not(self, serve: Serve, client_of: ClientOf, fault: Any) -> None:
        server = serve(in_turn(fault, WRITTEN))
        with pytest.raises(errors.LoopError):
            client_of(server, max_retries=1).prompts.create("poem", "A poem")
        assert len(server.requests) == 1

    def test_but_where_it_was_not_let_in(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(in_turn(LIMITED, WRITTEN))
        assert client_of(server, max_retries=1).prompts.create("poem", "A poem") == "7"


class TestModelConfigWith:
    def committed(self, *keys: str, config: Any = None) -> Any:
        config = {"model_id": "42", "temperature": 0.2, "extra": "{}"} if config is None else config
        commit = {"detail": {"model_config": config}, "commit_info": {"version": "1.0.0"}}
        record = {"id": "0", "prompt_key": "greet", "prompt_commit": commit}
        return by_path(list=page_of(*(keys or ("greet",))), **{"0": answer({"code": 0, "data": {"prompt": record}})})

    def script(self, **config: Any) -> Any:
        scripts = self.committed(**config)

        def script(request: Request, connection: Any) -> None:
            request.path = request.path.partition("?")[0]
            scripts(request, connection)

        return script

    def test_it_begins_with_what_is_committed(self, client: Client, poem: str) -> None:
        commit(client, poem, "0.1.0")
        config = client.model_config_with("poem", "", {"temperature": 0, "max_tokens": 5})
        assert config == {"model_id": "1", "temperature": 0, "max_tokens": 5}
        client.execute_prompt("poem", variable_vals={"subject": "tea"}, custom_model_config=config)

    def test_what_is_not_named_stays(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(self.script()))
        assert client.model_config_with("greet", "1.0.0", {"top_p": 0.9}) == {
            "model_id": "42",
            "temperature": 0.2,
            "extra": "{}",
            "top_p": 0.9,
        }

    def test_a_setting_that_there_is_not_is_refused(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(self.script()))
        with pytest.raises(
            errors.InvalidRequest, match=r"no model setting 'temprature'\. It is probably temperature"
        ):
            client.model_config_with("greet", "1.0.0", {"temprature": 0.7})
        with pytest.raises(
            errors.InvalidRequest, match=r"no model setting 'zzz'\. There are .*json_mode, max_tokens"
        ):
            client.model_config_with("greet", "1.0.0", {"zzz": 1})

    @pytest.mark.parametrize(
        "overrides",
        [
            {"temperature": "hot"},
            {"temperature": float("nan")},
            {"temperature": None},
            {"top_p": True},
            {"max_tokens": 1.5},
            {"max_tokens": -1},
            {"json_mode": "true"},
        ],
    )
    def test_a_value_of_another_type_is_refused(
        self, serve: Serve, client_of: ClientOf, overrides: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidRequest, match="it must be"):
            client_of(serve(self.script())).model_config_with("greet", "1.0.0", overrides)

    def test_it_is_never_silently_ignored(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(self.script(config={"temperature": 0.2})))
        with pytest.raises(errors.InvalidRequest, match="no setting to change"):
            client.model_config_with("greet", "1.0.0", {})
        with pytest.raises(errors.InvalidRequest, match=r"does not tell the model_id of greet @ 1\.0\.0"):
            client.model_config_with("greet", "1.0.0", {"temperature": 0.7})
        chosen = {"model_id": "9", "temperature": 0.7}
        assert client.model_config_with("greet", "1.0.0", chosen) == chosen

    def test_a_prompt_that_there_is_not_is_told(self, client: Client) -> None:
        with pytest.raises(errors.PromptNotFound, match="'nobody'"):
            client.model_config_with("nobody", "", {"temperature": 0.7})


def test_many_threads_share_one_client(loop: Server, client: Client) -> None:
    together = threading.Barrier(64)

    def work(number: int) -> str:
        together.wait(30)
        client.get_prompt("ptaas_demo", "0.0.1")
        config = client.model_config_with("ptaas_demo", "0.0.1", {"temperature": number / 64, "model_id": "1"})
        prompt_id = client.prompts.create(f"many_{number}", "One of many")
        client.prompts.delete(prompt_id)
        return str(config["temperature"])

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(work, range(64))) == [str(number / 64) for number in range(64)]
