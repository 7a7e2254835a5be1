"""Checks: what they say of an answer, and what they say when they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Role, TokenUsage
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.checks import Score, parse_check
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Phase, RunState


def result(text: str, reason: str = "stop", tokens: int | None = 5) -> Answer:
    usage = None if tokens is None else TokenUsage(3, tokens)
    said = ExecuteResult(Message(Role.ASSISTANT, text), reason, usage)
    return Answer(RunState(ExecuteRequest("greet"), Phase.DONE, result=said))


def value(check: Any, text: str, expected: Any = None, functions: Any = None, **options: Any) -> Any:
    (score,) = parse_check(check, functions)(result(text, **options), {"label": expected}, expected)
    assert not score.error, score.error
    return score.value


def problem(check: Any, text: str, expected: Any = None, functions: Any = None, **options: Any) -> str:
    (score,) = parse_check(check, functions)(result(text, **options), {}, expected)
    assert score.value is None
    return score.error


@pytest.mark.parametrize(
    ("check", "text", "expected", "passes"),
    [
        ("equals", "  Positive\n", "positive", True),
        ("equals", "ＰＯＳＩＴＩＶＥ", "positive", True),
        ("equals", "positive.", "positive", False),
        ("equals", "7", 7, True),
        ("equals:a:b", "A:B", None, True),
        ("exact", "positive ", "positive", False),
        ("exact:Yes", "Yes", None, True),
        ("contains", "It is Positive!", "positive", True),
        ("contains:two  words", "Two\nWords", None, True),
        ("regex:^(yes|no)$", "yes", None, True),
        ("regex:^(yes|no)$", "yes!", None, False),
        ("json", '{"a": 1}', None, True),
        ("json", "{a: 1}", None, False),
        ("json", '{"a": NaN}', None, False),
        ('json:{"type": "object", "required": ["a"]}', '{"b": 1}', None, False),
        ('json:{"type": "object", "required": ["a"]}', '{"a": 1}', None, True),
        ('json:{"type": "object"}', "no json", None, False),
        ("max_tokens:5", "x", None, True),
        ("max_tokens:4", "x", None, False),
        ("finish:stop", "x", None, True),
        ("finish:length", "x", None, False),
    ],
)
def test_rules(check: str, text: str, expected: Any, passes: bool) -> None:
    assert value(check, text, expected) is passes


def test_a_schema_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"type": "array"}))
    assert value(f"json:{path}", "[1]") is True and value(f"json:{path}", "{}") is False


class TestFunctions:
    def test_they_take_the_answer_and_its_row(self) -> None:
        functions = {
            "short": lambda answer, row: len(answer) < 3 and answer.upper() == "AB",
            "words": lambda answer, row: np.int64(2),
        }
        assert value("python:short", "ab", functions=functions) is True
        assert value("python:words", "a b", functions=functions) == 2.0
        assert value(lambda answer, row: np.bool_(True), "x") is True

    def test_one_may_give_several(self) -> None:
        def tone(answer: Any, row: Any) -> dict[str, Any]:
            return {"kind": True, "length": 3}

        assert parse_check(tone)(result("x"), {}) == (Score("tone.kind", True), Score("tone.length", 3.0))

    def test_one_that_raises_is_an_error_with_its_line(self) -> None:
        def tone(answer: Any, row: Any) -> float:
            return 1 / 0

        told = problem(tone, "x")
        assert told.startswith("check tone raised ZeroDivisionError: division by zero (line ")
        assert told.endswith("return 1 / 0)")

    @pytest.mark.parametrize("given", [None, "yes", float("nan"), [], float("inf"), {}])
    def test_what_is_no_score_is_an_error(self, given: Any) -> None:
        assert "check odd: it gave" in problem("python:odd", "x", functions={"odd": lambda answer, row: given})


def test_what_cannot_be_checked_is_an_error_not_a_failed_check() -> None:
    assert "says no expected answer" in problem("equals", "x")
    assert "did not say how many tokens" in problem("max_tokens:5", "x", tokens=None)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("equal", "did you mean equals?"),
        ("", "There is no check ''"),
        ("regex", "needs a value"),
        ("regex:(", "no regular expression"),
        ("max_tokens:many", "whole number"),
        ("finish:", "needs a value"),
        ("json:/nowhere.json", "There is no schema"),
        ('json:{"type": 7}', "cannot be used"),
        ("python:tune", "did you mean tone?"),
        ("python:text", "is no function"),
    ],
)
def test_a_check_that_is_none_is_told_before_anything_runs(check: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_check(check, {"tone": lambda answer, row: True, "text": "x"})
    assert said in str(caught.value)
