"""Controls of `explore`: every abbreviation becomes a finite list of options, of which one is chosen.

Finite, because the built page holds one picture for each combination; and one kind of state, an index, because then
the page needs to know neither types nor number formats.
"""

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import ipywidgets
import numpy as np

FLOAT_STEPS = 10


@dataclass(frozen=True)
class Control:
    """One control: what it is called, what can be chosen, and what is chosen at first.

    Parameters
    ----------
    name : keyword argument of ``draw``.
    kind : "range", "select", "checkbox" or "fixed".
    label : text beside the control.
    values : the values ``draw`` can receive.
    texts : the same values in words, as the reader sees them.
    initial : index of the value at the start.
    """

    name: str
    kind: str
    label: str
    values: tuple
    texts: tuple[str, ...]
    initial: int = 0

    def index(self, value: Any) -> int:
        """Position of a value among the options; real numbers may differ in the last digits."""
        for index, option in enumerate(self.values):
            if _same(option, value):
                return index
        raise ValueError(f"{self.name} must be one of {list(self.values)}, got {value!r}")

    def html(self) -> str:
        """Labelled native control, still switched off; the front end switches it on."""
        name, label = html.escape(self.name), html.escape(self.label)
        if self.kind == "checkbox":
            checked = " checked" if self.values[self.initial] else ""
            return (
                f'<label class="tf-control"><input type="checkbox" data-control="{name}"{checked} '
                f'autocomplete="off" disabled> <span>{label}</span></label>'
            )
        if self.kind == "range":
            text = html.escape(self.texts[self.initial])
            texts = html.escape(json.dumps(self.texts))
            return (
                f'<label class="tf-control"><span>{label}</span> '
                f'<input type="range" data-control="{name}" min="0" max="{len(self.values) - 1}" step="1" '
                f'value="{self.initial}" aria-valuetext="{text}" data-texts="{texts}" autocomplete="off" disabled> '
                f'<output style="min-width: {max(map(len, self.texts))}ch">{text}</output></label>'
            )
        options = "".join(
            f'<option value="{index}"{" selected" if index == self.initial else ""}>{html.escape(text)}</option>'
            for index, text in enumerate(self.texts)
        )
        return (
            f'<label class="tf-control"><span>{label}</span> '
            f'<select data-control="{name}" autocomplete="off" disabled>{options}</select></label>'
        )


def control(name: str, abbreviation: Any, label: str | None = None) -> Control:
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
        ``ipywidgets.fixed(value)``                  no control, the value is passed on
        checkbox, slider, dropdown of ipywidgets     the same, with its value, range and description
        ===========================================  ====================================================
    label : text beside the control; the name, if None.

    Raises
    ------
    ValueError : the abbreviation means none of these.
    """
    kind, values, texts, initial, own_label = _expand(name, abbreviation)
    if not values:
        raise ValueError(f"control {name!r} needs at least one option, got {abbreviation!r}")
    label = label or own_label or name.replace("_", " ")
    return Control(name, kind, label, tuple(values), tuple(texts), initial)


def _expand(name: str, given: Any) -> tuple[str, list, list[str], int, str]:
    if isinstance(given, ipywidgets.fixed):
        return "fixed", [given.value], [str(given.value)], 0, ""
    if isinstance(given, ipywidgets.Widget):
        return _from_widget(name, given)
    if isinstance(given, bool | np.bool_):
        return "checkbox", [False, True], ["no", "yes"], int(given), ""
    if isinstance(given, Real):
        ends = (0, 1) if given == 0 else sorted((-given, 3 * given))
        kind, values, texts, _, _ = _slider(
            name, *ends, None if isinstance(given, Integral) else (ends[1] - ends[0]) / 20
        )
        return kind, values, texts, _nearest(values, given), ""
    if isinstance(given, tuple) and len(given) in (2, 3) and all(_is_number(entry) for entry in given):
        return _slider(name, *given)
    if isinstance(given, Mapping):
        given = list(given.items())
    if isinstance(given, Iterable) and not isinstance(given, str | tuple):
        return _select(given)
    raise ValueError(
        f"control {name!r} must be a bool, a number, (min, max), (min, max, step), a list, a dict, "
        f"ipywidgets.fixed(...) or a simple ipywidget, got {given!r}"
    )


def _slider(name: str, low: Real, high: Real, step: Real | None = None) -> tuple:
    whole = all(isinstance(entry, Integral) for entry in (low, high, 1 if step is None else step))
    if step is None:
        step = 1 if whole else (high - low) / FLOAT_STEPS
    if not (low < high and step > 0):
        raise ValueError(f"control {name!r} needs min < max and step > 0, got ({low!r}, {high!r}, {step!r})")
    if whole:
        values = list(range(int(low), int(high) + 1, int(step)))
    else:
        steps = int((high - low) / step * (1 + 1e-12))
        # Twelve digits: 0.30000000000000004 is not what the reader wants to see.
        values = [float(f"{low + number * step:.12g}") for number in range(steps + 1)]
    return "range", values, [format_value(value) for value in values], (len(values) - 1) // 2, ""


def _select(options: Iterable) -> tuple:
    options = list(options)
    if options and all(
        isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str) for entry in options
    ):
        return "select", [value for _, value in options], [text for text, _ in options], 0, ""
    return "select", options, [format_value(value) for value in options], 0, ""


def _from_widget(name: str, widget: ipywidgets.Widget) -> tuple:
    if isinstance(widget, ipywidgets.Checkbox | ipywidgets.ToggleButton):
        kind, values, texts, initial, _ = _expand(name, widget.value)
    elif isinstance(widget, ipywidgets.FloatLogSlider):
        steps = round((widget.max - widget.min) / widget.step)
        values = [float(f"{widget.base ** (widget.min + n * widget.step):.12g}") for n in range(steps + 1)]
        kind, texts = "range", [format_value(value) for value in values]
        initial = _nearest(np.log(values), np.log(widget.value))
    elif isinstance(widget, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        kind, values, texts, _, _ = _slider(name, widget.min, widget.max, widget.step)
        initial = _nearest(values, widget.value)
    elif isinstance(widget, ipywidgets.SelectionSlider | ipywidgets.Dropdown | ipywidgets.RadioButtons):
        # _options_full are the pairs (text, value) that every kind of option list was turned into.
        texts, values = (list(entries) for entries in zip(*widget._options_full, strict=True))
        kind = "range" if isinstance(widget, ipywidgets.SelectionSlider) else "select"
        initial = widget.index or 0
    else:
        raise ValueError(
            f"control {name!r} must be a checkbox, slider, dropdown or radio buttons, got {type(widget).__name__}"
        )
    return kind, values, texts, initial, widget.description


def format_value(value: Any) -> str:
    """Write a value as the reader sees it: 0.001, 1e-06, yes, tanh."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Real) and not isinstance(value, Integral):
        return f"{value:.6g}"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _nearest(values: Iterable[Real], value: Real) -> int:
    return int(np.argmin(np.abs(np.asarray(values) - value)))


def _same(option: Any, value: Any) -> bool:
    if isinstance(option, bool) != isinstance(value, bool):
        return False
    if _is_number(option) and _is_number(value):
        return bool(np.isclose(option, value, rtol=1e-9, atol=0))
    return type(option) is type(value) and option == value
