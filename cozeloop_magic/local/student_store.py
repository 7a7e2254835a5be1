"""A student's prompts: those of their own, and the teacher's committed ones to run and to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.rows import Commit, Draft, PromptRow
from cozeloop_magic.local.store import DRAFT, KEY_EXISTS, NOT_FOUND, VERSION_NOT_FOUND, Store, unknown_key

__all__ = ["StudentStore"]

NO_PERMISSION = 600500101
FIRST_ID = 2**40
"""Where the ids of students' prompts begin; the teacher's are below."""
_ALL = 10**6


class StudentStore(Store):
    """A store of its own for what a student makes, in which the teacher's committed prompts are seen as well.

    Parameters
    ----------
    path : Path
        The student's own database.
    teacher : Store
        The teacher's, which stays open as long as this one.
    """

    def __init__(self, path: Path, teacher: Store) -> None:
        super().__init__(path)
        self._teacher = teacher
        self.workspace_id = teacher.workspace_id
        with self._transaction() as db:
            if not db.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'prompts'").fetchone():
                db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('prompts', ?)", (FIRST_ID,))

    def create_prompt(self, key: str, *args: Any, **kwargs: Any) -> int:
        """Make a prompt of one's own; see `Store.create_prompt`."""
        if self._teachers_by_key(key) is not None:
            raise remote_error(
                f"There is already a prompt {key!r}, the teacher's; choose another key.", code=KEY_EXISTS
            )
        return super().create_prompt(key, *args, **kwargs)

    def list_prompts(self, *, page: int, size: int, prefix: str = "") -> tuple[list[PromptRow], int]:
        """Give a page of one's own prompts and then the teacher's; see `Store.list_prompts`."""
        own, _ = super().list_prompts(page=1, size=_ALL, prefix=prefix)
        teachers, _ = self._teacher.list_prompts(page=1, size=_ALL, prefix=prefix)
        keys = {row.prompt_key for row in own}
        rows = [*own, *(row for row in teachers if row.prompt_key not in keys)]
        return rows[(page - 1) * size : page * size], len(rows)

    def prompt(self, prompt_id: int) -> PromptRow:
        """Give one of one's own prompts or of the teacher's by its id."""
        return super().prompt(prompt_id) if _is_own(prompt_id) else self._teachers(prompt_id)

    def prompt_by_key(self, key: str) -> PromptRow:
        """Give a prompt by its key, one's own first."""
        try:
            return super().prompt_by_key(key)
        except RemoteError as error:
            if error.code != NOT_FOUND:
                raise
        row = self._teachers_by_key(key)
        if row is None:
            raise unknown_key(key, [row.prompt_key for row in self.list_prompts(page=1, size=_ALL)[0]])
        return row

    def delete_prompt(self, prompt_id: int) -> None:
        """Delete a prompt of one's own."""
        self._check_own(prompt_id)
        super().delete_prompt(prompt_id)

    def commit_of(self, prompt: PromptRow, *, version: str = "", label: str = "") -> Commit:
        """Give a version; of the teacher's prompts there is no draft to see."""
        if _is_own(prompt.id):
            return super().commit_of(prompt, version=version, label=label)
        if version == DRAFT:
            raise remote_error(f"Prompt {prompt.prompt_key} has no draft of yours.", code=VERSION_NOT_FOUND)
        return self._teacher.commit_of(prompt, version=version, label=label)

    def commits(self, prompt_id: int, *, size: int, before: int | None = None) -> list[Commit]:
        """Give the versions of a prompt; see `Store.commits`."""
        if _is_own(prompt_id):
            return super().commits(prompt_id, size=size, before=before)
        return self._teacher.commits(self._teachers(prompt_id).id, size=size, before=before)

    def draft(self, prompt_id: int) -> Draft | None:
        """Give the draft of a prompt of one's own, if it has one."""
        return super().draft(prompt_id) if _is_own(prompt_id) else None

    def save_draft(self, prompt_id: int, detail: Mapping[str, Any], base_version: str = "") -> Draft:
        """Write the draft of a prompt of one's own."""
        self._check_own(prompt_id)
        return super().save_draft(prompt_id, detail, base_version)

    def commit_draft(self, prompt_id: int, version: str, description: str = "") -> None:
        """Make a version of a prompt of one's own."""
        self._check_own(prompt_id)
        super().commit_draft(prompt_id, version, description)

    def labels(self, prompt_id: int) -> dict[str, str]:
        """Give the version that each of a prompt's labels marks."""
        return super().labels(prompt_id) if _is_own(prompt_id) else self._teacher.labels(self._teachers(prompt_id).id)

    def set_label(self, prompt_id: int, label: str, version: str) -> dict[str, str]:
        """Have a label mark a version of a prompt of one's own."""
        self._check_own(prompt_id)
        return super().set_label(prompt_id, label, version)

    def _teachers(self, prompt_id: int) -> PromptRow:
        """Give a prompt of the teacher's; one without a version is not there."""
        row = self._teacher.prompt(prompt_id)
        if row.latest_version is None:
            raise remote_error(f"There is no prompt with the id {prompt_id}.", code=NOT_FOUND)
        return row

    def _teachers_by_key(self, key: str) -> PromptRow | None:
        try:
            row = self._teacher.prompt_by_key(key)
        except RemoteError as error:
            if error.code != NOT_FOUND:
                raise
            return None
        return row if row.latest_version is not None else None

    def _check_own(self, prompt_id: int) -> None:
        if not _is_own(prompt_id):
            row = self._teachers(prompt_id)
            raise remote_error(
                f"Prompt {row.prompt_key} is the teacher's: you can run and read it; make one of your own under "
                "another key.",
                code=NO_PERMISSION,
            )


def _is_own(prompt_id: int) -> bool:
    return prompt_id > FIRST_ID
