r"""Filters as particles: an external potential, a pair potential, and what of it reaches the gap of twins.

For the squared loss, with $V_o(w)=\mathbb E[(y_o-c_o)\,h_w]$ and $U(w,w')=\mathbb E[h_wh_{w'}]$ (chapter 9)

$$L=\frac12\mathbb E\lVert y-c\rVert^2-\sum_kA_{\cdot k}\cdot V(w_k)
+\frac12\sum_{jk}(A_{\cdot j}\cdot A_{\cdot k})\,U(w_j,w_k).$$

Unit k is pulled by the data with the force $\sum_oA_{ok}\nabla V_o(w_k)$, and by unit j with
$-(A_{\cdot j}\cdot A_{\cdot k})\nabla_1U(w_k,w_j)$; likewise its readout. All of it together is minus the gradient.

For any loss, the Hessian of the loss is the Gauss-Newton block
$\Gamma_{jk}=\mathbb E[\nabla_jf\,\ell''\,\nabla_kf^\top]$ between units, and $T+\Gamma_{kk}$ within one, with $T$ of
:mod:`twinfilters.stability`. Between twins that repel each other by $\Gamma$, and are held back by themselves with the
same $\Gamma$, it cancels: the gap of free twins follows $T$. A unit whose twin is frozen follows $T+\Gamma$.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Inexact
from numpy.typing import ArrayLike

from twinfilters.activations import activation
from twinfilters.losses import checked_targets, loss_function
from twinfilters.network import FilterNet
from twinfilters.stability.hessian import (
    check_covered,
    image_blocks,
    pooled,
    transverse_hessian,
    with_bias_input,
)


@dataclass(frozen=True, eq=False)
class Energy:
    r"""The squared loss as the energy of particles (chapter 9).

    Attributes
    ----------
    constant : $\frac12\mathbb E\lVert y-c\rVert^2$, the loss without any filter.
    external : (F,), energy of each unit in the potential of the data, $-A_{\cdot k}\cdot V(w_k)$.
    pair : (F, F), $\frac12(A_{\cdot j}\cdot A_{\cdot k})U(w_j,w_k)$; symmetric, with each unit's own energy on the
        diagonal. The energy of a pair j, k is the sum of two entries.
    """

    constant: float
    external: Float[np.ndarray, " F"]
    pair: Float[np.ndarray, "F F"]

    @property
    def total(self) -> float:
        """Sum of all, which is the mean loss."""
        return float(self.constant + self.external.sum() + self.pair.sum())


@dataclass(frozen=True, eq=False)
class Forces:
    """Which force acts on which unit (chapter 9); loss per weight, in the order filter, bias, readout.

    Attributes
    ----------
    external : (F, U), force of the data on each unit.
    pair : (F, F, U), force on the unit of the first axis by that of the second; a unit acts on itself too.
    """

    external: Float[np.ndarray, "F U"]
    pair: Float[np.ndarray, "F F U"]

    @property
    def total(self) -> Float[np.ndarray, "F U"]:
        """Sum of the forces on each unit, (F, U): minus the gradient of the loss."""
        return self.external + self.pair.sum(axis=1)


def potential(net: FilterNet, images: ArrayLike, targets: ArrayLike) -> Inexact[np.ndarray, "O F"]:
    r"""Potential of the data at each unit's filter, $V_o(w_k)=\mathbb E[(y_o-c_o)\,h_k]$ (chapter 9).

    A network whose filters are the points of a grid gives the landscape.

    Parameters
    ----------
    net : with squared loss. Its readout plays no part, its readout bias c does.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.

    Raises
    ------
    ValueError : a network that is not covered; another loss; data that do not fit the network.
    """
    targets = _checked_squared(net, images, targets) - net.readout_bias
    # (N,O) . (N,F) -> (O,F)
    return targets.T @ net.features(images) / len(targets)


def pair_potential(net: FilterNet, images: ArrayLike) -> Inexact[np.ndarray, "F F"]:
    r"""Overlap of all pairs of units, $U(w_j,w_k)=\mathbb E[h_jh_k]$ (chapter 9).

    Parameters
    ----------
    net : its filters are the particles.
    images : (N, C, H, W)

    Raises
    ------
    ValueError : a network that is not covered; images that do not fit the network.
    """
    check_covered(net)
    features = net.features(images)
    # (N,F) . (N,F) -> (F,F)
    return features.T @ features / len(features)


def energy(net: FilterNet, images: ArrayLike, targets: ArrayLike) -> Energy:
    r"""Take the squared loss apart into external and pair energies (chapter 9).

    Parameters
    ----------
    net, images, targets : as in :func:`potential`.

    Returns
    -------
    Energy, whose total is the mean loss to rounding.

    Raises
    ------
    ValueError : a network that is not covered; another loss; data that do not fit the network.
    """
    external = -(net.readout * potential(net, images, targets)).sum(axis=0)
    wanted = _checked_squared(net, images, targets) - net.readout_bias
    constant = float(0.5 * (wanted**2).sum(axis=1).mean())
    return Energy(constant, external, 0.5 * _overlap(net) * pair_potential(net, images))


def forces(net: FilterNet, images: ArrayLike, targets: ArrayLike) -> Forces:
    r"""Find the forces of the data and of the units on each unit (chapter 9).

    Parameters
    ----------
    net, images, targets : as in :func:`potential`.

    Returns
    -------
    Forces, whose total is minus the gradient of the loss to rounding.

    Raises
    ------
    ValueError : a network that is not covered; another loss; data that do not fit the network.
    """
    wanted = _checked_squared(net, images, targets) - net.readout_bias
    features, slopes = feature_gradients(net, images)
    # (N,O) . (O,F) . (N,F,M) -> (F,M)
    external = np.einsum("nk,nkm->km", wanted @ net.readout, slopes)
    # (N,F,M) . (N,F) -> (F,F,M)
    pair = -_overlap(net)[:, :, None] * np.einsum("nkm,nj->kjm", slopes, features)
    # (F,F) . (O,F) -> (F,F,O)
    on_readouts = -(features.T @ features)[:, :, None] * net.readout.T
    return Forces(
        np.concatenate([external, features.T @ wanted], axis=1) / len(wanted),
        np.concatenate([pair, on_readouts], axis=2) / len(wanted),
    )


def gauss_newton(
    net: FilterNet, images: ArrayLike, targets: ArrayLike, unit: int, other: int | None = None
) -> Inexact[np.ndarray, "U U"]:
    r"""Gauss-Newton block $\Gamma=\mathbb E[\nabla_kf\,\ell''\,\nabla_jf^\top]$ (chapters 7 and 9).

    Parameters
    ----------
    net : any loss.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    unit, other : k and j; j = k by default. Between two units it is all of the loss's Hessian.

    Returns
    -------
    (U, U), in the order filter, bias, readout; positive semidefinite for one unit.

    Raises
    ------
    ValueError : a network that is not covered; there is no such unit; data that do not fit the network.
    """
    other = unit if other is None else other
    check_covered(net)
    for k in (unit, other):
        net.unit(k)
    outputs = net.outputs(images)
    targets = checked_targets(targets, *outputs.shape, net.loss)
    curvature = loss_function(net.loss)(outputs, targets, 2)[2]
    features, slopes = feature_gradients(net, images)
    left, right = (_output_gradients(net, features, slopes, k) for k in (unit, other))
    # (N,O,U) . (N,O,O) . (N,O,U) -> (U,U)
    return np.einsum("nou,nox,nxv->uv", left, curvature, right, optimize=True) / len(outputs)


def frozen_twin_hessian(
    net: FilterNet, images: ArrayLike, targets: ArrayLike, unit: int
) -> Inexact[np.ndarray, "U U"]:
    r"""Matrix $T+\Gamma$ of a unit whose twin is frozen, $\dot d=-(T+\Gamma)\,d+\dots$ (chapter 9).

    It is the block of the loss's Hessian that belongs to the unit alone. Where the merged network is stationary, its
    lowest eigenvalue decides whether the frozen twin holds the other one; for free twins :math:`T` does.

    Parameters
    ----------
    net, images, targets, unit : as in :func:`twinfilters.stability.transverse_hessian`.

    Returns
    -------
    (U, U), in the order filter, bias, readout.

    Raises
    ------
    ValueError : a network that is not covered; there is no such unit; data that do not fit the network.
    """
    own = transverse_hessian(net, images, targets, unit)
    return own + gauss_newton(net, images, targets, unit)


def feature_gradients(
    net: FilterNet, images: ArrayLike
) -> tuple[Inexact[np.ndarray, "N F"], Inexact[np.ndarray, "N F M"]]:
    r"""Features $h_k$ of all units, and their gradients by filter and bias, $\frac1P\sum_p\sigma'(z_{kp})\,x_p$.

    Raises
    ------
    ValueError : a network that is not covered; images that do not fit the network.
    """
    parts = []
    for block in image_blocks(net, images):
        patches = net.patches(images[block])
        values, slopes = activation(net.activation)(net.preactivations(images[block]), 1)
        features, shares = pooled(net, values)
        # (N,F,P) . (N,M,P) -> (N,F,M)
        gradients = (shares * slopes) @ with_bias_input(patches).swapaxes(1, 2)
        parts.append((features, gradients))
    features, gradients = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(gradients)


def _output_gradients(
    net: FilterNet, features: Inexact[np.ndarray, "N F"], slopes: Inexact[np.ndarray, "N F M"], unit: int
) -> Inexact[np.ndarray, "N O U"]:
    """Gradients of the outputs by the parameters of a unit."""
    # (O) . (N,M) -> (N,O,M)
    by_filter = net.readout[:, unit, None] * slopes[:, None, unit]
    # (N) . (O,O) -> (N,O,O)
    by_readout = features[:, unit, None, None] * np.eye(len(net.readout))
    return np.concatenate([by_filter, by_readout], axis=2)


def _overlap(net: FilterNet) -> Inexact[np.ndarray, "F F"]:
    r"""Products of the readouts, $A_{\cdot j}\cdot A_{\cdot k}$."""
    # (O,F) . (O,F) -> (F,F)
    return net.readout.T @ net.readout


def _checked_squared(net: FilterNet, images: ArrayLike, targets: ArrayLike) -> Inexact[np.ndarray, "N O"]:
    if net.loss != "squared":
        raise ValueError(f"a pair potential needs the loss 'squared', got {net.loss!r}")
    check_covered(net)
    net.patches(images[:1])
    return checked_targets(targets, len(images), len(net.readout), net.loss)
