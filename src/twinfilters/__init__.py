"""Why identical filters stay identical, and what drives nearly identical ones apart.

The package behind the book *Twin Filters*. Every array in it is described by one key of dimension letters:

===  ======================================================================
E    member of an ensemble of runs
N    image
C    channel of an image
F    filter (unit)
O    output of the network
P    position of a patch in its image, row by row
D    entry of a patch or of a flattened filter, ordered channel, row, column
H W  height and width of an image
K L  height and width of a filter
===  ======================================================================

Modules are imported when they are first used, so ``import twinfilters`` costs next to nothing.
"""

from importlib import import_module

__version__ = "0.1.0"


def __getattr__(name: str):
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
