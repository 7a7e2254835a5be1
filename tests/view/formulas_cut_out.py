"""How JupyterLab keeps formulas from its Markdown renderer: it cuts them out before, and puts them back after."""

from __future__ import annotations

import re

_SIGN = re.compile(
    r"\$\$?|\\(?P<side>begin|end)(?P<name>\{[a-z]*\*?\})|\\\\[()\[\]]|\\[{}$]|[{}]|\n\s*|@@\d+@@", re.IGNORECASE
)
_ENDS = {"$": "$", "$$": "$$", "\\\\(": "\\\\)", "\\\\[": "\\\\]"}
_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^`\n]*\n[\s\S]*?^(?P=fence)`*$|(?<![\\`])(?P<ticks>`+)[^\n]*?[^`\n](?P=ticks)(?!`)",
    re.MULTILINE,
)
_HIDDEN = "\ue000"  # a dollar in code
_IN_ADDRESS = re.compile(r"(?:://|www\.|mailto:)[^\s<]*@@(\d+)@@", re.IGNORECASE)


def cut_out(text: str, *, knows_code: bool) -> tuple[str, list[str]]:
    """Return Markdown with a mark in place of each formula, and the formulas.

    Parameters
    ----------
    text : str
        Markdown.
    knows_code : bool
        Whether dollars in code begin none, as from JupyterLab 4.5 on; other signs do, also there.
    """
    if knows_code:
        text = _CODE.sub(lambda code: code[0].replace("$", _HIDDEN), text)
    found: list[tuple[int, int]] = []
    begin, end, depth, last = -1, "", 0, -1
    for sign in _SIGN.finditer(text):
        what = sign[0]
        if what.startswith("@@"):
            found.append(sign.span())
        elif begin < 0:
            opens = "\\end" + sign["name"] if (sign["side"] or "").lower() == "begin" else _ENDS.get(what)
            if opens:
                begin, end, depth, last = sign.start(), opens, 0, -1
        elif what == end and depth:
            last = sign.end()
        elif what == end or what.count("\n") > 1:
            last = sign.end() if what == end else last
            found = _with(found, begin, last)
            begin = -1
        else:
            depth = max(0, depth + {"{": 1, "}": -1}.get(what, 0))
    found = _with(found, begin, last) if begin >= 0 else found
    parts, done = [], 0
    for number, (start, stop) in enumerate(found):
        parts += [text[done:start], f"@@{number}@@"]
        done = stop
    formulas = [text[start:stop].replace(_HIDDEN, "$") for start, stop in found]
    return "".join([*parts, text[done:]]).replace(_HIDDEN, "$"), formulas


def _with(found: list[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """Add a formula, if it has an end, in place of the marks inside it."""
    return [each for each in found if each[0] < begin] + [(begin, end)] if end >= 0 else found


def put_back(html: str, formulas: list[str]) -> str:
    """Return HTML with the formulas in their places, escaped as if each stood in text."""
    escaped = [each.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for each in formulas]
    return re.sub(r"@@(\d+)@@", lambda mark: escaped[int(mark[1])], html)


def in_addresses(html: str, formulas: list[str]) -> list[str]:
    """Return the formulas whose places are in an attribute, or in words that JupyterLab makes a link of.

    A mark of the answer's own is no formula.
    """
    words = re.sub(r"<(pre|code)\b.*?</\1>", "<", html, flags=re.DOTALL)
    places = (int(place[1]) for place in _IN_ADDRESS.finditer(words))
    return [formulas[place] for place in places if not formulas[place].startswith("@@")]
