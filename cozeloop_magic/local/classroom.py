"""A class on one Loop: a token for each student, and the teacher's page of who runs what."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cozeloop_magic.local import paths
from cozeloop_magic.local.calls import Loop, answer, read_call
from cozeloop_magic.local.queue import FairQueue, Turn
from cozeloop_magic.local.roster import TEACHER, Member
from cozeloop_magic.local.spans import Spans
from cozeloop_magic.local.student_store import NO_PERMISSION, StudentStore

__all__ = ["CLASS_ROUTES", "open_class"]

MOST_WAITING = 16
"""How many calls of one token may wait; a table of ours makes 16 at a time."""
ENDPOINT_SLOTS = 8
"""How many answers run at a time where the model is behind an endpoint, which does not say how many it takes."""
_POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def open_class(loop: Loop, members: Sequence[Member]) -> list[Loop]:
    """Give what the calls of each work with, the teacher's first: one model and one queue for all."""
    queue = FairQueue(loop.queue.slots or ENDPOINT_SLOTS, most_waiting=MOST_WAITING)
    teacher, *students = members
    directory = paths.data_dir() / "class"
    loops = [replace(loop, queue=queue, token=teacher.token, owner=teacher.name)]
    for student in students:
        store = StudentStore(directory / f"{_file_name(student.name)}.db", loop.store)
        loops.append(replace(loops[0], token=student.token, owner=student.name, spans=Spans(), store=store))
    return loops


def _file_name(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:16]


async def show_page(request: Request) -> Response:
    """Show the teacher's page. It holds no name and no token: it asks for the teacher's, and then for the rest."""
    nonce = secrets.token_urlsafe(16)
    page = files("cozeloop_magic.local").joinpath("class.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY.format(nonce), "Cache-Control": "no-store"}
    return HTMLResponse(page.replace("NONCE", nonce), headers=headers)


async def show_state(request: Request) -> Response:
    """Tell the teacher who runs what, who waits, and what each has had."""
    if refusal := _refusal(request):
        return refusal
    loop: Loop = request.scope["loop"]
    now, names = time.monotonic(), request.app.state.names
    rows = {name: _row(name, loop.queue) for name in names}
    for turn in loop.queue.turns:
        rows[turn.owner]["running" if turn.granted else "waiting"].append(_shown(turn, now))
    return answer({"data": {"model": loop.model.name, "slots": loop.queue.slots, "members": list(rows.values())}})


async def stop_turn(request: Request) -> Response:
    """End an answer, or somebody's place in the line."""
    if refusal := _refusal(request):
        return refusal
    call = await read_call(request)
    number = call.number("turn", default=0, most=2**53)
    stopped = [turn for turn in call.loop.queue.turns if turn.number == number]
    for turn in stopped:
        turn.stop()
    return answer({"data": {"stopped": len(stopped)}})


CLASS_ROUTES = (
    Route("/class", show_page, methods=["GET"]),
    Route("/class/state", show_state, methods=["GET"]),
    Route("/class/stop", stop_turn, methods=["POST"]),
)


def _refusal(request: Request) -> Response | None:
    if request.scope["loop"].owner == TEACHER:
        return None
    return answer({"code": NO_PERMISSION, "msg": "This is for the teacher's token alone."}, http_status=403)


def _row(name: str, queue: FairQueue) -> dict[str, Any]:
    return {"name": name, "answers": queue.answers[name], "tokens": queue.tokens[name], "running": [], "waiting": []}


def _shown(turn: Turn, now: float) -> dict[str, Any]:
    return {
        "turn": turn.number,
        "prompt": turn.subject,
        "seconds": round(now - turn.since, 1),
        "tokens": turn.tokens or turn.pieces,
        "batch": turn.batch,
    }
