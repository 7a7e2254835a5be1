"""Which models can answer in the embedded Loop, and what chooses each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cozeloop_magic.local import weights
from cozeloop_magic.local.choice import BASE_URL_VARIABLE, GGUF_VARIABLE, MODEL_VARIABLE, Endpoint, chosen_model

__all__ = ["AvailableModel", "available_models"]


@dataclass(frozen=True)
class AvailableModel:
    """A model that can answer.

    Attributes
    ----------
    model : str
        What it is called.
    kind : str
        ``default``, ``GGUF`` or ``endpoint``.
    at : str
        Where it is.
    chosen : bool
        Whether it answers where nothing else is said.
    how : str
        What chooses it.
    """

    model: str
    kind: str
    at: str
    chosen: bool
    how: str


def available_models(environment: Mapping[str, str] = os.environ) -> list[AvailableModel]:
    """Give the default model, and those that the environment names.

    Raises
    ------
    LocalLoopError
        If the environment names one by halves, or a file and an endpoint.
    """
    choice = chosen_model(environment)
    is_default = not isinstance(choice, Endpoint) and choice.path is None
    default = weights.path()
    at = str(default) if default.is_file() else "fetched at the first call"
    how = f"{GGUF_VARIABLE} and {BASE_URL_VARIABLE} are not set"
    models = [AvailableModel(default.stem, "default", at, is_default, how)]
    if isinstance(choice, Endpoint):
        first, *others = choice.models
        models.append(AvailableModel(first, "endpoint", choice.base_url, True, MODEL_VARIABLE))
        models += [AvailableModel(name, "endpoint", choice.base_url, False, f"--set model={name}") for name in others]
    elif choice.path is not None:
        models.append(AvailableModel(choice.path.stem, "GGUF", str(choice.path), True, GGUF_VARIABLE))
    return models
