"""Which hosts are this machine, whatever the environment says of proxies."""

from __future__ import annotations

import pytest

from cozeloop_magic.transport.dial import is_loopback
from cozeloop_magic.transport.probe import look_at


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost.", "loop.localhost", "::1%lo"],
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "128.0.0.1", "::2", "0.0.0.0", "localhost.example", "notlocalhost", "127.0.0.1.example", "10.0.0.1"]
)
def test_another_machine(host: str) -> None:
    assert not is_loopback(host)


def test_a_look_at_an_address_survives_a_proxy_that_is_none(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:s3cr3t@[::1")
    seen = look_at("http://loop.invalid")
    assert seen.clock is None and "s3cr3t" not in seen.proxy
