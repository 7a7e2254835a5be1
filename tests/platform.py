"""The platform's prompt API as its open source answers: errors with HTTP 200, drafts of one's own, no list of labels.

So it stands in the public server's ``application/openapi`` and its IDL: a list holds committed prompts only, numbers
of 64 bits go as text, a label is found by asking for it, and no call sets one or runs a draft.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.wire_server import Request, answer, event, last, stream

Json = dict[str, Any]

NOT_FOUND, NO_VERSION, NOT_LABELLED = 600501001, 600501002, 600501007
KEY_EXISTS, VERSION_EXISTS, INVALID = 600501008, 600501009, 600500202


class Refused(Exception):
    """The code and words of an error."""


class Platform:
    """The prompts of one workspace; a script for a `WireServer`.

    Attributes
    ----------
    labels : dict
        The version that a label marks, by key and label; set on the prompt's page, as here by a test.
    """

    def __init__(self) -> None:
        self.prompts: dict[int, Json] = {}
        self.labels: dict[tuple[str, str], str] = {}

    def __call__(self, request: Request, connection: socket.socket) -> None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.endswith("/execute_streaming"):
            said = self._version(request.body["prompt_identifier"])[1]["prompt_template"]["messages"][-1]["content"]
            delta = event({"message": {"role": "assistant", "content": said}, "finish_reason": ""})
            stream([delta, last()])(request, connection)
            return
        try:
            body = {"code": 0, "msg": "", **self._call(request, url.path, query)}
        except Refused as error:
            body = {"code": error.args[0], "msg": error.args[1]}
        answer(body, x_log_id="log-7")(request, connection)

    def _call(self, request: Request, path: str, query: Json) -> Json:
        if path == "/":
            return {}
        found = re.fullmatch(r"/v1/loop/prompts/(\d+)((?:/\w+)*)", path)
        if found:
            return self._of_prompt(request, self._prompt(int(found[1])), found[2], query)
        if path == "/v1/loop/prompts":
            return self._create(request.body)
        if path.endswith("/list"):
            return {"data": self._list(request.body)}
        if path.endswith("/mget"):
            return {"data": {"items": [self._item(each) for each in request.body["queries"]]}}
        if path.endswith("/execute"):
            self._version(request.body["prompt_identifier"])
        raise Refused(NOT_FOUND, f"no such route: {path}")

    def _prompt(self, prompt_id: int) -> Json:
        if prompt_id not in self.prompts:
            raise Refused(NOT_FOUND, "resource not found")
        return self.prompts[prompt_id]

    def _create(self, body: Json) -> Json:
        if any(each["key"] == body["prompt_key"] for each in self.prompts.values()):
            raise Refused(KEY_EXISTS, "prompt key already exists")
        prompt_id = 7_500_000_000_000_000_001 + len(self.prompts)
        named = {"key": body["prompt_key"], "name": body["prompt_name"], "about": body.get("prompt_description", "")}
        self.prompts[prompt_id] = {"id": prompt_id, **named, "draft": None, "commits": []}
        return {"prompt_id": str(prompt_id)}

    def _list(self, body: Json) -> Json:
        word, size = body.get("key_word", ""), body["page_size"]
        there = [each for each in reversed(self.prompts.values()) if each["commits"]]
        there = [each for each in there if each["key"].startswith(word) or each["name"].startswith(word)]
        begin = (body["page_number"] - 1) * size
        return {"prompts": [self._basic(each) for each in there[begin : begin + size]], "total": len(there)}

    def _basic(self, prompt: Json) -> Json:
        latest = prompt["commits"][-1][0]["version"] if prompt["commits"] else None
        basic = {"display_name": prompt["name"], "description": prompt["about"], "latest_version": latest}
        return {"id": str(prompt["id"]), "prompt_key": prompt["key"], **basic}

    def _of_prompt(self, request: Request, prompt: Json, action: str, query: Json) -> Json:
        if request.method == "DELETE":
            del self.prompts[prompt["id"]]
            return {}
        if action == "/drafts/save":
            draft = request.body["prompt_draft"]
            now = str(int(time.time() * 1000))
            info = {**draft["draft_info"], "user_id": "73", "is_modified": True, "created_at": now, "updated_at": now}
            prompt["draft"] = {"detail": draft["detail"], "draft_info": info}
            return {"draft_info": info}
        if action == "/drafts/commit":
            return self._commit(prompt, request.body)
        if action == "/commits/list":
            infos = [info for info, _ in reversed(prompt["commits"])]
            return {"prompt_commit_infos": infos[: request.body["page_size"]]}
        fields = {"prompt_basic": self._basic(prompt), **self._basic(prompt), "workspace_id": "73917"}
        version = query.get("commit_version") or fields["latest_version"]
        if query.get("with_commit") == "true" and version:
            info, detail = self._of(prompt, version)
            fields["prompt_commit"] = {"commit_info": info, "detail": detail}
        if query.get("with_draft") == "true" and prompt["draft"]:
            fields["prompt_draft"] = prompt["draft"]
        return {"prompt": fields}

    def _commit(self, prompt: Json, body: Json) -> Json:
        version = body["commit_version"]
        if prompt["draft"] is None:
            raise Refused(NOT_FOUND, "Prompt draft is not found")
        if any(info["version"] == version for info, _ in prompt["commits"]):
            raise Refused(VERSION_EXISTS, "prompt version already exists")
        info = {"version": version, "base_version": prompt["draft"]["draft_info"].get("base_version", ""),
                "description": body.get("commit_description", ""), "committed_by": "73",
                "committed_at": str(int(time.time() * 1000))}  # fmt: skip
        prompt["commits"].append((info, prompt["draft"]["detail"]))
        prompt["draft"] = None
        return {}

    def _of(self, prompt: Json, version: str) -> tuple[Json, Json]:
        for info, detail in prompt["commits"]:
            if info["version"] == version:
                return info, detail
        raise Refused(NO_VERSION, "prompt version does not exist")

    def _version(self, query: Json) -> tuple[Json, Json]:
        prompt = next((each for each in self.prompts.values() if each["key"] == query["prompt_key"]), None)
        if prompt is None:
            raise Refused(NOT_FOUND, "prompt not exist")
        label = query.get("label", "")
        if not query.get("version") and label and (prompt["key"], label) not in self.labels:
            raise Refused(NOT_LABELLED, "label is not associated with a version")
        marked = self.labels.get((prompt["key"], label), prompt["commits"][-1][0]["version"])
        return self._of(prompt, query.get("version") or marked)

    def _item(self, query: Json) -> Json:
        info, detail = self._version(query)
        model = {name: value for name, value in detail.get("model_config", {}).items() if name != "model_id"}
        kept: Json = {name: detail[name] for name in ("prompt_template", "tools") if name in detail}
        prompt = {**kept, "prompt_key": query["prompt_key"], "version": info["version"], "llm_config": model}
        return {"query": query, "prompt": {"workspace_id": "73917", **prompt}}
