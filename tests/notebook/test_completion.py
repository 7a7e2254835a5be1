"""Completion, as front ends ask IPython for it: what is offered, that it is quick, and that nothing comes twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.terminal.ptutils import IPythonPTCompleter
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.notebook.verbs import verbs
from tests.conftest import soon
from tests.growth import lines_run
from tests.local.conftest import Server

SEEDED = sorted(read_seeds())


@pytest.fixture
def notebook(shell: Any, embedded: Server) -> Any:
    shell.Completer.use_jedi = False
    warm(shell)
    return shell


def warm(shell: Any) -> None:
    """Let the background find out what there is."""
    for text in ("%loop show ", "%loop show explain_concept -v ", "%loop show explain_concept -l "):
        until = time.monotonic() + 30
        while not offered(shell, text):
            assert time.monotonic() < until, text
    offered(shell, "%%loop_prompt explain_concept -v 1.0.0\nco")


def completions(shell: Any, text: str, behind: str = "") -> list[Any]:
    with provisionalcompleter():
        return list(shell.Completer.completions(text + behind, len(text)))


def offered(shell: Any, text: str, behind: str = "") -> list[str]:
    """Give what each completion puts in, but for one that changes nothing."""
    found = completions(shell, text, behind)
    return [each.text for each in found if each.text != text[each.start :]]


class TestLine:
    def test_verbs_with_what_they_do(self, notebook: Any) -> None:
        assert offered(notebook, "%loop ") == list(verbs())
        found = completions(notebook, "rows = %loop pro")
        assert [each.text for each in found] == ["prompts"] and found[0].type.startswith("List the prompts")
        assert "rows = %loop pro"[found[0].start : found[0].end] == "pro"

    @pytest.mark.parametrize(
        "line", ["%loop show ", "%%loop_prompt ", "%loop_compare ", "%%loop_define ", "%loop_batch rows --prompt "]
    )
    def test_keys(self, notebook: Any, line: str) -> None:
        assert sorted(offered(notebook, line)) == SEEDED
        assert offered(notebook, f"{line}explain_c") == ["explain_concept"]

    @pytest.mark.parametrize(
        ("line", "there"),
        [
            ("%loop show explain_concept -v ", ["1.1.0", "1.0.0"]),
            ("%%loop_prompt explain_concept --version 1.0", ["1.0.0"]),
            ("%%loop_prompt explain_concept --version=1.0", ["1.0.0"]),
            ("%loop_compare explain_concept -v 1.0.0 -v ", ["1.1.0"]),
            ("%loop_compare explain_concept@1.1", ["explain_concept@1.1.0"]),
            ("%loop_compare explain_concept:be", ["explain_concept:beta"]),
            ("%loop diff explain_concept 1.0.0 ", ["1.1.0", "1.0.0", "beta", "production", "draft"]),
            ("%loop show explain_concept -l pr", ["production"]),
            ("%loop label explain_concept 1.0.0 te", ["test"]),
            ("%loop use ", ["local", "hosted"]),
            ("%%loop_define explain_concept --bump m", ["major", "minor"]),
            ("%loop_compare explain_concept --check fin", ["finish:"]),
            ("%%loop_prompt explain_concept -v 1.1.0 --var ", ["concept=", "audience="]),
            ("%%loop_prompt explain_concept -v 1.1.0 --var concept=rain --var ", ["audience="]),
            ("%loop_compare explain_concept -v 1.0.0 -v 1.1.0 --grid ", ["concept", "audience"]),
        ],
    )
    def test_versions_labels_and_words(self, notebook: Any, line: str, there: list[str]) -> None:
        offered(notebook, line)  # what is not known yet is asked for
        until = time.monotonic() + 30
        while offered(notebook, line) != there and time.monotonic() < until:
            pass
        assert offered(notebook, line) == there

    def test_options_that_are_not_given_yet(self, notebook: Any) -> None:
        assert "--version" in offered(notebook, "%%loop_prompt explain_concept --")
        assert offered(notebook, "%%loop_prompt explain_concept --ver") == ["--version"]
        assert offered(notebook, "%%loop_prompt explain_concept -v 1.0.0 --ver") == []
        assert offered(notebook, "%%loop_prompt explain_concept --var concept=a --va") == ["--var"]

    def test_files_and_tables(self, notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "reviews.csv").write_text("a\n")
        (tmp_path / "data" / "notes.txt").write_text("a\n")
        notebook.user_ns["rows"] = [{"a": 1}]
        assert offered(notebook, "%loop_batch ro") == ["rows"]
        assert offered(notebook, "%loop import da") == ["data/"]
        assert offered(notebook, "%loop_compare explain_concept --inputs data/") == ["data/reviews.csv"]

    def test_nothing_comes_twice(self, notebook: Any) -> None:
        assert offered(notebook, "%loop show expl", "ain_concept -v 1.0.0") == []
        assert offered(notebook, "%loop show explain", "_concept -v 1.0.0") == []
        assert offered(notebook, "%loop show explain_concept") == []


class TestBody:
    CELL = "%%loop_prompt explain_concept --version 1.1.0\n"

    def test_only_variables_that_are_missing(self, notebook: Any) -> None:
        until = time.monotonic() + 30
        while offered(notebook, f"{self.CELL}co") != ["concept: "] and time.monotonic() < until:
            pass
        found = completions(notebook, f"{self.CELL}co")
        assert [each.text for each in found] == ["concept: "] and found[0].type.startswith("string: What to explain")
        assert offered(notebook, f"{self.CELL}concept: rain\n") == ["audience: "]
        assert offered(notebook, f"{self.CELL}", "\naudience = who\n") == ["concept: "]
        assert offered(notebook, f"{self.CELL}concept: rain\naudience: me\n") == []
        assert offered(notebook, "%%loop_prompt explain_concept -v 1.1.0 --var concept=a\n") == ["audience: "]

    def test_not_within_a_value_nor_below_the_line(self, notebook: Any) -> None:
        assert "audience: " not in offered(notebook, f"{self.CELL}concept: a")
        assert "audience: " not in offered(notebook, f"{self.CELL}concept: a\n---\na")
        assert offered(notebook, f"{self.CELL}concept: a\n---\n@us") == ["@user"]

    def test_a_definition_has_settings_and_roles(self, notebook: Any) -> None:
        assert offered(notebook, "%%loop_define x\nmo") == ["model:"]
        assert "name:" not in offered(notebook, "%%loop_define x\nname: y\n")
        assert offered(notebook, "%%loop_define x\n@pl") == ["@placeholder"]

    def test_a_cell_of_another_kind_is_left_alone(self, notebook: Any) -> None:
        assert "concept: " not in offered(notebook, "print('%loop')\nco")
        assert "real" in offered(notebook, "x = 1  # %loop\n(1).re")[0]


class TestSpeed:
    def test_five_thousand_prompts(self, shell: Any, embedded: Server) -> None:
        with embedded.store._transaction() as db:
            for number in range(5000):
                key = f"many_{number:04}"
                row = db.execute(
                    "INSERT INTO prompts (prompt_key, display_name, description, created_at, updated_at)"
                    " VALUES (?, ?, ?, 1, 1)", (key, key, "One of many."),
                )  # fmt: skip
                db.execute(
                    "INSERT INTO commits (prompt_id, version, base_version, description, committed_at, detail)"
                    " VALUES (?, '0.1.0', '', '', 1, '{}')", (row.lastrowid,),
                )  # fmt: skip
        assert len(shell.run_cell("%loop prompts").result) == 50  # with all imports
        assert lines_run(lambda: shell.run_cell("%loop prompts --page 3")) < 200_000
        until = time.monotonic() + 30
        while "many_4999" not in offered(shell, "%loop show many_499"):
            assert time.monotonic() < until
        for text in ("%loop show many_", "%loop show many_49", "%%loop_prompt m", "%loop_compare many_1"):
            assert lines_run(lambda text=text: offered(shell, text)) < 200_000  # type: ignore[misc]

    def test_offline_it_is_silent_and_quick(
        self, shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any
    ) -> None:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "1")
        monkeypatch.setenv("COZELOOP_API_TOKEN", "t" * 20)
        offered(shell, "%loop show ")  # imports what it needs
        assert offered(shell, "%loop show ") == [] and offered(shell, "%loop versi") == ["versions"]
        assert lines_run(lambda: offered(shell, "%loop show ")) < 5_000
        assert capsys.readouterr() == ("", "") and not caplog.records


def test_what_was_just_committed_is_known(notebook: Any) -> None:
    assert notebook.run_cell("%%loop_define greeting\n@user\nGreet {{name}}.\n").success
    until = time.monotonic() + 30
    while offered(notebook, "%loop show gree") != ["greeting"]:
        assert time.monotonic() < until


def test_a_terminal_completes_the_same(notebook: Any) -> None:
    completer = IPythonPTCompleter(notebook.Completer)
    found = list(completer.get_completions(Document("%loop show explain_c"), CompleteEvent()))
    assert [(each.text, each.start_position) for each in found] == [("explain_concept", -len("explain_c"))]
    assert found[0].display_meta_text.startswith("What a sentence about the audience")
    assert not list(completer.get_completions(Document("%loop show nothing_like_it "), CompleteEvent()))


def test_it_goes_on_no_tape(notebook: Any, tmp_path: Path) -> None:
    tape = tmp_path / "lesson.loop"
    assert notebook.run_cell(f"%loop record {tape}").success
    begun = tape.read_bytes()
    notebook.magics_manager.registry["LoopMagics"]._completion._known.doubt()
    assert offered(notebook, "%loop show expl") == ["explain_concept"] and notebook.run_cell("%loop doctor").success
    assert tape.read_bytes() == begun
    assert notebook.run_cell("%loop prompts").success and tape.read_bytes() != begun
    assert notebook.run_cell("%loop record stop").success


def test_unloading_ends_it(notebook: Any) -> None:
    notebook.run_line_magic("unload_ext", "cozeloop_magic")
    assert not notebook.Completer.custom_matchers and "explain_concept" not in offered(notebook, "%loop show ")


def test_its_thread_ends_where_nobody_completes(notebook: Any) -> None:
    offered(notebook, "%loop show ")
    assert soon(lambda: not any(each.name == "cozeloop-completion" for each in threading.enumerate()))
    notebook.magics_manager.registry["LoopMagics"]._completion._known.doubt()
    assert "chat" in offered(notebook, "%loop show ")
