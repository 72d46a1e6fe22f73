"""The lab's random numbers in Python: those of random.js, in the shape that the package takes them.

The generator is sfc32 (C. Doty-Humphrey, PractRand): sums, shifts and exclusive ors of 32-bit integers.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# The numbers of a seed come in parts that do not disturb each other: what a network starts from, what training draws.
START, TRAINING = 0, 1

Size = int | tuple[int, ...]

WORD = 2**32
WARM_UP = 12


class Stream(np.random.Generator):
    """Generator that draws what random.js draws.

    It has :meth:`random`, :meth:`standard_normal`, :meth:`normal` and :meth:`permutation`, which the package's
    initialiser, minibatches and noise ask for. What it inherits beyond them is not the lab's.

    Parameters
    ----------
    seed : 0 to 2**32 - 1.
    part : :data:`START` or :data:`TRAINING`.
    """

    def __init__(self, seed: int, part: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self._state = (0, seed, part, 1)
        for _ in range(WARM_UP):
            self._next()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Stream":
        copied = Stream(0, 0)
        copied._state = self._state
        return copied

    def random(self, size: Size = ()) -> Float[np.ndarray, "..."]:
        """Draw numbers evenly from [0, 1), with 32 bits."""
        return self._filled(self._uniform, size)

    def standard_normal(self, size: Size = ()) -> Float[np.ndarray, "..."]:
        """Draw from the normal distribution with mean 0 and variance 1."""
        return self._filled(self._normal, size)

    def normal(
        self, loc: float = 0.0, scale: float = 1.0, size: Size = ()
    ) -> np.float64 | Float[np.ndarray, "..."]:
        """Draw from a normal distribution."""
        return loc + scale * self.standard_normal(size)

    def permutation(self, x: int) -> Int[np.ndarray, " x"]:
        """Put 0 .. x - 1 into random order (Fisher and Yates)."""
        order = np.arange(x)
        for last in range(x - 1, 0, -1):
            other = int(self._uniform() * (last + 1))
            order[last], order[other] = order[other], order[last]
        return order

    def _filled(self, draw: Callable[[], float], size: Size) -> Float[np.ndarray, "..."]:
        return np.array([draw() for _ in range(np.empty(size).size)]).reshape(size)

    def _normal(self) -> float:
        # Box and Muller's cosine; its sine is left out, so that there is nothing to remember.
        return math.sqrt(-2 * math.log(1 - self._uniform())) * math.cos(2 * math.pi * self._uniform())

    def _uniform(self) -> float:
        return self._next() / WORD

    def _next(self) -> int:
        a, b, c, counter = self._state
        drawn = (a + b + counter) % WORD
        rotated = c << 21 | c >> 11
        self._state = (b ^ b >> 9, 9 * c % WORD, (rotated + drawn) % WORD, (counter + 1) % WORD)
        return drawn
