"""The `openai` provider: any endpoint that speaks OpenAI's chat API, such as Ollama, vLLM, Ark or OpenAI itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.models import INTERNAL, INVALID_PARAMETER, Emit, Parameters, chat_request, read_chunk

if TYPE_CHECKING:
    from openai import APIError

__all__ = ["OpenAIModel"]

RATE_LIMITED = 600502002


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    Parameters
    ----------
    base_url, model, api_key : str
        Where it is, which of its models answers, and the key it wants; local endpoints want none.
    """

    def __init__(self, base_url: str, model: str, api_key: str) -> None:
        import openai

        self.name = model
        self._base_url = base_url
        # Retrying is the caller's choice: a call may cost money.
        self._client = openai.OpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0)

    def load(self) -> None:
        """Do nothing: the model runs elsewhere."""

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer on the calling thread."""
        import openai

        try:
            with self._client.chat.completions.create(**self._request(messages, parameters)) as chunks:
                for chunk in chunks:
                    piece = read_chunk(chunk.model_dump())
                    if piece is not None and not emit(piece):
                        return
        except openai.APIError as error:
            raise self._failure(error) from error

    def _request(self, messages: Sequence[Message], parameters: Parameters) -> dict[str, Any]:
        request = chat_request(messages, parameters)
        # Not one of OpenAI's own parameters, but Ollama, vLLM and llama.cpp know it.
        extra = {"top_k": request.pop("top_k")} if "top_k" in request else None
        return {**request, "model": self.name, "extra_body": extra}

    def _failure(self, error: APIError) -> RemoteError:
        import openai

        code = INTERNAL
        if isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
            code = INVALID_PARAMETER
        elif isinstance(error, openai.RateLimitError):
            code = RATE_LIMITED
        why = error.message.rstrip(".")
        return remote_error(f"The model {self.name} at {self._base_url} cannot answer: {why}.", code=code)
