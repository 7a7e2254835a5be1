"""What is asked, as the JSON body that asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, Message, Tool, ToolCallConfig
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest

__all__ = ["execute_body"]

_KINDS = {  # what a caller may have written as the JSON it becomes
    "variable_vals": (Mapping, 'Write {"name": value}.'),
    "messages": (Sequence, 'Write [Message("user", "...")].'),
    "custom_model_config": (Mapping, 'Write {"model_id": ...}.'),
    "custom_tools": (Sequence, "Write [Tool(...)]."),
    "custom_tool_call_config": (ToolCallConfig, "Write ToolCallConfig(...)."),
}


def execute_body(request: ExecuteRequest) -> dict[str, Any]:
    """Give the body of ``POST /v1/loop/prompts/execute`` and ``.../execute_streaming``, but for the workspace.

    Raises
    ------
    InvalidRequest
        If it cannot be sent, or the server would silently ignore a part of it.
    """
    if not request.prompt_key:
        raise InvalidRequest("There is no prompt key.", hint="Name the prompt to run.")
    _check_kinds(request)
    model = request.custom_model_config
    if model is not None and not model.get("model_id"):
        raise InvalidRequest(
            "custom_model_config holds no model_id; the server would silently ignore all of it.",
            hint="Add the model_id; what it replaces is the prompt's whole model configuration.",
        )
    variables = encode_all(request.variable_vals)
    for message in request.messages:
        _check(message, "messages")
    for variable in variables:
        for message in variable.placeholder_messages or ():
            _check(message, f"Variable {variable.key}")
    identifier = {"prompt_key": request.prompt_key, "version": request.version, "label": request.label}
    tool_calls = request.custom_tool_call_config
    body = {
        "prompt_identifier": {name: value for name, value in identifier.items() if value},
        "variable_vals": [variable.to_json() for variable in variables],
        "messages": [message.to_json() for message in request.messages],
        "custom_model_config": model and dict(model),
        "custom_tool_call_config": tool_calls and tool_calls.to_json(),
    }
    given = {name: value for name, value in body.items() if value}
    if request.custom_tools is not None:  # an empty list takes the prompt's tools away
        given["custom_tools"] = [tool.to_json() for tool in request.custom_tools]
    return given


def _check_kinds(request: ExecuteRequest) -> None:
    for name, (right, hint) in _KINDS.items():
        value = getattr(request, name)
        if not isinstance(value, (right, NoneType)):
            raise InvalidRequest(f"{name} is of type {type(value).__name__}.", hint=hint)
    for tool in request.custom_tools or ():
        if not isinstance(tool, Tool):
            raise InvalidRequest(
                f"custom_tools holds a value of type {type(tool).__name__}.", hint="Write Tool(...)."
            )


def _check(message: object, where: str) -> None:
    """See that a message is one, and that its content is text: the server would refuse it without saying where."""
    if not isinstance(message, Message):
        raise InvalidRequest(
            f"{where} holds a value of type {type(message).__name__}.", hint='Write Message("user", "...").'
        )
    if not isinstance(message.content, (str, NoneType)):
        raise InvalidRequest(
            f"{where} holds a message whose content is of type {type(message.content).__name__}.",
            hint="Turn it into text first, or send it as a variable.",
        )
    for part in message.parts or ():
        if not isinstance(part, ContentPart):
            raise InvalidRequest(
                f"{where} holds a message with a part of type {type(part).__name__}.",
                hint='Write ContentPart("text", text="...").',
            )
