"""The plan of a comparison: what runs, in which order, and all that is wrong with it told at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cozeloop_magic.client.client import Client
from cozeloop_magic.errors import InvalidRequest, LoopError, VariableError, VersionNotFound
from cozeloop_magic.lab.plan import Plan, Trial, make_plan
from cozeloop_magic.lab.variants import Variant
from tests.lab.loop import FakeLoop, fake_loop

TWO = ["greet@1.0.0", "greet@2.0.0"]
ROWS = [{"text": f"t{n}"} for n in range(4)]


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    with fake_loop() as loop:
        yield loop


@pytest.fixture
def plan(loop: FakeLoop, client_of: Callable[..., Client]) -> Callable[..., Plan]:
    client = client_of(loop.server)
    return lambda variants=TWO, table=ROWS, **options: make_plan(client, variants, table, **options)


class TestVariants:
    @pytest.mark.parametrize(
        ("text", "variant"),
        [
            ("greet", Variant("greet")),
            ("greet@1.0.0", Variant("greet", "1.0.0")),
            ("greet:production", Variant("greet", label="production")),
            ("a.b_c@1.0.0-rc.1", Variant("a.b_c", "1.0.0-rc.1")),
            (
                " greet@1.0.0  temperature=0.7 top_k=4 ",
                Variant("greet", "1.0.0", None, {"temperature": 0.7, "top_k": 4}),
            ),
            ("greet json_mode=true name=x", Variant("greet", None, None, {"json_mode": True, "name": "x"})),
        ],
    )
    def test_a_variant_is_written_in_one_way(self, text: str, variant: Variant) -> None:
        assert Variant.parse(text) == variant and Variant.parse(str(variant)) == variant

    @pytest.mark.parametrize(
        "text", ["", "@1.0.0", "greet@", "greet:", "greet@1@2", "greet temperature", "greet a=1 a=2"]
    )
    def test_anything_else_is_told(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            Variant.parse(text)

    def test_a_label_is_resolved_once_and_the_same_runs_once(self, plan: Any) -> None:
        made = plan(["greet@1.1.0", "greet:production", "greet@2.0.0"])
        assert [each.name for each in made.variants] == ["1.1.0", "2.0.0"]
        assert "greet:production is greet@1.1.0: it runs once." in made.notes
        assert plan(["greet:production", "greet"]).variants[0].name == "1.1.0 (production)"

    def test_other_prompts_are_named_with_their_keys(self, plan: Any) -> None:
        assert [each.name for each in plan(["greet@1.0.0", "meet"]).variants] == ["greet@1.0.0", "meet@1.0.0"]

    def test_all_that_are_not_there_are_named(self, plan: Any) -> None:
        with pytest.raises(VersionNotFound, match=r"no version 7\.0\.0.*no version 8\.0\.0"):
            plan(["greet@7.0.0", "greet@1.0.0", "greet@8.0.0"])

    @pytest.mark.parametrize("variants", [[], [5], [Variant("greet", "1.0.0", "production")]])
    def test_what_cannot_be_compared_is_told(self, plan: Any, variants: Any) -> None:
        with pytest.raises(InvalidRequest):
            plan(variants)


class TestTrials:
    def test_each_variant_meets_each_input_as_often_as_asked(self, plan: Any) -> None:
        made = plan(repeat=3)
        assert str(made) == "24 runs: 2 versions × 4 inputs × 3 repeats."
        assert len(made) == 24 and Counter(made.trials()) == Counter(
            Trial(i, v, r) for i in range(4) for v in range(2) for r in range(3)
        )

    def test_inputs_take_turns_and_variants_are_shuffled_by_a_seed(self, plan: Any) -> None:
        made = plan(table=[{"text": str(n)} for n in range(50)], seed=1)
        trials = made.trials()
        assert [trial.input for trial in trials] == [n for n in range(50) for _ in range(2)]
        assert {trial.variant for trial in trials[::2]} == {0, 1}
        assert trials == made.trials() != plan(table=[{"text": str(n)} for n in range(50)], seed=2).trials()

    def test_above_the_most_it_asks_for_the_flag(self, plan: Any) -> None:
        assert len(plan(max_runs=8)) == 8
        with pytest.raises(InvalidRequest, match=r"^8 runs: 2 versions × 4 inputs\. .* max_runs=8 \(--max-runs 8"):
            plan(max_runs=7)

    @pytest.mark.parametrize("repeat", [0, -1, 1.0, True, "2"])
    def test_repeats_are_counted(self, plan: Any, repeat: Any) -> None:
        with pytest.raises(InvalidRequest, match="repeat"):
            plan(repeat=repeat)


class TestInputs:
    def test_columns_are_mapped_and_others_stay_as_metadata(self, plan: Any) -> None:
        made = plan(table=[{"review": "good", "label": "pos", "id": None}], map={"text": "review"}, expect="label")
        assert made.request(Trial(0, 0)).variable_vals == {"text": "good"}
        assert made.inputs[0].expected == "pos" and made.inputs[0].row.values["id"] is None

    def test_values_for_all_inputs(self, plan: Any, loop: FakeLoop) -> None:
        loop.definitions["2.0.0"] = [{"key": "text"}, {"key": "tone"}]
        made = plan(variables={"tone": "dry"})
        assert made.request(Trial(1, 0)).variable_vals == {"text": "t1"}
        assert made.request(Trial(1, 1)).variable_vals == {"text": "t1", "tone": "dry"}
        assert len(plan(table=None, variables={"text": "x", "tone": "dry"})) == 2

    def test_equal_rows_are_one_input(self, plan: Any) -> None:
        made = plan(table=[{"text": "a"}, {"text": "b"}, {"text": "a"}])
        assert len(made.inputs) == 2 and made.input_of_row(2) == 0 and "counted once" in made.notes[-1]
        made = plan(table=[{"text": "a", "l": 1}, {"text": "a", "l": 2}], expect="l")
        assert len(made.inputs) == 2 and "different expected answers" in made.notes[-1]

    def test_all_that_is_wrong_is_told_at_once(self, plan: Any, loop: FakeLoop) -> None:
        loop.definitions["2.0.0"] = [{"key": "text"}, {"key": "stars", "type": "integer"}]
        rows = [{"text": "a", "stars": 1}, {"text": None, "stars": 1}, {"text": "c", "stars": "many"}]
        with pytest.raises(VariableError) as raised:
            plan(table=rows)
        assert "The column text is empty" in str(raised.value) and "in row 1" in str(raised.value)
        assert "stars must be integer, not 'many'" in str(raised.value) and "in row 2" in str(raised.value)

    def test_a_problem_of_every_row_is_told_once(self, plan: Any) -> None:
        with pytest.raises(VariableError) as raised:
            plan(table=[{"text": None} for n in range(100)])
        assert str(raised.value).count("The column text is empty") == 1 and "in row" not in str(raised.value)

    def test_a_variable_without_a_column_is_told_once_with_the_way_out(self, plan: Any) -> None:
        with pytest.raises(VariableError) as raised:
            plan(table=[{"txet": str(n), "l": n} for n in range(100)])
        assert str(raised.value) == (
            "No column is named text, as the variable is; the columns are txet, l. "
            "Say which one it takes: --map text=COLUMN (in a script, map={'text': 'COLUMN'})."
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"variables": {"tone": "dry"}}, "no variable tone"),
            ({"map": {"txt": "text"}}, "no variable txt"),
            ({"map": {"text": "review"}}, "no column review"),
            ({"expect": "label"}, "no column label"),
            ({"variables": {"text": "x"}}, "text is given for all inputs, and is a column"),
            ({"variables": {"text": "x"}, "map": {"text": "text"}}, "text is given for all inputs"),
        ],
    )
    def test_a_name_that_fits_nothing_is_told(self, plan: Any, options: Any, said: str) -> None:
        with pytest.raises(LoopError, match=said):
            plan(**options)


class TestDigests:
    def test_the_same_planned_again_is_the_same_job(self, plan: Any) -> None:
        assert plan().digest == plan(table=ROWS[::-1], seed=9).digest
        for other in (plan(repeat=2), plan(table=ROWS[:2]), plan(["greet@1.0.0", "greet@1.1.0"])):
            assert other.digest != plan().digest

    def test_a_prompt_made_anew_is_another_subject(self, plan: Any, loop: FakeLoop) -> None:
        before = plan(["meet", "greet:production"])
        loop.labels["production"] = "2.0.0"
        assert plan(["meet", "greet:production"]).subject != before.subject

    def test_each_trial_has_a_key_of_its_own(self, plan: Any) -> None:
        made = plan(repeat=2)
        assert len({made.key(trial) for trial in made.trials()}) == 16
