"""Running a prompt over HTTP."""

from __future__ import annotations

import json
import time

import pytest
import requests

from tests.local.conftest import Parrot, asked

HEARD = "system: You are a helpful assistant for tea. user: Please help me with brewing it "


def events(response):
    """Read a whole stream: pairs of event and data."""
    blocks = response.content.decode().split("\n\n")
    assert blocks.pop() == ""
    pairs = [block.split("\n") for block in blocks]
    return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in pairs]


def executed(server, body):
    answer = server.post("/execute", body).json()
    assert answer["code"] == 0, answer
    return answer["data"]


class TestExecute:
    def test_the_answer_comes_in_the_platform_s_envelope(self, server):
        response = server.post("/execute", asked())
        assert response.json() == {
            "code": 0,
            "msg": "",
            "data": {
                "message": {"role": "assistant", "content": HEARD},
                "finish_reason": "stop",
                "usage": {"input_tokens": 2, "output_tokens": 15},
            },
        }

    def test_it_names_the_model_and_the_call(self, server):
        headers = server.post("/execute", asked()).headers
        assert headers["X-Loop-Model"] == "parrot"
        assert len(headers["x-tt-logid"]) == 32

    def test_a_label_finds_its_version(self, server):
        body = asked(version=None)
        body["prompt_identifier"]["label"] = "production"
        assert executed(server, body)["message"]["content"] == HEARD

    def test_a_placeholder_takes_messages_and_messages_are_appended(self, server):
        body = asked(version="0.0.5", messages=[{"role": "user", "content": "{{topic}}!"}])
        history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        body["variable_vals"].append({"key": "chat_history", "placeholder_messages": history})
        heard = executed(server, body)["message"]["content"]
        assert "user: Hi assistant: Hello user: Please" in heard and heard.endswith("user: tea! ")

    def test_a_connection_that_is_used_again_waits_for_no_ack(self, server):
        def is_quick():
            began = time.perf_counter()
            server.post("/execute", asked())
            return time.perf_counter() - began < 0.04

        assert any(is_quick() for _ in range(200))  # the least that an ACK is delayed by, and each time

    def test_an_unknown_field_is_nothing_to_worry_about(self, server):
        assert executed(server, asked(release_label="x", extra={"a": 1}))["finish_reason"] == "stop"


class TestStreaming:
    def test_deltas_come_first_and_the_last_event_has_the_end(self, server):
        response = server.post("/execute_streaming", asked())
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["X-Loop-Model"] == "parrot"
        *deltas, (kind, last) = events(response)
        assert {kind for kind, _ in deltas} == {"data"} == {kind}
        assert "".join(data["message"]["content"] for _, data in deltas) == HEARD
        assert all(data["finish_reason"] == "" and "usage" not in data for _, data in deltas)
        assert last["finish_reason"] == "stop" and last["usage"] == {"input_tokens": 2, "output_tokens": 15}

    def test_pieces_are_sent_as_they_come(self, start):
        response = start(Parrot(seconds_a_word=0.05)).post("/execute_streaming", asked(), stream=True)
        with response:
            first = next(response.iter_lines())
            assert first == b"event: data" and response.raw.tell() < 200

    def test_an_error_before_the_first_piece_is_json(self, server):
        code, message = server.refusal("/execute_streaming", asked("ptas_demo"))
        assert code == 600501001 and "Did you mean ptaas_demo?" in message

    def test_an_error_after_it_is_an_event(self, start):
        response = start(Parrot(fails_after=3)).post("/execute_streaming", asked())
        *deltas, (kind, last) = events(response)
        assert len(deltas) == 3 and kind == "error"
        assert last["code"] == 1 and last["biz_extra"] == {}

    @pytest.mark.parametrize("path", ["/execute", "/execute_streaming"])
    def test_a_caller_who_leaves_before_it_stops_the_model(self, start, path):
        parrot = Parrot(seconds_a_word=0.6)
        server = start(parrot)
        body = {"workspace_id": server.workspace_id, **asked()}
        with pytest.raises(requests.ReadTimeout):
            server.session.post(f"{server.url}/v1/loop/prompts{path}", json=body, timeout=0.3)
        assert parrot.stopped_early.wait(60)

    def test_so_does_one_who_leaves_in_the_middle(self, start):
        parrot = Parrot(seconds_a_word=0.02)
        long = asked(messages=[{"role": "user", "content": "word " * 2000}])
        response = start(parrot).post("/execute_streaming", long, stream=True)
        next(response.iter_lines())
        response.close()
        assert parrot.stopped_early.wait(60)


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "code", "words"),
        [
            (asked("nobody"), 600501001, "nobody"),
            (asked(version="9.9.9"), 600501002, "0.0.1, 0.0.2, 0.0.5, 0.0.8"),
            ({"prompt_identifier": None}, 600500202, "prompt_key"),
            (
                {"prompt_identifier": {"prompt_key": "ptaas_demo", "label": "beta"}},
                600501007,
                "Labels there are: production (0.0.1)",
            ),
            (asked(version="0.0.2", variable_vals=[{"key": "param", "value": "{"}]), 600500202, "param"),
            (asked(version="0.0.2", variable_vals=[]), 600501005, "undefined"),
            (asked(variable_vals="x"), 600500202, "variable_vals"),
            (asked(messages=["x"]), 600500202, "messages"),
            (asked(workspace_id="1"), 600500101, "Check COZELOOP_WORKSPACE_ID"),
            (asked("\ud800"), 600500202, "half a character"),
            (asked(workspace_id=None), 600500202, "workspace_id"),
        ],
    )
    def test_each_has_its_code_and_says_what_is_wrong(self, server, body, code, words):
        got, message = server.refusal("/execute", body)
        assert got == code and words in message

    def test_pictures_are_refused_by_a_model_that_reads_text_only(self, server):
        picture = {"type": "image_url", "image_url": "https://example.com/a.png"}
        variables = [{"key": "example1", "multi_part_values": [picture]}]
        code, message = server.refusal("/execute", asked(version="0.0.8", variable_vals=variables))
        assert code == 600500202 and "reads text only" in message and "COZELOOP_MAGIC_OPENAI_BASE_URL" in message

    def test_a_failure_of_the_model_has_a_log_id_too(self, start):
        response = start(Parrot(fails_after=0)).post("/execute", asked())
        assert response.json()["code"] == 1 and response.headers["x-tt-logid"]


