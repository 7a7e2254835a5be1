"""`Answer`: what a cell leaves behind, a result that knows its run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult
from cozeloop_magic.errors import LoopError
from cozeloop_magic.run.state import Phase, RunState

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer"]


@dataclass(frozen=True, repr=False)
class Answer(ExecuteResult):
    """The answer of a run, whole or as far as it came. Reads as its text; `complete` tells which.

    Attributes
    ----------
    state : RunState
        Everything that is known of the run.
    """

    state: RunState = RunState(ExecuteRequest(""))

    @classmethod
    def of(cls, state: RunState) -> Answer:
        """Make the answer of a run."""
        result = {f.name: getattr(state.result, f.name) for f in fields(ExecuteResult)}
        return cls(**result, state=state)

    @property
    def complete(self) -> bool:
        """Whether it came to its end, with a finish reason; `finish_reason` tells whether that was a good one."""
        return self.state.phase is Phase.DONE

    def result(self, timeout: float | None = None) -> Answer:
        """Give the answer itself, at once: what `BackgroundAnswer.result` gives, for whoever need not know which.

        Raises
        ------
        LoopError
            If it failed; ``partial`` holds what came.
        """
        if self.error is not None:
            raise self.error
        return self

    @property
    def request(self) -> ExecuteRequest:
        """What was asked."""
        return self.state.request

    @property
    def version(self) -> str | None:
        """The version that ran, where it is known."""
        return self.state.version

    @property
    def ttft(self) -> float | None:
        """Seconds to the first text."""
        return self.state.ttft

    @property
    def latency(self) -> float | None:
        """Seconds to the end."""
        return self.state.latency

    @property
    def error(self) -> LoopError | None:
        """Why it is not complete, where it failed."""
        return self.state.error

    def to_pandas(self) -> pd.DataFrame:
        """Give one row: the prompt, the text, why it ended, tokens and times (needs the ``[batch]`` extra)."""
        import pandas as pd

        row = {
            "prompt_key": self.request.prompt_key,
            "version": self.version,
            "label": self.request.label,
            "text": self.text,
            "finish_reason": self.finish_reason,
            "complete": self.complete,
            "input_tokens": self.usage and self.usage.input_tokens,
            "output_tokens": self.usage and self.usage.output_tokens,
            "ttft": self.ttft,
            "latency": self.latency,
            "model": self.model,
            "log_id": self.log_id,
        }
        return pd.DataFrame([row])

    def __repr__(self) -> str:
        asked = self.request.prompt_key + (f" @ {self.version}" if self.version else "")
        start = self.text if len(self.text) <= 60 else self.text[:60] + "…"
        return f"<Answer of {asked}{'' if self.complete else ', incomplete'}: {start!r}>"
