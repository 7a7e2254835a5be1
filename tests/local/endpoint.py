"""An endpoint that speaks OpenAI's chat format, on a real port: it says what a test wants it to."""

from __future__ import annotations

import http.server
import json
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message, Role
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.local import paths
from cozeloop_magic.local.models import Parameters
from cozeloop_magic.local.openai_model import OpenAIModel
from cozeloop_magic.local.process import RuntimeFile

Respond = Callable[[dict[str, Any]], tuple[int, str, str]]


class Endpoint:
    """A server that answers by a function of the request's body, and remembers what it was asked."""

    def __init__(self, respond: Respond) -> None:
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.listed: Any = None  # what it says of its models
        self.announced_length = 0  # of a body, where it is to be told
        self.headers: dict[str, str] = {}  # more of an answer
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(body)
                endpoint.paths.append(self.path)
                status, kind, text = respond(body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in endpoint.headers.items():
                    self.send_header(name, value)
                if endpoint.announced_length:
                    self.send_header("Content-Length", str(endpoint.announced_length))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self) -> None:
                self.send_response(200 if endpoint.listed is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(endpoint.listed).encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Take TLS connections from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def embedded(monkeypatch: pytest.MonkeyPatch, respond: Respond, models: str) -> Iterator[Endpoint]:
    """Have the embedded Loop ask such an endpoint; its process ends here."""
    endpoint = Endpoint(respond)
    monkeypatch.delenv("COZELOOP_MAGIC_GGUF", raising=False)
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_BASE_URL", f"{endpoint.url}/v1")
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_MODEL", models)
    try:
        yield endpoint
    finally:
        for file in paths.runtime_dir().glob("*.json"):
            if loop := RuntimeFile(file).read():
                with urlopen(f"{loop.base_url}/health", timeout=5) as answer:
                    os.kill(json.load(answer)["pid"], signal.SIGKILL)
        endpoint.close()


def stream(*chunks: Any) -> Respond:
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return lambda body: (200, "text/event-stream", events + "data: [DONE]\n\n")


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def whole(reason: str | None = "stop", **said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": said, "finish_reason": reason}]}


STOP = delta("stop")


def ask(
    endpoint: Endpoint, config: LLMConfig | None = None, path: str = "/v1", *, keep_think: bool = False
) -> ExecuteResult:
    builder = ResultBuilder()

    def emit(piece: ExecuteResult) -> bool:
        builder.add(piece)
        return True

    model = OpenAIModel(endpoint.url + path, "m", "", keep_think=keep_think)
    model.generate([Message(Role.USER, "Hi")], Parameters(config or LLMConfig()), emit)
    return builder.result()


def reasoning(result: ExecuteResult) -> str | None:
    return result.message and result.message.reasoning_content


WHOLE = {"choices": [{"index": 0, "message": {"content": "Whole answer"}, "finish_reason": "stop"}]}
