"""Every public name of the official SDK is the same here, or is told to differ or to be absent, and why.

``docs/sdk.md`` shows it; ``REWRITE_SDK_TABLE=1 pytest tests/client/test_sdk_names.py`` writes it anew.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cozeloop_magic
from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.entities import prompt as entities
from cozeloop_magic.entities.wire import Wire
from tests.client.sdk_names import ABSENT, DIFFERENT
from tests.client.ways import ClientOf, Serve
from tests.wire_server import GOOD

with warnings.catch_warnings(record=True):  # of authlib and pydantic, about how the SDK (0.1.28) uses them
    warnings.simplefilter("ignore")
    import cozeloop
    import cozeloop._client
    import cozeloop.decorator
    import cozeloop.entities.prompt
    import cozeloop.entities.stream
    import cozeloop.integration
    import cozeloop.spec
    from pydantic import BaseModel

TABLE = Path(__file__).parents[2] / "docs" / "sdk.md"
HEAD = """# Beside the official SDK

What code written for `cozeloop` 0.1.28 meets here: each of its public names is the same, different or absent.
The test `tests/client/test_sdk_names.py` walks them all, looks at what is called the same, and writes this page.

Everything of *tracing* stays out, decorators and integrations too: the platform writes the spans of a run itself.
Entities are frozen; make a changed copy with `model_copy(update=...)`. They are made as there: `Message(role="user")`
knows its role, and dicts stand for the values inside.
"""


class Name(NamedTuple):
    section: str
    name: str
    is_same: Callable[[], bool]


def walk() -> Iterator[Name]:
    yield from package_names()
    yield from client_names()
    yield from entity_names()
    for name in (name for name in dir(BaseModel) if name.startswith("model_")):
        yield Name("Methods of entities (pydantic's)", f"BaseModel.{name}", lambda name=name: hasattr(Wire, name))
    yield from error_names()
    for name in ("__iter__", "__next__", "__aiter__", "__anext__", "close"):
        kind = cozeloop_magic.AsyncStreamReader if name.startswith("__a") else cozeloop_magic.StreamReader
        yield Name("Streams", f"StreamReader.{name}", lambda kind=kind, name=name: callable(getattr(kind, name)))


def package_names() -> Iterator[Name]:
    submodules = {"client", "entities", "logger", "prompt", "span", "trace"}  # their names are the package's
    for name, theirs in vars(cozeloop).items():
        if not name.startswith("_") and name not in submodules:
            yield Name(
                "Names of the package", f"cozeloop.{name}", lambda name=name, theirs=theirs: same_name(name, theirs)
            )


def same_name(name: str, theirs: Any) -> bool:
    ours = getattr(cozeloop_magic, name)
    if inspect.isfunction(theirs):
        return callable(ours)
    return isinstance(ours, type) if isinstance(theirs, type) else bool(ours == theirs)


def client_names() -> Iterator[Name]:
    for name, theirs in inspect.getmembers(cozeloop._client._LoopClient, inspect.isfunction):
        if not name.startswith("_"):
            yield Name(
                "Methods of a client",
                f"Client.{name}",
                lambda name=name, theirs=theirs: takes_the_same(getattr(Client, name), theirs),
            )
    for name in inspect.signature(cozeloop.new_client).parameters:
        yield Name(
            "Options of new_client",
            f"new_client({name})",
            lambda name=name: name in inspect.signature(new_client).parameters,
        )


def takes_the_same(ours: Any, theirs: Any) -> bool:
    """Tell whether a function takes all that the other does, by the same names, at the same places."""
    taken = inspect.signature(ours).parameters if callable(ours) else {}
    return all(
        name in taken and taken[name].kind == parameter.kind and (name == "self" or taken[name].default in OPTIONAL)
        for name, parameter in inspect.signature(theirs).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    )


OPTIONAL = ("", None, False)


def entity_names() -> Iterator[Name]:
    for name, theirs in vars(cozeloop.entities.prompt).items():
        if name.startswith("_") or getattr(theirs, "__module__", "typing") == "typing" or theirs is BaseModel:
            if name in ("MessageLikeObject", "PromptVariable"):
                yield Name("Entities", name, lambda name=name: hasattr(entities, name))
        elif issubclass(theirs, Enum) and theirs is not Enum:
            yield Name(
                "Entities", name, lambda name=name, theirs=theirs: same_members(getattr(entities, name), theirs)
            )
        elif issubclass(theirs, BaseModel):
            yield Name("Entities", name, lambda name=name: issubclass(getattr(entities, name), Wire))
            for field, info in theirs.model_fields.items():
                if name not in ABSENT:
                    yield Name(
                        "Entities",
                        f"{name}.{field}",
                        lambda name=name, field=field, info=info: same_field(getattr(entities, name), field, info),
                    )


def same_members(ours: Any, theirs: Any) -> bool:
    return all(ours[member.name].value == member.value for member in theirs)


def same_field(ours: Any, name: str, theirs: Any) -> bool:
    field = {field.name: field for field in dataclasses.fields(ours)}[name]
    is_required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return is_required if theirs.is_required() else field.default == theirs.default


def error_names() -> Iterator[Name]:
    attributes = {
        "RemoteServiceError": ("http_code", "error_code", "error_message", "log_id"),
        "AuthError": ("http_code", "error_message", "code", "params", "log_id"),
    }
    for kind, names in attributes.items():
        for name in names:
            error = getattr(errors, kind)("x", http_status=400, code=1, log_id="log-1")
            yield Name("Errors", f"{kind}.{name}", lambda error=error, name=name: getattr(error, name) is not None)


NAMES = list(walk())


def page() -> str:
    """Give the page, a table a section; names of which the same is told share a row."""
    lines = [HEAD]
    for section, names in groupby(NAMES, lambda each: each.section):
        rows: dict[tuple[str, str], list[str]] = {("same", ""): []}
        for each in names:
            rows.setdefault(told(each.name), []).append(f"`{each.name}`")
        shown = [f"| {', '.join(alike)} | {verdict} | {why} |" for (verdict, why), alike in rows.items() if alike]
        lines += [f"## {section}", "", "| name | here | why |", "|---|---|---|", *shown, ""]
    return "\n".join(lines)


def told(name: str) -> tuple[str, str]:
    if name in DIFFERENT:
        return "different", DIFFERENT[name]
    return ("absent", ABSENT[name]) if name in ABSENT else ("same", "")


@pytest.mark.parametrize("each", NAMES, ids=[each.name for each in NAMES])
def test_is_the_same_or_told(each: Name) -> None:
    if each.name in ABSENT:
        with pytest.raises((AttributeError, KeyError, AssertionError)):
            assert each.is_same()
    else:  # what differs is there as well
        assert each.is_same() or each.name in DIFFERENT


def test_nothing_is_told_of_names_that_there_are_not() -> None:
    assert (DIFFERENT.keys() | ABSENT.keys()) <= {each.name for each in NAMES}
    assert not DIFFERENT.keys() & ABSENT.keys()


def test_the_page_shows_it() -> None:
    if "REWRITE_SDK_TABLE" in os.environ:
        TABLE.write_text(page(), encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == page()


class TestModuleLevelCalls:
    def test_use_the_first_client_that_is_made(self, serve: Serve, client_of: ClientOf) -> None:
        server, other = serve(GOOD), serve(GOOD)
        client_of(server), client_of(other)
        assert str(cozeloop_magic.execute_prompt("greet")) == "Hello world"
        assert cozeloop_magic.workspace_id() == "73917" and len(server.requests) == 1 and not other.requests
        cozeloop_magic.flush()

    def test_use_the_client_that_is_set_and_leave_the_other_open(self, serve: Serve, client_of: ClientOf) -> None:
        server, other = serve(GOOD), serve(GOOD)
        first, second = client_of(server), client_of(other)
        cozeloop_magic.set_default_client(second)
        assert "".join(map(str, cozeloop_magic.execute_prompt("greet", stream=True))) == "Hello world"
        assert str(first.execute_prompt("greet")) == "Hello world" and len(other.requests) == 1

    def test_make_a_client_of_the_settings(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = {cozeloop_magic.ENV_API_BASE_URL: serve(GOOD).url, cozeloop_magic.ENV_WORKSPACE_ID: "1"}
        for name, value in (settings | {cozeloop_magic.ENV_API_TOKEN: "token"}).items():
            monkeypatch.setenv(name, value)
        assert str(cozeloop_magic.execute_prompt("greet")) == "Hello world"
        cozeloop_magic.close()
        with pytest.raises(errors.ClientClosedError):
            cozeloop_magic.get_prompt("greet")


class TestPromptFormat:
    PROMPT = entities.Prompt.from_json(
        {
            "prompt_key": "greet",
            "version": "1.0.0",
            "prompt_template": {
                "messages": [
                    {"role": "system", "content": "{{name}} {{ name }} {{other}}"},
                    {"role": "placeholder", "content": "history"},
                ],
                "variable_defs": [{"key": "name"}, {"key": "history", "type": "placeholder"}],
            },
        }
    )

    def test_renders_by_the_servers_rules_and_leaves_the_prompt(self, serve: Serve, client_of: ClientOf) -> None:
        server, before = serve(GOOD), self.PROMPT.to_json()
        history = [entities.Message("user", "Hi")]
        shown = client_of(server).prompt_format(self.PROMPT, {"name": "Ada", "history": history})
        assert shown == [entities.Message("system", "Ada {{ name }} {{other}}"), *history]
        assert self.PROMPT.to_json() == before and not server.requests

    def test_needs_a_client_that_is_open(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(GOOD))
        client.close()
        with pytest.raises(errors.ClientClosed):
            client.prompt_format(self.PROMPT, {})


def test_prompt_trace_warns_that_no_trace_is_sent(serve: Serve) -> None:
    with pytest.warns(UserWarning, match="sends no traces"):
        new_client(serve(GOOD).url, "1", "token", prompt_trace=True).close()
