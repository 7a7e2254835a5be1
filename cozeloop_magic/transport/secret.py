"""What nobody may read by accident: in a repr, a log line, a traceback with its locals, what a debug switch shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Secret", "redact"]

_DOTS = "••••••"
_LONG = 12  # characters of a secret that no word holds by chance
_CREDENTIALS = re.compile(r"^((?:proxy-)?authorization|(?:set-)?cookie):[^\r\n]*", re.I | re.M)


class Secret(str):
    """Text that shows as dots wherever it is not used on purpose."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_DOTS)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")

    def hidden_in(self, text: str) -> str:
        """Give `text` with dots where it holds the secret, with or without its ``Bearer``.

        One as short as a word is hidden where it stands alone: inside other words it would only garble them.
        """
        secret = self.removeprefix("Bearer ")
        if len(secret) >= _LONG:
            return re.sub(r"\s*".join(map(re.escape, secret)), _DOTS, text)  # also one that is broken over lines
        return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _DOTS, text, flags=re.ASCII) if secret else text


def redact(headers: str, secrets: Iterable[Secret]) -> str:
    """Give lines of headers without credentials, whoever wrote them, and without these secrets."""
    for secret in secrets:
        headers = secret.hidden_in(headers)
    return _CREDENTIALS.sub(rf"\1: {_DOTS}", headers)
