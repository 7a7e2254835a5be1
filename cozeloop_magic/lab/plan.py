"""The plan of a comparison: variants by inputs by repeats, counted and checked before anything runs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cozeloop_magic.client.client import Client
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import ExecuteRequest, Message
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest, VariableError
from cozeloop_magic.lab.inputs import Row, listed, read_table
from cozeloop_magic.lab.variants import ResolvedVariant, Variant, resolve_variants
from cozeloop_magic.store.key import Place, body_key, digest_of, place_of
from cozeloop_magic.template.check import check_variables

__all__ = ["Input", "Plan", "Trial", "make_plan"]

_TOLD = 8  # problems in one sentence; more of them are counted


class Trial(NamedTuple):
    """One run of a comparison: the number of its input, of its variant, and of the repeat."""

    input: int
    variant: int
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes
    ----------
    row : Row
        The row of the table it is; its other columns are metadata.
    values : Mapping[str, Any]
        What the variables may take from it.
    expected : Any
        What an answer should be; None where nobody said.
    digest : str
        The same for equal inputs.
    """

    row: Row
    values: Mapping[str, Any]
    expected: Any
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Attributes
    ----------
    variants : tuple of ResolvedVariant
        What is compared; the first is the baseline.
    inputs : tuple of Input
        On what; each is another.
    rows : Mapping[int, int]
        The number of the input by the number of its row: equal rows are one input.
    place : Place
        Who answers.
    repeat : int
        How many runs of each variant on each input.
    messages : tuple of Message
        Appended to every prompt.
    seed : int
        Of the order.
    notes : tuple of str
        What is worth knowing before it runs.
    """

    variants: tuple[ResolvedVariant, ...]
    inputs: tuple[Input, ...]
    rows: Mapping[int, int]
    place: Place
    repeat: int = 1
    messages: tuple[Message, ...] = ()
    seed: int = 0
    notes: tuple[str, ...] = ()
    _keys: dict[Trial, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.variants) * len(self.inputs) * self.repeat

    def __str__(self) -> str:
        return f"{_count(len(self), 'run')}: {' × '.join(self._factors())}."

    def _factors(self) -> Iterator[str]:
        same = len({variant.prompt_key for variant in self.variants}) == 1
        versions = same and not any(variant.asked.overrides for variant in self.variants)
        yield _count(len(self.variants), "version" if versions else "variant")
        yield _count(len(self.inputs), "input")
        if self.repeat > 1:
            yield _count(self.repeat, "repeat")

    def trials(self) -> list[Trial]:
        """Give all runs in the order they are to be begun.

        Inputs take turns and the variants of one are shuffled, so that warm-up and rate limits hit all alike.
        """
        chance = random.Random(self.seed)
        order = list(range(len(self.variants)))
        trials = []
        for repeat in range(self.repeat):
            for number in range(len(self.inputs)):
                chance.shuffle(order)
                trials += [Trial(number, variant, repeat) for variant in order]
        return trials

    def request(self, trial: Trial) -> ExecuteRequest:
        """Give what a run asks."""
        variant = self.variants[trial.variant]
        return ExecuteRequest(
            variant.prompt_key,
            variant.version,
            variable_vals=_values_for(variant, self.inputs[trial.input].values),
            messages=self.messages,
            custom_model_config=variant.model_config,
        )

    def key(self, trial: Trial, body: Mapping[str, Any] | None = None) -> str:
        """Give the key that a run is kept under; it is made once. `body` is its request's, where somebody has it."""
        if trial not in self._keys:
            variant = self.variants[trial.variant]
            body = execute_body(self.request(trial)) if body is None else body
            self._keys[trial] = body_key(self.place, body, variant.definition, trial.repeat)
        return self._keys[trial]

    def input_of_row(self, number: int) -> int:
        """Give the number of the input that a row of the table is.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        if number not in self.rows:
            raise IndexError(f"There is no row {number}; the table has rows 0 to {len(self.rows) - 1}.")
        return self.rows[number]

    def variant_of(self, name: str | int) -> int:
        """Give the number of a variant, by its number, its name, or as it was asked for.

        Raises
        ------
        KeyError
            If there is none.
        """
        if isinstance(name, int):
            return range(len(self.variants))[name]
        for number, variant in enumerate(self.variants):
            if name in (variant.name, str(variant.asked), variant.version, variant.asked.label):
                return number
        raise KeyError(f"There is no variant {name}; there are {', '.join(each.name for each in self.variants)}.")

    @property
    def subject(self) -> str:
        """The digest of what is compared: who answers, the variants, and what is appended."""
        messages = [message.to_json() for message in self.messages]
        where = [self.place.origin, self.place.workspace_id, self.place.model]
        return digest_of([where, sorted(variant.identity for variant in self.variants), messages])

    @property
    def digest(self) -> str:
        """The digest of all that is to be run."""
        return digest_of([self.subject, sorted(each.digest for each in self.inputs), self.repeat])


def make_plan(
    client: Client,
    variants: Iterable[Variant | str],
    table: Any = None,
    *,
    variables: Mapping[str, Any] | None = None,
    map: Mapping[str, str] | None = None,
    expect: str | None = None,
    messages: Sequence[Message] = (),
    repeat: int = 1,
    seed: int = 0,
    max_runs: int | None = None,
    timeout: float | None = None,
) -> Plan:
    """Make a plan and check all of it; nothing is run.

    Parameters
    ----------
    client : Client
        Who will run it.
    variants : iterable of Variant or str
        What to compare.
    table : data frame, path, iterable of mappings, or None
        The inputs; without them there is one, of `variables` alone.
    variables : Mapping[str, Any], optional
        Values that are the same for every input.
    map : Mapping[str, str], optional
        Columns by variable, where the names differ.
    expect : str, optional
        The column that holds what an answer should be.
    messages, repeat, seed
        As in `Plan`.
    max_runs : int, optional
        How many runs there may be.
    timeout : float, optional
        Seconds for each look at a prompt.

    Raises
    ------
    InvalidRequest
        If it cannot be run as it is: all that is wrong with the variables is told at once.
    LoopError
        If a prompt cannot be had.
    """
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise InvalidRequest(f"repeat is {repeat!r}; it must be a whole number, 1 or more.")
    rows = (Row(0, "the input", {}),) if table is None else read_table(table)
    resolved, notes = resolve_variants(client, variants, timeout=timeout)
    columns = _Columns(resolved, variables or {}, map or {}, expect)
    if table is not None and rows:
        columns.check_names(rows[0].values)
    inputs, numbers = _different(columns, rows, resolved)
    place = place_of(client.connect())
    plan = Plan(
        resolved, inputs, numbers, place, repeat, tuple(messages), seed, (*notes, *_notes(resolved, inputs, rows))
    )
    if max_runs is not None and len(plan) > max_runs:
        raise InvalidRequest(
            f"{plan} That is more than the {max_runs:,} that may be run unasked.",
            hint=f"Allow it with max_runs={len(plan)} (--max-runs {len(plan)} in a cell).",
        )
    return plan


class _Columns:
    """Which variable takes its value from which column."""

    def __init__(
        self,
        variants: Sequence[ResolvedVariant],
        constants: Mapping[str, Any],
        mapped: Mapping[str, str],
        expect: str | None,
    ) -> None:
        both = sorted(constants.keys() & mapped.keys())
        if both:
            raise InvalidRequest(
                f"{both[0]} is given for all inputs, and taken from the column {mapped[both[0]]}, too."
            )
        declared = [variant.declared for variant in variants]
        self._all_known = None not in declared
        self._declared = frozenset[str]().union(*(names for names in declared if names is not None))
        self._constants = constants
        self._mapped = mapped
        self._expect = expect

    def check_names(self, columns: Iterable[str]) -> None:
        """See that each variable has a column, where the names that are given are the prompts' own.

        Raises
        ------
        VariableError
            If one has none, and nothing else is given for it either.
        """
        given = {*self._constants, *self._mapped}
        missing = sorted(self._declared - given - set(columns)) if given <= self._declared else []
        if missing:
            name, others = missing[0], listed(columns)
            raise VariableError(
                f"No column is named {' or '.join(missing)}, as the variable is; the columns are {others}.",
                hint=f"Say which one it takes: --map {name}=COLUMN (in a script, map={{'{name}': 'COLUMN'}}).",
            )

    def read(self, row: Row) -> tuple[dict[str, Any], Any]:
        """Give the values of a row's variables, and what is expected of an answer."""
        values = dict(self._constants) | {variable: row[column] for variable, column in self._mapped.items()}
        for column in row.values:
            if column not in self._mapped and self._is_variable(column):
                if column in self._constants:
                    raise InvalidRequest(f"{column} is given for all inputs, and is a column of the table, too.")
                values[column] = row[column]
        return values, None if self._expect is None else row[self._expect]

    def _is_variable(self, column: str) -> bool:
        if column in self._declared:
            return True
        return not self._all_known and column != self._expect and column not in self._mapped.values()


