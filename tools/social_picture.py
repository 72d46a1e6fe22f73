"""Draw the picture that is shown where the address of a page is shared: the book's name, and twins after training.

python tools/social_picture.py [FILE]
"""

import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import yaml
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from twinfilters import plotting
from twinfilters.data import digits
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.sphinx_extension.metadata import PICTURE_SIZE
from twinfilters.training import train
from twinfilters.twins import make_twins

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "book" / "assets" / "social.png"
DOTS_PER_INCH = 100
# Seen as small as a stamp: few colours are enough, and a third of the bytes.
COLOURS = 64
GAPS = {0.0: "identical twins, after training", 0.1: "nearly identical twins, after training"}


def trained_twins(gap: float) -> np.ndarray:
    """Train two filters that start ``gap`` apart, and give them, (2, K, L)."""
    data = digits(3, 8, count=100)
    net = FilterNet.random(np.random.default_rng(3), filters=2, kernel=5)
    twins = make_twins(net, gap=gap, rng=np.random.default_rng(1))
    history = train(
        twins, *data.examples, optimizer=GradientDescent(learning_rate=0.3), steps=3000, every=3000
    )
    return history.net.filters[:, 0]


def draw(title: str, subtitle: str) -> Figure:
    """Draw the picture."""
    figure = plt.figure(figsize=[pixels / DOTS_PER_INCH for pixels in PICTURE_SIZE], layout="none")
    draw_mark(figure)
    figure.text(0.06, 0.5, title, fontsize=52, weight="bold", va="center", color=plotting.INK)
    figure.text(0.06, 0.4, subtitle, fontsize=21, va="top", color=plotting.MUTED, linespacing=1.5)
    for row, (gap, name) in enumerate(GAPS.items()):
        draw_twins(figure, trained_twins(gap), name, bottom=0.555 - 0.475 * row)
    return figure


def draw_mark(figure: Figure) -> None:
    """Draw the logo: two squares that overlap."""
    axes = figure.add_axes((0.06, 0.64, 0.105, 0.2))
    axes.set(xlim=(0, 26), ylim=(26, 0), aspect="equal")
    axes.axis("off")
    for corner, colour in (((0, 0), plotting.TWIN_A), ((8, 8), plotting.TWIN_B)):
        box = FancyBboxPatch(corner, 18, 18, boxstyle="round,pad=0,rounding_size=3", fc=colour, ec="none")
        axes.add_patch(box)
    axes.add_patch(plt.Rectangle((8, 8), 10, 10, fc=plotting.PAPER, ec="none"))


def draw_twins(figure: Figure, filters: np.ndarray, name: str, *, bottom: float) -> None:
    """Draw two filters and their difference side by side."""
    limit = np.abs(filters).max()
    images = {"A": filters[0], "B": filters[1], "A − B": filters[0] - filters[1]}
    colours = (plotting.TWIN_A, plotting.TWIN_B, plotting.INK)
    for place, ((title, image), colour) in enumerate(zip(images.items(), colours, strict=True)):
        axes = figure.add_axes((0.545 + 0.142 * place, bottom, 0.13, 0.13 * 1200 / 630))
        plotting.filter_image(axes, image, limit=limit)
        axes.set_title(title, loc="center", color=colour, weight="bold", fontsize=18)
    figure.text(0.545, bottom + 0.325, name, fontsize=14, color=plotting.MUTED)


def main(places: list[str]) -> None:
    """Write the picture."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    subtitle = textwrap.fill(config["sphinx"]["config"]["twinfilters_subtitle"], 32)
    path = Path(places[0]) if places else PICTURE
    with mpl.rc_context():
        plotting.use_style()
        draw(config["title"], subtitle).savefig(path, dpi=DOTS_PER_INCH)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
