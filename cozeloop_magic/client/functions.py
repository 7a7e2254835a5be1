"""Calls without a client of one's own, as in the official SDK: ``cozeloop_magic.execute_prompt(...)``.

They use the client that was set, else the first that `new_client` made, else one that is made of the settings.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cozeloop_magic.client.client import Client
from cozeloop_magic.client.connect import new_client
from cozeloop_magic.client.default import DEFAULT
from cozeloop_magic.entities.prompt import Message, Prompt

__all__ = [
    "add_log_handler",
    "aexecute_prompt",
    "close",
    "execute_prompt",
    "flush",
    "get_prompt",
    "prompt_format",
    "set_default_client",
    "set_log_level",
    "workspace_id",
]


def _client() -> Client:
    return DEFAULT.get(new_client)


def set_default_client(client: Client) -> None:
    """Set the client of module-level calls; the one before stays open, for it is its maker's to close."""
    DEFAULT.set(client)


def workspace_id() -> str:
    """Give the default client's workspace."""
    return _client().workspace_id


def close() -> None:
    """Close the default client; further module-level calls raise `ClientClosed`."""
    _client().close()


def flush() -> None:
    """Do nothing; see `Client.flush`."""
    _client().flush()


def get_prompt(prompt_key: str, version: str = "", label: str = "") -> Prompt:
    """Get a prompt's definition with the default client; see `Client.get_prompt`."""
    return _client().get_prompt(prompt_key, version, label)


def prompt_format(prompt: Prompt, variables: Mapping[str, Any]) -> list[Message]:
    """Render a prompt's messages with the default client; see `Client.prompt_format`."""
    return _client().prompt_format(prompt, variables)


def execute_prompt(prompt_key: str, **options: Any) -> Any:
    """Run a prompt with the default client; see `Client.execute_prompt`."""
    return _client().execute_prompt(prompt_key, **options)


async def aexecute_prompt(prompt_key: str, **options: Any) -> Any:
    """Run a prompt with the default client; see `Client.aexecute_prompt`."""
    return await _client().aexecute_prompt(prompt_key, **options)


def set_log_level(level: int) -> None:
    """Set the level of this package's logger, which is called ``cozeloop_magic``."""
    logging.getLogger("cozeloop_magic").setLevel(level)


def add_log_handler(handler: logging.Handler) -> None:
    """Add a handler to this package's logger."""
    logging.getLogger("cozeloop_magic").addHandler(handler)
