"""An author's way in JupyterLab: from an empty notebook to an own prompt, its next version, and a verdict on it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator

from tests.browser.conftest import ARTEFACTS, CONTRAST, UNFRAMED, Notebook

Open = Callable[..., Notebook]

COMPLETER = ".jp-Completer:not(.lm-mod-hidden)"
HIGHEST = 470  # pixels of a picture
TOPICS = "topic: [tea, rain, cats, bread, chess, snow, trees, maps]"


class Author:
    """Somebody who types, completes, and runs cells."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook = notebook
        self.page = notebook.page

    def type(self, index: int, text: str) -> None:
        self.notebook.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    def complete(self, index: int, begun: str, whole: str) -> None:
        """Complete what is begun; what the server has may take a moment to be known."""
        self.type(index, begun)
        content = self.notebook.cell(index).locator(".cm-content")
        until = time.monotonic() + 60
        while whole not in content.inner_text():
            assert time.monotonic() < until, (content.inner_text(), self.page.locator(COMPLETER).all_inner_texts())
            self.type(index, "")  # Escape without a list to close leaves the cell
            self.page.keyboard.press("Tab")
            self.choose(content, whole)

    def choose(self, content: Locator, whole: str) -> None:
        """Choose what is meant where several are offered; a single one is put in at once."""
        item = self.page.locator(f"{COMPLETER} .jp-Completer-match", has_text=whole.split()[-1]).first
        for _ in range(50):
            self.page.wait_for_timeout(100)
            if whole in content.inner_text():
                return
            if item.count():
                item.click()
                return
        self.page.keyboard.press("Escape")

    def end_of_line(self, index: int, holding: str) -> None:
        """Put the cursor at the end of the line that holds a text."""
        self.notebook.cell(index).locator(".cm-line", has_text=holding).first.click()
        self.page.keyboard.press("End")

    def keep(self, index: int, name: str) -> None:
        """Keep a small picture of a cell, or of its upper part, as the README shows it."""
        ARTEFACTS.mkdir(exist_ok=True)
        self.page.mouse.move(0, 0)
        cell = self.notebook.cell(index)
        cell.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        box = cell.bounding_box()
        assert box
        clip = {name: box[name] for name in ("x", "y", "width")} | {"height": min(box["height"], HIGHEST)}
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path, clip=clip, style=UNFRAMED, scale="css")  # type: ignore[arg-type]

    def run(self, index: int, seconds: float = 60) -> None:
        """Run a cell and wait for it; a new cell comes below where there is none."""
        self.notebook.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        self.notebook.wait(index, seconds)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_from_nothing_to_a_verdict_on_an_own_prompt(open_notebook: Open, theme: str) -> None:
    key = {"Light": "describe_topic", "Dark": "sketch_topic"}[theme]
    author = Author(open_notebook(f"author-{theme}", ["%load_ext cozeloop_magic"], theme=f"JupyterLab {theme}"))
    notebook, keep = author.notebook, lambda index, name: author.keep(index, f"{name}-{theme.lower()}")
    author.run(0)

    author.complete(1, "%loop prom", "%loop prompts")
    author.run(1, 90)
    assert "explain_concept" in notebook.output(1).inner_text()
    keep(1, "author-prompts")

    author.type(2, f"%loop new {key} --define")
    author.run(2)
    cell = notebook.cell(3).locator(".cm-content")
    assert cell.inner_text().startswith(f"%%loop_define {key} --version 0.1.0")
    author.end_of_line(3, "temperature: 0.2")
    author.page.keyboard.press("ArrowLeft")
    author.page.keyboard.type(", max_tokens: 32")
    author.run(3)
    assert f"{key} @ 0.1.0 is committed" in notebook.output(3).inner_text()
    keep(3, "author-define")

    author.complete(4, f"%loop new {key[:4]}", f"%loop new {key}")
    author.type(4, " --define")
    author.run(4)
    author.end_of_line(5, "max_tokens: 32")
    author.page.keyboard.press("ArrowLeft")
    author.page.keyboard.press("Backspace")
    author.page.keyboard.press("Backspace")
    author.page.keyboard.type("8")
    author.run(5)
    changed = notebook.output(5)
    assert f"{key} @ 0.2.0 is committed, against 0.1.0" in changed.inner_text()
    assert (changed.locator("del").inner_text(), changed.locator("ins").inner_text()) == ("32", "8")
    keep(5, "author-change")

    author.complete(6, f"%%loop_compare {key} -v 0.1", f"%%loop_compare {key} -v 0.1.0")
    author.complete(6, " -v 0", f"%%loop_compare {key} -v 0.1.0 -v 0.2.0")
    author.complete(6, " --gr", "--grid")
    author.complete(6, " to", "--grid topic")
    author.type(6, " --check max_tokens:10\n")
    author.page.keyboard.insert_text(TOPICS)
    author.run(6, 240)
    verdict = notebook.appears(6, ".cozeloop-verdict")
    assert verdict.inner_text().startswith("0.2.0 is better than 0.1.0")
    keep(6, "author-verdict")
    assert notebook.page.evaluate(CONTRAST) == {}


def test_what_is_shown_of_a_prompt_and_of_a_set_up(open_notebook: Open) -> None:
    lines = ["%load_ext cozeloop_magic\n%loop", "%loop show ptaas_demo -v 0.0.5", "%loop diff summarize 1.0.0 2.0.0"]
    lines += ["%loop doctor", "%loop versions explain_concept", "%loop show classify_review"]
    for theme in ("Light", "Dark"):
        notebook = open_notebook(f"shown-{theme}", lines, theme=f"JupyterLab {theme}")
        for index in range(len(lines)):
            notebook.run(index)
            notebook.keep(index, f"shown-{index}-{theme.lower()}")
        answer = notebook.cell(3).locator("text=draws widgets: answers stream")
        answer.wait_for(timeout=10_000)
        assert "JupyterLab 4" in answer.inner_text() and "Nothing is wrong." in notebook.cell(3).inner_text()
        notebook.keep(3, f"doctor-{theme.lower()}")
        assert notebook.page.evaluate(CONTRAST) == {}
        saved = notebook.save()
        assert "widgets" not in saved.metadata and "draws widgets" in str(
            saved.cells[3].outputs[-1].data["text/plain"]
        )


def test_variables_that_are_missing_are_completed_in_a_body(open_notebook: Open) -> None:
    author = Author(open_notebook("complete", ["%load_ext cozeloop_magic\n%loop prompts", ""]))
    author.run(0, 90)
    author.type(1, "%%loop_prompt explain_concept --version 1.1.0\n")
    author.complete(1, "con", "concept: ")
    author.type(1, "rain\n")
    author.complete(1, "aud", "audience: ")
    said = author.notebook.cell(1).locator(".cm-content").inner_text()
    assert said.count("concept:") == 1 and said.count("audience:") == 1
