"""What is wrong with a set-up, check by check, each with what mends it. Nothing is changed, and no token is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from cozeloop_magic.authoring.packages import EXTRAS, FRONT_ENDS, Installed, installed, of_package, own_versions
from cozeloop_magic.client.client import Client
from cozeloop_magic.client.connect import client_for
from cozeloop_magic.client.settings import Settings
from cozeloop_magic.entities.prompt import ExecuteRequest, PromptSummary
from cozeloop_magic.errors import (
    AlreadyExists,
    AuthenticationFailed,
    LoopError,
    PermissionDenied,
    PromptNotFound,
    RemoteError,
    TransportError,
    UnexpectedContent,
    VersionNotFound,
    to_install,
)
from cozeloop_magic.store.runs import RunStore
from cozeloop_magic.transport.probe import look_at

__all__ = ["Finding", "examine"]

_SKEW = 60  # seconds, beyond which a signed claim may be too old or too young
_NO_VERSION = "0.0.0-doctor"  # asked for to be refused: whoever may run prompts is told that there is none
_EVALUATION = "/v1/loop/evaluation/evaluators/list"
_ON_ITS_PAGE = "on the page where the token was made"
_PERMISSION = {
    "create prompts": f"Give the token the permission to create prompts, {_ON_ITS_PAGE}.",
    "write prompts": f"Give the token the permission to edit prompts, {_ON_ITS_PAGE}.",
}
_PATIENCE = 20.0  # seconds for each call


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        What was looked at.
    ok : bool or None
        Whether it is as it should be; None where it does not matter, or could not be told.
    seen : str
        What there is.
    mend : str
        The command or the sentence that mends it.
    """

    check: str
    ok: bool | None
    seen: str
    mend: str = ""

    @property
    def sign(self) -> str:
        """The finding in one character."""
        return {True: "✓", False: "✗", None: "–"}[self.ok]


