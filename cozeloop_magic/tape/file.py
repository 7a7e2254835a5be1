"""The file of a tape: read whole, written line by line, so that what was recorded outlives a kernel that dies."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import TapeError
from cozeloop_magic.tape.exchange import FORMAT, Exchange, Header

__all__ = ["Tape", "TapeWriter"]

_NO_SUCH_LINE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
_NO_TAPE = "Record one with %loop record FILE, or name another file."


@dataclass(frozen=True)
class Tape:
    """A recorded lesson.

    Attributes
    ----------
    name : str
        Of the file.
    header : Header
        Who answered, and when.
    exchanges : tuple of Exchange
        In the order they ended in.
    """

    name: str
    header: Header
    exchanges: tuple[Exchange, ...]

    @classmethod
    def read(cls, path: str | Path) -> Tape:
        """Read a tape. A last line that was cut, as by a kernel that died, is left out.

        Raises
        ------
        TapeError
            If there is none, or it cannot be read.
        """
        path = Path(path).expanduser()
        try:
            lines = _whole_lines(path)
        except OSError as error:
            raise TapeError(f"The tape {path} cannot be read: {error.strerror}.", hint=_NO_TAPE) from None
        except UnicodeDecodeError:
            raise TapeError(f"{path} is no tape: it is not UTF-8.", hint=_NO_TAPE) from None
        if lines == [""]:
            raise TapeError(f"The tape {path} is empty: nothing was asked while it was recorded.", hint=_NO_TAPE)
        return cls(path.name, _header(path, lines[:1]), tuple(_exchanges(path, lines[1:])))


def _whole_lines(path: Path) -> list[str]:
    """Give the lines, however they end; a last one that was cut, as by a kernel that died, is none."""
    *lines, last = path.read_bytes().split(b"\n")
    with suppress(ValueError, RecursionError):
        json.loads(last)
        lines.append(last)  # an editor took off the file's last line break
    return b"\n".join(lines).decode("utf-8-sig").replace("\r\n", "\n").split("\n")


def _header(path: Path, lines: list[str]) -> Header:
    try:
        line = json.loads(lines[0])
        if line["tape"] > FORMAT:
            raise TapeError(
                f"The tape {path} was recorded by a newer version, in format {line['tape']}.",
                hint="Install that version to play it.",
            )
        return Header.from_json(line)
    except _NO_SUCH_LINE:
        raise TapeError(f"{path} is no tape: its first line is no header of one.", hint=_NO_TAPE) from None


def _exchanges(path: Path, lines: list[str]) -> list[Exchange]:
    found = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        try:
            found.append(Exchange.from_json(json.loads(line)))
        except _NO_SUCH_LINE:
            raise TapeError(
                f"Line {number} of the tape {path} is no exchange.",
                hint="Take that line out, or record it again.",
            ) from None
    return found


class TapeWriter:
    """Writes a tape, each exchange as it ends. Thread-safe.

    Parameters
    ----------
    path : str or Path
        The file.
    append : bool
        Whether an existing tape goes on; else one is an error, unless `overwrite` says otherwise.
    overwrite : bool
        Whether an existing file is written anew.

    Raises
    ------
    TapeError
        If the file exists, or cannot be written.
    """

    def __init__(self, path: str | Path, *, append: bool = False, overwrite: bool = False) -> None:
        self.path = Path(path).expanduser()
        self.count = 0
        self._header: Header | None = None
        self._torn = False  # whether the last line may be half of one, as where the disk was full
        self._lock = threading.Lock()
        self._writing(lambda: self._begin(append, overwrite))

    def _begin(self, append: bool, overwrite: bool) -> None:
        if append and self.path.exists() and self.path.stat().st_size:
            tape = Tape.read(self.path)
            self._header, self.count = tape.header, len(tape.exchanges)
            self._rewrite()  # without a last line that was cut: the next one would go on in it
        elif self.path.exists() and not (append or overwrite):
            raise TapeError(
                f"There is a file {self.path} already.", hint="Add --append to go on with it, or --overwrite."
            )
        else:
            self.path.write_text("", encoding="utf-8")

    def write(self, exchange: Exchange, header: Header) -> None:
        """Add an exchange; `header` is that of the recording, with the model that answered this, if it is known.

        Raises
        ------
        TapeError
            If the file cannot be written.
        """
        with self._lock:
            before = self._header
            self._header = header if before is None else _with_models(before, header.models)
            if before is None or self._header != before or self._torn:
                self._writing(self._rewrite)
            self._torn = True
            self._writing(lambda: self._append(exchange.to_json()))
            self._torn = False
            self.count += 1

    def _append(self, line: Mapping[str, Any]) -> None:
        if not self.path.exists():  # somebody took it away: what follows would have no header
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_to_line(line))

    def _rewrite(self) -> None:
        """Write the header anew, which happens once for each model, and never leave half a file."""
        assert self._header is not None
        lines = [_to_line(self._header.to_json())]
        lines += (line + "\n" for line in _whole_lines(self.path)[1:])
        fresh = self.path.with_name(self.path.name + ".part")
        with fresh.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
        os.replace(fresh, self.path)

    def _writing(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            raise TapeError(
                f"The tape {self.path} cannot be written: {error.strerror}.", hint="Choose another place for it."
            ) from None


def _with_models(header: Header, models: tuple[str, ...]) -> Header:
    return replace(header, models=tuple(dict.fromkeys(header.models + models)))


def _to_line(value: Mapping[str, Any]) -> str:
    """Write one line of readable JSON: no text of it has a line's end, whoever reads the lines."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a character
        text = json.dumps(value)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085") + "\n"