class TestModelConfiguration:
    def test_the_committed_one_is_used(self, server):
        executed(server, asked())
        config = server.model.parameters[-1].config
        assert (config.temperature, config.max_tokens) == (0.2, 320)

    def test_a_custom_one_replaces_all_of_it(self, server):
        executed(server, asked(custom_model_config={"model_id": "1", "temperature": 0.9}))
        config = server.model.parameters[-1].config
        assert (config.temperature, config.max_tokens) == (0.9, None)

    def test_without_a_model_id_it_is_ignored(self, server):
        executed(server, asked(custom_model_config={"temperature": 0.9}))
        assert server.model.parameters[-1].config.temperature == 0.2

    def test_an_unknown_model_is_refused(self, server):
        code, message = server.refusal("/execute", asked(custom_model_config={"model_id": "77"}))
        assert code == 600500202 and "77" in message

    @pytest.mark.parametrize(
        ("name", "value"),
        [("temperature", 3), ("top_p", -0.1), ("top_k", 10**400), ("max_tokens", True), ("frequency_penalty", [])],
    )
    def test_a_value_no_model_can_take_is_refused(self, server, name, value):
        code, message = server.refusal("/execute", asked(custom_model_config={"model_id": "1", name: value}))
        assert code == 600500202 and f"custom_model_config.{name} must be a" in message


def function(name):
    return {"type": "function", "function": {"name": name, "parameters": "{}"}}


@pytest.fixture
def with_a_tool(server):
    """Make a prompt whose version has a tool, and give its key."""
    prompt_id = server.post("", {"prompt_key": "with_a_tool", "prompt_name": "x"}).json()["prompt_id"]
    template = {"messages": [{"role": "user", "content": "Hi"}]}
    detail = {"prompt_template": template, "tools": [function("committed")]}
    server.post(f"/{prompt_id}/drafts/save", {"prompt_draft": {"detail": detail, "draft_info": {}}})
    server.post(f"/{prompt_id}/drafts/commit", {"commit_version": "1.0.0"})
    yield "with_a_tool"
    server.session.delete(f"{server.url}/v1/loop/prompts/{prompt_id}?workspace_id={server.workspace_id}", timeout=9)


