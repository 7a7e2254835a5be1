"""One server for each user and model, found by nobody's word but one's own."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import psutil
import pytest

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths, process
from cozeloop_magic.local.choice import chosen_model
from cozeloop_magic.local.process import LocalLoop, RuntimeFile, ensure_running, running
from cozeloop_magic.local.proof import prove
from tests.conftest import in_a_child

STRANGER = 54321
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives a file to another user")


@pytest.fixture(autouse=True)
def no_model(monkeypatch, tmp_path):
    """Serve a file that is no model: the server starts at once."""
    file = tmp_path / "no-model.gguf"
    file.write_text("This is no model.")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(file))


@pytest.fixture
def file(no_model):
    """The runtime file; what it names is ended afterwards."""
    file = RuntimeFile.of(chosen_model())
    yield file
    with suppress(LocalLoopError):
        loop = file.read()
        if loop and loop.pid:
            end(loop)


def end(loop):
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(loop.pid)
        server.kill()
        psutil.wait_procs([server], timeout=60)


def servers(file):
    """Count the processes that serve it."""
    return sum(
        str(file.path) in each.info["cmdline"] for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"]
    )


def refusal():
    with pytest.raises(LocalLoopError) as caught:
        ensure_running()
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


class TestOneServer:
    @pytest.fixture
    def impatient(self, monkeypatch):
        monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.3)
        monkeypatch.setattr(process, "HEALTH_SECONDS", 0.2)

    def test_no_second_one_starts_while_the_first_does_not_answer(self, file, impatient):
        loop = ensure_running()
        os.kill(loop.pid, signal.SIGSTOP)
        try:
            said = refusal()
            assert f"kill -9 {loop.pid}" in said and "0.3 s" in said
            assert servers(file) == 1
        finally:
            os.kill(loop.pid, signal.SIGCONT)
        assert ensure_running() == loop

    def test_one_that_answers_late_is_waited_for(self, file, monkeypatch):
        monkeypatch.setattr(process, "HEALTH_SECONDS", 0.1)
        loop = ensure_running()
        os.kill(loop.pid, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (loop.pid, signal.SIGCONT)).start()
        assert ensure_running() == loop and servers(file) == 1

    def test_the_hint_helps(self, file, impatient):
        loop = ensure_running()
        os.kill(loop.pid, signal.SIGSTOP)
        refusal()
        end(loop)
        assert ensure_running().pid != loop.pid

    def test_not_even_where_its_runtime_file_was_removed(self, file, impatient):
        loop = ensure_running()
        written = file.path.read_text()
        file.path.unlink()
        assert "cozeloop_magic.local.server" in refusal()
        assert servers(file) == 1
        file.path.write_text(written)
        assert ensure_running() == loop

    def test_not_even_where_it_is_started_by_hand(self, file):
        loop = ensure_running()
        command = [sys.executable, "-m", "cozeloop_magic.local.server", str(file.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and done.stderr == "Another embedded Loop of this model runs already.\n"
        assert ensure_running() == loop

    def test_looking_starts_none(self, file):
        assert running() is None and not file.is_alive()
        assert servers(file) == 0


@contextmanager
def accomplice(token):
    """A stranger's server that knows the token of the runtime file it planted."""
    seen = []

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            proof = prove(token, self.path.partition("nonce=")[2])
            self.wfile.write(json.dumps({"status": "ok", "proof": proof}).encode())

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield LocalLoop(f"http://127.0.0.1:{server.server_port}", "1", token, "x"), seen
        server.shutdown()
        thread.join()


