"""Putting an answer together from the pieces of a stream.

Message content, reasoning content and tool-call arguments are deltas, to be joined; every other field is as last
seen (the Loop server's ``execute_streaming``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from io import StringIO

from cozeloop_magic.entities.prompt import ExecuteResult, FunctionCall, Message, TokenUsage, ToolCall

__all__ = ["ResultBuilder", "join_results"]


class ResultBuilder:
    """Joins pieces of an answer. `add` costs the same however long the answer has become."""

    def __init__(self) -> None:
        self._last: Message | None = None
        self._content = StringIO()
        self._reasoning = StringIO()
        self._tool_calls: dict[int, ToolCall] = {}
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._log_id: str | None = None
        self._model: str | None = None
        self._extra: dict[str, object] = {}

    def add(self, piece: ExecuteResult) -> None:
        """Join one more piece."""
        if piece.message is not None:
            self._add_message(piece.message)
        self._finish_reason = piece.finish_reason or self._finish_reason
        self._usage = piece.usage or self._usage
        self._log_id = piece.log_id or self._log_id
        self._model = piece.model or self._model
        if piece.extra:
            self._extra.update(piece.extra)

    def _add_message(self, message: Message) -> None:
        self._content.write(message.content or "")
        self._reasoning.write(message.reasoning_content or "")
        for position, call in enumerate(message.tool_calls or ()):
            key = position if call.index is None else call.index
            self._tool_calls[key] = _join_calls(self._tool_calls.get(key), call)
        before, extra = self._last, dict(message.extra)
        if before is not None:
            message = replace(
                message,
                role=message.role or before.role,
                parts=[*(before.parts or ()), *(message.parts or ())] or None,
                tool_call_id=message.tool_call_id or before.tool_call_id,
                metadata=message.metadata or before.metadata,
                extra={**before.extra, **extra} if before.extra else extra,
            )
        self._last = message

    def result(self) -> ExecuteResult:
        """Give the answer as far as it has come."""
        message = self._last and replace(
            self._last,
            content=self._content.getvalue(),
            reasoning_content=self._reasoning.getvalue() or None,
            tool_calls=tuple(self._tool_calls[key] for key in sorted(self._tool_calls)) or None,
        )
        return ExecuteResult(message, self._finish_reason, self._usage, self._log_id, self._model, extra=self._extra)

    def __bool__(self) -> bool:
        """Tell whether anything came."""
        return self._last is not None or self._finish_reason is not None


def _join_calls(before: ToolCall | None, call: ToolCall) -> ToolCall:
    if before is None:
        return call
    return replace(
        call,
        index=before.index,
        id=call.id or before.id,
        type=call.type or before.type,
        function_call=_join_functions(before.function_call, call.function_call),
    )


def _join_functions(before: FunctionCall | None, call: FunctionCall | None) -> FunctionCall | None:
    if before is None or call is None:
        return call or before
    arguments = (before.arguments or "") + (call.arguments or "")
    return replace(call, name=call.name or before.name, arguments=arguments)


def join_results(pieces: Iterable[ExecuteResult]) -> ExecuteResult:
    """Join pieces of one answer, in order."""
    builder = ResultBuilder()
    for piece in pieces:
        builder.add(piece)
    return builder.result()
