"""Figures of the book: one style, a few named colours, and SVG that follows the page's light or dark theme.

A figure is drawn once, with the light values of the colours below. `figure_svg` then replaces each of them by a CSS
custom property with that value as fallback, ``var(--tf-ink, #1f2328)``. Inlined into a page that defines the
properties (`theme_css`), the figure follows the theme; anywhere else it keeps the light values on a white card.
"""

import hashlib
import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from itertools import count

import matplotlib as mpl
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from twinfilters.tables import tables

INK = "#1f2328"
MUTED = "#59636e"
GRID = "#d7dce2"
PAPER = "#ffffff"
TWIN_A = "#0a69b3"
TWIN_B = "#c24a00"
ACCENT = "#00795c"
EXTRA = "#8c3a86"
# Matplotlib's own text and lines. Who wants black on dark pages, too, takes #010101.
BLACK = "#000000"

# name of the CSS property -> (light, dark)
THEME = {
    "ink": (INK, "#e3e8ee"),
    "muted": (MUTED, "#a3adb9"),
    "grid": (GRID, "#3a424d"),
    "paper": (PAPER, "#14181e"),
    "twin-a": (TWIN_A, "#63b3f0"),
    "twin-b": (TWIN_B, "#ff9a52"),
    "accent": (ACCENT, "#3fcf9f"),
    "extra": (EXTRA, "#c77bbf"),
}

STYLE = {
    "figure.figsize": (6.0, 3.3),
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[TWIN_A, TWIN_B, ACCENT, EXTRA, INK, MUTED]),
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.color": INK,
    "patch.edgecolor": PAPER,
    "hatch.color": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "image.cmap": "viridis",
    "image.interpolation": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "twinfilters",
}

# Negative is the colour of twin B, positive that of twin A, zero is neither.
SIGNED = LinearSegmentedColormap.from_list(
    "twinfilters_signed", ["#7a2e00", "#d9651a", "#f7f5f2", "#2f86c9", "#063f70"]
)


def use_style() -> None:
    """Set the book's figure style, and let notebooks display figures as the SVG of `figure_svg`."""
    mpl.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return
    if "inline" in mpl.get_backend():
        # Its import chooses PNG for figures; later it would undo the choice made below.
        import matplotlib_inline.backend_inline  # noqa: F401
    for formatter in shell.display_formatter.formatters.values():
        formatter.pop(Figure, None)
    shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, displayed_svg)


def displayed_svg(figure: Figure) -> str:
    """Render a figure as `figure_svg` does, and note the numbers behind it, for the page that shows it.

    They stand as JSON in a ``<metadata>`` element: a list of `tables.Table`.
    """
    numbers = json.dumps([asdict(table) for table in tables(figure)], ensure_ascii=False)
    return figure_svg(figure).removesuffix("</svg>") + f"<metadata>{html.escape(numbers)}</metadata></svg>"


