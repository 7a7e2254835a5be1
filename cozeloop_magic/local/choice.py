"""Which model the environment chooses for the embedded Loop."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import weights
from cozeloop_magic.version import __version__

if TYPE_CHECKING:
    from cozeloop_magic.local.models import Model

__all__ = ["Choice", "Endpoint", "Gguf", "chosen_model"]

GGUF_VARIABLE = "COZELOOP_MAGIC_GGUF"
BASE_URL_VARIABLE = "COZELOOP_MAGIC_OPENAI_BASE_URL"
MODEL_VARIABLE = "COZELOOP_MAGIC_OPENAI_MODEL"
API_KEY_VARIABLE = "COZELOOP_MAGIC_OPENAI_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible endpoint."""

    base_url: str
    model: str
    api_key: str = field(repr=False)

    modules = ("openai",)

    @property
    def fingerprint(self) -> str:
        """Text that is the same for the same choice, and tells nobody the key."""
        return _digest(self.base_url, self.model, self.api_key)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a process choose the same."""
        return {}

    def fetch(self, progress: Callable[[str], None] | None) -> None:
        """Do nothing: the model runs elsewhere."""

    def build(self) -> Model:
        """Make the model."""
        from cozeloop_magic.local.openai_model import OpenAIModel

        return OpenAIModel(self.base_url, self.model, self.api_key)


@dataclass(frozen=True)
class Gguf:
    """A model in a GGUF file: the user's, or without one the default."""

    path: Path | None

    modules = ("xllamacpp", "psutil")

    @property
    def fingerprint(self) -> str:
        """Text that is the same for the same choice."""
        return _digest(str(self.path))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a process in another directory choose the same."""
        return {GGUF_VARIABLE: str(self.path)} if self.path else {}

    def fetch(self, progress: Callable[[str], None] | None) -> None:
        """See to it that the file is there."""
        if self.path is None:
            weights.ensure(progress)
        elif not self.path.is_file():
            raise LocalLoopError(f"{GGUF_VARIABLE} names {self.path}, and no file is there.")

    def build(self) -> Model:
        """Make the model."""
        from cozeloop_magic.local.llama import LlamaModel

        if self.path is None or self.path.name == weights.NAME:
            return LlamaModel(self.path or weights.path(), default_system=weights.DEFAULT_SYSTEM)
        return LlamaModel(self.path)


Choice = Endpoint | Gguf


def chosen_model(environment: Mapping[str, str] = os.environ) -> Choice:
    """Give the model that the environment chooses: an endpoint, or a file, or else the default.

    Raises
    ------
    LocalLoopError
        If an endpoint is chosen by halves, cannot be one, or if a file is chosen as well.
    """
    path = environment.get(GGUF_VARIABLE)
    base_url, model = environment.get(BASE_URL_VARIABLE, ""), environment.get(MODEL_VARIABLE, "")
    if base_url and model:
        if path:
            raise LocalLoopError(f"{GGUF_VARIABLE} and {BASE_URL_VARIABLE} are both set; unset the one not wanted.")
        return Endpoint(_checked_url(base_url), model, _checked_key(environment.get(API_KEY_VARIABLE, "")))
    if base_url or model:
        missing = MODEL_VARIABLE if base_url else BASE_URL_VARIABLE
        raise LocalLoopError(f"{missing} is not set.", hint="An endpoint needs both its base URL and its model.")
    return Gguf(Path(os.path.expanduser(path)).absolute() if path else None)


def _checked_url(base_url: str) -> str:
    try:
        url = urlsplit(base_url)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if "@" in base_url:  # quoted nowhere, as it may be a password
        raise LocalLoopError(f"{BASE_URL_VARIABLE} holds a user or password; use {API_KEY_VARIABLE} for the key.")
    if not is_usable:
        raise LocalLoopError(f"{BASE_URL_VARIABLE} must be a URL such as http://localhost:11434/v1.")
    return base_url


def _checked_key(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise LocalLoopError(f"{API_KEY_VARIABLE} holds characters that no key has; copy it again.")
    return key


def _digest(*parts: str) -> str:
    text = "\n".join((__version__, *parts))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
