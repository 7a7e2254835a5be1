"""A comparison of several models of one endpoint, through the embedded Loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cozeloop_magic import Client, compare, new_client
from cozeloop_magic.errors import BadRequest
from tests.local.endpoint import Endpoint, delta, embedded, stream

ROWS = [{"review": f"text {n}", "label": "good" if n % 3 else "bad"} for n in range(12)]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """`org/knows:7b` says the label, `guesses` never does."""

    def respond(body: dict[str, Any]) -> tuple[int, str, str]:
        number = int(body["messages"][-1]["content"].split("text ")[-1].split()[0])
        said = ("good" if number % 3 else "bad") if body["model"] == "org/knows:7b" else "perhaps"
        return stream(delta(content=said), delta("stop"))(body)

    with embedded(monkeypatch, respond, "guesses, org/knows:7b") as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[Client]:
    with new_client(api_base_url="local") as client:
        yield client


def test_two_models_are_compared_and_the_better_one_is_named(client: Client, endpoint: Endpoint) -> None:
    variants = [f"classify_review@0.2.0 model={name}" for name in ("guesses", "org/knows:7b")]
    cmp = compare(client, variants, ROWS, expect="label", checks=["equals"])
    assert cmp.verdict == "better" and "model=org/knows:7b is better" in str(cmp)
    assert sorted(body["model"] for body in endpoint.requests) == ["guesses"] * 12 + ["org/knows:7b"] * 12
    assert cmp[f"0.2.0 {variants[1].split()[1]}", 3].model == "org/knows:7b"


def test_a_magic_names_them_as_values_of_a_setting(shell: Any, endpoint: Endpoint, capsys: Any) -> None:
    shell.user_ns["reviews"] = ROWS
    code = "%loop_compare classify_review -v 0.2.0 --set model=guesses,org/knows:7b --inputs reviews"
    assert shell.run_cell(f"{code} --expect label --check equals").success
    assert "model=org/knows:7b is better than" in capsys.readouterr().out


def test_a_cell_asks_another_one(shell: Any, endpoint: Endpoint) -> None:
    line = "%loop_prompt classify_review -v 0.2.0 --var 'review=text 1' --quiet --out answer"
    for option, model in (("", "guesses"), (" --set model=org/knows:7b", "org/knows:7b")):
        assert shell.run_cell(line + option).success
        assert shell.user_ns["answer"].model == model == endpoint.requests[-1]["model"]


def test_the_first_answers_where_nothing_is_said_and_one_that_is_not_there_is_told(client: Client) -> None:
    ask = {"version": "0.2.0", "variable_vals": {"review": "text 1"}}
    assert client.execute_prompt("classify_review", **ask).model == "guesses"
    with pytest.raises(BadRequest, match=r"no model gpt here\. There is: guesses, org/knows:7b"):
        client.execute_prompt("classify_review", **ask, custom_model_config={"model_id": "gpt"})
    chosen = client.model_config_with("classify_review", "0.2.0", {"model": "org/knows:7b", "temperature": 0})
    answer = client.execute_prompt("classify_review", **ask, custom_model_config=chosen)
    assert (answer.model, answer.text) == ("org/knows:7b", "good")


def test_a_version_may_name_its_model(client: Client) -> None:
    def commit(key: str, model_id: str) -> None:
        prompt_id = client.prompts.create(key, key)
        template = {"template_type": "normal", "messages": [{"role": "user", "content": "text 1"}]}
        detail = {"prompt_template": template, "model_config": {"model_id": model_id}}
        client.prompts.save_draft(prompt_id, detail)
        client.prompts.commit_draft(prompt_id, "1.0.0", "first")

    commit("here", "org/knows:7b")
    commit("elsewhere", "gpt")
    commit("of_the_platform", "1737521813")
    here, elsewhere = client.execute_prompt("here"), client.execute_prompt("elsewhere")
    assert (here.model, here.notes) == ("org/knows:7b", ())
    assert (elsewhere.model, elsewhere.notes) == ("guesses", ("the version's own model, gpt, is not here",))
    assert client.execute_prompt("of_the_platform").notes == ()
