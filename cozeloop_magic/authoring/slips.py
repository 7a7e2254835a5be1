"""What a server would take without a word, and what is probably not meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from cozeloop_magic.authoring.definition import Definition
from cozeloop_magic.authoring.variables import blank_tags, infer_variables, texts_of
from cozeloop_magic.entities.prompt import TemplateType

__all__ = ["find_slips"]

_STRANGE = re.compile(r"\{\{\s*[^\W\d]\w*[^\w\s{}\"':][^{}\"']*\}\}")  # a name with more, and no JSON
_LOGIC = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_REFUSED = re.compile(r"\{%-?\s*(include|extends|import|from)\b")


def find_slips(definition: Definition) -> list[str]:
    """Return a sentence for each slip: a variable without a tag, a tag that stays as it is, logic in the wrong place.

    A variable that is declared as ``null`` is one whose tag is meant to stay as it is.
    """
    template = definition.detail["prompt_template"]
    messages, kind = template.get("messages") or [], template.get("template_type")
    texts = [text for message in messages for text in texts_of(message)]
    slips = list(_unused(template, list(infer_variables(messages, kind))))
    if kind == TemplateType.JINJA2:
        refused = dict.fromkeys(found[1] for text in texts for found in _REFUSED.finditer(text))
        return slips + [f"no Loop server renders a template with {{% {word} %}}" for word in refused]
    for tag in blank_tags(messages):
        slips.append(f"{tag} stays as it is: a normal template takes {{{{{tag[2:-2].strip()}}}}} without blanks")
    for tag in dict.fromkeys(found[0] for text in texts for found in _STRANGE.finditer(text)):
        slips.append(f"{tag} stays as it is: a tag of a normal template holds a name and nothing else")
    logic = next((found[0] for text in texts for found in _LOGIC.finditer(text)), None)
    return slips + ([f"{logic} stays as it is: logic needs `template: jinja2`"] if logic else [])


def _unused(template: dict[str, Any], used: list[str]) -> Iterator[str]:
    declared = [each["key"] for each in template.get("variable_defs") or []]
    undeclared = [name for name in used if name not in declared]
    for key in declared:
        if key not in used:
            close = difflib.get_close_matches(key, undeclared or used, n=1)
            yield f"no tag uses the variable {key}" + (f"; did you mean {close[0]}?" if close else "")
