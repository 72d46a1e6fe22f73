r"""Images to train on, and what to answer to them.

The handwritten digits are those of the UCI repository's *Optical Recognition of Handwritten Digits*, as scikit-learn
ships them: 1797 grey images of 8 x 8 pixels with values 0 to 16, here divided by 16. Gratings, Gaussian inputs and the
answers of a teacher network are drawn from a random generator.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from sklearn.datasets import load_digits

from twinfilters.network import FilterNet


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images in classes, and the answers wanted of a network.

    Attributes
    ----------
    images : (N, 1, H, W). Digits: 8 x 8 grey values between 0 (paper) and 1 (ink).
    labels : (N,), the class of each image. Digits: which digit it is. Gratings: the number of the orientation.
    targets : what a network should answer. Two classes: (N, 1), +1 for the first and -1 for the second.
        More: (N, O), 1 in the column of the class, 0 in the others.
    classes : the labels, in the order of the columns of targets.
    """

    images: Float[np.ndarray, "N 1 H W"]
    labels: Int[np.ndarray, " N"]
    targets: Float[np.ndarray, "N O"]
    classes: tuple[int, ...]

    @property
    def examples(self) -> tuple[Float[np.ndarray, "N 1 H W"], Float[np.ndarray, "N O"]]:
        """Images and targets, as the methods of a network take them: ``net.mean_loss(*digits.examples)``."""
        return self.images, self.targets


def digits(*classes: int, count: int | None = None) -> LabelledImages:
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
    return LabelledImages(images[chosen], labels[chosen], _targets(labels[chosen], classes), classes)


def gratings(
    count: int,
    *,
    rng: np.random.Generator,
    orientations: int = 2,
    size: int = 8,
    wavelength: float = 4.0,
    noise: float = 0.0,
) -> LabelledImages:
    r"""Draw oriented gratings, $\sin(2\pi(x\cos\vartheta+y\sin\vartheta)/\lambda+\varphi)$ plus noise.

    The phase $\varphi$ is uniform; orientation $c$ has $\vartheta=\pi c/\mathrm{orientations}$, in turns.

    Parameters
    ----------
    count : number of images, N.
    rng : draws phases and noise.
    orientations : number of classes, at least 2.
    size : height and width in pixels.
    wavelength : $\lambda$, in pixels.
    noise : standard deviation of the Gaussian noise on each pixel, in units of the amplitude.

    Raises
    ------
    ValueError : a count or size below 1, fewer than two orientations, a wavelength not positive, a noise below 0.
    """
    _check_at_least(1, count=count, size=size)
    _check_at_least(2, orientations=orientations)
    if not (np.isfinite(wavelength) and wavelength > 0) or not (np.isfinite(noise) and noise >= 0):
        raise ValueError(
            f"wavelength must be positive and noise at least 0, got wavelength = {wavelength}, noise = {noise}"
        )
    labels = np.arange(count) % orientations
    angle = np.pi * labels[:, None, None] / orientations
    y, x = np.mgrid[:size, :size]
    phase = rng.uniform(0, 2 * np.pi, size=(count, 1, 1))
    waves = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength + phase)
    images = (waves + noise * rng.normal(size=waves.shape))[:, None]
    classes = tuple(range(orientations))
    return LabelledImages(images, labels, _targets(labels, classes), classes)


def gaussian_images(
    count: int, *, rng: np.random.Generator, channels: int = 1, size: int = 8
) -> Float[np.ndarray, "N C H W"]:
    """Draw images whose pixels are independent and normal, with mean 0 and variance 1.

    Raises
    ------
    ValueError : a count, number of channels or size below 1.
    """
    _check_at_least(1, count=count, channels=channels, size=size)
    return rng.normal(size=(count, channels, size, size))


def teacher_targets(
    teacher: FilterNet,
    images: Float[np.ndarray, "N C H W"],
    *,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Float[np.ndarray, "N O"]:
    """Let a network answer, as the target for another one.

    Parameters
    ----------
    teacher : the network that knows.
    images : (N, C, H, W)
    noise : standard deviation of the Gaussian noise on each answer.
    rng : draws the noise; needed if there is any.

    Raises
    ------
    ValueError : images that do not fit the teacher, a noise that is negative or not finite, noise without rng.
    """
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be finite and at least 0, got {noise}")
    if noise > 0 and not isinstance(rng, np.random.Generator):
        raise ValueError(f"noise needs a numpy.random.Generator, got rng = {rng!r}")
    answers = teacher.outputs(images)
    return answers + noise * rng.normal(size=answers.shape) if noise else answers


def _check_at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}")


def _targets(labels: Int[np.ndarray, " N"], classes: tuple[int, ...]) -> Float[np.ndarray, "N O"]:
    one_hot = (labels[:, None] == np.array(classes)).astype(float)
    return one_hot[:, :1] - one_hot[:, 1:] if len(classes) == 2 else one_hot


@cache
def _all_digits() -> tuple[Float[np.ndarray, "N 1 H W"], Int[np.ndarray, " N"]]:
    source = load_digits()
    return source.images[:, None] / 16, source.target
