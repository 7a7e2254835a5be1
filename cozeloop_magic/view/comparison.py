"""A comparison as what is kept of it: the verdict first, then the answers side by side, worst first."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from statistics import fmean
from typing import Any

from cozeloop_magic.lab.measures import passed
from cozeloop_magic.lab.plan import Trial
from cozeloop_magic.lab.state import ExperimentState, TrialState
from cozeloop_magic.lab.wording import interval_svg
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase
from cozeloop_magic.view.render import ROOT, style

__all__ = ["bundle", "input_text", "outcome", "progress", "to_text"]

_PAGE = 25  # rows; more of them are folded
_SHOWN = 280  # characters of an answer; more of it is folded
_LONGEST = 20_000
_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_MARKS = {True: "✓", False: "✗"}


def bundle(state: ExperimentState, *, concurrency: int = 1, diff: bool = False, prices: Any = None) -> dict[str, str]:
    """Return a comparison by MIME type: HTML without scripts, Markdown and plain text.

    Parameters
    ----------
    concurrency : int
        How many calls ran at once: under load, times measure a queue, and say so.
    diff : bool
        Whether words that are not the baseline's are marked.
    prices : mapping, optional
        Money for a million input and output tokens.
    """
    text = to_text(state, concurrency=concurrency, prices=prices)
    fence = "```"
    while fence in text:
        fence += "`"
    markdown = f"{fence}text\n{text}\n{fence}"
    return {"text/html": _html(state, concurrency, diff, prices), "text/markdown": markdown, "text/plain": text}


def progress(state: ExperimentState) -> str:
    """Say in one line how far it is."""
    phases = state.phases
    ended = phases[Phase.DONE] + phases[Phase.FAILED]
    items = [
        f"{ended:,} of {len(state.trials):,} runs",
        phases[Phase.FAILED] and f"{phases[Phase.FAILED]:,} failed",
        not state.complete and f"{state.concurrency} at once",
        state.wait and f"waits {state.wait:.0f} s, as the server asks",
    ]
    return " · ".join(item for item in items if item)


def input_text(state: ExperimentState, number: int) -> str:
    """Return what tells an input from the others, in few words."""
    return printable(_shortened(_input_text(state, number), 160))


def outcome(trial: TrialState) -> str:
    """Say in one line how a trial that ended went: its checks, tokens and time, or why it failed."""
    if trial.run.phase is not Phase.DONE:
        return _said(trial)
    ok = passed(trial)
    return " ".join(filter(None, (_MARKS[ok] if ok is not None else "", _figures([trial]))))


def to_text(state: ExperimentState, *, concurrency: int = 1, prices: Any = None) -> str:
    """Return a comparison as text: the verdict, what each variant cost, and a table of the answers."""
    from tabulate import tabulate

    plan = state.plan
    heads = ["input", *(variant.name for variant in plan.variants)]
    rows = [
        [
            _shortened(_input_text(state, number), 40),
            *(_cell_text(state, number, v) for v in range(len(plan.variants))),
        ]
        for number in _in_order(state)[:_PAGE]
    ]
    more = len(plan.inputs) - len(rows)
    table = tabulate(rows, heads, tablefmt="simple", maxcolwidths=[40] * len(heads), disable_numparse=True)
    parts = [
        *(decision.sentence for decision in state.decisions),
        "\n".join(_costs(state, concurrency, prices)),
        table + (f"\n… and {more:,} more inputs" if more > 0 else ""),
        "\n".join((progress(state), *state.notes)),
    ]
    return printable("\n\n".join(filter(None, parts)))


# HTML.


def _html(state: ExperimentState, concurrency: int, diff: bool, prices: Any) -> str:
    order = _in_order(state)
    differ = [number for number in order if _differs(state, number)]
    alike = [number for number in order if not _differs(state, number)]
    verdicts = "".join(_verdict_html(decision) for decision in state.decisions)
    costs = "".join(f'<p class="cozeloop-note">{_escape(line)}</p>' for line in _costs(state, concurrency, prices))
    notes = "".join(f'<p class="cozeloop-note">{_escape(line)}</p>' for line in (progress(state), *state.notes))
    tables = _pages(state, differ, diff, "where they differ", opened=True)
    tables += _pages(state, alike, diff, "where they do not", opened=not differ)
    css = f"<style>{style('tables.css')}</style>"
    return f'<div class="{ROOT} cozeloop-comparison">{css}{verdicts}{costs}{tables}{notes}</div>'


def _verdict_html(decision: Any) -> str:
    kind = decision.verdict.name.lower().replace("_", "-")
    picture = interval_svg(decision)
    shown = f'<div class="cozeloop-interval">{picture}</div>' if picture else ""
    return f'<p class="cozeloop-verdict cozeloop-{kind}">{_escape(decision.sentence)}</p>{shown}'


def _pages(state: ExperimentState, numbers: Sequence[int], diff: bool, what: str, *, opened: bool) -> str:
    """Return tables of a page each: the first open, the others folded."""
    html = []
    for start in range(0, len(numbers), _PAGE):
        some = numbers[start : start + _PAGE]
        count = f"{len(numbers):,} input{'' if len(numbers) == 1 else 's'}"
        which = f"{count} {what}" if start == 0 else f"{start + 1:,} to {start + len(some):,} of {count} {what}"
        unfolded = " open" if opened and start == 0 else ""
        table = _table(state, some, diff)
        html.append(f'<details class="cozeloop-page"{unfolded}><summary>{which}</summary>{table}</details>')
    return "".join(html)


def _table(state: ExperimentState, numbers: Iterable[int], diff: bool) -> str:
    variants = state.plan.variants
    expected = any(given.expected is not None for given in state.plan.inputs)
    heads = ["input", *(["expected"] if expected else []), *(variant.name for variant in variants)]
    head = "".join(f"<th>{_escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(_row(state, number, expected, diff))}</tr>" for number in numbers)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(state: ExperimentState, number: int, expected: bool, diff: bool) -> Iterator[str]:
    given = state.plan.inputs[number]
    yield f'<td class="cozeloop-input">{_folded(_input_text(state, number))}</td>'
    if expected:
        yield f"<td>{_escape('' if given.expected is None else str(given.expected))}</td>"
    first = _trials(state, number, 0)
    for variant in range(len(state.plan.variants)):
        trials = _trials(state, number, variant)
        base = first[0].run.text if diff and variant and first else None
        yield f"<td>{''.join(_cell(trials, base))}</td>"


def _cell(trials: Sequence[TrialState], base: str | None) -> Iterator[str]:
    """Yield the answers of one variant to one input: those that are the same once, with their number."""
    groups: dict[tuple[str, bool | None], list[TrialState]] = {}
    for trial in trials:
        groups.setdefault((_said(trial), passed(trial)), []).append(trial)
    for (said, ok), group in groups.items():
        mark = f'<span class="cozeloop-{"pass" if ok else "fail"}">{_MARKS[ok]}</span> ' if ok is not None else ""
        count = f' <span class="cozeloop-count">×{len(group)}</span>' if len(group) > 1 else ""
        failed = " cozeloop-trial-failed" if group[0].run.phase is not Phase.DONE else ""
        shown = _folded(said) if base is None or failed else _marked(base, said)
        yield (
            f'<div class="cozeloop-trial{failed}">{mark}{shown}{count}'
            f'<div class="cozeloop-figures">{_escape(_figures(group))}</div></div>'
        )


def _said(trial: TrialState) -> str:
    """Return what a cell says: the answer, or why there is none."""
    run = trial.run
    if run.phase is Phase.DONE:
        return run.text or "(an empty answer)"
    if run.error is not None:
        return str(run.error)
    return (run.text + " … " if run.text else "") + ("stopped" if run.phase is Phase.INTERRUPTED else "not run")


def _figures(group: Sequence[TrialState]) -> str:
    """Say how some equal answers went: scores, tokens, time, and a finish reason that is not ``stop``."""
    runs = [trial.run for trial in group if trial.run.phase is Phase.DONE]
    scores = [f"{score.name} {_score(score.value)}" for score in group[0].scores if not isinstance(score.value, bool)]
    problems = [score.error for trial in group for score in trial.scores if score.error][:1]
    tokens = [run.result.usage.output_tokens for run in runs if run.result.usage]
    seconds = [run.latency for run in runs if run.latency is not None]
    reasons = {run.result.finish_reason or "" for run in runs} - {"stop", ""}
    items = [
        *scores, *problems, *sorted(reasons),
        tokens and f"{fmean(tokens):,.0f} tokens", seconds and f"{fmean(seconds):.1f} s",
    ]  # fmt: skip
    return " · ".join(item for item in items if item)


def _score(value: bool | float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


def _folded(text: str) -> str:
    """Show a text, folded where it is long."""
    text = printable(text[:_LONGEST])
    if len(text) <= _SHOWN:
        return f'<span class="cozeloop-said">{escape(text, quote=False)}</span>'
    start, rest = escape(text[:_SHOWN], quote=False), escape(text, quote=False)
    whole = f'<span class="cozeloop-said">{rest}</span>'
    return f'<details class="cozeloop-long"><summary>{start}…</summary>{whole}</details>'


def _marked(base: str, text: str) -> str:
    """Show a text with the words marked that the baseline's answer does not have."""
    first, second = _WORD.findall(base[:_LONGEST]), _WORD.findall(text[:_LONGEST])
    pieces = []
    for kind, _, _, begin, end in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        words = escape(printable("".join(second[begin:end])), quote=False)
        pieces.append(f"<ins>{words}</ins>" if kind in ("replace", "insert") and words.strip() else words)
    return f'<span class="cozeloop-said">{"".join(pieces)}</span>'


