"""Two persons write the same prompt: neither loses the other's work without being told."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cozeloop_magic.authoring.define import Drafts, commit
from cozeloop_magic.authoring.plan import plan
from cozeloop_magic.client.connect import new_client
from cozeloop_magic.errors import DraftConflict
from tests.local.conftest import TOKEN, Server
from tests.notebook.definitions import FIRST, SECOND, define, refusal

THEIRS = FIRST.replace("You greet.", "You greet briefly.")


@pytest.fixture
def notebook(shell: Any, embedded: Server) -> Any:
    return shell


def somebody_commits(embedded: Server, version: str, text: str = THEIRS) -> None:
    with new_client(embedded.url, embedded.workspace_id, TOKEN) as client:
        commit(client, plan(client, "greeting", text), Drafts(), version=version)


def hint_of(told: str) -> str:
    """Give the command that a refusal names."""
    return re.search(r"(%loop diff .*?) shows", told)[1]  # type: ignore[index]


class TestAVersionThatCameInBetween:
    @pytest.mark.parametrize("options", ["--bump minor", "--version 0.3.0", "--draft", "--try --var name=Ada"])
    def test_one_since_the_last_from_here_is_not_overruled(
        self, notebook: Any, embedded: Server, capsys: Any, options: str
    ) -> None:
        define(notebook, "")
        somebody_commits(embedded, "0.2.0")
        told = refusal(notebook, capsys, options)
        assert (
            "greeting @ 0.2.0 was committed by local, and this text was begun from 0.1.0; nothing was saved." in told
        )
        row = embedded.store.prompt_by_key("greeting")
        assert row.latest_version == "0.2.0" and embedded.store.draft(row.id) is None
        assert hint_of(told) == "%loop diff greeting 0.1.0 0.2.0" and notebook.run_cell(hint_of(told)).success

    def test_whoever_has_seen_it_says_so(self, notebook: Any, embedded: Server, capsys: Any) -> None:
        define(notebook, "")
        somebody_commits(embedded, "0.2.0")
        assert "--base 0.2.0 saves this text all the same" in refusal(notebook, capsys, "--bump minor")
        done = define(notebook, "--bump minor --base 0.2.0", SECOND)
        assert (done.version, done.plan.base_version) == ("0.3.0", "0.2.0")
        assert define(notebook, "--bump minor", FIRST).version == "0.4.0"  # one's own is known

    def test_a_cell_says_what_it_was_begun_from(self, notebook: Any, embedded: Server, capsys: Any) -> None:
        define(notebook, "")
        cell = notebook.run_cell("%loop new greeting --define").result
        assert cell.startswith("%%loop_define greeting --bump minor --base 0.1.0\n")
        somebody_commits(embedded, "0.2.0")
        notebook.run_line_magic("reload_ext", "cozeloop_magic")  # as after a restart: nothing is known of before
        assert not notebook.run_cell(cell.replace("You greet.", "You greet warmly.")).success
        assert "this text was begun from 0.1.0" in " ".join(capsys.readouterr().out.split())

    def test_a_cell_can_be_changed_and_run_again(self, notebook: Any) -> None:
        define(notebook, "")
        assert define(notebook, "--bump minor --base 0.1.0", SECOND).version == "0.2.0"
        assert define(notebook, "--bump minor --base 0.1.0", THEIRS).version == "0.3.0"

    def test_what_says_the_same_already_changes_nothing(self, notebook: Any, embedded: Server) -> None:
        define(notebook, "")
        somebody_commits(embedded, "0.2.0", SECOND)
        assert define(notebook, "--bump minor --base 0.1.0", SECOND).version == ""

    def test_one_that_comes_between_looking_and_writing(self, embedded: Server) -> None:
        with new_client(embedded.url, embedded.workspace_id, TOKEN) as client:
            commit(client, plan(client, "greeting", FIRST), Drafts())
            mine = plan(client, "greeting", SECOND)
            somebody_commits(embedded, "0.2.0")
            with pytest.raises(DraftConflict, match=r"begun from 0\.1\.0"):
                commit(client, mine, Drafts(), version="0.3.0")

    def test_a_prompt_that_was_deleted_is_not_made_anew_from_an_old_cell(
        self, notebook: Any, embedded: Server, capsys: Any
    ) -> None:
        define(notebook, "")
        embedded.store.delete_prompt(embedded.store.prompt_by_key("greeting").id)
        told = refusal(notebook, capsys, "--version 0.2.0 --base 0.1.0")
        assert "greeting has no version, and this text was begun from 0.1.0" in told
        assert define(notebook, "--version 0.2.0", SECOND).version == "0.2.0"


class TestWhatIsLeftBehind:
    def test_a_new_prompt_that_cannot_be_saved_leaves_its_key_free(
        self, notebook: Any, embedded: Server, capsys: Any
    ) -> None:
        told = refusal(notebook, capsys, "", FIRST.replace("0.2", "warm"))
        assert "temperature must be a number" in told and "Mend the text; nothing was saved." in told
        assert define(notebook, "").version == "0.1.0"

    def test_a_draft_of_a_prompt_that_was_deleted_is_written_anew(self, notebook: Any, embedded: Server) -> None:
        define(notebook, "--draft")
        embedded.store.delete_prompt(embedded.store.prompt_by_key("greeting").id)
        assert define(notebook, "", SECOND).version == "0.1.0"

    def test_a_draft_of_one_loop_is_none_of_another(
        self, shell: Any, embedded: Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        from tests.authoring.test_files import served

        define(shell, "--draft")
        kept = embedded.store.draft(embedded.store.prompt_by_key("greeting").id)
        for client, store in served(tmp_path_factory.mktemp("other"), seeded=False):
            taken = store.create_prompt("theirs", "Theirs")  # it may well have the same id
            endpoint = client.connect()
            monkeypatch.setenv("COZELOOP_API_BASE_URL", endpoint.base_url)
            monkeypatch.setenv("COZELOOP_WORKSPACE_ID", endpoint.workspace_id)
            monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
            assert define(shell, "--draft", SECOND).draft
            assert store.draft(taken) is None and store.draft(store.prompt_by_key("greeting").id) is not None
        assert embedded.store.draft(embedded.store.prompt_by_key("greeting").id) == kept


def test_blanks_around_a_version_are_none_of_it(notebook: Any) -> None:
    assert define(notebook, "--version '0.2.0 '").version == "0.2.0"
