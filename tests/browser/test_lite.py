"""A lesson plays in a browser alone: JupyterLite from a plain file server, with nobody else asked for anything."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page

from cozeloop_magic.tape import Exchange, Header, TapeWriter
from lite.build import build
from tests.browser.conftest import ARTEFACTS
from tests.wire_server import delta, last

pytestmark = pytest.mark.browser

CELLS = [
    "%load_ext cozeloop_magic\n%loop replay lesson.loop",
    "%%loop_prompt greet -v 1.0.0 --out answer\ntext: hello",
    "answer.split()[-1], answer.complete",
]
PROMPT = {
    "prompt_key": "greet",
    "version": "1.0.0",
    "prompt_template": {
        "template_type": "normal",
        "messages": [{"role": "user", "content": "{{text}}"}],
        "variable_defs": [{"key": "text", "type": "string"}],
    },
}


LESSONS = Path(__file__).parents[2] / "lessons"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def page_url(pyodide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    contents, output = tmp_path_factory.mktemp("contents"), tmp_path_factory.mktemp("lite") / "site"
    write_tape(contents / "lesson.loop")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), contents / "lesson.ipynb")
    for path in LESSONS.glob("is-it-better.*"):
        shutil.copy(path, contents)
    build(contents, output)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=output))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def write_tape(path: Path) -> None:
    """Write a tape whose answer takes its time."""
    writer, header = TapeWriter(path), Header("api.example.com", "2026-11-12T14:03:00+00:00")
    body = json.dumps({"code": 0, "msg": "", "data": {"items": [{"prompt": PROMPT}]}})
    query = {"queries": [{"prompt_key": "greet", "version": "1.0.0"}]}
    kind = {"Content-Type": "application/json"}
    writer.write(Exchange("POST", "/v1/loop/prompts/mget", query, 0.0, 200, kind, ((0.0, body),)), header)
    words = [f"word{number} " for number in range(20)]
    chunks = [(0.25 * number, delta(word).decode()) for number, word in enumerate(words)]
    asked = {
        "prompt_identifier": {"prompt_key": "greet", "version": "1.0.0"},
        "variable_vals": [{"key": "text", "value": "hello"}],
    }
    kind = {"Content-Type": "text/event-stream"}
    path_of_stream = "/v1/loop/prompts/execute_streaming"
    answer = Exchange("POST", path_of_stream, asked, 0.0, 200, kind, (*chunks, (5.0, last().decode())))
    writer.write(answer, header)


def open_lesson(page: Page, page_url: str, name: str) -> Locator:
    page.goto(f"{page_url}/lab/index.html?path={name}.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell")
    cells.nth(1).wait_for(timeout=120_000)
    page.get_by_text("Python (Pyodide) | Idle").wait_for(timeout=300_000)
    return cells


def test_an_answer_streams_from_its_tape_in_a_browser_alone(page_url: str, chromium: Callable[[], Page]) -> None:
    page = chromium()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    cells = open_lesson(page, page_url, "lesson")
    cells.first.click()
    for _ in CELLS:
        page.keyboard.press("Shift+Enter")
    growing = page.locator(".cozeloop-streaming").get_by_text("word3")
    growing.wait_for(timeout=300_000)
    assert "word19" not in page.locator(".jp-Notebook").inner_text()
    page.get_by_text("('word19', True)").wait_for(timeout=60_000)
    kept = cells.nth(1).inner_text()
    assert "word0 word1" in kept and "recorded 2026-11-12" in kept and "api.example.com" in kept
    assert [url for url in asked if not url.startswith((page_url, "data:", "blob:"))] == []
    page.close()


def test_the_lesson_of_45_minutes_begins_in_a_browser_alone(page_url: str, chromium: Callable[[], Page]) -> None:
    page = chromium()
    cells = open_lesson(page, page_url, "is-it-better")
    cells.nth(1).click()
    for _ in range(3):  # the tape, a text, and the same prompt five times
        page.keyboard.press("Shift+Enter")
    cells.nth(3).get_by_text("recorded 2").nth(4).wait_for(timeout=300_000)
    page.get_by_text("Python (Pyodide) | Idle").wait_for(timeout=60_000)
    ARTEFACTS.mkdir(exist_ok=True)
    for theme in ("Light", "Dark"):
        page.locator(".lm-MenuBar-item", has_text="Settings").click()
        page.locator(".lm-Menu-item", has_text="Theme").first.hover()
        page.locator(".lm-Menu-item", has_text=f"JupyterLab {theme}").first.click()
        page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(state="attached", timeout=60_000)
        picture = {"x": 0, "y": 0, "width": 1000, "height": 1000}
        page.screenshot(path=ARTEFACTS / f"lite-{theme.lower()}.png", clip=picture)
    page.close()
