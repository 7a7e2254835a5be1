"""What a case is, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, new_client
from cozeloop_magic.transport.auth import PersonalToken
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.http_transport import HTTPTransport
from tests.client.ways import read_stream, read_whole
from tests.conftest import TOKEN
from tests.wire_server import Script, WireServer, answer


class Stage:
    """Servers, clients of them, an environment, a folder and a shell; all of it ends with the case."""

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self.fixture = request.getfixturevalue
        self.serve: Callable[..., WireServer] = self.fixture("serve")
        self.environ: pytest.MonkeyPatch = self.fixture("monkeypatch")
        self.folder: Path = self.fixture("tmp_path")
        self.keep = stack.enter_context

    def client(self, where: WireServer | str, **options: Any) -> Client:
        """Make a client, of a server or an address, that tries once."""
        url = where if isinstance(where, str) else where.url
        return self.keep(new_client(url, "73917", TOKEN, **{"max_retries": 0} | options))

    def embedded(self, script: Script) -> Client:
        """Make a client that takes a server for the embedded Loop."""
        loop = Endpoint(self.serve(script).url, "1", PersonalToken(TOKEN), "embedded Loop", local=True)
        return self.keep(Client(lambda **_: loop, HTTPTransport(trust_env=False), max_retries=0))


Case = Callable[[Stage], object]
"""Makes a call fail."""


def streamed(script: Script, *, timeout: float | None = None, **options: Any) -> Case:
    return lambda stage: read_stream(stage.client(stage.serve(script), **options), timeout=timeout)


def whole(script: Script, *, timeout: float | None = None, **options: Any) -> Case:
    return lambda stage: read_whole(stage.client(stage.serve(script), **options), timeout=timeout)


def says(body: Any, status: str = "200 OK", content_type: str = "application/json", **headers: str) -> Case:
    """A whole answer that has a log id."""
    return whole(answer(body, status, content_type, x_tt_logid="log-1", **headers))


def each(make: Callable[[Script], Case], scripts: Mapping[str, Script], *names: str) -> dict[str, Case]:
    """Make cases of a table of scripts, of all or of some, under the names they have there."""
    return {name: make(scripts[name]) for name in names or scripts}
