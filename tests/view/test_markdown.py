"""Markdown to HTML: what an answer may contain, and what it may not do."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from cozeloop_magic.view import code
from cozeloop_magic.view.markdown import Blocks, to_html
from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import PAYLOADS, SCHEMES, faults, read

# A renderer as forgiving as a notebook's: raw HTML on, every scheme allowed, bare addresses made links.
PERMISSIVE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PERMISSIVE.validateLink = lambda url: True  # type: ignore[method-assign]

SNIPPETS = [
    "# A heading\n",
    "A heading\n===\n",
    "Another\n---\n",
    "A paragraph of *words*, `code` and **more**\non two lines.\n",
    "概念：机器学习 🎉\n",
    "- one\n- two\n  - deeper\n",
    "- loose\n\n- list\n",
    "1. first\n2. second\n",
    "7. seventh\n\n   more of it\n",
    "* * *\n",
    "---\n",
    "> a quote\nthat is lazy\n",
    "```python\nx = 1  # <b>\n\nprint(x)\n```\n",
    "~~~\nplain\n~~~\n",
    "```unclosed\ntext\n",
    "    indented code\n",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n",
    "| a | b |\n|---|---|\n| 1 | 2 | 3 | `x|y` |\n| 4 |\n",
    "> | a |\n> |---|\n> | 1 | 2 |\n",
    "| not | a table |\n| --- |\n",
    "- [ ] to do\n- [x] done\n",
    "1. [x] done\n\n   [ ] text\n",
    "text before\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "$$\na - b\n- c\n# d\n$$\n",
    "$$\nnever closed\n",
    "$x$ begins and 5 ends it 5\n",
    "It costs $5 and $6.\n",
    "\\[\nx = 1\n\\]\n",
    "<div>\nraw\n</div>\n",
    "&amp; &#x202E; \\* a\\\nb  \nc\n",
    "![alt](https://example.org/a.png) [google.com](https://evil.example)\n",
    "~~gone~~\r\nand\rold line ends\r\n",
    "\n",
    " \n",
    "\t\n",
    "  ",
    "\n[defined]: https://example.org\n",
    "\n[titled]: https://example.org\n  'A title\non two lines'\n",
    '"a title\n===\nthat ends" (late)\n',
]


def text_of(html: str) -> str:
    return "".join(read(html).text.split())


def faults_of_markdown(answer: str) -> list[str]:
    """Name what could act in an answer made safe and rendered; relative links may stay in code."""
    attributes = {"href", "title", "class", "start", "style"}
    return faults(PERMISSIVE.render(safe(answer)), attributes, SCHEMES | {""})


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_of_a_hostile_answer_holds_nothing_that_acts(payload: str) -> None:
    assert faults(to_html(payload)) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_of_a_hostile_answer_renders_to_nothing_that_acts(payload: str) -> None:
    assert faults_of_markdown(payload) == []


@given(st.lists(st.sampled_from(PAYLOADS + SNIPPETS), max_size=6), st.sampled_from(["", "\n", "\n\n", " ", "\n  "]))
def test_hostile_answers_stay_harmless_however_they_are_put_together(parts: list[str], between: str) -> None:
    answer = between.join(parts)
    assert faults(to_html(answer)) == []
    assert faults_of_markdown(answer) == []


@given(st.text(alphabet="<>&;:/!?[](){}`~$\\*_-#|= \n\tabjsx\"'1.", max_size=60))
def test_any_text_is_harmless(answer: str) -> None:
    assert faults(to_html(answer)) == []
    assert faults_of_markdown(answer) == []


@given(st.data())
def test_feeding_an_answer_in_pieces_gives_what_rendering_it_whole_gives(data: st.DataObject) -> None:
    answer = "".join(data.draw(st.lists(st.sampled_from(SNIPPETS), max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=12)))
    blocks, settled, tail = Blocks(), "", ""
    for cut in [*cuts, len(answer)]:
        new, tail = blocks.feed(answer[:cut])
        settled += "".join(new)
    assert settled + tail == to_html(answer)


def test_a_block_is_given_once_and_the_tail_anew() -> None:
    blocks = Blocks()
    assert blocks.feed("One **bo") == ([], "<p>One **bo</p>\n")
    assert blocks.feed("One **bold**\n\nTw") == ([], "<p>One <strong>bold</strong></p>\n<p>Tw</p>\n")
    assert blocks.feed("One **bold**\n\nTwo\n") == (["<p>One <strong>bold</strong></p>\n"], "<p>Two</p>\n")
    assert blocks.feed("One **bold**\n\nTwo\n\n- x\n") == (["<p>Two</p>\n"], "<ul>\n<li>x</li>\n</ul>\n")


def test_a_reference_that_was_defined_before_is_known_later() -> None:
    blocks, answer = Blocks(), "[home]: https://example.org\n\nSee [home].\n\nAnd [home]\nagain."
    settled, tail = blocks.feed(answer)
    assert "".join(settled) + tail == to_html(answer)
    assert tail.count("<a ") == 1 and len(settled) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "".join(f"{'  ' * n}- item{n}\n" for n in range(200)) + "the end",
        "> " * 5_000 + "the end",
        "> - " * 2_000 + "the end",
        "[" * 500 + "the end" + "](https://a.example)" * 500,
        "*_" * 500 + "the end" + "_*" * 500,
    ],
    ids=["list", "quote", "both", "links", "emphasis"],
)
def test_no_word_is_lost_however_deep_it_stands(answer: str) -> None:
    html = to_html(answer)
    assert "the end" in html
    assert all(f"item{n}" in html for n in range(200) if f"item{n}" in answer)


@pytest.mark.parametrize("before", ["", "> ", "- "])
def test_no_cell_of_a_row_that_has_more_than_the_head_is_lost(before: str) -> None:
    lines = ["| a | b |", "|---|--:|", "| 1 | 2 | 3 | `4` |", "5 | 6 | \\|", "| 7 |"]
    answer = before + ("\n" + before.replace("-", " ")).join(lines)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in to_html(answer).split("<tr>")[2:]]
    assert rows == [["1", "2", "3", "<code>4</code>"], ["5", "6", "|"], ["7", ""]]


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("- [ ] to *do*", "☐ to <em>do</em>"),
        ("- [x] done", "☑ done"),
        ("1. [X] done", "☑ done"),
        ("- [ ]", "[ ]"),
        ("- [x](https://a.example)", None),
        ("- do [ ] this", "do [ ] this"),
        ("- # [ ] title", None),
        ("[ ] no item", None),
    ],
)
def test_a_box_that_begins_an_item_is_drawn(item: str, shown: str | None) -> None:
    html = to_html(item)
    assert ("☐" in html or "☑" in html) == ("cozeloop-task" in html) == (shown is not None and shown[0] in "☐☑")
    assert shown is None or re.search(rf"<li[^>]*>{re.escape(shown)}</li>", html)


@pytest.mark.parametrize("answer", ["$5 and $6", "US$5, A$6", "from $5–$10", "a\\$b\\$", "`$x$`", "$ x $"])
def test_money_is_no_formula(answer: str) -> None:
    assert "mathjax_process" not in to_html(answer)


@pytest.mark.parametrize(
    ("answer", "formula"),
    [
        ("$a<b$", r"\(a&lt;b\)"),
        ("$x$ is 5", r"\(x\)"),
        (r"\(a\,b\)", r"\(a\,b\)"),
        ("$$\na\n$$", r"\[a\]"),
        ("so\n$$a$$\nthen", r"\[a\]"),
        ("\\[\na\n\\]", r"\[a\]"),
    ],
)
def test_formulas_alone_are_for_mathjax(answer: str, formula: str) -> None:
    assert f'mathjax_process tex2jax_process">{formula}</span>' in to_html(answer)


@pytest.mark.parametrize(
    "formula",
    [
        r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}",
        r"\sum_{i=1}^{n} i^2 \quad \prod_{\substack{i<n\\j<n}} a_{ij} \int_0^\infty e^{-x^2}\,dx \le \sqrt[3]{\pi}",
        r"\lim_{x \to 0} \frac{\sin x}{x} = 1 \iff \forall\varepsilon > 0\;\exists\delta",
        r"\begin{pmatrix} a & b \\ c & d \end{pmatrix} \vec{v} = \lambda \mathbf{v}",
        r"\begin{aligned}[t] f(x) &= \left\{ y \,\middle|\, y < x \right\} \\ &= \emptyset \end{aligned}",
        r"|x| = \begin{cases} x & \text{if } x \ge 0 \\ -x & \text{otherwise} \end{cases}",
        r"\left[\begin{array}{cc|c} 1 & 0 & 2 \\ \hline 0 & 1 & 3 \end{array}\right]",
        r"\hat\beta = \operatorname*{arg\,max}_\beta \bigl\| y - X\beta \bigr\|_2^2",
        r"\nabla \times \vec{E} = -\frac{\partial \vec{B}}{\partial t} \approx 5\% \cdot \mathbb{R}",
        r"\boxed{a \equiv b \pmod{n}} \xrightarrow[k]{f} \overset{!}{=} \underbrace{1 + \cdots + 1}_{n}",
        "{" * 30 + "x" + "}" * 30,
    ],
)
def test_an_ordinary_formula_is_mathematics(formula: str) -> None:
    assert "mathjax_process" in to_html(f"${formula}$")
    assert "<code>" not in safe(f"${formula}$")


@pytest.mark.parametrize(
    "formula",
    [
        r"\href{https://a.example}{x}",
        r"\unicode[x;background:url(https://a.example)]{65}",
        r"\def\x{y}",
        r"\rlap{x}",
        r"\hspace{9em}",
        r"\textcolor{red}{x}",
        r"\eqref{x}",
        r"\begin{CD}x\end{CD}",
        r"\begin{array}{p{99em}}x\end{array}",
        r"\begin{alignat}{99999999}x\end{alignat}",
        r"a\\[9em]b",
        r"a\\* [9em]b",
        "a%b",
        "a^^5cb",
        r"\!" * 21 + "x",
        r"\displaystyle" * 31 + "x",
        r"\left(" * 31 + "x" + r"\right)" * 31,
        "{" * 31 + "x" + "}" * 31,
        "x+" * 1_000 + "x",
        r"\begin{matrix}" + "&" * 900 + r"\\" * 470 + r"\end{matrix}",
        r"\begin{matrix}" + r"\begin{matrix}\\\end{matrix}&" * 40 + r"\\" * 200 + r"\end{matrix}",
        r"\begin{matrix}" + "&" * 200 + r"\text{\end{matrix}\begin{matrix}}" + r"\\" * 200 + r"\end{matrix}",
    ],
)
def test_a_formula_that_could_act_is_shown_as_its_source(formula: str) -> None:
    html = to_html(f"${formula}$")
    assert html.startswith("<p><code>")
    assert text_of(html) == "".join(rf"\({formula}\)".split())
    assert safe(f"${formula}$").startswith("<code>")


@pytest.mark.parametrize(
    ("formula", "drawn"),
    [
        ("$x$ ", 300),
        ("$$\nx\n$$\n\n", 300),
        (r"$\begin{matrix}" + "a & b &" * 10 + r"\\" * 22 + r"\end{matrix}$ ", 6),
    ],
)
def test_so_many_formulas_of_an_answer_are_mathematics_and_the_rest_is_source(formula: str, drawn: int) -> None:
    html = to_html(formula * 400)
    assert html.count("mathjax_process") == drawn
    assert html.count("<code>") == 400 - drawn
    assert safe(formula * 400).count("<code>") == 400 - drawn


def test_formulas_are_counted_across_the_blocks_of_a_live_answer() -> None:
    blocks, text, settled = Blocks(), "", ""
    for _ in range(100):
        text += "$x$ $x$ $x$ $x$\n\n"
        new, tail = blocks.feed(text)
        settled += "".join(new)
    assert settled + tail == to_html(text)
    assert (settled + tail).count("mathjax_process") == 300


def test_safe_markdown_leaves_no_sign_that_begins_a_formula_once_there_are_enough() -> None:
    after = safe("$5 or " * 2_000 + "end $ a \\$b &#36;c \\(d").partition("end ")[2]
    assert after == "<span>&#36;</span> a <span>&#36;</span>b <span>&#36;</span>c <span>&#92;</span>(d"


def test_safe_markdown_draws_an_environment_without_dollars_only_if_it_is_harmless() -> None:
    assert safe(r"\begin{matrix}a & b\end{matrix}") == r"\begin{matrix}a & b\end{matrix}"
    assert safe(r"\begin{matrix}" + "&" * 90 + r"\\" * 90 + r"\end{matrix}").startswith("<code>")
    assert safe(r"\begin{matrix}" + "&" * 9_000) == r"<span>&#92;</span>begin{matrix}" + "&" * 9_000


def test_safe_markdown_lets_no_formula_reach_over_a_foreign_command() -> None:
    assert safe(r"\$\unicode{65}\$") == r"\$<span>&#92;</span>unicode{65}\$"
    assert safe(r"\$\\unicode{65}\$") == r"\$\<span>&#92;</span>unicode{65}\$"
    assert safe(r"$a\\b$") == r"$a\\ b$"
    assert safe("{" * 31) == "{" * 30 + "<span>&#123;</span>"


def test_a_formula_with_brackets_stays_one() -> None:
    assert safe("$f[x](y) + g[x]: A$") == "$f[x] (y) + g[x] : A$"


def test_code_is_coloured_by_its_language_and_unknown_languages_stay_plain() -> None:
    assert '<code class="language-python"><span class=k>def</span>' in to_html("```python\ndef f(): 1\n```")
    assert to_html("```wat\na<b\n```") == '<pre><code class="language-wat">a&lt;b\n</code></pre>\n'
    assert to_html('```x"y\na\n```').endswith("<pre><code>a\n</code></pre>\n")


def test_code_is_left_plain_where_colours_could_take_long() -> None:
    sources = {"long": "x = 1\n" * 2_000, "wide": "x" * 301, "blank": "x = 1" + "\n" * 16 + "y"}
    assert all("<span" not in to_html(f"```python\n{source}\n```") for source in sources.values())
    assert "<span" not in to_html("```androidbp\nx = 1\n```")


NASTY = [
    "\n",
    " ",
    "\t",
    '"',
    "'",
    "`",
    "(",
    "[",
    "{",
    "<",
    "a",
    "\\",
    "a(",
    "a b ",
    "a.",
    '"\\',
    "/*",
    "${",
    "<?",
    "<!--",
    "\n a",
]


@pytest.mark.parametrize(
    ("info", "language", "caption"),
    [
        ("text important <b>", "text", "important &lt;b&gt;"),
        ('Python title="a.py"', "python", 'title="a.py"'),
        ("{python}", "", "{python}"),
    ],
)
def test_what_a_fence_says_beside_its_language_is_its_caption(info: str, language: str, caption: str) -> None:
    named = f' class="language-{language}"' if language else ""
    assert to_html(f"~~~ {info}\nx\n~~~").startswith(f'<p class="cozeloop-caption">{caption}</p>\n<pre><code{named}>')


@pytest.mark.parametrize("language", sorted(code._LANGUAGES))
def test_no_code_takes_long_to_colour(language: str) -> None:
    for unit in NASTY:
        line = (unit * 300)[:300] if unit.strip() else "a\n" + unit * 14
        source = ((line + "\n") * 1_000)[:10_000]
        began = time.process_time()
        code.to_html(source, language)
        assert time.process_time() - began < 3, unit


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


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("1. واحد\n2. two", '<ol dir="rtl">'),
        ("- שלום", '<ul dir="rtl">'),
        ("> 42 اقتباس", '<blockquote dir="rtl">'),
        ("| א | b |\n|---|---|", '<table dir="rtl">'),
        ("- one واحد", "<ul>"),
        ("- 42\n\n```\nx\n```\n\nواحد", "<ul>"),
    ],
)
def test_a_block_runs_from_right_to_left_where_its_text_begins_so(text: str, start: str) -> None:
    assert to_html(text).startswith(start)


def test_bidirectional_overrides_and_controls_are_named() -> None:
    assert text_of(to_html("a\u202eb &#x2066; \x1b[31m")) == "a‹U+202E›b‹U+2066›␛[31m"


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if "![" not in s and "]:" not in s])
def test_safe_markdown_of_an_ordinary_answer_renders_to_the_same_text(snippet: str) -> None:
    assert text_of(PERMISSIVE.render(safe(snippet))) == text_of(MarkdownIt("commonmark", {"html": False})
        .enable(["table", "strikethrough"]).render(snippet)).replace("\u202e", "‹U+202E›")  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        "# Title\n\nwords, `code`, [a](https://a.example) and <https://b.example> and a < b\n",
        "1. list\n\n   ```python\n   x = a[0](b)\n   ```\n",
        "$a_1 < b$ and\n\n$$\nx\n$$\n",
        "| a |\n|---|\n| b |\n",
        "Text:\n\n```html\n<script>alert(1)</script>\n```\n\nmore\n",
    ],
)
def test_safe_markdown_leaves_ordinary_markdown_as_it_is(answer: str) -> None:
    assert safe(answer) == answer


@pytest.mark.parametrize(
    "code",
    ["`<b>`", "- ```html\n  <b>\n\n    <i>\n  ```", "> ```\n> <b>\n> ```", "a\n\n    <b>\n    </b>", "`` ` <b> ``"],
)
def test_html_in_code_reads_as_it_was_written(code: str) -> None:
    strict = MarkdownIt("commonmark", {"html": False})
    assert text_of(PERMISSIVE.render(safe(code))) == text_of(strict.render(code))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_exported_page_makes_nothing_of_safe_markdown(payload: str) -> None:
    acting = re.compile(r"<(?:script|img|svg|iframe|object|embed|form|style|link|meta|base)\b", re.IGNORECASE)
    assert not acting.search(markdown2html_mistune(safe(payload)))
