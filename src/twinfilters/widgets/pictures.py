"""Pictures: what a page shows of a figure, as SVG or as WebP.

SVG follows the page's theme by itself. Where a figure has so many points that WebP is smaller, it is drawn twice, for
light and for dark pages, at two pixels for each of the page.
"""

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from twinfilters.plotting import BLACK, THEME, figure_svg

# Stands for what identifiers begin with: the page puts something of its own there.
PREFIX = "@@"
PIXELS_PER_INCH = 96
DENSITY = 2
Colour = tuple[float, float, float]
# Two controls by name, with their values: the one along the horizontal axis, the one along the vertical axis.
Point = Mapping[str, Sequence[float]]
# Colours of light pages -> those of dark ones.
DARK = {to_rgb(light): to_rgb(dark) for light, dark in THEME.values()}
DARK[to_rgb(BLACK)] = to_rgb(THEME["ink"][1])
KINDS = ("svg", "webp")
MARGINS = ("left", "right", "bottom", "top", "wspace", "hspace")


@dataclass(frozen=True)
class Picture:
    """What is shown of a figure.

    Parameters
    ----------
    html : an SVG element, or two images of which the style sheet shows one. No alternative text yet.
    width, height : in pixels of the page.
    description : what it shows, in words.
    """

    html: str
    width: int
    height: int
    description: str

    def labelled(self, prefix: str) -> str:
        """Give the HTML as it can stand in a page: with alternative text, and identifiers of its own."""
        text = html.escape(self.description)
        content = self.html.replace(PREFIX, prefix)
        return content.replace("<svg", f'<svg role="img" aria-label="{text}"').replace(
            "<img", f'<img alt="{text}"'
        )


def picture(figure: Figure, description: str, kind: str = "svg", point: Point | None = None) -> Picture:
    """Render a figure.

    Parameters
    ----------
    figure : drawn.
    description : what it shows, in words.
    kind : "svg" or "webp".
    point : control along the horizontal axis -> its values, and the same for the vertical axis, where pointing into
        the picture sets both.
    """
    _make_room(figure)
    width, height = (round(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    content = {"svg": _svg, "webp": _webp}[kind](figure, width)
    if point:
        places = html.escape(json.dumps(_places(figure, point), ensure_ascii=False))
        for element in ("<svg", "<img"):
            content = content.replace(element, f'{element} data-places="{places}"')
    return Picture(content, width, height, description)


def _places(figure: Figure, point: Point) -> dict[str, list[float]]:
    """Where the values of both controls lie, in parts of the picture's width from the left and height from the top."""
    axes = figure.axes[0]
    (across, xs), (up, ys) = point.items()
    corner = axes.get_xlim()[0], axes.get_ylim()[0]
    in_figure = axes.transData + figure.transFigure.inverted()
    return {
        across: [round(float(in_figure.transform((x, corner[1]))[0]), 4) for x in xs],
        up: [round(float(1 - in_figure.transform((corner[0], y))[1]), 4) for y in ys],
    }


def _make_room(figure: Figure) -> None:
    """Lay out a figure that nobody laid out, so that its labels are not cut; it keeps its size, as `tight` does not."""
    margins = vars(figure.subplotpars)
    untouched = all(margins[name] == mpl.rcParams[f"figure.subplot.{name}"] for name in MARGINS)
    gridded = any(axes.get_subplotspec() for axes in figure.axes)
    if figure.get_layout_engine() is None and untouched and gridded:
        figure.set_layout_engine("constrained")


def _svg(figure: Figure, width: int) -> str:
    # One that is cropped would change its size from frame to frame.
    with mpl.rc_context({"savefig.bbox": None}):
        svg = figure_svg(figure, PREFIX)
    head, _, rest = svg.partition(">")
    # As large as the style sheet says; the viewBox keeps the proportions.
    head = re.sub(r' (?:width|height|version|xmlns(?::xlink)?)="[^"]*"', "", head)
    return head.replace('style="', f'style="--own: {width}; ', 1) + ">" + rest


def _webp(figure: Figure, width: int) -> str:
    images = {"light": _pixels(figure, {}), "dark": _pixels(figure, DARK)}
    return "".join(
        f'<img class="tf-{theme}" style="--own: {width}" src="data:image/webp;base64,{_encoded(pixels)}">'
        for theme, pixels in images.items()
    )


def _encoded(pixels: np.ndarray) -> str:
    def size(**options) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", **options)
        return buffer.getvalue()

    return base64.b64encode(min(size(lossless=True), size(quality=90), key=len)).decode()


def _pixels(figure: Figure, colours: Mapping[Colour, Colour]) -> np.ndarray:
    before = figure.dpi
    figure.set_dpi(PIXELS_PER_INCH * DENSITY)
    try:
        size = (round(inches * figure.dpi) for inches in figure.get_size_inches())
        renderer = _Recoloured(*size, figure.dpi, colours)
        figure.draw(renderer)
        return np.array(renderer.buffer_rgba())[..., :3]
    finally:
        figure.set_dpi(before)


class _Recoloured(RendererAgg):
    """Agg, with some colours exchanged on their way to the canvas."""

    def __init__(self, width: float, height: float, dpi: float, colours: Mapping[Colour, Colour]) -> None:
        super().__init__(width, height, dpi)
        self._colours = colours
        # Agg's own are attributes of each renderer, which would hide methods of this class.
        self.draw_markers = self._draw_markers
        self.draw_path_collection = self._draw_path_collection
        self.draw_quad_mesh = self._draw_quad_mesh
        self.draw_gouraud_triangles = self._draw_gouraud_triangles

    def _exchanged(self, colours):
        """Give one colour or an array of them, with those exchanged that have to be."""
        if colours is None or not self._colours:
            return colours
        colours = np.array(colours, dtype=float)
        result = colours.copy()
        if colours.size:
            for old, new in self._colours.items():
                result[np.all(np.abs(colours[..., :3] - old) < 1 / 512, axis=-1), :3] = new
        return result

    def _context(self, gc):
        copy = self.new_gc()
        copy.copy_properties(gc)
        copy.set_foreground(tuple(self._exchanged(gc.get_rgb())), isRGBA=True)
        return copy

    def draw_path(self, gc, path, transform, rgbFace=None):  # noqa: N803, the name is matplotlib's
        face = self._exchanged(rgbFace)
        super().draw_path(self._context(gc), path, transform, face if face is None else tuple(face))

    def draw_text(self, gc, *args, **kwargs):
        super().draw_text(self._context(gc), *args, **kwargs)

    def draw_mathtext(self, gc, *args, **kwargs):
        super().draw_mathtext(self._context(gc), *args, **kwargs)

    def _draw_markers(self, gc, marker, marker_transform, path, transform, face=None):
        face = self._exchanged(face)
        face = face if face is None else tuple(face)
        self._renderer.draw_markers(self._context(gc), marker, marker_transform, path, transform, face)

    def _draw_path_collection(self, gc, *args):
        before, (faces, edges), after = args[:5], args[5:7], args[7:]
        colours = self._exchanged(faces), self._exchanged(edges)
        self._renderer.draw_path_collection(self._context(gc), *before, *colours, *after)

    def _draw_quad_mesh(self, gc, *args):
        *before, faces, antialiased, edges = args
        self._renderer.draw_quad_mesh(
            self._context(gc), *before, self._exchanged(faces), antialiased, self._exchanged(edges)
        )

    def _draw_gouraud_triangles(self, gc, triangles, colours, transform):
        self._renderer.draw_gouraud_triangles(
            self._context(gc), triangles, self._exchanged(colours), transform
        )
