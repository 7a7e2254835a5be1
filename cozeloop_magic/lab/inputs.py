"""The table a comparison runs over: data frames, records and files, read into one shape.

A cell that holds nothing (NaN, None, a missing field) is an error where it would be sent: a server renders a missing
value as nothing, without a word.
"""

from __future__ import annotations

import csv
import difflib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import InvalidRequest, to_install
from cozeloop_magic.printable import printable

__all__ = ["EmptyCell", "Row", "is_missing", "iterate_table", "listed", "read_table"]

_NAMED = 20  # columns that a sentence names
_SHAPES = "Give a data frame, a list of dicts, or the path of a CSV or JSONL file."


class EmptyCell(InvalidRequest):
    """A cell whose value is needed holds nothing: its row cannot be asked, the others can."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    number : int
        Which, counted from 0.
    where : str
        The same for a person: ``row 3``, ``line 5 of reviews.csv``.
    values : Mapping[str, Any]
        Its cells by column.
    """

    number: int
    where: str
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        """Give a cell that holds something.

        Raises
        ------
        EmptyCell
            If it is empty.
        InvalidRequest
            If there is no such column.
        """
        if column not in self.values:
            close = difflib.get_close_matches(column, self.values, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise InvalidRequest(
                printable(
                    f"There is no column {column} in {self.where}{meant}; its columns are {listed(self.values)}."
                )
            )
        value = self.values[column]
        if is_missing(value):
            raise EmptyCell(
                printable(f"The column {column} is empty in {self.where} ({value})."),
                hint='Fill it or leave the row out, for example with .dropna(); "" is text that is empty on purpose.',
            )
        return value


def listed(columns: Iterable[str]) -> str:
    """Name columns, of very many the first ones."""
    names = list(columns)
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


def read_table(source: Any) -> tuple[Row, ...]:
    """Read a table.

    Parameters
    ----------
    source : data frame, path, or iterable of mappings
        A data frame of pandas, polars or any other that narwhals reads; a CSV or JSONL file; or one dict a row.

    Raises
    ------
    InvalidRequest
        If it cannot be read, or is empty.
    """
    rows = tuple(iterate_table(source))
    if not rows:
        raise InvalidRequest("The table of inputs has no rows.", hint="Check how it was made.")
    return rows


def iterate_table(source: Any) -> Iterator[Row]:
    """Yield a table's rows, a file's one after the other; see `read_table`."""
    if isinstance(source, (str, os.PathLike)):
        return _from_file(Path(source).expanduser())
    return _from_frame(source) if hasattr(type(source), "columns") else _from_records(source)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN of any kind, or what a data frame has for it."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except Exception:  # an array's answer is an array
        return False


def _from_frame(frame: Any) -> Iterator[Row]:
    try:
        import narwhals as nw
    except ImportError:
        raise InvalidRequest("Reading a data frame needs narwhals.", hint=to_install("batch")) from None
    if not nw.dependencies.is_into_dataframe(frame):
        raise InvalidRequest(
            f"The table of inputs is of type {type(frame).__name__}, which holds no rows as it is.",
            hint=f"Call its .collect() or .compute() first. {_SHAPES}",
        )
    table = nw.from_native(_with_text_columns(frame) if hasattr(frame, "iloc") else frame, eager_only=True)
    for number, cells in enumerate(table.iter_rows()):
        yield Row(number, f"row {number}", dict(zip(table.columns, cells, strict=True)))


def _with_text_columns(frame: Any) -> Any:
    """Give a frame of pandas with text as its columns' names, which pandas does not insist on."""
    renamed = frame.copy(deep=False)
    renamed.columns = _columns(frame.columns, "The data frame")
    return renamed


def _from_records(source: Any) -> Iterator[Row]:
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise InvalidRequest(f"The table of inputs is of type {type(source).__name__}.", hint=_SHAPES)
    for number, record in enumerate(source):
        if not isinstance(record, Mapping):
            raise InvalidRequest(
                f"Row {number} of the inputs is of type {type(record).__name__}, not a dict.", hint=_SHAPES
            )
        columns = _columns(record, f"Row {number} of the inputs")
        yield Row(number, f"row {number}", dict(zip(columns, record.values(), strict=True)))


def _columns(names: Iterable[Any], where: str) -> list[str]:
    """Give the columns' names as text, each of which must be another."""
    columns = [name if isinstance(name, str) else str(name) for name in names]
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise InvalidRequest(
            printable(f"{where} has more than one column {twice[0]}."), hint="Give each column a name of its own."
        )
    return columns


def _from_file(path: Path) -> Iterator[Row]:
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise InvalidRequest(f"The inputs {path} are in no file that is known.", hint=_SHAPES)
    try:
        # utf-8-sig takes off the mark that spreadsheets put at the beginning.
        with path.open(encoding="utf-8-sig", newline="" if read is _csv_rows else None) as file:
            for number, (line, values) in enumerate(read(file, path)):
                yield Row(number, f"line {line} of {path.name}", values)
    except OSError as error:
        raise InvalidRequest(
            f"The inputs {path} cannot be read ({error.strerror}).", hint="Check the path."
        ) from error
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"Line {_line_of_damage(path)} of {path.name} is not in UTF-8.",
            hint="Save it as UTF-8, or read it with pandas.read_csv(..., encoding=...) and give the data frame.",
        ) from None


def _line_of_damage(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(file, strict=True)
    try:
        columns = _columns(next(reader, []), path.name)
        _check_separator(columns, path)
        begun = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(columns):
                cells_there = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
                raise _bad_line(path, begun, f"it has {cells_there} and the first line {len(columns)}")
            if cells:
                yield begun, {name: cell or None for name, cell in zip(columns, cells, strict=True)}
            begun = reader.line_num + 1
    except csv.Error as error:
        raise _bad_line(path, reader.line_num, str(error)) from None


def _check_separator(columns: list[str], path: Path) -> None:
    """See that a table which spreadsheets of some countries have written is not taken for one of a single column."""
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and sign in columns[0]:
            raise InvalidRequest(
                f"The cells of {path.name} are separated by {name}, not by commas.",
                hint=f"Read it with pandas.read_csv({path.name!r}, sep={sign!r}), and give the data frame.",
            )


def _json_rows(file: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _bad_line(path, number, f"it is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise _bad_line(path, number, "it is no JSON object")
        yield number, record


def _bad_line(path: Path, line: int, why: str) -> InvalidRequest:
    return InvalidRequest(f"Line {line} of {path.name} cannot be read: {why}.", hint="Mend the file.")
