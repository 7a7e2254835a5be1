"""The answers of a comparison, side by side: what a cell says, which inputs stand first, and pages of them as HTML.

A saved page has no scripts, so its pager is a row of ``<details>`` of one name, of which a browser opens one at a
time; what is closed costs nothing to lay out. Two of these rows are the filter: where the variants differ, and where
they do not.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from html import escape
from statistics import fmean
from typing import Any
from uuid import uuid4

from cozeloop_magic.lab.measures import passed
from cozeloop_magic.lab.plan import Trial
from cozeloop_magic.lab.state import ExperimentState, TrialState
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase

__all__ = ["MARKS", "PAGE", "Answers", "figures", "remarks", "said", "shortened", "to_html"]

PAGE = 30
"""Inputs on one page."""

MARKS = {True: "✓", False: "✗"}

_SHOWN = 280  # characters of an answer; more of it is folded
_LONGEST = 20_000
_COMPARED_CLOSELY = 800  # words and blanks; beyond, frequent ones are no landmarks, or it would take minutes
_WORD = re.compile(r"\s+|\d+(?:\.\d+)+|\w+|[^\w\s]")  # a number is one word


class Answers:
    """A comparison's answers as they are read: by input, those first where something was lost.

    Parameters
    ----------
    state : ExperimentState
        The comparison.
    """

    def __init__(self, state: ExperimentState) -> None:
        self.state = state

    @cached_property
    def order(self) -> list[int]:
        """The inputs' numbers: first where a variant is worse than the baseline, then where they differ."""
        return sorted(range(len(self.state.plan.inputs)), key=lambda number: (*self._rank(number), number))

    @cached_property
    def differing(self) -> list[int]:
        """The inputs on which the variants' outcomes differ, in order."""
        return [number for number in self.order if self.differs(number)]

    @cached_property
    def alike(self) -> list[int]:
        """The other inputs, in order."""
        differing = set(self.differing)
        return [number for number in self.order if number not in differing]

    def trials(self, number: int, variant: int) -> list[TrialState]:
        """Return the repeats of one variant on one input."""
        return [self.state.trials[Trial(number, variant, repeat)] for repeat in range(self.state.plan.repeat)]

    def input_text(self, number: int) -> str:
        """Return what tells an input from the others: the variables that are not the same for all of them."""
        values = self.state.plan.inputs[number].values
        own = {name: values[name] for name in self._varying if name in values} or values
        if len(own) == 1:
            return str(next(iter(own.values())))
        return "\n".join(f"{name}: {value}" for name, value in own.items())

    def judged(self, number: int, variant: int) -> str:
        """Return what a judge says of a variant on an input; empty where none does."""
        judgement = self.state.judgements.get((number, variant))
        return "" if judgement is None else f"judge: {judgement}"

    def differs(self, number: int) -> bool:
        """Tell whether the outcomes on an input differ: of checks, else of judgements, else the answers."""
        cells = [self.trials(number, variant) for variant in range(len(self.state.plan.variants))]
        if self._preferences(number):
            return any(self._preferences(number))
        checked = any(trial.scores for trials in cells for trial in trials)
        outcome_of: Callable[[TrialState], Any] = passed if checked else said
        outcomes = [Counter(map(outcome_of, trials)) for trials in cells]
        return any(outcome != outcomes[0] for outcome in outcomes)

    @cached_property
    def _varying(self) -> list[str]:
        first, *others = (each.values for each in self.state.plan.inputs)
        return [name for name in first if any(each.get(name) != first[name] for each in others)]

    def _preferences(self, number: int) -> list[int]:
        """Return what a judge prefers on an input, where nothing else was checked."""
        variants = range(1, len(self.state.plan.variants))
        judged = [self.state.judgements.get((number, variant)) for variant in variants]
        if any(trial.scores for variant in (0, *variants) for trial in self.trials(number, variant)):
            return []
        return [each.preference or 0 for each in judged if each is not None]

    def _rank(self, number: int) -> tuple[float, int]:
        shares = [self._share(number, variant) for variant in range(len(self.state.plan.variants))]
        lost = min(share - shares[0] for share in shares)
        lost = min([lost, *self._preferences(number)])
        ended = all(t.run.phase is Phase.DONE for v in range(len(shares)) for t in self.trials(number, v))
        return lost, (1 if self.differs(number) else 2) if ended else 0

    def _share(self, number: int, variant: int) -> float:
        values = [float(value) for value in map(passed, self.trials(number, variant)) if value is not None]
        return fmean(values) if values else 0.0


def said(trial: TrialState) -> str:
    """Return what a cell says: the answer, or why there is none."""
    run = trial.run
    if run.phase is Phase.DONE:
        return run.text or "(an empty answer)"
    if run.error is not None:
        return str(run.error)
    return (run.text + " … " if run.text else "") + ("stopped" if run.phase is Phase.INTERRUPTED else "not run")


def figures(group: Sequence[TrialState]) -> str:
    """Say how some equal answers went: what is to be remarked, tokens and time."""
    runs = [trial.run for trial in group if trial.run.phase is Phase.DONE]
    tokens = [n for run in runs if run.result.usage and (n := run.result.usage.output_tokens) is not None]
    seconds = [run.latency for run in runs if run.latency is not None]
    items = [
        *remarks(group),
        tokens and f"{fmean(tokens):,.0f} tokens",
        seconds and f"{fmean(seconds):.1f} s",
    ]
    return " · ".join(item for item in items if item)


