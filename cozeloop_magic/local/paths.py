"""Where the embedded Loop keeps its things.

``COZELOOP_MAGIC_HOME`` puts everything below one directory; without it, each kind is where the platform has it.
"""

from __future__ import annotations

import os
from pathlib import Path

from cozeloop_magic.errors import LocalLoopError

__all__ = ["cache_dir", "data_dir", "home", "runtime_dir"]

HOME_VARIABLE = "COZELOOP_MAGIC_HOME"
_APP = "cozeloop-magic"


def home() -> Path | None:
    """Give the one directory the user chose for everything, if any."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(os.path.expanduser(chosen)).absolute() if chosen else None


def data_dir() -> Path:
    """Give the directory of the prompts; they are the user's work and must last."""
    chosen = home()
    return _private(chosen / "data" if chosen else _platform("data"))


def cache_dir() -> Path:
    """Give the directory of the weights; they can be fetched again."""
    chosen = home()
    return _private(chosen / "cache" if chosen else _platform("cache"))


def runtime_dir() -> Path:
    """Give the directory of what describes running servers, and of their logs."""
    chosen = home()
    return _private(chosen / "run" if chosen else _platform("state"))


def _platform(kind: str) -> Path:
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_path")(_APP, appauthor=False))


def _private(directory: Path) -> Path:
    """Make the directory, for its owner's eyes only: tokens and prompts live there. Leave one that is there alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(directory, str(error.strerror)) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(directory, "Permission denied")
    return directory


def _unusable(directory: Path, why: str) -> LocalLoopError:
    return LocalLoopError(
        f"The embedded Loop cannot keep its things in {directory} ({why}); set {HOME_VARIABLE} to another directory."
    )
