"""What the embedded Loop asks of a model: messages and parameters in, pieces of an answer out.

Both providers speak OpenAI's chat format, so it is written and read here once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cozeloop_magic.entities.prompt import (
    ContentPart,
    ContentType,
    ExecuteResult,
    FunctionCall,
    LLMConfig,
    Message,
    Role,
    Tool,
    ToolCall,
)
from cozeloop_magic.errors import RemoteError, remote_error

__all__ = [
    "MODEL_ID",
    "Emit",
    "Model",
    "Parameters",
    "chat_request",
    "model_failed",
    "only_text",
]

MODEL_ID = "1"
"""The id of the first model that a server has; each has its name as an id, too."""

INVALID_PARAMETER = 600500202
INTERNAL = 1
MODEL_FAILED = 600500703
"""The platform's code for a service behind it that failed."""

Emit = Callable[[ExecuteResult], bool]
"""Takes a piece of the answer; false means that nobody listens any more."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the model is asked: sampling, the tools it may call, and OpenAI's ``tool_choice``."""

    config: LLMConfig
    tools: Sequence[Tool] = ()
    tool_choice: str | Mapping[str, Any] | None = None


class Model(Protocol):
    """A language model.

    Attributes
    ----------
    name : str
        What it is called, for people and as the id by which a model configuration asks for it.
    """

    name: str

    def load(self) -> None:
        """Get ready to answer; may take a while, and may be left out."""

    def notes(self, messages: Sequence[Message]) -> Sequence[str]:
        """Return what a person should know before the answer comes."""

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer, piece by piece, on the calling thread; end early once `emit` says that nobody listens."""


def model_failed(message: str, *, code: int = MODEL_FAILED) -> RemoteError:
    """Make the error of a model that cannot answer; its message says what to do, where that is known."""
    error = remote_error(message, code=code)
    error.hint = ""
    return error


def only_text(messages: Sequence[Message], name: str) -> None:
    """Refuse images and video, for a model that reads text only."""
    if any(part.type != ContentType.TEXT for message in messages for part in message.parts or ()):
        raise remote_error(
            f"The model {name} reads text only, no images or video. Serve one that sees by setting "
            "COZELOOP_MAGIC_OPENAI_BASE_URL and COZELOOP_MAGIC_OPENAI_MODEL, or use a hosted Loop.",
            code=INVALID_PARAMETER,
        )


def chat_request(messages: Sequence[Message], parameters: Parameters) -> dict[str, Any]:
    """Write a chat request in OpenAI's format; what was not asked for is left to the model."""
    config = parameters.config
    request: dict[str, Any] = {
        "messages": [_message(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": config.temperature,
        "max_tokens": config.max_tokens or None,
        "top_k": config.top_k,
        "top_p": config.top_p,
        "frequency_penalty": config.frequency_penalty,
        "presence_penalty": config.presence_penalty,
        "response_format": {"type": "json_object"} if config.json_mode else None,
    }
    if parameters.tools:
        request["tools"] = [_tool(tool) for tool in parameters.tools]
        request["tool_choice"] = parameters.tool_choice
    return {name: value for name, value in request.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": str(message.role), "content": message.content or ""}
    if message.parts:
        written["content"] = [_part(part) for part in message.parts]
    if message.role == Role.TOOL:
        written["tool_call_id"] = message.tool_call_id or ""
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
    return written


def _part(part: ContentPart) -> dict[str, Any]:
    if part.type == ContentType.TEXT:
        return {"type": "text", "text": part.text or ""}
    if part.type == ContentType.VIDEO_URL:
        return {"type": "video_url", "video_url": {"url": part.video_url}}
    return {"type": "image_url", "image_url": {"url": part.image_url or part.base64_data}}


def _call(call: ToolCall) -> dict[str, Any]:
    function = call.function_call or FunctionCall("")
    return {
        "id": call.id or "",
        "type": "function",
        "function": {"name": function.name, "arguments": function.arguments or "{}"},
    }


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    if function is None:
        raise remote_error("A tool without a function was sent.", code=INVALID_PARAMETER)
    written: dict[str, Any] = {"name": function.name, "description": function.description or ""}
    if function.parameters:
        try:
            written["parameters"] = json.loads(function.parameters)
        except ValueError:
            message = f"The parameters of tool {function.name} are no JSON schema."
            raise remote_error(message, code=INVALID_PARAMETER) from None
    return {"type": "function", "function": written}
