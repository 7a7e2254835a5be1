"""Which models can answer, and what chooses each."""

from __future__ import annotations

from pathlib import Path

import pytest

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local.available import available_models

ENDPOINT = {
    "COZELOOP_MAGIC_OPENAI_BASE_URL": "http://localhost:11434/v1",
    "COZELOOP_MAGIC_OPENAI_MODEL": "llama3, qwen3:8b",
    "COZELOOP_MAGIC_OPENAI_API_KEY": "sk-secret",
}


def listed(environment: dict[str, str]) -> list[tuple[str, str, bool, str]]:
    models = available_models(environment)
    assert "sk-secret" not in repr(models)
    return [(each.model, each.kind, each.chosen, each.how) for each in models[1:]]


def test_the_default_answers_where_nothing_is_set() -> None:
    (default,) = available_models({})
    assert default.chosen and default.kind == "default" and default.model.startswith("SmolLM2")


def test_each_model_of_an_endpoint_is_there_with_what_chooses_it() -> None:
    assert not available_models(ENDPOINT)[0].chosen
    assert listed(ENDPOINT) == [
        ("llama3", "endpoint", True, "COZELOOP_MAGIC_OPENAI_MODEL"),
        ("qwen3:8b", "endpoint", False, "--set model=qwen3:8b"),
    ]


def test_a_file_is_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    assert listed({"COZELOOP_MAGIC_GGUF": str(file)}) == [("mine", "GGUF", True, "COZELOOP_MAGIC_GGUF")]


def test_a_file_and_an_endpoint_are_an_error() -> None:
    with pytest.raises(LocalLoopError, match="both set"):
        available_models({**ENDPOINT, "COZELOOP_MAGIC_GGUF": "x.gguf"})
