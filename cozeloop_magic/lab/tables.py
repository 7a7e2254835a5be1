"""A table that grows by columns: of the kind that was given, its rows in their order."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from cozeloop_magic.errors import InvalidRequest, StoreError
from cozeloop_magic.lab.inputs import Row, is_missing

__all__ = ["TableWriter", "writer_for"]


class TableWriter:
    """Takes rows in any order, from any thread, and makes a table of them in theirs.

    Attributes
    ----------
    names : sequence of str
        Columns that are added whatever comes, also where there is no row.
    """

    def __init__(self) -> None:
        self.names: Sequence[str] = ()
        self._added: dict[int, tuple[Row, Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End the table."""

    def put(self, row: Row, added: Mapping[str, Any]) -> None:
        """Take a row and the columns that are added to it."""
        with self._lock:
            self._added[row.number] = row, added

    @property
    def has_rows(self) -> bool:
        """Whether any row has come."""
        return bool(self._added)

    def result(self) -> Any:
        """Return the table: a list of dicts. Each has every column that was added to any."""
        names = self._names()
        return [{**row.values, **{name: added.get(name) for name in names}} for row, added in self._in_order()]

    def _in_order(self) -> Iterator[tuple[Row, Mapping[str, Any]]]:
        for number in sorted(self._added):
            yield self._added[number]

    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self.names, *(name for _, added in self._in_order() for name in added)]))


class _FrameWriter(TableWriter):
    """A data frame of pandas or polars, with its index."""

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame

    def result(self) -> Any:
        numbers = sorted(self._added)
        columns = {name: [added.get(name) for _, added in self._in_order()] for name in self._names()}
        if hasattr(self._frame, "iloc"):
            part = self._frame.iloc[numbers]
            return part.assign(**{name: _pandas(values, part.index) for name, values in columns.items()})
        import narwhals as nw

        table = nw.from_native(self._frame, eager_only=True)[numbers]
        kind = nw.get_native_namespace(self._frame)
        series = [nw.new_series(name, _of_one_kind(values), backend=kind) for name, values in columns.items()]
        return table.with_columns(*series).to_native()


def _pandas(values: list[Any], index: Any) -> Any:
    """Make a series in which nothing is null but what is: whole numbers stay whole beside nulls."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    dtype = (
        {frozenset({int}): "Int64", frozenset({bool}): "boolean"}.get(frozenset(kinds)) if None in values else None
    )
    if kinds <= {str} or (len(kinds) > 1 and kinds != {int, float}):
        dtype = "object"
    return pd.Series(values, index=index, dtype=dtype)


def _of_one_kind(values: Sequence[Any]) -> list[Any]:
    """Write values of several kinds, of which a typed frame can hold one alone, as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if (len(kinds) < 2 and not kinds & {dict, list}) or kinds == {int, float}:
        return list(values)
    return [value if value is None or isinstance(value, str) else _json(value) for value in values]


class _FileWriter(TableWriter):
    """A CSV or JSONL file, written as soon as a row's turn has come: what waits is what is under way.

    What was there before stays until there is a row to write.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._turn = 0  # the number of the row that is written next
        self._file: TextIO | None = None
        self._heads: list[str] = []  # columns of a CSV file
        self._head_written = 0  # how many of them its first line names

    def __exit__(self, kind: object, *_: object) -> None:
        for row, added in self._in_order():  # behind a gap that a stop has left
            self._line({**row.values, **added})
        if self._file is None:
            if kind is None:
                self._path.write_text("", encoding="utf-8")
            return
        self._file.close()
        if len(self._heads) > self._head_written:
            self._widen()

    def put(self, row: Row, added: Mapping[str, Any]) -> None:
        with self._lock:
            self._added[row.number] = row, added
            while self._turn in self._added:
                ready, columns = self._added.pop(self._turn)
                self._turn += 1
                try:
                    self._line({**ready.values, **columns})
                except OSError as error:
                    raise StoreError(
                        f"{self._path} cannot be written ({error.strerror}).",
                        hint="What was answered is kept: make room, and run it again.",
                    ) from error

    def _line(self, values: Mapping[str, Any]) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
        if self._path.suffix.lower() != ".csv":
            self._file.write(_json(values) + "\n")
            return
        new = [name for name in values if name not in self._heads]
        self._heads += new
        if not self._head_written:
            self._head_written = len(self._heads)
            csv.writer(self._file, lineterminator="\n").writerow(self._heads)
        cells = [_cell(values.get(name)) for name in self._heads]
        csv.writer(self._file, lineterminator="\n").writerow(cells)

    def _widen(self) -> None:
        """Name columns that came late in the first line, and give each line as many cells."""
        narrow = self._path.with_name(f".{self._path.name}.narrow")
        self._path.rename(narrow)
        try:
            with (
                narrow.open(encoding="utf-8", newline="") as old,
                self._path.open("w", encoding="utf-8", newline="") as file,
            ):
                lines = csv.reader(old)
                next(lines)
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(self._heads)
                writer.writerows(cells + [""] * (len(self._heads) - len(cells)) for cells in lines)
        except BaseException:
            narrow.replace(self._path)
            raise
        narrow.unlink()

    @property
    def has_rows(self) -> bool:
        return self._file is not None

    def result(self) -> Path:
        return self._path


def _cell(value: Any) -> Any:
    return _json(value) if isinstance(value, (dict, list)) else value


def _json(value: Any) -> str:
    """Write JSON: what holds nothing is null, and what has no form of its own is text."""
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if is_missing(value):
        return None
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def writer_for(data: Any, to: str | Path | None) -> TableWriter:
    """Return what makes a table of the kind that was given, or writes a file.

    Raises
    ------
    InvalidRequest
        If the file is of no kind that is known, is the one that is read, or cannot be written.
    """
    if to is not None:
        path = Path(to).expanduser()
        if path.suffix.lower() not in (".csv", ".jsonl", ".ndjson"):
            raise InvalidRequest(f"{path} is no CSV or JSONL file.", hint="Name it answers.csv or answers.jsonl.")
        if isinstance(data, (str, os.PathLike)) and path.resolve() == Path(data).expanduser().resolve():
            raise InvalidRequest(f"{path} is read and cannot be written at the same time.", hint="Name another file.")
        if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise InvalidRequest(f"{path} cannot be written.", hint="Name a file in a directory of yours.")
        return _FileWriter(path)
    return _FrameWriter(data) if hasattr(type(data), "columns") else TableWriter()
