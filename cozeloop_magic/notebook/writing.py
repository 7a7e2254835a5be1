"""``%loop new`` and ``label``: what changes something, or begins to."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from IPython.core.magic_arguments import argument

from cozeloop_magic.notebook.verbs import Context, verb

__all__ = ["label", "models", "new"]


class NewCell(str):
    """The text of a cell that was put below; shows itself as a line that says so."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self._line()}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self._line())

    def _line(self) -> str:
        return f"{self.partition(' --')[0]}: a new cell holds it."


@verb("new")
@argument("prompt_key", metavar="KEY", help="The prompt.")
@argument(
    "-v", "--version", default="", help="The version to run; the latest, where neither this nor a label is given."
)
@argument("-l", "--label", default="", help="The label whose version to run.")
@argument("--define", action="store_true", help="A cell that writes the next version, or begins a new prompt.")
def new(context: Context, args: Namespace) -> object:
    """Put a ready cell below: one that runs a prompt, or with --define one that writes it."""
    from cozeloop_magic.authoring.cells import define_cell, prompt_cell

    if args.define:
        cell = define_cell(context.client, args.prompt_key).rstrip("\n")
    else:
        cell = prompt_cell(context.client, args.prompt_key, args.version, args.label)
    context.session.next_cell(cell)
    return NewCell(cell)


@verb("label")
@argument("prompt_key", metavar="KEY", help="The prompt.")
@argument("version", metavar="VERSION", help="The version to mark.")
@argument("label", metavar="NAME", help="The label, such as production; one that marks another version is moved.")
def label(context: Context, args: Namespace) -> object:
    """Have a label mark a version; only the embedded Loop can, elsewhere it is done on the prompt's page."""
    from cozeloop_magic.authoring.catalog import label_version
    from cozeloop_magic.view.listing import Listing

    labels = label_version(context.client, args.prompt_key, args.version, args.label)
    rows = [{"label": name, "version": version} for name, version in labels.items()]
    return Listing(rows, ("label", "version"), title=args.prompt_key)


@verb("models")
def models(context: Context, args: Namespace) -> object:
    """List the models that can answer in the embedded Loop, and how one is chosen."""
    from cozeloop_magic.local.available import available_models
    from cozeloop_magic.view.listing import Listing

    note = "A Coze Loop elsewhere lists its models on its own pages; each version of a prompt names one."
    return Listing(map(vars, available_models()), ("model", "kind", "at", "chosen", "how"), note=note)
