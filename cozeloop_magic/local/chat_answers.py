"""Reading an answer in OpenAI's chat format, as the many servers that speak it write it.

What a model said may stand in places of several kinds: a ``delta`` or a whole ``message``, text or a list of parts,
reasoning under several names or between ``<think>`` tags, a refusal, a tool call of the old kind. Nothing of it is
lost, and nothing comes twice: what a ``message`` says after deltas is what it adds to them.

An answer is complete when a finish reason came. One ``message`` that is a whole JSON document is complete, too, and
its reason `UNKNOWN` where it gives none; a stream without a finish reason is not, whatever ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from cozeloop_magic.entities.prompt import ExecuteResult, FunctionCall, Message, Role, TokenUsage, ToolCall, ToolType
from cozeloop_magic.entities.stream import PieceReader, ResultBuilder
from cozeloop_magic.entities.wire import as_count
from cozeloop_magic.local.refusals import EndpointError, error_text
from cozeloop_magic.local.think_tags import ThinkTags

__all__ = ["UNKNOWN", "AnswerReader", "error_in"]

UNKNOWN = "unknown"
"""The finish reason of a whole answer that gives none."""

_BROKE_OFF = ("error", "abort", "network_error", "insufficient_system_resource")
"""Finish reasons of answers that did not come to their end."""

_REASONING = (
    "reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "thinking", "thinking_blocks",
)  # fmt: skip
_TEXT_PARTS = ("text", "output_text", "refusal", None)
_REASONING_PARTS = ("thinking", "reasoning", "reasoning.text", "reasoning.summary", "summary_text")
_SILENT_PARTS = ("reasoning.encrypted", "redacted_thinking")  # nothing that a person could read


class AnswerReader:
    """Reads the chunks of one answer, or a whole one.

    Parameters
    ----------
    keep_think : bool
        Whether ``<think>…</think>`` at the start of the answer stays in it; else it is reasoning.
    """

    def __init__(self, *, keep_think: bool = False) -> None:
        self._think = ThinkTags(keep_think)
        self._pieces = PieceReader()
        self._said = ResultBuilder()
        self._content: list[str] = []  # as it came, with tags
        self._index: int | None = None
        self._any_delta = self._refused = False
        self._told: set[str] = set()

    def read(self, chunk: Mapping[str, Any]) -> ExecuteResult | None:
        """Return what a chunk says; None where it says nothing new."""
        choice, notes = self._choice(chunk)
        delta, whole = _Said.read(choice.get("delta")), _Said.read(choice.get("message"))
        if not (delta or whole):
            delta = _Said.read(choice.get("text"))
        self._any_delta = self._any_delta or bool(delta)
        self._refused = self._refused or delta.refused or whole.refused
        said = self._joined(delta, whole) if whole else delta
        reason = choice.get("finish_reason")
        reason = reason if isinstance(reason, str) and reason not in _BROKE_OFF else ""
        reason = "refusal" if self._refused and reason == "stop" else reason
        return self._piece(said, reason, _usage(chunk.get("usage")), notes, last=bool(reason))

    def end(self, *, whole: bool = False) -> ExecuteResult | None:
        """Return what was held back, where there was no finish reason: of a stream, or of a `whole` answer."""
        before = self._said.result()
        if before.finish_reason:
            return None
        reason = UNKNOWN if whole and before.message else ""
        notes = ("the endpoint gave no finish reason",) if reason else ()
        return self._piece(_Said(), reason, None, notes, last=True)

    @property
    def is_finished(self) -> bool:
        """Whether a finish reason came."""
        return bool(self._said.result().finish_reason)

    def _choice(self, chunk: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Return the answer that is followed: of several, the first that was seen."""
        given = chunk.get("choices")
        choices = [choice for choice in given if isinstance(choice, dict)] if isinstance(given, list) else []
        indexed = {_index(choice, position): choice for position, choice in reversed(list(enumerate(choices)))}
        if self._index is None and indexed:
            self._index = min(indexed)
        several = any(index != self._index for index in indexed)
        choice = indexed.get(-1 if self._index is None else self._index, {})
        return choice, ("the endpoint gave several answers, of which one is shown",) if several else ()

    def _joined(self, delta: _Said, whole: _Said) -> _Said:
        """Return a delta with what a message says beyond it and all that was said before it."""
        before = self._said.result().message or Message("")
        content = "".join((*self._content, delta.content))
        reasoning = (before.reasoning_content or "") + delta.reasoning
        more = _addition(content, whole.content, after_deltas=self._any_delta)
        more_reasoning = _addition(reasoning, whole.reasoning, after_deltas=self._any_delta)
        notes = delta.notes + whole.notes
        if more is None:
            more = f"\n\n{whole.content}"
            notes += ("the endpoint streamed one text and then gave another; both are shown",)
        return _Said(
            delta.content + more,
            delta.reasoning + (f"\n\n{whole.reasoning}" if more_reasoning is None else more_reasoning),
            delta.calls or _calls_added(before.tool_calls or (), whole.calls),
            notes=notes,
        )

    def _piece(
        self, said: _Said, reason: str, usage: TokenUsage | None, notes: tuple[str, ...], *, last: bool
    ) -> ExecuteResult | None:
        self._content.append(said.content)
        thought, content = self._think.feed(said.content)
        if last:
            held_thought, held = self._think.end()
            thought, content = thought + held_thought, content + held
        reasoning = said.reasoning + thought
        message = Message(Role.ASSISTANT, content, reasoning_content=reasoning or None, tool_calls=said.calls or None)
        new = tuple(note for note in notes + said.notes if note not in self._told)
        self._told.update(new)
        piece = self._pieces.joined(ExecuteResult(message, reason or None, usage, notes=new), last=last)
        message = piece.message or message
        if not (message.content or message.reasoning_content or message.tool_calls):
            piece = replace(piece, message=None)
        if not (piece.message or reason or usage or new):
            return None
        self._said.add(piece)
        return piece


