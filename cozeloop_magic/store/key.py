"""The key of a run: what must be the same for one answer to stand in for another.

It is a digest of the server and workspace, the prompt and its resolved version, the prompt's definition, the
variables and messages as they go over the wire, what overrides the prompt's own settings, and the number of the
repeat. A prompt may be deleted and made anew under the same key and version; its definition's digest tells that,
where an id would.

Which model answers is part of the key on the embedded Loop alone, and only as far as it can be known before the call:
the GGUF file by its path, size and time, or the endpoint and the names of its models. Which of these is asked for
stands in the model configuration of the call. A Loop server keeps to itself which model a version runs on; there a
version stands for its model, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import ExecuteRequest, Prompt
from cozeloop_magic.transport.endpoint import Endpoint

__all__ = ["Place", "body_key", "definition_digest", "digest_of", "place_of", "run_key"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """Who answers.

    Attributes
    ----------
    origin : str
        Scheme, host and port, ``embedded``, or a tape.
    workspace_id : str
        The workspace there.
    model : str
        The embedded Loop's models; empty elsewhere.
    """

    origin: str
    workspace_id: str
    model: str = ""


def place_of(endpoint: Endpoint) -> Place:
    """Give who answers at an endpoint."""
    if endpoint.tape:
        return Place(f"tape {endpoint.tape}", endpoint.workspace_id)
    if endpoint.local:
        from cozeloop_magic.local.choice import chosen_model

        return Place("embedded", endpoint.workspace_id, chosen_model().identity)
    url = urlsplit(endpoint.base_url)
    port = url.port or _PORTS.get(url.scheme, 0)
    return Place(f"{url.scheme}://{url.hostname}:{port}{url.path.rstrip('/')}", endpoint.workspace_id)


def definition_digest(prompt: Prompt | None) -> str:
    """Give the digest of a prompt's definition; empty where it is not known."""
    return digest_of(prompt.to_json()) if prompt is not None and prompt.prompt_template is not None else ""


def run_key(place: Place, request: ExecuteRequest, definition: str = "", repeat: int = 0) -> str:
    """Give the key of a run.

    Parameters
    ----------
    place : Place
        Who answers.
    request : ExecuteRequest
        What is asked, with the version resolved.
    definition : str
        The digest of the prompt's definition.
    repeat : int
        Which of several equal runs it is, counted from 0.

    Raises
    ------
    InvalidRequest
        If the request cannot be sent.
    """
    return body_key(place, execute_body(request), definition, repeat)


def body_key(place: Place, body: Mapping[str, Any], definition: str = "", repeat: int = 0) -> str:
    """Give the key of a run from what goes over the wire; see `run_key`."""
    variables = sorted(body.get("variable_vals") or (), key=lambda variable: str(variable["key"]))
    sent = {**body, "variable_vals": variables} if variables else body
    return digest_of([place.origin, place.workspace_id, place.model, definition, sent, repeat])


def digest_of(value: Any) -> str:
    """Give the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(_CANONICAL(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain).encode
