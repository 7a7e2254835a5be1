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

ENV_API_BASE_URL = "COZELOOP_API_BASE_URL"
ENV_WORKSPACE_ID = "COZELOOP_WORKSPACE_ID"
ENV_API_TOKEN = "COZELOOP_API_TOKEN"
ENV_JWT_OAUTH_CLIENT_ID = "COZELOOP_JWT_OAUTH_CLIENT_ID"
ENV_JWT_OAUTH_PRIVATE_KEY = "COZELOOP_JWT_OAUTH_PRIVATE_KEY"
ENV_JWT_OAUTH_PUBLIC_KEY_ID = "COZELOOP_JWT_OAUTH_PUBLIC_KEY_ID"
CN_BASE_URL = "https://api.coze.cn"

_MODULES = {
    "cozeloop_magic.client.client": ("Client",),
    "cozeloop_magic.client.connect": ("new_client",),
    "cozeloop_magic.client.reader": ("AsyncStreamReader", "StreamReader"),
    "cozeloop_magic.client.functions": (
        "add_log_handler",
        "aexecute_prompt",
        "close",
        "execute_prompt",
        "flush",
        "get_prompt",
        "prompt_format",
        "set_default_client",
        "set_log_level",
        "workspace_id",
    ),
    "cozeloop_magic.entities.prompt": ("Message", "Prompt"),
    "cozeloop_magic.lab.batch": ("batch",),
    "cozeloop_magic.lab.compare": ("compare",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name, "cozeloop_magic.errors")
    module = import_module(home)
    if name not in module.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(module, name)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: ``%load_ext cozeloop_magic``."""
    from cozeloop_magic.notebook.magics import LoopMagics

    shell.register_magics(LoopMagics)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away and end what they began: ``%unload_ext cozeloop_magic``."""
    from cozeloop_magic.notebook.magics import LoopMagics

    LoopMagics.unregister(shell)
