"""What a template fills in, told from its own words."""

from __future__ import annotations

import pytest

from cozeloop_magic.entities.prompt import ExecuteRequest, Message, Prompt, Role
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.template.fill import fill
from cozeloop_magic.template.render import render


def prompt(kind: str, *contents: str, **types: str) -> Prompt:
    return Prompt.from_json(
        {
            "prompt_key": "greet",
            "version": "1.0.0",
            "prompt_template": {
                "template_type": kind,
                "messages": [{"role": "system", "content": content} for content in contents],
                "variable_defs": [{"key": key, "type": type_} for key, type_ in types.items()],
            },
        }
    )


def shown(given: Prompt, values: dict[str, object], *messages: Message) -> list[str] | None:
    """Return each message's text, with what variables filled in within brackets."""
    filled = fill(given, encode_all(values), messages, lambda message: message.content or "")
    if filled is None:
        return None
    plain = render(given, encode_all(values), messages).messages
    assert ["".join(piece.text for piece in each.pieces) for each in filled] == [each.content or "" for each in plain]
    return ["".join(f"[{text}]" if marked else text for text, marked in each.pieces) for each in filled]


@pytest.mark.parametrize(
    ("kind", "text", "marked"),
    [
        ("normal", "Greet {{name}}, {{n}} times.", "Greet [Ada], [3] times."),
        ("normal", "{{name}}{{name}} {{ name }} {{other}}", "[Ada][Ada] {{ name }} {{other}}"),
        ("normal", "{{empty}}!", "!"),
        ("jinja2", "Greet {{ name }}, {{ n }} times.", "Greet [Ada], 3 times."),
        ("jinja2", "{% if name == 'Ada' %}Hi {{ name }}{% endif %}", "Hi Ada"),
        ("jinja2", "{{ name|upper }} {{ name }}", "[ADA] [Ada]"),
        ("jinja2", "{{ name|length }} {{ name }}", "3 Ada"),
    ],
)
def test_what_came_from_a_variable_is_marked_where_that_can_be_told(kind: str, text: str, marked: str) -> None:
    given = prompt(kind, text, name="string", n="integer", empty="string")
    assert shown(given, {"name": "Ada", "n": 3, "empty": ""}) == [marked]


def test_appended_messages_and_placeholders_stand_in_their_place() -> None:
    given = prompt("normal", "Hi {{name}}", name="string")
    said = Message(Role.USER, "and {{name}}")
    assert shown(given, {"name": "Ada"}, said) == ["Hi [Ada]", "and [Ada]"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("jinja2", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}" * 300, "Ada"),
        ("jinja2", "{{ name * 9999 }}", "Ada"),
        ("jinja2", "{{ name|replace('A', name) }}", "Ada"),
        ("jinja2", "{{", "Ada"),
        ("go_template", "{{.name}}", "Ada"),
        ("normal", "{{name}}", "a" * 600_000),
    ],
)
def test_what_takes_long_or_fails_is_not_told(kind: str, text: str, value: str) -> None:
    assert shown(prompt(kind, text, name="string"), {"name": value}) is None


def test_signs_of_ours_in_a_text_mark_nothing() -> None:
    assert shown(prompt("normal", "a \U000f5ca1 {{name}}", name="string"), {"name": "\U000f5ca2"}) == [
        "a \U000f5ca1 \U000f5ca2"
    ]


def test_a_prompt_without_a_template_tells_nothing() -> None:
    request = ExecuteRequest("greet")
    assert fill(Prompt("greet", "1.0.0"), [], request.messages, lambda message: "") is None
