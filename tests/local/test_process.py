"""The server as a process of its own: started, found again, gone."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths, process
from cozeloop_magic.local.choice import chosen_model
from cozeloop_magic.local.models import MODEL_FAILED
from cozeloop_magic.local.process import LocalLoop, RuntimeFile, ensure_running, still_there
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.server import serve
from tests.growth import lines_run
from tests.local.conftest import asked


@pytest.fixture(autouse=True)
def no_model(monkeypatch, tmp_path):
    """Serve a file that is no model: the server starts at once, and only a call of the model would fail."""
    file = tmp_path / "no-model.gguf"
    file.write_text("This is no model.")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(file))


@pytest.fixture(autouse=True)
def all_stopped(no_model):
    """Stop what a test started."""
    yield
    for file in paths.runtime_dir().glob("*.json"):
        loop = RuntimeFile(file).read()
        if loop:
            stop(loop)


def pid_of(loop):
    return requests.get(f"{loop.base_url}/health", timeout=5).json()["pid"]


def stop(loop, with_signal=signal.SIGKILL):
    """End a server, and wait until it is gone."""
    try:
        running = psutil.Process(pid_of(loop))
    except requests.RequestException:
        return
    running.send_signal(with_signal)
    assert psutil.wait_procs([running], timeout=60)[0]


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestStarting:
    def test_the_first_call_starts_it_and_the_next_finds_it(self):
        told = []
        loop = ensure_running(told.append)
        assert told == ["Starting the embedded Loop"]
        assert ensure_running(told.append) == loop and len(told) == 1

    def test_it_lets_its_token_in(self):
        loop = ensure_running()
        body = {"workspace_id": loop.workspace_id, "page_number": 1, "page_size": 9}
        headers = {"Authorization": f"Bearer {loop.token}"}
        response = requests.post(f"{loop.base_url}/v1/loop/prompts/list", json=body, headers=headers, timeout=5)
        assert response.json()["data"]["total"] == len(read_seeds())

    def test_finding_it_takes_a_look_at_a_file_and_a_short_question(self):
        ensure_running()
        assert lines_run(ensure_running) < 5_000

    def test_two_notebooks_at_once_start_one(self):
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: ensure_running(), range(2))
        assert first == second

    def test_it_outlives_the_one_who_started_it(self):
        code = "from cozeloop_magic.local.process import ensure_running; print(ensure_running().base_url)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert ensure_running().base_url == done.stdout.strip()

    def test_importing_it_imports_nothing_heavy(self):
        code = (
            "import sys, cozeloop_magic.local.process\n"
            "print({'starlette', 'uvicorn', 'xllamacpp', 'openai', 'jinja2', 'requests', 'yaml'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "set()"


class TestSecrets:
    def test_the_token_is_in_a_file_only_its_owner_can_read(self):
        loop = ensure_running()
        (file,) = paths.runtime_dir().glob("*.json")
        assert loop.token in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_it_is_in_no_repr_and_in_no_log(self):
        loop = ensure_running()
        assert loop.token not in repr(loop)
        assert all(loop.token not in log.read_text() for log in paths.runtime_dir().glob("*.log"))

    def test_a_stranger_on_the_port_is_not_told_the_token(self):
        seen = []

        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(str(self.headers) + self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"status": "ok", "pid": os.getpid(), "proof": "x"}).encode())

            def log_message(self, *args):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stale = LocalLoop(f"http://127.0.0.1:{server.server_port}", "1", "the-old-token", "x")
            RuntimeFile.of(chosen_model()).write(stale)
            assert ensure_running() != stale
            server.shutdown()
            thread.join()
        assert len(seen) == 2 and not any("the-old-token" in request for request in seen)


class TestEnding:
    def test_a_killed_server_is_started_anew(self):
        loop = ensure_running()
        stop(loop, signal.SIGKILL)
        again = ensure_running()
        assert again.base_url != loop.base_url and again.workspace_id == loop.workspace_id
        assert ensure_running() == again

    @pytest.mark.parametrize("base_url", ["http://127.0.0.1:99999", "5", "http://[::1", "", "\ud800", "http://a b"])
    def test_an_odd_address_in_the_runtime_file_starts_anew(self, base_url):
        odd = LocalLoop(base_url, "1", "t", "m")
        assert not still_there(odd)
        RuntimeFile.of(chosen_model()).write(odd)
        loop = ensure_running()
        assert loop != odd and RuntimeFile.of(chosen_model()).read() == loop

    def test_it_is_seen_at_once_that_it_is_gone_or_another(self):
        loop = ensure_running()
        assert still_there(loop) and not still_there(replace(loop, token="another"))
        stop(loop)
        assert not still_there(loop)

    def test_that_takes_one_short_question(self):
        loop = ensure_running()
        assert still_there(loop) and lines_run(lambda: still_there(loop)) < 2_000

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '{"base_url": 1}',
            '{"base_url": "http://127.0.0.1:9"}',
            "[" * 100_000,
            '{"base_url": 5, "workspace_id": "1", "token": "t", "model": "m"}',
        ],
    )
    def test_a_runtime_file_that_makes_no_sense_is_none(self, text):
        file = RuntimeFile.of(chosen_model())
        file.path.write_text(text)
        assert file.read() is None

    def test_a_server_that_is_told_to_end_takes_its_runtime_file_along(self):
        stop(ensure_running(), signal.SIGTERM)
        assert not list(paths.runtime_dir().glob("*.json"))

    def test_an_idle_one_ends_by_itself(self, monkeypatch):
        monkeypatch.setenv("COZELOOP_MAGIC_IDLE_SECONDS", "0.5")
        running = psutil.Process(pid_of(ensure_running()))
        assert psutil.wait_procs([running], timeout=60)[0]
        assert not list(paths.runtime_dir().glob("*.json"))


class TestFailing:
    def test_what_keeps_it_from_starting_is_told(self, monkeypatch):
        monkeypatch.setenv("COZELOOP_MAGIC_IDLE_SECONDS", "soon")
        with pytest.raises(LocalLoopError, match=r"could not convert string to float: 'soon'.*\.log"):
            ensure_running()

    def test_a_missing_extra_is_told_with_both_ways_out(self, monkeypatch):
        monkeypatch.setattr(process, "_MODULES", ("a_module_nobody_has",))
        with pytest.raises(LocalLoopError) as caught:
            ensure_running()
        assert 'pip install ".[local]"' in str(caught.value)
        assert "COZELOOP_API_BASE_URL" in str(caught.value)

    def test_a_model_file_that_is_not_there_is_told(self, monkeypatch, tmp_path):
        monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(tmp_path / "nothing.gguf"))
        with pytest.raises(LocalLoopError, match=r"nothing\.gguf"):
            ensure_running()

    def test_a_file_that_is_no_model_is_told_by_the_call_that_needs_it(self):
        loop = ensure_running()
        headers = {"Authorization": f"Bearer {loop.token}"}
        body = {"workspace_id": loop.workspace_id, **asked()}
        url = f"{loop.base_url}/v1/loop/prompts/execute"
        answer = requests.post(url, json=body, headers=headers, timeout=30).json()
        assert answer["code"] == MODEL_FAILED and "cannot load" in answer["msg"]
        assert pid_of(loop)


class TestServingInTheForeground:
    @pytest.fixture
    def served(self):
        code = (
            "from cozeloop_magic.local.server import serve\n"
            "serve('127.0.0.1', 0, announce=lambda l: print(l.base_url, l.workspace_id, l.token, flush=True))"
        )
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", code], **pipes, text=True) as served:
            yield served
            served.kill()

    def test_it_tells_where_it_is_and_ends_quietly_at_ctrl_c(self, served):
        base_url, workspace_id, token = served.stdout.readline().split()
        body = {"workspace_id": workspace_id, "queries": [{"prompt_key": "chat"}]}
        headers = {"Authorization": f"Bearer {token}"}
        assert (
            requests.post(f"{base_url}/v1/loop/prompts/mget", json=body, headers=headers, timeout=5).json()["code"]
            == 0
        )
        served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0

    @pytest.mark.model
    def test_ctrl_c_in_the_middle_of_an_answer_is_quiet_too(self, monkeypatch, weights, request):
        monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(weights))
        served = request.getfixturevalue("served")
        base_url, workspace_id, token = served.stdout.readline().split()
        body = {"workspace_id": workspace_id, **asked(custom_model_config={"model_id": "1", "max_tokens": 1000})}
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{base_url}/v1/loop/prompts/execute_streaming"
        with requests.post(url, json=body, headers=headers, stream=True, timeout=30) as response:
            next(response.iter_lines())
            served.send_signal(signal.SIGINT)
            assert served.wait(60) == 0
        assert served.stderr.read() == ""

    def test_a_port_that_is_taken_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(LocalLoopError, match="cannot listen"):
            serve("127.0.0.1", taken.getsockname()[1], announce=print)

    @pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99999), ("127.0.0.1", -1), ("a" * 70, 0), ("a..b", 0)])
    def test_what_is_no_port_or_address_is_told(self, host, port):
        with pytest.raises(LocalLoopError, match="cannot listen"):
            serve(host, port, announce=print)

    def test_notebooks_do_not_share_it_but_share_its_prompts(self, served):
        base_url, workspace_id, token = served.stdout.readline().split()
        loop = ensure_running()
        assert urlsplit(loop.base_url).port != urlsplit(base_url).port
        assert loop.token != token and loop.workspace_id == workspace_id
