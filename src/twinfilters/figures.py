"""Figures that several chapters share: computed arrays in, drawn axes out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twinfilters.network import FilterNet
from twinfilters.plotting import INK, MUTED, PAPER, TWIN_A, TWIN_B, filter_image

ROWS = ("weights", "gradient")

# Where a gap of exactly 0 is drawn on the logarithmic axis: below the rounding of any weight.
ZERO = 1e-18


def twin_gradients(
    net: FilterNet, gradients: Mapping[str, Float[np.ndarray, "..."]], i: int = 0, j: int = 1
) -> Figure:
    """Show two units, their gradients, and the difference of both (chapter 3).

    One row for the parameters and one for the gradients: twin A, twin B, A - B. The twins of a row share a colour
    scale, a difference has its own. Bias and readout stand as numbers below the filters.

    Parameters
    ----------
    net : one input channel, one output.
    gradients : as :meth:`twinfilters.network.FilterNet.loss_and_gradients` gives them.
    i, j : twin A and twin B.
    """
    figure, axes = plt.subplots(2, 3, figsize=(5.0, 4.9))
    for row, name, arrays in zip(axes, ROWS, (net.parameters, gradients), strict=True):
        filters = arrays["filters"][[i, j], 0]
        numbers = np.stack([arrays["bias"][[i, j]], arrays["readout"][0, [i, j]]])
        _twin_row(row, [*filters, filters[0] - filters[1]], [*numbers.T, numbers[:, 0] - numbers[:, 1]])
        row[0].set_ylabel(name, color=INK)
    for title, colour, ax in zip(("twin A", "twin B", "A − B"), (TWIN_A, TWIN_B, INK), axes[0], strict=True):
        ax.set_title(title, loc="center", color=colour, weight="bold")
    return figure


def describe_twin_gradients(
    net: FilterNet, gradients: Mapping[str, Float[np.ndarray, "..."]], i: int = 0, j: int = 1
) -> str:
    """Say in words what :func:`twin_gradients` shows: which parts and which gradients are equal."""
    parts, slopes = net, net.with_parameters(gradients)
    return f"Parameters: {_comparison(parts, i, j)}. Gradients: {_comparison(slopes, i, j)}."


def _comparison(net: FilterNet, i: int, j: int) -> str:
    one, other = net.unit(i), net.unit(j)
    distances = {part: np.linalg.norm(one[part] - other[part]) for part in one}
    return ", ".join(f"{part} {'equal' if d == 0 else f'{d:.2g} apart'}" for part, d in distances.items())


def _twin_row(row: Sequence[Axes], images: Sequence[np.ndarray], numbers: Sequence[np.ndarray]) -> None:
    shared = max(np.abs(images[0]).max(), np.abs(images[1]).max())
    limits = (shared, shared, np.abs(images[2]).max())
    for ax, image, limit, (bias, readout) in zip(row, images, limits, numbers, strict=True):
        filter_image(ax, image, limit=limit or 1.0)
        colours = "filter exactly 0" if limit == 0 else f"filter: scale ±{limit:.2g}"
        text = f"{colours}\nbias {_number(bias)}\nreadout {_number(readout)}"
        ax.set_xlabel(text, color=INK, fontsize=9)


def _number(value: float) -> str:
    return "exactly 0" if value == 0 else f"{value:+.3g}".replace("-", "−")


def filter_row(filters: Float[np.ndarray, "F K L"], titles: Sequence[str], colours: Sequence[str]) -> Figure:
    """Show filters side by side on one colour scale.

    Parameters
    ----------
    filters : (F, K, L)
    titles, colours : one a filter.
    """
    figure, axes = plt.subplots(1, len(filters), figsize=(6.0, 1.5))
    for ax, image, title, colour in zip(axes, filters, titles, colours, strict=True):
        filter_image(ax, image, limit=np.abs(filters).max())
        ax.set_title(title, loc="center", color=colour, fontsize=9)
    return figure


def gap_curve(ax: Axes, steps: Int[np.ndarray, " T"], gaps: Float[np.ndarray, " T"]) -> Axes:
    """Show how far apart twins are, on a logarithmic axis with a place for exactly 0.

    Parameters
    ----------
    ax : where to draw.
    steps, gaps : (T,), when and how far; 0 is drawn at the lowest tick, which says so.
    """
    ax.plot(steps, np.where(gaps == 0, ZERO, gaps), color=INK)
    ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="gap", ylim=(ZERO / 10, 30))
    ax.set_yticks([ZERO, 1e-12, 1e-6, 1], ["exactly 0", "$10^{-12}$", "$10^{-6}$", "1"])
    ax.minorticks_off()
    ax.axhline(ZERO, color=MUTED, linewidth=0.8, linestyle="dotted")
    # The axis is broken between 0 and the smallest power.
    mark = {"boxstyle": "square,pad=0", "facecolor": PAPER, "edgecolor": "none"}
    place = {"transform": ax.get_yaxis_transform(), "ha": "center", "va": "center"}
    ax.text(0, ZERO * 1e3, "≈", color=MUTED, bbox=mark, **place)
    return ax


def twin_filters(axes: Sequence[Axes], net: FilterNet, i: int = 0, j: int = 1) -> Sequence[Axes]:
    """Show the filters of two units with one input channel side by side on one colour scale.

    Parameters
    ----------
    axes : where to draw twin A and twin B.
    net, i, j : the network and its twins.
    """
    limit = np.abs(net.filters[[i, j]]).max() or 1.0
    for ax, k, title, colour in zip(axes, (i, j), ("twin A", "twin B"), (TWIN_A, TWIN_B), strict=True):
        filter_image(ax, net.filters[k, 0], limit=limit)
        ax.set_title(title, loc="center", color=colour, weight="bold")
    return axes