def _values_for(variant: ResolvedVariant, values: Mapping[str, Any]) -> dict[str, Any]:
    declared = variant.declared
    return {name: value for name, value in values.items() if declared is None or name in declared}


def _different(
    columns: _Columns, rows: Sequence[Row], variants: Sequence[ResolvedVariant]
) -> tuple[tuple[Input, ...], dict[int, int]]:
    """Read and check the rows; equal ones are one input, as an answer counted twice would pass for two."""
    problems = _Problems(len(rows))
    known = frozenset[str]().union(*(variant.declared or () for variant in variants))
    all_known = all(variant.declared is not None for variant in variants)
    inputs: list[Input] = []
    numbers: dict[int, int] = {}
    by_digest: dict[str, int] = {}
    for row in rows:
        with problems.of(row):
            values, expected = columns.read(row)
            for variant in variants:
                with problems.of(row):
                    unknown = {} if not all_known else {k: v for k, v in values.items() if k not in known}
                    _check(variant, _values_for(variant, values) | unknown)
            digest = digest_of([sorted(map(str, (v.to_json() for v in encode_all(values)))), str(expected)])
            numbers[row.number] = by_digest.setdefault(digest, len(inputs))
            if numbers[row.number] == len(inputs):
                inputs.append(Input(row, values, expected, digest))
    problems.raise_them()
    return tuple(inputs), numbers


