"""A small prompt on a real HTTP server, and a shell that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from tests.wire_server import WHOLE, Script, WireServer, answer, by_path, delta, last, stream

DEFINITION = {
    "prompt_key": "greet",
    "version": "1.2.0",
    "prompt_template": {
        "template_type": "normal",
        "messages": [{"role": "system", "content": "You greet {{name}}."}],
        "variable_defs": [{"key": "name", "type": "string"}, {"key": "note", "type": "object"}],
    },
}
MGET = answer({"code": 0, "data": {"items": [{"query": {}, "prompt": DEFINITION}]}})
STREAM = stream([delta("Hel"), delta("lo "), delta("Ada"), last()])
GREET = by_path(mget=MGET, execute_streaming=STREAM, execute=WHOLE)
CELL = "name: Ada\nnote: {}\n"


Configured = Callable[[Script], WireServer]


def run(shell: InteractiveShell, line: str, cell: str = CELL) -> ExecutionResult:
    return shell.run_cell(f"%%loop_prompt {line}\n{cell}")


def sent(server: WireServer) -> dict[str, Any]:
    return server.requests[-1].body
