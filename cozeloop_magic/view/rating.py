"""Rating pairs of answers without knowing whose they are: in a page by a widget, in a terminal by ``input()``.

What the page is sent does not say whose an answer is. Each press is kept at once, so that a reload costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, TextIO

from cozeloop_magic.errors import LoopError
from cozeloop_magic.lab.ratings import BlindRating, Pair
from cozeloop_magic.lab.verdict import Decision
from cozeloop_magic.printable import printable
from cozeloop_magic.store.ratings import Preference
from cozeloop_magic.view.answers import Answers, shortened
from cozeloop_magic.view.comparison import verdict_html
from cozeloop_magic.view.left_behind import Place, left_in
from cozeloop_magic.view.render import ROOT, style, without_blank_lines
from cozeloop_magic.view.widget import Rows, RowsWidget, script, sheet

__all__ = ["RatingView", "rate_in_terminal"]

_LONGEST = 20_000  # characters of an answer
_WAY = "What was rated is kept: run this cell again to go on; in a new kernel, the comparison with --cache first."
_KEYS = {"1": Preference.FIRST, "2": Preference.SECOND, "=": Preference.NEITHER}

Decide = Callable[[], Sequence[Decision]]


class _Widget(RowsWidget):
    """Draws one pair after the other."""

    _esm = script("rating.js")
    _css = sheet("tables.css") + sheet("rating.css")


class RatingView:
    """Asks for ratings in the cell that runs now, and goes on behind it.

    Parameters
    ----------
    rating : BlindRating
        The pairs.
    decide : callable
        What is shown in the end.
    """

    def __init__(self, rating: BlindRating, decide: Decide) -> None:
        self._rating = rating
        self._decide = decide
        self._answers = Answers(rating.state)
        self._at = 0
        hint = f"{len(rating.pairs):,} pairs to rate; run the cell again to go on, what was rated is kept."
        self._widget = _Widget(hint, {"root": ROOT, "problem": "", **self._drawn()}, lambda: None)
        self._widget.on_msg(self._heard)
        self._place = Place(self._widget, left_in("a rating", _WAY))

    def _drawn(self) -> Rows:
        pairs = self._rating.pairs
        pair = pairs[self._at]
        expected = self._rating.state.plan.inputs[pair.input].expected
        return {
            "at": self._at,
            "of": len(pairs),
            "input": printable(self._answers.input_text(pair.input)[:_LONGEST]),
            "expected": "" if expected is None else printable(str(expected)),
            "first": printable(pair.first[:_LONGEST]),
            "second": printable(pair.second[:_LONGEST]),
        }

    def _heard(self, _widget: object, message: Any, _buffers: object) -> None:
        """Take what was pressed, if it is about the pair that is shown: a press may come twice."""
        if not isinstance(message, dict) or message.get("at") != self._at:
            return
        try:
            self._do(str(message.get("press")))
        except LoopError as error:
            self._widget.show({"problem": printable(str(error))})

    def _do(self, press: str) -> None:
        if press == "back":
            self._at = max(0, self._at - 1)
        elif press == "end":
            return self._finish()
        elif press in [each.value for each in Preference]:
            self._rating.rate(self._rating.pairs[self._at], press)
            self._at += 1
        if self._at == len(self._rating.pairs):
            return self._finish()
        self._widget.show({"problem": "", **self._drawn()})

    def _finish(self) -> None:
        """Put what was preferred in the widget's place."""
        self._at = -1  # no further press is about a pair
        decisions = self._decide()
        kept = {
            "text/html": _html(self._rating, self._answers, decisions),
            "text/plain": _text(self._rating, decisions),
        }
        self._place.keep(kept)
        self._widget.close()


def rate_in_terminal(rating: BlindRating, decide: Decide, out: TextIO) -> None:
    """Ask for ratings line by line; an interrupt or an end of input ends it, and what was rated counts."""
    answers = Answers(rating.state)
    out.write("Which answer is better? 1 or 2, = for neither, q to end.\n")
    try:
        for at, pair in enumerate(rating.pairs, 1):
            out.write(_asked(rating, answers, pair, at))
            out.flush()
            said = ""
            while said not in (*_KEYS, "q"):
                said = input("1, 2, = or q: ").strip().lower()
            if said == "q":
                break
            rating.rate(pair, _KEYS[said])
    except (EOFError, KeyboardInterrupt):
        out.write("\n")
    out.write(f"\n{_text(rating, decide())}\n")
    out.flush()


def _asked(rating: BlindRating, answers: Answers, pair: Pair, at: int) -> str:
    expected = rating.state.plan.inputs[pair.input].expected
    lines = [
        f"\n{at:,} of {len(rating.pairs):,}: {answers.input_text(pair.input)}",
        "" if expected is None else f"expected: {expected}",
        f"--- 1 ---\n{pair.first}\n--- 2 ---\n{pair.second}\n",
    ]
    return printable("\n".join(filter(None, lines)))


def _text(rating: BlindRating, decisions: Sequence[Decision]) -> str:
    return printable("\n".join([*(decision.sentence for decision in decisions), rating.reveal()]))


def _html(rating: BlindRating, answers: Answers, decisions: Sequence[Decision]) -> str:
    """Return the verdict, and each pair that was rated with the answer that was preferred."""
    css = f"<style>{style('tables.css')}</style>"
    verdicts = "".join(map(verdict_html, decisions))
    names = [variant.name for variant in rating.state.plan.variants]
    heads = "".join(f"<th>{_escape(head)}</th>" for head in ("input", "preferred", "to" if len(names) > 1 else ""))
    rows = "".join(_row(rating, answers, pair, names) for pair in rating.pairs if pair in rating.rated)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    note = f'<p class="cozeloop-note">{_escape(rating.reveal())}</p>'
    return without_blank_lines(f'<div class="{ROOT} cozeloop-comparison">{css}{verdicts}{note}{table}</div>')


def _row(rating: BlindRating, answers: Answers, pair: Pair, names: Sequence[str]) -> str:
    preferred = rating.preferred(pair)
    texts = {
        0: pair.second if pair.swapped else pair.first,
        pair.variant: pair.first if pair.swapped else pair.second,
    }
    order = [0, pair.variant] if preferred != pair.variant else [pair.variant, 0]
    cells = "".join(
        f'<td><div class="cozeloop-figures">{_escape(names[number])}'
        f"{' · neither preferred' if preferred is None else ''}</div>"
        f'<span class="cozeloop-said">{_escape(shortened(texts[number], 280))}</span></td>'
        for number in order
    )
    return (
        f'<tr><td class="cozeloop-input">{_escape(shortened(answers.input_text(pair.input), 160))}</td>{cells}</tr>'
    )


def _escape(text: str) -> str:
    return escape(printable(text), quote=False)
