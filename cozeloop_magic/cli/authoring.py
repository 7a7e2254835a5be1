"""``cozeloop-magic prompts | show | versions | diff | define | export | import | doctor``: what authors do.

With ``--json`` each writes what it found or did as JSON. ``diff`` and ``import`` tell by their exit code whether
anything differs, if they are asked to with ``--exit-code``, as ``git diff`` does.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cozeloop_magic.errors import InvalidRequest

if TYPE_CHECKING:
    from cozeloop_magic.authoring.define import Defined
    from cozeloop_magic.authoring.plan import Plan
    from cozeloop_magic.client.client import Client

__all__ = ["add_commands"]

_DIFFERS = 3  # 1 is an error, and 2 what argparse gives for a line that it cannot read
_FAILED = 1

Work = Callable[["Client", Namespace], int]


def add_commands(commands: Any) -> None:
    """Add the commands to a parser's."""
    prompts = _command(commands, "prompts", _prompts, "list the prompts of the workspace")
    prompts.add_argument("text", nargs="?", default="", help="what a key or name begins with, or else holds")
    prompts.add_argument("--page", type=int, default=1, help="which page of the list")
    prompts.add_argument("--all", action="store_true", help="all pages at once")

    show = _command(commands, "show", _show, "show a version of a prompt", key=True)
    show.add_argument("-v", "--version", default="", help="the version, or draft (default: the latest)")
    show.add_argument("-l", "--label", default="", help="the label whose version to show")

    versions = _command(commands, "versions", _versions, "list a prompt's versions", key=True)
    versions.add_argument("--all", action="store_true", help="all of them, however many")

    diff = _command(commands, "diff", _diff, "compare two versions of a prompt, word by word", key=True)
    diff.add_argument("before", help="a version, a label, or draft")
    diff.add_argument("after", help="another")
    diff.add_argument("--exit-code", action="store_true", help=f"end with {_DIFFERS} if they differ")

    define = _command(commands, "define", _define, "commit a prompt from a file", key=True)
    define.add_argument("file", help="its text; - reads it from stdin")
    define.add_argument("-v", "--version", default="", help="the version to commit; a new prompt begins with 0.1.0")
    define.add_argument("--bump", default="", metavar="PART", help="raise the last version's major, minor or patch")
    define.add_argument("--base", default="", metavar="VERSION", help="fail if another version is the latest")
    define.add_argument("--draft", action="store_true", help="save without committing")
    define.add_argument("--replace-draft", action="store_true", help="write over a draft that is there")
    _changes(define)

    export = _command(commands, "export", _export, "write prompts as files KEY.prompt.md")
    export.add_argument("names", nargs="+", metavar="KEY DIR", help="the prompts, and last the directory")
    export.add_argument("--all", action="store_true", help="all prompts; then only the directory is named")

    read = _command(commands, "import", _import, "commit what the files of a directory change")
    read.add_argument("directory", metavar="DIR", help="where the files are")
    read.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    read.add_argument("--exit-code", action="store_true", help=f"end with {_DIFFERS} if anything differs")
    read.add_argument("--bump", default="patch", metavar="PART", help="which part of a version to raise")
    _changes(read)

    _command(commands, "doctor", _doctor, "examine the set-up; ends with 1 if something is wrong", client=False)


def _command(
    commands: Any, name: str, work: Callable[..., int], help: str, *, key: bool = False, client: bool = True
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help)
    if key:
        parser.add_argument("prompt_key", metavar="KEY", help="the prompt")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(command=(lambda args: _with_client(work, args)) if client else work)
    return parser


def _changes(parser: ArgumentParser) -> None:
    parser.add_argument("-m", "--message", default="", metavar="WHY", help="why it changed")
    parser.add_argument("--as-is", action="store_true", help="commit also what is probably not meant")


def _with_client(work: Work, args: Namespace) -> int:
    from cozeloop_magic.client.connect import new_client

    with new_client() as client:
        return work(client, args)


