"""The script of Coze Loop's own documentation, against ``cozeloop-magic serve``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("sdk_script.py").read_text(encoding="utf-8")
SECTIONS = [
    "=== Sync Non-Stream Example ===",
    "=== Sync Stream Example ===",
    "=== Async Non-Stream Example ===",
    "=== Async Stream Example ===",
]

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment with the three variables that ``cozeloop-magic serve`` prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COZELOOP_")}
    environ |= {"COZELOOP_MAGIC_HOME": str(tmp_path_factory.mktemp("served")), "COZELOOP_MAGIC_GGUF": str(weights)}
    command = [sys.executable, "-m", "cozeloop_magic", "serve"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout
        lines = [server.stdout.readline() for _ in range(3)]
        variables = dict(re.fullmatch(r"export (\w+)=(\S+)\n", line).groups() for line in lines)  # type: ignore[union-attr]
        yield environ | variables
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
        assert server.returncode == 0


def sections(environ: dict[str, str], script: str) -> list[str]:
    """Run a script and cut what it prints at its four headings."""
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    parts = re.split("|".join(map(re.escape, SECTIONS)), done.stdout)
    assert [line for line in done.stdout.split("\n") if line in SECTIONS] == SECTIONS
    return parts[1:]


@pytest.mark.parametrize("module", ["cozeloop", "cozeloop_magic"])
def test_all_four_sections_print_message_finish_reason_and_usage(exported: dict[str, str], module: str) -> None:
    script = SCRIPT.replace("from cozeloop import", f"from {module} import").replace(
        "from cozeloop.entities", f"from {module}.entities"
    )
    for section in sections(exported, script):
        assert "Message: " in section
        assert re.search(r"^FinishReason: (stop|length)$", section, re.M)
        assert re.search(r"^Usage: .*\d", section, re.M)
    streamed = sections(exported, script)[1]
    assert streamed.count("Message: ") > 10
