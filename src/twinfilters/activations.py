r"""Activation functions with their first and second derivatives.

Each one is a function ``f(z, order)`` that returns the list $[\sigma(z), \sigma'(z), \sigma''(z)]$ up to the order
asked for. The second derivative drives nearly identical filters apart (chapter 7). All are analytic and accept complex
numbers, except ReLU, whose kink at 0 is given the slope 0 (as in PyTorch) and the curvature 0.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Inexact
from scipy.special import erf as _erf

Derivatives = list[Inexact[np.ndarray, "..."]]


def identity(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Give back the input: $\sigma(z)=z$."""
    return [z, np.ones_like(z), np.zeros_like(z)][: order + 1]


def relu(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Clip at zero: $\sigma(z)=\max(z,0)$, with $\sigma'(0)=0$ and $\sigma''=0$ everywhere."""
    on = (z.real > 0).astype(z.dtype)
    return [z * on, on, np.zeros_like(z)][: order + 1]


def softplus(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Smooth ReLU: $\sigma(z)=\ln(1+e^z)$, $\sigma'=1/(1+e^{-z})$, $\sigma''=\sigma'(1-\sigma')$."""
    positive = z.real > 0
    small = np.exp(np.where(positive, -z, z))
    slope = np.where(positive, 1, small) / (1 + small)
    value = np.where(positive, z, 0) + np.log1p(small)
    return [value, slope, small / (1 + small) ** 2][: order + 1]


def tanh(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Squash: $\sigma=\tanh z$, $\sigma'=1-\sigma^2$, $\sigma''=-2\sigma\sigma'$."""
    value = np.tanh(z)
    slope = 1 - value * value
    return [value, slope, -2 * value * slope][: order + 1]


def erf(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Squash as Saad and Solla do: $\sigma=\mathrm{erf}(z/\sqrt2)$, $\sigma'=2\varphi(z)$, $\sigma''=-z\sigma'$."""
    value = _erf(z * z.real.dtype.type(np.sqrt(0.5)))
    if order == 0:
        return [value]
    slope = 2 * _normal_density(z)
    return [value, slope, -z * slope][: order + 1]


def gelu(z: Inexact[np.ndarray, "..."], order: int = 0) -> Derivatives:
    r"""Gate by the normal distribution: $\sigma=z\Phi(z)$, $\sigma'=\Phi+z\varphi$, $\sigma''=(2-z^2)\varphi$."""
    cumulative = (1 + erf(z)[0]) / 2
    if order == 0:
        return [z * cumulative]
    density = _normal_density(z)
    return [z * cumulative, cumulative + z * density, (2 - z * z) * density][: order + 1]


ACTIVATIONS: dict[str, Callable[..., Derivatives]] = {
    function.__name__: function for function in (identity, relu, softplus, tanh, erf, gelu)
}


def activation(name: str) -> Callable[..., Derivatives]:
    """Look up an activation function.

    Raises
    ------
    ValueError : no activation of that name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {tuple(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


def _normal_density(z: Inexact[np.ndarray, "..."]) -> Inexact[np.ndarray, "..."]:
    return np.exp(-z * z / 2) * z.real.dtype.type(1 / np.sqrt(2 * np.pi))
