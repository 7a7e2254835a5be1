"""Running a prompt: find it, render it, let the model answer."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import replace
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
    ToolChoiceType,
)
from cozeloop_magic.entities.stream import NOTES, WAITING, ResultBuilder
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.calls import Call, answer, dumps, failure, invalid, read_call
from cozeloop_magic.local.generation import generate
from cozeloop_magic.local.models import INTERNAL, MODEL_ID, Model, Parameters
from cozeloop_magic.local.queue import Turn
from cozeloop_magic.local.shapes import check_model_config
from cozeloop_magic.local.store import DRAFT
from cozeloop_magic.local.tracing import RunTrace
from cozeloop_magic.local.versions import Version, find_version
from cozeloop_magic.template.render import render

__all__ = ["execute", "execute_streaming"]

T = TypeVar("T")

_MODEL_BROKE = "The model failed. Run it again; the embedded Loop's log says why it failed."
_DRAFT_RUNS = "a draft runs: works here, not on the platform"
_LONGEST_NOTES = 1000  # characters: headers are not long
_AT_ONCE = 0.2  # seconds in which nobody needs to be told that they wait
_USUAL_URGENCY = 3
_UNBUFFERED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
"""For proxies: nginx and those like it would hold an answer back until a buffer is full."""


async def execute(request: Request) -> Response:
    """Answer in one piece. A caller who leaves stops the model."""
    prepared, _, pieces = await _begin(request, stream=False)
    result = await _unless_gone(request, _joined(pieces))
    return answer({"data": _data(result)}, headers=_headers(prepared, result))


async def execute_streaming(request: Request) -> Response:
    """Answer piece by piece. An error before the first piece is answered as JSON, as the platform does.

    Whoever has to wait in line gets the headers at once, and is told of their place as comments of the stream.
    """
    prepared, turn, pieces = await _begin(request, stream=True)
    if await _unless_gone(request, turn.wait(_AT_ONCE)):
        first: ExecuteResult | None = await _unless_gone(request, anext(pieces))
        places = None
    else:
        first, places = None, request.scope["loop"].queue.places(turn)
    headers = _headers(prepared, first)
    events = _events(places, first, pieces)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers | _UNBUFFERED)


class _Prepared(NamedTuple):
    """What a model is asked, and what a person should know of it."""

    model: Model
    messages: Sequence[Message]
    parameters: Parameters
    notes: tuple[str, ...]


async def _begin(request: Request, *, stream: bool) -> tuple[_Prepared, Turn, AsyncGenerator[ExecuteResult, None]]:
    call = await read_call(request)
    trace = RunTrace(call, request.scope["log_id"], stream)
    prepared = await run_in_threadpool(_prepare, call, trace)
    key = str(call.object("prompt_identifier").get("prompt_key"))
    turn = request.scope["turn"] = call.loop.queue.enter(call.loop.owner, key, batch=_is_batch(request, call))
    return prepared, turn, trace.recorded(_in_turn(turn, prepared))


def _is_batch(request: Request, call: Call) -> bool:
    """Whether nobody looks on: the call says so by a low urgency (RFC 9218), or by what it is for."""
    urgency = re.search(r"(?:^|,)\s*u=([0-7])", request.headers.get("priority", ""))
    return bool(urgency and int(urgency[1]) > _USUAL_URGENCY) or call.body.get("usage_scenario") == "evaluation"


async def _in_turn(turn: Turn, prepared: _Prepared) -> AsyncGenerator[ExecuteResult, None]:
    """Give the answer once it is the call's turn."""
    await turn.wait()
    pieces = generate(prepared.model, prepared.messages, prepared.parameters, turn.begun)
    try:
        async for piece in pieces:
            turn.pieces += piece.message is not None and bool(piece.message.content)
            turn.tokens = (piece.usage and piece.usage.output_tokens) or turn.tokens
            yield piece
    finally:
        await pieces.aclose()


def _prepare(call: Call, trace: RunTrace) -> _Prepared:
    """Find the version and render it; this reads the store, and a template may take its time."""
    call.check_workspace()
    try:
        return _rendered(call, trace)
    except RemoteError as error:
        trace.end(None, error)
        raise


def _rendered(call: Call, trace: RunTrace) -> _Prepared:
    identifier = call.object("prompt_identifier")
    if identifier.get("label") in (None, ""):  # an older name for it
        identifier = {**identifier, "label": call.body.get("release_label")}
    version = find_version(call.loop, identifier, "prompt_identifier")
    trace.found(version)
    prompt = version.as_prompt(call.loop.workspace_id)
    rendered = render(prompt, call.many("variable_vals", VariableVal), call.many("messages", Message))
    if not rendered.messages:
        raise invalid(f"Prompt {version.prompt_key} has no messages, and none were appended.")
    parameters = _parameters(call, prompt)
    model, remarks = _model(call, version)
    trace.rendered(rendered.messages, parameters, model.name)
    remarks = (*((_DRAFT_RUNS,) if version.number == DRAFT else ()), *rendered.remarks, *remarks)
    notes = (*call.loop.store.notes, *remarks, *model.notes(rendered.messages))
    return _Prepared(model, rendered.messages, parameters, notes)


