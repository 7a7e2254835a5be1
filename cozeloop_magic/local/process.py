"""The embedded Loop as a process of its own: found again if it runs, started if it does not.

There is one server for each user and model. A runtime file, which only its owner can read, says where it is. Before
its token is used, the server there proves that it knows it: a stranger may have taken over the port.
"""

from __future__ import annotations

import hmac
import http.client
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.errors import LocalLoopError, to_install
from cozeloop_magic.local import paths
from cozeloop_magic.local.choice import Choice, chosen_model
from cozeloop_magic.local.proof import prove

__all__ = ["LocalLoop", "RuntimeFile", "ensure_running", "require_extra", "running", "still_there"]

START_SECONDS = 60.0
HEALTH_SECONDS = 5.0
HEALTH_BYTES = 4096
POLL_SECONDS = 0.02
_MODULES = ("starlette", "uvicorn", "jinja2", "semver", "filelock")


@dataclass(frozen=True, slots=True)
class LocalLoop:
    """Where an embedded Loop is, and what it takes to be let in."""

    base_url: str
    workspace_id: str
    token: str = field(repr=False)
    model: str


@dataclass(frozen=True)
class RuntimeFile:
    """The file that says where the server for one model is."""

    path: Path

    @classmethod
    def of(cls, choice: Choice) -> RuntimeFile:
        """Give the file of the server for a model."""
        return cls(paths.runtime_dir() / f"loop-{choice.fingerprint}.json")

    def read(self) -> LocalLoop | None:
        """Read it; None if it is not there or no longer makes sense."""
        try:
            loop = LocalLoop(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return loop if all(isinstance(value, str) for value in asdict(loop).values()) else None

    def write(self, loop: LocalLoop) -> None:
        """Write it, for its owner's eyes only, in one step."""
        fresh = self.path.with_suffix(f".{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(loop), file)
        os.replace(fresh, self.path)

    def remove(self, loop: LocalLoop) -> None:
        """Remove it, unless another server has written it since."""
        if self.read() == loop:
            self.path.unlink(missing_ok=True)


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
    from filelock import FileLock

    with FileLock(file.path.with_suffix(".lock")):
        loop = file.read()  # another notebook may have started it meanwhile
        if loop is not None and still_there(loop):
            return loop
        choice.fetch(progress)
        if progress:
            progress("Starting the embedded Loop")
        return _start(choice, file)


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
        if process.poll() is not None:
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
    if log.exists():
        os.replace(log, log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    return log


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no word.")
