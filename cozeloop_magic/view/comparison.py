"""A comparison as what is kept of it: the verdict first, then the answers side by side, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from statistics import fmean
from typing import Any

from cozeloop_magic.entities.prompt import LLMConfig, TokenUsage
from cozeloop_magic.lab.measures import passed
from cozeloop_magic.lab.state import ExperimentState, TrialState
from cozeloop_magic.lab.variants import ResolvedVariant
from cozeloop_magic.lab.verdict import Decision
from cozeloop_magic.lab.wording import interval_svg
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase
from cozeloop_magic.view import request
from cozeloop_magic.view.answers import MARKS, PAGE, Answers, figures, remarks, said, shortened, to_html
from cozeloop_magic.view.markdown import IGNORED
from cozeloop_magic.view.render import ROOT, style, without_blank_lines

__all__ = ["bundle", "outcome", "progress", "to_text", "verdict_html"]


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
        state.judgements and f"{len(state.judgements):,} pairs judged",
        not state.complete and f"{state.concurrency} at once",
        state.wait and f"waits {state.wait:.0f} s, as the server asks",
    ]
    return " · ".join(item for item in items if item)


def outcome(trial: TrialState) -> str:
    """Say in one line how a trial that ended went: its checks, tokens and time, or why it failed."""
    if trial.run.phase is not Phase.DONE:
        return said(trial)
    ok = passed(trial)
    return " ".join(filter(None, (MARKS[ok] if ok is not None else "", figures([trial]))))


def to_text(state: ExperimentState, *, concurrency: int = 1, prices: Any = None) -> str:
    """Return a comparison as text: the verdict, what each variant cost, and a table of the answers."""
    from tabulate import tabulate

    plan, answers = state.plan, Answers(state)
    expected = any(given.expected is not None for given in plan.inputs)
    heads = ["input", *(["expected"] if expected else []), *(variant.name for variant in plan.variants)]
    rows = [
        [
            shortened(answers.input_text(number), 40),
            *([_wanted(plan.inputs[number].expected)] if expected else []),
            *(_cell_text(answers, number, variant) for variant in range(len(plan.variants))),
        ]
        for number in answers.order[:PAGE]
    ]
    more = len(answers.order) - len(rows)
    table = tabulate(rows, heads, tablefmt="simple", maxcolwidths=[40] * len(heads), disable_numparse=True)
    parts = [
        *(decision.sentence for decision in state.decisions),
        "\n".join(_costs(state, concurrency, prices)),
        table + (f"\n… and {more:,} more input{'' if more == 1 else 's'}" if more > 0 else ""),
        "\n".join(_notes(state)),
    ]
    return printable("\n\n".join(filter(None, parts)))


def verdict_html(decision: Decision) -> str:
    """Return a decision's sentence, with its interval as a picture."""
    kind = decision.verdict.name.lower().replace("_", "-")
    picture = interval_svg(decision)
    shown = f'<div class="cozeloop-interval">{picture}</div>' if picture else ""
    said, colon, why = decision.sentence.partition(": ")
    told = f"<strong>{_escape(said + colon)}</strong>{_escape(why)}"
    return f'<p class="cozeloop-verdict cozeloop-{kind}">{told}</p>{shown}'


def _html(state: ExperimentState, concurrency: int, diff: bool, prices: Any) -> str:
    verdicts = "".join(map(verdict_html, state.decisions))
    costs = "".join(f'<p class="cozeloop-note">{_escape(line)}</p>' for line in _costs(state, concurrency, prices))
    notes = "".join(f'<p class="cozeloop-note">{_escape(line)}</p>' for line in _notes(state))
    css = f"<style>{style('tables.css')}</style>"
    table = to_html(Answers(state), diff)
    shown = f"{css}{verdicts}{costs}{table}{notes}{_request(state)}"
    return without_blank_lines(f'<div class="{ROOT} cozeloop-comparison">{shown}</div>')


def _notes(state: ExperimentState) -> list[str]:
    """Return the remarks, and how far it came where that is not the whole way."""
    whole = state.phases[Phase.DONE] == len(state.trials) and not state.judgements
    return [*([] if whole else [progress(state)]), *state.notes]


