"""A table that grows by columns: of the kind that was given, its rows in their order."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.inputs import Row

__all__ = ["TableWriter", "writer_for"]


class TableWriter:
    """Takes rows in any order, from any thread, and makes a table of them in theirs."""

    def __init__(self) -> None:
        self._added: dict[int, tuple[Row, Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """End the table."""

    def put(self, row: Row, added: Mapping[str, Any]) -> None:
        """Take a row and the columns that are added to it."""
        with self._lock:
            self._added[row.number] = row, added

    def result(self) -> Any:
        """Return the table: a list of dicts."""
        return [{**row.values, **added} for _, (row, added) in sorted(self._added.items())]


class _FrameWriter(TableWriter):
    """A data frame of pandas or polars, with its index."""

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame

    def result(self) -> Any:
        numbers = sorted(self._added)
        added = [self._added[number][1] for number in numbers]
        names = list(dict.fromkeys(name for each in added for name in each))
        columns = {name: [each.get(name) for each in added] for name in names}
        if hasattr(self._frame, "iloc"):
            part = self._frame.iloc[numbers]
            return part.assign(**{name: _pandas(values, part.index) for name, values in columns.items()})
        import narwhals as nw

        table = nw.from_native(self._frame, eager_only=True)[numbers]
        kind = nw.get_native_namespace(self._frame)
        series = [nw.new_series(name, values, backend=kind) for name, values in columns.items()]
        return table.with_columns(*series).to_native()


def _pandas(values: list[Any], index: Any) -> Any:
    import pandas as pd

    return pd.Series(values, index=index)


class _FileWriter(TableWriter):
    """A CSV or JSONL file, written as soon as a row's turn has come: what waits is what is under way."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._turn = 0  # the number of the row that is written next
        self._csv: Any = None

    def __enter__(self) -> _FileWriter:
        self._file: TextIO = self._path.open("w", encoding="utf-8", newline="")
        return self

    def __exit__(self, *_: object) -> None:
        for number in sorted(self._added):  # behind a gap that a stop has left
            self._line({**self._added[number][0].values, **self._added[number][1]})
        self._file.close()

    def put(self, row: Row, added: Mapping[str, Any]) -> None:
        with self._lock:
            self._added[row.number] = row, added
            while self._turn in self._added:
                ready, columns = self._added.pop(self._turn)
                self._line({**ready.values, **columns})
                self._turn += 1

    def _line(self, values: Mapping[str, Any]) -> None:
        if self._path.suffix.lower() != ".csv":
            self._file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
            return
        if self._csv is None:
            self._csv = csv.DictWriter(self._file, list(values), extrasaction="ignore", lineterminator="\n")
            self._csv.writeheader()
        self._csv.writerow(values)

    def result(self) -> Path:
        return self._path


def writer_for(data: Any, to: str | Path | None) -> TableWriter:
    """Return what makes a table of the kind that was given, or writes a file.

    Raises
    ------
    InvalidRequest
        If the file is of no kind that is known, or is the one that is read.
    """
    if to is not None:
        path = Path(to).expanduser()
        if path.suffix.lower() not in (".csv", ".jsonl", ".ndjson"):
            raise InvalidRequest(f"{path} is no CSV or JSONL file.", hint="Name it answers.csv or answers.jsonl.")
        if isinstance(data, (str, os.PathLike)) and path.resolve() == Path(data).expanduser().resolve():
            raise InvalidRequest(f"{path} is read and cannot be written at the same time.", hint="Name another file.")
        return _FileWriter(path)
    return _FrameWriter(data) if hasattr(type(data), "columns") else TableWriter()
