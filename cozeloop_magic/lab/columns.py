"""From a table's row to the values of a prompt's variables, and from a run to the columns that it adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.answer_json import AnswerFields
from cozeloop_magic.lab.checks import Check, says_yes_or_no
from cozeloop_magic.lab.inputs import Row, is_missing
from cozeloop_magic.lab.variants import ResolvedVariant
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.template.check import check_variables

__all__ = ["RowColumns"]

_FIGURES = ("finish_reason", "input_tokens", "output_tokens", "ttft", "latency", "error", "log_id")


@dataclass(frozen=True)
class RowColumns:
    """What is taken from a row, and what is added to it.

    Attributes
    ----------
    prompt : ResolvedVariant
        The prompt.
    mapped : Mapping[str, str]
        Columns by variable, where the names differ.
    constants : Mapping[str, Any]
        Values that are the same for every row.
    out : str
        The column that takes the answer; columns of a JSON answer's fields begin with it.
    checks : sequence of Check
        Each gives a column.
    expect : str or None
        The column that says what an answer should be.
    fields : AnswerFields or None
        What reads the fields of a JSON answer.
    """

    prompt: ResolvedVariant
    mapped: Mapping[str, str]
    constants: Mapping[str, Any]
    out: str
    checks: Sequence[Check] = ()
    expect: str | None = None
    fields: AnswerFields | None = None

    def values(self, row: Row) -> dict[str, Any]:
        """Return the variables' values, checked against the prompt's definition.

        Raises
        ------
        EmptyCell
            If a cell is empty.
        InvalidRequest
            If a column is missing, or the prompt has no such variable.
        """
        if row.number == 0:
            self._check_names(row)
        declared = self.prompt.declared
        values = dict(self.constants) | {variable: row[column] for variable, column in self.mapped.items()}
        for name in declared if declared is not None else row.values:
            if name not in values and name in row.values:
                values[name] = row[name]
        if self.prompt.prompt is not None:
            check_variables(self.prompt.prompt, values)
        return values

    def _check_names(self, row: Row) -> None:
        """See that no name stands for two things, and that none of what is asked with is written over."""
        declared = self.prompt.declared
        used = {*self.mapped.values(), *(row.values if declared is None else declared & row.values.keys())}
        for name, value in self.constants.items():
            column = self.mapped.get(name) or (name if name in used else None)
            if column is not None:
                raise InvalidRequest(
                    f"{name} is given for all rows ({str(value)[:40]!r}), and taken from the column {column}, too.",
                    hint="Leave one of them out.",
                )
        if self.expect is not None and self.expect not in row.values:
            row[self.expect]  # says which columns there are
        if self.out in used | {self.expect}:
            raise InvalidRequest(
                f"The column {self.out} is read, and the answers would be written over it.",
                hint="Name another one for them: --column NAME (in a script, out='NAME').",
            )

    def replaced(self, row: Row) -> list[str]:
        """Return the table's own columns that an answer's take the place of."""
        return [name for name in self.names if name in row.values]

    @property
    def names(self) -> list[str]:
        """The columns that are added whatever comes."""
        return [self.out, *_FIGURES, *self._more]

    def added(self, row: Row, run: RunState | None, error: str | None = None) -> dict[str, Any]:
        """Return the columns that an answer adds; of a row without one, all but the error are null."""
        done = run is not None and run.phase is Phase.DONE
        usage = run.result.usage if run and done else None
        failed = str(run.error) if run is not None and run.error is not None else error
        added = {
            self.out: run.text if run and done else None,
            "finish_reason": run.result.finish_reason if run and done else None,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "ttft": run.ttft if run else None,
            "latency": run.latency if run else None,
            "error": failed,
            "log_id": (run.result.log_id or (run.error.log_id if run.error else None)) if run else None,
        }
        if run is not None and done:
            self._judge(row, run, added)
        else:
            added |= dict.fromkeys(self._more)
        return added

    @property
    def _more(self) -> list[str]:
        """Those of the schema's fields and of the checks, but not of functions, which may give several."""
        names = self.fields.names if self.fields is not None else ()
        checks = (check.name for check in self.checks if says_yes_or_no(check.name))
        return [*checks, *(f"{self.out}.{name}" for name in names)]

    def _judge(self, row: Row, run: RunState, added: dict[str, Any]) -> None:
        """Add what the checks say of an answer, and its fields; what is wrong with it stands in its error."""
        expected = row.values.get(self.expect) if self.expect else None
        expected = None if is_missing(expected) else expected
        scores = [score for check in self.checks for score in check(Answer(run), row.values, expected)]
        problems = [score.error for score in scores if score.error]
        added |= {score.name: score.value for score in scores}
        if self.fields is not None:
            fields, problem = self.fields.read(run.text)
            added |= {f"{self.out}.{name}": value for name, value in fields.items()}
            problems += [problem] if problem else []
        added["error"] = "; ".join(problems) or None
