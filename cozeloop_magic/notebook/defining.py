"""``%%loop_define``: a cell that is a prompt."""

from __future__ import annotations

from argparse import Namespace
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from IPython.display import display

from cozeloop_magic.authoring.define import Defined, commit, save
from cozeloop_magic.authoring.plan import Plan, plan
from cozeloop_magic.cell.bind import option_to_text
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, Prompt
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.prompting import run_request
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.notebook.values import read_values
from cozeloop_magic.run.state import RunState
from cozeloop_magic.template.check import check_variables
from cozeloop_magic.template.render import render
from cozeloop_magic.view.defined import defined_changes, planned_changes
from cozeloop_magic.view.messages import show_messages

__all__ = ["run_definition"]

_DRAFT = "$Draft"


def run_definition(
    session: Session, args: Namespace, cell: str, config: Mapping[str, str], local_names: dict[str, Any]
) -> None:
    """Do what ``%%loop_define`` says, and show what changed.

    Raises
    ------
    LoopError
        For anything that went wrong.
    """
    names = ChainMap(local_names, session.namespace)
    for option in ("prompt_key", "version", "bump", "message", "base"):
        setattr(args, option, option_to_text(getattr(args, option) or "", names, option) or "")
    if args.draft and (args.version or args.bump):
        raise InvalidRequest("A draft has no version.", hint="Leave out --draft, or --version and --bump.")
    client = session.connected(config)
    planned = plan(
        client,
        args.prompt_key,
        cell,
        lambda code: eval(compile(code, "<loop_define cell>", "eval"), session.namespace),
    )
    if args.try_:
        _try(session, client, planned, args, names)
        return
    if args.var:
        raise InvalidRequest("Values are given to try a prompt.", hint="Add --try, or leave out --var.")
    if args.draft:
        save(client, planned, session.drafts, base=args.base, replace_draft=args.replace_draft)
        defined = Defined(args.prompt_key, "", True, planned)
    else:
        defined = commit(
            client,
            planned,
            session.drafts,
            version=args.version,
            bump=args.bump,
            message=args.message,
            base=args.base,
            as_is=args.as_is,
            replace_draft=args.replace_draft,
        )
    display(defined_changes(defined))  # type: ignore[no-untyped-call,unused-ignore]
    session.bind(defined, "_loop", args.out)


def _try(session: Session, client: Client, planned: Plan, args: Namespace, names: Mapping[str, Any]) -> None:
    """Run it as it is written: through the draft where the server can, else what a model would be given is shown."""
    values = read_values(session, "", args.var, names)
    prompt = _prompt(planned)
    check_variables(prompt, values.variables)
    if not client.connect().local:
        given = encode_all(values.variables)
        rendered = render(prompt, given, ())
        remarks = (*values.notes, *rendered.remarks)
        show_messages(prompt, rendered.messages, remarks, plain=not session.in_kernel, values=given)
        return
    save(client, planned, session.drafts, base=args.base, replace_draft=args.replace_draft)
    display(planned_changes(planned, f"{planned.prompt_key} is saved as a draft, and no version yet"))  # type: ignore[no-untyped-call,unused-ignore]
    request = ExecuteRequest(planned.prompt_key, _DRAFT, variable_vals=values.variables)
    run_request(session, client, RunState(request, notes=values.notes), args)


def _prompt(planned: Plan) -> Prompt:
    """Make the prompt that the server will show."""
    config = {name: value for name, value in (planned.detail.get("model_config") or {}).items() if name != "model_id"}
    return Prompt.from_json(
        {**planned.detail, "prompt_key": planned.prompt_key, "version": "draft", "llm_config": config or None}
    )
