"""The embedded Loop's HTTP API, as one list of routes."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cozeloop_magic.errors import RemoteError, StoreError
from cozeloop_magic.local import manage, traces
from cozeloop_magic.local.calls import Loop, answer, endpoint, on_error
from cozeloop_magic.local.classroom import CLASS_ROUTES
from cozeloop_magic.local.execute import execute, execute_streaming
from cozeloop_magic.local.gate import Activity, Gate
from cozeloop_magic.local.otlp import take_otlp
from cozeloop_magic.local.proof import prove
from cozeloop_magic.local.uploads import upload_file

__all__ = ["create_app"]


async def health(request: Request) -> Response:
    """Tell who is here. Asked with a nonce, prove it, so that nobody trusts a stranger on the same port."""
    loop: Loop = request.scope["loop"]
    nonce = request.query_params.get("nonce")
    proof = {"proof": prove(loop.token, nonce)} if nonce else {}
    return answer({"status": "ok", "model": loop.model.name, "pid": os.getpid(), **proof})


class Digits(Convertor[int]):
    """A number of any length; one that is too long for an id is told by the store."""

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        """Read it, or as much of it as tells that it is too long."""
        return int(value[:30])

    def to_string(self, value: int) -> str:
        """Write it."""
        return str(value)


register_url_convertor("digits", Digits())

ROUTES = [
    Route("/health", health, methods=["GET"]),
    Route("/v1/loop/prompts/execute", execute, methods=["POST"]),
    Route("/v1/loop/prompts/execute_streaming", execute_streaming, methods=["POST"]),
    Route("/v1/loop/prompts/mget", endpoint(manage.mget_prompts), methods=["POST"]),
    Route("/v1/loop/prompts/list", endpoint(manage.list_prompts), methods=["POST"]),
    Route("/v1/loop/prompts", endpoint(manage.create_prompt), methods=["POST"]),
    Route("/v1/loop/prompts/{id:digits}", endpoint(manage.get_prompt), methods=["GET"]),
    Route("/v1/loop/prompts/{id:digits}", endpoint(manage.delete_prompt), methods=["DELETE"]),
    Route("/v1/loop/prompts/{id:digits}/drafts/save", endpoint(manage.save_draft), methods=["POST"]),
    Route("/v1/loop/prompts/{id:digits}/drafts/commit", endpoint(manage.commit_draft), methods=["POST"]),
    Route("/v1/loop/prompts/{id:digits}/commits/list", endpoint(manage.list_commits), methods=["POST"]),
    Route("/v1/loop/traces/ingest", endpoint(traces.ingest), methods=["POST"]),
    Route("/v1/loop/opentelemetry/v1/traces", take_otlp, methods=["POST"]),
    Route("/v1/loop/traces/search", endpoint(traces.search_trace), methods=["POST"]),
    Route("/v1/loop/spans/search", endpoint(traces.search_spans), methods=["POST"]),
    Route("/v1/loop/files/upload", upload_file, methods=["POST"]),
    Route("/embedded/prompts/{id:digits}/labels", endpoint(manage.set_label), methods=["POST"]),
]


def create_app(
    loops: Sequence[Loop],
    *,
    hosts: Collection[str] | None = (),
    prefix: str = "",
    activity: Activity | None = None,
) -> ASGIApp:
    """Make the server's application.

    Parameters
    ----------
    loops : sequence of Loop
        What the calls work with, each by its token. With more than one it is a class, and the first is the teacher's.
    hosts : collection of str or None
        ``Host`` headers to accept besides the loopback ones; None accepts all.
    prefix : str
        Under which path a proxy has it, whether the proxy takes that off or not.
    activity : Activity or None
        Is kept up to date with what is going on.
    """
    errors = (RemoteError, StoreError, HTTPException, ClientDisconnect, RecursionError, Exception)
    routes = [*ROUTES, *(CLASS_ROUTES if len(loops) > 1 else ())]
    app = Starlette(routes=routes, exception_handlers={kind: on_error for kind in errors})
    app.state.names = [loop.owner for loop in loops]
    # Outside everything, so that the answer to a failure has a log id too.
    return Gate(app, loops=loops, hosts=hosts, prefix=prefix, activity=activity or Activity())
