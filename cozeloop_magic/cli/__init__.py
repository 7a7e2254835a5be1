"""The terminal: ``cozeloop-magic serve | run | demo | model fetch``."""

from cozeloop_magic.cli.commands import main

__all__ = ["main"]
