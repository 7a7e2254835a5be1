"""Which tool call a piece of a stream belongs to.

An index says it, else an id. Servers break that rule in ways of their own: Ollama gives each call the index 0, others
leave out the id, or the index, or both. What is certain to be of another call begins one; nothing is joined to a call
that it cannot belong to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from cozeloop_magic.entities.prompt import ToolCall

__all__ = ["ToolCallPlaces"]


@dataclass(slots=True)
class _Known:
    """What is known of the call at a place."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def add(self, call: ToolCall) -> None:
        function = call.function_call
        self.id = self.id or call.id or ""
        if function is not None:
            self.name = self.name or function.name
            if function.arguments:
                self.arguments.append(function.arguments)

    def differs_from(self, call: ToolCall) -> bool:
        """Whether `call` cannot go on with this one: by its id, its name, or arguments after complete ones."""
        if call.id and self.id:
            return call.id != self.id
        name = call.function_call.name if call.function_call else ""
        if not (name and self.name and self.arguments):
            return False
        return name != self.name or self._is_complete_before(
            (call.function_call and call.function_call.arguments) or ""
        )

    def _is_complete_before(self, more: str) -> bool:
        if not (more.lstrip().startswith("{") and self.arguments[-1].rstrip().endswith("}")):
            return False
        try:
            json.loads("".join(self.arguments))
        except ValueError:
            return False
        return True


class ToolCallPlaces:
    """Tells which tool call each piece of one answer is of, by its place in the order they began in."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._named: dict[tuple[int | None, str], int] = {}
        self._at: dict[int, int] = {}  # the place that an index means by now
        self._last = self._next = 0

    def of(self, calls: Iterable[ToolCall]) -> Iterator[tuple[int, ToolCall]]:
        """Give each call of one piece with its place; calls of one piece that name neither are different ones."""
        for position, call in enumerate(calls):
            place = self._place(call, position)
            self._known.setdefault(place, _Known()).add(call)
            if call.index is not None:
                self._at[call.index] = place
            if call.id:
                self._named.setdefault((call.index, call.id), place)
                self._named.setdefault((None, call.id), place)
            self._last, self._next = place, max(self._next, place + 1)
            yield place, call if call.index in (None, place) else replace(call, index=place)

    def _place(self, call: ToolCall, position: int) -> int:
        if call.id and (named := self._named.get((call.index, call.id))) is not None:
            return named
        if call.index is not None:
            free = self._next if call.index in self._known else call.index
            place = self._at.get(call.index, free)
        elif call.id:
            place = self._next
        else:
            place = self._next if position else self._last
        known = self._known.get(place)
        return self._next if known is not None and known.differs_from(call) else place
