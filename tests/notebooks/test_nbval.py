"""nbval, as this project sets it up, fails when it should, and only then: notebooks made for it, run by pytest."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output
from tools.store_outputs import normalise, run

ROOT = Path(__file__).resolve().parents[2]


def nbval(path):
    """Run pytest with the project's settings and give the numbers of the cells that pass and that fail."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            "pyproject.toml",
            "--rootdir",
            ".",
            "-p",
            "conftest",
            "-v",
            path,
        ],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"::Cell (\d+) (PASSED|FAILED)", done.stdout)
    return {int(cell): outcome == "PASSED" for cell, outcome in found}, done.stdout + done.stderr


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


def test_differences_fail(tmp_path):
    cells = [
        new_code_cell("print(1 / 3)", outputs=printed(f"{1 / 3}\n")),
        new_code_cell("print(1 / 3)", outputs=printed("0.3333333333333334\n")),  # the last digit
        new_code_cell("print('not stored')"),
        new_code_cell("1 + 1"),
        new_code_cell("x = 1", outputs=printed("stored, but not printed\n")),
        new_code_cell("assert False"),
        new_code_cell("import warnings; warnings.warn('not stored')"),
    ]
    path = tmp_path / "differs.ipynb"
    nbformat.write(normalise(new_notebook(cells=cells)), path)
    passed, log = nbval(path)
    assert passed == {0: True, 1: False, 2: False, 3: False, 4: False, 5: False, 6: False}, log


FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
LOW_RESOLUTION = "plt.rcParams['figure.dpi'] = 50; plt.plot([1, 2]); plt.show()"
WIDGET = "import ipywidgets\nipywidgets.IntSlider(3)"
MARKUP = (
    "from IPython.display import HTML, SVG, Markdown, display\ndisplay(HTML('<b>1</b>'), Markdown('*1*'))"
)
STREAMS = "import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)"
ADDRESS = "print(object())"


def test_what_is_stored_passes(tmp_path):
    cells = [new_code_cell(source) for source in (FIGURE, LOW_RESOLUTION, WIDGET, MARKUP, STREAMS, ADDRESS)]
    path = tmp_path / "holds.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    run(path)
    stored = nbformat.read(path, as_version=4)
    assert normalise(stored) == stored
    assert "png" not in path.read_text()
    assert "widgets" not in stored.metadata
    passed, log = nbval(path)
    assert passed == dict.fromkeys(range(6), True), log
