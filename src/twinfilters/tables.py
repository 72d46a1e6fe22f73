"""The numbers behind a figure: tables of what its axes show, for readers who want numbers or cannot see the picture.

A series becomes a column if it has a name: its label, or that of the axis if it is alone. Long series are shown at some
of their points. Images, areas and lines that only guide the eye are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, isfinite

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

# Rows of a table; of a longer series one point in so many is taken, and the last.
MOST_ROWS = 12
DIGITS = 3
# A tick that says more than a number: a letter, but not that of mathematics.
WORD = re.compile(r"^[^$]*[^\W\d_]")


@dataclass(frozen=True)
class Table:
    """Numbers as they are to be read.

    Attributes
    ----------
    title : of the axes, maybe empty.
    columns : names; the first is that of the axis that a reader goes along, and empty where names stand below it.
    rows : texts, one for each column.
    points : how many points there are, of which the rows are some.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    points: int


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes
    ----------
    name : as the label says it.
    x, y : places along the axis that a reader goes along, and across.
    errors : half the lengths of error bars; NaN where there is none.
    lying : the reader goes along the vertical axis, as with horizontal bars.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    errors: np.ndarray
    lying: bool = False


def tables(figure: Figure) -> list[Table]:
    """Give the tables of a figure, in the order of its axes: one for all series of an axes that share their x."""
    return [table for axes in figure.axes if axes.get_visible() for table in _tables(axes)]


def _tables(axes: Axes) -> Iterator[Table]:
    title = " ".join(axes.get_title(place) for place in ("left", "center", "right")).strip()
    series = _named(axes, title)
    dots = [one for one in series if len(one.x) == 1]
    if len(dots) > 1:
        rows = tuple((one.name, _place(axes.xaxis, one.x[0]), _value(axes.yaxis, one, 0)) for one in dots)
        yield Table(title, ("", axes.get_xlabel() or "x", axes.get_ylabel() or "y"), rows, len(rows))
        series = [one for one in series if len(one.x) > 1]
    for group in _with_the_same_x(series):
        yield _table(axes, title, group)


def _table(axes: Axes, title: str, group: list[Series]) -> Table:
    first = group[0]
    along, across = (axes.yaxis, axes.xaxis) if first.lying else (axes.xaxis, axes.yaxis)
    points = len(first.x)
    stride = max(1, ceil((points - 1) / (MOST_ROWS - 1)))
    shown = sorted({*range(0, points, stride), points - 1})
    rows = tuple((_place(along, first.x[n]), *(_value(across, one, n) for one in group)) for n in shown)
    name = along.get_label_text() or ("" if first.lying else "x")
    return Table(title, (name, *(one.name for one in group)), rows, points)


def _named(axes: Axes, title: str) -> list[Series]:
    found = [series for series in _all_series(axes) if len(series.x)]
    named = [series for series in found if series.name and not series.name.startswith("_")]
    if named or len(found) != 1:
        return named
    axis = axes.xaxis if found[0].lying else axes.yaxis
    return [replace(found[0], name=axis.get_label_text() or title or "y")]


def _with_the_same_x(many: list[Series]) -> list[list[Series]]:
    groups: list[list[Series]] = []
    for series in many:
        same = next((group for group in groups if _share_x(group[0], series)), None)
        if same is None:
            groups.append([series])
        else:
            same.append(series)
    return groups


def _share_x(one: Series, other: Series) -> bool:
    return one.lying == other.lying and np.array_equal(one.x, other.x, equal_nan=True)


def _all_series(axes: Axes) -> Iterator[Series]:
    parts = set()
    for container in axes.containers:
        parts.update(container.get_children())
        if isinstance(container, BarContainer):
            yield _bars(container)
        elif isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            yield _with_errors(container)
    for line in axes.lines:
        # Lines across the whole axes, like axhline, are no data.
        if line not in parts and line.get_transform() == axes.transData:
            yield _series(line.get_label(), *_points(line))
    for collection in axes.collections:
        if isinstance(collection, PathCollection) and collection not in parts:
            yield _series(collection.get_label(), *np.ma.filled(collection.get_offsets(), np.nan).T)


def _points(line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.ma.filled(np.ma.asarray(values, float), np.nan) for values in line.get_data(orig=False))


def _series(name: str, x: ArrayLike, y: ArrayLike, errors: np.ndarray | None = None) -> Series:
    x, y = np.asarray(x, float), np.asarray(y, float)
    return Series(str(name), x, y, np.full(len(x), np.nan) if errors is None else errors)


def _bars(bars: BarContainer) -> Series:
    # A histogram leaves its name to its first bar.
    label = bars.get_label() if not bars.get_label().startswith("_") else bars.patches[0].get_label()
    boxes = [patch.get_bbox() for patch in bars.patches]
    lying = bars.orientation == "horizontal"
    places = [(box.y0 + box.y1) / 2 if lying else (box.x0 + box.x1) / 2 for box in boxes]
    return replace(_series(label, places, bars.datavalues), lying=lying)


def _with_errors(container: ErrorbarContainer) -> Series:
    x, y = _points(container.lines[0])
    errors = np.full(len(x), np.nan)
    if container.has_yerr:
        # The last of the bars are the vertical ones.
        segments = container.lines[2][-1].get_segments()
        if len(segments) == len(errors):
            errors = np.array([np.ptp(segment[:, 1]) / 2 if len(segment) else np.nan for segment in segments])
    return _series(container.get_label(), x, y, errors)


def _value(axis: Axis, series: Series, n: int) -> str:
    text, error = _place(axis, series.y[n]), series.errors[n]
    return f"{text} ± {written(error, digits=2)}" if isfinite(error) else text


def _place(axis: Axis, value: float) -> str:
    """Write a place on an axis by the words that stand there, if any do, else as a number."""
    ticks = axis.get_majorticklocs()
    words = zip(ticks, map(str, axis.get_major_formatter().format_ticks(ticks)), strict=True)
    return next((text for place, text in words if place == value and WORD.search(text)), None) or written(
        value
    )


def written(value: float, digits: int = DIGITS) -> str:
    """Write a number for a table: three digits, and all of those in front of the point.

    >>> [written(value) for value in (1200, 0.91777, -1.5e-7, float("nan"))]
    ['1200', '0.918', '−1.5e−7', '–']
    """
    if not isfinite(value):
        return "–" if value != value else str(value).replace("-", "−").replace("inf", "∞")
    if abs(value) < 10**7 and (value == round(value) or abs(value) >= 10**digits):
        return str(round(value)).replace("-", "−")
    text = f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return (f"{mantissa}e{int(exponent)}" if e else text).replace("-", "−")
