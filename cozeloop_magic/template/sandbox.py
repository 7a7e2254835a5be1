"""The sandbox of a jinja2 template: Jinja2's own, with bounds of time and size, and the platform's dialect.

It imports Jinja2, so it is imported where a template is rendered.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from jinja2 import nodes
from jinja2.nodes import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from cozeloop_magic.template import dialect
from cozeloop_magic.template.jinja import MAX_OUTPUT_BYTES, too_long

__all__ = ["Sandbox", "make_sandbox", "parse"]

_MAX_RANGE = 10_000
_MAX_INTEGER_BITS = 65_536
_OPERATORS = {"+": dialect.add, "/": dialect.divide, "**": dialect.power}


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment with the platform's dialect, that looks at the clock in every turn, call and piece."""

    intercepted_binops = frozenset({"+", "*", "**", "%", "/"})
    in_order = staticmethod(dialect.in_order)
    deadline = 0.0
    remark: Callable[[str], object]

    def concat(self, pieces: Iterable[str]) -> str:
        """Join the text of a template, within the bounds of its size."""
        return _joined(pieces, self.deadline)

    def join_text(self, *values: Any) -> str:
        """Join what ``~`` joins, as the platform prints it."""
        return _joined(map(dialect.to_text, values), self.deadline)

    def check_deadline(self) -> None:
        """Refuse to go on when the time is over."""
        _check_deadline(self.deadline)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return the field of an object before its method, and none that the platform lacks."""
        has, value = dialect.get_field(obj, attribute)
        if has:
            return value
        if told := dialect.only_here(obj, attribute):
            self.remark(told)
        missing = dialect.lacks(obj, attribute)
        return self.undefined(obj=obj, name=attribute) if missing else super().getattr(obj, attribute)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what may be called, while there is time."""
        _check_deadline(self.deadline)
        if getattr(called, "__name__", "") == "replace" and len(args) < 3:
            raise TypeError("replace takes three values on the platform; write |replace(old, new)")
        return super().call(context, called, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute as the platform does, and nothing vast."""
        _check_operands(operator, left, right)
        if operator in _OPERATORS:
            return _OPERATORS[operator](left, right)
        return super().call_binop(context, operator, left, right)


def make_sandbox(deadline: float, remark: Callable[[str], object]) -> Sandbox:
    """Make an environment for one text: sandboxed, with the server's limits and its dialect."""
    environment = Sandbox(
        finalize=lambda value: dialect.to_text(value, remark) if not isinstance(value, str) else value
    )
    environment.deadline, environment.remark = deadline, remark
    dialect.replace_filters(environment)
    environment.filters = {name: _bounded(made, deadline) for name, made in environment.filters.items()}
    environment.globals["range"] = _short_range
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    return environment


def parse(environment: Sandbox, text: str) -> Template:
    """Parse a template, and put the limits and the platform's rules where Jinja2 has no hook for them."""
    syntax = environment.parse(text)
    dialect.check_syntax(environment, text, syntax)
    _Limits().visit(syntax)
    syntax.set_lineno(1)
    return syntax


def _call(method: str, arguments: list[nodes.Expr]) -> nodes.Call:
    """Make the syntax that calls a method of the environment."""
    return nodes.Call(nodes.EnvironmentAttribute(method), arguments, [], None, None)


class _Limits(NodeTransformer):
    """What Jinja2 has no hook for: the turns of a loop, and ``~``."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        two_names = nodes.Const(isinstance(node.target, nodes.Tuple))
        node.iter = _call("in_order", [cast("nodes.Expr", node.iter), two_names])
        node.body.insert(0, nodes.ExprStmt(_call("check_deadline", [])))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        self.generic_visit(node)
        return _call("join_text", node.nodes)


def _check_deadline(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise too_long()


def _bounded(filter_: Callable[..., Any], deadline: float) -> Callable[..., Any]:
    @functools.wraps(filter_)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_deadline(deadline)
        result = filter_(*args, **kwargs)
        if isinstance(result, Iterator):  # on the platform, a list
            return list(_checked(result, deadline))
        if isinstance(result, str) and len(result) > MAX_OUTPUT_BYTES:
            raise ValueError("a text in it is longer than 1 MB")
        return result

    return bounded


def _checked(items: Iterator[Any], deadline: float) -> Iterator[Any]:
    """Yield what a filter gives, within the bounds of what it may be."""
    for number, item in enumerate(items):
        if number >= MAX_OUTPUT_BYTES:
            raise ValueError("a list in it is longer than 1 MB")
        _check_deadline(deadline)
        yield item


def _joined(pieces: Iterable[str], deadline: float) -> str:
    joined, size = [], 0
    for piece in pieces:
        size += len(piece if len(piece) > MAX_OUTPUT_BYTES else piece.encode(errors="surrogatepass"))
        if size > MAX_OUTPUT_BYTES:
            raise ValueError("its text is longer than 1 MB")
        _check_deadline(deadline)
        joined.append(piece)
    return "".join(joined)


def _check_operands(operator: str, left: Any, right: Any) -> None:
    """Refuse a product, power or sum that would be vast before it is computed."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if bits > _MAX_INTEGER_BITS:
            raise ValueError("a number in it is too large")
    size = _size(left) + _size(right) if operator == "+" else _size(left) * _size(right)
    if operator in "+*" and size > MAX_OUTPUT_BYTES and not (_is_number(left) and _is_number(right)):
        raise ValueError("a text or list in it is longer than 1 MB")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _size(value: Any) -> int:
    if isinstance(value, int):
        return abs(value)
    return len(value) if hasattr(value, "__len__") else 1


def _short_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > _MAX_RANGE:
        raise ValueError(f"a range in it is longer than {_MAX_RANGE:,}")
    return numbers
