"""Run, compare and teach with versioned Coze Loop prompts inside a Jupyter notebook.

In a notebook: ``%load_ext cozeloop_magic``, then ``%%loop_prompt``. In a script: `new_client`, as in the official
SDK. Names are imported when they are first used, so that loading the extension is instant.
"""

from __future__ import annotations

from cozeloop_magic.version import __version__

TYPE_CHECKING = False  # as type checkers know it; importing typing would take as long as Python's own start
if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from cozeloop_magic.client.client import Client
    from cozeloop_magic.client.connect import new_client
    from cozeloop_magic.lab.batch import batch
    from cozeloop_magic.lab.compare import compare

__all__ = [
    "Client",
    "__version__",
    "batch",
    "compare",
    "load_ipython_extension",
    "new_client",
    "unload_ipython_extension",
]

_HOMES = {
    "Client": "cozeloop_magic.client.client",
    "batch": "cozeloop_magic.lab.batch",
    "compare": "cozeloop_magic.lab.compare",
    "new_client": "cozeloop_magic.client.connect",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is None:
        errors = import_module("cozeloop_magic.errors")
        if name not in errors.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(errors, name)
    return getattr(import_module(home), name)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: ``%load_ext cozeloop_magic``."""
    from cozeloop_magic.notebook.magics import LoopMagics

    shell.register_magics(LoopMagics)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away and end what they began: ``%unload_ext cozeloop_magic``."""
    from cozeloop_magic.notebook.magics import LoopMagics

    LoopMagics.unregister(shell)
