"""The `openai` provider: any endpoint that speaks OpenAI's chat API, such as Ollama, vLLM, Ark or OpenAI itself."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from cozeloop_magic.entities.prompt import ExecuteResult, Message
from cozeloop_magic.errors import LocalLoopError, RemoteError, remote_error
from cozeloop_magic.local.chat_answers import AnswerReader, error_text
from cozeloop_magic.local.models import INTERNAL, INVALID_PARAMETER, Emit, Parameters, chat_request, model_failed

__all__ = ["KEEP_THINK_VARIABLE", "OpenAIModel"]

KEEP_THINK_VARIABLE = "COZELOOP_MAGIC_OPENAI_KEEP_THINK"
"""Set to 1, it leaves ``<think>…</think>`` at the start of an answer where it stands."""

RATE_LIMITED = 600502002
LONGEST_QUOTE = 300
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_REFUSING = re.compile(
    r"unsupported|not support|unrecognized|unrecognised|unknown|unexpected|not permitted|not allowed|"
    r"extra inputs|invalid|only the default|does not accept|cannot be|use '?max_completion_tokens|deprecated",
    re.IGNORECASE,
)
_MAY_BE_LEFT_OUT = (
    "stream_options", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "max_tokens",
    "response_format", "tool_choice",
)  # fmt: skip


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    base_url, model, api_key : str
        Where it is, which of its models answers, and the key it wants; local endpoints want none. Of these, an
        error names the address and the model. A query in the address goes along with each call.

    Raises
    ------
    LocalLoopError
        If the environment's proxy cannot be used.
    """

    def __init__(self, base_url: str, model: str, api_key: str) -> None:
        import openai

        self.name = model
        url = urlsplit(base_url)
        self._address = urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
        self._secrets = _forms(api_key) if api_key else ()
        self._replaced: dict[str, str] = {}  # parameters that the endpoint refused, by what takes their place
        self._proxy = _proxy_for(url.scheme, url.hostname or "")
        try:
            # Retrying is the caller's choice: a call may cost money.
            self._client = openai.OpenAI(
                base_url=self._address, default_query=dict(parse_qsl(url.query)), api_key=api_key or "none",
                max_retries=0, http_client=openai.DefaultHttpxClient(trust_env=bool(self._proxy)),
            )  # fmt: skip
        except (ImportError, ValueError) as error:
            said = str(error).split("\n")[0]
            raise LocalLoopError(
                f"The proxy that the environment names for {self._address} cannot be used: {said}",
                hint="Set NO_PROXY for its host, or unset ALL_PROXY, HTTP_PROXY and HTTPS_PROXY.",
            ) from None

    def load(self) -> None:
        """Do nothing: the model runs elsewhere."""

    def notes(self, messages: Sequence[Message]) -> Sequence[str]:
        """Return nothing: what the endpoint refuses is known with the answer's first piece."""
        return ()

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer on the calling thread."""
        request = {**chat_request(messages, parameters), "model": self.name}
        try:
            while (refused := self._answer(self._without_refused(request), emit)) is not None:
                self._replaced |= refused
        except RemoteError:
            raise
        except Exception as error:  # also httpx's own, in the middle of a stream
            # From None: what the endpoint or the HTTP library says may quote the key, and a traceback is logged.
            raise self._failure(error) from None

    def _without_refused(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request as the endpoint takes it: what it refused before is renamed or left out."""
        kept = {self._replaced.get(name, name): value for name, value in request.items()}
        kept.pop("", None)
        # Not OpenAI's own parameters, but Ollama, vLLM and llama.cpp know them.
        extra = {name: kept.pop(name) for name in ("top_k",) if name in kept}
        return {**kept, "extra_body": extra} if extra else kept

    def _answer(self, request: Mapping[str, Any], emit: Emit) -> dict[str, str] | None:
        """Answer; or return the parameters to leave out or rename, where the endpoint refused them."""
        import openai

        try:
            with self._client.chat.completions.with_streaming_response.create(**request) as response:
                self._read(response, emit)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if refused := self._refused(error, request):
                return refused
            raise
        return None

    def _refused(self, error: Any, request: Mapping[str, Any]) -> dict[str, str]:
        said, body = self._said(error), error.body if isinstance(error.body, dict) else {}
        if not _REFUSING.search(said):
            return {}
        sent = {*request, *request.get("extra_body", {})}
        named = body.get("param")
        for name in _MAY_BE_LEFT_OUT:
            if name in sent and (named == name or re.search(rf"(?<!\w){name}(?!\w)", said)):
                renamed = name == "max_tokens" and "max_completion_tokens" in said
                return {name: "max_completion_tokens" if renamed else ""}
        return {}

    def _read(self, response: Any, emit: Emit) -> None:
        reader = AnswerReader(keep_think=os.environ.get(KEEP_THINK_VARIABLE, "") not in ("", "0"))
        notes, any_piece = self._notes(), False
        for chunk in self._chunks(response):
            if "choices" not in chunk and (said := error_text(chunk)):
                raise remote_error(f"{self._who} cannot answer: {self._quoted(said).rstrip('.')}.", code=INTERNAL)
            piece = reader.read(chunk)
            if piece is not None:
                any_piece = True
                if not emit(_noted(piece, notes)):
                    return
                notes = ()
        if (held := reader.end()) is not None:
            emit(_noted(held, notes))
        elif not any_piece:
            raise model_failed(f"{self._who} gave an empty answer.")

    def _chunks(self, response: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the JSON of each event; of a body that is no stream of events, all of it as one."""
        others: list[str] = []
        streamed = False
        for line in response.iter_lines():
            if line.startswith("data:"):
                data = line[5:].strip()
                if data == "[DONE]":
                    return
                streamed = True
                yield self._object(data)
            elif not streamed and not line.startswith((":", "event:", "id:", "retry:")):
                others.append(line)
        if not streamed and (text := "\n".join(others).strip()):
            yield self._object(text)

    def _object(self, text: str) -> Mapping[str, Any]:
        with suppress(ValueError):
            body = json.loads(text)
            if isinstance(body, dict):
                return body
        raise model_failed(
            f"{self._who} answered with what is no chat answer: {self._quoted(_readable(text))}. "
            f"Check COZELOOP_MAGIC_OPENAI_BASE_URL{self._maybe_v1()}."
        )

    def _maybe_v1(self) -> str:
        if re.search(r"/v\d", self._address):
            return ""
        return f"; often the address ends in /v1, as in {self._address.rstrip('/')}/v1"

    def _notes(self) -> tuple[str, ...]:
        said = [f"{name} as {other}" if other else f"{name} left out" for name, other in self._replaced.items()]
        return (f"the endpoint refused a parameter: {', '.join(said)}",) if said else ()

    @property
    def _who(self) -> str:
        return f"The model {self.name} at {self._address}"

    def _failure(self, error: Exception) -> RemoteError:
        import openai

        if isinstance(error, openai.APITimeoutError):
            return remote_error(f"{self._who} did not answer in time.", code=INTERNAL)
        if isinstance(error, openai.APIConnectionError):
            through = f" through the proxy {self._proxy}" if self._proxy else ""
            hint = "Check the proxy and NO_PROXY" if self._proxy else "Check COZELOOP_MAGIC_OPENAI_BASE_URL"
            return remote_error(f"{self._who} cannot be reached{through}: is it running? {hint}.", code=INTERNAL)
        code = INTERNAL
        if isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
            code = INVALID_PARAMETER
        elif isinstance(error, openai.RateLimitError):
            code = RATE_LIMITED
        why = self._quoted(self._said(error)).rstrip(".") or type(error).__name__
        status = f" (HTTP {error.status_code})" if isinstance(error, openai.APIStatusError) else ""
        slip = self._maybe_v1() if isinstance(error, openai.NotFoundError) else ""
        check = f" Check COZELOOP_MAGIC_OPENAI_BASE_URL{slip}." if slip else ""
        return remote_error(f"{self._who} cannot answer{status}: {why}.{check}", code=code)

    @staticmethod
    def _said(error: Any) -> str:
        """Return what the endpoint says in an error, whatever the shape of its body."""
        response = getattr(error, "response", None)
        if response is None:
            return str(error)
        with suppress(Exception):  # a body that was not read, or is no text
            text = response.read().decode("utf-8", "replace") if hasattr(response, "read") else response.text
            with suppress(ValueError):
                return error_text(json.loads(text)) or text
            return _readable(text) or str(error)
        return error_text(getattr(error, "body", None)) or str(error)

    def _quoted(self, said: str) -> str:
        """Make a stranger's words safe to show: one line, not long, no credentials."""
        for secret in self._secrets:
            said = said.replace(secret, "••••••")
        said = " ".join(_CREDENTIALS.sub(r"\1 ••••••", said).split())
        said = "".join(character if character.isprintable() else "�" for character in said)
        return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "…"


def _noted(piece: ExecuteResult, notes: tuple[str, ...]) -> ExecuteResult:
    if not notes:
        return piece
    return ExecuteResult(piece.message, piece.finish_reason, piece.usage, notes=notes)


def _readable(text: str) -> str:
    """Return what a page says: its title, or its words without tags."""
    if text.lstrip()[:1] != "<":
        return text
    title = re.search(r"<title[^<>]*>([^<]*)</title>", text[:1_000_000], re.IGNORECASE)
    words = title[1] if title else re.sub(r"<[^<>]*>", " ", text[:1_000_000])
    return f"an HTML page, {' '.join(html.unescape(words).split())!r}"


def _proxy_for(scheme: str, host: str) -> str:
    """Return the proxy that the environment names for a host; a loopback address is reached directly, always."""
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return ""
    if host == "localhost" or host.endswith(".localhost") or proxy_bypass(host):
        return ""
    proxies = getproxies()
    proxy = urlsplit(proxies.get(scheme) or proxies.get("all") or "")
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}" if proxy.netloc else ""


def _forms(key: str) -> tuple[str, ...]:
    """Give the ways a key may be written where it is quoted, longest first."""
    encoded = {base64.b64encode(text.encode()).decode() for text in (key, f"{key}:", f":{key}")}
    forms = {key, quote(key, safe=""), json.dumps(key)[1:-1], repr(key)[1:-1]} | encoded
    return tuple(sorted(forms, key=len, reverse=True))
