"""Where the embedded Loop keeps its things, and whose they must be.

``COZELOOP_MAGIC_HOME`` puts everything below one directory; without it, each kind is where the platform has it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from cozeloop_magic.errors import LocalLoopError

__all__ = [
    "DISK_IS_FULL",
    "FULL",
    "HOME_VARIABLE",
    "cache_dir",
    "check_own_file",
    "data_dir",
    "home",
    "reason",
    "runtime_dir",
]

HOME_VARIABLE = "COZELOOP_MAGIC_HOME"
_APP = "cozeloop-magic"
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_IS_FULL = "the disk is full"


def home() -> Path | None:
    """Give the one directory the user chose for everything, if any."""
    chosen = os.environ.get(HOME_VARIABLE)
    return _absolute(Path(os.path.expanduser(chosen)).absolute(), chosen) if chosen else None


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


def check_own_file(path: Path) -> None:
    """Refuse what is there if it is no plain file, or one that somebody else owns or may write to.

    Raises
    ------
    LocalLoopError
        If it is to be removed first.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(path, reason(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise LocalLoopError(f"{path} is no plain file, and the embedded Loop keeps one there; remove it.")
    if _is_another_s(found):
        raise LocalLoopError(f"{path} can be written by another user, so the embedded Loop trusts it not; remove it.")


def reason(error: OSError) -> str:
    """Give why the system refused, in words; of a full disk, that it is full."""
    return DISK_IS_FULL if error.errno in FULL else error.strerror or type(error).__name__


def _platform(kind: str) -> Path:
    import platformdirs

    try:
        path = Path(getattr(platformdirs, f"user_{kind}_path")(_APP, appauthor=False))
    except (RuntimeError, KeyError) as error:  # there is no home directory
        raise _homeless() from error
    return _absolute(path, str(path))


def _absolute(path: Path, given: str) -> Path:
    """Refuse a path in a home directory that is not known; it would be one below the current directory."""
    if given.startswith("~") and given[:1] == os.path.expanduser(given)[:1]:
        raise _homeless()
    return path


def _homeless() -> LocalLoopError:
    return LocalLoopError(
        "The embedded Loop has no place to keep its things, as this user has no home directory; "
        f"set {HOME_VARIABLE} to a directory."
    )


def _private(directory: Path) -> Path:
    """Make the directory, for its owner's eyes only: tokens and prompts live there. Leave one that is there alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
    except OSError as error:
        raise _unusable(directory, reason(error)) from error
    if _is_another_s(found):
        why = "another user can write there"
        raise _unusable(directory, f"{why}; if it is yours: chmod go-w {directory}" if _owned(found) else why)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _unusable(directory, "Permission denied")
    return directory


def _is_another_s(found: os.stat_result) -> bool:
    """Whether another user can change what was found. Windows keeps a profile's directories apart by itself."""
    return hasattr(os, "geteuid") and (not _owned(found) or bool(found.st_mode & _WRITABLE_BY_OTHERS))


def _owned(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid()


def _unusable(path: Path, why: str) -> LocalLoopError:
    return LocalLoopError(
        f"The embedded Loop cannot keep its things in {path} ({why}); set {HOME_VARIABLE} to another directory."
    )
