"""A bar for long runs, where somebody sees it: never in stored outputs, logs or pipes."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

# Seconds after which a run is long.
DELAY = 2.0


def progress(start: int, stop: int) -> AbstractContextManager[Iterable[int]]:
    """Count from start up to stop, with a bar that appears if it takes long and vanishes at the end.

    Examples
    --------
    >>> with progress(3, 6) as numbers:
    ...     list(numbers)
    [3, 4, 5]
    """
    if not somebody_watches():
        return nullcontext(range(start, stop))
    from tqdm.auto import tqdm

    return tqdm(range(start, stop), desc="training", unit="step", delay=DELAY, leave=False)


def somebody_watches() -> bool:
    """Whether this is a terminal, or a notebook with a person in front of it.

    A front end lets a cell ask that person for input; nbclient and nbval, which run notebooks to store and to compare
    their outputs, do not.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stderr is not None and sys.stderr.isatty()
