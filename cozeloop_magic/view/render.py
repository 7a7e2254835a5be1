"""A run as what is kept of it: the bundle a notebook saves, a record for machines, and one line about how it went."""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from cozeloop_magic.entities.prompt import ToolCall, format_tool_calls
from cozeloop_magic.printable import printable, replace_surrogates
from cozeloop_magic.run.state import ASKS_FOR_TOOLS, SAID_ALL, Phase, RunState
from cozeloop_magic.view import markdown, request, safe_markdown

__all__ = [
    "FOLD_HEIGHT",
    "ROOT",
    "bundle",
    "calls_html",
    "css_class",
    "has_output",
    "is_incomplete",
    "is_long",
    "items_html",
    "metadata",
    "progress",
    "status",
    "style",
    "without_blank_lines",
]

ROOT = f"cozeloop-run {markdown.IGNORED}"
"""Classes of the element around a run, live or kept."""

FOLD_HEIGHT = 1200
"""Pixels above which an answer is folded, unless told otherwise."""

_LINE = (100, 22)  # characters on a line, and its height in pixels: near enough to tell a long answer
_GAP = 0.6  # lines between blocks
_FENCED = re.compile(r"^ *(```+|~~~+).*?(?:^ *\1|\Z)", re.DOTALL | re.MULTILINE)
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_SOFT_BREAK = re.compile(r"(?<!  |.\\)\n(?! {4}|\t| *(?:[-*+#|]|\d+[.)]))")  # no item, heading, row or code follows
_WIDE = re.compile(  # Chinese, Japanese and Korean characters take the place of two
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
    "\U00020000-\U0003fffd]"
)

_NEEDLESS = re.compile(r" ?([{};,>]) ?|(?<=:) ")  # space in a style sheet

_BEFORE_A_BLANK_LINE = re.compile(r"\n(?=[^\S\n]*(?:\n|\Z))")

_WHOLE = dict.fromkeys(("", *SAID_ALL), "done") | dict.fromkeys(ASKS_FOR_TOOLS, "asks for tools")
_CUT = dict.fromkeys(("length", "max_tokens", "max_length"), "stopped at the length limit") | {
    "content_filter": "stopped by the content filter",
    "refusal": "the model refused",
}  # as is whatever has a finish reason that is not known here: it may mean a failure


def bundle(state: RunState, *, fold_height: int = FOLD_HEIGHT, with_error: bool = False) -> dict[str, str]:
    """Give a run by MIME type: HTML without scripts, Markdown, and the answer's plain text.

    Parameters
    ----------
    state : RunState
        The run.
    fold_height : int
        Pixels above which a long answer is folded; 0 never folds.
    with_error : bool
        Whether to say why it failed, where no failing cell does.
    """
    error = _error(state) if with_error else ""
    early = f"[{progress(state)}]" if is_incomplete(state) and has_output(state) else ""
    said = (state.text, format_tool_calls(state.result), early, error)
    return {
        "text/html": _html(state, fold_height, error),
        "text/markdown": safe_markdown.safe(*said) or safe_markdown.safe(status(state)),
        "text/plain": "\n\n".join(filter(None, map(printable, said))) or status(state),
    }


def is_long(state: RunState, fold_height: int) -> bool:
    """Tell whether an answer is far higher than it may be unfolded."""
    return 0 < fold_height * 1.3 < _lines(state.text) * _LINE[1]


def _lines(text: str) -> float:
    """Guess how many lines Markdown fills on a page, where soft line breaks are blanks and code does not wrap."""
    code = "".join(fenced[0] for fenced in _FENCED.finditer(text)).count("\n")
    blocks = _BLANK_LINES.split(_FENCED.sub("\n\n", text).strip())
    lines = "\n\n".join(_SOFT_BREAK.sub(" ", block) for block in blocks).split("\n")
    return code + sum(math.ceil((len(line) + len(_WIDE.findall(line))) / _LINE[0]) or _GAP for line in lines)


