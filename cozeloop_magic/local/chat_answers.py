"""Reading an answer in OpenAI's chat format, as the many servers that speak it write it.

What a model said may stand in places of several kinds: a ``delta`` or a whole ``message``, text or a list of parts,
reasoning under two names or between ``<think>`` tags, a refusal, a tool call of the old kind. Nothing of it is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cozeloop_magic.entities.prompt import ExecuteResult, FunctionCall, Message, Role, TokenUsage, ToolCall, ToolType

__all__ = ["AnswerReader", "error_text"]

_OPEN, _CLOSE = "<think>", "</think>"


class AnswerReader:
    """Reads the chunks of one answer, or a whole one.

    Parameters
    ----------
    keep_think : bool
        Whether ``<think>…</think>`` at the start of the answer stays in it; else it is reasoning.
    """

    def __init__(self, *, keep_think: bool = False) -> None:
        self._think = _Think(keep_think)
        self._calls = _CallIndexes()
        self._refused = False

    def read(self, chunk: Mapping[str, Any]) -> ExecuteResult | None:
        """Return what a chunk says; None where it says nothing new."""
        choice = _first_choice(chunk)
        said = choice.get("delta") or choice.get("message") or {}
        message = self._message(said if isinstance(said, dict) else {"content": said}, choice.get("text"))
        reason = choice.get("finish_reason")
        reason = reason if isinstance(reason, str) and reason else None
        if reason:
            message = _joined(message, self._think.end())
            if self._refused and reason == "stop":
                reason = "refusal"
        usage = _usage(chunk.get("usage"))
        return ExecuteResult(message, reason, usage) if message or reason or usage else None

    def end(self) -> ExecuteResult | None:
        """Return what was held back, where a stream ends without a finish reason."""
        message = self._think.end()
        return ExecuteResult(message) if message else None

    def _message(self, said: Mapping[str, Any], text: Any) -> Message | None:
        content, reasoning = _split(said.get("content") if said.get("content") is not None else text)
        for name in ("reasoning_content", "reasoning"):
            reasoning += _split(said.get(name))[0] if isinstance(said.get(name), (str, list)) else ""
        if refusal := said.get("refusal"):
            self._refused = True
            content += str(refusal)
        thought, content = self._think.feed(content)
        calls = tuple(self._calls.read(said))
        if not (content or reasoning or thought or calls):
            return None
        return Message(
            Role.ASSISTANT, content, reasoning_content=reasoning + thought or None, tool_calls=calls or None
        )


def error_text(body: Any) -> str:
    """Return what an error body says to a person; empty where it is none.

    Known are ``{"error": {"message"}}``, ``{"error": "…"}``, ``{"message"}``, ``{"detail": "…" or [{"msg", "loc"}]}``
    and ``{"object": "error"}``.
    """
    if isinstance(body, list):
        return "; ".join(filter(None, map(error_text, body)))
    if isinstance(body, str):
        return body
    if not isinstance(body, dict):
        return ""
    for name in ("error", "message", "msg", "detail", "errors", "error_message", "title", "reason"):
        said = error_text(body.get(name))
        if said:
            where = ".".join(map(str, body["loc"])) if isinstance(body.get("loc"), list) else ""
            return f"{where}: {said}" if where else said
    return json.dumps(body["error"], ensure_ascii=False) if body.get("error") else ""


def _first_choice(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first answer; of several that were asked for, a prompt has one."""
    choices = [choice for choice in chunk.get("choices") or () if isinstance(choice, dict)]
    return next((choice for choice in choices if not choice.get("index")), {})


def _split(content: Any) -> tuple[str, str]:
    """Return the text and the reasoning of a content: text as it is, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    text, reasoning = "", ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            inner = part.get("thinking") or part.get("reasoning") or part.get("text") or part.get("summary")
            reasoning += "".join(_split(inner))
        elif isinstance(part, dict):
            text += _split(part.get("text") or part.get("refusal") or part.get("content"))[0]
    return text, reasoning


def _usage(usage: Any) -> TokenUsage | None:
    """Return the tokens, where both counts are told: what is not told is not 0."""
    if not isinstance(usage, dict):
        return None
    sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return TokenUsage(sent, received) if isinstance(sent, int) and isinstance(received, int) else None


def _joined(first: Message | None, second: Message | None) -> Message | None:
    if first is None or second is None:
        return first or second
    content = (first.content or "") + (second.content or "")
    reasoning = (first.reasoning_content or "") + (second.reasoning_content or "") or None
    return Message(Role.ASSISTANT, content, reasoning_content=reasoning, tool_calls=first.tool_calls)


class _Think:
    """Takes ``<think>…</think>`` at the very start of an answer for reasoning, wherever the chunks are cut."""

    def __init__(self, keep: bool) -> None:
        self._held = ""
        self._state = "text" if keep else "start"

    def feed(self, text: str) -> tuple[str, str]:
        """Return the reasoning and the text that are certain by now."""
        if self._state == "text" or not text:
            return "", text
        self._held += text
        if self._state == "start":
            start = self._held.lstrip()
            if _OPEN.startswith(start[: len(_OPEN)]) and len(start) < len(_OPEN):
                return "", ""  # it may yet become one
            if not start.startswith(_OPEN):
                return "", self._rest()
            self._state, self._held = "think", start[len(_OPEN) :]
        thought, closed, rest = self._held.partition(_CLOSE)
        if closed:
            self._state, self._held = "text", ""
            return thought, rest.lstrip("\n")
        kept = _length_of_beginning(self._held)
        thought, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return thought, ""

    def end(self) -> Message | None:
        """Return what was held back."""
        thinking = self._state == "think"
        held = self._rest()
        if not held:
            return None
        return Message(Role.ASSISTANT, "" if thinking else held, reasoning_content=held if thinking else None)

    def _rest(self) -> str:
        held, self._held, self._state = self._held, "", "text"
        return held


def _length_of_beginning(text: str) -> int:
    """Return how many characters at the end of a text may begin the closing tag."""
    return next((n for n in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:n])), 0)


class _CallIndexes:
    """Numbers tool calls: a new id at an index that another call has begins a new call, as Ollama writes them."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._moved: dict[int, int] = {}

    def read(self, said: Mapping[str, Any]) -> Iterator[ToolCall]:
        calls = said.get("tool_calls")
        if not calls and isinstance(said.get("function_call"), dict):
            calls = [{"index": 0, "function": said["function_call"]}]
        for position, call in enumerate(calls if isinstance(calls, Sequence) else ()):
            if isinstance(call, dict):
                yield self._read(call, position)

    def _read(self, call: Mapping[str, Any], position: int) -> ToolCall:
        given = call.get("index")
        index = given if isinstance(given, int) else position
        index, name = self._moved.get(index, index), call.get("id") or ""
        if name and self._ids.get(index, name) != name:
            place = max(self._ids) + 1
            self._moved[given if isinstance(given, int) else position] = index = place
        if name or index not in self._ids:
            self._ids[index] = name
        function = call.get("function") or {}
        arguments = function.get("arguments")
        written = arguments if isinstance(arguments, str) or arguments is None else json.dumps(arguments)
        return ToolCall(index, name, ToolType.FUNCTION, FunctionCall(function.get("name") or "", written))
