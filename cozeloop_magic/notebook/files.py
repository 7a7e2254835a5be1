"""``%loop export`` and ``import``: prompts as files, for git."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from IPython.core.magic_arguments import argument

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.verbs import Context, verb

__all__ = ["export", "import_"]


@verb("export")
@argument("names", nargs="+", metavar="KEY DIR", help="The prompts, and last the directory to write to.")
@argument("--all", action="store_true", help="All prompts; then only the directory is named.")
def export(context: Context, args: Namespace) -> object:
    """Write prompts as files KEY.prompt.md, the same bytes for the same prompt."""
    from cozeloop_magic.authoring.files import export_prompts, left_over
    from cozeloop_magic.view.files import exported_files

    *keys, directory = args.names
    if args.all == bool(keys):
        raise InvalidRequest("It is not clear what to export.", hint="Write KEY DIR, or --all DIR.")
    path = Path(directory).expanduser()
    exported = export_prompts(context.client, None if args.all else keys, path)
    return exported_files(exported, directory, left_over(exported, path) if args.all else ())


@verb("import")
@argument("directory", metavar="DIR", help="Where the files KEY.prompt.md are.")
@argument("--dry-run", action="store_true", help="Show what would change, and change nothing.")
@argument("--bump", default="patch", metavar="PART", help="Which part of a version to raise: patch unless given.")
@argument("-m", "--message", default="", metavar="WHY", help="Why it changed.")
@argument("--as-is", action="store_true", help="Commit also what is probably not meant.")
def import_(context: Context, args: Namespace) -> object:
    """Commit what the files of a directory change, and nothing else."""
    from IPython.display import display

    from cozeloop_magic.authoring.files import import_prompts, plan_import
    from cozeloop_magic.view.files import failed, imported_files

    imported = plan_import(context.client, Path(args.directory).expanduser())
    if not args.dry_run:
        imported = import_prompts(context.client, imported, bump=args.bump, message=args.message, as_is=args.as_is)
    shown = imported_files(imported, dry_run=args.dry_run)
    if not failed(imported):
        return shown
    display(shown)  # type: ignore[no-untyped-call,unused-ignore]
    context.session.bind(shown, "_loop", args.out)
    first = failed(imported)[0]
    number = f"{len(failed(imported))} of {len(imported)} files"
    raise (
        first.error
        if len(imported) == 1 and first.error
        else InvalidRequest(f"{number} could not be imported; {first.key}: {first.error}")
    )
