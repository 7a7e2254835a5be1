"""What every request passes: a log id, the right host, the token, a bound on its body. What goes on is counted."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cozeloop_magic.errors import remote_error
from cozeloop_magic.local.calls import BAD_REQUEST, Loop, answer

__all__ = ["Activity", "Gate"]

OPEN_PATHS = ("/", "/health", "/class")  # the page asks for the token itself
UNAUTHENTICATED = 4100
FOREIGN_HOST = 600500101
TOO_MANY = 600502002
LARGEST_BODY = 16 * 1024 * 1024
MOST_HELD = 8 * LARGEST_BODY
MOST_SKIPPED = 8 * LARGEST_BODY
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass
class Activity:
    """How many requests run, how many bytes of their bodies are held, and when the last one ended."""

    running: int = 0
    held: int = 0
    last: float = field(default_factory=time.monotonic)

    @property
    def idle_seconds(self) -> float:
        """How long nothing has run."""
        return 0.0 if self.running else time.monotonic() - self.last


class Gate:
    """Lets a request pass, or answers it.

    Plain ASGI, because Starlette's ``BaseHTTPMiddleware`` would put a queue into every stream.

    Parameters
    ----------
    app : ASGIApp
        What lies behind.
    loops : sequence of Loop
        What the calls work with, each by its token, which a request must bear; the first where none is needed.
    hosts : collection of str or None
        The ``Host`` headers to accept besides the loopback ones; None accepts all. A web page that had its name
        point here (DNS rebinding) would come with its own.
    prefix : str
        What is taken off the path where it begins so.
    activity : Activity
        Is kept up to date.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        loops: Sequence[Loop],
        hosts: Collection[str] | None,
        prefix: str,
        activity: Activity,
    ) -> None:
        self._app = app
        self._prefix = prefix.rstrip("/")
        self._first = loops[0]
        self._loops = {_digest(loop.token): loop for loop in loops}
        self._hosts = None if hosts is None else LOOPBACK.union(host.lower().removesuffix(".") for host in hosts)
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        log_id = scope["log_id"] = time.strftime("%Y%m%d%H%M%S") + secrets.token_hex(9).upper()

        async def send_with_log_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-tt-logid"] = log_id
            await send(message)

        if self._prefix and f"{scope['path']}/".startswith(f"{self._prefix}/"):
            scope["path"] = scope["path"].removeprefix(self._prefix) or "/"
        body = _Body(receive, self._activity)
        self._activity.running += 1
        try:
            await (self._refusal(scope) or self._app)(scope, body.receive, send_with_log_id)
        finally:
            if turn := scope.get("turn"):
                scope["loop"].queue.leave(turn)
            self._activity.running -= 1
            self._activity.held -= body.held
            self._activity.last = time.monotonic()

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = (host if host.endswith("]") else host.rpartition(":")[0] or host).lower().removesuffix(".")
        if self._hosts is not None and name not in self._hosts:
            return answer({"code": FOREIGN_HOST, "msg": f"This Loop is not {host[:80]}."}, http_status=403)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        loop = self._loops.get(_digest(given.strip())) if scheme.lower() == "bearer" else None
        scope["loop"] = loop or self._first
        if scope["path"] in OPEN_PATHS or loop is not None:
            return None
        return answer({"code": UNAUTHENTICATED, "msg": "authentication is invalid"}, http_status=401)


def _digest(token: str) -> bytes:
    """Give what a token is looked up by: how long that takes tells nothing of a token that is nearly right."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


class _Body:
    """Counts a request's body as it comes, and refuses one that is too large, alone or with all the others."""

    def __init__(self, receive: Receive, activity: Activity) -> None:
        self._receive = receive
        self._activity = activity
        self.held = 0

    async def receive(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self.held += size
        self._activity.held += size
        if self.held > LARGEST_BODY:
            await self._skip(message)
            raise remote_error(f"The body is larger than {LARGEST_BODY >> 20} MB.", code=BAD_REQUEST)
        if size and self._activity.held > MOST_HELD:
            await self._skip(message)
            raise remote_error("This Loop has too much to read just now; send it again in a moment.", code=TOO_MANY)
        return message

    async def _skip(self, message: Message) -> None:
        """Read on without keeping it: a sender who cannot finish would see a broken connection, and no answer."""
        skipped = 0
        while message.get("more_body") and skipped < MOST_SKIPPED:
            message = await self._receive()
            skipped += len(message.get("body", b""))
