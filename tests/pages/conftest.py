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
def once(tmp_path_factory):
    """Run a command once for all processes that run tests; in each of them, fail if it failed."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("once")

    def run(name, command, folder=ROOT, prepare=lambda folder: None, **environment):
        said = shared / f"{name}.txt"
        with FileLock(shared / f"{name}.lock"):
            if not said.is_file():
                prepare(folder)
                environment = {**os.environ, **environment}
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                said.write_text(f"{done.returncode}\n{done.stdout}{done.stderr}", encoding="utf-8")
        assert said.read_text(encoding="utf-8").startswith("0\n"), said.read_text(encoding="utf-8")

    run.shared = shared
    return run


BUILD = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going"]


@pytest.fixture(scope="session")
def book(once):
    """Build the book as its readers do."""
    once("book", BUILD)
    return HTML


@pytest.fixture(scope="session")
def published(book, once):
    """Build the book as it is published: its address and that of its repository are known."""
    folder = once.shared / "published"
    addresses = {"BOOK_URL": PUBLISHED.rstrip("/"), "BOOK_REPOSITORY": REPOSITORY}
    once("published", BUILD, folder, copy_book, **addresses)
    return folder / "_build" / "html"


def copy_book(folder):
    """Copy what a build needs, and the outputs of the notebooks, which need not run again."""
    for part in ("book", "tests/chapters"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copytree(ROOT / "_build", folder / "_build", ignore=shutil.ignore_patterns("html"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(ROOT / name, folder / name)


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
