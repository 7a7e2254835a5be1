"""What `transport` puts in place of a part of urllib3, http.client or a socket names the tests that need it there."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import cozeloop_magic.transport

OURS = cozeloop_magic.transport.__name__
FOREIGN = {"urllib3", "requests", "http", "socket", "_socket", "socks", "ssl", "io", "_io"}
TESTS = {
    node.name
    for path in Path(__file__).parents[1].rglob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef)
}


def hooks() -> Iterator[tuple[type, str]]:
    """Give the classes of ours, and what they hold in place of what a class they stand on, or before, has."""
    found = set()
    for module in iter_modules(cozeloop_magic.transport.__path__, f"{OURS}."):
        if module.name.endswith("socks_proxy") and find_spec("socks") is None:
            continue
        for kind in vars(import_module(module.name)).values():
            if isinstance(kind, type) and kind.__module__.startswith(OURS):
                theirs = {name for base in kind.__mro__ if is_foreign(base) for name in vars(base)}
                own = [base for base in kind.__mro__ if base.__module__.startswith(OURS)]
                found |= {
                    (base, name)
                    for base in own
                    for name in theirs & set(vars(base))
                    if name[:2] != "__" and name != "_abc_impl"
                }
    yield from sorted(found, key=lambda hook: (hook[0].__qualname__, hook[1]))


def is_said(name: str) -> bool:
    return not name.startswith(("__", "_abc_"))  # which Python itself puts into classes


def is_foreign(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in FOREIGN


def named_by(kind: type, name: str) -> list[str]:
    """Give the tests that a hook names where it begins, and before its first step."""
    lines = inspect.getsource(kind).splitlines()
    for node in ast.parse("\n".join(lines)).body[0].body:  # type: ignore[attr-defined]  # it is a class
        if isinstance(node, ast.FunctionDef) and node.name == name:
            said = lines[node.lineno - 1 : node.body[0].lineno]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            said = lines[node.lineno - 1 : node.lineno]
        else:
            continue
        return [each for line in said for each in re.findall(r"test_\w+", line.partition("# tests: ")[2])]
    return []


def test_each_names_tests_that_are_there() -> None:
    unheld = []
    for kind, name in hooks():
        named = named_by(kind, name)
        if not named or not set(named) <= TESTS:
            unheld.append(f"{kind.__qualname__}.{name}: {sorted(set(named) - TESTS) or 'names no test'}")
    assert not unheld


def test_all_of_them_are_seen() -> None:
    seen = {(kind.__name__, name) for kind, name in hooks()}
    assert {("Response", "read1"), ("_CallConnection", "send"), ("_Pool", "ConnectionCls")} <= seen
