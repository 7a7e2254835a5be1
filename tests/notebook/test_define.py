"""``%%loop_define`` against a real embedded Loop: a cell is a prompt, and its next version."""

from __future__ import annotations

from typing import Any

import pytest

from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.run.answer import Answer
from tests.conftest import TOKEN as SECRET
from tests.local.conftest import Server
from tests.notebook.definitions import FIRST, SECOND, define, refusal
from tests.wire_server import answer, by_path


@pytest.fixture
def notebook(shell: Any, embedded: Server) -> Any:
    return shell


def versions(shell: Any) -> list[str]:
    return [row["version"] for row in shell.run_cell("%loop versions greeting").result]


class TestCommit:
    def test_a_cell_becomes_a_prompt_and_then_its_next_version(self, notebook: Any, embedded: Server) -> None:
        first = define(notebook, "--message 'the first one' --out made")
        assert (first.version, first.plan.base_version) == ("0.1.0", "") and notebook.user_ns["made"] is first
        notebook.user_ns["why"] = "warmer"
        second = define(notebook, "--bump minor -m $why", SECOND)
        assert (second.version, second.plan.base_version) == ("0.2.0", "0.1.0")
        assert ("added", " warmly") in second.plan.changes
        listed = notebook.run_cell("%loop versions greeting").result
        assert [(row["version"], row["why"]) for row in listed] == [("0.2.0", "warmer"), ("0.1.0", "the first one")]
        row = embedded.store.prompt_by_key("greeting")
        assert embedded.store.commit_of(row).detail == {
            "prompt_template": {
                "template_type": "normal",
                "messages": [
                    {"role": "system", "content": "You greet warmly."},
                    {"role": "user", "content": "Greet {{name}}."},
                ],
                "variable_defs": [{"key": "name", "type": "string"}],
            },
            "model_config": {"temperature": 0.2},
        }

    @pytest.mark.parametrize(("bump", "version"), [("major", "1.0.0"), ("minor", "0.2.0"), ("patch", "0.1.1")])
    def test_a_part_is_raised(self, notebook: Any, bump: str, version: str) -> None:
        define(notebook, "")
        assert define(notebook, f"--bump {bump}", SECOND).version == version

    def test_what_did_not_change_is_not_saved(self, notebook: Any, capsys: Any) -> None:
        define(notebook, "")
        assert define(notebook, "--bump patch").version == "" and versions(notebook) == ["0.1.0"]
        assert "nothing changed, and nothing was saved" in capsys.readouterr().out

    def test_a_model_that_the_text_does_not_name_stays_and_a_setting_that_is_gone_is_gone(
        self, notebook: Any, embedded: Server
    ) -> None:
        define(notebook, "", FIRST.replace("{temperature: 0.2}", "{model_id: '1', temperature: 0.2, top_p: 0.5}"))
        define(notebook, "--bump patch", SECOND)
        define(notebook, "--bump patch", SECOND.partition("---\n")[2].replace("warmly", "coldly"))
        row = embedded.store.prompt_by_key("greeting")
        assert embedded.store.commit_of(row).detail["model_config"] == {"model_id": "1", "temperature": 0.2}

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ("", "The last version is 0.1.0. Name the new one: --version, or --bump"),
            ("--version 0.1.0", "greeting has a version 0.1.0 already"),
            ("--version 1.0", "1.0 is no version"),
            ("--version v1.0.0", "v1.0.0 is no version"),
            ("--version 01.0.0", "01.0.0 is no version"),
            ("--bump middle", "middle is no part of a version"),
            ("--bump minor --version 1.0.0", "Both a version and a part"),
            ("--draft --version 1.0.0", "A draft has no version"),
            ("--bump minor --var name=Ada", "Add --try"),
        ],
    )
    def test_what_cannot_be_is_refused_and_leaves_no_draft(
        self, notebook: Any, embedded: Server, capsys: Any, options: str, said: str
    ) -> None:
        define(notebook, "")
        assert said in refusal(notebook, capsys, options)
        assert versions(notebook) == ["0.1.0"]
        assert embedded.store.draft(embedded.store.prompt_by_key("greeting").id) is None

    def test_a_name_that_is_there_stays_and_that_is_said(self, notebook: Any, capsys: Any) -> None:
        define(notebook, "", f"name: Greeting\ndescription: Says hello\n{FIRST}")
        define(notebook, "--bump patch", f"description: Says goodbye\n{SECOND}")
        assert "The description stays as it is: it is changed on the prompt's page." in capsys.readouterr().out
        shown = notebook.run_cell("%loop show greeting").result
        assert "Greeting · Says hello" in str(shown)


