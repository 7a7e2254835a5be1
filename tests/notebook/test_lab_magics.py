"""``%%loop_compare`` and ``%loop_batch`` in a shell: what they read, what they show, and what they bind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from cozeloop_magic.errors import LoopError, StoreError
from cozeloop_magic.lab.comparison import Comparison
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.runs import RunStore, default_path
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop, refusal

ROWS = [{"review": f"text {n}", "label": "good" if n % 3 else "bad"} for n in range(12)]


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> str:
        return (
            "perhaps"
            if version == "1.0.0" or not text[-1].isdigit()
            else "good"
            if int(text.split()[-1]) % 3
            else "bad"
        )

    with fake_loop(reply) as running:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", running.server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        yield running


@pytest.fixture
def notebook(shell: Any, loop: FakeLoop) -> Any:
    shell.user_ns["reviews"] = pd.DataFrame(ROWS)
    return shell


def run(shell: Any, code: str) -> Any:
    return shell.run_cell(code)


COMPARE = "%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs reviews --map text=review --expect label --check equals"


def test_a_comparison_on_a_data_frame_ends_in_a_verdict(notebook: Any, capsys: Any) -> None:
    assert run(notebook, f"{COMPARE} --out cmp").success
    shown = capsys.readouterr()
    assert shown.out.startswith("2.0.0 is better than 1.0.0: 12 of 12 inputs pass the checks with 2.0.0")
    assert "24 runs: 2 versions × 12 inputs." in shown.err
    cmp = notebook.user_ns["cmp"]
    assert isinstance(cmp, Comparison) and notebook.user_ns["_loop"] is cmp and cmp.verdict == "better"
    assert TOKEN not in shown.out + shown.err


def test_a_cell_gives_each_value_of_a_list_as_an_input(notebook: Any, capsys: Any) -> None:
    assert run(notebook, "%%loop_compare greet@1.0.0 greet@2.0.0 --grid text\ntext: [text 1, text 3]").success
    assert "With fewer than 6 inputs nothing can be shown" in capsys.readouterr().err
    assert len(notebook.user_ns["_loop"]) == 4


@pytest.mark.parametrize("written", ['["text 1", "text 3"]', "[1, 2]", "\n- text 1\n- text 3"])
def test_a_list_is_one_however_it_is_written(notebook: Any, written: str) -> None:
    assert run(
        notebook, f"%%loop_compare greet@2.0.0 --quiet --grid text\ntext:{' ' * (written[0] == '[')}{written}"
    ).success
    assert len(notebook.user_ns["_loop"]) == 2


def test_columns_and_checks_of_several_words_and_text_from_python(notebook: Any) -> None:
    wide = notebook.user_ns["reviews"].rename(columns={"review": "The review", "label": "The label"})
    notebook.user_ns |= {"wide": wide, "column": "The label", "version": "2.0.0", "none": None}
    compare = "%loop_compare greet -v 1.0.0 -v $version -v $none --inputs wide --quiet --off -o cmp "
    for rest in (
        '--map text="The review" --expect "The label" --check equals',
        '--map "text=The review" --expect $column --check "equals"',
        '--map text="The review" --check "regex:^(good|bad)$" --check finish:stop',
    ):
        assert run(notebook, compare + rest).success and notebook.user_ns["cmp"].verdict == "better", rest
    batch = '%loop_batch $wide -p greet -v $version --map text="The review" --column "The answer" -o told --off'
    assert run(notebook, batch + ' --check contains:"no such thing" --expect $column --check equals').success
    told = notebook.user_ns["told"]
    assert told["equals"].all() and not told["contains:no such thing"].any() and told["The answer"][1] == "good"


def test_text_that_reads_as_python_of_the_notebook_is_told(notebook: Any, capsys: Any) -> None:
    assert run(notebook, "%%loop_compare greet@2.0.0 --plain\ntext: reviews.review[1]").success
    assert "this is text; `text = reviews.review[1]` is Python" in capsys.readouterr().err
    assert run(notebook, "%%loop_batch reviews -p greet -v 2.0.0\ntext: reviews.review[1]").success
    assert "`text = reviews.review[1]` is Python" in capsys.readouterr().err


def test_a_function_of_the_notebook_checks(notebook: Any) -> None:
    run(notebook, "def short(answer, row):\n    return len(answer.text) < 5")
    assert run(notebook, COMPARE.replace("equals", "python:short") + " --decide short --quiet").success
    assert notebook.user_ns["_loop"].verdict == "better"


def test_what_is_required_and_not_shown_fails_the_cell_and_binds_all_the_same(notebook: Any, capsys: Any) -> None:
    backwards = COMPARE.replace("-v 1.0.0 -v 2.0.0", "-v 2.0.0 -v 1.0.0")
    assert not run(notebook, f"{backwards} --require not-worse --out cmp").success
    assert "RequirementNotMet" in capsys.readouterr().out and notebook.user_ns["cmp"].verdict == "worse"


def test_a_full_disk_fails_the_cell_and_what_came_is_bound(
    notebook: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all, kept = RunStore.put_all, []

    def put_until_full(store: RunStore, records: Any) -> None:
        if len(kept) == 5:
            raise StoreError("The store cannot take any more (the disk is full).")
        kept.append(put_all(store, records))

    monkeypatch.setattr(RunStore, "put_all", put_until_full)
    assert not run(notebook, f"{COMPARE} -j 1 --out cmp").success
    assert "the disk is full" in capsys.readouterr().out
    cmp = notebook.user_ns["cmp"]
    assert isinstance(cmp, Comparison) and notebook.user_ns["_loop"] is cmp
    assert 5 <= cmp.state.phases[Phase.DONE] < 24


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%loop_compare greet --inputs revues", "There is no table revues"),
        ("%loop_compare greet --set temperature", "--set temperature has no `=`"),
        ("%loop_compare greet --inputs reviews --price 3", "no pair of numbers"),
        ("%loop_compare greet --grid text --var text=x", "needs a list of values"),
        ("%loop_compare greet 1.0.0 2.0.0 --inputs reviews", "1.0.0 looks like a version"),
        ("%loop_compare greet -v 1.0.0 --inputs reviews --expect label", "No column is named text"),
        ("%loop_compare greet --chek equals", "did you mean --check?"),
        ("%loop_compare", "Name the prompt"),
        ("%loop_batch reviews", "--prompt"),
        ("%loop_batch reviews --prompt greet --map text", "has no `=`"),
    ],
)
def test_a_slip_is_told_and_nothing_runs(notebook: Any, loop: FakeLoop, capsys: Any, line: str, said: str) -> None:
    assert not run(notebook, line).success
    out = capsys.readouterr().out
    assert said in out and "Traceback" not in out and loop.executions == 0


def test_a_batch_labels_a_data_frame(notebook: Any, loop: FakeLoop, capsys: Any) -> None:
    line = "%loop_batch reviews --prompt greet -v 2.0.0 --map text=review --column said --out labelled"
    assert run(notebook, line).success
    assert list(notebook.user_ns["labelled"]["said"]) == [row["label"] for row in ROWS]
    assert "12 of 12 rows" in capsys.readouterr().err
    assert run(notebook, line).success and loop.executions == 12
    assert "12 were in the store" in capsys.readouterr().err


def test_a_sample_is_looked_at_first(notebook: Any, loop: FakeLoop) -> None:
    assert run(notebook, "%loop_batch reviews -p greet -v 2.0.0 --map text=review --sample 3 --out few").success
    assert len(notebook.user_ns["few"]) == 3 and loop.executions == 3


def test_a_setting_keeps_nothing_of_any_comparison_or_batch(notebook: Any, loop: FakeLoop) -> None:
    assert run(notebook, "%config LoopMagics.keep = False").success
    assert run(notebook, f"{COMPARE} --quiet").success
    assert run(notebook, "%loop_batch reviews -p greet -v 2.0.0 --map text=review --quiet").success
    assert not default_path().exists() and loop.executions == 36
    assert run(notebook, "%config LoopMagics.keep = True").success
    assert run(notebook, f"{COMPARE} --quiet").success and default_path().exists()


def test_a_first_look_shows_answers_and_what_all_would_cost(notebook: Any, loop: FakeLoop, capsys: Any) -> None:
    assert run(notebook, "%loop_batch reviews -p greet -v 2.0.0 --map text=review --sample 2").success
    shown = capsys.readouterr()
    assert "text 1" in shown.out and "good" in shown.out and "finish_reason" in shown.out
    assert "12 rows · 2 of 12 are in the store · 10 calls to come: about 50 → 30 tokens" in shown.err


def test_a_batch_goes_on_behind_other_cells(notebook: Any, loop: FakeLoop) -> None:
    line = "%loop_batch reviews -p greet -v 2.0.0 --map text=review --background --out labelled"
    assert run(notebook, line).success
    behind = notebook.user_ns["labelled"]
    assert behind is notebook.user_ns["_loop"] and len(behind.result(timeout=20)) == 12 and behind.done
    assert run(notebook, "table = await labelled").success and len(notebook.user_ns["table"]) == 12


def test_one_behind_other_cells_is_stopped_or_fails_by_itself(notebook: Any, loop: FakeLoop) -> None:
    quick, gate = loop.reply, threading.Event()
    loop.reply = lambda version, text: (gate.wait(10), quick(version, text))[1]
    assert run(notebook, "%loop_batch reviews -p greet -v 2.0.0 --map text=review -j 2 --background -o some").success
    notebook.user_ns["some"].stop()
    gate.set()
    assert len(notebook.user_ns["some"].result(timeout=20)) < 12
    assert run(notebook, "%loop_batch reviews -p greet -v 9.9.9 --map text=review --background -o none").success
    with pytest.raises(LoopError, match=r"9\.9\.9"):
        notebook.user_ns["none"].result(timeout=20)


def test_a_schema_comes_from_the_notebook(notebook: Any, loop: FakeLoop, capsys: Any) -> None:
    loop.reply = lambda version, text: '{"mood": "good"}' if text.endswith("1") else "{}"
    notebook.user_ns["Mood"] = {"required": ["mood"], "properties": {"mood": {}}}
    line = "%loop_batch reviews -p greet -v 2.0.0 --map text=review --schema {} --out moods"
    assert run(notebook, line.format("Mood")).success
    moods = notebook.user_ns["moods"]
    assert moods["answer.mood"].tolist()[:2] == [None, "good"] and "'mood' is a required" in moods["error"][0]
    capsys.readouterr()
    assert not run(notebook, line.format("Mod")).success
    told = capsys.readouterr()
    assert "There is no schema Mod" in told.out and "0 rows" not in told.err


def test_what_failed_is_said(notebook: Any, loop: FakeLoop, capsys: Any) -> None:
    loop.reply = lambda version, text: refusal(600505014, "too risky")
    assert run(notebook, "%loop_batch reviews -p greet -v 2.0.0 --map text=review").success
    shown = capsys.readouterr().err
    assert shown.startswith("12 of 12 rows · ") and " · 12 failed\n" in shown
    assert "The last that failed said: " in shown and "too risky" in shown and "--retry-errors asks again" in shown
    capped = "%loop_batch table -p greet -v 2.0.0 --fail-above 0.2 -o so_far"
    notebook.user_ns["table"] = [{"text": f"text {n}"} for n in range(60)]
    assert not run(notebook, capped).success and len(notebook.user_ns["so_far"]) >= 20


def test_a_terminal_asks_line_by_line(notebook: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(notebook, f"{COMPARE} --decide human --out cmp").success
    assert "nobody has rated" in capsys.readouterr().out
    asked = iter(["what?", "=", "1", "2", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(asked))
    assert run(notebook, "rating = cmp.rate()").success
    out = capsys.readouterr().out
    assert "1 of 12: text" in out and "--- 2 ---\n" in out and "4 of 12" in out and "5 of 12" not in out
    assert "people prefer" in out and "9 more inputs are not rated." in out and "Of 3 pairs you preferred" in out
    assert len(notebook.user_ns["rating"].rated) == 3


def test_an_end_of_input_ends_the_rating_and_keeps_it(
    notebook: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(notebook, f"{COMPARE} --decide human --out cmp").success
    asked = iter(["=", EOFError()])

    def answer(prompt: str) -> str:
        said = next(asked)
        if isinstance(said, EOFError):
            raise said
        return said

    monkeypatch.setattr("builtins.input", answer)
    assert run(notebook, "cmp.rate()").success and "Of 1 pair you preferred" in capsys.readouterr().out
