"""``%%loop_define``: a cell that is a prompt."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from html import escape

from IPython.display import display

from cozeloop_magic.authoring.define import Defined, define
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.printable import printable
from cozeloop_magic.view.render import ROOT, style

__all__ = ["run_definition"]

_MARKS = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
_SIGNS = {"same": "", "removed": "[-", "added": "[+"}


def run_definition(session: Session, args: Namespace, cell: str, config: Mapping[str, str]) -> None:
    """Do what ``%%loop_define`` says, and show what changed.

    Raises
    ------
    LoopError
        For anything that went wrong.
    """
    defined = define(
        session.connected(config),
        args.prompt_key,
        cell,
        evaluate=lambda code: eval(compile(code, "<loop_define cell>", "eval"), session.namespace),
        version=args.version,
        bump=args.bump,
        message=args.message.strip("\"'"),
        draft=args.draft,
    )
    html, text = _html(defined), _text(defined)
    display({"text/html": html, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call,unused-ignore]
    session.bind(defined, "_loop", args.out)


def _outcome(defined: Defined) -> str:
    if not defined.changed:
        return f"{defined.prompt_key} @ {defined.base_version}: nothing changed, and nothing was saved"
    saved = f"@ {defined.version} is committed" if defined.version else "is saved as a draft"
    against = f", against {defined.base_version}" if defined.base_version else ""
    return f"{defined.prompt_key} {saved}{against}"


def _html(defined: Defined) -> str:
    words = "".join(_MARKS[kind].format(escape(printable(part), quote=False)) for kind, part in defined.changes)
    notes = "".join(f'<p class="cozeloop-note">{escape(printable(each))}</p>' for each in defined.warnings)
    css, outcome = style("tables.css"), escape(printable(_outcome(defined)))
    return (
        f'<div class="{ROOT} cozeloop-comparison"><style>{css}</style><p class="cozeloop-verdict">{outcome}</p>'
        f'{notes}<pre class="cozeloop-said">{words}</pre></div>'
    )


def _text(defined: Defined) -> str:
    words = "".join(
        f"{_SIGNS[kind]}{part}{_SIGNS[kind][::-1].replace('[', ']')}" if kind != "same" else part
        for kind, part in defined.changes
    )
    return printable("\n\n".join([_outcome(defined), *defined.warnings, words]))