class TestSlips:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("variables: {nmae: string}\n---\n@user\n{{name}}", "no tag uses the variable nmae; did you mean name?"),
            ("@user\n{{ name }}", "{{ name }} stays as it is: a normal template takes {{name}} without blanks"),
            ("@user\n{{user.name}}", "{{user.name}} stays as it is: a tag of a normal template holds a name"),
            ("@user\n{% if a %}x{% endif %}", "{% if a %} stays as it is: logic needs `template: jinja2`"),
            (
                "template: jinja2\n---\n@user\n{% include 'a' %}",
                "no Loop server renders a template with {% include %}",
            ),
            ("template: jinja2\nvariables: {b: string}\n---\n@user\n{{ a }}", "no tag uses the variable b"),
        ],
    )
    def test_each_is_told_before_anything_is_saved(
        self, notebook: Any, capsys: Any, embedded: Server, text: str, said: str
    ) -> None:
        told = refusal(notebook, capsys, "", text)
        assert f"Nothing was saved: {said}" in told and "--as-is" in told
        assert embedded.store.list_prompts(page=1, size=1, prefix="greeting")[1] == 0
        assert define(notebook, "--as-is", text).version == "0.1.0"

    @pytest.mark.parametrize(
        "text", ["@user\n{{name}}", "variables: {kept: null}\n---\n@user\n{{kept}} {a} {{{}}}", "@user\n{{a}}{{b}}"]
    )
    def test_what_is_meant_is_no_slip(self, notebook: Any, text: str) -> None:
        assert define(notebook, "", text).plan.slips == ()


class TestDrafts:
    def test_a_draft_is_saved_and_then_committed_from_the_same_cell(self, notebook: Any, embedded: Server) -> None:
        define(notebook, "")
        assert define(notebook, "--draft", SECOND).draft
        assert define(notebook, "--draft", SECOND.replace("warmly", "coldly")).draft
        assert "-warmly" not in str(notebook.run_cell("%loop diff greeting 0.1.0 draft").result)
        assert define(notebook, "--bump minor", SECOND).version == "0.2.0"
        assert embedded.store.draft(embedded.store.prompt_by_key("greeting").id) is None

    def test_a_new_prompt_may_begin_as_a_draft(self, notebook: Any) -> None:
        assert define(notebook, "--draft").draft and define(notebook, "--draft", SECOND).draft
        assert define(notebook, "", SECOND).version == "0.1.0"

    def test_a_key_that_is_taken_and_not_listed_is_told(self, shell: Any, configured: Any, capsys: Any) -> None:
        taken = answer({"code": 600501008, "msg": "prompt key already exists"})
        configured(by_path(list=answer({"code": 0, "data": {"prompts": [], "total": 0}}), prompts=taken))
        assert "commit it on its page, or choose another key" in refusal(shell, capsys, "")

    def test_somebody_elses_is_left_as_it_is_unless_it_is_to_be_dropped(
        self, notebook: Any, embedded: Server, capsys: Any
    ) -> None:
        define(notebook, "")
        prompt_id = embedded.store.prompt_by_key("greeting").id
        theirs = embedded.store.save_draft(prompt_id, {"prompt_template": {"messages": []}})
        for options in ("--bump minor", "--draft", "--try --var name=Ada"):
            told = refusal(notebook, capsys, options)
            assert "The prompt has a draft by local, begun from version 0.1.0" in told
            assert "%loop diff greeting 0.1.0 draft shows it; --replace-draft drops it." in told
        assert embedded.store.draft(prompt_id) == theirs
        assert notebook.run_cell("%loop diff greeting 0.1.0 draft").success
        assert define(notebook, "--bump minor --replace-draft", SECOND).version == "0.2.0"

    def test_ones_own_is_somebody_elses_once_they_have_changed_it(
        self, notebook: Any, embedded: Server, capsys: Any
    ) -> None:
        define(notebook, "")
        define(notebook, "--draft", SECOND)
        prompt_id = embedded.store.prompt_by_key("greeting").id
        embedded.store.save_draft(prompt_id, {"prompt_template": {"messages": []}})
        assert "has a draft by" in refusal(notebook, capsys, "--bump minor")

    def test_one_that_says_the_same_is_nobodys_loss(self, notebook: Any, embedded: Server) -> None:
        define(notebook, "")
        row = embedded.store.prompt_by_key("greeting")
        embedded.store.save_draft(row.id, embedded.store.commit_of(row).detail)
        assert define(notebook, "--bump minor", SECOND).version == "0.2.0"


