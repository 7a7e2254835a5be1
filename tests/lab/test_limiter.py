"""How many calls may run at once."""

from __future__ import annotations

import heapq
from typing import Any

import pytest

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.limiter import Limiter


def test_as_many_as_allowed_run_at_once() -> None:
    limiter = Limiter(2)
    assert limiter.seconds_to_wait(5.0) == 0.0
    limiter.begin(5.0)
    limiter.begin(5.0)
    assert limiter.seconds_to_wait(5.0) is None
    limiter.answered(5.0, 6.0)
    assert limiter.seconds_to_wait(6.0) == 0.0


def test_a_refusal_halves_once_for_all_that_were_under_way() -> None:
    limiter = Limiter(16)
    for _ in range(16):
        limiter.begin(1.0)
    for _ in range(16):
        limiter.refused(1.0, 2.0)
    assert limiter.concurrency == 8
    limiter.begin(3.0)
    limiter.refused(3.0, 4.0)
    assert limiter.concurrency == 4
    for now in range(5, 20):
        limiter.begin(now)
        limiter.refused(now, now + 0.5)
    assert limiter.concurrency == 1


def test_answers_let_it_grow_again_and_never_above_the_most() -> None:
    limiter = Limiter(8)
    limiter.begin(1.0)
    limiter.refused(1.0, 2.0)
    grown = []
    for now in range(3, 60):
        limiter.begin(now)
        limiter.answered(now, now)
        grown.append(limiter.concurrency)
    assert grown == sorted(grown) and grown[0] == 5 and grown[3] == 7 and grown[-1] == 8


def test_all_wait_as_long_as_the_server_asks() -> None:
    limiter = Limiter(4)
    limiter.begin(1.0)
    limiter.begin(1.0)
    assert limiter.refused(1.0, 2.0, retry_after=3.0) == 3.0
    assert limiter.refused(1.0, 2.5, retry_after=1.0) == 2.5  # the longer of the two holds
    assert limiter.seconds_to_wait(4.0) == 1.0
    assert limiter.seconds_to_wait(5.0) == 0.0


def test_nobody_else_waits_an_hour_because_one_is_asked_to() -> None:
    limiter = Limiter(4)
    limiter.begin(1.0)
    assert limiter.refused(1.0, 2.0, retry_after=3600.0) == 60.0


def test_after_a_storm_it_is_soon_as_fast_as_before() -> None:
    limiter, now, answered = Limiter(16), 0.0, 0
    while now < 30.0:  # half a minute in which each call is refused
        now += limiter.seconds_to_wait(now) or 0.0
        limiter.begin(now)
        now += 0.01
        limiter.refused(now - 0.01, now)
        assert (limiter.seconds_to_wait(now) or 0.0) < 1.001
    while limiter.concurrency < 14:
        limiter.begin(now)
        now += 0.1
        limiter.answered(now - 0.1, now)
        answered += 1
    assert answered <= 20


def test_without_a_time_named_refusals_in_a_row_make_all_wait_longer() -> None:
    limiter = Limiter(1)
    waits = []
    for now in range(0, 1000, 100):
        limiter.begin(now)
        waits.append(limiter.refused(now, now + 1))
    assert waits[0] == 0.5 and set(waits[1:]) == {1.0}


def test_calls_and_tokens_a_minute_are_kept_to() -> None:
    limiter = Limiter(100, rpm=60)
    for now in (0.0, 1.0, 2.0):
        assert limiter.seconds_to_wait(now) == 0.0
        limiter.begin(now)
        assert limiter.seconds_to_wait(now) == 1.0
    limiter = Limiter(100, tpm=600)
    limiter.begin(0.0)
    limiter.answered(0.0, 0.0, tokens=20)
    assert limiter.seconds_to_wait(0.0) == 2.0


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "4", None])
def test_a_concurrency_must_be_a_count(most: Any) -> None:
    with pytest.raises(InvalidRequest, match="concurrency"):
        Limiter(most)


@pytest.mark.parametrize("limits", [{"rpm": 0}, {"tpm": -1}, {"rpm": float("nan")}])
def test_a_limit_must_be_above_zero(limits: Any) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        Limiter(4, **limits)


@pytest.mark.parametrize(("allowed", "share"), [(0.5, 0.5), (7.0, 0.5), (12.0, 0.8), (50.0, 0.9), (300.0, 0.9)])
def test_it_comes_near_what_a_server_allows_that_counts_calls_a_second(allowed: float, share: float) -> None:
    """Simulate a server with a bucket of tokens and answers that take 0.1 s, without a clock."""
    limiter, now, done, bucket, filled = Limiter(64), 0.0, 0, 1.0, 0.0
    ends: list[tuple[float, float, bool]] = []
    while now < 60.0:
        wait = limiter.seconds_to_wait(now)
        if wait is None or (ends and ends[0][0] <= now + wait):
            now, begun, served = heapq.heappop(ends)
            if served:
                limiter.answered(begun, now)
                done += 1
            else:
                limiter.refused(begun, now)
            continue
        now += wait
        limiter.begin(now)
        bucket, filled = min(bucket + (now - filled) * allowed, max(1.0, allowed / 10)), now
        served = bucket >= 1.0
        bucket -= served
        heapq.heappush(ends, (now + (0.1 if served else 0.005), now, served))
    assert done >= share * allowed * 60.0
