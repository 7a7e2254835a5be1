"""Each run's own spans, as the platform writes them: what was asked, what the model got of it, what it said.

::

    PromptExecutor              the call, and its answer
    ├── PromptHub               the version that was found
    └── Sequence                template, values and messages, and the answer
        ├── PromptTemplate      template in, messages out
        └── the model's name    messages in, answer out, with tools, settings and tokens
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cozeloop_magic.entities.prompt import ExecuteResult, Message
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import RemoteError
from cozeloop_magic.local.calls import Call, dumps
from cozeloop_magic.local.models import INTERNAL, Parameters
from cozeloop_magic.local.spans import LONGEST_TEXT, ROOT, Span, Tag
from cozeloop_magic.local.versions import Version

__all__ = ["RunTrace"]

SERVICE = "embedded"
CALL_TYPE = "PTaaS"
LEFT = -1
"""The status of a run whose caller left before its end."""


@dataclass
class RunTrace:
    """Notes what happens in one run, and writes its spans at the end.

    Parameters
    ----------
    call : Call
        What was asked.
    log_id : str
        By which the spans are found.
    stream : bool
        Whether the answer goes out piece by piece.
    """

    call: Call
    log_id: str
    stream: bool
    version: Version | None = None
    messages: Sequence[Message] | None = None
    parameters: Parameters | None = None
    model: str = ""
    _began: int = field(default_factory=lambda: _now())
    _found_at: int = 0
    _rendered_at: int = 0
    _texts: Mapping[str, str] | None = None

    def found(self, version: Version) -> None:
        """Note which version runs."""
        self.version, self._found_at = version, _now()

    def rendered(self, messages: Sequence[Message], parameters: Parameters, model: str) -> None:
        """Note what which model will be asked; this writes it down, so it may take its time."""
        self.messages, self.parameters, self.model, self._rendered_at = messages, parameters, model, _now()
        self._texts = self._written()

    async def recorded(self, pieces: AsyncGenerator[ExecuteResult, None]) -> AsyncGenerator[ExecuteResult, None]:
        """Pass an answer's pieces on; write the spans when it is over, however it ends."""
        answer = ResultBuilder()
        error: BaseException | None = None
        try:
            async for piece in pieces:
                answer.add(piece)
                yield piece
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.end(answer.result(), error)
            await pieces.aclose()

    def end(self, answer: ExecuteResult | None, error: BaseException | None = None) -> None:
        """Write the spans."""
        self.call.loop.spans.add(self._spans(answer, error))

    def _spans(self, answer: ExecuteResult | None, error: BaseException | None) -> list[Span]:
        texts, first, found = self._texts or self._written(), self._began, self._found_at
        steps, root, sequence = _Steps(self.log_id, self._named(), error), _new_id(), _new_id()
        said, usage = _text(_output(answer)), _usage(answer)
        spans = [
            steps.span("PromptExecutor", "prompt_executor", root, ROOT, (first, 0), (texts["call"], said), usage),
            steps.span("PromptHub", "prompt", _new_id(), root, (first, found), (texts["query"], texts["version"])),
        ]
        if found:
            rendering, times = (texts["templates"], texts["prompts"]), (found, self._rendered_at)
            spans += [
                steps.span("Sequence", "sequence", sequence, root, (found, 0), (texts["sequence"], said)),
                steps.span("PromptTemplate", "prompt", _new_id(), sequence, times, rendering),
            ]
        if self.parameters is not None:
            tags = {**usage, "model_name": self.model, "call_options": _text(self.parameters.config.to_json())}
            times, texts_of_model = (self._rendered_at, 0), (texts["model"], said)
            spans.append(steps.span(self.model, "model", _new_id(), sequence, times, texts_of_model, tags))
        return spans

    def _written(self) -> dict[str, str]:
        """Write what the steps get and give, but for the answer."""
        body, version = self.call.body, self.version
        variables, appended, query = body.get("variable_vals"), body.get("messages"), self._query()
        values = {"prompt_variables": variables, "messages": appended}
        template = (version.detail.get("prompt_template") or {}).get("messages") if version else None
        asked = _model_input(self.messages, self.parameters) if self.messages and self.parameters else None
        return {
            "call": _text({**query, **values}),
            "query": _text(query),
            "version": _text(version and version.as_prompt(self.call.loop.workspace_id).to_json()),
            "sequence": _text({"prompt_template": template, **values}),
            "templates": _text({"templates": template, "arguments": variables, "messages": appended}),
            "prompts": _text(self.messages and {"prompts": _all(self.messages)}),
            "model": _text(asked),
        }

    def _named(self) -> dict[str, Tag]:
        found = self.version
        named = {"prompt_key": found.prompt_key, "prompt_version": found.number} if found else {}
        return {"stream": self.stream, **named}

    def _query(self) -> dict[str, Any]:
        identifier = self.call.body.get("prompt_identifier")
        given = identifier if isinstance(identifier, dict) else {}
        label = given.get("label") or self.call.body.get("release_label")
        return {
            "prompt_key": given.get("prompt_key"),
            "prompt_version": given.get("version"),
            "prompt_label": label,
        }


