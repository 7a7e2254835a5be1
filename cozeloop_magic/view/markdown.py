r"""An answer's Markdown as HTML that is safe to show.

CommonMark with tables, task lists, strikethrough and mathematics (``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``). All text
is escaped: raw HTML is shown, never obeyed. From the model come no attributes but ``href`` (http, https, mailto), the
number a list starts with and the language of a code block. Images are links, so that reading an answer tells nobody
that it was read.

Mathematics goes out twice, to be seen once: as ``\(…\)`` in elements that MathJax is told to process, and as MathML,
for pages without MathJax. The caller tells MathJax to ignore the rest (`IGNORED`), or it would take ``$5 … $6`` in
prose for a formula.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any
from unicodedata import bidirectional

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, blockquote, list_block
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.dollarmath.index import math_inline_dollar

from cozeloop_magic.printable import printable
from cozeloop_magic.view import code, links, markdown_table, mathml, tex
from cozeloop_magic.view.open_tail import close_tail

__all__ = ["IGNORED", "Blocks", "block_tokens", "to_html"]

IGNORED = "mathjax_ignore tex2jax_ignore"
"""Classes of an element in which MathJax (3 and 2) must look for nothing; `_PROCESSED` inside it are exceptions."""

_PROCESSED = "mathjax_process tex2jax_process"

Env = MutableMapping[str, Any]

_SPENT = "cozeloop_formulas"  # what the formulas of an answer have cost so far; see `tex.MOST`
_LIVE = "cozeloop_live"  # whether formulas are drawn by the browser alone


class _Renderer(RendererHTML):
    """The rules that differ from markdown-it's own. `self.rules` finds them by token type."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        language, caption = code.language(tokens[idx].info), code.caption(tokens[idx].info)
        named = f' class="language-{escape(language)}"' if language else ""
        told = f'<p class="cozeloop-caption">{escape(caption, quote=False)}</p>\n' if caption else ""
        return f"{told}<pre><code{named}>{code.to_html(tokens[idx].content, language)}</code></pre>\n"

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return _anchor(str(tokens[idx].attrGet("href")))

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        target = tokens[idx].meta.get("target")
        return f'</a> <span class="cozeloop-target">({escape(target)})</span>' if target else "</a>"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        token = tokens[idx]
        alt = escape(self.renderInlineAsText(token.children or (), options, env)) or "image"
        if token.meta.get("in_link"):
            return f"🖼 {alt}"
        url = str(token.attrGet("src"))
        return f'🖼 {alt} <span class="cozeloop-target">({_anchor(url)}{escape(url)}</a>)</span>'

    def definition(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        """Show what a link's reference means, where markdown-it shows nothing: no line of an answer is lost."""
        label, url, title = (tokens[idx].meta[key] for key in ("label", "url", "title"))
        titled = f" “{escape(title, quote=False)}”" if title else ""
        return f"<p>[{escape(label, quote=False)}]: {_anchor(url)}{escape(url)}</a>{titled}</p>\n"

    def ordered_list_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        start, direction = tokens[idx].attrGet("start"), tokens[idx].attrGet("dir")
        begun = f' start="{int(start)}"' if start is not None else ""
        return f'<ol{begun} dir="rtl">\n' if direction else f"<ol{begun}>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return markdown_table.cell_html("th", markdown_table.css_class(tokens[idx]))

    def td_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return markdown_table.cell_html("td", tokens[idx].info)

    def cell(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return markdown_table.cell_html("td", tokens[idx].info, tokens[idx].content)

    def tr_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return "</tr>\n"

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return _formula(tokens[idx].content, r"\(", r"\)", env)

    def math_inline_double(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return _formula(tokens[idx].content, r"\[", r"\]", env, "cozeloop-display ")

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Env) -> str:
        return f"<p>{self.math_inline_double(tokens, idx, options, env)}</p>\n"


def _anchor(url: str) -> str:
    return f'<a href="{escape(url)}" rel="noopener noreferrer nofollow" target="_blank">' if url else "<a>"


def _formula(source: str, opening: str, closing: str, env: Env, css: str = "") -> str:
    source = source.strip()
    shown = escape(f"{opening}{source}{closing}", quote=False)
    if not tex.is_harmless(source) or closing in source:
        return f"<code>{shown}</code>"
    env[_SPENT] = env.get(_SPENT, 0) + tex.cost(source)
    if env[_SPENT] > tex.MOST:
        return f"<code>{shown}</code>"
    drawn = mathml.to_mathml(source, display=bool(css))
    if env.get(_LIVE):
        drawn = drawn or f"<code>{shown}</code>"
        return f'<span class="{css.strip()}">{drawn}</span>' if css else drawn
    if drawn is None:
        return f'<span class="{css}{_PROCESSED}">{shown}</span>'
    # Where style sheets are taken away, MathJax's is the only one that shows: see `render._FOLD`.
    alone = f'<rp><span class="cozeloop-mathml" hidden="hidden">{drawn}</span></rp>'
    return f'<span class="{css}cozeloop-formula"><span class="cozeloop-tex {_PROCESSED}">{shown}</span>{alone}</span>'


_dollars = math_inline_dollar(allow_space=False, allow_digits=False, allow_double=True)
_BRACKETS = re.compile(r"\\\((?P<inline>(?:[^\\]|\\[^()])+)\\\)|\\\[(?P<display>(?:[^\\]|\\[^\[\]])+)\\\]")


def _dollar_math(state: StateInline, silent: bool) -> bool:
    """Do as the plugin's rule, which at position 0 looks at the last character for the one before it."""
    source = state.src
    state.src = source + " " if state.pos == 0 else source
    try:
        return _dollars(state, silent)
    finally:
        state.src = source


def _bracket_math(state: StateInline, silent: bool) -> bool:
    r"""Read ``\(…\)`` and ``\[…\]``, which CommonMark would take for escaped brackets."""
    found = _BRACKETS.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        kind = "math_inline" if found["inline"] else "math_inline_double"
        state.push(kind, "math", 0).content = found["inline"] or found["display"]
    state.pos = found.end()
    return True


_OPENING, _LAST = re.compile(r"(?:!?\[)+"), -1  # where the last closing bracket is kept among markdown-it's positions


def _lone_bracket(state: StateInline, silent: bool) -> bool:
    """Take as words the brackets behind which none closes: markdown-it would look for the end of each."""
    if _LAST not in state.cache:
        state.cache[_LAST] = state.src.rfind("]")
    found = _OPENING.match(state.src, state.pos, state.posMax)
    if found is None or found.end() <= state.cache[_LAST]:
        return False
    state.pending += "" if silent else found[0]
    state.pos = found.end()
    return True


_CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Do as markdown-it does, and let ``**`` between CJK characters and punctuation open and close as it is meant.

    Chinese and Japanese put no blanks around words, so CommonMark takes ``是**“重点”**内`` for asterisks. This is the
    rule of the proposed CJK-friendly amendments to CommonMark.
    """
    marker = state.src[state.pos]
    if silent or marker not in ("_", "*"):
        return False
    scanned = state.scanDelims(state.pos, marker == "*")
    before = state.src[state.pos - 1] if state.pos else " "
    end = state.pos + scanned.length
    after = state.src[end] if end < state.posMax else " "
    star = marker == "*"
    opens = scanned.can_open or (star and not after.isspace() and bool(_CJK.match(before)))
    closes = scanned.can_close or (star and not before.isspace() and bool(_CJK.match(after)))
    for _ in range(scanned.length):
        state.push("text", "", 0).content = marker
        state.delimiters.append(Delimiter(ord(marker), scanned.length, len(state.tokens) - 1, -1, opens, closes))
    state.pos = end
    return True


_TASK = re.compile(r"\[(?P<done>[ xX])\](?=[ \t])")


def _draw_tasks(state: StateCore) -> None:
    """Put a box in place of the ``[ ]`` or ``[x]`` that begins an item of a list."""
    for item, paragraph, inside in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if (item.type, paragraph.type) != ("list_item_open", "paragraph_open"):
            continue
        if task := _TASK.match(inside.content):
            item.attrSet("class", "cozeloop-task")
            inside.content = ("☐" if task["done"] == " " else "☑") + inside.content[task.end() :]


def _look_at_links(state: StateCore) -> None:
    """Note on each link's end where it leads if its text says otherwise, and on images that they are in a link."""
    for block in state.tokens:
        opened: int | None = None
        children = block.children or []
        if not any(token.type == "link_open" for token in children):
            continue
        words = links.Words(map(_seen, children))
        for i, token in enumerate(children):
            if token.type == "link_open":
                opened = i
            elif token.type == "image" and opened is not None:
                token.meta["in_link"] = True
            elif token.type == "link_close" and opened is not None:
                token.meta["target"] = words.disguise(opened, i, str(children[opened].attrGet("href")))
                opened = None


def _seen(token: Token) -> str:
    if token.type.startswith("math"):
        return links.DRAWN
    between = "\n" if token.type in ("softbreak", "hardbreak") or token.tag == "td" else ""
    return between + token.content


def _look_at_directions(state: StateCore) -> None:
    """Lay out from right to left the blocks whose text begins so.

    ``dir="auto"`` around them would have the page look at all of a long answer again whenever a word is added.
    """
    block: Token | None = None
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1:
            block = token
        elif block is not None and token.type == "inline":
            kinds = map(bidirectional, token.content)
            first = next((kind for kind in kinds if kind in ("L", "R", "AL")), None)
            if first in ("R", "AL"):
                block.attrSet("dir", "rtl")
            block = None if first else block


def _parser(*steps: str, depth: int) -> MarkdownIt:
    options = {"html": False, "maxNesting": depth, "inline_definitions": True}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.use(dollarmath_plugin, allow_labels=False, allow_blank_lines=False)
    for kind in ("math_inline", "math_inline_double", "math_block"):
        parser.add_render_rule(kind, getattr(_Renderer, kind))
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.inline.ruler.at("math_inline", _dollar_math)
    parser.inline.ruler.before("escape", "bracket_math", _bracket_math)
    parser.inline.ruler.before("link", "lone_bracket", _lone_bracket)
    parser.block.ruler.at(
        "table", markdown_table.table_rule, {"alt": ["paragraph", "reference"]}
    )  # as markdown-it has it
    parser.core.ruler.at("inline", markdown_table.read_inside)
    parser.core.ruler.before("inline", "draw_tasks", _draw_tasks)
    parser.core.ruler.push("look_at_links", _look_at_links)
    parser.core.ruler.push("look_at_directions", _look_at_directions)
    parser.core.ruler.enableOnly(list(steps))
    parser.validateLink = links.is_safe  # type: ignore[method-assign]
    return parser


@lru_cache(maxsize=1)
def _blocks() -> MarkdownIt:
    """Make what finds the blocks. It must not come to its depth: it would leave out all that is deeper."""
    parser = _parser("normalize", "block", depth=sys.maxsize)
    ends = ["paragraph", "reference", "blockquote"]  # markdown-it's own words for what such a block ends
    parser.block.ruler.at("list", _down_to(_DEEPEST, list_block), {"alt": ends})
    parser.block.ruler.at("blockquote", _down_to(_DEEPEST, blockquote), {"alt": [*ends, "list"]})
    return parser


@lru_cache(maxsize=1)
def _insides() -> MarkdownIt:
    """Make what reads the text of blocks. At its depth it takes the rest of a paragraph as plain words."""
    return _parser("draw_tasks", "inline", "text_join", "look_at_links", "look_at_directions", depth=20)


_DEEPEST = 100  # of quotes, and half as many lists; what is deeper is shown as the text it is
_Rule = Callable[[StateBlock, int, int, bool], bool]


def _down_to(level: int, rule: _Rule) -> _Rule:
    return lambda state, start, end, silent: state.level < level and rule(state, start, end, silent)


def _render(text: str, env: Env) -> str:
    parser = _insides()
    state = StateCore(text, parser, env, _blocks().parse(text, env))
    parser.core.process(state)
    return printable(str(parser.renderer.render(state.tokens, parser.options, env)))


def to_html(text: str, *, live: bool = False) -> str:
    """Render an answer, as it is kept or as it is drawn while it comes: then no MathJax looks at its formulas."""
    return _render(text, {_LIVE: live})


def block_tokens(text: str) -> list[Token]:
    """Give the tokens of an answer's blocks, with the lines they come from."""
    return _blocks().parse(text)


class Blocks:
    """Renders an answer that is still being written: each block once, when it is settled, and the rest anew.

    A block is settled when another one has begun after it on a complete line; Markdown reads line by line, so nothing
    that follows changes it. Three things do reach back: a ``$$`` or a definition's title that may not be closed yet,
    which hold what is behind them until a blank line ends them, and a reference defined after its use, which only
    `to_html` of the whole sees.
    """

    def __init__(self) -> None:
        self._start = 0  # of what is not settled
        self._looked = 0  # complete lines up to here have been looked at
        self._env: Env = {_LIVE: True}

    def feed(self, text: str, *, growing: bool = False) -> tuple[list[str], str]:
        """Give the HTML of newly settled blocks, and of the tail behind them.

        Parameters
        ----------
        text : str
            The whole answer as far as it has come.
        growing : bool
            Whether more may come: then the tail is shown as it will be once its marks are closed.
        """
        settled = []
        complete = text.rfind("\n") + 1
        if complete > self._looked:
            self._looked = complete
            settled = [self._settle(text, end) for end in self._ends(text[self._start : complete])]
        env = {**self._env, "references": dict(self._env.get("references", {}))}
        tail = text[self._start :]
        if growing:
            tail = close_tail(tail, lambda part: _blocks().parse(part, {"references": dict(env["references"])}))
        return [html for html in settled if html], _render(tail, env)

    def _settle(self, text: str, end: int) -> str:
        block, self._start = text[self._start : end], end
        return _render(block, self._env)

    def _ends(self, tail: str) -> Iterable[int]:
        """Give the offsets, in the whole text, at which blocks begin that settle the one before them."""
        lines = _LINE.findall(tail)
        blank = max((i for i, line in enumerate(lines) if not line.strip()), default=-1)
        held = _open_formula(lines, blank)
        offset, seen = self._start, 0
        for token in _blocks().parse(tail, {"references": dict(self._env.get("references", {}))}):
            if token.level or token.nesting < 0 or token.map is None:
                continue
            begin, end = token.map
            if begin > held:
                return
            if begin > seen:
                offset += sum(map(len, lines[seen:begin]))
                seen = begin
                yield offset
            if token.type == "definition" and blank < end < len(lines) and _TITLE.match(lines[end]):
                held = min(held, begin)


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_TITLE = re.compile(r"\s*[\"'(]")  # may begin one, below a definition


def _open_formula(lines: Sequence[str], blank: int) -> int:
    """Give the first line after the `blank` one on which a ``$$`` may wait for its end; else the lines' number."""
    return next((i for i in range(blank + 1, len(lines)) if "$$" in lines[i]), len(lines))
