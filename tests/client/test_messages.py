"""What a person sees of every way a call can fail: read, found clear, and approved in `messages.md`.

After a change that is meant, ``REWRITE_MESSAGES=1 pytest tests/client/test_messages.py`` writes that table anew; its
diff is what there is to read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from cozeloop_magic import errors
from tests.client.cases import CASES, Stage

TABLE = Path(__file__).with_name("messages.md")
REWRITES = "REWRITE_MESSAGES" in os.environ
HEAD = """# What a person sees

`test_messages.py` makes each case happen and compares. `HOST` stands for a server's host and port, `N` for a number
of bytes that depends on how the network cut them.
"""
ALL = [(heading, case) for heading, cases in CASES.items() for case in cases]


def read() -> dict[tuple[str, str], str]:
    """Give what the table approves, by heading and case."""
    rows, heading = {}, ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and line != "| case | what a person sees |":
            case, text = line[2:-2].split(" | ", 1)
            rows[heading, case] = text
    return rows


def write(told: Mapping[tuple[str, str], str]) -> None:
    lines = [HEAD]
    for heading, cases in CASES.items():
        rows = [f"| {case} | {told[heading, case]} |" for case in cases if (heading, case) in told]
        lines += [f"## {heading}", "", "| case | what a person sees |", "|---|---|", *rows, ""]
    TABLE.write_text("\n".join(lines), encoding="utf-8")


def seen(error: BaseException) -> str:
    """Give what a person sees, as the table has it."""
    text = re.sub(r"127\.0\.0\.1(:\d+)?", "HOST", str(error))
    if isinstance(error, errors.UnreadableEvent):  # more may have come with it
        text = re.sub(r"[\d,]+ bytes", "N bytes", text)
    return f"`{type(error).__name__}`: " + text.replace("|", r"\|").replace("<", r"\<").replace("\n", "<br>")


@pytest.fixture(scope="module")
def told() -> Iterator[dict[tuple[str, str], str]]:
    """What was told so far."""
    rows: dict[tuple[str, str], str] = {}
    yield rows
    if REWRITES:
        write(rows)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(request, stack)


@pytest.mark.parametrize(("heading", "case"), ALL)
def test_a_person_is_told(stage: Stage, told: dict[tuple[str, str], str], heading: str, case: str) -> None:
    with pytest.raises((errors.LoopError, TimeoutError)) as caught:
        CASES[heading][case](stage)
    told[heading, case] = seen(caught.value)
    assert REWRITES or told[heading, case] == read().get((heading, case))


@pytest.mark.skipif(REWRITES, reason="the table is being written")
class TestTable:
    def test_holds_these_cases_and_no_others(self) -> None:
        assert list(read()) == ALL

    def test_holds_sentences(self) -> None:
        """They end in one full stop; behind it comes nothing but the log id, or the line of a cell."""
        ends = re.compile(r"([^.?!]\.|: from \S+ import \w+)( \(log id log-1\))?(<br>.*)?$")
        odd = re.compile(r"[^.]\.\.[^.]|  ")
        wrong = [text for text in read().values() if not ends.search(text) or odd.search(text.partition("<br>")[0])]
        assert not wrong
