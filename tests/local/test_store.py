"""What the store keeps, and what it refuses."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from cozeloop_magic.errors import RemoteError
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import MIGRATIONS, Store

DETAIL = {"prompt_template": {"template_type": "normal", "messages": [], "variable_defs": []}}


@pytest.fixture
def blank(tmp_path):
    with closing(Store(tmp_path / "blank.db")) as store:
        yield store


@pytest.fixture
def poem(blank):
    return blank.create_prompt("poem", "A poem")


def commit(store, prompt_id, *versions):
    for version in versions:
        store.save_draft(prompt_id, DETAIL)
        store.commit_draft(prompt_id, version)


def refused(call, *args, **kwargs):
    with pytest.raises(RemoteError) as caught:
        call(*args, **kwargs)
    return caught.value.code, caught.value.message


class TestTheDatabase:
    def test_it_is_made_from_nothing_and_brought_to_the_latest_shape(self, blank, tmp_path):
        with closing(sqlite3.connect(tmp_path / "blank.db")) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_one_of_the_oldest_shape_keeps_what_it_holds(self, tmp_path):
        with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as db:
            db.executescript(MIGRATIONS[0])
            db.execute("INSERT INTO prompts VALUES (7, 'poem', 'A poem', '', 1, 2)")
            db.execute("INSERT INTO workspace VALUES ('12')")
            db.execute("PRAGMA user_version = 1")
        with closing(Store(tmp_path / "old.db")) as store:
            row = store.prompt(7)
            assert (row.prompt_key, row.prompt_type, row.security_level) == ("poem", "normal", "L3")
            assert store.workspace_id == "12"

    def test_opening_it_again_changes_nothing(self, blank, tmp_path):
        with closing(Store(tmp_path / "blank.db")) as again:
            assert again.workspace_id == blank.workspace_id

    def test_the_workspace_is_a_64_bit_number(self, blank):
        assert 10**18 <= int(blank.workspace_id) < 2**63

    def test_many_threads_may_open_a_new_one_at_once(self, tmp_path):
        ids = set()

        def open_it():
            with closing(Store(tmp_path / "x.db")) as store:
                ids.add(store.workspace_id)

        threads = [threading.Thread(target=open_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 1

    def test_a_committed_version_cannot_be_changed_even_by_hand(self, blank, poem, tmp_path):
        commit(blank, poem, "1.0.0")
        with (
            closing(sqlite3.connect(tmp_path / "blank.db")) as db,
            pytest.raises(sqlite3.IntegrityError, match="never"),
        ):
            db.execute("UPDATE commits SET detail = '{}'")


class TestVersions:
    def test_the_latest_is_the_one_committed_last(self, blank, poem):
        commit(blank, poem, "2.0.0", "1.0.0")
        assert blank.commit_of(blank.prompt(poem)).version == "1.0.0"

    def test_a_version_knows_what_it_was_based_on(self, blank, poem):
        commit(blank, poem, "1.0.0", "2.0.0")
        assert blank.commit_of(blank.prompt(poem)).base_version == "1.0.0"

    def test_a_taken_version_is_refused_and_the_draft_stays(self, blank, poem):
        commit(blank, poem, "1.0.0")
        blank.save_draft(poem, DETAIL)
        assert refused(blank.commit_draft, poem, "1.0.0")[0] == 600501009
        assert blank.draft(poem) is not None

    def test_without_a_draft_there_is_nothing_to_commit(self, blank, poem):
        assert refused(blank.commit_draft, poem, "1.0.0")[0] == 600501001

    def test_a_missing_version_is_told_with_those_there_are(self, blank, poem):
        commit(blank, poem, "1.0.0", "1.1.0")
        code, message = refused(blank.commit_of, blank.prompt(poem), version="9.9.9")
        assert code == 600501002 and "1.0.0, 1.1.0" in message

    def test_before_the_first_commit_there_is_no_version(self, blank, poem):
        assert refused(blank.commit_of, blank.prompt(poem))[0] == 600501003

    def test_pages_of_versions_begin_with_the_latest(self, blank, poem):
        commit(blank, poem, "1.0.0", "2.0.0", "3.0.0")
        first = blank.commits(poem, size=2)
        rest = blank.commits(poem, size=2, before=first[-1].sequence)
        assert [c.version for c in first + rest] == ["3.0.0", "2.0.0", "1.0.0"]


class TestPrompts:
    def test_a_taken_key_is_refused(self, blank, poem):
        assert refused(blank.create_prompt, "poem", "Another")[0] == 600501008

    def test_an_unknown_key_is_told_with_similar_ones(self, blank, poem):
        code, message = refused(blank.prompt_by_key, "peom")
        assert code == 600501001 and "Did you mean poem?" in message

    def test_with_nothing_similar_all_keys_are_told(self, blank, poem):
        assert "There are: poem." in refused(blank.prompt_by_key, "zzz")[1]

    def test_a_deleted_prompt_leaves_nothing_behind(self, blank, poem, tmp_path):
        commit(blank, poem, "1.0.0")
        blank.save_draft(poem, DETAIL)
        blank.delete_prompt(poem)
        assert refused(blank.prompt, poem)[0] == 600501001
        with closing(sqlite3.connect(tmp_path / "blank.db")) as db:
            assert db.execute("SELECT (SELECT COUNT(*) FROM commits) + (SELECT COUNT(*) FROM drafts)").fetchone() == (
                0,
            )

    def test_the_id_of_a_deleted_prompt_is_never_used_again(self, blank, poem):
        blank.delete_prompt(poem)
        assert blank.create_prompt("poem", "A poem") > poem

    def test_a_prefix_is_a_prefix_and_no_pattern(self, blank, poem):
        commit(blank, poem, "1.0.0")
        assert blank.list_prompts(page=1, size=10, prefix="po")[1] == 1
        assert blank.list_prompts(page=1, size=10, prefix="A p")[1] == 1
        assert blank.list_prompts(page=1, size=10, prefix="%")[1] == 0

    def test_what_is_not_there_is_told_in_few_words(self, blank, poem):
        for number in range(50):
            blank.create_prompt(f"many_{number:02}", "x")
        code, message = refused(blank.prompt_by_key, "q" * 5000)
        assert code == 600501001 and len(message) < 500
        assert "31 more, many_31, " in message and message.endswith("many_49, poem.")
        commit(blank, poem, *[f"1.0.{number}" for number in range(50)])
        code, message = refused(blank.commit_of, blank.prompt(poem), version="9" * 5000)
        assert code == 600501002 and message.endswith(
            "30 more, " + ", ".join(f"1.0.{n}" for n in range(30, 50)) + "."
        )
        assert len(message) < 500

    def test_a_page_of_many_is_read_by_as_many_queries_as_one_of_few(self, blank):
        for number in range(100):
            commit(blank, blank.create_prompt(f"many_{number}", "x"), "0.1.0")
        queries = []
        blank._database._db.set_trace_callback(queries.append)
        asked = []
        for size in 1, 80:
            rows, total = blank.list_prompts(page=1, size=size)
            assert (len(rows), total) == (size, 100)
            asked.append(len(queries))
            queries.clear()
        assert asked[0] == asked[1] > 0


class TestSeeds:
    def test_the_first_start_has_them_all(self, store):
        rows, total = store.list_prompts(page=1, size=200)
        assert {row.prompt_key for row in rows} == set(read_seeds()) and total == len(rows)

    def test_seeding_again_changes_nothing(self, store):
        before = store.list_prompts(page=1, size=200)
        store.seed(read_seeds())
        assert store.list_prompts(page=1, size=200) == before

    def test_what_the_user_deleted_stays_deleted(self, store):
        store.delete_prompt(store.prompt_by_key("chat").id)
        store.seed(read_seeds())
        assert refused(store.prompt_by_key, "chat")[0] == 600501001

    def test_a_later_release_brings_new_prompts_and_versions(self, blank):
        seeds = read_seeds()
        older = {"summarize": {**seeds["summarize"], "versions": {"1.0.0": seeds["summarize"]["versions"]["1.0.0"]}}}
        blank.seed(older)
        blank.seed(seeds)
        assert blank.commit_of(blank.prompt_by_key("summarize")).version == "2.0.0"
        assert blank.prompt_by_key("chat")

    def test_but_not_to_a_prompt_that_the_user_went_on_with(self, blank):
        seeds = read_seeds()
        blank.seed({"chat": seeds["chat"]})
        commit(blank, blank.prompt_by_key("chat").id, "1.0.1")
        later = {
            **seeds["chat"],
            "versions": {**seeds["chat"]["versions"], "2.0.0": seeds["chat"]["versions"]["1.0.0"]},
        }
        blank.seed({"chat": later})
        assert blank.commit_of(blank.prompt_by_key("chat")).version == "1.0.1"

    def test_nor_to_a_prompt_of_the_users_that_has_the_same_key(self, blank):
        blank.create_prompt("chat", "Mine")
        blank.seed(read_seeds())
        assert blank.prompt_by_key("chat").latest_version is None

    def test_the_demo_has_the_versions_and_the_label_of_coze_s_examples(self, store):
        demo = store.prompt_by_key("ptaas_demo")
        assert [c.version for c in store.commits(demo.id, size=10)] == ["0.0.8", "0.0.5", "0.0.2", "0.0.1"]
        assert store.commit_of(demo, label="production").version == "0.0.1"
        assert store.commit_of(demo).version == "0.0.8"

    def test_a_label_that_marks_nothing_is_told_with_those_that_do(self, store):
        code, message = refused(store.commit_of, store.prompt_by_key("explain_concept"), label="test")
        assert code == 600501007 and "beta (1.1.0), production (1.0.0)" in message

    def test_a_version_wins_over_a_label(self, store):
        assert (
            store.commit_of(store.prompt_by_key("ptaas_demo"), version="0.0.2", label="nonsense").version == "0.0.2"
        )
