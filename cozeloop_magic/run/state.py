"""What is known of a run: one frozen value, and the pure function that takes it from event to event.

Everything that shows or keeps a run reads a `RunState`: the live widget, the static output, a terminal, a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Prompt
from cozeloop_magic.entities.stream import join_results
from cozeloop_magic.errors import LoopError

__all__ = [
    "ASKS_FOR_TOOLS",
    "ENDS",
    "SAID_ALL",
    "Arrived",
    "Event",
    "Failed",
    "Finished",
    "Interrupted",
    "Phase",
    "Prepared",
    "Preparing",
    "Ran",
    "RunState",
    "fold",
    "join_arrived",
    "speaks",
]


SAID_ALL = ("stop", "stop_sequence", "end_turn", "eos")
"""Finish reasons of a model that has said all it wanted to."""

ASKS_FOR_TOOLS = ("tool_calls", "function_call", "tool_use")
"""Finish reasons of a model that waits for what tools say."""


class Phase(Enum):
    """How far a run has come."""

    WAITING = "waiting"
    STREAMING = "streaming"
    DONE = "done"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as far as it has come.

    Attributes
    ----------
    request : ExecuteRequest
        What was asked.
    phase : Phase
        How far it has come; the last three are ends.
    origin : str
        Who answers: a host name, or ``embedded``.
    version : str or None
        The version that runs, where it is known.
    preparing : str
        What is done before the call can be made, for the person who waits; empty once it is made.
    result : ExecuteResult
        The answer as far as it has come.
    ttft, latency : float or None
        Seconds from the call to its first text, and to its end.
    pieces : int
        How many pieces have come; of most models each is a token.
    at : float
        Seconds from the call to the last of them.
    error : LoopError or None
        Why it failed.
    notes : tuple of str
        Quiet remarks: what could not be checked, say.
    settings : Mapping[str, Any]
        Of the model: what replaces the version's own.
    definition : Prompt or None
        The prompt's definition, where it is known.
    """

    request: ExecuteRequest
    phase: Phase = Phase.WAITING
    origin: str = ""
    version: str | None = None
    preparing: str = ""
    result: ExecuteResult = field(default_factory=ExecuteResult)
    ttft: float | None = None
    latency: float | None = None
    pieces: int = 0
    at: float = 0.0
    error: LoopError | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    definition: Prompt | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.phase in (Phase.DONE, Phase.INTERRUPTED, Phase.FAILED)

    @property
    def received(self) -> bool:
        """Whether there is something to keep: an end of its own, or what came before somebody stopped it."""
        return self.phase in (Phase.DONE, Phase.FAILED) or self.pieces > 0

    @property
    def whole(self) -> bool:
        """Whether the answer came to its end, and the model to its own; an unknown reason may mean a failure."""
        reason = (self.result.finish_reason or "").strip().lower()
        return self.phase is Phase.DONE and (not self.result.finish_reason or reason in SAID_ALL + ASKS_FOR_TOOLS)

    @property
    def speed(self) -> float | None:
        """Tokens a second, from the first to the last; pieces are counted where tokens are not yet known."""
        spoke = self.at - (self.at if self.ttft is None else self.ttft)
        tokens = (self.result.usage and self.result.usage.output_tokens) or self.pieces
        return (tokens - 1) / spoke if spoke > 0.2 and self.pieces > 1 and tokens > 1 else None

    @property
    def text(self) -> str:
        """The answer's text as far as it has come."""
        return self.result.text

    @property
    def reasoning(self) -> str:
        """The model's reasoning as far as it has come."""
        return (self.result.message and self.result.message.reasoning_content) or ""


# Events. `at` is seconds since the call began.


@dataclass(frozen=True, slots=True)
class Preparing:
    """Something must be done before the call: fetching weights, starting the embedded Loop."""

    text: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The server is there and the prompt is known, or could not be looked at; what replaces its model is, too."""

    origin: str
    version: str | None = None
    notes: tuple[str, ...] = ()
    model_config: Mapping[str, Any] | None = None
    definition: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A piece of the answer came, or several joined: the first that says something `at`, the last `until`."""

    at: float
    piece: ExecuteResult
    pieces: int = 1
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete."""

    at: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A person stopped it."""

    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed."""

    at: float
    error: LoopError


@dataclass(frozen=True, slots=True)
class Ran:
    """All of it, of a run that nobody watched."""

    run: RunState


Event = Preparing | Prepared | Arrived | Finished | Interrupted | Failed | Ran

ENDS = (Finished, Interrupted, Failed, Ran)
"""The events after which nothing more comes."""


def fold(state: RunState, event: Event) -> RunState:
    """Give the state after `event`."""
    match event:
        case Preparing(text):
            return replace(state, preparing=text)
        case Prepared(origin, version, notes, config, definition):
            request = replace(state.request, custom_model_config=config) if config else state.request
            return replace(
                state, preparing="", origin=origin, version=version, request=request,
                notes=state.notes + notes, definition=definition,
            )  # fmt: skip
        case Arrived(at, piece, pieces, until):
            is_joined = pieces > 1 and not state.pieces
            result = piece if is_joined else join_results((state.result, piece))
            ttft = state.ttft if state.ttft is not None else (at if speaks(result) else None)
            return replace(
                state, phase=Phase.STREAMING, preparing="", result=result, ttft=ttft,
                pieces=state.pieces + pieces, at=at if until is None else until,
            )  # fmt: skip
        case Finished(at):
            return replace(state, phase=Phase.DONE, preparing="", latency=at)
        case Interrupted(at):
            return replace(state, phase=Phase.INTERRUPTED, preparing="", latency=at)
        case Failed(at, error):
            return replace(state, phase=Phase.FAILED, preparing="", latency=at, error=error)
        case Ran(run):
            return run


def join_arrived(batch: Sequence[Arrived]) -> Arrived:
    """Join pieces that came one after the other."""
    if len(batch) == 1:
        return batch[0]
    first = next((event for event in batch if speaks(event.piece)), batch[0])
    last = batch[-1].at if batch[-1].until is None else batch[-1].until
    return Arrived(first.at, join_results(e.piece for e in batch), sum(e.pieces for e in batch), last)


def speaks(result: ExecuteResult) -> bool:
    """Tell whether an answer, or a piece of it, says something; the first piece often names the role alone."""
    return bool(result.text or (result.message and (result.message.reasoning_content or result.message.tool_calls)))
