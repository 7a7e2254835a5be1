"""Who is in a class, and the token of each: a file that the teacher hands out line by line."""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths

__all__ = ["TEACHER", "Member", "checked_url", "members_of", "names_in", "numbered_names", "write_settings"]

TEACHER = "teacher"
MOST_STUDENTS = 500
LONGEST_NAME = 80
_BEGINS_A_FORMULA = "=+-@"  # to a spreadsheet, in which the settings may be opened
_COLUMNS = ("name", "COZELOOP_API_BASE_URL", "COZELOOP_WORKSPACE_ID", "COZELOOP_API_TOKEN")


@dataclass(frozen=True, slots=True)
class Member:
    """The teacher or a student."""

    name: str
    token: str = field(repr=False)


def names_in(roster: Path) -> list[str]:
    """Read the students' names, one a line; empty lines and those that begin with ``#`` are none.

    Raises
    ------
    LocalLoopError
        If it cannot be read, or holds a name twice or one that is none.
    """
    try:
        lines = roster.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise LocalLoopError(f"The roster {roster} cannot be read: {paths.reason(error)}.") from error
    except UnicodeDecodeError:
        raise LocalLoopError(f"The roster {roster} is not UTF-8 text.", hint="Save it as UTF-8.") from None
    names = [name for line in lines if (name := line.strip()) and not name.startswith("#")]
    if not names:
        raise LocalLoopError(f"The roster {roster} names nobody; write one name a line.")
    seen: set[str] = set()
    for name in names:
        if len(name) > LONGEST_NAME or not name.isprintable() or name[0] in _BEGINS_A_FORMULA:
            raise LocalLoopError(f"{name[:LONGEST_NAME]!r} in the roster is no name; write one name a line.")
        folded = unicodedata.normalize("NFKC", name).casefold()
        if folded in seen or folded == TEACHER:
            raise LocalLoopError(f"{name} is in the roster twice, or is you; give each student another name.")
        seen.add(folded)
    return _not_too_many(names)


def numbered_names(number: int) -> list[str]:
    """Give so many names: student01, student02 and so on."""
    if number < 1:
        raise LocalLoopError(f"{number} is no number of students.")
    return _not_too_many([f"student{each:02}" for each in range(1, number + 1)])


def checked_url(url: str, host: str) -> str:
    """Check how others reach a server, which must be said where its host does not.

    Raises
    ------
    LocalLoopError
        If it is no address, or is needed and missing.
    """
    if not url:
        if host in ("0.0.0.0", "::"):
            raise LocalLoopError(
                f"Students cannot reach {host}; say how they do.",
                hint="Add --public-url, with this computer's name or address: --public-url http://192.168.1.5:8000.",
            )
        return ""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or re.search(r"[\s?#@]", url):
        raise LocalLoopError(f"{url!r} is no address; write one such as https://example.org/loop.")
    return url.rstrip("/")


def _not_too_many(names: list[str]) -> list[str]:
    if len(names) > MOST_STUDENTS:
        raise LocalLoopError(f"A class has at most {MOST_STUDENTS} students, and these are {len(names)}.")
    return names


def settings_file() -> Path:
    """Give the place of the file with everybody's settings."""
    return paths.data_dir() / "class.csv"


def members_of(names: Sequence[str]) -> list[Member]:
    """Give the teacher and the students, each with the token they had the last time, or a new one."""
    known = _known_tokens()
    return [Member(name, known.get(name) or secrets.token_urlsafe(24)) for name in (TEACHER, *names)]


def write_settings(members: Sequence[Member], base_url: str, workspace_id: str) -> Path:
    """Write what each has to set, readable by the teacher alone, and give the file.

    Who is no longer in the class keeps a line without an address: they have the same token when they come back.
    """
    path = settings_file()
    left = {name: token for name, token in _known_tokens().items() if name not in {each.name for each in members}}
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")  # a shell would take another for a part of the token
    table.writerow(_COLUMNS)
    table.writerows((each.name, base_url, workspace_id, each.token) for each in members)
    table.writerows((name, "", "", token) for name, token in left.items())
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(written.getvalue())
        os.replace(fresh, path)
    except OSError as error:
        raise LocalLoopError(f"{path} cannot be written: {paths.reason(error)}.") from error
    return path


def _known_tokens() -> dict[str, str]:
    path = settings_file()
    paths.check_own_file(path)
    if not path.exists():
        return {}
    try:
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise KeyError(rows.fieldnames)
        tokens = {row["name"]: row["COZELOOP_API_TOKEN"] for row in rows}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise LocalLoopError(
            f"{path} cannot be read as the class's tokens.", hint="Move it away for new ones."
        ) from error
    return {name: token for name, token in tokens.items() if name and token}
