"""Images to train on.

The handwritten digits are those of the UCI repository's *Optical Recognition of Handwritten Digits*, as scikit-learn
ships them: 1797 grey images of 8 x 8 pixels with values 0 to 16.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from sklearn.datasets import load_digits


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of handwritten digits.

    Attributes
    ----------
    images : (N, 1, 8, 8), grey values between 0 (paper) and 1 (ink).
    labels : (N,), which digit it is.
    targets : what a network should answer. Two classes: (N, 1), +1 for the first and -1 for the second.
        More: (N, O), 1 in the column of the class, 0 in the others.
    classes : the digits, in the order of the columns of targets.
    """

    images: Float[np.ndarray, "N 1 8 8"]
    labels: Int[np.ndarray, " N"]
    targets: Float[np.ndarray, "N O"]
    classes: tuple[int, ...]

    @property
    def examples(self) -> tuple[Float[np.ndarray, "N 1 8 8"], Float[np.ndarray, "N O"]]:
        """Images and targets, as the methods of a network take them: ``net.mean_loss(*digits.examples)``."""
        return self.images, self.targets


def digits(*classes: int, count: int | None = None) -> Digits:
    """Load handwritten digits, in the order of the data set.

    Parameters
    ----------
    classes : the digits wanted, at least two different ones; all ten by default.
    count : how many images; all of those classes by default.

    Raises
    ------
    ValueError : classes that are not two or more different digits, or a count that is not available.

    Examples
    --------
    >>> pair = digits(3, 8, count=100)
    >>> pair.images.shape, pair.labels[:4].tolist(), pair.targets[:4, 0].tolist()
    ((100, 1, 8, 8), [3, 8, 3, 8], [1.0, -1.0, 1.0, -1.0])
    """
    classes = classes or tuple(range(10))
    if not all(isinstance(digit, int | np.integer) and 0 <= digit <= 9 for digit in classes) or (
        len(classes) < 2 or len(set(classes)) < len(classes)
    ):
        raise ValueError(f"classes must be two or more different digits 0 to 9, got {classes}")
    images, labels = _all_digits()
    chosen = np.flatnonzero(np.isin(labels, classes))
    count = len(chosen) if count is None else count
    if not isinstance(count, int | np.integer) or not 1 <= count <= len(chosen):
        raise ValueError(
            f"count must be an integer between 1 and {len(chosen)} for the classes {classes}, got {count!r}"
        )
    chosen = chosen[:count]
    return Digits(images[chosen], labels[chosen], _targets(labels[chosen], classes), classes)


def _targets(labels: Int[np.ndarray, " N"], classes: tuple[int, ...]) -> Float[np.ndarray, "N O"]:
    one_hot = (labels[:, None] == np.array(classes)).astype(float)
    return one_hot[:, :1] - one_hot[:, 1:] if len(classes) == 2 else one_hot


@cache
def _all_digits() -> tuple[Float[np.ndarray, "N 1 8 8"], Int[np.ndarray, " N"]]:
    source = load_digits()
    return source.images[:, None] / 16, source.target
