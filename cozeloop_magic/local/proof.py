"""Proving to know a token without telling it."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["prove"]


def prove(token: str, nonce: str) -> str:
    """Give what only a holder of the token can say about the nonce."""
    return hmac.new(token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
