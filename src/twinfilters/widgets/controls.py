"""Controls of `explore`: every abbreviation becomes a finite list of options, of which one is chosen.

Finite, because the built page holds one picture for each combination; and one kind of state, an index, because then
the page needs to know neither types nor number formats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from numbers import Integral, Real
from typing import Any

import ipywidgets
import numpy as np

from twinfilters.widgets.wording import is_number, named, said, shown, with_unit

FLOAT_STEPS = 10
LOG_DIGITS = 3
# Round numbers inside a decade; with other counts they are rounded to two digits.
ROUND_NUMBERS = {1: (1,), 2: (1, 3), 3: (1, 2, 5)}
SLIDERS = (
    ipywidgets.IntSlider,
    ipywidgets.FloatSlider,
    ipywidgets.BoundedIntText,
    ipywidgets.BoundedFloatText,
)
CHOICES = (
    ipywidgets.SelectionSlider,
    ipywidgets.Dropdown,
    ipywidgets.RadioButtons,
    ipywidgets.Select,
    ipywidgets.ToggleButtons,
)
# Not inspect's own mark, which would say of our own argument that it has no default.
NO_DEFAULT = object()


class Slider(list):
    """Options that lie on a slider, in this order, rather than in a menu: ``Slider([8, 16, 64])``."""


def decades(low: float, high: float, per_decade: int = 1) -> Slider:
    """Give the options of a slider on a logarithmic scale: round numbers, evenly spread.

    Parameters
    ----------
    low, high : positive ends; what lies outside is left out.
    per_decade : options in each factor of ten: 1, 10, 100; 1, 3, 10; 1, 2, 5, 10; ...

    Examples
    --------
    >>> decades(1e-3, 1)
    [0.001, 0.01, 0.1, 1.0]
    >>> decades(1, 20, 3)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    if not 0 < low < high or per_decade < 1:
        raise ValueError(
            f"decades needs 0 < low < high and per_decade >= 1, got ({low!r}, {high!r}, {per_decade!r})"
        )
    heads = ROUND_NUMBERS.get(per_decade, [float(f"{10 ** (n / per_decade):.1e}") for n in range(per_decade)])
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    values = [float(f"{head}e{power}") for power in powers for head in heads]
    return Slider(value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9))


@dataclass(frozen=True)
class Option:
    """What can be chosen: the value for ``draw``, and how it is shown, said, and named in an address."""

    value: Any
    text: str
    said: str
    name: str


@dataclass(frozen=True)
class Control:
    """One control: what it is called, what can be chosen, and what is chosen at first.

    Parameters
    ----------
    name : keyword argument of ``draw``.
    kind : "range", "select", "checkbox" or "fixed".
    label : text beside the control.
    options : what can be chosen.
    initial : index of the option at the start.
    """

    name: str
    kind: str
    label: str
    options: tuple[Option, ...]
    initial: int = 0

    @property
    def values(self) -> tuple:
        """The values ``draw`` can receive."""
        return tuple(option.value for option in self.options)

    @property
    def texts(self) -> tuple[str, ...]:
        """The values as the reader sees them."""
        return tuple(option.text for option in self.options)

    def index(self, value: Any) -> int:
        """Position of a value among the options; real numbers may differ in the last digits."""
        for index, option in enumerate(self.values):
            if _same(option, value):
                return index
        raise ValueError(f"{self.name} must be one of {list(self.values)}, got {value!r}")


def control(
    name: str, abbreviation: Any, *, label: str | None = None, unit: str = "", default: Any = NO_DEFAULT
) -> Control:
    """Build a control from an abbreviation as `ipywidgets.interact` takes them.

    Parameters
    ----------
    name : keyword argument of ``draw``.
    abbreviation :
        ===========================================  ====================================================
        ``True``, ``False``                          checkbox
        ``(min, max)``, ``(min, max, step)``         slider; steps of 1, or ten of them between real ends
        a whole or real number ``v``                 slider from ``-v`` to ``3 v``, from 0 to 1 for zero
        list, dict, list of pairs ``(text, value)``  select
        ``decades(low, high, per_decade)``           slider on a logarithmic scale
        ``Slider(list)``                             slider over these options
        ``ipywidgets.fixed(value)``                  no control, the value is passed on
        checkbox, slider, dropdown of ipywidgets     the same, with its value, range and description
        ===========================================  ====================================================
    label : text beside the control; the name, if None.
    unit : stands behind each value, "px".
    default : what to start from, if it is one of the options; the default value of ``draw``'s argument.

    Raises
    ------
    ValueError : the abbreviation means none of these.
    """
    kind, pairs, initial, own_label = _expand(name, abbreviation)
    if not pairs:
        raise ValueError(f"control {name!r} needs at least one option, got {abbreviation!r}")
    if default is not NO_DEFAULT and isinstance(abbreviation, Iterable):
        initial = _start(kind, [value for value, _ in pairs], default, initial)
    options = tuple(_option(value, text, unit) for value, text in pairs)
    return Control(name, kind, label or own_label or name.replace("_", " "), options, initial)


