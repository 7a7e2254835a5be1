"""What an endpoint says in place of an answer, and which parameter it refused, where it refused one."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

__all__ = ["EndpointError", "error_text", "named_parameter", "refused_parameter"]

_MAY_BE_LEFT_OUT = (
    "stream_options", "stream", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty",
    "max_tokens", "response_format", "tool_choice",
)  # fmt: skip
# A prompt's tools are not among them: an answer of a model that was shown none would pass for one that needed none.
_STATUSES = (200, 400, 404, 422, 500, 501)
_REFUSES = re.compile(
    r"unsupported|not support|unrecognized|unrecognised|unknown|not permitted|not allowed|extra inputs|invalid|"
    r"unexpected (keyword|argument|parameter|field|property)|only the default|does not accept|cannot be|"
    r"use '?max_completion_tokens|deprecated|must be verified|不支持|无效|未知|不允许|非法",
    re.IGNORECASE,
)
_REFUSES_ONLY_THE_VALUE = re.compile(
    r"between|at most|at least|too (large|small|high|low|long|big|many)|maximum|minimum|exceed|must be (?!verified)|"
    r"should be|less than|greater than|larger than|smaller than|out of range|in the range|within|[<>]=?\s*-?\d|[≤≥]|"
    r"范围|之间|大于|小于|超过|过大|过小|最大|最小|必须",
    re.IGNORECASE,
)
_STREAM = re.compile(r"['\"`]stream['\"`]|(parameter|argument|field|property):? stream\b|verified to stream")


class EndpointError(Exception):
    """What an endpoint said in place of an answer, or in the middle of one.

    Parameters
    ----------
    said : str
        Its words.
    status : int
        The HTTP status.
    parameter : str
        Which part of the request it names as wrong; empty where it names none.

    Attributes
    ----------
    in_stream : bool
        False where its words are all of an answer that a stream was asked for: another call may have taken it.
    """

    in_stream = True

    def __init__(self, said: str, *, status: int = 200, parameter: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.status = status
        self.parameter = parameter

    @classmethod
    def of(cls, body: Any, said: str = "", *, status: int = 200) -> EndpointError:
        """Make one of an error's body."""
        inner = body.get("error") if isinstance(body, dict) else None
        for each in (inner, body):
            if isinstance(each, dict) and isinstance(named := each.get("param"), str):
                return cls(said or error_text(body), status=status, parameter=re.split(r"[.\[]", named)[0])
        return cls(said or error_text(body), status=status)


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


def named_parameter(error: EndpointError, sent: Collection[str]) -> str:
    """Return which of the parameters sent an error is about: the one it names apart, or its text names first."""
    if error.parameter in sent:
        return error.parameter
    found = {name: place for name in _MAY_BE_LEFT_OUT if name in sent and (place := _place(name, error.said)) >= 0}
    return min(found, key=found.__getitem__, default="")


def refused_parameter(error: EndpointError, sent: Collection[str]) -> dict[str, str]:
    """Return the parameter that an endpoint does not know at all, by what takes its place: another name, or nothing.

    One whose value alone is wrong is not among them: without it, the answer would not be what was asked for.
    """
    if error.status not in _STATUSES or not _REFUSES.search(error.said) or _REFUSES_ONLY_THE_VALUE.search(error.said):
        return {}
    name = named_parameter(error, sent)
    if name not in _MAY_BE_LEFT_OUT:
        return {}
    renamed = name == "max_tokens" and "max_completion_tokens" in error.said
    return {name: "max_completion_tokens" if renamed else ""}


def _place(name: str, said: str) -> int:
    """Return where a text names a parameter, or -1: "stream" alone is a word like others."""
    found = _STREAM.search(said) if name == "stream" else re.search(rf"(?<!\w){name}(?!\w)", said)
    return found.start() if found else -1
