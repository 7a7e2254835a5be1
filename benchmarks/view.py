"""What a streaming answer costs the kernel, the wire and the browser: in real JupyterLab and Chromium.

One answer of 25 kB (headings, a list, a table, code, formulas, Chinese) in 5,000 tokens, from the same server, is
shown in three ways in one run: by this package, by `ipywidgets.HTML` with the whole text at 20 Hz, and by
`update_display` of Markdown at 20 Hz. All of it counts: reading the stream, and what is kept at the end. What reading
alone costs is measured first. Before that, each way shows a short answer, so that none pays for what is loaded once.

    python benchmarks/view.py [tokens a second, 0 for full speed] ...
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import psutil
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.conftest import ARGUMENTS, CHROMIUM, Notebook, go, jupyterlab, write
from tests.browser.server import Loop

TOKENS = 5_000
SECTION = r"""## 第{n}节 Section {n}

**Machine learning** 是人工智能的一个分支: a program that improves with *experience* instead of being told every rule.

1. Gather pairs $(x_i, y_i)$ and look at them.
2. Choose a model $f_\theta$, then minimise

$$
L(\theta) = \frac{1}{n}\sum_{i=1}^{n} \bigl(y_i - f_\theta(x_i)\bigr)^2
$$

| model | 优点 | error |
|:------|:----:|------:|
| linear | 简单 | 0.31 |
| tree | readable | 0.24 |

```python
def step(theta, x, y, eta=0.1):
    residual = x @ theta - y
    return theta - eta * 2 / len(y) * x.T @ residual
```

"""
END = "The answer ends here."
TEXT = (
    "".join(SECTION.replace("{n}", str(n)) for n in range(1, 60))[: 25_000 - len(END) - 2].rstrip("`") + "\n\n" + END
)

WAYS = {  # each shows the answer that is named `x`
    "nothing shown": f"follow(lambda text: None)\nprint({END!r})",
    "ours": "%%loop_prompt greet\nx = x",
    "ipywidgets.HTML": dedent(
        """
        box = ipywidgets.HTML()
        display(box)
        def show(text):
            box.value = render(text)
        follow(show)
        """
    ),
    "update_display": dedent(
        """
        handle = display(Markdown(""), display_id=True)
        def show(text):
            handle.update(Markdown(text))
        follow(show)
        """
    ),
}
SETUP = dedent(
    """
    import time, ipywidgets
    from IPython.display import Markdown, display
    from markdown_it import MarkdownIt
    from cozeloop_magic import new_client
    render = MarkdownIt("commonmark", {"html": False}).enable("table").render
    def follow(show):
        text, due = "", 0.0
        with new_client() as client:
            for piece in client.execute_prompt("greet", variable_vals={"x": x}, stream=True):
                text += str(piece)
                if time.monotonic() >= due:
                    show(text)
                    due = time.monotonic() + 0.05
        show(text)
    """
)
WATCH = """([cell, end]) => {
    const seen = (window.seen = { gap: 0, at: null });
    let before = performance.now();
    const look = (now) => {
        seen.gap = Math.max(seen.gap, now - before);
        before = now;
        const area = document.querySelectorAll(".jp-Notebook .jp-CodeCell")[cell].querySelector(".jp-OutputArea");
        if (area?.textContent.includes(end)) seen.at = Date.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


@dataclass(frozen=True)
class Measured:
    """What one way of showing cost."""

    megabytes: float
    messages: int
    kernel_cpu: float
    browser_cpu: float
    final_ms: float
    gap_ms: float


class PacedLoop(Loop):
    """It notes when its last token goes."""

    gone_at = 0.0


def answer(server: PacedLoop, rate: float) -> Iterator[str]:
    """Give the tokens at a steady rate, and note when the last one goes."""
    size = len(TEXT) / TOKENS
    began = time.monotonic()
    for n in range(TOKENS):
        if rate:
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
        server.gone_at = time.time()
        yield TEXT[round(n * size) : round((n + 1) * size)]


def browser_cpu() -> float:
    """Give the processor seconds of every process this one has started, except servers and kernels."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if "chrom" in process.name():
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.Error:
            pass  # it has just ended
    return total


def measured(notebook: Notebook, received: list[int], server: PacedLoop, cell: int) -> Measured:
    """Run one cell, between two that read the kernel's clock."""
    page = notebook.page
    notebook.run(cell - 1)
    page.evaluate(WATCH, [cell, END])
    count, size, cpu = len(received), sum(received), browser_cpu()
    notebook.start(cell)
    page.wait_for_function("window.seen.at !== null", timeout=180_000)
    notebook.wait(cell, 180)
    seen = page.evaluate("window.seen")
    cost = Measured(
        (sum(received) - size) / 1e6,
        len(received) - count,
        0.0,
        browser_cpu() - cpu,
        seen["at"] - server.gone_at * 1000,
        seen["gap"],
    )
    notebook.run(cell + 1)
    spent = float(re.findall(r"[\d.]+", notebook.output(cell + 1).inner_text())[0])
    return Measured(**{**cost.__dict__, "kernel_cpu": spent})


def run(page: Page, url: str, files: Path, server: PacedLoop, rate: float) -> dict[str, Measured]:
    """Show the answer in every way, in one notebook."""
    cells = [f"{server.cell}\n{SETUP}\nx = 'short'", *WAYS.values()]
    for way in WAYS.values():
        cells += ["x = 'long'; began = time.process_time()", way, "print(time.process_time() - began)"]
    path = files / f"view-{rate:g}.ipynb"
    write(path, cells)
    received: list[int] = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: received.append(len(frame))))
    notebook = go(page, url, path)
    notebook.run(0)
    for i in range(len(WAYS)):
        server.says("short", [TEXT[: TEXT.index("## ", 3)], END])
        notebook.run(1 + i)
    found = {}
    for i, name in enumerate(WAYS):
        server.says("long", answer(server, rate))
        found[name] = measured(notebook, received, server, 2 + len(WAYS) + 3 * i)
    return found


def report(rate: float, found: dict[str, Measured]) -> None:
    print(
        f"\n{len(TEXT.encode()):,} bytes in {TOKENS:,} tokens at {f'{rate:g} tokens/s' if rate else 'full speed'}\n"
    )
    print(f"{'':18}{'MB':>8}{'messages':>10}{'kernel s':>10}{'browser s':>11}{'final ms':>10}{'longest gap ms':>16}")
    for name, cost in found.items():
        print(
            f"{name:18}{cost.megabytes:8.2f}{cost.messages:10,}{cost.kernel_cpu:10.2f}{cost.browser_cpu:11.1f}"
            f"{cost.final_ms:10.0f}{cost.gap_ms:16.0f}"
        )
    ours = found["ours"]
    print(f"our view alone: kernel CPU {ours.kernel_cpu - found['nothing shown'].kernel_cpu:.2f} s")
    for name, cost in list(found.items())[2:]:
        of = [f"{name} / ours: bytes {cost.megabytes / ours.megabytes:.1f}"]
        of += [f"kernel CPU {cost.kernel_cpu / ours.kernel_cpu:.1f}"]
        of += [f"browser CPU {cost.browser_cpu / ours.browser_cpu:.1f}"]
        print(", ".join(of))


def main() -> None:
    rates = [float(rate) for rate in sys.argv[1:]] or [200.0, 0.0]
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with jupyterlab(Path(home), dict(os.environ)) as (url, files, _):
            for rate in rates:
                server = PacedLoop()
                report(
                    rate, run(browser.new_page(viewport={"width": 1000, "height": 1300}), url, files, server, rate)
                )
                server.stop()
        browser.close()


if __name__ == "__main__":
    main()
