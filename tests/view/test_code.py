"""Code in answers: its colours, and what its fence says."""

from __future__ import annotations

import pytest

from cozeloop_magic.view import code
from cozeloop_magic.view.markdown import to_html
from tests.growth import cpu_seconds


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


LEXERS = {type(code._lexer(name)).__name__: name for name in sorted(code._LANGUAGES)}  # several names are one's


@pytest.mark.parametrize("language", LEXERS.values(), ids=LEXERS.keys())
def test_no_code_takes_long_to_colour(language: str) -> None:
    """Regular expressions can take forever, which only time shows: this process's own, ten times the most it is."""
    for unit in NASTY:
        line = (unit * 300)[:300] if unit.strip() else "a\n" + unit * 14
        source = ((line + "\n") * 1_000)[:5_000]
        assert any(cpu_seconds(lambda source=source: code.to_html(source, language)) < 1 for _ in range(3)), unit
