"""Prompts as files: what is exported and imported is the same to the byte, against a real embedded server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cozeloop_magic import Client, new_client
from cozeloop_magic.authoring.files import SUFFIX, export_prompts, file_name, import_prompts, left_over, plan_import
from cozeloop_magic.cli.commands import main
from cozeloop_magic.errors import LoopError
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from cozeloop_magic.view.files import exported_files
from tests.authoring import test_definition
from tests.local.conftest import TOKEN, Parrot, Server


def served(home: Path, *, seeded: bool) -> Iterator[tuple[Client, Store]]:
    with closing(Store(home / "prompts.db")) as store:
        store.seed(read_seeds() if seeded else {})
        server = Server(store, Parrot())
        with new_client(server.url, server.workspace_id, TOKEN) as client:
            yield client, store
        server.stop()


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Store]]:
    yield from served(tmp_path_factory.mktemp("here"), seeded=True)


@pytest.fixture
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Store]]:
    yield from served(tmp_path_factory.mktemp("there"), seeded=False)


def read(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def import_all(client: Client, directory: Path, **options: Any) -> dict[str, str]:
    done = import_prompts(client, plan_import(client, directory), **options)
    return {each.key: each.state for each in done}


def detail(store: Store, key: str) -> Any:
    return store.commit_of(store.prompt_by_key(key)).detail


def _acceptable(written: dict[str, Any]) -> bool:
    """Whether a server keeps it: a message has one of its roles, and variables are named once."""
    return all(each.get("role") != "oracle" for each in written["prompt_template"]["messages"])


_servable = test_definition.TestRoundTrip.details.filter(_acceptable)


@given(details=st.lists(_servable, min_size=20, max_size=20))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_round_trip_of_generated_prompts(
    details: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten times twenty."""
    home = tmp_path_factory.mktemp("generated")
    with ExitStack() as stack:
        (client, store), (other, others) = (
            stack.enter_context(contextmanager(served)(tmp_path_factory.mktemp(name), seeded=False)) for name in "ab"
        )
        for number, each in enumerate(details):
            made = client.prompts.create(f"p{number}", f"Prompt {number}", "made up")
            client.prompts.save_draft(made, each)
            client.prompts.commit_draft(made, "0.1.0")
        export_prompts(client, None, home / "a")
        assert set(import_all(other, home / "a", as_is=True).values()) == {"new"}
        export_prompts(other, None, home / "b")
        assert read(home / "a") == read(home / "b")
        for number, _ in enumerate(details):
            assert detail(store, f"p{number}") == detail(others, f"p{number}")


class TestRoundTrips:
    def test_every_seeded_prompt(self, here: Any, there: Any, tmp_path: Path) -> None:
        (client, store), (other, others) = here, there
        export_prompts(client, None, tmp_path / "a")
        assert set(import_all(other, tmp_path / "a").values()) == {"new"}
        export_prompts(other, None, tmp_path / "b")
        assert read(tmp_path / "a") == read(tmp_path / "b") and len(read(tmp_path / "a")) == len(read_seeds())
        for key in read_seeds():
            assert detail(store, key) == detail(others, key)
        assert set(import_all(other, tmp_path / "a").values()) == {"same"}


class TestExport:
    def test_what_is_the_same_is_not_written_again(self, here: Any, tmp_path: Path) -> None:
        client, _ = here
        first = export_prompts(client, ["chat", "summarize", "chat"], tmp_path)
        assert [(each.key, each.file, each.written) for each in first] == [
            ("chat", "chat.prompt.md", True),
            ("summarize", "summarize.prompt.md", True),
        ]
        before = (tmp_path / "chat.prompt.md").stat().st_mtime_ns
        assert not any(each.written for each in export_prompts(client, ["chat", "summarize"], tmp_path))
        assert (tmp_path / "chat.prompt.md").stat().st_mtime_ns == before and len(read(tmp_path)) == 2

    @given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=6))
    def test_any_key_has_a_name_of_its_own_that_every_file_system_takes(self, keys: list[str]) -> None:
        names: list[str] = []
        for key in keys:
            names.append(file_name(key, names))
            assert unquote(names[-1].removesuffix(SUFFIX), errors="surrogatepass") == key
        assert len({name.lower() for name in names}) == len(names)
        assert all(name.isascii() and name.isprintable() and not set(name) & set('<>:"/\\|?* ') for name in names)

    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("greet", "greet.prompt.md"),
            ("con", "%63on.prompt.md"),
            ("com1.x", "%63om1.x.prompt.md"),
            ("../x", "%2e.%2fx.prompt.md"),
            ("-rf", "%2drf.prompt.md"),
            ("问候", "%e9%97%ae%e5%80%99.prompt.md"),
            ("a%b", "a%25b.prompt.md"),
        ],
    )
    def test_odd_keys(self, key: str, name: str) -> None:
        assert file_name(key) == name

    def test_keys_that_differ_in_capitals_only_have_two_files(self) -> None:
        assert file_name("Greet", ["greet.prompt.md"]) == "%47reet.prompt.md"


