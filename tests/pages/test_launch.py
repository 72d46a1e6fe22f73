"""Each chapter can be run: its notebook is at hand, and services appear once the repository has an address."""

import ast
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from jinja2 import Environment, FileSystemLoader

from contents import PAGES, REPOSITORY, ROOT
from twinfilters import sphinx_extension

NOTEBOOKS = [name for name in PAGES if (ROOT / f"{name}.ipynb").is_file()]
OTHERS = [name for name in PAGES if name not in NOTEBOOKS]


def panel_of(page):
    page.get_by_role("button", name="Run this chapter").focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Run this chapter")
    panel.wait_for()
    return panel


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_comes_as_it_is(name, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html")
    panel = panel_of(page)
    assert panel.locator(".tf-run-from-file").is_hidden()
    with page.expect_download() as started:
        panel.get_by_role("link", name="Download the notebook").click()
    source, download = ROOT / f"{name}.ipynb", started.value
    assert download.suggested_filename == source.name
    assert Path(download.path()).read_bytes() == source.read_bytes()
    nbformat.validate(nbformat.read(download.path(), as_version=4))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_from_a_file_the_page_says_where_the_notebook_is(name, bases, book, visit):
    page, troubles = visit(f"{bases['file']}/{name}.html")
    panel = panel_of(page)
    address = panel.get_by_role("link", name="Download the notebook").evaluate("link => link.href")
    named = panel.locator(".tf-run-from-file code").inner_text()
    assert address == (book / named).resolve().as_uri()
    assert (book / named).read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()
    assert troubles == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_without_an_address_there_are_no_services(name, bases, visit):
    page, troubles = visit(f"{bases['http']}/{name}.html")
    panel = panel_of(page)
    assert panel.get_by_role("link").all_inner_texts() == ["Download the notebook"]
    assert panel.locator("code:visible").all_inner_texts() == ["make notebooks", f"{name}.ipynb"]
    assert page.locator("a[href*='github.com'], a[href*='mybinder'], a[href*='colab']").count() == 0
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert troubles == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_with_an_address_services_run_the_chapter(name, published, serve, visit):
    page, troubles = visit(f"{serve(published)}/{name}.html")
    panel = panel_of(page)
    links = {link.inner_text(): link.get_attribute("href") for link in panel.get_by_role("link").all()}
    repository = REPOSITORY.removeprefix("https://github.com/")
    assert links.pop("Download the notebook")
    assert links == {
        "Open in Binder": f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{name}.ipynb",
        "Open in Colab": f"https://colab.research.google.com/github/{repository}/blob/main/{name}.ipynb",
    }
    assert f"git+{REPOSITORY}" in panel.inner_text()
    assert page.locator(f".article-header-buttons a[href='{REPOSITORY}']").count() == 1
    assert troubles == []


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_notebook_cannot_be_run(name, bases, visit):
    page, _ = visit(f"{bases['http']}/{name}.html")
    assert page.get_by_role("button", name="Run this chapter").count() == 0


def test_the_panel_opens_without_scripts(bases, visit):
    page, _ = visit(f"{bases['http']}/{NOTEBOOKS[0]}.html", java_script_enabled=False)
    panel_of(page)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_is_accessible(scheme, width, published, serve, visit):
    window = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    page, _ = visit(f"{serve(published)}/{NOTEBOOKS[-1]}.html", **window)
    box = panel_of(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    found = Axe().run(page, context="#tf-run").response["violations"]
    assert [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]] == []


def test_a_server_of_notebooks_can_be_configured():
    templates = Environment(loader=FileSystemLoader(sphinx_extension.TEMPLATES), autoescape=True)
    chapter = {
        "file": "a/b.ipynb",
        "download": "b",
        "services": {},
        "jupyterlab": "http://localhost:8888/lab/tree/",
    }
    panel = templates.get_template("run-chapter.html").render(run_chapter=chapter)
    assert 'href="http://localhost:8888/lab/tree/a/b.ipynb"' in panel
    assert "make notebooks" not in panel


# --- Binder installs what the chapters import


def imports(notebook):
    """Modules that the code of a notebook imports."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_binder_installs_what_the_chapters_import():
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if not line.startswith("#")]
    assert wanted[-1] == "--editable .[widgets,torch]"
    assert (ROOT / "binder" / "../requirements.txt").is_file()
    # What the package, its widgets and torch bring along.
    installed = {
        "numpy",
        "scipy",
        "sklearn",
        "threadpoolctl",
        "matplotlib",
        "ipywidgets",
        "anywidget",
        "torch",
    }
    installed |= {"twinfilters"}
    standard = {"itertools", "math", "collections", "functools", "time", "dataclasses", "warnings"}
    used = {module.partition(".")[0] for name in NOTEBOOKS for module in imports(ROOT / f"{name}.ipynb")}
    assert used <= installed | standard
