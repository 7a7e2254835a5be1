"""A finished run as the store has it, and the way there and back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from cozeloop_magic import errors
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import (
    ContentPart,
    ExecuteRequest,
    ExecuteResult,
    Message,
    Tool,
    ToolCallConfig,
)
from cozeloop_magic.errors import LoopError
from cozeloop_magic.printable import replace_surrogates
from cozeloop_magic.run.state import Arrived, Event, Failed, Finished, Interrupted, Phase, Prepared, RunState

__all__ = ["COLUMNS", "RunRecord"]

_JSON = ("request", "result", "error", "notes")
_LITTLE = ("log_id", "model", "retries", "notes")  # of a result: what no field of the wire has


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run.

    Attributes
    ----------
    key : str
        What it may stand in for; see `cozeloop_magic.store.key`.
    prompt_key : str
        The prompt.
    version, label : str or None
        The version that ran, and the label it was asked for by.
    origin : str
        Who answered.
    request, result : Mapping
        What was asked, but for the workspace, and what came, as JSON.
    phase : Phase
        How it ended.
    ttft, latency : float or None
        Seconds to the first text, and to the end.
    error : Mapping or None
        Why it failed, as JSON.
    started, created_at : float
        When the call began and when it was kept, in seconds since 1970.
    pieces : int
        How many pieces the answer came in.
    spoke_until : float or None
        Seconds to the last of them.
    notes : tuple of str
        Quiet remarks of the run.
    cell : str or None
        The cell that asked, as it was written; None where a comparison or a table did.
    job : int or None
        The job it belongs to.
    id : int or None
        Its number in the store.
    """

    key: str
    prompt_key: str
    version: str | None
    label: str | None
    origin: str
    request: Mapping[str, Any]
    result: Mapping[str, Any]
    phase: Phase
    ttft: float | None
    latency: float | None
    error: Mapping[str, Any] | None
    started: float
    created_at: float
    pieces: int = 1
    spoke_until: float | None = None
    notes: tuple[str, ...] = ()
    cell: str | None = None
    job: int | None = None
    id: int | None = None

    @classmethod
    def of(
        cls,
        key: str,
        state: RunState,
        *,
        job: int | None = None,
        label: str | None = None,
        cell: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """Make the record of a run that has just ended; `body` is its request as JSON, where somebody has it."""
        now = time.time()
        return cls(
            key=key,
            prompt_key=state.request.prompt_key,
            version=state.version or state.request.version,
            label=label or state.request.label,
            origin=state.origin,
            request=execute_body(state.request) if body is None else body,
            result=_result_to_json(state.result),
            phase=state.phase,
            ttft=state.ttft,
            latency=state.latency,
            error=_error_to_json(state.error) if state.error else None,
            started=now - (state.latency or 0.0),
            created_at=now,
            pieces=state.pieces,
            spoke_until=state.at,
            notes=state.notes,
            cell=cell,
            job=job,
        )

    def events(self, *, as_kept: bool = True) -> tuple[Event, ...]:
        """Give what a call would have told.

        Parameters
        ----------
        as_kept : bool
            Whether a note says that it is a kept one; else nobody can tell it from a call.
        """
        notes = (f"kept answer of {self._day()}", *self.notes) if as_kept else self.notes
        told: list[Event] = [Prepared(self.origin, self.version, notes)]
        result = result_from_json(self.result)
        if result.message or result.finish_reason or result.usage:
            at = self.ttft if self.ttft is not None else self.latency or 0.0
            told.append(Arrived(at, result, self.pieces, self._until()))
        return (*told, self._end())

    def state(self, request: ExecuteRequest | None = None) -> RunState:
        """Give the run as it was, which is what its events fold to; `request` is what it asked, if somebody knows."""
        result = result_from_json(self.result)
        came = bool(result.message or result.finish_reason or result.usage)
        return RunState(
            request_from_json(self.request) if request is None else request,
            self.phase,
            self.origin,
            self.version,
            "",
            result,
            self.ttft,
            self.latency,
            self.pieces if came else 0,
            self._until() if came else 0.0,
            None if self.error is None else _error_from_json(self.error),
            self.notes,
        )

    def to_row(self) -> list[Any]:
        """Give its values as the store has them, in the order of `COLUMNS`."""
        return [write(getattr(self, name)) for name, write in _WRITTEN]

    @classmethod
    def from_row(cls, row: Any) -> RunRecord:
        """Read it as the store has it."""
        values = dict(row)
        values |= {name: values[name] and json.loads(values[name]) for name in _JSON}
        return cls(**values | {"notes": tuple(values["notes"]), "phase": Phase(values["phase"])})

    def _until(self) -> float:
        """Give the seconds to the last piece; older records do not tell it."""
        return (self.latency or 0.0) if self.spoke_until is None else self.spoke_until

    def _day(self) -> str:
        """Write when it was kept, with the year where that is another one."""
        kept = time.localtime(self.created_at)
        year = "" if kept.tm_year == time.localtime().tm_year else f" {kept.tm_year}"
        return f"{kept.tm_mday} {time.strftime('%b', kept)}{year}, {time.strftime('%H:%M', kept)}"

    def _end(self) -> Event:
        at = self.latency or 0.0
        if self.error is not None:
            return Failed(at, _error_from_json(self.error))
        return Interrupted(at) if self.phase is Phase.INTERRUPTED else Finished(at)


def _to_text(value: Mapping[str, Any] | Sequence[str] | None) -> str | None:
    return None if value is None else _TO_JSON(value)


_TO_JSON = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

COLUMNS = tuple(field.name for field in fields(RunRecord) if field.name != "id")
"""What the store has of a run, but for its number."""

_WRITES = dict.fromkeys(_JSON, _to_text) | {"phase": attrgetter("value")}
_WRITTEN = [(name, _WRITES.get(name, replace_surrogates)) for name in COLUMNS]


def request_from_json(body: Mapping[str, Any]) -> ExecuteRequest:
    """Read what was asked; sent again, it is the same to the byte."""
    identifier = body.get("prompt_identifier") or {}
    tool_calls = body.get("custom_tool_call_config")
    return ExecuteRequest(
        identifier.get("prompt_key", ""),
        identifier.get("version"),
        identifier.get("label"),
        {variable["key"]: _value(variable) for variable in body.get("variable_vals") or ()},
        _many(Message, body.get("messages")),
        body.get("custom_model_config"),
        _many(Tool, body.get("custom_tools")) or None,
        ToolCallConfig.from_json(tool_calls) if tool_calls else None,
    )


def _many(kind: Any, items: Iterable[Mapping[str, Any]] | None) -> tuple[Any, ...]:
    return tuple(map(kind.from_json, items or ()))


def _value(variable: Mapping[str, Any]) -> Any:
    if "placeholder_messages" in variable:
        return list(_many(Message, variable["placeholder_messages"]))
    if "multi_part_values" in variable:
        return list(_many(ContentPart, variable["multi_part_values"]))
    return variable.get("value", "")


def _result_to_json(result: ExecuteResult) -> dict[str, Any]:
    little = {name: value for name in _LITTLE if (value := getattr(result, name))}
    return {"answer": result.to_json(), **little}


def result_from_json(kept: Mapping[str, Any]) -> ExecuteResult:
    """Read what came."""
    result = ExecuteResult.from_json(kept["answer"])
    known = {name: kept[name] for name in _LITTLE if name in kept}
    known |= {"notes": tuple(known.get("notes", ()))}
    return ExecuteResult(result.message, result.finish_reason, result.usage, **known, extra=result.extra)


def _error_to_json(error: LoopError) -> dict[str, Any]:
    known = {"log_id": error.log_id, "http_status": error.http_status, "code": error.code}
    kept = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    return kept | {name: value for name, value in known.items() if value is not None}


def _error_from_json(kept: Mapping[str, Any]) -> LoopError:
    kind = getattr(errors, kept["kind"], LoopError) if kept["kind"] in errors.__all__ else LoopError
    details = {name: kept.get(name) for name in ("hint", "log_id", "http_status", "code")}
    error: LoopError = kind(kept["message"], **details)
    return error