class _Said(NamedTuple):
    """What a delta or a message says."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Any) -> _Said:
        """Read a delta, a message, or the text that some write in place of one."""
        if given is None:
            return cls()
        said = given if isinstance(given, Mapping) else {"content": given}
        parts = _Parts()
        parts.add(said.get("text") if said.get("content") is None else said["content"])
        named = (_reasoning(said.get(name)) for name in _REASONING)
        reasoning = next(filter(None, named), "") or parts.reasoning
        if refusal := said.get("refusal"):
            parts.add(refusal)
        if isinstance(audio := said.get("audio"), Mapping):
            parts.add(audio.get("transcript"))
            parts.others.append("audio")
        parts.others += [name[:-1] for name in ("images", "videos") if said.get(name)]
        notes = tuple(f"a part of the answer cannot be shown: {kind}" for kind in dict.fromkeys(parts.others))
        return cls(parts.text, reasoning, tuple(_calls(said)), bool(refusal), notes)

    def __bool__(self) -> bool:
        return any(self)


class _Parts:
    """Content: text as it is, a part, or a list of parts."""

    def __init__(self) -> None:
        self.text = self.reasoning = ""
        self.others: list[str] = []

    def add(self, content: Any) -> None:
        if isinstance(content, str):
            self.text += content
        elif isinstance(content, list):
            for part in content:
                self.add(part)
        elif isinstance(content, Mapping):
            self._add_part(content)
        elif content is not None:
            self.text += json.dumps(content)

    def _add_part(self, part: Mapping[str, Any]) -> None:
        kind = part.get("type")
        if kind in _REASONING_PARTS:
            inner = _Parts()
            inner.add(part.get("thinking") or part.get("reasoning") or part.get("text") or part.get("summary"))
            self.reasoning += inner.reasoning + inner.text
        elif kind is None and not part.keys() & {"text", "refusal", "content"}:
            self.text += json.dumps(part, ensure_ascii=False)  # an object that was asked for as JSON, unwritten
        elif kind in _TEXT_PARTS or isinstance(part.get("text"), str):
            self.add(part.get("text") or part.get("refusal") or part.get("content"))
        elif kind not in _SILENT_PARTS:
            self.others.append(str(kind)[:40])


def _reasoning(given: Any) -> str:
    parts = _Parts()
    parts.add(given)
    return parts.reasoning + parts.text


def _index(choice: Mapping[str, Any], position: int) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else position


def _addition(said: str, whole: str, *, after_deltas: bool) -> str | None:
    """Return what a whole text adds to what was said; None where it is another text.

    Without deltas, each message may hold all of the answer so far, or the next of it.
    """
    if whole.startswith(said):
        return whole[len(said) :]
    if not after_deltas:
        return whole
    text, before = whole.strip(), said.strip()
    if text in before:
        return ""
    return text[len(before) :] if text.startswith(before) else None


def _calls_added(said: Sequence[ToolCall], whole: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """Return the calls of a message that were not streamed before it, and what it adds to those that were."""
    rest = list(said)
    added: list[ToolCall] = []
    for call in whole:
        before = next((each for each in rest if _is_begun(each, call)), None)
        if before is None:
            added.append(replace(call, index=len(said) + len(added)) if said else call)
            continue
        rest.remove(before)
        arguments, more = _arguments(before), _arguments(call)
        function = FunctionCall("", more[len(arguments) :]) if len(more) > len(arguments) else None
        if function or (call.id and not before.id):
            added.append(ToolCall(before.index, before.id or call.id, ToolType.FUNCTION, function))
    return tuple(added)


def _is_begun(before: ToolCall, call: ToolCall) -> bool:
    if before.id and call.id:
        return before.id == call.id
    names = [each.function_call.name if each.function_call else "" for each in (before, call)]
    return names[0] == names[1] and _arguments(call).startswith(_arguments(before))


def _arguments(call: ToolCall) -> str:
    return (call.function_call and call.function_call.arguments) or ""


def _calls(said: Mapping[str, Any]) -> Iterator[ToolCall]:
    calls = said.get("tool_calls")
    calls = [calls] if isinstance(calls, dict) else calls
    if not calls and isinstance(said.get("function_call"), dict):
        calls = [{"index": 0, "function": said["function_call"]}]
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            index, id_ = call.get("index"), call.get("id")
            # A tool of the kind `custom` has an input in place of arguments; some write the function without a name.
            function = next((each for each in map(call.get, ("function", "custom")) if isinstance(each, dict)), call)
            arguments = function.get("arguments", function.get("input"))
            written = arguments if isinstance(arguments, str) or arguments is None else json.dumps(arguments)
            yield ToolCall(
                index if isinstance(index, int) else None,
                str(id_) if id_ else "",
                ToolType.FUNCTION,
                FunctionCall(str(function.get("name") or ""), written),
            )


_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))


def _count(given: Any) -> int | None:
    if isinstance(given, bool):
        return None
    with suppress(TypeError, ValueError, OverflowError):
        return as_count(given)
    return None


def _usage(usage: Any) -> TokenUsage | None:
    """Return the tokens, where any count is told: what is not told is not 0."""
    if not isinstance(usage, dict):
        return None
    given = (usage.get(name, usage.get(other)) for name, other in _COUNTS)
    counts = [_count(each) for each in given]
    return TokenUsage(*counts) if counts != [None, None] else None


def error_in(chunk: Mapping[str, Any]) -> EndpointError | None:
    """Return the error that a chunk tells in place of an answer, beside it or inside it; None where it tells none."""
    choices = chunk.get("choices")
    if choices is None:
        return EndpointError.of(chunk) if error_text(chunk) else None
    for each in (chunk, *(choices if isinstance(choices, list) else ())):
        if isinstance(each, Mapping) and each.get("error"):
            return EndpointError.of({"error": each["error"]})
        if isinstance(each, Mapping) and (reason := each.get("finish_reason")) in _BROKE_OFF:
            return EndpointError(f"it ended with the finish reason {reason}")
    return None
