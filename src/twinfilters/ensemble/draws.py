"""Minibatches and noise for all runs, drawn as :func:`twinfilters.training.train` draws them for one."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from jaxtyping import Inexact, Int

from twinfilters.network import FilterNet, Parameters
from twinfilters.noise import QUANTITIES, Ingredient, acting_on, check_noise_on_targets, disturbed

Streams = Sequence[tuple[Sequence[Ingredient], np.random.Generator | None]]


@dataclass(frozen=True, eq=False)
class Sample:
    """What the runs see in one step; S = 1 if all see the same, else S = E.

    Attributes
    ----------
    batch : (S, N), numbers of images; None means all of them, in their order.
    targets : (S, N, O)
    mask : (S, F, N), what multiplies the features; None for ones.
    """

    batch: Int[np.ndarray, "S N"] | None
    targets: Inexact[np.ndarray, "S N O"]
    mask: Inexact[np.ndarray, "S F N"] | None = None


class Draws:
    """Source of one sample after the other.

    Parameters
    ----------
    nets : the runs.
    targets : (N, O), in the floating type of the runs.
    batch_size, noise, rng : as in :func:`twinfilters.ensemble.train_ensemble`.

    Raises
    ------
    ValueError : a batch size out of range; noise or sources that are neither one nor E, or that are none; noise on the
        images, or such that does not go with the loss; minibatches or noise without a source.
    """

    def __init__(
        self,
        nets: Sequence[FilterNet],
        targets: Inexact[np.ndarray, "N O"],
        batch_size: int | None,
        noise: Sequence,
        rng: np.random.Generator | Sequence[np.random.Generator] | None,
    ):
        self.targets, self.units = targets, nets[0].units
        self.streams = _streams(noise, rng, len(nets))
        self.random = batch_size is not None or any(ingredients for ingredients, _ in self.streams)
        _check(self.streams, batch_size, targets.shape, nets[0].loss, self.random)
        self.everything = Sample(None, targets[None])
        self._batches = [_batches(len(targets), batch_size, source) for _, source in self.streams]

    def sample(self) -> Sample:
        """Draw all that a step needs, but for noise on the gradients."""
        if not self.random:
            return self.everything
        drawn = [self._draw(*each) for each in zip(self._batches, self.streams, strict=True)]
        return Sample(*(None if part[0] is None else np.stack(part) for part in zip(*drawn, strict=True)))

    def noisy(self, gradients: Parameters) -> Parameters:
        """Let noise act on the gradients, which have the runs on their last axis."""
        on = [acting_on("gradients", ingredients) for ingredients, _ in self.streams]
        if not any(on):
            return gradients
        runs = [
            disturbed({name: value[..., run] for name, value in gradients.items()}, ingredients, source)
            for run, (ingredients, (_, source)) in enumerate(zip(on, self.streams, strict=True))
        ]
        return {name: np.stack([run[name] for run in runs], axis=-1) for name in gradients}

    def _draw(self, batches, stream):
        batch = next(batches)
        noise, source = stream
        targets = self.targets if batch is None else self.targets[batch]
        targets = disturbed(targets, acting_on("targets", noise), source)
        on_features = acting_on("features", noise)
        if not on_features:
            return batch, targets, None
        return (
            batch,
            targets,
            disturbed(np.ones((len(targets), self.units), targets.dtype), on_features, source).T,
        )


def _streams(noise: Sequence, rng, runs: int) -> Streams:
    """One stream of random numbers for all runs, if noise acts on all of them alike, or one for each."""
    one_noise = all(isinstance(ingredient, Ingredient) for ingredient in noise)
    one_source = not isinstance(rng, Sequence)
    lists = [noise] if one_noise else list(noise)
    sources = [rng] if one_source else list(rng)
    for name, values in (("noise", lists), ("rng", sources)):
        if len(values) not in (1, runs):
            raise ValueError(f"{name} must be one for all runs, or one for each of {runs}, got {len(values)}")
    if one_noise and one_source and not acting_on("gradients", noise):
        return [(noise, rng)]
    lists = lists * runs if len(lists) == 1 else lists
    sources = [deepcopy(rng) for _ in range(runs)] if one_source else sources
    return list(zip(lists, sources, strict=True))


def _batches(
    count: int, size: int | None, rng: np.random.Generator | None
) -> Iterator[Int[np.ndarray, " N"] | None]:
    """Yield minibatches for ever: each epoch in a new order, its last batch as small as it has to be."""
    while size is None:
        yield None
    while True:
        order = rng.permutation(count)
        yield from (order[start : start + size] for start in range(0, count, size))


def _check(streams: Streams, batch_size: int | None, shape: tuple[int, int], loss: str, random: bool) -> None:
    images, outputs = shape
    if batch_size is not None and not 1 <= batch_size <= images:
        raise ValueError(
            f"batch_size must lie between 1 and the number of images, {images}, got {batch_size}"
        )
    for noise, source in streams:
        if not isinstance(noise, Sequence) or not all(
            isinstance(one, Ingredient) and one.acts_on in QUANTITIES for one in noise
        ):
            raise ValueError(f"noise must be a list of ingredients such as LabelNoise(0.1), got {noise!r}")
        if acting_on("images", noise):
            raise ValueError(
                f"noise on the images cannot be had in an ensemble, which shares them, got {noise!r}"
            )
        check_noise_on_targets(noise, loss, outputs)
        if random and not isinstance(source, np.random.Generator):
            raise ValueError(
                f"rng must be a numpy.random.Generator when there are minibatches or noise, got {source!r}"
            )
