"""Keeping runs."""

from __future__ import annotations

import multiprocessing
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import (
    ContentPart,
    ExecuteRequest,
    ExecuteResult,
    FunctionCall,
    Message,
    Role,
    TokenUsage,
    Tool,
    ToolCall,
    ToolCallConfig,
)
from cozeloop_magic.errors import RateLimited, StoreError
from cozeloop_magic.run.state import Arrived, Failed, Finished, Interrupted, Phase, Prepared, RunState, fold
from cozeloop_magic.store.history import Wanted
from cozeloop_magic.store.jobs import Job
from cozeloop_magic.store.record import RunRecord, request_from_json
from cozeloop_magic.store.runs import RunStore, default_path

REQUEST = ExecuteRequest("greet", "1.0.0", variable_vals={"x": "tea"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[RunStore]:
    with RunStore.open(path) as store:
        yield store


def ended(text: str = "Hello", how: object = None, request: ExecuteRequest = REQUEST) -> RunState:
    piece = ExecuteResult(Message(Role.ASSISTANT, text), "stop", TokenUsage(5, 3), "log-1", "parrot")
    state = RunState(request)
    for event in (Prepared("here", "1.0.0"), Arrived(0.25, piece, 7), how or Finished(0.5)):
        state = fold(state, event)
    return state


def record(key: str = "k", text: str = "Hello", how: object = None) -> RunRecord:
    return RunRecord.of(key, ended(text, how))


def test_a_run_comes_back_as_it_was(store: RunStore) -> None:
    state = ended("Hällo\u2028 \U0001f600")
    store.put(RunRecord.of("k", state, label="production"))
    kept = store.get("k")
    assert kept is not None and (kept.prompt_key, kept.version, kept.label) == ("greet", "1.0.0", "production")
    back = kept.state()
    assert (back.result, back.phase, back.ttft, back.latency) == (state.result, Phase.DONE, 0.25, 0.5)
    assert (back.origin, back.version, back.pieces, back.request) == ("here", "1.0.0", 7, REQUEST)
    assert back == state


@pytest.mark.parametrize("how", [Finished(0.5), Failed(0.5, RateLimited("no")), Interrupted(0.5)])
@pytest.mark.parametrize("came", [True, False])
def test_a_kept_run_is_what_its_events_fold_to(how: object, came: bool) -> None:
    state = ended(how=how) if came else fold(fold(RunState(REQUEST), Prepared("here", "1.0.0", ("a note",))), how)  # type: ignore[arg-type]
    kept = RunRecord.of("k", state)
    folded = RunState(REQUEST)
    for event in kept.events(as_kept=False):
        folded = fold(folded, event)
    assert replace(folded, error=None) == replace(kept.state(), error=None) == replace(state, error=None)
    assert str(folded.error) == str(kept.state().error) == str(state.error)


def test_what_stands_in_for_a_call_says_when_it_was_kept() -> None:
    for created_at, said in ((time.time(), r"kept answer of \d+ \w+, \d\d:\d\d$"), (9e8, r"answer of 9 Jul 1998, ")):
        first, *_ = replace(record(), created_at=created_at, notes=("a remark",)).events()
        assert isinstance(first, Prepared) and re.search(said, first.notes[0]) and first.notes[1] == "a remark"


def test_a_failure_comes_back_with_its_sentence(store: RunStore) -> None:
    error = RateLimited("Too many calls.", hint="Wait.", log_id="log-2", http_status=429, code=600502002)
    store.put(record(how=Failed(0.5, error)))
    kept = store.get("k")
    assert kept is not None
    back = kept.state()
    assert type(back.error) is RateLimited and str(back.error) == str(error)
    assert (back.error.code, back.error.http_status, back.text) == (600502002, 429, "Hello")


def test_what_was_asked_comes_back_to_the_byte() -> None:
    from cozeloop_magic.client.request import execute_body

    call = ToolCall(0, "c1", "function", FunctionCall("f", '{"a": 1}'))
    request = ExecuteRequest(
        "greet",
        "1.0.0",
        variable_vals={
            "text": "t",
            "number": 1.50,
            "many": [1, "a"],
            "talk": [Message(Role.ASSISTANT, tool_calls=(call,))],
            "seen": [ContentPart("image_url", image_url="https://a/b.png")],
            "none": [],
        },
        messages=(Message(Role.USER, "more", skip_render=True),),
        custom_model_config={"model_id": "7", "temperature": 0.0},
        custom_tools=(Tool(),),
        custom_tool_call_config=ToolCallConfig("auto"),
    )
    body = execute_body(request)
    assert execute_body(request_from_json(body)) == body


def test_of_equal_runs_the_last_complete_one_stands(store: RunStore) -> None:
    for each in (record(text="first"), record(text="second"), record(text="no", how=Failed(1, RateLimited("no")))):
        store.put(each)
    store.put(record(text="stopped", how=Interrupted(1)))
    kept = store.get("k")
    assert kept is not None and kept.state().text == "second"


def test_many_are_kept_in_order_and_a_late_slip_keeps_none_of_its_transaction(store: RunStore) -> None:
    last = store.put_all(record(f"k{n}", text=str(n)) for n in range(120))
    kept = list(store.history)
    assert [each.key for each in kept] == [f"k{n}" for n in reversed(range(120))] and kept[0].id == last
    broken = replace(record("broken"), origin=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.put_all([record("beside"), broken])
    assert len(store.history) == 120 and store.get("beside") is None


def test_an_interrupted_run_stands_for_nothing(store: RunStore) -> None:
    store.put(record(how=Interrupted(1)))
    assert store.get("k") is None


def test_many_are_found_at_once(store: RunStore) -> None:
    for number in range(1200):
        store.put(record(f"k{number}", text=str(number)))
    found = store.find(f"k{number}" for number in range(0, 3000, 2))
    assert len(found) == 600 and found["k998"].state().text == "998"


def test_runs_of_one_job_are_told_apart(store: RunStore) -> None:
    job = store.jobs.begin(Job("compare", "p", "s", "q", 1, 0.0))
    store.put(record("cell"))
    store.put(replace(record("job"), job=job))
    assert list(store.find(["cell", "job"], job=job)) == ["job"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_it_is_for_its_owners_eyes_only(store: RunStore, path: Path) -> None:
    store.put(record())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = sorted(file.name for file in path.parent.iterdir())
    assert files == ["runs.db", "runs.db-shm", "runs.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_it_is_in_the_users_data_directory() -> None:
    assert default_path() == Path(os.environ["COZELOOP_MAGIC_HOME"]) / "data" / "runs.db"


def test_a_killed_process_loses_nothing_that_was_put(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_put_and_die, args=(path,))
    process.start()
    process.join()
    with RunStore.open(path) as store:
        assert len(store.find(f"k{n}" for n in range(20))) == 20


def _put_and_die(path: Path) -> None:
    store = RunStore.open(path)
    for number in range(20):
        store.put(record(f"k{number}"))
    os._exit(9)


def test_processes_and_threads_write_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put_many, args=(path, name)) for name in "abcd"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with RunStore.open(path) as store:
        assert len(store.find(f"{p}{t}{n}" for p in "abcd" for t in "xy" for n in range(100))) == 800


def _put_many(path: Path, name: str) -> None:
    store = RunStore.open(path)  # all of them make the file at the same time
    work = [
        threading.Thread(target=lambda t=t: [store.put(record(f"{name}{t}{n}")) for n in range(100)]) for t in "xy"
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_goes_on_with_a_connection_of_its_own(store: RunStore) -> None:
    store.put(record("parent"))
    pid = os.fork()
    if pid == 0:
        store.put(record("child"))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    store.put(record("later"))
    assert set(store.find(["parent", "child", "later"])) == {"parent", "child", "later"}


def test_a_closed_store_says_so(store: RunStore) -> None:
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.put(record())


HALF = "a\ud83db"
TEXTS = ("prompt_key", "version", "label", "origin", "cell")


@pytest.mark.parametrize("name", [*TEXTS, "notes", "request", "result", "error"])
def test_half_a_character_in_any_field_loses_no_answer(store: RunStore, name: str) -> None:
    def halved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: halved(item) for key, item in value.items()}
        return HALF if isinstance(value, str) else value

    kept = record(how=Failed(0.5, RateLimited("Too many."))) if name == "error" else record()
    value = (HALF,) if name == "notes" else HALF if name in TEXTS else halved(getattr(kept, name))
    store.put(replace(kept, **{name: value}))
    back = store.get("k")
    assert back is not None
    if name in TEXTS:
        assert getattr(back, name) == "a\ufffdb"


def test_half_a_character_finds_nothing_and_fails_nothing(store: RunStore) -> None:
    store.put(record())
    assert store.find([HALF]) == {}
    assert list(store.history.find(Wanted(prompt_key=HALF))) == []
    assert store.history.forget(Wanted(prompt_key=HALF)) == 0
    assert store.jobs.begin(Job("compare", HALF, HALF, HALF, 1, 1.0))
