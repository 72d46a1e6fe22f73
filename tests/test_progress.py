"""A bar for those who see it, and nothing left of it afterwards."""

import io
import sys
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel

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


CELL = """
import time
from twinfilters import progress
progress.DELAY = 0.0
with progress.progress(0, 3) as numbers:
    for _ in numbers:
        time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def shown(kernel, *, person):
    """What a cell displays to a front end, or to a tool such as nbclient, which answers no questions."""
    seen = []
    kernel.execute_interactive(
        CELL, allow_stdin=person, stdin_hook=print, output_hook=seen.append, timeout=60
    )
    assert {message["msg_type"] for message in seen} <= {
        "status",
        "execute_input",
        "display_data",
        "update_display_data",
    }
    return [message["content"]["data"]["text/plain"] for message in seen if "data" in message["content"]]


def test_nothing_is_stored_in_a_notebook_that_a_tool_runs(kernel):
    assert shown(kernel, person=False) == []


def test_bar_in_a_notebook_leaves_an_empty_line(kernel):
    lines = shown(kernel, person=True)
    assert lines[0].startswith("training:   0%")
    assert lines[-1] == ""
