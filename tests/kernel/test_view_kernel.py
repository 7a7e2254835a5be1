"""The live view in a real kernel, as a front end and as a machine see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from nbclient import NotebookClient

from tests.kernel.kernels import running_kernel

pytestmark = pytest.mark.kernel

DRIVER = dedent(
    '''
    import gc, time
    from dataclasses import replace
    from types import SimpleNamespace
    from comm import get_comm_manager
    from ipywidgets.widgets import widget
    from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Role, TokenUsage
    from cozeloop_magic.errors import ServerFailed
    from cozeloop_magic.run.state import *
    from cozeloop_magic.view import live
    from cozeloop_magic.view.live import LiveView

    def run(*texts, end=Finished(1.0), pause=0.01):
        view, state = LiveView(), RunState(ExecuteRequest("ptaas_demo"))
        view.update(state)
        pieces = [Arrived(0.1, ExecuteResult(Message(Role.ASSISTANT, text))) for text in texts]
        for event in [Prepared("embedded", "0.0.1"), *pieces]:
            state = fold(state, event)
            view.update(state)
            time.sleep(pause)
        view.finish(fold(state, end))

    def stream(text, step):
        """Give the share of the time that drawing takes of a run of which a piece comes each millisecond.

        Time is this thread's own, and the milliseconds: however fast and busy the machine is, drawing paces itself
        by what it took.
        """
        view, state, spent, waited = LiveView(), RunState(ExecuteRequest("ptaas_demo"), Phase.STREAMING), 0.0, 0.0
        clock = lambda: waited + time.thread_time()
        live.time = SimpleNamespace(monotonic=clock)
        view.update(state)
        began = clock()
        for n in range(step, len(text) + step, step):
            state = replace(state, result=ExecuteResult(Message(Role.ASSISTANT, text[:n])))
            cpu = time.thread_time()
            view.update(state)
            spent += time.thread_time() - cpu
            waited += 0.001
        share = spent / (max(clock(), view._next) - began)  # nothing would be drawn until then
        view.finish(fold(state, Finished(1.0)))
        live.time = time
        return share

    def alive():
        """Count what ipywidgets, comm and we hold on to."""
        gc.collect()
        ours = ("LiveView", "_Widget", "DisplayHandle", "Layout", "Blocks")
        objects = gc.get_objects()
        held = sum(type(each).__name__ in ours for each in objects)
        return len(widget._instances) + len(get_comm_manager().comms) + held, len(objects)

    def failing(view=None):
        run(end=Failed(0.1, ServerFailed("no")))

    def load_magic():
        from IPython import get_ipython
        get_ipython().register_magic_function(lambda line, cell: failing(), "cell", "loop_prompt_failing")
        get_ipython().register_magic_function(lambda line, cell: run("Hello"), "cell", "loop_prompt_greeting")
    '''
)  # fmt: skip
EMPTY = {"text/html": ""}
BUNDLE = {"text/html", "text/markdown", "text/plain"}
WIDGET = "application/vnd.jupyter.widget-view+json"

Message = dict[str, Any]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingKernelClient]:
    with running_kernel(tmp_path_factory.mktemp("home")) as (_, client):
        client.execute_interactive(DRIVER, timeout=60, output_hook=lambda message: None)
        yield client


def execute(kernel: BlockingKernelClient, code: str, front_end: bool = True) -> list[Message]:
    """Run a cell; give what came on iopub, in order."""
    messages: list[Message] = []
    kernel.execute_interactive(code, timeout=60, allow_stdin=front_end, output_hook=messages.append)
    return messages


def kinds(messages: list[Message]) -> list[str]:
    return [m["msg_type"] for m in messages if m["msg_type"] not in ("status", "execute_input")]


def rows(messages: list[Message]) -> dict[str, Any]:
    """Give the table that a page holds after these messages."""
    table: dict[str, Any] = {}
    for message in messages:
        table |= message["content"].get("data", {}).get("state", {})
    return table


def test_the_answer_is_in_the_page_before_the_cell_ends(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'run("Hello ", "**you**.\\n\\n", "And ", "more.\\n\\n", "And")')
    words, begin, *drawn, unsay, keep, close_widget, close_layout = kinds(messages)[2:]  # a widget has its layout
    assert (words, begin, unsay, keep, close_widget, close_layout) == (
        *("display_data", "display_data"),
        *("update_display_data", "update_display_data"),
        *("comm_close", "comm_close"),
    )
    assert set(drawn) == {"comm_msg"} and len(drawn) <= 7  # each event, and the last words, as far as there is time
    table = rows(messages)
    assert table["h0"] == "<p>Hello <strong>you</strong>.</p>\n"
    assert table["status"].startswith("done · ptaas_demo @ 0.0.1 · embedded")


def test_the_table_is_the_whole_picture_at_every_moment(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'run("One.\\n\\n", "- a\\n", "- b\\n", "\\nTwo.\\n", "\\nThree")')
    table = rows(messages)
    assert 0 < table["settled"] < table["end"]
    assert (
        "".join(table[f"h{i}"] for i in range(table["end"]))
        == "<p>One.</p>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<p>Two.</p>\n<p>Three</p>\n"
    )


def test_an_update_is_one_message_that_holds_only_what_is_new(kernel: BlockingKernelClient) -> None:
    paragraph = "A paragraph of a few words, as they are in answers.\\n\\n"
    messages = execute(kernel, f'run(*["{paragraph}"] * 100)')
    updates = [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg"]
    assert len(updates) <= 102
    assert sum(len(json.dumps(update)) for update in updates) < 5 * 100 * len(paragraph)


def test_what_is_kept_replaces_the_widget_in_its_own_place(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'run("Hello")')
    words, shown = [m["content"] for m in messages if m["msg_type"] == "display_data"]
    unsaid, kept = [m["content"] for m in messages if m["msg_type"] == "update_display_data"]
    assert "a cell with _loop alone shows the answer" in words["data"]["text/plain"]
    assert unsaid["data"] == EMPTY and unsaid["transient"] == words["transient"]
    assert WIDGET in shown["data"] and "ptaas_demo" in shown["data"]["text/plain"]
    assert kept["data"].keys() == BUNDLE
    assert kept["data"]["text/plain"] == "Hello"
    assert kept["metadata"]["cozeloop_magic"]["phase"] == "done"
    assert kept["transient"]["display_id"] == shown["transient"]["display_id"]


def test_a_cell_of_ours_alone_is_left_with_the_answer_alone(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, "load_magic()") + execute(kernel, "%%loop_prompt_greeting\nx: y")
    assert kinds(messages)[-4:] == ["clear_output", "display_data", "comm_close", "comm_close"]
    (clear,) = [m["content"] for m in messages if m["msg_type"] == "clear_output"]
    assert clear == {"wait": True}


def test_what_an_expression_of_the_cell_prints_is_not_cleared(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, "load_magic()") + execute(kernel, "%%loop_prompt_greeting\nx = print('hi')")
    assert kinds(messages)[-4:] == ["update_display_data", "update_display_data", "comm_close", "comm_close"]


def test_other_widgets_stay_open(kernel: BlockingKernelClient) -> None:
    execute(kernel, "import ipywidgets; other = ipywidgets.IntSlider(); run('Hello')")
    messages = execute(kernel, "print(other.comm is None)")
    assert [m["content"]["text"] for m in messages if m["msg_type"] == "stream"] == ["False\n"]


def said(messages: list[Message]) -> list[float]:
    """Give the numbers a cell printed."""
    text = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    return [float(word) for word in text.split()]


def test_many_runs_leave_nothing_behind(kernel: BlockingKernelClient) -> None:
    execute(kernel, "run('Hello', pause=0)")
    kept, before = said(execute(kernel, "print(*alive())"))
    for _ in range(3):
        execute(kernel, "for _ in range(100): run('Hello *you*.', pause=0)")
    kept_then, then = said(execute(kernel, "print(*alive())"))
    assert kept_then == kept
    assert then - before < 150  # an object that each run leaves would be 300


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("'x' * 200_000", 400),
        ("'A few words, as they are in answers.\\n\\n' * 10_000", 1_000),
        ("''.join('  ' * n + '- a\\n' for n in range(200))", 100),
        ("'```python\\n' + 'x = f(1)\\n' * 10_000", 250),
        ("'word ' * 400", 2),
    ],
    ids=["one line", "long", "deep list", "open fence", "tiny deltas"],
)
def test_drawing_leaves_time_for_everything_else(kernel: BlockingKernelClient, text: str, step: int) -> None:
    messages = execute(kernel, f"text = {text}\nprint(stream(text, {step}), len(text))")
    share, length = said(messages)
    assert share < 0.4
    assert kinds(messages).count("comm_msg") < length / step / 2  # what comes faster is drawn together
    sent = sum(len(json.dumps(m["content"]["data"])) for m in messages if m["msg_type"] == "comm_msg")
    assert sent < 8 * length + 100_000


def test_an_interrupted_answer_stays_and_says_so(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'run("Half an ans", end=Interrupted(1.0))')
    *_, kept = [m["content"]["data"] for m in messages if m["msg_type"] == "update_display_data"]
    html = kept["text/html"]
    assert "Half an ans" in html and "the answer is incomplete" in html


def test_a_failure_before_the_answer_leaves_a_magic_cell_empty(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, "load_magic()") + execute(kernel, "%%loop_prompt_failing\nx")
    assert kinds(messages)[-3:] == ["clear_output", "comm_close", "comm_close"]


def test_a_failure_in_another_cell_takes_nothing_else_with_it(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'print("before"); failing()')
    assert "clear_output" not in kinds(messages)
    assert [m["content"]["data"] for m in messages if m["msg_type"] == "update_display_data"] == [EMPTY, EMPTY]


def test_where_nobody_watches_only_what_is_kept_is_shown(kernel: BlockingKernelClient) -> None:
    messages = execute(kernel, 'run("Hello")', front_end=False)
    assert kinds(messages) == ["display_data"]
    assert kinds(execute(kernel, "failing()", front_end=False)) == []


def test_a_notebook_run_by_a_machine_holds_no_trace_of_a_widget() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(DRIVER + '\nrun("Hello *you*.", "\\n")')])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.data.keys() == BUNDLE
    assert output.metadata["cozeloop_magic"]["prompt_key"] == "ptaas_demo"
    assert "widgets" not in notebook.metadata
