"""``%%loop_prompt`` in a shell, against a real HTTP server."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, FunctionCall, Message, Role, ToolCall
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Arrived, RunState, fold
from tests.conftest import TOKEN
from tests.notebook.greet import CELL, GREET, Configured, run, sent


def test_the_answer_streams_and_is_bound(shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
    server = configured(GREET)
    result = run(shell, "greet --version 1.2.0 --out hello", CELL + "---\nBe brief.")
    assert result.success and result.result is None
    out, err = capsys.readouterr()
    assert out == "Hello Ada\n"
    assert "greet @ 1.2.0" in err and "5 → 3 tokens" in err
    hello = shell.user_ns["hello"]
    assert hello is shell.user_ns["_loop"]
    assert (str(hello), hello.version, hello.finish_reason, hello.complete) == ("Hello Ada", "1.2.0", "stop", True)
    assert hello.usage.output_tokens == 3 and hello.latency >= hello.ttft > 0
    assert sent(server)["variable_vals"] == [{"key": "name", "value": "Ada"}, {"key": "note", "value": "{}"}]
    assert sent(server)["messages"] == [{"role": "user", "content": "Be brief."}]


def test_the_version_that_was_checked_is_the_one_that_runs(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    assert run(shell, "greet --label production").success
    assert sent(server)["prompt_identifier"] == {"prompt_key": "greet", "version": "1.2.0", "label": "production"}
    assert server.requests[0].body["queries"] == [{"prompt_key": "greet", "label": "production"}]


def test_python_gives_values(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    shell.user_ns.update(names=["Ada", "Bob"], key="greet", newest="1.2.0")
    cell = 'name = " and ".join(n for n in names)\nnote = {"n": len(names)}\n---\n@user = f"Hi {names[0]}"'
    assert run(shell, "$key -v {newest}", cell).success
    assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada and Bob", '{"n": 2}']
    assert sent(server)["messages"] == [{"role": "user", "content": "Hi Ada"}]


def test_a_line_magic_takes_options_alone(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    assert shell.run_cell(
        """%loop_prompt greet --var name="Ada L" --var 'note={"a": "{x} $y"}' --quiet -o a"""
    ).success
    assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada L", '{"a": "{x} $y"}']


def test_a_loop_over_values_takes_them_from_python(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    code = """for name in ["Ada", "Bob"]:\n    %loop_prompt greet --quiet --var name=$name --var note={note}"""
    shell.user_ns["note"] = {"a": 1}
    assert shell.run_cell(code).success
    asked = [request.body["variable_vals"] for request in server.requests if "variable_vals" in request.body]
    assert [[value["value"] for value in values] for values in asked] == [["Ada", '{"a": 1}'], ["Bob", '{"a": 1}']]


def test_in_a_function_its_own_names_come_first(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    code = """def greet(name, version):
    %loop_prompt greet --quiet --version $version --var name=$name --var note=$note --out hello
greet("Ada", "1.2.0")"""
    shell.user_ns.update(name="Bob", note={"a": 1})
    assert shell.run_cell(code).success
    assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada", '{"a": 1}']
    assert server.requests[0].body["queries"][0]["version"] == "1.2.0"
    assert shell.user_ns["hello"] is shell.user_ns["_loop"]


def test_none_from_python_is_an_option_not_given(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    shell.user_ns["nothing"] = None
    assert run(shell, "greet --version $nothing --label {nothing}").success
    assert server.requests[0].body["queries"] == [{"prompt_key": "greet"}]


def test_quotes_do_not_keep_python_out(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    shell.user_ns.update(key="greet", newest="1.2.0", who="Ada")
    assert run(shell, """'$key' --version "$newest" --var name="$who\"""", "note: {}").success
    assert sent(server)["prompt_identifier"] == {"prompt_key": "greet", "version": "1.2.0"}
    assert sent(server)["variable_vals"][0]["value"] == "Ada"


@pytest.mark.parametrize(
    "text", ["$5", "it costs $5 or $unknown", "{{who}}", "$$who$$", "{unknown.x}", "{unknown} and {5}", "who {", "$"]
)
def test_text_that_only_looks_like_python_is_sent_as_it_is_written(
    shell: InteractiveShell, configured: Configured, text: str
) -> None:
    server = configured(GREET)
    shell.user_ns["who"] = "Ada"
    assert run(shell, f'greet --var name="{text}"', "note: {}").success
    assert sent(server)["variable_vals"][0]["value"] == text


