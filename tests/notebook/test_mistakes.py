"""What a person who slips sees: one sentence, no traceback, and a cell that fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic import errors
from tests.conftest import TOKEN
from tests.notebook.greet import CELL, DEFINITION, GREET, MGET, STREAM, Configured, run, sent
from tests.wire_server import answer, by_path, delta, event, stream


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
        hint = " ".join(out.replace("\n    ", "\0").split("\0")[0].split()).partition("Run first: ")[2]
        assert hint == "from cozeloop_magic.entities.prompt import Message" and shell.run_cell(hint).success
        assert "not messages" in self.fail(shell, capsys, "greet", 'name = Message("user", "Hi")\nnote: {}')[1]

    def test_a_refusal_keeps_what_came(self, shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
        broken = stream([delta("Hel"), event({"code": 600502002, "msg": "qps limit"}, "error")])
        configured(by_path(mget=MGET, execute_streaming=broken))
        error, out = self.fail(shell, capsys, "greet -o hello")
        assert isinstance(error, errors.RateLimited) and out.startswith("Hel\n")
        hello = shell.user_ns["hello"]
        assert (str(hello), hello.complete, hello.error) == ("Hel", False, error)

    def test_a_sentence_is_broken_between_words_as_wide_as_the_terminal_is(
        self, configured: Configured, shell: InteractiveShell, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        configured(GREET)
        _, out = self.fail(shell, capsys, "greet --version 1.2.0 --label beta")
        lines = out.strip().split("\n")
        assert len(lines) == 3 and all(len(line) <= 40 for line in lines)
        assert " ".join(lines) == (
            "InvalidRequest: Both a version (1.2.0) and a label (beta) are named. Name one of them."
        )

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
            ("greet", "name: x\n---\n@user = ' '", "the @user message is empty"),
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
            (
                "greet --bogus x",
                "There is no option --bogus. A variable is given as --var NAME=VALUE. The ",
            ),
            ("greet --streem", "There is no option --streem (did you mean --no-stream?). The options are "),
            ("greet hello", "hello belongs to no option. The options are "),
            ("greet --timeout soon", "Argument --timeout: invalid float value: 'soon'. The options are "),
            ("--plain", "Name the prompt to run. The options are "),
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


class TestNames:
    """``--out`` replaces what is the user's own, and nothing else."""

    @pytest.mark.parametrize("magic", ["%loop_prompt greet", "%loop_compare greet", "%loop_batch rows -p greet"])
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("print", "--out print would replace Python's own print. Choose another name."),
            ("list", "Python's own"),
            ("class", "--out class is no Python name."),
            ("a-b", "no Python name"),
            ("In", "IPython's own"),
            ("Out", "IPython's own"),
            ("get_ipython", "own get_ipython"),
            ("_", "IPython's own"),
            ("_3", "IPython's own"),
            ("_i", "IPython's own"),
            ("exit", "own exit"),
            ("pd", "--out pd would replace the module pd."),
        ],
    )
    def test_a_name_that_is_taken_is_refused_before_the_call(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, magic: str, name: str, says: str
    ) -> None:
        server = configured(GREET)
        shell.user_ns["pd"] = threading
        assert not shell.run_cell(f"{magic} --out {name}").success
        assert says in capsys.readouterr().out and not server.requests

    @pytest.mark.parametrize("name", ["df", "_loop", "_mine", "antwort", "答案"])
    def test_a_name_of_the_users_own_is_bound_anew(
        self, shell: InteractiveShell, configured: Configured, name: str
    ) -> None:
        configured(GREET)
        shell.user_ns[name] = {"old": 1}
        assert run(shell, f"greet --quiet --out {name}").success
        assert shell.user_ns[name] == "Hello Ada"


