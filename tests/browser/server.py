"""A Loop server whose answers a test writes, and the cell that names it to a kernel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from queue import SimpleQueue

from tests.conftest import TOKEN
from tests.wire_server import Request, Script, WireServer, answer, by_path, delta, last, stream

DEFINITION = {
    "prompt_key": "greet",
    "version": "1.2.0",
    "prompt_template": {"template_type": "normal", "messages": [], "variable_defs": [{"key": "x", "type": "string"}]},
}
MGET = answer({"code": 0, "data": {"items": [{"query": {}, "prompt": DEFINITION}]}})


class Loop(WireServer):
    """Answers each call with the pieces of `script`, by what the variable ``x`` is.

    Attributes
    ----------
    asked : SimpleQueue of str
        The value of ``x`` in each call that has arrived.
    gone : SimpleQueue of float
        When a caller went before its answer was complete, as ``time.time()`` tells it.
    """

    def __init__(self) -> None:
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.gone: SimpleQueue[float] = SimpleQueue()
        self.answers: dict[str, Script] = {}
        self.mget = MGET
        super().__init__(by_path(mget=self._mget, execute_streaming=self._execute, execute=self._execute))

    def says(self, name: str, texts: Iterable[str], pause: float = 0.0) -> None:
        """Have the value `name` answered by these texts, with `pause` seconds before each."""

        def pieces() -> Iterator[bytes]:
            for text in texts:
                time.sleep(pause)
                yield delta(text)
            yield last()

        self.answers[name] = lambda request, connection: stream(pieces())(request, connection)

    @property
    def cell(self) -> str:
        """Load the magic and name this server."""
        given = {"API_BASE_URL": self.url, "WORKSPACE_ID": "7", "API_TOKEN": TOKEN}
        environ = {f"COZELOOP_{name}": value for name, value in given.items()}
        return f"import os\nos.environ.update({environ})\n%load_ext cozeloop_magic"

    def _mget(self, request: Request, connection: socket.socket) -> None:
        self._watched(self.mget, request, connection)

    def _execute(self, request: Request, connection: socket.socket) -> None:
        (variable,) = request.body["variable_vals"]
        self.asked.put(variable["value"])
        self._watched(self.answers[variable["value"]], request, connection)

    def _watched(self, script: Script, request: Request, connection: socket.socket) -> None:
        try:
            script(request, connection)
        except OSError:
            self.gone.put(time.time())
            raise


def says_only(head: str) -> Script:
    """Send this much of an answer, and then nothing until the caller goes."""

    def script(request: Request, connection: socket.socket) -> None:
        connection.sendall(head.encode())
        if not connection.recv(1):
            raise ConnectionResetError

    return script
