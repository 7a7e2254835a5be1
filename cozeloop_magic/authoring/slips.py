"""What a server would take without a word, and what is probably not meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from cozeloop_magic.authoring.definition import Definition
from cozeloop_magic.authoring.variables import blank_tags, infer_variables, jinja_tags, normal_tags, texts_of
from cozeloop_magic.client.model_config import SETTINGS
from cozeloop_magic.entities.prompt import TemplateType

__all__ = ["find_slips"]

_KNOWN = ("model_id", "model_name", "thinking", "extra", "param_config_values")
_FIELDS = {"key", "type", "desc", "type_tags"}
_STRANGE = re.compile(r"\{\{\s*[^\W\d]\w*[^\w\s{}\"':][^{}\"']*\}\}")  # a name with more, and no JSON
_REFUSED = re.compile(r"\{%-?\s*(include|extends|import|from)\b")


def find_slips(definition: Definition) -> list[str]:
    """Return a sentence for each slip: a variable without a tag, a tag that stays as it is, logic in the wrong place.

    A variable that is declared as ``null`` is one whose tag is meant to stay as it is.
    """
    template = definition.detail["prompt_template"]
    messages, kind = template.get("messages") or [], template.get("template_type")
    texts = [text for message in messages for text in texts_of(message)]
    slips = [*_unknown(definition.detail)]
    if kind not in (TemplateType.NORMAL, TemplateType.JINJA2):  # whose grammar only the platform knows
        return slips
    used = list(infer_variables(messages, kind))
    if kind == TemplateType.JINJA2:
        slips += _unused(template, used)
        refused = dict.fromkeys(found[1] for text in texts for found in _REFUSED.finditer(text))
        return slips + [f"no Loop server renders a template with {{% {word} %}}" for word in refused]
    tags = {text[start + 2 : end - 2] for text in texts for start, end in normal_tags(text)}
    declared = {each["key"] for each in template.get("variable_defs") or []}
    slips += _unused(template, [*used, *(tags & declared)])
    for tag in blank_tags(messages):
        slips.append(f"{tag} stays as it is: a normal template takes {{{{{tag[2:-2].strip()}}}}} without blanks")
    for tag in dict.fromkeys(found[0] for text in texts for found in _STRANGE.finditer(text)):
        if tag[2:-2] not in declared:
            slips.append(f"{tag} stays as it is: a tag of a normal template holds a name and nothing else")
    pieces = (text[start:end] for text in texts for start, end in jinja_tags(text))
    logic = next((piece for piece in pieces if not piece.startswith("{{")), None)
    return slips + ([f"{logic} stays as it is: logic needs `template: jinja2`"] if logic else [])


def _unknown(detail: dict[str, Any]) -> Iterator[str]:
    """Yield what looks like the name of a setting or of a variable's field, and is none."""
    for name in detail.get("model_config") or {}:
        close = difflib.get_close_matches(name, SETTINGS, n=1)
        if close and name not in (*SETTINGS, *_KNOWN):
            yield f"no model has the setting {name}; did you mean {close[0]}?"
    for each in detail["prompt_template"].get("variable_defs") or []:
        for name in each.keys() - _FIELDS:
            close = difflib.get_close_matches(name, ("type", "description"), n=1)
            if close:
                yield f"the variable {each['key']} has no field {name}; did you mean {close[0]}?"


def _unused(template: dict[str, Any], used: list[str]) -> Iterator[str]:
    declared = [each["key"] for each in template.get("variable_defs") or []]
    undeclared = [name for name in used if name not in declared]
    for key in declared:
        if key not in used:
            close = difflib.get_close_matches(key, undeclared or used, n=1)
            yield f"no tag uses the variable {key}" + (f"; did you mean {close[0]}?" if close else "")
