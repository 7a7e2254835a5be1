"""The live view in a page that is no JupyterLab: an anywidget model and nothing else, as in VS Code and Colab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.view import render, request
from cozeloop_magic.view.widget import script as live_script
from cozeloop_magic.view.widget import sheet

STYLE = sheet("live.css")
PAGE = f"""<!doctype html><style>{STYLE}</style><div id="el"></div>
<script type="module">
  import widget from "/live.js";
  const rows = {{}}, listeners = new Set();
  window.sent = [];
  window.model = {{
    get: (name) => rows[name],
    set: (changed) => {{ Object.assign(rows, changed); listeners.forEach((listener) => listener()); }},
    send: (message) => window.sent.push(message),
    on: (name, listener) => listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
  }};
  window.start = (first) => {{
    window.model.set(first);
    window.end = widget.render({{ model: window.model, el: document.querySelector("#el") }});
  }};
</script>"""
ROWS = {
    "root": render.ROOT,
    "request": request.to_html(ExecuteRequest("greet", variable_vals={"x": "1"}), {}),
    "behind": False,
    "control": "run-1",
    "height": 1200,
    "settled": 0,
    "end": 0,
    "calls": "",
    "status": "waiting… · greet",
    "progress": "waiting…",
    "waits_for": "answer",
    "css_class": "cozeloop-waiting",
    "long": False,
}
WRITING = {"status": "writing… · greet", "progress": "writing…", "waits_for": "", "css_class": "cozeloop-streaming"}


@pytest.fixture
def page(chromium: Callable[[], Page]) -> Iterator[Page]:
    page = chromium()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def serve(route: Route) -> None:
        script = route.request.url.endswith("live.js")
        body = live_script("live.js") if script else PAGE
        route.fulfill(body=body, content_type=f"text/{'javascript' if script else 'html'}; charset=utf-8")

    page.route("**/*", serve)
    page.goto("http://page.test/")
    page.evaluate("(rows) => window.start(rows)", ROWS)
    yield page
    page.close()
    assert not errors


def show(page: Page, **rows: Any) -> None:
    page.evaluate("(rows) => window.model.set(rows)", rows)


def test_the_answer_grows_and_what_is_settled_stays(page: Page) -> None:
    show(page, settled=1, h0="<p>One $x^2$.</p>", end=2, h1="<p>Tw</p>", **WRITING)
    page.evaluate("window.first = document.querySelector('.cozeloop-answer > p')")
    show(page, settled=2, h1="<p>Two.</p>", end=2)
    assert page.locator(".cozeloop-answer").inner_text() == "One $x^2$.\n\nTwo."
    assert page.evaluate("document.querySelector('.cozeloop-answer > p') === window.first")
    assert page.locator(".cozeloop-status").inner_text() == "writing… · greet"


def test_the_page_counts_the_seconds_until_something_comes(page: Page) -> None:
    page.clock.install()
    page.evaluate("(rows) => window.start(rows)", ROWS | {"status": "Fetching… · 3 MB", "waits_for": "preparing"})
    status = page.locator(".cozeloop-status").last
    said = []
    for rows in (
        {},
        {"status": "Fetching… · 4 MB"},
        {"status": "waiting… · greet @ 1", "waits_for": "answer"},
        WRITING,
    ):
        show(page, **rows)
        page.clock.run_for(2_000)
        said.append(status.inner_text())
    assert said == ["Fetching… 2 s · 3 MB", "Fetching… 4 s · 4 MB", "waiting… 2 s · greet @ 1", "writing… · greet"]
    show(page, status="waiting… · greet", waits_for="answer")
    page.clock.run_for(62_000)
    assert status.inner_text() == "waiting… 1 min 2 s · greet"


def test_a_tool_call_is_drawn_once_for_what_it_says(page: Page) -> None:
    call = "<pre>a &gt; &quot;b&quot;</pre>"  # a browser writes it in another way
    show(page, calls=call, **WRITING)
    page.evaluate("window.first = document.querySelector('.cozeloop-calls > pre')")
    show(page, calls=call, status="writing… · on")
    assert page.evaluate("document.querySelector('.cozeloop-calls > pre') === window.first")
    show(page, calls="<pre>c</pre>")
    assert page.locator(".cozeloop-calls").inner_text().strip() == "c"


def test_the_keyboard_reaches_and_works_every_control(page: Page) -> None:
    show(page, s0="# One", settled=1, h0="<h1>One</h1>", end=1, **WRITING)
    page.evaluate("navigator.clipboard?.writeText ?? (document.execCommand = () => { window.copied = true; })")
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Space")
    assert reached == ["Copy", "Stop", "Request"]
    assert page.evaluate("window.copied")
    assert page.locator("button").all_inner_texts() == ["Copied", "Stopping…"]
    assert page.evaluate("window.sent") == ["stop"]
    assert page.locator(".cozeloop-request[open] dd").all_inner_texts() == ["greet", "1"]


def test_a_click_counts_though_the_answer_pushes_the_button_on(page: Page) -> None:
    button = page.locator("button:text('Stop')")
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    show(page, end=1, h0="<p>One<br>two<br>three</p>", **WRITING)
    moved = button.bounding_box()
    assert moved is not None and moved["y"] > box["y"] + box["height"]
    page.mouse.up()
    assert page.evaluate("window.sent") == ["stop"]


def test_a_screen_reader_hears_each_phase_once_and_the_end(page: Page) -> None:
    page.evaluate(
        """() => {
            window.said = [];
            const region = document.querySelector("[aria-live=polite]");
            const hear = () => window.said.push(region.textContent);
            new MutationObserver(hear).observe(region, { childList: true, characterData: true, subtree: true });
        }"""
    )
    for i in range(5):
        show(page, **WRITING, end=1, h0=f"<p>{'word ' * i}</p>")
    show(page, status="done (stop) · greet", progress="done (stop)", css_class="cozeloop-done")
    page.evaluate("window.end()")
    assert page.evaluate("window.said") == ["writing…", "done (stop)"]
    assert page.locator("[aria-live]").count() == 1
    page.wait_for_timeout(3100)
    assert page.locator("[aria-live]").count() == 0


def test_views_of_one_answer_speak_with_one_voice_as_long_as_one_is_there(page: Page) -> None:
    page.evaluate("() => { window.first = window.end; window.start({}); }")
    show(page, **WRITING)
    assert page.locator("[aria-live]").all_inner_texts() == ["writing…"]
    page.evaluate("window.first()")
    page.wait_for_timeout(3100)
    show(page, progress="done (stop)")
    assert page.locator("[aria-live]").all_inner_texts() == ["done (stop)"]
    page.evaluate("window.end()")
    page.wait_for_timeout(3100)
    assert page.locator("[aria-live]").count() == 0


def test_nothing_moves_but_the_text(page: Page) -> None:
    show(page, end=1, h0="<p>One</p>", **WRITING)
    assert page.locator(".cozeloop-caret").bounding_box()
    assert page.evaluate("document.getAnimations()") == []


MORPHS = [
    ["<p>One", "<p>One two", "<p>One two <strong>thr</strong>", "<p>One two <strong>three</strong>."],
    ["<p>One</p>", "<p>One</p><ul><li>a</li></ul>", "<p>One</p><ul><li>a</li><li><p>b</p></li></ul>"],
    ["<ul><li>a</li></ul>", "<ul><li><p>a</p></li><li><p>b</p></li></ul>", "<ol start=2><li>a</li></ol>"],
    ["<pre><code>x", "<pre><code>x <span class=k>if</span>", "<pre><code class=python>x <span class=k>if</span> y"],
    ["<p>a [b", "<p>a <a href=https://a.example>b</a>", "", "<table><tr><td>1</td></tr></table>", "<p>a"],
    ["<p>a\n", "<p>a<br>b <code>c</code>", "<blockquote><p>a</p></blockquote>text"],
]


@pytest.mark.parametrize("steps", MORPHS)
def test_what_is_drawn_is_what_was_sent_whatever_was_drawn_before(page: Page, steps: list[str]) -> None:
    drawn = """(html) => {
        const answer = document.querySelector(".cozeloop-answer").cloneNode(true);
        const wanted = document.createElement("div");
        answer.querySelector(".cozeloop-caret")?.remove();
        answer.normalize();
        wanted.innerHTML = html;
        return [answer.innerHTML, wanted.innerHTML];
    }"""
    for settled in ("", "<h1>Settled</h1>"):
        for html in steps:
            show(page, h0=settled, settled=int(settled != ""), h1=html, end=2, **WRITING)
            if settled:
                found, wanted = page.evaluate(drawn, settled + html)
                assert found == wanted


def test_a_marked_word_stays_marked_while_its_paragraph_grows(page: Page) -> None:
    show(page, end=1, h0="<p>One two</p>", **WRITING)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.cozeloop-answer p'))")
    show(page, h0="<p>One two three <em>four</em></p>")
    assert page.evaluate("getSelection().toString()").startswith("One two")
