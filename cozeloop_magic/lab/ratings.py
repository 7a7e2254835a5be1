"""What people prefer, asked without telling them which answer is whose."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.plan import Trial
from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.key import digest_of
from cozeloop_magic.store.ratings import Preference
from cozeloop_magic.store.runs import RunStore, opened

__all__ = ["BlindRating", "Pair", "read_ratings", "with_equal_answers"]

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


@dataclass(repr=False)
class BlindRating:
    """Pairs to rate. `rate` takes ``first``, ``second`` or ``neither``; nothing tells which is whose until the end.

    Attributes
    ----------
    pairs : sequence of Pair
        In an order that chance chose. Pairs of equal answers are left out: they are ties.
    """

    state: ExperimentState
    pairs: Sequence[Pair]
    store: RunStore | bool
    rated: dict[Pair, Preference] = field(default_factory=dict)

    @classmethod
    def of(
        cls, state: ExperimentState, store: RunStore | bool, *, again: bool = False, seed: int | None = None
    ) -> BlindRating:
        """Make the pairs of a comparison's first answers.

        Parameters
        ----------
        again : bool
            Whether to ask of pairs, too, that were rated before.

        Raises
        ------
        InvalidRequest
            If there is no store, or no pair.
        """
        with opened(store) as kept:
            if kept is None:
                raise InvalidRequest(
                    "Ratings are kept in the store, and this comparison has none.",
                    hint="Run it again without --off, and with LoopMagics.keep on.",
                )
        rated = read_ratings(state, store)
        chance = random.Random(seed)
        pairs = [pair for pair in _pairs(state, chance) if again or (pair.input, pair.variant) not in rated]
        if not pairs and rated:
            raise InvalidRequest(
                "Every pair is rated.", hint='cmp.decide("human") counts them; cmp.rate(again=True) asks once more.'
            )
        if not pairs:
            raise InvalidRequest("There is no pair of different answers to rate.")
        chance.shuffle(pairs)
        return cls(state, pairs, store)

    def rate(self, pair: Pair, preference: Preference | str) -> None:
        """Keep which answer of a pair is better, in the order in which it was shown."""
        shown = Preference(preference)
        self.rated[pair] = shown
        keys = _keys(self.state, pair.input, pair.variant)
        with opened(self.store) as store:
            assert store is not None
            store.ratings.put(keys, shown.swapped if pair.swapped else shown)

    @property
    def left(self) -> list[Pair]:
        """The pairs that are not rated yet."""
        return [pair for pair in self.pairs if pair not in self.rated]

    def preferred(self, pair: Pair) -> int | None:
        """Return the number of the variant whose answer was preferred; None for neither."""
        shown = self.rated[pair]
        preference = shown.swapped if pair.swapped else shown
        return {Preference.FIRST: 0, Preference.SECOND: pair.variant}.get(preference)

    def reveal(self) -> str:
        """Return in one sentence whose answers were preferred."""
        names = [variant.name for variant in self.state.plan.variants]
        counts = dict.fromkeys([*names, "neither"], 0)
        for pair in self.rated:
            number = self.preferred(pair)
            counts["neither" if number is None else names[number]] += 1
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        return f"Of {len(self.rated):,} pair{'' if len(self.rated) == 1 else 's'} you preferred: {told}."

    def __repr__(self) -> str:
        return f"<BlindRating: {len(self.rated):,} of {len(self.pairs):,} pairs rated>"


def _pairs(state: ExperimentState, chance: random.Random) -> Iterator[Pair]:
    """Yield the pairs of first answers that differ, each in an order that chance chose."""
    for number in range(len(state.plan.inputs)):
        for variant in range(1, len(state.plan.variants)):
            runs = [state.trials[Trial(number, each)].run for each in (0, variant)]
            if all(run.phase is Phase.DONE for run in runs) and runs[0].text != runs[1].text:
                swapped = chance.random() < 0.5
                first, second = (run.text for run in (reversed(runs) if swapped else runs))
                yield Pair(number, variant, swapped, first, second)


def read_ratings(state: ExperimentState, store: RunStore | bool) -> dict[tuple[int, int], int | None]:
    """Return what people prefer, by input and variant: 1 is the variant, -1 the baseline, 0 neither."""
    plan = state.plan
    pairs = {
        _keys(state, number, variant): (number, variant)
        for number in range(len(plan.inputs))
        for variant in range(1, len(plan.variants))
    }
    with opened(store) as kept:
        found = kept.ratings.find(pairs) if kept is not None else {}
    return {pairs[keys]: _AS_NUMBER[preference] for keys, preference in found.items()}


def with_equal_answers(
    state: ExperimentState, rated: Mapping[tuple[int, int], int | None]
) -> dict[tuple[int, int], int | None]:
    """Return ratings with the ties that nobody need be asked of: answers that are the same; none if nobody rated."""
    ties = {}
    for trial, each in state.trials.items() if rated else ():
        first = state.trials[Trial(trial.input, 0)].run
        done = each.run.phase is Phase.DONE and first.phase is Phase.DONE
        if trial.variant and not trial.repeat and done and each.run.text == first.text:
            ties[trial.input, trial.variant] = 0
    return {**ties, **rated}


def _keys(state: ExperimentState, number: int, variant: int) -> tuple[str, str]:
    """Return what a rating is kept under: it is of two answers, and says nothing of others to the same question."""
    first, second = (
        digest_of([state.plan.key(trial), state.trials[trial].run.text])
        for trial in (Trial(number, 0), Trial(number, variant))
    )
    return first, second
