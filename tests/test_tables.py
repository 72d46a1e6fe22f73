"""The numbers behind figures: each kind of picture, what is left out, and what a page makes of them."""

import html
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from twinfilters import plotting
from twinfilters.sphinx_extension import mathematics, outputs
from twinfilters.tables import MOST_ROWS, tables, written


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_lines_that_share_their_x_share_a_table(axes):
    axes.plot([0, 10, 20], [1, 0.5, 0.25], label="wide")
    axes.plot([0, 10, 20], [2, 1, np.nan], label="narrow")
    axes.plot([1, 2], [3, 4], label="other")
    axes.set(xlabel="step", title="Loss")
    first, second = tables(axes.figure)
    assert (first.title, first.columns) == ("Loss", ("step", "wide", "narrow"))
    assert first.rows == (("0", "1", "2"), ("10", "0.5", "1"), ("20", "0.25", "–"))
    assert (second.columns, second.rows) == (("step", "other"), (("1", "3"), ("2", "4")))


def test_a_long_series_is_shown_from_its_first_point_to_its_last(axes):
    axes.plot(np.arange(1001), np.arange(1001) ** 2, label="square")
    (table,) = tables(axes.figure)
    assert table.points == 1001
    assert len(table.rows) == MOST_ROWS
    assert (table.rows[0], table.rows[-1]) == (("0", "0"), ("1000", "1000000"))


def test_a_series_alone_is_named_by_its_axis(axes):
    axes.plot([0, 1], [2, 3])
    axes.set_ylabel("gap")
    assert tables(axes.figure)[0].columns == ("x", "gap")


def test_bars_have_the_names_below_them(axes):
    axes.bar(["tanh", "ReLU"], [0.9, -0.25], bottom=[1, 1], label="share")
    axes.set_xlabel("activation")
    (table,) = tables(axes.figure)
    assert table.columns == ("activation", "share")
    assert table.rows == (("tanh", "0.9"), ("ReLU", "−0.25"))


def test_horizontal_bars_are_read_from_their_names(axes):
    axes.barh(["merged", "wide"], [0.5, 2])
    axes.set_xlabel("milliseconds")
    (table,) = tables(axes.figure)
    assert (table.columns, table.rows) == (("", "milliseconds"), (("merged", "0.5"), ("wide", "2")))


def test_a_histogram_is_its_bars(axes):
    axes.hist([1, 1, 2], bins=[0.5, 1.5, 2.5], label="A larger")
    axes.hist([2], bins=[0.5, 1.5, 2.5], label="B larger")
    (table,) = tables(axes.figure)
    assert table.columns == ("x", "A larger", "B larger")
    assert table.rows == (("1", "2", "0"), ("2", "1", "1"))


def test_single_points_are_rows_of_one_table(axes):
    axes.errorbar(0.25, 0.5, 0.125, fmt="o", label="tanh")
    axes.plot(0.75, 1, "o", label="erf")
    axes.plot([0, 1], [0, 2], label="line")
    axes.set(xlabel="told", ylabel="seen")
    dots, line = tables(axes.figure)
    assert dots.columns == ("", "told", "seen")
    assert dots.rows == (("tanh", "0.25", "0.5 ± 0.12"), ("erf", "0.75", "1"))
    assert line.columns == ("told", "line")


def test_names_that_are_set_on_ticks_count_and_numbers_that_are_typeset_do_not(axes):
    axes.plot([0, 1, 10, 100], [1, 2, 3, 4], label="a")
    axes.set_xscale("symlog")
    axes.set_xticks([0, 1, 10, 100], ["exactly 0", "$10^0$", "$\\mathdefault{10^{1}}$", "100"])
    assert [place for place, _ in tables(axes.figure)[0].rows] == ["exactly 0", "1", "10", "100"]


def test_panels_that_share_an_axis_have_their_tables():
    figure, (left, right) = plt.subplots(1, 2, sharey=True)
    right.plot([1, 2], [0.1, 0.2], label="a")
    right.set(ylim=(0, 0.3), xscale="log")
    right.set_xticks([1, 2], [1, 2])
    right.minorticks_off()
    left.set_ylabel("rate")
    assert [table.rows for table in tables(figure)] == [(("1", "0.1"), ("2", "0.2"))]
    plt.close(figure)


def test_error_bars_stand_beside_their_values(axes):
    axes.errorbar([1, 2], [0.5, 0.75], yerr=[0.015, 0.03], xerr=0.1, capsize=3, label="accuracy")
    axes.errorbar([1, 2], [5, 6], yerr=[[0.5, 1], [1.5, 3]], label="uneven")
    (table,) = tables(axes.figure)
    assert table.columns == ("x", "accuracy", "uneven")
    assert table.rows == (("1", "0.5 ± 0.015", "5 ± 1"), ("2", "0.75 ± 0.03", "6 ± 2"))


def test_points_count_and_guides_images_and_areas_do_not(axes):
    axes.scatter([1, 2], [3, 4], label="runs")
    axes.axhline(3, label="chance")
    axes.axvline(1, label="start")
    axes.fill_between([0, 1], [0, 0], [1, 1], label="band")
    axes.imshow(np.eye(2))
    axes.plot([0, 1], [0, 1], color="gray")
    (table,) = tables(axes.figure)
    assert (table.columns, table.rows) == (("x", "runs"), (("1", "3"), ("2", "4")))


def test_an_empty_figure_has_none(axes):
    axes.plot([], [], label="nothing")
    assert tables(axes.figure) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-3, "−3"),
        (12345678, "1.23e7"),
        (1780.3, "1780"),
        (0.000123456, "0.000123"),
        (-1.5e-17, "−1.5e−17"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
        (np.nan, "–"),
    ],
)
def test_numbers_are_written_to_be_read(value, text):
    assert written(value) == text


def test_the_svg_of_a_notebook_carries_the_numbers_and_a_page_takes_them_out(axes):
    axes.plot([0, 1], [2, 3], label="a < b")
    svg = plotting.displayed_svg(axes.figure)
    bare, noted = outputs.without_numbers(svg)
    assert bare == plotting.figure_svg(axes.figure)
    assert [table["columns"] for table in noted] == [["x", "a < b"]]
    assert json.loads(html.unescape(re.search("<metadata>(.*)</metadata>", svg)[1])) == noted
    assert outputs.without_numbers(bare) == (bare, [])


@pytest.fixture
def typesetting():
    yield
    mathematics.stop()


@pytest.mark.usefixtures("typesetting")
def test_a_page_shows_tables_with_headings_and_typeset_mathematics():
    table = {"title": "T & co", "columns": ["$\\alpha$ used", "b"], "rows": [["1", "2"]], "points": 30}
    shown = outputs.numbers_html([table])
    assert "<caption>T &amp; co, 1 of 30 points</caption>" in shown
    assert re.search('<th scope="col"><span class="katex">.*</span> used</th><th scope="col">b</th>', shown)
    assert '<tr><th scope="row">1</th><td>2</td></tr>' in shown
    assert outputs.numbers_html([]) == ""
