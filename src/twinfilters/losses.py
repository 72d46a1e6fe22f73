r"""Losses, one number an image, with their derivatives by the outputs.

Each one is a function ``f(outputs, targets, order)`` that returns $[\ell, \ell', \ell'']$, differentiated by the
outputs up to the order asked for, with shapes (N,), (N, O) and (N, O, O), in the floating type of the outputs; axes may
stand before N. The first derivative is the *residual signal* $r$ of chapters 3 and 9: it is all that a filter ever
hears of the others. The formulas stand for the arrays of NumPy and of PyTorch alike.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Inexact, Shaped

Outputs = Inexact[Any, "*#runs N O"]
Derivatives = list[Inexact[Any, "..."]]


def squared(outputs: Outputs, targets: Outputs, order: int = 0) -> Derivatives:
    r"""Half the squared distance, $\ell=\frac12\sum_o(f_o-y_o)^2$; residual $f-y$, second derivative 1."""
    xp = array_namespace(outputs)
    residual = outputs - xp.astype(targets, outputs.dtype, copy=False)
    loss = 0.5 * xp.sum(residual * residual, axis=-1)
    if order < 2:
        return [loss, residual][: order + 1]
    return [loss, residual, xp.broadcast_to(_identity(outputs), (*outputs.shape, outputs.shape[-1]))]


def cross_entropy(outputs: Outputs, targets: Outputs, order: int = 0) -> Derivatives:
    r"""Cross-entropy with softmax, in nats: $\ell=-\sum_oy_o\ln p_o$, $p=\mathrm{softmax}(f)$, for $\sum_oy_o=1$.

    Residual $p-y$, second derivative $\mathrm{diag}(p)-pp^\top$.
    """
    xp = array_namespace(outputs)
    targets = xp.astype(targets, outputs.dtype, copy=False)
    shifted = outputs - xp.max(outputs.real, axis=-1, keepdims=True)
    log_probabilities = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    probabilities = xp.exp(log_probabilities)
    loss = -xp.sum(targets * log_probabilities, axis=-1)
    if order < 2:
        return [loss, probabilities - targets][: order + 1]
    # (N,O) . (N,O) -> (N,O,O)
    outer = probabilities[..., :, None] * probabilities[..., None, :]
    curvature = probabilities[..., :, None] * _identity(outputs) - outer
    return [loss, probabilities - targets, curvature]


LOSSES: dict[str, Callable[..., Derivatives]] = {
    function.__name__: function for function in (squared, cross_entropy)
}


def loss_function(name: str) -> Callable[..., Derivatives]:
    """Look up a loss.

    Raises
    ------
    ValueError : no loss of that name.
    """
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {tuple(LOSSES)}, got {name!r}")
    return LOSSES[name]


def checked_targets(
    targets: Shaped[np.ndarray, "..."], images: int, outputs: int, loss: str
) -> Inexact[np.ndarray, "N O"]:
    """Check targets against what a loss needs, and bring them into the shape (N, O).

    Parameters
    ----------
    targets : (N, O), what the outputs should be; for cross-entropy probabilities that sum to 1 to within 1e-6. Or (N,):
        integer class labels, which become one-hot rows; with one output and squared loss, floating numbers.
    images, outputs : N and O.
    loss : one of :data:`LOSSES`.

    Returns
    -------
    (N, O), floating.

    Raises
    ------
    ValueError : no images, a wrong shape or type, numbers not finite, labels outside 0 .. O-1, rows that are no
        probabilities.
    """
    targets = np.asarray(targets)
    if images == 0:
        raise ValueError("targets must belong to at least one image, got none")
    if np.issubdtype(targets.dtype, np.integer) and targets.shape == (images,) and outputs > 1:
        return _one_hot(targets, outputs)
    if np.issubdtype(targets.dtype, np.floating) and targets.shape == (images,) and outputs == 1:
        targets = targets[:, None]
    if not np.issubdtype(targets.dtype, np.inexact) or targets.shape != (images, outputs):
        raise ValueError(
            f"targets must be floating with shape (N, O) = {(images, outputs)}, or integer labels with shape "
            f"({images},) for two outputs or more, got {targets.dtype} with shape {targets.shape}"
        )
    if not np.isfinite(targets).all():
        raise ValueError("targets must be finite, got NaN or infinity")
    sums = targets.sum(axis=1)
    if loss == "cross_entropy" and (targets.min() < 0 or not np.allclose(sums, 1, rtol=0, atol=1e-6)):
        raise ValueError(
            "targets of the cross-entropy must be probabilities, not negative and with rows that sum to 1, "
            f"got entries down to {targets.min():g} and rows that sum to between {sums.min():g} and {sums.max():g}"
        )
    return targets


def _identity(outputs: Outputs) -> Inexact[Any, "O O"]:
    return array_namespace(outputs).eye(outputs.shape[-1], dtype=outputs.dtype, device=device(outputs))


def _one_hot(labels: Shaped[np.ndarray, " N"], classes: int) -> Inexact[np.ndarray, "N O"]:
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels must lie between 0 and {classes - 1}, got between {labels.min()} and {labels.max()}"
        )
    return np.eye(classes)[labels]
