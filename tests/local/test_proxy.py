"""A class behind a real nginx, as docs/class.md says, under a path: nothing is held back, and nothing is lost."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import warnings
from pathlib import Path

import pytest
import requests

from cozeloop_magic import new_client
from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role
from tests.local.conftest import Parrot, asked, eventually
from tests.local.test_class import MEMBERS

DOCS = Path(__file__).parents[2] / "docs" / "class.md"
PATH = "/services/loop"
GREET = {"topic": "tea", "user_request": "brewing it"}
CONFIGURATION = """
daemon off;
master_process off;
error_log stderr;
pid {home}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    scgi_temp_path {home}/scgi;
    uwsgi_temp_path {home}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""

pytestmark = [
    pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx on this machine"),
    pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20"),  # the SDK (0.1.28) has old names
]


class Halting(Parrot):
    """A model that says a word, and the next when it may."""

    def __init__(self):
        super().__init__()
        self.may = threading.Semaphore(0)

    def generate(self, messages, parameters, emit):
        for word in ("One ", "two."):
            if not emit(ExecuteResult(Message(Role.ASSISTANT, word))):
                break
            while not self.may.acquire(timeout=0.02):
                if not emit(ExecuteResult()):  # which sends nothing: a proxy's buffer is not to be filled
                    self.stopped_early.set()
                    return
        emit(ExecuteResult(finish_reason="stop"))


@pytest.fixture
def model():
    model = Halting()
    yield model
    model.may.release(1000)


@pytest.fixture(params=["path left on", "path taken off", "nothing else said"])
def server(request, start, model, tmp_path):
    """A class, and nginx in front of it."""
    server = start(model, members=MEMBERS, prefix=PATH)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    location = re.search(r"```nginx\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[1]
    end = "/;" if request.param == "path taken off" else ";"
    location = location.replace("http://127.0.0.1:8000;", f"{server.url}{end}")
    assert f"{server.url}{end}" in location
    if request.param == "nothing else said":  # nginx speaks HTTP/1.0 to it then, and would hold back all of a stream
        location = "\n".join(line for line in location.split("\n") if re.search("proxy_pass|[{}]", line))
    file = tmp_path / "nginx.conf"
    file.write_text(CONFIGURATION.format(home=tmp_path, port=port, location=location))
    with subprocess.Popen(["nginx", "-p", tmp_path, "-c", file], stderr=subprocess.PIPE) as nginx:
        url = f"http://127.0.0.1:{port}{PATH}"
        assert eventually(lambda: nginx.poll() is not None or is_up(url)) and nginx.poll() is None, (
            nginx.stderr.read()
        )
        server.public = url
        yield server
        model.may.release(1000)
        nginx.terminate()
        nginx.stderr.read()


def is_up(url):
    try:
        return requests.get(f"{url}/health").ok
    except requests.ConnectionError:
        return False


def client_of(server, member=1):
    return new_client(server.public, server.workspace_id, MEMBERS[member].token)


def test_an_answer_comes_piece_by_piece(server, model):
    with client_of(server) as client:
        pieces = client.execute_prompt("ptaas_demo", variable_vals=GREET, stream=True)
        assert next(pieces).text == "One "  # and the model has not been let to go on
        model.may.release(10)
        assert "".join(piece.text for piece in pieces) == "two."


def test_so_it_does_for_the_official_sdk(server, model):
    with warnings.catch_warnings(record=True):
        import cozeloop

        client = cozeloop.new_client(
            api_base_url=server.public, workspace_id=server.workspace_id, api_token=MEMBERS[1].token
        )
        try:
            pieces = iter(client.execute_prompt(prompt_key="ptaas_demo", variable_vals=GREET, stream=True))
            assert next(pieces).message.content == "One "
            model.may.release(10)
            assert "".join(piece.message.content or "" for piece in pieces if piece.message) == "two."
        finally:
            client.close()


def test_a_place_in_the_line_is_told_at_once(server, model):
    with client_of(server) as client, client_of(server, 2) as other:
        busy = [client.execute_prompt("ptaas_demo", variable_vals=GREET, stream=True) for _ in range(8)]
        threads = [threading.Thread(target=list, args=(pieces,)) for pieces in busy]
        for thread in threads:
            thread.start()
        assert eventually(lambda: len(server.queue.turns) == 8)
        body = {"workspace_id": server.workspace_id, **asked()}
        headers = {"Authorization": f"Bearer {MEMBERS[2].token}"}
        url = f"{server.public}/v1/loop/prompts/execute_streaming"
        with requests.post(url, json=body, headers=headers, stream=True, timeout=60) as response:
            lines = response.iter_lines(chunk_size=1)
            assert next(lines) == b": waiting: next in line"
            model.may.release(100)
            assert b"two." in b"".join(lines)
        for thread in threads:
            thread.join()
        assert [prompt.prompt_key for prompt in other.list_prompts().prompts]


def test_who_leaves_stops_the_model(server, model):
    with client_of(server) as client:
        pieces = client.execute_prompt("ptaas_demo", variable_vals=GREET, stream=True)
        next(pieces)
        pieces.close()
        assert model.stopped_early.wait(30)
        assert eventually(lambda: not server.queue.turns)


def test_prompts_are_listed_written_and_refused_as_without_it(server, model):
    with client_of(server) as client, client_of(server, 2) as other:
        prompt_id = client.prompts.create("song", "Song")
        client.prompts.save_draft(
            prompt_id, {"prompt_template": {"messages": [{"role": "user", "content": "Sing."}]}}
        )
        client.prompts.commit_draft(prompt_id, "1.0.0", "first")
        assert client.prompts.find("song").latest_version == "1.0.0"
        assert "song" not in [prompt.prompt_key for prompt in other.prompts.iterate()]
    assert requests.post(f"{server.public}/v1/loop/prompts/list").json()["code"] == 4100
    assert requests.get(server.public.replace(PATH, "/v1/loop/prompts/list")).headers["server"].startswith("nginx")


def test_the_page_of_the_class_is_there(server):
    page = requests.get(f"{server.public}/class")
    assert page.ok and "default-src 'none'" in page.headers["content-security-policy"]
    headers = {"Authorization": f"Bearer {MEMBERS[0].token}"}
    state = requests.get(f"{server.public}/class/state", headers=headers).json()
    assert [member["name"] for member in state["data"]["members"]] == ["teacher", "anna", "bob"]
