"""Where a Loop server is, and who calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from cozeloop_magic.transport.auth import Auth
from cozeloop_magic.transport.secret import Secret

__all__ = ["Connector", "Endpoint"]

_TELLING = 8  # characters of a header that may be a secret


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
    headers : tuple of Secret
        Values that are sent along with every call.
    tape : str
        What tells the tape that answers come from or go to; such answers stand in for no others.
    """

    base_url: str
    workspace_id: str
    auth: Auth
    origin: str
    local: bool = False
    headers: tuple[Secret, ...] = ()
    tape: str = ""

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return f"the {self.origin}" if self.local else self.origin

    def secrets(self) -> Iterator[Secret]:
        """Give what no text may show: the credentials, and headers of the caller's own that are no mere words."""
        yield self.auth()
        yield from (value for value in self.headers if len(value) >= _TELLING)


class Connector(Protocol):
    """Finds the server."""

    def __call__(self, *, progress: Callable[[str], None] | None = None, failed: Endpoint | None = None) -> Endpoint:
        """Give the endpoint, starting the server where that is its way.

        Parameters
        ----------
        progress : callable, optional
            Told what is going on where it takes time.
        failed : Endpoint, optional
            One that was given before and cannot be reached any more. The same one in return means: there is no other.
        """
