"""A set-up is examined over real HTTP, against what servers, gateways and proxies were seen to answer."""

from __future__ import annotations

import importlib.metadata
import json
import re
import socket
import time
from email.utils import formatdate
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from cozeloop_magic import new_client
from cozeloop_magic.authoring import packages
from cozeloop_magic.authoring.doctor import Finding, examine
from cozeloop_magic.cli.commands import main
from cozeloop_magic.local.store import Store
from cozeloop_magic.tape import RECORDING
from tests.conftest import TOKEN
from tests.local.conftest import TOKEN as LOCAL_TOKEN
from tests.local.conftest import Parrot, Server, store
from tests.oauth import a_key, pem_of, tokens
from tests.wire_server import Request, Script, answer

__all__ = ["store"]

PROMPT = {"id": "7", "prompt_key": "greet", "latest_version": "1.0.0"}
LIST = {"code": 0, "data": {"prompts": [PROMPT], "total": 1}}
MGET = {"code": 0, "data": {"items": [{"prompt": {"prompt_key": "greet", "version": "1.0.0"}}]}}
COMMITS = {"code": 0, "data": {"prompt_commit_infos": [], "has_more": False}}
NO_VERSION = {"code": 600501002, "msg": "prompt version does not exist"}
KEY_EXISTS = {"code": 600501008, "msg": "prompt key already exists"}
VERSION_EXISTS = {"code": 600501009, "msg": "prompt version already exists"}
NO_DRAFT = {"code": 600501001, "msg": "Prompt draft is not found"}
FORBIDDEN = {"code": 600500101, "msg": "no permission"}
HTML = "<html><title>Sign in</title></html>"


def platform(**answers: Any) -> Script:
    """The hosted API: an answer by the last part of the path, a body or a whole script."""
    there = {"list": LIST, "mget": MGET, "execute": NO_VERSION, "evaluators": {"code": 0, "data": {}}}
    there |= {"prompts": KEY_EXISTS, "commit": VERSION_EXISTS} | answers

    def script(request: Request, connection: socket.socket) -> None:
        parts = request.path.partition("?")[0].split("/")
        name = "evaluators" if "evaluators" in parts else "commits" if "commits" in parts else parts[-1]
        found = there.get(name, COMMITS)
        (found if callable(found) else answer(found))(request, connection)

    return script


def examined(**config: str) -> dict[str, Finding]:
    found = list(examine(config=config))
    assert len({each.check for each in found}) == len(found)
    assert TOKEN not in repr(found) and TOKEN[4:] not in repr(found)
    assert all(each.mend for each in found if each.ok is False)
    return {each.check: each for each in found}


