"""A decision in words and as a small picture: counts before percentages, intervals before stars."""

from __future__ import annotations

import math
from html import escape

from cozeloop_magic.lab.verdict import Decision, Verdict, inputs_to_show_anything

__all__ = ["JUDGE", "PEOPLE", "interval_svg", "sentence"]

PEOPLE, JUDGE = "people prefer", "the judge prefers"


def sentence(decision: Decision) -> str:
    """Return what can be said, in two or three sentences."""
    return " ".join(filter(None, (_verdict(decision), _dropped(decision))))


def _verdict(decision: Decision) -> str:
    match decision.verdict:
        case Verdict.NOTHING_TO_DECIDE_BY:
            return _nothing(decision)
        case Verdict.TOO_FEW if decision.pairs == 0:
            return "Too few to decide: no input has a value for both variants."
        case Verdict.TOO_FEW:
            fewest = inputs_to_show_anything(decision.level)
            return f"Too few to decide: {_reached(decision)}. It takes {fewest} inputs at least to show anything."
        case Verdict.NOT_SHOWN:
            said = f"No difference could be shown: {_reached(decision)}, {_interval(decision)}"
            return f"{said}{_by_chance(decision)}. {_needed(decision)}"
        case Verdict.NO_DIFFERENCE_THAT_MATTERS:
            return (
                f"No difference that matters: {_reached(decision)}, {_interval(decision)}, "
                f"all of it within ±{_change(decision, decision.by).removeprefix('+')}."
            )
        case _:
            compared = f"{decision.variant} is {decision.verdict} than {decision.baseline}"
            return f"{compared}: {_reached(decision)}, {_interval(decision)}."


def _nothing(decision: Decision) -> str:
    if decision.why:
        return f"There is nothing to decide by: {decision.why}."
    if decision.measure.judges == JUDGE:
        return "There is nothing to decide by: no answer of the judge could be read as a, b or tie."
    if decision.measure.judges == PEOPLE:
        return 'There is nothing to decide by yet: nobody has rated. Rate with cmp.rate(), then cmp.decide("human").'
    return "There is nothing to decide by: name a check (--check), ratings, or --decide tokens or latency."


def _reached(decision: Decision) -> str:
    """Say what both reached, as counts where there are counts."""
    new, old, n = decision.variant, decision.baseline, decision.pairs
    name, inputs = decision.measure.name, f"{n:,} input{'' if n == 1 else 's'}"
    if decision.measure.judges:
        told = (
            f"{decision.measure.judges} {new} on {decision.won:,} of {inputs}, {old} on {decision.lost:,}, "
            f"neither on {n - decision.won - decision.lost:,}"
        )
    elif decision.counts is not None:
        both, first_only, second_only, _ = decision.counts
        told = (
            f"{both + second_only:,} of {inputs} pass {name} with {new}, {both + first_only:,} of {n:,} with {old} "
            f"({second_only:,} gained, {first_only:,} lost)"
        )
    elif decision.passes is not None:
        (old_passes, old_total), (new_passes, new_total) = decision.passes
        told = (
            f"{new_passes:,} of {new_total:,} answers pass {name} with {new}, {old_passes:,} of {old_total:,} with "
            f"{old}; of {inputs} {decision.won:,} did better, {decision.lost:,} worse"
        )
    else:
        assert decision.means is not None
        first, second = (_amount(decision, mean) for mean in decision.means)
        told = (
            f"{name} is {second} on average with {new}, {first} with {old}; "
            f"of {inputs} {decision.won:,} did better, {decision.lost:,} worse"
        )
    return told


def _dropped(decision: Decision) -> str:
    if not decision.dropped:
        return ""
    one = decision.dropped == 1
    if decision.measure.judges:
        return f"{decision.dropped:,} more {'input is' if one else 'inputs are'} not rated."
    does = "input does not count, as its" if one else "inputs do not count, as their"
    return f"{decision.dropped:,}{' more' if decision.pairs else ''} {does} answer or check failed with one of both."


