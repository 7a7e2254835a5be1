"""The `openai` provider: any endpoint that speaks OpenAI's chat API, such as Ollama, vLLM, Ark or OpenAI itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit, urlunsplit

from cozeloop_magic.entities.prompt import ExecuteResult, Message
from cozeloop_magic.errors import LocalLoopError, RemoteError
from cozeloop_magic.local.chat_answers import AnswerReader, error_in
from cozeloop_magic.local.connection import ca_certificates, proxy_for, without_password
from cozeloop_magic.local.event_stream import Body, read_body
from cozeloop_magic.local.models import INVALID_PARAMETER, MODEL_FAILED, Emit, Parameters, chat_request, model_failed
from cozeloop_magic.local.quoting import Quoter, readable
from cozeloop_magic.local.refusals import EndpointError, error_text, named_parameter, refused_parameter

__all__ = ["OpenAIModel"]

RATE_LIMITED = 600502002
_PASSING = (429, 502, 503, 504, 529)
_SETTINGS = {name: name for name in (
    "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "max_tokens"
)} | {"max_completion_tokens": "max_tokens", "response_format": "json_mode"}  # fmt: skip
"""What a prompt's model settings hold, by its name in a request."""

_LIST_TIMEOUT = 5.0  # seconds
_MOST_LISTED = 10
_NO_MODEL = re.compile(r"model\b.{0,80}\b(not found|not exist|unknown)|(no such|unknown|invalid) model", re.I | re.S)
_IS_PAID_FOR = re.compile(r"^(?!.*(retry|later)).*(\bquota|billing|balance|credit|余额|欠费|额度|充值)", re.I | re.S)
_NO_TOOLS = re.compile(r"not support tool|support tool use|tools?\W+(is|are) not supported", re.IGNORECASE)


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    base_url, model, api_key : str
        Where it is, which of its models answers, and the key it wants; local endpoints want none. Of these, an
        error names the address and the model. A query in the address goes along with each call.
    keep_think : bool
        Whether ``<think>…</think>`` at the start of an answer stays in it; else it is reasoning.

    Raises
    ------
    LocalLoopError
        If the environment's proxy or certificates cannot be used.
    """

    def __init__(self, base_url: str, model: str, api_key: str, *, keep_think: bool = False) -> None:
        import openai

        self.name = model
        url = urlsplit(base_url)
        path = re.sub(r"/+(chat/completions/*)?$", "", url.path)  # where calls go, with or without their own path
        self._address = urlunsplit((url.scheme, url.netloc.rpartition("@")[2], path, "", ""))
        self._keep_think = keep_think
        self._quoted = Quoter((api_key, *_secrets(url.query)))
        self._replaced: dict[str, str] = {}  # parameters that the endpoint refused, by what takes their place
        proxy = proxy_for(base_url)
        self._proxy = without_password(proxy)
        certificates = ca_certificates()
        try:
            http = openai.DefaultHttpxClient(
                trust_env=False, proxy=proxy or None, verify=certificates, follow_redirects=False
            )
        except Exception as error:  # the address is the environment's, and what is wrong with it has many names
            socks = isinstance(error, ImportError)
            why = "SOCKS needs the package socksio" if socks else "it must be http://, https:// or socks5://HOST:PORT"
            raise LocalLoopError(
                f"The proxy {self._proxy}, which the environment names for {self._address}, cannot be used: {why}.",
                hint="Set NO_PROXY for its host, or correct or unset ALL_PROXY, HTTP_PROXY and HTTPS_PROXY.",
            ) from None
        # Retrying is the caller's choice: a call may cost money.
        self._client = openai.OpenAI(
            base_url=self._address, default_query=dict(parse_qsl(url.query, keep_blank_values=True)),
            api_key=api_key or "none", max_retries=0, http_client=http,
        )  # fmt: skip

    def load(self) -> None:
        """Do nothing: the model runs elsewhere."""

    def notes(self, messages: Sequence[Message]) -> Sequence[str]:
        """Return nothing: what the endpoint refuses is known with the answer's first piece."""
        return ()

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer on the calling thread."""
        request = {**chat_request(messages, parameters), "model": self.name}
        began = False

        def began_emit(piece: ExecuteResult) -> bool:
            nonlocal began
            began = True
            return emit(piece)

        while True:
            sent = self._without_refused(request)
            try:
                return self._answer(sent, self._notes(request), began_emit)
            except EndpointError as error:
                # What decides whether tools are called is left out only where it says what goes without saying.
                names = {name for name in sent if name != "tool_choice" or sent[name] == "auto"}
                refused = {} if began else refused_parameter(error, names)
                if not refused:
                    raise self._told(error, sent, began) from None
                self._replaced |= refused

    def _without_refused(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request as the endpoint takes it: what it refused before is renamed or left out."""
        sent = {self._replaced.get(name, name): value for name, value in request.items()}
        sent.pop("", None)
        if "stream" not in sent:
            sent.pop("stream_options", None)
        return sent

    def _notes(self, request: Mapping[str, Any]) -> tuple[str, ...]:
        """Say what of this request was not sent as it was asked for."""
        replaced = {name: other for name, other in self._replaced.items() if name in request}
        said = [f"{name} as {other}" if other else f"{name} left out" for name, other in replaced.items()]
        return (f"the endpoint refused a parameter: {', '.join(said)}",) if said else ()

    def _answer(self, sent: Mapping[str, Any], notes: tuple[str, ...], emit: Emit) -> None:
        import openai

        # Not OpenAI's own parameter, but Ollama, vLLM and llama.cpp know it.
        extra = {name: sent[name] for name in ("top_k",) if name in sent}
        named = {name: value for name, value in sent.items() if name not in extra}
        try:
            create = self._client.chat.completions.with_streaming_response.create
            with create(**named, extra_body=extra or None) as response:
                self._read(response, notes, emit)
        except (RemoteError, EndpointError):
            raise
        except openai.APIStatusError as error:
            raise _error_of(error) from None
        # From None: what the endpoint or the HTTP library says may quote the key, and a traceback is logged.
        except openai.APIConnectionError as error:
            raise self._unreachable(error) from None
        except Exception as error:  # httpx's own, in the middle of a stream
            raise EndpointError(str(error) or type(error).__name__) from None

    def _read(self, response: Any, notes: tuple[str, ...], emit: Emit) -> None:
        reader = AnswerReader(keep_think=self._keep_think)
        any_piece = any_event = is_whole = False
        unread = ""

        def give(piece: ExecuteResult | None) -> bool:
            nonlocal any_piece, notes
            if piece is None:
                return True
            piece, notes, any_piece = replace(piece, notes=notes + piece.notes), (), True
            return emit(piece)

        for body in read_body(response.iter_bytes()):
            if body.text.strip() == "[DONE]":
                break
            if any_event and not body.is_event and not reader.is_finished:  # a server's or a proxy's last words
                raise EndpointError(readable(body.text))
            if _says_nothing(body, reader.is_finished):
                continue
            chunk = self._chunk(body)
            any_event, is_whole = body.is_event, not body.is_event
            unread = unread or (body.text if chunk and not chunk.get("choices") else "")
            if not give(reader.read(chunk)):
                return
            if error := error_in(chunk):
                error.in_stream = body.is_event
                raise error
        give(reader.end(whole=is_whole))
        if not any_piece:
            raise (
                self._no_answer(unread)
                if unread
                else model_failed(f"{self._who} gave an empty answer; its own log may say why.")
            )

    def _chunk(self, body: Body) -> Mapping[str, Any]:
        """Return the JSON of an event, or of a body that is none."""
        chunk: Any = None
        with suppress(ValueError, RecursionError):
            chunk = json.loads(body.text)
        if body.event == "error" and not (isinstance(chunk, dict) and error_in(chunk)):
            raise EndpointError(error_text(chunk) or readable(body.text))
        if isinstance(chunk, dict):
            return chunk
        if body.is_event:
            said = self._quoted(readable(body.text))
            raise model_failed(f"{self._who} answered with what is no part of a chat answer: {said}.")
        raise self._no_answer(body.text)

    def _no_answer(self, text: str) -> RemoteError:
        said = self._quoted(readable(text))
        return model_failed(
            f"{self._who} answered with what is no chat answer: {said}. "
            f"Check COZELOOP_MAGIC_OPENAI_BASE_URL{self._maybe_v1()}."
        )

    def _listed(self) -> str:
        """Name the models that the endpoint has, where it lists them."""
        try:
            listed = self._client.models.list(timeout=_LIST_TIMEOUT).data
            names = [model.id for model in listed[:_MOST_LISTED] if model.id]
        except Exception:  # it need not list any, and why it does not is of no use here
            return ""
        more = f" and {len(listed) - len(names):,} more" if len(listed) > len(names) else ""
        return f"; it has {self._quoted(', '.join(names))}{more}" if names else ""

    @property
    def _who(self) -> str:
        return f"The model {self.name} at {self._address}"

    def _maybe_v1(self) -> str:
        if re.search(r"/v\d", self._address):
            return ""
        return f"; often the address ends in /v1, as in {self._address.rstrip('/')}/v1"

    def _unreachable(self, error: Exception) -> RemoteError:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return model_failed(f"{self._who} did not answer in time: is it overloaded?")
        cause = error.__cause__  # of httpx, which openai brings under more than one name
        if any(kind.__name__ == "ProtocolError" for kind in type(cause).__mro__):
            return model_failed(f"{self._who} does not answer as a web server does: {self._quoted(str(cause))}")
        through = f" through the proxy {self._proxy}" if self._proxy else ""
        hint = "Check the proxy and NO_PROXY" if self._proxy else "Check COZELOOP_MAGIC_OPENAI_BASE_URL"
        return model_failed(f"{self._who} cannot be reached{through}: is it running? {hint}.")

    def _told(self, error: EndpointError, sent: Mapping[str, Any], began: bool) -> RemoteError:
        """Make the error for the person: what the endpoint says, and what to do where that is known."""
        next_step = self._next_step(error, sent)
        code = MODEL_FAILED
        if error.status in (400, 422):
            code = INVALID_PARAMETER
        elif error.status == 429 and not _IS_PAID_FOR.search(error.said):
            code = RATE_LIMITED
        status = f" (HTTP {error.status})" if error.status != 200 else ""
        why = self._quoted(error.said).rstrip(".") or "it does not say why"
        failed = "broke off" if began else f"cannot answer{status}"
        return model_failed(f"{self._who} {failed}: {why}.{next_step}", code=code)

    def _next_step(self, error: EndpointError, sent: Mapping[str, Any]) -> str:
        if "tools" in sent and (error.parameter == "tools" or _NO_TOOLS.search(error.said)):
            return " It takes no tools: choose another model, or a version of the prompt without tools."
        if error.parameter == "model" or (error.status in (400, 404, 422) and _NO_MODEL.search(error.said)):
            return f" Check COZELOOP_MAGIC_OPENAI_MODEL{self._listed()}."
        if 300 <= error.status < 400:
            return " If that is right, set COZELOOP_MAGIC_OPENAI_BASE_URL to where it leads."
        if error.status in (401, 403):
            return " Check COZELOOP_MAGIC_OPENAI_API_KEY."
        if error.status in (200, 400, 422) and (setting := _SETTINGS.get(named_parameter(error, sent))):
            return f" Change {setting} in the prompt's model settings."
        if (error.status == 404 or not error.in_stream) and (slip := self._maybe_v1()):
            return f" Check COZELOOP_MAGIC_OPENAI_BASE_URL{slip}."
        if error.status in _PASSING and "again" not in error.said and not _IS_PAID_FOR.search(error.said):
            return " That may pass: try again in a while."
        return ""


def _says_nothing(body: Body, is_finished: bool) -> bool:
    """Whether a text is no part of an answer: a ping, or what comes after the end."""
    if not (is_finished or body.event not in ("", "message", "error")):
        return False
    try:
        return not isinstance(json.loads(body.text), dict)
    except (ValueError, RecursionError):
        return True


def _error_of(error: Any) -> EndpointError:
    """Return what the endpoint says in an error, whatever the shape of its body."""
    text = ""
    with suppress(Exception):  # a body that was not read, or came by halves
        text = error.response.read().decode("utf-8", "replace")
    body: Any = None
    with suppress(ValueError):
        body = json.loads(text)
    elsewhere = error.response.headers.get("location")
    said = f"it points to {elsewhere}" if elsewhere else error_text(body) or readable(text) or str(error)
    return EndpointError.of(body, said, status=error.status_code)


def _secrets(query: str) -> list[str]:
    """Return what a query may hold that nobody should see."""
    values = parse_qs(query, keep_blank_values=True)
    return [value for name in values if name.lower() != "api-version" for value in values[name]]
