"""Prompts as files: ``KEY.prompt.md`` holds the text of a prompt, and the same prompt is always the same bytes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from cozeloop_magic.authoring.catalog import find_prompt
from cozeloop_magic.authoring.define import Defined, Drafts, commit
from cozeloop_magic.authoring.plan import Plan, plan, prompt_text
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import PromptSummary
from cozeloop_magic.errors import CellError, InvalidRequest, LoopError

__all__ = [
    "SUFFIX",
    "Exported",
    "Imported",
    "export_prompts",
    "file_name",
    "import_prompts",
    "left_over",
    "plan_import",
    "read_text",
]

SUFFIX = ".prompt.md"

_PLAIN = re.compile(r"[A-Za-z0-9_.-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # names that Windows keeps to itself
_AT_ONCE = 8  # calls


@dataclass(frozen=True)
class Exported:
    """A prompt's file: its key and version, where it is, and whether anything was written."""

    key: str
    version: str
    file: str
    written: bool


@dataclass(frozen=True)
class Imported:
    """What became, or would become, of a file.

    Attributes
    ----------
    key, file : str
        The prompt, and the file's name.
    plan : Plan or None
        What it changes; None where it cannot be read.
    version : str
        The version that was committed; empty where none was.
    error : LoopError or None
        Why it was not.
    """

    key: str
    file: str
    plan: Plan | None
    version: str = ""
    error: LoopError | None = None

    @property
    def state(self) -> str:
        """What it is, in a word: ``new``, ``changed``, ``same`` or ``failed``."""
        if self.plan is None or self.error is not None:
            return "failed"
        return ("changed" if self.plan.base_version else "new") if self.plan.changed else "same"


def file_name(prompt_key: str, taken: Iterable[str] = ()) -> str:
    """Return the name of a prompt's file, one that every file system takes and that no other key has.

    Parameters
    ----------
    taken : iterable of str
        Names that are there; where one differs in nothing but capital letters, these are escaped.
    """
    name = "".join(char if _PLAIN.match(char) else _escaped(char) for char in prompt_key)
    if name.startswith((".", "-")) or _RESERVED.match(name):
        name = _escaped(name[0]) + name[1:]
    if any(other.lower() == f"{name}{SUFFIX}".lower() for other in taken):
        name = "".join(_escaped(char) if char.isupper() else char for char in unquote(name))
    return f"{name}{SUFFIX}"


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02x}" for byte in char.encode(errors="surrogatepass"))


def export_prompts(client: Client, prompt_keys: Sequence[str] | None, directory: Path) -> list[Exported]:
    """Write the latest version of prompts as files; None means all. What is the same is not written.

    Raises
    ------
    LoopError
        If a prompt cannot be had, or a file not be written.
    """
    if prompt_keys is None:
        summaries = [each for each in client.prompts.iterate() if each.latest_version]
    else:
        summaries = [find_prompt(client, key) for key in dict.fromkeys(prompt_keys)]
    names: dict[str, str] = {}
    for key in sorted(each.prompt_key for each in summaries):
        names[key] = file_name(key, names.values())
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable("The directory", directory, error) from None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        texts = list(pool.map(lambda each: _text(client, each), summaries))
    return [
        Exported(each.prompt_key, each.latest_version or "", name, _write(directory / name, text))
        for each, text in sorted(zip(summaries, texts, strict=True), key=lambda pair: pair[0].prompt_key)
        for name in [names[each.prompt_key]]
    ]


def _text(client: Client, summary: PromptSummary) -> str:
    return prompt_text(client.prompts.get(summary.id or "", summary.latest_version or ""))


def _write(path: Path, text: str) -> bool:
    """Write a file in one step, if it is not the same already; tell whether it was written."""
    content = text.encode(errors="surrogatepass")
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_bytes(content)
        os.replace(fresh, path)
    except OSError as error:
        raise _unusable("The file", path, error) from None
    return True


def plan_import(client: Client, directory: Path) -> list[Imported]:
    """Compare every file of a directory with what the server has; nothing is changed.

    Raises
    ------
    InvalidRequest
        If there is no such directory, or no file of a prompt in it.
    """
    try:
        if not directory.is_dir():
            raise InvalidRequest(f"There is no directory {directory}.", hint="%loop export --all DIR makes one.")
        paths = _files_of(directory)
    except OSError as error:
        raise _unusable("The directory", directory, error) from None
    if not paths:
        raise InvalidRequest(
            f"There is no file *{SUFFIX} in {directory}.", hint="%loop export --all DIR writes them."
        )
    number = Counter(map(_key_of, paths))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda path: _planned(client, path, alone=number[_key_of(path)] == 1), paths))


def left_over(exported: Sequence[Exported], directory: Path) -> list[str]:
    """Give the names of files whose prompts are not among those that were exported: an import would make them."""
    return [path.name for path in _files_of(directory) if path.name not in {each.file for each in exported}]


def _files_of(directory: Path) -> list[Path]:
    return sorted(
        path for path in directory.iterdir() if path.name.endswith(SUFFIX) and not path.name.startswith(".")
    )


def _key_of(path: Path) -> str:
    return unquote(path.name.removesuffix(SUFFIX), errors="surrogatepass")


def _planned(client: Client, path: Path, *, alone: bool) -> Imported:
    key = _key_of(path)
    try:
        if not alone:
            raise CellError(f"another file is of the prompt {key}, too.")
        return Imported(key, path.name, plan(client, key, read_text(path)))
    except CellError as error:
        error.message = f"{path.name}: {error.message}"
        return Imported(key, path.name, None, error=error)


def read_text(path: Path) -> str:
    """Read a file of a prompt.

    Raises
    ------
    InvalidRequest
        If it cannot be read, or is no text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig", errors="surrogatepass")
    except UnicodeDecodeError:
        raise CellError(f"{path.name} is no text in UTF-8.") from None
    except OSError as error:
        raise _unusable("The file", path, error) from None


def import_prompts(
    client: Client, planned: Sequence[Imported], *, bump: str = "patch", message: str = "", as_is: bool = False
) -> list[Imported]:
    """Commit what differs, each prompt by itself; where a file cannot be read, nothing at all.

    Parameters
    ----------
    bump : str
        Which part of the last version to raise.
    message : str
        Why it changed.
    as_is : bool
        Whether to commit what has slips.
    """
    if any(each.plan is None for each in planned):
        return list(planned)
    drafts = Drafts()
    return [_imported(client, each, drafts, bump, message, as_is) for each in planned]


def _imported(client: Client, each: Imported, drafts: Drafts, bump: str, message: str, as_is: bool) -> Imported:
    if each.plan is None or not each.plan.changed:
        return each
    raised = bump if each.plan.base_version else ""
    try:
        defined: Defined = commit(client, each.plan, drafts, bump=raised, message=message, as_is=as_is)
    except LoopError as error:
        return Imported(each.key, each.file, each.plan, error=error)
    return Imported(each.key, each.file, each.plan, defined.version)


def _unusable(what: str, path: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"{what} {path} cannot be used: {error.strerror or error}.", hint="Name another.")
