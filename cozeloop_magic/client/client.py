"""Running prompts: `Client`, with the four ways of the official SDK (sync and async, whole and streamed)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, overload

from cozeloop_magic.client.attempts import Attempts
from cozeloop_magic.client.reader import AsyncStreamReader, StreamReader
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.client.threads import Threads
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
from cozeloop_magic.errors import (
    ClientClosed,
    InvalidRequest,
    LoopError,
    PromptNotFound,
    StreamInterrupted,
    UnexpectedContent,
)
from cozeloop_magic.transport import EventStream, Reply, Transport
from cozeloop_magic.transport.call import Call, Timeouts, seconds_error
from cozeloop_magic.transport.endpoint import Connector, Endpoint
from cozeloop_magic.transport.error_responses import quoted, sentence
from cozeloop_magic.transport.forks import register_after_fork

__all__ = ["Client"]

T = TypeVar("T")

_PARTING = 1.0  # seconds for threads to notice that their call was ended
_EXECUTE = "/v1/loop/prompts/execute"
_EXECUTE_STREAMING = "/v1/loop/prompts/execute_streaming"
_MGET = "/v1/loop/prompts/mget"
_LIST = "/v1/loop/prompts/list"


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
    """

    def __init__(
        self, connect: Connector, transport: Transport, timeouts: Timeouts | None = None, *, max_retries: int = 2
    ) -> None:
        self._connect = connect
        self._transport = transport
        self._timeouts = timeouts or Timeouts()
        self._max_retries = max_retries
        self._threads = Threads()
        self.after_fork()
        register_after_fork(self)
        self._endpoint: Endpoint | None = None
        self._prompts: dict[tuple[str, str], Prompt] = {}
        self._closed = False

    def after_fork(self) -> None:
        """Leave the parent's lock to the parent."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        where = self._endpoint.origin if self._endpoint else "not connected yet"
        return f"<Client {'closed' if self._closed else where}>"

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
        self._closed = True
        self._transport.close()
        self._threads.close(_PARTING)

    @property
    def workspace_id(self) -> str:
        """The workspace."""
        return self.connect().workspace_id

    def connect(self, progress: Callable[[str], None] | None = None) -> Endpoint:
        """Find the server; every call does this by itself. `progress` is told what takes time.

        The embedded Loop is looked for every time: it may have ended, and its port be another program's by now.
        """
        self._check_open()
        with self._lock:
            if self._endpoint is None or self._endpoint.local:
                self._endpoint = self._connect(progress=progress)
            return self._endpoint

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("The client is closed.")

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
        return self._run(request, self._call(timeout))

    def stream(self, request: ExecuteRequest, timeout: float | None = None) -> StreamReader:
        """Run a request and give a reader over the pieces of the answer; see `execute_prompt`."""
        return self._stream(request, self._call(timeout, streamed=True))

    def _run(self, request: ExecuteRequest, call: Call) -> ExecuteResult:
        body = execute_body(request)
        return self._reach(call, lambda at: self._execute(at, body, call))

    def _stream(self, request: ExecuteRequest, call: Call) -> StreamReader:
        body, tries = execute_body(request), self._attempts(call)

        def begin(at: Endpoint) -> EventStream:
            return self._transport.stream(at, _EXECUTE_STREAMING, _in_workspace(body, at), call)

        def reopen(fault: LoopError) -> EventStream:
            tries.wait_after(fault)
            return tries.run(begin)

        return StreamReader(tries.run(begin), reopen)

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
        call = self._call(timeout, streamed=stream)
        if stream:
            reader = await self._threads.run(lambda: self._stream(request, call), call.cancel)
            return AsyncStreamReader(reader, self._threads)
        return await self._threads.run(lambda: self._run(request, call), call.cancel)

    def get_prompt(
        self, prompt_key: str, version: str = "", label: str = "", *, timeout: float | None = None
    ) -> Prompt:
        """Get a prompt's definition (``POST /v1/loop/prompts/mget``).

        A version on a platform never changes, so it is asked for once; the latest, a label's version, and all of the
        embedded Loop, where a prompt may be deleted and made anew, are asked for every time.

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
        self._check_open()
        known = self._prompts.get((prompt_key, version)) if version else None
        if known is not None:
            return known
        query = {"prompt_key": prompt_key, "version": version, "label": label}
        body = {"queries": [{name: value for name, value in query.items() if value}]}
        prompt = _prompt_of(self._post(_MGET, body, timeout), prompt_key)
        if isinstance(prompt, LoopError):
            raise prompt
        named = prompt.version and version in ("", prompt.version)
        if named and self._endpoint is not None and not self._endpoint.local:
            self._prompts[prompt_key, prompt.version] = prompt
        return prompt

    def list_prompts(self, key_word: str = "", *, page_number: int = 1, page_size: int = 100) -> PromptPage:
        """List prompts whose name or key begins with `key_word` (``POST /v1/loop/prompts/list``).

        Parameters
        ----------
        page_number : int
            Counted from 1.
        page_size : int
            At most 200.
        """
        body: dict[str, Any] = {"page_number": page_number, "page_size": page_size}
        if key_word:
            body["key_word"] = key_word
        page = _page_of(self._post(_LIST, body))
        if isinstance(page, LoopError):
            raise page
        return page

    def _post(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> Reply:
        call = self._call(timeout)
        return self._reach(call, lambda at: self._transport.call(at, path, _in_workspace(body, at), call))

    def _execute(self, at: Endpoint, body: Mapping[str, Any], call: Call) -> ExecuteResult:
        reply = self._transport.call(at, _EXECUTE, _in_workspace(body, at), call)
        data = reply.body.get("data")
        reader = PieceReader(log_id=reply.log_id, model=reply.model, retries=call.retries)
        result = (reader.read(data) if isinstance(data, dict) else None) or ExecuteResult()
        if result.message is None:
            raise _unreadable("answer", reply)
        if not result.finish_reason:
            odd = result.extra.get("finish_reason")
            why = f"its finish reason is not text but {odd}" if odd else "it came without a finish reason"
            raise StreamInterrupted(
                f"The answer from {at.name} is not complete: {quoted(why, reply.endpoint)}.",
                log_id=reply.log_id,
                partial=result,
            )
        return result

    def _reach(self, call: Call, attempt: Callable[[Endpoint], T]) -> T:
        return self._attempts(call).run(attempt)

    def _attempts(self, call: Call) -> Attempts:
        return Attempts(call, self.connect(), self._reconnect, self._max_retries)

    def _call(self, timeout: float | None, *, streamed: bool = False) -> Call:
        if timeout is None:
            return Call(self._timeouts, streamed=streamed)
        if odd := seconds_error("timeout", timeout):
            raise InvalidRequest(odd)
        return Call(replace(self._timeouts, total=float(timeout)), streamed=streamed)

    def _reconnect(self, failed: Endpoint) -> Endpoint:
        with self._lock:
            if self._endpoint is failed:
                self._endpoint = self._connect(failed=failed)
            return self._endpoint or failed


# These give an error instead of raising it: no frame of one holds the reply, which may echo credentials.


def _prompt_of(reply: Reply, prompt_key: str) -> Prompt | LoopError:
    try:
        items = (reply.body.get("data") or {}).get("items") or [{}]
        found = items[0].get("prompt")
        prompt = Prompt.from_json(found) if found else None
    except (AttributeError, KeyError, TypeError):
        return _unreadable("definition of the prompt", reply)
    return prompt or PromptNotFound(f"There is no prompt {prompt_key!r}.", log_id=reply.log_id)


def _page_of(reply: Reply) -> PromptPage | LoopError:
    data = reply.body.get("data")
    page = PromptPage.from_json(data) if isinstance(data, dict) else None
    return _unreadable("list of prompts", reply) if page is None or "prompts" in page.extra else page


def _in_workspace(body: Mapping[str, Any], at: Endpoint) -> dict[str, Any]:
    return {"workspace_id": at.workspace_id, **body}


def _unreadable(what: str, reply: Reply) -> UnexpectedContent:
    return UnexpectedContent(
        sentence(f"The {what} from {reply.endpoint.name} cannot be read: {reply.excerpt}"),
        hint="Run it again; if it stays, ask whoever runs the server.",
        log_id=reply.log_id,
    )
