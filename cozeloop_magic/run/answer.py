"""`Answer`: what a cell leaves behind, a text that knows its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cozeloop_magic.entities.prompt import ExecuteRequest, Message, TokenUsage
from cozeloop_magic.entities.table import to_pandas
from cozeloop_magic.errors import LoopError
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase, RunState

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer"]


class Answer(str):
    """The answer of a run, whole or as far as it came: its text, and all that is known of the run.

    It compares and hashes as text, so two answers that say the same are equal, whatever ran. `complete` tells
    whether it came to its end.

    Parameters
    ----------
    state : RunState
        The run.
    """

    state: RunState
    """Everything that is known of the run."""

    def __new__(cls, state: RunState) -> Answer:
        """Make the text of the run's answer."""
        answer = super().__new__(cls, state.text)
        answer.state = state
        return answer

    def __reduce__(self) -> tuple[Callable[[RunState], Answer], tuple[RunState]]:
        return type(self), (self.state,)

    @property
    def text(self) -> str:
        """The text alone."""
        return self.state.text

    @property
    def complete(self) -> bool:
        """Whether it came to its end, with a finish reason; `finish_reason` tells whether that was a good one."""
        return self.state.phase is Phase.DONE

    @property
    def error(self) -> LoopError | None:
        """Why it is not complete, where it failed."""
        return self.state.error

    @property
    def request(self) -> ExecuteRequest:
        """What was asked."""
        return self.state.request

    @property
    def prompt_key(self) -> str:
        """The prompt."""
        return self.state.request.prompt_key

    @property
    def version(self) -> str | None:
        """The version that ran, where it is known."""
        return self.state.version or self.state.request.version

    @property
    def label(self) -> str | None:
        """The label that was asked for."""
        return self.state.request.label

    @property
    def ttft(self) -> float | None:
        """Seconds to the first text."""
        return self.state.ttft

    @property
    def latency(self) -> float | None:
        """Seconds to the end."""
        return self.state.latency

    @property
    def message(self) -> Message | None:
        """What the model says, with its reasoning and the tools it asks for."""
        return self.state.result.message

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return self.state.result.finish_reason

    @property
    def usage(self) -> TokenUsage | None:
        """Tokens in and out, where they are known."""
        return self.state.result.usage

    @property
    def model(self) -> str | None:
        """The model that answered, where it is known."""
        return self.state.result.model

    @property
    def log_id(self) -> str | None:
        """The server's id of the call."""
        return self.state.result.log_id or (self.state.error.log_id if self.state.error else None)

    @property
    def retries(self) -> int:
        """How many times the call had to be made again before it was answered."""
        return self.state.result.retries

    def result(self, timeout: float | None = None) -> Answer:
        """Return the answer itself, at once, as `BackgroundAnswer.result` does once it has come.

        Raises
        ------
        LoopError
            If it failed; ``partial`` holds what came.
        """
        if self.error is not None:
            raise self.error
        return self

    def to_pandas(self) -> pd.DataFrame:
        """Return one row: the prompt, the text, why it ended, tokens and times (needs the ``[batch]`` extra)."""
        return to_pandas([self])

    def __repr__(self) -> str:
        asked = printable(self.prompt_key + (f" @ {self.version}" if self.version else ""))
        start = self.text if len(self.text) <= 60 else self.text[:60] + "…"
        return f"<Answer of {asked}{'' if self.complete else ', incomplete'}: {start!r}>"
