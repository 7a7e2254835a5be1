"""Labels: names for versions, which may be moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cozeloop_magic.errors import remote_error

if TYPE_CHECKING:
    import sqlite3

    from cozeloop_magic.local.rows import PromptRow

__all__ = ["LABEL_NOT_FOUND", "labelled", "labels_of", "set_label"]

LABEL_NOT_FOUND = 600501007


def labels_of(db: sqlite3.Connection, prompt_id: int) -> dict[str, str]:
    """Give the version that each of a prompt's labels marks."""
    rows = db.execute("SELECT label, version FROM labels WHERE prompt_id = ? ORDER BY label", (prompt_id,))
    return {row["label"]: row["version"] for row in rows}


def set_label(db: sqlite3.Connection, prompt_id: int, label: str, version: str) -> None:
    """Have a label mark a version, whatever it marked before."""
    query = """
        INSERT INTO labels VALUES (?, ?, ?)
        ON CONFLICT (prompt_id, label) DO UPDATE SET version = excluded.version
    """
    db.execute(query, (prompt_id, label, version))


def labelled(db: sqlite3.Connection, prompt: PromptRow, label: str) -> str:
    """Give the version that a label marks; a label that marks none is an error that names those there are."""
    labels = labels_of(db, prompt.id)
    if label not in labels:
        there = ", ".join(f"{name} ({version})" for name, version in labels.items()) or "none"
        message = f"Label {label[:100]!r} marks no version of prompt {prompt.prompt_key}. Labels there are: {there}."
        raise remote_error(message, code=LABEL_NOT_FOUND)
    return labels[label]
