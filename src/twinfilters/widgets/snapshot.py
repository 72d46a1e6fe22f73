"""Snapshot of `explore`: every combination drawn while the book is built, and the HTML that shows them."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from math import prod
from pathlib import Path

from twinfilters.widgets.cache import FrameCache, write_whole
from twinfilters.widgets.controls import Control
from twinfilters.widgets.frames import combinations, draw_frames
from twinfilters.widgets.markup import boxes_of, describe, widget
from twinfilters.widgets.pictures import KINDS, Point
from twinfilters.widgets.store import Store

# Names the folder that receives the frames. Set while the book is built, and only then.
SNAPSHOT_VARIABLE = "TWINFILTERS_SNAPSHOTS"
# Frames that are drawn both ways to see which is smaller.
SAMPLE = 3
# A control with fewer is none.
MIN_OPTIONS = 2


def building() -> bool:
    """Whether the book is being built."""
    return SNAPSHOT_VARIABLE in os.environ


def snapshot(
    draw: Callable,
    controls: Sequence[Control],
    *,
    play: str | None,
    max_frames: int,
    max_bytes: int,
    point: Point | None = None,
) -> str:
    """Draw every combination, store the frames in one script, and return the HTML that uses them.

    Parameters
    ----------
    draw, controls, play : as in `explore`.
    max_frames : number of combinations allowed.
    max_bytes : compressed size allowed.
    point : as in `frames.draw_frame`.

    Raises
    ------
    ValueError : too many combinations (before anything is drawn), or too many bytes.
    """
    count = prod(len(control.options) for control in controls)
    if count > max_frames:
        counts = " x ".join(f"{control.name}: {len(control.options)}" for control in controls)
        raise ValueError(
            f"explore draws at most {max_frames} combinations for the book, got {count} ({counts}): "
            f"{_advice(controls, max_frames)}"
        )
    folder = Path(os.environ[SNAPSHOT_VARIABLE])
    many, cache = combinations(controls), FrameCache(folder / "cache", draw)
    drawn = partial(draw_frames, draw, cache=cache, point=point)
    kind = min(KINDS, key=lambda kind: _expected_size(drawn, many, kind))
    store = Store()
    with closing(drawn(many, kind=kind)) as frames:
        for frame in frames:
            store.add(frame)
            if store.size > max_bytes:
                raise ValueError(
                    f"explore stores at most {max_bytes} bytes (compressed) of pictures for the book, had "
                    f"{store.size} after {len(store)} of {count} combinations: draw fewer points, or "
                    f"{_advice(controls, max_bytes * len(store) // store.size)}"
                )
    return _page(store, controls, play, folder)


def _expected_size(drawn: Callable, many: Sequence[dict], kind: str) -> float:
    """Size of all frames of a kind, as far as a few of them tell: the first brings along what the others share."""
    sample = many[:: max(1, len(many) // SAMPLE)][:SAMPLE]
    store, sizes = Store(), []
    for frame in drawn(sample, kind=kind):
        store.add(frame)
        sizes.append(store.size)
    return sizes[0] + (sizes[-1] - sizes[0]) / max(1, len(sample) - 1) * (len(many) - 1)


def _advice(controls: Sequence[Control], affordable: int) -> str:
    """Say which control to thin, and how far, so that no more combinations remain than can be afforded."""
    largest = max(controls, key=lambda control: len(control.options))
    others = prod(len(control.options) for control in controls if control is not largest)
    has = f"{largest.name!r}, which has {len(largest.options)} options"
    if affordable // others >= MIN_OPTIONS:
        return f"thin {has}, to {affordable // others}"
    return f"thin several controls, first {has}"


def _page(store: Store, controls: Sequence[Control], play: str | None, folder: Path) -> str:
    frames = list(store)
    if len({len(frame) for frame in frames}) > 1:
        raise ValueError(
            f"draw must return the same number of pictures for all values, got {sorted({*map(len, frames)})}"
        )
    page = partial(
        widget,
        controls,
        play=play,
        page=True,
        frame=store[number_of(controls)],
        boxes=boxes_of(frames),
        longest=max(map(describe, frames), key=len),
    )
    key, script = store.script(page())
    write_whole(folder / f"{key}.js", script)
    return f'<div class="tf-explore" data-explore="{key}">{page(prefix=f"tf{key[:8]}")}</div>'


def number_of(controls: Sequence[Control]) -> int:
    """Give the number of the first combination shown: the controls are the digits."""
    number = 0
    for control in controls:
        number = number * len(control.options) + control.initial
    return number
