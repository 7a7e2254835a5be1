"""Running ``%%loop_define greeting`` in a shell, as it goes well and as it is refused."""

from __future__ import annotations

from typing import Any

from cozeloop_magic.authoring.define import Defined

FIRST = "model: {temperature: 0.2}\n---\n@system\nYou greet.\n@user\nGreet {{name}}.\n"
SECOND = FIRST.replace("You greet.", "You greet warmly.")


def define(shell: Any, options: str, text: str = FIRST) -> Defined:
    result = shell.run_cell(f"%%loop_define greeting {options}\n{text}")
    assert result.success, result.error_in_exec
    value: Defined = shell.user_ns["_loop"]
    return value


def refusal(shell: Any, capsys: Any, options: str, text: str = SECOND) -> str:
    capsys.readouterr()
    assert not shell.run_cell(f"%%loop_define greeting {options}\n{text}").success
    return " ".join(capsys.readouterr().out.split())
