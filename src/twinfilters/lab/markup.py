"""Markup of the lab: the same in a notebook and in the built page, with everything switched off until a script runs.

Controls are native ones, each with its label; a slider moves along the values it lists. What is drawn stands in boxes
that have their final size from the beginning, and until then, and on paper, there is a picture instead.
"""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinfilters.lab.poster import draw_poster
from twinfilters.lab.settings import SETTINGS
from twinfilters.widgets.wording import shown

PRESETS = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
# name -> (text, steps a second; 0: as many as fit between two pictures)
SPEEDS = {
    "slow": ("6 steps/s", 6),
    "steady": ("60 steps/s", 60),
    "fast": ("600 steps/s", 600),
    "fastest": ("flat out", 0),
}


@dataclass(frozen=True)
class Knob:
    """A control of one setting.

    Attributes
    ----------
    name : the setting.
    label : text beside it.
    values : what can be chosen; none for a checkbox.
    words : value -> its text, where that is not the value itself.
    slider : whether it is a slider, rather than a menu.
    help : what it does, shown when pointed at.
    """

    name: str
    label: str
    values: tuple = ()
    words: Mapping[Any, str] = field(default_factory=dict)
    slider: bool = False
    help: str = ""

    def text(self, value: Any) -> str:
        """Write a value as the reader sees it."""
        return self.words.get(value, shown(value))


MAIN = (
    Knob("gap", "gap at the start", (0, *(10.0**power for power in range(-16, 1))), {0: "0: equal"}, True),
    Knob(
        "learning_rate",
        "learning rate",
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        {},
        True,
    ),
    Knob("activation", "activation", tuple(SETTINGS["activation"].choices), {"relu": "ReLU", "gelu": "GELU"}),
    Knob(
        "frozen",
        "frozen",
        SETTINGS["frozen"].choices,
        {"none": "nothing", "twin": "twin B", "readouts": "readouts"},
    ),
)
TIES = (Knob("tied_filter", "filter"), Knob("tied_bias", "bias"), Knob("tied_readout", "readout"))
MORE = {
    "Noise": (
        Knob("label_noise", "label noise", (0, 0.1, 0.2, 0.5, 1, 2), {0: "none"}, True),
        Knob("batch", "images a step", (0, 1, 2, 5, 10, 20, 50), {0: "all"}, True),
        Knob("dropout", "dropout", (0, 0.1, 0.2, 0.3, 0.5), {0: "none"}, True),
    ),
    "Rule": (
        Knob("momentum", "momentum", (0, 0.5, 0.8, 0.9, 0.95, 0.99), {0: "none"}, True),
        Knob("weight_decay", "weight decay", (0, 1e-4, 1e-3, 1e-2, 0.1), {0: "none"}, True),
        Knob("loss", "loss", ("squared", "cross_entropy"), {"cross_entropy": "cross-entropy"}),
    ),
    "Network": (
        Knob("filters", "filters", (2, 3, 4)),
        Knob("kernel", "filter size", (2, 3, 4, 5), {side: f"{side} × {side}" for side in range(2, 6)}),
        Knob("images", "images", (5, 10, 20, 50, 100), {}, True),
    ),
}
TOOLS = {
    "link": ("Copy link", "The link holds the settings and the step"),
    "csv": ("CSV", "Download the run as a table"),
    "png": ("PNG", "Download the picture"),
}
ANEW = ' <i class="tf-lab-anew" title="A change starts another run" aria-hidden="true">↺</i>'
ICONS = {
    "rewind": "M4 4h2.5v16H4zM20 4v16L8 12z",
    "play": "M6 3.5v17L20.5 12z",
    "pause": "M6 4h4.5v16H6zM13.5 4H18v16h-4.5z",
    "step": "M4 4l12 8-12 8zM17.5 4H20v16h-2.5z",
}


def page(settings: Mapping[str, Any]) -> str:
    """Write the lab for the built page.

    Parameters
    ----------
    settings : all of them.
    """
    poster, alternative = draw_poster(settings)
    return (
        '<div class="tf-lab" role="group" aria-label="The lab"'
        f' data-settings="{html.escape(json.dumps(dict(settings)))}">'
        f"{lab_markup(settings, page=True, poster=poster, alternative=alternative)}</div>"
    )


