"""`batch`: run a prompt over every row of a table; each answer is kept at once, and none is paid for twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.answer_json import AnswerFields
from cozeloop_magic.lab.checks import Check, check_expected, parse_check
from cozeloop_magic.lab.columns import RowColumns
from cozeloop_magic.lab.events import with_result
from cozeloop_magic.lab.inputs import iterate_table
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.progress import BatchProgress, ProgressBar
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.lab.table_job import Engine, TableJob
from cozeloop_magic.lab.tables import writer_for
from cozeloop_magic.lab.variants import Variant, resolve_variants
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.store.key import place_of
from cozeloop_magic.store.runs import RunStore, opened

__all__ = ["batch"]

_LOOKED_AT = 20_000  # rows that are looked at before the first call: a second or two
_LOOKED_AT_LENGTH = 200_000  # rows, where a sample asks for a look


def batch(
    client: Client,
    data: Any,
    prompt_key: str,
    *,
    variables: Mapping[str, str] | None = None,
    version: str | None = None,
    label: str | None = None,
    constants: Mapping[str, Any] | None = None,
    messages: Sequence[Message] = (),
    out: str = "answer",
    to: str | Path | None = None,
    checks: Iterable[str | Callable[..., Any]] = (),
    expect: str | None = None,
    json_columns: bool = False,
    schema: Any = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    sample: int | None = None,
    fail_above: float | None = None,
    fresh: bool = False,
    retry_errors: bool = False,
    store: RunStore | bool = True,
    stop: Stop | None = None,
    timeout: float | None = None,
    progress: Callable[[BatchProgress], object] | bool = False,
    engine: Any = None,
    functions: Mapping[str, Any] | None = None,
) -> Any:
    """Run a prompt over a table, and return the table with its answers.

    Rows that are equal share one call. What the store has of an earlier batch is not asked for again. A row that
    fails never stops the others: its answer is null, and its ``error`` says why.

    Parameters
    ----------
    client : Client
        Who runs it.
    data : data frame, list of dicts, or path of a CSV or JSONL file
        What comes back is of the same kind; of a path, a list of dicts, or the path `to` where that is given.
    prompt_key : str
        The prompt.
    variables : mapping, optional
        Columns by variable; a variable that is not named takes the column of its own name.
    version, label : str, optional
        Which version; the latest, where neither is given.
    constants : mapping, optional
        Values of variables that are the same for every row.
    messages : sequence of Message
        Appended to the prompt.
    out : str
        The column that takes the answer.
    to : path, optional
        A CSV or JSONL file to write to, row by row and in order, whatever their number.
    checks, expect
        As in `compare`; each check becomes a column.
    json_columns : bool
        Whether an answer that is a JSON object becomes columns of its fields, too.
    schema : mapping, path, or class with ``model_json_schema()``, optional
        The JSON schema that an answer must fit; its fields become columns. What does not fit keeps its text, and its
        ``error`` says why.
    concurrency : int
        How many calls run at once, at most; fewer where the server asks for patience.
    rpm, tpm : float, optional
        How many calls a minute may begin, and how many tokens a minute they may cost.
    sample : int, optional
        Run the first rows only, to look at what comes: they are returned, and no file is written; `progress` is told
        what all of them would cost.
    fail_above : float, optional
        The share of failed rows above which the batch ends.
    fresh : bool
        Whether to ask for everything anew.
    retry_errors : bool
        Whether rows that failed before are asked for again.
    store : RunStore or bool
        Where answers are kept: the user's own store (none if ``COZELOOP_MAGIC_KEEP`` is 0), another, or nowhere.
    stop, timeout
        What stops it; seconds for each call.
    progress : callable or bool
        What is told how far it is, as a `BatchProgress`; True draws a bar of tqdm's.
    engine : dask.distributed.Client or address, optional
        A Dask cluster that makes the calls. Its workers take the token from their own environment.
    functions : mapping, optional
        Where the check ``python:NAME`` is looked up.

    Returns
    -------
    data frame, list of dicts, or path
        With the columns `out`, ``finish_reason``, ``input_tokens``, ``output_tokens``, ``ttft``, ``latency``
        (seconds), ``error`` and ``log_id``. A stopped batch returns what came.

    Raises
    ------
    InvalidRequest
        If the table or what is asked cannot be used; nothing was run.
    RequirementNotMet
        If more rows failed than may; what came is in the store, and the error's ``result`` is the table so far.
    LoopError
        If the prompt cannot be had, or answers cannot be kept; then, too, ``result`` is the table so far.
    """
    if sample is not None and sample < 1:
        raise InvalidRequest(f"A sample of {sample} rows shows nothing.", hint="Write sample=5 (--sample 5).")
    if fail_above is not None and not 0 <= fail_above <= 1:
        raise InvalidRequest(
            f"fail_above is {fail_above}; it must be a share, from 0 to 1.", hint="Write 0.2 for a fifth of the rows."
        )
    made = [check if isinstance(check, Check) else parse_check(check, functions) for check in checks]
    check_expected(made, expect)
    fields = AnswerFields.of(schema) if schema is not None else AnswerFields() if json_columns else None
    limiter = Limiter(concurrency, rpm=rpm, tpm=tpm)
    writer = writer_for(data, to)
    if sample is not None:
        writer = writer_for(data, None)  # a look writes over nothing
    stop = stop or Stop()
    (prompt,), _ = resolve_variants(client, [Variant(prompt_key, version, label)], timeout=timeout)
    columns = RowColumns(prompt, variables or {}, constants or {}, out, made, expect, fields)
    writer.names = columns.names
    with with_result(lambda: writer.result() if writer.has_rows else None), ExitStack() as resources:
        told = resources.enter_context(_drawn(progress))
        resources.enter_context(writer)
        kept = resources.enter_context(opened(store))
        is_path = isinstance(data, (str, os.PathLike))
        job = TableJob(
            columns, messages, place_of(client.connect()), kept, writer, stop,
            fresh=fresh, retry_errors=retry_errors, fail_above=fail_above, progress=told,
            total=_length(data, sample), source=str(data) if is_path else "", concurrency=concurrency,
        )  # fmt: skip
        resources.enter_context(job)
        if sample is None and not is_path and (_length(data, None) or _LOOKED_AT) < _LOOKED_AT:
            job.look(iterate_table(data), _LOOKED_AT, remember=True)
        make_calls = _engine(client, job, limiter, stop, timeout, engine, (rpm, tpm))
        job.run(islice(iterate_table(data), sample), make_calls)
        if sample is not None and (is_path or hasattr(data, "__len__")):
            job.look(iterate_table(data), _LOOKED_AT_LENGTH)
            job.forecast(concurrency, rpm)
    return writer.result()


def _engine(
    client: Client, job: TableJob, limiter: Limiter, stop: Stop, timeout: float | None, engine: Any, limits: Any
) -> Engine:
    """Return what makes the calls: threads of this process, or a cluster."""
    if engine is not None:
        from cozeloop_magic.lab.cluster import cluster_engine

        return cluster_engine(engine, client, job, limiter.concurrency, stop, timeout, *limits)
    scheduler: Scheduler[str] = Scheduler(
        client, job.request_of, limiter, stop, keep=job.keep, stream=True, timeout=timeout
    )
    return lambda keys: scheduler.run(keys, interval=0.1)


@contextmanager
def _drawn(progress: Callable[[BatchProgress], object] | bool) -> Iterator[Callable[[BatchProgress], object] | None]:
    """Give what is told how far it is."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield None
    else:
        with closing(ProgressBar()) as bar:
            yield bar


def _length(data: Any, sample: int | None) -> int | None:
    if isinstance(data, (str, os.PathLike)) or not hasattr(data, "__len__"):
        return sample
    return min(len(data), sample) if sample is not None else len(data)
