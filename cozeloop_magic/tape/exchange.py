"""One exchange of a tape, and the tape's header, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["FORMAT", "Exchange", "Fault", "Header", "key_of"]

FORMAT = 1
"""The version of the file's format that is written; a file of a higher one is not read."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a tape says of itself.

    Attributes
    ----------
    origin : str
        Who answered: a host name, or ``embedded Loop``.
    recorded_at : str
        When recording began, as an ISO 8601 date and time.
    models : tuple of str
        The models that answered, where the server tells.
    """

    origin: str
    recorded_at: str
    models: tuple[str, ...] = ()

    @property
    def date(self) -> str:
        """The day of the recording."""
        return self.recorded_at[:10]

    def to_json(self) -> dict[str, Any]:
        """Return the first line's object."""
        return {"tape": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Header:
        """Read the first line's object."""
        return cls(str(line["origin"]), str(line["recorded_at"]), tuple(map(str, line.get("models") or ())))


@dataclass(frozen=True, slots=True)
class Fault:
    """No answer came.

    Attributes
    ----------
    kind : str
        The error's class in `cozeloop_magic.errors`.
    message, hint : str
        Its words.
    repeatable : bool
        Whether the call might be made again at once.
    """

    kind: str
    message: str
    hint: str = ""
    repeatable: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """Read its object."""
        kind, message, hint = (str(value.get(name) or "") for name in ("kind", "message", "hint"))
        return cls(kind, message, hint, value.get("repeatable") is True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it.

    Attributes
    ----------
    method, path : str
        Of the request; the path as in the API's description, without the server's own prefix.
    fields : Mapping[str, Any]
        Its JSON body, or its query; without the workspace, which is the recorder's own.
    at : float
        Seconds from the request to the answer's headers, or to the fault.
    status : int
        HTTP status; 0 where no answer came.
    headers : Mapping[str, str]
        Those of the answer that a client reads.
    chunks : tuple of (float, str)
        The body as it came: seconds since the request, and text.
    complete : bool
        Whether the body came to its end.
    fault : Fault, optional
        Why no answer came.
    """

    method: str
    path: str
    fields: Mapping[str, Any]
    at: float = 0.0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[tuple[float, str], ...] = ()
    complete: bool = True
    fault: Fault | None = None

    @property
    def key(self) -> str:
        """What a request must match to get this answer."""
        return key_of(self.method, self.path, self.fields)

    def to_json(self) -> dict[str, Any]:
        """Return the line's object; what is as usual is left out."""
        line: dict[str, Any] = {"request": [self.method, self.path], "fields": self.fields, "at": round(self.at, 4)}
        if self.fault is not None:
            return {**line, "fault": asdict(self.fault)}
        chunks = [[round(at, 4), text] for at, text in self.chunks]
        answer = {"status": self.status, "headers": self.headers, "chunks": chunks}
        return {**line, **answer, **({} if self.complete else {"complete": False})}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Exchange:
        """Read a line's object.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError, OverflowError
            If it is none.
        """
        method, path = line["request"]
        fault = Fault.from_json(line["fault"]) if "fault" in line else None
        chunks = tuple((float(at), str(text)) for at, text in line.get("chunks") or ())
        return cls(
            str(method),
            str(path),
            dict(line["fields"]),
            float(line["at"]),
            0 if fault else int(line["status"]),
            {str(name): str(value) for name, value in dict(line.get("headers") or {}).items()},
            chunks,
            bool(line.get("complete", True)),
            fault,
        )


def key_of(method: str, path: str, fields: Mapping[str, Any]) -> str:
    """Return what two requests have in common that may have the same answer: all but the workspace and the order."""
    asked = {name: value for name, value in fields.items() if name != "workspace_id"}
    if isinstance(variables := asked.get("variable_vals"), list):
        asked["variable_vals"] = sorted(variables, key=lambda each: json.dumps(each, sort_keys=True))
    return json.dumps([method, path, asked], sort_keys=True, separators=(",", ":"))