class _Steps:
    """Makes the spans of one run's steps. A step without an end goes on until now, and is what failed."""

    def __init__(self, log_id: str, tags: Mapping[str, Tag], error: BaseException | None) -> None:
        self._trace_id, self._log_id, self._tags, self._now = secrets.token_hex(16), log_id, tags, _now()
        self._failed = _failure(error)

    def span(
        self,
        name: str,
        kind: str,
        span_id: str,
        parent_id: str,
        times: tuple[int, int],
        texts: tuple[str, str],
        tags: Mapping[str, Tag] | None = None,
    ) -> Span:
        began, ended = times
        status, why = (0, {}) if ended else self._failed
        return Span(
            self._trace_id,
            span_id,
            parent_id,
            self._log_id,
            name,
            kind,
            SERVICE,
            CALL_TYPE,
            started_at=began,
            duration=(ended or self._now) - began,
            status_code=status,
            input=texts[0],
            output=texts[1],
            tags={**self._tags, **(tags or {}), **why},
        )


def _now() -> int:
    return time.time_ns() // 1000


def _new_id() -> str:
    return secrets.token_hex(8)


def _text(value: Any) -> str:
    return dumps(value).decode()[:LONGEST_TEXT] if value else ""


def _all(values: Sequence[Any]) -> list[Any]:
    return [value.to_json() for value in values]


def _model_input(messages: Sequence[Message], parameters: Parameters) -> dict[str, Any]:
    asked: dict[str, Any] = {"messages": _all(messages)}
    return asked | (
        {"tools": _all(parameters.tools), "tool_choice": parameters.tool_choice} if parameters.tools else {}
    )


def _output(answer: ExecuteResult | None) -> dict[str, Any] | None:
    if answer is None or answer.message is None:
        return None
    choice = {"index": 0, "finish_reason": answer.finish_reason or "", "message": answer.message.to_json()}
    return {"choices": [choice]}


def _usage(answer: ExecuteResult | None) -> dict[str, Tag]:
    usage = answer and answer.usage
    if not usage:
        return {}
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    told = {name: count for name, count in counts.items() if count is not None}
    return {**told, "tokens": sum(told.values())} if len(told) == len(counts) else {**told}


def _failure(error: BaseException | None) -> tuple[int, Mapping[str, Tag]]:
    if error is None:
        return 0, {}
    if isinstance(error, RemoteError):
        return error.code or INTERNAL, {"error": error.message}
    if isinstance(error, (GeneratorExit, asyncio.CancelledError)):
        return LEFT, {"error": "The caller left before the end."}
    return INTERNAL, {"error": type(error).__name__}
