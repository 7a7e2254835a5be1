"""A JSON answer as columns: its fields by name, and whether they fit a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import InvalidRequest, to_install

__all__ = ["AnswerFields", "refuse_constant"]

_FENCED = re.compile(r"\s*```[\w-]*\n(.*)\n```\s*", re.DOTALL)
_SHAPES = "Give a dict, a file or text of JSON, or a class with model_json_schema(), as those of pydantic are."


@dataclass(frozen=True)
class AnswerFields:
    """Reads the fields of an answer.

    Attributes
    ----------
    names : tuple of str
        The fields that the schema names, which are columns whatever comes.
    """

    names: tuple[str, ...] = ()
    _validator: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, schema: Any) -> AnswerFields:
        """Make what checks answers against a schema.

        Parameters
        ----------
        schema : mapping, str, Path or class
            A JSON schema; its text or the path of its file; or a class that has one.

        Raises
        ------
        InvalidRequest
            If it is none, or jsonschema is missing.
        """
        try:
            import jsonschema
            from referencing import Registry
        except ImportError:
            raise InvalidRequest("Checking a schema needs jsonschema.", hint=f"{to_install('batch')}.") from None
        try:
            wanted = _read(schema)
            kind = jsonschema.validators.validator_for(wanted, jsonschema.Draft202012Validator)
            kind.check_schema(wanted)
        except OSError as error:
            raise InvalidRequest(f"There is no schema {schema} ({error.strerror}).", hint=_SHAPES) from None
        except (ValueError, TypeError, jsonschema.SchemaError) as error:
            said = str(error).partition("\n")[0]
            raise InvalidRequest(f"The schema cannot be used: {said}.", hint=_SHAPES) from None
        names = wanted.get("properties", {})
        return cls(tuple(names), kind(wanted, registry=Registry()))  # which looks nothing up in the network

    def read(self, text: str) -> tuple[dict[str, Any], str]:
        """Give the fields of an answer, and what is wrong with it: then there are none, and its text says all.

        A code fence around all of it is left out.
        """
        none = dict.fromkeys(self.names)
        try:
            fenced = _FENCED.fullmatch(text)
            value = json.loads(fenced[1] if fenced else text, parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            return none, f"the answer is no JSON: {error}"
        if self._validator is not None and (problem := self._problem(value)):
            return none, f"the answer does not fit the schema: {problem}"
        if not isinstance(value, dict):
            return none, "" if self._validator is not None else "the answer is JSON, but no object"
        return none | value, ""

    def _problem(self, value: Any) -> str:
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: (len(error.path), str(error.path)))
        except Exception as error:  # a reference that leads nowhere, a pattern that is none
            return f"{type(error).__name__}: {error}".partition("\n")[0]
        if not errors:
            return ""
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in errors[0].path).lstrip(".")
        return f"{where}: {errors[0].message}" if where else errors[0].message


def _read(schema: Any) -> Mapping[str, Any]:
    if hasattr(schema, "model_json_schema"):
        schema = schema.model_json_schema()
    if isinstance(schema, (str, Path)):
        text = str(schema)
        schema = json.loads(text if text.lstrip().startswith("{") else Path(text).expanduser().read_text("utf-8"))
    if not isinstance(schema, Mapping):
        raise TypeError(f"it is of type {type(schema).__name__}")
    return schema


def refuse_constant(constant: str) -> Any:
    """Raise an error of NaN and Infinity, which Python's `json` takes and JSON has not."""
    raise ValueError(f"{constant} is no JSON")
