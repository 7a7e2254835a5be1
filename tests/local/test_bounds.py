"""What one request may take of a server that others wait for: its time, its memory, its body."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection

import psutil
import pytest
import requests

from cozeloop_magic.local import calls, gate
from cozeloop_magic.local.process import ensure_running
from tests.local.conftest import asked, eventually

MB = 1 << 20
RENDER_FAILED, BAD_REQUEST, TOO_MANY = 600501005, 600500201, 600502002


def a_user(content):
    return {"role": "user", "content": content}


def made(server, messages, kind="normal", **types):
    """Commit a prompt and give its key."""
    key = f"p{time.monotonic_ns()}"
    template = {
        "template_type": kind,
        "messages": messages,
        "variable_defs": [{"key": name, "type": type_} for name, type_ in types.items()],
    }
    prompt_id = server.post("", {"prompt_key": key, "prompt_name": key}).json()["prompt_id"]
    draft = {"detail": {"prompt_template": template}, "draft_info": {}}
    assert server.post(f"/{prompt_id}/drafts/save", {"prompt_draft": draft}).json()["code"] == 0
    assert server.post(f"/{prompt_id}/drafts/commit", {"commit_version": "1.0.0"}).json()["code"] == 0
    return key


def run(server, key, values=(), messages=()):
    body = {"prompt_identifier": {"prompt_key": key}, "variable_vals": list(values), "messages": list(messages)}
    return server.post("/execute", body).json()


class TestWhatIsRendered:
    def test_a_placeholder_in_many_places_ends_at_8_mb(self, server):
        key = made(server, [{"role": "placeholder", "content": "x"}] * 1_000, x="placeholder")
        value = {"key": "x", "placeholder_messages": [a_user("y" * 5_000)] * 1_000}
        before = psutil.Process().memory_info().rss
        refused = run(server, key, [value])
        assert refused["code"] == RENDER_FAILED and "8 MB" in refused["msg"]
        assert psutil.Process().memory_info().rss - before < 200 * MB

    def test_messages_end_at_10_000(self, server):
        key = made(server, [{"role": "placeholder", "content": "x"}] * 10, x="placeholder")
        refused = run(server, key, [{"key": "x", "placeholder_messages": [a_user("y")] * 1_001}])
        assert refused["code"] == RENDER_FAILED and "10,000 messages" in refused["msg"]

    @pytest.mark.parametrize(
        "part", [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": "http://a/b"}]
    )
    def test_so_do_the_parts_of_one(self, server, part):
        parts = [{"type": "multi_part_variable", "text": "x"}] * 300
        key = made(server, [{"role": "user", "parts": parts}], x="multi_part")
        refused = run(server, key, [{"key": "x", "multi_part_values": [part] * 1_000}])
        assert refused["code"] == RENDER_FAILED and "10,000 parts" in refused["msg"]

    def test_pictures_end_at_32_mb(self, server):
        parts = [{"type": "multi_part_variable", "text": "x"}] * 100
        key = made(server, [{"role": "user", "parts": parts}], x="multi_part")
        picture = {"type": "base64_data", "base64_data": "data:image/png;base64," + "A" * MB}
        refused = run(server, key, [{"key": "x", "multi_part_values": [picture]}])
        assert refused["code"] == RENDER_FAILED and "32 MB" in refused["msg"]

    def test_a_draft_ends_at_1_mb(self, server):
        prompt_id = server.post("", {"prompt_key": "long", "prompt_name": "x"}).json()["prompt_id"]
        draft = {"detail": {"prompt_template": {"messages": [a_user("x" * MB)]}}, "draft_info": {}}
        assert "1 MB" in server.refusal(f"/{prompt_id}/drafts/save", {"prompt_draft": draft})[1]

    def test_many_prompts_are_not_given_at_once(self, server):
        assert "at most 100" in server.refusal("/mget", {"queries": [{"prompt_key": "chat"}] * 101})[1]


class TestBodies:
    def test_a_large_one_is_told_and_the_connection_goes_on(self, server):
        code, message = server.refusal("/execute", asked(more="x" * 17 * MB))
        assert code == BAD_REQUEST and "16 MB" in message
        assert server.post("/execute", asked()).json()["code"] == 0

    def test_one_that_holds_too_many_values_is_not_read(self, server):
        code, message = server.refusal("/execute", asked(more=[[]] * 200_000))
        assert code == BAD_REQUEST and "200,000 values" in message

    @pytest.mark.parametrize("text", ["1,2,", '"a\\",', "[[{", "\\", '\\"'])
    def test_what_stands_in_a_text_is_no_value(self, server, text):
        value = {"key": "topic", "value": text * 200_000}
        assert server.post("/execute", asked(variable_vals=[value])).json()["code"] == 0

    @pytest.mark.parametrize("size", [1, calls.SMALL_BODY - 1, calls.SMALL_BODY, 3 * calls.SMALL_BODY])
    def test_values_are_counted_wherever_a_text_is_cut(self, size, monkeypatch):
        monkeypatch.setattr(calls, "MOST_VALUES", 0)
        written = json.dumps({"a": "," * size, "b": ['"\\', "x,", {"c": [1, 2]}]}, separators=(",", ":")).encode()
        assert calls._count_values(written) == 8

    def test_all_together_end_too_and_the_caller_is_asked_to_come_again(self, server, monkeypatch):
        monkeypatch.setattr(gate, "MOST_HELD", 1000)
        code, message = server.refusal("/execute", asked(more="x" * 2000))
        assert code == TOO_MANY and "again" in message
        monkeypatch.undo()
        assert eventually(lambda: server.activity.held == 0)
        assert server.post("/execute", asked(more="x" * 2000)).json()["code"] == 0


@pytest.fixture
def loop(monkeypatch, tmp_path):
    """A server in a process of its own, with a file that is no model: a call fails once its prompt is rendered."""
    file = tmp_path / "no-model.gguf"
    file.write_text("This is no model.")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(file))
    loop = ensure_running()
    pid = requests.get(f"{loop.base_url}/health", timeout=5).json()["pid"]
    yield psutil.Process(pid), Caller(loop)
    os.kill(pid, 9)


class Caller:
    """Calls a server in another process."""

    def __init__(self, loop):
        self._loop = loop

    def post(self, path, body):
        headers = {"Authorization": f"Bearer {self._loop.token}"}
        body = {"workspace_id": self._loop.workspace_id, **body}
        return requests.post(f"{self._loop.base_url}/v1/loop/prompts{path}", json=body, headers=headers, timeout=60)

    @contextmanager
    def watched(self):
        """Ask for its health all the time, and give the answers."""
        host = self._loop.base_url.removeprefix("http://")
        answers, over = [], threading.Event()

        def watch():
            while not over.is_set():
                connection = HTTPConnection(host, timeout=60)
                connection.request("GET", "/health")
                answers.append(connection.getresponse().read())
                connection.close()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield answers
        finally:
            over.set()
            thread.join()


X = {"key": "x", "value": "[]"}
WORST = {
    "many tags": ([a_user("{{x}}" * 200_000)], "normal", [X]),
    "many tags that stay": ([a_user("{{y}}" * 200_000)], "normal", [X]),
    "a long jinja2 template": ([a_user("{{ x }}" * 30_000)], "jinja2", [X]),
    "a large jinja2 value": ([a_user("{{ x|length }}")], "jinja2", [{"key": "x", "value": "[[],1]," * 300_000}]),
    "loops": ([a_user("{% for a in range(60) %}{% for b in range(9999) %}{% endfor %}{% endfor %}")], "jinja2", [X]),
}


@pytest.mark.parametrize("case", WORST)
def test_nobody_waits_for_anothers_rendering(loop, case):
    process, caller = loop
    messages, kind, values = WORST[case]
    key = made(caller, messages, kind, x="array<object>")
    before = process.memory_info().rss
    with caller.watched() as answers:
        began = time.perf_counter()
        run(caller, key, values)
        rendering = time.perf_counter() - began
    # Whoever waits for it has an answer before it and one after; a short one leaves no time for more.
    assert len(answers) > 3 or rendering < 0.5
    assert process.memory_info().rss - before < 150 * MB
