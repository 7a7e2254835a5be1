"""`CellMemory`: keeps the run of a cell, and finds the kept one that may stand in for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, Prompt
from cozeloop_magic.errors import StoreError
from cozeloop_magic.run.state import Event, RunState
from cozeloop_magic.store.key import definition_digest, place_of, run_key
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore, opened

__all__ = ["CellMemory"]


class CellMemory:
    """Remembers one run.

    Parameters
    ----------
    client : Client
        Who runs it.
    store : RunStore or bool
        Where it is kept; see `cozeloop_magic.store.runs.opened`.
    cache : bool
        Whether a kept answer may stand in for the call: the last complete one that was asked exactly this.
    cell : str, optional
        The cell as it was written.
    """

    def __init__(
        self, client: Client, store: RunStore | bool, *, cache: bool = False, cell: str | None = None
    ) -> None:
        self._client = client
        self._store = store
        self._cache = cache
        self._cell = cell
        self._key = ""
        self._recalled = False

    def recall(self, request: ExecuteRequest, prompt: Prompt | None) -> Iterable[Event] | None:
        """Give the events of the kept run, if there is one and it may stand in."""
        self._key = run_key(place_of(self._client.connect()), request, definition_digest(prompt))
        if not self._cache or request.version is None:  # what has no version may have changed since
            return None
        with nullcontext(self._store) if isinstance(self._store, RunStore) else RunStore.open() as store:
            run = store.get(self._key)
        if run is None or not run.state().whole:
            return None
        self._recalled = True
        return run.events()

    def keep(self, state: RunState) -> tuple[str, ...]:
        """Keep a run that was called for; one that cannot be kept is shown all the same, with the reason."""
        if self._recalled or not self._key:
            return ()
        try:
            with opened(self._store) as store:
                if store is None:
                    return ()
                store.put(RunRecord.of(self._key, state, label=state.request.label, cell=self._cell))
                return tuple(store.notes)
        except StoreError as error:
            return (f"not kept: {error}",)
