from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cozeloop_magic import Client, new_client
from cozeloop_magic.client.default import DEFAULT
from tests.wire_server import Script, WireServer

TOKEN = "pat_s3cr3t-t0ken"

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # no test is judged by a clock: a machine may be busy


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees this machine's set-up, or leaves anything behind in it."""
    for name in list(os.environ):
        if name.startswith("COZELOOP_") and name != "COZELOOP_MAGIC_GGUF":
            monkeypatch.delenv(name)
        if name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr(DEFAULT, "_client", None)


@pytest.fixture
def serve() -> Iterator[Callable[..., WireServer]]:
    """Start servers that answer by a script, with a certificate where they are given one."""
    servers: list[WireServer] = []

    def start(script: Script, tls: Any = None) -> WireServer:
        servers.append(WireServer(script, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        assert not server.errors


@pytest.fixture
def client_of(serve: Callable[..., WireServer]) -> Iterator[Callable[..., Client]]:
    """Make clients of a server, which try once unless told otherwise; see that they leave nothing behind."""
    clients: list[Client] = []
    ports: set[int] = set()
    before = sockets()

    def make(server: WireServer, **options: Any) -> Client:
        ports.add(server.port)
        clients.append(new_client(server.url, "73917", TOKEN, **{"max_retries": 0} | options))
        return clients[-1]

    yield make
    assert soon(lambda: open_connections(ports, before) == sum(map(idle_connections, clients))), (
        "a connection is still in use"
    )
    for client in clients:
        client.close()
    assert soon(lambda: open_connections(ports, before) == 0), "a connection is open after close()"
    assert soon(lambda: not [each for each in threading.enumerate() if each.name.startswith("cozeloop")])


def in_a_child(work: Callable[[], object]) -> str:
    """Do something in a forked process, and give its result as text; on a busy machine, that may take long."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode(errors="replace"))
        os._exit(0)  # what follows is the parent's
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        hangs = not select.select([pipe], [], [], 60)[0]
        if hangs:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert not hangs, "the child hangs"
        return pipe.read()


def soon(is_so: Callable[[], bool]) -> bool:
    """Wait for what other threads bring about, mostly in a moment."""
    ends = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(0.01)
        gc.collect()
    return True


def sockets() -> frozenset[int]:
    """Give the inodes of our sockets: a server may come to listen where one that is left of a test went."""
    return frozenset(map(inode, map(int, os.listdir("/dev/fd"))))


def open_connections(ports: set[int], before: frozenset[int] = frozenset()) -> int:
    """Count this process's connections to servers at these ports, but for sockets that were there before."""
    there = map(int, os.listdir("/dev/fd"))
    return sum(peer_port(each) in ports and inode(each) not in before for each in there)


def inode(fd: int) -> int:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0  # it is closed meanwhile


def peer_port(fd: int) -> int | None:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        with socket.socket(fileno=os.dup(fd)) as copy:
            return int(copy.getpeername()[1])
    except (OSError, IndexError):
        return None  # it has no peer, or is closed meanwhile


def idle_connections(client: Client) -> int:
    """Count the connections that wait in the client's pools, but for those that were cut."""
    adapter: Any = client._transport._session.get_adapter("http://")
    pools = [adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys()]
    kept = [each for pool in pools if pool.pool for each in list(pool.pool.queue)]
    return sum(
        peer_port(each.sock.fileno()) is not None for each in kept if each is not None and each.sock is not None
    )


@pytest.fixture
def shell() -> Iterator[Any]:
    """A shell in which the extension is loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    main = sys.modules["__main__"]  # a shell puts its own there, which no spawned process can begin from
    shell = InteractiveShell(config=config)
    shell.run_line_magic("load_ext", "cozeloop_magic")
    gc.freeze()  # a shell that ends collects garbage, in all that every test before has left, too
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()
    sys.modules["__main__"] = main
    gc.unfreeze()


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real model's weights, fetched once into the user's own cache."""
    from cozeloop_magic.local.weights import ensure

    return ensure()
