r"""What decides the fate of nearly identical filters: the transverse Hessian.

Twins $\theta_{i,j}=m\pm v$ with a small half-gap $v$ obey $\dot v=-T\,v$ (chapter 7), where the loss of a network

$$T=\mathbb E\Big[\sum_or_o\nabla^2_\theta(A_oh)\Big]=\begin{pmatrix}S&G^\top\\G&0\end{pmatrix},\qquad
S=\mathbb E\Big[\sum_or_oA_o\,\frac1P\sum_p\sigma''(z_p)\,x_px_p^\top\Big],\qquad
G_o=\mathbb E\Big[r_o\,\frac1P\sum_p\sigma'(z_p)\,x_p\Big]$$

is taken at the centre $m$, with the residual signal $r$ that the whole network leaves there. The bias counts as the
last entry of the filter, whose input is 1: $x_p$ has $M=D+1$ entries, and $T$ has $U=M+O$ rows in the order of
:func:`twinfilters.twins.unit_vector`: filter, bias, readout. The rest of the loss's Hessian, the Gauss-Newton part, is
the same within a unit and between the twins, and cancels (:func:`twinfilters.interaction.gauss_newton`).

The growth rate is $\rho=-\lambda_{\min}(T)$: twins part where it is positive (chapter 8).

All this is for one convolutional layer with mean pooling, or with a maximum over positions, whose place in
$\frac1P\sum_p$ is taken by the position where it is attained.
"""

from collections.abc import Iterable
from math import prod

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.activations import activation
from twinfilters.losses import checked_targets, loss_function
from twinfilters.network import FilterNet
from twinfilters.pooling import pool
from twinfilters.threads import one_blas_thread

# Entries of the patches that are worked on at a time: 2 MB in double precision, so that they stay in cache.
BLOCK_ENTRIES = 2**18

# How far a matrix may be from its transpose, relative to its largest entry, and still count as symmetric.
SYMMETRY = 1e-10


@one_blas_thread()
def transverse_hessian(
    net: FilterNet, images: ArrayLike, targets: ArrayLike, unit: int
) -> Inexact[np.ndarray, "U U"]:
    r"""Matrix $T$ of the gap's equation of motion, $\dot v=-T\,v$ (chapter 7, transverse dynamics).

    Parameters
    ----------
    net : the network with both twins at their centre; see :func:`twinfilters.twins.tie`.
    images : (N, C, H, W)
    targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    unit : either of the twins; any unit stands for itself and an imagined second copy.

    Returns
    -------
    (U, U) with U = D + 1 + O, in the order filter, bias, readout; loss per squared weight; symmetric to the last bit.

    Raises
    ------
    ValueError : a network that is not covered; there is no such unit; images or targets of a wrong shape or type, empty
        or not finite.
    """
    return _assembled(*transverse_blocks(net, images, targets, unit))


def transverse_hessian_of_patches(
    net: FilterNet, patches: Inexact[np.ndarray, "N D P"], targets: Inexact[np.ndarray, "N O"], unit: int
) -> Inexact[np.ndarray, "U U"]:
    """Do the work of :func:`transverse_hessian` for patches and targets that are already checked."""
    blocks = _blocks(len(patches), patches[0].size)
    return _assembled(*_mean_blocks(net, [(patches[block], targets[block]) for block in blocks], unit))


@one_blas_thread()
def transverse_blocks(
    net: FilterNet, images: ArrayLike, targets: ArrayLike, unit: int
) -> tuple[Inexact[np.ndarray, "M M"], Inexact[np.ndarray, "O M"]]:
    r"""Blocks $S$ and $G$ of the transverse Hessian (chapter 8).

    $S$ is all of $T$ when readouts are frozen, and the splitting matrix of Liu, Wu and Wang (2019) up to their
    normalisation: two copies of a unit with half its readout each, moved apart by $\pm\epsilon u$, change the loss by
    $\frac{\epsilon^2}2u^\top Su$, least along ``fastest_direction(S)`` (chapter 14). $G_o$ couples the readout of
    output $o$ to the filter; it vanishes where the merged network is stationary.

    Parameters
    ----------
    net, images, targets, unit : as in :func:`transverse_hessian`.

    Returns
    -------
    S, (M, M) with M = D + 1 in the order filter, bias, symmetric to the last bit; G, (O, M).

    Raises
    ------
    ValueError : as :func:`transverse_hessian`.
    """
    net.unit(unit)
    blocks = image_blocks(net, images)
    targets = checked_targets(targets, len(images), len(net.readout), net.loss)
    return _mean_blocks(net, ((net.patches(images[block]), targets[block]) for block in blocks), unit)


