"""A bar for long runs, where somebody sees it: never in stored outputs, logs or pipes."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

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
    from tqdm import tqdm

    place = {"file": _NotebookLine(), "ncols": 80} if _kernel() else {}
    return tqdm(range(start, stop), desc="training", unit="step", delay=DELAY, leave=False, **place)


def somebody_watches() -> bool:
    """Whether this is a terminal, or a notebook with a person in front of it.

    A front end lets a cell ask that person for input; nbclient and nbval, which run notebooks to store and to compare
    their outputs, do not.
    """
    kernel = _kernel()
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stderr is not None and sys.stderr.isatty()


def _kernel() -> Any:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None)


class _NotebookLine:
    """One line of output that is written anew each time, and empty at the end.

    A widget would leave an error message behind in a saved notebook, and standard error a coloured box.
    """

    def __init__(self):
        self.handle = None

    def write(self, text: str) -> None:
        from IPython.display import display

        line = {"text/plain": text.strip()}
        if self.handle is not None:
            self.handle.update(line, raw=True)
        elif text.strip():
            self.handle = display(line, raw=True, display_id=True)

    def flush(self) -> None:
        """Every line is shown at once."""
