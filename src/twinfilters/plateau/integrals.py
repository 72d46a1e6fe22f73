r"""Gaussian integrals of the soft committee machine, $g(x)=\mathrm{erf}(x/\sqrt2)$ (chapter 10; Saad and Solla 1995).

Two facts give all of them. For fields $x$ that are jointly normal with mean zero and covariance $C$:

1. $\mathbb E[g(x_a)\,g(x_b)]=\frac2\pi\arcsin\frac{C_{ab}}{\sqrt{(1+C_{aa})(1+C_{bb})}}$, and by Stein's lemma
   $\mathbb E[x_a\,g(x_b)]=C_{ab}\,\mathbb E[g'(x_b)]=\sqrt{\frac2\pi}\frac{C_{ab}}{\sqrt{1+C_{bb}}}$;
2. $g'(x_f)=\sqrt{2/\pi}\,e^{-x_f^2/2}$ only tilts the normal law: for any function $F$

$$\mathbb E_C[g'(x_f)\,F(x)]=\sqrt{\tfrac{2}{\pi(1+C_{ff})}}\;\mathbb E_{C'}[F(x)],\qquad
C'=C-\frac{C_{\cdot f}C_{f\cdot}}{1+C_{ff}},$$

because the exponent $x^\top C^{-1}x$ gains $x_f^2$ (Sherman and Morrison). A second $g'$ tilts once more.
"""

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.plateau.state import PerState, checked_covariance


def integral_i2(covariance: ArrayLike) -> PerState:
    r"""Correlation of two activations, $I_2=\mathbb E[g(x_1)\,g(x_2)]$ (chapter 10).

    $I_2=\frac2\pi\arcsin\frac{C_{12}}{\sqrt{(1+C_{11})(1+C_{22})}}$.

    Parameters
    ----------
    covariance : (..., 2, 2), covariances of the fields in the order of the arguments; leading axes are a batch.

    Returns
    -------
    (...), one number for each covariance.

    Raises
    ------
    ValueError : wrong shape, not finite, not symmetric, or not positive semidefinite beyond rounding.

    Examples
    --------
    >>> round(float(integral_i2(np.ones((2, 2)))), 12)
    0.333333333333
    """
    return activation_moments(checked_covariance(covariance, 2, "covariance"))[..., 0, 1]


def integral_i3(covariance: ArrayLike) -> PerState:
    r"""Drive of one field through another, $I_3=\mathbb E[g'(x_1)\,x_2\,g(x_3)]$ (chapter 10).

    $I_3=\frac{2}{\pi\sqrt{\Lambda_3}}\,\frac{C_{23}(1+C_{11})-C_{12}C_{13}}{1+C_{11}}$ with
    $\Lambda_3=(1+C_{11})(1+C_{33})-C_{13}^2$.

    Parameters
    ----------
    covariance : (..., 3, 3), covariances of the fields in the order of the arguments; leading axes are a batch.

    Returns
    -------
    (...), one number for each covariance.

    Raises
    ------
    ValueError : as :func:`integral_i2`.
    """
    weight, tilted = tilt(checked_covariance(covariance, 3, "covariance"), [0])
    return (weight * field_moments(tilted)[..., 1, 2])[..., 0]


def integral_i4(covariance: ArrayLike) -> PerState:
    r"""Correlation of two gradients, $I_4=\mathbb E[g'(x_1)\,g'(x_2)\,g(x_3)\,g(x_4)]$ (chapter 10).

    $I_4=\frac{4}{\pi^2\sqrt{\Lambda_4}}\arcsin\frac{\Lambda_0}{\sqrt{\Lambda_1\Lambda_2}}$ with
    $\Lambda_4=(1+C_{11})(1+C_{22})-C_{12}^2$. $\Lambda_0/\Lambda_4$, $\Lambda_1/\Lambda_4$ and
    $\Lambda_2/\Lambda_4$ are $C''_{34}$, $1+C''_{33}$ and $1+C''_{44}$ after tilting by the first two fields.

    Parameters
    ----------
    covariance : (..., 4, 4), covariances of the fields in the order of the arguments; leading axes are a batch.

    Returns
    -------
    (...), one number for each covariance.

    Raises
    ------
    ValueError : as :func:`integral_i2`.
    """
    first, once = tilt(checked_covariance(covariance, 4, "covariance"), [0])
    second, twice = tilt(once, [1])
    return (first[..., None] * second * activation_moments(twice)[..., 2, 3])[..., 0, 0]


def integral_j2(covariance: ArrayLike) -> PerState:
    r"""Correlation of two slopes, $J_2=\mathbb E[g'(x_1)\,g'(x_2)]$: what output noise adds to $\dot Q$ (chapter 10).

    $J_2=\frac{2}{\pi\sqrt{\Lambda_4}}$ with $\Lambda_4=(1+C_{11})(1+C_{22})-C_{12}^2$.

    Parameters
    ----------
    covariance : (..., 2, 2), covariances of the fields in the order of the arguments; leading axes are a batch.

    Returns
    -------
    (...), one number for each covariance.

    Raises
    ------
    ValueError : as :func:`integral_i2`.
    """
    first, once = tilt(checked_covariance(covariance, 2, "covariance"), [0])
    second, _ = tilt(once, [1])
    return (first[..., None] * second)[..., 0, 0]


def tilt(
    covariance: Inexact[np.ndarray, "*batch X X"], fields: list[int]
) -> tuple[Inexact[np.ndarray, "*batch F"], Inexact[np.ndarray, "*batch F X X"]]:
    r"""Absorb the slope of a field f, for each of those given: $\mathbb E_C[g'(x_f)F]=W_f\,\mathbb E_{C'_f}[F]$.

    Parameters
    ----------
    covariance : (..., X, X)
    fields : F indices.

    Returns
    -------
    weights $W$ (..., F) and tilted covariances (..., F, X, X).
    """
    rows = covariance[..., fields, :]
    widened = 1 + covariance[..., fields, fields]
    # (F,X) (F,X) -> (F,X,X)
    removed = rows[..., :, None] * rows[..., None, :] / widened[..., None, None]
    return np.sqrt(2 / (np.pi * widened)), covariance[..., None, :, :] - removed


def activation_moments(covariance: Inexact[np.ndarray, "*batch X X"]) -> Inexact[np.ndarray, "*batch X X"]:
    r"""All $\mathbb E[g(x_a)\,g(x_b)]$."""
    scale = _widths(covariance)
    return 2 / np.pi * np.arcsin(covariance / (scale[..., :, None] * scale[..., None, :]))


def field_moments(covariance: Inexact[np.ndarray, "*batch X X"]) -> Inexact[np.ndarray, "*batch X X"]:
    r"""All $\mathbb E[x_a\,g(x_b)]$, a down and b across."""
    return np.sqrt(2 / np.pi) * covariance / _widths(covariance)[..., None, :]


def _widths(covariance: Inexact[np.ndarray, "*batch X X"]) -> Inexact[np.ndarray, "*batch X"]:
    r"""Compute $\sqrt{1+C_{aa}}$ for every field."""
    return np.sqrt(1 + np.diagonal(covariance, axis1=-2, axis2=-1))
