r"""Twins: two units of one network with equal or nearly equal parameters.

Unit $k$ has the parameters $\theta_k=(w_k,b_k,A_{\cdot k})$. Of two units $i\neq j$ the centre is
$m=(\theta_i+\theta_j)/2$ and the half-gap $v=(\theta_i-\theta_j)/2$; the *gap* is $\lVert\theta_i-\theta_j\rVert=
2\lVert v\rVert$ (chapter 7). They are twins if the gap is small, and exact twins if it is 0.

In a deep network ``layer`` says where the units are, 1 being the first layer. The readout of a unit below the last
layer is the slice of the next layer's filters that sees it (chapter 13).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.network import FilterNet

PARTS = ("filter", "bias", "readout")


def unit_vector(net: FilterNet, k: int, *, layer: int = 1) -> Inexact[np.ndarray, " U"]:
    r"""Parameters $\theta_k$ of a unit as one vector: filter, bias, readout; U = D + 1 + O.

    Raises
    ------
    ValueError : there is no unit k, or no such layer.
    """
    unit = net.unit(k, layer)
    return np.concatenate([np.ravel(unit[part]) for part in PARTS])


def difference(net: FilterNet, i: int = 0, j: int = 1, *, layer: int = 1) -> Inexact[np.ndarray, " U"]:
    r"""Subtract unit j from unit i: $\theta_i-\theta_j=2v$, exactly 0 if and only if the units are equal.

    Raises
    ------
    ValueError : there is no such unit or layer, or i = j.
    """
    _check_pair(net, i, j, layer)
    return unit_vector(net, i, layer=layer) - unit_vector(net, j, layer=layer)


def gap(net: FilterNet, i: int = 0, j: int = 1, *, layer: int = 1) -> float:
    r"""Distance of two units, $\lVert\theta_i-\theta_j\rVert$, in units of a weight.

    Raises
    ------
    ValueError : there is no such unit or layer, or i = j.
    """
    return float(np.linalg.norm(difference(net, i, j, layer=layer)))


def tie(net: FilterNet, i: int = 0, j: int = 1, parts: Sequence[str] = PARTS, *, layer: int = 1) -> FilterNet:
    """Copy parts of unit i, all of them by default, into unit j.

    Parameters
    ----------
    net : left as it is.
    i, j : the unit to copy, and the one to overwrite.
    parts : any of :data:`PARTS`.
    layer : where the units are.

    Raises
    ------
    ValueError : there is no such unit, layer or part, or i = j.
    """
    _check_pair(net, i, j, layer)
    if isinstance(parts, str) or not set(parts) <= set(PARTS):
        raise ValueError(f"parts must be a sequence out of {PARTS}, got {parts!r}")
    unit = unit_vector(net, j, layer=layer)
    for part, entries in _layout(net, layer).items():
        if part in parts:
            unit[entries] = unit_vector(net, i, layer=layer)[entries]
    return replace_unit(net, j, unit, layer=layer)


def make_twins(
    net: FilterNet,
    i: int = 0,
    j: int = 1,
    *,
    gap: float = 0.0,
    direction: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    layer: int = 1,
) -> FilterNet:
    r"""Put units i and j at $m\pm v$ around the parameters $m$ that unit i has, with $2\lVert v\rVert$ the gap.

    Parameters
    ----------
    net : left as it is.
    i, j : the twins.
    gap : distance of the twins, in units of a weight. 0 makes them equal to the last bit.
    direction : (U,), the direction of v in the order filter, bias, readout; any length but 0.
    rng : draws a uniformly distributed direction if none is given.
    layer : where the units are.

    Returns
    -------
    FilterNet, whose :func:`gap` is the one asked for up to the rounding of the weights.

    Raises
    ------
    ValueError : there is no such unit or layer; a gap that is negative or not finite; a gap but neither direction nor
        rng; a direction of a wrong shape, zero or not finite.
    """
    _check_pair(net, i, j, layer)
    if not (np.isfinite(gap) and gap >= 0):
        raise ValueError(f"gap must be finite and at least 0, got {gap}")
    centre = unit_vector(net, i, layer=layer)
    if gap == 0:
        return replace_unit(net, j, centre, layer=layer)
    half = 0.5 * gap * _unit_length(direction, centre.shape, rng)
    return replace_unit(replace_unit(net, i, centre + half, layer=layer), j, centre - half, layer=layer)


def replace_unit(net: FilterNet, k: int, vector: Inexact[np.ndarray, " U"], *, layer: int = 1) -> FilterNet:
    """Give unit k the parameters in a vector, ordered as :func:`unit_vector` orders them.

    Raises
    ------
    ValueError : there is no unit k or no such layer, or the vector has a wrong shape.
    """
    unit, wanted = net.unit(k, layer), unit_vector(net, k, layer=layer).shape
    if np.shape(vector) != wanted:
        raise ValueError(f"vector must have shape {wanted}, got {np.shape(vector)}")
    new = {part: vector[at].reshape(unit[part].shape) for part, at in _layout(net, layer).items()}
    filters, bias, readout = net.names(layer)
    arrays = {name: net.parameters[name].copy() for name in (filters, bias, readout)}
    arrays[filters][k], arrays[bias][k], arrays[readout][:, k] = (new[part] for part in PARTS)
    return net.with_parameters(arrays)


def _layout(net: FilterNet, layer: int) -> dict[str, slice]:
    length = net.unit(0, layer)["filter"].size
    return {
        "filter": slice(length),
        "bias": slice(length, length + 1),
        "readout": slice(length + 1, None),
    }


def _check_pair(net: FilterNet, i: int, j: int, layer: int) -> None:
    for k in (i, j):
        net.unit(k, layer)
    if i == j:
        raise ValueError(f"twins must be two different units, got i = j = {i}")


def _unit_length(
    direction: ArrayLike | None, shape: tuple[int, ...], rng: np.random.Generator | None
) -> Inexact[np.ndarray, " U"]:
    if direction is None:
        if not isinstance(rng, np.random.Generator):
            raise ValueError(
                f"a gap needs a direction, or a numpy.random.Generator to draw one, got rng = {rng!r}"
            )
        direction = rng.normal(size=shape)
    direction = np.asarray(direction, dtype=float)
    length = np.linalg.norm(direction)
    if direction.shape != shape or not np.isfinite(length) or length == 0:
        raise ValueError(f"direction must be a finite vector of shape {shape}, not zero, got {direction!r}")
    return direction / length
