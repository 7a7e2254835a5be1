"""Runs that end are kept together, none waits for long, and what was not kept is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.errors import StoreError
from cozeloop_magic.lab.keeper import Keeper
from cozeloop_magic.run.state import Phase, RunState
from tests.conftest import soon

RUN = RunState(ExecuteRequest("greet"), Phase.DONE)
Runs = Sequence[tuple[int, RunState]]


class Kept:
    """What was kept, some at a time; the store is slow until `go_on`."""

    def __init__(self, fails: bool = False, slow: bool = False) -> None:
        self.together: list[list[int]] = []
        self.told: list[int] = []
        self.failures: list[BaseException] = []
        self.go_on, self.begun = threading.Event(), threading.Event()
        self.fails = fails
        if not slow:
            self.go_on.set()

    def keep(self, runs: Runs) -> None:
        self.begun.set()
        assert self.go_on.wait(60)
        self.together.append([number for number, _ in runs])
        if self.fails:
            raise StoreError("There is no room.")

    def kept(self, runs: Runs, failure: BaseException | None) -> None:
        self.told += [number for number, _ in runs]
        self.failures += [failure] if failure else []

    def keeper(self, **options: Any) -> Keeper[int]:
        return Keeper(self.keep, self.kept, **{"at_once": False} | options)


def test_what_ends_while_others_are_kept_is_kept_together() -> None:
    kept = Kept(slow=True)
    keeper = kept.keeper()
    keeper.put(0, RUN)
    assert kept.begun.wait(60)
    for number in range(1, 10):
        keeper.put(number, RUN)
    assert kept.told == []
    kept.go_on.set()
    keeper.close()
    assert kept.together == [[0], list(range(1, 10))] and kept.told == list(range(10))


def test_one_that_nothing_follows_is_kept_soon() -> None:
    kept = Kept()
    keeper = kept.keeper()
    for number in range(3):
        keeper.put(number, RUN)
        assert soon(lambda n=number: kept.told == list(range(n + 1)))
    keeper.close()
    assert kept.together == [[0], [1], [2]]


def test_it_says_when_too_many_wait() -> None:
    kept = Kept(slow=True)
    keeper = kept.keeper()
    number = 0
    while not keeper.is_full:
        keeper.put(number, RUN)
        number += 1
    assert 2 <= number <= 100
    kept.go_on.set()
    assert soon(lambda: not keeper.is_full)
    keeper.close()
    assert kept.told == list(range(number))


@pytest.mark.parametrize("at_once", [True, False])
def test_after_a_failure_nothing_is_kept_and_all_is_told(at_once: bool) -> None:
    kept = Kept(fails=True)
    keeper = kept.keeper(at_once=at_once)
    keeper.put(0, RUN)
    assert soon(lambda: kept.told == [0])
    keeper.put(1, RUN)
    keeper.close()
    assert kept.together == [[0]] and kept.told == [0, 1] and len(kept.failures) == 1


def test_at_once_means_before_it_returns_and_without_a_thread() -> None:
    kept, before = Kept(), threading.active_count()
    keeper = kept.keeper(at_once=True)
    keeper.put(0, RUN)
    assert kept.told == [0] and threading.active_count() == before and not keeper.is_full
    keeper.close()
