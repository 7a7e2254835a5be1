"""The `llama` provider: any GGUF file, run by llama.cpp inside the server's process."""

from __future__ import annotations

import os
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import name, normalize

from cozeloop_magic.entities.prompt import Message, Role
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.chat_answers import AnswerReader
from cozeloop_magic.local.models import (
    INVALID_PARAMETER,
    Emit,
    Parameters,
    chat_request,
    model_failed,
    only_text,
)

__all__ = ["LlamaModel"]

CONTEXT_TOKENS = 8192
PARALLEL_CALLS = 4
PROMPT_CACHE_MIB = 256
LONGEST_ANSWER = 1024
"""In tokens, where a prompt sets no limit: a small model may repeat itself without end."""
_LOOKED_AT = 20_000  # characters of a text; this model reads less
_DRY = {
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 24,  # tokens: about a sentence, or ten lines of one word
    "dry_penalty_last_n": 512,
    "dry_sequence_breakers": ["<|im_end|>"],  # which no answer holds; an empty list is refused
}
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class LlamaModel:
    """A model in a GGUF file.

    Parameters
    ----------
    path : Path
        The file.
    default_system : str or None
        What is said as ``system`` where a prompt says nothing as such.
    """

    def __init__(self, path: Path, *, default_system: str | None = None) -> None:
        self.name = path.name.removesuffix(".gguf")
        self._path = path
        self._default_system = default_system
        self._engine: Any = None
        self._loading = threading.Lock()

    def load(self) -> None:
        """Read the file; later calls do nothing."""
        with self._loading:
            if self._engine is None:
                self._engine = self._start()

    def _start(self) -> Any:
        # llama.cpp's threads wait for each other by spinning. With one on every core, a single busy neighbour (the
        # notebook's own kernel, a browser) makes them ten times slower, unless they soon sleep instead.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        import xllamacpp

        if not self._path.is_file():
            raise model_failed(
                f"There is no model file at {self._path}. Check COZELOOP_MAGIC_GGUF, or get the default model: "
                "cozeloop-magic model fetch"
            )
        try:
            return xllamacpp.Server(_settings(self._path))
        except RuntimeError as error:
            raise model_failed(
                f"llama.cpp cannot load {self._path}; it is no GGUF file that it knows. Check COZELOOP_MAGIC_GGUF."
            ) from error

    def notes(self, messages: Sequence[Message]) -> Sequence[str]:
        """Tell that the default model knows English only, where it is asked mostly in another script."""
        if self._default_system is None or not _mostly_in_another_script(messages):
            return ()
        return (f"{self.name} knows English only, and this is mostly in another script",)

    def generate(self, messages: Sequence[Message], parameters: Parameters, emit: Emit) -> None:
        """Answer on the calling thread. llama.cpp batches the calls of several threads."""
        only_text(messages, self.name)
        self.load()
        failures: list[RemoteError] = []
        reader = AnswerReader(keep_think=True)

        def receive(chunk: Mapping[str, Any]) -> bool:
            """Take a chunk; true stops the generation."""
            if "error" in chunk:
                failures.append(_failure(chunk["error"]))
                return True
            piece = reader.read(chunk)
            return piece is not None and not emit(piece)

        try:
            request = chat_request(self._with_system(messages), parameters)
            if self._default_system is not None:
                request = _without_endless_repetition(request)
            self._engine.handle_chat_completions(request, receive)
        except RuntimeError as error:
            raise model_failed(f"The model {self.name} cannot answer: {error}.") from error
        if failures:
            raise failures[0]

    def _with_system(self, messages: Sequence[Message]) -> Sequence[Message]:
        if self._default_system is None or any(message.role == Role.SYSTEM for message in messages):
            return messages
        return [Message(Role.SYSTEM, self._default_system), *messages]


def _without_endless_repetition(request: dict[str, Any]) -> dict[str, Any]:
    """Make it costly to say the same again and again, unless the prompt's own settings say how costly that is.

    A small model falls into a loop easily. DRY (llama.cpp's sampler of that name) looks at sequences of tokens, so a
    word, a label or a sentence that is quoted may come again. A loop is most often one of lines, so a line's end must
    not end a sequence as it does by default. In JSON and in tool calls long sequences must come again: keys.
    """
    if {"frequency_penalty", "presence_penalty", "response_format", "tools"} & request.keys():
        return request
    return request | _DRY


def _mostly_in_another_script(messages: Sequence[Message]) -> bool:
    """Whether what is asked, or all that is sent, is written in another script than Latin for the most part."""
    texts = [message.text[:_LOOKED_AT] for message in messages]
    asked = next((message.text for message in reversed(messages) if message.role == Role.USER), "")
    return _is_other(asked[:_LOOKED_AT]) or _is_other(" ".join(texts)[:_LOOKED_AT])


def _is_other(text: str) -> bool:
    latin = other = 0
    for char, times in Counter(normalize("NFKC", text)).items():
        if not char.isalpha():
            continue
        if name(char, "").startswith("LATIN"):
            latin += times
        else:  # one character of Chinese, Japanese or Korean says as much as three letters
            other += times * (3 if "\u2e80" <= char <= "\ud7ff" or char >= "\U00020000" else 1)
    return other > latin


def _settings(path: Path) -> Any:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    # One cache for all slots: a call may use the whole context while it is alone, and four fit side by side.
    settings.n_ctx = CONTEXT_TOKENS
    settings.n_parallel = PARALLEL_CALLS
    settings.kv_unified = True
    settings.cache_ram_mib = PROMPT_CACHE_MIB
    settings.n_predict = LONGEST_ANSWER
    settings.cpuparams.n_threads = _threads()
    settings.verbosity = 1  # errors only
    settings.warmup = False
    # llama.cpp opens a port of its own; nobody gets its key.
    settings.api_keys = [secrets.token_urlsafe(32)]
    settings.ui = False
    settings.endpoint_slots = False
    return settings


def _threads() -> int:
    """Give the number of threads: as many as the cores that are ours."""
    import psutil

    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    if _CPU_QUOTA.is_file():  # a container's share: "200000 100000" is two cores, "max 100000" is all
        quota, period = _CPU_QUOTA.read_text().split()
        cores = cores if quota == "max" else min(cores, int(quota) // int(period))
    return max(1, cores)


def _failure(error: Mapping[str, Any]) -> RemoteError:
    if error.get("type") == "exceed_context_size_error":
        sent, most = error.get("n_prompt_tokens"), error.get("n_ctx")
        message = f"The prompt has {sent} tokens, and this model reads at most {most}. Shorten it."
        return remote_error(message, code=INVALID_PARAMETER)
    return model_failed(f"The model cannot answer: {error.get('message', error)}.")
