r"""What parts nearly identical ReLU units: patches that fall between them.

A ReLU has no curvature, so that $S$ vanishes for finite data. But a patch $x_p$ for which one twin is switched on and
the other one off, $z_i>0\ge z_j$, gives a gradient to only one of them. With $\overline a$ and $\overline z$ the means
of the twins' readouts and preactivations there, each such patch kicks the difference $\theta_i-\theta_j$ in one step
of descent by (chapter 8)

$$\pm\frac\alpha{NP}\Big(-\sum_or_o\overline a_o\,x_p,\;-r\,\overline z\Big)$$

on filter with bias, and readout. The sign is that of $z_i-z_j$. The first part does not depend on the gap: twins
$10^{-12}$ apart are kicked as hard as twins $10^{-3}$ apart, only more rarely. The second is no larger than the gap
times the patch. Everything else in the change of the difference is linear in it, with the mean of the twins' slopes;
see :attr:`Kicks.total`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Inexact, Int
from numpy.typing import ArrayLike

from twinfilters import twins
from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet
from twinfilters.optimizers.rates import positive


@dataclass(frozen=True, eq=False)
class Kicks:
    r"""The kicks that one step of descent gives to a pair of ReLU units (chapter 8).

    Attributes
    ----------
    images, positions : (K,), which patch gives each kick: image n and position p.
    signs : (K,), +1 if the patch switches on unit i only, -1 if unit j only.
    kicks : (K, U), how each one changes $\theta_i-\theta_j$, in the order filter, bias, readout.
    """

    images: Int[np.ndarray, " K"]
    positions: Int[np.ndarray, " K"]
    signs: Int[np.ndarray, " K"]
    kicks: Inexact[np.ndarray, "K U"]

    @property
    def count(self) -> int:
        """How many patches fall between the twins."""
        return len(self.images)

    @property
    def sizes(self) -> Inexact[np.ndarray, " K"]:
        """Length of each kick, (K,), in units of a weight."""
        return np.linalg.norm(self.kicks, axis=1)

    @property
    def total(self) -> Inexact[np.ndarray, " U"]:
        r"""Sum of the kicks, (U,).

        One step of descent changes $d=\theta_i-\theta_j$ by this and by $-\alpha\overline T\,d$, exactly, for a gap of
        any size: $\overline T$ has no block S, and in its block G the mean of the twins' slopes, which is that of the
        centre but for the patches between them.
        """
        return self.kicks.sum(axis=0)


def relu_kicks(
    net: FilterNet, images: ArrayLike, targets: ArrayLike, learning_rate: float, *, i: int = 0, j: int = 1
) -> Kicks:
    r"""Count and measure the kicks that the next step of descent gives to the gap of ReLU units (chapter 8).

    Parameters
    ----------
    net : a network with ReLU, units i and j any gap apart.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    learning_rate : $\alpha$ of the step.
    i, j : the twins.

    Returns
    -------
    Kicks

    Raises
    ------
    ValueError : another activation than ReLU, another pooling than the mean, more than one layer; no such units; a
        learning rate that is not positive and finite; data that do not fit the network.
    """
    if net.activation != "relu":
        raise ValueError(f"kicks need the activation 'relu', got {net.activation!r}")
    if net.depth != 1 or net.pooling != "mean":
        raise ValueError(
            f"kicks need one convolutional layer and mean pooling, got {net.depth} with pooling {net.pooling!r}"
        )
    learning_rate = positive(learning_rate, "learning_rate")
    twins.difference(net, i, j)
    patches = net.patches(images)
    targets = checked_targets(targets, len(patches), len(net.readout), net.loss)
    preactivations = net.preactivations(images)[:, [i, j]]
    on = (preactivations > 0).astype(int)
    image, position = np.nonzero(on[:, 0] != on[:, 1])
    # How the step goes down in these patches: (K,O), (K,M), (K)
    pushes = -learning_rate * net.residuals(images, targets)[image] / (len(patches) * patches.shape[2])
    inputs = np.append(patches[image, :, position], np.ones((len(image), 1)), axis=1)
    preactivation = preactivations[image, :, position].mean(axis=1)
    # (K,O) . (O) -> (K)
    pulls = pushes @ net.readout[:, [i, j]].mean(axis=1)
    kicks = np.concatenate([pulls[:, None] * inputs, pushes * preactivation[:, None]], axis=1)
    signs = (on[:, 0] - on[:, 1])[image, position]
    return Kicks(image, position, signs, signs[:, None] * kicks)
