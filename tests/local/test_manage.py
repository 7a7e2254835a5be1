"""Looking at prompts and changing them, over HTTP."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from cozeloop_magic.local.seeds import read_seeds

TEMPLATE = {
    "template_type": "normal",
    "messages": [{"role": "user", "content": "Write a poem about {{subject}}"}],
    "variable_defs": [{"key": "subject", "desc": "", "type": "string"}],
}
DETAIL = {"prompt_template": TEMPLATE, "model_config": {"model_id": "1", "temperature": 0.5}}
DRAFT = {"prompt_draft": {"detail": DETAIL, "draft_info": {}}}


@pytest.fixture
def poem(server):
    """Make a prompt and give its id."""
    prompt_id = server.post("", {"prompt_key": "poem", "prompt_name": "A poem"}).json()["prompt_id"]
    yield prompt_id
    delete(server, prompt_id)


def delete(server, prompt_id):
    url = f"{server.url}/v1/loop/prompts/{prompt_id}"
    return server.session.delete(url, params={"workspace_id": server.workspace_id}, timeout=5)


def ok(response):
    answer = response.json()
    assert (response.status_code, answer["code"]) == (200, 0), answer
    return answer


def commit(server, prompt_id, version):
    ok(server.post(f"/{prompt_id}/drafts/save", DRAFT))
    ok(server.post(f"/{prompt_id}/drafts/commit", {"commit_version": version, "commit_description": f"v{version}"}))


class TestMget:
    def test_it_gives_a_version_without_the_model_s_id(self, server):
        (item,) = ok(server.post("/mget", {"queries": [{"prompt_key": "ptaas_demo", "version": "0.0.1"}]}))["data"][
            "items"
        ]
        assert item["query"] == {"prompt_key": "ptaas_demo", "version": "0.0.1"}
        prompt = item["prompt"]
        assert (prompt["workspace_id"], prompt["version"]) == (server.workspace_id, "0.0.1")
        assert prompt["llm_config"] == {"temperature": 0.2, "max_tokens": 320}
        assert [d["key"] for d in prompt["prompt_template"]["variable_defs"]] == ["topic", "user_request"]

    def test_with_neither_version_nor_label_it_is_the_latest(self, server):
        query = {"prompt_key": "ptaas_demo", "version": None, "label": None}
        (item,) = ok(server.post("/mget", {"queries": [query]}))["data"]["items"]
        assert item["prompt"]["version"] == "0.0.8"

    def test_one_missing_prompt_fails_the_call(self, server):
        queries = [{"prompt_key": "ptaas_demo"}, {"prompt_key": "nobody"}]
        assert server.refusal("/mget", {"queries": queries})[0] == 600501001

    def test_a_prompt_without_a_version_has_its_own_code(self, server, poem):
        assert server.refusal("/mget", {"queries": [{"prompt_key": "poem"}]})[0] == 600501003


DRAFT_QUERY = {"prompt_key": "poem", "version": "$Draft"}


class TestTheDraftInMget:
    def test_it_is_a_version_of_its_own(self, server, poem):
        ok(server.post(f"/{poem}/drafts/save", DRAFT))
        (item,) = ok(server.post("/mget", {"queries": [DRAFT_QUERY]}))["data"]["items"]
        assert item["prompt"]["version"] == "$Draft"
        assert item["prompt"]["prompt_template"]["messages"][0]["content"] == "Write a poem about {{subject}}"

    def test_without_one_there_is_no_such_version(self, server, poem):
        assert server.refusal("/mget", {"queries": [DRAFT_QUERY]})[0] == 600501002

    def test_it_can_be_run_here_alone(self, server, poem):
        ok(server.post(f"/{poem}/drafts/save", DRAFT))
        body = {"prompt_identifier": DRAFT_QUERY, "variable_vals": [{"key": "subject", "value": "tea"}]}
        response = server.post("/execute", body)
        assert ok(response)["data"]["message"]["content"] == "user: Write a poem about tea "
        assert unquote(response.headers["X-Loop-Notes"]) == "a draft runs: works here, not on the platform"


class TestList:
    def test_pages_hold_the_newest_first(self, server, poem):
        commit(server, poem, "1.0.0")
        data = ok(server.post("/list", {"page_number": 1, "page_size": 2}))["data"]
        assert data["total"] == len(read_seeds()) + 1
        first, _ = data["prompts"]
        assert (first["prompt_key"], first["latest_version"], first["id"]) == ("poem", "1.0.0", poem)

    def test_what_was_never_committed_is_not_listed(self, server, poem):
        for body in ({}, {"key_word": "poem"}):
            data = ok(server.post("/list", body))["data"]
            assert "poem" not in [p["prompt_key"] for p in data["prompts"]]
        assert data["total"] == 0

    def test_a_key_word_is_a_prefix(self, server):
        data = ok(server.post("/list", {"page_number": 1, "page_size": 9, "key_word": "ptaas"}))["data"]
        assert [p["prompt_key"] for p in data["prompts"]] == ["ptaas_demo"]

    @pytest.mark.parametrize("page_size", [0, 201, "many"])
    def test_a_page_has_1_to_200(self, server, page_size):
        assert server.refusal("/list", {"page_number": 1, "page_size": page_size})[0] == 600500202


class TestTheLifeOfAPrompt:
    def test_from_a_draft_to_a_version_that_runs(self, server, poem):
        commit(server, poem, "1.0.0")
        body = {
            "prompt_identifier": {"prompt_key": "poem"},
            "variable_vals": [{"key": "subject", "value": "tea"}],
        }
        assert ok(server.post("/execute", body))["data"]["message"]["content"] == "user: Write a poem about tea "

    def test_a_saved_draft_can_be_looked_at_until_it_is_committed(self, server, poem):
        info = ok(server.post(f"/{poem}/drafts/save", DRAFT))["draft_info"]
        assert info["is_modified"] is True and info["base_version"] == ""
        shown = ok(server.get(f"/{poem}", with_draft="true"))["prompt"]
        assert shown["prompt_draft"]["detail"] == DETAIL and "prompt_commit" not in shown
        commit(server, poem, "1.0.0")
        assert "prompt_draft" not in ok(server.get(f"/{poem}", with_draft="true"))["prompt"]

    def test_here_the_model_s_id_is_shown(self, server, poem):
        commit(server, poem, "1.0.0")
        shown = ok(server.get(f"/{poem}", with_commit="true"))["prompt"]
        assert shown["prompt_key"] == "poem" and shown["prompt_basic"]["latest_version"] == "1.0.0"
        assert shown["prompt_commit"]["detail"]["model_config"]["model_id"] == "1"
        assert shown["prompt_commit"]["commit_info"]["description"] == "v1.0.0"

    def test_versions_are_listed_page_by_page(self, server, poem):
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            commit(server, poem, version)
        first = ok(server.post(f"/{poem}/commits/list", {"page_size": 2}))
        assert [c["version"] for c in first["prompt_commit_infos"]] == ["2.0.0", "1.1.0"] and first["has_more"]
        token = first["next_page_token"]
        rest = ok(server.post(f"/{poem}/commits/list?with_commit_detail=true", {"page_size": 2, "page_token": token}))
        assert not rest["has_more"] and rest["prompt_commit_detail_mapping"] == {"1.0.0": DETAIL}

    def test_a_prompt_has_a_type_and_a_level(self, server):
        given = {"prompt_key": "poem2", "prompt_name": "x", "prompt_type": "normal", "security_level": "L1"}
        basic = self.basic_of_new(server, given)
        assert (basic["prompt_type"], basic["security_level"]) == ("normal", "L1")
        basic = self.basic_of_new(server, {"prompt_key": "poem3", "prompt_name": "x"})
        assert (basic["prompt_type"], basic["security_level"]) == ("normal", "L3")

    def basic_of_new(self, server, body):
        prompt_id = ok(server.post("", body))["prompt_id"]
        basic = ok(server.get(f"/{prompt_id}"))["prompt"]["prompt_basic"]
        ok(delete(server, prompt_id))
        return basic

    @pytest.mark.parametrize(
        "field", [{"prompt_type": "odd"}, {"security_level": "L9"}, {"prompt_type": ["snippet"]}]
    )
    def test_of_those_that_there_are(self, server, field):
        assert server.refusal("", {"prompt_key": "poem4", "prompt_name": "x", **field})[0] == 600500202

    @pytest.mark.parametrize("workspace", ["", "0", None])
    def test_looking_at_one_needs_no_workspace(self, server, poem, workspace):
        query = {} if workspace is None else {"workspace_id": workspace}
        url = f"{server.url}/v1/loop/prompts/{poem}"
        assert ok(server.session.get(url, params=query, timeout=5))["prompt"]["prompt_key"] == "poem"

    def test_but_one_that_is_named_is_checked(self, server, poem):
        assert server.get(f"/{poem}", workspace_id="1").json()["code"] == 600500101

    def test_a_deleted_prompt_is_gone(self, server, poem):
        ok(delete(server, poem))
        assert server.get(f"/{poem}").json()["code"] == 600501001


class TestRefusals:
    @pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "01.0.0", "", None])
    def test_a_version_is_strict_semver(self, server, poem, version):
        server.post(f"/{poem}/drafts/save", DRAFT)
        assert server.refusal(f"/{poem}/drafts/commit", {"commit_version": version})[0] == 600500202

    def test_a_version_is_new(self, server, poem):
        commit(server, poem, "1.0.0")
        server.post(f"/{poem}/drafts/save", DRAFT)
        assert server.refusal(f"/{poem}/drafts/commit", {"commit_version": "1.0.0"})[0] == 600501009

    def test_a_version_is_made_of_a_draft(self, server, poem):
        code, message = server.refusal(f"/{poem}/drafts/commit", {"commit_version": "1.0.0"})
        assert code == 600501001 and "no draft" in message

    def test_a_draft_begins_from_a_version_that_there_is(self, server, poem):
        draft = {"prompt_draft": {"detail": DETAIL, "draft_info": {"base_version": "9.9.9"}}}
        assert server.refusal(f"/{poem}/drafts/save", draft)[0] == 600501001

    @pytest.mark.parametrize("kind", ["go_template", "custom_template_m"])
    def test_the_platform_s_other_template_types_have_their_own_code(self, server, poem, kind):
        detail = {**DETAIL, "prompt_template": {**TEMPLATE, "template_type": kind}}
        draft = {"prompt_draft": {"detail": detail, "draft_info": {}}}
        code, message = server.refusal(f"/{poem}/drafts/save", draft)
        assert code == 600501006 and kind in message

    def test_a_key_is_new(self, server, poem):
        assert server.refusal("", {"prompt_key": "poem", "prompt_name": "x"})[0] == 600501008

    @pytest.mark.parametrize("key", ["", "1st", "with space", "ключ", "x" * 101])
    def test_a_key_is_a_name(self, server, key):
        assert server.refusal("", {"prompt_key": key, "prompt_name": "x"})[0] == 600500202

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("", {"prompt_key": "a", "prompt_name": "n" * 501}),
            ("", {"prompt_key": "a", "prompt_name": "n", "prompt_description": "d" * 10_001}),
            ("/1/drafts/commit", {"commit_version": f"1.0.0-{'a' * 100}"}),
            ("/1/drafts/commit", {"commit_version": "1.0.0", "commit_description": "d" * 10_001}),
            ("/list", {"key_word": "k" * 10_001}),
        ],
    )
    def test_what_stands_in_lists_is_not_endless(self, server, path, body):
        code, message = server.refusal(path, body)
        assert code == 600500202 and "at most" in message

    @pytest.mark.parametrize("draft", [None, {}, {"detail": DETAIL}, {"detail": {}, "draft_info": {}}])
    def test_a_draft_needs_its_detail_and_its_info(self, server, poem, draft):
        code, message = server.refusal(f"/{poem}/drafts/save", {"prompt_draft": draft})
        assert code == 600500202
        example = json.loads(message.partition("at least: ")[2].rstrip("."))
        assert server.post(f"/{poem}/drafts/save", {"prompt_draft": example}).json()["code"] == 0

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"prompt_template": {"messages": "x"}}, "messages must be a list of objects"),
            ({"prompt_template": {"messages": ["x"]}}, "messages must be a list of objects"),
            ({"prompt_template": {"messages": [{"content": "x"}]}}, "role must be one of: system, user"),
            ({"prompt_template": {"messages": [{"role": ["user"]}]}}, "messages[0].role"),
            ({"prompt_template": {"messages": [{"role": "user", "content": 5}]}}, "content must be text"),
            ({"prompt_template": {"messages": [{"role": "user", "parts": [{"type": "x"}]}]}}, "parts[0].type"),
            ({"prompt_template": {"template_type": "go"}}, "template_type must be one of: normal, jinja2"),
            ({"prompt_template": {"variable_defs": {"a": "string"}}}, "variable_defs must be a list of objects"),
            ({"prompt_template": {"variable_defs": [{"key": ""}]}}, "key must be text, and not empty"),
            ({"prompt_template": {"variable_defs": [{"key": "a", "type": "int"}]}}, "must be one of: string"),
            ({"prompt_template": {"variable_defs": [{"key": "a"}, {"key": "a"}]}}, "declares a twice"),
            ({"model_config": [1]}, "model_config must be an object"),
            ({"model_config": {"temperature": "hot"}}, "temperature must be a number from 0 to 2"),
            ({"model_config": {"max_tokens": 1.5}}, "max_tokens must be a whole number"),
            ({"model_config": {"json_mode": "yes"}}, "json_mode must be true or false"),
            ({"tools": [{}]}, "function.name"),
            ({"tool_call_config": {"tool_choice": "always"}}, "tool_choice must be one of: auto, none"),
        ],
    )
    def test_a_draft_that_could_not_be_run_is_told_at_once(self, server, poem, change, words):
        draft = {"detail": {**DETAIL, **change}, "draft_info": {}}
        code, message = server.refusal(f"/{poem}/drafts/save", {"prompt_draft": draft})
        assert code == 600500202 and words in message

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/mget", {"queries": [{"prompt_key": "\ud800"}]}),
            ("/list", {"key_word": "\ud800"}),
            ("", {"prompt_key": "a", "prompt_name": "\ud800"}),
            ("/99999999999999999999999/drafts/save", DRAFT),
            (f"/{'9' * 5000}/drafts/save", DRAFT),
            ("/1/commits/list", {"page_token": "9" * 30}),
            ("/1/commits/list", {"page_token": "9" * 5000}),
            ("/1/commits/list", {"page_token": "१"}),
        ],
    )
    def test_what_the_store_cannot_hold_is_the_caller_s_mistake(self, server, path, body):
        assert server.refusal(path, body)[0] == 600500202