class TestOptions:
    """What else may be meant by an option."""

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (
                "%loop_prompt greet --version 1.0.0 --version 2.0.0",
                "--version is given twice. Give it once; %loop_compare takes",
            ),
            ("%loop_prompt greet -v 1.0.0 --version 2.0.0", "--version is given twice"),
            ("%loop_prompt greet -v1.0.0 --vers=2.0.0", "--version is given twice"),
            ("%loop_prompt greet -v 1.0.0 -v 1.0.0", "--version is given twice"),
            ("%loop_prompt greet --label=a -l b", "--label is given twice"),
            ("%loop_prompt greet --out a -o b", "--out is given twice. Give it once."),
            ("%loop_prompt greet --timeout 3 --timeout 4", "--timeout is given twice"),
            ("%loop_prompt greet --set temperature=0 --set temperature=1", "--set temperature is given twice"),
            ("%loop_compare greet -v 1 -v 2 --inputs a --inputs b", "--inputs is given twice"),
            ("%loop_batch rows -p greet --prompt other", "--prompt is given twice"),
            ("%%loop_define greet --bump minor --bump major\n---\nHi", "--bump is given twice"),
            (
                "%%loop_prompt greet # my first\nname: Ada",
                "# begins no comment on the magic's own line. A comment stands in",
            ),
            ("%loop_prompt greet #first", "#first begins no comment"),
            ("%loop_compare greet # two versions", "# begins no comment"),
            ("%loop_prompt greet --var name=select 5 * -1;", 'needs quotes: --var name="select 5 * -1;".'),
            ("%loop_prompt greet --var name=Ada L --quiet", 'needs quotes: --var name="Ada L".'),
            ("%loop_compare greet --var text=two words -v 1", 'needs quotes: --var text="two words".'),
            ("%loop_prompt greet --var name = Ada", "= belongs to no option. Write --var name=Ada."),
            (r'%loop_prompt greet --var name="a \"b\" c"', """--var name='a "b" c'."""),
            ("%loop_prompt greet --var name=“Ada L”", 'needs quotes: --var name="Ada L".'),
            ("%loop_prompt greet --var name=x — y", 'needs quotes: --var name="x — y".'),
            ("%loop_prompt greet —version 1.0.0", "Write --version."),
            ("%loop_prompt greet 1.0.0 --var name=x", "Write --version 1.0.0."),
            ("%loop_prompt greet -- --var name=x", "-- alone says nothing here."),
            ("%loop_prompt greet --var name: Ada L", 'needs quotes: --var name="Ada L".'),
            ("%loop_prompt greet name=Ada", "name=Ada belongs to no option. Write --var name=Ada."),
            (
                "%loop_prompt greet --topic Ada",
                "There is no option --topic. A variable is given as --var N",
            ),
            ("%loop_prompt greet --model x", "belong to a version. `--set model_id=x` replaces it here."),
            (
                "%loop_prompt greet --temperature 0",
                "There is no option --temperature: a model and its settings",
            ),
            ("%loop_prompt greet --top-p=0.5", "`--set top_p=0.5`"),
            ("%loop_prompt greet --max_tokens 5 --plain", "`--set max_tokens=5`"),
            ("%loop_compare greet --temperature 0", "`--set temperature=0`"),
            ("%loop_batch rows -p greet --temperature 0", "Commit a version with another with %%loop_define."),
            ("%%loop_define greet --temperature 0.2\n---\nHi", "Write `model: {temperature: 0.2}` above `---`."),
        ],
    )
    def test_the_slip_is_named_and_nothing_is_sent(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, line: str, says: str
    ) -> None:
        server = configured(GREET)
        assert not shell.run_cell(line).success
        assert says in " ".join(capsys.readouterr().out.split()) and not server.requests

    @pytest.mark.parametrize("magic", ["loop_prompt", "loop_compare", "loop_batch", "loop_define"])
    def test_with_nothing_to_go_by_two_examples_are_shown(
        self, shell: InteractiveShell, configured: Configured, capsys: Any, magic: str
    ) -> None:
        server = configured(GREET)
        sign = "%%" if magic == "loop_define" else "%"
        for line in {f"%%{magic}", f"{sign}{magic}", f"%%{magic}\n"}:
            assert not shell.run_cell(line).success
            out = capsys.readouterr().out
            assert out.count(f"%{magic} ") == 2 and f"{sign}{magic}? shows all options." in out
            assert "Traceback" not in out and "UsageError" not in out
        for option in ("--help", "-h", "greet --help"):
            assert shell.run_cell(f"%%{magic} {option}").success
            assert capsys.readouterr().out.startswith("Two examples:\n\n  %")
        assert not server.requests

    def test_a_cell_without_a_body_is_as_the_line_is(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        assert shell.run_cell("%%loop_prompt greet --var name=Ada --var note={}").success
        assert not shell.run_cell("%%loop_prompt greet").success
        out = " ".join(capsys.readouterr().out.split())
        assert "name is missing" in out and "UsageError" not in out


class TestPython:
    """What was perhaps meant as Python is sent as it is written, and told."""

    @pytest.mark.parametrize(
        ("line", "cell", "sent_as", "told"),
        [
            ("greet", "name: df.text\nnote: {}", "df.text", "this is text; `name = df.text` is Python"),
            ("greet", "name: {df.text[0]}\nnote: {}", "{df.text[0]}", "`name = df.text[0]` is Python"),
            ("greet --var name=t", "note: {}", "t", "this is text; `--var name=$t` is Python"),
            ("greet --var name=df.text", "note: {}", "df.text", "`name = df.text` is Python"),
            ("greet --var name='t.upper()'", "note: {}", "t.upper()", "`name = t.upper()` is Python"),
            ("greet", "name: topic\nnote: {}", "topic", ""),
            ("greet", "name: In\nnote: {}", "In", ""),
            ("greet", "name: exit()\nnote: {}", "exit()", ""),
            ("greet", 'name = "df.text"\nnote: {}', "df.text", ""),
            ("greet --var name=$code", "note: {}", "df.text", ""),
            ("greet", "name: the history of df\nnote: {}", "the history of df", ""),
        ],
    )
    def test_a_note_says_so(
        self,
        shell: InteractiveShell,
        configured: Configured,
        capsys: Any,
        line: str,
        cell: str,
        sent_as: str,
        told: str,
    ) -> None:
        server = configured(GREET)
        shell.user_ns.update(df=pd.DataFrame({"text": ["a"]}), t="text", code="df.text")
        assert run(shell, line, cell).success
        assert sent(server)["variable_vals"][0]["value"] == sent_as
        status = capsys.readouterr().err
        assert told in status and ("is Python" in status) == bool(told)
        assert run(shell, f"{line} --dry-run", cell).success
        assert ("is Python" in capsys.readouterr().out) == bool(told)

    def test_in_a_function_its_own_names_count(
        self, shell: InteractiveShell, configured: Configured, capsys: Any
    ) -> None:
        configured(GREET)
        shell.run_cell("def greet(rows):\n    %loop_prompt greet --var name=rows[0] --var note={}\ngreet(['Ada'])")
        assert "`name = rows[0]` is Python" in capsys.readouterr().err


def test_a_tag_with_blanks_stays_and_is_told(shell: InteractiveShell, configured: Configured, capsys: Any) -> None:
    messages = [{"role": "user", "content": "Hi {{ name }}, {{ x }}"}]
    template = {**DEFINITION["prompt_template"], "messages": messages}  # type: ignore[dict-item]
    found = {"query": {}, "prompt": {**DEFINITION, "prompt_template": template}}
    mget = answer({"code": 0, "data": {"items": [found]}})
    configured(by_path(mget=mget, execute_streaming=STREAM))
    for line in ("greet", "greet --dry-run"):
        assert run(shell, line).success
        said = "".join(capsys.readouterr())
        assert "{{ name }} stays as it is: in a normal template, write {{name}} without blanks" in said
        assert "{{ x }} stays" not in said
