"""Losses and gradients of all runs, block by block, with the arrays of NumPy or of PyTorch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, to_device
from jaxtyping import Inexact, Shaped
from threadpoolctl import threadpool_info, threadpool_limits

from twinfilters.activations import activation
from twinfilters.ensemble.draws import Sample
from twinfilters.losses import loss_function
from twinfilters.network import FilterNet, Parameters

# Activations at once: what they need stays in the cache of a core, or fills a graphics card.
BLOCK = {"numpy": 2**16, "cpu": 2**18, "cuda": 2**27}
# Units at once, of which the product with one image is worth a call.
UNITS = 128
# A large piece of memory, given back untouched: from then on the C library keeps what is freed instead of returning it
# to the system, and a block does not pay for its pages anew (4 ns a number were measured).
KEPT_MEMORY = 2**24

Array = Inexact[Any, "..."]


class Engine(ExitStack):
    """Losses and gradients of all runs on one backend.

    Parameters
    ----------
    net : one of the runs.
    patches : (N, D, P), those of the images that all runs share.
    backend, device : as in :func:`twinfilters.ensemble.train_ensemble`.

    Raises
    ------
    ValueError : an unknown backend, or a device for NumPy.
    """

    def __init__(self, net: FilterNet, patches: Inexact[np.ndarray, "N D P"], backend: str, device: str):
        super().__init__()
        self.functions = activation(net.activation), loss_function(net.loss)
        self.asarray, self.block = _backend(backend, device)
        # The bias is a weight whose input is 1: (N,D,P) -> (N,D+1,P)
        self.patches = self.asarray(np.pad(patches, ((0, 0), (0, 1), (0, 0)), constant_values=1))
        self.map = map
        if backend == "numpy":
            np.empty(KEPT_MEMORY, np.uint8)
            workers = max(library["num_threads"] for library in threadpool_info())
            self.enter_context(threadpool_limits(1))
            self.map = self.enter_context(ThreadPoolExecutor(workers)).map

    def __call__(
        self, parameters: Parameters, sample: Sample
    ) -> tuple[Inexact[np.ndarray, " E"], Parameters]:
        """Losses, and gradients with the runs on their last axis, where the parameters have them."""
        filters, bias = parameters["filters"], parameters["bias"]
        # (F,C,K,L,E), (F,E) -> (F,D+1,E)
        units = np.concatenate([filters.reshape(len(bias), -1, filters.shape[-1]), bias[:, None]], axis=1)
        weights = (units, parameters["readout"], parameters["readout_bias"])
        weights = [self.asarray(np.ascontiguousarray(np.moveaxis(each, -1, 0))) for each in weights]
        drawn = (sample.batch, sample.targets, sample.mask)
        data = [None if each is None else self.asarray(each) for each in drawn]
        wide, deep = self._at_once(len(bias), sample.targets.shape[1])
        blocks = [slice(run, run + wide) for run in range(0, filters.shape[-1], wide)]
        results = zip(*self.map(partial(self._block, weights, data, deep), blocks), strict=True)
        losses, grad_units, *grad_readouts = (np.concatenate(parts) for parts in results)
        gradients = (grad_units[:, :, :-1], grad_units[:, :, -1], *grad_readouts)
        return losses, {
            name: np.moveaxis(gradient, 0, -1).reshape(value.shape)
            for (name, value), gradient in zip(parameters.items(), gradients, strict=True)
        }

    def _block(
        self, weights: list[Array], data: list[Shaped[Any, "..."] | None], images: int, runs: slice
    ) -> list[np.ndarray]:
        batch, targets, mask = (each if each is None or len(each) == 1 else each[runs] for each in data)
        patches = self.patches[None] if batch is None else self.patches[batch]
        weights = [each[runs] for each in weights]
        with np.errstate(over="ignore", invalid="ignore"):
            results = losses_and_gradients(weights, patches, targets, mask, *self.functions, images)
        return [np.asarray(to_device(each, "cpu")) for each in results]

    def _at_once(self, units: int, images: int) -> tuple[int, int]:
        """Count the runs that are taken at once, and of how many images at once."""
        a_run = units * self.patches.shape[-1]
        wide = max(1, UNITS // units, self.block // (a_run * images))
        return wide, max(1, self.block // (a_run * wide))


def losses_and_gradients(
    weights: list[Array],
    patches: Inexact[Any, "G N D P"],
    targets: Inexact[Any, "S N O"],
    mask: Inexact[Any, "S F N"] | None,
    sigma: Callable[..., list[Array]],
    loss: Callable[..., list[Array]],
    images: int,
) -> list[Array]:
    """Do for all runs what a step needs (equations at the top of :mod:`twinfilters.ensemble`).

    Parameters
    ----------
    weights : units (E, F, D), each with its bias last; readout (E, O, F); bias of the readout (E, O).
    patches : (G, N, D, P) with the ones that belong to the bias; G = 1 if all runs see the same, else G = E.
    targets, mask : for all runs or for each; no mask is one of ones.
    sigma, loss : the functions.
    images : how many to take at once.

    Returns
    -------
    Losses (E,), and their gradient by each of the weights.
    """
    units, readout, readout_bias = weights
    xp, count = array_namespace(units), patches.shape[1]
    chunks = (patches[:, start : start + images] for start in range(0, count, images))
    pairs = zip(*(features_and_gradients(units, chunk, sigma) for chunk in chunks), strict=True)
    features, grad_features = (xp.concat(parts, axis=2) for parts in pairs)
    mask = 1 if mask is None else mask
    # (E,O,F) . (E,F,N) -> (E,O,N)
    outputs = readout @ (features * mask) + readout_bias[:, :, None]
    losses, residuals = loss(outputs.mT, targets, 1)
    # (E,F,O) . (E,O,N) -> (E,F,N)
    signal = (readout.mT @ residuals.mT) * mask / count
    return [
        xp.mean(losses, axis=1),
        # (E,F,1,N) . (E,F,N,D) -> (E,F,1,D)
        (signal[:, :, None] @ grad_features)[:, :, 0],
        # (E,O,N) . (E,N,F) -> (E,O,F)
        residuals.mT @ (features * mask).mT / count,
        xp.mean(residuals, axis=1),
    ]


def features_and_gradients(
    units: Inexact[Any, "E F D"], patches: Inexact[Any, "G N D P"], sigma: Callable[..., list[Array]]
) -> tuple[Inexact[Any, "E F N"], Inexact[Any, "E F N D"]]:
    r"""Features $h$ of all units, and their gradients $\nabla h$ by the weights of the unit."""
    xp = array_namespace(units)
    (runs, count, length), (groups, images, _, positions) = units.shape, patches.shape

    def by_unit(rows):
        """Put the units first: (G,N,EF/G,J) -> (E,F,N,J)."""
        return xp.reshape(xp.moveaxis(rows, 1, 2), (runs, count, images, -1))

    # (G,1,EF/G,D) . (G,N,D,P) -> (G,N,EF/G,P)
    values, slopes = sigma(xp.reshape(units, (groups, 1, -1, length)) @ patches, 1)
    mean = xp.full((positions, 1), 1 / positions, dtype=values.dtype, device=device(values))
    # (G,N,EF/G,P) . (P,1) -> (E,F,N)
    features = by_unit(values @ mean)[..., 0]
    # (G,N,EF/G,P) . (G,N,P,D) -> (E,F,N,D)
    return features, by_unit(slopes @ patches.mT) / positions


def _backend(backend: str, device: str) -> tuple[Callable[[np.ndarray], Array], int]:
    """Where arrays go, and how large a block may be there."""
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend must be 'numpy' or 'torch', got {backend!r}")
    if backend == "numpy":
        if device != "cpu":
            raise ValueError(f"device must be 'cpu' for NumPy, got {device!r}")
        return np.asarray, BLOCK["numpy"]
    torch = import_module("array_api_compat.torch")
    return partial(torch.asarray, device=device), BLOCK["cpu" if device == "cpu" else "cuda"]
