"""Messages, prompts, variables and results, named as in ``cozeloop.entities.prompt``.

Sources: the open API of the Coze Loop server (``coze/loop/prompt/*.openapi.thrift``) and the official Python SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cozeloop_magic.entities import wire
from cozeloop_magic.entities.kinds import ContentType, Role, TemplateType, ToolChoiceType, ToolType, VariableType
from cozeloop_magic.entities.table import to_pandas
from cozeloop_magic.entities.wire import Wire
from cozeloop_magic.printable import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ContentPart",
    "ContentType",
    "ExecuteRequest",
    "ExecuteResult",
    "Function",
    "FunctionCall",
    "LLMConfig",
    "Message",
    "MessageLikeObject",
    "Prompt",
    "PromptPage",
    "PromptSummary",
    "PromptTemplate",
    "PromptVariable",
    "Role",
    "TemplateType",
    "TokenUsage",
    "Tool",
    "ToolCall",
    "ToolCallConfig",
    "ToolChoiceType",
    "ToolType",
    "VariableDef",
    "VariableType",
    "format_tool_calls",
]


@dataclass(frozen=True, repr=False)
class ContentPart(Wire):
    """A piece of a multi-part message.

    ``base64_data`` is a data URI, ``data:<mediatype>;base64,<data>``; ``text`` also names the variable of a part of
    type ``multi_part_variable``.
    """

    type: ContentType | str = wire.absent_member(ContentType)
    text: str | None = wire.text()
    image_url: str | None = wire.text()
    video_url: str | None = wire.text()
    base64_data: str | None = wire.text()


@dataclass(frozen=True, repr=False)
class FunctionCall(Wire):
    """A function the model wants called; ``arguments`` is JSON text."""

    name: str = wire.absent(wire.as_text, "")
    arguments: str | None = wire.text()


@dataclass(frozen=True, repr=False)
class ToolCall(Wire):
    """A tool the model wants called. In a stream, pieces with the same ``index`` belong together."""

    index: int | None = wire.count()
    id: str | None = wire.text()
    type: ToolType | str | None = wire.member(ToolType)
    function_call: FunctionCall | None = wire.of(FunctionCall)


@dataclass(frozen=True, repr=False)
class Message(Wire):
    """What one role says.

    Attributes
    ----------
    role : Role or str
        Who speaks; a role this version does not know stays text.
    content : str or None
        The text.
    parts : tuple of ContentPart or None
        Text, images and video together, in place of ``content``.
    reasoning_content : str or None
        What the model thought before it spoke, where it tells.
    tool_call_id : str or None
        Of a ``tool`` message: the call it answers.
    tool_calls : tuple of ToolCall or None
        Of an ``assistant`` message: the calls it asks for.
    skip_render : bool or None
        Of an appended message: the server must not render it as a template.
    metadata : dict or None
        Passed through.
    """

    role: Role | str = wire.absent_member(Role)
    content: str | None = wire.text()
    parts: Sequence[ContentPart] | None = wire.many(ContentPart)
    reasoning_content: str | None = wire.text()
    tool_call_id: str | None = wire.text()
    tool_calls: Sequence[ToolCall] | None = wire.many(ToolCall)
    skip_render: bool | None = wire.flag()
    metadata: Mapping[str, Any] | None = wire.kept()

    @property
    def text(self) -> str:
        """The text of ``content``, or of the text parts."""
        if self.content:
            return self.content
        return "".join(part.text or "" for part in self.parts or () if part.type == ContentType.TEXT)


@dataclass(frozen=True, repr=False)
class VariableDef(Wire):
    """A variable that a prompt declares."""

    key: str = wire.absent(wire.as_text, "")
    desc: str | None = wire.text()
    type: VariableType | str = wire.member(VariableType, VariableType.STRING)


@dataclass(frozen=True, repr=False)
class Function(Wire):
    """A function the model may ask for; ``parameters`` is a JSON schema as text."""

    name: str = wire.absent(wire.as_text, "")
    description: str | None = wire.text()
    parameters: str | None = wire.text()


@dataclass(frozen=True, repr=False)
class Tool(Wire):
    """A tool the model may ask for."""

    type: ToolType | str = wire.member(ToolType, ToolType.FUNCTION)
    function: Function | None = wire.of(Function)


@dataclass(frozen=True, repr=False)
class ToolCallConfig(Wire):
    """Whether the model may call tools; for ``specific``, the specification holds ``type`` and ``name``."""

    tool_choice: ToolChoiceType | str = wire.member(ToolChoiceType, ToolChoiceType.AUTO)
    tool_choice_specification: Mapping[str, Any] | None = wire.kept()


@dataclass(frozen=True, repr=False)
class LLMConfig(Wire):
    """How the model is asked to sample."""

    temperature: float | None = wire.number()
    max_tokens: int | None = wire.count()
    top_k: int | None = wire.count()
    top_p: float | None = wire.number()
    frequency_penalty: float | None = wire.number()
    presence_penalty: float | None = wire.number()
    json_mode: bool | None = wire.flag()


@dataclass(frozen=True, repr=False)
class PromptTemplate(Wire):
    """A prompt's messages, how they are rendered and the variables they declare."""

    template_type: TemplateType | str = wire.member(TemplateType, TemplateType.NORMAL)
    messages: Sequence[Message] | None = wire.many(Message)
    variable_defs: Sequence[VariableDef] | None = wire.many(VariableDef)


