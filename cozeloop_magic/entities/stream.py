"""Putting an answer together from the pieces of a stream.

Message content, reasoning content and tool-call arguments are deltas, to be joined; every other field is as last
seen (the Loop server's ``execute_streaming``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cozeloop_magic.entities.prompt import ExecuteResult, FunctionCall, Message, Role, TokenUsage, ToolCall
from cozeloop_magic.entities.surrogates import SURROGATE, SurrogateJoiner
from cozeloop_magic.entities.tool_calls import ToolCallPlaces

__all__ = ["NOTES", "WAITING", "PieceReader", "ResultBuilder", "join_results"]

NOTES = "x_loop_notes"
"""The field of an event with the embedded Loop's remarks that were not known when the headers were sent."""

WAITING = "waiting:"
"""How a comment line of a stream begins that tells where in the line a call is."""

_ROLES: dict[str, Role] = {role.value: role for role in Role}


class PieceReader:
    """Reads the events of one answer as pieces, each with what is known of the call.

    Half a character is held back until its other half is there. `read_notes` reads the field `NOTES` of an event,
    where a server is trusted to remark on its answer.
    """

    def __init__(
        self,
        *,
        log_id: str | None = None,
        model: str | None = None,
        retries: int = 0,
        notes: tuple[str, ...] = (),
        read_notes: Callable[[Any], tuple[str, ...]] | None = None,
    ) -> None:
        self._read_notes = read_notes
        self._known: dict[str, Any] = {"log_id": log_id, "model": model, "retries": retries, "notes": notes}
        self._halves = SurrogateJoiner()
        self._places = ToolCallPlaces()

    def read(self, body: Mapping[str, Any]) -> ExecuteResult | None:
        """Read an event's JSON; None where it holds no piece of an answer."""
        usual = None if self._halves.held else _usual(body)
        if usual is not None:  # read field by field, a long answer's text would take twice as long
            return ExecuteResult.made({"message": usual, "finish_reason": "", "extra": {}, **self._known})
        piece = ExecuteResult.from_json(body)
        if not (piece.message or piece.finish_reason or piece.usage):
            return None
        if self._read_notes and NOTES in piece.extra:
            self._known["notes"] = _united(self._known["notes"], self._read_notes(piece.extra[NOTES]))
            piece = replace(piece, extra={name: value for name, value in piece.extra.items() if name != NOTES})
        return self.joined(replace(piece, **self._known))

    def joined(self, piece: ExecuteResult, *, last: bool = False) -> ExecuteResult:
        """Give a piece with whole characters, and each of its tool calls with the index of the call it is of.

        Nothing is held back of the `last` one, which one with a finish reason always is.
        """
        if not (piece.message or self._halves.held):
            return piece
        message, last = piece.message or Message(""), last or bool(piece.finish_reason)
        content = self._halves.join("content", message.content, last)
        reasoning = self._halves.join("reasoning", message.reasoning_content, last)
        calls = message.tool_calls and tuple(
            self._whole_call(place, call, last) for place, call in self._places.of(message.tool_calls)
        )
        if last and self._halves.held:
            calls = (*(calls or ()), *self._left_over())
        if (content, reasoning, calls) == (message.content, message.reasoning_content, message.tool_calls):
            return piece
        message = replace(message, content=content, reasoning_content=reasoning, tool_calls=calls)
        return replace(piece, message=message)

    def _whole_call(self, place: int, call: ToolCall, last: bool) -> ToolCall:
        function = call.function_call
        if function is None:
            return call
        arguments = self._halves.join(place, function.arguments, last)
        return replace(call, function_call=replace(function, arguments=arguments))

    def _left_over(self) -> Iterator[ToolCall]:
        """Give the halves of tool calls that the last piece does not name."""
        for place in [key for key in self._halves.held if isinstance(key, int)]:
            yield ToolCall(index=place, function_call=FunctionCall("", self._halves.join(place, "", last=True)))


class _Text:
    """Text that grows by small pieces and takes little more memory than it has characters."""

    _MANY = 1000  # pieces, each of which takes fifty bytes more than its characters

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        if len(self._pieces) == self._MANY:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def __str__(self) -> str:
        return "".join(self._blocks + self._pieces)


