"""Where a Loop server is, who calls it, and how long a call may take."""

from __future__ import annotations

from dataclasses import dataclass

from cozeloop_magic.auth import Auth

__all__ = ["Endpoint", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Loop server: where it is, which workspace there, who calls, and how it is shown to people."""

    base_url: str
    workspace_id: str
    auth: Auth
    origin: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of a call, in seconds: to connect, in total, and for a stream's first token (None: as in total)."""

    connect: float = 10.0
    total: float = 600.0
    first_token: float | None = None