# What stands where.


def _trials(state: ExperimentState, number: int, variant: int) -> list[TrialState]:
    return [state.trials[Trial(number, variant, repeat)] for repeat in range(state.plan.repeat)]


def _in_order(state: ExperimentState) -> list[int]:
    """Return the inputs' numbers: first where a variant is worse than the baseline, then where they differ."""
    return sorted(range(len(state.plan.inputs)), key=lambda number: (_rank(state, number), number))


def _rank(state: ExperimentState, number: int) -> tuple[float, int]:
    shares = [_share(_trials(state, number, variant)) for variant in range(len(state.plan.variants))]
    worst = min(share - shares[0] for share in shares)
    failed = any(t.run.phase is not Phase.DONE for v in range(len(shares)) for t in _trials(state, number, v))
    return (worst, 0 if failed else 1 if _differs(state, number) else 2)


def _share(trials: Sequence[TrialState]) -> float:
    values = [float(value) for value in map(passed, trials) if value is not None]
    return fmean(values) if values else 0.0


def _differs(state: ExperimentState, number: int) -> bool:
    """Whether the variants' outcomes on an input differ: of checks, where there are any, else the answers."""
    cells = [_trials(state, number, variant) for variant in range(len(state.plan.variants))]
    checked = any(trial.scores for trials in cells for trial in trials)
    outcome_of: Callable[[TrialState], Any] = passed if checked else _said
    outcomes = [Counter(map(outcome_of, trials)) for trials in cells]
    return any(outcome != outcomes[0] for outcome in outcomes)


