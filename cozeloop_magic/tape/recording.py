"""What this process records: the calls of every client that is made while it does."""

from __future__ import annotations

from pathlib import Path

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.tape.file import TapeWriter

__all__ = ["RECORDING", "Recording"]


class Recording:
    """Recording, on or off.

    Attributes
    ----------
    writer : TapeWriter or None
        The tape; None while nothing is recorded.
    """

    def __init__(self) -> None:
        self.writer: TapeWriter | None = None

    def begin(self, path: str | Path, *, append: bool = False, overwrite: bool = False) -> TapeWriter:
        """Begin; see `TapeWriter`.

        Raises
        ------
        InvalidRequest
            If something is being recorded.
        TapeError
            If the file is there, or cannot be written.
        """
        if self.writer is not None:
            raise InvalidRequest(f"{self.writer.path} is being recorded.", hint="End it: %loop record stop.")
        self.writer = TapeWriter(path, append=append, overwrite=overwrite)
        return self.writer

    def end(self) -> TapeWriter:
        """End, and return the tape.

        Raises
        ------
        InvalidRequest
            If nothing is being recorded.
        """
        if self.writer is None:
            raise InvalidRequest("Nothing is being recorded.", hint="Begin with %loop record FILE.")
        writer, self.writer = self.writer, None
        return writer


RECORDING = Recording()