def remarks(group: Sequence[TrialState]) -> list[str]:
    """Say of some equal answers which of several checks they fail, what others give, and how they ended but well."""
    scores = group[0].scores
    rules = [score for score in scores if isinstance(score.value, bool)]
    failed = [f"{MARKS[False]} {score.name}" for score in rules if not score.value] if len(rules) > 1 else []
    numbers = [
        f"{score.name} {score.value:.3g}"
        for score in scores
        if score.value is not None and not isinstance(score.value, bool)
    ]
    problems = [score.error for trial in group for score in trial.scores if score.error][:1]
    reasons = {trial.run.result.finish_reason or "" for trial in group if trial.run.phase is Phase.DONE}
    return [*failed, *numbers, *problems, *sorted(reasons - {"stop", ""})]


def shortened(text: str, length: int) -> str:
    """Return a text on one line, and no longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def to_html(answers: Answers, diff: bool = False) -> str:
    """Return the answers as pages of a table, those open on which the variants differ.

    Parameters
    ----------
    diff : bool
        Whether words that are not the baseline's are marked.
    """
    differing, alike = answers.differing, answers.alike
    if len(answers.order) <= PAGE and not (differing and alike):
        return _table(answers, answers.order, diff)
    name = f"cozeloop-{uuid4().hex[:8]}"
    pages = _pages(answers, differing, "They differ", name, diff, opened=True)
    pages += _pages(answers, alike, "No difference", name, diff, opened=not differing)
    return f'<div class="cozeloop-pages">{pages}</div>'


def _pages(answers: Answers, numbers: Sequence[int], what: str, name: str, diff: bool, *, opened: bool) -> str:
    """Return pages of a name, each with its table, behind a word on what they have in common."""
    if not numbers:
        return ""
    html = [
        f'<span class="cozeloop-count">{what} on {len(numbers):,} input{"" if len(numbers) == 1 else "s"}:</span>'
    ]
    for start in range(0, len(numbers), PAGE):
        some = numbers[start : start + PAGE]
        which = f"{start + 1:,}–{start + len(some):,}" if len(some) > 1 else f"{start + 1:,}"
        unfolded = " open" if opened and start == 0 else ""
        html.append(
            f'<details class="cozeloop-page" name="{name}"{unfolded}><summary>{which}</summary>'
            f"{_table(answers, some, diff)}</details>"
        )
    return "".join(html)


def _table(answers: Answers, numbers: Iterable[int], diff: bool) -> str:
    plan = answers.state.plan
    expected = any(given.expected is not None for given in plan.inputs)
    heads = ["input", *(["expected"] if expected else []), *(variant.name for variant in plan.variants)]
    head = "".join(f"<th>{_escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(_row(answers, number, expected, diff))}</tr>" for number in numbers)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(answers: Answers, number: int, expected: bool, diff: bool) -> Iterator[str]:
    plan = answers.state.plan
    yield f'<td class="cozeloop-input">{_folded(answers.input_text(number))}</td>'
    if expected:
        wanted = plan.inputs[number].expected
        yield f"<td>{_escape('' if wanted is None else str(wanted))}</td>"
    first = answers.trials(number, 0)
    for variant in range(len(plan.variants)):
        trials = answers.trials(number, variant)
        base = first[0].run.text if diff and variant else None
        judged = answers.judged(number, variant)
        note = f'<div class="cozeloop-judged">{_escape(judged)}</div>' if judged else ""
        yield f"<td>{''.join(_cell(trials, base))}{note}</td>"


def _cell(trials: Sequence[TrialState], base: str | None) -> Iterator[str]:
    """Yield the answers of one variant to one input: those that are the same once, with their number."""
    groups: dict[tuple[str, bool | None], list[TrialState]] = {}
    for trial in trials:
        groups.setdefault((said(trial), passed(trial)), []).append(trial)
    for (text, ok), group in groups.items():
        mark = f'<span class="cozeloop-{"pass" if ok else "fail"}">{MARKS[ok]}</span> ' if ok is not None else ""
        count = f' <span class="cozeloop-count">×{len(group)}</span>' if len(group) > 1 else ""
        failed = " cozeloop-trial-failed" if group[0].run.phase is not Phase.DONE else ""
        shown = _folded(text) if base is None or failed else _folded(text, _marked(base, text))
        how = figures(group)
        yield (
            f'<div class="cozeloop-trial{failed}">{mark}{shown}{count}'
            + (f'<div class="cozeloop-figures">{_escape(how)}</div></div>' if how else "</div>")
        )


def _folded(text: str, html: str | None = None) -> str:
    """Show a text, or how it is drawn, folded where it is long."""
    text = printable(text[:_LONGEST])
    whole = f'<span class="cozeloop-said">{escape(text, quote=False) if html is None else html}</span>'
    if len(text) <= _SHOWN:
        return whole
    start = escape(_beginning(text), quote=False)
    return f'<details class="cozeloop-long"><summary>{start}…</summary>{whole}</details>'


def _beginning(text: str) -> str:
    """Return the first words of a text; where blanks are rare, as in Chinese, it ends within what may be one."""
    start = text[:_SHOWN]
    whole = start.rsplit(maxsplit=1)[0] if not text[_SHOWN].isspace() else start
    return whole.rstrip() if len(whole) > _SHOWN - 40 else start


def _marked(base: str, text: str) -> str:
    """Draw a text with the words marked that the baseline's answer does not have."""
    first, second = _WORD.findall(base[:_LONGEST]), _WORD.findall(text[:_LONGEST])
    roughly = max(len(first), len(second)) > _COMPARED_CLOSELY
    pieces = []
    for kind, _, _, begin, end in difflib.SequenceMatcher(None, first, second, autojunk=roughly).get_opcodes():
        words = escape(printable("".join(second[begin:end])), quote=False)
        pieces.append(f"<ins>{words}</ins>" if kind in ("replace", "insert") and words.strip() else words)
    return "".join(pieces)


def _escape(text: str) -> str:
    return escape(printable(text), quote=False).replace("\n", "<br>")
