r"""An answer's Markdown as Markdown that is safe to render with raw HTML on, as JupyterLab does.

The text stays as it is except where a renderer could be made to do something. Renderers differ in what they take for
code or for a formula, and JupyterLab cuts formulas out before it reads Markdown, so nothing here rests on such a
judgement: whatever the context, what is left is harmless text. A formula ends at a blank line at the latest, so
one stands on either side of a fence that is kept.

- A ``<`` that could begin a tag becomes ``&lt;``.
- ``](`` opens a link only towards http, https and mailto, else its second half becomes an entity. A link's title
  stands behind it: renderers would put it into an attribute.
- ``]:`` defines nothing, its second half becomes an entity: a renderer would leave out the line, and any number of
  links could repeat it.
- In a formula, where some renderers show an entity as it is written, a space between the two says the same.
- ``![`` becomes a link: reading an answer loads nothing.
- TeX that may not be in a formula (`tex`) loses its backslash to an entity in an element: no formula reaches over it.
- In an address, and in what touches it, the signs that begin a formula become entities: JupyterLab would put the
  formula's source, quotes and all, into the attribute that the address becomes.
- Formulas beyond what one answer may have (`tex.MOST`) are code, and what else could begin one is put in an element.
- A fence's info string is at most one plain word: renderers put it into an attribute. A line that only some of them
  would take for the opening of a fence loses its first sign to an entity.
- Code with such things in it is written as HTML in which every sign is an entity. A plain fence at the margin
  stays a fence, if none of its kind before it was anything but plain: there all renderers agree. A diagram's source
  is never left as one: renderers draw it.

Where code and formulas are is taken from markdown-it's blocks and, inside a paragraph, from a look at its delimiters;
a wrong guess costs an ugly ``&lt;``, never safety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it.token import Token

from cozeloop_magic.printable import NAMES, printable
from cozeloop_magic.view import code
from cozeloop_magic.view.markdown import block_tokens
from cozeloop_magic.view.tex import COMMANDS, DEEPEST, MOST, ROW_WITH_HEIGHT, cost, is_harmless

__all__ = ["safe"]

_TAG = r"<(?=[A-Za-z/!?])"
_ALLOWED = r"https?://|mailto:"
_ADDRESS = re.compile(r"(?:://|www\.|mailto:)\S*", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"[$\\]")
_ACTIVE = re.compile(rf"{_TAG}|!\[|\][(:]\s*<?(?!{_ALLOWED})[^\s)]*[:&\\]|(?:://|www\.|mailto:)[^\s$\\]*[$\\]")
_SPAN = re.compile(
    r"\\[\\`$]"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?P<code>.{1,2000}?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<math>\$\$.{1,2000}?\$\$|\$[^$\s](?:[^$]{0,2000}[^$\s])?\$(?!\d)|\\\((?:[^\\]|\\[^()])+\\\)"
    r"|\\\[(?:[^\\]|\\[^\[\]])+\\\]|\\begin\{(?P<name>\w+\*?)\}.{1,2000}?\\end\{(?P=name)\})",
    re.DOTALL,
)
_OPENING_TAG = re.compile(
    rf"(?P<kept><(?:(?:{_ALLOWED})[^\s<>\"'`]+|[\w.+-]+@[\w.-]+)>)|(?P<escapes>\\*){_TAG}", re.IGNORECASE
)
_IMAGE = re.compile(r"(?P<escapes>\\*)!(?=\[)")
_TARGET = rf"\s{{0,99}}<?(?:{_ALLOWED})[^\s<>\"`]*>?\s{{0,99}}"
_TITLED = re.compile(
    rf"\]\((?P<target>{_TARGET})(?<=\s)(?P<title>\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\))\s*\)", re.IGNORECASE
)
_LINK = re.compile(rf"\](?P<mark>\((?!{_TARGET}\))|:)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"\b(ftp|xmpp):(?=\S)", re.IGNORECASE)
_REFERENCE = re.compile(r"&#(?:x(?P<hex>[0-9a-f]{1,6})|(?P<dec>[0-9]{1,7}));", re.IGNORECASE)
_PLAIN_OPENING = re.compile(r"(?:`{3,}|~{3,})[ \t]*[A-Za-z0-9_+#.-]{0,32}")
_ODD_OPENING = re.compile(  # of a fence, for some renderer at least: more than a language becomes an attribute there
    r"^(?P<before>[ \t>*+\-\d.)|]*)(?P<sign>`(?=``+[^`\n]*$)|~(?=~~))"
    r"(?!(?P=sign)+[ \t]*[A-Za-z0-9_+#.-]{0,32}[ \t]*$)",
    re.MULTILINE,
)
_DRAWN = "mermaid"  # notebooks draw what begins so, and an exported page takes its source for HTML
_MAY_BEGIN_A_FORMULA = re.compile(
    r"\\begin(?![A-Za-z])|\\[(\[$]|\$|&(?:#0*(?:36|92)|#x0*(?:24|5c)|dollar|bsol);", re.IGNORECASE
)
_OPENS_IN_A_FORMULA = re.compile(rf"{_TAG}|\](?=[(:])")
_NEXT_ROW = re.compile(r"\\\\(?=[A-Za-z])")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_BRACE = re.compile(r"\\[{}]|%[^\n{]*|[{}]")  # a brace behind a percent sign closes nothing
_FENCE_SIGN = re.compile(r"```|~~~")


class _Purse:
    """What an answer may yet spend on formulas."""

    def __init__(self) -> None:
        self._left = MOST

    def pays(self, price: int) -> bool:
        self._left -= price
        return self._left >= 0


def safe(*parts: str) -> str:
    """Return Markdown as one text without anything that acts: an answer, and what is said of it, a paragraph each.

    They are read as one, since what one leaves open would reach into the next.
    """
    texts = [printable(part) for part in parts if part]
    source = "\n\n".join([*map(_closed, texts[:-1]), *texts[-1:]])
    return "".join(_parts(source, re.findall(r"[^\n]*\n|[^\n]+\Z", source), _Purse()))


def _closed(text: str) -> str:
    """Close the fence that an answer may have been cut in, so that it does not take in what follows."""
    last = next(iter(reversed(block_tokens(text))), None)
    if last is None or last.type != "fence" or last.map is None:
        return text
    begin, end = last.map
    lines = text.split("\n")[begin:end]
    is_closed = len(lines) > 1 and re.fullmatch(rf"[ ]{{0,3}}{last.markup}{last.markup[0]}*[ \t]*", lines[-1])
    return text if is_closed else f"{text.rstrip(chr(10))}\n{last.markup}"


def _parts(source: str, lines: list[str], purse: _Purse) -> Iterator[str]:
    done, agreed = 0, True
    for token in block_tokens(source):
        if token.type not in ("fence", "code_block") or token.map is None or token.map[0] < done:
            continue
        begin, end = token.map
        prose = "".join(lines[done:begin])
        block = lines[begin:end]
        agreed = agreed and not _FENCE_SIGN.search(prose)
        drawn = token.type == "fence" and code.language(token.info).startswith(_DRAWN)
        fence = token.type == "fence" and not token.level and not drawn
        plain = fence and _PLAIN_OPENING.fullmatch(block[0].rstrip())
        agreed = agreed and bool(plain or not _FENCE_SIGN.search("".join(block)))
        yield _prose(prose, purse)
        done = end
        if plain and agreed:
            before, behind = begin and lines[begin - 1].strip(), end < len(lines) and lines[end].strip()
            yield from ("\n" if before else "", *block, "\n" if behind else "")
        elif _acts("".join(block)) or drawn:
            yield _code_as_html(token, block)
        else:
            yield from block
    yield _prose("".join(lines[done:]), purse)


def _code_as_html(token: Token, block: list[str]) -> str:
    """Write a code block as HTML, keeping what stands before it on each line: a list's indent, a quote's ``>``."""
    fenced = token.type == "fence"
    shown = token.content.removesuffix("\n").split("\n")
    first = block[0].partition(token.markup)[0] if fenced else _before(block[0], shown[0]).removesuffix("    ")
    befores = [_before(line, text) for line, text in zip(block[fenced:], shown, strict=False)]
    language = code.language(token.info)
    named = f' class="language-{language}"' if language else ""
    rows = [before + _as_entities(text) for before, text in zip(befores[1:], shown[1:], strict=True)]
    caption = code.caption(token.info)
    told = f"{_as_entities(caption)}&#10;" if caption else ""
    opening = f"{first}<pre>{told}<code{named}>{_as_entities(shown[0])}"
    blank = "" if first.strip() else first.rstrip() + "\n"
    return blank + "\n".join([opening, *rows]) + "</code></pre>\n\n"


def _before(line: str, text: str) -> str:
    line = line.rstrip("\n")
    return line[: len(line) - len(text)] if line.endswith(text) else (re.match(r"[\s>]*", line) or [""])[0]


def _prose(text: str, purse: _Purse) -> str:
    text = _ODD_OPENING.sub(lambda m: f"{m['before']}&#{ord(m['sign'])};", text)
    return _without_tex("".join(_paragraph(part, purse) for part in re.split(r"(\n[ \t]*\n)", text)))


def _paragraph(text: str, purse: _Purse) -> str:
    parts, done = [], 0
    for span in _SPAN.finditer(text):
        touches = _ends_in_address(text[done : span.start()])
        if touches and not span["code"]:
            continue  # what follows is read as words
        parts.append(_without_formula(_words(text[done : span.start()]), purse))
        done = span.end()
        if span["code"]:
            parts.append(_code_span(span[0], span["code"], touches))
        elif span["math"]:
            parts.append(_formula(span[0], bool(span["name"]), purse))
        else:
            parts.append(_without_formula(span[0], purse))
    return "".join([*parts, _without_formula(_words(text[done:]), purse)])


def _ends_in_address(text: str) -> bool:
    begin = max(map(text.rfind, " \n\t")) + 1
    return _ADDRESS.search(text, begin) is not None


def _code_span(source: str, inside: str, touches: bool) -> str:
    if not touches and not _acts(source) and "]:" not in source:
        return source
    inside = inside.replace("\n", " ")
    if inside.strip() and inside[0] == inside[-1] == " ":
        inside = inside[1:-1]
    return f"<code>{_as_entities(inside)}</code>"


def _words(text: str) -> str:
    text = _ADDRESS.sub(lambda m: _IN_ADDRESS.sub(lambda sign: f"&#{ord(sign[0])};", m[0]), text)
    text = _OPENING_TAG.sub(lambda m: m["kept"] or _unescaped(m["escapes"]) + "&lt;", text)
    text = _IMAGE.sub(lambda m: _unescaped(m["escapes"]) + ("&#33;" if len(m["escapes"]) % 2 else "🖼 "), text)
    text = _TITLED.sub(lambda m: f"]({m['target'].strip()}) {m['title']}", text)
    text = _LINK.sub(lambda m: "]" + _as_entities(m["mark"]), text)
    text = _OTHER_SCHEME.sub(lambda m: m[1] + "&#58;", text)
    return _REFERENCE.sub(lambda m: _shown(m), text)


def _without_formula(text: str, purse: _Purse) -> str:
    """Let no formula begin in plain words, once the purse is empty; they may hold half of one, or only money."""

    def kept(found: re.Match[str]) -> str:
        sign = found[0]
        if sign != r"\begin" and purse.pays(5):
            return sign
        if sign[0] == "&" or sign == r"\$":
            return f"<span>{sign if sign[0] == '&' else '&#36;'}</span>"
        return f"<span>&#{ord(sign[0])};</span>{sign[1:]}"

    return _MAY_BEGIN_A_FORMULA.sub(kept, text)


def _formula(source: str, bare: bool, purse: _Purse) -> str:
    edge = 1 if source[0] == "$" != source[1] else 2
    inside = source if bare else source[edge:-edge]
    if not is_harmless(inside) or not purse.pays(cost(inside)):
        return f"<code>{_as_entities(source.replace(chr(10), ' '))}</code>"
    return _words(_NEXT_ROW.sub(r"\g<0> ", _OPENS_IN_A_FORMULA.sub(r"\g<0> ", source)))


def _without_tex(text: str) -> str:
    """Take from what a renderer could yet find a formula in all that may not be in one: none reaches over a tag."""
    text = ROW_WITH_HEIGHT.sub(lambda m: m[0][:-1] + "<span>&#91;</span>", text)
    text = _COMMAND.sub(lambda m: m[0] if m[1] in COMMANDS else "<span>&#92;</span>" + m[1], text)
    parts, done, depth = [], 0, 0
    for brace in _BRACE.finditer(text):
        depth = max(0, depth + {"{": 1, "}": -1}.get(brace[0], 0))
        if depth > DEEPEST:
            parts += [text[done : brace.start()], "<span>&#123;</span>"]
            done, depth = brace.end(), depth - 1
    return "".join([*parts, text[done:]])


def _acts(text: str) -> bool:
    return bool(_ACTIVE.search(text) or _ODD_OPENING.search(text)) or _without_tex(text) != text


def _unescaped(backslashes: str) -> str:
    """Take away the backslash that escapes what follows."""
    return backslashes[len(backslashes) % 2 :]


def _shown(reference: re.Match[str]) -> str:
    number = int(reference["hex"], 16) if reference["hex"] else int(reference["dec"])
    return NAMES.get(chr(number), reference[0]) if number <= 0x10FFFF else reference[0]


def _as_entities(text: str) -> str:
    return "".join(char if char.isalnum() or char == " " or ord(char) > 127 else f"&#{ord(char)};" for char in text)
