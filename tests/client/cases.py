"""Every way in which a call fails, by what it is called in `messages.md`, as something to do in a `World`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, new_client
from cozeloop_magic.entities.prompt import ContentPart, Message
from tests.client.faults import BROKEN_OFF, JSON_HEAD, JSON_PIECES, NOT_WHOLE, REFUSED, UNREADABLE
from tests.client.secure import Plain, Secure, rsa_key, rsa_public_key
from tests.client.ways import read_stream, read_whole
from tests.conftest import TOKEN
from tests.wire_server import (
    GOOD,
    HEAD,
    STREAMED,
    WHOLE,
    Script,
    WireServer,
    answer,
    by_path,
    delta,
    event,
    framed,
    last,
    reset,
    send,
    stream,
)

LOG = {"x_tt_logid": "log-1"}
PAGE = "<html><head><title>Sign in</title></head></html>"
MESSAGE = {"role": "assistant", "content": "Hel"}
OAUTH = {"jwt_oauth_client_id": "app", "jwt_oauth_public_key_id": "kid-1"}


class World:
    """What a case needs: servers, clients and an environment, all gone when it ends.

    Attributes
    ----------
    hosts : list of str
        The servers there were; their ports differ from run to run.
    """

    def __init__(self, stack: ExitStack, environment: pytest.MonkeyPatch, folder: Path) -> None:
        self.hosts: list[str] = []
        self.environment = environment
        self.folder = folder
        self._stack = stack

    def server(self, script: Script, tls: Any = None) -> WireServer:
        server = WireServer(script, tls)
        self._stack.callback(server.stop)
        self.hosts.append(server.host)
        return server

    def client_at(self, url: str, token: str | None = TOKEN, **options: Any) -> Client:
        return self._stack.enter_context(new_client(url, "1", token, **{"max_retries": 0} | options))

    def client(self, script: Script, tls: Any = None, **options: Any) -> Client:
        return self.client_at(self.server(script, tls).url, **options)


@contextmanager
def a_world(folder: Path) -> Iterator[World]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        yield World(stack, environment, folder)


Case = Callable[[World], Any]


def streamed(script: Script, tls: Any = None, **options: Any) -> Case:
    return lambda world: read_stream(world.client(script, tls, **options))


def whole(script: Script, tls: Any = None, **options: Any) -> Case:
    return lambda world: read_whole(world.client(script, tls, **options))


def said(*pieces: bytes) -> Case:
    """Stream two words, and then this."""
    return streamed(stream([delta("Hel"), delta("lo"), *pieces]))


def asked(**request: Any) -> Case:
    return lambda world: world.client(GOOD).execute_prompt(**{"prompt_key": "greet", **request})


def looked_up(script: Script) -> Case:
    return lambda world: world.client(script).get_prompt("greet")


def listed(script: Script) -> Case:
    return lambda world: world.client(script).list_prompts()


def through(proxy: str | Script, **options: Any) -> Case:
    """Make a secure call through a proxy, given by its address or by what it does."""

    def case(world: World) -> None:
        address = proxy if isinstance(proxy, str) else world.server(proxy).url
        world.environment.setenv("HTTPS_PROXY", address)
        read_whole(world.client(GOOD, Secure(world.folder / "proxied").server, **options))

    return case


def trusting(bundle: Callable[[Path], Any]) -> Case:
    """Make a secure call with a bundle of certificates that does not fit."""

    def case(world: World) -> None:
        world.environment.setenv("REQUESTS_CA_BUNDLE", str(bundle(world.folder)))
        read_whole(world.client(GOOD, Secure(world.folder / "secure").server))

    return case


def oauth(token: Script, key: Callable[[], str] | str = rsa_key) -> Case:
    """Make a call of a JWT OAuth application."""

    def case(world: World) -> None:
        pem = key if isinstance(key, str) else key()
        options = {**OAUTH, "jwt_oauth_private_key": pem}
        read_whole(world.client(by_path(token=token, execute=WHOLE), token=None, **options))

    return case


def closed_meanwhile(script: Script, read: Callable[[Client], Any]) -> Case:
    def case(world: World) -> None:
        client = world.client(script)
        threading.Timer(0.1, client.close).start()
        read(client)

    return case


def _closed_reader(world: World) -> None:
    reader = world.client(stream([delta("Hel"), threading.Event()])).execute_prompt("greet", stream=True)
    next(reader)
    reader.close()
    next(reader)


def _closed_client(world: World) -> None:
    client = world.client(GOOD)
    client.close()
    read_whole(client)


def _two_loops(world: World) -> None:
    reader = asyncio.run(world.client(STREAMED).aexecute_prompt("greet", stream=True))
    asyncio.run(anext(reader))


def _gone(world: World) -> None:
    server = world.server(GOOD)
    server.stop()
    read_whole(world.client_at(server.url))


def _words(folder: Path) -> Path:
    path = folder / "words.pem"
    path.write_text("no certificate")
    return path


def _strangers(folder: Path) -> str:
    return Secure(folder / "stranger").bundle


def _coded(code: int, msg: str) -> Script:
    return answer({"code": code, "msg": msg}, **LOG)


def _data(**data: Any) -> Script:
    return answer({"code": 0, "msg": "", "data": data}, **LOG)


_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def _slow_to_answer(request: Any, connection: Any) -> None:
    connection.recv(1)


def _opens_a_tunnel(request: Any, connection: Any) -> None:
    connection.sendall(_CONNECTED)
    connection.recv(65536)
    connection.recv(1)


CASES: dict[str, dict[str, Case]] = {
    "A stream that breaks off": {
        **{
            name: streamed(BROKEN_OFF[name])
            for name in (
                "reset between two pieces, chunked",
                "cut between two pieces, chunked",
                "cut between two pieces, length",
                "cut between two pieces, close",
                "cut within a piece, close",
            )
        },
        "reset at once": streamed(send(framed([], "close")[:1], reset)),
        **{name: streamed(script) for name, script in NOT_WHOLE.items()},
        "`[DONE]` without a finish reason": said(b"data: [DONE]\n\n"),
        "a finish reason that is no text": said(event({"message": {"role": "assistant"}, "finish_reason": 5})),
        "an event of another kind, and then the end": said(event("the model was unloaded", "notice")),
    },
    "An event that cannot be read": {
        **{name: streamed(script) for name, script in UNREADABLE.items()},
        "the first event": streamed(stream([event("no json"), last()])),
        "a message that is text": said(event('{"message": "plain words"}'), last()),
    },
    "A stream by which the server says no": {
        "`event: error` with a code": said(event({"code": 600505014, "msg": "too risky"}, "error")),
        "`event: error` with code 0": said(event({"code": 0, "msg": "model went away"}, "error")),
        "`event: error` of plain words": said(event("model crashed", "error")),
        "`event: error` without a word": said(event("", "error")),
        "a code in `event: data`": said(event({"code": 1, "msg": "internal"})),
        "code 0 with words in `event: data`": said(event({"code": 0, "msg": "out of quota"})),
        "`{error: {message}}`": said(event({"error": {"message": "out of quota"}})),
        "after the finish reason": said(last(), event({"code": 600505014, "msg": "taken back"}, "error")),
        "JSON that is called a stream": streamed(REFUSED["a code at 200 that is called a stream"][0]),
        "a page that is called a stream": streamed(REFUSED["a page that is called a stream"][0]),
        "words that are called a stream": streamed(answer("upstream error", content_type="text/event-stream", **LOG)),
        "one JSON object in place of a stream": streamed(WHOLE),
    },
    "A whole answer that breaks off or cannot be read": {
        "cut before the headers": whole(send([])),
        "reset before the headers": whole(send([], reset)),
        "cut in the headers": whole(send([HEAD.encode()[:40]])),
        "an announced length that is not reached": whole(send(framed(JSON_PIECES, "length", JSON_HEAD)[:3])),
        "JSON that is cut": whole(send(framed(JSON_PIECES, "close", JSON_HEAD)[:3])),
        "nothing": whole(answer("", **LOG)),
        "a stream of events": whole(STREAMED),
        "what is not UTF-8": whole(answer(b'{"data": {"message": {"content": "\xff"}}}', **LOG)),
        "what is not JSON": whole(answer('{"data": nothing}', **LOG)),
        "JSON that is nested too deep": whole(answer('{"a":' * 100_000, **LOG)),
        "no finish reason": whole(_data(message=MESSAGE)),
        "no message": whole(_data(finish_reason="stop")),
        "a message that is text": whole(_data(message="plain words", finish_reason="stop")),
        "no data": whole(answer({"code": 0, "msg": ""}, **LOG)),
    },
    "The server says no by a code": {
        "600500101": whole(_coded(600500101, "no permission")),
        "600500201": whole(_coded(600500201, "param invalid")),
        "600500202": whole(_coded(600500202, "variable invalid")),
        "600501001": whole(_coded(600501001, "prompt not exist")),
        "600501002": whole(_coded(600501002, "version not exist")),
        "600501003": whole(_coded(600501003, "not committed")),
        "600501004": whole(_coded(600501004, "template parse failed")),
        "600501005": whole(_coded(600501005, "template render failed")),
        "600501007": whole(_coded(600501007, "label not exist")),
        "600501008": whole(_coded(600501008, "prompt key exists")),
        "600501009": whole(_coded(600501009, "version exists")),
        "600502001": whole(_coded(600502001, "too many requests")),
        "600502002": whole(_coded(600502002, "too many requests in this space")),
        "600505014": whole(_coded(600505014, "too risky")),
        "1": whole(_coded(1, "internal error")),
        "one that nobody knows": whole(_coded(600599999, "something else")),
        "one that is a word": whole(answer({"code": "Forbidden", "msg": "not today"}, **LOG)),
        "one without words": whole(answer({"code": 600599999}, **LOG)),
        "0, but words and no data": whole(answer({"code": 0, "msg": "out of quota"}, **LOG)),
        "none: OAuth's words": whole(answer({"error": "quota", "error_message": "out of quota"}, **LOG)),
    },
    "The server says no by its HTTP status": {
        "400, JSON without a code": whole(answer({"msg": "bad request"}, "400 Bad Request", **LOG)),
        "400, a page": whole(answer(PAGE, "400 Bad Request", "text/html")),
        "401, JSON": whole(answer({"code": 700012006, "msg": "token invalid"}, "401 Unauthorized", **LOG)),
        "401, nothing": whole(answer("", "401 Unauthorized")),
        "403, a page": whole(answer(PAGE, "403 Forbidden", "text/html")),
        "404, JSON": whole(answer({"message": "no Route matched"}, "404 Not Found")),
        "404, nothing": whole(answer("", "404 Not Found")),
        "405, a page": whole(answer(PAGE, "405 Method Not Allowed", "text/html")),
        "413, nothing": whole(answer("", "413 Payload Too Large")),
        "429, with an hour to wait": whole(
            answer({"msg": "daily limit"}, "429 Too Many Requests", Retry_After="3600")
        ),
        "429, after its retries": whole(
            answer({"msg": "slow down"}, "429 Too Many Requests", Retry_After="0"), max_retries=2
        ),
        "500, JSON": whole(answer({"code": 1, "msg": "internal error"}, "500 Internal Server Error", **LOG)),
        "500, a page": whole(answer(PAGE, "500 Internal Server Error", "text/html", **LOG)),
        "500, a stream with words": streamed(
            answer('event: error\ndata: {"msg": "no model"}\n\n', "500 Internal Server Error", "text/event-stream")
        ),
        "502, broken off": whole(send([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\nupstream is dow"])),
        "503, nothing": whole(answer("", "503 Service Unavailable")),
    },
    "What answers is no Loop server": {
        "a page": whole(answer(PAGE, content_type="text/html")),
        "plain text": whole(answer("Hello?", content_type="text/plain")),
        "a JSON list": whole(answer("[1]")),
        "a redirect to another host": whole(answer("", "302 Found", Location="https://login.example/?t=1")),
        "a redirect on the same host": whole(answer("", "307 Temporary Redirect", Location="/login")),
        "a redirect to nowhere": whole(answer("", "302 Found")),
        "no HTTP": whole(send([b"SSH-2.0-OpenSSH_9.2\r\n"])),
    },
    "Nothing answers": {
        "connection refused": _gone,
        "an unknown host": lambda world: read_whole(world.client_at("http://no.such.host.invalid")),
        "an address that is none": lambda world: read_whole(world.client_at("http://*x.example")),
        "a certificate of another authority": trusting(_strangers),
        "a bundle that is not there": trusting(lambda folder: "/nowhere/ca.pem"),
        "a bundle that holds no certificate": trusting(_words),
        "https:// where http:// is spoken": whole(GOOD, Plain(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        "http:// where https:// is spoken, an alert": whole(send([b"\x15\x03\x01\x00\x02\x02\x16"])),
        "hands that are not shaken": whole(GOOD, Plain(b""), connect_timeout=0.2),
        "a proxy that is not there": through("http://127.0.0.1:1"),
        "a proxy without a host": through("http://me:password@"),
        "a SOCKS proxy without its library": through("socks5://127.0.0.1:1"),
        "a proxy that wants a password": through(answer("", "407 Proxy Authentication Required")),
        "a proxy that hangs up": through(send([])),
        "a proxy to what is silent": through(_opens_a_tunnel, connect_timeout=0.3),
    },
    "Time is up": {
        "the whole call's": lambda world: read_whole(world.client(_slow_to_answer), timeout=0.2),
        "the whole call's, in mid-stream": lambda world: read_stream(
            world.client(stream([delta("Hel"), threading.Event()])), timeout=0.2
        ),
        "the first token's": streamed(stream([threading.Event()]), first_token_timeout=0.2),
    },
    "The caller ended it": {
        "the reader was closed": _closed_reader,
        "the client was closed before": _closed_client,
        "the client was closed, before the headers": closed_meanwhile(_slow_to_answer, read_whole),
        "the client was closed, in mid-stream": closed_meanwhile(
            stream([delta("Hel"), threading.Event()]), read_stream
        ),
        "the stream was begun in another event loop": _two_loops,
    },
    "JWT OAuth": {
        "refused": oauth(answer({"error": "access_deny", "error_message": "no such app"}, "403 Forbidden", **LOG)),
        "refused with 401": oauth(answer({"error_code": "invalid_client"}, "401 Unauthorized", **LOG)),
        "no token in the answer": oauth(answer({"expires_in": 900}, **LOG)),
        "a token that no header can carry": oauth(answer({"access_token": "a\nb", "expires_in": 9e9}, **LOG)),
        "cut": oauth(send([])),
        "a key that is none": oauth(WHOLE, "-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----"),
        "a public key": oauth(WHOLE, rsa_public_key),
        "a file that is not there": oauth(WHOLE, "/nowhere/key.pem"),
    },
    "The set-up": {
        "half of it": lambda world: new_client("https://loop.example", api_token=TOKEN),
        "a token with a line break": lambda world: world.client_at("https://loop.example", "pat\nx"),
        "an address without a scheme": lambda world: world.client_at("loop.example"),
        "a limit of 0 seconds": lambda world: world.client_at("https://loop.example", timeout=0),
        "a limit without end": lambda world: world.client_at("https://loop.example", connect_timeout=float("inf")),
        "half a retry": lambda world: world.client_at("https://loop.example", max_retries=0.5),
        "a header that is the client's own": lambda world: world.client_at(
            "https://loop.example", headers={"Authorization": "x"}
        ),
        "a header whose name is none": lambda world: world.client_at("https://loop.example", headers={"a b": "x"}),
        "a header with a line break": lambda world: world.client_at("https://loop.example", headers={"X-A": "a\nb"}),
    },
    "What cannot be sent": {
        "no prompt key": asked(prompt_key=""),
        "a limit of less than nothing": asked(timeout=-1),
        "variables that are a list": asked(variable_vals=["a"]),
        "one message in place of a list": asked(messages=Message("user", "Hi")),
        "a message that is text": asked(messages=["Hi"]),
        "a message whose content is a number": asked(messages=[Message("user", 5)]),
        "a message with a part that is text": asked(messages=[Message("user", parts=["Hi"])]),
        "a tool that is a dict": asked(custom_tools=[{"type": "function"}]),
        "a model configuration without a model": asked(custom_model_config={"temperature": 1}),
        "bytes in a model configuration": asked(custom_model_config={"model_id": b"1"}),
        "half a character in the prompt key": asked(prompt_key="gr\ud83d"),
        "half a character in a variable": asked(variable_vals={"x": "\ud83d"}),
        "NaN": asked(variable_vals={"x": float("nan")}),
        "NaN in a list": asked(variable_vals={"x": [1, float("nan")]}),
        "bytes": asked(variable_vals={"x": b"1"}),
        "messages among other values": asked(variable_vals={"x": [Message("user", "Hi"), "Ho"]}),
        "content parts among other values": asked(variable_vals={"x": [ContentPart("text", text="Hi"), "Ho"]}),
    },
    "A prompt's definition, and the list of prompts": {
        "there is none": looked_up(_data(items=[])),
        "a definition that is text": looked_up(_data(items=[{"prompt": "words"}])),
        "a list that is none": listed(answer({"code": 0, "data": {"prompts": 5}}, **LOG)),
        "the server says no": listed(_coded(600500101, "no permission")),
    },
}
