"""Links, images and definitions: where they lead, and that they say so."""

from __future__ import annotations

import re

import pytest

from cozeloop_magic.view.markdown import to_html
from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import read
from tests.view.snippets import PERMISSIVE, text_of

DEFINITIONS = [
    "[Source]: https://example.com/paper",
    "The result.\n\n[Source]: https://example.com",
    '> [Note]: <https://example.com/a> "careful:\n> the <real> answer is 5"',
    "- [x]: https://a.example\n- [x]:\n  mailto:b@a.example 'twice'",
    '[a `b]: https://a.example "c` d"',
    '[$b]: https://a.example "c$ d"',
    "[^1]: https://a.example\n[**b**]: https://b.example (over\ntwo lines)\nand text",
]


@pytest.mark.parametrize("answer", DEFINITIONS)
def test_no_definition_is_lost(answer: str) -> None:
    for html in (to_html(answer), PERMISSIVE.render(safe(answer))):
        assert re.findall(r"\w+", answer) == re.findall(r"\w+", read(html).text)


def test_a_definition_shows_where_it_leads_and_its_references_lead_there() -> None:
    html = to_html('[a]\n\n[a]: https://a.example "<b>"')
    assert html.count('<a href="https://a.example"') == 2
    assert "<p>[a]: <a " in html and ">https://a.example</a> “&lt;b&gt;”</p>" in html


def test_one_long_definition_makes_no_answer_of_hundreds_of_megabytes() -> None:
    for long in (
        "https://a.example/" + "b" * 30_000,
        f'https://a.example "{"b" * 30_000}"',
        f"<https://a.example/{'b ' * 9_000}>",
    ):
        answer = f"[x]: {long}\n\n" + "[x] " * 1_000
        assert len(to_html(answer)) < 5 * len(answer)
        assert len(PERMISSIVE.render(safe(answer))) < 3 * len(answer)


def test_an_image_is_a_link_and_loads_nothing() -> None:
    html = to_html("![a *cat*](https://example.org/c.png)")
    assert "<img" not in html
    assert text_of(html) == "🖼acat(https://example.org/c.png)"


def test_links_open_elsewhere_and_tell_the_target_nothing() -> None:
    expected = '<p><a href="https://a.example" rel="noopener noreferrer nofollow" target="_blank">x</a></p>\n'
    assert to_html("[x](https://a.example 'title')") == expected


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("[google.com](https://evil.example)", "evil.example"),
        ("[https://bank.example/login](https://bank.example.evil.example)", "bank.example.evil.example"),
        ("[**google**.com](https://evil.example)", "evil.example"),
        ("[`google.com`](https://evil.example)", "evil.example"),
        ("[ｇｏｏｇｌｅ．ｃｏｍ](https://evil.example)", "evil.example"),
        ("[goo\u200bgle.com](https://evil.example)", "evil.example"),
        ("[google。com](https://evil.example)", "evil.example"),
        ("<https://google.com@evil.example>", "evil.example"),
        ("[goo\u034fgle.com](https://evil.example)", "evil.example"),
        ("[goo\ufe0fgle.com](https://evil.example)", "evil.example"),
        ("[goo\u3164gle.com](https://evil.example)", "evil.example"),
        ("[goo\U000e0101gle.com](https://evil.example)", "evil.example"),
        ("[google\ua4f8com](https://evil.example)", "evil.example"),
        ("[$google.com$](https://evil.example)", "evil.example"),
        ("[$\\mathrm{x}$](https://evil.example)", "evil.example"),
        ("[аpple.com](https://apple.com)", "apple.com"),
        ("[10.0.0.1](https://evil.example)", "evil.example"),
        ("[me@a.example](mailto:you@b.example)", "you@b.example"),
        ("[a.example](mailto:you@b.example)", "you@b.example"),
        ("[bank.\u0332com](https://evil.example)", "evil.example"),
        ("[bank\u200a.com](https://evil.example)", "evil.example"),
        *((f"[bank{dot}com](https://evil.example)", "evil.example") for dot in "·\u0701\u05c5\u06d4\u0660"),
        ("[localhost:8888](https://evil.example)", "evil.example"),
        ("[https://localhost](https://evil.example)", "evil.example"),
        ("https://bank.com[/login](https://evil.example)", "evil.example"),
        ("**bank**[.com](https://evil.example)", "evil.example"),
        ("[bank](https://evil.example).com", "evil.example"),
        ("accounts.bank`.`[com](https://evil.example)", "evil.example"),
        ("accounts.bank*\u200b.\u200b*[com/login](https://evil.example)", "evil.example"),
        ("[accounts](https://evil.example)*\u200b.\u200b*bank.com/login", "evil.example"),
        (f"bank.{'*' + 300 * chr(0x200B) + '*'}[com](https://evil.example)", "evil.example"),
        ("bank.*c*[om](https://evil.example)", "evil.example"),
        ("bank\u200a*.*[com](https://evil.example)", "evil.example"),
        ("bank$.$[com](https://evil.example)", "evil.example"),
        ("[me@bank.com](mailto:me@bank.com?cc=him%40evil.example)", "me@bank.com?cc=him@evil.example"),
        ("[me@bank.com](mailto:me@bank.com?to=him@evil.example)", "me@bank.com?to=him@evil.example"),
    ],
)
def test_a_link_that_names_another_place_shows_where_it_leads(link: str, target: str) -> None:
    assert f'<span class="cozeloop-target">({target})</span>' in to_html(link)


@pytest.mark.parametrize(
    "link",
    [
        "<https://a.example/b?c=d>",
        "[a.example](https://www.a.example/x)",
        "[the docs](https://a.example)",
        "[me@a.example](mailto:me@a.example)",
        "[me@a.example](mailto:me@a.example?subject=Hello)",
        "It costs $x$ at [the docs](https://a.example)",
        "b.example *and*\u00a0[the docs](https://a.example)",
        "[A.Example](https://a.example)",
        "see [the docs](https://a.example), and [more](https://b.example). Then",
        "(v1.2)[the docs](https://a.example)",
        "(https://b.example) [the docs](https://a.example)",
        "请看[文档](https://a.example)中的说明",
        "[One. Two](https://a.example)s",
        "[at 10:30](https://a.example)",
        "[localhost:8888](http://localhost:8888/x)",
        "https://a.example[/login](https://a.example/login)",
    ],
)
def test_an_honest_link_is_left_alone(link: str) -> None:
    assert "cozeloop-target" not in to_html(link)
