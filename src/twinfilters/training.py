r"""The training loop: a network, data and a rule in, a history out.

Step $t$ draws a minibatch and what noise there is, computes the gradients and applies the rule,
$\theta_{t+1}=U(\theta_t,\nabla L_t(\theta_t))$. The history holds what was measured along the way, first of all the
loss over all images, and the network at the end; it can be resumed.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
from jaxtyping import Inexact, Int, Shaped
from numpy.typing import ArrayLike

from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet, Parameters
from twinfilters.noise import QUANTITIES, Ingredient, acting_on, check_noise_on_targets, disturbed
from twinfilters.optimizers import Rule, State
from twinfilters.optimizers.rates import in_words
from twinfilters.progress import progress

Batch = slice | Int[np.ndarray, " B"]


@dataclass(frozen=True, eq=False)
class History:
    """What a training run leaves behind.

    Attributes
    ----------
    net : the network after the last step; of a run that diverged, the last one recorded.
    steps : (T,), the steps at which something was recorded: 0 is the start.
    records : name -> (T, ...), what was recorded then; always with the loss over all images under ``"loss"``.
    nets : step -> the network then, as often as ``keep_every`` says.
    """

    net: FilterNet
    steps: Int[np.ndarray, " T"]
    records: Mapping[str, Shaped[np.ndarray, "T ..."]]
    nets: Mapping[int, FilterNet] = field(default_factory=dict)
    _run: "_Run | None" = field(default=None, repr=False)
    _point: "_Point | None" = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "T ..."]:
        if name not in self.records:
            raise KeyError(f"recorded were {sorted(self.records)}, got {name!r}")
        return self.records[name]

    def resume(self, steps: int) -> "History":
        """Continue the run: the same bits as if it had never stopped.

        The random generator continues from its state at the end of this history, whatever was drawn from it since.

        Parameters
        ----------
        steps : how many more steps to make.

        Returns
        -------
        History of the whole run.

        Raises
        ------
        ValueError : a number of steps below 0; a run that diverged.
        DivergedError : as in :func:`train`.
        """
        if self._point is None:
            raise ValueError("only a run that reached its end can be resumed, got one that diverged")
        return self._run.advance(self._point.copy(), steps, earlier=self)


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
    noise: Sequence[Ingredient] = (),
    rng: np.random.Generator | None = None,
    record: Mapping[str, Callable[[FilterNet], ArrayLike]] | None = None,
    every: int = 1,
    keep_every: int | None = None,
) -> History:
    r"""Train a network by hand-made gradients, in the network's floating type.

    The same arguments and the same state of the generator give the same bits on one machine. A run of some seconds
    shows a bar, in a terminal or a notebook that somebody is looking at.

    Parameters
    ----------
    net : where to start.
    images : (N, C, H, W)
    targets : (N, O), or integer labels (N,).
    optimizer : the rule that makes a step of a gradient, one of :mod:`twinfilters.optimizers`.
    steps : how many steps to make.
    batch_size : images a step, drawn without replacement in each epoch; all of them by default.
    noise : ingredients from :mod:`twinfilters.noise`, drawn anew in each step. The recorded loss is without them.
    rng : source of the minibatches and the noise; needed if there is either.
    record : name -> function of the network, measured along with the loss.
    every : record at step 0, at every so many steps, and at the end.
    keep_every : keep the network at step 0 and every so many steps; not at all by default.

    Returns
    -------
    History

    Raises
    ------
    ValueError : data that do not fit the network, empty or not finite; a rule or an ingredient that is none; a number
        of steps or a batch size out of range; minibatches or noise without rng; noise on the targets that
        does not go with them or the loss: for cross-entropy, LabelFlip alone.
    DivergedError : the loss or a parameter became infinite or NaN; the error names the step and the learning rate and
        carries the history up to there.
    """
    images = np.asarray(images)
    _check_counts(batch_size, every, keep_every, images)
    _check_kinds(optimizer, noise, rng)
    check_noise_on_targets(noise, net.loss, len(net.readout))
    if rng is None and (batch_size is not None or noise):
        raise ValueError("rng must be a numpy.random.Generator when there are minibatches or noise, got None")
    run = _Run(images, targets, optimizer, batch_size, tuple(noise), dict(record or {}), every, keep_every)
    start = _Point(0, net, optimizer.start(net.parameters), rng, np.arange(0))
    return run.advance(start, steps)


@dataclass(frozen=True, eq=False)
class _Point:
    """Where a run stands: all that its next step depends on."""

    step: int
    net: FilterNet
    state: State
    rng: np.random.Generator | None
    rest_of_epoch: Int[np.ndarray, " rest"]

    def copy(self) -> "_Point":
        """Give the generator, the only thing that a step changes in place, a state of its own."""
        return replace(self, rng=deepcopy(self.rng))


@dataclass(frozen=True, eq=False)
class _Data:
    """Checked data."""

    images: Inexact[np.ndarray, "N C H W"]
    patches: Inexact[np.ndarray, "N D *P"]
    targets: Inexact[np.ndarray, "N O"]

    @classmethod
    def of(cls, net: FilterNet, images: ArrayLike, targets: ArrayLike) -> "_Data":
        patches = net.patches(images)
        return cls(images, patches, checked_targets(targets, len(patches), len(net.readout), net.loss))


@dataclass(frozen=True, eq=False)
class _Run:
    """The arguments of a run, and what does its work."""

    images: Shaped[np.ndarray, "..."]
    targets: ArrayLike
    optimizer: Rule
    batch_size: int | None
    noise: tuple[Ingredient, ...]
    record: Mapping[str, Callable[[FilterNet], ArrayLike]]
    every: int
    keep_every: int | None

    def advance(self, point: _Point, steps: int, earlier: History | None = None) -> History:
        _check_count(steps, "steps", least=0)
        data = _Data.of(point.net, self.images, self.targets)
        recorder = _Recorder(self, data, earlier)
        with progress(point.step, point.step + steps) as numbers:
            for _ in numbers:
                point = self._next(point, data, recorder)
        recorder.keep(point)
        recorder.add(point)
        return recorder.history(point.copy())

    def _next(self, point: _Point, data: _Data, recorder: "_Recorder") -> _Point:
        batch, rest = self._batch(point, len(data.patches))
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradients = self._loss_and_gradients(point.net, data, batch, point.rng)
            parameters, state = self.optimizer.update(point.net.parameters, gradients, point.state)
        if not np.isfinite(loss):
            raise recorder.diverged(point.step)
        recorder.keep(point)
        if point.step % self.every == 0:
            recorder.add(point, loss if self.batch_size is None and not self.noise else None)
        if not all(np.isfinite(value).all() for value in parameters.values()):
            raise recorder.diverged(point.step + 1)
        return _Point(point.step + 1, point.net.stepped(parameters), state, point.rng, rest)

    def _batch(self, point: _Point, images: int) -> tuple[Batch, Int[np.ndarray, " rest"]]:
        """Draw a minibatch: each epoch in a new order, its last batch as small as it has to be."""
        if self.batch_size is None:
            return slice(None), point.rest_of_epoch
        order = point.rest_of_epoch if len(point.rest_of_epoch) else point.rng.permutation(images)
        return order[: self.batch_size], order[self.batch_size :]

    def _loss_and_gradients(
        self, net: FilterNet, data: _Data, batch: Batch, rng: np.random.Generator | None
    ) -> tuple[float, Parameters]:
        patches, targets, mask = data.patches[batch], data.targets[batch], None
        if not self.noise:
            return net.loss_and_gradients_of_patches(patches, targets)
        on = {quantity: acting_on(quantity, self.noise) for quantity in QUANTITIES}
        targets = disturbed(targets, on["targets"], rng)
        if on["images"]:
            patches = net.patches(disturbed(data.images[batch], on["images"], rng))
        if on["features"]:
            mask = disturbed(
                np.ones((len(patches), net.readout.shape[1]), patches.dtype), on["features"], rng
            )
        loss, gradients = net.loss_and_gradients_of_patches(patches, targets, mask)
        return loss, disturbed(gradients, on["gradients"], rng)


class _Recorder:
    """Collects what is measured during a run, after what an earlier part of it has left behind."""

    def __init__(self, run: _Run, data: _Data, earlier: History | None):
        self.run, self.data = run, data
        self.steps, self.rows, self.nets, self.last = [], [], {}, None
        if earlier is not None:
            self._take_over(earlier)

    def _take_over(self, earlier: History) -> None:
        """All but the last row, which is due again if the whole run has it."""
        self.steps = earlier.steps[:-1].tolist()
        self.rows = [
            {name: values[row] for name, values in earlier.records.items()} for row in range(len(self.steps))
        ]
        self.nets, self.last = dict(earlier.nets), earlier.net

    def keep(self, point: _Point) -> None:
        if self.run.keep_every is not None and point.step % self.run.keep_every == 0:
            self.nets[point.step] = point.net

    def add(self, point: _Point, loss: float | None = None) -> None:
        """Measure; the loss over all images too, unless it is known."""
        if loss is None:
            with np.errstate(over="ignore", invalid="ignore"):
                loss = point.net.mean_loss_of_patches(self.data.patches, self.data.targets)
        if not np.isfinite(loss):
            raise self.diverged(point.step)
        measured = {name: np.array(function(point.net)) for name, function in self.run.record.items()}
        self.steps.append(point.step)
        self.rows.append({"loss": loss, **measured})
        self.last = point.net

    def history(self, point: _Point | None) -> History:
        records = {name: np.stack([row[name] for row in self.rows]) for name in self.rows[0]}
        return History(self.last, np.array(self.steps), records, self.nets, self.run, point)

    def diverged(self, step: int) -> DivergedError:
        return DivergedError(
            f"training diverged at step {step} with learning rate {in_words(self.run.optimizer.learning_rate)}; "
            "try a smaller one",
            self.history(None) if self.rows else None,
        )


def _check_counts(batch_size: int | None, every: int, keep_every: int | None, images: np.ndarray) -> None:
    _check_count(every, "every", least=1)
    if keep_every is not None:
        _check_count(keep_every, "keep_every", least=1)
    if batch_size is not None:
        _check_count(batch_size, "batch_size", least=1)
        if batch_size > len(images):
            raise ValueError(
                f"batch_size must be at most the number of images, {len(images)}, got {batch_size}"
            )


def _check_count(number: int, name: str, *, least: int) -> None:
    if not (isinstance(number, Integral) and number >= least):
        raise ValueError(f"{name} must be an integer of at least {least}, got {number}")


def _check_kinds(optimizer: Rule, noise: Sequence[Ingredient], rng: np.random.Generator | None) -> None:
    if not isinstance(optimizer, Rule):
        raise ValueError(f"optimizer must be a rule such as GradientDescent(0.1), got {optimizer!r}")
    if not isinstance(noise, Sequence) or not all(
        isinstance(ingredient, Ingredient) and ingredient.acts_on in QUANTITIES for ingredient in noise
    ):
        raise ValueError(f"noise must be a list of ingredients such as LabelNoise(0.1), got {noise!r}")
    if not (rng is None or isinstance(rng, np.random.Generator)):
        raise ValueError(f"rng must be a numpy.random.Generator, got {rng!r}")