class TestImport:
    @pytest.fixture
    def files(self, here: Any, tmp_path: Path) -> Path:
        export_prompts(here[0], None, tmp_path)
        return tmp_path

    def edit(self, files: Path, key: str, old: str, new: str) -> None:
        path = files / f"{key}.prompt.md"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def test_only_what_changed_is_committed(self, here: Any, files: Path) -> None:
        client, store = here
        self.edit(files, "chat", "tutor", "teacher")
        planned = plan_import(client, files)
        assert {each.key: each.state for each in planned}["chat"] == "changed"
        assert store.prompt_by_key("chat").latest_version == "1.0.0"
        done = {each.key: each for each in import_prompts(client, planned, message="a word")}
        assert done["chat"].version == "1.0.1" and {each.version for each in done.values()} == {"", "1.0.1"}
        commit = store.commit_of(store.prompt_by_key("chat"))
        assert (commit.version, commit.description) == ("1.0.1", "a word")
        assert set(import_all(client, files).values()) == {"same"}

    def test_what_git_makes_of_line_ends_changes_nothing(self, here: Any, files: Path) -> None:
        for path in files.iterdir():
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        assert set(import_all(here[0], files).values()) == {"same"}

    def test_one_that_cannot_be_read_holds_up_all_others(self, here: Any, files: Path) -> None:
        self.edit(files, "chat", "tutor", "teacher")
        (files / "broken.prompt.md").write_text("no message")
        (files / "bytes.prompt.md").write_bytes(b"\xff\xfe\x00")
        done = {each.key: each for each in import_prompts(here[0], plan_import(here[0], files))}
        assert done["broken"].state == done["bytes"].state == "failed"
        assert "broken.prompt.md" in str(done["broken"].error) and "no text in UTF-8" in str(done["bytes"].error)
        assert here[1].prompt_by_key("chat").latest_version == "1.0.0"

    def test_two_files_of_one_prompt_are_refused(self, here: Any, files: Path) -> None:
        self.edit(files, "chat", "tutor", "teacher")
        (files / "%63hat.prompt.md").write_bytes((files / "chat.prompt.md").read_bytes())
        failed = [each for each in plan_import(here[0], files) if each.state == "failed"]
        assert [each.file for each in failed] == ["%63hat.prompt.md", "chat.prompt.md"]
        assert all("another file is of the prompt chat, too" in str(each.error) for each in failed)

    def test_marks_of_a_merge_are_told_and_commit_nothing(self, here: Any, files: Path) -> None:
        self.edit(files, "chat", "@user\n", "@user\n<<<<<<< HEAD\nHo\n=======\n>>>>>>> other\n")
        done = {each.key: each for each in import_prompts(here[0], plan_import(here[0], files))}
        assert done["chat"].state == "failed" and "a merge left its marks" in str(done["chat"].error)

    def test_a_prompt_that_is_gone_is_named_where_its_file_is_left(self, here: Any, files: Path, capsys: Any) -> None:
        client, store = here
        store.delete_prompt(store.prompt_by_key("chat").id)
        exported = export_prompts(client, None, files)
        assert left_over(exported, files) == ["chat.prompt.md"] and (files / "chat.prompt.md").is_file()
        assert "No prompt of this Loop has chat.prompt.md" in exported_files(exported, "d", ["chat.prompt.md"]).note

    def test_what_a_link_leads_to_is_read_and_never_written(
        self, here: Any, files: Path, tmp_path_factory: Any
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "kept.md"
        (files / "chat.prompt.md").rename(elsewhere)
        (files / "chat.prompt.md").symlink_to(elsewhere)
        assert set(import_all(here[0], files).values()) == {"same"}
        elsewhere.write_text("mine")
        export_prompts(here[0], ["chat"], files)
        assert elsewhere.read_text() == "mine" and not (files / "chat.prompt.md").is_symlink()

    @pytest.mark.parametrize("call", ["is_dir", "iterdir", "read_bytes"])
    def test_what_may_not_be_read_is_told(self, here: Any, files: Path, monkeypatch: Any, call: str) -> None:
        def denied(path: Path) -> Any:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, call, denied)
        try:
            states = {str(each.error) for each in plan_import(here[0], files)}
        except LoopError as error:
            states = {str(error)}
        assert all("cannot be used: Permission denied" in each for each in states)

    @pytest.mark.parametrize("call", ["mkdir", "write_bytes"])
    def test_what_may_not_be_written_is_told(self, here: Any, tmp_path: Path, monkeypatch: Any, call: str) -> None:
        def read_only(path: Path, *args: Any, **kwargs: Any) -> Any:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(Path, call, read_only)
        with pytest.raises(LoopError, match="cannot be used: Read-only file system"):
            export_prompts(here[0], ["chat"], tmp_path / "out")

    def test_one_that_somebody_drafts_fails_alone(self, here: Any, files: Path) -> None:
        client, store = here
        self.edit(files, "chat", "tutor", "teacher")
        self.edit(files, "summarize", "short points", "brief points")
        store.save_draft(store.prompt_by_key("chat").id, {"prompt_template": {"messages": []}})
        done = import_all(client, files)
        assert done["chat"] == "failed" and done["summarize"] == "changed"


