"""`ShownPrompt`: a version of a prompt as a value that shows itself, with its messages, variables and settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from cozeloop_magic.authoring.catalog import DRAFT, LABELS, get_version, read_labels
from cozeloop_magic.authoring.plan import prompt_text
from cozeloop_magic.authoring.variables import jinja_tags, normal_tags
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import CommitInfo, PromptBasic, PromptDetail, PromptRecord, moment
from cozeloop_magic.entities.prompt import Message, Role, TemplateType, Tool, VariableDef
from cozeloop_magic.printable import printable
from cozeloop_magic.view import request
from cozeloop_magic.view.listing import fenced
from cozeloop_magic.view.render import ROOT, style, without_blank_lines

__all__ = ["ShownPrompt", "show_prompt"]

_NAME = re.compile(r"[^\W\d]\w*")
_UNTOLD = ("model_id", "model_name")  # told first


def show_prompt(client: Client, prompt_key: str, version: str = "", label: str = "") -> ShownPrompt:
    """Get a version, by number, by label, or else the latest, with the labels of its prompt."""
    record = get_version(client, prompt_key, version, label)
    labels = read_labels(client, record, label)
    return ShownPrompt(record, labels, "" if record.labels is not None else _some_labels(client, record, labels))


def _some_labels(client: Client, record: PromptRecord, labels: Mapping[str, str]) -> str:
    """Say that there may be labels which are not shown."""
    asked = list(dict.fromkeys((*LABELS, *labels)))
    return (
        f"This Loop's API lists no labels: {', '.join(asked[:-1])} and {asked[-1]} were asked for, and others stand "
        f"on the prompt's page, {client.prompts.page_address(record.id or '')}."
    )


class ShownPrompt:
    """One version of a prompt.

    Attributes
    ----------
    record : PromptRecord
        As the server tells it.
    labels : Mapping[str, str]
        The version that each label of the prompt marks.
    note : str
        What else is to be known of them.
    text : str
        The version as the body of a ``%%loop_define`` cell.
    """

    def __init__(self, record: PromptRecord, labels: Mapping[str, str], note: str = "") -> None:
        self.note = note
        self.record = record
        self.labels = labels
        self.text = prompt_text(record)
        commit = record.prompt_commit
        self._info = (commit and commit.commit_info) or CommitInfo("")
        self._detail = (commit and commit.detail) or PromptDetail()
        self._basic = record.prompt_basic or PromptBasic()

    @property
    def variables(self) -> tuple[VariableDef, ...]:
        """What the version declares."""
        template = self._detail.prompt_template
        return tuple((template and template.variable_defs) or ())

    @property
    def title(self) -> str:
        """The key and the version, and the labels that mark it."""
        marked = ", ".join(label for label, version in self.labels.items() if version == self._info.version)
        return f"{self.record.prompt_key} @ {self._info.version}" + (f" ({marked})" if marked else "")

    def __repr__(self) -> str:
        return f"<prompt {self.title}>"

    def __str__(self) -> str:
        return printable(
            "\n\n".join(filter(None, (self.title, self._about(), self._others(), self.note, self.text.rstrip("\n"))))
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {
            "text/html": without_blank_lines(self._html()),
            "text/markdown": fenced(str(self)),
            "text/plain": str(self),
        }

    def _about(self) -> str:
        """Say in a line what it is for, who committed it, when and why."""
        at = moment(self._info.committed_at)
        said = "saved" if self._info.version == DRAFT else "committed"
        when = f"{said} {at.astimezone():%Y-%m-%d %H:%M}" if at else ""
        by = f"by {self._info.committed_by}" if self._info.committed_by else ""
        who = " ".join(filter(None, (when, by)))
        name = self._basic.display_name if self._basic.display_name != self.record.prompt_key else ""
        return " · ".join(filter(None, (name, self._basic.description, who, self._info.description)))

    def _others(self) -> str:
        """Say which other versions labels mark."""
        others = {label: version for label, version in self.labels.items() if version != self._info.version}
        return ", ".join(f"{label}: {version}" for label, version in others.items())

    def _html(self) -> str:
        kinds = {each.key: each for each in self.variables}
        template = self._detail.prompt_template
        kind = template.template_type if template else TemplateType.NORMAL
        jinja = kind == TemplateType.JINJA2
        messages = (_message(each, kinds, jinja) for each in (template and template.messages) or ())
        model = " · ".join(_settings(self._detail.model_config or {}))
        rows = [
            ("template", str(kind) if kind != TemplateType.NORMAL else ""),
            ("model", model),
            ("tools", ", ".join(map(_tool, self._detail.tools or ()))),
            ("labels", self._others()),
        ]
        facts = "".join(f"<dt>{name}</dt><dd>{_escape(value)}</dd>" for name, value in rows if value)
        about = f'<p class="cozeloop-note">{_escape(self._about())}</p>'
        note = f'<p class="cozeloop-note">{_escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="{ROOT} cozeloop-prompt"><style>{style("prompt.css")}</style>'
            f'<p class="cozeloop-title">{_escape(self.title)}</p>{about}'
            f"{''.join(messages)}{_variables(self.variables)}<dl>{facts}</dl>{note}</div>"
        )


def _message(message: Message, kinds: Mapping[str, VariableDef], jinja: bool) -> str:
    role, said = str(message.role), request.content(message)
    if message.role == Role.PLACEHOLDER:
        text = _variable(message.content or "", kinds.get(message.content or ""))
    elif message.role == Role.TOOL:
        text = _escape(said)
    else:
        text = "".join(_marked(said, kinds, jinja))
    return (
        f'<p class="cozeloop-role">{_escape(role)}</p><pre class="cozeloop-text">{text}</pre>'
        if said
        else f'<p class="cozeloop-role">{_escape(role)}</p>'
    )


def _marked(text: str, kinds: Mapping[str, VariableDef], jinja: bool) -> Iterator[str]:
    """Yield a template's text with its tags marked, each as what it stands for."""
    after = 0
    for start, end in jinja_tags(text) if jinja else normal_tags(text):
        yield _escape(text[after:start])
        after, tag, inner = end, text[start:end], text[start + 2 : end - 2]
        name = _NAME.search(inner) if jinja else None
        declared = kinds.get(name[0] if name else inner)
        if declared is not None or jinja:
            yield _variable(tag, declared)
        else:
            title = "stays as it is: no variable is declared so"
            yield f'<span class="cozeloop-strange" title="{title}">{_escape(tag)}</span>'
    yield _escape(text[after:])


