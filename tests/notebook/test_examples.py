"""The two examples of each magic run as they are written."""

from __future__ import annotations

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.local.samples import reviews
from cozeloop_magic.notebook.examples import EXAMPLES
from tests.local.conftest import Server


@pytest.mark.parametrize("magic", EXAMPLES)
def test_they_run(shell: InteractiveShell, loop: Server, magic: str) -> None:
    first, second = (f"%{each}" for each in EXAMPLES[magic].removeprefix("%").replace("\n\n%", "\0").split("\0"))
    shell.user_ns["reviews"] = pd.DataFrame(reviews()[:6])
    assert shell.run_cell(first).success
    assert shell.run_cell(second).success


@pytest.mark.parametrize("magic", EXAMPLES)
def test_the_manual_begins_with_them(shell: InteractiveShell, magic: str) -> None:
    manual = shell.find_cell_magic(magic).__doc__
    assert manual.startswith(f"::\n\n  {EXAMPLES[magic].splitlines()[0]}\n")
    assert manual.index(EXAMPLES[magic].splitlines()[-1]) < manual.index("positional arguments:")
