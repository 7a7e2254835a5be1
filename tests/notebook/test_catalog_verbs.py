"""``%loop prompts``, ``show``, ``versions``, ``diff``, ``new``, ``label`` and ``models``, against a real Loop."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest

from cozeloop_magic.cell.parse import parse_cell
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.view.changes import Changes
from cozeloop_magic.view.listing import Listing
from cozeloop_magic.view.prompt import ShownPrompt
from tests.conftest import TOKEN as SECRET
from tests.local.conftest import TOKEN, Server
from tests.wire_server import Request, answer

SEEDED = list(read_seeds())


@pytest.fixture
def notebook(shell: Any, loop: Server) -> Any:
    return shell


def value_of(shell: Any, line: str) -> Any:
    result = shell.run_cell(line)
    assert result.success, result.error_in_exec
    return result.result


def refusal_of(shell: Any, line: str, capsys: Any) -> str:
    capsys.readouterr()
    assert not shell.run_cell(line).success
    return " ".join(capsys.readouterr().out.split())


class TestPrompts:
    def test_a_list_that_is_a_data_frame_too(self, notebook: Any) -> None:
        listed = value_of(notebook, "%loop prompts")
        assert isinstance(listed, Listing) and sorted(row["key"] for row in listed) == sorted(SEEDED)
        row = next(row for row in listed if row["key"] == "explain_concept")
        assert row["version"] == "1.1.0" and row["name"] == "Explain a concept" and row["committed"].year >= 2026
        assert set(listed.to_pandas()["key"]) == set(SEEDED)

    def test_text_is_a_beginning_or_else_anything_within(self, notebook: Any) -> None:
        assert [row["key"] for row in value_of(notebook, "%loop prompts expl")] == ["explain_concept"]
        within = value_of(notebook, "%loop prompts REVIEW")
        assert [row["key"] for row in within] == ["classify_review"] and "begins with REVIEW" in within.note
        assert len(value_of(notebook, "%loop prompts nothing_like_it")) == 0

    def test_many_come_in_pages(self, notebook: Any, loop: Server) -> None:
        for number in range(60):
            made = loop.store.create_prompt(f"many_{number:03}", "Many")
            loop.store.save_draft(made, {"prompt_template": {}})
            loop.store.commit_draft(made, "0.1.0")
        first = value_of(notebook, "%loop prompts many")
        assert len(first) == 50 and first.note == "Page 1 of 2, 60 prompts; --page or --all shows the others."
        assert len(value_of(notebook, "%loop prompts many --page 2")) == 10
        assert len(value_of(notebook, "%loop prompts many --all")) == 60

    def test_a_page_below_one_is_refused(self, notebook: Any, capsys: Any) -> None:
        assert "There is no page 0." in refusal_of(notebook, "%loop prompts --page 0", capsys)


class TestShow:
    def test_a_version_with_its_variables_settings_and_labels(self, notebook: Any) -> None:
        shown = value_of(notebook, "%loop show explain_concept")
        assert isinstance(shown, ShownPrompt) and shown.title == "explain_concept @ 1.1.0 (beta)"
        assert [each.key for each in shown.variables] == ["concept", "audience"]
        page, text = (shown._repr_mimebundle_()[f"text/{kind}"] for kind in ("html", "plain"))
        assert 'title="string · Who listens, for example: 10 years old">{{audience}}</span>' in page
        assert "temperature 0.2 · max tokens 320" in page and "production: 1.0.0" in page
        assert "production: 1.0.0" in text and text.endswith(shown.text.rstrip("\n"))

    @pytest.mark.parametrize("which", ["-v 1.0.0", "-l production", "--version 1.0.0 --label beta"])
    def test_by_version_or_label(self, notebook: Any, which: str) -> None:
        assert (
            value_of(notebook, f"%loop show explain_concept {which}").title == "explain_concept @ 1.0.0 (production)"
        )

    @pytest.mark.parametrize("key", SEEDED)
    def test_every_kind_of_prompt_shows(self, notebook: Any, loop: Server, key: str) -> None:
        for version in read_seeds()[key]["versions"]:
            page = value_of(notebook, f"%loop show {key} -v {version}")._repr_mimebundle_()["text/html"]
            assert page.count("<span class=") >= 1
            assert not re.search(r"\n\s*\n", page)  # a blank line would end it in Markdown

    def test_what_is_not_declared_is_marked_and_nothing_becomes_markup(self, notebook: Any) -> None:
        notebook.run_cell(
            "%%loop_define strange --as-is\nvariables: {b: null}\n---\n@user\n<b>{{a}}</b> {{b}} {{ c }}\x1b[2J\n"
        )
        shown = value_of(notebook, "%loop show strange")._repr_mimebundle_()
        page = shown["text/html"]
        assert page.count("cozeloop-strange") == page.count('class="cozeloop-strange"') + 1  # and in the style sheet
        assert page.count('class="cozeloop-strange"') == 2 and "<b>" not in page and "\x1b" not in page

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("%loop show explain_concpt", "did you mean explain_concept?"),
            ("%loop show explain_concept -v 9.9.9", "has no version 9.9.9"),
            ("%loop show explain_concept -l nowhere", "marks no version"),
            ("%loop show", "Name the prompt"),
            ("%loop versions nothing_like_it", "There is no prompt nothing_like_it."),
            ("%loop diff summarize 1.0.0", "required: B"),
            ("%loop diff summarize 1.0.0 9.9.9", "has no version 9.9.9"),
        ],
    )
    def test_what_is_not_there_is_told(self, notebook: Any, capsys: Any, line: str, said: str) -> None:
        assert said in refusal_of(notebook, line, capsys)


class TestVersions:
    def test_who_when_why_and_from_which(self, notebook: Any) -> None:
        latest, first = value_of(notebook, "%loop versions explain_concept")
        assert (latest["version"], latest["from"], latest["why"]) == ("1.1.0", "1.0.0", "For an audience.")
        assert first["version"] == "1.0.0" and first["by"] == "local" and first["committed"].year >= 2026

    def test_two_are_compared_word_by_word(self, notebook: Any) -> None:
        changes = value_of(notebook, "%loop diff explain_concept production beta")
        assert isinstance(changes, Changes) and changes.title == "explain_concept: 1.0.0 (production) → 1.1.0 (beta)"
        added = "".join(text for kind, text in changes if kind == "added")
        assert "Your audience is {{audience}}." in added and "description: " in added
        assert "{+ Your audience is {{audience}}.+}" in str(changes)

    def test_the_same_twice_differs_in_nothing(self, notebook: Any) -> None:
        same = value_of(notebook, "%loop diff explain_concept 1.0.0 production")
        assert not same and "Nothing differs." in str(same)


class TestNew:
    def cell_of(self, shell: Any, line: str) -> str:
        value = value_of(shell, line)
        assert shell.rl_next_input == value
        return str(value)

    def test_every_variable_typed_with_its_description(self, notebook: Any) -> None:
        cell = self.cell_of(notebook, "%loop new explain_concept --label beta")
        first, *body = cell.split("\n")
        assert first == "%%loop_prompt explain_concept --label beta --out answer"
        assert body == [
            "# string: What to explain, for example gravity",
            "concept: ",
            "# string: Who listens, for example: 10 years old",
            "audience: ",
        ]

    @pytest.mark.parametrize("key", SEEDED)
    def test_every_cell_can_be_read_and_names_each_variable_once(self, notebook: Any, key: str) -> None:
        for version, commit in read_seeds()[key]["versions"].items():
            cell = self.cell_of(notebook, f"%loop new {key} -v {version}")
            with_text = re.sub(r": $", ": some text", cell.partition("\n")[2], flags=re.MULTILINE)
            spec = parse_cell(with_text)
            declared = [each["key"] for each in commit["detail"]["prompt_template"]["variable_defs"]]
            assert [each.name for each in spec.variables] == declared and f"--version {version}" in cell

    def test_a_text_that_was_not_filled_in_fails_the_cell(self, notebook: Any, capsys: Any) -> None:
        cell = self.cell_of(notebook, "%loop new explain_concept")
        assert "concept has no value" in refusal_of(notebook, cell, capsys)

    def test_a_cell_that_writes_the_next_version_holds_the_last(self, notebook: Any) -> None:
        cell = self.cell_of(notebook, "%loop new explain_concept --define")
        assert cell.startswith("%%loop_define explain_concept --bump minor --base 1.1.0\n")
        assert cell.endswith(value_of(notebook, "%loop show explain_concept").text.rstrip("\n"))

    def test_a_new_prompt_begins_with_a_cell_that_runs(self, notebook: Any) -> None:
        cell = self.cell_of(notebook, "%loop new my_prompt --define")
        assert cell.startswith("%%loop_define my_prompt --version 0.1.0\n") and "model_id" in cell
        assert value_of(notebook, cell) is None
        assert [row["version"] for row in value_of(notebook, "%loop versions my_prompt")] == ["0.1.0"]
        assert "topic: " in self.cell_of(notebook, "%loop new my_prompt")


class TestLabel:
    def test_the_embedded_loop_sets_and_moves_one(self, notebook: Any) -> None:
        labels = value_of(notebook, "%loop label explain_concept 1.1.0 production")
        assert {row["label"]: row["version"] for row in labels} == {"production": "1.1.0", "beta": "1.1.0"}
        value_of(notebook, "%loop label explain_concept 1.0.0 lesson-1")
        assert value_of(notebook, "%loop show explain_concept -l lesson-1").title.startswith(
            "explain_concept @ 1.0.0"
        )

    def test_only_a_version_that_is_there_and_a_label_that_is_a_word(self, notebook: Any, capsys: Any) -> None:
        assert "has no version 9.9.9" in refusal_of(notebook, "%loop label explain_concept 9.9.9 beta", capsys)
        assert "one word" in refusal_of(notebook, '%loop label explain_concept 1.0.0 "a b"', capsys)

    def test_elsewhere_it_is_refused_with_the_page_and_nothing_is_sent(
        self, shell: Any, serve: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        summary = {"id": "7511", "prompt_key": "greet", "latest_version": "1.0.0"}
        record = {"prompt": {"id": "7511", "prompt_key": "greet", "prompt_basic": {}}}

        def script(request: Request, connection: socket.socket) -> None:
            assert not request.path.startswith("/embedded")
            data = {"prompts": [summary], "total": 1} if request.path.endswith("/list") else record
            answer({"code": 0, "data": data})(request, connection)

        server = serve(script)
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", SECRET)
        said = refusal_of(shell, "%loop label greet 1.0.0 production", capsys)
        assert "can be read through its API, but not set. Set it on the prompt's page: " in said
        assert "/space/73917/pe/prompts/7511" in said


class TestModels:
    def test_the_default_answers_unless_another_is_named(self, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("COZELOOP_MAGIC_GGUF", raising=False)
        (default,) = value_of(shell, "%loop models")
        assert default["kind"] == "default" and default["chosen"] and "SmolLM2" in default["model"]
        monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_MODEL", "qwen")
        monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_API_KEY", SECRET)
        listed = value_of(shell, "%loop models")
        assert [(row["model"], row["chosen"]) for row in listed][1:] == [("qwen", True)] and not listed[0]["chosen"]
        assert SECRET not in str(listed._repr_mimebundle_())


def test_no_listing_shows_a_secret(notebook: Any, capsys: Any) -> None:
    for line in ("", "prompts", "show chat", "versions chat", "diff chat 1.0.0 1.0.0", "new chat", "models", "use"):
        value = notebook.run_cell(f"%loop {line}").result
        kept = value._repr_mimebundle_() if value is not None else {}
        assert TOKEN not in json.dumps(kept, default=str) + repr(value)
    assert TOKEN not in "".join(capsys.readouterr())
