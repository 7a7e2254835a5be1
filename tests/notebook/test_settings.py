"""``--set``: other settings of the model, for one run."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.local.conftest import Server
from tests.notebook.greet import Configured
from tests.wire_server import answer, by_path

CELL = "%%loop_prompt explain_concept --version 1.0.0 {}\nconcept: gravity"


def test_a_setting_holds_for_one_run_and_leaves_the_others_of_its_version(
    shell: InteractiveShell, loop: Server, capsys: Any
) -> None:
    model: Any = loop.model
    assert shell.run_cell(CELL.format("--set temperature=0.9 --set top_k=3")).success
    assert "temperature=0.9 · top_k=3" in capsys.readouterr().err
    assert shell.run_cell(CELL.format("")).success
    changed, own = (each.config for each in model.parameters[-2:])
    assert (changed.temperature, changed.top_k, changed.max_tokens) == (0.9, 3, own.max_tokens)
    assert own.temperature != 0.9 and "temperature" not in capsys.readouterr().err


def test_a_cells_setting_comes_before_that_of_every_cell(shell: InteractiveShell, loop: Server) -> None:
    model: Any = loop.model
    shell.run_cell("%config LoopMagics.options = '--set temperature=0.7 --set max_tokens=9'")
    assert shell.run_cell(CELL.format("--set temperature=0.1")).success
    config = model.parameters[-1].config
    assert (config.temperature, config.max_tokens) == (0.1, 9)


def test_what_differs_stands_in_the_request(shell: InteractiveShell, loop: Server) -> None:
    assert shell.run_cell(CELL.format("--quiet --set temperature=0.9")).success
    shown = shell.display_formatter.format(shell.user_ns["_loop"])[0]["text/html"]  # type: ignore[union-attr]
    assert "<dt>--set temperature</dt><dd>0.9</dd>" in shown and "max_tokens" not in shown
    assert shell.user_ns["_loop"].request.custom_model_config["temperature"] == 0.9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--set temperature", "--set temperature has no `=`. Write --set temperature=0."),
        ("--set temprature=1", "There is no model setting 'temprature'. It is probably temperature that is meant."),
        ("--set temperature=warm", "The model setting temperature is 'warm'; it must be a number."),
        ("--set temperature=1 --set temperature=2", "--set temperature is given twice."),
    ],
)
def test_one_that_cannot_be_is_refused(
    shell: InteractiveShell, loop: Server, capsys: Any, options: str, says: str
) -> None:
    asked = len(loop.model.parameters)  # type: ignore[attr-defined]
    assert not shell.run_cell(CELL.format(options)).success
    assert says in " ".join(capsys.readouterr().out.split())
    assert len(loop.model.parameters) == asked  # type: ignore[attr-defined]


def test_one_that_would_be_ignored_for_want_of_a_right_is_refused(
    shell: InteractiveShell, configured: Configured, capsys: Any
) -> None:
    server = configured(by_path(mget=answer({"code": 600500101, "msg": "no read"})))
    assert not shell.run_cell("%loop_prompt greet --set temperature=0").success
    assert "no read" in capsys.readouterr().out and len(server.requests) == 1
