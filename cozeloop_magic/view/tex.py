r"""Which formulas may be given to MathJax.

MathJax shares one page with the notebook: a formula can load addresses, write style attributes, cover what stands
beside it, redefine commands for the user's own cells, or nest so deep that the tab dies. New extensions add such
commands, so those that are known to be harmless are listed, not the others. A formula with any other command is
shown as its source.
"""

from __future__ import annotations

import re

__all__ = ["COMMANDS", "DEEPEST", "MOST", "ROW_WITH_HEIGHT", "cost", "is_harmless"]

_LETTERS = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa varkappa lambda mu nu xi omicron pi varpi
rho varrho sigma varsigma tau upsilon phi varphi chi psi omega digamma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon
Phi Psi Omega varGamma varDelta varTheta varLambda varXi varPi varSigma varUpsilon varPhi varPsi varOmega
aleph beth gimel daleth ell hbar hslash imath jmath wp Re Im partial nabla infty emptyset varnothing forall exists
nexists neg lnot top bot angle measuredangle sphericalangle triangle square Box Diamond diamondsuit heartsuit clubsuit
spadesuit blacksquare lozenge blacklozenge bigstar flat natural sharp prime backprime surd mho eth complement degree
dagger ddagger dag ddag S P copyright pounds checkmark maltese
"""
_OPERATORS = """
pm mp times div cdot ast star circ bullet cap cup uplus sqcap sqcup vee lor wedge land setminus smallsetminus wr
diamond bigtriangleup bigtriangledown triangleleft triangleright oplus ominus otimes oslash odot bigcirc amalg
ltimes rtimes intercal barwedge veebar curlyvee curlywedge Cap Cup boxplus boxminus boxtimes boxdot circledast
circledcirc circleddash dotplus sum prod coprod int iint iiint iiiint oint smallint bigcap bigcup bigsqcup bigvee
bigwedge bigodot bigotimes bigoplus biguplus
"""
_RELATIONS = """
le leq leqslant leqq ge geq geqslant geqq lt gt ll lll gg ggg ne neq equiv sim simeq approx approxeq cong doteq propto
varpropto asymp prec preceq succ succeq preccurlyeq succcurlyeq subset subseteq subseteqq subsetneq supset supseteq
supseteqq supsetneq sqsubset sqsubseteq sqsupset sqsupseteq in ni owns notin vdash dashv models vDash Vdash nvdash
nvDash mid nmid parallel nparallel perp bowtie smile frown between therefore because triangleq coloneqq eqqcolon
bumpeq nless ngtr nleq ngeq nleqslant ngeqslant nsubseteq nsupseteq nsim ncong lesssim gtrsim lessgtr gtrless
lessapprox gtrapprox trianglelefteq trianglerighteq vartriangleleft vartriangleright colon not
"""
_ARROWS = """
to gets leftarrow rightarrow leftrightarrow Leftarrow Rightarrow Leftrightarrow longleftarrow longrightarrow
longleftrightarrow Longleftarrow Longrightarrow Longleftrightarrow uparrow downarrow updownarrow Uparrow Downarrow
Updownarrow mapsto longmapsto hookleftarrow hookrightarrow leftharpoonup leftharpoondown rightharpoonup
rightharpoondown rightleftharpoons leftrightharpoons nearrow searrow swarrow nwarrow iff implies impliedby leadsto
rightsquigarrow leftrightsquigarrow twoheadrightarrow twoheadleftarrow rightarrowtail leftrightarrows rightleftarrows
rightrightarrows leftleftarrows curvearrowleft curvearrowright circlearrowleft circlearrowright nleftarrow nrightarrow
nLeftarrow nRightarrow nLeftrightarrow xrightarrow xleftarrow
"""
_ACCENTS = """
hat widehat bar tilde widetilde vec dot ddot dddot ddddot acute grave breve check mathring overline underline
overbrace underbrace overrightarrow overleftarrow overleftrightarrow underrightarrow underleftarrow overset underset
stackrel boxed
"""
_DELIMITERS = """
left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr Bigr biggr Biggr bigm Bigm biggm Biggm lbrace rbrace
lbrack rbrack langle rangle lfloor rfloor lceil rceil lvert rvert lVert rVert vert Vert backslash lgroup rgroup
lmoustache rmoustache ulcorner urcorner llcorner lrcorner
"""
_FONTS = """
mathbb mathbf mathrm mathcal mathfrak mathsf mathtt mathit mathscr mathnormal boldsymbol bm pmb Bbb rm bf it cal sf tt
text textbf textit textrm textsf texttt textnormal mbox operatorname
"""
_FUNCTIONS = """
sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arg deg det dim exp gcd hom inf injlim ker lg lim
liminf limsup ln log max min Pr projlim sup varliminf varlimsup varinjlim varprojlim pmod bmod mod pod
"""
_STRUCTURE = """
frac dfrac tfrac cfrac binom dbinom tbinom sqrt over choose substack begin end hline limits nolimits displaystyle
textstyle scriptstyle scriptscriptstyle quad qquad enspace thinspace ldots cdots vdots ddots dots dotsc dotsb dotsm
dotsi dotso mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner nonumber notag mathstrut
"""

COMMANDS = frozenset(
    " ".join(
        [_LETTERS, _OPERATORS, _RELATIONS, _ARROWS, _ACCENTS, _DELIMITERS, _FONTS, _FUNCTIONS, _STRUCTURE]
    ).split()
)
"""Commands that draw what they are given, at its place and in its size, and change nothing behind them."""

_SIGNS = frozenset(",;:!> \n\t\\{}|_&%#$")  # what may follow a backslash, other than a name

DEEPEST = 30
"""Groups in groups: MathJax and the browser recurse into them, and twice as many are still shown at once."""

ROW_WITH_HEIGHT = re.compile(r"\\\\\*?\s*\[")
"""A new row with an optional argument, the one dimension that harmless commands could be given."""

MOST = 3_300
"""What all formulas of an answer may cost: 300 plain ones."""

_LONGEST = 2_000
_MOST_CELLS = 500
_BACKWARDS = 20  # spaces: more of them would lay a formula over what stands before it
_CELL_OR_ROW = re.compile(r"\\begin|\\.|&", re.DOTALL)
_TOKEN = re.compile(r"\\(?P<name>[A-Za-z]+)|\\(?P<sign>.)|[\\{}%]", re.DOTALL)
_BEGIN = re.compile(
    r"\\(?:begin\s*\{(?:"
    r"(?:[pbBvV]?|small)matrix\}|cases\}|(?:align(?:ed)?|gather(?:ed)?|equation|multline)\}|split\}"
    r"|(?:align|gather|equation|multline)\*\}|alignat\*?\}\s*\{\d\}|array\}\s*(?:\[[tcb]\]\s*)?\{[lcr|\s]{1,60}\}"
    r")(?!\s*\[(?![tcb]\]))"
    r"|end\s*\{(?:(?:[pbBvV]?|small)matrix|cases|aligned|gathered|split|array"
    r"|(?:align|alignat|gather|equation|multline)\*?)\})"
)
_OPENING = frozenset(
    ["{", "begin", "left", "displaystyle", "textstyle", "scriptstyle", "scriptscriptstyle"]
)  # a style holds all that follows it
_CLOSING = frozenset(["}", "end", "right"])


def is_harmless(source: str) -> bool:
    r"""Tell whether a formula, without its delimiters, may be shown as mathematics.

    Examples
    --------
    >>> is_harmless(r"\frac{a}{b} \le \sqrt{2}")
    True
    >>> is_harmless(r"\href{https://a.example}{x}")
    False
    """
    if len(source) > _LONGEST or "^^" in source or source.count(r"\!") > _BACKWARDS or ROW_WITH_HEIGHT.search(source):
        return False
    if _cells(source) > _MOST_CELLS:
        return False
    depth = 0
    for token in _TOKEN.finditer(source):
        what = token["name"] or token[0]
        if token["name"]:
            known = what in COMMANDS and (what not in ("begin", "end") or _BEGIN.match(source, token.start()))
        else:
            known = token["sign"] in _SIGNS if token["sign"] else what in "{}"
        depth += (what in _OPENING) - (what in _CLOSING)
        if not known or not 0 <= depth <= DEEPEST:
            return False
    return True


def cost(source: str) -> int:
    """Give what it costs to draw a formula, in cells of a matrix; as much as ten for its being one."""
    return 10 + _cells(source)


def _cells(source: str) -> int:
    """Give no fewer cells than will be drawn: every row is filled up to the widest.

    Which ``&`` stands in which of several matrices is not looked at, as TeX may read that differently: then all
    of them count for one row.
    """
    signs = _CELL_OR_ROW.findall(source)
    rows = "".join(sign for sign in signs if sign in ("&", "\\\\")).split("\\\\")
    widest = max(map(len, rows)) if signs.count("\\begin") <= 1 else source.count("&")
    return (widest + 1) * len(rows)