def metadata(state: RunState) -> dict[str, Any]:
    """Give a small record of a run: which prompt, which model, how long; no variables and no text."""
    usage = state.result.usage
    record = {
        "prompt_key": state.request.prompt_key,
        "version": _version(state),
        "label": state.request.label,
        "model": state.result.model,
        "origin": state.origin or None,
        "phase": state.phase.value,
        "finish_reason": state.result.finish_reason,
        "usage": usage and {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "ttft": state.ttft,
        "latency": state.latency,
        "log_id": state.result.log_id or (state.error and state.error.log_id),
    }
    return {"cozeloop_magic": {key: replace_surrogates(value) for key, value in record.items() if value is not None}}


def has_output(state: RunState) -> bool:
    """Tell whether anything of an answer came: text, reasoning or a tool call."""
    return bool(state.text or state.reasoning or _calls(state))


def status(state: RunState) -> str:
    """Say in one quiet line what ran and how it went."""
    if state.preparing:
        return printable(state.preparing).replace("\n", " ")
    usage = state.result.usage
    items = [
        progress(state),
        _prompt(state),
        state.origin,
        state.result.model,
        state.ttft is not None and f"first token {_seconds(state.ttft)}",
        state.latency is not None and _seconds(state.latency),
        _retries(state.result.retries),
        usage and f"{usage} tokens",
        usage is None and state.phase is Phase.DONE and has_output(state) and "tokens not told",
        state.speed is not None and _speed(state),
        *state.notes,
        *state.result.notes,
    ]
    return printable(" · ".join(item for item in items if item)).replace("\n", " ")


def css_class(state: RunState) -> str:
    """Give the class that says how it went: a phase, or ``cut`` for an answer that ended too early by itself."""
    return f"cozeloop-{'cut' if _is_cut(state) else state.phase.value}"


def is_incomplete(state: RunState) -> bool:
    """Tell whether a run ended before its answer did."""
    return _is_cut(state) or state.phase in (Phase.INTERRUPTED, Phase.FAILED)


def _is_cut(state: RunState) -> bool:
    return state.phase is Phase.DONE and not state.whole


def _reason(state: RunState) -> str:
    """Give the finish reason; one that is blank is none that anybody knows."""
    reason = state.result.finish_reason
    return printable(reason).replace("\n", " ").strip() or "blank" if reason else ""


def _prompt(state: RunState) -> str:
    version, label = _version(state), state.request.label
    marked = f" ({label})" if label and not state.request.version else ""
    return state.request.prompt_key + (f" @ {version}" if version else "") + marked


def _version(state: RunState) -> str | None:
    return state.version or state.request.version


def _retries(number: int) -> str:
    return f"{number} {'retry' if number == 1 else 'retries'}" if number else ""


def _seconds(seconds: float) -> str:
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def _speed(state: RunState) -> str:
    """Give the speed; while it changes, in steps that a reader can follow."""
    speed = state.speed or 0.0
    return f"{speed:,.0f} tokens/s" if state.ended or speed < 10 else f"{round(speed, -1):,.0f} tokens/s"


def _error(state: RunState) -> str:
    return printable(f"{type(state.error).__name__}: {state.error}") if state.error else ""


def progress(state: RunState) -> str:
    """Say in a word or two how far a run has come."""
    match state.phase:
        case Phase.WAITING:
            return "waiting…"
        case Phase.STREAMING:
            return "writing…" if state.text or _calls(state) or not state.reasoning else "thinking…"
        case Phase.INTERRUPTED:
            return "interrupted, the answer is incomplete" if has_output(state) else "interrupted before it answered"
        case Phase.FAILED:
            return "failed, the answer is incomplete" if has_output(state) else "failed"
        case Phase.DONE:
            reason = _reason(state)
            said = (_WHOLE | _CUT).get(reason.lower(), "ended") if has_output(state) else "an empty answer"
            return f"{said} ({reason})" if reason else said


def _html(state: RunState, fold_height: int, error: str) -> str:
    answer = markdown.to_html(state.text)
    long = is_long(state, fold_height)
    folds, height = (" cozeloop-long", f' style="--cz-fold: {fold_height}px"') if long else ("", "")
    parts = [
        f'<div class="{ROOT} {css_class(state)}">',
        f"<style>{style()}</style>",
        _reasoning_html(state.reasoning),
        answer and f'<div class="cozeloop-answer{folds} jp-RenderedHTMLCommon"{height}>{answer}</div>',
        _FOLD if long else "",
        calls_html(state),
        error and f'<p class="cozeloop-error">{escape(error, quote=False)}</p>',
        f'<p class="cozeloop-status">{items_html(status(state))}</p>',
        request.to_html(state.request, state.settings, state.definition),
        "</div>",
    ]
    return without_blank_lines("\n".join(part for part in parts if part))


def without_blank_lines(html: str) -> str:
    """Return HTML that reads the same and is one piece in Markdown, into which notebooks are exported.

    Markdown ends HTML at a blank line, and would read what follows as its own.
    """
    return _BEFORE_A_BLANK_LINE.sub("&#10;", html)


# The style sheet cuts an answer while this is closed. Where style sheets are taken away all of the answer shows, and
# nothing that would do nothing: JupyterLab keeps `hidden` in a notebook it does not trust, if it has a value, but no
# `rp`, which no page shows by itself; sites such as GitHub keep that and no `hidden`.
_FOLD = '<rp><details class="cozeloop-fold" hidden="hidden"><summary></summary></details></rp>'


def items_html(line: str) -> str:
    """Let each item of the status line wrap as a whole."""
    return " ".join(f"<span>{escape(item)}</span>" for item in line.replace(" · ", " ·\n").split("\n"))


def _reasoning_html(reasoning: str) -> str:
    if not reasoning:
        return ""
    shown = escape(printable(reasoning.strip()), quote=False)
    return f'<details class="cozeloop-reasoning"><summary>Reasoning</summary><div>{shown}</div></details>'


def calls_html(state: RunState, longest: int | None = None) -> str:
    """Give the tools the model asks for, with what it wants to hand them.

    Parameters
    ----------
    state : RunState
        The run.
    longest : int or None
        How many characters of unfinished arguments to show, from their end; None shows them whole and laid out.
    """
    return "\n".join(_call_html(call, longest) for call in _calls(state))


def _call_html(call: ToolCall, longest: int | None) -> str:
    name, arguments = _call(call)
    if longest is None:
        arguments = _laid_out(arguments)
    elif len(arguments) > longest:
        arguments = "…" + arguments[-longest:]
    return (
        f'<div class="cozeloop-call"><span class="cozeloop-tool">{escape(printable(name))}</span>'
        f"<pre><code>{escape(printable(arguments), quote=False)}</code></pre></div>"
    )


def _calls(state: RunState) -> tuple[ToolCall, ...]:
    return tuple((state.result.message and state.result.message.tool_calls) or ())


def _call(call: ToolCall) -> tuple[str, str]:
    function = call.function_call
    return (function.name, function.arguments or "") if function else (call.id or "tool", "")


def _laid_out(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


@lru_cache
def style(*more: str) -> str:
    """Return the style sheet of a run, live or kept, without needless space: every saved answer holds it.

    Parameters
    ----------
    more : str
        Names of further sheets, for what is not one run.
    """
    sheets = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("static.css", *more))
    return _NEEDLESS.sub(r"\1", " ".join(" ".join(sheets).split()))
