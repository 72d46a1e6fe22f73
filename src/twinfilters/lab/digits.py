"""The handwritten digits as a page carries them: text that compresses well, one letter a pixel."""

from functools import cache
from itertools import combinations

import numpy as np

from twinfilters.data import digits

# Of any two classes the page has this many images, the first ones of the data set.
IMAGES = 100
# Grey values are multiples of 1/16: A is paper, Q is ink. The general compression of pages then stores 3 bits a pixel.
LEVELS = 16
PAPER = ord("A")


@cache
def packed() -> dict[str, str]:
    """Give the digits that any settings ask for: their labels, and their pixels row by row.

    Examples
    --------
    >>> pack = packed()
    >>> pack["labels"][:12], pack["pixels"][:8]
    ('012345678901', 'AAFNJBAA')
    """
    everything = digits()
    needed = np.zeros(len(everything.labels), bool)
    for pair in combinations(range(10), 2):
        needed[np.flatnonzero(np.isin(everything.labels, pair))[:IMAGES]] = True
    levels = np.rint(everything.images[needed] * LEVELS).astype(np.uint8)
    return {
        "labels": "".join(map(str, everything.labels[needed])),
        "pixels": (levels + PAPER).tobytes().decode("ascii"),
    }