def test_a_key_of_an_object_is_no_name(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    shell.user_ns["who"] = "Ada"
    assert run(shell, "greet --var 'note={who: 1}'", "name: Ada").success
    assert sent(server)["variable_vals"][0]["value"] == '{"who": 1}'


def test_an_apostrophe_is_no_quote(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    assert shell.run_cell("%loop_prompt greet --quiet --var name=it's --label beta --var note={}").success
    assert sent(server)["prompt_identifier"]["label"] == "beta"
    assert sent(server)["variable_vals"][0]["value"] == "it's"


def test_what_brings_no_answer_leaves_the_last_one_alone(shell: InteractiveShell, configured: Configured) -> None:
    configured(GREET)
    assert run(shell, "greet --quiet -o hello").success
    before = shell.user_ns["hello"]
    assert not run(shell, "greet -o hello", "nmae: x").success
    assert run(shell, "greet --dry-run").success
    assert shell.user_ns["_loop"] is shell.user_ns["hello"] is before


def test_quiet_shows_nothing(shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
    configured(GREET)
    assert run(shell, "greet --quiet").success
    assert capsys.readouterr() == ("", "")
    assert str(shell.user_ns["_loop"]) == "Hello Ada"


def test_no_stream_asks_for_the_whole_answer(shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
    server = configured(GREET)
    assert run(shell, "greet --no-stream").success
    assert server.requests[-1].path.endswith("/execute")
    assert capsys.readouterr().out == "Hello world\n"


def test_a_dry_run_calls_no_model(shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
    server = configured(GREET)
    assert run(shell, "greet --dry-run -o messages", "name: {{Ada}}\nnote: {}\n---\nHi").success
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["mget"]
    out = capsys.readouterr().out
    assert "You greet {{Ada}}." in out and "no model was called" in out
    assert [message.content for message in shell.user_ns["messages"]] == ["You greet {{Ada}}.", "Hi"]


def test_the_manual_is_the_magics_help(shell: InteractiveShell) -> None:
    manual = shell.find_line_magic("loop_prompt").__doc__
    for option in (
        "--version",
        "--label",
        "--var",
        "--out",
        "--no-stream",
        "--timeout",
        "--plain",
        "--quiet",
        "--dry-run",
    ):
        assert option in manual


def test_the_manual_begins_with_two_examples(shell: InteractiveShell) -> None:
    manual = shell.find_cell_magic("loop_prompt").__doc__
    assert manual.startswith("::\n\n  %%loop_prompt ptaas_demo --version")
    assert manual.index("\n  %loop_prompt ptaas_demo -v 0.0.1 --var topic") < manual.index("Run a versioned prompt")


def test_config_names_the_server_where_the_environment_does_not(
    shell: InteractiveShell, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(GREET)
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    shell.run_cell(f"%config LoopMagics.api_base_url = '{server.url}'\n%config LoopMagics.workspace_id = '9'")
    assert run(shell, "greet").success
    assert sent(server)["workspace_id"] == "9"


def test_an_answer_is_a_row(shell: InteractiveShell, configured: Configured) -> None:
    configured(GREET)
    assert run(shell, "greet -v 1.2.0 -o hello").success
    (row,) = shell.user_ns["hello"].to_pandas().to_dict("records")
    assert (row["prompt_key"], row["version"], row["text"], row["output_tokens"]) == (
        "greet",
        "1.2.0",
        "Hello Ada",
        3,
    )
    assert repr(shell.user_ns["hello"]) == "<Answer of greet @ 1.2.0: 'Hello Ada'>"


def test_an_answer_goes_on_as_text_and_as_message(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    assert run(shell, "greet -o hello").success
    assert run(shell, "greet", "name = _loop\nnote: {}\n---\n@user = hello").success
    assert sent(server)["variable_vals"][0]["value"] == "Hello Ada"
    assert sent(server)["messages"] == [{"role": "user", "content": "Hello Ada"}]


def test_an_answer_that_asks_for_tools_goes_on_with_them(shell: InteractiveShell, configured: Configured) -> None:
    server = configured(GREET)
    call = ToolCall(0, "c1", function_call=FunctionCall("look_up", "{}"))
    message = Message(Role.ASSISTANT, "", tool_calls=(call,))
    state = fold(RunState(ExecuteRequest("greet")), Arrived(0.1, ExecuteResult(message, "tool_calls")))
    shell.user_ns["asked"] = Answer(state)
    assert run(shell, "greet", CELL + "---\n@assistant = asked\n@tool c1\n42").success
    assistant, tool = sent(server)["messages"]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == "c1"
