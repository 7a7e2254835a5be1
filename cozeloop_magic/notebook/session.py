"""What a notebook's magics share: its names, its client, and what goes on behind other cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.authoring.define import Drafts
from cozeloop_magic.client.client import Client
from cozeloop_magic.client.connect import client_for
from cozeloop_magic.client.settings import Settings
from cozeloop_magic.notebook.background import LeftBehind
from cozeloop_magic.notebook.formatters import show_answers
from cozeloop_magic.printable import printable
from cozeloop_magic.tape import RECORDING, TapeWriter

__all__ = ["Session"]


class Session:
    """One IPython shell, as the magics see it."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._client: tuple[tuple[Settings, TapeWriter | None], Client] | None = None
        self.arguments: dict[str, str] = {}  # of ``%loop use``: they come before the environment and %config
        self._in_kernel = getattr(shell, "kernel", None) is not None
        self.left_behind = LeftBehind()
        self.drafts = Drafts()
        show_answers(shell)
        shell.events.register("pre_run_cell", self.left_behind.stop_earlier)

    def close(self) -> None:
        """Stop what still goes on, and close the client."""
        self._shell.events.unregister("pre_run_cell", self.left_behind.stop_earlier)
        self.left_behind.stop_all()
        if self._client is not None:
            self._client[1].close()

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's names."""
        names: dict[str, Any] = self._shell.user_ns
        return names

    def own_names(self, names: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the notebook's names that the user gave, without IPython's own."""
        hidden = self._shell.user_ns_hidden
        return {name: value for name, value in names.items() if hidden.get(name, self) is not value}

    @property
    def in_kernel(self) -> bool:
        """Whether a Jupyter kernel runs the shell, and not a terminal."""
        return self._in_kernel

    def tell(self, notes: Iterable[str]) -> None:
        """Print what the person should know, where an answer is not."""
        for note in notes:
            print(printable(note), file=sys.stdout if self._in_kernel else sys.stderr)

    def connected(self, config: Mapping[str, str]) -> Client:
        """Return the client of the present settings; the same one as long as they stay the same."""
        wanted = Settings.gather(self.arguments, config=config), RECORDING.writer
        if self._client is None or self._client[0] != wanted:
            if self._client is not None:
                self._client[1].close()
            self._client = wanted, client_for(wanted[0])
        return self._client[1]

    def next_cell(self, text: str) -> None:
        """Put a cell below the one that runs, or in a terminal into the next prompt."""
        self._shell.set_next_input(text)

    def bind(self, value: Any, *names: str | None) -> None:
        """Bind a value to names of the notebook; None names nothing."""
        self._shell.user_ns.update({name: value for name in names if name})
