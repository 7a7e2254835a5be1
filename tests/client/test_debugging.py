"""What the switches for debugging show: how a call went, and nothing that it is secret."""

from __future__ import annotations

import copy
import gc
import http.client
import io
import json
import logging
import pickle
import pprint
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from urllib3.connection import HTTPConnection

from cozeloop_magic import Client, errors, new_client
from tests.client.network import Secure, elsewhere, forward
from tests.client.ways import ALL_WAYS, ClientOf, Serve
from tests.conftest import TOKEN
from tests.oauth import a_key, oauth_client, pem_of, tokens
from tests.wire_server import ANSWER, GOOD, WHOLE, answer, by_path

PASSWORD = "pr0xy-pass-w0rd"
HEADER = "another-s3cret-of-a-header"
ECHOED = {"X_Echo": f"Bearer {TOKEN}", "X_Env": HEADER, "Set_Cookie": "session=c00kie-s3cret"}
SECRETS = (TOKEN, PASSWORD, HEADER, "c00kie-s3cret", "at_1", "me:pr0xy", "bWU6cHIweHktcGFzcy13MHJk")


def shown(capfd: Any, caplog: pytest.LogCaptureFixture) -> str:
    out, err = capfd.readouterr()
    return str(out + err + caplog.text + "".join(str(record.__dict__) for record in caplog.records))


@pytest.fixture(params=[http.client.HTTPConnection, HTTPConnection], ids=["http.client", "urllib3"])
def debugging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request.param, "debuglevel", 1)


@pytest.fixture
def loud(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """Log all there is, as ``logging.basicConfig(level=DEBUG)`` does."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "http.client", "sseclient", "asyncio", "cozeloop_magic"):
        caplog.set_level(logging.DEBUG, name)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.usefixtures("debugging")
class TestDebugLevel:
    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_shows_the_call_without_its_secrets(
        self, serve: Serve, client_of: ClientOf, capfd: Any, caplog: pytest.LogCaptureFixture, read: Any
    ) -> None:
        assert read(client_of(serve(GOOD), headers={"X-Env": HEADER})) == "Hello world"
        text = shown(capfd, caplog)
        assert "send: 'POST /v1/loop/prompts/execute" in text and "reply: 'HTTP/1.1 200" in text
        assert "header: 'Content-Type: " in text and "Authorization: ••••••" in text
        assert not [secret for secret in SECRETS if secret in text]

    def test_hides_what_a_server_echoes(
        self, serve: Serve, client_of: ClientOf, capfd: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        client_of(serve(answer(ANSWER, **ECHOED)), headers={"X-Env": HEADER}).execute_prompt("greet")
        text = shown(capfd, caplog)
        assert "header: 'X-Echo: " in text and not [secret for secret in SECRETS if secret in text]

    def test_hides_a_proxys_password(
        self,
        serve: Serve,
        capfd: Any,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Any,
    ) -> None:
        secure = Secure(tmp_path / "secure")
        proxy = serve(forward)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}")
        with ExitStack() as stack:
            for server in (serve(GOOD), serve(GOOD, secure.server)):
                client = stack.enter_context(new_client(elsewhere(server), "1", TOKEN))
                assert str(client.execute_prompt("greet")) == "Hello world"
        assert all("proxy-authorization" in request.headers for request in proxy.requests)
        text = shown(capfd, caplog)
        assert "send: 'CONNECT loop.test" in text and not [secret for secret in SECRETS if secret in text]

    def test_hides_an_oauth_applications_tokens(
        self, serve: Serve, capfd: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve(by_path(token=tokens(), execute=WHOLE))
        with oauth_client(server, pem_of(a_key())) as client:
            client.execute_prompt("greet")
        claim = server.requests[0].headers["authorization"].removeprefix("Bearer ")
        text = shown(capfd, caplog)
        assert "send: 'POST /api/permission" in text and claim not in text
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("read", ALL_WAYS)
class TestLogs:
    def test_of_every_library_hold_no_secret(
        self, serve: Serve, client_of: ClientOf, loud: io.StringIO, caplog: Any, capfd: Any, read: Any
    ) -> None:
        client = client_of(serve(GOOD), headers={"X-Env": HEADER})
        assert read(client) == "Hello world"
        assert "POST http" in loud.getvalue()
        assert not [secret for secret in SECRETS if secret in loud.getvalue() + shown(capfd, caplog)]

    @pytest.mark.parametrize("comes_first", [False, True])
    @pytest.mark.parametrize(
        "headers", [f"no header\r\nX-Echo: Bearer {TOKEN}", f"Bearer {TOKEN}", f": Bearer {TOKEN}", f" {TOKEN}"]
    )
    def test_of_headers_that_are_none_hold_no_secret(
        self,
        serve: Serve,
        client_of: ClientOf,
        loud: io.StringIO,
        caplog: Any,
        capfd: Any,
        read: Any,
        headers: str,
        comes_first: bool,
    ) -> None:
        body = json.dumps(ANSWER).encode()

        def script(request: Any, connection: Any) -> None:
            proper = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
            lines = (headers, proper) if comes_first else (proper, headers)
            connection.sendall("\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode() + body)

        with pytest.raises(errors.LoopError) if "stream" in read.__name__ else ExitStack():
            read(client_of(serve(script)))
        assert not [secret for secret in SECRETS if secret in loud.getvalue() + shown(capfd, caplog)]

    def test_of_a_proxy_hold_no_password(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, loud: io.StringIO, caplog: Any, capfd: Any, read: Any
    ) -> None:
        for address in (f"http://me:{PASSWORD}@127.0.0.1:{serve(forward).port}", f"http://me:{PASSWORD}@127.0.0.1:1"):
            monkeypatch.setenv("HTTP_PROXY", address)
            with new_client(elsewhere(serve(GOOD)), "1", TOKEN, max_retries=1) as client:
                try:
                    read(client)
                except errors.ConnectFailed as error:
                    assert PASSWORD not in str(error)
        assert not [secret for secret in SECRETS if secret in loud.getvalue() + shown(capfd, caplog)]


def inside(value: Any) -> str:
    """Show all that hangs on an object of ours, as a debugger's tree of variables does."""
    seen: set[int] = set()
    lines: list[str] = []
    todo = [value]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, (types.ModuleType, type)) or len(seen) > 20_000:
            continue
        seen.add(id(each))
        lines.append(repr(each))
        state = dict(getattr(each, "__dict__", {}))
        for kind in type(each).__mro__:
            for name in getattr(kind, "__slots__", ()):
                state[name] = getattr(each, name, None)
        lines.append(pprint.pformat(state))
        todo += state.values()
        todo += [*each.keys(), *each.values()] if isinstance(each, dict) else []
        todo += list(each) if isinstance(each, (list, tuple, set)) else []
        if isinstance(each, types.FunctionType):
            todo += [cell.cell_contents for cell in each.__closure__ or ()]
    return "\n".join(lines)


