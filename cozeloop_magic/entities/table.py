"""Answers as a data frame, a row each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from cozeloop_magic.entities.prompt import TokenUsage

__all__ = ["Row", "to_pandas"]

_COLUMNS = ("prompt_key", "version", "label", "text", "finish_reason", "complete")
_MEASURED = ("ttft", "latency", "model", "log_id")


class Row(Protocol):
    """What an answer has to tell of itself, wherever it came from."""

    @property
    def usage(self) -> TokenUsage | None:
        """Tokens in and out."""


def to_pandas(answers: Iterable[Row]) -> pd.DataFrame:
    """Return a row for each answer: the prompt, the text, why it ended, tokens and times."""
    import pandas as pd

    return pd.DataFrame([_row(answer) for answer in answers])


def _row(answer: Row) -> dict[str, Any]:
    tokens = {name: answer.usage and getattr(answer.usage, name) for name in ("input_tokens", "output_tokens")}
    first, last = ({name: getattr(answer, name) for name in names} for names in (_COLUMNS, _MEASURED))
    return first | tokens | last
