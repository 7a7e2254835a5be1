"""Interrupts, and answers behind other cells, in a real kernel against a real HTTP server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.browser.server import Loop, says_only
from tests.kernel.kernels import running_kernel
from tests.wire_server import HEAD, Request, delta, stream

pytestmark = pytest.mark.kernel

SOON = 60  # seconds for what takes a moment on a machine that has nothing else to do

STARTING = """
import time
from cozeloop_magic.local import process
def ensure_running(progress=None):
    progress("Starting the embedded Loop")
    time.sleep(600)
process.ensure_running = ensure_running
"""
UNTIL_INTERRUPTED = """
import signal, time
def until_interrupted(word):
    came, before = [], signal.getsignal(signal.SIGINT)
    def hear(number, frame):
        came.append(number)
        before(number, frame)
    signal.signal(signal.SIGINT, hear)
    print(word, flush=True)
    while not came:
        time.sleep(0.01)
    signal.signal(signal.SIGINT, before)
"""
SLOW_END = """
from cozeloop_magic.view import render
laid_out = render.bundle
def bundle(*args, **options):
    for _ in range({times}):
        until_interrupted("laying out")
    return laid_out(*args, **options)
render.bundle = bundle
"""
SLOW_IMPORT = """
import sys
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "yaml.nodes":
            until_interrupted("importing")
