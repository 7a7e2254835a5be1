"""What people prefer, asked without telling them which answer is whose."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.ratings import Preference
from cozeloop_magic.store.runs import RunStore, opened

__all__ = ["BlindRating", "Pair", "read_ratings"]

_AS_NUMBER = {Preference.FIRST: -1, Preference.SECOND: 1, Preference.NEITHER: 0}


class Pair(NamedTuple):
    """Two answers to one input, in an order that chance chose.

    Attributes
    ----------
    input, variant : int
        Whose answers they are: the variant's, and the baseline's.
    swapped : bool
        Whether the variant's stands first.
    first, second : str
        The answers as they are shown.
    """

    input: int
    variant: int
    swapped: bool
    first: str
    second: str


@dataclass
class BlindRating:
    """Pairs to rate. `rate` takes ``first``, ``second`` or ``neither``; nothing tells which is whose until the end.

    Attributes
    ----------
    pairs : sequence of Pair
        In an order that chance chose. Pairs of equal answers are left out: they are ties.
    """

    plan: Plan
    pairs: Sequence[Pair]
    store: RunStore | bool
    rated: dict[Pair, Preference] = field(default_factory=dict)

    @classmethod
    def of(cls, state: ExperimentState, store: RunStore | bool, seed: int | None = None) -> BlindRating:
        """Make the pairs of a comparison's first answers.

        Raises
        ------
        InvalidRequest
            If there is no store, or no pair.
        """
        with opened(store) as kept:
            if kept is None:
                raise InvalidRequest("Ratings are kept in the store, and this comparison has none.")
        chance, pairs = random.Random(seed), []
        for number in range(len(state.plan.inputs)):
            for variant in range(1, len(state.plan.variants)):
                runs = [state.trials[Trial(number, each)].run for each in (0, variant)]
                if all(run.phase is Phase.DONE for run in runs) and runs[0].text != runs[1].text:
                    swapped = chance.random() < 0.5
                    first, second = (run.text for run in (reversed(runs) if swapped else runs))
                    pairs.append(Pair(number, variant, swapped, first, second))
        if not pairs:
            raise InvalidRequest("There is no pair of different answers to rate.")
        chance.shuffle(pairs)
        return cls(state.plan, pairs, store)

    def rate(self, pair: Pair, preference: Preference | str) -> None:
        """Keep which answer of a pair is better, in the order in which it was shown."""
        shown = Preference(preference)
        self.rated[pair] = shown
        keys = self.plan.key(Trial(pair.input, 0)), self.plan.key(Trial(pair.input, pair.variant))
        with opened(self.store) as store:
            assert store is not None
            store.ratings.put(keys, shown.swapped if pair.swapped else shown)

    @property
    def left(self) -> list[Pair]:
        """The pairs that are not rated yet."""
        return [pair for pair in self.pairs if pair not in self.rated]

    def reveal(self) -> str:
        """Return in one sentence whose answers were preferred."""
        counts = {name: 0 for name in [variant.name for variant in self.plan.variants] + ["neither"]}
        for pair, shown in self.rated.items():
            preferred = shown.swapped if pair.swapped else shown
            number = {Preference.FIRST: 0, Preference.SECOND: pair.variant}.get(preferred)
            counts["neither" if number is None else self.plan.variants[number].name] += 1
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        return f"Of {len(self.rated):,} pairs you preferred: {told}."


def read_ratings(plan: Plan, store: RunStore | bool) -> dict[tuple[int, int], int | None]:
    """Return what people prefer, by input and variant: 1 is the variant, -1 the baseline, 0 neither."""
    pairs = {
        (plan.key(Trial(number, 0)), plan.key(Trial(number, variant))): (number, variant)
        for number in range(len(plan.inputs))
        for variant in range(1, len(plan.variants))
    }
    with opened(store) as kept:
        found = kept.ratings.find(pairs) if kept is not None else {}
    return {pairs[keys]: _AS_NUMBER[preference] for keys, preference in found.items()}
