"""``%loop VERB``: how verbs are found, read, explained and bound, and where ``%loop`` says that calls go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic.notebook.verbs import verbs
from cozeloop_magic.view.listing import Listing, Listings
from tests.conftest import TOKEN


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)


def said_of(settings: Listing) -> dict[str, tuple[str, str]]:
    return {row["setting"]: (row["value"], row["source"]) for row in settings}


def test_alone_it_tells_where_calls_go_and_every_verb(shell: Any) -> None:
    overview = shell.run_cell("%loop").result
    assert isinstance(overview, Listings) and shell.user_ns["_loop"] is overview
    settings = said_of(overview[0])
    assert settings["Loop"] == ("embedded, starts at the first call", "nothing else is configured")
    assert settings["data directory"][1] == "COZELOOP_MAGIC_HOME" and "cozeloop-magic" in settings["version"][0]
    listed = [row["verb"].split()[1] for row in overview[1]]
    assert listed == [name for name in verbs() if name != "overview"] and all(
        row["what it does"].endswith(".") for row in overview[1]
    )
    assert "%loop use local|hosted" in [row["verb"] for row in overview[1]]


@pytest.mark.usefixtures("hosted")
def test_it_names_what_set_each_setting_and_never_shows_the_token(shell: Any) -> None:
    shell.run_line_magic("config", "LoopMagics.api_base_url = 'https://loop.example.com'")
    shown = shell.run_cell("%loop").result._repr_mimebundle_()
    settings = said_of(shell.user_ns["_loop"][0])
    assert settings["Loop"] == ("https://loop.example.com", "%config")
    assert settings["workspace"] == ("73917", "COZELOOP_WORKSPACE_ID")
    assert settings["authentication"] == ("a token, not shown", "COZELOOP_API_TOKEN")
    assert all(TOKEN not in text and TOKEN[4:] not in text for text in shown.values())


def test_half_a_configuration_is_said_with_what_is_missing(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    assert "COZELOOP_WORKSPACE_ID missing" in said_of(shell.run_cell("%loop").result[0])["Loop"][0]


@pytest.mark.usefixtures("hosted")
def test_this_kernel_can_be_sent_to_the_embedded_loop_and_back(shell: Any) -> None:
    used = said_of(shell.run_cell("%loop use local").result)
    assert used["Loop"] == ("embedded, starts at the first call", "%loop use")
    back = said_of(shell.run_cell("%loop use hosted").result)
    assert back["Loop"] == ("https://api.coze.cn", "default")


def test_a_loop_that_is_not_configured_cannot_be_used(shell: Any, capsys: Any) -> None:
    assert not shell.run_cell("%loop use hosted").success
    assert "No hosted Loop is configured. Set COZELOOP_WORKSPACE_ID" in capsys.readouterr().out
    assert not shell.run_cell("%loop use moon").success
    assert "%loop use local" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["%loop use?", "%loop use --help", "  %loop use ??", "%loop use local -h"])
def test_a_verbs_manual_is_one_question_away(shell: Any, capsys: Any, line: str) -> None:
    assert shell.run_cell(line).success
    manual = capsys.readouterr().out
    assert "%loop use [-o NAME] local|hosted" in manual and "It holds until the kernel ends" in manual


def test_a_question_within_another_magics_cell_is_text(
    shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell.run_cell("%%writefile kept.txt\n%loop use?").success
    assert Path("kept.txt").read_text() == "%loop use?\n"


def test_an_unknown_verb_names_the_near_one_and_an_unknown_option_the_near_option(shell: Any, capsys: Any) -> None:
    assert not shell.run_cell("%loop overvew").success
    assert "There is no verb overvew (did you mean overview?)" in capsys.readouterr().out
    assert not shell.run_cell("%loop use local --aut x").success
    assert "did you mean --out?" in capsys.readouterr().out


def test_a_value_is_bound_and_arguments_come_from_python(shell: Any, capsys: Any) -> None:
    shell.user_ns["where"] = "local"
    assert shell.run_cell("used = %loop use $where --out also").success
    assert shell.user_ns["used"] is shell.user_ns["also"] is shell.user_ns["_loop"]
    assert not shell.run_cell("%loop use $nowhere").success
    assert "nowhere, which is not defined" in capsys.readouterr().out
    assert not shell.run_cell("%loop use local --out 1x").success
    assert "no Python name" in capsys.readouterr().out


def ours(shell: Any) -> list[Any]:
    return [each for each in shell.input_transformers_cleanup if each.__module__.startswith("cozeloop")]


def test_unloading_takes_the_question_away(shell: Any) -> None:
    assert ours(shell)
    shell.run_line_magic("unload_ext", "cozeloop_magic")
    assert not ours(shell)
