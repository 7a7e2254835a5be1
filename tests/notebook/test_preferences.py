"""``%config LoopMagics``: what holds for every cell."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic import errors
from tests.notebook.greet import GREET, MGET, Configured, run, sent
from tests.wire_server import by_path, stream


class TestPreferences:
    """``%config LoopMagics``."""

    @pytest.mark.parametrize(
        ("options", "line", "asked"),
        [
            ("--label production", "greet", {"label": "production"}),
            ("--label production", "greet --label beta", {"label": "beta"}),
            ("--label production", "greet --version 1.2.0", {"version": "1.2.0"}),
            ("--version 1.2.0", "greet --label beta", {"label": "beta"}),
            ("--label production --no-stream", "greet --quiet", {"label": "production"}),
            ("--label $stage", "greet", {"label": "beta"}),
            ("--label production", "greet --version $none --label $none", {"label": "production"}),
            ("--label production", "greet --version $none --label beta", {"label": "beta"}),
        ],
    )
    def test_options_stand_before_a_lines_own(
        self, shell: InteractiveShell, configured: Configured, options: str, line: str, asked: dict[str, str]
    ) -> None:
        server = configured(GREET)
        shell.user_ns.update(stage="beta", none=None)
        shell.run_cell(f"%config LoopMagics.options = {options!r}")
        assert run(shell, line).success
        (query,) = server.requests[0].body["queries"]
        assert {key: query[key] for key in ("version", "label") if query.get(key)} == asked
        assert server.requests[-1].path.endswith("/execute") == ("--no-stream" in options)

    @pytest.mark.parametrize(
        ("options", "line", "says"),
        [
            (
                "--bogus x",
                "greet",
                "There is no option --bogus. A variable is given as --var NAME=VALUE. The",
            ),
            ("--version", "greet", "Argument -v/--version: expected one argument."),
            ("greet", "greet", "greet belongs to no option."),
            ("--timeout 0", "greet", "--timeout is 0.0; it must be a number of seconds, above 0"),
            ("--out 1x", "greet", "--out 1x is no Python name."),
            ("--version ''", "greet", "--version '' is empty."),
            ("--label $stage", "greet", "$stage stands for the Python name stage, which is not defined."),
            ("--var name", "greet", "--var name has no `=`."),
        ],
    )
    def test_a_mistake_in_the_options_names_the_setting(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, options: str, line: str, says: str
    ) -> None:
        server = configured(GREET)
        shell.run_cell(f"%config LoopMagics.options = {options!r}")
        assert isinstance(run(shell, line).error_in_exec, errors.InvalidRequest)
        out = " ".join(capsys.readouterr().out.split())
        assert out.startswith(f"InvalidRequest: %config LoopMagics.options: {says}")
        assert not server.requests

    def test_a_mistake_in_the_line_does_not_name_the_setting(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--out hello --label beta --timeout 30'")
        mistakes = "--out 1x", "--label ''", "--label=", "--timeout 0", "--var x", "--bogus"
        for mistake in mistakes:
            assert not run(shell, f"greet {mistake}").success
            assert "%config" not in capsys.readouterr().out

    def test_a_variable_of_the_options_and_of_the_cell_is_told_so(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Ada'")
        assert not run(shell, "greet").success
        out = " ".join(capsys.readouterr().out.split())
        assert "name is given here and with --var in %config LoopMagics.options." in out

    def test_a_variable_of_the_line_wins_over_one_of_the_options(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        server = configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Bob --var note={}'")
        assert run(shell, "greet --var name=Ada", "---\nHi").success
        assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada", "{}"]

    def test_a_variable_of_the_options_that_is_wrong_names_the_setting_also_beside_one_of_the_line(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var note=$nothing'")
        assert not run(shell, "greet --var name=Ada", "---\nHi").success
        assert "InvalidRequest: %config LoopMagics.options: $nothing stands for" in capsys.readouterr().out
        shell.run_cell("%config LoopMagics.options = '--var note={}'")
        assert not run(shell, "greet --var name=Ada", "note: {}").success
        assert "note is given here and with --var in %config LoopMagics.options." in " ".join(
            capsys.readouterr().out.split()
        )

    def test_variables_of_the_options_are_given_to_every_cell(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        server = configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Ada'")
        for _ in range(2):
            assert run(shell, "greet", "note: {}").success
            assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada", "{}"]

    def test_options_have_defaults_that_a_line_overrides(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        configured(by_path(mget=MGET, execute_streaming=stream([threading.Event()])))
        shell.run_cell("%config LoopMagics.timeout = 0.2")
        assert isinstance(run(shell, "greet").error_in_exec, errors.DeadlineExceeded)
        configured(GREET)
        assert run(shell, "greet --timeout 30").success

    def test_errors_can_have_their_traceback(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.short_errors = False")
        shell.run_cell("def look_up():\n    return {}['name']")
        assert not run(shell, "greet", "name = look_up()\nnote: {}").success
        out = capsys.readouterr().out
        assert "Traceback" in out and "KeyError" in out and "look_up" in out

    def test_a_pace_out_of_range_is_refused(self, shell: InteractiveShell) -> None:
        shell.run_cell("%config LoopMagics.refresh_rate = 0\n%config LoopMagics.timeout = -1")
        magics = shell.magics_manager.registry["LoopMagics"]
        assert (magics.refresh_rate, magics.timeout) == (8, None)
