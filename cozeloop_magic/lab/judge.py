"""A prompt as judge: which of two answers is better, asked in both orders.

A model that judges often prefers what it reads first (Zheng et al. 2023, Judging LLM-as-a-judge). So each pair is
judged twice; a preference that flips with the order is a tie, and how often it does is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.entities.prompt import TokenUsage
from cozeloop_magic.lab.statistics import Interval, wilson_interval

__all__ = ["Agreement", "Judgement", "agreement", "combine", "judge_variables", "parse_preference"]

_WORD = re.compile(r"\b(a|b|tie|draw|equal|neither|both)\b", re.IGNORECASE)
_FIELDS = ("winner", "better", "preference", "answer", "verdict", "choice")


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one pair.

    Attributes
    ----------
    preference : int or None
        1 where the variant is better, -1 where the baseline is, 0 for a tie; None where an answer could not be read.
    flipped : bool
        Whether the preference went with the order, and is a tie for that.
    error : str
        What could not be read.
    equal : bool
        Whether both answers are the same: a tie, of which nobody was asked.
    usages : tuple of TokenUsage
        What asking in both orders cost, as far as the server told.
    """

    preference: int | None
    flipped: bool = False
    error: str = ""
    equal: bool = False
    usages: tuple[TokenUsage, ...] = ()

    def __str__(self) -> str:
        if self.preference is None:
            return self.error
        if self.equal or self.flipped:
            return "a tie: both are the same" if self.equal else "a tie: it went with the order"
        return {1: "better", -1: "worse", 0: "a tie"}[self.preference]


@dataclass(frozen=True)
class Agreement:
    """How often a judge says what people say, over the pairs that both rated."""

    agreed: int
    total: int
    interval: Interval | None

    def __str__(self) -> str:
        if self.interval is None:
            return "agreement with human ratings: cannot be shown, no pair was rated by both"
        low, high = (f"{value * 100:.0f}" for value in self.interval)
        return f"agrees with human ratings on {self.agreed} of {self.total} pairs (95 % interval {low} to {high} %)"


def judge_variables(variables: Any, expected: Any, first: str, second: str) -> dict[str, str]:
    """Return the variables of a judging prompt: ``input``, ``expected``, and the answers ``a`` and ``b``."""
    told = variables if isinstance(variables, str) else json.dumps(variables, ensure_ascii=False, default=str)
    return {"input": told, "expected": "" if expected is None else str(expected), "a": first, "b": second}


def parse_preference(text: str) -> str | None:
    """Return ``a``, ``b`` or ``tie`` from a judge's answer, or None where it says none of them, or several.

    JSON with a field such as ``winner`` is read as such; else the last line that is one word, else the one word of
    the whole.
    """
    try:
        value = json.loads(text)
        fields = [value[name] for name in _FIELDS if name in value] if isinstance(value, dict) else [value]
        return _one(str(fields[0])) if fields else None
    except ValueError:
        pass
    lines = [line.strip(" \t.*_`\"'()[]:") for line in text.strip().splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return _one(last) if len(last.split()) <= 3 else _one(text)


def _one(text: str) -> str | None:
    found = {"tie" if word.lower() not in ("a", "b") else word.lower() for word in _WORD.findall(text)}
    return found.pop() if len(found) == 1 else None


def combine(baseline_first: str, variant_first: str) -> Judgement:
    """Return what both judgements of a pair say together.

    Parameters
    ----------
    baseline_first : str
        The judge's answer where ``a`` was the baseline's and ``b`` the variant's.
    variant_first : str
        The judge's answer in the other order.
    """
    first, second = parse_preference(baseline_first), parse_preference(variant_first)
    for said, text in ((first, baseline_first), (second, variant_first)):
        if said is None:
            return Judgement(None, error=f"the judge's answer names neither a, b nor tie: {text[:80]!r}")
    preferences = {"a": -1, "b": 1, "tie": 0}[first or ""], {"a": 1, "b": -1, "tie": 0}[second or ""]
    if preferences[0] == preferences[1]:
        return Judgement(preferences[0])
    return Judgement(0, flipped=0 not in preferences)


def agreement(pairs: Iterable[tuple[int | None, int | None]]) -> Agreement:
    """Compare a judge's preferences with people's, pair by pair; what either did not rate does not count."""
    both = [(judged, rated) for judged, rated in pairs if judged is not None and rated is not None]
    agreed = sum(judged == rated for judged, rated in both)
    return Agreement(agreed, len(both), wilson_interval(agreed, len(both)) if both else None)
