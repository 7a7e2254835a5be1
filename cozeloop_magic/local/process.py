"""The embedded Loop as a process of its own: found again if it runs, started if it does not.

There is one server for each user and model, which holds a lock for as long as it lives: however slow it is to answer,
no second one starts. A runtime file, which only its owner can read, says where it is. Before its token is used, the
server there proves that it knows it: a stranger may have taken over the port.
"""

from __future__ import annotations

import hmac
import http.client
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.errors import LocalLoopError, to_install
from cozeloop_magic.local import paths
from cozeloop_magic.local.choice import Choice, chosen_model
from cozeloop_magic.local.proof import prove

__all__ = ["ALIVE", "LocalLoop", "RuntimeFile", "ensure_running", "require_extra", "running", "still_there"]

START_SECONDS = 60.0
HEALTH_SECONDS = 5.0
HEALTH_BYTES = 4096
PATIENCE_SECONDS = 30.0
"""How long to wait for a server that lives and does not answer."""
POLL_SECONDS = 0.02
ALIVE, STARTING = ".alive", ".lock"
"""Names of locks: what a server holds while it lives, and whoever starts one while it starts."""
_MODULES = ("starlette", "uvicorn", "jinja2", "semver", "filelock")


@dataclass(frozen=True, slots=True)
class LocalLoop:
    """Where an embedded Loop is, and what it takes to be let in."""

    base_url: str
    workspace_id: str
    token: str = field(repr=False)
    model: str
    pid: int = 0


@dataclass(frozen=True)
class RuntimeFile:
    """The file that says where the server for one model is."""

    path: Path

    @classmethod
    def of(cls, choice: Choice) -> RuntimeFile:
        """Give the file of the server for a model."""
        return cls(paths.runtime_dir() / f"loop-{choice.fingerprint}.json")

    def read(self) -> LocalLoop | None:
        """Read it; None if it is not there or no longer makes sense.

        Raises
        ------
        LocalLoopError
            If another user can have written it.
        """
        paths.check_own_file(self.path)
        try:
            loop = LocalLoop(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts = (loop.base_url, loop.workspace_id, loop.token, loop.model)
        return loop if all(isinstance(text, str) for text in texts) and isinstance(loop.pid, int) else None

    def write(self, loop: LocalLoop) -> None:
        """Write it, for its owner's eyes only, in one step."""
        paths.check_own_file(self.path)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(loop), file)
        os.replace(fresh, self.path)

    def remove(self, loop: LocalLoop) -> None:
        """Remove it, unless another server has written it since."""
        if self.read() == loop:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def held(self, suffix: str, seconds: float) -> Iterator[bool]:
        """Hold a lock beside it, and tell whether it was to be had within so many seconds; -1 waits for ever.

        The system lets go of it when a process ends, however it ends.
        """
        from filelock import FileLock, Timeout

        path = self.path.with_suffix(suffix)
        paths.check_own_file(path)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def is_alive(self) -> bool:
        """Tell whether a server of it lives, also one that does not answer."""
        with self.held(ALIVE, 0) as nobody_lives:
            return not nobody_lives


def ensure_running(progress: Callable[[str], None] | None = None) -> LocalLoop:
    """Find the embedded Loop, or start it.

    Parameters
    ----------
    progress : callable or None
        Is told what takes time, in words: the model's weights are fetched at the very first start.

    Raises
    ------
    LocalLoopError
        If it cannot be started; the message says what to do.
    """
    choice = chosen_model()
    file = RuntimeFile.of(choice)
    loop = file.read()
    if loop is not None and still_there(loop):
        return loop
    require_extra(*choice.modules)
    try:
        with file.held(STARTING, -1):
            loop = _find(file)  # another notebook may have started it meanwhile
            if loop is not None:
                return loop
            choice.fetch(progress)
            if progress:
                progress("Starting the embedded Loop")
            return _start(choice, file)
    except OSError as error:
        where = error.filename or file.path
        raise LocalLoopError(f"The embedded Loop cannot start ({paths.reason(error)}): {where}.") from error


