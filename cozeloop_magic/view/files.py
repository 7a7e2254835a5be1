"""What was exported and imported, as listings."""

from __future__ import annotations

from collections.abc import Sequence

from cozeloop_magic.authoring.files import Exported, Imported
from cozeloop_magic.view.changes import Changes
from cozeloop_magic.view.defined import planned_changes
from cozeloop_magic.view.listing import Listing, Listings

__all__ = ["exported_files", "failed", "imported_files"]


def exported_files(exported: Sequence[Exported], directory: str, gone: Sequence[str] = ()) -> Listing:
    """List what was written, and name the files whose prompts are `gone`."""
    written = sum(each.written for each in exported)
    note = f"{written} of {len(exported)} written to {directory}; the others were the same."
    if gone:
        note += f" No prompt of this Loop has {', '.join(gone)}; an import would make one of each."
    return Listing(map(vars, exported), ("key", "version", "file", "written"), note=note)


def imported_files(imported: Sequence[Imported], *, dry_run: bool) -> Listings:
    """List what became of each file, and below what changed in each."""
    rows = [
        {
            "key": each.key,
            "file": each.file,
            "state": each.state,
            "version": each.version,
            "words": None if each.plan is None else _words(each.plan.changes),
            "told": "; ".join([*_told(each)]),
        }
        for each in imported
    ]
    note = "Nothing was committed: this is what would change." if dry_run else ""
    listing = Listing(rows, ("key", "state", "version", "words", "told"), note=note)
    changed: list[Listing | Changes] = [
        planned_changes(each.plan, f"{each.key} against {each.plan.base_version}")
        for each in imported
        if each.plan is not None and each.state == "changed"
    ]
    return Listings([listing, *changed])


def failed(imported: Sequence[Imported]) -> list[Imported]:
    """Give those that were not imported."""
    return [each for each in imported if each.state == "failed"]


def _told(each: Imported) -> list[str]:
    planned = each.plan
    told = [str(each.error)] if each.error else []
    return told if planned is None or each.error else [*planned.slips, *planned.notes]


def _words(changes: Sequence[tuple[str, str]]) -> str:
    counted = {
        kind: sum(len(text.split()) for each, text in changes if each == kind) for kind in ("added", "removed")
    }
    return f"+{counted['added']} −{counted['removed']}" if any(counted.values()) else ""
