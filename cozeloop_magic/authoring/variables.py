"""Which variables a template uses, and of which types they must be, as far as its text tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cozeloop_magic.entities.prompt import ContentType, Role, TemplateType, VariableType
from cozeloop_magic.errors import CellError, ConfigurationError, to_install

if TYPE_CHECKING:
    from jinja2 import nodes

__all__ = ["blank_tags", "infer_variables", "jinja_tags", "normal_tags", "texts_of"]

_TAG = re.compile(r"\{\{([^{}]*)\}\}")
_NAME = re.compile(r"[^\W\d]\w*")

_OPEN = re.compile(r"\{[{%#]")
_CLOSES = {"{{": "}}", "{%": "%}", "{#": "#}"}

Message = Mapping[str, Any]


def infer_variables(messages: Sequence[Message], template_type: str) -> dict[str, str]:
    """Return the type of each variable that messages use, in the order in which they are met.

    In a ``normal`` template a tag is text. In ``jinja2``, what has fields is an object, and what is looped over an
    array; all else is taken for text. Placeholders and multi-part variables are told by where they stand.

    Raises
    ------
    CellError
        If a ``jinja2`` template cannot be parsed.
    """
    found: dict[str, str] = {}
    for message in messages:
        if message.get("role") == Role.PLACEHOLDER and message.get("content"):
            found[message["content"]] = VariableType.PLACEHOLDER.value
            continue
        for part in message.get("parts") or ():
            if part.get("type") == ContentType.MULTI_PART_VARIABLE and part.get("text"):
                found[part["text"]] = VariableType.MULTI_PART.value
        for text in texts_of(message):
            for name, kind in _in_text(text, template_type):
                if found.get(name, VariableType.STRING) == VariableType.STRING:
                    found[name] = kind
    return found


def blank_tags(messages: Sequence[Message]) -> list[str]:
    """Return the tags with blanks inside, such as ``{{ name }}``: a ``normal`` template leaves them as they stand."""
    tags = (tag for message in messages for text in texts_of(message) for tag in _TAG.finditer(text))
    return list(dict.fromkeys(tag[0] for tag in tags if tag[1] != tag[1].strip() and _NAME.fullmatch(tag[1].strip())))


def normal_tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the tags of a ``normal`` template begin and end."""
    return (tag.span() for tag in _TAG.finditer(text))


def jinja_tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield where tags, blocks and comments of a ``jinja2`` template begin and end, in one pass over the text."""
    after, without = 0, set[str]()
    for found in _OPEN.finditer(text):
        close = _CLOSES[found[0]]
        if found.start() < after or close in without:
            continue
        end = text.find(close, found.end())
        if end < 0:
            without.add(close)  # nor is there one further on
            continue
        after = end + len(close)
        yield found.start(), after


def texts_of(message: Message) -> Iterator[str]:
    """Yield the texts of a message that a server renders."""
    if message.get("role") in (Role.TOOL, Role.PLACEHOLDER):
        return
    if message.get("content"):
        yield message["content"]
    for part in message.get("parts") or ():
        if part.get("type") == ContentType.TEXT and part.get("text"):
            yield part["text"]


def _in_text(text: str, template_type: str) -> list[tuple[str, str]]:
    if template_type == TemplateType.JINJA2:
        return list(_in_jinja(text).items())
    if template_type != TemplateType.NORMAL:  # whose grammar only the platform knows
        return []
    return [(tag[1], VariableType.STRING.value) for tag in _TAG.finditer(text) if _NAME.fullmatch(tag[1])]


class _Any(dict[str, Any]):
    """Knows every name: a platform may have filters that Jinja2 has not, and which there are it tells itself."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return str

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def _in_jinja(text: str) -> dict[str, str]:
    try:
        from jinja2 import Environment, TemplateSyntaxError, meta, nodes
    except ImportError:
        raise ConfigurationError("Reading a jinja2 template needs Jinja2.", hint=f"{to_install('local')}.") from None
    try:
        environment = Environment(autoescape=False)
        tree = environment.parse(text)  # parsed only, never rendered
        environment.filters = _Any(environment.filters)
        environment.tests = _Any(environment.tests)
        free = meta.find_undeclared_variables(tree)
    except TemplateSyntaxError as error:
        raise CellError(
            f"the jinja2 template cannot be parsed: {(error.message or '').rstrip('.')}.",
            line=1,
            source=text.split("\n")[error.lineno - 1],
        ) from None
    names = [name.name for name in tree.find_all(nodes.Name) if name.name in free]
    return {name: _type_in(tree, name) for name in dict.fromkeys(names)}


def _type_in(tree: nodes.Template, name: str) -> str:
    from jinja2 import nodes

    for loop in tree.find_all(nodes.For):
        if isinstance(loop.iter, nodes.Name) and loop.iter.name == name:
            item = loop.target.name if isinstance(loop.target, nodes.Name) else ""
            fields = _has_fields(loop, item)
            return str(VariableType.ARRAY_OBJECT if fields else VariableType.ARRAY_STRING)
    return str(VariableType.OBJECT if _has_fields(tree, name) else VariableType.STRING)


def _has_fields(node: nodes.Node, name: str) -> bool:
    """Whether a name is followed by ``.field`` or ``["field"]`` anywhere below a node."""
    from jinja2 import nodes

    accesses: list[nodes.Getattr | nodes.Getitem] = [*node.find_all(nodes.Getattr), *node.find_all(nodes.Getitem)]
    return any(isinstance(access.node, nodes.Name) and access.node.name == name for access in accesses)
