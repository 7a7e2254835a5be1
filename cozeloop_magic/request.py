"""What is asked, as the JSON body that asks it."""

from __future__ import annotations

from typing import Any

from cozeloop_magic.entities.prompt import ExecuteRequest, Message
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest

__all__ = ["execute_body"]


def execute_body(request: ExecuteRequest) -> dict[str, Any]:
    """Give the body of ``POST /v1/loop/prompts/execute`` and ``.../execute_streaming``, but for the workspace.

    Raises
    ------
    InvalidRequest
        If it cannot be sent, or the server would silently ignore a part of it.
    """
    if not request.prompt_key:
        raise InvalidRequest("There is no prompt key.", hint="Name the prompt to run.")
    model = request.custom_model_config
    if model is not None and not model.get("model_id"):
        raise InvalidRequest(
            "custom_model_config holds no model_id; the server would silently ignore all of it.",
            hint="Add the model_id; what it replaces is the prompt's whole model configuration.",
        )
    for message in request.messages:
        if not isinstance(message, Message):
            raise InvalidRequest(
                f"messages holds a value of type {type(message).__name__}.", hint='Write Message("user", "...").'
            )
    identifier = {"prompt_key": request.prompt_key, "version": request.version, "label": request.label}
    tool_calls = request.custom_tool_call_config
    body = {
        "prompt_identifier": {name: value for name, value in identifier.items() if value},
        "variable_vals": [value.to_json() for value in encode_all(request.variable_vals)],
        "messages": [message.to_json() for message in request.messages],
        "custom_model_config": model and dict(model),
        "custom_tools": [tool.to_json() for tool in request.custom_tools or ()],
        "custom_tool_call_config": tool_calls and tool_calls.to_json(),
    }
    return {name: value for name, value in body.items() if value}