def _check(variant: ResolvedVariant, values: Mapping[str, Any]) -> None:
    if variant.prompt is not None:
        check_variables(variant.prompt, values)


class _Problems:
    """All that is wrong with a table, each thing once, with the rows it is in."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._where: defaultdict[str, list[str]] = defaultdict(list)
        self._hint: str | None = None
        self._row = ""

    def of(self, row: Row) -> _Problems:
        """Collect what is wrong with a row."""
        self._row = row.where
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, InvalidRequest):
            return False
        message = error.message.replace(f" in {self._row}", "")
        self._where[message].append(self._row)
        self._hint = self._hint or error.hint or None
        return True

    def raise_them(self) -> None:
        """Raise them all at once, if there are any."""
        if not self._where:
            return
        told = [self._told(message, where) for message, where in list(self._where.items())[:_TOLD]]
        more = len(self._where) - len(told)
        raise VariableError(" ".join(told) + (f" And {more} more." if more else ""), hint=self._hint)

    def _told(self, message: str, where: list[str]) -> str:
        if self._rows == 1 or len(where) == self._rows:
            return message
        more = f" and {len(where) - 3} more" if len(where) > 3 else ""
        return f"{message.removesuffix('.')}: in {', '.join(where[:3])}{more}."


def _notes(variants: Sequence[ResolvedVariant], inputs: Sequence[Input], rows: Sequence[Row]) -> Iterator[str]:
    for variant in variants:
        if variant.note:
            yield f"{variant.name}: variables not checked: {variant.note}"
    if equal := len(rows) - len(inputs):
        yield f"{_count(equal, 'row is', 'rows are')} equal to another and counted once."
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for each in inputs:
        asked[str(each.values)].add(str(each.expected))
    if contradictory := sum(len(expected) > 1 for expected in asked.values()):
        yield f"{_count(contradictory, 'input is', 'inputs are')} in the table with different expected answers."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
