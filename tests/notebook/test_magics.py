"""``%%loop_prompt`` in a shell, against a real HTTP server."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

from cozeloop_magic import errors
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, FunctionCall, Message, Role, ToolCall
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Arrived, RunState, fold
from tests.conftest import TOKEN
from tests.wire_server import WHOLE, Script, WireServer, answer, by_path, delta, event, last, stream

DEFINITION = {
    "prompt_key": "greet",
    "version": "1.2.0",
    "prompt_template": {
        "template_type": "normal",
        "messages": [{"role": "system", "content": "You greet {{name}}."}],
        "variable_defs": [{"key": "name", "type": "string"}, {"key": "note", "type": "object"}],
    },
}
MGET = answer({"code": 0, "data": {"items": [{"query": {}, "prompt": DEFINITION}]}})
STREAM = stream([delta("Hel"), delta("lo "), delta("Ada"), last()])
GREET = by_path(mget=MGET, execute_streaming=STREAM, execute=WHOLE)
CELL = "name: Ada\nnote: {}\n"


@pytest.fixture
def configured(
    serve: Callable[[Script], WireServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Script], WireServer]:
    """Start a server and set the three variables to it."""

    def start(script: Script) -> WireServer:
        server = serve(script)
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        return server

    return start


Configured = Callable[[Script], WireServer]


def run(shell: InteractiveShell, line: str, cell: str = CELL) -> ExecutionResult:
    return shell.run_cell(f"%%loop_prompt {line}\n{cell}")


def sent(server: WireServer) -> dict[str, Any]:
    return server.requests[-1].body


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


class TestErrors:
    """A failing cell fails with one sentence and no traceback."""

    def fail(self, shell: InteractiveShell, capsys: Any, line: str, cell: str = CELL) -> tuple[BaseException, str]:
        result = run(shell, line, cell)
        assert not result.success
        out = capsys.readouterr().out
        assert "Traceback" not in out and TOKEN not in out
        error = result.error_in_exec
        assert error is not None
        return error, out

    def test_a_slip_of_the_pen_is_met_before_anything_runs(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        server = configured(GREET)
        _, out = self.fail(shell, capsys, "greet -v 1.2.0", "nmae: Ada\nnote: {}")
        assert out.strip() == "VariableError: greet @ 1.2.0: there is no variable nmae (did you mean name?)."
        assert [request.path.rpartition("/")[2] for request in server.requests] == ["mget"]

    def test_a_version_and_a_label_together_are_refused(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        server = configured(GREET)
        _, out = self.fail(shell, capsys, "greet -v 1.2.0 -l beta")
        assert "Both a version (1.2.0) and a label (beta) are named. Name one of them." in " ".join(out.split())
        assert not server.requests

    def test_a_name_that_was_not_imported_is_told_with_its_import(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        _, out = self.fail(shell, capsys, "greet", 'name = Message("user", "Hi")')
        assert "Run first: from cozeloop_magic.entities.prompt import Message" in " ".join(out.split())

    def test_a_refusal_keeps_what_came(self, shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
        broken = stream([delta("Hel"), event({"code": 600502002, "msg": "qps limit"}, "error")])
        configured(by_path(mget=MGET, execute_streaming=broken))
        error, out = self.fail(shell, capsys, "greet -o hello")
        assert isinstance(error, errors.RateLimited) and out.startswith("Hel\n")
        hello = shell.user_ns["hello"]
        assert (str(hello), hello.complete, hello.error) == ("Hel", False, error)

    def test_an_answer_that_breaks_off_is_not_shown_as_complete(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(by_path(mget=MGET, execute_streaming=stream([delta("Hel")])))
        error, out = self.fail(shell, capsys, "greet")
        assert isinstance(error, errors.StreamInterrupted) and "broke off" in out
        assert not shell.user_ns["_loop"].complete

    def test_without_the_right_to_look_the_run_goes_on_with_a_note(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        server = configured(by_path(mget=answer({"code": 600500101, "msg": "no read"}), execute_streaming=STREAM))
        assert run(shell, "greet", "nmae: Ada").success
        assert "variables not checked" in capsys.readouterr().err
        assert sent(server)["prompt_identifier"] == {"prompt_key": "greet"}

    @pytest.mark.parametrize("template", [None, "text", [1]])
    def test_without_a_definition_the_run_goes_on_with_a_note_but_there_is_nothing_to_render(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, template: Any
    ) -> None:
        found = {"query": {}, "prompt": DEFINITION | {"prompt_template": template}}
        mget = answer({"code": 0, "data": {"items": [found]}})
        server = configured(by_path(mget=mget, execute_streaming=STREAM))
        assert run(shell, "greet", "nmae: Ada").success
        said = capsys.readouterr().err
        assert "greet @ 1.2.0" in said
        assert "variables not checked: the server's answer holds no definition of the prompt" in said
        assert sent(server)["prompt_identifier"]["version"] == "1.2.0"
        error, _ = self.fail(shell, capsys, "greet --dry-run")
        assert isinstance(error, errors.UnexpectedContent)

    @pytest.mark.parametrize(
        ("line", "cell", "says"),
        [
            ("greet", "tell me a joke", "Line 1, column 1"),
            ("greet", "name = nobody", "raised NameError: name 'nobody' is not defined"),
            ("greet", "---\n@user = 5", "a message is text or content parts, not of type int"),
            ("greet --var name=Bob", CELL, "given here and with --var"),
            ("greet --var name", CELL, "Write --var name=value"),
            ("$nothing", CELL, "nothing, which is not defined"),
            ("greet --out 1x", CELL, "no Python name"),
            ("greet --out class", CELL, "no Python name"),
            ('greet --version ""', CELL, '--version "" is empty. Leave the option out'),
            ("greet --version $blank", CELL, "--version $blank is empty"),
            ("''", CELL, "The prompt's key '' is empty. Name the prompt to run."),
            ("$blank", CELL, "The prompt's key $blank is empty."),
            ("' '", CELL, "The prompt's key ' ' is empty."),
            ("greet --timeout inf", CELL, "above 0"),
            ("greet --var name=$nothing", CELL, "nothing, which is not defined"),
            ("greet --timeout 0", CELL, "above 0"),
            ('greet --var name="Hi $who and time"', CELL, "$who stands for Python only as the whole value"),
            ("greet --var name={who.upper()}", CELL, "{who.upper()} stands for Python only as the whole value"),
            ("greet --var name=$who.a", CELL, "$who stands for Python only as the whole value"),
            ("greet --var name=${who}", CELL, "{who} stands for Python only as the whole value"),
            ("greet --version 1.$who", CELL, "$who stands for Python only as the whole value"),
            ("greet --label {who!r}", CELL, "{who!r} stands for Python only as the whole value"),
            ("greet_{who}", CELL, "{who} stands for Python only as the whole value"),
            ("greet --version $number", CELL, "--version $number is of type float, not text"),
            ("greet --label $many", CELL, "--label $many is of type list, not text"),
            ("$number", CELL, "The prompt's key $number is of type float, not text. Write it in quotes: number = \""),
            ("$none", CELL, "The prompt's key $none is None. Name the prompt to run."),
            ("greet", 'name: Ada\nnote: {"a": 1, "a": 2}', "a is given twice"),
            ("greet", "name: Ada\nnote: {1: a, '1': b}", "1 is given twice"),
            ("greet", "name: Ada\nnote = {1: 'a', '1': 'b'}", 'holds the key "1" twice'),
        ],
    )
    def test_user_mistakes(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, line: str, cell: str, says: str
    ) -> None:
        configured(GREET)
        shell.user_ns.update(blank="", who="Ada", number=1.10, many=["a"], none=None)
        _, out = self.fail(shell, capsys, line, cell)
        assert says in " ".join(out.split())

    def test_a_time_limit_holds_for_the_look_at_the_prompt_too(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(by_path(mget=lambda request, connection: time.sleep(1), execute_streaming=STREAM))
        error, _ = self.fail(shell, capsys, "greet --timeout 0.3")
        assert isinstance(error, errors.DeadlineExceeded)

    def test_what_a_server_says_moves_no_terminal(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(answer({"code": 600501001, "msg": "no"}, x_tt_logid="LOG\x1b[31mRED"))
        _, out = self.fail(shell, capsys, "greet")
        assert "\x1b" not in out and "LOG�[31mRED" in out

    def test_half_a_configuration(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        _, out = self.fail(shell, capsys, "greet")
        assert "COZELOOP_WORKSPACE_ID missing" in out

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (
                "greet --verzion 1",
                "There is no option --verzion (did you mean --version?). The options are --version, ",
            ),
            ("greet --bogus x", "There is no option --bogus. The options are "),
            ("greet --streem", "There is no option --streem (did you mean --no-stream?). The options are "),
            ("greet hello", "hello belongs to no option. The options are "),
            ("greet --timeout soon", "Argument --timeout: invalid float value: 'soon'. The options are "),
            ("", "Name the prompt to run. The options are "),
            ("greet -version 1", "There is no option -version (did you mean --version?). The options are "),
            ("greet -label=beta", "There is no option -label (did you mean --label?). The options are "),
            ('greet --var name="Ada L', 'The quote in name="Ada is not closed. The options are '),
            ("greet --out a --var='Ada", "The quote in --var='Ada is not closed. The options are "),
        ],
    )
    def test_a_line_that_cannot_be_read_names_what_there_is(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, line: str, says: str
    ) -> None:
        configured(GREET)
        error, out = self.fail(shell, capsys, line)
        assert isinstance(error, errors.InvalidRequest)
        assert " ".join(out.split()).startswith(f"InvalidRequest: {says}") and "--background" in out

    def test_a_dry_run_keeps_to_its_time_limit(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(by_path(mget=lambda request, connection: time.sleep(1)))
        error, _ = self.fail(shell, capsys, "greet --dry-run --timeout 0.2")
        assert isinstance(error, errors.DeadlineExceeded)

    def test_an_interrupt_keeps_what_came_and_fails_the_cell(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        main = threading.get_ident()

        def interrupted() -> Iterator[bytes | threading.Event]:
            yield delta("Hel")
            threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
            yield threading.Event()

        configured(by_path(mget=MGET, execute_streaming=stream(interrupted())))
        error, out = self.fail(shell, capsys, "greet -o hello")
        assert isinstance(error, KeyboardInterrupt) and "the text so far is kept" in out
        assert (str(shell.user_ns["hello"]), shell.user_ns["hello"].complete) == ("Hel", False)


class TestBackground:
    """``--background`` returns at once."""

    def test_the_answer_comes_later(self, shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
        held = threading.Event()
        configured(by_path(mget=MGET, execute_streaming=stream([delta("Hel"), held, delta("lo"), last()])))
        assert run(shell, "greet --background -o hello").success
        hello = shell.user_ns["hello"]
        assert hello is shell.user_ns["_loop"] and not hello.done
        assert repr(hello) == "<BackgroundAnswer to greet: on its way>"
        with pytest.raises(TimeoutError, match="it goes on"):
            hello.result(timeout=0.01)
        with pytest.raises(AttributeError, match=r"on its way; wait for it with \.result\(\)"):
            hello.usage  # noqa: B018
        held.set()
        assert (str(hello.result(timeout=10)), hello.done) == ("Hello", True)
        assert (str(hello), hello.finish_reason, hello.usage.output_tokens) == ("Hello", "stop", 3)
        assert capsys.readouterr().out == ""

    def test_one_that_has_ended_shows_as_any_answer_does(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        configured(GREET)
        assert run(shell, "greet --background -o hello").success
        hello = shell.user_ns["hello"]
        answer = hello.result(timeout=10)
        assert answer.result() is answer
        show = shell.display_formatter.format  # type: ignore[union-attr]
        assert show(hello) == show(answer) and "Hello Ada" in show(hello)[0]["text/html"]
        assert show(answer)[0]["text/plain"] == "Hello Ada"
        assert show([answer])[0]["text/plain"] == "[<Answer of greet @ 1.2.0: 'Hello Ada'>]"

    def test_it_can_be_awaited(self, shell: InteractiveShell, configured: Configured) -> None:
        configured(GREET)
        assert run(shell, "greet --background -o hello").success
        assert shell.run_cell("text = str(await hello)").success
        assert shell.user_ns["text"] == "Hello Ada"

    def test_stopping_closes_the_stream_and_keeps_the_text(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        began, gone = threading.Event(), threading.Event()

        def endless() -> Iterator[bytes]:
            for n in count():
                yield delta(f"{n} ")
                began.set()

        def script(request: Any, connection: Any) -> None:
            try:
                stream(endless())(request, connection)
            except OSError:
                gone.set()

        configured(by_path(mget=MGET, execute_streaming=script))
        assert run(shell, "greet --background -o hello").success
        assert began.wait(10)
        shell.user_ns["hello"].stop()
        answer = shell.user_ns["hello"].result(timeout=10)
        assert not answer.complete and answer.error is None
        assert gone.wait(10)

    def test_a_stop_does_not_wait_for_a_server_that_says_nothing(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        held = threading.Event()
        configured(by_path(mget=MGET, execute_streaming=lambda request, connection: held.wait(10) and None))
        assert run(shell, "greet --background -o hello").success
        shell.user_ns["hello"].stop()
        assert str(shell.user_ns["hello"].result(timeout=5)) == ""
        held.set()

    def test_a_failure_is_raised_where_the_answer_is_asked_for(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        configured(by_path(mget=MGET, execute_streaming=stream([delta("Hel")])))
        assert run(shell, "greet --background -o hello").success
        with pytest.raises(errors.StreamInterrupted) as caught:
            shell.user_ns["hello"].result(timeout=10)
        assert str(caught.value.partial) == "Hel"


class TestPreferences:
    """``%config LoopMagics``."""

    @pytest.mark.parametrize(
        ("options", "line", "asked"),
        [
            ("--label production", "greet", {"label": "production"}),
            ("--label production", "greet --label beta", {"label": "beta"}),
            ("--label production", "greet --version 1.2.0", {"version": "1.2.0"}),
            ("--version 1.2.0", "greet --label beta", {"label": "beta"}),
            ("--label production --no-stream", "greet --quiet", {"label": "production"}),
            ("--label $stage", "greet", {"label": "beta"}),
            ("--label production", "greet --version $none --label $none", {"label": "production"}),
            ("--label production", "greet --version $none --label beta", {"label": "beta"}),
        ],
    )
    def test_options_stand_before_a_lines_own(
        self, shell: InteractiveShell, configured: Configured, options: str, line: str, asked: dict[str, str]
    ) -> None:
        server = configured(GREET)
        shell.user_ns.update(stage="beta", none=None)
        shell.run_cell(f"%config LoopMagics.options = {options!r}")
        assert run(shell, line).success
        (query,) = server.requests[0].body["queries"]
        assert {key: query[key] for key in ("version", "label") if query.get(key)} == asked
        assert server.requests[-1].path.endswith("/execute") == ("--no-stream" in options)

    @pytest.mark.parametrize(
        ("options", "line", "says"),
        [
            ("--bogus x", "greet", "There is no option --bogus. The options are"),
            ("--version", "greet", "Argument -v/--version: expected one argument."),
            ("greet", "greet", "greet belongs to no option."),
            ("--timeout 0", "greet", "--timeout is 0.0; it must be a number of seconds, above 0"),
            ("--out 1x", "greet", "--out 1x is no Python name."),
            ("--version ''", "greet", "--version '' is empty."),
            ("--label $stage", "greet", "$stage stands for the Python name stage, which is not defined."),
            ("--var name", "greet", "--var name has no `=`."),
        ],
    )
    def test_a_mistake_in_the_options_names_the_setting(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, options: str, line: str, says: str
    ) -> None:
        server = configured(GREET)
        shell.run_cell(f"%config LoopMagics.options = {options!r}")
        assert isinstance(run(shell, line).error_in_exec, errors.InvalidRequest)
        out = " ".join(capsys.readouterr().out.split())
        assert out.startswith(f"InvalidRequest: %config LoopMagics.options: {says}")
        assert not server.requests

    def test_a_mistake_in_the_line_does_not_name_the_setting(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--out hello --label beta --timeout 30'")
        mistakes = "--out 1x", "--label ''", "--label=", "--timeout 0", "--var x", "--bogus"
        for mistake in mistakes:
            assert not run(shell, f"greet {mistake}").success
            assert "%config" not in capsys.readouterr().out

    def test_a_variable_of_the_options_and_of_the_cell_is_told_so(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Ada'")
        assert not run(shell, "greet").success
        out = " ".join(capsys.readouterr().out.split())
        assert "name is given here and with --var in %config LoopMagics.options." in out

    def test_a_variable_of_the_line_wins_over_one_of_the_options(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        server = configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Bob --var note={}'")
        assert run(shell, "greet --var name=Ada", "---\nHi").success
        assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada", "{}"]

    def test_a_variable_of_the_options_that_is_wrong_names_the_setting_also_beside_one_of_the_line(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var note=$nothing'")
        assert not run(shell, "greet --var name=Ada", "---\nHi").success
        assert "InvalidRequest: %config LoopMagics.options: $nothing stands for" in capsys.readouterr().out
        shell.run_cell("%config LoopMagics.options = '--var note={}'")
        assert not run(shell, "greet --var name=Ada", "note: {}").success
        assert "note is given here and with --var in %config LoopMagics.options." in " ".join(
            capsys.readouterr().out.split()
        )

    def test_variables_of_the_options_are_given_to_every_cell(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        server = configured(GREET)
        shell.run_cell("%config LoopMagics.options = '--var name=Ada'")
        for _ in range(2):
            assert run(shell, "greet", "note: {}").success
            assert [value["value"] for value in sent(server)["variable_vals"]] == ["Ada", "{}"]

    def test_options_have_defaults_that_a_line_overrides(
        self, shell: InteractiveShell, configured: Configured
    ) -> None:
        configured(by_path(mget=MGET, execute_streaming=stream([threading.Event()])))
        shell.run_cell("%config LoopMagics.timeout = 0.2")
        assert isinstance(run(shell, "greet").error_in_exec, errors.DeadlineExceeded)
        configured(GREET)
        assert run(shell, "greet --timeout 30").success

    def test_errors_can_have_their_traceback(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("%config LoopMagics.short_errors = False")
        shell.run_cell("def look_up():\n    return {}['name']")
        assert not run(shell, "greet", "name = look_up()\nnote: {}").success
        out = capsys.readouterr().out
        assert "Traceback" in out and "KeyError" in out and "look_up" in out

    def test_a_pace_out_of_range_is_refused(self, shell: InteractiveShell) -> None:
        shell.run_cell("%config LoopMagics.refresh_rate = 0\n%config LoopMagics.timeout = -1")
        magics = shell.magics_manager.registry["LoopMagics"]
        assert (magics.refresh_rate, magics.timeout) == (12, None)


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
