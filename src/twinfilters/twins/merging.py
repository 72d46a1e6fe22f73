r"""Merging identical units into one, and the reverse (chapters 5 and 14).

$m$ units with equal filters $w$ and biases are one unit whose readout is the sum $A$ of theirs: the same function. If
their readouts are equal too, $A=ma$, gradient flow moves them as one (section on effective width, chapter 5)

$$\dot w=-\frac1m\,A\,\mathbb E[r\,\nabla h],\qquad\dot A=-m\,\mathbb E[r\,h]:$$

the merged network with its learning rates divided by $m$ for filter and bias, and multiplied by $m$ for the readout.
In general a weight from a class of $m'$ units to a class of $m$ is trained with the factor $m'/m$, where channels of
images and outputs are classes of one, and a bias with $1/m$. That holds step by step, with minibatches too, for every
rule whose steps scale with the gradients, such as descent and momentum. Other rules have other equivalents:

- Adam and RMSProp with $\epsilon\to0$ do not see how large gradients are. The factors are $m'$ and 1: for copies 1 for
  filter and bias, $m$ for the readout. An $\epsilon>0$ becomes $m\,\epsilon$ for filter and bias.
- Weight decay that adds $\lambda\theta$ to the gradient goes with either kind. Its strength becomes $\lambda m/m'$: for
  copies $m\lambda$ for filter and bias, $\lambda/m$ for the readout.
- Rules that mix units, such as clipping by the global norm and Muon, have none of this form.

`Merged.rate_factors` are those of descent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.layers import ConvLayer
from twinfilters.network import FilterNet, Parameters
from twinfilters.twins.partition import Classes, equitable_partition, signatures, sums_over_classes


@dataclass(frozen=True, eq=False)
class Merged:
    """A network of merged units.

    Attributes
    ----------
    net : the narrower network, which computes the same outputs.
    partition : for each layer of the wide network (F,), the unit of the narrow one that each unit went into.
    rate_factors : by parameter of the narrow network, in its shape: by what its learning rate is multiplied.
    trains_alike : whether the units that were merged had equal readouts. If not, they would have parted in training,
        and no learning rates make the narrow network follow them.
    """

    net: FilterNet
    partition: tuple[Classes, ...]
    rate_factors: Parameters
    trains_alike: bool

    def learning_rates(self, learning_rate: float) -> Parameters:
        """Rates with which the narrow network follows the wide one trained at that learning rate.

        Raises
        ------
        ValueError : the units that were merged do not train alike.
        """
        if not self.trains_alike:
            raise ValueError("merged units must have equal readouts to train as one, got different ones")
        return {name: learning_rate * factor for name, factor in self.rate_factors.items()}


def merge(net: FilterNet, units: Sequence[int], *, layer: int = 1, tolerance: float = 0.0) -> Merged:
    """Merge identical units into the first of them, which gets the sum of their readouts.

    Parameters
    ----------
    net : left as it is.
    units : at least two different ones. The others are numbered anew without gaps.
    layer : where they are, 1 being the first layer.
    tolerance : how far filters and biases may be from those of the first unit, in units of a weight. If they differ at
        all, the merged unit gets their mean, and the outputs are the same only to that accuracy.

    Raises
    ------
    ValueError : there are no such units or layer; fewer than two; units with filters or biases that differ.
    """
    for k in units:
        net.unit(k, layer)
    if len(set(units)) < 2 or len(set(units)) < len(units):
        raise ValueError(f"units must be two or more different ones, got {list(units)}")
    partition = [np.arange(width) for width in net.widths]
    classes = partition[layer - 1]
    classes[list(units)] = min(units)
    partition[layer - 1] = np.unique(classes, return_inverse=True)[1]
    return quotient(net, partition, tolerance=tolerance)


def quotient(net: FilterNet, partition: Sequence[Classes] | None = None, *, tolerance: float = 0.0) -> Merged:
    r"""Merge every class of an equitable partition into one unit: $W_{AB}=\sum_{k\in B}w_{ik}$ for any $i\in A$.

    Parameters
    ----------
    net : left as it is.
    partition : for each layer (F,), the class of each unit, numbered without gaps; by default the coarsest one in which
        units of a class compute the same. Its quotient is irreducible: all of its units compute different things.
    tolerance : how far biases and sums may differ within a class, as in
        :func:`twinfilters.twins.equitable_partition`. If they differ at all, the merged unit gets their mean.

    Raises
    ------
    ValueError : a partition that does not fit the network or is not equitable from below.
    """
    if partition is None:
        partition = equitable_partition(net, tolerance=tolerance)
    _check_partition(net, partition)
    narrow = [_narrow_layer(net, partition, number, tolerance) for number in range(1, net.depth + 1)]
    readout = sums_over_classes(net.readout, partition[-1])
    merged = replace(
        net, filters=narrow[0].filters, bias=narrow[0].bias, readout=readout, deeper=tuple(narrow[1:])
    )
    alike = all(
        _spread(signatures(net, partition, number, "both"), partition[number - 1]) <= tolerance
        for number in range(1, net.depth + 1)
    )
    return Merged(merged, tuple(partition), _rate_factors(merged, partition), alike)


def unmerge(
    net: FilterNet, k: int, copies: int, *, layer: int = 1, shares: ArrayLike | None = None
) -> FilterNet:
    """Replace a unit by copies that share its readout: a wider network with the same outputs.

    Parameters
    ----------
    net : left as it is.
    k : the unit. It stays where it is, its copies come after the last unit of its layer.
    copies : how many units to make of it, itself among them.
    layer : where it is, 1 being the first layer.
    shares : (copies,), the shares of the readout, which sum to 1; equal by default.

    Raises
    ------
    ValueError : there is no such unit or layer; fewer than one copy; shares of a wrong shape or sum.
    """
    net.unit(k, layer)
    if copies < 1:
        raise ValueError(f"copies must be at least 1, got {copies}")
    shares = np.full(copies, 1 / copies) if shares is None else np.asarray(shares, dtype=float)
    if shares.shape != (copies,) or not np.isclose(shares.sum(), 1, rtol=0, atol=1e-12):
        raise ValueError(f"shares must be {copies} numbers that sum to 1, got {shares}")
    filters, bias, readout = net.names(layer)
    arrays = net.parameters
    order = [*range(len(arrays[bias])), *[k] * (copies - 1)]
    scale = np.ones(len(order), arrays[readout].dtype)
    scale[[k, *range(len(arrays[bias]), len(order))]] = shares
    columns = arrays[readout][:, order]
    scale = scale.reshape(-1, *[1] * (columns.ndim - 2))
    return net.with_parameters(
        {filters: arrays[filters][order], bias: arrays[bias][order], readout: columns * scale}
    )


def _narrow_layer(net: FilterNet, partition: Sequence[Classes], number: int, tolerance: float) -> ConvLayer:
    layer, classes = net.layers[number - 1], partition[number - 1]
    rows = signatures(net, partition, number)
    spread = _spread(rows, classes)
    if spread > tolerance:
        raise ValueError(
            f"units to merge must have equal biases and filters, summed over merged channels, to within {tolerance:g}; "
            f"got a distance of {spread:g} in layer {number}"
        )
    merged = _class_means(rows, classes)
    channels = layer.filters.shape[1] if number == 1 else partition[number - 2].max() + 1
    filters = merged[:, 1:].reshape(len(merged), channels, *layer.filters.shape[2:])
    return replace(layer, filters=filters, bias=merged[:, 0])


def _class_means(rows: Inexact[np.ndarray, "F U"], classes: Classes) -> Inexact[np.ndarray, "_ U"]:
    """Mean row of each class; exactly the first one where all are equal."""
    firsts = rows[np.unique(classes, return_index=True)[1]]
    deviations = rows - firsts[classes]
    return np.stack([first + deviations[classes == c].mean(axis=0) for c, first in enumerate(firsts)])


def _spread(rows: Inexact[np.ndarray, "F U"], classes: Classes) -> float:
    """Largest distance of a row from the first one of its class."""
    firsts = np.unique(classes, return_index=True)[1]
    return float(np.linalg.norm(rows - rows[firsts[classes]], axis=1).max())


def _rate_factors(net: FilterNet, partition: Sequence[Classes]) -> Parameters:
    sizes = [np.bincount(classes) for classes in partition]
    factors = {"readout_bias": np.ones(len(net.readout_bias))}
    for number, layer in enumerate(net.layers, 1):
        filters, bias, _ = net.names(number)
        below = sizes[number - 2] if number > 1 else np.ones(layer.filters.shape[1])
        ratio = below / sizes[number - 1][:, None]
        factors[filters] = np.broadcast_to(ratio[:, :, None, None], layer.filters.shape)
        factors[bias] = 1 / sizes[number - 1]
    last = sizes[-1].reshape(-1, *[1] * (net.readout.ndim - 2))
    factors["readout"] = np.broadcast_to(last, net.readout.shape).astype(float)
    return factors


def _check_partition(net: FilterNet, partition: Sequence[Classes]) -> None:
    shapes = tuple(np.shape(classes) for classes in partition)
    if shapes != tuple((width,) for width in net.widths):
        raise ValueError(f"partition must have one class a unit, {net.widths} in the layers, got {shapes}")
    for classes in partition:
        if not np.array_equal(np.unique(classes), np.arange(np.max(classes) + 1)):
            raise ValueError(f"classes must be numbered 0, 1, 2 ... without gaps, got {classes}")
