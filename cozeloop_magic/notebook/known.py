"""What completion knows of a server's prompts: asked for in the background, kept, and given at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # heavy ones are imported by the thread that needs them
    from cozeloop_magic.client.client import Client

__all__ = ["KnownPrompts", "Variable"]

_PATIENCE = 0.03  # seconds that a completion waits for what it does not know yet
_FRESH = 30.0  # seconds that what is known is not asked for again
_IDLE = 1.0  # seconds without a question, after which the thread ends and its connection with it
_MOST_VERSIONS = 100
_TIMEOUT = 10.0  # seconds for a call

Question = tuple[str, ...]


class Variable(NamedTuple):
    """A variable: its name, its type, and what it is for."""

    name: str
    kind: str
    description: str


class KnownPrompts:
    """Answers at once from what is known; a thread of its own asks the server. Whatever fails is silent.

    The embedded Loop is asked where it runs; it is not started for this.

    Parameters
    ----------
    place : callable
        Gives the arguments of ``%loop use`` and what ``%config`` says: where the prompts are.
    """

    def __init__(self, place: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]]) -> None:
        self._place = place
        self._at: object = None
        self._kept: dict[Question, tuple[Any, float]] = {}
        self._asked: dict[Question, threading.Event] = {}
        self._questions: SimpleQueue[Question | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def keys(self) -> Mapping[str, str]:
        """Give what each prompt is for, by its key."""
        return self._known("keys") or {}

    def versions(self, prompt_key: str) -> Mapping[str, str]:
        """Give why each version of a prompt was made, the latest first."""
        return self._known("versions", prompt_key) or {}

    def labels(self, prompt_key: str) -> Mapping[str, str]:
        """Give the version that each label of a prompt marks."""
        return self._known("labels", prompt_key) or {}

    def variables(self, prompt_key: str, version: str = "", label: str = "") -> list[Variable]:
        """Give a version's variables."""
        return self._known("variables", prompt_key, version, label) or []

    def doubt(self) -> None:
        """Ask anew for whatever is needed next: something may have changed."""
        with self._lock:
            self._kept = {question: (value, -_FRESH) for question, (value, _) in self._kept.items()}

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._questions.put(None)

    def _known(self, *question: str) -> Any:
        arguments, config = self._place()
        environment = {name: value for name, value in os.environ.items() if name.startswith("COZELOOP_")}
        at = (dict(arguments), dict(config), environment)
        with self._lock:
            if at != self._at:
                self._at, self._kept, self._asked = at, {}, {}
            value, since = self._kept.get(question, (None, -_FRESH))
            if time.monotonic() - since < _FRESH:
                return value
            answered = self._asked.get(question)
            if answered is None:
                answered = self._asked[question] = threading.Event()
                self._questions.put(question)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cozeloop-completion", daemon=True)
                self._thread.start()
        answered.wait(_PATIENCE)
        return self._kept.get(question, (None, 0.0))[0]

    def _work(self) -> None:
        """Answer questions, until none has come for a while."""
        asked_at: object = None
        client: Client | None = None
        while (question := self._next()) is not None:
            at = self._at
            try:
                if at != asked_at and client is not None:
                    client.close()
                    client = None
                asked_at = at
                client = client or _connected(*at[:2])  # type: ignore[index]
                value = _ASK[question[0]](client, *question[1:])
            except Exception:  # offline, refused, gone: completion is not the place to tell
                value = None
            self._keep(at, question, value)
        if client is not None:
            client.close()

    def _next(self) -> Question | None:
        try:
            return self._questions.get(timeout=_IDLE)
        except Empty:
            with self._lock:
                if self._questions.empty():
                    self._thread = None
                    return None
            return self._questions.get()

    def _keep(self, at: object, question: Question, value: Any) -> None:
        with self._lock:
            if at != self._at:
                return
            before = self._kept.get(question, (None, 0.0))[0]
            self._kept[question] = (before if value is None else value), time.monotonic()
            if answered := self._asked.pop(question, None):
                answered.set()


def _connected(arguments: Mapping[str, str], config: Mapping[str, str]) -> Client:
    from cozeloop_magic.client.connect import client_for
    from cozeloop_magic.client.settings import Settings

    settings = Settings.gather(arguments, config=config)
    if settings.tape:
        raise LookupError("a tape tells what was asked, and no more")
    if settings.local:
        from cozeloop_magic.local.process import running

        if running() is None:
            raise LookupError("the embedded Loop does not run")
    return client_for(settings, recorded=False)  # nobody's cell asked


def _keys(client: Client) -> dict[str, str]:
    return {each.prompt_key: each.description or each.display_name or "" for each in client.prompts.iterate()}


def _versions(client: Client, prompt_key: str) -> dict[str, str]:
    page = client.prompts.commits(_id_of(client, prompt_key), page_size=_MOST_VERSIONS)
    return {info.version: info.description or "" for info in page.prompt_commit_infos}


def _labels(client: Client, prompt_key: str) -> dict[str, str]:
    from cozeloop_magic.authoring.catalog import read_labels

    return read_labels(client, client.prompts.get(_id_of(client, prompt_key)))


def _variables(client: Client, prompt_key: str, version: str, label: str) -> list[Variable]:
    prompt = client.get_prompt(prompt_key, version, "" if version else label, timeout=_TIMEOUT)
    return [Variable(each.key, str(each.type), each.desc or "") for each in prompt.variable_defs]


def _id_of(client: Client, prompt_key: str) -> str:
    return client.prompts.find(prompt_key).id or ""


_ASK: dict[str, Callable[..., Any]] = {
    "keys": _keys,
    "versions": _versions,
    "labels": _labels,
    "variables": _variables,
}
