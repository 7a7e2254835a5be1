"""What authors do with prompts, where it cannot be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cozeloop_magic import Client
from cozeloop_magic.entities.authoring import PromptDetail
from tests.client.cases.stage import Case
from tests.wire_server import Request, answer


def on(call: Callable[[Client], object], *, info: Any = None, config: Any = None, **body: Any) -> Case:
    """Make a call of a server that has one prompt, with this draft and this model, or that answers by this body."""
    draft = {"detail": {}, "draft_info": info} if info else None
    commit = {"detail": {"model_config": config or {}}, "commit_info": {"version": "1.0.0"}}
    record = {"id": "7", "prompt_key": "greet", "prompt_commit": commit, "prompt_draft": draft}
    page = {"prompts": [{"id": "7", "prompt_key": "greet", "latest_version": "1.0.0"}], "total": 1}

    def script(request: Request, connection: Any) -> None:
        data = page if request.path.endswith("/list") else {"prompt": record}
        answer({"code": 0, "data": data, **body}, x_tt_logid="log-1")(request, connection)

    return lambda stage: call(stage.client(stage.serve(script)))


def with_settings(**overrides: Any) -> Callable[[Client], object]:
    return lambda client: client.model_config_with("greet", "", overrides)


_MODEL = {"model_id": "1", "temperature": 0.2}
_DRAFT = {"user_id": "ada", "base_version": "1.0.0", "is_modified": True, "updated_at": "1764263000123"}

AUTHORING: dict[str, Case] = {
    "an id that is a key": on(lambda client: client.prompts.get("greet")),
    "a key that is not listed": on(lambda client: client.prompts.find("greeting")),
    "another draft": on(lambda client: client.prompts.save_draft("7", PromptDetail()), info=_DRAFT),
    "another draft of nobody": on(
        lambda client: client.prompts.save_draft("7", PromptDetail()), info={"is_modified": True}
    ),
    "a prompt that was made without an id": on(lambda client: client.prompts.create("greet", "Greet")),
    "a prompt that is text": on(lambda client: client.prompts.get("7"), data={"prompt": "greet"}),
    "versions that never end": on(
        lambda client: list(client.prompts.iterate_commits("7")), data={"has_more": True, "next_page_token": ""}
    ),
    "a key that is taken": on(
        lambda client: client.prompts.create("greet", "Greet"), code=600501008, msg="key exists"
    ),
    "a model by its name": on(with_settings(model="gpt"), config=_MODEL),
    "no setting": on(with_settings(), config=_MODEL),
    "a setting with a slip of the pen": on(with_settings(temprature=1), config=_MODEL),
    "a setting that there is not": on(with_settings(zzz=1), config=_MODEL),
    "a setting of another type": on(with_settings(max_tokens="many"), config=_MODEL),
    "a model without an id": on(with_settings(temperature=1)),
}
