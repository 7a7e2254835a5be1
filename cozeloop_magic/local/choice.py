"""Which models the environment chooses for the embedded Loop."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import weights
from cozeloop_magic.local.connection import CONNECTION_VARIABLES
from cozeloop_magic.version import __version__

if TYPE_CHECKING:
    from cozeloop_magic.local.models import Model

__all__ = ["Choice", "Endpoint", "Gguf", "chosen_model"]

GGUF_VARIABLE = "COZELOOP_MAGIC_GGUF"
BASE_URL_VARIABLE = "COZELOOP_MAGIC_OPENAI_BASE_URL"
MODEL_VARIABLE = "COZELOOP_MAGIC_OPENAI_MODEL"
API_KEY_VARIABLE = "COZELOOP_MAGIC_OPENAI_API_KEY"
KEEP_THINK_VARIABLE = "COZELOOP_MAGIC_OPENAI_KEEP_THINK"
"""Set to 1, it leaves ``<think>…</think>`` at the start of an answer where it stands."""


@dataclass(frozen=True)
class Endpoint:
    """Models behind an OpenAI-compatible endpoint.

    Attributes
    ----------
    base_url, api_key : str
        Where it is, and the key it wants.
    models : tuple of str
        Which of its models may answer; the first does where nothing else is said.
    keep_think : bool
        Whether ``<think>…</think>`` at the start of an answer stays in it; else it is reasoning.
    connection : str
        What the environment says of proxies and certificates: a server of another environment is another one.
    """

    base_url: str
    models: tuple[str, ...]
    api_key: str = field(repr=False)
    keep_think: bool = False
    connection: str = field(default="", repr=False)

    modules = ("openai",)

    @property
    def fingerprint(self) -> str:
        """Text that is the same for the same choice, and tells nobody the key."""
        return _digest(self.base_url, *self.models, self.api_key, str(self.keep_think), self.connection)

    @property
    def identity(self) -> str:
        """Text that is the same where the same model would give the same answer, as far as can be known."""
        return f"{','.join(self.models)} at {self.base_url}{' keeping think tags' if self.keep_think else ''}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make a process choose the same."""
        return {}

    def fetch(self, progress: Callable[[str], None] | None) -> None:
        """Do nothing: the model runs elsewhere."""

    def build(self) -> tuple[Model, ...]:
        """Make the models, first the one that answers where nothing else is said."""
        from cozeloop_magic.local.openai_model import OpenAIModel

        make = partial(OpenAIModel, self.base_url, api_key=self.api_key, keep_think=self.keep_think)
        return tuple(make(model=model) for model in self.models)


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
    def identity(self) -> str:
        """Text that is the same where the same model would give the same answer: the file, its size and its time."""
        if self.path is None:
            return weights.NAME
        try:
            file = os.stat(self.path)
        except OSError:
            return str(self.path)
        return f"{self.path} {file.st_size} {file.st_mtime_ns}"

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

    def build(self) -> tuple[Model, ...]:
        """Make the model."""
        from cozeloop_magic.local.llama import LlamaModel

        if self.path is None or self.path.name == weights.NAME:
            return (LlamaModel(self.path or weights.path(), default_system=weights.DEFAULT_SYSTEM),)
        return (LlamaModel(self.path),)


Choice = Endpoint | Gguf


def chosen_model(environment: Mapping[str, str] = os.environ) -> Choice:
    """Give the models that the environment chooses: an endpoint's, or a file, or else the default.

    Raises
    ------
    LocalLoopError
        If an endpoint is chosen by halves, cannot be one, or if a file is chosen as well.
    """
    path = environment.get(GGUF_VARIABLE)
    base_url, models = environment.get(BASE_URL_VARIABLE, ""), _listed(environment.get(MODEL_VARIABLE, ""))
    if base_url and models:
        if path:
            raise LocalLoopError(f"{GGUF_VARIABLE} and {BASE_URL_VARIABLE} are both set; unset the one not wanted.")
        return Endpoint(
            _checked_url(base_url),
            models,
            _checked_key(environment.get(API_KEY_VARIABLE, "")),
            environment.get(KEEP_THINK_VARIABLE, "") not in ("", "0"),
            "\n".join(f"{name}={environment[name]}" for name in CONNECTION_VARIABLES if environment.get(name)),
        )
    if base_url or models:
        missing = MODEL_VARIABLE if base_url else BASE_URL_VARIABLE
        raise LocalLoopError(f"{missing} is not set.", hint="An endpoint needs both its base URL and its model.")
    return Gguf(Path(os.path.expanduser(path)).absolute() if path else None)


def _listed(names: str) -> tuple[str, ...]:
    """Read names with commas between them; one that stands twice is one."""
    return tuple(dict.fromkeys(name for part in names.split(",") if (name := part.strip())))


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
    path = re.sub(r"/chat/completions/*$", "", url.path)  # as providers show the whole address of the call
    return urlunsplit(url._replace(path=path)) if path != url.path else base_url


def _checked_key(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise LocalLoopError(f"{API_KEY_VARIABLE} holds characters that no key has; copy it again.")
    return key


def _digest(*parts: str) -> str:
    text = "\n".join((__version__, *parts))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
