"""The terminal: ``cozeloop-magic serve | run | history | demo | model fetch``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cozeloop_magic.cli.authoring import add_commands
from cozeloop_magic.errors import ConfigurationError, InvalidRequest, LoopError, to_install
from cozeloop_magic.printable import printable
from cozeloop_magic.version import __version__

if TYPE_CHECKING:
    from cozeloop_magic.local.process import LocalLoop

__all__ = ["main"]

_INTERRUPTED = 130  # what shells give for a program that Ctrl-C ended
_UNREAD = 141  # and for one that writes to a pipe which nobody reads any more


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns
    -------
    int
        The exit code: 0, 1 for an error that was told on stderr, 130 after Ctrl-C, 141 if nobody reads the output. A
        command line that cannot be read exits with 2, as `argparse` does.
    """
    args = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except LoopError as error:
        _tell(f"{type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tells that it cannot flush
        return _UNREAD


class _Parser(argparse.ArgumentParser):
    """A parser that refuses an option which takes one value and is given two."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words; see `argparse.ArgumentParser.parse_known_args`."""
        from cozeloop_magic.cell.options import find_repeated

        if repeated := find_repeated(args or (), self):
            self.error(f"{repeated} is given twice")
        return super().parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cozeloop-magic", description="Run versioned Coze Loop prompts, also with no account and no network."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the embedded Loop in the foreground, for any Loop SDK")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free one)")
    who = serve.add_mutually_exclusive_group()
    who.add_argument("--class", dest="roster", metavar="FILE", help="a token for each name in a file, one a line")
    who.add_argument("--tokens", type=int, metavar="N", help="a token for each of N students")
    serve.add_argument("--max-tokens", type=_positive, metavar="N", help="the most tokens of an answer")
    serve.add_argument("--public-url", default="", metavar="URL", help="how others reach it, through a proxy say")
    serve.set_defaults(command=_serve)

    _add_run(commands)
    _add_history(commands)
    add_commands(commands)

    demo = commands.add_parser("demo", help="open the lesson in JupyterLab")
    demo.add_argument("--execute", action="store_true", help="run it without a browser and print the answers")
    demo.set_defaults(command=_demo)

    model = commands.add_parser("model", help="the embedded Loop's language model").add_subparsers(
        required=True, metavar="COMMAND"
    )
    fetch = model.add_parser("fetch", help="fetch the weights now, ahead of a lesson")
    fetch.set_defaults(command=_fetch)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="run a prompt and stream its answer")
    run.add_argument("prompt_key", help="the prompt to run")
    run.add_argument("-v", "--version", help="the version to run (default: the latest)")
    run.add_argument("-l", "--label", help="the label whose version to run")
    run.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable's value")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the model")
    run.add_argument("--message", action="append", default=[], metavar="TEXT", help="a user message to append")
    run.add_argument("--no-stream", action="store_true", help="ask for the whole answer at once")
    run.add_argument(
        "--cache", action="store_true", help="answer from the store, if exactly this was answered before"
    )
    run.add_argument("--off", action="store_true", help="keep nothing of this run in the store")
    run.add_argument("--timeout", type=float, metavar="S", help="seconds for the whole call (default: 600)")
    run.set_defaults(command=_run)


def _add_history(commands: Any) -> None:
    history = commands.add_parser("history", help="list kept runs, the latest first")
    history.add_argument("-n", "--number", type=int, default=20, help="how many at most (default: %(default)s)")
    history.add_argument("-p", "--prompt", metavar="KEY", help="only runs of this prompt")
    history.add_argument("--grep", metavar="TEXT", help="only runs that hold this text")
    history.add_argument("--since", metavar="7d", help="only runs since then: an age such as 7d, or a date")
    history.add_argument("--failed", action="store_true", help="only runs that failed, or were stopped")
    history.add_argument("--json", action="store_true", help="all that is known of each, as JSON")
    history.set_defaults(command=_history)


