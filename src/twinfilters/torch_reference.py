"""The layer once more, by PyTorch: an independent opinion, and what most people use.

With the audit the only module that imports torch; nothing else in the package needs it.
"""

import numpy as np
import torch
from jaxtyping import Float

from twinfilters.conv import Padding, Pair


def conv2d_and_gradients(
    images: Float[np.ndarray, "N C H W"],
    filters: Float[np.ndarray, "F C2 K L"],
    grad_out: Float[np.ndarray, "N F H2 W2"],
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute outputs and gradients of a convolution by PyTorch and its automatic differentiation.

    Parameters
    ----------
    images, filters, stride, padding, dilation, groups : as in :func:`twinfilters.conv.conv2d`; padding must be an
        integer or a pair.
    grad_out : gradient of a loss with respect to the outputs.

    Returns
    -------
    outputs (N, F, H', W'), grad_images (N, C, H, W), grad_filters (F, C / groups, K, L), as NumPy arrays.
    """
    inputs, weights = (torch.tensor(array, requires_grad=True) for array in (images, filters))
    outputs = torch.nn.functional.conv2d(
        inputs, weights, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    outputs.backward(torch.tensor(grad_out))
    return outputs.detach().numpy(), inputs.grad.numpy(), weights.grad.numpy()