def lab_markup(settings: Mapping[str, Any], *, page: bool, poster: str = "", alternative: str = "") -> str:
    """Write what stands inside the lab.

    Parameters
    ----------
    settings : all of them.
    page : for the built page, which has an address and is printed.
    poster : a picture that stands there until the script runs, and on paper.
    alternative : what it shows, in words.
    """
    return (
        f"{_presets()}{_bar()}"
        '<p class="tf-lab-words"><b data-show="text">Two filters look at the same images.</b>'
        ' <span data-show="why">Press play.</span></p>'
        '<p class="tf-lab-hidden" data-show="said" role="status"></p>'
        '<p class="tf-lab-trouble" role="alert" hidden><span data-show="trouble"></span>'
        ' <button type="button" data-do="slower" disabled></button></p>'
        f'<div class="tf-lab-stage">{_poster(poster, alternative)}{_units()}{_plots()}{_controls(settings)}</div>'
        f"{_more(settings)}{_tools(page)}{_notes(page)}"
    )


def _presets() -> str:
    buttons = "".join(
        f'<button type="button" data-preset="{preset["name"]}" aria-pressed="false" disabled>'
        f'<span class="tf-lab-number" aria-hidden="true">{number}</span> {html.escape(preset["title"])}</button>'
        for number, preset in enumerate(PRESETS, 1)
    )
    return (
        f'<div class="tf-lab-presets" role="group" aria-label="Seven experiments">{buttons}</div>'
        '<p class="tf-lab-story" data-show="story">Choose an experiment, or set one up yourself below.</p>'
    )


def _bar() -> str:
    speeds = "".join(
        f'<option value="{name}"{" selected" if name == "steady" else ""}>{text}</option>'
        for name, (text, _) in SPEEDS.items()
    )
    numbers = "".join(
        f'<span><small>{name}</small> <b data-show="{name}">{value}</b></span>'
        for name, value in (("step", "0"), ("loss", "–"), ("correct", "–"))
    )
    return (
        '<div class="tf-lab-bar" role="group" aria-label="Run">'
        f"{_button('rewind', 'Rewind', 'Back to the same initial filters')}"
        '<button type="button" class="tf-lab-play" data-do="play" aria-label="Play" title="Play or pause" disabled>'
        f"{_icon('play')}{_icon('pause')}</button>"
        f"{_button('step', 'Step', 'One training step')}"
        '<select class="tf-lab-speed" data-speed aria-label="Speed" autocomplete="off" disabled>'
        f"{speeds}</select>"
        f'<div class="tf-lab-numbers">{numbers}</div>'
        '<button type="button" class="tf-lab-seed" data-do="seed" title="Other initial filters" disabled>'
        "New seed</button>"
        "</div>"
    )


def _button(name: str, label: str, title: str) -> str:
    return (
        f'<button type="button" data-do="{name}" aria-label="{label}" title="{title}" disabled>'
        f"{_icon(name)}</button>"
    )


def _icon(name: str) -> str:
    return (
        f'<svg class="tf-lab-icon" data-icon="{name}" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">'
        f'<path fill="currentColor" d="{ICONS[name]}"/></svg>'
    )


def _poster(picture: str, alternative: str) -> str:
    if not picture:
        return ""
    return f'<div class="tf-lab-poster" role="img" aria-label="{html.escape(alternative)}">{picture}</div>'


