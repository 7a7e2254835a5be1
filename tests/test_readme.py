"""What the README says is true: its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cozeloop_magic.cell.parse import parse_cell
from tests.embedded import Embedded, embedded_loop

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
CELLS = [code for _, code in BLOCKS if code.startswith("%") and not code.startswith("%loop record")]  # two sessions
SHELL = [
    line.partition("#")[0].split() for language, code in BLOCKS if language == "sh" for line in code.splitlines()
]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Embedded]:
    with embedded_loop(tmp_path_factory.mktemp("home"), weights) as loop:
        yield loop


def run(loop: Embedded, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], env=loop.environ, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.model
@pytest.mark.parametrize("code", PYTHON)
def test_the_scripts_run(loop: Embedded, code: str) -> None:
    assert len(run(loop, "-c", code).split()) > 10  # how much more is up to the model


@pytest.mark.model
def test_a_prompt_of_ones_own_can_be_made_again(loop: Embedded) -> None:
    (code,) = [each for each in PYTHON if "prompts.create" in each]
    first, second = (run(loop, "-c", code).split()[0] for _ in range(2))
    assert first != second


@pytest.mark.model
def test_the_cells_run(loop: Embedded) -> None:
    assert len(CELLS) == 6
    samples = "from cozeloop_magic.local.samples import reviews"
    cells = [f"import pandas as pd\n{samples}\nreviews = pd.DataFrame(reviews())", *CELLS]
    run_all = f"for cell in {cells!r}:\n    get_ipython().run_cell(cell).raise_error()\n"
    code = f"from IPython import get_ipython\n{run_all}"
    assert len(run(loop, "-m", "IPython", "--quick", "-c", code).split()) > 10


@pytest.mark.model
def test_the_terminal_commands_run(loop: Embedded) -> None:
    (command,) = [words for words in SHELL if words[:2] == ["cozeloop-magic", "run"]]
    assert len(run(loop, "-m", "cozeloop_magic", *command[1:]).split()) > 10


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [words[1] for words in SHELL if words[:1] == ["make"]]
    assert targets and all(re.search(rf"^{target}:", makefile, re.M) for target in targets)


def test_the_table_of_ways_to_write_is_the_grammar() -> None:
    written = re.findall(r"\| `((?:\w+:|\w+ =) [^`]*)`", README)
    assert len(written) >= 4
    for line in written:
        assert parse_cell(line.replace("\\|", "|\n  text")).variables


def test_the_pictures_and_links_are_there() -> None:
    local = re.findall(r'(?:src|srcset)="([^"]+)"', README) + re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert local and all((ROOT / target).exists() for target in local)


def test_the_options_and_variables_named_are_the_ones_there_are() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cozeloop_magic").rglob("*.py"))
    for variable in set(re.findall(r"COZELOOP_MAGIC_\w+", README)):
        assert variable in source
    for option in set(re.findall(r"`[^`]*?(--[a-z-]+)", README)):
        assert f'"{option}"' in source
