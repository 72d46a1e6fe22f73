r"""A stack of convolutional layers: values on the way up, gradients on the way down.

Layer $l$ turns the values of the layer below, $x^{(l)}=\sigma(z^{(l-1)})$, into $z^{(l)}=w^{(l)}*x^{(l)}+b^{(l)}$. The
first one is given its patches, so that training cuts them out of the images once. From the gradient by the values of
the last layer, the chain rule goes down (BP2, chapters 2 and 13)

$$\delta^{(l)}=\frac{\partial L}{\partial x^{(l+1)}}\odot\sigma'(z^{(l)}),$$

with gradients by filters, bias and images as in :mod:`twinfilters.conv`. Nobody needs the gradient by the first images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Inexact

from twinfilters.activations import Derivatives
from twinfilters.arithmetic import accumulate, combine
from twinfilters.conv import Padding, Pair, conv2d, conv2d_backward

Patches = Inexact[np.ndarray, "N D *P"]
State = list[Inexact[np.ndarray, "N _ ..."]]


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """Filters and biases of a layer, and how it moves over its input.

    Parameters
    ----------
    filters : (F, C, K, L) with one channel for each filter of the layer below.
    bias : (F,)
    stride, padding, dilation : as in :func:`twinfilters.conv.conv2d`.
    """

    filters: Inexact[np.ndarray, "F C K L"]
    bias: Inexact[np.ndarray, " F"]
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1

    @property
    def geometry(self) -> dict[str, Padding]:
        """Stride, padding and dilation by name."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def forward(
    layers: Sequence[ConvLayer],
    patches: Patches,
    function: Callable[..., Derivatives],
    arithmetic: str,
    order: int = 0,
) -> list[State]:
    r"""For each layer, $[z, \sigma(z), \sigma'(z), \ldots]$ up to the derivative asked for.

    Parameters
    ----------
    layers : from below.
    patches : of the first layer; (N, D, H', W') if there is another layer above it.
    function : out of :mod:`twinfilters.activations`.
    arithmetic : as in :mod:`twinfilters.arithmetic`.
    order : 0, 1 or 2.
    """
    first, *above = layers
    # (F,D) . (N,D,P) -> (N,F,P)
    z = combine(first.filters.reshape(len(first.filters), -1), in_a_row(patches), arithmetic)
    z = (z + first.bias[:, None]).reshape(len(patches), -1, *patches.shape[2:])
    states = [[z, *function(z, order)]]
    for layer in above:
        z = conv2d(states[-1][1], layer.filters, layer.bias, **layer.geometry, arithmetic=arithmetic)
        states.append([z, *function(z, order)])
    return states


def backward(
    layers: Sequence[ConvLayer],
    patches: Patches,
    states: Sequence[State],
    grad_values: Inexact[np.ndarray, "N _ _"],
    arithmetic: str,
) -> list[tuple[Inexact[np.ndarray, "_ _ _ _"], Inexact[np.ndarray, " _"]]]:
    """For each layer, the gradients by its filters and its bias.

    Parameters
    ----------
    layers, patches, arithmetic : as in :func:`forward`.
    states : what it returned, at least to the first derivative.
    grad_values : gradient by the values of the last layer, positions in a row; 1 instead of P broadcasts.
    """
    gradients = []
    for number in range(len(layers) - 1, 0, -1):
        layer, slopes = layers[number], states[number][2]
        # BP2 through the activation: (N,F,P) . (N,F,P) -> (N,F,P)
        delta = (grad_values * in_a_row(slopes)).reshape(slopes.shape)
        grad_images, *grad_layer = conv2d_backward(
            delta, states[number - 1][1], layer.filters, **layer.geometry, arithmetic=arithmetic
        )
        gradients.append(tuple(grad_layer))
        grad_values = in_a_row(grad_images)
    delta, patches = grad_values * in_a_row(states[0][2]), in_a_row(patches)
    # BP4: (N,F,P) . (N,D,P) -> (F,D)
    grad_filters = accumulate(delta, patches, arithmetic).reshape(layers[0].filters.shape)
    # BP3: (N,F,P) . (N,1,P) -> (F,1)
    grad_bias = accumulate(delta, np.ones_like(patches[:, :1]), arithmetic)[:, 0]
    return [(grad_filters, grad_bias), *reversed(gradients)]


def in_a_row(array: Inexact[np.ndarray, "N F *P"]) -> Inexact[np.ndarray, "N F _"]:
    """Positions along one axis, row by row."""
    return array.reshape(*array.shape[:2], -1)