class TestObjects:
    @pytest.fixture
    def client(self, serve: Serve, client_of: ClientOf) -> Client:
        client = client_of(serve(GOOD), headers={"X-Env": HEADER})
        client.execute_prompt("greet")
        return client

    def test_show_dots_however_deep_one_looks(self, client: Client) -> None:
        text = inside(client)
        assert "••••••" in text and not [secret for secret in SECRETS if secret in text]

    def test_of_an_oauth_application_show_dots(self, serve: Serve) -> None:
        key = pem_of(a_key())
        with oauth_client(serve(by_path(token=tokens(), execute=WHOLE)), key) as client:
            client.execute_prompt("greet")
            text = inside(client)
        assert "••••••" in text and "at_1" not in text
        assert key.splitlines()[1] not in text

    def test_of_a_client_are_not_pickled(self, client: Client) -> None:
        for save in (pickle.dumps, copy.deepcopy, copy.copy):
            with pytest.raises(TypeError, match=r"new_client|not pickled") as caught:
                save(client)
            assert not [secret for secret in SECRETS if secret in str(caught.value)]
        for part in (client._transport, client.connect(), client._caller, client.prompts):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
                pickle.dumps(part)

    def test_that_are_dropped_warn_of_nothing_secret(self, serve: Serve) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client = new_client(serve(GOOD).url, "1", TOKEN)
            next(client.execute_prompt("greet", stream=True))
            del client
            gc.collect()
        assert TOKEN not in str([str(each.message) for each in caught])

    def test_leave_the_environment_as_it_is(self, client: Client) -> None:
        assert TOKEN not in str(sys.argv) + str(sys.modules["os"].environ)
