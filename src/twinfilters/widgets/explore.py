"""`explore`: the `interact` that survives without a kernel."""

import os
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from twinfilters.plotting import theme_css
from twinfilters.widgets.controls import Control, control
from twinfilters.widgets.frames import (
    SNAPSHOT_VARIABLE,
    describe_values,
    draw_frame,
    markup,
    snapshot,
    values_at,
)

HERE = Path(__file__).parent


def explore(draw: Callable, /, *, labels: Mapping[str, str] | None = None, **controls: Any) -> "Explore":
    """Let the reader move the arguments of a function that draws a figure.

    In a notebook every move calls ``draw``. While the book is built every combination is drawn beforehand and goes
    into the page, which then works without kernel, server or network.

    Parameters
    ----------
    draw : function of the control values alone, that returns a matplotlib figure, or a pair (figure, description).
        The description states what the picture shows, for readers who do not see it; the book insists on it.
    labels : name of a control -> text beside it.
    **controls : one abbreviation for each argument of ``draw``, see `twinfilters.widgets.controls.control`.

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
    labels = dict(labels or {})
    if unknown := set(labels) - set(controls):
        raise ValueError(f"labels name the controls {sorted(controls)}, got {sorted(unknown)}")
    try:
        signature(draw).bind(**controls)
    except TypeError as error:
        raise ValueError(
            f"the controls must fit draw{signature(draw)}, got {sorted(controls)}: {error}"
        ) from None
    return Explore(draw, [control(name, given, labels.get(name)) for name, given in controls.items()])


class Explore(anywidget.AnyWidget, ipywidgets.ValueWidget):
    """Widget made by `explore`."""

    _esm = HERE / "explore.js"
    _css = theme_css() + (HERE / "explore.css").read_text(encoding="utf-8")

    # Budgets of the built book.
    max_frames = 200
    max_bytes = 1_000_000

    value = traitlets.Dict(help="control values by name")
    _markup = traitlets.Unicode().tag(sync=True)
    # Front end -> kernel: {"serial", "index"}; kernel -> front end: the picture with the same serial.
    _request = traitlets.Dict().tag(sync=True)
    _picture = traitlets.Dict().tag(sync=True)

    def __init__(self, draw: Callable, controls: list[Control], **kwargs: Any) -> None:
        self._draw = draw
        self._controls = {entry.name: entry for entry in controls}
        self._serial = ""
        super().__init__(**kwargs)
        self._markup = markup(controls, None)
        self.value = values_at(controls, [entry.initial for entry in controls])
        if SNAPSHOT_VARIABLE not in os.environ:
            # A mistake in draw should stop the cell at once; later ones are shown in the widget.
            self._picture = self._draw_picture()
        self.observe(lambda _: self._update(), "value")
        self.observe(self._answer, "_request")

    @property
    def svg(self) -> str:
        """The picture, as SVG."""
        return self._picture["svg"]

    @property
    def description(self) -> str:
        """What the picture shows, in words."""
        return self._picture["description"]

    @property
    def error(self) -> str:
        """What went wrong while drawing; empty if nothing did."""
        return self._picture["error"]

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

    def _draw_picture(self) -> dict:
        frame = draw_frame(self._draw, self.value)
        description = frame.description or describe_values(list(self._controls.values()), self.value)
        return self._answer_with(svg=frame.svg, description=description, error="")

    def _answer_with(self, **content: str) -> dict:
        return {"serial": self._serial, "index": self._indices(), **content}

    def _update(self) -> None:
        try:
            self._picture = self._draw_picture()
        except Exception as error:
            values = describe_values(list(self._controls.values()), self.value)
            message = f"{type(error).__name__}: {error} (drawing {values})"
            before = {key: self._picture.get(key, "") for key in ("svg", "description")}
            self._picture = self._answer_with(**before, error=message)

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
        if SNAPSHOT_VARIABLE not in os.environ:
            return super()._repr_mimebundle_(**kwargs)
        page = snapshot(
            self._draw,
            list(self._controls.values()),
            max_frames=self.max_frames,
            max_bytes=self.max_bytes,
        )
        return {"text/plain": repr(self), "text/html": page}


def _short(texts: tuple[str, ...]) -> str:
    return ", ".join(texts if len(texts) <= 4 else (texts[0], texts[1], "...", texts[-1]))