class TestTry:
    def test_it_runs_before_there_is_a_version(self, notebook: Any, embedded: Server) -> None:
        assert notebook.run_cell(f"%%loop_define greeting --try --var name=Ada --out said\n{FIRST}").success
        said = notebook.user_ns["said"]
        assert isinstance(said, Answer) and said.text.split() == "system: You greet. user: Greet Ada.".split()
        assert embedded.store.prompt_by_key("greeting").latest_version is None
        assert define(notebook, "").version == "0.1.0"

    def test_variables_are_checked_before_anything_is_saved(
        self, notebook: Any, embedded: Server, capsys: Any
    ) -> None:
        assert "there is no variable nmae (did you mean name?)" in refusal(notebook, capsys, "--try --var nmae=Ada")
        assert embedded.store.list_prompts(page=1, size=1, prefix="greeting")[1] == 0

    def test_a_server_that_runs_no_draft_is_sent_nothing_and_the_messages_show(
        self, shell: Any, serve: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        server = serve(by_path(list=answer({"code": 0, "data": {"prompts": [], "total": 0}})))
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", SECRET)
        assert shell.run_cell(f"%%loop_define greeting --try --var name=Ada\n{FIRST}").success
        shown = capsys.readouterr().out
        assert "dry run, no model was called" in shown and "Greet Ada." in shown
        assert [request.path.rpartition("/")[2] for request in server.requests] == ["list"]


def test_what_cannot_be_read_sends_nothing(notebook: Any, embedded: Server, capsys: Any) -> None:
    assert "there is no message" in refusal(notebook, capsys, "", "no message here")
    assert embedded.store.list_prompts(page=1, size=1, prefix="greeting")[1] == 0


def test_python_in_a_cell_is_the_notebooks(notebook: Any) -> None:
    notebook.user_ns["wise"] = "You greet wisely."
    define(notebook, "", "@system = wise\n@user\nGreet {{name}}.")
    shown = notebook.run_cell("%loop show greeting").result
    messages = shown.record.prompt_commit.detail.prompt_template.messages
    assert messages[0] == Message("system", "You greet wisely.")


def test_nothing_becomes_markup(notebook: Any, capsys: Any) -> None:
    define(notebook, "", FIRST.replace("You greet", "<b>You greet"))
    defined = define(notebook, "--bump minor", FIRST.replace("You greet", "<i>You wave\x1b"))
    from cozeloop_magic.view.defined import defined_changes

    page = defined_changes(defined)._repr_mimebundle_()["text/html"]
    assert "<i>" not in page and "<b>" not in page and "\x1b" not in page
    assert "\x1b" not in capsys.readouterr().out
