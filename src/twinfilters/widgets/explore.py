"""`explore`: the `interact` that survives without a kernel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from inspect import Parameter, signature
from numbers import Real
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets

from twinfilters.plotting import theme_css
from twinfilters.widgets.controls import NO_DEFAULT, Control, control
from twinfilters.widgets.frames import draw_frame
from twinfilters.widgets.markup import describe, widget
from twinfilters.widgets.pictures import Picture, Point
from twinfilters.widgets.snapshot import building, snapshot

HERE = Path(__file__).parent
# The front end, in the order in which a script reads it; the built page adds a host.
FRONT_END = ("controls.js", "pictures.js", "play.js", "swipe.js", "point.js", "explore.js")


def front_end() -> str:
    """Give the scripts of the widget as one text, which is an ES module."""
    return "".join((HERE / name).read_text(encoding="utf-8") for name in FRONT_END)


def style() -> str:
    """Give the style sheet of the widget, with the colours of pictures."""
    return theme_css() + (HERE / "explore.css").read_text(encoding="utf-8")


def explore(
    draw: Callable,
    /,
    *,
    labels: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    play: str | None = None,
    point: Sequence[str] | None = None,
    **controls: Any,
) -> "Explore":
    """Let the reader move the arguments of a function that draws a figure.

    In a notebook every move calls ``draw``. While a book is built every combination is drawn beforehand and goes
    into the page, which then works without kernel, server or network.

    Parameters
    ----------
    draw : pure function of the control values that returns a matplotlib figure, a pair (figure, description), or a
        list of these, which stand side by side. The description states what the picture shows, for readers who do not
        see it; a book insists on it.
    labels : name of a control -> text beside it.
    units : name of a control -> unit behind its values.
    play : name of a slider that gets a play button.
    point : names of two controls with numbers, which are the axes of the first axes of the first figure: pointing
        into it sets both.
    **controls : one abbreviation for each argument of ``draw``, as `ipywidgets.interact` takes them, see
        `twinfilters.widgets.controls.control`. An argument that is not named is controlled by its default value
        where that is an abbreviation, else it keeps it.

    Returns
    -------
    Widget whose ``value`` is the dict of the control values. Set it, all of it or a part, and the picture follows;
    it works with ``observe``, ``ipywidgets.link`` and ``ipywidgets.VBox``.

    Raises
    ------
    ValueError : a control that means nothing, or an argument of ``draw`` without control.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> def draw(power, log):
    ...     figure, axes = plt.subplots()
    ...     axes.plot([n**power for n in range(1, 9)])
    ...     axes.set_yscale("log" if log else "linear")
    ...     return figure, f"From 1 to 8, n to the power {power} grows to {8**power}."
    >>> widget = explore(draw, power=(1, 3), log=False)
    >>> widget
    explore(draw, power=[1, 2, 3], log=[no, yes])
    >>> widget.value = {"power": 3}
    >>> widget.value
    {'power': 3, 'log': False}
    >>> widget.description
    'From 1 to 8, n to the power 3 grows to 512.'
    """
    given = _abbreviations(draw, controls)
    for option, names in (("labels", labels), ("units", units), ("play", play and [play]), ("point", point)):
        if unknown := set(names or ()) - set(given):
            raise ValueError(f"{option} must name controls out of {sorted(given)}, got {sorted(unknown)}")
    labels, units = dict(labels or {}), dict(units or {})
    made = [
        control(name, abbreviation, label=labels.get(name), unit=units.get(name, ""), default=default)
        for name, (abbreviation, default) in given.items()
    ]
    if play and not any(entry.name == play and entry.kind == "range" for entry in made):
        raise ValueError(f"play must name a slider, and {play!r} is none")
    return Explore(draw, made, play, _axes_of(point, made))


def _axes_of(point: Sequence[str] | None, controls: list[Control]) -> Point | None:
    if point is None:
        return None
    values = {entry.name: entry.values for entry in controls if entry.kind in ("range", "select")}
    numbers = [name for name in values if all(isinstance(value, Real) for value in values[name])]
    if len(point) != 2 or len(set(point) & set(numbers)) != 2:
        raise ValueError(f"point must name two controls with numbers, out of {numbers}, got {point!r}")
    return {name: values[name] for name in point}


def _abbreviations(draw: Callable, controls: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name -> (abbreviation, default value), in the order of the arguments of ``draw``."""
    parameters = signature(draw).parameters
    try:
        signature(draw).bind(**controls)
    except TypeError as error:
        raise ValueError(
            f"the controls must fit draw{signature(draw)}, got {sorted(controls)}: {error}"
        ) from None
    defaults = {
        name: NO_DEFAULT if parameter.default is Parameter.empty else parameter.default
        for name, parameter in parameters.items()
    }
    own = {name: default for name, default in defaults.items() if _is_abbreviation(default)}
    names = [name for name in defaults if name in {**own, **controls}]
    return {
        name: ({**own, **controls}[name], defaults.get(name, NO_DEFAULT))
        for name in dict.fromkeys([*names, *controls])
    }


