r"""Classes of units: how wide a network really is (chapters 5 and 13).

:func:`unit_classes` groups the units of one layer by distance. With equal filters and biases two units compute the same
and count once in the function that the network is; if their readouts are equal too, they also train the same.

Through a deep network sameness spreads: units whose filters differ compute the same all the same if they differ only in
how they share weights among channels that carry the same. A partition of the units of every layer is **equitable from
below** if units $i,j$ of one class have equal biases and, for every class $B$ of the layer below,

$$\sum_{k\in B}w_{ik}=\sum_{k\in B}w_{jk};$$

then they compute the same values. It is **equitable from both sides** if also, for every class $C$ of the layer above,
$\sum_{l\in C}w_{li}=\sum_{l\in C}w_{lj}$; then they get the same gradient signal $\delta$, too, and gradient descent
keeps the partition equitable, for it adds the same to all weights from one class to another. Channels of the images and
outputs of the network are classes of one.

The coarsest such partition is found by colour refinement: begin with one class a layer, and split classes by these sums
until nothing splits any more.
"""

from collections.abc import Sequence
from math import fsum

import numpy as np
from jaxtyping import Inexact, Int
from scipy.cluster.hierarchy import fcluster, linkage

from twinfilters.network import FilterNet
from twinfilters.twins.pairs import PARTS

Classes = Int[np.ndarray, " _"]

SIDES = ("below", "both")
LINKAGES = ("single", "complete")


def unit_classes(
    net: FilterNet,
    *,
    layer: int = 1,
    parts: Sequence[str] = ("filter", "bias"),
    tolerance: float = 0.0,
    chaining: str = "single",
) -> Classes:
    """Class of each unit of a layer, by the distance of their parameters.

    Parameters
    ----------
    net : the network.
    layer : 1 is the first one.
    parts : what has to agree, out of :data:`twinfilters.twins.PARTS`. By default filter and bias: units of one class
        compute the same. With all parts they train the same as well.
    tolerance : largest distance that counts as the same, in units of a weight; 0 asks for equality.
    chaining : ``"single"``: units are one class if a chain of steps of at most the tolerance leads from one to the
        other, so that the ends of a long chain may be far apart; ``"complete"``: no two units of a class are further
        apart than the tolerance, and which of several such groupings is found depends on which two are closest.

    Returns
    -------
    (F,), classes numbered from 0 in the order of their first units.

    Raises
    ------
    ValueError : there is no such layer, part or chaining; a tolerance that is negative or not finite.
    """
    if isinstance(parts, str) or not parts or not set(parts) <= set(PARTS):
        raise ValueError(f"parts must be a sequence out of {PARTS}, got {parts!r}")
    width = len(net.parameters[net.names(layer)[0]])
    units = [net.unit(k, layer) for k in range(width)]
    rows = np.stack([np.concatenate([np.ravel(unit[part]) for part in parts]) for unit in units])
    return _grouped(rows, tolerance, chaining)


def effective_width(
    net: FilterNet,
    *,
    layer: int = 1,
    parts: Sequence[str] = ("filter", "bias"),
    tolerance: float = 0.0,
    chaining: str = "single",
) -> int:
    """Count the different units of a layer: the number of classes that :func:`unit_classes` finds.

    For the layers of a deep network together, see :func:`equitable_partition`.

    Raises
    ------
    ValueError : as :func:`unit_classes`.
    """
    classes = unit_classes(net, layer=layer, parts=parts, tolerance=tolerance, chaining=chaining)
    return int(classes.max()) + 1


def equitable_partition(
    net: FilterNet, *, sides: str = "below", tolerance: float = 0.0
) -> tuple[Classes, ...]:
    """Find the coarsest equitable partition of all layers by colour refinement.

    Parameters
    ----------
    net : the network.
    sides : ``"below"``, units of one class compute the same; ``"both"``, they train the same as well.
    tolerance : largest distance of the sums that counts as the same, in units of a weight, chained as in
        :func:`unit_classes`. At 0 they have to be equal after one rounding, in whatever order they are added.

    Returns
    -------
    For each layer (F,), the class of each unit, numbered from 0 in the order of their first units.

    Raises
    ------
    ValueError : unknown sides; a tolerance that is negative or not finite.
    """
    if sides not in SIDES:
        raise ValueError(f"sides must be one of {SIDES}, got {sides!r}")
    classes = tuple(np.zeros(width, int) for width in net.widths)
    while True:
        finer = tuple(
            _split(classes[layer - 1], signatures(net, classes, layer, sides), tolerance)
            for layer in range(1, net.depth + 1)
        )
        if all(new.max() == old.max() for new, old in zip(finer, classes, strict=True)):
            return finer
        classes = finer


def signatures(
    net: FilterNet, classes: Sequence[Classes], layer: int, sides: str = "below"
) -> Inexact[np.ndarray, "F _"]:
    """For each unit of a layer, what it must share with the others of its class in an equitable partition.

    Parameters
    ----------
    net, sides : as in :func:`equitable_partition`.
    classes : a partition of every layer.
    layer : 1 is the first one.

    Returns
    -------
    (F, ...), the bias, the filter summed over each class of the layer below and, on ``"both"`` sides, the readout
    summed over each class of the layer above.
    """
    filters, bias, readout = (net.parameters[name] for name in net.names(layer))
    below = np.arange(filters.shape[1]) if layer == 1 else classes[layer - 2]
    rows = [bias[:, None], sums_over_classes(filters, below)]
    if sides == "both":
        above = np.arange(len(readout)) if layer == net.depth else classes[layer]
        rows.append(sums_over_classes(readout.swapaxes(0, 1), above))
    return np.concatenate([part.reshape(len(bias), -1) for part in rows], axis=1)


def sums_over_classes(
    array: Inexact[np.ndarray, "F C *rest"], classes: Int[np.ndarray, " C"]
) -> Inexact[np.ndarray, "F _ *rest"]:
    """Sum over the second axis within each class; each sum is rounded once, so that the order does not matter."""
    members = [np.flatnonzero(classes == label) for label in range(classes.max() + 1)]
    sums = [array[:, k[0]] if len(k) == 1 else np.apply_along_axis(fsum, 1, array[:, k]) for k in members]
    return np.stack(sums, axis=1).astype(array.dtype)


def _split(classes: Classes, rows: Inexact[np.ndarray, "F _"], tolerance: float) -> Classes:
    """Split classes of which the members have different rows."""
    groups = _grouped(rows, tolerance, "single")
    return _numbered(classes * len(classes) + groups)


def _grouped(rows: Inexact[np.ndarray, "F _"], tolerance: float, chaining: str) -> Classes:
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be finite and at least 0, got {tolerance}")
    if chaining not in LINKAGES:
        raise ValueError(f"chaining must be one of {LINKAGES}, got {chaining!r}")
    if tolerance == 0 or len(rows) == 1:
        # A negative zero is a zero.
        return _numbered(np.unique(rows + 0.0, axis=0, return_inverse=True)[1])
    return _numbered(fcluster(linkage(rows, chaining), tolerance, criterion="distance"))


def _numbered(labels: Classes) -> Classes:
    """Give numbers to classes, in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
