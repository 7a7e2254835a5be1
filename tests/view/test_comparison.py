"""A comparison as it is drawn: pages of answers without a script, and the pages of one that still goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest

from cozeloop_magic.entities.prompt import ExecuteResult, LLMConfig, Message, Prompt, TokenUsage
from cozeloop_magic.errors import ContentRejected
from cozeloop_magic.lab.checks import Score
from cozeloop_magic.lab.events import Told
from cozeloop_magic.lab.inputs import Row
from cozeloop_magic.lab.judge import Judgement
from cozeloop_magic.lab.plan import Input, Plan, Trial
from cozeloop_magic.lab.state import ExperimentState, Judged, Scored, fold
from cozeloop_magic.lab.variants import ResolvedVariant, Variant
from cozeloop_magic.run.state import Arrived, Event, Failed, Finished
from cozeloop_magic.store.key import Place
from cozeloop_magic.view.answers import Answers, to_html
from cozeloop_magic.view.comparison import bundle
from cozeloop_magic.view.pager import Pager


def plan(inputs: int, repeat: int = 1, variants: int = 2, **values: Any) -> Plan:
    resolved = tuple(ResolvedVariant(f"{n}.0.0", Variant("greet", f"{n}.0.0"), f"{n}.0.0") for n in range(variants))
    rows = [Row(n, f"row {n}", {"text": f"text {n}"} | values) for n in range(inputs)]
    given = tuple(Input(row, row.values, None, str(row.number)) for row in rows)
    return Plan(resolved, given, {n: n for n in range(inputs)}, Place("x", "7"), repeat)


def said(text: str, finish_reason: str = "stop") -> list[Event]:
    piece = ExecuteResult(Message("assistant", text), finish_reason, TokenUsage(5, 3))
    return [Arrived(0.1, piece), Finished(0.5)]


def answered(plan: Plan, texts: Any, passed: Any = None) -> ExperimentState:
    """Answer each trial with what `texts` gives for it, and score it with what `passed` gives."""
    state = ExperimentState.of(plan)
    told = [Told(trial, event) for trial in state.trials for event in said(texts(trial))]
    scored = [Scored(trial, (Score("equals", passed(trial)),)) for trial in state.trials] if passed else []
    return fold(state, *told, *scored)


def pages(html: str) -> list[tuple[str, bool, int]]:
    """The label of each page, whether it is open, and how many inputs it has."""
    found = re.findall(
        r'<details class="cozeloop-page" name="[^"]+"( open)?><summary>([^<]*)</summary>(.*?)</table>', html
    )
    return [(label, bool(opened), table.count("cozeloop-input")) for opened, label, table in found]


def test_few_inputs_need_no_pages() -> None:
    html = to_html(Answers(answered(plan(6), lambda trial: "same")))
    assert pages(html) == [] and html.count("cozeloop-input") == 6


def test_a_page_is_opened_without_a_script_and_where_they_differ_comes_first() -> None:
    state = answered(plan(70), lambda trial: "x", lambda trial: trial.input % 2 == 0 or trial.variant == 1)
    html = bundle(state)["text/html"]
    assert pages(html) == [("1–30", True, 30), ("31–35", False, 5), ("1–30", False, 30), ("31–35", False, 5)]
    assert "They differ on 35 inputs:" in html and "No difference on 35 inputs:" in html
    assert len(set(re.findall(r'cozeloop-page" name="([^"]+)"', html))) == 1 and "<script" not in html


def test_two_outputs_of_one_page_do_not_share_a_pager() -> None:
    state = answered(plan(60), lambda trial: "x")
    names = [re.findall(r'cozeloop-page" name="([^"]+)"', bundle(state)["text/html"])[0] for _ in range(2)]
    assert names[0] != names[1]


def test_what_was_lost_comes_first_and_then_what_failed() -> None:
    state = answered(plan(5), lambda trial: "x", lambda trial: (trial.input, trial.variant) != (3, 1))
    state = fold(state, Told(Trial(4, 1), Failed(1.0, ContentRejected("too risky"))))
    assert Answers(state).order[:2] == [3, 4]


def test_where_nothing_is_checked_a_judge_tells_what_was_lost() -> None:
    state = answered(plan(4), lambda trial: f"{trial}")
    said = {0: 1, 1: 0, 2: -1, 3: 0}
    state = fold(state, *(Judged(number, 1, Judgement(each)) for number, each in said.items()))
    assert Answers(state).order[0] == 2 and Answers(state).differing == [2, 0]
    html, text = bundle(state)["text/html"], bundle(state)["text/plain"]
    assert html.count("judge: worse") == text.count("judge: worse") == 1 and text.count("judge: a tie") == 2


def test_equal_answers_of_repeats_are_one_with_a_count() -> None:
    state = answered(plan(1, repeat=5), lambda trial: "rare" if trial.repeat == 2 else "often")
    html = bundle(state)["text/html"]
    assert html.count(">often</span>") == 2 and html.count("×4") == 2 and html.count(">rare</span>") == 2


def test_text_tells_what_a_page_does_of_checks() -> None:
    scores = (Score("equals", True), Score("short", False), Score("length", 7.0), Score("odd", error="check odd: no"))
    state = answered(plan(1), lambda trial: "said")
    kept = bundle(fold(state, *(Scored(trial, scores) for trial in state.trials)))
    assert all(
        remark in kept[kind]
        for remark in ("✗ short", "length 7", "check odd: no")
        for kind in ("text/plain", "text/html")
    )


def test_times_under_load_are_told_as_such() -> None:
    state = answered(plan(3), lambda trial: "x")
    assert "0.50 s a run under load of 4" in bundle(state, concurrency=4)["text/plain"]
    assert "-j 1 compares times" in bundle(state, concurrency=4)["text/html"]
    assert "load" not in bundle(state)["text/plain"] and "-j 1" not in bundle(state)["text/plain"]


def test_words_that_are_new_are_marked_also_where_the_answer_is_folded() -> None:
    long = "word " * 100
    state = answered(plan(1), lambda trial: long + ("new" if trial.variant else "old"))
    html = bundle(state, diff=True)["text/html"]
    assert "<ins>new</ins>" in html and "<ins>old" not in html and html.count("cozeloop-long") > 2


def test_the_price_is_of_a_thousand_runs_and_failures_are_counted() -> None:
    state = answered(plan(2), lambda trial: "x")
    state = fold(state, Told(Trial(1, 1), Failed(1.0, ContentRejected("too risky"))))
    text = bundle(state, prices={"input": 1.0, "output": 2.0})["text/plain"]
    assert "0.0.0: 5 → 3 tokens a run · 0.011 for 1,000 runs" in text and "1 of 2 failed" in text


def test_what_differs_from_the_committed_settings_is_told() -> None:
    committed = Prompt(prompt_key="greet", version="1.0.0", llm_config=LLMConfig(temperature=0.2))
    asked = Variant("greet", "1.0.0", None, {"temperature": 0.9, "max_tokens": 5})
    changed = ResolvedVariant("1.0.0 temperature=0.9", asked, "1.0.0", committed)
    made = plan(2, topic="tea")
    made = Plan((made.variants[0], changed), made.inputs, made.rows, made.place)
    html = bundle(answered(made, lambda trial: "x"))["text/html"]
    assert "temperature = 0.9, committed with 0.2<br>max_tokens = 5</dd>" in html
    assert "<dt>topic</dt><dd>tea</dd>" in html and "<dt>text</dt>" not in html


def test_a_models_text_stays_text() -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    html = bundle(answered(plan(2), lambda trial: hostile), diff=True)["text/html"]
    assert "<img" not in html and "<script" not in html
    ElementTree.fromstring(html.replace(" open", ' open=""').replace("<br>", ""))


class TestPager:
    @staticmethod
    def turned(pager: Pager, state: ExperimentState, *wishes: str) -> list[int]:
        for wish in wishes:
            pager.ask(wish)
        return pager.turn(state)

    @staticmethod
    def until(made: Plan, inputs: int) -> ExperimentState:
        """All trials of the first inputs are answered; the first of each five differs."""
        state = ExperimentState.of(made)
        done = [trial for trial in state.trials if trial.input < inputs]
        differ = {trial for trial in done if trial.variant and trial.input % 5 == 0}
        events = [Told(trial, event) for trial in done for event in said("new" if trial in differ else "old")]
        return fold(state, *events)

    def test_it_follows_what_is_under_way(self) -> None:
        pager, made = Pager(), plan(1000)
        assert self.turned(pager, self.until(made, 0)) == list(range(12))
        assert pager.said == "inputs 1 to 12 of 1,000"
        assert self.turned(pager, self.until(made, 30)) == list(range(24, 36))

    def test_a_page_that_was_turned_to_stays(self) -> None:
        pager, made = Pager(), plan(1000)
        self.turned(pager, self.until(made, 30))
        assert self.turned(pager, self.until(made, 30), "previous") == list(range(12, 24)) and not pager.follows
        assert self.turned(pager, self.until(made, 60), "next", "next", "next")[0] == 48
        assert self.turned(pager, self.until(made, 60), *["previous"] * 9)[0] == 0
        assert self.turned(pager, self.until(made, 60), "follow")[0] == 60

    def test_where_they_differ_alone(self) -> None:
        pager, made = Pager(), plan(1000)
        assert self.turned(pager, self.until(made, 70), "filter") == [*range(0, 60, 5)]
        assert pager.said == "1 to 12 of 14 that differ"
        assert self.turned(pager, self.until(made, 70), "next") == [60, 65]
        assert self.turned(pager, self.until(made, 70), "filter", "follow")[0] == 60

    @pytest.mark.parametrize("wish", ["", "shutdown", "None", "0"])
    def test_what_is_no_wish_changes_nothing(self, wish: str) -> None:
        pager, made = Pager(), plan(100)
        before = self.turned(pager, self.until(made, 3))
        assert self.turned(pager, self.until(made, 3), wish) == before and pager.follows

    def test_all_of_few_inputs_are_shown_without_a_pager(self) -> None:
        pager = Pager()
        assert self.turned(pager, self.until(plan(12), 4)) == list(range(12)) and pager.said == ""

    def test_never_more_than_24_trials(self) -> None:
        for variants, repeat in ((2, 1), (3, 4), (6, 10), (2, 5)):
            made: Sequence[int] = Pager().turn(ExperimentState.of(plan(50, repeat, variants)))
            assert len(made) == max(1, 24 // (variants * repeat))
