"""A call is made again only where the server cannot have begun it, or asks to come again."""

from __future__ import annotations

import socket
import threading
import time
from datetime import datetime, timezone
from typing import Any

import pytest

from cozeloop_magic import errors
from cozeloop_magic.transport import faults
from cozeloop_magic.transport.retry import read_retry_after, retry_policy
from tests.client.ways import ALL_WAYS, STREAM_WAYS, WHOLE_WAYS, ClientOf, Serve
from tests.wire_server import GOOD, STREAMED, answer, delta, event, in_turn, reset, stream


def reset_at_once(request: Any, connection: socket.socket) -> None:
    reset(connection)


BUSY = {
    "429": answer("", "429 Too Many Requests", Retry_After="0"),
    "503": answer("<html>busy</html>", "503 Service Unavailable", Retry_After="0"),
    "600502001": answer({"code": 600502001, "msg": "slow down"}, Retry_After="0"),
    "600502002": answer({"code": 600502002, "msg": "slow down"}, Retry_After="0"),
}


class TestPolicy:
    def test_waits_a_random_time_up_to_a_bound_that_doubles(self) -> None:
        policy = retry_policy(6, spread=lambda low, high: high)
        next(policy)
        assert [policy.send(errors.RateLimited("")) for _ in range(6)] == [0.5, 1, 2, 4, 8, 8]
        with pytest.raises(StopIteration):
            policy.send(errors.RateLimited(""))

    @pytest.mark.parametrize("fault", [errors.ServerFailed(""), errors.StreamInterrupted(""), errors.BadRequest("")])
    def test_ends_where_the_server_may_have_begun(self, fault: errors.LoopError) -> None:
        policy = retry_policy(2)
        next(policy)
        with pytest.raises(StopIteration):
            policy.send(fault)

    def test_waits_as_long_as_the_server_says_unless_that_is_too_long(self) -> None:
        fault = errors.RateLimited("")
        policy = retry_policy(2)
        next(policy)
        fault.retry_after = 7.0
        assert policy.send(fault) == 7.0
        fault.retry_after = 3600.0
        with pytest.raises(StopIteration):
            policy.send(fault)

    def test_reads_seconds_and_dates(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=timezone.utc)
        assert read_retry_after("12") == 12.0
        assert read_retry_after("Thu, 01 Jan 2026 00:00:05 GMT", now) == 5.0
        assert read_retry_after("Wed, 31 Dec 2025 00:00:00 GMT", now) == 0.0
        assert read_retry_after("soon") is read_retry_after("") is read_retry_after(None) is None
        assert read_retry_after("²") is read_retry_after("Mon, 01 Jan 2024 00:00:00 +99999999999999999999") is None


@pytest.mark.parametrize("read", ALL_WAYS)
class TestRetry:
    @pytest.mark.parametrize("case", BUSY)
    def test_comes_again_where_it_is_asked_to(self, serve: Serve, client_of: ClientOf, read: Any, case: str) -> None:
        server = serve(in_turn(BUSY[case], BUSY[case], GOOD))
        assert read(client_of(server, max_retries=2)) == "Hello world"
        assert len(server.requests) == 3

    def test_gives_up(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(BUSY["429"])
        with pytest.raises(errors.RateLimited):
            read(client_of(server, max_retries=2))
        assert len(server.requests) == 3

    def test_does_not_wait_beyond_the_limit(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(answer("", "429 Too Many Requests", Retry_After="900"))
        with pytest.raises(errors.RateLimited):
            read(client_of(server, max_retries=2), timeout=600)
        assert len(server.requests) == 1

    def test_a_stale_connection_is_no_fault(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        monkeypatch.setattr(faults, "_SLACK", 5.0)  # this machine may be busy
        server = serve(in_turn(GOOD, reset_at_once, GOOD))
        client = client_of(server, max_retries=2)
        assert read(client) == read(client) == "Hello world"

    def test_a_server_that_may_have_begun_is_not_asked_again(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        def crash(request: Any, connection: socket.socket) -> None:
            time.sleep(0.3)
            reset(connection)

        server = serve(in_turn(GOOD, crash, GOOD))
        client = client_of(server, max_retries=2)
        read(client)
        with pytest.raises(errors.StreamInterrupted, match="whether the call was begun is not known"):
            read(client)
        assert len(server.requests) == 2

    def test_closing_the_client_ends_the_wait(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        client = client_of(serve(answer("", "429 Too Many Requests", Retry_After="30")), max_retries=2)
        threading.Timer(0.2, client.close).start()
        with pytest.raises(errors.ClientClosed):
            read(client)

    def test_a_wait_that_is_too_long_is_told(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(answer({"code": 1, "msg": "daily limit"}, "429 Too Many Requests", Retry_After="3600"))
        with pytest.raises(errors.RateLimited, match=r"daily limit.*again in 3,600 s, as it asks"):
            read(client_of(server, max_retries=2))
        assert len(server.requests) == 1

    def test_a_fresh_connection_that_is_reset_is_one(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(reset_at_once)
        with pytest.raises(errors.StreamInterrupted, match="ended before an answer came"):
            read(client_of(server, max_retries=2))
        assert len(server.requests) == 1


@pytest.mark.parametrize("read", STREAM_WAYS)
def test_a_limit_in_the_first_event_is_met_again(serve: Serve, client_of: ClientOf, read: Any) -> None:
    server = serve(in_turn(stream([event({"code": 600502002, "msg": "slow down"}, "error")]), STREAMED))
    assert read(client_of(server, max_retries=2)) == "Hello world"
    assert len(server.requests) == 2


@pytest.mark.parametrize("read", STREAM_WAYS)
@pytest.mark.parametrize("first", [delta("Hel"), event({"usage": {"input_tokens": 5}})], ids=["text", "usage"])
def test_nothing_is_repeated_after_the_first_piece(
    serve: Serve, client_of: ClientOf, read: Any, first: bytes
) -> None:
    server = serve(stream([first, event({"code": 600502002, "msg": "slow down"}, "error")]))
    with pytest.raises(errors.RateLimited):
        read(client_of(server, max_retries=2))
    assert len(server.requests) == 1


def test_retries_are_counted(serve: Serve, client_of: ClientOf) -> None:
    client = client_of(serve(in_turn(BUSY["429"], GOOD, BUSY["503"], GOOD)), max_retries=2)
    assert client.execute_prompt("greet").retries == 1
    assert [piece.retries for piece in client.execute_prompt("greet", stream=True)] == [1] * 4


@pytest.mark.parametrize("read", WHOLE_WAYS)
def test_none_means_none(serve: Serve, client_of: ClientOf, read: Any) -> None:
    server = serve(BUSY["503"])
    with pytest.raises(errors.ServerFailed):
        read(client_of(server, max_retries=0))
    assert len(server.requests) == 1