def _tell(args: Namespace, value: object, data: object) -> None:
    """Write a value as text, or its data as JSON."""
    print(json.dumps(data, ensure_ascii=False, indent=2, default=_plain) if args.json else value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _doctor(args: Namespace) -> int:
    from cozeloop_magic.authoring.doctor import examine
    from cozeloop_magic.view.doctor import findings

    listed = findings(examine())
    _tell(args, listed, list(listed))
    return _FAILED if any(row["ok"] is False for row in listed) else 0


def _prompts(client: Client, args: Namespace) -> int:
    from cozeloop_magic.view.catalog import prompts_of

    listed = prompts_of(client, args.text, page=args.page, everything=args.all)
    _tell(args, listed, list(listed))
    return 0


def _show(client: Client, args: Namespace) -> int:
    from cozeloop_magic.view.prompt import show_prompt

    shown = show_prompt(client, args.prompt_key, args.version, args.label)
    _tell(args, shown, {**shown.record.to_json(), "labels": dict(shown.labels), "text": shown.text})
    return 0


def _versions(client: Client, args: Namespace) -> int:
    from cozeloop_magic.view.catalog import versions_of

    listed = versions_of(client, args.prompt_key, everything=args.all)
    _tell(args, listed, list(listed))
    return 0


def _diff(client: Client, args: Namespace) -> int:
    from cozeloop_magic.view.catalog import changes_of

    changes = changes_of(client, args.prompt_key, args.before, args.after)
    _tell(args, changes, [{"kind": kind, "text": text} for kind, text in changes])
    return _DIFFERS if changes and args.exit_code else 0


def _define(client: Client, args: Namespace) -> int:
    from cozeloop_magic.authoring.define import Defined, Drafts, commit, save
    from cozeloop_magic.authoring.files import read_text
    from cozeloop_magic.authoring.plan import plan
    from cozeloop_magic.view.defined import defined_changes

    if args.draft and (args.version or args.bump):
        raise InvalidRequest("A draft has no version.", hint="Leave out --draft, or --version and --bump.")
    text = sys.stdin.read() if args.file == "-" else read_text(Path(args.file))
    planned = plan(client, args.prompt_key, text)
    if args.draft:
        save(client, planned, Drafts(), base=args.base, replace_draft=args.replace_draft)
        defined = Defined(args.prompt_key, "", True, planned)
    else:
        asked = {"version": args.version, "bump": args.bump, "message": args.message, "base": args.base}
        flags = {"as_is": args.as_is, "replace_draft": args.replace_draft}
        defined = commit(client, planned, Drafts(), **asked, **flags)
    _tell(args, defined_changes(defined), _defined(defined))
    return 0


def _defined(defined: Defined) -> dict[str, object]:
    named = {"prompt_key": defined.prompt_key, "version": defined.version, "draft": defined.draft}
    return {**named, **_planned(defined.plan)}


def _planned(planned: Plan) -> dict[str, object]:
    return {
        "base_version": planned.base_version,
        "changed": planned.changed,
        "slips": list(planned.slips),
        "notes": list(planned.notes),
    }


def _export(client: Client, args: Namespace) -> int:
    from cozeloop_magic.authoring.files import export_prompts, left_over
    from cozeloop_magic.view.files import exported_files

    *keys, directory = args.names
    if args.all == bool(keys):
        raise InvalidRequest("It is not clear what to export.", hint="Write KEY DIR, or --all DIR.")
    exported = export_prompts(client, None if args.all else keys, Path(directory))
    gone = left_over(exported, Path(directory)) if args.all else ()
    _tell(args, exported_files(exported, directory, gone), [vars(each) for each in exported])
    return 0


def _import(client: Client, args: Namespace) -> int:
    from cozeloop_magic.authoring.files import import_prompts, plan_import
    from cozeloop_magic.view.files import failed, imported_files

    imported = plan_import(client, Path(args.directory))
    if not args.dry_run:
        imported = import_prompts(client, imported, bump=args.bump, message=args.message, as_is=args.as_is)
    data = [
        {"key": each.key, "file": each.file, "state": each.state, "version": each.version}
        | (_planned(each.plan) if each.plan else {})
        | ({"error": str(each.error)} if each.error else {})
        for each in imported
    ]
    _tell(args, imported_files(imported, dry_run=args.dry_run), data)
    if failed(imported):
        return _FAILED
    return _DIFFERS if args.exit_code and any(each.state != "same" for each in imported) else 0
