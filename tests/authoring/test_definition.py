"""A prompt as text: what is written is what a server keeps, and the same prompt always gives the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cozeloop_magic.authoring.definition import Definition, format_definition, parse_definition
from cozeloop_magic.authoring.variables import blank_tags
from cozeloop_magic.entities.prompt import ContentPart
from cozeloop_magic.errors import CellError
from cozeloop_magic.local.seeds import read_seeds

SEEDED = [
    Definition(version["detail"], prompt["display_name"], prompt["description"])
    for prompt in read_seeds().values()
    for version in prompt["versions"].values()
]


def messages_of(text: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = parse_definition(text).detail["prompt_template"]["messages"]
    return messages


def variables_of(text: str) -> dict[str, str]:
    return {each["key"]: each["type"] for each in parse_definition(text).detail["prompt_template"]["variable_defs"]}


class TestReading:
    def test_messages_alone_are_a_prompt(self) -> None:
        detail = parse_definition(
            "@system\nYou know {{topic}}.\n\n@placeholder history\n@user\n{{question}}\n"
        ).detail
        assert detail == {
            "prompt_template": {
                "template_type": "normal",
                "messages": [
                    {"role": "system", "content": "You know {{topic}}."},
                    {"role": "placeholder", "content": "history"},
                    {"role": "user", "content": "{{question}}"},
                ],
                "variable_defs": [
                    {"key": "topic", "type": "string"},
                    {"key": "history", "type": "placeholder"},
                    {"key": "question", "type": "string"},
                ],
            }
        }

    def test_settings_stand_above_the_line(self) -> None:
        read = parse_definition(
            "name: Greeting\ndescription: Says hello.\ntemplate: jinja2\nmodel: {temperature: 0.2}\n"
            "variables:\n  who: {description: Whom to greet}\n---\n@user\nHello {{ who }}!\n"
        )
        template = read.detail["prompt_template"]
        assert (read.name, read.description) == ("Greeting", "Says hello.")
        assert template["template_type"] == "jinja2" and read.detail["model_config"] == {"temperature": 0.2}
        assert template["variable_defs"] == [{"key": "who", "type": "string", "desc": "Whom to greet"}]

    def test_a_rule_within_a_message_is_text(self) -> None:
        assert messages_of("@user\nabove\n---\nbelow\n") == [{"role": "user", "content": "above\n---\nbelow"}]

    def test_a_message_from_python_may_be_text_parts_or_fields(self) -> None:
        text = (
            "@user = [{'type': 'text', 'text': 'Look'}]\n"
            "@assistant = {'content': 'a', 'skip_render': True}\n"
            "@user = (\n'@system\\n'\n'x')"
        )
        assert messages_of(text) == [
            {"role": "user", "parts": [{"type": "text", "text": "Look"}]},
            {"role": "assistant", "content": "a", "skip_render": True},
            {"role": "user", "content": "@system\nx"},
        ]

    def test_a_notebook_evaluates_them(self) -> None:
        names = {"picture": ContentPart("image_url", image_url="https://example.com/a.png")}
        read = parse_definition("@user = picture", lambda code: eval(code, names))
        assert read.detail["prompt_template"]["messages"][0]["parts"] == [
            {"type": "image_url", "image_url": "https://example.com/a.png"}
        ]


class TestVariables:
    def test_a_normal_template_takes_whole_tags(self) -> None:
        text = "@user\n{{a}} {{ b }} {{c d}} {{1}} {a}\n@tool 7\n{{e}}\n"
        assert variables_of(text) == {"a": "string"}
        assert blank_tags(messages_of(text)) == ["{{ b }}"]

    def test_jinja_tells_objects_and_arrays(self) -> None:
        text = (
            "template: jinja2\n---\n@user\n{{ p.age }}{{ q['x'] }}{% for e in examples %}{{ e.text }}{% endfor %}"
            "{% for t in tags %}{{ t }}{% endfor %}{% set own = 1 %}{{ own }}{{ plain }}\n"
        )
        assert variables_of(text) == {
            "p": "object",
            "q": "object",
            "examples": "array<object>",
            "tags": "array<string>",
            "plain": "string",
        }

    def test_what_is_written_comes_first_and_null_declares_nothing(self) -> None:
        text = "variables: {b: integer, kept: null}\n---\n@user\n{{a}} {{b}} {{kept}}\n"
        assert variables_of(text) == {"b": "integer", "a": "string"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "there is no message"),
        ("model: {}\n---\n", 3, "there is no message"),
        ("temlate: jinja2\n---\n@user\nx", 1, "did you mean template?"),
        ("name: x\ntemplate: ninja\n---\n@user\nx", 2, "normal or jinja2"),
        ("name: x\nmodel: 0.2\n---\n@user\nx", 2, "model must be an object"),
        ("a: [\n---\n@user\nx", 1, "no YAML"),
        ("name: x\n---\nloose\n@user\nx", 3, "belongs to no message"),
        ("@user\n\n@system\nx", 1, "the @user message is empty"),
        ("@placeholder\n", 1, "names its variable"),
        ("@user please\nx", 1, "begins no message"),
        ("@user = nothing\n", 1, "only text, a list or an object"),
        ("@user = (1\n", 1, "no Python expression"),
        ("@user = 7\n", 1, "not of type int"),
        ("variables: {a: text}\n---\n@user\n{{a}}", 1, "has the type 'text'"),
        ("template: jinja2\n---\n@user\n{% for %}", 4, "cannot be parsed"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(CellError, match=said) as caught:
        parse_definition(text)
    assert caught.value.line == line


class TestRoundTrip:
    @pytest.mark.parametrize("definition", SEEDED)
    def test_every_prompt_that_comes_with_the_package(self, definition: Definition) -> None:
        text = format_definition(definition)
        assert parse_definition(text) == definition
        assert format_definition(parse_definition(text)) == text

    texts = st.text(st.sampled_from("ab {}%#@\n\t'\"\\-=:é漢\u2028\r"), min_size=1, max_size=40) | st.sampled_from(
        ["@user", "@system\nx", "---", "{{a}}", "{{ a }}", "\nx", "x\n", "  x", "@tool 1", "x\n\n@y = 1"]
    )
    names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
    plain = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": texts})
    odd = st.one_of(
        st.fixed_dictionaries({"role": st.just("placeholder"), "content": names}),
        st.fixed_dictionaries(
            {"role": st.just("tool"), "content": texts, "tool_call_id": st.sampled_from(["7", "a b"])}
        ),
        st.fixed_dictionaries(
            {
                "role": st.just("user"),
                "parts": st.lists(
                    st.fixed_dictionaries({"type": st.just("text"), "text": texts})
                    | st.fixed_dictionaries({"type": st.just("multi_part_variable"), "text": names}),
                    min_size=1,
                    max_size=3,
                ),
            }
        ),
        st.fixed_dictionaries(
            {"role": st.just("user"), "content": texts, "metadata": st.just({"a": 1, "b": [True]})}
        ),
        st.fixed_dictionaries({"role": st.just("oracle"), "content": texts}),
        st.fixed_dictionaries({"role": st.just("user")}),
    )
    defs = st.lists(
        st.fixed_dictionaries(
            {
                "key": names | st.sampled_from(["a", "yes", "null", "1"]),
                "type": st.sampled_from(["string", "object", "placeholder"]),
            },
            optional={"desc": texts},
        ),
        max_size=3,
        unique_by=lambda each: each["key"],
    )  # fmt: skip
    details = st.fixed_dictionaries(
        {
            "prompt_template": st.fixed_dictionaries(
                {
                    "template_type": st.just("normal"),
                    "messages": st.lists(plain | odd, min_size=1, max_size=4),
                    "variable_defs": defs,
                },
                optional={"metadata": st.just({"k": "v"})},
            )
        },
        optional={
            "model_config": st.just({"model_id": "1", "temperature": 0.2}),
            "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": "{}"}}]),
            "tool_call_config": st.just({"tool_choice": "auto"}),
            "mcp_config": st.just({"x": 1}),
        },
    )

    @given(details, texts)
    @settings(max_examples=200, deadline=None)
    def test_any_prompt(self, detail: dict[str, Any], description: str) -> None:
        definition = Definition(detail, "n", description)
        text = format_definition(definition)
        assert parse_definition(text) == definition
        assert format_definition(parse_definition(text)) == text


def test_a_template_that_a_platform_keeps_and_nobody_can_parse_is_shown_as_it_is() -> None:
    template = {
        "template_type": "jinja2",
        "messages": [{"role": "user", "content": "{% if x %} {{ a | }}"}],
        "variable_defs": [{"key": "a", "type": "string"}],
    }
    text = format_definition(Definition({"prompt_template": template}))
    assert text.endswith("@user\n{% if x %} {{ a | }}\n") and "a: string" in text
