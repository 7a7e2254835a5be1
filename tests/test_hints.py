"""Every hint that holds code holds code that does what it says."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cozeloop_magic
from cozeloop_magic.cell.parse import parse_cell
from cozeloop_magic.cli.commands import _parser
from cozeloop_magic.entities import prompt as entities
from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, Message, Prompt, PromptTemplate, VariableDef
from cozeloop_magic.errors import LoopError
from cozeloop_magic.notebook.magics import LoopMagics
from cozeloop_magic.notebook.verbs import find_verb
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.state import Arrived, Finished, RunState, fold
from cozeloop_magic.template.check import check_variables

_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_MAGICS = (LoopMagics.loop_prompt, LoopMagics.loop_compare, LoopMagics.loop_batch, LoopMagics.loop_define)
OPTIONS = {option for magic in _MAGICS for option in magic.parser._option_string_actions}  # type: ignore[attr-defined]


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings; `{}` stands for what is filled in."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            docs |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def snippets() -> list[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(cozeloop_magic.__path__[0]).rglob("*.py")]
    return sorted({code for tree in trees for text in texts(tree) for code in _CODE.findall(text)})


def try_snippet(code: str) -> bool:
    """Try a snippet by its kind; False says that it is a word, or only a part of code."""
    filled = code.replace("%%loop ", "%loop ").replace("{}", "topic")
    if re.match("--[a-z]", filled):
        assert filled.split()[0].partition("=")[0] in OPTIONS
    elif filled.startswith("cozeloop-magic "):
        _parser().parse_args(filled.split()[1:])
    elif verb := re.match(r"%loop ([a-z-]+)", filled):
        find_verb(verb[1])
    elif filled.startswith("import "):
        exec(filled, {})
    elif re.match(r"@(user|assistant|system|tool)\b", filled):
        parse_cell(f"---\n{filled}\ntext")
    elif re.match(r"\w+(: | = )\S", filled) and "await" not in filled:
        parse_cell(filled + ("\n  text" if filled.endswith("|") else ""))
    else:
        return False
    return True


def test_code_in_hints_can_be_written_as_it_stands() -> None:
    tried = [code for code in snippets() if try_snippet(code)]
    assert len(tried) > 25


NAMESPACE = {name: getattr(entities, name) for name in entities.__all__} | {"nan": float("nan")}


def on_its_way() -> BackgroundAnswer:
    """Give an answer that comes when somebody waits for it."""
    state, waited_for = RunState(ExecuteRequest("greet")), threading.Event()
    for event in (Arrived(0.1, entities.ExecuteResult(Message("assistant", "Hi"), "stop")), Finished(0.2)):
        state = fold(state, event)

    class Awaited(BackgroundAnswer):
        def result(self, timeout: float | None = None) -> Any:
            waited_for.set()
            return super().result(timeout)

    def run() -> RunState:
        waited_for.wait(10)
        return state

    Awaited.__name__ = BackgroundAnswer.__name__
    return Awaited(state.request, run, lambda: None)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", pd.Series(["a", "b"])), ("string", pd.Series([1.5, 2])), 
        ("string", np.array(["a", "b"])), ("string", ["a", 1]), ("string", ("a",)), ("string", {"a"}),
        ("string", [{"a": 1}]), ("string", {"a": np.int64(1), "b": date(2026, 1, 2), "c": Decimal("1.50")}),
        ("string", pd.Index(["a"])), ("string", Message("user", "Hi")), ("string", [ContentPart("text", text="a")]),
        ("placeholder", "Hi"), ("multi_part", "Hi"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_a_value_of_another_type_helps(kind: str, value: Any) -> None:
    definition = Prompt("p", "1", prompt_template=PromptTemplate(variable_defs=[VariableDef("x", type=kind)]))
    with pytest.raises(LoopError) as caught:
        check_variables(definition, {"x": value})
    code = [each for each in _CODE.findall(str(caught.value)) if "=" in each or each.startswith("import")]
    imports = [each for each in code if each.startswith("import")]
    assert [each for each in code if each not in imports]
    for each in code:
        names = NAMESPACE | {"value": value}
        exec(
            "\n".join([*imports, each.replace("(map(str, ...))", "(map(str, value))").replace("(...", "(value")]),
            names,
        )
        if each not in imports:
            check_variables(definition, {"x": names["x"]})


VALUES: dict[str, Callable[[], Any]] = {
    "a data frame": lambda: pd.DataFrame({"a": [1]}),
    "a data frame of polars": lambda: pl.DataFrame({"a": [1]}),
    "a series of polars": lambda: pl.Series([1]),
    "a series with a gap": lambda: pd.Series([1, None]),
    "an answer on its way": on_its_way,
    "bytes": lambda: b"abc",
}
_CALL = re.compile(r"(\.(?:to_markdown|fillna|result|to_list|write_json)\([^)]*\))|(ContentPart\(.*?\))\.")


@pytest.mark.parametrize("value", VALUES)
def test_what_is_said_of_a_value_without_a_json_form_helps(value: str) -> None:
    given = VALUES[value]()
    definition = Prompt("p", "1", prompt_template=PromptTemplate(variable_defs=[VariableDef("x", type="object")]))
    with pytest.raises(LoopError) as caught:
        check_variables(definition, {"x": {"a": given}})
    call = _CALL.search(str(caught.value))
    assert call, str(caught.value)
    helped = eval(f"given{call[1]}" if call[1] else call[2], NAMESPACE | {"given": given})
    if call[1]:  # parts are for variables that are declared so
        check_variables(definition, {"x": {"a": helped}})
