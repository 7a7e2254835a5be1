"""``%loop`` alone, and ``%loop use``: where this kernel's calls go, and why."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from IPython.core.magic_arguments import argument

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.verbs import Context, verb, verbs

if TYPE_CHECKING:
    from cozeloop_magic.view.listing import Listing

__all__ = ["describe_settings", "overview", "use"]

_WHERE = ("local", "hosted")


@verb("overview")
def overview(context: Context, args: Namespace) -> object:
    """Tell where calls go and why, and what the verbs do; the same as %loop alone."""
    from cozeloop_magic.view.listing import Listing, Listings

    shown = [each for each in verbs().values() if each.run is not overview]
    usages = [{"verb": f"%loop {each.usage}", "what it does": each.summary} for each in shown]
    manual = "%loop VERB? is a verb's manual, and Tab completes all of them."
    return Listings([describe_settings(context), Listing(usages, ("verb", "what it does"), note=manual)])


@verb("use")
@argument("where", metavar="local|hosted", help="The embedded Loop, or the one that is configured.")
def use(context: Context, args: Namespace) -> object:
    """Send this kernel's calls to the embedded Loop, or to the one that is configured.

    It holds until the kernel ends; the environment and %config stay as they are.
    """
    from cozeloop_magic.authoring.setup import choose_loop

    if args.where not in _WHERE:
        raise InvalidRequest(
            f"There is no Loop {args.where} to use.", hint="Write %loop use local or %loop use hosted."
        )
    context.session.arguments = choose_loop(args.where, context.config)
    return describe_settings(context)


def describe_settings(context: Context) -> Listing:
    """List where calls go, and what says so."""
    from cozeloop_magic.authoring.setup import describe_setup
    from cozeloop_magic.view.listing import Listing

    settings = describe_setup(context.session.arguments, context.config)
    return Listing(map(vars, settings), ("setting", "value", "source"))
