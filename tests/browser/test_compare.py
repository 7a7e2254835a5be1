"""A comparison in JupyterLab: the grid streams, the verdict stands, and a reopened notebook still holds both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from nbconvert import HTMLExporter

from tests.browser.conftest import CONTRAST, Notebook
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop
from tests.wire_server import Script, delta, last, stream

Open = Callable[..., Notebook]

LOAD = (
    "%load_ext cozeloop_magic\n%config LoopMagics.keep = False\n"  # each is a first look
    "from cozeloop_magic.local.samples import reviews\nreviews = reviews()"
)
REVIEWS = (
    "%loop_compare classify_review -v 0.1.0 -v 0.2.0 --inputs reviews --map review=text \\\n"
    "    --expect label --check equals --seed {seed} --out cmp"
)
PROSE = (
    "%%loop_compare explain_concept -v 1.0.0 --set temperature=0,0.9 --grid concept --repeat 2 --diff --seed 7\n"
    "concept: [gravity, rain]\n---\nTake your time and explain it in detail."
)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_thirty_reviews_end_in_a_verdict_that_stays(open_notebook: Open, theme: str) -> None:
    seed = {"Light": 1, "Dark": 2}[theme]
    notebook = open_notebook(f"compare-{theme}", [LOAD, REVIEWS.format(seed=seed)], theme=f"JupyterLab {theme}")
    notebook.run(0)
    notebook.start(1)
    grid = notebook.appears(1, ".cozeloop-grid", 90)
    grid.locator("[data-state=done]").first.wait_for(timeout=60_000)
    notebook.wait(1, 120)

    verdict = notebook.appears(1, ".cozeloop-verdict")
    assert verdict.inner_text().startswith("0.2.0 is better than 0.1.0: ")
    assert "of 30 inputs pass the checks with 0.2.0" in verdict.inner_text()
    assert notebook.output(1).locator("svg").count() == 1
    assert notebook.output(1).locator(".cozeloop-grid").count() == 0
    assert notebook.page.evaluate(CONTRAST) == {}
    notebook.keep(1, f"compare-{theme.lower()}")

    saved = notebook.save()
    outputs = [output for output in saved.cells[1].outputs if "data" in output]
    assert set(outputs[-1].data) == {"text/html", "text/markdown", "text/plain"} and "widgets" not in saved.metadata
    assert outputs[-1].data["text/plain"].startswith("0.2.0 is better than 0.1.0")
    reopened = open_notebook(f"compare-{theme}", theme=f"JupyterLab {theme}")
    assert reopened.appears(1, ".cozeloop-verdict").inner_text() == verdict.inner_text()
    page, _ = HTMLExporter().from_filename(str(notebook.path))
    assert "0.2.0 is better than 0.1.0" in page


def test_answers_stream_side_by_side_and_stop_keeps_them(open_notebook: Open) -> None:
    notebook = open_notebook("compare-stream", [LOAD, PROSE])
    notebook.run(0)
    notebook.start(1)
    grid = notebook.appears(1, ".cozeloop-grid", 90)
    grid.locator("[data-state=streaming]").nth(1).wait_for(timeout=60_000)
    notebook.page.wait_for_timeout(1500)
    notebook.keep(1, "compare-streaming")
    grid.locator("button:text('Stop')").click()
    notebook.wait(1)
    assert "not run" in notebook.appears(1, ".cozeloop-comparison table").inner_text()
    assert "KeyboardInterrupt: stopped; what came is kept" in notebook.cell(1).inner_text()


def test_it_fits_a_narrow_page(open_notebook: Open) -> None:
    notebook = open_notebook("compare-narrow", [LOAD, REVIEWS.format(seed=3)])
    notebook.page.set_viewport_size({"width": 620, "height": 1300})
    notebook.run(0)
    notebook.start(1)
    notebook.wait(1, 120)
    verdict = notebook.appears(1, ".cozeloop-verdict")
    box, cell = verdict.bounding_box(), notebook.cell(1).bounding_box()
    assert box and cell and box["x"] + box["width"] <= cell["x"] + cell["width"]
    notebook.keep(1, "compare-narrow")


@pytest.fixture
def slow() -> Iterator[FakeLoop]:
    """A server that says a word each 20 ms; 2.0.0 says another one to each fifth input."""

    def reply(version: str, text: str) -> Script:
        new = version == "2.0.0" and int(text.split()[-1]) % 5 == 0
        words = f"{'new' if new else 'old'} words on {text} that come one by one".split(" ")

        def pieces() -> Iterator[bytes]:
            for word in words:
                time.sleep(0.02)
                yield delta(word + " ")
            yield last()

        return stream(pieces())

    with fake_loop(reply) as running:
        yield running


def load(loop: FakeLoop) -> str:
    given = {"API_BASE_URL": loop.server.url, "WORKSPACE_ID": "73917", "API_TOKEN": TOKEN}
    environ = {f"COZELOOP_{name}": value for name, value in given.items()}
    return f"import os\nos.environ.update({environ})\n%load_ext cozeloop_magic"


def test_pages_turn_while_it_runs_and_after(open_notebook: Open, slow: FakeLoop) -> None:
    inputs = "inputs = [{'text': f'text {n}'} for n in range(175)]"
    run = "%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs inputs --max-runs 350 -j 8"
    notebook = open_notebook("compare-pages", [f"{load(slow)}\n{inputs}", run])
    notebook.run(0)
    notebook.start(1)
    grid = notebook.appears(1, ".cozeloop-grid", 60)
    grid.locator("[data-state=done]").first.wait_for()
    which = grid.locator(".cozeloop-pager .cozeloop-count")
    assert grid.locator("tbody tr").count() == 12 and which.inner_text().startswith("inputs 1 to 12 of 175")
    grid.get_by_role("button", name="Next inputs").click()
    grid.get_by_role("button", name="Next inputs").click()
    grid.locator(".cozeloop-count:text('inputs 25 to 36 of 175')").wait_for(timeout=5_000)
    assert grid.locator("td.cozeloop-input").first.inner_text() == "text 24"
    assert grid.get_by_role("button", name="Show what is under way").get_attribute("aria-pressed") == "false"
    grid.get_by_role("button", name="Show what is done and differs").click()
    grid.locator(".cozeloop-count:text('that differ')").wait_for(timeout=5_000)
    notebook.keep(1, "compare-pages-live")
    notebook.wait(1, 90)

    pages = notebook.appears(1, ".cozeloop-pages").locator("details.cozeloop-page")
    assert pages.count() == 2 + 5 and notebook.output(1).locator("details.cozeloop-page[open]").count() == 1
    assert notebook.output(1).locator("td.cozeloop-input:visible").count() == 30
    pages.nth(1).locator("summary").first.click()
    assert notebook.output(1).locator("details.cozeloop-page[open]").count() == 1
    assert notebook.output(1).locator("td.cozeloop-input:visible").count() == 5
    notebook.keep(1, "compare-pages")


RATED = "%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs inputs --decide human --out cmp"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_pairs_are_rated_blind_by_keyboard(open_notebook: Open, slow: FakeLoop, theme: str) -> None:
    inputs = "inputs = [{'text': f'text {5 * n}'} for n in range(9)]"
    notebook = open_notebook(
        f"rating-{theme}", [f"{load(slow)}\n{inputs}", RATED, "rating = cmp.rate()"], theme=f"JupyterLab {theme}"
    )
    notebook.run(0)
    notebook.run(1)
    assert "nobody has rated" in notebook.appears(1, ".cozeloop-verdict").inner_text()
    notebook.run(2)
    rating = notebook.appears(2, ".cozeloop-rating")
    count, sides = rating.locator(".cozeloop-count"), rating.locator(".cozeloop-side")
    sides.first.click()
    assert notebook.page.evaluate(CONTRAST) == {}
    notebook.keep(2, f"rating-{theme.lower()}")
    for at in range(8):
        rating.locator(f".cozeloop-count:text('{at + 1} of 9')").wait_for(timeout=5_000)
        assert "1.0.0" not in rating.inner_text() and "2.0.0" not in rating.inner_text()
        notebook.page.keyboard.press("ArrowLeft" if sides.first.inner_text().startswith("new") else "ArrowRight")
    rating.locator(".cozeloop-count:text('9 of 9')").wait_for(timeout=5_000)
    notebook.page.keyboard.press("Backspace")
    rating.locator(".cozeloop-count:text('8 of 9')").wait_for(timeout=5_000)
    new_left = sides.first.inner_text().startswith("new")
    rating.get_by_role("button", name=f"The {'left' if new_left else 'right'} answer is better").click()
    rating.locator(".cozeloop-count:text('9 of 9')").wait_for(timeout=5_000)
    notebook.page.keyboard.press("=")

    verdict = notebook.appears(2, ".cozeloop-verdict")
    said = "2.0.0 is better than 1.0.0: people prefer 2.0.0 on 8 of 9 inputs, 1.0.0 on 0, neither on 1"
    assert verdict.inner_text().startswith(said)
    assert "Of 9 pairs you preferred: 1.0.0 0, 2.0.0 8, neither 1." in notebook.output(2).inner_text()
    assert count.count() == 0 and notebook.page.evaluate(CONTRAST) == {}
    notebook.keep(2, f"rated-{theme.lower()}")
    saved = notebook.save()
    before, output = (output for output in saved.cells[2].outputs if "data" in output)
    assert (
        before.data == {"text/html": ""}
        and set(output.data) == {"text/html", "text/plain"}
        and output.data["text/plain"].startswith(said)
    )
    reopened = open_notebook(f"rating-{theme}", theme=f"JupyterLab {theme}")
    assert reopened.appears(2, ".cozeloop-verdict").inner_text().startswith(said)


def test_a_rating_that_is_ended_early_or_saved_in_the_middle_goes_on_where_it_was(
    open_notebook: Open, slow: FakeLoop
) -> None:
    inputs = "inputs = [{'text': f'text {5 * n}'} for n in range(4)]"
    notebook = open_notebook("rating-end", [f"{load(slow)}\n{inputs}", RATED, "rating = cmp.rate()"])
    for cell in range(3):
        notebook.run(cell)
    rating = notebook.appears(2, ".cozeloop-rating")
    rating.get_by_role("button", name="Neither is better").click()
    rating.locator(".cozeloop-count:text('2 of 4')").wait_for(timeout=5_000)
    rating.get_by_role("button", name="Rate no more").click()
    assert "3 more inputs are not rated." in notebook.appears(2, ".cozeloop-verdict").inner_text()
    notebook.run(2)
    notebook.appears(2, ".cozeloop-count:text('1 of 3')")
    assert notebook.cell(2).locator(".cozeloop-left").filter(visible=True).count() == 0
    saved = notebook.save().cells[2].outputs  # by its shortcut, which the rating leaves to the page
    assert "in the middle of a rating. What was rated is kept" in saved[0].data["text/plain"]
    notebook.page.evaluate("jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    reopened = open_notebook("rating-end")
    reopened.cell(2).locator(".cozeloop-left").filter(visible=True).wait_for(timeout=30_000)
    (said,) = reopened.output(2).filter(visible=True).all_inner_texts()
    assert "model not found" not in said
    reopened.keep(2, "rating-left")
