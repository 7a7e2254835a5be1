"""A table while it runs: one line with a bar and Stop, replaced at the end by what is kept of it."""

from __future__ import annotations

from html import escape
from typing import Any

from IPython.display import display

from cozeloop_magic.lab.progress import BatchProgress, duration
from cozeloop_magic.printable import printable
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase
from cozeloop_magic.view import control
from cozeloop_magic.view.front import is_watched
from cozeloop_magic.view.left_behind import NOTHING, Place, left_in
from cozeloop_magic.view.render import ROOT, style
from cozeloop_magic.view.safe_markdown import safe
from cozeloop_magic.view.widget import Rows, RowsWidget, script, sheet

__all__ = ["BatchView", "bundle", "ending"]


class _Widget(RowsWidget):
    """Draws the line."""

    _esm = script("batch.js")
    _css = sheet("batch.css")


class BatchView:
    """Draws a table in the cell that runs now. Where nobody watches, only the end is shown.

    Parameters
    ----------
    prompt_key : str
        The prompt.
    stop : Stop
        What the Stop button calls; any thread may.
    behind : bool
        Whether it goes on behind other cells: then Stop must not interrupt those, and no cell tells its error.
    """

    def __init__(self, prompt_key: str, stop: Stop, *, behind: bool = False) -> None:
        self._prompt_key = prompt_key
        self._stop = stop
        self._behind = behind
        self._last = BatchProgress()
        self._control = ""
        self._widget: _Widget | None = None
        self._place: Place | None = None
        if is_watched():
            self._begin()

    def __call__(self, progress: BatchProgress) -> None:
        """Draw how far it is."""
        self._last = progress
        if self._widget is not None:
            self._widget.show(_rows(progress))

    def finish(self, error: BaseException | None = None) -> None:
        """Put what is kept in the line's place, and close it."""
        lines = ending(self._last, stopped=self._stop.asked, error=error if self._behind else None)
        phase = Phase.FAILED if error is not None else Phase.INTERRUPTED if self._stop.asked else Phase.DONE
        says_more = self._behind or error is None or self._last.has_begun  # than the cell's own error
        kept, about = bundle(phase, *lines) if says_more else NOTHING, self._metadata(phase)
        if self._place is not None:
            self._place.keep(kept, about)
        elif says_more:
            display(kept, raw=True, metadata=about)  # type: ignore[no-untyped-call]
        if self._widget is not None:
            self._widget.close()
        control.forget(self._control)

    def _metadata(self, phase: Phase) -> dict[str, Any]:
        """Return a small record of the table: how many rows and how they ended; no text."""
        last = self._last
        counts = {"rows": last.ended, "failed": last.failed, "kept": last.kept}
        usage = {"input_tokens": last.input_tokens, "output_tokens": last.output_tokens}
        return {"cozeloop_magic": {"prompt_key": self._prompt_key, "phase": phase.value, **counts, "usage": usage}}

    def _begin(self) -> None:
        self._control = control.listen(self._stop)
        frame: Rows = {"root": ROOT, "control": self._control, "behind": self._behind}
        hint = "How far the table is appears here; its rows are kept as they come."
        self._widget = _Widget(hint, frame | _rows(self._last), self._stop)
        way = "Its rows are kept: run the cell again, and it asks only for what is missing."
        self._place = Place(self._widget, left_in("a table", way))


def _rows(progress: BatchProgress) -> Rows:
    return {
        "share": progress.ended / progress.total if progress.total else -1,
        "look": printable(_look(progress)),
        "counts": progress.counts if progress.ended else "looking…",
        "figures": printable(" · ".join(progress.figures)),
    }


def ending(progress: BatchProgress, *, stopped: bool, error: BaseException | None = None) -> tuple[str, str, str]:
    """Say how a table ended: what it holds, how it went, and what failed."""
    figures = [each for each in progress.figures if not each.endswith((" at once", " left"))]
    if stopped:
        figures.append("the same cell asks only for what is missing")
    counts = f"stopped at {progress.counts}" if stopped else progress.counts
    line = " · ".join([counts, duration(progress.seconds), *figures])
    replaced = progress.replaced and f"new in place of the table's own: {progress.replaced}"
    look = " · ".join(filter(None, (_look(progress), replaced, progress.to_come)))
    again = "The same cell with --retry-errors asks again for those that failed."
    failed = f"The last that failed said: {progress.last_error} {again}" if progress.failed else ""
    if error is not None:
        failed = f"{type(error).__name__}: {error}"
    return look, line, failed


def _look(progress: BatchProgress) -> str:
    """Say what the table holds, if that is more than its number of rows, or not all of it is run."""
    look = progress.look
    return str(look) if look and (look.equal or look.kept or look.rows != progress.total) else ""


def bundle(phase: Phase, look: str, line: str, failed: str) -> dict[str, str]:
    """Return how a table ended by MIME type."""
    classes = {"cozeloop-look": look, "cozeloop-status": line, "cozeloop-failures": failed}
    parts = [
        f'<p class="{name}">{escape(printable(text), quote=False)}</p>' for name, text in classes.items() if text
    ]
    text = "\n\n".join(printable(each) for each in classes.values() if each)
    css = style("batch.css")
    html = f'<div class="{ROOT} cozeloop-batch cozeloop-{phase.value}"><style>{css}</style>{"".join(parts)}</div>'
    return {"text/html": html.replace("\n", "<br>"), "text/markdown": safe(text), "text/plain": text}
