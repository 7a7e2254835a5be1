"""A judge is asked in both orders; what goes with the order is a tie."""

from __future__ import annotations

import pytest

from cozeloop_magic.lab.judge import agreement, combine, judge_variables, parse_preference


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a", "a"),
        ("B.", "b"),
        ("**A**", "a"),
        ("Tie", "tie"),
        ('{"winner": "b", "why": "a is longer"}', "b"),
        ('{"why": "x"}', None),
        ('"A"', "a"),
        ("Both are fine, but I prefer\n\nB", "b"),
        ("Answer A", "a"),
        ("I cannot say.", None),
        ("A is better than B because it is short and to the point", None),
        ("", None),
    ],
)
def test_reading_an_answer(text: str, said: str | None) -> None:
    assert parse_preference(text) == said


@pytest.mark.parametrize(
    ("baseline_first", "variant_first", "preference", "flipped"),
    [("b", "a", 1, False), ("a", "b", -1, False), ("tie", "tie", 0, False), ("a", "a", 0, True), ("b", "b", 0, True),
     ("a", "tie", 0, False), ("tie", "a", 0, False)],
)  # fmt: skip
def test_both_orders_count(baseline_first: str, variant_first: str, preference: int, flipped: bool) -> None:
    judged = combine(baseline_first, variant_first)
    assert (judged.preference, judged.flipped) == (preference, flipped)


def test_an_answer_that_cannot_be_read_is_an_error_not_a_tie() -> None:
    judged = combine("a", "hm")
    assert judged.preference is None and "'hm'" in judged.error


def test_agreement_is_told_with_its_interval_or_not_at_all() -> None:
    told = str(agreement([(1, 1), (0, 1), (-1, -1), (None, 1), (1, None)]))
    assert told == "agrees with human ratings on 2 of 3 pairs (95 % interval 21 to 94 %)"
    assert "cannot be shown" in str(agreement([(None, 1)]))


def test_a_judge_sees_input_expectation_and_answers() -> None:
    assert judge_variables({"text": "好"}, None, "x", "y") == {
        "input": '{"text": "好"}', "expected": "", "a": "x", "b": "y",
    }  # fmt: skip
