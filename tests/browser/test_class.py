"""A class in a browser: what a student who waits reads, and the teacher's page of who runs what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cozeloop_magic import new_client
from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role, TokenUsage
from cozeloop_magic.local.queue import FairQueue
from cozeloop_magic.local.roster import Member
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from cozeloop_magic.transport.call import Calls
from tests.browser.conftest import ARTEFACTS, CONTRAST, Notebook
from tests.local.conftest import Parrot, Server, eventually

HOSTILE = '<img src=x onerror="alert(1)">'
NAMES = ["teacher", "Anna Bell", "李雷", "Zoë", "Bob", "Chidi", "Dana", "Emre", HOSTILE]
TOKENS = {name: f"token-of-{number}-{'x' * 20}" for number, name in enumerate(NAMES)}
ANSWER = "Gravity is a force that pulls things together.".split()


class Slow(Parrot):
    """A model that says a word when it may."""

    name = "SmolLM2-135M-Instruct.Q4_1"

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Semaphore(0)

    def generate(self, messages: Any, parameters: Any, emit: Any) -> None:
        for word in ANSWER:
            while not self.may.acquire(timeout=0.02):
                if not emit(ExecuteResult()):
                    return
            emit(ExecuteResult(Message(Role.ASSISTANT, f"{word} ")))
        emit(ExecuteResult(finish_reason="stop", usage=TokenUsage(20, len(ANSWER))))


class Class:
    """A class on a real server, and students who ask."""

    def __init__(self, server: Server, model: Slow) -> None:
        self.server, self.model = server, model
        self.url = f"{server.url}/services/loop"
        self.said: dict[str, list[str]] = {}
        self._threads: list[threading.Thread] = []

    def asks(self, name: str, prompt: str = "explain_concept", table: bool = False) -> None:
        """Let a student ask, and wait until that is in the queue."""
        before = self.server.queue._numbers
        thread = threading.Thread(target=self._ask, args=(name, prompt, table))
        thread.start()
        self._threads.append(thread)
        assert eventually(lambda: self.server.queue._numbers > before)

    def _ask(self, name: str, prompt: str, table: bool) -> None:
        values = {"concept": "gravity", "text": "x", "review": "x", "audience": "5 years old"}
        told = self.said.setdefault(name, [])
        with (
            Calls(paced=table),
            new_client(self.url, self.server.workspace_id, TOKENS[name], max_retries=0) as client,
        ):
            try:
                told.append(client.execute_prompt(prompt, variable_vals=values).text)
            except Exception as error:
                told.append(str(error))

    def end(self) -> None:
        self.model.may.release(10_000)
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Class]]:
    """Begin a class with so many places."""
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(tmp_path / "prompts.db")))
        store.seed(read_seeds())

        def begin(slots: int) -> Class:
            model = Slow()
            members = [Member(name, TOKENS[name]) for name in NAMES]
            server = Server(store, model, queue=FairQueue(slots), members=members, prefix="/services/loop")
            made = Class(server, model)
            stack.callback(server.stop)
            stack.callback(made.end)
            return made

        yield begin


def keep(page: Page, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.evaluate("for (const row of document.querySelectorAll('tbody tr:last-child')) row.hidden = true")  # HOSTILE
    page.locator("body").screenshot(path=ARTEFACTS / f"{name}.png")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_who_waits_reads_their_place_and_then_the_answer(
    lesson: Callable[[int], Class], open_notebook: Callable[..., Notebook], theme: str
) -> None:
    school = lesson(1)
    settings = {
        "COZELOOP_API_BASE_URL": school.url,
        "COZELOOP_WORKSPACE_ID": school.server.workspace_id,
        "COZELOOP_API_TOKEN": TOKENS["李雷"],
    }
    cells = [
        f"import os\nos.environ.update({settings})\n%load_ext cozeloop_magic",
        "%%loop_prompt explain_concept --version 1.0.0 --out answer\nconcept: gravity",
    ]
    school.asks("Bob")
    school.model.may.release(len(ANSWER))
    assert eventually(lambda: school.said.get("Bob"))  # so that it is known how long an answer takes
    for name in ("Bob", "Anna Bell", "Zoë"):
        school.asks(name)
    notebook = open_notebook("waits", cells, theme=f"JupyterLab {theme}")
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=/3rd in line, about \\d+ s/")
    notebook.keep(1, f"waiting-{theme.lower()}")
    assert notebook.page.evaluate(CONTRAST) == {}
    school.model.may.release(len(ANSWER))
    notebook.appears(1, "text=/2nd in line/")
    school.model.may.release(10 * len(ANSWER))
    notebook.wait(1)
    assert " ".join(ANSWER) in notebook.cell(1).inner_text() and "in line" not in notebook.cell(1).inner_text()


def open_page(school: Class, chromium: Callable[[], Page], scheme: str) -> Page:
    page = chromium()
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(60_000)
    page.problems = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
    page.on("dialog", lambda dialog: page.problems.append(dialog.message))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda said: page.problems.append(said.text) if "Security Policy" in said.text else None,  # type: ignore[attr-defined]
    )
    page.goto(f"{school.url}/class")
    return page


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Your token").fill(TOKENS[name])
    page.keyboard.press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_teacher_sees_who_runs_what(
    lesson: Callable[[int], Class], chromium: Callable[[], Page], scheme: str
) -> None:
    school = lesson(4)
    for name in ("Bob", "Emre", "李雷"):
        school.asks(name)
    school.model.may.release(3 * len(ANSWER))
    assert eventually(lambda: len(school.said) == 3 and all(school.said.values()))
    page = open_page(school, chromium, scheme)
    keep(page, f"class-login-{scheme}")
    assert page.evaluate(f"({CONTRAST})(undefined, undefined, 'body')") == {}
    for name in ("李雷", HOSTILE, "Zoë", "Emre"):
        school.asks(name)
    school.model.may.release(len(ANSWER) - 1)  # fewer words than one answer has, whoever says them
    school.asks("Anna Bell", "summarize")
    for _ in range(12):
        school.asks("Bob", "classify_review", table=True)
    school.asks("李雷", "chat")
    log_in(page, "teacher")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(len(NAMES) + 1)
    expect(page.get_by_role("status")).to_contain_text("4 of 4 answering · 14 waiting")
    expect(page.locator("tbody .detail").first).to_contain_text("waiting")
    assert HOSTILE in page.inner_text("tbody") and page.locator("img").count() == 0
    keep(page, f"class-{scheme}")
    assert page.evaluate(f"({CONTRAST})(undefined, undefined, 'body')") == {}
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    keep(page, f"class-narrow-{scheme}")
    assert page.problems == []  # type: ignore[attr-defined]
    seen = page.content() + page.url + str(page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]"))
    assert not any(token in seen for token in TOKENS.values()) and page.locator("#token").input_value() == ""
    page.close()


def test_the_teacher_stops_an_answer_with_the_mouse_or_the_keyboard(
    lesson: Callable[[int], Class], chromium: Callable[[], Page]
) -> None:
    school = lesson(1)
    school.asks("Anna Bell")
    for _ in range(2):
        school.asks("Bob", "summarize")
    page = open_page(school, chromium, "light")
    log_in(page, "teacher")
    bob = page.get_by_role("row").filter(has_text="Bob")
    bob.get_by_role("button", name="Stop").focus()
    with page.expect_response("**/class/state"):
        pass
    with page.expect_response("**/class/state"):
        pass
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"  # it is there as long as what it stops
    page.keyboard.press("Enter")
    assert eventually(lambda: len(school.said.get("Bob", [])) == 2)
    page.get_by_role("row").filter(has_text="Anna Bell").get_by_role("button").click()
    assert eventually(lambda: school.said.get("Anna Bell"))
    assert all("The teacher has stopped this answer" in said for told in school.said.values() for said in told)
    expect(page.get_by_role("status")).to_contain_text("0 of 1 answering · 0 waiting")
    page.close()


def test_a_student_is_shown_nothing(lesson: Callable[[int], Class], chromium: Callable[[], Page]) -> None:
    school = lesson(1)
    school.asks("Anna Bell")
    page = open_page(school, chromium, "light")
    log_in(page, "Bob")
    expect(page.get_by_role("alert")).to_contain_text("teacher's token")
    assert "Anna" not in page.content() and page.get_by_label("Your token").is_visible()
    page.get_by_label("Your token").fill("中文")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This is no token")
    page.get_by_label("Your token").fill(f"export COZELOOP_API_TOKEN={TOKENS['teacher']}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text="Anna Bell")).to_be_visible()
    page.close()
