"""How IPython shows an answer that ends a cell: as the run's own output does."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.view.render import bundle, metadata

__all__ = ["show_answers"]


def show_answers(shell: InteractiveShell) -> None:
    """Let an answer that ends a cell show as the run's own output does."""
    display = shell.display_formatter
    assert display is not None
    display.mimebundle_formatter.for_type(Answer, lambda answer, **_: _shown(answer))
    display.formatters["text/plain"].for_type(Answer, _print_answer)  # else IPython takes its own for text
    display.mimebundle_formatter.for_type(
        BackgroundAnswer, lambda behind, **_: None if behind.answer is None else _shown(behind.answer)
    )


def _print_answer(answer: Answer, printer: Any, cycle: bool) -> None:
    """Print an answer that ends a cell as the run did; within something else, its repr."""
    alone = len(printer.stack) <= 1
    printer.text(_shown(answer)[0]["text/plain"] if alone else repr(answer))


def _shown(answer: Answer) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what is shown of an answer, and its record; no failing cell tells what went wrong, so this does."""
    return bundle(answer.state, with_error=True), metadata(answer.state)
