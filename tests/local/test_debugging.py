"""What the switches for debugging show of a server: how it goes, and nothing that is secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
import requests

from cozeloop_magic.local import paths
from tests.local.conftest import asked

KEY = "sk-s3cret-of-the-endpoint"
SWITCHES = {
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONWARNINGS": "default",
    "OPENAI_LOG": "debug",
    "HTTPX_LOG_LEVEL": "trace",
    "PYTHONPATH": "",
}
LOUD = """
import http.client, logging
logging.basicConfig(level=1)
http.client.HTTPConnection.debuglevel = 1
for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "httpx", "httpcore", "openai"):
    logging.getLogger(name).setLevel(1)
"""


@contextmanager
def served(environment, tmp_path):
    """A server in the foreground with all its logging on, and a file with all that it wrote."""
    (tmp_path / "sitecustomize.py").write_text(LOUD)
    said = tmp_path / "said"
    code = (
        "from cozeloop_magic.local.server import serve\n"
        "import json, sys\n"
        "def tell(loop):\n"
        "    print(json.dumps([loop.base_url, loop.workspace_id, loop.token]), flush=True)\n"
        "serve('127.0.0.1', 0, announce=tell)"
    )
    environment = {**os.environ, **SWITCHES, "PYTHONPATH": str(tmp_path), **environment}
    with (
        said.open("wb") as err,
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=err, env=environment
        ) as process,
    ):
        try:
            yield (*json.loads(process.stdout.readline()), said)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.mark.parametrize("path", ["execute", "execute_streaming"])
def test_no_token_and_no_key_is_shown(monkeypatch, tmp_path, path):
    environment = {
        "COZELOOP_MAGIC_OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "COZELOOP_MAGIC_OPENAI_MODEL": "m",
        "COZELOOP_MAGIC_OPENAI_API_KEY": KEY,
    }
    with served(environment, tmp_path) as (base_url, workspace_id, token, said):
        headers = {"Authorization": f"Bearer {token}"}
        body = {"workspace_id": workspace_id, **asked()}
        answer = requests.post(f"{base_url}/v1/loop/prompts/{path}", json=body, headers=headers, timeout=60)
        assert answer.json()["code"] != 0  # nobody listens there
        refused = requests.post(
            f"{base_url}/v1/loop/prompts/{path}", json=body, headers={"Authorization": "Bearer no"}
        )
        assert refused.status_code == 401
    written = said.read_bytes() + b"".join(log.read_bytes() for log in paths.runtime_dir().glob("*.log"))
    assert b"DEBUG" in written  # the switches do something
    for secret in (token, KEY):
        assert secret.encode() not in written
