"""Every way in which a call fails, and what a person reads then: the table `messages.md`.

It is written anew by ``python -m tests.client.test_messages``; whoever does so reads what has changed.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from cozeloop_magic import LoopError
from tests.client.cases import CASES, Case, a_world

TABLE = Path(__file__).with_name("messages.md")
ALL = {(heading, name): case for heading, cases in CASES.items() for name, case in cases.items()}


def told(case: Case, folder: Path) -> str:
    """Let it fail, and give what a person reads; ports, and how much had come, differ from run to run."""
    with a_world(folder) as world, pytest.raises(LoopError) as caught:
        case(world)
    text = f"{type(caught.value).__name__}: {caught.value}"
    for host in world.hosts:
        text = text.replace(host, "HOST")
    return re.sub(r"[\d,]+ bytes received", "N bytes received", text)


def row(name: str, text: str) -> str:
    escaped = text.replace("|", r"\|")
    return f"| {name} | {escaped} |"


def approved() -> dict[tuple[str, str], str]:
    """Read the table: what is said, by heading and case."""
    parts = re.split(r"^## (.+)$", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    rows = {
        heading: re.findall(r"^\| (.+?) \| (\w+: .+) \|$", text, re.MULTILINE)
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {(heading, name): text.replace(r"\|", "|") for heading, found in rows.items() for name, text in found}


@pytest.mark.parametrize(("heading", "name"), ALL)
def test_a_person_reads_what_was_approved(heading: str, name: str, tmp_path: Path) -> None:
    assert told(ALL[heading, name], tmp_path) == approved().get((heading, name))


def test_the_table_holds_these_cases_and_no_others() -> None:
    assert list(approved()) == list(ALL)


def main() -> None:
    lines = [
        "# What a person reads when a call fails",
        "",
        "`HOST` stands for the server's host and port, `N` for a number.",
    ]
    for heading, cases in CASES.items():
        lines += ["", f"## {heading}", "", "| case | what a person reads |", "|---|---|"]
        for name, case in cases.items():
            with tempfile.TemporaryDirectory() as folder:
                lines.append(row(name, told(case, Path(folder))))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