def _variable(shown: str, declared: VariableDef | None) -> str:
    if declared is None:
        return f'<span class="cozeloop-tag">{_escape(shown)}</span>'
    kind = _escape(str(declared.type))
    title = " · ".join(filter(None, (kind, _escape(declared.desc or ""))))
    typed = "" if kind == "string" else f' data-type="{kind}"'
    return f'<span class="cozeloop-variable" title="{title}"{typed}>{_escape(shown)}</span>'


def _variables(variables: Iterable[VariableDef]) -> str:
    rows = "".join(
        f"<tr><td><code>{_escape(each.key)}</code></td><td>{_escape(str(each.type))}</td>"
        f"<td>{_escape(each.desc or '')}</td></tr>"
        for each in variables
    )
    head = "<thead><tr><th>variable</th><th>type</th><th>what it is</th></tr></thead>"
    return f"<table>{head}<tbody>{rows}</tbody></table>" if rows else ""


def _settings(model: Mapping[str, Any]) -> Iterator[str]:
    """Yield a model's settings, the model first; what is not set is left out."""
    named = [str(model[name]) for name in ("model_name", "model_id") if model.get(name)]
    yield from named[:1] if "model_name" in model else [f"model {each}" for each in named]
    for name, value in model.items():
        if name not in _UNTOLD and value not in (None, "", [], {}):
            yield f"{name.replace('_', ' ')} {str(value).lower() if isinstance(value, bool) else value}"


def _tool(tool: Tool) -> str:
    function = tool.function
    if function is None:
        return str(tool.type)
    return function.name + (f" ({function.description})" if function.description else "")


def _escape(text: str) -> str:
    return escape(printable(text))
