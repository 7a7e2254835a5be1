"""Where calls go, and why: each setting with the place it came from. Nothing is called, and nothing started."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from cozeloop_magic.client.settings import DEFAULT_BASE_URL, LOCAL, TAPE_VARIABLE, Settings
from cozeloop_magic.errors import ConfigurationError, LocalLoopError, LoopError, TapeError
from cozeloop_magic.tape import Tape
from cozeloop_magic.version import __version__

__all__ = ["Setting", "choose_loop", "describe_setup"]

_NOTHING = "nothing else is configured"
_CHOSEN = "%loop use"
_HOW = "Set COZELOOP_WORKSPACE_ID and COZELOOP_API_TOKEN in the environment, and restart the kernel."


@dataclass(frozen=True)
class Setting:
    """One of the things that decide where calls go.

    Attributes
    ----------
    setting, value, source : str
        What it is, what it is set to (never a secret), and what set it so.
    """

    setting: str
    value: str
    source: str


def choose_loop(where: str, config: Mapping[str, str]) -> dict[str, str]:
    """Give the arguments for `Settings.gather` that lead to the embedded Loop, or to the one that is configured.

    Raises
    ------
    ConfigurationError
        If the one that is configured is not configured enough.
    """
    if where == LOCAL:
        return {"api_base_url": LOCAL}
    environ = {name: value for name, value in os.environ.items() if name != TAPE_VARIABLE}
    configured = Settings.gather(environ=environ, config=config)
    if not configured.local:
        return {"api_base_url": configured.api_base_url} if TAPE_VARIABLE in os.environ else {}
    hosted = {"api_base_url": DEFAULT_BASE_URL}
    try:
        Settings.gather(hosted, config=config)
    except ConfigurationError:
        raise ConfigurationError("No hosted Loop is configured.", hint=_HOW) from None
    return hosted


def describe_setup(arguments: Mapping[str, str], config: Mapping[str, str]) -> list[Setting]:
    """Describe the set-up that `Settings.gather` makes of the same."""
    try:
        settings = Settings.gather(arguments, config=config)
    except LoopError as error:
        return [Setting("Loop", f"✗ {error}", ""), *_versions()]
    if settings.tape:
        return [*_tape(settings), *_versions()]
    described = _embedded(settings) if settings.local else _hosted(settings)
    return [*described, *_versions()]


def _tape(settings: Settings) -> list[Setting]:
    try:
        tape = Tape.read(settings.tape)
    except TapeError as error:
        return [Setting("tape", f"✗ {error}", TAPE_VARIABLE)]
    recorded = f"{tape.header.origin}, recorded {tape.header.date}, {len(tape.exchanges):,} exchanges"
    return [
        Setting("tape", settings.tape, TAPE_VARIABLE),
        Setting("Loop", recorded, "the tape"),
        Setting("model", ", ".join(tape.header.models) or "not recorded", "the tape"),
    ]


def _hosted(settings: Settings) -> list[Setting]:
    token = "api_token" if settings.api_token else "jwt_oauth_client_id"
    authentication = (
        "a token, not shown" if settings.api_token else f"JWT OAuth, client {settings.jwt_oauth_client_id}"
    )
    return [
        Setting("Loop", settings.api_base_url, _source(settings, "api_base_url")),
        Setting("workspace", settings.workspace_id, _source(settings, "workspace_id")),
        Setting("authentication", authentication, _source(settings, token)),
        Setting("model", "the one that each version of a prompt names", "the prompt"),
    ]


def _embedded(settings: Settings) -> list[Setting]:
    why = _source(settings, "api_base_url")
    try:
        from cozeloop_magic.local.process import running

        loop = running()
        workspace, at = (
            (loop.workspace_id, f"running at {loop.base_url}") if loop else ("", "starts at the first call")
        )
        model, chosen_by = _model(loop.model if loop else "")
    except LocalLoopError as error:
        return [Setting("Loop", f"embedded, ✗ {error}", why)]
    described = [Setting("Loop", f"embedded, {at}", why), Setting("model", model, chosen_by)]
    return (
        [*described[:1], Setting("workspace", workspace, "the embedded Loop"), *described[1:]] if loop else described
    )


def _model(name: str) -> tuple[str, str]:
    from cozeloop_magic.local.choice import GGUF_VARIABLE, MODEL_VARIABLE, Endpoint, chosen_model

    choice = chosen_model()
    if isinstance(choice, Endpoint):
        return f"{name or choice.models[0]} at {choice.base_url}", MODEL_VARIABLE
    if choice.path is not None:
        return name or choice.path.name, GGUF_VARIABLE
    return name or "the default model", "default"


def _source(settings: Settings, name: str) -> str:
    source = settings.sources.get(name, _NOTHING)
    return _CHOSEN if source == "argument" else source


def _versions() -> list[Setting]:
    from cozeloop_magic.local.paths import HOME_VARIABLE, data_dir

    chosen = HOME_VARIABLE if os.environ.get(HOME_VARIABLE) else "default"
    try:
        kept = Setting("data directory", str(data_dir()), chosen)
    except LocalLoopError as error:
        kept = Setting("data directory", f"✗ {error}", chosen)
    return [kept, Setting("version", f"cozeloop-magic {__version__}, Python {platform.python_version()}", "")]
