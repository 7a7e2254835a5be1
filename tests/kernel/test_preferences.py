"""What ``%config LoopMagics`` says, in a real kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient

from tests.browser.server import Loop
from tests.kernel.kernels import running_kernel

pytestmark = pytest.mark.kernel

Message = dict[str, Any]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    server = Loop()
    server.says("slow", [f"word{n} " for n in range(30)], pause=0.02)
    server.says("long", ["A line.\n\n"] * 100)
    with running_kernel(tmp_path_factory.mktemp("home")) as (_, client):
        execute(client, server.cell)
        yield client
    server.stop()


def execute(kernel: BlockingKernelClient, code: str) -> list[Message]:
    messages: list[Message] = []
    reply = kernel.execute_interactive(code, timeout=60, allow_stdin=True, output_hook=messages.append)
    assert reply["content"]["status"] == "ok", reply["content"]
    return messages


def ask(kernel: BlockingKernelClient, preference: str, x: str) -> list[Message]:
    """Run a cell with one preference set, and unset it."""
    name, _, value = preference.partition(" = ")
    execute(kernel, f"LoopMagics = get_ipython().magics_manager.registry['LoopMagics']; usual = LoopMagics.{name}")
    execute(kernel, f"%config LoopMagics.{name} = {value}")
    try:
        return execute(kernel, f"%%loop_prompt greet\nx: {x}")
    finally:
        execute(kernel, f"LoopMagics.{name} = usual")


def kept(messages: list[Message]) -> str:
    *_, last = [message["content"]["data"] for message in messages if message["msg_type"] == "display_data"]
    return str(last["text/html"])


def test_plain_writes_text(kernel: BlockingKernelClient) -> None:
    messages = ask(kernel, "plain = True", "slow")
    kinds = {message["msg_type"] for message in messages} - {"status", "execute_input"}
    assert kinds == {"stream"}
    said = "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")
    assert said.startswith("word0 word1 ") and "\ndone (stop) · greet @ 1.2.0" in said


def test_refresh_rate_is_how_often_a_second_it_is_drawn(kernel: BlockingKernelClient) -> None:
    drawn: dict[int, int] = {}
    for rate in 1, 30:
        began = time.monotonic()
        messages = ask(kernel, f"refresh_rate = {rate}", "slow")
        seconds = time.monotonic() - began  # 0.6 of an answer, and more where the machine is slow
        drawn[rate] = sum(message["msg_type"] == "comm_msg" for message in messages)
        assert drawn[rate] <= rate * seconds + 4, "and when it begins, is prepared, comes, and ends"
    assert drawn[1] < drawn[30]


@pytest.mark.parametrize(("height", "folded"), [(100, True), (5000, False), (0, False)])
def test_fold_height_is_where_an_answer_is_folded(kernel: BlockingKernelClient, height: int, folded: bool) -> None:
    html = kept(ask(kernel, f"fold_height = {height}", "long"))
    assert ('<details class="cozeloop-fold"' in html) == folded == (f"--cz-fold: {height}px" in html)


@pytest.mark.parametrize("wrong", ["refresh_rate = 0", "fold_height = -1", "plain = 'yes'", "timeout = 'soon'"])
def test_what_a_preference_may_not_be_is_told_and_changes_nothing(kernel: BlockingKernelClient, wrong: str) -> None:
    name, _, value = wrong.partition(" = ")
    find = "get_ipython().magics_manager.registry['LoopMagics']"
    said = execute(kernel, f"%config LoopMagics.{wrong}\nprint({find}.{name} == {value})")
    told, changed = [message["content"]["text"] for message in said if message["msg_type"] == "stream"]
    assert "trait of a LoopMagics instance" in told and changed == "False\n"
