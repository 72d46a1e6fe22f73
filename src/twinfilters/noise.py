r"""Noise in training, and which noise breaks the tie between identical filters (chapters 4 and 11).

An ingredient acts on one quantity of every step, afresh each time:

=============  ==============================================  ============================
quantity       what the ingredient is given                    ingredients
=============  ==============================================  ============================
``targets``    $y$ of the minibatch, (N, O)                    :class:`LabelNoise`,
                                                               :class:`LabelFlip`
``images``     $x$ of the minibatch, (N, C, H, W)              :class:`InputDropout`
``features``   a mask that multiplies the features, (N, F)     :class:`HiddenDropout`
``gradients``  $\partial L/\partial\theta$ by parameter        :class:`GradientNoise`
=============  ==============================================  ============================

Noise that reaches all filters alike leaves identical ones identical: it commutes with the swap. Noise drawn for each
filter does not. Minibatches, the commonest noise, commute; they are drawn by :func:`twinfilters.training.train`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Inexact

from twinfilters.network import Parameters

QUANTITIES = ("targets", "images", "features", "gradients")

Quantity = Inexact[np.ndarray, "..."] | Parameters


@runtime_checkable
class Ingredient(Protocol):
    """What :func:`twinfilters.training.train` asks of noise."""

    acts_on: str

    def disturb(self, quantity: Quantity, rng: np.random.Generator) -> Quantity:
        """Give back a noisy copy."""


@dataclass(frozen=True)
class LabelNoise:
    r"""Add normal numbers to the targets: $y+\sigma\xi$. Commutes with the swap. For the squared loss.

    Parameters
    ----------
    standard_deviation : $\sigma\ge0$, in units of the targets.

    Raises
    ------
    ValueError : a negative standard deviation, or one that is not finite.
    """

    standard_deviation: float
    acts_on: ClassVar[str] = "targets"

    def __post_init__(self):
        _check_standard_deviation(self.standard_deviation)

    def disturb(
        self, quantity: Inexact[np.ndarray, "N O"], rng: np.random.Generator
    ) -> Inexact[np.ndarray, "N O"]:
        """Add noise to targets."""
        return quantity + _normal(self.standard_deviation, quantity, rng)


@dataclass(frozen=True)
class LabelFlip:
    r"""Replace a share of the labels by wrong ones, all equally likely. Commutes with the swap.

    For one-hot targets, and for a single output with targets $\pm1$, whose sign is flipped.

    Parameters
    ----------
    rate : $0\le q\le1$, the probability of a label to be replaced.

    Raises
    ------
    ValueError : a rate out of range.
    """

    rate: float
    acts_on: ClassVar[str] = "targets"

    def __post_init__(self):
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must lie between 0 and 1, got {self.rate}")

    def disturb(
        self, quantity: Inexact[np.ndarray, "N O"], rng: np.random.Generator
    ) -> Inexact[np.ndarray, "N O"]:
        """Replace labels.

        Raises
        ------
        ValueError : targets that are not labels.
        """
        images, outputs = quantity.shape
        flipped = rng.random(images) < self.rate
        if outputs == 1:
            _check_labels(quantity**2 == 1)
            return np.where(flipped[:, None], -quantity, quantity)
        labels = quantity.argmax(axis=1)
        _check_labels(quantity == np.eye(outputs)[labels])
        # One of the others: 1 to O - 1 places further, round the circle of the classes.
        places = np.where(flipped, rng.integers(1, outputs, size=images), 0)
        return np.eye(outputs, dtype=quantity.dtype)[(labels + places) % outputs]


@dataclass(frozen=True)
class InputDropout:
    r"""Blank a share of the pixels, drawn for each image, and divide the others by $1-q$. Commutes with the swap.

    All filters see the same image.

    Parameters
    ----------
    rate : $0\le q<1$, the share of pixels that become 0.

    Raises
    ------
    ValueError : a rate out of range.
    """

    rate: float
    acts_on: ClassVar[str] = "images"

    def __post_init__(self):
        _check_rate(self.rate)

    def disturb(
        self, quantity: Inexact[np.ndarray, "N C H W"], rng: np.random.Generator
    ) -> Inexact[np.ndarray, "N C H W"]:
        """Blank pixels of images."""
        return quantity * _dropout(self.rate, quantity, rng)


@dataclass(frozen=True)
class HiddenDropout:
    r"""Switch units of the last layer off, drawn for each image and unit. Breaks the tie.

    The others are divided by $1-q$.

    Parameters
    ----------
    rate : $0\le q<1$, the share of features that become 0.

    Raises
    ------
    ValueError : a rate out of range.
    """

    rate: float
    acts_on: ClassVar[str] = "features"

    def __post_init__(self):
        _check_rate(self.rate)

    def disturb(
        self, quantity: Inexact[np.ndarray, "N F"], rng: np.random.Generator
    ) -> Inexact[np.ndarray, "N F"]:
        """Put zeros into a mask of features."""
        return quantity * _dropout(self.rate, quantity, rng)


@dataclass(frozen=True)
class GradientNoise:
    r"""Add normal numbers to the gradient of all filters: $g+\sigma\xi$. Breaks the tie, unless they share one draw.

    Parameters
    ----------
    standard_deviation : $\sigma\ge0$ of each entry, loss per weight.
    shared : give all filters of a layer the same numbers. Then it commutes with the swap.

    Raises
    ------
    ValueError : a negative standard deviation, or one that is not finite.
    """

    standard_deviation: float
    shared: bool = False
    acts_on: ClassVar[str] = "gradients"

    def __post_init__(self):
        _check_standard_deviation(self.standard_deviation)

    def disturb(self, quantity: Parameters, rng: np.random.Generator) -> Parameters:
        """Add noise to the gradient of the filters."""
        return {
            name: gradient + self._noise(gradient, rng) if name.startswith("filters") else gradient
            for name, gradient in quantity.items()
        }

    def _noise(
        self, gradient: Inexact[np.ndarray, "F C K L"], rng: np.random.Generator
    ) -> Inexact[np.ndarray, "F2 C K L"]:
        return _normal(self.standard_deviation, gradient[:1] if self.shared else gradient, rng)


def acting_on(quantity: str, noise: Sequence[Ingredient]) -> list[Ingredient]:
    """Those ingredients that act on a quantity, in their order."""
    return [ingredient for ingredient in noise if ingredient.acts_on == quantity]


def check_noise_on_targets(noise: Sequence[Ingredient], loss: str, outputs: int) -> None:
    """Raise ValueError for noise that makes of targets what a loss cannot use."""
    if loss == "squared":
        return
    for ingredient in acting_on("targets", noise):
        if not isinstance(ingredient, LabelFlip):
            raise ValueError(
                f"noise on the targets needs the squared loss, or must be LabelFlip, got {loss} and {ingredient}"
            )
        if outputs == 1:
            raise ValueError(f"LabelFlip needs two classes or more, got one output with {loss}")


def disturbed(
    quantity: Quantity, ingredients: Sequence[Ingredient], rng: np.random.Generator | None
) -> Quantity:
    """Let ingredients act on a quantity, one after the other."""
    for ingredient in ingredients:
        quantity = ingredient.disturb(quantity, rng)
    return quantity


def _normal(
    standard_deviation: float, like: Inexact[np.ndarray, "*shape"], rng: np.random.Generator
) -> Inexact[np.ndarray, "*shape"]:
    return (standard_deviation * rng.standard_normal(like.shape)).astype(like.dtype)


def _dropout(
    rate: float, like: Inexact[np.ndarray, "*shape"], rng: np.random.Generator
) -> Inexact[np.ndarray, "*shape"]:
    return (rng.random(like.shape) >= rate).astype(like.dtype) / like.dtype.type(1 - rate)


def _check_standard_deviation(number: float) -> None:
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"standard_deviation must be finite and at least 0, got {number}")


def _check_labels(are_labels: Bool[np.ndarray, "N O"]) -> None:
    if not are_labels.all():
        raise ValueError(
            "targets must be one-hot, or 1 and -1 for one output, when LabelFlip acts on them, "
            f"got {np.count_nonzero(~are_labels.all(axis=1))} of {len(are_labels)} that are not"
        )


def _check_rate(number: float) -> None:
    if not 0 <= number < 1:
        raise ValueError(f"rate must be at least 0 and less than 1, got {number}")