sys.meta_path.insert(0, Slow())
"""

Message = dict[str, Any]


class Kernel:
    """A kernel, and a client that runs its cells as a front end does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(
        self, code: str, on_message: Callable[[Message], None] = lambda message: None, cell: str = ""
    ) -> tuple[Message, list[Message]]:
        """Run a cell; give the reply, and all that was published meanwhile, for this cell and for others."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True, "stop_on_error": True}
        request = self.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.client.shell_channel.send(request)
        asked = request["header"]["msg_id"]
        messages: list[Message] = []
        while not (messages and _ends(messages[-1], asked)):
            messages.append(self.client.get_iopub_msg(timeout=SOON))
            on_message(messages[-1])
        while (reply := self.client.get_shell_msg(timeout=SOON))["parent_header"]["msg_id"] != asked:
            pass  # the kernel was asked more than once whether it is ready
        return reply["content"], messages

    def prints(self, code: str) -> str:
        """Run a cell and give what it prints."""
        reply, messages = self.run(code)
        assert reply["status"] == "ok", reply
        return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream").strip()

    def interrupt(self) -> None:
        time.sleep(0.1)  # an interrupt that meets a wait just before it begins is heard when it ends, as Python is
        self.manager.interrupt_kernel()

    def run_interrupted(self, code: str, *words: str) -> tuple[str, list[Message]]:
        """Run a cell and interrupt it when each word is published; give its only line of error, and what came."""
        left = list(words)

        def look(message: Message) -> None:
            if left and message["msg_type"] not in ("execute_input", "error") and left[0] in str(message["content"]):
                left.pop(0)
                self.interrupt()

        reply, messages = self.run(code, look)
        assert reply["status"] == "error"
        (line,) = reply["traceback"]
        return line, messages


def _ends(message: Message, asked: str) -> bool:
    return message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("home")) as (manager, client):
        client.execute_interactive(UNTIL_INTERRUPTED, timeout=SOON)
        yield Kernel(manager, client)


@pytest.fixture
def server(kernel: Kernel) -> Iterator[Loop]:
    server = Loop()
    server.says("hello", ["Hello ", "Ada"])
    server.says("endless", [f"word{n} " for n in range(99_999)], pause=0.01)
    server.answers["silent"] = says_only("")
    server.answers["headed"] = says_only(HEAD + "Transfer-Encoding: chunked\r\n\r\n")
    server.answers["broken"] = stream([delta("Half an ans")])
    kernel.run(server.cell)
    yield server
    server.stop()
    assert not server.errors


def wait_for_calls(server: Loop, number: int) -> None:
    """Wait until so many more calls have arrived at the server."""
    for _ in range(number):
        server.asked.get(timeout=SOON)


def shown(messages: list[Message]) -> str:
    """Give the text of what stays, and see that no widget does."""
    opened = [m["content"]["comm_id"] for m in messages if m["msg_type"] == "comm_open"]
    closed = [m["content"]["comm_id"] for m in messages if m["msg_type"] == "comm_close"]
    assert sorted(opened) == sorted(closed)
    shown = [m["content"]["data"] for m in messages if "display_data" in m["msg_type"]]
    return str([data for data in shown if "text/markdown" in data][-1]["text/plain"])


def test_an_interrupt_tears_no_import(server: Loop, tmp_path: Path) -> None:
    with running_kernel(tmp_path) as (manager, client):
        fresh = Kernel(manager, client)
        fresh.run(f"{server.cell}\n{UNTIL_INTERRUPTED}\n{SLOW_IMPORT}")
        error, _ = fresh.run_interrupted("%%loop_prompt greet\nx: hello", "importing")
        assert error == "KeyboardInterrupt: stopped; nothing had come yet."
        assert fresh.run("%%loop_prompt greet\nx: hello")[0]["status"] == "ok"


class TestInterrupt:
    """The notebook's own ■."""

    @pytest.mark.parametrize(
        ("line", "x"), [("greet", "silent"), ("greet", "headed"), ("greet --no-stream", "silent")]
    )
    def test_while_nothing_has_come(self, kernel: Kernel, server: Loop, line: str, x: str) -> None:
        error, messages = kernel.run_interrupted(f"%%loop_prompt {line} -o answer\nx: {x}", "greet @ 1.2.0")
        assert server.gone.get(timeout=SOON)
        assert error == "KeyboardInterrupt: stopped; nothing had come yet."
        assert "interrupted before it answered" in shown(messages)
        assert kernel.prints("print(answer is _loop, repr(str(answer)), answer.complete)") == "True '' False"

    def test_while_it_streams(self, kernel: Kernel, server: Loop) -> None:
        error, messages = kernel.run_interrupted("%%loop_prompt greet -o answer\nx: endless", "word20")
        assert server.gone.get(timeout=SOON)
        assert error == "KeyboardInterrupt: stopped; the text so far is kept."
        assert "word20" in shown(messages) and "the answer is incomplete" in shown(messages)
        assert kernel.prints("print(answer is _loop, 'word20' in str(answer), answer.complete)") == "True True False"

    @pytest.mark.parametrize("line", ["greet", "greet --dry-run"])
    def test_while_the_prompt_is_looked_up(self, kernel: Kernel, server: Loop, line: str) -> None:
        silent, pid = says_only(""), int(kernel.prints("print(os.getpid())"))

        def looked_up(request: Request, connection: socket) -> None:
            time.sleep(0.1)  # see Kernel.interrupt
            os.kill(pid, signal.SIGINT)
            silent(request, connection)

        server.mget = looked_up
        error, _ = kernel.run_interrupted(f"%%loop_prompt {line}\nx: hello")
        assert server.gone.get(timeout=SOON)
        assert error.startswith("KeyboardInterrupt")

    def test_while_the_embedded_loop_starts(self, kernel: Kernel, server: Loop) -> None:
        kernel.run(STARTING + "\nos.environ.update(COZELOOP_API_BASE_URL='local')")
        error, messages = kernel.run_interrupted("%%loop_prompt greet\nx: hello", "Starting the embedded Loop")
        assert error == "KeyboardInterrupt: stopped; nothing had come yet."
        assert "interrupted before it answered" in shown(messages)

    def test_while_the_end_is_laid_out(self, kernel: Kernel, server: Loop) -> None:
        kernel.run(SLOW_END.format(times=1))
        error, messages = kernel.run_interrupted("%%loop_prompt greet -o answer\nx: hello", "laying out")
        kernel.run("render.bundle = laid_out")
        assert error == "KeyboardInterrupt: stopped; the answer was already complete."
        assert shown(messages) == "Hello Ada"
        assert kernel.prints("print(answer, answer.complete)") == "Hello Ada True"

    def test_a_second_one_does_no_harm(self, kernel: Kernel, server: Loop) -> None:
        kernel.run(SLOW_END.format(times=2))
        words = "word20", "laying out", "laying out"
        error, messages = kernel.run_interrupted("%%loop_prompt greet -o answer\nx: endless", *words)
        kernel.run("render.bundle = laid_out")
        assert error == "KeyboardInterrupt: stopped; the text so far is kept."
        assert "the answer is incomplete" in shown(messages)
        assert kernel.prints("print('word20' in str(answer))") == "True"

    def test_the_next_cell_is_interrupted_as_ever(self, kernel: Kernel, server: Loop) -> None:
        kernel.run("%%loop_prompt greet\nx: hello")
        reply, _ = kernel.run(
            "print('now', flush=True); time.sleep(600)",
            lambda message: kernel.interrupt() if message["msg_type"] == "stream" else None,
        )
        assert reply["ename"] == "KeyboardInterrupt"