def _expand(name: str, given: Any) -> tuple[str, list[tuple[Any, str]], int, str]:
    """Kind, (value, text) of each option, index of the first choice, own label."""
    if isinstance(given, ipywidgets.fixed):
        return "fixed", [(given.value, shown(given.value))], 0, ""
    if isinstance(given, ipywidgets.Widget):
        return _from_widget(name, given)
    if isinstance(given, bool | np.bool_):
        return "checkbox", [(False, "no"), (True, "yes")], int(given), ""
    if isinstance(given, Real):
        ends = (0, 1) if given == 0 else sorted((-given, 3 * given))
        values = _grid(name, *ends, None if isinstance(given, Integral) else (ends[1] - ends[0]) / 20)
        return "range", _texts(values), _nearest(values, given), ""
    if isinstance(given, tuple) and len(given) in (2, 3) and all(map(is_number, given)):
        values = _grid(name, *given)
        return "range", _texts(values), (len(values) - 1) // 2, ""
    if isinstance(given, Slider):
        return "range", _texts(given, LOG_DIGITS), (len(given) - 1) // 2, ""
    if isinstance(given, Mapping):
        return "select", [(value, str(text)) for text, value in given.items()], 0, ""
    if isinstance(given, Iterable) and not isinstance(given, str | tuple):
        return "select", _pairs(list(given)), 0, ""
    raise ValueError(
        f"control {name!r} must be a bool, a number, (min, max), (min, max, step), a list, a dict, decades(...), "
        f"ipywidgets.fixed(...) or a simple ipywidget, got {given!r}"
    )


def _grid(name: str, low: Real, high: Real, step: Real | None = None) -> list:
    whole = all(isinstance(entry, Integral) for entry in (low, high, 1 if step is None else step))
    if step is None:
        step = 1 if whole else (high - low) / FLOAT_STEPS
    if not (low < high and step > 0):
        raise ValueError(f"control {name!r} needs min < max and step > 0, got ({low!r}, {high!r}, {step!r})")
    if whole:
        return list(range(int(low), int(high) + 1, int(step)))
    steps = int((high - low) / step * (1 + 1e-12))
    # Twelve digits: 0.30000000000000004 is not what the reader wants to see.
    return [float(f"{low + number * step:.12g}") for number in range(steps + 1)]


def _pairs(options: list) -> list[tuple[Any, str]]:
    if all(isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str) for entry in options):
        return [(value, text) for text, value in options]
    return _texts(options)


def _texts(values: Iterable, digits: int = 6) -> list[tuple[Any, str]]:
    return [(value, shown(value, digits)) for value in values]


def _option(value: Any, text: str, unit: str) -> Option:
    digits = next((digits for digits in (6, LOG_DIGITS) if text == shown(value, digits)), None)
    words = text if digits is None else said(value, digits)
    name = text if digits is None else named(value)
    return Option(value, with_unit(text, unit), with_unit(words, unit), name)


def _from_widget(name: str, widget: ipywidgets.Widget) -> tuple:
    if isinstance(widget, ipywidgets.Checkbox | ipywidgets.ToggleButton):
        kind, pairs, initial, _ = _expand(name, widget.value)
    elif isinstance(widget, ipywidgets.FloatLogSlider):
        steps = round((widget.max - widget.min) / widget.step)
        values = [float(f"{widget.base ** (widget.min + n * widget.step):.12g}") for n in range(steps + 1)]
        kind, pairs = "range", _texts(values, LOG_DIGITS)
        initial = _nearest(np.log(values), np.log(widget.value))
    elif isinstance(widget, SLIDERS):
        values = _grid(name, widget.min, widget.max, widget.step)
        kind, pairs, initial = "range", _texts(values), _nearest(values, widget.value)
    elif isinstance(widget, CHOICES):
        # _options_full are the pairs (text, value) that every kind of option list was turned into.
        pairs = [
            (value, shown(value) if text == str(value) else text) for text, value in widget._options_full
        ]
        kind = "range" if isinstance(widget, ipywidgets.SelectionSlider) else "select"
        initial = widget.index or 0
    else:
        raise ValueError(
            f"control {name!r} must be a checkbox, slider, dropdown, buttons or list with one choice, "
            f"got {type(widget).__name__}"
        )
    return kind, pairs, initial, widget.description


def _start(kind: str, values: list, default: Any, otherwise: int) -> int:
    """Give the index of the default; as in `interact`, one that does not fit is passed over."""
    for index, value in enumerate(values):
        if _same(value, default):
            return index
    if kind == "range" and all(map(is_number, [*values, default])) and values[0] <= default <= values[-1]:
        return _nearest(values, default)
    return otherwise


def _nearest(values: Iterable[Real], value: Real) -> int:
    return int(np.argmin(np.abs(np.asarray(values) - value)))


def _same(option: Any, value: Any) -> bool:
    if isinstance(option, bool) != isinstance(value, bool):
        return False
    if is_number(option) and is_number(value):
        return bool(np.isclose(option, value, rtol=1e-9, atol=0))
    return type(option) is type(value) and option == value
