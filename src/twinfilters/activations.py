r"""Activation functions with their first and second derivatives.

Each one is a function ``f(z, order)`` that returns the list $[\sigma(z), \sigma'(z), \sigma''(z)]$ up to the order
asked for. The second derivative drives nearly identical filters apart (chapter 7). All are analytic and accept complex
numbers, except ReLU, whose kink at 0 is given the slope 0 (as in PyTorch) and the curvature 0. The formulas stand for
the arrays of NumPy and of PyTorch alike.
"""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

from array_api_compat import array_namespace
from jaxtyping import Inexact
from scipy import special

Array = Inexact[Any, "..."]
Derivatives = list[Array]


def identity(z: Array, order: int = 0) -> Derivatives:
    r"""Give back the input: $\sigma(z)=z$."""
    xp = array_namespace(z)
    return [z, xp.ones_like(z), xp.zeros_like(z)][: order + 1]


def relu(z: Array, order: int = 0) -> Derivatives:
    r"""Clip at zero: $\sigma(z)=\max(z,0)$, with $\sigma'(0)=0$ and $\sigma''=0$ everywhere."""
    xp = array_namespace(z)
    positive = z.real > 0
    return [xp.where(positive, z, 0), xp.astype(positive, z.dtype), xp.zeros_like(z)][: order + 1]


def softplus(z: Array, order: int = 0) -> Derivatives:
    r"""Smooth ReLU: $\sigma(z)=\ln(1+e^z)$, $\sigma'=1/(1+e^{-z})$, $\sigma''=\sigma'(1-\sigma')$."""
    xp = array_namespace(z)
    positive = z.real > 0
    small = xp.exp(xp.where(positive, -z, z))
    slope = xp.where(positive, 1, small) / (1 + small)
    value = xp.where(positive, z, 0) + xp.log1p(small)
    return [value, slope, small / (1 + small) ** 2][: order + 1]


def tanh(z: Array, order: int = 0) -> Derivatives:
    r"""Squash: $\sigma=\tanh z$, $\sigma'=1-\sigma^2$, $\sigma''=-2\sigma\sigma'$."""
    value = array_namespace(z).tanh(z)
    slope = 1 - value * value
    return [value, slope, -2 * value * slope][: order + 1]


def erf(z: Array, order: int = 0) -> Derivatives:
    r"""Squash as Saad and Solla do: $\sigma=\mathrm{erf}(z/\sqrt2)$, $\sigma'=2\varphi(z)$, $\sigma''=-z\sigma'$."""
    value = _erf(sqrt(0.5) * z)
    if order == 0:
        return [value]
    slope = 2 * _normal_density(z)
    return [value, slope, -z * slope][: order + 1]


def gelu(z: Array, order: int = 0) -> Derivatives:
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


def _normal_density(z: Array) -> Array:
    return array_namespace(z).exp(-z * z / 2) / sqrt(2 * pi)


def _erf(z: Array) -> Array:
    return getattr(array_namespace(z), "erf", special.erf)(z)
