"""Running prompts: `Client`, with the four ways of the official SDK (sync and async, whole and streamed)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

from cozeloop_magic.client.cache import PromptCache
from cozeloop_magic.client.caller import Caller
from cozeloop_magic.client.model_config import override_model_config
from cozeloop_magic.client.prompts import Prompts
from cozeloop_magic.client.reader import AsyncStreamReader, StreamReader
from cozeloop_magic.client.replies import checked, read_prompt, unreadable
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.client.threads import Threads
from cozeloop_magic.client.traces import Traces
from cozeloop_magic.entities.prompt import (
    ExecuteRequest,
    ExecuteResult,
    Message,
    Prompt,
    PromptPage,
    Tool,
    ToolCallConfig,
)
from cozeloop_magic.entities.stream import PieceReader
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import LoopError, StreamInterrupted
from cozeloop_magic.template.render import render
from cozeloop_magic.transport import EventStream, Reply, Transport
from cozeloop_magic.transport.call import Call, Timeouts
from cozeloop_magic.transport.endpoint import Connector, Endpoint
from cozeloop_magic.transport.error_responses import excerpt

__all__ = ["Client"]

_CLOSE_TIMEOUT = 1.0  # seconds for threads to notice that their call was ended
_EXECUTE = "/v1/loop/prompts/execute"
_EXECUTE_STREAMING = "/v1/loop/prompts/execute_streaming"
_MGET = "/v1/loop/prompts/mget"


class Client:
    """Runs prompts on a Loop server. Thread-safe; a context manager, also an async one.

    Parameters
    ----------
    connect : Connector
        Finds the server; called at the first call.
    transport : Transport
        Does the HTTP.
    timeouts : Timeouts
        Limits of a call that names none.
    max_retries : int
        How many times a call that the server cannot have begun, or asks to come again with, is made again.
    prompt_cache : PromptCache, optional
        Which definitions need not be asked for again.

    Attributes
    ----------
    prompts : Prompts
        What authors do with prompts: list, look at, draft, commit, delete.
    traces : Traces
        What the server keeps of runs.
    """

    def __init__(
        self,
        connect: Connector,
        transport: Transport,
        timeouts: Timeouts | None = None,
        *,
        max_retries: int = 2,
        prompt_cache: PromptCache | None = None,
    ) -> None:
        self._transport = transport
        self._caller = Caller(connect, transport, timeouts or Timeouts(), max_retries)
        self._threads = Threads()
        self._cache = prompt_cache or PromptCache()
        self.prompts = Prompts(self._caller)
        self.traces = Traces(self._caller)

    def __repr__(self) -> str:
        where = self._caller.endpoint.origin if self._caller.endpoint else "not connected yet"
        return f"<Client {'closed' if self._caller.closed else where}>"

    def __reduce__(self) -> Any:
        raise TypeError("A client is not pickled: it holds a token. Make one in each process, with new_client().")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)  # it waits for threads

    def close(self) -> None:
        """Close every connection, also under a call or a stream; further calls raise `ClientClosed`."""
        self._caller.close()
        self._threads.close(_CLOSE_TIMEOUT)

    def flush(self) -> None:
        """Do nothing: the official SDK sends its traces here, and this client makes none."""

    @property
    def workspace_id(self) -> str:
        """The workspace."""
        return self.connect().workspace_id

    def connect(self, progress: Callable[[str], None] | None = None) -> Endpoint:
        """Find the server; every call does this by itself. `progress` is told what takes time."""
        return self._caller.connect(progress)

    @overload
    def execute_prompt(
        self,
        prompt_key: str,
        *,
        version: str | None = None,
        label: str | None = None,
        variable_vals: Mapping[str, Any] | None = None,
        messages: Sequence[Message] | None = None,
        stream: Literal[False] = False,
        timeout: float | None = None,
        custom_model_config: Mapping[str, Any] | None = None,
        custom_tools: Sequence[Tool] | None = None,
        custom_tool_call_config: ToolCallConfig | None = None,
    ) -> ExecuteResult: ...

    @overload
    def execute_prompt(
        self,
        prompt_key: str,
        *,
        version: str | None = None,
        label: str | None = None,
        variable_vals: Mapping[str, Any] | None = None,
        messages: Sequence[Message] | None = None,
        stream: Literal[True],
        timeout: float | None = None,
        custom_model_config: Mapping[str, Any] | None = None,
        custom_tools: Sequence[Tool] | None = None,
        custom_tool_call_config: ToolCallConfig | None = None,
    ) -> StreamReader: ...

    def execute_prompt(
        self,
        prompt_key: str,
        *,
        version: str | None = None,
        label: str | None = None,
        variable_vals: Mapping[str, Any] | None = None,
        messages: Sequence[Message] | None = None,
        stream: bool = False,
        timeout: float | None = None,
        custom_model_config: Mapping[str, Any] | None = None,
        custom_tools: Sequence[Tool] | None = None,
        custom_tool_call_config: ToolCallConfig | None = None,
    ) -> ExecuteResult | StreamReader:
        """Run a prompt (``POST /v1/loop/prompts/execute`` or ``.../execute_streaming``).

        Parameters
        ----------
        prompt_key : str
            The prompt.
        version, label : str, optional
            Which version; with both the version wins, with neither the latest runs.
        variable_vals : Mapping[str, Any], optional
            Values by variable: text, anything with a JSON form, a `Message` or list of them for a placeholder, a
            `ContentPart` or list of them for a multi-part variable.
        messages : sequence of Message, optional
            Appended after the prompt's own.
        stream : bool
            Whether to give a `StreamReader` over the pieces instead of the whole answer.
        timeout : float, optional
            Seconds for the whole call, retries included; 600 unless the client was made with another limit.
        custom_model_config : Mapping[str, Any], optional
            In place of the prompt's whole model configuration; it must hold a ``model_id``.
        custom_tools : sequence of Tool, optional
            In place of the prompt's tools.
        custom_tool_call_config : ToolCallConfig, optional
            In place of the prompt's.

        Raises
        ------
        InvalidRequest
            If the request cannot be sent as it is; nothing was sent.
        VariableError
            If a value has no JSON form; nothing was sent.
        LoopError
            If the call failed; ``partial`` holds what had been received of a stream.
        """
        custom = (custom_model_config, custom_tools, custom_tool_call_config)
        request = ExecuteRequest(prompt_key, version, label, variable_vals or {}, messages or (), *custom)
        return self.stream(request, timeout) if stream else self.run(request, timeout)

    def run(self, request: ExecuteRequest, timeout: float | None = None) -> ExecuteResult:
        """Run a request and give the whole answer; see `execute_prompt`."""
        return self._run(request, self._caller.call(timeout))

    def stream(
        self,
        request: ExecuteRequest,
        timeout: float | None = None,
        *,
        on_waiting: Callable[[str], object] | None = None,
    ) -> StreamReader:
        """Run a request and give a reader over the pieces of the answer; see `execute_prompt`.

        While a server with a queue lets the call wait, `on_waiting` is told where in the line it is.
        """
        call = self._caller.call(timeout, streamed=True)
        call.on_waiting = on_waiting
        return self._stream(request, call)

    def _run(self, request: ExecuteRequest, call: Call) -> ExecuteResult:
        began = time.monotonic()
        result = checked(_read_result(self._caller.post(_EXECUTE, execute_body(request), call), call))
        asked = {name: getattr(request, name) for name in ("prompt_key", "version", "label")}
        seconds = time.monotonic() - began
        return replace(result, **asked, ttft=seconds, latency=seconds)

    def _stream(self, request: ExecuteRequest, call: Call) -> StreamReader:
        body, attempts = execute_body(request), self._caller.attempts(call)

        def begin(at: Endpoint) -> EventStream:
            return self._caller.stream(at, _EXECUTE_STREAMING, body, call)

        def reopen(fault: LoopError) -> EventStream:
            attempts.wait_after(fault)
            return attempts.run(begin)

        return StreamReader(attempts.run(begin), reopen)

    async def aexecute_prompt(
        self,
        prompt_key: str,
        *,
        version: str | None = None,
        label: str | None = None,
        variable_vals: Mapping[str, Any] | None = None,
        messages: Sequence[Message] | None = None,
        stream: bool = False,
        timeout: float | None = None,
        custom_model_config: Mapping[str, Any] | None = None,
        custom_tools: Sequence[Tool] | None = None,
        custom_tool_call_config: ToolCallConfig | None = None,
    ) -> Any:
        """Run a prompt without blocking the event loop; see `execute_prompt`.

        Returns
        -------
        ExecuteResult or AsyncStreamReader
            The latter with ``stream=True``, for ``async for``.
        """
        custom = (custom_model_config, custom_tools, custom_tool_call_config)
        request = ExecuteRequest(prompt_key, version, label, variable_vals or {}, messages or (), *custom)
        call = self._caller.call(timeout, streamed=stream)
        if stream:
            reader = await self._threads.run(lambda: self._stream(request, call), call.cancel)
            return AsyncStreamReader(reader, self._threads)
        return await self._threads.run(lambda: self._run(request, call), call.cancel)

    def get_prompt(
        self, prompt_key: str, version: str = "", label: str = "", *, timeout: float | None = None
    ) -> Prompt:
        """Get a prompt's definition (``POST /v1/loop/prompts/mget``).

        A version on a platform never changes, so it is asked for once; the latest, a label's version, and all of the
        embedded Loop, where a prompt may be deleted and made anew, are asked for every time, unless the client was
        made with a ``prompt_cache_refresh_interval``.

        Parameters
        ----------
        timeout : float, optional
            Seconds for the call.

        Raises
        ------
        PromptNotFound
            If there is none.
        LoopError
            If the call failed.
        """
        self._caller.check_open()
        if known := self._cache.get(prompt_key, version, label):
            return known
        query = {"prompt_key": prompt_key, "version": version, "label": label}
        body = {"queries": [{name: value for name, value in query.items() if value}]}
        prompt = checked(read_prompt(self._caller.read(_MGET, body, timeout), prompt_key))
        endpoint = self._caller.endpoint
        self._cache.add(prompt, version, label, may_change=endpoint is None or endpoint.local)
        return prompt

    def post_to_read(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> dict[str, Any]:
        """Post what only reads to any path of the server, and give its JSON answer; the workspace is put in."""
        return self._caller.read(path, body, timeout).body

    def list_prompts(self, key_word: str = "", *, page_number: int = 1, page_size: int = 100) -> PromptPage:
        """List prompts whose name or key begins with `key_word`; `prompts.iterate` gives those of all pages.

        Parameters
        ----------
        page_number : int
            Counted from 1.
        page_size : int
            At most 200.
        """
        return self.prompts.page(key_word, page_number=page_number, page_size=page_size)

    def prompt_format(self, prompt: Prompt, variables: Mapping[str, Any]) -> list[Message]:
        """Render a prompt's messages here, by the server's rules; nothing is sent, and the prompt stays as it is.

        Raises
        ------
        RemoteError
            With the code that the server would answer with, were it asked to render this.
        """
        self._caller.check_open()
        return render(prompt, encode_all(variables), ()).messages

    def model_config_with(self, prompt_key: str, version: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Give a ``custom_model_config``: a version's own model configuration, with some settings changed.

        Parameters
        ----------
        version : str
            Which version's; an empty one means the latest.
        overrides : Mapping[str, Any]
            Values by setting: ``{"temperature": 0.7}``.

        Raises
        ------
        InvalidRequest
            If there is no such setting, a value has not its type, or the server would silently ignore all of it.
        """
        embedded = self._caller.connect().local
        return override_model_config(self.prompts, prompt_key, version, overrides, embedded=embedded)


def _read_result(reply: Reply, call: Call) -> ExecuteResult | LoopError:
    data = reply.body.get("data")
    reader = PieceReader(log_id=reply.log_id, model=reply.model, retries=call.retries, notes=reply.notes)
    result = (reader.read(data) if isinstance(data, dict) else None) or ExecuteResult()
    if result.message is None:
        return unreadable("answer", reply)
    if result.finish_reason:
        return result
    strange = result.extra.get("finish_reason")
    why = f"its finish reason is not text but {strange}" if strange else "it came without a finish reason"
    what = f"The answer from {reply.endpoint.name} is not complete: {excerpt(why, reply.endpoint)}."
    return StreamInterrupted(what, log_id=reply.log_id, partial=result)