class TestCommands:
    @pytest.fixture(autouse=True)
    def configured(self, here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        endpoint = here[0].connect()
        monkeypatch.setenv("COZELOOP_API_BASE_URL", endpoint.base_url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", endpoint.workspace_id)
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)

    def run(self, capsys: Any, *line: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(list(line)) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err and TOKEN not in out + err
        return str(out + err)

    def test_each_shows_text_and_json(self, capsys: Any) -> None:
        assert "explain_concept" in self.run(capsys, "prompts")
        (row,) = json.loads(self.run(capsys, "prompts", "expl", "--json"))
        assert row["key"] == "explain_concept" and row["committed"].startswith("20")
        assert self.run(capsys, "show", "chat").startswith("chat @ 1.0.0 (production)")
        shown = json.loads(self.run(capsys, "show", "explain_concept", "-l", "production", "--json"))
        assert shown["prompt_commit"]["commit_info"]["version"] == "1.0.0" and shown["labels"]["beta"] == "1.1.0"
        assert "For an audience." in self.run(capsys, "versions", "explain_concept")
        assert len(json.loads(self.run(capsys, "versions", "explain_concept", "--json"))) == 2

    def test_what_differs_is_told_by_the_exit_code_too(self, capsys: Any) -> None:
        line = ["diff", "explain_concept", "1.0.0", "1.1.0"]
        assert "{+" in self.run(capsys, *line)
        self.run(capsys, *line, "--exit-code", code=3)
        self.run(capsys, "diff", "explain_concept", "1.0.0", "production", "--exit-code")
        changes = json.loads(self.run(capsys, *line, "--json"))
        assert {each["kind"] for each in changes} == {"same", "added"}

    def test_a_file_becomes_a_version_and_a_directory_goes_out_and_in(self, capsys: Any, tmp_path: Path) -> None:
        file = tmp_path / "greeting.prompt.md"
        file.write_text("@user\nGreet {{name}}.\n")
        made = json.loads(self.run(capsys, "define", "greeting", str(file), "--json"))
        assert made["version"] == "0.1.0" and made["changed"]
        file.write_text("@user\nGreet {{ name }}.\n")
        assert "stays as it is" in self.run(capsys, "define", "greeting", str(file), "--bump", "patch", code=1)
        self.run(capsys, "export", "--all", str(tmp_path / "all"))
        assert (tmp_path / "all" / "greeting.prompt.md").read_text() == "@user\nGreet {{name}}.\n"
        self.run(capsys, "import", str(tmp_path / "all"), "--dry-run", "--exit-code")
        (tmp_path / "all" / "greeting.prompt.md").write_text("name: greeting\n---\n@user\nWave at {{name}}.\n")
        self.run(capsys, "import", str(tmp_path / "all"), "--dry-run", "--exit-code", code=3)
        done = json.loads(self.run(capsys, "import", str(tmp_path / "all"), "--json"))
        assert {each["key"]: each["version"] for each in done if each["version"]} == {"greeting": "0.1.1"}

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (["show", "nothing_like_it"], "There is no prompt nothing_like_it"),
            (["export", "chat"], "It is not clear what to export"),
            (["import", "/nowhere/at/all"], "There is no directory /nowhere/at/all"),
            (["define", "x", "/nowhere/at/all"], "cannot be used: No such file"),
        ],
    )
    def test_what_cannot_be_done_is_told_and_fails(self, capsys: Any, line: list[str], said: str) -> None:
        assert said in self.run(capsys, *line, code=1)