def _request(state: ExperimentState) -> str:
    """Return what was asked, folded: each variant with what differs from the committed one, and what all share."""
    plan = state.plan
    rows = [(variant.name, _variant_text(variant)) for variant in plan.variants]
    names = {name for name in plan.inputs[0].values if _is_shared(state, name)}
    rows += [(name, str(value)) for name, value in plan.inputs[0].values.items() if name in names]
    rows += [(f"@{message.role}", request.content(message)) for message in plan.messages]
    shown = "".join(f"<dt>{_escape(name)}</dt><dd>{_escape(text)}</dd>" for name, text in rows)
    return f'<details class="cozeloop-request"><summary>Request</summary><dl class="{IGNORED}">{shown}</dl></details>'


def _is_shared(state: ExperimentState, name: str) -> bool:
    first = state.plan.inputs[0].values[name]
    return all(each.values.get(name) == first for each in state.plan.inputs)


def _variant_text(variant: ResolvedVariant) -> str:
    committed = (variant.prompt and variant.prompt.llm_config) or LLMConfig()
    label = f", label {variant.asked.label}" if variant.asked.label else ""
    lines = [f"{variant.prompt_key} @ {variant.version}{label}"]
    for name, value in variant.asked.overrides.items():
        before = getattr(committed, name, None)
        lines.append(f"{name} = {value}" + (f", committed with {before}" if before is not None else ""))
    return "\n".join(lines)


def _wanted(expected: Any) -> str:
    return "" if expected is None else shortened(str(expected), 40)


def _cell_text(answers: Answers, number: int, variant: int) -> str:
    groups: dict[tuple[str, bool | None], list[TrialState]] = {}
    for trial in answers.trials(number, variant):
        groups.setdefault((said(trial), passed(trial)), []).append(trial)
    lines = []
    for (text, ok), group in groups.items():
        count = f" ×{len(group)}" if len(group) > 1 else ""
        remarked = f" ({'; '.join(told)})" if (told := remarks(group)) else ""
        lines.append(f"{MARKS[ok] + ' ' if ok is not None else ''}{shortened(text, 120)}{count}{remarked}")
    return "\n".join(filter(None, (*lines, answers.judged(number, variant))))


def _costs(state: ExperimentState, concurrency: int, prices: Any) -> Iterator[str]:
    """Say what each variant and the judge cost, and how long it took: tokens, and money where prices are known."""
    for number, variant in enumerate(state.plan.variants):
        runs = [each.run for trial, each in state.trials.items() if trial.variant == number]
        done = [run for run in runs if run.phase is Phase.DONE]
        failed = sum(run.phase is Phase.FAILED for run in runs)
        seconds = [run.latency for run in done if run.latency is not None]
        items = list(_tokens([run.result.usage for run in done], prices, "run"))
        if seconds:
            load = f" under load of {concurrency}" if concurrency > 1 else ""
            items.append(f"{fmean(seconds):.2f} s a run{load}")
        if failed:
            items.append(f"{failed:,} of {len(runs):,} failed")
        if items:
            yield f"{variant.name}: {' · '.join(items)}"
    usages = [usage for judgement in state.judgements.values() for usage in judgement.usages]
    if usages:
        calls = f"{len(usages):,} {'judgement' if len(usages) == 1 else 'judgements'}"
        yield f"judge: {' · '.join([calls, *_tokens(usages, prices, 'judgement')])}"
    if concurrency > 1 and any(each.run.phase is Phase.DONE for each in state.trials.values()):
        yield f"Times are of runs {concurrency} at once, which wait for one another; -j 1 compares times."


def _tokens(usages: Iterable[TokenUsage | None], prices: Any, one: str) -> Iterator[str]:
    """Say how many tokens one of them took on average, and what a thousand cost, where that was told."""
    counts = [(usage.input_tokens, usage.output_tokens) for usage in usages if usage is not None]
    told = [(sent, received) for sent, received in counts if sent is not None and received is not None]
    if told:
        sent, received = map(fmean, zip(*told, strict=True))
        yield f"{sent:,.0f} → {received:,.0f} tokens a {one}"
        if prices:
            money = (sent * prices.get("input", 0) + received * prices.get("output", 0)) / 1e3
            yield f"{money:,.3g} for 1,000 {one}s"


def _escape(text: str) -> str:
    return escape(printable(text), quote=False).replace("\n", "<br>")
