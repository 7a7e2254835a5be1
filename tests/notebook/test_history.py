"""What cells ran: kept, listed, drawn again, asked again, answered from the store, and forgotten."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.cli.commands import main
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.runs import KEEP_VARIABLE, RunStore, default_path
from cozeloop_magic.view.render import bundle
from tests.conftest import TOKEN
from tests.notebook.greet import DEFINITION, GREET, MGET, STREAM, Configured, run
from tests.wire_server import answer, by_path, delta, hang_up, in_turn, last, send, stream


def kept() -> list[Any]:
    with RunStore.open() as store:
        return list(store.history)


def verb(shell: InteractiveShell, line: str) -> Any:
    done = shell.run_cell(f"%loop {line}")
    assert done.success, done.error_in_exec
    return done.result


BROKEN = by_path(mget=MGET, execute_streaming=stream([delta("Hel")]))
REFUSED = by_path(mget=MGET, execute_streaming=answer({"code": 600505014, "msg": "too risky"}))


class TestKeeping:
    def test_a_cell_keeps_its_run_as_it_was_written(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        assert run(shell, "greet --version 1.2.0 -o hello").success
        (record,) = kept()
        assert record.cell == "%%loop_prompt greet --version 1.2.0 -o hello\nname: Ada\nnote: {}\n"
        assert record.state() == replace(shell.user_ns["hello"].state, definition=None)  # the server keeps that
        assert stat.S_IMODE(default_path().stat().st_mode) == 0o600

    def test_what_failed_or_broke_off_was_paid_for_too(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(BROKEN)
        assert not run(shell, "greet --quiet").success
        configured(REFUSED)
        assert not run(shell, "greet --quiet").success
        refused, broken = kept()
        assert refused.phase is broken.phase is Phase.FAILED and "too risky" in refused.error["message"]
        assert broken.error["kind"] == "StreamInterrupted" and broken.state().text == "Hel"

    def test_what_was_never_sent_is_not_kept(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        assert not run(shell, "greet", "nome: Ada\n").success
        assert run(shell, "greet --dry-run --quiet").success
        assert kept() == []

    def test_one_that_goes_on_behind_other_cells_is_kept(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        configured(GREET)
        assert run(shell, "greet --background -o hello").success
        assert shell.user_ns["hello"].result(timeout=10).text == kept()[0].state().text == "Hello Ada"

    def test_off_for_a_cell_or_for_all(
        self, shell: InteractiveShell, configured: Configured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configured(GREET)
        assert run(shell, "greet --off --quiet").success
        shell.run_line_magic("config", "LoopMagics.keep = False")
        assert run(shell, "greet --quiet").success
        shell.run_line_magic("config", "LoopMagics.keep = True")
        monkeypatch.setenv(KEEP_VARIABLE, "0")
        assert run(shell, "greet --quiet").success and not default_path().exists()
        monkeypatch.setenv(KEEP_VARIABLE, "1")
        assert run(shell, "greet --quiet").success and len(kept()) == 1

    def test_an_answer_that_cannot_be_kept_is_there_all_the_same(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        default_path().mkdir()
        assert run(shell, "greet --plain -o hello").success
        assert shell.user_ns["hello"] == "Hello Ada" and "not kept: The store of runs" in capsys.readouterr().err

    def test_no_token_and_no_header_is_kept(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        assert run(shell, "greet --quiet").success
        configured(BROKEN)
        assert not run(shell, "greet --quiet").success
        files = b"".join(path.read_bytes() for path in default_path().parent.iterdir())
        assert b"Ada" in files
        assert TOKEN.encode() not in files and TOKEN[4:].encode() not in files and b"uthorization" not in files


class TestHistory:
    def test_a_table_and_a_data_frame(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        for name in ("Ada", "Grace", "Ada"):
            assert run(shell, "greet --quiet", f"name: {name}\nnote: {{}}\n---\nin brief").success
        configured(REFUSED)
        assert not run(shell, "greet --quiet").success
        listing = verb(shell, "history --out found")
        assert [row["id"] for row in listing] == [4, 3, 2, 1] and listing is shell.user_ns["found"]
        frame = listing.to_pandas()
        assert isinstance(frame, pd.DataFrame) and frame["answer"].tolist()[1:] == ["Hello Ada"] * 3
        assert frame["ended"][0].startswith("failed: ") and "too risky" in frame["error"][0]
        assert frame["variables"][2] == {"name": "Grace", "note": "{}"} and frame["messages"][2] == ["in brief"]
        assert frame["input_tokens"][1] == 5 and frame["version"][1] == "1.2.0" and frame["when"][1].tzinfo
        assert "4 of 4 kept runs" in str(listing) and "5 → 3" in str(listing)
        assert [row["id"] for row in verb(shell, "history --grep GRACE")] == [2]
        assert [row["id"] for row in verb(shell, "history --failed")] == [4]
        assert [row["id"] for row in verb(shell, "history -n 2 --since 1d --prompt greet")] == [4, 3]
        assert len(verb(shell, "history --prompt other")) == 0

    def test_nothing_yet_is_said(self, shell: InteractiveShell) -> None:
        assert "No runs are kept yet." in str(verb(shell, "history"))
        assert verb(shell, "history").to_pandas().empty

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("history --since yesterday", "such as 7d"),
            ("history -n 0", "no history of 0 runs"),
            ("show-run 77", "There is no run 77"),
            ("rerun x", "invalid int value"),
            ("forget", "It is not said what to forget"),
            ("forget 1 --all", "More than one thing"),
            ("forget --before soon", "such as 7d"),
        ],
    )
    def test_a_slip_is_told(self, shell: InteractiveShell, capsys: Any, line: str, said: str) -> None:
        assert not shell.run_cell(f"%loop {line}").success
        told = " ".join(capsys.readouterr().out.split())
        assert said in told and "Traceback" not in told

    def test_in_a_terminal(self, shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
        configured(GREET)
        assert main(["run", "greet", "--var", "name=Ada", "--var", "note={}"]) == 0
        assert main(["run", "greet", "--var", "name=Grace", "--var", "note={}", "--off"]) == 0
        capsys.readouterr()
        assert main(["history"]) == 0
        assert re.search(r"1 of 1 kept runs.*greet +1\.2\.0 +done +Ada", capsys.readouterr().out, re.S)
        assert main(["history", "--json", "--grep", "hello", "--since", "1h"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["answer"] == "Hello Ada" and row["variables"]["name"] == "Ada" and row["id"] == 1
        assert main(["history", "--since", "soon"]) == 1 and "such as 7d" in capsys.readouterr().err


class TestAgain:
    @pytest.mark.parametrize(
        "script",
        [
            GREET,
            by_path(mget=MGET, execute_streaming=stream([delta("cut", ""), last("length")])),
            by_path(mget=answer({"code": 600502001, "msg": "busy"}), execute_streaming=STREAM),
        ],
    )
    def test_a_run_is_drawn_as_its_cell_did_without_a_call(
        self, shell: InteractiveShell, configured: Configured, script: Any
    ) -> None:
        server = configured(script)
        assert run(shell, "greet --quiet -o hello").success
        before, calls = replace(shell.user_ns["hello"].state, definition=None), len(server.requests)
        shown = verb(shell, "show-run 1")
        assert isinstance(shown, Answer) and bundle(shown.state) == bundle(before)
        assert len(server.requests) == calls and shell.user_ns["_loop"] is shown

    def test_a_failed_run_is_drawn_with_its_reason(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(BROKEN)
        assert not run(shell, "greet --quiet").success
        data, _ = shell.display_formatter.format(verb(shell, "show-run 1"))  # type: ignore[union-attr]
        assert "Hel" in data["text/plain"] and "StreamInterrupted" in data["text/plain"]

    def test_its_cell_is_inserted(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        assert run(shell, "greet --quiet", "# mine\nname: Ada\nnote: {}\n").success
        assert shell.run_cell("%loop_prompt greet --quiet --var name=Grace --var note={}").success
        inserted: list[str] = []
        shell.set_next_input = lambda text, replace=False: inserted.append(text)  # type: ignore[method-assign]
        assert verb(shell, "rerun 1") is None and verb(shell, "rerun 2") is None
        assert inserted == [
            "%%loop_prompt greet --quiet\n# mine\nname: Ada\nnote: {}\n",
            "%%loop_prompt greet\nname: Grace\nnote: {}",
        ]
        assert shell.run_cell(inserted[1]).success and kept()[0].key == kept()[1].key


class TestCache:
    def test_an_identical_run_is_answered_from_the_store(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        server = configured(GREET)
        assert run(shell, "greet --cache --quiet").success
        calls = executions(server)
        assert run(shell, "greet --cache --plain -o again").success
        assert executions(server) == calls == 1
        assert re.search(r"kept answer of \d+ \w+, \d\d:\d\d", capsys.readouterr().err)
        assert shell.user_ns["again"] == "Hello Ada" and shell.user_ns["again"].usage.output_tokens == 3
        assert len(kept()) == 1
        assert run(shell, "greet --quiet").success and executions(server) == 2

    def test_what_differs_is_asked(self, shell: InteractiveShell, configured: Configured) -> None:
        server = configured(GREET)
        cells = [
            "name: Ada\nnote: {}",
            "name: ada\nnote: {}",
            "name: Ada\nnote: {a: 1}",
            "name: Ada\nnote: {}\n---\nmore",
        ]
        for cell in cells:
            assert run(shell, "greet --cache --quiet", cell).success
        assert executions(server) == 4
        configured(GREET)  # another server
        assert run(shell, "greet --cache --quiet", cells[0]).success and len(kept()) == 5

    def test_another_definition_under_the_same_version_is_another_prompt(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        template = DEFINITION["prompt_template"] | {"messages": [{"role": "system", "content": "Insult {{name}}."}]}  # type: ignore[operator]
        other = answer(
            {"code": 0, "data": {"items": [{"query": {}, "prompt": DEFINITION | {"prompt_template": template}}]}}
        )
        server = configured(by_path(mget=in_turn(MGET, other), execute_streaming=STREAM))
        assert run(shell, "greet --cache --quiet --version 1.2.0").success
        shell.run_line_magic("config", "LoopMagics.workspace_id = '73917'")
        shell.run_line_magic("reload_ext", "cozeloop_magic")
        assert run(shell, "greet --cache --quiet --version 1.2.0").success and executions(server) == 2

    @pytest.mark.parametrize(
        "script",
        [
            answer({"code": 600505014, "msg": "too risky"}),
            stream([delta("Hel")]),
            stream([delta("Hel"), last("length")]),
            stream([delta("Hel"), last("a strange reason")]),
            send([b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"], hang_up),
        ],
    )
    def test_errors_and_incomplete_answers_never_stand_in(
        self, shell: InteractiveShell, configured: Configured, script: Any
    ) -> None:
        server = configured(by_path(mget=MGET, execute_streaming=in_turn(script, STREAM)))
        run(shell, "greet --cache --quiet")
        before = executions(server)
        assert run(shell, "greet --cache --quiet -o hello").success
        assert executions(server) == before + 1 and shell.user_ns["hello"] == "Hello Ada"

    def test_a_version_that_is_not_known_may_have_changed(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        server = configured(by_path(mget=answer({"code": 600502001, "msg": "busy"}), execute_streaming=STREAM))
        for _ in range(2):
            assert run(shell, "greet --cache --quiet").success
        assert executions(server) == 2
        for _ in range(2):
            assert run(shell, "greet --cache --quiet --version 1.0.0").success
        assert executions(server) == 3


def executions(server: Any) -> int:
    return sum(request.path.endswith("execute_streaming") for request in server.requests)


class TestForgetting:
    def test_by_number_prompt_time_and_all(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        for name in ("Ada", "Grace", "Linus", "Guido"):
            assert run(shell, "greet --quiet", f"name: {name}\nnote: {{}}\n").success
        capsys.readouterr()
        assert verb(shell, "forget 1 3 9") is None and "2 runs were deleted for good." in capsys.readouterr().out
        files = [default_path(), *(Path(f"{default_path()}-{beside}") for beside in ("wal", "shm"))]
        held = b"".join(file.read_bytes() for file in files if file.exists())
        assert b"Grace" in held and b"Ada" not in held.replace(b"Hello Ada", b"") and b"Linus" not in held
        verb(shell, "forget --prompt other")
        verb(shell, "forget --before 1d")
        assert len(kept()) == 2
        verb(shell, "forget --all")
        assert kept() == [] and b"Guido" not in default_path().read_bytes()

    def test_a_damaged_store_that_was_set_aside_is_named(self, shell: InteractiveShell, capsys: Any) -> None:
        default_path().write_text("a shopping list\n" * 100)
        assert len(verb(shell, "history")) == 0
        verb(shell, "forget 1")
        assert "runs.db.damaged-" in capsys.readouterr().out
        verb(shell, "forget --all")
        assert [path.name for path in default_path().parent.glob("*damaged*")] == []
