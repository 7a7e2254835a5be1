"""The file of a tape: read whole, written line by line, so that what was recorded outlives a kernel that dies."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import TapeError
from cozeloop_magic.tape.exchange import FORMAT, Exchange, Header

__all__ = ["Tape", "TapeWriter"]

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
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise TapeError(f"The tape {path} cannot be read: {error.strerror}.", hint=_NO_TAPE) from None
        except UnicodeDecodeError:
            raise TapeError(f"{path} is no tape: it is not UTF-8.", hint=_NO_TAPE) from None
        lines = text.split("\n")[:-1]
        return cls(path.name, _header(path, lines[:1]), tuple(_exchanges(path, lines[1:])))


def _header(path: Path, lines: list[str]) -> Header:
    try:
        line = json.loads(lines[0])
        if line["tape"] > FORMAT:
            raise TapeError(
                f"The tape {path} was recorded by a newer version, in format {line['tape']}.",
                hint="Install that version to play it.",
            )
        return Header.from_json(line)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise TapeError(f"{path} is no tape: its first line is no header of one.", hint=_NO_TAPE) from None


def _exchanges(path: Path, lines: list[str]) -> list[Exchange]:
    found = []
    for number, line in enumerate(lines, 2):
        try:
            found.append(Exchange.from_json(json.loads(line)))
        except (LookupError, TypeError, ValueError, AttributeError):
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
        self._lock = threading.Lock()
        self._writing(lambda: self._begin(append, overwrite))

    def _begin(self, append: bool, overwrite: bool) -> None:
        if append and self.path.exists():
            tape = Tape.read(self.path)
            self._header, self.count = tape.header, len(tape.exchanges)
        elif self.path.exists() and not overwrite:
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
            if before is None or self._header != before:
                self._writing(self._rewrite)
            self._writing(lambda: self._append(exchange.to_json()))
            self.count += 1

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_to_line(line))

    def _rewrite(self) -> None:
        """Write the header anew, which happens once for each model, and never leave half a file."""
        assert self._header is not None
        rest = self.path.read_text(encoding="utf-8").partition("\n")[2]
        fresh = self.path.with_name(self.path.name + ".part")
        fresh.write_text(_to_line(self._header.to_json()) + rest, encoding="utf-8", newline="\n")
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
