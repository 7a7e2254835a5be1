"""What the platform's Jinja does otherwise than Jinja2: printing, operators, filters, and what it does not have.

The platform renders with gonja, in Go. Sources: the server's own answers to some two hundred templates, and gonja's
documentation. Where it would crash, the embedded Loop goes on and remarks on it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from jinja2 import TemplateSyntaxError, nodes, pass_environment
from jinja2.environment import Environment
from jinja2.filters import make_attrgetter
from jinja2.runtime import LoopContext, Macro, TemplateReference, Undefined
from jinja2.utils import Namespace

__all__ = [
    "FILTERS",
    "NULL_IN_LIST",
    "add",
    "check_syntax",
    "divide",
    "get_field",
    "in_order",
    "lacks",
    "only_here",
    "power",
    "replace_filters",
    "to_text",
]

NULL_IN_LIST = "a list that holds null is printed: works here, not on the platform"

FILTERS = frozenset(
    "abs attr batch capitalize center d default dictsort e escape filesizeformat first float forceescape format "
    "groupby indent int items join last length list lower map max min pprint random reject rejectattr replace "
    "reverse round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper "
    "urlencode urlize wordcount wordwrap xmlattr".split()
)
"""The filters that there are; of Jinja2's own, `count` is missing."""

_UNESCAPED_IN_PATH = "$&+=:@"