@dataclass(frozen=True, repr=False)
class Prompt(Wire):
    """One committed version of a prompt (an item of ``POST /v1/loop/prompts/mget``)."""

    prompt_key: str = wire.absent(wire.as_text, "")
    version: str = wire.absent(wire.as_text, "")
    workspace_id: str = wire.text("")
    prompt_template: PromptTemplate | None = wire.of(PromptTemplate)
    tools: Sequence[Tool] | None = wire.many(Tool)
    tool_call_config: ToolCallConfig | None = wire.of(ToolCallConfig)
    llm_config: LLMConfig | None = wire.of(LLMConfig)

    @property
    def variable_defs(self) -> Sequence[VariableDef]:
        """The variables the prompt declares."""
        return (self.prompt_template and self.prompt_template.variable_defs) or ()


@dataclass(frozen=True, repr=False)
class PromptSummary(Wire):
    """A prompt as a list shows it (``POST /v1/loop/prompts/list``)."""

    prompt_key: str = wire.absent(wire.as_text, "")
    id: str | None = wire.text()
    display_name: str | None = wire.text()
    description: str | None = wire.text()
    latest_version: str | None = wire.text()
    latest_committed_at: int | None = wire.count()


@dataclass(frozen=True, repr=False)
class PromptPage(Wire):
    """A page of prompts, and how many there are over all pages."""

    prompts: Sequence[PromptSummary] = wire.many(PromptSummary, ())
    total: int = wire.count(0)


@dataclass(frozen=True, repr=False)
class TokenUsage(Wire):
    """What a call cost, in tokens; None is a count that was not told."""

    input_tokens: int | None = wire.count()
    output_tokens: int | None = wire.count()

    def __str__(self) -> str:
        sent, received = ("?" if n is None else f"{n:,}" for n in (self.input_tokens, self.output_tokens))
        return f"{sent} → {received}"


@dataclass(frozen=True, repr=False)
class ExecuteResult(Wire):
    """An answer, or in a stream the next piece of one. Reads as its text.

    Attributes
    ----------
    message : Message or None
        What the model says; in a stream, the text that is new.
    finish_reason : str or None
        Why the model stopped: ``stop``, ``length``, ``tool_calls``, ... None as long as it has not.
    usage : TokenUsage or None
        Tokens in and out; in a stream, with the last piece.
    log_id : str or None
        The server's id of the call (response header ``x-tt-logid`` or ``X-Log-ID``).
    model : str or None
        The model that answers, where the server names it (response header ``X-Loop-Model``; the embedded Loop does).
    retries : int
        How many times the call had to be made again before it was answered.
    notes : tuple of str
        Remarks of the embedded Loop (header ``X-Loop-Notes``, an event's ``x_loop_notes``): what works there alone.
    prompt_key, version, label : str or None
        Of a whole answer: which prompt was asked for.
    ttft, latency : float or None
        Of a whole answer: seconds to its first text and to its end, which came together.
    """

    message: Message | None = wire.of(Message)
    finish_reason: str | None = wire.word()
    usage: TokenUsage | None = wire.of(TokenUsage)
    log_id: str | None = None
    model: str | None = None
    retries: int = 0
    notes: tuple[str, ...] = ()
    prompt_key: str | None = field(default=None, compare=False)
    version: str | None = field(default=None, compare=False)
    label: str | None = field(default=None, compare=False)
    ttft: float | None = field(default=None, compare=False)
    latency: float | None = field(default=None, compare=False)

    @property
    def complete(self) -> bool:
        """Whether it came to its end, with a finish reason; `finish_reason` tells whether that was a good one."""
        return bool(self.finish_reason)

    @property
    def text(self) -> str:
        """The answer's text; empty where there is none."""
        return self.message.text if self.message else ""

    def to_pandas(self) -> pd.DataFrame:
        """Return one row: the prompt, the text, why it ended, tokens and times (needs the ``[batch]`` extra)."""
        return to_pandas([self])

    def __str__(self) -> str:
        return self.text

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show it as IPython does what ends a cell: what the model says, which may be anything, and how it ended."""
        said = [text for text in (self.text, format_tool_calls(self)) if text]
        alone = len(printer.stack) == 1
        printer.text(printable("\n\n".join([*said, f"[{self._end()}]"])) if alone and said else repr(self))

    def _end(self) -> str:
        why = f"finish reason: {self.finish_reason}" if self.finish_reason else "incomplete: no finish reason"
        usage = f"{self.usage} tokens" if self.usage else None
        return " · ".join(filter(None, (why, self.model, usage)))


MessageLikeObject = Message | list[Message]
PromptVariable = str | Message | list[Message]


def format_tool_calls(result: ExecuteResult) -> str:
    """Give the tools the model asks for, ``name(arguments)`` on a line each; empty if it asks for none."""
    calls = (result.message and result.message.tool_calls) or ()
    named = ((call.function_call or FunctionCall(call.id or "tool")) for call in calls)
    return "\n".join(f"{function.name}({function.arguments or ''})" for function in named)


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """What is asked: a prompt, its variables' values, and messages to append.

    Attributes
    ----------
    prompt_key : str
        The prompt.
    version, label : str or None
        Which version; with both, the version wins, with neither, the latest runs.
    variable_vals : Mapping[str, Any]
        Values by variable, as Python has them.
    messages : tuple of Message
        Appended after the prompt's own.
    custom_model_config : Mapping[str, Any] or None
        In place of the prompt's whole model configuration; it must hold a ``model_id``.
    custom_tools, custom_tool_call_config : sequence of Tool or None, ToolCallConfig or None
        In place of the prompt's.
    """

    prompt_key: str
    version: str | None = None
    label: str | None = None
    variable_vals: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Message] = ()
    custom_model_config: Mapping[str, Any] | None = None
    custom_tools: Sequence[Tool] | None = None
    custom_tool_call_config: ToolCallConfig | None = None
