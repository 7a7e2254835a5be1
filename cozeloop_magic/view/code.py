"""Code colours: few and quiet, as classed spans, by Pygments."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from itertools import groupby

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType

__all__ = ["caption", "language", "to_html"]

# Pygments' lexers are regular expressions with no bound on their time. These were measured to be near linear for
# sources that are `_quick`; those of java, csharp and kotlin were not.
_LANGUAGES = frozenset(
    """
    python python3 py pycon json yaml yml toml ini bash sh shell zsh console sql javascript js jsx typescript ts tsx
    html css xml markdown md diff c cpp c++ go golang rust rs ruby rb php r swift scala julia jl latex tex lua
    perl pl haskell hs powershell ps1 make makefile docker dockerfile
    """.split()
)
_LONGEST = 10_000  # characters; what is longer stays plain
_LONGEST_LINE = 300
_LANGUAGE = re.compile(r"\s*([A-Za-z0-9_+#.-]{1,32})(?!\S)")
_MANY_BLANK_LINES = re.compile(r"(?:\n[^\S\n]*){16}")

_CLASSES = {
    Comment: "c",
    Keyword: "k",
    Operator.Word: "k",
    Number: "m",
    Literal: "s",
    String: "s",
    Name.Builtin: "nb",
    Name.Class: "nf",
    Name.Decorator: "nd",
    Name.Function: "nf",
    Name.Tag: "k",
    Name.Attribute: "nb",
    Operator: "o",
}


def language(info: str) -> str:
    """Give the language that a fence's info string names; empty if it names none plainly."""
    found = _LANGUAGE.match(info)
    return found[1].lower() if found else ""


def caption(info: str) -> str:
    """Give what a fence's info string says beside the language."""
    return _LANGUAGE.sub("", info, count=1).strip()


def to_html(source: str, name: str) -> str:
    """Escape code, and colour it where its language is known."""
    lexer = _lexer(name) if name in _LANGUAGES and _quick(source) else None
    if lexer is None:
        return escape(source, quote=False)
    marked = groupby(((_class(kind), text) for kind, text in lexer.get_tokens(source)), key=lambda pair: pair[0])
    return "".join(_span(css, "".join(text for _, text in group)) for css, group in marked)


def _quick(source: str) -> bool:
    return (
        len(source) <= _LONGEST
        and all(len(line) <= _LONGEST_LINE for line in source.split("\n"))
        and not _MANY_BLANK_LINES.search(source)
    )


def _span(css: str, text: str) -> str:
    shown = escape(text, quote=False)
    return f"<span class={css}>{shown}</span>" if css else shown  # a quote is two bytes on the wire, and spans many


@cache
def _class(kind: _TokenType) -> str:
    return next((_CLASSES[part] for part in reversed(kind.split()) if part in _CLASSES), "")


@lru_cache(maxsize=64)
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)
