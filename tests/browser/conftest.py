"""A real JupyterLab in a real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from playwright.sync_api import Locator, Page, sync_playwright

from lite.pyodide import fetch
from tests.browser.server import Loop
from tests.embedded import Embedded, embedded_loop

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
ARTEFACTS = Path(__file__).parents[2] / "artefacts"
# JupyterLab loses what is run before the notebook has a kernel; the toolbar calls that one "idle" from the start.
CONTEXT = "jupyterapp.shell.currentWidget.context.sessionContext"
READY = f"window.jupyterapp && {CONTEXT.replace('.', '?.')}?.isReady && {CONTEXT}.session?.kernel"
# It runs nothing before the kernel has introduced itself, but for 3 s; after that it drops answers that come before.
INTRODUCED = f"{CONTEXT}.session.kernel.info"
UNFRAMED = ".jp-cell-toolbar { display: none } .jp-Cell { border-color: transparent !important }"
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.model)
            if CHROMIUM is None and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="there is no Chromium on this machine"))


@contextmanager
def jupyterlab(home: Path, environ: dict[str, str]) -> Iterator[tuple[str, Path, Path]]:
    """Run JupyterLab; give its address, its files, and where its settings are."""
    files, settings = home / "files", home / "settings"
    files.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.token=", f"--ServerApp.root_dir={files}", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]  # for READY
    with (home / "log").open("w") as log, subprocess.Popen(command, env=environ, stdout=log, stderr=log) as server:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urlopen(url + "/api", timeout=1).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        yield url, files, settings
        server.terminate()


class Notebook:
    """A notebook open in JupyterLab."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        return self.cell(index).locator(".jp-OutputArea-output:not(:empty):visible")

    def start(self, index: int) -> None:
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def wait(self, index: int, seconds: float = 60) -> None:
        """Wait until a cell has run."""
        prompt = self.cell(index).locator(".jp-InputArea-prompt")
        until = time.monotonic() + seconds
        while not prompt.inner_text().strip("[]: ").isdigit():
            assert time.monotonic() < until, f"cell {index} still runs: {prompt.inner_text()}"
            self.page.wait_for_timeout(50)

    def run(self, index: int) -> None:
        self.start(index)
        self.wait(index)

    def appears(self, index: int, selector: str, seconds: float = 30) -> Locator:
        """Wait for something in a cell."""
        found = self.cell(index).locator(selector).first
        found.wait_for(timeout=seconds * 1000)
        return found

    def save(self) -> nbformat.NotebookNode:
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.wait_for_timeout(1500)
        return nbformat.read(self.path, as_version=4)

    def keep(self, index: int, name: str) -> None:
        """Keep a picture of a cell."""
        ARTEFACTS.mkdir(exist_ok=True)
        self.page.mouse.move(0, 0)
        self.cell(index).screenshot(path=ARTEFACTS / f"{name}.png", style=UNFRAMED)


def write(path: Path, cells: list[str], kernel: str = "python3") -> None:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
    nbformat.write(notebook, path)


def go(page: Page, url: str, path: Path) -> Notebook:
    """Open a notebook in a page and wait for its kernel."""
    page.goto(f"{url}/lab/tree/{path.name}?reset")
    page.wait_for_function(READY, timeout=60_000)
    page.wait_for_function(INTRODUCED, timeout=60_000)
    page.evaluate("jupyterapp.restored.then(() => jupyterapp.shell.collapseLeft())")  # the file browser
    return Notebook(page, path)


@pytest.fixture(scope="package")
def loop(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Embedded]:
    with embedded_loop(tmp_path_factory.mktemp("home"), weights) as loop:
        yield loop


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory, loop: Embedded) -> Iterator[tuple[str, Path, Path]]:
    """A JupyterLab server: its address, its files, and where its settings are."""
    with jupyterlab(tmp_path_factory.mktemp("lab"), loop.environ) as running:
        yield running


@pytest.fixture(scope="package")
def kernel(lab: tuple[str, Path, Path], pytestconfig: pytest.Config) -> Callable[[str], str]:
    """Give the name of a kernel with this version of ipykernel, from the package index the user has configured."""

    def install(version: str) -> str:
        if version == "newest":
            return "python3"
        place = pytestconfig.cache.mkdir("ipykernel") / version
        if not place.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={place}"]
            subprocess.run([*pip, f"ipykernel=={version}.*"], check=True)
        path = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
        spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
        spec |= {"display_name": version, "language": "python", "env": {"PYTHONPATH": path}}
        home = lab[2].parent / "data" / "kernels" / f"ipykernel-{version}"
        home.mkdir(parents=True, exist_ok=True)
        (home / "kernel.json").write_text(json.dumps(spec))
        return home.name

    return install


@pytest.fixture(scope="package")
def chromium() -> Iterator[Callable[[], Page]]:
    """Open pages; for this package alone, because Playwright keeps an event loop running as long as it lives."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield lambda: browser.new_page(viewport={"width": 1000, "height": 1300}, device_scale_factor=2)
        browser.close()


@pytest.fixture
def loop_server() -> Iterator[Loop]:
    """Serve answers that a test makes up; modules teach it theirs."""
    server = Loop()
    yield server
    server.stop()
    assert not server.errors


@pytest.fixture
def open_notebook(lab: tuple[str, Path, Path], chromium: Callable[[], Page]) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook with these code cells, or one that was saved before."""
    url, files, settings = lab
    pages: list[Page] = []
    errors: list[str] = []

    def open_it(
        name: str, cells: list[str] | None = None, theme: str = "JupyterLab Light", kernel: str = "python3"
    ) -> Notebook:
        path = files / f"{name}.ipynb"
        if cells is not None:
            write(path, cells, kernel)
        apputils = settings / "@jupyterlab" / "apputils-extension"
        apputils.mkdir(parents=True, exist_ok=True)
        (apputils / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
        (apputils / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
        page = chromium()
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        return go(page, url, path)

    yield open_it
    for page in pages:
        page.close()
    assert not errors


@pytest.fixture(scope="session")
def pyodide() -> Path:
    """Pyodide's core, from the npm registry or the user's cache."""
    try:
        return fetch()
    except URLError as error:
        pytest.skip(f"The npm registry cannot be reached: {error.reason}")