def _units() -> str:
    names = {"a": "twin A", "b": "twin B", "difference": "A − B"}
    head = "".join(f'<th scope="col" data-unit="{key}">{name}</th>' for key, name in names.items())

    def images(kind: str, label: str) -> str:
        cells = "".join(
            '<td><canvas class="tf-lab-image" width="3" height="3" role="img"'
            f' data-image="{kind}-{key}" data-unit="{key}"'
            f' aria-label="{label} of {name}"></canvas></td>'
            if key != "difference"
            else f'<td><canvas class="tf-lab-image" width="3" height="3" role="img" data-image="{kind}-{key}"'
            f' data-unit="{key}" aria-label="Difference of the {label.lower()}s"></canvas></td>'
            for key, name in names.items()
        )
        return (
            f'<tr><th scope="row">{label.lower()}</th>{cells}</tr>'
            '<tr class="tf-lab-scales"><th scope="row">colours</th>'
            f'<td colspan="2"><span data-show="{kind}-low"></span>'
            f' <i class="tf-lab-ramp" aria-hidden="true"></i> <span data-show="{kind}-scale">–</span></td>'
            f'<td data-show="{kind}-difference-scale">–</td></tr>'
        )

    def numbers(kind: str) -> str:
        cells = "".join(f'<td data-show="{kind}-{key}">–</td>' for key in names)
        return f'<tr class="tf-lab-values"><th scope="row">{kind}</th>{cells}</tr>'

    others = "".join(
        f'<td><canvas class="tf-lab-image" width="3" height="3" role="img" data-image="filter-{number}"'
        f' aria-label="Filter {number + 1}"></canvas><span data-show="readout-{number}"></span></td>'
        for number in (2, 3)
    )
    return (
        '<div class="tf-lab-twins"><table class="tf-lab-units">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>"
        f"{images('filter', 'Filter')}{numbers('bias')}{numbers('readout')}{images('gradient', 'Gradient')}"
        f'<tr data-others hidden><th scope="row">others</th>{others}<td></td></tr>'
        "</tbody></table></div>"
    )


def _plots() -> str:
    return (
        '<div class="tf-lab-plots"><div class="tf-lab-gap-line">'
        f"{_key('gap', ('gap', 'gap'), ('predicted', 'predicted'), ('parts', 'of the filters'), ('ghost', 'before'))}"
        '<select data-gap-axis aria-label="Axis of the gap" title="Axis of the gap" autocomplete="off" disabled>'
        '<option value="whole">whole axis</option><option value="fitted">fitted axis</option></select></div>'
        '<canvas class="tf-lab-plot" data-plot="gap" role="img" aria-label="The gap between the twins over time,'
        ' on a logarithmic axis, and the prediction"></canvas>'
        f"{_key('eigenvalues of the transverse Hessian', ('lowest', 'lowest'))}"
        '<canvas class="tf-lab-plot" data-plot="eigenvalues" role="img" aria-label="The eigenvalues of the transverse'
        ' Hessian over time, and now"></canvas>'
        f"{_key('learning', ('loss', 'loss'), ('accuracy', 'share correct'))}"
        '<canvas class="tf-lab-plot" data-plot="loss" role="img" aria-label="Loss and accuracy over time"></canvas>'
        '<div class="tf-lab-time">'
        '<select data-window aria-label="Steps on the time axis" title="Steps on the time axis"'
        ' autocomplete="off" disabled><option value="0">all</option><option value="1000">1000</option>'
        '<option value="100">100</option></select><label><span class="tf-lab-hidden">The step that is shown</span>'
        '<input type="range" data-time min="0" max="0" step="1" value="0" autocomplete="off" disabled></label>'
        "</div></div>"
    )


def _key(title: str, *entries: tuple[str, str]) -> str:
    parts = "".join(
        f'<span class="tf-lab-entry" data-entry="{name}"><i aria-hidden="true"></i>{label}'
        f' <b data-show="key-{name}"></b></span>'
        for name, label in entries
    )
    name = "" if title == "gap" else f"<span>{title}</span>"
    return f'<p class="tf-lab-key">{name}{parts}</p>'


def _controls(settings: Mapping[str, Any]) -> str:
    knobs = "".join(_knob(knob, settings) for knob in MAIN)
    ties = "".join(_checkbox(knob, settings) for knob in TIES)
    return (
        '<div class="tf-lab-controls" role="group" aria-label="Main controls">'
        f'{knobs}<div class="tf-lab-ties" role="group" aria-label="Tied, that is equal but for the gap">'
        f"<span>tied{ANEW}</span>{ties}</div></div>"
    )


