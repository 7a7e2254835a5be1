"""Nothing that comes from a model, a prompt or a server acts in a page: live, kept, reopened or exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from nbconvert import HTMLExporter
from playwright.sync_api import Page

from tests.browser.conftest import Notebook
from tests.payloads import PAYLOADS

Open = Callable[..., Notebook]

ROOT = Path(__file__).parents[2]
AT_ONCE = 16  # JupyterLab shows at most 50 outputs of a cell, and here each payload makes three
SHOW = dedent(
    f"""
    import sys, time
    sys.path.insert(0, {str(ROOT)!r})
    from IPython.display import display
    from cozeloop_magic.entities.prompt import *
    from cozeloop_magic.errors import ServerFailed
    from cozeloop_magic.run.state import *
    from cozeloop_magic.view.live import LiveView
    from cozeloop_magic.view.render import bundle
    from tests.payloads import PAYLOADS

    def pieces(text):
        third = len(text) // 3 + 1
        for part in text[:third], text[third : 2 * third], text[2 * third :]:
            call = ToolCall(0, part, None, FunctionCall(part, part))
            yield ExecuteResult(Message(Role.ASSISTANT, part, part, tool_calls=(call,)), model=text, log_id=text)

    def show(payloads):
        runs = []
        for text in payloads:
            message = Message(Role.USER, text)
            request = ExecuteRequest(text, text, text, {{text: text, "said": [message]}}, (message,))
            state = fold(RunState(request), Preparing(text))
            view = LiveView(behind=True, fold_height=1)
            view.update(state)
            runs.append((view, fold(state, Prepared(text, text, (text,))), pieces(text), text))
        for _ in range(3):
            runs = [(view, fold(state, Arrived(0.1, next(more))), more, text) for view, state, more, text in runs]
            for view, state, _, _ in runs:
                view.update(state)
            time.sleep(0.3)
        for view, state, _, text in runs:
            view.finish(fold(state, Failed(1.0, ServerFailed(text, hint=text, log_id=text))))
            display({{"text/markdown": bundle(state, with_error=True)["text/markdown"]}}, raw=True)
    """
)
PROVOKE = """() => {
    for (const node of document.querySelectorAll(".jp-OutputArea *, .cozeloop-run *"))
        for (const kind of ["mouseover", "mouseenter", "pointerenter", "focus", "animationstart", "toggle"])
            node.dispatchEvent(new Event(kind, { bubbles: true }));
}"""
WATCH = "window.alert = () => { window.top.canary = (window.top.canary ?? 0) + 1; }"
FOUND = """() => {
    const acting = "script, iframe, object, embed, form, img, svg, base, link, meta, video, audio, input, textarea";
    const inside = [...document.querySelectorAll(".jp-RenderedMarkdown, .jp-RenderedHTML, .cozeloop-run")];
    const of = (selector) => inside.flatMap((node) => [...node.querySelectorAll(selector)]);
    const harmless = "mjx-container, input[type=checkbox][disabled]"; // JupyterLab's own: formulas and task lists
    const links = of("a[href]:not([href^='#'])").map((node) => node.getAttribute("href"));
    return {
        canary: window.canary ?? 0,
        elements: of(acting).filter((node) => !node.closest(harmless)).map((node) => node.outerHTML),
        links: links.filter((link) => !/^(https?:\\/\\/|mailto:)/i.test(link)),
        handlers: of("*").flatMap((node) => node.getAttributeNames().filter((name) => name.startsWith("on"))),
    };
}"""
NOTHING = {"canary": 0, "elements": [], "links": [], "handlers": []}


def requests_of(page: Page) -> list[str]:
    """Collect what the page asks of others."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url))
    return found


def watched(notebook: Notebook) -> Notebook:
    """Count in a page, and in all its frames, how often a payload gets its way."""
    notebook.page.add_init_script(WATCH)
    notebook.page.evaluate(WATCH)
    assert notebook.page.evaluate("alert(1), delete window.canary")
    return notebook


def look(notebook: Notebook, cells: int) -> dict[str, object]:
    for index in range(1, cells + 1):
        notebook.cell(index).scroll_into_view_if_needed()
    notebook.page.evaluate(PROVOKE)
    return notebook.page.evaluate(FOUND)


def foreign(urls: list[str], url: str) -> list[str]:
    """Give the addresses that are neither JupyterLab's own nor a page's own data."""
    own = tuple(f"{url}/{part}" for part in ("api/", "lab", "static/", "lsp/", "custom/", "kernelspecs/"))
    return [each for each in urls if not each.startswith((*own, "data:", "blob:"))]


def test_no_payload_runs_or_is_requested_in_any_place(
    open_notebook: Open, lab: tuple[str, Path, Path], tmp_path: Path
) -> None:
    count = -(-len(PAYLOADS) // AT_ONCE)
    cells = [SHOW, *(f"show(PAYLOADS[{i * AT_ONCE} : {(i + 1) * AT_ONCE}])" for i in range(count))]
    notebook = watched(open_notebook("hostile", cells))
    asked = requests_of(notebook.page)
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, ".cozeloop-streaming")
    notebook.page.evaluate(PROVOKE)
    assert notebook.page.evaluate(FOUND)["canary"] == 0
    notebook.wait(1)
    for index in range(2, count + 1):
        notebook.run(index)
    assert look(notebook, count) == NOTHING
    assert notebook.page.locator(".cozeloop-run").count() == len(PAYLOADS)
    notebook.keep(1, "hostile")
    saved = notebook.save()

    again = watched(open_notebook("hostile"))
    asked += requests_of(again.page)
    assert look(again, count) == NOTHING
    assert again.page.locator(".cozeloop-run").count() == len(PAYLOADS)
    assert foreign(asked, lab[0]) == []

    page = again.page
    exported = tmp_path / "hostile.html"
    exported.write_text(HTMLExporter(template_name="lab").from_notebook_node(saved)[0], encoding="utf-8")
    asked = requests_of(page)
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    page.evaluate(PROVOKE)
    assert page.evaluate(FOUND) == NOTHING
    assert page.locator(".cozeloop-run").count() == len(PAYLOADS)
    assert not [
        each for each in asked if ".example" in each or (each.startswith("file:") and each != exported.as_uri())
    ]
