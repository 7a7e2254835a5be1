"""Values without the secrets that this process knows of: what goes on a tape, and what is looked for on one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cozeloop_magic.transport.secret import Secret

__all__ = ["SHORTEST", "hidden_in_text", "hidden_in_value", "secrets_of_environment"]

SHORTEST = 12
"""Characters of a secret that is looked for in all texts: none has them by chance."""
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PRIVATE_KEY|API_KEY|CREDENTIAL", re.IGNORECASE)


def secrets_of_environment() -> Iterable[Secret]:
    """Give whatever the environment names as a token, key, secret or password."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= SHORTEST:
            yield Secret(value)


def hidden_in_value(value: Any, secrets: Iterable[Secret]) -> Any:
    """Return the value with dots where any text of it holds a secret."""
    if isinstance(value, str):
        return hidden_in_text(value, secrets)
    if isinstance(value, Mapping):
        return {hidden_in_value(name, secrets): hidden_in_value(each, secrets) for name, each in value.items()}
    return [hidden_in_value(each, secrets) for each in value] if isinstance(value, (list, tuple)) else value


def hidden_in_text(text: str, secrets: Iterable[Secret]) -> str:
    """Return the text with dots where it holds a secret, also as JSON writes it."""
    for secret in secrets:
        for form in (secret, Secret(json.dumps(secret.removeprefix("Bearer "))[1:-1])):
            text = form.hidden_in(text)
    return text