def _input_text(state: ExperimentState, number: int) -> str:
    """Return what tells an input from the others: the variables that are not the same for all of them."""
    values, others = state.plan.inputs[number].values, [each.values for each in state.plan.inputs]
    own = {name: value for name, value in values.items() if any(each.get(name) != value for each in others)} or values
    if len(own) == 1:
        return str(next(iter(own.values())))
    return "\n".join(f"{name}: {value}" for name, value in own.items())


def _cell_text(state: ExperimentState, number: int, variant: int) -> str:
    said = Counter((_said(trial), passed(trial)) for trial in _trials(state, number, variant))
    return "\n".join(
        f"{_MARKS[ok] + ' ' if ok is not None else ''}{_shortened(text, 120)}{f' ×{count}' if count > 1 else ''}"
        for (text, ok), count in said.items()
    )


def _shortened(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _costs(state: ExperimentState, concurrency: int, prices: Any) -> list[str]:
    """Say what each variant cost and how long it took: tokens a run, money where prices are known."""
    lines = []
    for number, variant in enumerate(state.plan.variants):
        runs = [each.run for trial, each in state.trials.items() if trial.variant == number]
        done = [run for run in runs if run.phase is Phase.DONE]
        usages = [run.result.usage for run in done if run.result.usage]
        seconds = [run.latency for run in done if run.latency is not None]
        items = []
        if usages:
            sent, received = fmean(u.input_tokens for u in usages), fmean(u.output_tokens for u in usages)
            items.append(f"{sent:,.0f} → {received:,.0f} tokens a run")
            if prices:
                money = (sent * prices.get("input", 0) + received * prices.get("output", 0)) / 1e6
                items.append(f"{money:.3g} a run")
        if seconds:
            load = f" under load of {concurrency}" if concurrency > 1 else ""
            items.append(f"{fmean(seconds):.2f} s a run{load}")
        if items:
            lines.append(f"{variant.name}: {' · '.join(items)}")
    return lines


def _escape(text: str) -> str:
    return escape(printable(text), quote=False).replace("\n", "<br>")