def _model(call: Call, version: Version) -> tuple[Model, tuple[str, ...]]:
    """Give the model that is asked for. A version's own may be none that is here: the platform's have numbers."""
    loop = call.loop
    own, asked = (str(config.get("model_id") or "") for config in (version.model_config, _custom_config(call)))
    model = loop.find_model(asked or own or MODEL_ID)
    if model is not None:
        return model, ()
    if asked not in ("", own):
        names = ", ".join(model.name for model in loop.models)
        raise invalid(f"There is no model {asked[:80]} here. There is: {names}.")
    return loop.model, () if own.isdigit() else (f"the version's own model, {own[:80]}, is not here",)


def _custom_config(call: Call) -> Mapping[str, Any]:
    """Give what replaces the model configuration; without a model's id the platform ignores it."""
    custom = call.object("custom_model_config")
    return custom if custom.get("model_id") else {}


def _parameters(call: Call, prompt: Prompt) -> Parameters:
    config = prompt.llm_config or LLMConfig()
    if custom := _custom_config(call):
        check_model_config(custom, "custom_model_config")
        config = LLMConfig.from_json(custom)
    if call.loop.max_tokens is not None:
        config = replace(config, max_tokens=min(config.max_tokens or call.loop.max_tokens, call.loop.max_tokens))
    # An empty list is no tools; the second name of their configuration is an older one.
    given = call.body.get("custom_tools") is not None
    tools = call.many("custom_tools", Tool) if given else prompt.tools or ()
    chosen = call.one("custom_tool_call_config", ToolCallConfig) or call.one("custom_tool_config", ToolCallConfig)
    return _with_tools(config, tools, chosen or prompt.tool_call_config or ToolCallConfig())


def _with_tools(config: LLMConfig, tools: Sequence[Tool], chosen: ToolCallConfig) -> Parameters:
    """Offer the tools by their choice: ``auto`` unless it is another, and no tools with ``none``."""
    if not tools or chosen.tool_choice == ToolChoiceType.NONE:
        return Parameters(config)
    if chosen.tool_choice == ToolChoiceType.AUTO:
        return Parameters(config, tools, "auto")
    if chosen.tool_choice != ToolChoiceType.SPECIFIC:
        choices = ", ".join(map(str, ToolChoiceType))
        raise invalid(f"tool_choice must be one of: {choices}.")
    specification = chosen.tool_choice_specification
    name = specification.get("name") if isinstance(specification, dict) else None
    names = [tool.function.name for tool in tools if tool.function]
    if name not in names:
        raise invalid(f"tool_choice_specification.name must be one of the tools: {', '.join(names)}.")
    return Parameters(config, tools, {"type": "function", "function": {"name": name}})


async def _joined(pieces: AsyncIterator[ExecuteResult]) -> ExecuteResult:
    builder = ResultBuilder()
    async for piece in pieces:
        builder.add(piece)
    return builder.result()


async def _events(
    places: AsyncIterator[str] | None, first: ExecuteResult | None, rest: AsyncGenerator[ExecuteResult, None]
) -> AsyncIterator[bytes]:
    try:
        if places is not None:
            async for place in places:
                yield f": {WAITING} {place}\n\n".encode()
        if first is not None:
            yield _event(b"data", _data(first))
        async for piece in rest:
            yield _event(b"data", _data(piece) | ({NOTES: piece.notes} if piece.notes else {}))
    except RemoteError as error:
        yield _event(b"error", {**failure(error), "biz_extra": {}})
    except Exception:
        logging.getLogger(__name__).exception("an answer broke off")
        yield _event(b"error", {**failure(remote_error(_MODEL_BROKE, code=INTERNAL)), "biz_extra": {}})
    finally:
        await rest.aclose()


def _event(kind: bytes, data: Mapping[str, Any]) -> bytes:
    return b"event: " + kind + b"\ndata: " + dumps(data) + b"\n\n"


def _data(piece: ExecuteResult) -> dict[str, Any]:
    return {"finish_reason": "", **piece.to_json()}


def _headers(prepared: _Prepared, first: ExecuteResult | None) -> dict[str, str]:
    notes = quote("\n".join((*prepared.notes, *(first.notes if first else ())))[:_LONGEST_NOTES], safe=" ,:;()")
    named = {"X-Loop-Model": prepared.model.name.encode("ascii", "replace").decode()}
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