class ResultBuilder:
    """Joins pieces of an answer. `add` costs the same however long the answer has become."""

    def __init__(self) -> None:
        self._last: Message | None = None
        self._content = _Text()
        self._reasoning = _Text()
        self._tool_calls: dict[int, ToolCall] = {}
        self._places = ToolCallPlaces()
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._latest = ExecuteResult()
        self._notes: tuple[str, ...] = ()
        self._extra: dict[str, object] = {}

    def add(self, piece: ExecuteResult) -> None:
        """Join one more piece."""
        self._latest = piece
        if piece.notes and piece.notes != self._notes:
            self._notes = _united(self._notes, piece.notes)
        if piece.message is not None:
            self._add_message(piece.message)
        if piece.finish_reason:
            self._finish_reason = piece.finish_reason
        if piece.usage:
            self._usage = _joined_usage(self._usage, piece.usage)
        if piece.extra:
            self._extra.update(piece.extra)

    def _add_message(self, message: Message) -> None:
        if message.content:
            self._content.add(message.content)
        if message.reasoning_content:
            self._reasoning.add(message.reasoning_content)
        if message.tool_calls:
            for place, call in self._places.of(message.tool_calls):
                self._tool_calls[place] = _join_calls(self._tool_calls.get(place), call)
        before = self._last
        if before is not None and _is_text(message) and message.role in ("", before.role):
            return
        if before is not None:
            message = replace(
                message,
                role=message.role or before.role,
                parts=[*(before.parts or ()), *(message.parts or ())] or None,
                tool_call_id=message.tool_call_id or before.tool_call_id,
                metadata=message.metadata or before.metadata,
                extra={**before.extra, **message.extra},
            )
        self._last = message

    def result(self) -> ExecuteResult:
        """Give the answer as far as it has come."""
        message = self._last and replace(
            self._last,
            content=str(self._content),
            reasoning_content=str(self._reasoning) or None,
            tool_calls=tuple(self._tool_calls[key] for key in sorted(self._tool_calls)) or None,
        )
        known = (self._latest.log_id, self._latest.model, self._latest.retries, self._notes)
        return ExecuteResult(message, self._finish_reason, self._usage, *known, extra=dict(self._extra))

    def __bool__(self) -> bool:
        """Tell whether anything came."""
        return self._last is not None or self._finish_reason is not None or self._usage is not None


def _united(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _joined_usage(before: TokenUsage | None, usage: TokenUsage) -> TokenUsage:
    """Give the counts as last told; a server may tell each of them by itself."""
    if before is None or None not in (usage.input_tokens, usage.output_tokens):
        return usage
    sent = before.input_tokens if usage.input_tokens is None else usage.input_tokens
    received = before.output_tokens if usage.output_tokens is None else usage.output_tokens
    return TokenUsage(sent, received, extra={**before.extra, **usage.extra})


def _usual(body: Mapping[str, Any]) -> Message | None:
    """Read the message of an event that holds a role, some text and nothing else."""
    message = body.get("message")
    if len(body) != 2 or body.get("finish_reason") != "" or type(message) is not dict or len(message) != 2:
        return None
    role, content = message.get("role"), message.get("content")
    if type(role) is not str or type(content) is not str or (not content.isascii() and SURROGATE.search(content)):
        return None
    return Message.made({"role": _ROLES.get(role, role), "content": content, "extra": {}})


def _is_text(message: Message) -> bool:
    """Tell whether a delta brings nothing but text and tool calls."""
    return not (
        message.parts or message.tool_call_id or message.skip_render is not None or message.metadata or message.extra
    )


def _join_calls(before: ToolCall | None, call: ToolCall) -> ToolCall:
    if before is None:
        return call
    return replace(
        call,
        index=before.index,
        id=call.id or before.id,
        type=call.type or before.type,
        function_call=_join_functions(before.function_call, call.function_call),
        extra={**before.extra, **call.extra},
    )


def _join_functions(before: FunctionCall | None, call: FunctionCall | None) -> FunctionCall | None:
    if before is None or call is None:
        return call or before
    arguments = (before.arguments or "") + (call.arguments or "")
    return replace(call, name=call.name or before.name, arguments=arguments, extra={**before.extra, **call.extra})


def join_results(pieces: Iterable[ExecuteResult]) -> ExecuteResult:
    """Join pieces of one answer, in order."""
    builder = ResultBuilder()
    for piece in pieces:
        builder.add(piece)
    return builder.result()
