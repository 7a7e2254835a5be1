"""Running prompts: `Client`, with the four ways of the official SDK (sync and async, whole and streamed)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar, overload

from cozeloop_magic.endpoint import Endpoint, Timeouts
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Message, Prompt, PromptPage
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import ClientClosed, ConnectFailed, InvalidRequest, PromptNotFound, UnexpectedContent
from cozeloop_magic.reader import AsyncStreamReader, StreamReader, in_thread
from cozeloop_magic.transport import Transport

__all__ = ["Client", "Connector"]

T = TypeVar("T")

_EXECUTE = "/v1/loop/prompts/execute"
_EXECUTE_STREAMING = "/v1/loop/prompts/execute_streaming"
_MGET = "/v1/loop/prompts/mget"
_LIST = "/v1/loop/prompts/list"


class Connector(Protocol):
    """Finds the server."""

    def __call__(self, *, progress: Callable[[str], None] | None = None, failed: Endpoint | None = None) -> Endpoint:
        """Give the endpoint, starting the server where that is its way.

        Parameters
        ----------
        progress : callable, optional
            Told what is going on where it takes time.
        failed : Endpoint, optional
            One that was given before and cannot be reached any more. The same one in return means: there is no other.
        """


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
    """

    def __init__(self, connect: Connector, transport: Transport, timeouts: Timeouts | None = None) -> None:
        self._connect = connect
        self._transport = transport
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._endpoint: Endpoint | None = None
        self._prompts: dict[tuple[str, str], Prompt] = {}
        self._closed = False

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
        self.close()

    def close(self) -> None:
        """Close every connection; further calls raise `ClientClosed`."""
        self._closed = True
        self._transport.close()

    @property
    def workspace_id(self) -> str:
        """The workspace."""
        return self.connect().workspace_id

    def connect(self, progress: Callable[[str], None] | None = None) -> Endpoint:
        """Find the server; every call does this by itself. `progress` is told what takes time."""
        if self._closed:
            raise ClientClosed("The client is closed.")
        with self._lock:
            if self._endpoint is None:
                self._endpoint = self._connect(progress=progress)
            return self._endpoint

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
            Seconds for the whole call; 600 unless the client was made with another limit.

        Raises
        ------
        VariableError
            If a value has no JSON form; nothing was sent.
        LoopError
            If the call failed; ``partial`` holds what had been received of a stream.
        """
        request = ExecuteRequest(prompt_key, version, label, variable_vals or {}, messages or ())
        return self.stream(request, timeout) if stream else self.run(request, timeout)

    def run(self, request: ExecuteRequest, timeout: float | None = None) -> ExecuteResult:
        """Run a request and give the whole answer; see `execute_prompt`."""
        body, timeouts = _execute_body(request), self._limits(timeout)
        return self._reach(lambda at: self._execute(at, body, timeouts))

    def stream(self, request: ExecuteRequest, timeout: float | None = None) -> StreamReader:
        """Run a request and give a reader over the pieces of the answer; see `execute_prompt`."""
        body, timeouts = _execute_body(request), self._limits(timeout)

        def begin(at: Endpoint) -> StreamReader:
            return StreamReader(self._transport.stream(at, _EXECUTE_STREAMING, _in_workspace(body, at), timeouts))

        return self._reach(begin)

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
    ) -> Any:
        """Run a prompt without blocking the event loop; see `execute_prompt`.

        Returns
        -------
        ExecuteResult or AsyncStreamReader
            The latter with ``stream=True``, for ``async for``.
        """
        request = ExecuteRequest(prompt_key, version, label, variable_vals or {}, messages or ())
        if stream:
            return AsyncStreamReader(await in_thread(lambda: self.stream(request, timeout)))
        return await in_thread(lambda: self.run(request, timeout))

    def get_prompt(self, prompt_key: str, version: str = "", label: str = "") -> Prompt:
        """Get a prompt's definition (``POST /v1/loop/prompts/mget``).

        A version never changes, so it is asked for once; the latest and a label's version are asked for every time.

        Raises
        ------
        PromptNotFound
            If there is none.
        LoopError
            If the call failed.
        """
        known = self._prompts.get((prompt_key, version))
        if known is not None:
            return known
        query = {"prompt_key": prompt_key, "version": version, "label": label}
        body = {"queries": [{name: value for name, value in query.items() if value}]}
        reply = self._reach(lambda at: self._transport.call(at, _MGET, _in_workspace(body, at), self._timeouts))
        items = (reply.body.get("data") or {}).get("items") or []
        found = items[0].get("prompt") if items and isinstance(items[0], dict) else None
        if not found:
            raise PromptNotFound(f"There is no prompt {prompt_key!r}.", log_id=reply.log_id)
        prompt = Prompt.from_json(found)
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
        reply = self._reach(lambda at: self._transport.call(at, _LIST, _in_workspace(body, at), self._timeouts))
        return PromptPage.from_json(reply.body.get("data") or {})

    def _execute(self, at: Endpoint, body: Mapping[str, Any], timeouts: Timeouts) -> ExecuteResult:
        reply = self._transport.call(at, _EXECUTE, _in_workspace(body, at), timeouts)
        data = reply.body.get("data")
        result = ExecuteResult.from_json(data) if isinstance(data, dict) else ExecuteResult()
        if result.message is None or not result.finish_reason:
            raise UnexpectedContent(
                f"{at.origin} answered without a complete message.",
                hint="Run it again.",
                log_id=reply.log_id,
                partial=result if result.message else None,
            )
        return replace(result, log_id=reply.log_id, model=reply.model)

    def _reach(self, call: Callable[[Endpoint], T]) -> T:
        """Call the server; where it is gone and another can be had, that one."""
        endpoint = self.connect()
        try:
            return call(endpoint)
        except ConnectFailed:
            with self._lock:
                if self._endpoint is endpoint:
                    self._endpoint = self._connect(failed=endpoint)
                fresh = self._endpoint
            if fresh is endpoint or fresh is None:
                raise
            return call(fresh)

    def _limits(self, timeout: float | None) -> Timeouts:
        if timeout is None:
            return self._timeouts
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise InvalidRequest(f"timeout is {timeout!r}; it must be a number of seconds above 0.")
        return replace(self._timeouts, total=float(timeout))


def _in_workspace(body: Mapping[str, Any], at: Endpoint) -> dict[str, Any]:
    return {"workspace_id": at.workspace_id, **body}


def _execute_body(request: ExecuteRequest) -> dict[str, Any]:
    identifier = {"prompt_key": request.prompt_key, "version": request.version, "label": request.label}
    if not request.prompt_key:
        raise InvalidRequest("There is no prompt key.", hint="Name the prompt to run.")
    body: dict[str, Any] = {"prompt_identifier": {name: value for name, value in identifier.items() if value}}
    if request.variable_vals:
        body["variable_vals"] = [value.to_json() for value in encode_all(request.variable_vals)]
    if request.messages:
        body["messages"] = [message.to_json() for message in request.messages]
    return body
