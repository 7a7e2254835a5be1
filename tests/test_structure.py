"""The house: its names, its walls, and that nothing heavy is carried in at the door."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import cozeloop_magic
from cozeloop_magic import errors

MODULES = sorted(
    module.name
    for module in walk_packages(cozeloop_magic.__path__, "cozeloop_magic.")
    if not module.name.endswith("__main__")
)
HEAVY = {"requests", "sseclient", "ipywidgets", "anywidget", "markdown_it", "pygments", "yaml", "pandas", "numpy"}


@pytest.mark.parametrize("name", MODULES)
def test_every_module_names_what_it_offers(name: str) -> None:
    module = import_module(name)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert all(hasattr(module, each) for each in names)


def test_every_error_is_in_the_tree_that_is_drawn() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]
    for kind in kinds:
        assert issubclass(kind, errors.LoopError)
        assert kind.__name__ in (errors.__doc__ or "")
        assert getattr(cozeloop_magic, kind.__name__) is kind


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cozeloop_magic.nothing


@pytest.mark.parametrize(
    "code", ["import cozeloop_magic", "import cozeloop_magic.notebook.magics", "import cozeloop_magic.cli.commands"]
)
def test_loading_imports_nothing_heavy(code: str) -> None:
    bare = "import IPython.core.magic_arguments; " if "magics" in code else ""
    script = f"import sys; {bare}before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


SOURCES = sorted(Path(cozeloop_magic.__path__[0]).rglob("*.py"))


def test_no_module_is_too_long() -> None:
    assert not [path for path in SOURCES if lines_of(path) > 400]
    assert not [path for path in Path(__file__).parent.rglob("*.py") if lines_of(path) > 500]


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_function_does_too_much(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            does = node.body[1:] if ast.get_docstring(node) is not None else node.body
            assert not does or (does[-1].end_lineno or 0) - does[0].lineno < 40, node.name
