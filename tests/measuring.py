"""What the tests of statements measure: checked on the spot, compared with what is stored, shown by the book.

    def test_thm_equal(measured):
        measured("largest error", error, at_most=1e-11)
        measured("gap after 500 steps", gap, exactly=0)

A figure is stored for each case of a test in `STORED`, by ``make outputs``, and every later run has to measure the same
ones, exact values to the last bit, others within the bound that is stored with them. What a run measured is written
to `LAST_RUN`, which the book's page of claims prefers.
"""

import json
import operator
import platform
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import twinfilters

ROOT = Path(__file__).parents[1]
STORED = ROOT / "book" / "appendix" / "measured.json"
LAST_RUN = ROOT / "_build" / "measured.json"
BOUNDS = {"exactly": operator.eq, "at_most": operator.le, "at_least": operator.ge}
FIGURES = pytest.StashKey[dict]()


def pytest_addoption(parser):
    parser.addoption("--store-measured", action="store_true", help=f"store what is measured in {STORED.name}")


def pytest_configure(config):
    # Only the process that the others report to.
    if not hasattr(config, "workerinput"):
        target = STORED if config.getoption("--store-measured") else LAST_RUN
        config.pluginmanager.register(Recorder(target), "measured")


@pytest.fixture
def measured(request):
    """Check a figure against its bound and report it; of several under one name the worst counts."""
    figures = request.node.stash.setdefault(FIGURES, {})
    request.node.user_properties.append(("measured", figures))

    def measure(name, value, **bound):
        if len(bound) != 1 or not bound.keys() <= BOUNDS.keys():
            raise ValueError(f"measured needs one of {', '.join(BOUNDS)}, got {bound}")
        ((kind, limit),) = bound.items()
        value, limit = plain(value), plain(limit)
        assert BOUNDS[kind](value, limit), f"{name}: {value}, wanted {kind.replace('_', ' ')} {limit}"
        before = figures.get(name, [kind, limit, value])
        if before[:2] != [kind, limit]:
            raise ValueError(f"{name!r} has two bounds, {before[:2]} and {[kind, limit]}")
        figures[name] = [kind, limit, (min if kind == "at_least" else max)(before[2], value)]

    return measure


def plain(value):
    """Give a number that JSON can hold."""
    return np.asarray(value).item()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    figures = item.stash.get(FIGURES, None)
    if figures is not None and not item.config.getoption("--store-measured"):
        compare(item.name, figures, stored().get(item.name))
    return result


def rounded(figures):
    """Keep two digits of what is not exact: the others change from one machine to the next."""
    return {
        name: [kind, limit, value if kind == "exactly" else float(f"{value:.2g}")]
        for name, (kind, limit, value) in figures.items()
    }


def stored():
    return json.loads(STORED.read_text(encoding="utf-8"))["cases"] if STORED.is_file() else {}


def compare(case, figures, before):
    """Compare names and bounds, and with them exact values, which are their own bounds."""
    bounds = {name: figure[:2] for name, figure in figures.items()}
    if bounds != (before and {name: figure[:2] for name, figure in before.items()}):
        pytest.fail(
            f"{case} measures other figures than are stored: run `make outputs`\nnow {figures}\nstored {before}"
        )


class Recorder:
    """Write what a run measured; a case that failed has no figures."""

    def __init__(self, target):
        self.target = target
        self.cases = {}

    def pytest_runtest_logreport(self, report):
        figures = dict(report.user_properties).get("measured")
        if report.when == "call" and figures is not None:
            case = report.nodeid.rpartition("::")[2]
            self.cases[case] = rounded(figures) if report.passed else None

    def pytest_sessionfinish(self, session):
        failed = any(figures is None for figures in self.cases.values())
        if not self.cases or (failed and self.target == STORED):
            return
        run = {"date": date.today().isoformat(), "version": twinfilters.__version__}
        run |= {"numpy": np.__version__, "python": platform.python_version()}
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(written(run, self.cases), encoding="utf-8")


def written(run, cases):
    """Write JSON with a line for each case, so that changes can be read."""
    lines = [f"{json.dumps(case)}: {json.dumps(cases[case], ensure_ascii=False)}" for case in sorted(cases)]
    return f'{{\n"run": {json.dumps(run)},\n"cases": {{\n' + ",\n".join(lines) + "\n}\n}\n"
