"""The `openai` provider: any endpoint that speaks OpenAI's chat API, such as Ollama, vLLM, Ark or OpenAI itself."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.models import INTERNAL, INVALID_PARAMETER, Emit, Parameters, chat_request, read_chunk

__all__ = ["OpenAIModel"]

RATE_LIMITED = 600502002
LONGEST_QUOTE = 300
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]{16,}", re.IGNORECASE)


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    base_url, model, api_key : str
        Where it is, which of its models answers, and the key it wants; local endpoints want none. Of these, an
        error names the host and the model.
    """

    def __init__(self, base_url: str, model: str, api_key: str) -> None:
        import openai

        self.name = model
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._secrets = _forms(api_key) if api_key else ()
        # Retrying is the caller's choice: a call may cost money.
        self._client = openai.OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)

    def load(self) -> None:
        """Do nothing: the model runs elsewhere."""

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer on the calling thread."""
        request = self._request(messages, parameters)
        try:
            with self._client.chat.completions.create(**request) as chunks:
                for chunk in chunks:
                    piece = read_chunk(chunk.model_dump())
                    if piece is not None and not emit(piece):
                        return
        except Exception as error:  # also httpx's own, in the middle of a stream
            # From None: what the endpoint or the HTTP library says may quote the key, and a traceback is logged.
            raise self._failure(error) from None

    def _request(self, messages: Sequence[Message], parameters: Parameters) -> dict[str, Any]:
        request = chat_request(messages, parameters)
        # Not one of OpenAI's own parameters, but Ollama, vLLM and llama.cpp know it.
        extra = {"top_k": request.pop("top_k")} if "top_k" in request else None
        return {**request, "model": self.name, "extra_body": extra}

    def _failure(self, error: Exception) -> RemoteError:
        import openai

        code = INTERNAL
        if isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
            code = INVALID_PARAMETER
        elif isinstance(error, openai.RateLimitError):
            code = RATE_LIMITED
        elif isinstance(error, openai.APIConnectionError):
            return remote_error(
                f"The model {self.name} at {self._host} cannot be reached: is it running? "
                "Check COZELOOP_MAGIC_OPENAI_BASE_URL.",
                code=code,
            )
        why = self._quoted(str(error)).rstrip(".") or type(error).__name__
        return remote_error(f"The model {self.name} at {self._host} cannot answer: {why}.", code=code)

    def _quoted(self, said: str) -> str:
        """Make a stranger's words safe to show: one line, not long, no credentials."""
        for secret in self._secrets:
            said = said.replace(secret, "••••••")
        said = " ".join(_CREDENTIALS.sub(r"\1 ••••••", said).split())
        said = "".join(character if character.isprintable() else "�" for character in said)
        return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "…"


def _forms(key: str) -> tuple[str, ...]:
    """Give the ways a key may be written where it is quoted, longest first."""
    encoded = {base64.b64encode(text.encode()).decode() for text in (key, f"{key}:", f":{key}")}
    forms = {key, quote(key, safe=""), json.dumps(key)[1:-1], repr(key)[1:-1]} | encoded
    return tuple(sorted(forms, key=len, reverse=True))
