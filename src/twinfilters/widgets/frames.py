"""Frames of `explore`: the pictures that belong to one combination of values; one at a time, or all of them.

All are drawn by several processes, and those drawn before come from the cache. Neither may show: whoever draws a
frame, and when, it is the same to the last byte.
"""

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import astuple
from functools import partial
from itertools import product
from math import ceil
from pathlib import Path
from pickle import PicklingError
from time import perf_counter
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky import get_reusable_executor
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from twinfilters.widgets.cache import FrameCache
from twinfilters.widgets.controls import Control
from twinfilters.widgets.pictures import Picture, Point, picture

Frame = tuple[Picture, ...]
# Seconds of drawing from which on it pays to start processes.
PAYS = 3.0
CHUNKS_PER_PROCESS = 8
# Seconds after which a bar appears, and where.
DELAY = 2.0
TERMINAL = Path("CON" if os.name == "nt" else "/dev/tty")


def draw_frame(
    draw: Callable,
    values: dict[str, Any],
    *,
    kind: str = "svg",
    described: bool = False,
    point: Point | None = None,
) -> Frame:
    """Call ``draw`` and render its figures; figures made on the way are closed.

    Parameters
    ----------
    draw : returns a figure, a pair (figure, description), or a list of them.
    values : its keyword arguments.
    kind : "svg" or "webp".
    described : insist on the descriptions.
    point : the controls that pointing into the first picture sets, as in `pictures.picture`.

    Raises
    ------
    ValueError : ``draw`` returned something else.
    """
    already_open = set(plt.get_fignums())
    try:
        result = draw(**values)
        entries = result if isinstance(result, list) else [result]
        pairs = [entry if isinstance(entry, tuple) else (entry, "") for entry in entries]
        if not pairs or not all(map(_is_described_figure, pairs)):
            raise ValueError(
                f"draw must return a Figure, a pair (Figure, str) or a list of them, got {_type_names(result)}"
            )
        if described and not all(description.strip() for _, description in pairs):
            raise ValueError(
                "draw must return a pair (figure, description) to go into the book: the description is what a "
                "reader who does not see the picture gets"
            )
        return tuple(
            picture(figure, " ".join(text.split()), kind, None if number else point)
            for number, (figure, text) in enumerate(pairs)
        )
    finally:
        for number in set(plt.get_fignums()) - already_open:
            plt.close(number)


def combinations(controls: Sequence[Control]) -> list[dict[str, Any]]:
    """All combinations of values, in the order of their numbers: the last control moves fastest."""
    names = [control.name for control in controls]
    return [
        dict(zip(names, values, strict=True)) for values in product(*(control.values for control in controls))
    ]


def draw_frames(
    draw: Callable,
    many: Sequence[dict[str, Any]],
    *,
    kind: str,
    cache: FrameCache,
    point: Point | None = None,
    processes: int | None = None,
) -> Iterator[Frame]:
    """Give the frame of each combination, in order, as soon as it is there.

    Parameters
    ----------
    draw : as in `explore`.
    many : its keyword arguments, each time.
    kind : "svg" or "webp".
    cache : where frames are looked up and kept.
    point : as in :func:`draw_frame`.
    processes : that draw; if None, as many as there are cores, where that pays.

    Raises
    ------
    Exception : what ``draw`` raises, with a note that names the values.
    """
    kept = [cache.get(kind, point, values) for values in many]
    missing = [values for values, frame in zip(many, kept, strict=True) if frame is None]
    drawn = _draw_all(partial(_attempt, draw, kind, point), missing, processes)
    with closing(drawn), _progress(total=len(many)) as bar:
        for values, frame in zip(many, kept, strict=True):
            if frame is not None:
                yield tuple(Picture(*entries) for entries in frame)
            else:
                # Where it failed elsewhere it fails here, too, in sight of the reader of the traceback.
                frame = next(drawn) or _draw_here(draw, kind, point, values)
                cache.put([astuple(picture) for picture in frame], kind, point, values)
                yield frame
            bar.update()


def _attempt(draw: Callable, kind: str, point: Point | None, values: dict[str, Any]) -> Frame | None:
    try:
        return _draw_here(draw, kind, point, values)
    except Exception:
        return None


def _draw_here(draw: Callable, kind: str, point: Point | None, values: dict[str, Any]) -> Frame:
    try:
        # With more threads sums are taken in another order, and the last digits change.
        with threadpool_limits(1):
            return draw_frame(draw, values, kind=kind, described=True, point=point)
    except Exception as error:
        call = ", ".join(f"{name}={value!r}" for name, value in values.items())
        error.add_note(f"while calling draw({call})")
        raise


def _draw_all(attempt: Callable, many: list[dict[str, Any]], processes: int | None) -> Iterator[Frame | None]:
    """Draw here, and in other processes where that pays; what cannot be sent to them is drawn here, too."""
    todo = list(many)
    if processes is None and todo:
        begun = perf_counter()
        yield attempt(todo.pop(0))
        processes = cpu_count() if (perf_counter() - begun) * len(todo) > PAYS else 1
    done = 0
    if todo and processes > 1:
        size = ceil(len(todo) / processes / CHUNKS_PER_PROCESS)
        chunks = (todo[start : start + size] for start in range(0, len(todo), size))
        # Their number is no reason to draw with other colours or fonts.
        settings, fonts = dict.copy(mpl.rcParams), fontManager.ttflist
        task = delayed(partial(_draw_chunk, attempt, settings, fonts))
        with (
            suppress(PicklingError, BrokenProcessPool),
            _given_up_quietly(Parallel(processes, return_as="generator")(map(task, chunks))) as results,
        ):
            for frames in results:
                yield from frames
                done += len(frames)
    yield from map(attempt, todo[done:])


@contextmanager
def _given_up_quietly(results: Generator) -> Iterator[Generator]:
    """Leave no process behind, which would complain when the kernel ends, and no warning of frames given up."""
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _draw_chunk(attempt: Callable, settings: dict, fonts: list, many: list[dict[str, Any]]) -> list:
    mpl.use("agg")
    mpl.rcParams.update({name: value for name, value in settings.items() if "backend" not in name})
    fontManager.ttflist = fonts
    return [attempt(values) for values in many]


@contextmanager
def _progress(total: int) -> Iterator[tqdm]:
    """Show a bar on the terminal that the build was started from, if any: an output would go into the page."""
    with ExitStack() as stack:
        terminal = None
        with suppress(OSError):
            terminal = stack.enter_context(TERMINAL.open("w", encoding="utf-8"))
        place = {"file": terminal, "disable": terminal is None}
        yield stack.enter_context(
            tqdm(total=total, desc="explore", unit="frame", delay=DELAY, leave=False, **place)
        )


def _is_described_figure(pair: tuple) -> bool:
    return len(pair) == 2 and isinstance(pair[0], Figure) and isinstance(pair[1], str)


def _type_names(result: Any) -> str:
    if isinstance(result, list | tuple):
        names = ", ".join(map(_type_names, result))
        return f"[{names}]" if isinstance(result, list) else f"({names})"
    return type(result).__name__
