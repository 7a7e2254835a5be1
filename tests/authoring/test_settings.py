"""Settings of a definition are read as they are written, and what would be lost or changed without a word is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cozeloop_magic.authoring.changes import word_changes
from cozeloop_magic.authoring.definition import Definition, format_definition, parse_definition
from cozeloop_magic.authoring.slips import find_slips
from cozeloop_magic.authoring.variables import jinja_tags
from cozeloop_magic.errors import CellError

BODY = "---\n@user\nHi {{a}}"


def detail_of(settings: str, body: str = BODY) -> dict[str, Any]:
    return parse_definition(f"{settings}\n{body}").detail


def variables_of(settings: str, body: str = BODY) -> list[dict[str, Any]]:
    defs: list[dict[str, Any]] = detail_of(settings, body)["prompt_template"]["variable_defs"]
    return defs


@pytest.mark.parametrize("text", ["1.10", "yes", "no", "on", "2024-01-01", "12:30", "007", "0.50", "~x"])
def test_text_is_text_whatever_yaml_takes_it_for(text: str) -> None:
    read = parse_definition(f"name: {text}\ndescription: {text}\n{BODY}")
    assert (read.name, read.description) == (text, text)
    assert variables_of(f"variables: {{a: {{description: {text}}}}}")[0]["desc"] == text


@pytest.mark.parametrize("key", ["yes", "no", "on", "off", "y", "1", "1.10", "2024-01-01"])
def test_a_variable_may_have_any_name(key: str) -> None:
    (variable,) = variables_of(f"variables: {{{key}: string}}", f"---\n@user\n{{{{{key}}}}}")
    assert variable == {"key": key, "type": "string"}
    assert find_slips(parse_definition(f"variables: {{{key}: string}}\n---\n@user\n{{{{{key}}}}}")) == []


def test_a_number_is_one() -> None:
    model = detail_of("model: {temperature: 1e-1, top_p: 0.90, max_tokens: 32, model_id: 7312345678901234567}  # x")[
        "model_config"
    ]
    assert model == {"temperature": 0.1, "top_p": 0.9, "max_tokens": 32, "model_id": 7312345678901234567}
    assert json.dumps(detail_of("model:\n  temperature: 0.2  # low\n  json_mode: true\n")["model_config"]) == (
        '{"temperature": 0.2, "json_mode": true}'
    )


def test_parameters_of_a_tool_may_be_yaml_and_go_as_json_text() -> None:
    tool = (
        "tools:\n- type: function\n  function:\n    name: weather\n    parameters:\n      type: object\n"
        "      properties: {day: {enum: [yes, no, 2024-01-01], default: 1.5}}"
    )
    (read,) = detail_of(tool)["tools"]
    assert json.loads(read["function"]["parameters"])["properties"] == {
        "day": {"enum": ["yes", "no", "2024-01-01"], "default": 1.5}
    }
    assert detail_of('tools: [{"type": "function", "function": {"name": "f", "parameters": "{}"}}]')["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": "{}"}}
    ]


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("model: {temperature: 1}\nmodel: {temperature: 2}\n" + BODY, 2, "model is given twice", ""),
        ("variables: {a: string, a: integer}\n" + BODY, 1, "a is given twice", ""),
        ("description: issue #5 is open\n" + BODY, 1, "would begin a comment; put the text in quotes", ""),
        ("name: x\ndescription: Step 1: greet\n" + BODY, 2, "mapping values", "colon in quotes"),
        ("model:\n\ttemperature: 1\n" + BODY, 2, "a tab is no indent", "blanks"),
        ("model: &m {temperature: 1}\n" + BODY, 1, "anchors and tags", ""),
        ("model: !!python/name:os.system {}\n" + BODY, 1, "anchors and tags", ""),
        ("name: x\nversion: 1.10\n" + BODY, 2, "there is no setting version", "on the line of the command"),
        ("message: why\n" + BODY, 1, "there is no setting message", "on the line of the command"),
        ("description: [a]\n" + BODY, 1, "description must be text", ""),
        ("name: true\n" + BODY, 1, "name must be text; put it in quotes", ""),
        ("variables: {true: string}\n" + BODY, 1, "true names no variable", "quotes"),
        ("variables:\n  b: string\n  a: no\n" + BODY, 3, "the type 'no'", "The types are"),
        ("tools: [weather]\n" + BODY, 1, "tools must be a list of objects", "type: function"),
        ("model: {temperature: 1e999}\n" + BODY, 1, "no finite number", ""),
        ("more: {model_config: {}}\n" + BODY, 1, "has a setting of its own", ""),
        ("more: {prompt_template: 5}\n" + BODY, 1, "more.prompt_template", ""),
        ("---\nmodel: {}\n---\n@user\nx", 1, "nothing stands above the first", "Take the first"),
        ("model: {}\n----\n@user\nx", 2, "no separator", "three plain hyphens"),
        ("model: {}\n———\n@user\nx", 2, "no separator", "three plain hyphens"),
        ("@system\nS\n@user Greet {{a}} warmly\n", 3, "begins no message", "lines below"),
        ("@user Greet {{a}} warmly\n", 1, "begins no message", "lines below"),
        ("@system\nS\n@User\nU", 3, "no role 'User'", "@user"),
        ("@system\nS\n@placehodler history\n@user\nx", 3, "no role 'placehodler'", "@placeholder"),
        ("name: 0x1F\n" + BODY, 1, "0x1F would be text; write 31, or put it in quotes", ""),
        ("name: 1e3\n" + BODY, 1, "name must be text; put it in quotes", ""),
        ("@placeholder a b\n@user\nx", 1, "begins no message", ""),
        ("@tool\ndef f(): ...", 1, "needs the id of the call", "as text"),
        (
            "@user\n<<<<<<< HEAD\nHi\n=======\nHo\n>>>>>>> other\n",
            2,
            "a merge left its marks",
            "as a text of its own",
        ),
    ],
)
def test_what_was_probably_not_meant_is_told_with_its_line(text: str, line: int, said: str, hint: str) -> None:
    with pytest.raises(CellError, match=r"^Line \d") as caught:
        parse_definition(text)
    assert caught.value.line == line
    assert said in caught.value.message and hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "@user please\nx",
        "<<<<<<< HEAD\nx",
        "a\n@usr\nb",
        "@tool\n",
        "@placeholder x",
        "trailing  \nblanks\t",
        "\ttab",
        "\r\n",
        "a\rb",
        "\ufeffx",
        "a\u2028b\u0085c",
    ],
)
def test_each_of_these_is_text_all_the_same_and_comes_back_to_the_byte(text: str) -> None:
    for message in ({"role": "user", "content": text}, {"role": "tool", "content": text}):
        template = {"template_type": "normal", "messages": [message], "variable_defs": []}
        written = format_definition(Definition({"prompt_template": template}))
        read = parse_definition(written)
        assert read.detail["prompt_template"] == template
        assert format_definition(read) == written


@pytest.mark.parametrize(
    "text",
    [
        "1e-1",
        "-1e5",
        "007",
        "0o17",
        "0x1F",
        "1_000",
        "+1",
        ".5",
        "1.",
        "TRUE",
        "NULL",
        ".nan",
        "None",
        "NaN",
        "-inf",
        "yes",
        "1.10",
        "2024-01-01",
        "a: b",
        "x #y",
        "&a",
        "",
    ],
)
def test_what_yaml_would_read_otherwise_is_quoted_where_it_is_written(text: str) -> None:
    detail = {
        "prompt_template": {
            "template_type": "normal",
            "messages": [{"role": "user", "content": "x"}],
            "variable_defs": [{"key": text or "a", "type": "string", "desc": text}],
        },
        "model_config": {"extra": text, "stop": [text, text]},
    }
    definition = Definition(detail, text, text)
    assert parse_definition(format_definition(definition)) == definition


def test_two_that_are_the_same_object_are_written_out_twice() -> None:
    same = {"type": "function", "function": {"name": "f"}}
    template = {"template_type": "normal", "messages": [{"role": "user", "content": "x"}], "variable_defs": []}
    definition = Definition({"prompt_template": template, "tools": [same, same]})
    assert "&" not in format_definition(definition)
    assert parse_definition(format_definition(definition)) == definition


def test_a_template_of_a_kind_that_only_the_platform_renders_comes_and_goes_as_it_is() -> None:
    template = {
        "template_type": "go_template",
        "messages": [{"role": "user", "content": "{{ .name }} {% x %}"}],
        "variable_defs": [{"key": "name", "type": "string"}],
    }
    definition = Definition({"prompt_template": template})
    assert parse_definition(format_definition(definition)) == definition and find_slips(definition) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("model: {temprature: 0.2}", "no model has the setting temprature; did you mean temperature?"),
        ("variables: {a: {dsecription: x}}", "the variable a has no field dsecription; did you mean description?"),
    ],
)
def test_a_name_that_no_server_knows_is_a_slip(settings: str, said: str) -> None:
    assert find_slips(parse_definition(f"{settings}\n{BODY}")) == [said]
    assert find_slips(parse_definition(f"model: {{thinking: {{}}, model_name: m, other: 1}}\n{BODY}")) == []


def test_a_filter_that_jinja2_does_not_have_is_the_platforms_affair() -> None:
    body = "---\n@user\n{{ a|wobble }}{% if b is wobbly %}x{% endif %}"
    assert [each["key"] for each in variables_of("template: jinja2", body)] == ["a", "b"]


class TestHugeTemplates:
    """Counted, not timed: what took the square of a text's length would not end here."""

    @pytest.mark.parametrize("piece", ["{% ", "{{a ", "{# ", "{{ ", "{{a-"])
    def test_openings_that_never_close(self, piece: str) -> None:
        text = piece * 100_000
        assert isinstance(find_slips(parse_definition(f"@user\n{text}")), list)
        assert list(jinja_tags(text)) == []

    def test_tags_of_jinja_are_found_in_one_pass(self) -> None:
        text = "{% if a %}{{ b }}{# c }} #}{{ '%}' }}{% open"
        assert [text[start:end] for start, end in jinja_tags(text)] == [
            "{% if a %}", "{{ b }}", "{# c }} #}", "{{ '%}' }}",
        ]  # fmt: skip

    def test_a_long_message_from_python(self) -> None:
        content = "@user\n" + "a line\n" * 20_000
        template = {
            "template_type": "normal",
            "messages": [{"role": "user", "content": content}],
            "variable_defs": [],
        }
        definition = Definition({"prompt_template": template})
        assert parse_definition(format_definition(definition)) == definition

    def test_many_lines_with_empty_ones_in_between_are_compared(self) -> None:
        lines = [each for n in range(3_000) for each in (f"line {n}", "")]
        before, after = "\n".join(lines), "\n".join([*lines[:3000], "fresh", *lines[3000:]])
        changes = list(word_changes(before, after))
        assert "".join(text for kind, text in changes if kind != "removed") == after
        assert "".join(text for kind, text in changes if kind != "added") == before
        assert [text for kind, text in changes if kind == "added"] == ["fresh\n"]