def figure_svg(figure: Figure, prefix: str | None = None) -> str:
    """Render a figure as compact SVG whose colours follow the page's theme.

    The same figure gives the same text. Identifiers inside begin with a hash of the content, so several figures can be
    inlined into one page.

    Parameters
    ----------
    figure : drawn with the named colours of this module, or with matplotlib's own black and white.
    prefix : beginning of the identifiers instead of that hash; behind it they keep matplotlib's names, which are the
        same for the same glyph or clipping path in every figure.

    Returns
    -------
    One ``<svg>`` element, without XML declaration.
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": STYLE["svg.hashsalt"], "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata=no_metadata, facecolor=figure.get_facecolor())
    svg = _compact(buffer.getvalue())
    if prefix is None:
        return themed(prefix_ids(svg, "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]))
    return themed(prefix_ids(svg, prefix, keep_names=True))


def themed(svg: str) -> str:
    """Replace each named colour by its CSS property, with the light value as fallback; black is ink."""
    properties = {light: f"var(--tf-{name}, {light})" for name, (light, _) in THEME.items()}
    properties[BLACK] = f"var(--tf-ink, {BLACK})"
    pattern = re.compile("|".join(map(re.escape, properties)), re.IGNORECASE)
    return pattern.sub(lambda match: properties[match[0].lower()], svg)


def labelled(svg: str, description: str) -> str:
    """Give an SVG the role of an image and an alternative text."""
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1)


def theme_css() -> str:
    """CSS that gives the named colours their values, for light and dark pages and for JupyterLab."""

    def declarations(which: int) -> str:
        return " ".join(f"--tf-{name}: {values[which]};" for name, values in THEME.items())

    dark = 'html[data-theme="dark"], body[data-jp-theme-light="false"]'
    return (
        f":root {{ {declarations(0)} }}\n"
        f"{dark} {{ {declarations(1)} }}\n"
        f"@media print {{ {dark} {{ {declarations(0)} }} }}\n"
    )


def prefix_ids(svg: str, prefix: str, *, keep_names: bool = False) -> str:
    """Rename the identifiers that are referred to inside the SVG, and drop the others.

    Parameters
    ----------
    svg : one SVG element.
    prefix : beginning of every new identifier.
    keep_names : the old identifier follows, not a number.
    """
    referenced = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    number = count()
    names = {}

    def define(match: re.Match) -> str:
        if match[1] not in referenced:
            return ""
        names[match[1]] = f"{prefix}-{match[1] if keep_names else next(number)}"
        return f' id="{names[match[1]]}"'

    svg = re.sub(r'\sid="([^"]+)"', define, svg)
    return re.sub(r'(href="|url\()#([^")]+)', lambda match: f"{match[1]}#{names[match[2]]}", svg)


def filter_image(
    axes: Axes,
    weights: Float[np.ndarray, "H W"],
    *,
    limit: float,
    title: str = "",
    number_format: Callable[[float], str] | None = None,
) -> Axes:
    """Show signed weights as an image: the colour of twin A is positive, that of twin B negative.

    Parameters
    ----------
    axes : where to draw.
    weights : (H, W).
    limit : magnitude of the strongest colour. Images that are compared share it.
    title : text above the image.
    number_format : if given, writes each weight into its pixel.

    Returns
    -------
    The axes.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2:
        raise ValueError(f"weights must have shape (H, W), got {weights.shape}")
    if not limit > 0:
        raise ValueError(f"limit must be positive, got {limit!r}")
    axes.imshow(weights, cmap=SIGNED, vmin=-limit, vmax=limit)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
    if number_format is not None:
        for (row, column), weight in np.ndenumerate(weights):
            pale = abs(weight) < 0.6 * limit
            # Not the theme's ink: the image under the number stays as it is in the dark.
            axes.text(
                column,
                row,
                number_format(weight),
                ha="center",
                va="center",
                color="#111111" if pale else "#fefefe",
                fontsize="small",
            )
    return axes


def _compact(svg: str) -> str:
    """Strip what a page does not need: declaration, comments, blanks, and digits under a hundredth of a point."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Matplotlib's style sheet says this of "*", which would be the whole page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    # Matplotlib leaves out the fill where it is black.
    root = f"stroke-linejoin: round; stroke-linecap: butt; fill: {BLACK}"
    svg = svg.replace("<svg", f'<svg style="{root}"', 1)
    svg = re.sub(r'(<g id="QuadMesh_\d+">)(.*?)(</g>)', _mesh, svg, flags=re.DOTALL)
    svg = re.sub(r'( d=")([^"]*)', lambda match: match[1] + _rounded(match[2]), svg)
    svg = re.sub(r'( (?:x|y|cx|cy)=")([-\d.]+)', lambda match: match[1] + _rounded(match[2]), svg)
    return re.sub(r">\s+<", "><", svg).strip()


def _mesh(match: re.Match) -> str:
    """Draw all cells of a colour mesh that look alike as one path; a browser lays out each path by itself."""
    cells = defaultdict(list)
    for outline, look in re.findall(r'<path d="([^"]*)"([^>]*)/>', match[2]):
        cells[look].append(outline)
    paths = (f'<path d="{" ".join(outlines)}"{look}/>' for look, outlines in cells.items())
    return f"{match[1]}{''.join(paths)}{match[3]}"


def _rounded(numbers: str) -> str:
    short = re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), numbers)
    return re.sub(r"\s+", " ", short).strip()
