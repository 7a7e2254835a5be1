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

    def found(self, version: Version) -> None:
        """Note which version runs."""
        self.version, self._found_at = version, _now()

    def rendered(self, messages: Sequence[Message], parameters: Parameters, model: str) -> None:
        """Note which model will be asked, and what."""
        self.messages, self.parameters, self.model, self._rendered_at = messages, parameters, model, _now()

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
        body, version, first, found = self.call.body, self.version, self._began, self._found_at
        steps, root, sequence = _Steps(self.log_id, self._named(), error), _new_id(), _new_id()
        values = {"prompt_variables": body.get("variable_vals"), "messages": body.get("messages")}
        said, usage, asked = _output(answer), _usage(answer), self._asked_for()
        spans = [
            steps.span("PromptExecutor", "prompt_executor", root, ROOT, (first, 0), {**asked, **values}, said, usage),
            steps.span("PromptHub", "prompt", _new_id(), root, (first, found), asked, self._shown()),
        ]
        if version is not None:
            template, times = version.detail["prompt_template"].get("messages"), (found, self._rendered_at)
            inside = {"templates": template, "arguments": body.get("variable_vals"), "messages": body.get("messages")}
            prompts = self.messages and {"prompts": _all(self.messages)}
            outside = {"prompt_template": template, **values}
            spans += [
                steps.span("Sequence", "sequence", sequence, root, (found, 0), outside, said),
                steps.span("PromptTemplate", "prompt", _new_id(), sequence, times, inside, prompts),
            ]
        if self.messages is not None and self.parameters is not None:
            tags = {**usage, "model_name": self.model, "call_options": _text(self.parameters.config.to_json())}
            got = _model_input(self.messages, self.parameters)
            spans.append(
                steps.span(self.model, "model", _new_id(), sequence, (self._rendered_at, 0), got, said, tags)
            )
        return spans

    def _named(self) -> dict[str, Tag]:
        found = self.version
        named = {"prompt_key": found.prompt_key, "prompt_version": found.number} if found else {}
        return {"stream": self.stream, **named}

    def _asked_for(self) -> dict[str, Any]:
        identifier = self.call.body.get("prompt_identifier")
        given = identifier if isinstance(identifier, dict) else {}
        label = given.get("label") or self.call.body.get("release_label")
        return {
            "prompt_key": given.get("prompt_key"),
            "prompt_version": given.get("version"),
            "prompt_label": label,
        }

    def _shown(self) -> dict[str, Any] | None:
        return self.version.as_prompt(self.call.loop.workspace_id).to_json() if self.version else None


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
        asked: Any,
        said: Any,
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
            input=_text(asked),
            output=_text(said),
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
    total = usage.input_tokens + usage.output_tokens
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "tokens": total}


def _failure(error: BaseException | None) -> tuple[int, Mapping[str, Tag]]:
    if error is None:
        return 0, {}
    if isinstance(error, RemoteError):
        return error.code or INTERNAL, {"error": error.message}
    if isinstance(error, (GeneratorExit, asyncio.CancelledError)):
        return LEFT, {"error": "The caller left before the end."}
    return INTERNAL, {"error": type(error).__name__}
