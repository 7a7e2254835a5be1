"""``%%loop_prompt`` in a real kernel, answered by the embedded Loop's real model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.embedded import Embedded, embedded_loop

pytestmark = [pytest.mark.kernel, pytest.mark.model]

WIDGET = "application/vnd.jupyter.widget-view+json"
ASK = "%%loop_prompt ptaas_demo --version 0.0.1 --out answer\ntopic: history\nuser_request: a long story of the sea\n"

Message = dict[str, Any]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Embedded]:
    with embedded_loop(tmp_path_factory.mktemp("home"), weights) as loop:
        yield loop


@pytest.fixture(scope="module")
def kernel(loop: Embedded) -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3", env=loop.environ)
    run(client, "%load_ext cozeloop_magic")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def run(
    kernel: BlockingKernelClient, code: str, on_message: Callable[[Message], None] = lambda message: None
) -> tuple[Message, list[Message]]:
    """Run a cell as a front end does; give the reply and what was published on the way."""
    messages: list[Message] = []

    def keep(message: Message) -> None:
        messages.append(message)
        on_message(message)

    reply = kernel.execute_interactive(code, allow_stdin=True, timeout=90, output_hook=keep)
    return reply["content"], messages


def value(kernel: BlockingKernelClient, expression: str) -> str:
    reply = kernel.execute_interactive(
        "", user_expressions={"x": expression}, timeout=30, output_hook=lambda message: None
    )
    return str(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])


def shows_text(message: Message) -> bool:
    """Tell whether a message brings text of the answer to the live view."""
    state = message["content"].get("data", {}).get("state", {}) if message["msg_type"] == "comm_msg" else {}
    return any(name[0] in "hr" and name[1:].isdigit() and text for name, text in state.items())


def kept(messages: list[Message]) -> Message:
    """Give what stays of an answer, which came last and in place of all before it."""
    shown = [m for m in messages if m["msg_type"] in ("display_data", "update_display_data", "clear_output")]
    clear, last = [m for m in shown if "cozeloop-wrap" not in str(m["content"])][-2:]
    assert clear["msg_type"] == "clear_output"
    return dict(last["content"])


def test_text_is_published_before_the_model_has_finished(kernel: BlockingKernelClient) -> None:
    unfinished: list[str] = []

    def look(message: Message) -> None:
        if shows_text(message):
            unfinished.append(message["content"]["data"]["state"].get("status", ""))

    reply, messages = run(kernel, ASK, look)
    assert reply["status"] == "ok"
    assert len(unfinished) >= 5, "the text grew in several steps"
    kinds = [message["msg_type"] for message in messages]
    first = next(i for i, message in enumerate(messages) if shows_text(message))
    assert first < kinds.index("clear_output")


def test_what_stays_is_static(kernel: BlockingKernelClient) -> None:
    _, messages = run(kernel, ASK)
    final = kept(messages)
    assert set(final["data"]) == {"text/html", "text/markdown", "text/plain"}
    assert final["data"]["text/plain"].startswith(eval(value(kernel, "str(answer)")))
    assert "SmolLM2-135M-Instruct" in final["data"]["text/html"]
    record = final["metadata"]["cozeloop_magic"]
    assert (record["prompt_key"], record["version"], record["phase"]) == ("ptaas_demo", "0.0.1", "done")
    opened = [m["content"]["comm_id"] for m in messages if m["msg_type"] == "comm_open"]
    closed = [m["content"]["comm_id"] for m in messages if m["msg_type"] == "comm_close"]
    assert sorted(opened) == sorted(closed)


def test_killing_the_model_in_mid_answer_costs_neither_the_text_nor_the_kernel(
    kernel: BlockingKernelClient, loop: Embedded
) -> None:
    killed: list[bool] = []

    def kill(message: Message) -> None:
        if shows_text(message) and not killed:
            loop.kill()
            killed.append(True)

    reply, messages = run(kernel, ASK, kill)
    assert reply["status"] == "error" and reply["ename"] == "StreamInterrupted"
    (error,) = [message["content"] for message in messages if message["msg_type"] == "error"]
    assert len(error["traceback"]) == 1 and "broke off" in error["traceback"][0]
    final = kept(messages)
    assert WIDGET not in final["data"]
    text = eval(value(kernel, "str(answer)"))
    assert text and final["data"]["text/plain"] == f"{text}\n\n[failed, the answer is incomplete]"
    assert value(kernel, "answer.complete") == "False"

    reply, _ = run(kernel, ASK)
    assert reply["status"] == "ok"
    assert value(kernel, "answer.complete") == "True"
