"""A built book, a server for it, and a browser that reaches nothing else."""

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from filelock import FileLock
from playwright.sync_api import sync_playwright

from contents import PUBLISHED, REPOSITORY, ROOT

HTML = ROOT / "_build" / "html"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """Build the book as its readers do, once for all processes that run tests."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("built")
    said = shared / "jupyter-book.txt"
    with FileLock(shared / "jupyter-book.lock"):
        if not said.is_file():
            jupyter_book = Path(sys.executable).with_name("jupyter-book")
            command = [jupyter_book, "build", ".", "-W", "-n", "--keep-going"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            said.write_text(f"{done.returncode}\n{done.stdout}{done.stderr}", encoding="utf-8")
    assert said.read_text(encoding="utf-8").startswith("0\n"), said.read_text(encoding="utf-8")
    return HTML


@pytest.fixture(scope="session")
def published(book, tmp_path_factory):
    """Build the book as it is published: its address and that of its repository are known."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("addressed")
    folder = shared / "published"
    with FileLock(shared / "published.lock"):
        if not folder.is_dir():
            for part in ("book", "tests/chapters"):
                shutil.copytree(ROOT / part, folder / part)
            # With the outputs of the notebooks, which need not run again.
            shutil.copytree(ROOT / "_build", folder / "_build", ignore=shutil.ignore_patterns("html"))
            for name in ("_config.yml", "_toc.yml"):
                shutil.copy2(ROOT / name, folder / name)
            command = [
                Path(sys.executable).with_name("jupyter-book"),
                "build",
                ".",
                "-W",
                "-n",
                "--keep-going",
            ]
            addresses = {"BOOK_URL": PUBLISHED.rstrip("/"), "BOOK_REPOSITORY": REPOSITORY}
            subprocess.run(command, cwd=folder, env={**os.environ, **addresses}, check=True)
    return folder / "_build" / "html"


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        named = os.environ.get("CHROMIUM")
        found = (
            [shutil.which(named)]
            if named
            else [*map(shutil.which, CHROMIUMS), playwright.chromium.executable_path]
        )
        path = next((path for path in found if path and os.access(path, os.X_OK)), None)
        if path is None:
            pytest.fail(
                f"no Chromium: set CHROMIUM to one, or install one of {', '.join(CHROMIUMS)}; CHROMIUM={named}"
            )
        running = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield running
        running.close()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a line for each."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def serve():
    """Serve folders on this machine; give the address of one."""
    servers = []

    def address(folder):
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield address
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def bases(book, serve):
    return {"http": serve(book), "file": book.resolve().as_uri()}


@pytest.fixture
def visit(browser):
    """Open an address; give the page and the list to which its troubles are added."""
    contexts = []

    def opened(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        troubles = []

        def gate(route):
            parts = urlsplit(route.request.url)
            if parts.scheme in ("http", "https") and parts.hostname != "127.0.0.1":
                troubles.append(f"external request: {route.request.url}")
                route.abort()
            else:
                route.continue_()

        context.route("**/*", gate)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
        page.on("requestfailed", lambda request: troubles.append(f"failed request: {request.url}"))
        page.on(
            "console", lambda said: said.type == "error" and troubles.append(f"console error: {said.text}")
        )
        page.on(
            "response",
            lambda answer: answer.status >= 400 and troubles.append(f"status {answer.status}: {answer.url}"),
        )
        page.goto(url)
        page.wait_for_load_state("networkidle")
        return page, troubles

    yield opened
    for context in contexts:
        context.close()
