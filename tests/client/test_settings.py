"""Where the Loop is and who calls it."""

from __future__ import annotations

import pytest

from cozeloop_magic.client.settings import DEFAULT_BASE_URL, Settings
from cozeloop_magic.errors import ConfigurationError

TOKEN = {"COZELOOP_WORKSPACE_ID": "1", "COZELOOP_API_TOKEN": "pat_env"}


def test_nothing_configured_means_the_embedded_loop() -> None:
    assert Settings.gather({}, {}, {}).local
    assert Settings.gather({"workspace_id": None, "api_token": ""}, {"COZELOOP_API_TOKEN": " "}, {}).local


def test_the_embedded_loop_can_be_asked_for_by_name() -> None:
    assert Settings.gather({"api_base_url": "local"}, TOKEN, {}).local


def test_a_token_and_a_workspace_are_enough() -> None:
    settings = Settings.gather({}, TOKEN, {})
    assert (settings.api_base_url, settings.workspace_id, settings.api_token) == (DEFAULT_BASE_URL, "1", "pat_env")
    assert not settings.local


def test_arguments_come_before_the_environment_and_that_before_config() -> None:
    settings = Settings.gather(
        {"api_token": "pat_argument"},
        {**TOKEN, "COZELOOP_API_BASE_URL": "http://loop.example:8888/"},
        {"workspace_id": "2", "api_base_url": "http://other.example"},
    )
    assert (settings.api_token, settings.workspace_id) == ("pat_argument", "1")
    assert settings.api_base_url == "http://loop.example:8888"
    assert settings.sources == {
        "api_base_url": "COZELOOP_API_BASE_URL",
        "workspace_id": "COZELOOP_WORKSPACE_ID",
        "api_token": "argument",
    }


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"COZELOOP_WORKSPACE_ID": "1"}, "COZELOOP_API_TOKEN missing"),
        ({"COZELOOP_API_TOKEN": "x"}, "COZELOOP_WORKSPACE_ID missing"),
        ({"COZELOOP_API_BASE_URL": "http://x"}, "COZELOOP_WORKSPACE_ID and COZELOOP_API_TOKEN missing"),
        (
            {"COZELOOP_WORKSPACE_ID": "1", "COZELOOP_JWT_OAUTH_CLIENT_ID": "c"},
            "COZELOOP_JWT_OAUTH_PRIVATE_KEY and COZELOOP_JWT_OAUTH_PUBLIC_KEY_ID missing",
        ),
    ],
)
def test_half_a_configuration_is_an_error_that_names_the_other_half(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.gather({}, environ, {})
    assert missing in str(caught.value)
    assert all(name in str(caught.value) for name in environ)


@pytest.mark.parametrize(
    "url",
    [
        "loop.example",
        "ftp://loop.example",
        "http://",
        "https://me:pw@loop.example",
        "http://[::1",
        "http://loop.example:abc",
        "http://loop.example:99999",
        "http://loop example",
        "http://loop.example/?a=b",
        "http://loop.example/#",
        "http://loop.example?",
    ],
)
def test_an_odd_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="COZELOOP_API_BASE_URL"):
        Settings.gather({"api_base_url": url}, TOKEN, {})


@pytest.mark.parametrize(
    "value",
    [
        "pat_s3cr3t",
        "Bearer pat_s3cr3t",
        "eyJhbGciOi.s3cr3t.x",
        "s3cr3ts3cr3t",
        "http://loop.example?token=s3cr3t",
        "https://loop.example/#s3cr3t",
        "ftp://me:s3cr3t@loop.example",
        "http://me:s3cr3t@[::1",
    ],
)
@pytest.mark.parametrize("name", ["api_base_url", "workspace_id"])
def test_a_token_in_the_wrong_place_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"COZELOOP_{name.upper()}") as caught:
        Settings.gather({"workspace_id": "1", "api_token": "t", name: value}, {}, {})
    assert "s3cr3t" not in str(caught.value)


def test_no_secret_is_in_the_repr() -> None:
    settings = Settings.gather({"jwt_oauth_private_key": "k3y"}, {**TOKEN, "COZELOOP_API_TOKEN": "pat_s3cret"}, {})
    assert "s3cret" not in repr(settings) and "k3y" not in repr(settings)
