"""A Loop server of the tests' own that is fast, counts, and refuses what it is told to."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.wire_server import Request, Script, WireServer, answer, delta, event, framed, last, send, stay

VARIABLES = [{"key": "text", "type": "string"}]


class FakeLoop:
    """Prompts of one variable, ``text``; an answer is what `reply` gives for a version and that variable's value."""

    def __init__(self, reply: Callable[[str, str], str | Script] | None = None) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.executions = 0
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.reply = reply or (lambda version, text: f"{version}: {text}")
        self.versions = {"greet": ["1.0.0", "1.1.0", "2.0.0"], "meet": ["1.0.0"]}
        self.labels = {"production": "1.1.0"}
        self.definitions: dict[str, list[dict[str, Any]]] = {}
        self.server = WireServer(self._answer)

    def _answer(self, request: Request, connection: socket.socket) -> None:
        if request.path.endswith("mget"):
            self._mget(request)(request, connection)
            return
        version = request.body["prompt_identifier"]["version"]
        values = {each["key"]: each.get("value", "") for each in request.body.get("variable_vals", ())}
        text = values.get("text", "")
        with self.lock:
            self.calls[version, text] += 1
            self.executions += 1
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            said = self.reply(version, text)
            script = said_script(said) if isinstance(said, str) else said
        finally:
            with self.lock:
                self.running -= 1
        script(request, connection)

    def _mget(self, request: Request) -> Script:
        query = request.body["queries"][0]
        there = self.versions.get(query["prompt_key"])
        if there is None:
            return refusal(600501001, f"no prompt {query['prompt_key']}")
        version = query.get("version") or self.labels.get(query.get("label", ""), there[-1])
        if version not in there:
            return refusal(600501002, f"no version {version}")
        variables = self.definitions.get(version, VARIABLES)
        messages = [{"role": "user", "content": f"{version} {{{{text}}}}"}]
        template = {"template_type": "normal", "messages": messages, "variable_defs": variables}
        prompt = {"prompt_key": query["prompt_key"], "version": version, "prompt_template": template}
        return answer({"code": 0, "msg": "", "data": {"items": [{"query": query, "prompt": prompt}]}})


def said_script(text: str) -> Script:
    """Say a text, a word at a time."""
    words = text.split(" ")
    pieces = [delta(word + " ") for word in words[:-1]] + [delta(words[-1]), last()]
    return send([b"".join(framed(pieces, "chunked"))], stay)


def refusal(code: int, message: str, status: str = "200 OK", **headers: str) -> Script:
    return answer({"code": code, "msg": message}, status, **headers)


BUSY = refusal(600502002, "too many calls a second")


def error_event(code: int, message: str) -> bytes:
    return event({"code": code, "msg": message}, "error")


@contextmanager
def fake_loop(reply: Callable[[str, str], str | Script] | None = None) -> Iterator[FakeLoop]:
    loop = FakeLoop(reply)
    yield loop
    loop.server.stop()
    assert not loop.server.errors
