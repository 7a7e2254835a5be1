"""``%loop history``, ``show-run``, ``rerun`` and ``forget``: what was run, found again or deleted."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from IPython.core.magic_arguments import argument

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.verbs import Context, verb

if TYPE_CHECKING:
    from cozeloop_magic.store.history import Wanted

__all__ = ["forget", "history", "rerun", "show_run"]


@verb("history")
@argument("-n", "--number", type=int, default=20, metavar="N", help="How many at most; 20 unless given.")
@argument("-p", "--prompt", metavar="KEY", help="Only runs of this prompt.")
@argument("--grep", metavar="TEXT", help="Only runs that hold this text, in what was asked, answered, or went wrong.")
@argument("--since", metavar="7d", help="Only runs since then: an age such as 7d, 12h or 30m, or a date.")
@argument("--failed", action="store_true", help="Only runs that failed, or were stopped.")
def history(context: Context, args: Namespace) -> object:
    """List kept runs, the latest first.

    The value reads as a list of mappings, which hold more than is shown; .to_pandas() makes a data frame of it.
    """
    from cozeloop_magic.store.runs import RunStore
    from cozeloop_magic.view.history import find_history

    with RunStore.open() as store:
        return find_history(
            store, args.number, prompt_key=args.prompt, text=args.grep, since=args.since, failed=args.failed
        )


@verb("show-run")
@argument("id", type=int, metavar="ID", help="Its number, which %%loop history shows.")
def show_run(context: Context, args: Namespace) -> object:
    """Draw a kept run as its cell did, without a call; the value is its answer."""
    from cozeloop_magic.run.answer import Answer
    from cozeloop_magic.store.runs import RunStore

    with RunStore.open() as store:
        return Answer(store.history.get(args.id).state())


@verb("rerun")
@argument("id", type=int, metavar="ID", help="Its number, which %%loop history shows.")
def rerun(context: Context, args: Namespace) -> object:
    """Insert the cell of a kept run below this one.

    That is the cell as it was written; for a run of a comparison or a table, one is written that asks the same.
    """
    from cozeloop_magic.cell.write import write_cell
    from cozeloop_magic.store.record import request_from_json
    from cozeloop_magic.store.runs import RunStore

    with RunStore.open() as store:
        run = store.history.get(args.id)
    context.session.next_cell(run.cell or write_cell(request_from_json(run.request)))
    return None


@verb("forget")
@argument("id", nargs="*", type=int, metavar="ID", help="The numbers of runs, which %%loop history shows.")
@argument("-p", "--prompt", metavar="KEY", help="All runs of this prompt.")
@argument("--before", metavar="DATE", help="All runs from before a date, or older than an age such as 30d.")
@argument("--all", action="store_true", help="All runs, and damaged stores that were set aside.")
def forget(context: Context, args: Namespace) -> object:
    """Delete kept runs for good: their bytes are overwritten.

    What a notebook shows of them stays in the notebook.
    """
    from cozeloop_magic.store.runs import RunStore

    wanted = list(_wanted(args))
    with RunStore.open() as store:
        gone = sum(map(store.history.forget, wanted))
        aside = store.set_aside
    print(f"{gone:,} {'run was' if gone == 1 else 'runs were'} deleted for good.")
    if aside:
        print(f"{', '.join(path.name for path in aside)} in {aside[0].parent} may hold more; --all deletes it.")
    return None


def _wanted(args: Namespace) -> list[Wanted]:
    from cozeloop_magic.store.history import Wanted, moment_of

    given = [bool(args.id), args.prompt is not None, args.before is not None, args.all]
    if sum(given) != 1:
        raise InvalidRequest(
            "It is not said what to forget." if not any(given) else "More than one thing is said to be forgotten.",
            hint="Write numbers of runs, or one of --prompt KEY, --before DATE and --all.",
        )
    if args.id:
        return [Wanted(number=number) for number in args.id]
    return [Wanted(args.prompt, before=moment_of(args.before) if args.before else None)]
