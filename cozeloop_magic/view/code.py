"""Code colours: few and quiet, as classed spans, by Pygments."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from html import escape
from itertools import groupby

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

__all__ = ["language", "to_html"]

_LONGEST = 50_000  # characters; what is longer stays plain

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
    word = info.split(maxsplit=1)[0] if info.strip() else ""
    return word.lower() if re.fullmatch(r"[A-Za-z0-9_+#.-]{1,32}", word) else ""


def to_html(source: str, name: str) -> str:
    """Escape code, and colour it where its language is known."""
    lexer = _lexer(name) if name and len(source) <= _LONGEST else None
    if lexer is None:
        return escape(source, quote=False)
    marked = groupby(((_class(kind), text) for kind, text in lexer.get_tokens(source)), key=lambda pair: pair[0])
    return "".join(_span(css, "".join(text for _, text in group)) for css, group in marked)


def _span(css: str, text: str) -> str:
    shown = escape(text, quote=False)
    return f"<span class={css}>{shown}</span>" if css else shown  # a quote is two bytes on the wire, and spans many


@cache
def _class(kind: _TokenType) -> str:
    return next((_CLASSES[part] for part in reversed(kind.split()) if part in _CLASSES), "")


@lru_cache(maxsize=64)
def _lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