def growth_rate(matrix: ArrayLike) -> float:
    r"""Fastest exponential growth rate of the gap between twin filters, $\rho=-\lambda_{\min}(T)$.

    Chapter 8. Positive: the twins part. One step of descent multiplies the gap along that direction by
    $1+\alpha\rho$.

    Parameters
    ----------
    matrix : the transverse Hessian (U, U), or its block S when readouts are frozen; loss per squared weight.

    Returns
    -------
    Rate per unit of gradient-flow time (learning rate x steps).

    Raises
    ------
    ValueError : not square, not symmetric to 1e-10 of its largest entry, or not finite.

    Examples
    --------
    >>> growth_rate([[0.0, 2.0], [2.0, 0.0]])
    2.0
    """
    return -float(np.linalg.eigvalsh(_checked_symmetric(matrix))[0])


def fastest_direction(matrix: ArrayLike) -> Inexact[np.ndarray, " U"]:
    r"""Direction in which the gap grows fastest, or shrinks most slowly: eigenvector of $\lambda_{\min}$ (chapter 8).

    Parameters
    ----------
    matrix : as in :func:`growth_rate`.

    Returns
    -------
    (U,), of length 1, signed so that its largest entry is positive.

    Raises
    ------
    ValueError : as :func:`growth_rate`.

    Examples
    --------
    >>> fastest_direction([[3.0, 0.0], [0.0, -1.0]])
    array([0., 1.])
    """
    direction = np.linalg.eigh(_checked_symmetric(matrix))[1][:, 0]
    return np.copysign(1, direction[np.abs(direction).argmax()]) * direction + 0.0


def growth_bound(splitting: ArrayLike, coupling: ArrayLike) -> float:
    r"""Growth that trainable readouts guarantee, $\rho\ge\frac12\big(\sqrt{s^2+4\lVert g\rVert^2}-s\big)$ (chapter 8).

    For one output $g=G$ and $s=\hat g^\top S\hat g$. Several outputs: each singular value $\lVert g\rVert$ of $G$, with
    its direction $\hat g$ among the filters, gives such a bound; the result is the best of them. Positive unless $G=0$:
    some direction always grows.

    Parameters
    ----------
    splitting, coupling : the blocks S (M, M) and G (O, M) of :func:`transverse_blocks`.

    Returns
    -------
    A lower bound of :func:`growth_rate` of the whole transverse Hessian, in the same unit.

    Raises
    ------
    ValueError : S not square, symmetric and finite; G not finite or of a shape that does not fit.

    Examples
    --------
    >>> growth_bound([[3.0]], [[2.0]])
    1.0
    """
    splitting, coupling = _checked_symmetric(splitting), np.asarray(coupling)
    if coupling.ndim != 2 or coupling.shape[1] != len(splitting) or not np.isfinite(coupling).all():
        raise ValueError(
            f"coupling must be finite with shape (O, M) with M = {len(splitting)}, got shape {coupling.shape}"
        )
    _, sizes, directions = np.linalg.svd(coupling, full_matrices=False)
    # (O,M) . (M,M) . (O,M) -> (O)
    curvatures = np.einsum("om,ml,ol->o", directions, splitting, directions)
    return float(np.max(np.hypot(curvatures, 2 * sizes) - curvatures) / 2)


def with_bias_input(patches: Inexact[np.ndarray, "N D P"]) -> Inexact[np.ndarray, "N M P"]:
    """Append the bias's input, 1, to each patch: M = D + 1."""
    return np.concatenate([patches, np.ones_like(patches[:, :1])], axis=1)


def weights_and_bias(net: FilterNet) -> Inexact[np.ndarray, "F M"]:
    """Each unit's filter and bias as one row, M = D + 1."""
    return np.concatenate([net.filters.reshape(net.units, -1), net.bias[:, None]], axis=1)