@pytest.fixture
def hosted(serve: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(script: Script) -> Any:
        server = serve(script)
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        return server

    return start


def test_a_platform_that_is_well(hosted: Any) -> None:
    server = hosted(platform())
    found = examined()
    for check in ("settings", "address", "Loop API", "token", "workspace", "list prompts", "read prompts"):
        assert found[check].ok, check
    assert found["run prompts"].ok and found["read versions"].ok and found["evaluation API"].ok
    assert found["kept answers"].ok
    executed = [request.body for request in server.requests if request.path.endswith("/execute")]
    assert [each["prompt_identifier"]["version"] for each in executed] == ["0.0.0-doctor"]  # no token was spent
    assert found["create prompts"].ok and found["write prompts"].ok
    written = [request for request in server.requests if request.path.endswith(("/prompts", "/commit", "/save"))]
    asked = [
        (each.path, {name: each.body.get(name) for name in ("prompt_key", "commit_version")}) for each in written
    ]
    assert asked == [  # a key and a version that are there: no server takes them again
        ("/v1/loop/prompts", {"prompt_key": "greet", "commit_version": None}),
        ("/v1/loop/prompts/7/drafts/commit", {"prompt_key": None, "commit_version": "1.0.0"}),
    ]


@pytest.mark.parametrize(
    ("script", "wrong", "mend"),
    [
        (answer("Method Not Allowed", "405 Method Not Allowed", "text/plain"), "Loop API", "a port of its own"),
        (answer(HTML, content_type="text/html"), "Loop API", "login page"),
        (answer("", "302 Found", Location="https://login.example.com/x"), "Loop API", "the API's own address"),
        (
            answer({"code": 4100, "msg": "authentication is invalid"}, "401 Unauthorized"),
            "token",
            "COZELOOP_API_TOKEN",
        ),
        (answer(FORBIDDEN), "workspace", "workspace id"),
        (answer({"code": 1, "msg": "internal error"}, "500 Server Error"), "Loop API", "ask whoever runs"),
        (answer("nothing here", "404 Not Found", "text/plain"), "Loop API", "COZELOOP_API_BASE_URL"),
    ],
)
def test_how_far_a_call_comes_is_told_with_what_mends_it(hosted: Any, script: Script, wrong: str, mend: str) -> None:
    hosted(script)
    found = examined()
    failed = [each for each in found.values() if each.ok is False]
    assert [each.check for each in failed] == [wrong] and mend in failed[0].mend
    assert found["address"].ok and "read prompts" not in found


def test_an_address_where_nobody_is(hosted: Any) -> None:
    hosted(platform()).stop()
    found = examined()
    assert found["address"].ok is False and "whether the server runs" in found["address"].mend


def test_permissions_are_told_one_by_one(hosted: Any) -> None:
    hosted(platform(execute=FORBIDDEN, mget=FORBIDDEN))
    found = examined()
    assert found["list prompts"].ok and found["read versions"].ok
    assert found["read prompts"].ok is False and found["run prompts"].ok is False
    assert "executePrompt to run, readPrompt to look" in found["run prompts"].mend
    assert found["create prompts"].ok and found["write prompts"].ok


@pytest.mark.parametrize(("create", "commit"), [(KEY_EXISTS, NO_DRAFT), (KEY_EXISTS, VERSION_EXISTS)])
def test_the_permission_to_write_is_told_by_how_it_is_refused(hosted: Any, create: Any, commit: Any) -> None:
    hosted(platform(prompts=create, commit=commit))
    found = examined()
    assert found["create prompts"].ok and found["write prompts"].ok


def test_a_token_that_may_not_write(hosted: Any) -> None:
    hosted(platform(prompts=FORBIDDEN, commit=FORBIDDEN))
    found = examined()
    assert found["create prompts"].ok is found["write prompts"].ok is False
    assert "to create prompts" in found["create prompts"].mend and "to edit prompts" in found["write prompts"].mend


def test_a_prompt_of_somebody_else_is_nothing_to_mend(hosted: Any) -> None:
    hosted(platform(commit=FORBIDDEN))
    found = examined()["write prompts"]
    assert found.ok is None and found.seen.startswith("not greet: ")


def test_nothing_is_left_behind_where_a_key_may_be_taken_twice(hosted: Any) -> None:
    server = hosted(platform(prompts={"code": 0, "prompt_id": "9"}))
    assert examined()["create prompts"].ok
    assert [each.path for each in server.requests if each.method == "DELETE"] == [
        "/v1/loop/prompts/9?workspace_id=73917"
    ]


class TestPackages:
    def test_versions_are_told(self, hosted: Any) -> None:
        hosted(platform())
        found = examined()
        for name in ("cozeloop-magic", "Python", "ipython", "anywidget"):
            assert re.search(rf"\b{name} \d+\.\d", found["packages"].seen), name
        assert found["packages"].ok and re.search(r"ipykernel \d", found["front end"].seen)
        assert "starlette 0." in found["[local]"].seen or "starlette 1." in found["[local]"].seen

    def test_one_that_is_too_old_or_missing_is_told_with_the_command(
        self, hosted: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hosted(platform())

        def version(name: str) -> str:
            if name == "pandas":
                raise PackageNotFoundError(name)
            return {"requests": "2.0"}.get(name) or importlib.metadata.version(name)

        monkeypatch.setattr("cozeloop_magic.authoring.packages.version", version)
        found = examined()
        assert found["packages"].ok is False and 'pip install --upgrade "requests>=2.31"' in found["packages"].mend
        assert found["[batch]"].ok is None and found["[batch]"].seen == "without pandas"
        assert found["[batch]"].mend == 'Install it in the checkout: pip install ".[batch]".'

    def test_a_checkout_that_is_not_installed_tells_what_it_can(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing(name: str) -> Any:
            raise PackageNotFoundError(name)

        monkeypatch.setattr("cozeloop_magic.authoring.packages.requires", nothing)
        assert packages.of_package() == packages.of_package("local") == []


def test_a_workspace_without_prompts_and_a_server_without_evaluation(hosted: Any) -> None:
    hosted(platform(list={"code": 0, "data": {"prompts": [], "total": 0}}, evaluators=answer("no", "404 Not Found")))
    found = examined()
    assert "%loop new KEY --define" in found["read, run prompts"].mend
    assert found["evaluation API"] == Finding("evaluation API", None, "not there")


class TestClock:
    @pytest.mark.parametrize("hours", [-2, 3])
    def test_one_that_is_wrong_breaks_signed_claims_and_is_told(
        self, serve: Any, monkeypatch: pytest.MonkeyPatch, hours: int
    ) -> None:
        date = formatdate(time.time() + hours * 3600, usegmt=True)
        server = serve(platform(list=answer(LIST, Date=date), token=tokens(900), **{"": answer("", Date=date)}))
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_JWT_OAUTH_CLIENT_ID", "app")
        monkeypatch.setenv("COZELOOP_JWT_OAUTH_PRIVATE_KEY", pem_of(a_key()))
        monkeypatch.setenv("COZELOOP_JWT_OAUTH_PUBLIC_KEY_ID", "kid")
        clock = examined()["clock"]
        assert clock.ok is False and ("behind" if hours > 0 else "ahead of") in clock.seen and "clock" in clock.mend

    def test_a_token_does_not_mind(self, hosted: Any) -> None:
        hosted(platform(**{"": answer("", Date=formatdate(time.time() + 3600, usegmt=True))}))
        assert examined()["clock"].ok is None

    def test_one_that_is_right(self, hosted: Any) -> None:
        hosted(platform(**{"": answer("", Date=formatdate(usegmt=True))}))
        assert examined()["clock"].seen == "as the server's"


def test_a_proxy_is_named_without_its_password(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(answer("denied", "407 Proxy Authentication Required", "text/plain"))
    monkeypatch.setenv("HTTP_PROXY", f"http://ada:hunter2@{proxy.host}")
    monkeypatch.setenv("COZELOOP_API_BASE_URL", "http://loop.invalid")
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    found = examined()
    assert found["proxy"].seen == f"calls go through {proxy.host}" and "hunter2" not in repr(found)
    assert "HTTP_PROXY" in next(each for each in found.values() if each.ok is False).mend


def test_a_tape_is_asked_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, hosted: Any) -> None:
    server = hosted(platform())
    writer = RECORDING.begin(tmp_path / "lesson.loop")
    with new_client() as client:
        client.get_prompt("greet")
    assert RECORDING.end() is writer and len(server.requests) == 1
    monkeypatch.setenv("COZELOOP_MAGIC_TAPE", str(writer.path))
    found = examined()
    assert "%loop replay stop" in found["tape"].mend and "address" not in found and len(server.requests) == 1


def test_half_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    settings = examined()["settings"]
    assert settings.ok is False and "COZELOOP_WORKSPACE_ID missing" in settings.seen


def test_kept_answers_that_cannot_be_read(hosted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    hosted(platform())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tmp_path / "file" / "below"))
    assert examined()["kept answers"].ok is False


def test_a_terminal_tells_by_its_exit_code(
    store: Store, hosted: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    server = Server(store, Parrot())
    try:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", server.workspace_id)
        monkeypatch.setenv("COZELOOP_API_TOKEN", LOCAL_TOKEN)
        assert main(["doctor"]) == 0
        assert "Nothing is wrong." in capsys.readouterr().out
        monkeypatch.setenv("COZELOOP_API_TOKEN", "another")
        assert main(["doctor", "--json"]) == 1
        rows = json.loads(capsys.readouterr().out)
        assert [row["check"] for row in rows if row["ok"] is False] == ["token"]
    finally:
        server.stop()
