"""What a person should know of an answer reaches them, also where it turned out in the middle of a stream."""

from __future__ import annotations

from typing import Any

import pytest

from cozeloop_magic import Client, new_client
from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.entities.stream import join_results
from tests.local.endpoint import STOP, delta, embedded, stream, whole

PICTURE = delta(images=[{"type": "image_url"}])
SHOWN = "a part of the answer cannot be shown: image"
OTHER = "the endpoint streamed one text and then gave another; both are shown"


def answers(client: Client) -> tuple[ExecuteResult, ExecuteResult]:
    asked: dict[str, Any] = {"version": "0.0.1", "variable_vals": {"topic": "tea", "user_request": "brewing"}}
    streamed = client.execute_prompt("ptaas_demo", **asked, stream=True)
    return client.execute_prompt("ptaas_demo", **asked), join_results(streamed)


@pytest.mark.parametrize(
    ("chunks", "text", "notes"),
    [
        ([PICTURE, delta(content="Hi"), STOP], "Hi", (SHOWN,)),
        ([delta(content="Hi"), PICTURE, delta(content=" you"), STOP], "Hi you", (SHOWN,)),
        ([delta(content="Hi"), delta("stop", images=[{"type": "image_url"}])], "Hi", (SHOWN,)),
        ([delta(content="Hi"), PICTURE, PICTURE, whole(content="No")], "Hi\n\nNo", (SHOWN, OTHER)),
    ],
)
def test_a_note_is_told_once_whenever_it_turns_up(
    monkeypatch: pytest.MonkeyPatch, chunks: list[Any], text: str, notes: tuple[str, ...]
) -> None:
    with embedded(monkeypatch, stream(*chunks), "m"), new_client(api_base_url="local") as client:
        for answer in answers(client):
            assert (answer.text, answer.notes, answer.extra) == (text, notes, {})