def _interval(decision: Decision) -> str:
    assert decision.difference is not None and decision.interval is not None
    low, high = decision.interval
    if math.isinf(low):
        return f"a difference of {_change(decision, decision.difference)} to which no interval can be given"
    look = f" at look {decision.look}" if decision.look > 1 else ""
    return (
        f"a difference of {_change(decision, decision.difference)} "
        f"({decision.level * 100:.4g} % interval {_number(decision, low)} to {_number(decision, high)}{look})"
    )


def _by_chance(decision: Decision) -> str:
    """Say why an interval that leaves 0 out does not suffice."""
    if decision.interval is None or decision.p is None or 0 in decision.interval:
        return ""
    happens, allowed = f"{decision.p * 100:.2g} of 100 comparisons", f"{(1 - decision.level) * 100:.3g}"
    return f", but chance alone does as much in {happens}, more than the {allowed} allowed"


def _needed(decision: Decision) -> str:
    if decision.inputs_needed is None:
        return "How many inputs it would take cannot be said."
    smallest = _change(decision, decision.by).removeprefix("+")
    if decision.inputs_needed <= decision.pairs:
        return f"With as many inputs one of {smallest} shows 4 times out of 5; a smaller one takes more of them."
    return f"To show a difference of {smallest} would take about {decision.inputs_needed:,} inputs like these."


def _amount(decision: Decision, value: float) -> str:
    """Write a mean: a share as a percentage."""
    unit = decision.measure.unit
    return f"{value:,.3g} {unit}".rstrip() if unit else f"{value * 100:.0f} %"


def _change(decision: Decision, value: float) -> str:
    """Write a difference: of shares, in percentage points."""
    return f"{_number(decision, value)} {decision.measure.unit or 'points'}".rstrip()


def _number(decision: Decision, value: float) -> str:
    if decision.measure.unit:
        return f"{value:+,.3g}"
    return f"{value * 100:+.{1 if decision.pairs >= _MANY else 0}f}"


_MANY = 200  # inputs, from which on tenths of a point can mean something
_WIDTH, _HEIGHT, _MARGIN = 320, 60, 12


def interval_svg(decision: Decision) -> str:
    """Return the interval as an SVG without script or style; empty where there is none.

    A line from end to end with a dot at the difference, the zero line, and a band of ±by, which would not matter.
    """
    if decision.interval is None or decision.difference is None or math.isinf(decision.interval.low):
        return ""
    low, high = decision.interval
    reach = max(abs(low), abs(high), decision.by) * 1.1 or 1.0

    def x(value: float) -> float:
        return round(_WIDTH / 2 + value / reach * (_WIDTH / 2 - _MARGIN), 1)

    colour = {Verdict.BETTER: "#2e8b57", Verdict.WORSE: "#d2544a"}.get(decision.verdict, "currentColor")
    width = round(x(decision.by) - x(-decision.by), 1)
    band = f'<rect x="{x(-decision.by)}" y="20" width="{width}" height="20" fill="currentColor" opacity="0.1"/>'
    return (
        f'<svg role="img" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"<title>{escape(sentence(decision))}</title>{band if decision.by else ''}"
        f'<line x1="{x(0)}" y1="16" x2="{x(0)}" y2="44" stroke="currentColor" opacity="0.5"/>'
        f'<line x1="{x(low)}" y1="30" x2="{x(high)}" y2="30" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{x(decision.difference)}" cy="30" r="5" fill="{colour}"/>'
        f"{_tick(x(low), _number(decision, low))}{_tick(x(high), _number(decision, high))}"
        f"{_tick(x(0), '0')}{_ends(decision)}</svg>"
    )


def _tick(x: float, text: str) -> str:
    return f'<text x="{x}" y="57" font-size="11" text-anchor="middle" fill="currentColor">{escape(text)}</text>'


def _ends(decision: Decision) -> str:
    """Name both ends of the scale."""
    left, right = ("worse", "better") if decision.measure.higher_is_better else ("better", "worse")
    style = 'font-size="11" fill="currentColor" opacity="0.75"'
    return (
        f'<text x="2" y="11" {style}>← {left}</text>'
        f'<text x="{_WIDTH - 2}" y="11" text-anchor="end" {style}>{right} →</text>'
    )
