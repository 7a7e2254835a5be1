"""Where a Loop server is, who calls it, and how long a call may take."""

from __future__ import annotations

from dataclasses import dataclass

from cozeloop_magic.auth import Auth

__all__ = ["Endpoint", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Loop server.

    Attributes
    ----------
    base_url, workspace_id : str
        Where it is, and which workspace there.
    auth : Auth
        Who calls.
    origin : str
        How it is shown to people.
    local : bool
        Whether it is the embedded Loop: that one may end and come back elsewhere at any time, its prompts may be
        edited behind a version, and its words are written for the person who reads them.
    """

    base_url: str
    workspace_id: str
    auth: Auth
    origin: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of a call, in seconds: to connect, in total, and for a stream's first token (None: as in total)."""

    connect: float = 10.0
    total: float = 600.0
    first_token: float | None = None
