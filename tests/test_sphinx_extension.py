"""The extension at work on a book of two cells, built as a reader builds the real one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import twinfilters
from twinfilters.sphinx_extension import bundle, freshness, mathematics, outputs
from twinfilters.widgets import sphinx as explore_pages

ROOT = Path(__file__).parents[1]

TEXT = r"""# Twins

Inline $w_a = w_b$, of units ($a$ and $b$), and displayed {eq}`eq-gap`:

$$
g = \lvert w_a - w_b \rvert
$$ (eq-gap)

\begin{align}
a &= b \\
c &= d
\end{align}

Play {experiment}`exact-twins` and {experiment}`a noisy run <noise>`.
"""
FIGURE = """import matplotlib.pyplot as plt
from twinfilters import plotting
plotting.use_style()
plt.subplots()[1].plot([1, 2])
plt.show()"""
WIDGET = """from twinfilters.widgets import explore
def draw(power):
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2**power])
    return figure, f"Power {power}."
explore(draw, power=[1, 2])"""


def write_book(folder, *, alt="A rising line.", text=TEXT):
    metadata = {"mystnb": {"image": {"alt": alt}, "figure": {"caption": "It rises.", "name": "fig-rise"}}}
    cells = [new_markdown_cell(text), new_code_cell(FIGURE, metadata=metadata), new_code_cell(WIDGET)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    described = {"html_meta": {"description": "A page with a formula, a figure and a widget, to be built."}}
    metadata = {"kernelspec": kernel, "myst": described}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / "page.ipynb")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    for setting in ("logo", "bibtex_bibfiles"):
        del config[setting]
    del config["html"]["favicon"]
    sphinx = config["sphinx"]["config"]
    sphinx["extensions"].remove("sphinxcontrib.bibtex")
    sphinx["twinfilters_lab_page"] = "page"
    sphinx["html_static_path"] = [str(ROOT / "book" / "assets")]
    for kind in ("assets", "styles", "scripts"):
        sphinx[f"twinfilters_{kind}"] = str(ROOT / "book" / kind)
    for setting in ("bibtex_reference_style", "bibtex_default_style"):
        sphinx.pop(setting, None)
    (folder / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: page\n", encoding="utf-8")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Make a copy of the package, which a test may change."""
    copy = tmp_path_factory.mktemp("package") / "twinfilters"
    shutil.copytree(Path(twinfilters.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def build(package):
    """Run jupyter-book with the copied package; give its exit status and what it said."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}

    def run(folder):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def built(tmp_path_factory, build):
    folder = tmp_path_factory.mktemp("book")
    write_book(folder)
    status, said = build(folder)
    assert status == 0, said
    return folder


@pytest.fixture(scope="module")
def page(built):
    return (built / "_build/html/page.html").read_text(encoding="utf-8")


def test_mathematics_is_finished_html(page):
    assert page.count('class="katex"') >= 3
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"' in page
    assert "mathjax.js" not in page.lower()
    assert "tex-mml-chtml" not in page


def test_no_line_breaks_between_a_formula_and_its_punctuation(page):
    text = BeautifulSoup(page, "html.parser").find("span", class_="math").parent
    first, left, right = text.find_all("span", class_="math")
    signs = [
        ["".join(sign.stripped_strings) for sign in part.find_all("mtext")] for part in (first, left, right)
    ]
    assert signs == [[","], ["("], ["),"]]
    assert [part.next_sibling for part in (first, left, right)] == [" of units ", " and ", " and displayed "]


def test_experiments_of_the_lab_are_linked_by_their_titles(page):
    links = BeautifulSoup(page, "html.parser").select("a[href*='#preset=']")
    assert [(link["href"], link.text) for link in links] == [
        ("#preset=exact-twins", "Exact twins"),
        ("#preset=noise", "a noisy run"),
    ]


def test_labelled_equations_have_their_number_and_link(page):
    assert re.search(r'<div class="math tf-equation[^>]*id="equation-eq-gap"', page)
    assert '<span class="eqno">(1)' in page
    assert 'href="#equation-eq-gap">(1)</a>' in page


def test_figures_are_inlined_with_alternative_text(page):
    assert 'role="img" aria-label="A rising line."' in page
    assert "var(--tf-twin-a, #0a69b3)" in page
    assert "jupyter_execute" not in page


def test_widgets_bring_their_frames_and_no_widget_manager(built, page):
    (key,) = explore_pages.frame_keys(page)
    assert (built / f"_build/html/_static/twinfilters-explore/{key}.js").is_file()
    assert "twinfilters-explore.js" in page
    assert "require.js" not in page
    assert "widget-state+json" not in page


def test_an_unchanged_build_executes_nothing(built, build):
    status, said = build(built)
    assert status == 0, said
    assert "Executing notebook" not in said
    assert "Using cached notebook" not in said
    assert "no targets are out of date" in said


def test_a_changed_package_executes_the_notebooks_again(built, build, package):
    module = package / "plotting.py"
    module.write_text(module.read_text(encoding="utf-8").replace("#0a69b3", "#0b6ab4"), encoding="utf-8")
    status, said = build(built)
    assert status == 0, said
    assert "Executing notebook" in said
    assert "var(--tf-twin-a, #0b6ab4)" in (built / "_build/html/page.html").read_text(encoding="utf-8")


def test_a_changed_style_sheet_executes_nothing(built, build, package):
    style = package / "lab/lab.css"
    style.write_text(style.read_text(encoding="utf-8") + "/* changed */\n", encoding="utf-8")
    status, said = build(built)
    assert status == 0, said
    assert "Executing notebook" not in said
    assert "1 changed" in said or "reading sources" in said


def test_lost_frames_execute_the_notebook_again(built, build):
    shutil.rmtree(built / "_build/.explore")
    status, said = build(built)
    assert status == 0, said
    assert "Executing notebook" in said
    (key,) = explore_pages.frame_keys((built / "_build/html/page.html").read_text(encoding="utf-8"))
    assert (built / f"_build/html/_static/twinfilters-explore/{key}.js").is_file()


def test_a_figure_that_cannot_be_displayed_is_a_warning(tmp_path, build):
    write_book(tmp_path)
    notebook = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    failing = """class Broken:
    def _repr_html_(self):
        raise RuntimeError("cannot be shown")
Broken()"""
    notebook.cells.append(new_code_cell(failing, id="broken"))
    nbformat.write(notebook, tmp_path / "page.ipynb")
    status, said = build(tmp_path)
    assert status != 0
    assert "a cell's output is the traceback of an error" in said


def test_missing_words_wrong_formulas_and_unknown_experiments_are_warnings_that_stay(tmp_path, build):
    write_book(tmp_path, alt="", text=TEXT + "\nWrong: $\\fraction{1}{2}$ and {experiment}`fusion`\n")
    for _ in range(2):
        status, said = build(tmp_path)
        assert status != 0
        assert "a figure has no alternative text: put mystnb.image.alt" in said
        assert "KaTeX cannot typeset '\\\\fraction{1}{2}'" in said
        assert "'experiment' reference target not found: fusion" in said


def test_hash_sees_names_and_contents_but_no_caches(tmp_path):
    (tmp_path / "conv.py").write_text("a")
    before = freshness.content_hash(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "conv.pyc").write_text("b")
    assert freshness.content_hash(tmp_path) == before
    (tmp_path / "explore.js").write_text("c")
    added = freshness.content_hash(tmp_path)
    (tmp_path / "explore.js").write_text("d")
    assert len({before, added, freshness.content_hash(tmp_path)}) == 3
    assert freshness.content_hash(tmp_path, without=freshness.FRONT_END) == before


def test_formulas_are_adapted_to_katex():
    assert (
        mathematics.for_katex(r"\begin{align}a\end{align}", environment=True)
        == r"\begin{align*}a\end{align*}"
    )
    assert mathematics.for_katex(r"a \\ b", environment=False) == r"\begin{split}a \\ b\end{split}"
    assert mathematics.for_katex("a", environment=False) == "a"


def test_katex_says_what_is_wrong_and_goes_on():
    with pytest.raises(mathematics.KaTeXError, match=r"Undefined control sequence: \\fraction"):
        mathematics.typeset(r"\fraction{1}{2}")
    assert "katex-mathml" in mathematics.typeset(r"\R", macros={r"\R": r"\mathbb{R}"})
    mathematics.stop()
    assert "katex" in mathematics.typeset("x")
    mathematics.stop()


def cell_output(*kinds):
    bundle = nodes.container(nb_element="mime_bundle")
    bundle.extend(nodes.container(mime_type=kind) for kind in kinds)
    return nodes.container("", bundle, nb_element="cell_code_output")


def test_a_widget_that_would_be_dead_is_reported():
    assert list(outputs.output_problems(cell_output(outputs.WIDGET_VIEW, "text/plain"))) == [
        "a widget has no pictures to show without a kernel: display explore(...) by itself"
    ]
    assert list(outputs.output_problems(cell_output(outputs.WIDGET_VIEW, "text/html"))) == []


def test_the_host_script_is_a_classic_script():
    script = explore_pages.page_script()
    assert "export" not in script
    assert "import " not in script


def test_styles_and_scripts_of_one_concern_each_become_one_file(tmp_path, page):
    assert "twinfilters.css" in page
    assert "twinfilters.js" in page
    (tmp_path / "b.js").write_text("const same = 2;\n")
    (tmp_path / "a.js").write_text("const same = 1;\n")
    (tmp_path / "a.css").write_text("a {}\n")
    assert bundle.joined(tmp_path, ".css") == "a {}\n"
    assert bundle.joined(tmp_path, ".js") == (
        "(() => {\nconst same = 1;\n})();\n\n(() => {\nconst same = 2;\n})();\n"
    )
