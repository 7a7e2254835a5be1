"""``%loop prompts``, ``show``, ``versions`` and ``diff``: what there is."""

from __future__ import annotations

from argparse import Namespace

from IPython.core.magic_arguments import argument

from cozeloop_magic.notebook.verbs import Context, verb

__all__ = ["diff", "prompts", "show", "versions"]


@verb("prompts")
@argument("text", nargs="?", default="", metavar="TEXT", help="What a key or name begins with, or else holds.")
@argument("--page", type=int, default=1, metavar="N", help="Which page of the list.")
@argument("--all", action="store_true", help="All pages at once.")
def prompts(context: Context, args: Namespace) -> object:
    """List the prompts of the workspace."""
    from cozeloop_magic.view.catalog import prompts_of

    return prompts_of(context.client, args.text, page=args.page, everything=args.all)


@verb("show")
@argument("prompt_key", metavar="KEY", help="The prompt.")
@argument(
    "-v", "--version", default="", help="The version, or draft; the latest, where neither this nor a label is given."
)
@argument("-l", "--label", default="", help="The label whose version to show, such as production.")
def show(context: Context, args: Namespace) -> object:
    """Show a prompt: its messages with their variables, model settings, tools and labels."""
    from cozeloop_magic.view.prompt import show_prompt

    return show_prompt(context.client, args.prompt_key, args.version, args.label)


@verb("versions")
@argument("prompt_key", metavar="KEY", help="The prompt.")
@argument("--all", action="store_true", help="All of them, however many.")
def versions(context: Context, args: Namespace) -> object:
    """List a prompt's versions: who made them, when and why."""
    from cozeloop_magic.view.catalog import versions_of

    return versions_of(context.client, args.prompt_key, everything=args.all)


@verb("diff")
@argument("prompt_key", metavar="KEY", help="The prompt.")
@argument("before", metavar="A", help="A version, a label, or draft.")
@argument("after", metavar="B", help="Another.")
def diff(context: Context, args: Namespace) -> object:
    """Compare two versions of a prompt, word by word: messages, settings and variables."""
    from cozeloop_magic.view.catalog import changes_of

    return changes_of(context.client, args.prompt_key, args.before, args.after)
