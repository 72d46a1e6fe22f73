"""The picture that stands in the lab's place until its script runs, and on paper: one run, made by the package."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twinfilters.lab.reference import PackageRun
from twinfilters.lab.settings import checked
from twinfilters.plotting import ACCENT, INK, MUTED, STYLE, TWIN_A, TWIN_B, figure_svg, filter_image

STEPS, EVERY = 300, 20


def draw_poster(settings: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """Draw a run of the lab.

    Parameters
    ----------
    settings : those that are not the default.

    Returns
    -------
    The picture as SVG, and what it shows in words.
    """
    run = PackageRun(checked(settings))
    rows = [run.measured()]
    for _ in range(STEPS // EVERY):
        run.step(EVERY)
        rows.append(run.measured())
    with mpl.rc_context(STYLE):
        return figure_svg(_drawn(run, rows)), _described(rows)


def _drawn(run: PackageRun, rows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(8.0, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1, 1))
    units = run.now()["units"]
    images = {"filter": [unit["filter"] for unit in units[:2]]}
    images["gradient"] = [unit["gradient"]["filter"] for unit in units[:2]]
    for row, (name, pair) in enumerate(images.items()):
        axes = [figure.add_subplot(grid[row, column]) for column in range(3)]
        _images(
            axes, name, [np.reshape(image, (run.settings["kernel"], -1)) for image in pair], titled=row == 0
        )
    _gap(figure.add_subplot(grid[:, 3:]), rows)
    return figure


def _images(axes: list[Axes], name: str, pair: list[np.ndarray], *, titled: bool) -> None:
    shared = np.abs(pair).max() or 1.0
    difference = pair[0] - pair[1]
    limits = (shared, shared, np.abs(difference).max() or 1.0)
    for ax, image, limit in zip(axes, (*pair, difference), limits, strict=True):
        filter_image(ax, image, limit=float(limit))
    axes[0].set_ylabel(name, color=MUTED)
    if titled:
        names = ("twin A", "twin B", "difference")
        for ax, title, colour in zip(axes, names, (TWIN_A, TWIN_B, MUTED), strict=True):
            ax.set_title(title, loc="center", color=colour, fontsize=10, weight="bold")


def _gap(ax: Axes, rows: list[dict[str, Any]]) -> None:
    steps, gaps, predicted = ([row[name] or np.nan for row in rows] for name in ("step", "gap", "predicted"))
    steps[0] = 0
    ax.plot(steps, gaps, color=INK, linewidth=2.5, label="gap")
    ax.plot(steps, predicted, color=ACCENT, linestyle=(0, (4, 3)), label="predicted")
    ax.set(yscale="log", ylim=(1e-17, 10), xlim=(0, STEPS), xlabel="step", title="gap between the twins")
    ax.legend(loc="upper left")


def _described(rows: list[dict[str, Any]]) -> str:
    first, last = rows[0], rows[-1]
    if last["gap"] == 0:
        how = "It is exactly 0 all the time"
    else:
        how = f"It goes from {first['gap']:.1g} to {last['gap']:.1g}, as predicted"
    what = "their difference, their gradients, and the gap between them"
    return f"Two filters after {last['step']} steps, {what}. {how}."
