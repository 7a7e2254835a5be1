"""Servers that are not reached, or not in time; calls that are ended; credentials that are not had."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from cozeloop_magic import Client
from cozeloop_magic.client.reader import StreamReader
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.state import RunState
from tests.client.cases.stage import Case, Stage, streamed, whole
from tests.client.faults import JSON_HEAD
from tests.client.network import Plain, Secure, takes_no_connection
from tests.client.ways import read_whole
from tests.oauth import a_key, oauth_client, pem_of, public_pem_of, tokens
from tests.wire_server import (
    GOOD,
    STREAMED,
    WHOLE,
    Request,
    Script,
    WireServer,
    answer,
    by_path,
    delta,
    framed,
    reset,
    send,
    stream,
)

# The network, TLS, proxies.

_PAGE = "<html><head><title>Bad gateway</title></head></html>"
_NOT_HTTP = send([b"SSH-2.0-OpenSSH_9.6\r\n"])
_WANTS_A_PASSWORD = answer("", "407 Proxy Authentication Required")


def is_silent(request: Request, connection: Any) -> None:
    connection.recv(1)


def gives_a_tunnel(request: Request, connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    connection.recv(1)


def at(address: str) -> Case:
    return lambda stage: read_whole(stage.client(address))


def gone(stage: Stage) -> WireServer:
    server = stage.serve(GOOD)
    server.stop()
    return server


def without_tls(stage: Stage) -> WireServer:
    return stage.serve(GOOD, Plain(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def secure(stage: Stage) -> WireServer:
    return stage.serve(GOOD, Secure(stage.folder / "server").server)


def trusting(bundle_of: Callable[[Stage], str | Path]) -> Case:
    """A call to a server with a certificate, where the environment names a bundle."""

    def case(stage: Stage) -> None:
        stage.environ.setenv("REQUESTS_CA_BUNDLE", str(bundle_of(stage)))
        read_whole(stage.client(secure(stage)))

    return case


def trusted(**certificate: Any) -> Case:
    """A call to a server with a certificate that is trusted, as far as that goes."""

    def case(stage: Stage) -> None:
        made = Secure(stage.folder / "made", **certificate)
        stage.environ.setenv("REQUESTS_CA_BUNDLE", made.bundle)
        read_whole(stage.client(stage.serve(GOOD, made.server)))

    return case


def a_file(stage: Stage) -> Path:
    path = stage.folder / "file.pem"
    path.write_text("no certificate")
    return path


def through(proxy: str | Script, where: str = "http://loop.example", **options: Any) -> Case:
    """A call through a proxy at an address, or through one that answers by a script."""

    def case(stage: Stage) -> None:
        address = proxy if isinstance(proxy, str) else stage.serve(proxy).url
        stage.environ.setenv("HTTPS_PROXY" if where.startswith("https") else "HTTP_PROXY", address)
        read_whole(stage.client(where, **options))

    return case


def without_pysocks(stage: Stage) -> None:
    def missing(*_: Any, **__: Any) -> Any:  # as requests puts it in this place
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    stage.environ.setattr("requests.adapters.SOCKSProxyManager", missing)
    through("socks5://127.0.0.1:1")(stage)


tunnelling = functools.partial(through, where="https://loop.example")

NOT_REACHED: dict[str, Case] = {
    "a connection that is refused": lambda stage: read_whole(stage.client(gone(stage))),
    "a name that no host has": at("http://-loop.example"),
    "a name that no host can have": at(f"http://{'loop' * 20}.example"),
    "an address with a star": at("http://*.example"),
    "an address with an empty name": at("http://.loop.example"),
    "an address with an escape that is none": at("http://loop%zz"),
    "a certificate of another authority": trusting(lambda stage: Secure(stage.folder / "other").bundle),
    "a certificate of another host": trusted(address="127.0.0.2"),
    "a certificate that is out of date": trusted(until=-1),
    "a bundle that is not there": trusting(lambda stage: "/nowhere/ca.pem"),
    "a bundle that holds no certificate": trusting(a_file),
    "a bundle that is an empty folder": trusting(lambda stage: stage.folder),
    "https:// to a server without TLS": lambda stage: read_whole(stage.client(without_tls(stage))),
    "http:// to a server with TLS": lambda stage: read_whole(
        stage.client(secure(stage).url.replace("https", "http"))
    ),
    "a proxy that is not there": through("http://127.0.0.1:1"),
    "a proxy of an unknown name": through("http://-proxy.example:3128"),
    "a proxy without a host": through("http://me:pass-w0rd@"),
    "a proxy whose port is no number": through("http://proxy:x"),
    "a proxy of an unknown kind": through("ftp://127.0.0.1:1"),
    "a SOCKS proxy": without_pysocks,
    "a proxy that hangs up": through(send([])),
    "a proxy that hangs up on a tunnel": tunnelling(send([])),
    "a proxy that wants a password": through(_WANTS_A_PASSWORD),
    "a proxy that wants a password for a tunnel": tunnelling(_WANTS_A_PASSWORD),
    "a proxy that finds no server": through(answer(_PAGE, "502 Bad Gateway", "text/html")),
    "a proxy that finds no server for a tunnel": tunnelling(answer(_PAGE, "502 Bad Gateway", "text/html")),
    "a proxy that speaks no HTTP": through(_NOT_HTTP),
    "a proxy that speaks no HTTP, for a tunnel": tunnelling(_NOT_HTTP),
    "a proxy that gives no tunnel": tunnelling(is_silent, connect_timeout=0.1),
    "a proxy whose tunnel leads to silence": tunnelling(gives_a_tunnel, connect_timeout=0.1),
    "a proxy without TLS that is called https://": lambda stage: tunnelling(without_tls(stage).url)(stage),
    "the embedded Loop that breaks down": lambda stage: read_whole(stage.embedded(send([], reset))),
}

# Time.


def without_a_connection(*, timeout: float | None = None, **options: Any) -> Case:
    return lambda stage: read_whole(stage.client(stage.keep(takes_no_connection()), **options), timeout=timeout)


def behind_other_cells(stage: Stage) -> object:
    over, state = threading.Event(), RunState(ExecuteRequest("greet"))
    answer = BackgroundAnswer(state.request, lambda: over.wait(10) and state, over.set)
    try:
        return answer.result(timeout=0.1)
    finally:
        answer.stop()


TIME: dict[str, Case] = {
    "no answer in time": whole(is_silent, timeout=0.1),
    "no end of a stream in time": streamed(
        send(framed([delta("Hel"), b"more"], "length")[:2], lambda connection: connection.recv(1)), timeout=0.5
    ),
    "no first token in time": streamed(is_silent, first_token_timeout=0.1),
    "no connection in time": without_a_connection(connect_timeout=0.1),
    "no connection in the call's time": without_a_connection(timeout=0.1),
    "no secure connection in time": lambda stage: read_whole(
        stage.client(stage.serve(GOOD, Plain(b"")), connect_timeout=0.1)
    ),
    "no access token in time": lambda stage: oauth(stage, is_silent).execute_prompt("greet", timeout=0.1),
    "no answer behind other cells in time": behind_other_cells,
}

# Ended by the caller.


def ended_in_a_stream(close: Callable[[Client, StreamReader], object]) -> Case:
    """A stream whose reader or client is closed while the second piece is waited for."""

    def case(stage: Stage) -> None:
        client = stage.client(stage.serve(stream([delta("Hel"), threading.Event()])))
        reader = client.execute_prompt("greet", stream=True)
        next(reader)
        threading.Timer(0.1, close, (client, reader)).start()
        next(reader)

    return case


def ended(script: Script, **options: Any) -> Case:
    """A call whose client is closed meanwhile."""

    def case(stage: Stage) -> None:
        client = stage.client(stage.serve(script), **options)
        threading.Timer(0.1, client.close).start()
        read_whole(client)

    return case


def on_a_closed_client(stage: Stage) -> None:
    client = stage.client(stage.serve(GOOD))
    client.close()
    client.execute_prompt("greet")


def in_another_event_loop(stage: Stage) -> None:
    reader = asyncio.run(stage.client(stage.serve(STREAMED)).aexecute_prompt("greet", stream=True))

    async def read_on() -> None:
        await anext(reader)

    try:
        asyncio.run(read_on())
    finally:
        reader.close()


ENDED: dict[str, Case] = {
    "a reader closed in a stream": ended_in_a_stream(lambda client, reader: reader.close()),
    "a client closed in a stream": ended_in_a_stream(lambda client, reader: client.close()),
    "a client closed in a whole answer": ended(
        send(framed([b'{"data": ', b"{}}"], "length", JSON_HEAD)[:2], lambda connection: connection.recv(1))
    ),
    "a client closed before the answer": ended(is_silent),
    "a client closed between two attempts": ended(
        answer("", "503 Service Unavailable", Retry_After="9"), max_retries=1
    ),
    "a client closed before the call": on_a_closed_client,
    "a stream read in another event loop": in_another_event_loop,
}

# OAuth.


def oauth(stage: Stage, script: Script, key: str | None = None, **options: Any) -> Client:
    return stage.keep(oauth_client(stage.serve(script), pem_of(a_key()) if key is None else key, **options))


def exchanging(exchange: Script) -> Case:
    """A call whose access token is asked for first."""
    return lambda stage: oauth(stage, by_path(token=exchange), max_retries=0).execute_prompt("greet")


def signing(key: Callable[[], str]) -> Case:
    """A call for whose access token this key is to sign."""
    return lambda stage: oauth(stage, WHOLE, key()).execute_prompt("greet")


_UNKNOWN = {"error": "invalid_client", "error_code": "invalid_client", "error_message": "no such app"}
_REVOKED = answer({"code": 4101, "msg": "token is revoked"}, "401 Unauthorized", x_tt_logid="log-1")

OAUTH: dict[str, Case] = {
    "an application that is not known": exchanging(answer(_UNKNOWN, "401 Unauthorized", x_tt_logid="log-1")),
    "one that is not known, at HTTP 400": exchanging(answer(_UNKNOWN, "400 Bad Request", x_tt_logid="log-1")),
    "one that is not known, at HTTP 200": exchanging(answer(_UNKNOWN, x_tt_logid="log-1")),
    "an access token that is not accepted": lambda stage: oauth(
        stage, by_path(token=tokens(), execute=_REVOKED)
    ).execute_prompt("greet"),
    "no access token": exchanging(answer({}, x_tt_logid="log-1")),
    "an access token that no header can carry": exchanging(
        answer({"access_token": "at_s3cret\nX: y", "expires_in": 1}, x_tt_logid="log-1")
    ),
    "an exchange that breaks off": exchanging(send([], reset)),
    "an exchange that gives a page": exchanging(answer(_PAGE, content_type="text/html")),
    "a private key that is none": signing(lambda: "-----BEGIN PRIVATE KEY-----\nAAAA"),
    "a public key": signing(lambda: public_pem_of(a_key())),
    "a private key whose file is missing": signing(lambda: "no/such/file.pem"),
}
