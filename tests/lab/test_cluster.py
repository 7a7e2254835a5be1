"""A table's calls on a Dask cluster of real processes."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cozeloop_magic import Client, batch, new_client
from cozeloop_magic.errors import ConfigurationError
from cozeloop_magic.lab.cluster import Partition
from cozeloop_magic.lab.progress import BatchProgress
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.store.runs import RunStore, default_path
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop, refusal

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> Any:
        time.sleep(0.02)
        return refusal(600505014, "too risky") if "bomb" in text else text.upper()

    with fake_loop(reply) as running:
        yield running


@pytest.fixture
def client(loop: FakeLoop) -> Iterator[Client]:
    with new_client(loop.server.url, "73917", TOKEN) as made:
        yield made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two worker processes, which have the token in their environment."""
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    yield from workers()


def workers() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as local,
        distributed.Client(local) as connected,
    ):
        yield connected


def pids(cluster: Any) -> list[int]:
    return list(cluster.run(os.getpid).values())


def test_rows_come_back_in_order_into_the_one_store(cluster: Any, client: Client, loop: FakeLoop) -> None:
    rows = [{"text": f"row {n}" if n % 10 else f"bomb {n}"} for n in range(100)] + [{"text": "row 1"}]
    answers = batch(client, rows, "greet", version="1.0.0", engine=cluster, concurrency=4)
    assert [row["answer"] for row in answers] == [f"ROW {n}" if n % 10 else None for n in range(100)] + ["ROW 1"]
    assert "too risky" in answers[0]["error"] and answers[1]["output_tokens"] == 3 and answers[1]["log_id"]
    assert loop.executions == 100
    with RunStore.open() as store:
        assert len(store.history) == 100
    batch(client, rows, "greet", version="1.0.0", engine=cluster.scheduler.address)
    assert loop.executions == 100


def test_a_lost_worker_costs_its_unfinished_rows_only(cluster: Any, client: Client, loop: FakeLoop) -> None:
    rows = [{"text": f"row {n}"} for n in range(400)]
    victim = pids(cluster)[0]
    killed = threading.Event()

    def kill(progress: BatchProgress) -> None:
        if progress.done >= 100 and not killed.is_set():
            killed.set()
            os.kill(victim, signal.SIGKILL)

    answers = batch(client, rows, "greet", version="1.0.0", engine=cluster, concurrency=8, progress=kill)
    assert killed.is_set() and [row["answer"] for row in answers] == [f"ROW {n}" for n in range(400)]
    assert loop.executions <= 400 + 8  # what was under way on the lost one


def test_the_token_is_never_sent_pickled_or_kept(
    cluster: Any, client: Client, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    sent: list[bytes] = []
    submit = cluster.submit

    def remember(function: Any, partition: Partition, **options: Any) -> Any:
        sent.append(pickle.dumps((function, partition, options)))
        return submit(function, partition, **options)

    monkeypatch.setattr(cluster, "submit", remember)
    batch(client, [{"text": f"row {n}"} for n in range(20)], "greet", version="1.0.0", engine=cluster)
    files = b"".join(path.read_bytes() for path in default_path().parent.iterdir())
    said = "".join(capfd.readouterr()).encode()
    logs = repr((cluster.get_worker_logs(), cluster.get_scheduler_logs(), cluster.get_events())).encode()
    assert sent and all(b"row 1" in each for each in sent[:1])
    assert all(TOKEN[4:].encode() not in each for each in (*sent, files, said, logs))


def test_a_stop_keeps_what_came_and_ends_the_workers_calls(cluster: Any, client: Client, loop: FakeLoop) -> None:
    stop = Stop()
    rows = [{"text": f"row {n}"} for n in range(2000)]
    answers = batch(
        client, rows, "greet", version="1.0.0", engine=cluster, concurrency=4, stop=stop,
        progress=lambda progress: stop() if progress.done >= 20 else None,
    )  # fmt: skip
    assert 20 <= len(answers) < 200 and all(row["answer"] for row in answers)
    ends = time.monotonic() + 60
    calls = -1
    while calls != loop.executions and time.monotonic() < ends:
        calls = loop.executions
        time.sleep(0.7)  # longer than the workers take to hear of it
    assert calls < 200


def test_workers_without_a_token_are_told_of(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COZELOOP_API_TOKEN", raising=False)
    for cluster in workers():
        with pytest.raises(ConfigurationError, match=r"The worker tcp://.* cannot make calls: .*COZELOOP_API_TOKEN"):
            batch(client, [{"text": "a"}], "greet", version="1.0.0", engine=cluster)


@pytest.mark.parametrize(
    ("engine", "said"), [("tcp://127.0.0.1:1", "no Dask cluster at tcp://127.0.0.1:1"), (7, "of type int")]
)
def test_what_is_no_cluster_is_told(client: Client, engine: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        batch(client, [{"text": "a"}], "greet", version="1.0.0", engine=engine)
