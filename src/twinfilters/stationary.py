"""A network brought to rest: all gradients of the loss vanish (chapters 8 and 9).

Descent takes long to come near such a point. A quasi-Newton method takes some hundred steps, and from there the root of
the gradient is found to the last digits: who measures gaps of 1e-6 needs a network that moves by less.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, root

from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet

# How far from where the descent ends the root may lie, as a share of the parameters' length.
NEAR = 1e-3


def at_rest(net: FilterNet, images: ArrayLike, targets: ArrayLike, *, tolerance: float = 1e-9) -> FilterNet:
    """Follow the loss down to a stationary point, by the method of Broyden, Fletcher, Goldfarb and Shanno.

    To rest as a merged network, merge first and unmerge after: the narrower network has the same stationary points.
    On data that can be fitted without error there may be none but at infinity; then the weights become large.

    Parameters
    ----------
    net : where to begin, in double precision.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    tolerance : largest entry of the gradient at which the descent ends, rounding permitting.

    Returns
    -------
    The network there.

    Raises
    ------
    ValueError : data that do not fit the network; a tolerance that is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    images = np.asarray(images)
    net.patches(images)
    targets = checked_targets(targets, len(images), net.outputs(images[:1]).shape[1], net.loss)
    shapes = {name: value.shape for name, value in net.parameters.items()}
    ends = np.cumsum([value.size for value in net.parameters.values()])[:-1]

    def network(entries: np.ndarray) -> FilterNet:
        pieces = zip(np.split(entries, ends), shapes.items(), strict=True)
        return net.with_parameters({name: piece.reshape(shape) for piece, (name, shape) in pieces})

    def loss(entries: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradients = network(entries).loss_and_gradients(images, targets)
        return value, np.concatenate([gradients[name].ravel() for name in shapes])

    def slope(entries: np.ndarray) -> np.ndarray:
        return loss(entries)[1]

    start = np.concatenate([value.ravel() for value in net.parameters.values()])
    low = minimize(loss, start, jac=True, method="BFGS", options={"gtol": tolerance}).x
    # A minimum is a root of the gradient. Where there is none, the search for it leads away.
    rest = root(slope, low, method="hybr", options={"xtol": np.finfo(float).eps}).x
    is_near = np.linalg.norm(rest - low) < NEAR * np.linalg.norm(low)
    return network(rest if is_near and np.linalg.norm(slope(rest)) < np.linalg.norm(slope(low)) else low)
