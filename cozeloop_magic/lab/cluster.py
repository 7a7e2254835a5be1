"""A table's calls on a Dask cluster that is there: partitions go to its workers, each row comes back as it ends.

A partition holds what its calls ask, and where; never a token: each worker takes its own from its environment. It is
bound to one worker. Should that be lost, Dask has nowhere to run the partition again, and what is left of it, whose
answers have not come back, goes to another worker. Answers come as events of a topic, in the order they were told.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol
from uuid import uuid4

from cozeloop_magic.client.client import Client
from cozeloop_magic.client.connect import new_client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.errors import ConfigurationError, LoopError, to_install
from cozeloop_magic.lab.events import Told
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase, RunState, fold
from cozeloop_magic.store.key import Place, place_of
from cozeloop_magic.store.record import RunRecord, request_from_json

__all__ = ["Partition", "cluster_engine", "run_partition"]

_ROUNDS = 16  # calls of each thread in one partition: its last ones leave threads idle
_TICK = 0.1  # seconds of one wait
_LOOK = 0.5  # seconds between two looks at the workers
_PATIENCE = 30.0  # seconds to wait for a worker


class Job(Protocol):
    """What is run: see `cozeloop_magic.lab.table_job.TableJob`."""

    def request_of(self, key: str) -> ExecuteRequest:
        """Give what a call asks."""

    def body_of(self, key: str) -> Mapping[str, Any]:
        """Give what goes over the wire."""

    def keep(self, runs: Sequence[tuple[str, RunState]]) -> None:
        """Keep runs that ended."""


@dataclass(frozen=True)
class Partition:
    """What a worker is handed.

    Attributes
    ----------
    topic : str
        Where it tells what ended.
    place : Place
        Who answers.
    base_url : str
        The server's address, or ``local``.
    concurrency : int
        How many calls it makes at once, at most.
    rpm, tpm : float or None
        What a worker may ask of the server.
    timeout : float or None
        Seconds for each call.
    calls : Mapping[str, Mapping]
        What each call asks, by its key.
    """

    topic: str
    place: Place
    base_url: str
    concurrency: int
    rpm: float | None
    tpm: float | None
    timeout: float | None
    calls: Mapping[str, Mapping[str, Any]] = field(repr=False, default_factory=dict)


# On a worker.


def run_partition(partition: Partition) -> str:
    """Make the calls of a partition and tell each that ended; give why it cannot, if so."""
    from distributed import Event, get_worker

    worker = get_worker()
    try:
        client, limiter = _here(partition.topic, partition)
    except LoopError as error:
        return str(error)
    if place_of(client.connect()) != partition.place:
        return "its own environment names another model, workspace or server"
    stop, over = Stop(), Stop()

    def listen() -> None:
        asked = Event(partition.topic)
        while not over.asked and not stop.asked:
            if asked.wait(timeout="500ms"):
                stop()

    def tell(runs: Sequence[tuple[str, RunState]]) -> None:
        for key, run in runs:
            if run.phase in (Phase.DONE, Phase.FAILED):
                record = asdict(RunRecord.of(key, run, body={})) | {"phase": run.phase.value}
                worker.log_event(partition.topic, json.dumps(record))

    Thread(target=listen, name="cozeloop-listen", daemon=True).start()
    scheduler: Scheduler[str] = Scheduler(
        client, lambda key: request_from_json(partition.calls[key]), limiter, stop,
        keep=tell, stream=True, timeout=partition.timeout,
    )  # fmt: skip
    try:
        for _ in scheduler.run(iter(partition.calls), interval=0.1):
            pass
    finally:
        over()
    return ""


@lru_cache(maxsize=4)
def _of_topic(topic: str, base_url: str, workspace_id: str, limits: tuple[Any, ...]) -> tuple[Client, Limiter]:
    concurrency, rpm, tpm = limits
    return new_client(base_url, workspace_id), Limiter(concurrency, rpm=rpm, tpm=tpm)


def _here(topic: str, partition: Partition) -> tuple[Client, Limiter]:
    """Give this worker's client, by its own environment, and what it knows of the server's limits."""
    limits = partition.concurrency, partition.rpm, partition.tpm
    return _of_topic(topic, partition.base_url, partition.place.workspace_id, limits)


# In the notebook or script.


def cluster_engine(
    engine: Any,
    client: Client,
    job: Job,
    concurrency: int,
    stop: Stop,
    timeout: float | None,
    rpm: float | None,
    tpm: float | None,
) -> Callable[[Iterator[str]], Iterator[Sequence[Told[str]]]]:
    """Return what makes calls on a cluster.

    Parameters
    ----------
    engine : distributed.Client or str
        The cluster, or its scheduler's address.
    client, job, stop, timeout
        Who would call here, what for, what stops it, and seconds for each call.
    concurrency, rpm, tpm
        The limits of all workers together.

    Raises
    ------
    ConfigurationError
        If there is no such cluster, or its workers cannot call.
    """
    cluster, is_own = _connected(engine)
    endpoint = client.connect()
    base_url = "local" if endpoint.local else endpoint.base_url
    limits = concurrency, rpm, tpm

    def run(keys: Iterator[str]) -> Iterator[Sequence[Told[str]]]:
        handing = _Handing(cluster, job, place_of(endpoint), base_url, limits, timeout, stop)
        try:
            yield from handing.run(keys)
        finally:
            handing.end()
            if is_own:
                cluster.close()

    return run


def _connected(engine: Any) -> tuple[Any, bool]:
    try:
        from distributed import Client as Cluster
    except ImportError:
        raise ConfigurationError("A Dask cluster needs distributed.", hint=f"{to_install('dask')}.") from None
    if isinstance(engine, Cluster):
        return engine, False
    if not isinstance(engine, str):
        raise ConfigurationError(
            f"The engine is of type {type(engine).__name__}.",
            hint="Give a distributed.Client, or the address of a Dask scheduler, such as tcp://10.0.0.1:8786.",
        )
    try:
        return Cluster(engine, timeout="10s", set_as_default=False), True
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigurationError(
            f"There is no Dask cluster at {engine} ({error}).", hint="Check the scheduler's address."
        ) from None


@dataclass
class _Handed:
    """A partition on its way: where it is, and the keys whose answers have not come."""

    future: Any
    worker: str
    left: set[str]
    ended_at: float | None = None


class _Handing:
    """Hands partitions out, one a worker at a time, and takes rows back."""

    def __init__(
        self,
        cluster: Any,
        job: Job,
        place: Place,
        base_url: str,
        limits: tuple[int, float | None, float | None],
        timeout: float | None,
        stop: Stop,
    ) -> None:
        from distributed import Event

        self._cluster = cluster
        self._job = job
        self._place = place
        self._base_url = base_url
        self._limits = limits
        self._timeout = timeout
        self._stop = stop
        self._topic = f"cozeloop-{uuid4().hex}"
        self._stopped = Event(self._topic, client=cluster)
        self._came: SimpleQueue[str] = SimpleQueue()
        self._again: deque[str] = deque()
        self._handed: list[_Handed] = []
        self._exhausted = False
        self._looked = self._alone_since = 0.0
        self._workers: list[str] = []
        cluster.subscribe_topic(self._topic, lambda event: self._came.put(event[1]))

    def end(self) -> None:
        """Have the workers stop, and listen no more."""
        self._stopped.set()
        self._cluster.unsubscribe_topic(self._topic)
        self._cluster.cancel([each.future for each in self._handed])

    def run(self, keys: Iterator[str]) -> Iterator[Sequence[Told[str]]]:
        """Make the calls of keys, and tell what ended."""
        while not self._stop.asked:
            self._look()
            self._hand(keys)
            if told := self._taken():
                yield told
            self._settle()
            if self._exhausted and not self._again and not self._handed:
                return

    def _look(self) -> None:
        """Look which workers there are; what one had that is lost is handed out again."""
        now = time.monotonic()
        if now < self._looked + _LOOK:
            return
        self._looked = now
        self._workers = list(self._cluster.scheduler_info(n_workers=-1)["workers"])
        self._alone_since = 0.0 if self._workers else self._alone_since or now
        if not self._workers and now - self._alone_since > _PATIENCE:
            raise ConfigurationError("The Dask cluster has no workers.", hint="Start some, and run it again.")
        for handed in [each for each in self._handed if each.worker not in self._workers]:
            self._cluster.cancel([handed.future])
            self._finish(handed)

    def _hand(self, keys: Iterator[str]) -> None:
        busy = {each.worker for each in self._handed}
        for worker in self._workers:
            if worker in busy:
                continue
            concurrency, rpm, tpm = self._limits
            share = max(1, -(-concurrency // len(self._workers)))
            some = [self._again.popleft() for _ in range(min(len(self._again), share * _ROUNDS))]
            some += islice(keys, share * _ROUNDS - len(some)) if not self._exhausted else ()
            self._exhausted = self._exhausted or len(some) < share * _ROUNDS
            if not some:
                return
            rpm, tpm = (each and each / len(self._workers) for each in (rpm, tpm))
            calls = {key: self._job.body_of(key) for key in some}
            partition = Partition(self._topic, self._place, self._base_url, share, rpm, tpm, self._timeout, calls)
            future = self._cluster.submit(
                run_partition, partition, workers=[worker], allow_other_workers=False, pure=False
            )
            self._handed.append(_Handed(future, worker, set(some)))

    def _taken(self) -> list[Told[str]]:
        """Take what came, keep it and tell it."""
        told: list[Told[str]] = []
        try:
            item = self._came.get(timeout=_TICK)
            while True:
                told += self._kept(item)
                item = self._came.get_nowait()
        except Empty:
            return told

    def _kept(self, item: str) -> list[Told[str]]:
        values = json.loads(item)
        values |= {"phase": Phase(values["phase"]), "notes": tuple(values["notes"])}
        record = RunRecord(**values)
        handed = next((each for each in self._handed if record.key in each.left), None)
        if handed is None:
            return []  # another worker was faster
        handed.left.remove(record.key)
        state = RunState(self._job.request_of(record.key))
        events = record.events(as_kept=False)
        for event in events:
            state = fold(state, event)
        self._job.keep([(record.key, state)])
        return [Told(record.key, event) for event in events]

    def _settle(self) -> None:
        """Finish partitions that have ended; what they told last may be on its way for a moment."""
        for handed in [each for each in self._handed if each.future.done()]:
            handed.ended_at = handed.ended_at or time.monotonic()
            if handed.left and time.monotonic() < handed.ended_at + _LOOK:
                continue
            if handed.future.status == "error":
                raise _refused(handed.worker, repr(handed.future.exception()))
            if handed.future.status == "finished" and (why := handed.future.result()):
                raise _refused(handed.worker, why)
            self._finish(handed)

    def _finish(self, handed: _Handed) -> None:
        self._handed.remove(handed)
        self._again.extend(handed.left)


def _refused(worker: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The worker {worker} cannot make calls: {why}",
        hint="Workers need cozeloop-magic of this version, and COZELOOP_API_TOKEN in their own environment.",
    )