class TestTools:
    def offered(self, server, key, **fields):
        """Run a prompt; give the names of the tools that the model may call, and how it is to choose."""
        executed(server, {"prompt_identifier": {"prompt_key": key}, **fields})
        parameters = server.model.parameters[-1]
        return [tool.function.name for tool in parameters.tools], parameters.tool_choice

    def test_without_a_configuration_the_choice_is_the_model_s(self, server, with_a_tool):
        assert self.offered(server, with_a_tool) == (["committed"], "auto")
        assert self.offered(server, with_a_tool, custom_tools=None) == (["committed"], "auto")

    def test_custom_ones_take_their_place_and_an_empty_list_is_none(self, server, with_a_tool):
        assert self.offered(server, with_a_tool, custom_tools=[function("a")]) == (["a"], "auto")
        assert self.offered(server, with_a_tool, custom_tools=[]) == ([], None)

    def test_none_means_that_the_model_sees_none(self, server, with_a_tool):
        none = {"tool_choice": "none"}
        assert self.offered(server, with_a_tool, custom_tool_call_config=none) == ([], None)

    def test_one_can_be_named(self, server, with_a_tool):
        specific = {"tool_choice": "specific", "tool_choice_specification": {"type": "function", "name": "b"}}
        tools = [function("a"), function("b")]
        offered = self.offered(server, with_a_tool, custom_tools=tools, custom_tool_call_config=specific)
        assert offered == (["a", "b"], {"type": "function", "function": {"name": "b"}})

    @pytest.mark.parametrize(
        "specification", [None, {}, {"name": "nobody"}, {"name": ["committed"]}, [], "committed"]
    )
    def test_it_must_be_one_that_there_is(self, server, with_a_tool, specification):
        specific = {"tool_choice": "specific", "tool_choice_specification": specification}
        body = {"prompt_identifier": {"prompt_key": with_a_tool}, "custom_tool_call_config": specific}
        code, message = server.refusal("/execute", body)
        assert code == 600500202 and "one of the tools: committed" in message

    def test_an_unknown_choice_is_refused(self, server, with_a_tool):
        body = {"prompt_identifier": {"prompt_key": with_a_tool}, "custom_tool_call_config": {"tool_choice": "any"}}
        assert server.refusal("/execute", body)[0] == 600500202

    def test_the_older_name_of_the_configuration_counts_where_the_newer_is_missing(self, server, with_a_tool):
        none, auto = {"tool_choice": "none"}, {"tool_choice": "auto"}
        assert self.offered(server, with_a_tool, custom_tool_config=none) == ([], None)
        both = self.offered(server, with_a_tool, custom_tool_config=none, custom_tool_call_config=auto)
        assert both == (["committed"], "auto")


class TestWhatIsRendered:
    """By role: what is a template, and what stays as it is written."""

    def heard(self, server, *messages, **fields):
        body = asked("ptaas_demo", "0.0.1", messages=list(messages), **fields)
        return executed(server, body)["message"]["content"].partition("brewing it ")[2].strip()

    @pytest.mark.parametrize(
        ("message", "heard"),
        [
            ({"role": "user", "content": "{{topic}}"}, "user: tea"),
            ({"role": "user", "content": "{{topic}}", "skip_render": True}, "user: {{topic}}"),
            ({"role": "system", "content": "{{topic}}"}, "system: tea"),
            ({"role": "assistant", "content": "{{topic}}"}, "assistant: {{topic}}"),
            ({"role": "assistant", "content": "{{topic}}", "skip_render": True}, "assistant: {{topic}}"),
            ({"role": "assistant", "content": "{{topic}}", "skip_render": False}, "assistant: tea"),
            ({"role": "tool", "content": "{{topic}}", "tool_call_id": "1"}, "tool: {{topic}}"),
            ({"role": "tool", "content": "{{topic}}", "skip_render": False}, "tool: {{topic}}"),
            ({"role": "narrator", "content": "{{topic}}"}, "user: tea"),
            ({"content": "no role"}, "user: no role"),
        ],
    )
    def test_of_appended_messages(self, server, message, heard):
        assert self.heard(server, message) == heard

    def test_an_unknown_role_in_a_placeholder_is_a_user_s(self, server):
        body = asked(version="0.0.5")
        history = [{"role": "narrator", "content": "Once"}]
        body["variable_vals"].append({"key": "chat_history", "placeholder_messages": history})
        assert "user: Once" in executed(server, body)["message"]["content"]


class TestReleaseLabel:
    def test_it_is_the_label_where_there_is_none(self, server):
        identifier = {"prompt_key": "explain_concept", "version": "", "label": None}
        asked_for = {"prompt_identifier": identifier, "variable_vals": [{"key": "audience", "value": "A"}]}
        said = executed(server, {**asked_for, "release_label": "beta"})["message"]["content"]
        assert "audience is A" in said

    def test_a_label_or_version_wins(self, server):
        for chosen in ({"label": "production"}, {"version": "1.0.0"}):
            identifier = {"prompt_key": "explain_concept", **chosen}
            said = executed(server, {"prompt_identifier": identifier, "release_label": "beta"})["message"]["content"]
            assert "audience" not in said

    def test_one_that_marks_nothing_is_told(self, server):
        body = {"prompt_identifier": {"prompt_key": "chat"}, "release_label": "beta"}
        assert server.refusal("/execute", body)[0] == 600501007
