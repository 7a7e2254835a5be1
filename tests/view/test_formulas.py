"""Which formulas are mathematics, for MathJax and for a browser alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.view import tex
from cozeloop_magic.view.markdown import Blocks, to_html
from cozeloop_magic.view.mathml import _is_plain, to_mathml
from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import faults
from tests.view.snippets import text_of


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
    assert settled + tail == to_html(text, live=True)
    assert (settled + tail).count("<math>") == 300


def test_a_kept_formula_stands_there_for_mathjax_and_for_a_page_without_it() -> None:
    html = to_html("$a<b$")
    assert html == (
        '<p><span class="cozeloop-formula"><span class="cozeloop-tex mathjax_process tex2jax_process">'
        r"\(a&lt;b\)</span>"
        '<rp><span class="cozeloop-mathml" hidden="hidden"><math><mi>a</mi><mo>&lt;</mo><mi>b</mi></math></span></rp>'
        "</span></p>\n"
    )


def test_a_formula_that_comes_is_for_the_browser_alone() -> None:
    html = to_html("$$\na\n$$\n\n$5 \\smallmatrix 5$", live=True)
    assert '<span class="cozeloop-display"><math display="block"><mi>a</mi></math></span>' in html
    assert "mathjax_process" not in html


@pytest.mark.parametrize(
    "source",
    [
        r"\begin{aligned}[t] a &= b \\ &= c \end{aligned}",
        r"\begin{alignat}{2} a &= b \end{alignat}",
        r"\begin{gather*} a \\ b \end{gather*}",
        r"\begin{multline} a \\ b \end{multline}",
        r"\begin{split} a &= b \end{split}",
        r"\begin{smallmatrix} a & b \end{smallmatrix}",
        r"\begin{array}{l|r} a & b \\ \hline c & d \end{array}",
        r"\sum_{\substack{i<n\\j<n}} a_{ij}",
        r"\text{if } \textbf{x} \textrm{y} \textsf{z} \texttt{w} \mbox{v}",
        r"\widetilde{x} \dotsb \varlimsup_n x_n \smallsetminus y",
        r"\cfrac{1}{2} {n \choose k} a \over b",
        "机器 + x''",
    ],
)
def test_what_mathjax_draws_a_browser_draws_alone(source: str) -> None:
    html = to_html(f"$${source}$$")
    assert "<math" in html and "mathjax_process" in html


@pytest.mark.parametrize("source", [r"\text{a $x$ b}", "x" + "'" * 900, r"\sqrt " * 120 + "x", r"\hbar_{"])
def test_a_formula_that_has_no_mathml_is_left_to_mathjax_or_shown_as_its_source(source: str) -> None:
    assert to_mathml(source, display=False) is None
    assert "<math" not in to_html(rf"\({source}\)") + to_html(rf"\({source}\)", live=True)


@pytest.mark.parametrize(
    "mathml",
    [
        "<math><mi onclick=alert(1)>x</mi></math>",
        '<math><mi onclick="alert(1)">x</mi></math>',
        '<math href="https://evil.example"><mi>x</mi></math>',
        '<math><mi style="background: url(https://evil.example)">x</mi></math>',
        '<math><mspace width="999em"/></math>',
        '<math><mi class="jp-Notebook">x</mi></math>',
        "<math><mtext><img src=x></mtext></math>",
        "<math><annotation-xml><p>x</p></annotation-xml></math>",
        "<math><mi>x</mi>",
        "</math><math>",
        "<math><mi>a < b</mi></math>",
        "<math><mi>&quot;&#x202e;</mi></math>",
        "<mrow>" * 101 + "</mrow>" * 101,
    ],
)
def test_nothing_but_plain_formulas_is_taken_from_the_library(mathml: str) -> None:
    assert not _is_plain(mathml)
    assert _is_plain('<math><mfrac><mi>a</mi><mspace width="0.2778em"/></mfrac></math>')


@given(
    st.lists(
        st.sampled_from(
            [*(f"\\{name}" for name in sorted(tex.COMMANDS)), *"{}[]()^_&|<>'\"`~%#@!,xyα字🎉 \n", "\\\\"]
        )
    )
)
def test_any_formula_is_harmless_as_mathml(pieces: list[str]) -> None:
    for display in (True, False):
        assert faults(to_mathml("".join(pieces), display=display) or "") == []


def test_the_mathml_of_an_answer_is_no_larger_than_it_can_bear() -> None:
    answer = ("$x" + "'" * 300 + "$ ") * 400
    assert len(to_html(answer)) < 60 * len(answer)
