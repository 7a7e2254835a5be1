"""``%loop doctor``: what is wrong with the set-up, and what mends it."""

from __future__ import annotations

from argparse import Namespace

from cozeloop_magic.notebook.verbs import Context, verb

__all__ = ["doctor"]


@verb("doctor")
def doctor(context: Context, args: Namespace) -> object:
    """Examine the set-up, and tell for each thing that is wrong what mends it."""
    from IPython.display import display

    from cozeloop_magic.authoring.doctor import examine
    from cozeloop_magic.view.doctor import findings
    from cozeloop_magic.view.front import is_watched

    listing = findings(examine(context.session.arguments, context.config))
    if not (context.session.in_kernel and is_watched()):
        return listing
    from cozeloop_magic.view.ask import ask_page

    display(listing)  # type: ignore[no-untyped-call,unused-ignore]
    context.session.bind(listing, "_loop", args.out)
    ask_page()
    return None
