r"""From a number at each position to the features that the readout sees.

Each pool is a function of the values $\sigma(z_{nkp})$ of the last layer. It returns the features (N, F, Q), with
Q = 1 where they are pooled and Q = P where they are not, and the function that takes a gradient by the features back to
the values (BP2 through the pool), in a shape that broadcasts to (N, F, P).

Pools look at one unit at a time: identical units keep identical features, and their gradients stay identical. A maximum
taken *across* units does not (chapter 4).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Inexact

from twinfilters.arithmetic import add_up

Values = Inexact[np.ndarray, "N F P"]
Features = Inexact[np.ndarray, "N F Q"]
Pooled = tuple[Features, Callable[[Features], Inexact[np.ndarray, "N F _"]]]


def mean(values: Values, arithmetic: str) -> Pooled:
    r"""Average over positions, $h_{nk}=\frac1P\sum_p\sigma(z_{nkp})$: each gets a share $1/P$ of the gradient."""
    positions = values.shape[2]
    return add_up(values, arithmetic)[:, :, None] / positions, lambda grad_features: grad_features / positions


def max(values: Values, arithmetic: str) -> Pooled:  # noqa: A001
    r"""Keep the largest value, $h_{nk}=\max_p\sigma(z_{nkp})$: its position gets the whole gradient.

    Where several positions tie, the first of them gets it, as in PyTorch. Complex values are compared by real part.
    """
    first = values.real.argmax(axis=2, keepdims=True)

    def back(grad_features: Features) -> Values:
        grad_values = np.zeros(values.shape, grad_features.dtype)
        np.put_along_axis(grad_values, first, grad_features, axis=2)
        return grad_values

    return np.take_along_axis(values, first, axis=2), back


def none(values: Values, arithmetic: str) -> Pooled:
    r"""Keep every position, $h_{nkp}=\sigma(z_{nkp})$: the readout has a weight for each of them."""
    return values, lambda grad_features: grad_features


POOLINGS: dict[str, Callable[[Values, str], Pooled]] = {
    function.__name__: function for function in (mean, max, none)
}


def pool(name: str) -> Callable[[Values, str], Pooled]:
    """Look up a pool.

    Raises
    ------
    ValueError : no pool of that name.
    """
    if name not in POOLINGS:
        raise ValueError(f"pooling must be one of {tuple(POOLINGS)}, got {name!r}")
    return POOLINGS[name]
