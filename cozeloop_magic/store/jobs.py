"""What runs were made for, and how often the same question was put to the same data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cozeloop_magic.database import Connection, Database
from cozeloop_magic.printable import replace_surrogates

__all__ = ["Job", "JobState", "Jobs"]


class JobState(Enum):
    """How far a job has come."""

    RUNNING = "running"
    STOPPED = "stopped"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Job:
    """What runs are made for.

    Attributes
    ----------
    kind : str
        ``compare`` or ``batch``.
    plan : str
        The digest of all that is to be run.
    subject : str
        The digest of what is compared.
    question : str
        What is asked of it.
    total : int
        How many runs it has.
    started : float
        When, in seconds since 1970.
    state : JobState
        How far it has come; one whose process died stays ``RUNNING``.
    id : int or None
        Its number in the store.
    """

    kind: str
    plan: str
    subject: str
    question: str
    total: int
    started: float
    state: JobState = JobState.RUNNING
    id: int | None = None


class Jobs:
    """The jobs of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: Job, inputs: Iterable[str] = ()) -> int:
        """Keep a job that begins, with the digests of its inputs, and give its number."""
        texts = [replace_surrogates(text) for text in (job.kind, job.plan, job.subject, job.question)]
        values = (*texts, job.total, job.started, JobState.RUNNING.value)
        digests = set(inputs)
        query = """
            INSERT INTO jobs (kind, plan, subject, question, total, started, state) VALUES (?, ?, ?, ?, ?, ?, ?)
        """

        def insert(db: Connection) -> int:
            number = int(db.execute(query, values).lastrowid or 0)
            db.executemany("INSERT INTO job_inputs VALUES (?, ?)", ((number, digest) for digest in digests))
            return number

        return self._database.write(insert)

    def end(self, number: int, state: JobState) -> None:
        """Note how a job ended."""
        query = "UPDATE jobs SET state = ?, ended = ? WHERE id = ?"
        self._database.write(lambda db: db.execute(query, (state.value, time.time(), number)))

    def latest(self, plan: str) -> Job | None:
        """Give the last job of a plan."""
        rows = self._database.read("SELECT * FROM jobs WHERE plan = ? ORDER BY id DESC LIMIT 1", (plan,))
        names = ("kind", "plan", "subject", "question", "total", "started", "id")
        return Job(**{name: rows[0][name] for name in names}, state=JobState(rows[0]["state"])) if rows else None

    def of_plan(self, plan: str) -> frozenset[int]:
        """Give the numbers of all jobs of a plan."""
        return frozenset(row["id"] for row in self._database.read("SELECT id FROM jobs WHERE plan = ?", (plan,)))

    def count_looks(self, job: Job, inputs: Iterable[str], *, before: int | None = None) -> int:
        """Count the earlier jobs that asked the same of the same, on inputs of which any was among these.

        Only a job whose outcome was shown is a look: one that was killed is none.

        Parameters
        ----------
        before : int, optional
            The number of a job; it and those after it do not count.
        """
        query = """
            SELECT COUNT(*) FROM jobs WHERE subject = ? AND question = ? AND state <> ? AND id < ? AND EXISTS (
                SELECT 1 FROM job_inputs WHERE job = jobs.id AND input IN (SELECT value FROM json_each(?))
            )
        """
        values = (job.subject, job.question, JobState.RUNNING.value, before or 2**62, json.dumps(list(inputs)))
        return int(self._database.read(query, values)[0][0])
