"""Pictures of `explore`: one at a time for a kernel, all of them beforehand for the built book."""

import hashlib
import html
import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from twinfilters.plotting import figure_svg, labelled
from twinfilters.widgets.controls import Control

# Names the folder that receives the frames. Set while the book is built, and only then.
SNAPSHOT_VARIABLE = "TWINFILTERS_SNAPSHOTS"


@dataclass(frozen=True)
class Frame:
    """A picture and what it shows, in words."""

    svg: str
    description: str


def draw_frame(draw: Callable, values: dict[str, Any], *, described: bool = False) -> Frame:
    """Call ``draw`` and render its figure; figures made on the way are closed.

    Parameters
    ----------
    draw : returns a figure, or a pair (figure, description).
    values : its keyword arguments.
    described : insist on the description.

    Raises
    ------
    ValueError : ``draw`` returned something else.
    """
    already_open = set(plt.get_fignums())
    try:
        result = draw(**values)
        figure, description = result if isinstance(result, tuple) and len(result) == 2 else (result, "")
        if not isinstance(figure, Figure) or not isinstance(description, str):
            raise ValueError(f"draw must return a Figure or a pair (Figure, str), got {_type_names(result)}")
        if described and not description.strip():
            raise ValueError(
                "draw must return a pair (figure, description) to go into the book: the description is what a "
                "reader who does not see the picture gets"
            )
        return Frame(figure_svg(figure), " ".join(description.split()))
    finally:
        for number in set(plt.get_fignums()) - already_open:
            plt.close(number)


def values_at(controls: Sequence[Control], indices: Sequence[int]) -> dict[str, Any]:
    """Values that belong to one option of each control."""
    return {control.name: control.values[index] for control, index in zip(controls, indices, strict=True)}


def describe_values(controls: Sequence[Control], values: dict[str, Any]) -> str:
    """Write values as the reader sees them: ``gap = 0.001, activation = tanh``."""
    return ", ".join(
        f"{control.label} = {control.texts[control.index(values[control.name])]}" for control in controls
    )


def markup(controls: Sequence[Control], frame: Frame | None) -> str:
    """HTML of controls, picture and status line. The same in a notebook and in the built page."""
    shown = [control for control in controls if control.kind != "fixed"]
    picture = labelled(frame.svg, frame.description) if frame else ""
    description = html.escape(frame.description) if frame else ""
    return (
        '<div class="tf-controls" role="group" aria-label="Controls of the figure">'
        + "".join(control.html() for control in shown)
        + '<button type="button" class="tf-reset" disabled>Reset</button></div>'
        + f'<div class="tf-picture">{picture}</div>'
        + f'<p class="tf-status" role="status">{description}</p>'
        + '<p class="tf-error" role="alert" hidden></p>'
    )


def snapshot(draw: Callable, controls: Sequence[Control], *, max_frames: int, max_bytes: int) -> str:
    """Draw every combination, store the frames in one script, and return the HTML that uses them.

    The script's name is a hash of its content. It is a classic script, because a page opened from a file may load
    neither JSON nor modules from beside it.

    Parameters
    ----------
    draw, controls : as in `explore`.
    max_frames : number of combinations allowed.
    max_bytes : compressed size allowed.

    Raises
    ------
    ValueError : too many combinations (before anything is drawn), or too many bytes.
    """
    sizes = [len(control.values) for control in controls]
    if prod(sizes) > max_frames:
        counts = " x ".join(f"{control.name}: {len(control.values)}" for control in controls)
        raise ValueError(
            f"explore draws at most {max_frames} pictures for the book, got {prod(sizes)} ({counts})"
        )
    frames = _all_frames(draw, controls, max_bytes)
    unique = list(dict.fromkeys(frames))
    position = {frame: number for number, frame in enumerate(unique)}
    content = json.dumps(
        {
            "order": [position[frame] for frame in frames],
            "frames": [[frame.svg, frame.description] for frame in unique],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    start = 0
    for control in controls:
        start = start * len(control.values) + control.initial
    page = markup(controls, frames[start])
    key = hashlib.sha256((content + page).encode()).hexdigest()[:16]
    # </ would end a script element if somebody ever put the content into one.
    content = content.replace("</", "<\\/")
    _write(
        Path(os.environ[SNAPSHOT_VARIABLE]),
        key,
        f'(self.tfExplore=self.tfExplore||{{}})["{key}"]={content};\n',
    )
    return f'<div class="tf-explore" data-explore="{key}">{page}</div>'


def _all_frames(draw: Callable, controls: Sequence[Control], max_bytes: int) -> list[Frame]:
    compressor, size, frames = zlib.compressobj(), 0, []
    for indices in product(*(range(len(control.values)) for control in controls)):
        values = values_at(controls, indices)
        try:
            frame = draw_frame(draw, values, described=True)
        except Exception as error:
            error.add_note(f"while drawing {describe_values(controls, values)}")
            raise
        frames.append(frame)
        size += len(compressor.compress((frame.svg + frame.description).encode()))
        size += len(compressor.flush(zlib.Z_SYNC_FLUSH))
        if size > max_bytes:
            raise ValueError(
                f"explore stores at most {max_bytes} bytes (compressed) of pictures for the book, "
                f"and had {size} after {len(frames)} of {prod(len(control.values) for control in controls)}: "
                "draw fewer points or offer fewer options"
            )
    return frames


def _write(folder: Path, key: str, content: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{key}.{os.getpid()}.tmp"
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(folder / f"{key}.js")


def _type_names(result: Any) -> str:
    if isinstance(result, tuple):
        return "(" + ", ".join(type(entry).__name__ for entry in result) + ")"
    return type(result).__name__
