"""The widget in books that are not this one: a stock Jupyter Book, and plain Sphinx with MyST-NB."""

import os
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import expect

from twinfilters.widgets.snapshot import SNAPSHOT_VARIABLE
from twinfilters.widgets.sphinx import NAME

CALL = """import matplotlib.pyplot as plt
import numpy as np
from twinfilters.widgets import decades, explore

def wave(frequency, height=0.1, noise=False):
    x = np.linspace(0, 1, 200)
    figure, axes = plt.subplots(figsize=(4, 2))
    axes.plot(x, height * np.sin(2 * np.pi * frequency * x) + noise * np.cos(99 * x))
    return figure, f"Frequency {frequency}, height {height:g}, {'noisy' if noise else 'clean'}."

explore(wave, frequency=(1, 4), height=decades(0.01, 1), play="frequency", units={"frequency": "Hz"})"""
SECOND = """def cloud(points):
    figure, axes = plt.subplots(figsize=(4, 2))
    axes.scatter(*np.random.default_rng(points).random((2, 20_000 * points)), s=1)
    return figure, f"{points} times 20000 points."

explore(cloud, points=(1, 2))"""
JUPYTER_BOOK = """title: Waves
execute: {execute_notebooks: cache}
sphinx:
  extra_extensions: [twinfilters.widgets.sphinx]
"""
SPHINX = """project = "Waves"
extensions = ["myst_nb", "twinfilters.widgets.sphinx"]
nb_execution_mode = "cache"
exclude_patterns = ["_build"]
"""


def write_notebook(folder):
    cells = [new_markdown_cell("# Waves"), new_code_cell(CALL), new_code_cell(SECOND)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "index.ipynb")


def build(kind, folder):
    """Build the book; give its exit status and what it said."""
    programs = os.path.dirname(sys.executable)  # noqa: PTH120, the link itself
    commands = {
        "jupyter-book": [f"{programs}/jupyter-book", "build", ".", "-W", "--keep-going"],
        "sphinx": [f"{programs}/sphinx-build", "-W", "--keep-going", ".", "_build/html"],
    }
    environment = {name: value for name, value in os.environ.items() if name != SNAPSHOT_VARIABLE}
    done = subprocess.run(
        commands[kind], cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", params=["jupyter-book", "sphinx"])
def elsewhere(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_notebook(folder)
    if request.param == "sphinx":
        (folder / "conf.py").write_text(SPHINX, encoding="utf-8")
    else:
        (folder / "_config.yml").write_text(JUPYTER_BOOK, encoding="utf-8")
        (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n", encoding="utf-8")
    status, said = build(request.param, folder)
    assert status == 0, said
    return request.param, folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("way", ["http", "file"])
def test_its_widgets_move(scheme, way, elsewhere, serve, browser):
    html = elsewhere[1] / "_build/html"
    base = serve(html) if way == "http" else html.as_uri()
    context = browser.new_context(color_scheme=scheme)
    # A stock theme loads mathematics and icons from elsewhere; the widget must not.
    ours = re.compile(rf"{NAME}|file:|127\.0\.0\.1")
    asked, troubles = [], []
    context.route("**/*", lambda route: route.continue_() if local(route) else route.abort())
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    # The stock configuration brings the script of thebe twice.
    page.on("pageerror", lambda error: "THEBE_JS_URL" in str(error) or troubles.append(str(error)))
    page.on("requestfailed", lambda request: ours.search(request.url) and troubles.append(request.url))
    page.goto(f"{base}/index.html", wait_until="domcontentloaded")
    wave, cloud = page.locator(".tf-explore").all()
    wave.locator("[data-control=frequency]").press("End")
    expect(wave.locator(".tf-status")).to_have_text("Frequency 4, height 0.1, clean.")
    wave.get_by_role("checkbox", name="noise").check()
    expect(wave.get_by_role("img")).to_have_accessible_name("Frequency 4, height 0.1, noisy.")
    cloud.locator("[data-control=points]").press("End")
    # One picture for the theme of the page; plain Sphinx has no dark one.
    dark = scheme == "dark" and elsewhere[0] == "jupyter-book"
    expect(cloud.locator(f"img.tf-{'dark' if dark else 'light'}")).to_be_visible()
    expect(cloud.locator(f"img.tf-{'light' if dark else 'dark'}")).to_be_hidden()
    expect(cloud.get_by_role("img")).to_have_accessible_name("2 times 20000 points.")
    assert [url for url in asked if "ipywidgets" in url or "html-manager" in url or "require.js" in url] == []
    assert troubles == []
    context.close()


def local(route):
    parts = urlsplit(route.request.url)
    return parts.scheme == "file" or parts.hostname == "127.0.0.1"


def test_it_brings_nothing_of_this_book(elsewhere):
    html = elsewhere[1] / "_build/html"
    page = (html / "index.html").read_text(encoding="utf-8")
    assert "katex" not in page.lower()
    assert "twinfilters.css" not in page
    assert len(list((html / "_static" / NAME).glob("*.js"))) == 2


def test_lost_frames_run_the_notebook_again(elsewhere):
    kind, folder = elsewhere
    shutil.rmtree(folder / "_build/.explore")
    status, said = build(kind, folder)
    assert status == 0, said
    assert len(list((folder / "_build/html/_static" / NAME).glob("*.js"))) == 2
    status, said = build(kind, folder)
    assert status == 0, said
    assert "Executing notebook" not in said


def test_a_notebook_that_is_not_executed_is_reported(tmp_path):
    write_notebook(tmp_path)
    notebook = nbformat.read(tmp_path / "index.ipynb", as_version=4)
    live = {"text/plain": "explore(wave, ...)", "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    notebook.cells[1].outputs = [
        nbformat.v4.new_output("execute_result", data=live, execution_count=1),
    ]
    nbformat.write(notebook, tmp_path / "index.ipynb")
    (tmp_path / "conf.py").write_text(SPHINX.replace('"cache"', '"off"'), encoding="utf-8")
    status, said = build("sphinx", tmp_path)
    assert status != 0
    assert "explore has no pictures here, because the notebook was not executed by this build" in said
