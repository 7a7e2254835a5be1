"""What a set-up's examination found, as a listing."""

from __future__ import annotations

from collections.abc import Iterable

from cozeloop_magic.authoring.doctor import Finding
from cozeloop_magic.view.listing import Listing

__all__ = ["findings"]

_WIDEST = 70  # characters


def findings(found: Iterable[Finding]) -> Listing:
    """List what was found; a row's ``ok`` is whether it is as it should be."""
    rows = [
        {"": each.sign, "check": each.check, "seen": each.seen, "what mends it": each.mend, "ok": each.ok}
        for each in found
    ]
    wrong = sum(row["ok"] is False for row in rows)
    note = "Nothing is wrong." if not wrong else f"{wrong} to mend, the first one first."
    shown = ("", "check", "seen", *(["what mends it"] if any(row["what mends it"] for row in rows) else []))
    return Listing(rows, shown, note=note, widest=_WIDEST)
