"""A real server on a real port, in a thread: in-process ASGI clients buffer streams."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role, TokenUsage
from cozeloop_magic.local.app import create_app
from cozeloop_magic.local.calls import Loop
from cozeloop_magic.local.classroom import open_class
from cozeloop_magic.local.gate import Activity
from cozeloop_magic.local.llama import LlamaModel
from cozeloop_magic.local.models import Emit, Model, Parameters, only_text
from cozeloop_magic.local.queue import FairQueue
from cozeloop_magic.local.roster import Member
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.server import listen
from cozeloop_magic.local.store import Store
from cozeloop_magic.local.weights import DEFAULT_SYSTEM
from tests.local.endpoint import Endpoint, Respond

TOKEN = "a-token-of-the-tests"


class Parrot:
    """A model that repeats what it hears, a word at a time, and remembers how it was asked."""

    name = "parrot"

    def __init__(self, *, seconds_a_word: float = 0.0, fails_after: int | None = None) -> None:
        self.seconds_a_word = seconds_a_word
        self.fails_after = fails_after
        self.parameters: list[Parameters] = []
        self.stopped_early = threading.Event()

    def load(self) -> None:
        """Do nothing."""

    def notes(self, messages: Sequence[Message]) -> Sequence[str]:
        return ()

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Repeat the messages."""
        only_text(messages, self.name)
        self.parameters.append(parameters)
        words = [f"{word} " for message in messages for word in f"{message.role}: {message.text}".split()]
        for number, word in enumerate(words):
            if number == self.fails_after:
                raise RuntimeError("the parrot flew away")
            time.sleep(self.seconds_a_word)
            if not emit(ExecuteResult(Message(Role.ASSISTANT, word))):
                self.stopped_early.set()
                return
        emit(ExecuteResult(finish_reason="stop"))
        emit(ExecuteResult(usage=TokenUsage(len(messages), len(words))))


class Server:
    """A running embedded Loop, and how to call it."""

    def __init__(
        self,
        store: Store,
        model: Model,
        queue: FairQueue | None = None,
        members: Sequence[Member] = (),
        max_tokens: int | None = None,
        prefix: str = "",
    ) -> None:
        self.model = model
        self.queue = queue or FairQueue()
        self.store = store
        self.workspace_id = store.workspace_id
        self.activity = Activity()
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        loop = Loop(store, [model], TOKEN, self.workspace_id, queue=self.queue, max_tokens=max_tokens)
        self.loops = open_class(loop, members) if members else [loop]
        self.queue = self.loops[0].queue
        app = create_app(self.loops, activity=self.activity, prefix=prefix)
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve(sockets=[self._listener])))
        self._thread.start()

    def stop(self) -> None:
        self.session.close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        for loop in self.loops[1:]:
            loop.store.close()

    def post(self, path: str, body: Mapping[str, Any] | None = None, **kwargs: Any) -> requests.Response:
        """Post a body, with the workspace in it."""
        body = {"workspace_id": self.workspace_id, **(body or {})}
        return self.session.post(f"{self.url}/v1/loop/prompts{path}", json=body, timeout=60, **kwargs)

    def get(self, path: str, **query: Any) -> requests.Response:
        query = {"workspace_id": self.workspace_id, **query}
        return self.session.get(f"{self.url}/v1/loop/prompts{path}", params=query, timeout=60)

    def refusal(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Post what must be refused; give the code and the message."""
        response = self.post(path, body)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert set(answer) == {"code", "msg"}
        return answer["code"], answer["msg"]


def eventually(is_so: Callable[[], bool]) -> bool:
    """Wait for what a server brings about; on a busy machine, that may take long."""
    ends = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
    return True


def asked(key: str = "ptaas_demo", version: str | None = "0.0.1", **fields: Any) -> dict[str, Any]:
    """Give the body of an execute call, with nulls where the official SDK has them."""
    variables = [
        {"key": "topic", "value": "tea", "placeholder_messages": None, "multi_part_values": None},
        {"key": "user_request", "value": "brewing it"},
    ]
    identifier = {"prompt_key": key, "version": version, "label": None}
    return {"prompt_identifier": identifier, "variable_vals": variables, "messages": None, **fields}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few pages."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tiny", disk], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path, left: int = 0) -> None:
    """Fill a file system, but for so many bytes."""
    with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
        while shutil.disk_usage(disk).free > left and ballast.write(bytes(1024)):
            pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with the seeded prompts."""
    with closing(Store(tmp_path / "prompts.db")) as store:
        store.seed(read_seeds())
        yield store


@pytest.fixture
def start(store: Store) -> Iterator[Callable[..., Server]]:
    """Start servers with a model."""
    with ExitStack() as stack:

        def start(model: Model, other: Store | None = None, **options: Any) -> Server:
            server = Server(other or store, model, **options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], Endpoint]]:
    """Serve endpoints that speak OpenAI's chat format."""
    with ExitStack() as stack:

        def start(respond: Respond) -> Endpoint:
            endpoint = Endpoint(respond)
            stack.callback(endpoint.close)
            return endpoint

        yield start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model repeats what it hears; one for a module's tests, so what they make they delete."""
    with closing(Store(tmp_path_factory.mktemp("store") / "prompts.db")) as store:
        store.seed(read_seeds())
        server = Server(store, Parrot())
        yield server
        server.stop()


@pytest.fixture(scope="session")
def llama(weights: Path) -> LlamaModel:
    """The real model."""
    model = LlamaModel(weights, default_system=DEFAULT_SYSTEM)
    model.load()
    return model


@pytest.fixture
def real_server(start: Callable[[Model], Server], llama: LlamaModel) -> Server:
    """A server with the real model."""
    return start(llama)