def _find(file: RuntimeFile) -> LocalLoop | None:
    """Give the server if it answers; one that lives is waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        loop = file.read()
        if loop is not None and still_there(loop):
            return loop
        if not file.is_alive():
            return None
        if time.monotonic() > deadline:
            raise _silent(file, loop)
        time.sleep(POLL_SECONDS)


def _silent(file: RuntimeFile, loop: LocalLoop | None) -> LocalLoopError:
    if loop is None:
        return LocalLoopError(
            f"An embedded Loop runs, but {file.path}, which says where, is missing.",
            hint="End the process whose command is `python -m cozeloop_magic.local.server`, and run it again.",
        )
    return LocalLoopError(
        f"The embedded Loop runs as process {loop.pid}, and has not answered for {PATIENCE_SECONDS:g} s.",
        hint=f"Wait and run it again, or end it first: kill -9 {loop.pid}.",
    )


def running() -> LocalLoop | None:
    """Give the embedded Loop of the chosen model, if it runs; nothing is started.

    Raises
    ------
    LocalLoopError
        If the choice of a model contradicts itself, or there is no directory to look in.
    """
    loop = RuntimeFile.of(chosen_model()).read()
    return loop if loop is not None and still_there(loop) else None


def require_extra(*modules: str) -> None:
    """See to it that what the server needs is installed, and the modules of its model.

    Raises
    ------
    LocalLoopError
        If something is missing.
    """
    if any(importlib.util.find_spec(module) is None for module in (*_MODULES, *modules)):
        raise LocalLoopError(
            "The embedded Loop needs the [local] extra.",
            hint=f"{to_install('local')} — or set COZELOOP_API_BASE_URL, COZELOOP_WORKSPACE_ID and "
            "COZELOOP_API_TOKEN to use a Loop server.",
        )


def still_there(loop: LocalLoop) -> bool:
    """Tell whether the server at that address is there, and is the one that knows the token.

    It takes about a millisecond, and the token is not sent: ask before each call that bears it.
    """
    try:
        nonce = secrets.token_hex(16)
        proof = _health(loop.base_url, nonce).get("proof", "")
        return hmac.compare_digest(str(proof).encode(), prove(loop.token, nonce).encode())
    except Exception:  # whatever a file that somebody wrote, or a stranger on the port, comes up with
        return False


def _health(base_url: str, nonce: str) -> Any:
    address = urlsplit(base_url)
    # Straight to the socket: no proxy that the environment names has a say about loopback.
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=HEALTH_SECONDS)
    with closing(connection):
        connection.request("GET", f"/health?nonce={nonce}")
        return json.loads(connection.getresponse().read(HEALTH_BYTES))


def _start(choice: Choice, file: RuntimeFile) -> LocalLoop:
    file.path.unlink(missing_ok=True)
    log = _fresh_log(file.path.with_suffix(".log"))
    process = _spawn(choice, file, log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        loop = file.read()
        if loop is not None and still_there(loop):
            return loop
        if process.poll() is not None and not file.is_alive():
            raise LocalLoopError(f"The embedded Loop ended at once: {_last_line(log)}", hint=f"Its log: {log}.")
        time.sleep(POLL_SECONDS)
    process.kill()
    raise LocalLoopError(f"The embedded Loop did not start within {START_SECONDS:g} s.", hint=f"Its log: {log}.")


def _spawn(choice: Choice, file: RuntimeFile, log: Path) -> subprocess.Popen[bytes]:
    """Start the server so that it outlives this process, in a directory that hides no module from it."""
    command = [sys.executable, "-m", "cozeloop_magic.local.server", str(file.path)]
    environment = {**os.environ, **choice.environment, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=file.path.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            creationflags=_detached(),
        )
    # Waits for the process, so that it leaves no zombie while this one lives.
    threading.Thread(target=process.wait, name="embedded-loop", daemon=True).start()
    return process


def _detached() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


def _fresh_log(log: Path) -> Path:
    """Put the log of the last run aside."""
    last = log.with_suffix(".log.1")
    for path in (log, last):
        paths.check_own_file(path)
    if log.exists():
        os.replace(log, last)
    log.touch(mode=0o600)
    return log


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    nothing = "the disk is full." if not shutil.disk_usage(log.parent).free else "it left no word."
    return next((line.strip() for line in reversed(lines) if line.strip()), nothing)
