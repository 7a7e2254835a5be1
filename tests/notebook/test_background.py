"""``--background``: a cell returns at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic import errors
from tests.notebook.greet import GREET, MGET, Configured, run
from tests.wire_server import by_path, delta, last, stream


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
        assert began.wait(60)
        shell.user_ns["hello"].stop()
        answer = shell.user_ns["hello"].result(timeout=10)
        assert not answer.complete and answer.error is None
        assert gone.wait(60)

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
