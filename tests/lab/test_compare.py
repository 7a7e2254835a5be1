"""`compare`: every answer is kept, a failure is no failed check, and what can be said is said."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, compare
from cozeloop_magic.errors import (
    ConfigurationError,
    InvalidRequest,
    PromptNotFound,
    RequirementNotMet,
    StoreError,
    VariableError,
)
from cozeloop_magic.lab import plan
from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.lab.verdict import Verdict
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.runs import RunStore, default_path
from cozeloop_magic.view.comparison import to_text
from tests.conftest import TOKEN
from tests.lab.loop import BUSY, FakeLoop, fake_loop, refusal
from tests.wire_server import delta, stream

VERSIONS = ["greet@1.0.0", "greet@2.0.0"]
TEXTS = [{"text": f"text {n}", "label": "good" if n % 3 else "bad"} for n in range(12)]


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    """2.0.0 says the label, 1.0.0 never does; ``text 5`` fails everywhere."""

    def reply(version: str, text: str) -> Any:
        number = int(text.split()[-1])
        if number == 99:
            return refusal(600505014, "too risky")
        return ("good" if number % 3 else "bad") if version == "2.0.0" else "perhaps"

    with fake_loop(reply) as running:
        yield running


@pytest.fixture
def client(loop: FakeLoop) -> Iterator[Client]:
    from cozeloop_magic import new_client

    with new_client(loop.server.url, "73917", TOKEN) as made:
        yield made


def run(client: Client, inputs: Any = TEXTS, **options: Any) -> Any:
    return compare(
        client, options.pop("variants", VERSIONS), inputs, **({"expect": "label", "checks": ["equals"]} | options)
    )


def teach_judge(loop: FakeLoop) -> None:
    """Have the loop know a prompt that judges."""
    names = [{"key": name, "type": "string"} for name in ("input", "expected", "a", "b")]
    loop.versions["judge"], loop.definitions["3.0.0"] = ["3.0.0"], names


def full() -> Any:
    raise StoreError("There is no room.")


class Recorder:
    """A view that shows all, and remembers what it was told."""

    def __init__(self) -> None:
        self.finished: list[ExperimentState] = []
        self.on_update: Callable[[ExperimentState], object] = lambda state: None

    def update(self, state: ExperimentState) -> None:
        self.on_update(state)

    def finish(self, state: ExperimentState) -> None:
        self.finished.append(state)

    def shows(self, trial: Any) -> bool:
        return True


class TestVerdict:
    def test_it_ends_in_a_sentence(self, client: Client) -> None:
        cmp = run(client)
        assert cmp.verdict == "better" and cmp.verdict is Verdict.BETTER
        assert str(cmp.decide()).startswith(
            "2.0.0 is better than 1.0.0: 12 of 12 inputs pass the checks with 2.0.0, 0 of 12 with 1.0.0"
        )
        assert cmp.decide("equals").difference == 1.0 and cmp.decide("tokens").verdict is not Verdict.BETTER

    def test_before_the_run_it_is_said_what_can_be_shown(self, client: Client) -> None:
        cmp = run(client, TEXTS[:4])
        assert cmp.state.notes[0] == (
            "8 runs: 2 versions × 4 inputs. "
            "With fewer than 6 inputs nothing can be shown; this is a look, not a test."
        )
        assert cmp.verdict is Verdict.TOO_FEW

    def test_without_a_check_there_is_nothing_to_decide_by(self, client: Client) -> None:
        cmp = run(client, checks=[])
        assert cmp.verdict is Verdict.NOTHING_TO_DECIDE_BY
        assert cmp.state.notes[0].endswith("No check is named to decide by; this is a look, not a test.")

    def test_a_failed_call_is_no_failed_check(self, client: Client) -> None:
        cmp = run(client, [*TEXTS, {"text": "text 99", "label": "good"}])
        decision = cmp.decide()
        assert (decision.pairs, decision.dropped) == (12, 1)
        frame = cmp.to_pandas()
        assert frame["error"].notna().sum() == 2 and frame["answer"].isna().sum() == 2

    def test_where_all_answers_are_alike_it_is_said(self, client: Client) -> None:
        (note,) = run(client, checks=["equals:neutral"]).state.notes[1:]
        assert note.startswith("No answer passes: do the checks ask for what you mean? One says '")
        assert run(client, checks=["contains:good", "exact"]).state.notes[1:] == ()
        assert run(client, checks=["finish:stop"]).state.notes[-1].startswith("Every answer passes: on these inputs")

    def test_what_is_required_and_not_shown_is_an_error(self, client: Client) -> None:
        run(client, require="better")
        with pytest.raises(
            RequirementNotMet, match=r"was required to be not worse\. 1\.0\.0 is worse than 2\.0\.0"
        ) as caught:
            run(client, variants=VERSIONS[::-1], require="not-worse")
        assert caught.value.result.verdict is Verdict.WORSE

    def test_checks_that_cannot_decide_say_why(self, client: Client) -> None:
        def raises(answer: Any, row: Any) -> bool:
            return bool(row["nothing"])

        def length(answer: Any, row: Any) -> int:
            return len(answer)

        few = run(client, checks=[raises]).decide()
        assert (few.verdict, few.dropped) == (Verdict.TOO_FEW, 12)
        numbers = run(client, checks=[length]).decide()
        assert str(numbers) == (
            "There is nothing to decide by: the checks give numbers alone; --decide length goes by one."
        )

    def test_the_smallest_difference_may_be_in_a_checks_own_unit(self, client: Client) -> None:
        def points(answer: Any, row: Any) -> int:
            return len(answer.text)

        cmp = run(client, checks=[points], decide="points", by=5)
        assert cmp.decide().by == 5 and cmp.decide("tokens").by < 1

    def test_a_second_look_is_judged_more_strictly(self, client: Client) -> None:
        assert [run(client).decide().look for _ in range(3)] == [1, 2, 3]
        notes = run(client).state.notes
        assert notes[1].startswith("This is look 4 at the same question")
        assert "fewer than 10 inputs" in run(client, TEXTS[:9]).state.notes[0]
        assert run(client, [{"text": "text 50", "label": "good"}]).decide().look == 1

    def test_repeats_are_told_apart(self, client: Client, loop: FakeLoop) -> None:
        cmp = run(client, TEXTS[:2], repeat=3)
        assert len(cmp) == 12 and loop.executions == 12
        assert cmp["2.0.0", 1] == "good" or str(cmp["2.0.0", 1]) == "good"

    def test_functions_and_several_variants(self, client: Client) -> None:
        def short(answer: Any, row: Any) -> bool:
            return len(answer.text) < 5

        cmp = run(client, variants=[*VERSIONS, "greet:production"], checks=[short], decide="short")
        assert [each.verdict for each in cmp.decisions] == [Verdict.BETTER, Verdict.NOT_SHOWN]
        assert [variant.name for variant in cmp.plan.variants] == ["1.0.0", "2.0.0", "1.1.0 (production)"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"max_runs": 10}, "24 runs"),
            ({"decide": "speed"}, "Nothing here measures 'speed'"),
            ({"decide": "latency"}, "times measure the queue"),
            ({"expect": None}, "compares with what is expected"),
            ({"require": "best"}, "cannot be required"),
            ({"require": "better", "checks": []}, "Nothing could show that a variant is better"),
            ({"require": "better", "variants": VERSIONS[:1]}, "nothing can be required of it"),
            ({"by": 5}, "Write 0.05 for 5 points"),
            ({"by": float("nan")}, "must be a share, from 0 to 1"),
            ({"timeout": -1}, "timeout is -1"),
            ({"checks": ["equal"]}, "did you mean equals"),
            ({"decide": "judge"}, "No judge is named"),
            ({"concurrency": 0}, "The concurrency is 0"),
        ],
    )
    def test_what_cannot_be_run_is_told_before_anything_is_paid_for(
        self, client: Client, loop: FakeLoop, options: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(InvalidRequest) as caught:
            run(client, **options)
        assert said in str(caught.value) and loop.executions == 0

    def test_all_that_is_wrong_with_the_variables_is_told_at_once(self, client: Client) -> None:
        with pytest.raises(VariableError, match="No column is named text"):
            run(client, [{"txt": "a", "label": "x"}])
        with pytest.raises(VariableError, match="did you mean text"):
            run(client, [{"other": "a", "label": "x"}], variables={"tekst": "other"})

    def test_a_version_that_is_not_there_is_named(self, client: Client) -> None:
        with pytest.raises(Exception, match=r"9\.9\.9"):
            run(client, variants=["greet@1.0.0", "greet@9.9.9"])
        with pytest.raises(PromptNotFound):
            run(client, variants=["nothing"])


class TestKept:
    def test_a_finished_comparison_runs_anew_and_one_that_is_asked_to_takes_what_is_kept(
        self, client: Client, loop: FakeLoop
    ) -> None:
        run(client)
        run(client)
        assert loop.executions == 48
        cmp = run(client, cache=True)
        assert loop.executions == 48 and cmp.verdict is Verdict.BETTER
        assert "24 of 24 runs are in the store." in cmp.state.notes
        assert cmp.look == 2 and run(client, cache=True).look == 2  # the same answers are no further look
        assert run(client, cache=True, decide="tokens").look == 1 and run(client).look == 3
        assert all("kept answer of" in trial.run.notes[0] for _, trial in cmp)

    def test_only_what_failed_runs_again(self, client: Client, loop: FakeLoop) -> None:
        inputs = [*TEXTS, {"text": "text 99", "label": "good"}]
        run(client, inputs)
        before = loop.executions
        run(client, inputs, retry_errors=True)
        assert loop.executions == before + 2
        noted = run(client, inputs, retry_errors=True).state.notes
        assert "24 of 26 runs are in the store." in noted

    def test_a_store_that_is_switched_off(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COZELOOP_MAGIC_KEEP", "0")
        cmp = run(client)
        assert not default_path().exists()
        with pytest.raises(InvalidRequest, match="kept"):
            cmp.rate()
        monkeypatch.setenv("COZELOOP_MAGIC_KEEP", "nope")
        with pytest.raises(ConfigurationError, match="COZELOOP_MAGIC_KEEP is 'nope'"):
            run(client)

    def test_it_is_said_how_many_of_the_kept_ones_failed(self, client: Client, loop: FakeLoop) -> None:
        stop, view = Stop(), Recorder()
        view.on_update = lambda state: stop() if state.phases[Phase.FAILED] >= 2 else None
        inputs = [{"text": "text 99", "label": "good"}, *TEXTS]
        run(client, inputs, view=view, stop=stop, concurrency=1, interval=0.0)
        (note,) = [note for note in run(client, inputs).state.notes if "in the store" in note]
        assert "2 of them failed (--retry-errors runs those again)" in note

    def test_a_stopped_one_goes_on_where_it_was(self, client: Client, loop: FakeLoop) -> None:
        stop, view = Stop(), Recorder()
        view.on_update = lambda state: stop() if state.phases[Phase.DONE] >= 6 else None
        first = run(client, view=view, stop=stop, concurrency=1, interval=0.0)
        done = first.state.phases[Phase.DONE]
        assert 6 <= done < 24
        second = run(client)
        assert second.state.complete and f"{done} of 24 runs are in the store." in second.state.notes
        assert loop.executions <= 24 + 1

    def test_fresh_and_without_a_store(self, client: Client, loop: FakeLoop) -> None:
        run(client, store=False)
        assert not default_path().exists()
        run(client)
        run(client, fresh=True)
        assert loop.executions == 72

    def test_a_killed_process_costs_no_more_than_what_was_under_way(self, loop: FakeLoop, tmp_path: Path) -> None:
        script = tmp_path / "run.py"
        script.write_text(
            "import sys\nfrom cozeloop_magic import compare, new_client\n"
            f"client = new_client({loop.server.url!r}, '73917', {TOKEN!r})\n"
            "inputs = [{'text': f'text {n}'} for n in range(30)]\n"
            f"cmp = compare(client, {VERSIONS!r}, inputs, concurrency=1)\n"
            "print(len(cmp), cmp.state.complete)\n"
        )
        quick = loop.reply
        loop.reply = lambda version, text: (time.sleep(0.02), quick(version, text))[1]
        first = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
        ends = time.monotonic() + 60
        while loop.executions < 30 and time.monotonic() < ends:
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        again = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert again.stdout.split() == ["60", "True"]
        assert loop.executions <= 61


class TestUnderWay:
    def test_a_server_that_asks_for_patience_loses_nothing(self, client: Client, loop: FakeLoop) -> None:
        quick, lock, refused = loop.reply, threading.Lock(), []

        def reply(version: str, text: str) -> Any:
            with lock:
                if len(refused) < 3:
                    refused.append(text)
                    return BUSY
            return quick(version, text)

        loop.reply = reply
        cmp = run(client)
        assert cmp.state.complete and cmp.state.phases[Phase.DONE] == 24

    def test_a_stop_in_mid_answer_is_no_failure(self, client: Client, loop: FakeLoop) -> None:
        stop, view, never = Stop(), Recorder(), threading.Event()
        loop.reply = lambda version, text: stream([delta("half"), never])
        view.on_update = lambda state: stop() if state.phases[Phase.STREAMING] >= 4 else None
        cmp = run(client, TEXTS[:4], stop=stop, view=view)
        never.set()
        assert cmp.state.phases == {Phase.INTERRUPTED: 4, Phase.WAITING: 4} and view.finished == [cmp.state]
        assert {trial.run.text for _, trial in cmp if trial.run.phase is Phase.INTERRUPTED} == {"half"}
        assert cmp.to_pandas()["error"].isna().all()
        with RunStore.open() as store:
            kept = [(each.phase, each.state().text, each.job) for each in store.history]
        assert len(kept) == 4 and {each[:2] for each in kept} == {(Phase.INTERRUPTED, "half")} and kept[0][2]
        loop.reply = lambda version, text: "whole"
        assert run(client, TEXTS[:4]).state.phases == {Phase.DONE: 8} and loop.executions == 12

    def test_an_error_in_the_middle_still_draws_what_came(self, client: Client) -> None:
        view = Recorder()
        with RunStore.open() as store:
            put, kept = store.put_all, []
            store.put_all = lambda records: kept.append(put(records)) if len(kept) < 5 else full()  # type: ignore[method-assign,assign,return-value]
            with pytest.raises(StoreError, match="no room") as ended:
                run(client, store=store, view=view, concurrency=1)
        (state,) = view.finished
        assert ended.value.result.state is state  # type: ignore[attr-defined]
        assert state.phases[Phase.DONE] >= 5 and state.phases[Phase.STREAMING] == 0

    def test_an_interrupt_while_the_judge_is_asked_is_a_stop(self, client: Client, loop: FakeLoop) -> None:
        teach_judge(loop)
        quick, view = loop.reply, Recorder()

        def reply(version: str, text: str) -> Any:
            if version == "3.0.0":
                signal.raise_signal(signal.SIGINT)
                return "a"
            return quick(version, text)

        loop.reply = reply
        stop = Stop()
        cmp = run(client, judge="judge@3.0.0", decide="judge", concurrency=1, stop=stop, view=view)
        assert stop.asked and cmp.state.complete and len(view.finished) == 1
        loop.reply = lambda version, text: "a" if version == "3.0.0" else quick(version, text)
        before = loop.executions
        run(client, judge="judge@3.0.0", decide="judge")
        assert loop.executions - before <= 24  # the judge's alone: its comparison had not come to its end

    def test_each_key_is_made_once(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        made = []
        monkeypatch.setattr(plan, "body_key", lambda *a: made.append(a[1]) or str(len(made)))  # type: ignore[func-returns-value]
        run(client, cache=True)
        assert len(made) == 24

    def test_inputs_may_be_a_file_with_other_names(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "reviews.csv"
        path.write_text("review,label\ntext 1,good\ntext 3,bad\n")
        cmp = run(client, str(path), map={"text": "review"})
        assert str(cmp["2.0.0", 1]) == "bad" and len(list(cmp)) == 4

    def test_a_judge_is_asked_in_both_orders_and_flips_are_ties(self, client: Client, loop: FakeLoop) -> None:
        teach_judge(loop)
        quick = loop.reply
        loop.reply = lambda version, text: "a" if version == "3.0.0" else quick(version, text)
        cmp = run(client, judge="judge@3.0.0", decide="judge")
        assert cmp.flips == (12, 12) and cmp.verdict is Verdict.NOT_SHOWN
        costs = to_text(cmp.state, prices={"input": 1, "output": 2})
        assert "judge: 24 judgements · 5 → 3 tokens a judgement · 0.011 for 1,000 judgements" in costs
        loop.reply = lambda version, text: "I like both of them a lot" if version == "3.0.0" else quick(version, text)
        unread = run(client, judge="judge@3.0.0", decide="judge", fresh=True)
        assert str(unread.decide()).endswith("no answer of the judge could be read as a, b or tie.")
        assert cmp.state.notes[-1].startswith("The judge's preference went with the order in 12 of 12 pairs")
        assert "the judge prefers 2.0.0 on 0 of 12 inputs, 1.0.0 on 0, neither on 12" in str(cmp.decide())

    def test_what_a_judge_said_is_not_paid_for_again(self, client: Client, loop: FakeLoop) -> None:
        teach_judge(loop)
        quick = loop.reply
        loop.reply = lambda version, text: "a" if version == "3.0.0" else quick(version, text)
        run(client, judge="judge@3.0.0")
        assert loop.executions == 48
        cmp = run(client, judge="judge@3.0.0", checks=[])  # the same answers again: their judgements are known
        assert loop.executions == 48 + 24 and cmp.flips == (12, 12) and cmp.decided_by == "judge"
        run(client, judge="judge@3.0.0", fresh=True)
        assert loop.executions == 48 + 24 + 48
        assert set(cmp.to_pandas()["judge"].dropna()) == {0}

    def test_of_equal_answers_no_judge_is_asked(self, client: Client, loop: FakeLoop) -> None:
        teach_judge(loop)
        loop.reply = lambda version, text: "tie" if version == "3.0.0" else "the same"
        cmp = run(client, judge="judge@3.0.0", checks=[])
        assert loop.executions == 24 and cmp.flips == (0, 0)
        assert "12 pairs are the same" in cmp.state.notes[-1] and cmp.decide().pairs == 12

    def test_a_rating_is_of_answers_and_says_nothing_of_others(self, client: Client, loop: FakeLoop) -> None:
        teach_judge(loop)
        quick = loop.reply
        loop.reply = lambda version, text: "a" if version == "3.0.0" else quick(version, text)
        cmp = run(client, judge="judge@3.0.0", decide="human")
        rating = cmp.rate()
        for pair in list(rating.left)[:8]:
            rating.rate(pair, "neither")
        decision = run(client, decide="human", judge="judge@3.0.0").decide()
        assert (decision.pairs, decision.dropped) == (8, 4) and "4 more inputs are not rated." in decision.sentence
        assert str(cmp.agreement).startswith("agrees with human ratings on 8 of 8 pairs")
        loop.reply = lambda version, text: f"{version} says something else"
        assert run(client, decide="human").verdict is Verdict.NOTHING_TO_DECIDE_BY

    def test_blind_ratings_are_kept_and_counted(self, client: Client) -> None:
        cmp = run(client, decide="human")
        assert cmp.verdict is Verdict.NOTHING_TO_DECIDE_BY
        rating = cmp.rate()
        for pair in list(rating.left):
            rating.rate(pair, "first" if pair.first != "perhaps" else "second")
        assert rating.reveal() == "Of 12 pairs you preferred: 1.0.0 0, 2.0.0 12, neither 0."
        assert cmp.decide("human").verdict is Verdict.BETTER

    def test_what_is_rated_is_not_asked_again_unless_one_wants_to(self, client: Client) -> None:
        cmp = run(client, decide="human")
        rating = cmp.rate()
        for pair in rating.pairs[:5]:
            rating.rate(pair, "neither")
        assert len(cmp.rate().pairs) == 7 and len(cmp.rate(again=True).pairs) == 12
        for pair in cmp.rate().pairs:
            rating.rate(pair, "neither")
        with pytest.raises(InvalidRequest, match="Every pair is rated"):
            cmp.rate()

    def test_the_order_is_chance_and_the_texts_tell_nothing(self, client: Client) -> None:
        pairs = [pair for _ in range(4) for pair in run(client).rate(again=True).pairs]
        assert 5 <= sum(pair.swapped for pair in pairs) <= 43
        assert all((pair.second if pair.swapped else pair.first) == "perhaps" for pair in pairs)
        assert "swapped" not in repr(run(client).rate(again=True))
