"""An answer is a text that knows its run."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cozeloop_magic import errors
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Role, TokenUsage, ToolCall
from cozeloop_magic.entities.variables import encode
from cozeloop_magic.errors import LoopError, StreamInterrupted
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.state import Arrived, Failed, Finished, Interrupted, Prepared, RunState, fold
from tests.wire_server import WHOLE, Script, WireServer


def state_of(text: str, end: Any = None) -> RunState:
    result = ExecuteResult(Message(Role.ASSISTANT, text), "stop", TokenUsage(5, 3), log_id="log-1", model="m")
    state = RunState(ExecuteRequest("greet", label="beta", variable_vals={"name": "Ada"}))
    for event in (Prepared("here", "1.2.0"), Arrived(0.1, result), end or Finished(0.5)):
        state = fold(state, event)
    return state


def answer_of(text: str, end: Any = None) -> Answer:
    return Answer(state_of(text, end))


class TestText:
    """It goes wherever text goes."""

    def test_it_is_text(self) -> None:
        answer = answer_of("Hello Ada")
        assert isinstance(answer, str) and (str(answer), f"{answer:>10}") == ("Hello Ada", " Hello Ada")
        assert type(str(answer)) is type(answer.text) is str
        assert (answer.split(), len(answer), answer[:5], "Ada" in answer) == (["Hello", "Ada"], 9, "Hello", True)
        assert re.search("A.a", answer) and " ".join([answer, answer]) == "Hello Ada Hello Ada"

    def test_it_is_read_and_written_as_json(self) -> None:
        assert json.loads(answer_of('{"a": 1}')) == {"a": 1}
        assert json.dumps([answer_of("hi")]) == '["hi"]'

    def test_it_stands_in_a_data_frame(self) -> None:
        frame = pd.DataFrame({"n": [1, 2]})
        frame["answer"] = [answer_of("one two"), answer_of("three")]
        assert frame["answer"].str.len().tolist() == [7, 5]
        assert frame.to_csv(index=False) == "n,answer\n1,one two\n2,three\n"

    def test_it_goes_through_files_and_formats(self, tmp_path: Path) -> None:
        answers = [answer_of("a,b"), answer_of("c", Interrupted(1))]
        frame = pd.DataFrame({"answer": pd.Series(answers, dtype=object)})
        frame.to_pickle(tmp_path / "answers.pkl")
        again = pd.read_pickle(tmp_path / "answers.pkl")["answer"]
        assert [each.complete for each in again] == [True, False] and list(again) == ["a,b", "c"]
        assert json.loads(frame.to_json(orient="records")) == [{"answer": "a,b"}, {"answer": "c"}]
        assert (f"{answers[0]!s:.1}", "%s" % answers[1], f"{answers[0][0]}") == ("a", "c", "a")  # noqa: UP031
        assert frame.groupby("answer").size()["c"] == 1 and sorted(answers, reverse=True)[0] is answers[1]

    def test_it_goes_to_other_processes_and_back(self) -> None:
        answers = [answer_of("hi"), answer_of("hi", Interrupted(1))]
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            told = list(pool.map(attrgetter("complete", "version", "usage.output_tokens", "text"), answers))
            again = list(pool.map(copy.copy, answers))
        assert told == [(True, "1.2.0", 3, "hi"), (False, "1.2.0", 3, "hi")]
        assert [(type(each), each.complete, each.latency) for each in again] == [
            (Answer, True, 0.5),
            (Answer, False, 1),
        ]

    def test_it_compares_and_hashes_as_text(self) -> None:
        answer = answer_of("hi")
        assert answer == "hi" == answer and hash(answer) == hash("hi") and answer < "hj"
        assert answer == answer_of("hi", Interrupted(1)) and {answer, "hi"} == {"hi"}

    def test_one_without_text_is_empty_and_still_knows_its_run(self) -> None:
        assert not answer_of("") and answer_of("").finish_reason == "stop"


class TestRun:
    """It knows how it came about."""

    def test_it_tells_what_is_known(self) -> None:
        answer = answer_of("hi")
        assert (answer.prompt_key, answer.version, answer.label) == ("greet", "1.2.0", "beta")
        assert (answer.complete, answer.finish_reason, answer.error) == (True, "stop", None)
        assert (answer.usage, answer.model, answer.log_id) == (TokenUsage(5, 3), "m", "log-1")
        assert (answer.ttft, answer.latency, answer.retries) == (0.1, 0.5, 0)
        assert answer.request.variable_vals == {"name": "Ada"} and answer.message.content == "hi"  # type: ignore[union-attr]
        assert answer.result() is answer and answer.state == state_of("hi")

    def test_one_that_is_not_complete_shows_it(self) -> None:
        assert repr(answer_of("hi")) == "<Answer of greet @ 1.2.0: 'hi'>"
        stopped = answer_of("hi", Interrupted(1))
        assert not stopped.complete and repr(stopped) == "<Answer of greet @ 1.2.0, incomplete: 'hi'>"

    def test_its_repr_moves_no_terminal(self) -> None:
        hostile = Answer(replace(state_of("\x1b[31m\u202e"), version="\x1b[2J"))
        assert "\x1b" not in repr(hostile) and "\u202e" not in repr(hostile)

    def test_a_failure_is_raised_where_its_result_is_asked_for(self) -> None:
        failed = answer_of("hi", Failed(1, StreamInterrupted("broke off", log_id="log-2")))
        with pytest.raises(StreamInterrupted):
            failed.result()

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda answer: pickle.loads(pickle.dumps(answer))])
    @pytest.mark.parametrize("kind", [None, *(getattr(errors, n) for n in errors.__all__ if n[0].isupper())])
    def test_copied_or_pickled_it_is_the_same(self, again: Callable[[Answer], Answer], kind: Any) -> None:
        error = kind and kind("no")
        if error:
            error.hint, error.log_id, error._render_traceback_ = "do", "log-3", partial(list, ["no"])
        answer = answer_of("hi", error and Failed(1, error))
        other = again(answer)
        assert type(other) is Answer and other == answer and repr(other) == repr(answer)
        assert (other.complete, other.latency, other.usage) == (answer.complete, answer.latency, answer.usage)
        assert str(other.error) == str(answer.error) and type(other.error) is type(answer.error)

    def test_behind_other_cells_an_empty_one_is_there_as_well(self) -> None:
        behind = BackgroundAnswer(ExecuteRequest("greet"), lambda: state_of(""), lambda: None)
        assert (
            behind.result(10) == "" and repr(behind) == "<BackgroundAnswer to greet: <Answer of greet @ 1.2.0: ''>>"
        )
        assert str(behind) == "" and behind.finish_reason == "stop"


class TestConversation:
    """It goes on in the next request."""

    def test_alone_it_is_text_and_message(self) -> None:
        answer = answer_of("hi")
        sent = encode("x", answer)
        assert (sent.value, sent.placeholder_messages) == ("hi", (answer.message,))
        sent = encode("x", [answer, answer])
        assert (sent.value, sent.placeholder_messages) == ('["hi", "hi"]', (answer.message,) * 2)

    def test_among_messages_it_is_one(self) -> None:
        answer, before = answer_of("hi"), Message(Role.USER, "Hello")
        sent = encode("x", [before, answer, Message(Role.ASSISTANT, answer)])
        assert sent.value is None
        assert [message.to_json() for message in sent.placeholder_messages or ()] == [
            {"role": "user", "content": "Hello"},
            *[{"role": "assistant", "content": "hi"}] * 2,
        ]

    def test_the_tools_it_asks_for_stay_with_it(self) -> None:
        call = ToolCall(0, "c1")
        state = state_of("")
        state = replace(state, result=replace(state.result, message=Message(Role.ASSISTANT, "", tool_calls=(call,))))
        (message,) = encode("x", [Answer(state)]).placeholder_messages or ()
        assert message.tool_calls == (call,)

    def test_within_an_object_it_is_text(self) -> None:
        assert encode("x", {"last": answer_of("hi")}).value == '{"last": "hi"}'


def test_a_scripts_answer_tells_the_same(
    client_of: Callable[..., Client], serve: Callable[[Script], WireServer]
) -> None:
    result = client_of(serve(WHOLE)).execute_prompt("greet", label="beta")
    assert (result.prompt_key, result.version, result.label, result.complete) == ("greet", None, "beta", True)
    assert result.latency == result.ttft is not None and result.latency > 0
    row, cell = result.to_pandas(), answer_of("hi").to_pandas()
    assert list(row.columns) == list(cell.columns)
    assert (row["text"][0], row["prompt_key"][0]) == ("Hello world", "greet")
    assert not ExecuteResult(Message(Role.ASSISTANT, "half")).complete


def test_a_row_holds_what_an_answer_tells() -> None:
    (row,) = answer_of("hi").to_pandas().to_dict("records")
    assert row == {
        "prompt_key": "greet", "version": "1.2.0", "label": "beta", "text": "hi", "finish_reason": "stop",
        "complete": True, "input_tokens": 5, "output_tokens": 3, "ttft": 0.1, "latency": 0.5, "model": "m",
        "log_id": "log-1",
    }  # fmt: skip


def test_an_error_is_pickled_with_what_it_tells() -> None:
    error = LoopError("no", hint="do", log_id="l", http_status=500, code=1)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)
