"""Formulas as MathML, which a browser draws with no script: in an exported page without network, and while they come.

The library's output is not trusted: what is not one of the elements and attributes here is no formula.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from math_core import LatexToMathML

__all__ = ["to_mathml"]

_ELEMENTS = (
    "math|menclose|mfrac|mi|mmultiscripts|mn|mo|mover|mpadded|mphantom|mprescripts|mroot|mrow|mspace|msqrt|mstyle|msub"
    "|msubsup|msup|mtable|mtd|mtext|mtr|munder|munderover|b|i|code|span"
)
_LENGTH = r"[+-]?\d?\d?(?:\.\d{1,9})?(?:em|ex|px|pt|%)?"
_CSS_VALUE = (
    r"left|right|center|start|end|\d(?:\.\d+)?(?:em)?(?: (?:solid|dashed) currentcolor)?|\d{1,2}(?:\.\d)?%|100%"
)
_CSS = (  # how a table's cells are aligned and ruled
    r"(?:(?:width|text-align|justify-items|padding-(?:left|right|top|bottom)|border-(?:left|right|top|bottom)): ?"
    rf"(?:{_CSS_VALUE});?)*"
)
_ATTRIBUTE = (
    r"(?:accent|accentunder|displaystyle|fence|largeop|movablelimits|separator|stretchy|symmetric)=\"(?:true|false)\""
    rf"|(?:depth|height|lspace|rspace|maxsize|minsize|voffset|width|linethickness)=\"{_LENGTH}\""
    r"|(?:display|form|mathvariant|notation|columnalign)=\"[a-z -]{0,40}\"|scriptlevel=\"[+-]?\d\""
    rf"|style=\"{_CSS}\"|class=\"math-core-(?:sans-)?serif-font\""
)
_TAG = re.compile(rf"<(?P<closes>/)?(?:{_ELEMENTS})(?: (?:{_ATTRIBUTE}))*(?P<empty>/)?>")
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|ApplyFunction|InvisibleTimes|nbsp);)")
_LONGEST = 16_000  # characters: a prime becomes fifty
_DEEPEST = 100  # elements in elements

_ENVIRONMENT = re.compile(r"\\(?P<side>begin|end)\s*\{(?P<name>\w+\*?)\}(?P<more>(?:\s*\[[tcb]\]|\s*\{\d\})?)")
_ALIKE = {"split": "aligned", "smallmatrix": "matrix", "alignat": "align*", "alignat*": "align*"}
_MACROS = {  # what the library does not have
    **dict.fromkeys(("dotsc", "dotso"), r"\ldots"),
    **dict.fromkeys(("dotsb", "dotsi", "dotsm"), r"\cdots"),
    **dict.fromkeys(("mbox", "textnormal"), r"\text{#1}"),
    "substack": r"\begin{matrix}#1\end{matrix}",
    "mathnormal": "#1",
    "pmb": r"\boldsymbol{#1}",
    "smallint": r"\int",
    "smallsetminus": r"\setminus",
    "varpropto": r"\propto",
    "varinjlim": r"\underrightarrow{\lim}",
    "varprojlim": r"\underleftarrow{\lim}",
    "varliminf": r"\underline{\lim}",
    "varlimsup": r"\overline{\lim}",
}


@lru_cache(maxsize=1)
def _converter() -> LatexToMathML:
    from math_core import LatexToMathML

    return LatexToMathML(macros=_MACROS, fancy_error=False, allow_unreliable_rendering=True)


@lru_cache(maxsize=2_000)
def to_mathml(source: str, *, display: bool) -> str | None:
    r"""Return a formula, without its delimiters, as MathML; None where it cannot be had, or not safely.

    Examples
    --------
    >>> to_mathml(r"a < \pi", display=False)
    '<math><mi>a</mi><mo>&lt;</mo><mi>π</mi></math>'
    """
    try:
        from math_core import LatexError
    except ImportError:  # as in a browser's own Python, for which it is not built
        return None
    source = _ENVIRONMENT.sub(lambda m: rf"\{m['side']}{{{_ALIKE.get(m['name'], m['name'])}}}", source)
    try:
        found = _converter().convert_with_local_state(source, displaystyle=display)
    except LatexError:
        return None
    return found if len(found) <= _LONGEST and _is_plain(found) else None


def _is_plain(mathml: str) -> bool:
    """Whether there is nothing but formulas in it, and not too deep for a browser."""
    depth = 0
    for tag in _TAG.finditer(mathml):
        depth += 0 if tag["empty"] else -1 if tag["closes"] else 1
        if not 0 <= depth <= _DEEPEST:
            return False
    text = _TAG.sub("", mathml)
    return depth == 0 and "<" not in text and ">" not in text and not _ENTITY.search(text)
