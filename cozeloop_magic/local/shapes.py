"""Checking what a prompt is made of, before it is kept or used: a mistake is told where it is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cozeloop_magic.entities.prompt import ContentType, Role, TemplateType, ToolChoiceType, VariableType
from cozeloop_magic.errors import remote_error
from cozeloop_magic.local.calls import invalid
from cozeloop_magic.template.render import UNSUPPORTED_TYPE

__all__ = ["check_detail", "check_draft", "check_model_config"]

LONGEST_DRAFT = 1024 * 1024  # no text that is rendered may be longer
EXAMPLE = {
    "detail": {
        "prompt_template": {
            "template_type": "normal",
            "messages": [{"role": "user", "content": "Tell me about {{topic}}."}],
            "variable_defs": [{"key": "topic", "type": "string"}],
        }
    },
    "draft_info": {},
}
ELSEWHERE = ("go_template", "custom_template_m")
"""The template types that a platform may know, and the embedded Loop does not."""
RANGES: Mapping[str, tuple[type[int | float], float, float]] = {
    "temperature": (float, 0, 2),
    "top_p": (float, 0, 1),
    "frequency_penalty": (float, -2, 2),
    "presence_penalty": (float, -2, 2),
    "max_tokens": (int, 0, 1_000_000),
    "top_k": (int, 0, 1_000_000),
}


def check_draft(draft: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Give a draft's detail and its info, or refuse it."""
    detail, info = draft.get("detail"), draft.get("draft_info")
    if not (isinstance(detail, dict) and isinstance(info, dict) and isinstance(detail.get("prompt_template"), dict)):
        raise invalid(
            "prompt_draft needs its detail with a prompt_template, and its draft_info, at least: "
            f"{json.dumps(EXAMPLE)}."
        )
    if len(json.dumps(detail)) > LONGEST_DRAFT:
        raise invalid(f"prompt_draft is longer than {LONGEST_DRAFT >> 20} MB.")
    check_detail(detail, "prompt_draft.detail")
    return detail, info


def check_detail(detail: Mapping[str, Any], where: str) -> None:
    """Refuse a ``PromptDetail`` that could not be run."""
    template, within = detail["prompt_template"], f"{where}.prompt_template"
    if template.get("template_type") in ELSEWHERE:
        why = f"Templates of the type {template['template_type']} are not supported here; write normal or jinja2."
        raise remote_error(why, code=UNSUPPORTED_TYPE)
    _one_of(template, "template_type", TemplateType, within)
    for place, message in _objects(template, "messages", within):
        _one_of(message, "role", Role, place, needed=True)
        _text(message, "content", place)
        for inner, part in _objects(message, "parts", place):
            _one_of(part, "type", ContentType, inner, needed=True)
            for name in ("text", "image_url", "video_url", "base64_data"):
                _text(part, name, inner)
    _check_variables(template, within)
    for place, tool in _objects(detail, "tools", where):
        function = _object(tool, "function", place)
        _text(function, "name", f"{place}.function", needed=True)
        _text(function, "parameters", f"{place}.function")
    choice = _object(detail, "tool_call_config", where)
    _one_of(choice, "tool_choice", ToolChoiceType, f"{where}.tool_call_config")
    specification = _object(choice, "tool_choice_specification", f"{where}.tool_call_config")
    _text(specification, "name", f"{where}.tool_call_config.tool_choice_specification")
    check_model_config(_object(detail, "model_config", where), f"{where}.model_config")


def _check_variables(template: Mapping[str, Any], where: str) -> None:
    seen: set[str] = set()
    for place, variable in _objects(template, "variable_defs", where):
        _text(variable, "key", place, needed=True)
        _text(variable, "desc", place)
        _one_of(variable, "type", VariableType, place)
        if variable["key"] in seen:
            raise invalid(f"{where}.variable_defs declares {variable['key']} twice.")
        seen.add(variable["key"])


def check_model_config(config: Mapping[str, Any], where: str) -> None:
    """Refuse a model configuration with a value that no model can take."""
    for name, (kind, least, most) in RANGES.items():
        value = config.get(name)
        if value is None:
            continue
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not least <= value <= most or (kind is int and value != int(value)):
            what = "whole number" if kind is int else "number"
            raise invalid(f"{where}.{name} must be a {what} from {least} to {most}.")
    if not isinstance(config.get("json_mode"), (bool, type(None))):
        raise invalid(f"{where}.json_mode must be true or false.")


def _objects(holder: Mapping[str, Any], name: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Give the objects of a list, each with its place; none if the list is missing or null."""
    items = holder.get(name)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid(f"{where}.{name} must be a list of objects.")
    return [(f"{where}.{name}[{number}]", item) for number, item in enumerate(items)]


def _object(holder: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(f"{where}.{name} must be an object.")
    return value or {}


def _text(holder: Mapping[str, Any], name: str, where: str, *, needed: bool = False) -> None:
    value = holder.get(name)
    if not isinstance(value, (str, type(None))) or (needed and not value):
        raise invalid(f"{where}.{name} must be text{', and not empty' if needed else ''}.")


def _one_of(holder: Mapping[str, Any], name: str, kind: Iterable[str], where: str, *, needed: bool = False) -> None:
    value = holder.get(name)
    if (needed or value is not None) and value not in [str(member) for member in kind]:
        raise invalid(f"{where}.{name} must be one of: {', '.join(map(str, kind))}.")
