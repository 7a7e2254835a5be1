"""Jobs, looks and ratings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cozeloop_magic.store.jobs import Job, JobState
from cozeloop_magic.store.ratings import Preference
from cozeloop_magic.store.runs import RunStore

JOB = Job("compare", "plan", "variants", "pass", 60, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.open(tmp_path / "runs.db") as store:
        yield store


def test_a_job_that_was_killed_stays_running(store: RunStore) -> None:
    number = store.jobs.begin(JOB)
    latest = store.jobs.latest("plan")
    assert latest is not None and (latest.id, latest.state, latest.total) == (number, JobState.RUNNING, 60)
    assert store.jobs.latest("another") is None
    store.jobs.end(number, JobState.COMPLETE)
    latest = store.jobs.latest("plan")
    assert latest is not None and latest.state is JobState.COMPLETE


def test_looks_are_jobs_that_were_shown_on_any_of_the_inputs(store: RunStore) -> None:
    shown = store.jobs.begin(JOB, ["a", "b"])
    store.jobs.end(shown, JobState.COMPLETE)
    stopped = store.jobs.begin(JOB, ["b", "c"])
    store.jobs.end(stopped, JobState.STOPPED)
    killed = store.jobs.begin(JOB, ["a"])
    looks = store.jobs.count_looks
    assert looks(JOB, ["a", "z"]) == 1
    assert looks(JOB, ["b"]) == 2
    assert looks(JOB, ["b"], before=stopped) == 1
    assert looks(JOB, ["z"]) == looks(JOB, []) == 0
    assert killed


def test_another_question_or_other_variants_are_no_look(store: RunStore) -> None:
    store.jobs.end(store.jobs.begin(JOB, ["a"]), JobState.COMPLETE)
    assert store.jobs.count_looks(Job("compare", "p", "others", "pass", 1, 1.0), ["a"]) == 0
    assert store.jobs.count_looks(Job("compare", "p", "variants", "tokens", 1, 1.0), ["a"]) == 0


def test_a_rating_is_of_a_pair_whichever_way_round(store: RunStore) -> None:
    store.ratings.put(("b", "a"), Preference.FIRST)
    pairs = [("a", "b"), ("b", "a"), ("a", "c")]
    assert store.ratings.find(pairs) == {("a", "b"): Preference.SECOND, ("b", "a"): Preference.FIRST}
    store.ratings.put(("a", "b"), Preference.NEITHER)
    assert store.ratings.find([("b", "a")]) == {("b", "a"): Preference.NEITHER}
