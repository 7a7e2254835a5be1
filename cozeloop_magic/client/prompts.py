"""Prompts as their authors use them: listed, looked at, drafted, committed, deleted.

Calls that only read are made again where an answer broke off; calls that change something only where the server has
not let them in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cozeloop_magic.client.caller import Caller
from cozeloop_magic.client.replies import (
    checked,
    read_commits,
    read_draft_info,
    read_page,
    read_prompt_id,
    read_record,
)
from cozeloop_magic.entities.authoring import CommitPage, DraftInfo, PromptCommit, PromptDetail, PromptRecord
from cozeloop_magic.entities.prompt import PromptPage, PromptSummary
from cozeloop_magic.errors import DraftConflict, InvalidRequest, PromptNotFound, UnexpectedContent
from cozeloop_magic.printable import printable

__all__ = ["Prompts"]

_PROMPTS = "/v1/loop/prompts"
_HOSTED_API, _HOSTED_PAGES = "https://api.coze.cn", "https://loop.coze.cn"
_MOST_PROMPTS = 200  # in a page
_MOST_COMMITS = 100


class Prompts:
    """The prompts of a client's workspace: ``client.prompts``. Thread-safe."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def page(
        self, key_word: str = "", *, page_number: int = 1, page_size: int = 100, timeout: float | None = None
    ) -> PromptPage:
        """List prompts whose name or key begins with `key_word` (``POST /v1/loop/prompts/list``).

        Parameters
        ----------
        page_number : int
            Counted from 1.
        page_size : int
            At most 200.
        """
        body: dict[str, Any] = {"page_number": page_number, "page_size": page_size}
        if key_word:
            body["key_word"] = key_word
        return checked(read_page(self._caller.read(f"{_PROMPTS}/list", body, timeout)))

    def iterate(self, key_word: str = "", *, page_size: int = _MOST_PROMPTS) -> Iterator[PromptSummary]:
        """Give all of them, asking for a page when it is come to."""
        given, page_number = 0, 1
        while True:
            page = self.page(key_word, page_number=page_number, page_size=page_size)
            yield from page.prompts
            given += len(page.prompts)
            page_number += 1
            if not page.prompts or given >= page.total:
                return

    def find(self, prompt_key: str) -> PromptSummary:
        """Find a committed prompt by its key: what has its id.

        Raises
        ------
        PromptNotFound
            If no committed prompt has this key; a list shows no others.
        """
        for summary in self.iterate(prompt_key):
            if summary.prompt_key == prompt_key:
                return summary
        raise PromptNotFound(
            f"There is no prompt {prompt_key!r} in the list of committed prompts.",
            hint="Check the prompt key and the workspace; a prompt without a version is not listed.",
        )

    def get(self, prompt_id: str, version: str = "", *, with_draft: bool = False) -> PromptRecord:
        """Get a prompt with one of its versions, the latest unless told otherwise (``GET /v1/loop/prompts/:id``).

        Unlike `Client.get_prompt`, this tells the ``model_id`` of the version's model.

        Parameters
        ----------
        with_draft : bool
            Whether to get the caller's own draft, too.
        """
        query = {"with_commit": "true", "with_draft": str(with_draft).lower()}
        if version:
            query["commit_version"] = version
        return checked(read_record(self._caller.get(_path(prompt_id), query)))

    def create(self, prompt_key: str, name: str, description: str = "") -> str:
        """Make a prompt without a version, and give its id (``POST /v1/loop/prompts``).

        Raises
        ------
        AlreadyExists
            If the key is taken.
        """
        body = {"prompt_key": prompt_key, "prompt_name": name}
        if description:
            body["prompt_description"] = description
        return checked(read_prompt_id(self._caller.write(_PROMPTS, body)))

    def save_draft(
        self,
        prompt_id: str,
        detail: PromptDetail | Mapping[str, Any],
        *,
        base_version: str = "",
        replaces: DraftInfo | None = None,
    ) -> DraftInfo:
        """Write the draft of a prompt (``POST /v1/loop/prompts/:id/drafts/save``).

        Parameters
        ----------
        detail : PromptDetail or Mapping[str, Any]
            All that the next version will hold.
        base_version : str
            The version it was made from.
        replaces : DraftInfo, optional
            The draft that may be overwritten: one which is there and is not as this says is left as it is. Looking
            and writing are two calls; what is saved between them is not seen.

        Raises
        ------
        DraftConflict
            If there is another draft; nothing was written.
        """
        self._check_draft(prompt_id, replaces)
        info = {"base_version": base_version} if base_version else {}
        content = detail.to_json() if isinstance(detail, PromptDetail) else dict(detail)
        body = {"prompt_draft": {"detail": content, "draft_info": info}}
        return checked(read_draft_info(self._caller.write(f"{_path(prompt_id)}/drafts/save", body)))

    def _check_draft(self, prompt_id: str, expected: DraftInfo | None) -> None:
        draft = self.get(prompt_id, with_draft=True).prompt_draft
        there = (draft.draft_info or DraftInfo()) if draft else None
        if there is None or there.is_modified is False or (expected is not None and _same(there, expected)):
            return
        raise DraftConflict(_who_and_when(there), draft_info=there)

    def commit_draft(self, prompt_id: str, version: str, description: str = "") -> None:
        """Make a version of the draft (``POST /v1/loop/prompts/:id/drafts/commit``).

        Raises
        ------
        AlreadyExists
            If there is such a version.
        """
        body = {"commit_version": version}
        if description:
            body["commit_description"] = description
        self._caller.write(f"{_path(prompt_id)}/drafts/commit", body)

    def commits(
        self, prompt_id: str, *, page_size: int = 20, page_token: str = "", with_detail: bool = False
    ) -> CommitPage:
        """List versions, latest first (``POST /v1/loop/prompts/:id/commits/list``).

        Parameters
        ----------
        page_size : int
            At most 100.
        page_token : str
            The last page's ``next_page_token``.
        with_detail : bool
            Whether to get what each version holds, too.
        """
        body: dict[str, Any] = {"page_size": page_size}
        if page_token:
            body["page_token"] = page_token
        path = f"{_path(prompt_id)}/commits/list" + ("?with_commit_detail=true" if with_detail else "")
        return checked(read_commits(self._caller.read(path, body)))

    def iterate_commits(
        self, prompt_id: str, *, with_detail: bool = False, page_size: int = _MOST_COMMITS
    ) -> Iterator[PromptCommit]:
        """Give all versions, latest first, asking for a page when it is come to."""
        token = ""
        while True:
            page = self.commits(prompt_id, page_size=page_size, page_token=token, with_detail=with_detail)
            yield from page.commits
            if not page.has_more:
                return
            if page.next_page_token in ("", token):
                raise UnexpectedContent(
                    "The server's list of versions goes on, but it does not say where.",
                    hint="Ask whoever runs the server.",
                )
            token = page.next_page_token

    def set_label(self, prompt_id: str, label: str, version: str) -> dict[str, str]:
        """Have a label mark a version, and give all labels; the embedded Loop can.

        Raises
        ------
        InvalidRequest
            If the server is another, whose API reads labels and does not set them; nothing was sent.
        VersionNotFound
            If there is no such version.
        """
        if self.get(prompt_id).labels is None:
            raise InvalidRequest(
                "The labels of this Loop can be read through its API, but not set.",
                hint=f"Set it on the prompt's page: {self.page_address(prompt_id)}.",
            )
        reply = self._caller.write(f"/embedded/prompts/{prompt_id}/labels", {"label": label, "version": version})
        return dict(reply.body.get("labels") or {})

    def page_address(self, prompt_id: str) -> str:
        """Give the address of a prompt's page; of a Loop that is not Coze's own, all but its host."""
        endpoint = self._caller.connect()
        page = f"/console/enterprise/personal/space/{endpoint.workspace_id}/pe/prompts/{prompt_id}"
        return (_HOSTED_PAGES if endpoint.base_url == _HOSTED_API else "…") + page

    def delete(self, prompt_id: str) -> None:
        """Delete a prompt with all of its versions (``DELETE /v1/loop/prompts/:id``)."""
        self._caller.delete(_path(prompt_id))


def _path(prompt_id: str) -> str:
    if not re.fullmatch(r"[0-9]{1,20}", str(prompt_id), re.ASCII):
        raise InvalidRequest(
            f"{prompt_id!r} is not the id of a prompt, which is a number.",
            hint="client.prompts.find(prompt_key).id gives it.",
        )
    return f"{_PROMPTS}/{prompt_id}"


def _same(there: DraftInfo, expected: DraftInfo) -> bool:
    return (there.base_version or "", there.updated_at) == (expected.base_version or "", expected.updated_at)


def _who_and_when(draft: DraftInfo) -> str:
    whose = _in_one_line(draft.user_id) or "somebody"
    base = f"begun from version {_in_one_line(draft.base_version)} and " if draft.base_version else ""
    return f"The prompt has a draft by {whose}, {base}not committed yet; it was left as it is."


def _in_one_line(text: str | None) -> str:
    return printable(" ".join((text or "").split()))[:80]
