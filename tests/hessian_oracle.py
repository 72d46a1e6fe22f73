"""The whole Hessian of a network's loss, by PyTorch, in double precision."""

import numpy as np
import torch
from torch.nn import functional

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "erf": lambda z: torch.erf(z / np.sqrt(2)),
    "gelu": functional.gelu,
}


def loss_hessian(net, images, targets):
    """Second derivatives by all units' parameters: (F, U, F, U), a unit's in the order filter, bias, readout."""
    targets = torch.tensor(targets)
    images = torch.tensor(images, dtype=torch.float64)
    readout_bias = torch.tensor(net.readout_bias)
    length = net.filters[0].size

    def loss(units):
        filters = units[:, :length].reshape(net.filters.shape)
        z = functional.conv2d(
            images, filters, units[:, length], stride=net.stride, padding=net.padding, dilation=net.dilation
        )
        values = ACTIVATIONS[net.activation](z)
        features = values.amax(dim=(2, 3)) if net.pooling == "max" else values.mean(dim=(2, 3))
        outputs = features @ units[:, length + 1 :] + readout_bias
        if net.loss == "squared":
            return 0.5 * ((outputs - targets) ** 2).sum(dim=1).mean()
        return -(targets * functional.log_softmax(outputs, dim=1)).sum(dim=1).mean()

    units = np.concatenate([net.filters.reshape(net.units, -1), net.bias[:, None], net.readout.T], axis=1)
    return torch.autograd.functional.hessian(loss, torch.tensor(units)).numpy()
