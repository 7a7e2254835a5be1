"""Every way a call can fail, made to happen: what `messages.md` has a row for."""

from __future__ import annotations

from tests.client.cases import answers, asking, authoring, reaching
from tests.client.cases.stage import Case, Stage

__all__ = ["CASES", "Case", "Stage"]

CASES: dict[str, dict[str, Case]] = {
    "While a stream comes": answers.IN_A_STREAM,
    "Whole answers": answers.IN_A_WHOLE,
    "The server says no": answers.REFUSALS,
    "No Loop server there": answers.ELSEWHERE,
    "Not reached: network, TLS, proxy": reaching.NOT_REACHED,
    "Time": reaching.TIME,
    "Ended by the caller": reaching.ENDED,
    "OAuth": reaching.OAUTH,
    "A client that cannot be made": asking.SET_UP,
    "What cannot be sent": asking.UNSENT,
    "Definitions and lists": asking.DEFINITIONS,
    "Authors' calls": authoring.AUTHORING,
    "Rendered by the embedded Loop, or for a dry run": asking.RENDERED,
    "In a cell": asking.CELLS,
    "Not installed": asking.MISSING,
}
