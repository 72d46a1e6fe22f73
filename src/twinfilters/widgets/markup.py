"""Markup of `explore`: the same in a notebook and in the built page, with everything switched off until a script runs.

Controls are native ones, each with its label. Pictures stand in boxes that have their final size from the beginning.
"""

import html
import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from twinfilters.widgets.controls import Control
from twinfilters.widgets.frames import Frame

# Pictures a second.
SPEEDS = {"slow": 1, "normal": 3, "fast": 8}
Size = tuple[int, int]


def widget(
    controls: Sequence[Control],
    *,
    play: str | None,
    page: bool,
    frame: Frame = (),
    boxes: Sequence[Size] = (),
    longest: str = "",
    prefix: str = "",
) -> str:
    """Write controls, pictures and status line.

    Parameters
    ----------
    controls : all of them, fixed ones too.
    play : the control that has a play button.
    page : for the built page, which has an address and is printed.
    frame : what is shown at first.
    boxes : size of the box of each picture.
    longest : the description that needs most room.
    prefix : beginning of the identifiers inside the pictures.
    """
    pictures = "".join(
        f'<div class="tf-picture" style="--w: {width}; --h: {height}">{picture.labelled(f"{prefix}-{number}")}</div>'
        for number, (picture, (width, height)) in enumerate(zip(frame, boxes, strict=True))
    )
    link = '<button type="button" class="tf-link" disabled>Copy link</button>' if page else ""
    return (
        '<div class="tf-controls" role="group" aria-label="Controls of the figure">'
        f"{_rows(controls, play)}</div>"
        f'<div class="tf-pictures">{pictures}</div>'
        f'<div class="tf-words" data-longest="{html.escape(longest)}">'
        f'<p class="tf-status" role="status">{html.escape(describe(frame))}</p></div>'
        '<p class="tf-error" role="alert" hidden></p>'
        f'<div class="tf-tools">{link}<button type="button" class="tf-reset" disabled>Reset</button></div>'
        f"{_notes(controls) if page else ''}"
    )


def describe(frame: Frame) -> str:
    """Say what the pictures show."""
    return " ".join(picture.description for picture in frame)


def boxes_of(frames: Iterable[Frame]) -> list[Size]:
    """Size of the box in which the picture of every frame has room, for each place."""
    places = zip(*frames, strict=True)
    return [
        (max(picture.width for picture in place), max(picture.height for picture in place))
        for place in places
    ]


def _rows(controls: Sequence[Control], play: str | None) -> str:
    shown = [control for control in controls if control.kind != "fixed"]
    rows = []
    for switches, group in groupby(shown, lambda control: control.kind == "checkbox"):
        if switches:
            rows.append(f'<div class="tf-switches">{"".join(map(_checkbox, group))}</div>')
        else:
            rows += [
                _select(control)
                if control.kind == "select"
                else _slider(control, playing=control.name == play)
                for control in group
            ]
    return "".join(rows)


def _checkbox(control: Control) -> str:
    checked = " checked" if control.initial else ""
    return (
        f'<label class="tf-switch"><input type="checkbox" {_data(control)}{checked} autocomplete="off" disabled>'
        f" <span>{html.escape(control.label)}</span></label>"
    )


def _select(control: Control) -> str:
    options = "".join(
        f'<option value="{index}"{" selected" if index == control.initial else ""}>{html.escape(text)}</option>'
        for index, text in enumerate(control.texts)
    )
    return (
        f'<div class="tf-control"><label><span>{html.escape(control.label)}</span> '
        f'<select {_data(control)} autocomplete="off" disabled>{options}</select></label></div>'
    )


def _slider(control: Control, *, playing: bool) -> str:
    now = control.options[control.initial]
    wide = max(map(len, control.texts))
    return (
        f'<div class="tf-control"><label><span>{html.escape(control.label)}</span> '
        f'<input type="range" {_data(control)} min="0" max="{len(control.options) - 1}" step="1" '
        f'value="{control.initial}" aria-valuetext="{html.escape(now.said)}" autocomplete="off" disabled></label> '
        f'<span class="tf-value" aria-hidden="true" style="min-width: {wide}ch">{html.escape(now.text)}</span>'
        f"{_player(control) if playing else ''}</div>"
    )


def _player(control: Control) -> str:
    label = html.escape(control.label)
    speeds = "".join(
        f'<option value="{speed}"{" selected" if name == "normal" else ""}>{name}</option>'
        for name, speed in SPEEDS.items()
    )
    return (
        '<span class="tf-player"><button type="button" class="tf-play" disabled>'
        f'<span class="tf-word">Play</span><span class="tf-hidden"> {label}</span></button>'
        f'<select class="tf-speed" aria-label="Speed of {label}" autocomplete="off" disabled>{speeds}</select></span>'
    )


def _data(control: Control) -> str:
    """Tell scripts about the options: the texts, and how they are said and named where that differs."""
    lists = {"texts": control.texts}
    for key, words in (
        ("said", tuple(option.said for option in control.options)),
        ("names", tuple(option.name for option in control.options)),
    ):
        if words != control.texts:
            lists[key] = words
    written = (
        f'data-{key}="{html.escape(json.dumps(words, ensure_ascii=False))}"' for key, words in lists.items()
    )
    return f'data-control="{html.escape(control.name)}" {" ".join(written)}'


def _notes(controls: Sequence[Control]) -> str:
    labels = ", ".join(control.label for control in controls if control.kind != "fixed")
    return (
        f'<p class="tf-print-note">In the web edition of this page this figure moves: {html.escape(labels)}.</p>'
        '<noscript><p class="tf-note">The controls need JavaScript. This is the figure at their first values.</p>'
        "</noscript>"
    )
