"""What a comparison says, and how often it is wrong where there is nothing to find."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

import pytest

from cozeloop_magic.lab.verdict import (
    Decision,
    Measure,
    Value,
    Verdict,
    decide,
    inputs_to_show_anything,
    what_can_be_shown,
)
from cozeloop_magic.lab.wording import PEOPLE, interval_svg

PASS = Measure("equals")
TOKENS = Measure("tokens", higher_is_better=False, unit="tokens")


def once(values: Sequence[Value]) -> list[list[Value]]:
    return [[value] for value in values]


def passing(passed: int, of: int) -> list[list[Value]]:
    return once([True] * passed + [False] * (of - passed))


def compared(
    first: list[list[Value]], second: list[list[Value]], measure: Measure = PASS, by: float = 0.1
) -> Decision:
    return decide({"0.1.0": first, "0.2.0": second}, measure, by=by)[0]


class TestSentences:
    def test_better_begins_with_counts(self) -> None:
        decision = compared(passing(11, 30), passing(24, 30))
        assert decision.verdict is Verdict.BETTER
        assert decision.sentence == (
            "0.2.0 is better than 0.1.0: 24 of 30 inputs pass equals with 0.2.0, 11 of 30 with 0.1.0 "
            "(13 gained, 0 lost), a difference of +43 points (95 % interval +22 to +59)."
        )

    def test_no_difference_could_be_shown_tells_what_it_would_take(self) -> None:
        decision = compared(passing(11, 30), passing(13, 30))
        assert decision.verdict is Verdict.NOT_SHOWN and decision.inputs_needed == 77
        assert decision.sentence.endswith("To show a difference of 10 points would take about 77 inputs like these.")

    def test_fewer_than_six_inputs_are_too_few(self) -> None:
        assert compared(passing(0, 5), passing(5, 5)).verdict is Verdict.TOO_FEW
        assert compared(passing(0, 6), passing(6, 6)).verdict is Verdict.BETTER

    def test_no_difference_that_matters(self) -> None:
        decision = compared([[1, 1, 0]] * 100, [[1, 1, 0]] * 100)
        assert decision.verdict is Verdict.NO_DIFFERENCE_THAT_MATTERS
        assert decision.sentence.endswith("all of it within ±10 points.")

    def test_the_same_few_answers_are_no_proof_of_no_difference(self) -> None:
        assert compared([[1, 1, 0]] * 10, [[1, 1, 0]] * 10).verdict is Verdict.NOT_SHOWN

    def test_fewer_tokens_are_better(self) -> None:
        many, few = once([100.0, 120, 130, 90, 80, 77, 66]), once([50.0, 60, 60, 44, 40, 33, 30])
        assert compared(many, few, TOKENS, by=10).verdict is Verdict.BETTER
        assert compared(few, many, TOKENS, by=10).verdict is Verdict.WORSE
        assert (
            "45.3 tokens on average with 0.2.0, 94.7 tokens with 0.1.0" in compared(many, few, TOKENS, by=10).sentence
        )

    def test_a_failed_call_drops_its_input_and_is_counted(self) -> None:
        decision = compared(passing(3, 10), once([True, None, None] + [True] * 7))
        assert (decision.pairs, decision.dropped) == (8, 2)
        assert decision.sentence.endswith(
            "2 more inputs do not count, as their answer or check failed with one of both."
        )

    def test_nothing_to_decide_by_is_told_apart_from_nothing_left(self) -> None:
        assert compared([], []).verdict is Verdict.NOTHING_TO_DECIDE_BY
        assert compared(once([None]), once([True])).verdict is Verdict.TOO_FEW

    def test_repeats_are_told_as_answers_and_inputs(self) -> None:
        decision = compared([[True, False]] * 8, [[True, True]] * 7 + [[True, None]])
        assert (decision.won, decision.lost) == (8, 0)
        assert "15 of 15 answers pass equals with 0.2.0, 8 of 16 with 0.1.0; of 8 inputs 8 did better, 0 worse" in (
            decision.sentence
        )

    def test_preferences_are_told_as_such_and_never_beyond_all_inputs(self) -> None:
        people = Measure("human", judges=PEOPLE)
        decision = compared(once([0, 0, 0, 0, 0, 0, 0, 1, 0.5]), once([1, 1, 1, 1, 1, 1, 1, 0, 0.5]), people)
        assert "people prefer 0.2.0 on 7 of 9 inputs, 0.1.0 on 1, neither on 1" in decision.sentence
        assert decision.interval is not None and decision.interval.high <= 1.0
        assert "nobody has rated" in compared([], [], people).sentence

    def test_what_chance_does_is_told_where_the_interval_alone_would_mislead(self) -> None:
        five_of_100 = compared(passing(60, 100), passing(65, 100), by=0.02)
        assert five_of_100.verdict is Verdict.NOT_SHOWN and 0 not in (five_of_100.interval or ())
        assert (
            "but chance alone does as much in 6.2 of 100 comparisons, more than the 5 allowed" in five_of_100.sentence
        )

    def test_values_that_never_differ_prove_nothing_of_those_not_met(self) -> None:
        decision = compared(once([4.0] * 8), once([4.0] * 8), TOKENS, by=0.4)
        assert decision.verdict is Verdict.NOT_SHOWN and "no interval can be given" in decision.sentence

    def test_differences_that_are_all_the_same_have_no_interval_without_width(self) -> None:
        gained = compared([[False, False]] * 12, [[True, True]] * 12)
        assert gained.verdict is Verdict.BETTER and "(95 % interval +47 to +100)" in gained.sentence
        thirds = compared([[1, 0, 0], [1, 1, 0]] * 6, [[1, 1, 0], [1, 1, 1]] * 6)  # alike but for the last digit
        assert thirds.interval is not None and thirds.interval.high - thirds.interval.low > 0.5
        shorter = compared(once([9.0] * 8), once([7.0] * 8), TOKENS, by=1)
        assert shorter.verdict is Verdict.BETTER and "-2 tokens to which no interval can be given" in shorter.sentence

    def test_no_number_of_inputs_is_named_that_can_show_nothing(self) -> None:
        few = compared(once([0.0] * 4), once([0.5, -0.5, 0.5, 1.5]), Measure("score", unit=" "), by=9)
        assert few.verdict is Verdict.TOO_FEW and few.inputs_needed == 6

    def test_with_many_inputs_tenths_of_a_point_are_told(self) -> None:
        assert "+1.5 points (95 % interval +0.7 to +2.3)" in compared(passing(500, 1000), passing(515, 1000)).sentence

    def test_behind_what_could_not_be_shown_the_same_level_holds(self) -> None:
        values = {"a": passing(0, 40), "b": passing(6, 40), "c": passing(6, 40)}
        assert [each.level for each in decide(values, PASS)] == [0.975, 0.975]

    def test_before_a_run(self) -> None:
        assert what_can_be_shown(4) == "With fewer than 6 inputs nothing can be shown; this is a look, not a test."
        assert "77 or more" in what_can_be_shown(30)
        assert what_can_be_shown(100).startswith("With 100 inputs a difference of 10 points can be shown")
        assert "one of 5 points takes 155 or more" in what_can_be_shown(100, by=0.05)
        assert (
            what_can_be_shown(30, shares=False)
            == "What 30 inputs can show depends on how much their answers scatter."
        )
        assert what_can_be_shown(7, look=3).startswith("With fewer than 8 inputs nothing can be shown")
        assert inputs_to_show_anything(0.99) == 8


class TestPicture:
    def test_it_is_plain_svg_that_says_what_it_shows(self) -> None:
        picture = ElementTree.fromstring(interval_svg(compared(passing(11, 30), passing(24, 30))))
        assert picture.find("title") is not None and {node.tag for node in picture.iter()} <= {
            "svg", "title", "rect", "line", "circle", "text",
        }  # fmt: skip

    def test_a_variants_name_stays_text_in_it(self) -> None:
        decision = decide({"<script>": passing(11, 30), "b": passing(24, 30)}, PASS)[0]
        assert "<script>" not in interval_svg(decision)

    def test_there_is_none_without_an_interval(self) -> None:
        assert interval_svg(compared([], [])) == "" and interval_svg(compared(once([0.5]), once([0.7]))) == ""


class TestManyVariants:
    def test_each_is_compared_with_the_first(self) -> None:
        values = {"a": passing(5, 40), "b": passing(30, 40), "c": passing(6, 40)}
        decisions = decide(values, PASS)
        assert [(each.variant, each.verdict) for each in decisions] == [
            ("b", Verdict.BETTER),
            ("c", Verdict.NOT_SHOWN),
        ]
        assert [round(each.level, 4) for each in decisions] == [0.975, 0.95]

    def test_behind_one_that_cannot_be_shown_nothing_is(self) -> None:
        values = {"a": passing(0, 40), "b": passing(6, 40), "c": passing(6, 40)}
        assert [each.verdict for each in decide(values, PASS)] == [Verdict.NOT_SHOWN, Verdict.NOT_SHOWN]

    def test_a_later_look_is_judged_more_strictly(self) -> None:
        values = {"a": passing(0, 20), "b": passing(6, 20)}
        assert decide(values, PASS, look=1)[0].verdict is Verdict.BETTER
        later = decide(values, PASS, look=2)[0]
        assert later.verdict is Verdict.NOT_SHOWN and later.level == 0.975 and "look 2" in later.sentence


class TestErrors:
    """Of 500 comparisons of equal variants at most 5 % may say better or worse."""

    @staticmethod
    def false_verdicts(make: Callable[[random.Random], dict[str, list[list[Value]]]], times: int = 500) -> int:
        chance = random.Random(11)
        decided = (decide(make(chance), PASS) for _ in range(times))
        return sum(any(each.verdict in (Verdict.BETTER, Verdict.WORSE) for each in found) for found in decided)

    @pytest.mark.parametrize("inputs", [6, 10, 20, 50])
    @pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
    def test_two_equal_variants(self, inputs: int, share: float) -> None:
        def make(chance: random.Random) -> dict[str, list[list[Value]]]:
            return {name: once([chance.random() < share for _ in range(inputs)]) for name in "ab"}

        assert self.false_verdicts(make) <= 25

    def test_five_inputs_of_twenty_repeats_each(self) -> None:
        def make(chance: random.Random) -> dict[str, list[list[Value]]]:
            def repeats() -> list[list[Value]]:
                shares = [chance.random() for _ in range(5)]
                return [[chance.random() < share for _ in range(20)] for share in shares]

            return {name: repeats() for name in "ab"}

        assert self.false_verdicts(make) <= 25

    @pytest.mark.parametrize("inputs", [6, 8, 12])
    def test_repeats_are_averaged_into_their_input(self, inputs: int) -> None:
        def make(chance: random.Random) -> dict[str, list[list[Value]]]:
            def repeats() -> list[list[Value]]:
                shares = [chance.random() for _ in range(inputs)]
                return [[chance.random() < share for _ in range(10)] for share in shares]

            return {name: repeats() for name in "ab"}

        assert self.false_verdicts(make, 300) <= 15

    def test_six_equal_variants(self) -> None:
        def make(chance: random.Random) -> dict[str, list[list[Value]]]:
            return {name: once([chance.random() < 0.5 for _ in range(30)]) for name in "abcdef"}

        assert self.false_verdicts(make) <= 25

    def test_three_looks_at_ever_more_inputs(self) -> None:
        chance, wrong = random.Random(5), 0
        for _ in range(500):
            first, second = ([chance.random() < 0.5 for _ in range(40)] for _ in "ab")
            looks = [
                decide({"a": once(first[:n]), "b": once(second[:n])}, PASS, look=look)[0].verdict
                for look, n in enumerate((10, 20, 40), 1)
            ]
            wrong += bool({Verdict.BETTER, Verdict.WORSE} & set(looks))
        assert wrong <= 25
