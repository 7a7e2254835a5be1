"""What is compared: a version of a prompt, or what a label marks, with settings of the model changed perhaps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import Prompt
from cozeloop_magic.errors import (
    AuthenticationFailed,
    InvalidRequest,
    LabelNotFound,
    LoopError,
    PromptNotFound,
    RemoteError,
    VersionNotFound,
)
from cozeloop_magic.printable import printable
from cozeloop_magic.store.key import definition_digest, digest_of
from cozeloop_magic.transport.call import seconds_error

__all__ = ["ResolvedVariant", "Variant", "resolve_variants"]

_WRITTEN = re.compile(
    r"(?P<key>[^\s@:=]+)(?:@(?P<version>[^\s@:=]+)|:(?P<label>[^\s@:=]+))?(?P<overrides>(?:\s+\S+)*)"
)
_OVERRIDE = re.compile(r"([^\W\d]\w*)=(.+)")
_HOW = "Write KEY, KEY@VERSION or KEY:LABEL, and settings of the model after it: greet@1.0.0 temperature=0.7"
_NOT_THERE = (PromptNotFound, VersionNotFound, LabelNotFound)


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant as it is asked for.

    Attributes
    ----------
    prompt_key : str
        The prompt.
    version, label : str or None
        Which version; with neither, the latest.
    overrides : Mapping[str, Any]
        Settings of the model that replace those of the version: ``{"temperature": 0.7}``.
    """

    prompt_key: str
    version: str | None = None
    label: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``KEY``, ``KEY@VERSION`` or ``KEY:LABEL``, each with ``NAME=VALUE`` settings after it.

        Raises
        ------
        InvalidRequest
            If it is none of them.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise InvalidRequest(printable(f"{text!r} is no variant of a prompt."), hint=_HOW)
        overrides: dict[str, Any] = {}
        for part in found["overrides"].split():
            name, value = _override(part)
            if name in overrides:
                raise InvalidRequest(f"{name} is given twice in {text!r}.")
            overrides[name] = value
        return cls(found["key"], found["version"], found["label"], overrides)

    def __str__(self) -> str:
        which = f"@{self.version}" if self.version else f":{self.label}" if self.label else ""
        return f"{self.prompt_key}{which}{format_overrides(self.overrides)}"


def _override(text: str) -> tuple[str, Any]:
    found = _OVERRIDE.fullmatch(text)
    if found is None:
        raise InvalidRequest(printable(f"{text!r} is no setting of a model."), hint=_HOW)
    try:
        return found[1], json.loads(found[2])
    except ValueError:
        return found[1], found[2]


def format_overrides(overrides: Mapping[str, Any]) -> str:
    """Give settings as they are written after a variant."""
    return "".join(f" {name}={_shown(value)}" for name, value in overrides.items())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


@dataclass(frozen=True, slots=True)
class ResolvedVariant:
    """A variant whose version is known.

    Attributes
    ----------
    name : str
        What a column is headed by; no two of a comparison are the same.
    asked : Variant
        As it was asked for.
    version : str
        The version that runs.
    prompt : Prompt or None
        The definition, where the server gives it.
    model_config : Mapping or None
        In place of the version's own.
    definition : str
        The digest of the definition.
    note : str
        Why its variables cannot be checked; empty where they can.
    """

    name: str
    asked: Variant
    version: str
    prompt: Prompt | None = None
    model_config: Mapping[str, Any] | None = None
    definition: str = ""
    note: str = ""

    @property
    def prompt_key(self) -> str:
        """The prompt."""
        return self.asked.prompt_key

    @property
    def declared(self) -> frozenset[str] | None:
        """The variables it declares; None where they are not known."""
        if self.prompt is None or self.prompt.prompt_template is None:
            return None
        return frozenset(definition.key for definition in self.prompt.variable_defs)

    @property
    def identity(self) -> str:
        """The digest of what it runs, whatever it was asked for by."""
        return digest_of([self.prompt_key, self.version, dict(self.asked.overrides), self.definition])


def resolve_variants(
    client: Client, variants: Iterable[Variant | str], *, timeout: float | None = None
) -> tuple[tuple[ResolvedVariant, ...], tuple[str, ...]]:
    """Find the version of each, once, and give notes on those that turn out to be the same.

    Raises
    ------
    InvalidRequest
        If a variant cannot be read, or there is none.
    LoopError
        If one is not there; all that are not are named.
    """
    if timeout is not None and (problem := seconds_error("timeout", timeout)):
        raise InvalidRequest(problem)  # before each of many calls would say so
    asked = [Variant.parse(each) if isinstance(each, str) else each for each in _listed(variants)]
    found: list[ResolvedVariant] = []
    missing: list[LoopError] = []
    for variant in asked:
        try:
            found.append(_resolved(client, variant, timeout))
        except _NOT_THERE as error:
            missing.append(error)
    if missing:
        raise _all_of(missing)
    return _different(found)


def _listed(variants: Iterable[Variant | str]) -> Sequence[Variant | str]:
    listed = [variants] if isinstance(variants, (str, Variant)) else list(variants)
    if not listed:
        raise InvalidRequest("There is nothing to compare.", hint=_HOW)
    for each in listed:
        if not isinstance(each, (str, Variant)):
            raise InvalidRequest(f"A variant is of type {type(each).__name__}.", hint=_HOW)
        if isinstance(each, Variant) and each.version and each.label:
            raise InvalidRequest(
                f"Both a version ({each.version}) and a label ({each.label}) are named.", hint="Name one of them."
            )
    return listed


def _all_of(missing: list[LoopError]) -> LoopError:
    first, *others = missing
    if others:
        first.message = " ".join(dict.fromkeys(error.message for error in missing))
    return first


def _resolved(client: Client, variant: Variant, timeout: float | None) -> ResolvedVariant:
    prompt, note = None, ""
    try:
        prompt = client.get_prompt(variant.prompt_key, variant.version or "", variant.label or "", timeout=timeout)
    except (AuthenticationFailed, *_NOT_THERE):
        raise
    except RemoteError as error:
        if not variant.version:
            raise  # which version would run is not known
        note = error.message
    version = (prompt.version if prompt else "") or variant.version or ""
    config = _model_config(client, variant, version) if variant.overrides else None
    return ResolvedVariant(str(variant), variant, version, prompt, config, definition_digest(prompt), note)


def _model_config(client: Client, variant: Variant, version: str) -> Mapping[str, Any]:
    config: Mapping[str, Any] = client.model_config_with(variant.prompt_key, version, variant.overrides)
    return config


def _different(found: list[ResolvedVariant]) -> tuple[tuple[ResolvedVariant, ...], tuple[str, ...]]:
    """Take together those that are the same, and name the others as shortly as they can be told apart."""
    first: dict[str, ResolvedVariant] = {}
    notes = []
    for each in found:
        same = first.setdefault(each.identity, each)
        if same is not each:
            notes.append(f"{each.asked} is {same.asked}: it runs once.")
    different = list(first.values())
    one_key = len({each.prompt_key for each in different}) == 1
    names = [_name(each, one_key) for each in different]
    if len(set(names)) < len(names):
        names = [_name(each, one_key=False) for each in different]
    return tuple(replace(each, name=name) for each, name in zip(different, names, strict=True)), tuple(notes)


def _name(variant: ResolvedVariant, one_key: bool) -> str:
    label = f" ({variant.asked.label})" if variant.asked.label else ""
    which = variant.version + label + format_overrides(variant.asked.overrides)
    return which if one_key else f"{variant.prompt_key}@{which}"
