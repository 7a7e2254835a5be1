"""Which definitions of prompts are asked for again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cozeloop_magic import errors, new_client
from cozeloop_magic.client.cache import PromptCache
from cozeloop_magic.entities.prompt import Prompt
from tests.client.ways import ClientOf, Serve
from tests.wire_server import answer

ONE, TWO = Prompt("greet", "1.0.0"), Prompt("greet", "2.0.0")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestPromptCache:
    def test_a_version_stays(self) -> None:
        cache = PromptCache()
        cache.add(ONE, "1.0.0")
        assert cache.get("greet", "1.0.0") is ONE and cache.get("greet", "1.0.0", "label") is ONE
        assert cache.get("greet") is None and cache.get("other", "1.0.0") is None

    def test_the_latest_tells_a_version_but_not_what_will_be_the_latest(self) -> None:
        cache = PromptCache()
        cache.add(ONE)
        assert cache.get("greet", "1.0.0") is ONE and cache.get("greet") is None

    @pytest.mark.parametrize(("version", "label"), [("", ""), ("", "production")])
    def test_what_may_change_is_used_for_the_interval(self, version: str, label: str) -> None:
        clock = Clock()
        cache = PromptCache(refresh_interval=60, clock=clock)
        cache.add(ONE, version, label)
        assert cache.get("greet", version, label) is ONE
        clock.now = 60.0
        assert cache.get("greet", version, label) is None and cache.get("greet", "1.0.0") is ONE

    def test_nothing_of_a_loop_whose_versions_change_stays(self) -> None:
        clock = Clock()
        cache = PromptCache(refresh_interval=60, clock=clock)
        cache.add(ONE, "1.0.0", may_change=True)
        assert cache.get("greet", "1.0.0") is ONE
        clock.now = 61.0
        assert cache.get("greet", "1.0.0") is None
        never = PromptCache()
        never.add(ONE, "1.0.0", may_change=True)
        assert never.get("greet", "1.0.0") is None

    def test_what_was_used_longest_ago_makes_room(self) -> None:
        cache = PromptCache(max_count=2)
        cache.add(ONE, "1.0.0")
        cache.add(TWO, "2.0.0")
        cache.get("greet", "1.0.0")
        cache.add(Prompt("greet", "3.0.0"), "3.0.0")
        assert cache.get("greet", "1.0.0") is ONE and cache.get("greet", "2.0.0") is None


def numbered() -> Any:
    """Answer each mget call with a version of its own."""
    numbers = itertools.count(1)

    def script(request: Any, connection: Any) -> None:
        prompt = {"prompt_key": "greet", "version": f"{next(numbers)}.0.0"}
        answer({"code": 0, "data": {"items": [{"prompt": prompt}]}})(request, connection)

    return script


def test_a_client_asks_for_the_latest_every_time_unless_told(serve: Serve, client_of: ClientOf) -> None:
    client = client_of(serve(numbered()))
    assert [client.get_prompt("greet").version for _ in range(2)] == ["1.0.0", "2.0.0"]
    client = client_of(serve(numbered()), prompt_cache_refresh_interval=60)
    assert [client.get_prompt("greet", label=label).version for label in ("", "", "beta")] == [
        "1.0.0",
        "1.0.0",
        "2.0.0",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"prompt_cache_max_count": 0},
        {"prompt_cache_max_count": 1.5},
        {"prompt_cache_refresh_interval": -1},
        {"prompt_cache_refresh_interval": "60"},
    ],
)
def test_options_that_are_none_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError, match="prompt_cache"):
        new_client("http://127.0.0.1:9", "1", "token", **options)
