"""The layer, forward and backward, against PyTorch's."""

from itertools import product

import numpy as np
import torch
from timing import in_turns, rows

from twinfilters.conv import conv2d, conv2d_backward

SIZES = list(product((64, 256), (1, 4, 16), (8, 28), (3, 5), (4, 32)))
REASON = "(cuts patches and adds them back, which oneDNN's direct kernels need not)"


def against_torch(rng, quick):
    for n, c, side, k, f in SIZES[::7] if quick else SIZES:
        yield from _size(rng, n, c, side, k, f)


def _size(rng, n, c, side, k, f):
    shapes = (n, c, side, side), (f, c, k, k), (f,), (n, f, side - k + 1, side - k + 1)
    images, filters, bias, grad_out = (rng.normal(size=shape).astype(np.float32) for shape in shapes)

    def ours():
        conv2d(images, filters, bias)
        return conv2d_backward(grad_out, images, filters)

    def torch_autograd():
        tensors = [torch.from_numpy(each).requires_grad_() for each in (images, filters, bias)]
        torch.nn.functional.conv2d(*tensors).backward(torch.from_numpy(grad_out))
        return [tensor.grad.numpy() for tensor in tensors]

    for mine, theirs in zip(ours(), torch_autograd(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
    times = in_turns(
        {"ours": ours, "torch autograd": torch_autograd}, rounds=15 if n * c * side < 30000 else 5
    )
    work = f"conv {n}x{c}x{side}x{side}, {f} of {k}x{k}"
    yield from rows(work, times, {"torch autograd": 1.0}, REASON)