@pytest.mark.skipif(os.name != "posix", reason="POSIX owners and modes")
class TestStrangers:
    @as_root
    @pytest.mark.parametrize("planted", ["the directory", "the file"])
    def test_what_another_user_owns_is_not_trusted(self, file, planted):
        with accomplice("planted") as (loop, seen):
            file.write(loop)
            assert process.still_there(loop)
            seen.clear()
            path = file.path.parent if planted == "the directory" else file.path
            os.chown(path, STRANGER, -1)
            said = refusal()
            assert seen == [] and str(path) in said and "another user" in said
            with pytest.raises(LocalLoopError):
                running()
            os.chown(path, os.geteuid(), -1)

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o722, 0o777])
    def test_nor_is_what_another_user_can_write(self, file, mode):
        with accomplice("planted") as (loop, seen):
            file.write(loop)
            for path in (file.path.parent, file.path):
                old = path.stat().st_mode
                path.chmod(mode)
                said = refusal()
                assert seen == [] and str(path) in said and "another user" in said
                path.chmod(old)

    def test_the_hint_mends_a_directory_of_one_s_own(self, file):
        directory = file.path.parent
        directory.chmod(0o777)
        command = refusal().partition("if it is yours: ")[2].partition(")")[0]
        subprocess.run(command.split(), check=True)
        assert ensure_running()

    @as_root
    @pytest.mark.parametrize("kind", [paths.data_dir, paths.cache_dir, paths.runtime_dir])
    def test_every_directory_is_looked_at(self, kind):
        directory = kind()
        os.chown(directory, STRANGER, -1)
        with pytest.raises(LocalLoopError, match="another user"):
            kind()

    @as_root
    @pytest.mark.parametrize("suffix", [process.STARTING, process.ALIVE, ".log", ".log.1"])
    def test_every_file_beside_it_too(self, file, suffix):
        path = file.path.with_suffix(suffix)
        path.touch()
        os.chown(path, STRANGER, -1)
        assert str(path) in refusal()
        os.chown(path, os.geteuid(), -1)


ODD = {
    "a FIFO": os.mkfifo,
    "a directory": os.mkdir,
    "a link that leads nowhere": lambda path: os.symlink("/nowhere/at/all", path),
    "a link to a file": lambda path: os.symlink("/etc/hostname", path),
    "a link to itself": lambda path: os.symlink(path, path),
}


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
class TestOddFiles:
    @pytest.mark.parametrize("suffix", [".json", process.STARTING, process.ALIVE, ".log", ".log.1"])
    @pytest.mark.parametrize("odd", ODD)
    def test_what_is_no_plain_file_is_told_and_hangs_nobody(self, file, suffix, odd):
        path = file.path.with_suffix(suffix)
        ODD[odd](path)
        said = refusal()
        assert str(path) in said and "no plain file" in said and "remove it" in said
        assert servers(file) == 0

    def test_a_server_that_meets_one_ends_with_a_sentence(self, file):
        os.mkfifo(file.path)
        command = [sys.executable, "-m", "cozeloop_magic.local.server", str(file.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "no plain file" in done.stderr and "Traceback" not in done.stderr

    @pytest.mark.parametrize("pid", [None, "12", [1]])
    def test_a_process_id_that_is_none_makes_no_sense(self, file, pid):
        file.write(LocalLoop("http://127.0.0.1:9", "1", "t", "m", pid))
        assert file.read() is None


@as_root
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
class TestNobody:
    """A user without an entry in the list of users, and without HOME, as a container may run one."""

    def homeless(self, chosen=None):
        os.setuid(STRANGER)
        os.environ.pop("HOME", None)
        os.environ.pop("COZELOOP_MAGIC_HOME", None)
        for name in [name for name in os.environ if name.startswith("XDG_")]:
            del os.environ[name]
        if chosen:
            os.environ["COZELOOP_MAGIC_HOME"] = chosen
        return [str(kind()) for kind in (paths.runtime_dir, paths.data_dir, paths.cache_dir)]

    def test_is_told_to_choose_a_directory(self):
        said = in_a_child(self.homeless)
        assert said.startswith("LocalLoopError: ") and "no home directory" in said and "COZELOOP_MAGIC_HOME" in said

    def test_also_where_the_choice_is_below_a_home_that_is_none(self):
        assert "no home directory" in in_a_child(lambda: self.homeless("~/loop"))

    def test_and_that_helps(self, tmp_path):
        for path in [tmp_path, *tmp_path.parents[:3]]:
            path.chmod(path.stat().st_mode | 0o011)
        chosen = tmp_path / "home"
        chosen.mkdir()
        os.chown(chosen, STRANGER, -1)
        assert str(chosen / "run") in in_a_child(lambda: self.homeless(str(chosen)))
