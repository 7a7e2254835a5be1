"""The official SDK's public names, and which of them are not the same here: why they differ, why they are absent.

What is in neither table is held to be the same, and `test_sdk_names.py` looks whether it is.
"""

from __future__ import annotations

TRACING = "Tracing stays out: the platform writes the spans of a run itself."
PYDANTIC = (
    "Entities are frozen dataclasses, which need no pydantic: it would take longer to import than all else here."
)
NOT_TRACED = "Of the tracing that stays out; Python refuses the name."

DIFFERENT = {
    # Names of the package.
    "cozeloop.set_default_client": "The client before stays open: closing it is its maker's business.",
    "cozeloop.workspace_id": "Gives the workspace; the SDK's gives a method that does.",
    "cozeloop.flush": "Does nothing: there are no traces to send.",
    "cozeloop.add_log_handler": "Adds one to the logger `cozeloop_magic`, which prints nothing by itself.",
    "cozeloop.set_log_level": "Sets that of the logger `cozeloop_magic`.",
    "cozeloop.new_client": "Every call makes a client; the SDK gives the same one for the same arguments.",
    # Methods of a client.
    "Client.workspace_id": "A property, as the SDK's own interface has it; its client has a method.",
    "Client.flush": "Does nothing: there are no traces to send.",
    "Client.get_prompt": "An answer without the prompt is a `PromptNotFound`, too.",
    "Client.prompt_format": "By the server's rules, not by Jinja for both kinds, and the prompt stays as it is.",
    "Client.close": "Also ends the calls that are under way.",
    "Client.aexecute_prompt": "A stream is read with `async for` only; a float is a `timeout`, too.",
    "Client.execute_prompt": "A stream is read with `for` only; a float is a `timeout`, too.",
    # Options of new_client.
    "new_client(timeout)": "Seconds for a whole call, 600 unless told otherwise; the SDK's 3 are for what is no run.",
    "new_client(prompt_cache_refresh_interval)": "0 unless told otherwise: what was just committed is what runs. "
    "With a number, a definition is asked for again at the first use after so many seconds, by no thread of its own.",
    "new_client(prompt_cache_max_count)": "What was used longest ago makes room, not what was used least.",
    "new_client(prompt_trace)": "Taken; True warns that no trace is sent.",
    # Entities.
    "ToolCall.index": "May be missing, as it is on the wire.",
    "ToolCall.id": "May be missing, as it is on the wire.",
    "ToolCall.type": "May be missing, as it is on the wire.",
    "VariableDef.desc": "May be missing.",
    "VariableDef.type": "`string` where it is missing.",
    "Tool.type": "`function` where it is missing.",
    "ToolCallConfig.tool_choice": "`auto` where it is missing.",
    "PromptTemplate.template_type": "`normal` where it is missing.",
    # pydantic.
    "BaseModel.model_dump": "Takes `mode`, `include`, `exclude`, `exclude_none`; what was not known is there, too.",
    "BaseModel.model_dump_json": "Takes those, and `indent`.",
    "BaseModel.model_validate": "What cannot be read is kept in `extra`, and is no error.",
    "BaseModel.model_validate_json": "What cannot be read is kept in `extra`, and is no error.",
    "BaseModel.model_copy": "Takes `update`.",
    # Errors.
    "cozeloop.AuthError": "`AuthenticationFailed`, for a token that an API call was refused with, too.",
    "cozeloop.AuthInfoRequiredError": "`ConfigurationError`.",
    "cozeloop.ClientClosedError": "`ClientClosed`.",
    "cozeloop.InvalidParamError": "`ConfigurationError`.",
    "cozeloop.NetworkError": "`TransportError`, which says what happened and what to do.",
    "cozeloop.ParsePrivateKeyError": "`ConfigurationError`.",
    "cozeloop.RemoteServiceError": "`RemoteError`, the root of one class for each of the platform's codes.",
    "AuthError.code": "The platform's number, or None; the SDK's is text.",
    # Streams.
    "StreamReader.__iter__": "Of `StreamReader`, which `stream=True` gives.",
    "StreamReader.__next__": "Of `StreamReader`, which `stream=True` gives.",
    "StreamReader.__aiter__": "Of `AsyncStreamReader`, which `aexecute_prompt` gives.",
    "StreamReader.__anext__": "Of `AsyncStreamReader`, which `aexecute_prompt` gives.",
    "TokenUsage.input_tokens": "None where the server did not tell; the SDK's gives 0.",
    "TokenUsage.output_tokens": "None where the server did not tell; the SDK's gives 0.",
}

ABSENT = {
    "cozeloop.Span": TRACING,
    "cozeloop.SpanContext": TRACING,
    "cozeloop.start_span": TRACING,
    "cozeloop.get_span_from_context": TRACING,
    "cozeloop.get_span_from_header": TRACING,
    "cozeloop.HeaderParentError": TRACING,
    "cozeloop.decorator": TRACING,
    "cozeloop.integration": TRACING,
    "cozeloop.spec": TRACING,
    "cozeloop.BaseModel": PYDANTIC,
    "cozeloop.AuthErrorFormat": "What an OAuth server answers is read where it comes.",
    "cozeloop.InternalError": "An answer that cannot be read is a `TransportError`: `UnexpectedContent`, "
    "`UnreadableEvent`.",
    "cozeloop.ACCESS_DENIED": "Of the OAuth flow for devices, which neither has.",
    "cozeloop.AUTHORIZATION_PENDING": "Of the OAuth flow for devices, which neither has.",
    "cozeloop.EXPIRED_TOKEN": "Of the OAuth flow for devices, which neither has.",
    "cozeloop.SLOW_DOWN": "Of the OAuth flow for devices, which neither has.",
    "cozeloop.internal": "Not public; its errors are names of the package.",
    "Client.start_span": TRACING,
    "Client.get_span_from_context": TRACING,
    "Client.get_span_from_header": TRACING,
    "new_client(upload_timeout)": NOT_TRACED,
    "new_client(ultra_large_report)": NOT_TRACED,
    "new_client(trace_finish_event_processor)": NOT_TRACED,
    "new_client(tag_truncate_conf)": NOT_TRACED,
    "new_client(trace_queue_conf)": NOT_TRACED,
    "new_client(api_base_path)": NOT_TRACED,
    "new_client(http_client)": "HTTP is done by requests, not by httpx; proxies come from the environment.",
    "ExecuteParam": "Nothing takes it, in the SDK either.",
    "BaseModel.model_computed_fields": PYDANTIC,
    "BaseModel.model_config": PYDANTIC,
    "BaseModel.model_construct": PYDANTIC,
    "BaseModel.model_extra": "`extra` holds what was not known.",
    "BaseModel.model_fields": "`dataclasses.fields` gives them.",
    "BaseModel.model_fields_set": PYDANTIC,
    "BaseModel.model_json_schema": PYDANTIC,
    "BaseModel.model_parametrized_name": PYDANTIC,
    "BaseModel.model_post_init": PYDANTIC,
    "BaseModel.model_rebuild": PYDANTIC,
    "BaseModel.model_validate_strings": PYDANTIC,
    "AuthError.params": "What an OAuth server calls the error is in its message.",
}