def examine(arguments: Mapping[str, str] | None = None, config: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Look at everything that a call needs, in the order in which it needs it."""
    try:
        settings = Settings.gather(arguments, config=config)
        client = client_for(settings, recorded=False)
    except LoopError as error:
        yield Finding("settings", False, error.message, error.hint)
    else:
        where = settings.tape or ("the embedded Loop" if settings.local else settings.api_base_url)
        yield Finding("settings", True, where)
        with client:
            yield from _answering(client, settings)
    yield _store()
    yield from _packages()


def _answering(client: Client, settings: Settings) -> Iterator[Finding]:
    """Look at who answers."""
    if settings.tape:
        yield Finding("tape", None, "answers every call; no server is asked", "%loop replay stop ends it.")
    else:
        yield from _embedded(client) if settings.local else _hosted(client, settings)


def _embedded(client: Client) -> Iterator[Finding]:
    from cozeloop_magic.local.available import available_models

    try:
        chosen = next(model for model in available_models() if model.chosen)
        there = chosen.kind != "default" or Path(chosen.at).is_file()
        mend = "" if there else "Run `cozeloop-magic model fetch` ahead of the first call."
        yield Finding("model", True if there else None, f"{chosen.model}, {chosen.at}", mend)
        endpoint = client.connect()
    except LoopError as error:
        yield Finding("embedded Loop", False, error.message, error.hint)
        return
    yield Finding("embedded Loop", True, f"runs at {endpoint.base_url}")
    yield from _prompts(client)


def _hosted(client: Client, settings: Settings) -> Iterator[Finding]:
    seen = look_at(settings.api_base_url)
    if seen.proxy:
        yield Finding("proxy", None, f"calls go through {seen.proxy}")
    reached = list(_reached(client))
    yield from reached
    if seen.clock is not None:
        yield _clock(seen.clock, settings)
    if not all(finding.ok for finding in reached):
        return
    yield from _prompts(client)
    yield _evaluation(client)


def _reached(client: Client) -> Iterator[Finding]:
    """Make one call, and tell by how it fails how far it came: network, Loop API, token, workspace."""
    where, endpoint = client.connect(), "address"
    try:
        client.prompts.page(page_size=1, timeout=_PATIENCE)
    except PermissionDenied as error:
        yield from (Finding(endpoint, True, where.base_url), Finding("Loop API", True, "answers"))
        yield from (Finding("token", True, "known"), _failed("workspace", error))
        return
    except AuthenticationFailed as error:
        yield from (Finding(endpoint, True, where.base_url), Finding("Loop API", True, "answers"))
        yield _failed("token", error)
        return
    except LoopError as error:
        answered = isinstance(error, (UnexpectedContent, RemoteError))
        if answered:
            yield Finding(endpoint, True, where.base_url)
        yield _failed("Loop API" if answered else endpoint, error)
        return
    yield from (Finding(endpoint, True, where.base_url), Finding("Loop API", True, "answers"))
    yield from (Finding("token", True, "known"), Finding("workspace", True, where.workspace_id))


def _prompts(client: Client) -> Iterator[Finding]:
    """Try what one may do with prompts, each by itself and without changing anything."""
    try:
        page = client.prompts.page(page_size=1, timeout=_PATIENCE)
    except LoopError as error:
        yield _failed("list prompts", error)
        return
    yield Finding("list prompts", True, f"{page.total:,} in the workspace")
    if not page.prompts:
        yield Finding("read, run prompts", None, "there is none to try it on", "%loop new KEY --define begins one.")
        return
    first: PromptSummary = page.prompts[0]
    key, prompt_id = first.prompt_key, first.id or ""
    yield _tried("read prompts", lambda: client.get_prompt(key, timeout=_PATIENCE))
    yield _tried("read versions", lambda: client.prompts.commits(prompt_id, page_size=1))
    request = ExecuteRequest(key, _NO_VERSION)
    yield _tried("run prompts", lambda: client.run(request, _PATIENCE), VersionNotFound)
    made = _tried("create prompts", lambda: _create_again(client, key), AlreadyExists)
    yield made
    if first.latest_version:
        yield _writing(client, first, made)


def _create_again(client: Client, prompt_key: str) -> None:
    """Ask for a prompt with a key that is taken, which a server refuses only after it has looked at permissions."""
    client.prompts.delete(client.prompts.create(prompt_key, prompt_key))


def _writing(client: Client, prompt: PromptSummary, made: Finding) -> Finding:
    """Ask to commit a version that is there, which changes nothing: whoever may not write is told so before."""
    version = prompt.latest_version or ""
    no_draft = PromptNotFound
    found = _tried(
        "write prompts", lambda: client.prompts.commit_draft(prompt.id or "", version), AlreadyExists, no_draft
    )
    if found.ok or not made.ok:
        return found
    return Finding(found.check, None, f"not {prompt.prompt_key}: {found.seen}", "Write prompts of your own.")


def _tried(check: str, work: Callable[[], object], *refusals: type[LoopError]) -> Finding:
    """Try something; a refusal that comes once permissions were looked at says that it is allowed."""
    try:
        work()
    except refusals:
        pass
    except PermissionDenied as error:
        return replace(_failed(check, error), mend=_PERMISSION.get(check, error.hint))
    except LoopError as error:
        return _failed(check, error)
    return Finding(check, True, "allowed")


def _failed(check: str, error: LoopError) -> Finding:
    seen = f"{error.message} (log id {error.log_id})" if error.log_id else error.message
    return Finding(check, False, seen, error.hint)


def _clock(clock: datetime, settings: Settings) -> Finding:
    ahead = (datetime.now(timezone.utc) - clock).total_seconds()
    seen = f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    if abs(ahead) <= _SKEW:
        return Finding("clock", True, "as the server's")
    matters = bool(settings.jwt_oauth_client_id)
    return Finding("clock", False if matters else None, seen, "Set this machine's clock, for example by NTP.")


def _evaluation(client: Client) -> Finding:
    try:
        client.post_to_read(_EVALUATION, {"page_size": 1, "page_number": 1}, _PATIENCE)
    except TransportError as error:
        return Finding("evaluation API", None, error.message)
    except RemoteError as error:
        there = error.http_status != 404
        return Finding("evaluation API", None, "there, not for this token" if there else "not there")
    return Finding("evaluation API", True, "there")


def _store() -> Finding:
    try:
        with RunStore.open() as store:
            return Finding("kept answers", True, str(store.path))
    except LoopError as error:
        return Finding(
            "kept answers", False, error.message, error.hint or "Set COZELOOP_MAGIC_HOME to another place."
        )


def _packages() -> Iterator[Finding]:
    """Tell versions, and what is missing or older than what is asked for."""
    yield _versions("packages", [*own_versions(), *of_package()])
    there = [each for each in map(installed, FRONT_ENDS) if each.version]
    yield Finding("front end", None if not there else True, _named(there) or "none is installed here")
    for extra in EXTRAS:
        found = of_package(extra)
        missing = [each.name for each in found if not each.version]
        if missing:
            yield Finding(f"[{extra}]", None, f"without {', '.join(missing)}", f"{to_install(extra)}.")
        elif found:
            yield _versions(f"[{extra}]", found)


def _versions(check: str, found: Sequence[Installed]) -> Finding:
    wrong = [each.wanted for each in found if each.wanted]
    mend = f"pip install --upgrade {' '.join(map(repr, wrong))}".replace("'", '"') if wrong else ""
    return Finding(check, not wrong, _named(found), mend)


def _named(found: Iterable[Installed]) -> str:
    return ", ".join(f"{each.name} {each.version or 'is missing'}" for each in found)
