"""The transverse Hessian of a unit with 25 weights against second derivatives by PyTorch."""

import numpy as np
import torch
from timing import in_turns, rows

from twinfilters import twins
from twinfilters.data import digits
from twinfilters.network import FilterNet
from twinfilters.stability import transverse_hessian

FLOOR = "tanh of all units, NumPy (the floor)"
REASON = "(see the floor)"


def against_torch(rng, quick):
    """PyTorch differentiates the loss by both twins, or, told the theorem, the unit's share at a fixed residual."""
    pictures = digits(3, 8, count=256)
    net = twins.tie(FilterNet.random(rng, filters=4, kernel=5))
    images, targets = torch.from_numpy(pictures.images), torch.from_numpy(pictures.targets)
    rest = images, torch.from_numpy(net.residuals(pictures.images, pictures.targets))
    theta = torch.from_numpy(twins.unit_vector(net, 0))
    others = [torch.from_numpy(twins.unit_vector(net, k)) for k in (2, 3)]

    def loss(pair):
        outputs = sum(_share(each, images) for each in (*pair, *others))
        return 0.5 * ((outputs - targets) ** 2).sum(1).mean()

    def fixed_residual(theta):
        return (rest[1] * _share(theta, images)).sum(1).mean()

    def transverse(hessian):
        full = hessian(loss, torch.stack([theta, theta]))
        return full[0, :, 0] - full[0, :, 1]

    def functional(function, argument):
        return torch.autograd.functional.hessian(function, argument)

    def func(function, argument):
        return torch.func.hessian(function)(argument)

    contenders = {
        "ours": lambda: transverse_hessian(net, pictures.images, pictures.targets, 0),
        "torch.autograd.functional, pair": lambda: transverse(functional),
        "torch.func.hessian, pair": lambda: transverse(func),
        "torch.autograd.functional, residual": lambda: functional(fixed_residual, theta),
        "torch.func.hessian, fixed residual": lambda: func(fixed_residual, theta),
    }
    for name, call in contenders.items():
        np.testing.assert_allclose(np.asarray(call()), contenders["ours"](), rtol=0, atol=1e-12, err_msg=name)
    peers = list(contenders)[1:]
    preactivations = net.preactivations(pictures.images)
    contenders[FLOOR] = lambda: np.tanh(preactivations)
    times = in_turns(contenders, 7 if quick else 25)
    yield from rows(
        "transverse Hessian, 25 weights", times, dict.fromkeys(peers, 100.0) | {FLOOR: None}, REASON
    )


def _share(theta, images):
    """What a unit adds to the output."""
    values = torch.nn.functional.conv2d(images, theta[:25].reshape(1, 1, 5, 5), theta[25:26])
    return torch.tanh(values).mean((2, 3)) * theta[26:]
