"""Which models the environment chooses for the embedded Loop."""

from __future__ import annotations

import pytest

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local.choice import Endpoint, Gguf, chosen_model

ENDPOINT = {
    "COZELOOP_MAGIC_OPENAI_BASE_URL": "http://localhost:11434/v1",
    "COZELOOP_MAGIC_OPENAI_MODEL": "llama3",
}


class TestTheChoiceOfModel:
    def test_the_default_is_a_file_of_ours(self):
        assert chosen_model({}) == Gguf(None)

    def test_an_endpoint_s_key_is_not_shown(self):
        environment = {
            "COZELOOP_MAGIC_OPENAI_BASE_URL": "http://localhost:11434/v1",
            "COZELOOP_MAGIC_OPENAI_MODEL": "llama3",
            "COZELOOP_MAGIC_OPENAI_API_KEY": "sk-secret",
        }
        choice = chosen_model(environment)
        assert choice == Endpoint("http://localhost:11434/v1", ("llama3",), "sk-secret")
        assert "sk-secret" not in repr(choice) + choice.fingerprint

    @pytest.mark.parametrize("name", ["BASE_URL", "MODEL"])
    def test_half_an_endpoint_is_an_error(self, name):
        with pytest.raises(LocalLoopError, match="not set"):
            chosen_model({f"COZELOOP_MAGIC_OPENAI_{name}": "x"})

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("OPENAI_BASE_URL", "https://me:s3cret@example.com/v1", "COZELOOP_MAGIC_OPENAI_API_KEY"),
            ("OPENAI_BASE_URL", "localhost:11434", "must be a URL"),
            ("OPENAI_BASE_URL", "http://localhost:99999", "must be a URL"),
            ("OPENAI_API_KEY", "s3cret\u2019", "copy it again"),
            ("OPENAI_MODEL", " , ", "COZELOOP_MAGIC_OPENAI_MODEL is not set"),
            ("GGUF", "x.gguf", "both set"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_and_no_secret_told(self, name, value, words):
        environment = {
            "COZELOOP_MAGIC_OPENAI_BASE_URL": "http://localhost:11434/v1",
            "COZELOOP_MAGIC_OPENAI_MODEL": "llama3",
            f"COZELOOP_MAGIC_{name}": value,
        }
        with pytest.raises(LocalLoopError, match=words) as caught:
            chosen_model(environment)
        assert "s3cret" not in str(caught.value)

    def test_each_has_its_own_server(self):
        choices = [Gguf(None), Endpoint("http://a", ("b",), "c"), Endpoint("http://a", ("b",), "d")]
        assert len({choice.fingerprint for choice in choices}) == 3
