"""A bar for those who see it, and nothing left of it afterwards."""

import io
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from twinfilters import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def count(stop=5):
    with progress.progress(2, stop) as numbers:
        return list(numbers)


def test_counts_and_says_nothing_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    assert count() == [2, 3, 4]
    assert capsys.readouterr() == ("", "")


def test_bar_in_a_terminal_vanishes(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert count() == [2, 3, 4]
    written = sys.stderr.getvalue()
    assert "training" in written
    assert written.endswith("\r")
    assert not written.split("\r")[-2].strip()


def test_short_runs_show_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert count() == [2, 3, 4]
    assert not sys.stderr.getvalue().strip()


@pytest.mark.parametrize(
    ("shell", "watched"),
    [
        (None, False),
        (SimpleNamespace(), False),
        (SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True)), True),
        (SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=False)), False),
        (SimpleNamespace(kernel=SimpleNamespace()), False),
    ],
)
def test_who_watches(shell, watched, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress.somebody_watches() is watched


def test_a_program_without_standard_error_is_not_watched(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not progress.somebody_watches()


def test_nothing_is_stored_in_a_notebook_that_a_tool_runs():
    code = """
    import time
    from twinfilters import progress
    progress.DELAY = 0.0
    with progress.progress(0, 3) as numbers:
        for _ in numbers:
            time.sleep(0.2)
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3").execute()
    assert notebook.cells[0].outputs == []
