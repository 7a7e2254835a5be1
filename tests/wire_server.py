"""A real HTTP server on raw sockets, so that it can also misbehave in ways an HTTP library would tidy up."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    raw_body: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw_body)


Script = Callable[[Request, socket.socket], None]


@dataclass
class WireServer:
    """Answers every request by its `script`; remembers the requests, and what scripts raised."""

    script: Script
    tls: Any = None  # an ssl.SSLContext, or what takes its place
    requests: list[Request] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if self.tls else 'http'}://{self.host}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        except OSError:
            pass  # stopped before
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
        except OSError:
            return  # the client does not trust it
        with connection:
            while (request := _read_request(connection)) is not None:
                self.requests.append(request)
                try:
                    self.script(request, connection)
                except OSError:
                    return  # the client is gone
                except BaseException as error:
                    self.errors.append(error)
                    raise


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
    except OSError:
        return None
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)


# Scripts.


def answer(
    body: bytes | str | dict[str, Any], status: str = "200 OK", content_type: str = "application/json", **headers: str
) -> Script:
    """One whole answer."""
    if isinstance(body, dict):
        body = json.dumps(body)
    content = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def script(request: Request, connection: socket.socket) -> None:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    return script


def event(body: dict[str, Any] | str, name: str = "data") -> bytes:
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def delta(text: str, finish_reason: str = "", **more: Any) -> bytes:
    return event({"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason, **more})


def last(reason: str = "stop") -> bytes:
    usage = {"input_tokens": 5, "output_tokens": 3}
    return event({"message": {"role": "assistant"}, "finish_reason": reason, "usage": usage})


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-tt-logid: log-1\r\n"

FRAMINGS = ("chunked", "length", "close")
"""How a body's end is told: by its last chunk, by its announced length, or by the connection's end."""


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def framed(pieces: Sequence[bytes], framing: str, head: str = HEAD) -> list[bytes]:
    """Give the head, each piece in its frame, and what tells the end."""
    if framing == "chunked":
        return [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *map(chunk, pieces), chunk(b"")]
    length = f"Content-Length: {sum(map(len, pieces))}" if framing == "length" else "Connection: close"
    return [f"{head}{length}\r\n\r\n".encode(), *pieces]


def stay(connection: socket.socket) -> None:
    """Keep the connection for the next request."""


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def send(parts: Iterable[bytes], end: Callable[[socket.socket], None] = hang_up) -> Script:
    """Bytes as they are, each part sent by itself, and then the connection's end."""

    def script(request: Request, connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        end(connection)

    return script


def stream(pieces: Iterable[bytes | threading.Event], *, chunked: bool = True) -> Script:
    """Server-sent events, each piece sent by itself as it comes; an Event in between is waited for."""

    def script(request: Request, connection: socket.socket) -> None:
        connection.sendall(framed([], "chunked" if chunked else "close")[0])
        for piece in pieces:
            if isinstance(piece, threading.Event):
                piece.wait(10)
            else:
                connection.sendall(chunk(piece) if chunked else piece)
        if chunked:
            connection.sendall(chunk(b""))
        else:
            hang_up(connection)

    return script


def either(streamed: Script, whole: Script) -> Script:
    """Answer the streaming call by one script and the other by another."""

    def script(request: Request, connection: socket.socket) -> None:
        (streamed if request.path.endswith("streaming") else whole)(request, connection)

    return script


def in_turn(*scripts: Script) -> Script:
    """Answer each request by the next script, and all further ones by the last."""
    left = list(scripts)
    return lambda request, connection: (left.pop(0) if len(left) > 1 else left[0])(request, connection)


def by_path(**scripts: Script) -> Script:
    """Answer by the last part of the path: ``by_path(mget=..., execute=...)``."""

    def script(request: Request, connection: socket.socket) -> None:
        scripts[request.path.rpartition("/")[2]](request, connection)

    return script


ANSWER = {
    "code": 0,
    "msg": "",
    "data": {
        "message": {"role": "assistant", "content": "Hello world"},
        "finish_reason": "stop",
        "usage": {"input_tokens": 5, "output_tokens": 3},
    },
}
PIECES = [delta("Hel"), delta("lo "), delta("world"), last()]

WHOLE = answer(ANSWER, x_tt_logid="log-1")
STREAMED = stream(PIECES)
GOOD = either(STREAMED, WHOLE)
