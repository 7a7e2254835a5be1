"""Kept runs as a table of few columns, whose rows hold all that is known of each."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import islice
from typing import Any

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.history import Wanted, moment_of
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore
from cozeloop_magic.view.listing import Listing
from cozeloop_magic.view.request import content

__all__ = ["find_history"]

_SHOWN = ("id", "when", "prompt", "version", "ended", "asked", "said", "tokens", "latency")
_SHORT = 60  # characters of what was asked and of what was said
_HINT = "%loop show-run ID draws one again, %loop rerun ID inserts its cell, and %loop forget ID deletes it."


def find_history(
    store: RunStore,
    number: int,
    *,
    prompt_key: str | None = None,
    text: str | None = None,
    since: str | None = None,
    failed: bool = False,
) -> Listing:
    """Give the last runs of a store that are looked for; see `cozeloop_magic.store.history.Wanted`.

    Raises
    ------
    InvalidRequest
        If the number is none, or `since` is no moment.
    """
    if number < 1:
        raise InvalidRequest(f"There is no history of {number} runs.", hint="Write -n 20.")
    wanted = Wanted(prompt_key, moment_of(since) if since else None, text=text, failed=failed)
    rows = [_row(run) for run in islice(store.history.find(wanted), number)]
    total = len(store.history)
    title = f"{len(rows):,} of {total:,} kept runs" if total else "No runs are kept yet."
    return Listing(rows, _SHOWN, title=title, note=_HINT if rows else "")


def _row(run: RunRecord) -> dict[str, Any]:
    state = run.state()
    usage, error = state.result.usage, state.error
    variables = {each["key"]: _plain(each) for each in run.request.get("variable_vals") or ()}
    asked = [str(value) for value in variables.values()] + [content(each) for each in state.request.messages]
    return {
        "id": run.id,
        "when": datetime.fromtimestamp(run.created_at).astimezone(),
        "prompt": run.prompt_key,
        "version": run.version,
        "ended": _ended(run),
        "asked": _short(" · ".join(asked)),
        "said": _short(state.text or (error.message if error else "")),
        "tokens": str(usage) if usage else None,
        "latency": run.latency,
        "label": run.label,
        "variables": variables,
        "messages": [content(each) for each in state.request.messages],
        "answer": state.text if run.phase is Phase.DONE else None,
        "finish_reason": state.result.finish_reason,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "ttft": run.ttft,
        "error": str(error) if error else None,
        "log_id": state.result.log_id or (error.log_id if error else None),
        "origin": run.origin,
        "cell": run.cell,
    }


def _ended(run: RunRecord) -> str:
    return f"failed: {run.error['kind']}" if run.phase is Phase.FAILED and run.error else run.phase.value


def _plain(variable: dict[str, Any]) -> str:
    return variable.get("value") or json.dumps(
        next((value for name, value in variable.items() if name != "key"), ""), ensure_ascii=False
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