def _is_abbreviation(default: Any) -> bool:
    if isinstance(default, np.ndarray):
        return False
    try:
        control("default", default)
    except ValueError:
        return False
    return True


class Explore(anywidget.AnyWidget, ipywidgets.ValueWidget):
    """Widget made by `explore`."""

    _esm = front_end()
    _css = style()

    # Budgets of a book.
    max_frames = 200
    max_bytes = 1_000_000

    value = traitlets.Dict(help="control values by name")
    _markup = traitlets.Unicode().tag(sync=True)
    # Front end -> kernel: {"serial", "index"}; kernel -> front end: what to show, with the same serial.
    _request = traitlets.Dict().tag(sync=True)
    _shown = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        draw: Callable,
        controls: list[Control],
        play: str | None = None,
        point: Point | None = None,
        **kwargs: Any,
    ) -> None:
        self._draw = draw
        self._controls = {entry.name: entry for entry in controls}
        self._play = play
        self._point = point
        self._serial = ""
        self._frame = ()
        super().__init__(**kwargs)
        self._markup = widget(controls, play=play, page=False)
        self.value = {entry.name: entry.values[entry.initial] for entry in controls}
        if not building():
            # A mistake in draw should stop the cell at once; later ones are shown in the widget.
            self._show_frame()
        self.observe(lambda _: self._update(), "value")
        self.observe(self._answer, "_request")

    def open(self) -> None:
        """Open the connection to the front end; there is none while a book is built."""
        if not building():
            super().open()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are shown."""
        return self._frame

    @property
    def description(self) -> str:
        """What the pictures show, in words."""
        return describe(self._frame)

    @property
    def error(self) -> str:
        """What went wrong while drawing; empty if nothing did."""
        return self._shown["error"]

    @traitlets.validate("value")
    def _complete(self, proposal: dict) -> dict:
        given = proposal["value"]
        if unknown := set(given) - set(self._controls):
            raise traitlets.TraitError(f"value has the keys {list(self._controls)}, got {sorted(unknown)}")
        complete = {**self.value, **given}
        try:
            return {name: entry.values[entry.index(complete[name])] for name, entry in self._controls.items()}
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    def _indices(self) -> dict[str, int]:
        return {name: entry.index(self.value[name]) for name, entry in self._controls.items()}

    def _values_in_words(self) -> str:
        indices = self._indices()
        return ", ".join(
            f"{entry.label} = {entry.texts[indices[name]]}" for name, entry in self._controls.items()
        )

    def _show_frame(self) -> None:
        frame = draw_frame(self._draw, self.value, point=self._point)
        self._frame = tuple(
            replace(picture, description=picture.description or self._values_in_words()) for picture in frame
        )
        self._show(error="")

    def _show(self, error: str) -> None:
        pictures = [asdict(picture) for picture in self._frame]
        self._shown = {"serial": self._serial, "index": self._indices(), "pictures": pictures, "error": error}

    def _update(self) -> None:
        try:
            self._show_frame()
        except Exception as error:
            self._show(f"{type(error).__name__}: {error} (drawing {self._values_in_words()})")

    def _answer(self, change: dict) -> None:
        self._serial = change["new"]["serial"]
        asked = {name: self._controls[name].values[index] for name, index in change["new"]["index"].items()}
        before = self.value
        self.value = asked
        if self.value == before:
            self._update()

    def __repr__(self) -> str:
        options = ", ".join(f"{entry.name}=[{_short(entry.texts)}]" for entry in self._controls.values())
        return f"explore({getattr(self._draw, '__name__', 'draw')}, {options})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | dict | None:
        if not building():
            return super()._repr_mimebundle_(**kwargs)
        indices = self._indices()
        page = snapshot(
            self._draw,
            [replace(entry, initial=indices[name]) for name, entry in self._controls.items()],
            play=self._play,
            point=self._point,
            max_frames=self.max_frames,
            max_bytes=self.max_bytes,
        )
        return {"text/plain": repr(self), "text/html": page}


def _short(texts: tuple[str, ...]) -> str:
    few = texts if len(texts) <= 4 else (texts[0], texts[1], "...", texts[-1])
    return ", ".join(few).replace("\N{NO-BREAK SPACE}", " ")