def _serve(args: argparse.Namespace) -> int:
    from cozeloop_magic.local.roster import checked_url, members_of, names_in, numbered_names, write_settings
    from cozeloop_magic.local.server import serve

    names = (
        names_in(Path(args.roster)) if args.roster else numbered_names(args.tokens) if args.tokens is not None else []
    )
    members = members_of(names) if names else []
    public_url = checked_url(args.public_url, args.host if members else "")

    def announce(loop: LocalLoop) -> None:
        print(f"export COZELOOP_API_BASE_URL={loop.base_url}")
        print(f"export COZELOOP_WORKSPACE_ID={loop.workspace_id}")
        print(f"export COZELOOP_API_TOKEN={loop.token}", flush=True)
        _tell("The embedded Loop is running. Paste the three lines into another terminal; Ctrl-C ends it.")
        if members:
            settings = write_settings(members, loop.base_url, loop.workspace_id)
            _tell(f"What each of {len(names)} students sets, a line for each: {settings}")
            _tell(f"Your page of the class, which asks for your token: {loop.base_url}/class")

    serve(
        args.host,
        args.port,
        announce=announce,
        progress=_tell,
        public_url=public_url,
        members=members,
        max_tokens=args.max_tokens,
    )
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    from cozeloop_magic.cell.bind import options_to_variables
    from cozeloop_magic.cell.options import read_settings
    from cozeloop_magic.client.connect import new_client
    from cozeloop_magic.entities.prompt import ExecuteRequest, Message, Role
    from cozeloop_magic.run.drive import drive
    from cozeloop_magic.run.state import Phase
    from cozeloop_magic.store.memory import CellMemory
    from cozeloop_magic.view.terminal import TerminalView

    for name in ("version", "label"):
        if getattr(args, name) is not None and not getattr(args, name).strip():
            raise InvalidRequest(f"--{name} is empty.", hint="Leave the option out for its default.")
    request = ExecuteRequest(
        args.prompt_key,
        version=args.version,
        label=args.label,
        variable_vals=options_to_variables(args.var),
        messages=tuple(Message(Role.USER, text) for text in args.message),
    )
    settings = read_settings(args.set)
    with new_client() as client:
        view = TerminalView(sys.stdout, sys.stderr)
        memory = CellMemory(client, not args.off, cache=args.cache)
        state = drive(
            client, request, view, stream=not args.no_stream, timeout=args.timeout, settings=settings, memory=memory
        )
    if state.error is not None:
        raise state.error
    return _INTERRUPTED if state.phase is Phase.INTERRUPTED else 0


def _history(args: argparse.Namespace) -> int:
    from cozeloop_magic.store.runs import RunStore
    from cozeloop_magic.view.history import find_history

    with RunStore.open() as store:
        listing = find_history(
            store, args.number, prompt_key=args.prompt, text=args.grep, since=args.since, failed=args.failed
        )
    print(json.dumps(list(listing), ensure_ascii=False, indent=1, default=str) if args.json else listing)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from cozeloop_magic.local.process import require_extra
    from cozeloop_magic.local.weights import ensure

    require_extra()
    print(ensure(_tell, mend=True))
    return 0


def _demo(args: argparse.Namespace) -> int:
    source = _demo_notebook()
    if args.execute:
        return _execute(source)
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigurationError("The demo needs JupyterLab.", hint=f"{to_install('demo')}, or add --execute.")
    copy = Path.cwd() / "demo.ipynb"
    if not copy.exists():
        shutil.copyfile(source, copy)
        _tell(f"Copied the lesson to {copy}.")
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # a container's only user
    page = f"--LabApp.default_url=/lab/tree/{copy.name}"  # the address it prints is the lesson's
    return subprocess.call([sys.executable, "-m", "jupyterlab", *as_root, page, str(copy)])


def _demo_notebook() -> Path:
    """Find the lesson: beside the modules where the package is installed, above them in a checkout."""
    here = Path(__file__).parents[1]
    for place in (here / "demo.ipynb", here.parent / "demo.ipynb"):
        if place.exists():
            return place
    raise ConfigurationError("demo.ipynb is not where it was installed.", hint="Install the package again.")


def _execute(source: Path) -> int:
    """Run the lesson without a browser and print its text outputs."""
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError:
        raise ConfigurationError("Running the demo needs nbclient.", hint=f"{to_install('demo')}.") from None
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel warns about frozen modules
    notebook = nbformat.read(source, as_version=4)
    quiet = ["--log-level=ERROR"]  # else the kernel warns that it talks over TCP
    client = NotebookClient(notebook, kernel_name="python3", timeout=600, extra_arguments=quiet)
    try:
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    client.execute_cell(cell, index)
                    _print_cell(cell.source, cell.outputs)
                else:
                    print(f"{cell.source}\n", flush=True)
    except CellExecutionError as error:
        _tell(str(error))
        return 1
    return 0


def _print_cell(source: str, outputs: Sequence[dict[str, object]]) -> None:
    print("\n".join(f">>> {line}" for line in source.split("\n")))
    for output in outputs:
        data = output.get("data")
        if isinstance(data, dict):
            print(data.get("text/plain", ""))
        elif "evalue" in output:
            print(f"{output['ename']}: {output['evalue']}")
        else:
            print(output.get("text", ""), end="")
    print(flush=True)


def _tell(text: str) -> None:
    shown = printable(text)
    if sys.stderr.isatty():  # which by itself would break a line within a word
        from cozeloop_magic.view.word_wrap import WordWrap

        wrap = WordWrap(lambda: os.get_terminal_size(sys.stderr.fileno()).columns)
        shown = wrap.feed(shown) + wrap.flush()
    print(shown, file=sys.stderr, flush=True)