class TestBackground:
    """``--background``."""

    def test_an_interrupt_hits_the_cell_that_waits_and_not_the_run(self, kernel: Kernel, server: Loop) -> None:
        _, messages = kernel.run("%%loop_prompt greet --background -o answer\nx: endless")
        while "word9 " not in str(messages):
            messages.append(kernel.client.get_iopub_msg(timeout=SOON))
        for waiting in "time.sleep(600)", "answer.result()", "await answer":
            reply, _ = kernel.run(
                f"import time\nprint('now', flush=True)\n{waiting}",
                lambda message: kernel.interrupt() if "now" in message["content"].get("text", "") else None,
            )
            assert reply.get("ename") in ("KeyboardInterrupt", "CancelledError"), waiting
            assert kernel.prints("print(answer.done)") == "False"
        assert server.gone.empty()
        assert kernel.prints("answer.stop()\nprint('word9 ' in str(answer.result(60)), answer.done)") == "True True"
        assert server.gone.get(timeout=SOON)

    def test_several_run_at_once_and_each_in_its_own_place(self, kernel: Kernel, server: Loop) -> None:
        for n in range(8):
            server.says(f"w{n}", [f"w{n}-{i} " for i in range(30)], pause=0.01)
        asked = [kernel.run(f"%%loop_prompt greet --background -o a{n}\nx: w{n}")[1] for n in range(8)]
        reply, more = kernel.run("print(*[a.result(60).complete for a in (a0, a1, a2, a3, a4, a5, a6, a7)])")
        assert reply["status"] == "ok"
        published = [m for messages in (*asked, more) for m in messages]
        for n, messages in enumerate(asked):
            _, display = [m for m in messages if m["msg_type"] == "display_data"]
            (kept,) = [
                m
                for m in published
                if m["msg_type"] == "update_display_data"
                and m["content"]["transient"] == display["content"]["transient"]
            ]
            assert kept["content"]["data"]["text/plain"].strip().endswith(f"w{n}-29")

    def test_a_failure_shows_in_its_own_place_and_is_raised_where_it_is_asked_for(
        self, kernel: Kernel, server: Loop
    ) -> None:
        _, messages = kernel.run("%%loop_prompt greet --background -o answer\nx: broken")
        reply, more = kernel.run("print(answer.result())")
        assert (reply["ename"], len(reply["traceback"])) == ("StreamInterrupted", 1)
        said = shown(messages + more)
        assert said.startswith("Half an ans\n") and "StreamInterrupted: " in said and "log id log-1" in said

    @pytest.mark.parametrize("again", ["%%loop_prompt greet\nx: hello", "%%loop_prompt greet\ny: no", "1 + 1"])
    def test_running_its_cell_again_stops_it(self, kernel: Kernel, server: Loop, again: str) -> None:
        two = (
            "%loop_prompt greet --background -o one --var x=endless\n%loop_prompt greet --background --var x=endless"
        )
        kernel.run(two, cell="a")
        kernel.run("%%loop_prompt greet --background -o other\nx: endless", cell="b")
        wait_for_calls(server, 3)
        assert kernel.prints("print(one.done, _loop.done)") == "False False"
        kernel.run(again, cell="a")
        assert server.gone.get(timeout=SOON) and server.gone.get(timeout=SOON)
        assert kernel.prints("print(one.result(60).complete, other.done)\nother.stop()") == "False False"

    def test_unloading_the_extension_stops_it(self, kernel: Kernel, server: Loop) -> None:
        kernel.run("%%loop_prompt greet --background -o answer\nx: endless")
        wait_for_calls(server, 1)
        kernel.run("%unload_ext cozeloop_magic")
        assert server.gone.get(timeout=SOON)
        assert kernel.prints("print(answer.result(60).complete)") == "False"
        reply, _ = kernel.run("%loop_prompt greet --var x=hello")
        assert reply["ename"] == "UsageError"
        reply, _ = kernel.run("%load_ext cozeloop_magic\n%loop_prompt greet --var x=hello")
        assert reply["status"] == "ok"

    def test_a_kernel_that_ends_leaves_none_behind(self, server: Loop, tmp_path: Path) -> None:
        with running_kernel(tmp_path) as (manager, client):
            other = Kernel(manager, client)
            other.run(server.cell)
            other.run("%%loop_prompt greet --background -o a\nx: endless\n")
            other.run("%%loop_prompt greet --background -o b\nx: silent\n")
            wait_for_calls(server, 2)
            client.shutdown()
            ends = time.monotonic() + SOON
            while manager.is_alive():
                assert time.monotonic() < ends
                time.sleep(0.02)
        assert server.gone.get(timeout=SOON) and server.gone.get(timeout=SOON)
