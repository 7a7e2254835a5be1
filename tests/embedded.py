"""The embedded Loop with its real model, for tests that start other processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen


class Embedded:
    """A home of its own for an embedded Loop, which the first call from there starts."""

    def __init__(self, home: Path, weights: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COZELOOP_")}
        self.environ = kept | {"COZELOOP_MAGIC_HOME": str(home), "COZELOOP_MAGIC_GGUF": str(weights)}

    def pid(self) -> int | None:
        """The process id of the server, if one runs."""
        for file in self.home.rglob("loop-*.json"):
            try:
                with urlopen(json.loads(file.read_text())["base_url"] + "/health", timeout=5) as answer:
                    return int(json.load(answer)["pid"])
            except OSError:
                continue
        return None

    def kill(self) -> None:
        pid = self.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


@contextmanager
def embedded_loop(home: Path, weights: Path) -> Iterator[Embedded]:
    loop = Embedded(home, weights)
    yield loop
    if loop.pid() is not None:
        loop.kill()
