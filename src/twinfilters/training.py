r"""The training loop: a network, data and a rule in, a history out.

Step $t$ draws a minibatch, computes the gradients on it and applies the rule,
$\theta_{t+1}=U(\theta_t,\nabla L_t(\theta_t))$. The history holds what was measured along the way, first of all the
loss over all images, and the network at the end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped
from numpy.typing import ArrayLike

from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet
from twinfilters.optimizers import Rule


@dataclass(frozen=True, eq=False)
class History:
    """What a training run leaves behind.

    Attributes
    ----------
    net : the network after the last step.
    steps : (T,), the steps at which something was recorded: 0 is the start.
    records : name -> (T, ...), what was recorded then; always with the loss over all images under ``"loss"``.
    """

    net: FilterNet
    steps: Int[np.ndarray, " T"]
    records: Mapping[str, Shaped[np.ndarray, "T ..."]]

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "T ..."]:
        if name not in self.records:
            raise KeyError(f"recorded were {sorted(self.records)}, got {name!r}")
        return self.records[name]


class DivergedError(ArithmeticError):
    """Training reached a number that is not finite.

    Attributes
    ----------
    history : what was recorded while everything was finite; None if the start was not.
    """

    def __init__(self, message: str, history: History | None):
        super().__init__(message)
        self.history = history


def train(
    net: FilterNet,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: Rule,
    steps: int,
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
    record: Mapping[str, Callable[[FilterNet], ArrayLike]] | None = None,
    every: int = 1,
) -> History:
    r"""Train a network by hand-made gradients.

    Parameters
    ----------
    net : where to start.
    images : (N, C, H, W)
    targets : (N, O), or integer labels (N,).
    optimizer : the rule that makes a step of a gradient.
    steps : how many steps to make.
    batch_size : images a step, drawn without replacement in each epoch; all of them by default.
    rng : source of the order of the minibatches; needed if there are any.
    record : name -> function of the network, measured along with the loss.
    every : record at step 0, at every so many steps, and at the end.

    Returns
    -------
    History

    Raises
    ------
    ValueError : data that do not fit the network, empty or not finite; a number of steps or a batch size out of range;
        minibatches without rng.
    DivergedError : the loss or a parameter became infinite or NaN; the error carries the history up to there.
    """
    patches = net.patches(images)
    targets = checked_targets(targets, len(patches), len(net.readout), net.loss)
    _check_plan(steps, every, batch_size, len(patches), rng)
    recorder = _Recorder(record or {})
    state = optimizer.start(net.parameters)
    batches = _batches(len(patches), batch_size, rng)
    for step in range(steps + 1):
        batch = next(batches)
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradients = net.loss_and_gradients_of_patches(patches[batch], targets[batch])
            parameters, state = optimizer.update(net.parameters, gradients, state)
        if not np.isfinite(loss):
            raise _diverged(step, optimizer, recorder)
        if step % every == 0 or step == steps:
            recorder.add(
                step, net, loss if batch_size is None else net.mean_loss_of_patches(patches, targets)
            )
        if step < steps:
            if not all(np.isfinite(value).all() for value in parameters.values()):
                raise _diverged(step + 1, optimizer, recorder)
            net = net.with_parameters(parameters)
    return recorder.history()


class _Recorder:
    """Collects what is measured during a run."""

    def __init__(self, measure: Mapping[str, Callable[[FilterNet], ArrayLike]]):
        self.measure = measure
        self.rows = []

    def add(self, step: int, net: FilterNet, loss: float) -> None:
        measured = {name: np.array(function(net)) for name, function in self.measure.items()}
        self.rows.append((step, net, {"loss": loss, **measured}))

    def history(self) -> History:
        steps, nets, rows = zip(*self.rows, strict=True)
        records = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return History(nets[-1], np.array(steps), records)


def _batches(
    count: int, size: int | None, rng: np.random.Generator | None
) -> Iterator[slice | Int[np.ndarray, " B"]]:
    """Yield minibatches for ever: each epoch in a new order, its last batch as small as it has to be."""
    while size is None:
        yield slice(None)
    while True:
        order = rng.permutation(count)
        yield from (order[start : start + size] for start in range(0, count, size))


def _check_plan(steps: int, every: int, batch_size: int | None, images: int, rng) -> None:
    if steps < 0 or every < 1:
        raise ValueError(
            f"steps must be at least 0 and every at least 1, got steps = {steps}, every = {every}"
        )
    if batch_size is not None and not 1 <= batch_size <= images:
        raise ValueError(
            f"batch_size must lie between 1 and the number of images, {images}, got {batch_size}"
        )
    if batch_size is not None and not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator when there are minibatches, got {rng!r}")


def _diverged(step: int, optimizer: Rule, recorder: _Recorder) -> DivergedError:
    return DivergedError(
        f"training diverged at step {step} with learning rate {optimizer.learning_rate:g}; try a smaller one",
        recorder.history() if recorder.rows else None,
    )
