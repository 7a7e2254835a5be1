"""What became of a definition, or would become of one."""

from __future__ import annotations

from collections.abc import Iterator

from cozeloop_magic.authoring.define import Defined
from cozeloop_magic.authoring.plan import Plan
from cozeloop_magic.view.changes import Changes

__all__ = ["defined_changes", "planned_changes"]


def defined_changes(defined: Defined) -> Changes:
    """Show what was committed or saved: its outcome in a line, and what changed."""
    key, planned = defined.prompt_key, defined.plan
    if not defined.version and not defined.draft:
        outcome = f"{key} @ {planned.base_version}: nothing changed, and nothing was saved"
    else:
        saved = f"@ {defined.version} is committed" if defined.version else "is saved as a draft"
        outcome = f"{key} {saved}" + (f", against {planned.base_version}" if planned.base_version else "")
    return planned_changes(planned, outcome)


def planned_changes(planned: Plan, outcome: str) -> Changes:
    """Show what a definition changes; of a new prompt all is new, which its variables tell shorter."""
    changes = planned.changes if planned.base_version else ()
    return Changes(changes, outcome, [*_sentences((*planned.slips, *planned.notes)), _variables(planned)])


def _sentences(told: tuple[str, ...]) -> Iterator[str]:
    for each in told:
        yield f"{each[:1].upper()}{each[1:]}."


def _variables(planned: Plan) -> str:
    named = ", ".join(f"{each['key']} ({each['type']})" for each in planned.variables)
    return f"Variables: {named}." if named else "No variables."