def image_blocks(net: FilterNet, images: ArrayLike) -> list[slice]:
    """Cut images into blocks, at least one, whose patches stay in cache.

    Raises
    ------
    ValueError : a network that is not covered.
    """
    check_covered(net)
    # A patch at each pixel, unless there is a stride.
    return _blocks(len(images), net.filters[0, 0].size * prod(np.shape(images)[1:]))


def check_covered(net: FilterNet) -> None:
    """Raise ValueError unless the network has one convolutional layer and pools over positions."""
    if net.depth != 1 or net.pooling == "none":
        raise ValueError(
            "net must have one convolutional layer and pooling 'mean' or 'max', "
            f"got {net.depth} with pooling {net.pooling!r}"
        )


def pooled(
    net: FilterNet, values: Inexact[np.ndarray, "N F P"]
) -> tuple[Inexact[np.ndarray, "N F"], Inexact[np.ndarray, "N F P"]]:
    """Pool, and say which share of a feature's gradient each position gets: 1 / P, or all at the maximum."""
    features, back = pool(net.pooling)(values, "blas")
    return features[:, :, 0], np.broadcast_to(back(np.ones_like(features)), values.shape)


def _blocks(images: int, entries: int) -> list[slice]:
    """Cut the images into blocks, given how many entries the patches of one of them have."""
    size = max(1, BLOCK_ENTRIES // max(1, entries))
    return [slice(start, start + size) for start in range(0, max(1, images), size)]


def _mean_blocks(
    net: FilterNet,
    data: Iterable[tuple[Inexact[np.ndarray, "N D P"], Inexact[np.ndarray, "N O"]]],
    unit: int,
) -> tuple[Inexact[np.ndarray, "M M"], Inexact[np.ndarray, "O M"]]:
    total, images = 0, 0
    for patches, targets in data:
        total = total + _sum_over_patches(net, patches, targets, unit)
        images += len(patches)
    splitting, coupling = np.split(total / images, [total.shape[1]])
    return (splitting + splitting.T) / 2, coupling


def _sum_over_patches(
    net: FilterNet, patches: Inexact[np.ndarray, "N D P"], targets: Inexact[np.ndarray, "N O"], unit: int
) -> Inexact[np.ndarray, "U M"]:
    """S above G, not yet divided by the number of images."""
    count, length, positions = patches.shape
    inputs = np.ones((length + 1, count, positions), patches.dtype)
    inputs[:-1] = patches.swapaxes(0, 1)
    # (M,N,P) -> (M,NP)
    inputs = inputs.reshape(length + 1, -1)
    # (F,M) . (M,NP) -> (F,NP)
    preactivations = weights_and_bias(net) @ inputs
    _, slopes, curvatures = activation(net.activation)(preactivations[unit], 2)
    (values,) = activation(net.activation)(preactivations)
    values = values.reshape(net.units, -1, positions).swapaxes(0, 1)
    features, shares = pooled(net, values)
    # (N,F) . (O,F) -> (N,O)
    outputs = features @ net.readout.T + net.readout_bias
    _, residuals = loss_function(net.loss)(outputs, targets, 1)
    shares = shares[:, unit].ravel()
    pulls = np.repeat(residuals @ net.readout[:, unit], positions) * shares * curvatures
    signals = np.repeat(residuals.T, positions, axis=1) * shares * slopes
    # (M,NP) . (M,NP) -> (M,M) above (O,NP) . (M,NP) -> (O,M)
    return np.concatenate([(pulls * inputs) @ inputs.T, signals @ inputs.T])


def _assembled(
    splitting: Inexact[np.ndarray, "M M"], coupling: Inexact[np.ndarray, "O M"]
) -> Inexact[np.ndarray, "U U"]:
    nothing = np.zeros((len(coupling), len(coupling)), coupling.dtype)
    return np.block([[splitting, coupling.T], [coupling, nothing]])


def _checked_symmetric(matrix: ArrayLike) -> Inexact[np.ndarray, "U U"]:
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("matrix must be finite, got NaN or infinity")
    skew = np.abs(matrix - matrix.T).max()
    if skew > SYMMETRY * np.abs(matrix).max():
        raise ValueError(f"matrix must be symmetric, got a difference of {skew:.3g} from its transpose")
    return matrix