def to_text(value: Any, remark: Callable[[str], object] = lambda text: None) -> str:
    """Print a value as the platform does: null as nothing, keys in order, text within quotes as it stands."""
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool) or value is NotImplemented:
        return str(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Namespace):
        value = value._Namespace__attrs
    if isinstance(value, Mapping):
        pairs = sorted(f"{_inside(key, remark)}: {_inside(each, remark)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, tuple) and hasattr(value, "grouper"):
        return f"({', '.join(_inside(each, remark) for each in value)})"
    if isinstance(value, (list, tuple, range, KeysView, ValuesView, ItemsView)):
        if any(each is None for each in value):
            remark(NULL_IN_LIST)
        return f"[{', '.join(_inside(each, remark) for each in value)}]"
    if callable(value) and not isinstance(value, (Macro, TemplateReference)):
        raise TypeError("a function is printed; call it with ()")
    return str(value)


def _inside(value: Any, remark: Callable[[str], object]) -> str:
    return f"'{value}'" if isinstance(value, str) else to_text(value, remark)


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def in_order(value: Any, pairs: bool) -> Any:
    """Return what a loop goes over: an object's keys in order, or its pairs where two names are given."""
    if isinstance(value, Mapping):
        keys = sorted(value, key=str)
        return [(key, value[key]) for key in keys] if pairs else keys
    return value


def add(left: Any, right: Any) -> Any:
    """Add numbers and lists; with text on either side, join both as text."""
    if isinstance(left, str) or isinstance(right, str):
        return to_text(left) + to_text(right)
    return left + right


def divide(left: Any, right: Any) -> Any:
    """Divide as floats do in Go: by 0, there is infinity."""
    if isinstance(left, (int, float)) and isinstance(right, (int, float)) and right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    return left / right


def power(left: Any, right: Any) -> float:
    """Raise to a power, as a float."""
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


# Filters.


def _default(value: Any, default: Any = "", boolean: bool = False) -> Any:
    """Replace what is undefined or null; with `boolean`, also what is empty."""
    return default if value is None or isinstance(value, Undefined) or (boolean and not value) else value


def _int(value: Any) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if math.isfinite(value) else 0
    try:
        return int(float(value)) if isinstance(value, str) else 0
    except (ValueError, OverflowError):
        return 0


def _float(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else 0.0
    except ValueError:
        return 0.0


_STRING_OR_SMALL = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e-[0-9]+')


def _tojson(value: Any, indent: int | None = None) -> str:
    """Write JSON without blanks, numbers as Go does, characters as they are but for what acts in HTML or a script."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        _plain(value), indent=indent, separators=separators, ensure_ascii=False, sort_keys=True, allow_nan=False
    )
    for sign in "<>&'\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return _STRING_OR_SMALL.sub(_small_number, text)


def _small_number(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith('"'):
        return text
    number = Decimal(text)
    return format(number, "f") if abs(number) >= Decimal("1e-6") else text.replace("e-0", "e-")


def _pprint(value: Any) -> str:
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Undefined):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value


def _urlencode(value: Any) -> str:
    if isinstance(value, Mapping):
        return "&".join(f"{quote(str(key), _UNESCAPED_IN_PATH)}={quote(to_text(value[key]), _UNESCAPED_IN_PATH)}"
                        for key in sorted(value))  # fmt: skip
    return quote(to_text(value), _UNESCAPED_IN_PATH)


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | None = None, start: Any = 0) -> Any:
    total = sum(_each(environment, values, attribute), start)
    return int(total) if isinstance(total, float) and total.is_integer() else total


@pass_environment
def _join(environment: Environment, values: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    return to_text(d).join(map(to_text, _each(environment, values, attribute)))


def _each(environment: Environment, values: Iterable[Any], attribute: str | None) -> Iterable[Any]:
    return values if attribute is None else map(make_attrgetter(environment, attribute), values)


def replace_filters(environment: Environment) -> None:
    """Give an environment the platform's filters, and take away those it does not have."""
    of_jinja = environment.filters
    own: dict[str, Callable[..., Any]] = {
        "default": _default,
        "d": _default,
        "int": _int,
        "float": _float,
        "string": to_text,
        "tojson": _tojson,
        "pprint": _pprint,
        "urlencode": _urlencode,
        "sum": _sum,
        "join": _join,
    }
    environment.filters = {
        name: own.get(name, of_jinja.get(name)) for name in FILTERS if name in own or name in of_jinja
    }


# What is missing.

_LOOP_METHODS = ("cycle", "changed", "previtem", "nextitem")
_METHODS: dict[type, tuple[str, ...]] = {
    dict: ("keys",),
    list: ("append", "copy", "reverse"),
    bool: ("bit_count", "bit_length"),
    int: ("bit_count", "bit_length", "is_integer"),
    float: ("is_integer",),
}
_KINDS = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}
_TEXT_METHODS = ("index", "rindex", "translate", "maketrans", "isidentifier")


def check_syntax(environment: Environment, text: str, syntax: nodes.Template) -> None:
    """Refuse what the platform cannot parse.

    Raises
    ------
    TemplateSyntaxError
        With the line.
    """
    for node in syntax.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
        raise TemplateSyntaxError("include, extends, import and from are not allowed", node.lineno)
    for block in syntax.find_all((nodes.AssignBlock, nodes.CallBlock)):
        name = "set without =" if isinstance(block, nodes.AssignBlock) else "call"
        raise TemplateSyntaxError(f"{name} is not known on the platform", block.lineno)
    before = ""
    for line, kind, _ in environment.lex(text):
        if kind == "string" == before:
            raise TemplateSyntaxError("two texts stand side by side; join them with ~", line)
        before = before if kind == "whitespace" else kind


def get_field(value: Any, name: str) -> tuple[bool, Any]:
    """Return whether an object has a key of this name, and what it holds: keys come before methods."""
    if isinstance(value, Mapping) and name in value:
        return True, value[name]
    return False, None


def lacks(value: Any, name: str) -> bool:
    """Whether the platform has no such attribute, though Python has."""
    if isinstance(value, LoopContext):
        return name in _LOOP_METHODS
    return isinstance(value, str) and name in _TEXT_METHODS


def only_here(value: Any, name: str) -> str:
    """Return a remark where Python has such an attribute and the platform has none; empty where that is not so."""
    methods = _METHODS.get(type(value))
    if methods is None or name in methods or name.startswith("_") or not hasattr(value, name):
        return ""
    return f".{name} of {_KINDS[type(value)]}: works here, not on the platform"
