"""Answers out of all proportion, at full speed: the page goes on answering, and every word arrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Notebook
from tests.browser.server import Loop

Open = Callable[..., Notebook]

END = "\n\nThe answer ends here."
ANSWERS = {
    "1 MB": ["Some words of *prose* with `code` and more words, as they are in answers.\n\n"] * 13_000,
    "one line": ["word " * 10] * 4_000,
    "tiny deltas": ["a" if n % 7 else " " for n in range(100_000)],
    "deep list": [f"{'  ' * n}- item{n}\n" for n in range(200)],
    "open fence": ["```python\n", *["x = f(1)  # a comment\n"] * 9_000],
}
WATCH = """() => {
    const seen = (window.seen = { gap: 0 });
    let before = performance.now();
    const look = (now) => {
        seen.gap = Math.max(seen.gap, now - before);
        before = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""

GAP = "new Promise(requestAnimationFrame).then(() => window.seen.gap)"


@pytest.mark.parametrize("name", ANSWERS)
def test_the_page_goes_on_answering(open_notebook: Open, loop_server: Loop, name: str) -> None:
    loop_server.says("much", [*ANSWERS[name], END])
    cells = [loop_server.cell, "%%loop_prompt greet -o answer\nx: much", "print(len(str(answer)))", "answer"]
    notebook = open_notebook(f"robust-{name.replace(' ', '-')}", cells)
    notebook.run(0)
    notebook.page.evaluate(WATCH)
    notebook.start(1)
    notebook.wait(1, 120)
    notebook.appears(1, ".cozeloop-done .cozeloop-answer")
    gap = notebook.page.evaluate(GAP)
    assert (
        notebook.cell(1)
        .locator(".cozeloop-answer")
        .evaluate("(node, end) => node.textContent.includes(end)", END.strip())
    )
    notebook.run(2)
    assert int(notebook.output(2).inner_text()) == len("".join([*ANSWERS[name], END]))
    notebook.page.evaluate(WATCH)
    notebook.run(3)
    notebook.appears(3, ".cozeloop-answer")
    whole = notebook.page.evaluate(GAP)
    print(f"{name}: the longest frame took {gap:.0f} ms; {whole:.0f} ms when the whole answer is shown at once")
    assert gap < 3 * whole + 500  # milliseconds, whatever else the machine has to do
