"""Every notebook carries the outputs that nbval compares, and nothing else.

nbval compares nothing in a cell that has no execution number: a notebook without outputs would pass.
"""

import re
from pathlib import Path

import nbformat
import pytest
from tools.store_outputs import normalise

BOOK = Path(__file__).resolve().parents[2] / "book"
NOTEBOOKS = [path for path in sorted(BOOK.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
ABSOLUTE_PATH = re.compile(r"/(?:home|Users|root|tmp|work|usr|opt|var)/|\b[A-Z]:\\")
LONGEST = 4000  # characters: what a page can show and a reader compare

every_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=[path.relative_to(BOOK).as_posix() for path in NOTEBOOKS]
)


def outputs(path):
    notebook = nbformat.read(path, as_version=4)
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def texts(path):
    return [out.get("text") or out.get("data", {}).get("text/plain", "") for out in outputs(path)]


def test_the_book_has_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_is_in_the_stored_form(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert normalise(notebook) == notebook, "run `make outputs` and commit the notebook"


@every_notebook
def test_has_text_outputs(path):
    assert any(text.strip() for text in texts(path)), "run `make outputs` and commit the notebook"


@every_notebook
def test_has_no_errors(path):
    assert [output.evalue for output in outputs(path) if output.output_type == "error"] == []


@every_notebook
def test_outputs_hold_on_other_machines(path):
    assert [text for text in texts(path) if ABSOLUTE_PATH.search(text)] == []


@every_notebook
def test_outputs_are_short(path):
    assert [text[:80] for text in texts(path) if len(text) > LONGEST] == []
