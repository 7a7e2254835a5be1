"""Snippets: put in place where a prompt is run or fetched, shown as written where it is looked at."""

from __future__ import annotations

import pytest
import requests


@pytest.fixture
def write(server, request):
    """Write versions of prompts; give the reference to them as snippets. The prompts have the test's own name."""
    made = {}
    prefix = f"p{abs(hash(request.node.name)) % 10**9}"

    def write(key, content, version="1.0.0", kind="snippet", code=0):
        name = f"{prefix}_{key}"
        if name not in made:
            body = {"prompt_key": name, "prompt_name": name, "prompt_type": kind}
            made[name] = server.post("", body).json()["prompt_id"]
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        template = {"messages": messages, "variable_defs": [{"key": "name", "type": "string"}]}
        draft = {"prompt_draft": {"detail": {"prompt_template": template}, "draft_info": {}}}
        saved = server.post(f"/{made[name]}/drafts/save", draft).json()
        assert saved["code"] == code, saved
        if code == 0:
            assert server.post(f"/{made[name]}/drafts/commit", {"commit_version": version}).json()["code"] == 0
        return Written(name, made[name], version)

    return write


class Written:
    def __init__(self, key, prompt_id, version):
        self.key, self.id = key, prompt_id
        self.reference = reference(prompt_id, version)


def reference(prompt_id, version):
    return f"<cozeloop_snippet>id={prompt_id}&version={version}</cozeloop_snippet>"


def said(server, prompt, **values):
    variables = [{"key": key, "value": value} for key, value in values.items()]
    body = {"prompt_identifier": {"prompt_key": prompt.key}, "variable_vals": variables}
    answer = server.post("/execute", body).json()
    assert answer["code"] == 0, answer
    return answer["data"]["message"]["content"].strip()


def fetched(server, prompt):
    answer = server.post("/mget", {"queries": [{"prompt_key": prompt.key}]}).json()
    return answer["data"]["items"][0]["prompt"]["prompt_template"]["messages"][0]


def looked_at(server, prompt):
    prompt = server.get(f"/{prompt.id}", with_commit="true").json()["prompt"]
    return prompt["prompt_commit"]["detail"]["prompt_template"]["messages"][0]


def test_it_is_put_in_place_and_then_rendered(server, write):
    greeting = write("greeting", "Dear {{name}},")
    prompt = write("letter", f"{greeting.reference} how are you? {greeting.reference}", kind="normal")
    assert said(server, prompt, name="Ada") == "user: Dear Ada, how are you? Dear Ada,"
    assert fetched(server, prompt)["content"] == "Dear {{name}}, how are you? Dear {{name}},"
    assert looked_at(server, prompt)["content"] == f"{greeting.reference} how are you? {greeting.reference}"


def test_the_version_that_is_named_stands_there(server, write):
    old = write("greeting", "Hi").reference
    write("greeting", "Hello", version="2.0.0")
    assert said(server, write("letter", f"{old}!", kind="normal")) == "user: Hi!"


def test_only_its_first_message_counts(server, write):
    two = write("two", [{"role": "system", "content": "first"}, {"role": "user", "content": "second"}])
    assert said(server, write("letter", two.reference, kind="normal")) == "user: first"


def test_it_stands_in_text_parts_too(server, write):
    greeting = write("greeting", "Hi")
    parts = [{"type": "text", "text": f"{greeting.reference} you"}]
    assert said(server, write("letter", [{"role": "user", "parts": parts}], kind="normal")) == "user: Hi you"


def test_snippets_stand_in_snippets_but_not_too_deep(server, write):
    one = write("one", "1")
    two = write("two", f"2{one.reference}")
    three = write("three", f"3{two.reference}")
    assert said(server, write("shallow", two.reference, kind="normal")) == "user: 21"
    code, message = server.refusal(
        "/execute", {"prompt_identifier": {"prompt_key": write("deep", three.reference, kind="normal").key}}
    )
    assert code == 600500202 and "2 deep" in message


def test_what_multiplies_is_bounded(server, write):
    long = write("long", "x" * 100_000)
    longer = write("longer", long.reference * 9)
    prompt = write("longest", longer.reference * 9, kind="normal")
    for path, body in (
        ("/execute", {"prompt_identifier": {"prompt_key": prompt.key}}),
        ("/mget", {"queries": [{"prompt_key": prompt.key}]}),
    ):
        code, message = server.refusal(path, body)
        assert code == 600500202 and "1 MB" in message


def test_a_reference_must_be_to_a_committed_version_of_a_snippet(server, write):
    write("a", reference(99999999, "1.0.0"), code=600500202)
    write("b", reference("9" * 19, "1.0.0"), code=600500202)
    greeting = write("greeting", "Hi")
    write("c", reference(greeting.id, "7.0.0"), code=600500202)
    write("d", reference(greeting.id, ""), code=600500202)
    normal = write("normal", "Hi", kind="normal")
    write("e", normal.reference, code=600500202)


@pytest.mark.parametrize(
    "text", ["<cozeloop_snippet>id=x&version=1.0.0</cozeloop_snippet>", "<cozeloop_snippet>", "<cozeloop_snippet/>"]
)
def test_what_only_looks_like_a_reference_is_text(server, write, text):
    assert said(server, write("letter", text, kind="normal")) == f"user: {text}"


def test_a_snippet_cannot_be_deleted(server, write):
    greeting = write("greeting", "Hi")
    url = f"{server.url}/v1/loop/prompts/{greeting.id}?workspace_id={server.workspace_id}"
    answer = requests.delete(url, headers=server.session.headers, timeout=9).json()
    assert answer["code"] == 600500202 and "snippet" in answer["msg"]
    assert server.get(f"/{greeting.id}").json()["code"] == 0