def _more(settings: Mapping[str, Any]) -> str:
    groups = "".join(
        f"<fieldset><legend>{name}</legend>{''.join(_knob(knob, settings) for knob in knobs)}</fieldset>"
        for name, knobs in MORE.items()
    )
    first, second = settings["digits"]
    digits = "".join(
        f'<label class="tf-lab-knob"><span>{label}{ANEW}</span> '
        f'<select data-digit="{place}" autocomplete="off" disabled>'
        + "".join(f"<option{' selected' if digit == chosen else ''}>{digit}</option>" for digit in range(10))
        + "</select></label>"
        for place, (label, chosen) in enumerate((("tell digit", first), ("from digit", second)))
    )
    seed = (
        f'<label class="tf-lab-knob"><span>seed{ANEW}</span> '
        f'<input type="number" data-setting="seed" min="0" max="{SETTINGS["seed"].high}" step="1"'
        f' value="{settings["seed"]}" autocomplete="off" disabled></label>'
    )
    groups += f"<fieldset><legend>Start</legend>{digits}{seed}</fieldset>"
    return (
        '<details class="tf-lab-more"><summary>More <span data-show="more">noise, momentum, network, digits'
        f'</span></summary><div class="tf-lab-groups">{groups}</div></details>'
    )


def _knob(knob: Knob, settings: Mapping[str, Any]) -> str:
    return _slider(knob, settings) if knob.slider else _menu(knob, settings)


def _name(knob: Knob) -> str:
    """Write the label of a knob, with a mark where a change starts another run."""
    return knob.label if SETTINGS[knob.name].live else f"{knob.label}{ANEW}"


def _slider(knob: Knob, settings: Mapping[str, Any]) -> str:
    value = settings[knob.name]
    values = sorted({*knob.values, value})
    place = values.index(value)
    words = {json.dumps(key): text for key, text in knob.words.items()}
    return (
        f'<label class="tf-lab-knob tf-lab-slider"><span>{_name(knob)}</span> '
        f'<output data-value="{knob.name}">{html.escape(knob.text(value))}</output>'
        f'<input type="range" data-setting="{knob.name}" min="0" max="{len(values) - 1}" step="1" value="{place}"'
        f" data-values='{json.dumps(values)}' data-words='{html.escape(json.dumps(words))}'"
        f' aria-label="{knob.label}" aria-valuetext="{html.escape(knob.text(value))}" autocomplete="off"'
        " disabled></label>"
    )


def _menu(knob: Knob, settings: Mapping[str, Any]) -> str:
    options = "".join(
        f'<option value="{value}"{" selected" if value == settings[knob.name] else ""}>'
        f"{html.escape(knob.text(value))}</option>"
        for value in knob.values
    )
    return (
        f'<label class="tf-lab-knob"><span>{_name(knob)}</span> '
        f'<select data-setting="{knob.name}" autocomplete="off" disabled>'
        f"{options}</select></label>"
    )


def _checkbox(knob: Knob, settings: Mapping[str, Any]) -> str:
    checked = " checked" if settings[knob.name] else ""
    return (
        f'<label class="tf-lab-tie"><input type="checkbox" data-setting="{knob.name}"{checked}'
        ' autocomplete="off" disabled>'
        f" <span>{knob.label}</span></label>"
    )


def _tools(page: bool) -> str:
    names = [name for name in TOOLS if page or name != "link"]
    buttons = "".join(
        f'<button type="button" data-do="{name}" title="{TOOLS[name][1]}" disabled>{TOOLS[name][0]}</button>'
        for name in names
    )
    ghost = (
        '<label class="tf-lab-tie"><input type="checkbox" data-ghost checked autocomplete="off" disabled>'
        " <span>show the run before</span></label>"
    )
    return f'<div class="tf-lab-tools">{ghost}{buttons}</div>'


def _notes(page: bool) -> str:
    if not page:
        return ""
    return (
        '<noscript><p class="tf-lab-note">The lab trains two filters in your browser; without JavaScript, this is'
        " one of its runs.</p></noscript>"
        '<p class="tf-lab-print">On paper this is a picture of one run. In the page, the filters learn while you'
        " watch.</p>"
    )
