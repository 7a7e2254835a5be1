"""Running a prompt: find it, render it, let the model answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from cozeloop_magic.entities.prompt import (
    ExecuteResult,
    LLMConfig,
    Message,
    Prompt,
    Tool,
    ToolCallConfig,
)
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import RemoteError
from cozeloop_magic.local.calls import Call, answer, dumps, failure, invalid, read_call
from cozeloop_magic.local.generation import generate
from cozeloop_magic.local.models import MODEL_ID, Parameters, model_failed
from cozeloop_magic.local.shapes import check_model_config
from cozeloop_magic.local.store import Commit
from cozeloop_magic.template.render import render

__all__ = ["execute", "execute_streaming", "open_prompt"]

T = TypeVar("T")

_LONGEST_NOTES = 1000  # characters: headers are not long


async def execute(request: Request) -> Response:
    """Answer in one piece. A caller who leaves stops the model."""
    call = await read_call(request)
    prepared = await run_in_threadpool(_prepare, call)
    result = await _unless_gone(request, _joined(generate(call.loop.model, prepared.messages, prepared.parameters)))
    return answer({"data": _data(result)}, headers=_headers(call, prepared, result))


async def execute_streaming(request: Request) -> Response:
    """Answer piece by piece. An error before the first piece is answered as JSON, as the platform does."""
    call = await read_call(request)
    prepared = await run_in_threadpool(_prepare, call)
    pieces = generate(call.loop.model, prepared.messages, prepared.parameters)
    first = await _unless_gone(request, anext(pieces))
    headers = _headers(call, prepared, first)
    return StreamingResponse(_events(first, pieces), media_type="text/event-stream", headers=headers)


def open_prompt(workspace_id: str, key: str, commit: Commit) -> Prompt:
    """Give a committed version as ``mget`` shows it: without the model's id."""
    detail = commit.detail
    config = {name: value for name, value in _model_config(commit).items() if name != "model_id"}
    return Prompt.from_json(
        {
            "workspace_id": workspace_id,
            "prompt_key": key,
            "version": commit.version,
            "prompt_template": detail.get("prompt_template"),
            "tools": detail.get("tools"),
            "tool_call_config": detail.get("tool_call_config"),
            "llm_config": config or None,
        }
    )


class _Prepared(NamedTuple):
    """What a model is asked, and what a person should know of it."""

    messages: Sequence[Message]
    parameters: Parameters
    notes: tuple[str, ...]


def _prepare(call: Call) -> _Prepared:
    """Find the version and render it; this reads the store, and a template may take its time."""
    call.check_workspace()
    identifier = call.object("prompt_identifier")
    key = identifier.get("prompt_key")
    if not key or not isinstance(key, str):
        raise invalid("prompt_identifier.prompt_key is missing.")
    row = call.loop.store.prompt_by_key(key)
    version, label = identifier.get("version") or "", identifier.get("label") or ""
    commit = call.loop.store.commit_of(row, version=str(version), label=str(label))
    prompt = open_prompt(call.loop.workspace_id, key, commit)
    rendered = render(prompt, call.many("variable_vals", VariableVal), call.many("messages", Message))
    if not rendered.messages:
        raise invalid(f"Prompt {key} has no messages, and none were appended.")
    notes = (*rendered.remarks, *call.loop.model.notes(rendered.messages))
    return _Prepared(rendered.messages, _parameters(call, prompt, commit), notes)


def _parameters(call: Call, prompt: Prompt, commit: Commit) -> Parameters:
    config = prompt.llm_config or LLMConfig()
    custom = call.object("custom_model_config")
    if custom.get("model_id"):  # without it the platform ignores the rest
        known = {MODEL_ID, str(_model_config(commit).get("model_id", MODEL_ID))}
        if str(custom["model_id"]) not in known:
            raise invalid(f"There is no model {custom['model_id']} here; {call.loop.model.name} is model {MODEL_ID}.")
        check_model_config(custom, "custom_model_config")
        config = LLMConfig.from_json(custom)
    tools = call.many("custom_tools", Tool) or prompt.tools or ()
    chosen = call.object("custom_tool_call_config")
    tool_config = ToolCallConfig.from_json(chosen) if chosen else prompt.tool_call_config
    return Parameters(config, tools, str(tool_config.tool_choice) if tool_config else None)


def _model_config(commit: Commit) -> Mapping[str, Any]:
    return commit.detail.get("model_config") or {}


async def _joined(pieces: AsyncIterator[ExecuteResult]) -> ExecuteResult:
    builder = ResultBuilder()
    async for piece in pieces:
        builder.add(piece)
    return builder.result()


async def _events(first: ExecuteResult, rest: AsyncGenerator[ExecuteResult, None]) -> AsyncIterator[bytes]:
    try:
        yield _event(b"data", _data(first))
        async for piece in rest:
            yield _event(b"data", _data(piece))
    except RemoteError as error:
        yield _event(b"error", {**failure(error), "biz_extra": {}})
    except Exception:
        logging.getLogger(__name__).exception("an answer broke off")
        yield _event(b"error", {**failure(model_failed("The model failed.")), "biz_extra": {}})
    finally:
        await rest.aclose()


def _event(kind: bytes, data: Mapping[str, Any]) -> bytes:
    return b"event: " + kind + b"\ndata: " + dumps(data) + b"\n\n"


def _data(piece: ExecuteResult) -> dict[str, Any]:
    return {"finish_reason": "", **piece.to_json()}


def _headers(call: Call, prepared: _Prepared, first: ExecuteResult) -> dict[str, str]:
    notes = quote("\n".join((*prepared.notes, *first.notes))[:_LONGEST_NOTES], safe=" ,:;()")
    named = {"X-Loop-Model": call.loop.model.name.encode("ascii", "replace").decode()}
    return named | ({"X-Loop-Notes": notes} if notes else {})


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for the work, or cancel it as soon as the caller leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
