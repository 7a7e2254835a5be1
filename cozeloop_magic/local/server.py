"""Running the embedded Loop: in the foreground, or as the process that notebooks share.

``python -m cozeloop_magic.local.server RUNTIME_FILE`` is how a notebook starts the shared one.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cozeloop_magic.errors import LocalLoopError, LoopError, RemoteError
from cozeloop_magic.local import paths
from cozeloop_magic.local.choice import Choice, Gguf, chosen_model
from cozeloop_magic.local.process import ALIVE, LocalLoop, RuntimeFile, require_extra

if TYPE_CHECKING:
    from uvicorn import Server

    from cozeloop_magic.local.calls import Loop
    from cozeloop_magic.local.gate import Activity
    from cozeloop_magic.local.roster import Member

__all__ = ["listen", "main", "serve"]

LOOPBACK = "127.0.0.1"
IDLE_VARIABLE = "COZELOOP_MAGIC_IDLE_SECONDS"
IDLE_SECONDS = 30 * 60.0
FAREWELL_SECONDS = 1
ALIVE_SECONDS = 2.0
"""How long to try for the lock of the one that lives: somebody may be looking whether one does."""
SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps the interpreter's lock; beside one, Python's 5 ms make any answer take 50."""


def serve(
    host: str,
    port: int,
    *,
    announce: Callable[[LocalLoop], None],
    progress: Callable[[str], None] | None = None,
    public_url: str = "",
    members: Sequence[Member] = (),
    max_tokens: int | None = None,
) -> None:
    """Run an embedded Loop in the foreground, until Ctrl-C. Notebooks do not share it.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 is a free one.
    announce : callable
        Is told where the Loop is and its token, once it is there.
    progress : callable or None
        Is told what takes time, in words.
    public_url : str
        How others reach it, a path included, where that is not plainly its host and port: through a proxy, say.
    members : sequence of Member
        Who may call, the teacher first; empty for one token.
    max_tokens : int or None
        The most tokens of an answer.
    """
    choice = chosen_model()
    require_extra(*choice.modules)
    choice.fetch(progress)
    served = _Served(host, port, public_url, members, max_tokens)
    try:
        _run(choice, served, announce=announce, idle_seconds=None)
    except KeyboardInterrupt:
        return


def main(runtime_file: str) -> None:
    """Run the embedded Loop that notebooks share, until nobody has used it for a while; one for each runtime file."""
    file = RuntimeFile(Path(runtime_file))
    # uvicorn ends well at SIGTERM, and then raises it again: without a handler of ours nothing below would run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        with file.held(ALIVE, ALIVE_SECONDS) as is_only_one:
            if not is_only_one:
                sys.exit("Another embedded Loop of this model runs already.")
            _run_shared(file)
    except LoopError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{paths.reason(error)}: {error.filename or file.path}")


def _run_shared(file: RuntimeFile) -> None:
    running: list[LocalLoop] = []

    def announce(loop: LocalLoop) -> None:
        file.write(loop)
        running.append(loop)

    idle_seconds = float(os.environ.get(IDLE_VARIABLE) or IDLE_SECONDS)
    try:
        _run(chosen_model(), _Served(), announce=announce, idle_seconds=idle_seconds)
    finally:
        for loop in running:
            file.remove(loop)


@dataclass(frozen=True)
class _Served:
    """Where a server listens, and for whom."""

    host: str = LOOPBACK
    port: int = 0
    public_url: str = ""
    members: Sequence[Member] = ()
    max_tokens: int | None = None


def _run(
    choice: Choice, served: _Served, *, announce: Callable[[LocalLoop], None], idle_seconds: float | None
) -> None:
    import uvicorn

    from cozeloop_magic.local.app import create_app
    from cozeloop_magic.local.classroom import open_class
    from cozeloop_magic.local.gate import Activity

    sys.setswitchinterval(SWITCH_SECONDS)
    activity = Activity()
    loop = replace(_open_loop(choice), max_tokens=served.max_tokens)
    loops = open_class(loop, served.members) if served.members else [loop]
    loop = loops[0]
    listener = listen(served.host, served.port)
    base_url = served.public_url or _base_url(served.host, listener)
    hosts = _accepted_hosts(served.host, base_url)
    app = create_app(loops, hosts=hosts, prefix=urlsplit(base_url).path, activity=activity)
    # What goes wrong in a call is logged where it is answered; uvicorn would only add how Ctrl-C cut off a stream.
    # fmt: off
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=FAREWELL_SECONDS,
    )
    # fmt: on
    threading.Thread(target=_load, args=(loop,), name="load").start()
    announce(LocalLoop(base_url, loop.workspace_id, loop.token, loop.model.name, os.getpid()))
    try:
        asyncio.run(_serve(uvicorn.Server(config), listener, activity, idle_seconds))
    finally:
        for each in reversed(loops):
            each.store.close()


def _open_loop(choice: Choice) -> Loop:
    from cozeloop_magic.local.calls import Loop
    from cozeloop_magic.local.llama import PARALLEL_CALLS
    from cozeloop_magic.local.queue import FairQueue
    from cozeloop_magic.local.seeds import read_seeds
    from cozeloop_magic.local.store import Store

    store = Store(paths.data_dir() / "prompts.db")
    store.seed(read_seeds())
    queue = FairQueue(PARALLEL_CALLS if isinstance(choice, Gguf) else None)
    return Loop(store, choice.build(), secrets.token_urlsafe(32), store.workspace_id, queue=queue)


def _load(loop: Loop) -> None:
    """Load the models ahead of the first call; if that fails, the call tells why."""
    for model in loop.models:
        try:
            model.load()
        except RemoteError as error:
            print(error, file=sys.stderr)


async def _serve(server: Server, listener: socket.socket, activity: Activity, idle_seconds: float | None) -> None:
    watch = asyncio.create_task(_stop_when_idle(server, activity, idle_seconds)) if idle_seconds else None
    await server.serve(sockets=[listener])
    if watch:
        watch.cancel()


async def _stop_when_idle(server: Server, activity: Activity, idle_seconds: float) -> None:
    while activity.idle_seconds < idle_seconds:
        await asyncio.sleep(min(idle_seconds / 4, 30))
    server.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen at once: whoever is told of the port can connect, and waits until the server takes the call."""
    if not 0 <= port <= 65535:
        raise LocalLoopError(f"The embedded Loop cannot listen on port {port}; a port is a number from 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:  # the latter for a name that cannot be one
        why = getattr(error, "strerror", None) or "this is no address"
        raise LocalLoopError(f"The embedded Loop cannot listen on {host}, port {port}: {why}.") from error
    # asyncio does this only for sockets made with a protocol number; without it each answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _base_url(host: str, listener: socket.socket) -> str:
    name = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _accepted_hosts(host: str, base_url: str) -> tuple[str, ...] | None:
    """Give the names to be called by; a server on all interfaces goes by any."""
    if host in ("0.0.0.0", "::"):
        return None
    called = urlsplit(base_url).hostname or host
    return tuple(f"[{name}]" if ":" in name else name for name in {host, called})


if __name__ == "__main__":
    main(sys.argv[1])
