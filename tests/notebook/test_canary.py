"""A token in the environment stands in no file, output, traceback or value of what keeps runs and runs tables."""

from __future__ import annotations

import json
import logging
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cozeloop_magic.cli.commands import main
from cozeloop_magic.store.runs import RunStore
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop, refusal
from tests.wire_server import delta, stream

PARTS = (TOKEN, TOKEN[4:], "s3cr3t")
KINDS = ("fine", "bomb", "broken", "denied", "echo")
CELLS = (
    *(f"%loop_prompt greet -v 1.0.0 --var text={kind} {options}" for kind in KINDS for options in ("", "--cache")),
    "%loop_prompt greet -v 1.0.0 --var text=fine --background -o behind",
    "behind.result()",
    "behind",
    "%loop_batch rows -p greet -v 1.0.0 --json --sample 3",
    "%loop_batch rows -p greet -v 1.0.0 --schema Mood --check python:broken --out table",
    "%loop_batch rows -p greet -v 1.0.0 --to out.csv --retry-errors",
    "%loop_batch rows -p greet -v 1.1.0 --to out.jsonl --background -o behind",
    "behind.result()",
    "%loop_batch rows -p greet -v 1.1.0 --fail-above 0.01 --fresh",
    "%loop_batch rows -p greet -v 9.9.9",
    "%loop_batch rows -p greet --schema nowhere.json",
    "table",
    "%loop history",
    "%loop history --failed --grep fine",
    "%loop show-run 1",
    "%loop show-run 2",
    "%loop rerun 1",
    "%loop forget 1",
    "%loop forget",
    "%loop",
)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> Any:
        said = text.split()[0]
        answers = {"bomb": refusal(600505014, "too risky"), "broken": stream([delta("Hel")])}
        answers |= {"denied": refusal(600500101, f"the token {TOKEN} is wrong", "401 Unauthorized")}
        answers |= {"echo": refusal(600500001, f"Bearer {TOKEN} in Authorization", "500 Internal Server Error")}
        return answers.get(said, '{"mood": "good"}')

    with fake_loop(reply) as running:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", running.server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        yield running


@pytest.mark.parametrize("short", [True, False])
def test_it_is_nowhere(
    shell: Any, loop: FakeLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, caplog: Any, short: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    shell.run_line_magic("config", f"LoopMagics.short_errors = {short}")
    shell.user_ns["rows"] = pd.DataFrame({"text": [f"{kind} {n}" for n in range(4) for kind in KINDS]})
    shell.user_ns["Mood"] = {"required": ["mood"]}
    shell.user_ns["broken"] = lambda answer, row: row["nothing"]
    told: list[str] = []
    for cell in CELLS:
        done = shell.run_cell(cell)
        for error in filter(None, (done.error_in_exec, done.error_before_exec)):
            told += [*traceback.format_exception(error), repr(error), repr(vars(error))]
        told += map(str, shell.display_formatter.format(done.result)) if done.result is not None else []
    assert main(["history", "--json"]) == 0 and main(["run", "greet", "--var", "text=denied"]) == 1
    with RunStore.open() as store:
        runs = [json.dumps(run.to_row(), default=str) for run in store.history]
    assert len(runs) > 20
    files = [
        file.read_bytes() for place in (tmp_path, Path(os.environ["COZELOOP_MAGIC_HOME"])) for file in all_of(place)
    ]
    values = pickle.dumps([shell.user_ns["table"], shell.user_ns["_loop"] and str(shell.user_ns["_loop"])])
    said = "".join([*told, *runs, *capfd.readouterr(), caplog.text]).encode()
    assert b"too risky" in said and b"fine" in b"".join(files)
    for part in PARTS:
        assert part.encode() not in said and part.encode() not in values
        assert all(part.encode() not in file for file in files)


def all_of(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]
