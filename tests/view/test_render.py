"""What is kept of a run: the bundle, the record and the status line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from nbconvert import MarkdownExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from cozeloop_magic.entities.prompt import (
    ExecuteRequest,
    ExecuteResult,
    FunctionCall,
    Message,
    Prompt,
    Role,
    TokenUsage,
    ToolCall,
)
from cozeloop_magic.errors import ServerFailed
from cozeloop_magic.run.state import Arrived, Event, Failed, Finished, Interrupted, Phase, RunState, fold
from cozeloop_magic.view.markdown import Blocks
from cozeloop_magic.view.render import bundle, has_output, is_long, metadata, status
from tests.growth import c_grows_alike, growth, lines_run
from tests.hostile import ATTRIBUTES, faults, read
from tests.payloads import PAYLOADS

FRAME = ("details", "summary", "dl", "dt", "dd", "rp", "mark")
CALL = ToolCall(0, "call_1", None, FunctionCall("get_weather", '{"city":"北京"}'))


def state(text: str = "Hello *you*.", phase: Phase = Phase.DONE, **changes: object) -> RunState:
    result = ExecuteResult(
        Message(Role.ASSISTANT, text), "stop", TokenUsage(42, 1092), log_id="log-1", model="SmolLM2-135M"
    )
    done = RunState(
        ExecuteRequest("ptaas_demo", variable_vals={"topic": "s3cr3t"}),
        phase,
        origin="embedded",
        version="0.0.1",
        result=result,
        ttft=0.147,
        latency=1.23,
    )
    return replace(done, **changes)


def with_message(**fields: object) -> RunState:
    return state(result=ExecuteResult(Message(Role.ASSISTANT, **fields), "stop"))


def test_the_status_line_says_what_ran_and_how_it_went() -> None:
    assert status(state()) == (
        "done (stop) · ptaas_demo @ 0.0.1 · embedded · SmolLM2-135M · first token 0.15 s · 1.2 s · 42 → 1,092 tokens"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (RunState(ExecuteRequest("key")), "waiting… · key"),
        (RunState(ExecuteRequest("key", "1.0.0"), preparing="Fetching…\nthe model"), "Fetching… the model"),
        (RunState(ExecuteRequest("key", "1.0.0", "beta")), "waiting… · key @ 1.0.0"),
        (RunState(ExecuteRequest("key", label="beta")), "waiting… · key (beta)"),
        (RunState(ExecuteRequest("key", label="beta"), version="1.0.0"), "waiting… · key @ 1.0.0 (beta)"),
        (RunState(ExecuteRequest("key"), Phase.STREAMING, ttft=2.0), "writing… · key · first token 2.0 s"),
        (RunState(ExecuteRequest("key"), Phase.DONE, latency=65), "an empty answer · key · 1 min 5 s"),
        (RunState(ExecuteRequest("key"), Phase.INTERRUPTED), "interrupted before it answered · key"),
        (RunState(ExecuteRequest("k\x1b[2Jey"), notes=("not checked",)), "waiting… · k␛[2Jey · not checked"),
    ],
)
def test_the_status_line_at_every_stage(given: RunState, expected: str) -> None:
    assert status(given) == expected


def test_thinking_is_told_from_writing() -> None:
    thinking = ExecuteResult(Message(Role.ASSISTANT, reasoning_content="hm"))
    assert status(state(phase=Phase.STREAMING, result=thinking)).startswith("thinking…")


@pytest.mark.parametrize(
    ("phase", "reason", "shown", "css_class"),
    [
        (Phase.DONE, "length", "stopped at the length limit (length)", "cozeloop-cut"),
        (Phase.DONE, "content_filter", "stopped by the content filter (content_filter)", "cozeloop-cut"),
        (Phase.DONE, "refusal", "the model refused (refusal)", "cozeloop-cut"),
        (Phase.DONE, "MAX_TOKENS", "stopped at the length limit (MAX_TOKENS)", "cozeloop-cut"),
        (Phase.DONE, "error", "ended (error)", "cozeloop-cut"),
        (Phase.DONE, "null\x1b", "ended (null␛)", "cozeloop-cut"),
        (Phase.DONE, " ", "ended (blank)", "cozeloop-cut"),
        (Phase.DONE, "stop", "done (stop)", "cozeloop-done"),
        (Phase.DONE, "end_turn", "done (end_turn)", "cozeloop-done"),
        (Phase.DONE, "function_call", "asks for tools (function_call)", "cozeloop-done"),
        (Phase.INTERRUPTED, None, "interrupted, the answer is incomplete", "cozeloop-interrupted"),
        (Phase.FAILED, None, "failed, the answer is incomplete", "cozeloop-failed"),
    ],
)
def test_an_answer_that_was_cut_never_looks_complete(phase: Phase, reason: str, shown: str, css_class: str) -> None:
    cut = state(phase=phase)
    cut = replace(cut, result=replace(cut.result, finish_reason=reason))
    assert status(cut).startswith(f"{shown} · ")
    kept = bundle(cut)
    assert f" {css_class}" in kept["text/html"]
    for kind in ("text/plain", "text/markdown"):
        assert (f"[{shown}]" in kept[kind]) is (css_class != "cozeloop-done")


def test_the_status_line_wraps_between_its_items() -> None:
    waiting = bundle(RunState(ExecuteRequest("a key", label="<b>"), Phase.DONE))["text/html"]
    assert '<p class="cozeloop-status"><span>an empty answer ·</span> <span>a key (&lt;b&gt;)</span></p>' in waiting


def test_a_bundle_holds_the_answer_three_times() -> None:
    kept = bundle(state())
    assert list(kept) == ["text/html", "text/markdown", "text/plain"]
    assert "<p>Hello <em>you</em>.</p>" in kept["text/html"]
    assert kept["text/markdown"] == kept["text/plain"] == "Hello *you*."


def test_the_speed_is_told_while_it_comes_and_in_the_end() -> None:
    streaming = RunState(ExecuteRequest("key"), Phase.STREAMING, ttft=0.5, pieces=98, at=1.5)
    assert status(streaming) == "writing… · key · first token 0.50 s · 100 tokens/s"
    assert status(state(pieces=1092, at=2.145)).endswith("1,092 tokens · 546 tokens/s")


def test_a_request_shows_exactly_what_was_sent() -> None:
    history = [Message(Role.USER, "Hi"), Message(Role.ASSISTANT, "Hello")]
    asked = ExecuteRequest("key", "1.0.0", None, {"n": {"a": [1]}, "history": history}, (Message(Role.USER, "<b>"),))
    html = bundle(state(request=asked))["text/html"]
    section = html[html.index('<details class="cozeloop-request"') :]
    for shown in ('<dt>n</dt><dd>{"a": [1]}</dd>', "<dd>@user\nHi</dd>", "<dt>@user</dt><dd>&lt;b&gt;</dd>"):
        assert shown in section


def test_a_request_shows_the_messages_as_the_template_fills_them_where_it_is_known() -> None:
    written = {"messages": [{"role": "system", "content": "Greet <{{n}}>."}]}
    template = {"template_type": "normal", "variable_defs": [{"key": "n", "type": "string"}], **written}
    definition = Prompt.from_json({"prompt_key": "key", "version": "1.0.0", "prompt_template": template})
    asked = ExecuteRequest("key", "1.0.0", None, {"n": "<b>"}, (Message(Role.USER, "{{n}}?"),))
    html = bundle(state(request=asked, definition=definition))["text/html"]
    assert "<dt>n</dt><dd>&lt;b&gt;</dd>" in html
    assert "<dt>@system</dt><dd>Greet &lt;<mark>&lt;b&gt;</mark>&gt;.</dd>" in html
    assert "<dt>@user</dt><dd><mark>&lt;b&gt;</mark>?</dd>" in html


def test_a_long_answer_is_folded_and_whole() -> None:
    long = state("word \n\n" * 200)
    html = bundle(long)["text/html"]
    assert '<details class="cozeloop-fold"' in html and html.count("<p>word</p>") == 200
    assert 'cozeloop-fold"' not in bundle(long, fold_height=0)["text/html"]
    assert 'cozeloop-fold"' not in bundle(state())["text/html"]


def test_an_error_that_no_cell_tells_is_told_with_the_answer() -> None:
    kept = bundle(state(phase=Phase.FAILED, error=ServerFailed("<b>no</b>")), with_error=True)
    assert "ServerFailed: &lt;b&gt;no&lt;/b&gt;" in kept["text/html"]
    assert "\n\nServerFailed: <b>no</b>" in kept["text/plain"]
    assert "<b>" not in kept["text/markdown"]


@pytest.mark.parametrize(
    "text",
    [
        "A paragraph.\n\n" * 7_000,
        "x" * 200_000,
        "`" * 20_000,
        "".join("`" * n + " " for n in range(1, 900)),
        "[" * 20_000,
        "*a " * 20_000,
        "".join("  " * n + "- a\n" for n in range(200)),
        "> " * 2_000 + "a",
        "```python\n" + "x = 1\n" * 30_000,
        "$" * 5_000,
        "| a " * 3_000 + "|\n",
    ],
    ids=[
        "100 KB",
        "one line",
        "ticks",
        "ticks of every length",
        "brackets",
        "stars",
        "deep list",
        "deep quote",
        "open fence",
        "dollars",
        "cells",
    ],
)
def test_answers_out_of_all_proportion_are_kept(text: str) -> None:
    kept = bundle(state(text))
    assert kept["text/plain"].strip() == text.strip()
    assert "cozeloop-done" in kept["text/html"]


PLAIN = "Some words of an answer.\n\n"
MARKUP = [
    *(
        "![",
        "[",
        "*",
        "`",
        "&",
        "<",
        "> ",
        "*a ",
        "`a ",
        "[a](",
        "~~",
        "\\(",
        "$",
        "$a$ ",
        "word ",
        "- a\n",
        "```\nx\n",
    ),
    *("- some words\n", "> some words\n", "| a | b |\n", "# some words\n", "Some words, `code` and *more*.\n\n"),
]


def kept_of(unit: str, size: int) -> object:
    """Keep an answer of so many characters that repeats one thing."""
    head = "| a | b |\n|---|---|\n" if unit[0] == "|" else ""
    return bundle(state(head + unit * (size // len(unit))))


@pytest.mark.parametrize("unit", MARKUP)
def test_four_times_the_answer_costs_about_four_times(unit: str) -> None:
    assert growth(lambda size: kept_of(unit, size), 1_000) < 5
    assert c_grows_alike(lambda size: kept_of(unit, size), 10_000)


@pytest.mark.parametrize("unit", MARKUP)
def test_no_markup_costs_out_of_proportion_to_plain_text_of_that_size(unit: str) -> None:
    plain, marked = (lines_run(lambda one=one: kept_of(one, 4_000)) for one in (PLAIN, unit))
    assert marked < 20 * plain  # a list of single letters is a block each


def test_what_has_settled_costs_nothing_more() -> None:
    def stream(updates: int) -> None:
        blocks, text = Blocks(), ""
        for _ in range(updates):
            text += "Some words, `code` and *more*.\n\n" * 3
            blocks.feed(text)

    assert growth(stream, 50) < 5
    assert c_grows_alike(stream, 200)


def test_html_reads_well_where_style_sheets_are_taken_away() -> None:
    page = read(bundle(state("One.\n\nTwo."))["text/html"])
    style = next(text for text in page.text.split("\n\n") if ".cozeloop-run" in text)
    assert style and "script" not in {tag for tag, _ in page.elements}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_from_outside_acts_wherever_it_stands(payload: str) -> None:
    hostile = with_message(
        content=payload,
        reasoning_content=payload,
        tool_calls=(ToolCall(0, payload, None, FunctionCall(payload, payload)),),
    )
    said = Message(Role.USER, payload)
    request = ExecuteRequest(payload, payload, payload, {payload: payload, "said": [said]}, (said,))
    error = ServerFailed(payload, hint=payload, log_id=payload)
    template = {"template_type": "normal", "messages": [{"role": payload, "content": f"{payload}{{{{{payload}}}}}"}]}
    template["variable_defs"] = [{"key": payload, "type": "string"}]
    definition = Prompt.from_json({"prompt_template": template})
    hostile = replace(hostile, request=request, origin=payload, notes=(payload,), version=payload, error=error)
    hostile = replace(hostile, definition=definition)
    html = bundle(hostile, fold_height=1, with_error=True)["text/html"]
    head, _, rest = html.partition("<style>")
    found = faults(head + rest.partition("</style>")[2], ATTRIBUTES | {"style", "hidden"})
    assert set(found) <= {f"element {tag}" for tag in FRAME}


EXPORTER = MarkdownExporter()


def exported(html: str) -> str:
    """Give a page made of the Markdown that a notebook with this output is exported to."""
    notebook = new_notebook(cells=[new_code_cell(outputs=[new_output("display_data", {"text/html": html})])])
    return str(MarkdownIt("commonmark", {"html": True}).render(EXPORTER.from_notebook_node(notebook)[0]))


def test_nothing_comes_to_life_in_a_notebook_exported_as_markdown() -> None:
    bait = "![x](https://evil.example/x.png)\n\n<javascript:alert(1)>\n\n"
    for payload in ("\n\n" + bait, "a\n \t\n" + bait, "```\n\n\n" + bait + "```", "`a\n\n`" + bait, *PAYLOADS):
        spaced = f"{payload}\n\n{payload}"
        call = ToolCall(0, "c", "function", FunctionCall("f", spaced))
        hostile = with_message(content=payload, reasoning_content=spaced, tool_calls=(call,))
        html = bundle(replace(hostile, request=ExecuteRequest("k", variable_vals={"v": spaced})))["text/html"]
        assert all(line.strip() for line in html.split("\n"))
        page = read(exported(html))
        assert not any(tag == "img" for tag, _ in page.elements)
        assert not any((attrs.get("href") or "").startswith("javascript:") for _, attrs in page.elements)


def test_blank_lines_of_code_and_reasoning_are_still_there() -> None:
    page = read(bundle(with_message(content="```\n\na\n\n\nb\n```", reasoning_content="one\n \ntwo"))["text/html"])
    assert "\na\n\n\nb\n" in page.text and "one\n \ntwo" in page.text


def test_half_a_character_is_named_and_can_be_sent_to_the_page() -> None:
    kept = bundle(state("a\ud83d", request=ExecuteRequest("k\ud83d", variable_vals={"v": "\ud83d"})))
    assert all("‹U+D83D›" in text for text in kept.values() if text.encode())


CHINESE = "人工智能是计算机科学的一个分支，它研究如何让机器表现出类似人类的智能行为。" * 10
HEIGHTS = {
    "newlines at the end": ("A short answer." + "\n" * 120, False),
    "blank lines": ("First.\n" + "\n" * 120 + "Last.", False),
    "soft line breaks": ("word\n" * 100, False),
    "a quote": ("> word\n" * 100, False),
    "hard line breaks": ("word  \n" * 100, True),
    "a list": ("- word\n" * 100, True),
    "a table": ("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 80, True),
    "code": ("```\n" + "x = 1\n" * 100 + "```", True),
    "open code": ("~~~\n" + "\n" * 100 + "x", True),
    "one line of code": ("```\n" + "x = 1; " * 2000 + "\n```", False),
    "Chinese": ((CHINESE + "\n\n") * 10, True),
    "as many Latin letters": (("x" * len(CHINESE) + "\n\n") * 10, False),
}


@pytest.mark.parametrize(("text", "long"), HEIGHTS.values(), ids=HEIGHTS.keys())
def test_an_answer_is_long_by_what_a_page_makes_of_it(text: str, long: bool) -> None:
    assert is_long(state(text), 1200) == long


def test_reasoning_is_folded_away_as_plain_text() -> None:
    html = bundle(with_message(content="42", reasoning_content="<b>why</b>\n\nso"))["text/html"]
    assert "<details" in html and "&lt;b&gt;why&lt;/b&gt;&#10;\nso</div></details>" in html


def test_tool_calls_are_laid_out() -> None:
    kept = bundle(with_message(tool_calls=(CALL,)))
    assert "get_weather</span><pre><code>{\n  &quot;city&quot;" in kept["text/html"].replace(
        '"city"', "&quot;city&quot;"
    )
    assert kept["text/plain"] == 'get_weather({"city":"北京"})'
    assert has_output(with_message(tool_calls=(CALL,)))
    both = bundle(with_message(content="So:", tool_calls=(CALL,)))
    assert both["text/plain"] == both["text/markdown"] == 'So:\n\nget_weather({"city":"北京"})'


@pytest.mark.parametrize("arguments", ["", "{", "null", "[" * 100_000])
def test_arguments_that_are_no_json_are_shown_as_they_came(arguments: str) -> None:
    call = ToolCall(0, None, None, FunctionCall("f", arguments))
    assert f"<code>{arguments}</code>" in bundle(with_message(tool_calls=(call,)))["text/html"]


def test_the_record_names_the_run_and_holds_no_text() -> None:
    record = metadata(state())
    assert record == {
        "cozeloop_magic": {
            "prompt_key": "ptaas_demo",
            "version": "0.0.1",
            "model": "SmolLM2-135M",
            "origin": "embedded",
            "phase": "done",
            "finish_reason": "stop",
            "usage": {"input_tokens": 42, "output_tokens": 1092},
            "ttft": 0.147,
            "latency": 1.23,
            "log_id": "log-1",
        }
    }
    assert json.loads(json.dumps(record)) == record


def test_the_log_id_of_a_failure_is_kept() -> None:
    failed = RunState(ExecuteRequest("key"), Phase.FAILED, error=ServerFailed("no", log_id="log-2"))
    assert metadata(failed)["cozeloop_magic"]["log_id"] == "log-2"
    assert not has_output(failed)


def test_importing_the_package_of_views_imports_no_widgets_and_no_parser() -> None:
    heavy = "{'ipywidgets', 'anywidget', 'markdown_it', 'pygments', 'IPython'}"
    program = f"import sys, cozeloop_magic.view; sys.exit(str({heavy} & sys.modules.keys() or 0).strip('0') or 0)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("end", "reason", "says"),
    [
        (Finished(1.0), "length", "[stopped at the length limit (length)]"),
        (Interrupted(1.0), None, "[interrupted, the answer is incomplete]"),
        (Failed(1.0, ServerFailed("no")), None, "[failed, the answer is incomplete]"),
    ],
)
def test_an_answer_cut_short_says_so_in_every_form(end: Event, reason: str | None, says: str) -> None:
    piece = ExecuteResult(Message(Role.ASSISTANT, "Once upon a"), reason)
    state = fold(fold(RunState(ExecuteRequest("greet")), Arrived(0.1, piece)), end)
    forms = bundle(state)
    assert forms["text/plain"] == f"Once upon a\n\n{says}"
    assert says[1:-1] in forms["text/markdown"] and says[1:-1] in forms["text/html"]


def test_no_form_takes_a_servers_words_for_markup() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    call = ToolCall(0, "c", "function", FunctionCall("f", hostile))
    empty = ExecuteResult(Message(Role.ASSISTANT, ""), hostile, model=hostile)
    for result in (ExecuteResult(Message(Role.ASSISTANT, tool_calls=(call,)), "tool_calls"), empty):
        state = fold(fold(RunState(ExecuteRequest("greet")), Arrived(0.1, result)), Finished(1.0))
        forms = bundle(replace(state, notes=(hostile,)))
        assert "<img" not in forms["text/html"] and "<img" not in forms["text/markdown"]


def test_the_record_in_a_notebook_holds_no_half_a_character() -> None:
    """A notebook is saved as UTF-8, which has none."""
    half = "a\ud83db"
    request = ExecuteRequest(half, half, label=half)
    result = ExecuteResult(None, half, model=half)
    told = metadata(replace(state(), request=request, origin=half, version=half, result=result))
    assert json.dumps(told, ensure_ascii=False).encode()
    assert told["cozeloop_magic"]["finish_reason"] == "a\ufffdb"
