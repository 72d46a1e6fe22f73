r"""Many runs at once: the physics of E networks in one matrix product.

The runs of an ensemble differ in initial values, gap, learning rate, noise or seed, but they see the same images. With
the bias as one more weight, whose input is 1, the units of all runs are the rows of one matrix,

$$z_{n(ek)p}=w_{ek}\cdot x_{np},\qquad w=(w,b),\quad x=(x,1),$$

and all that a run takes from the data are its features and their gradients (chapters 2 and 7),

$$h_{enk}=\frac1P\sum_p\sigma(z_{n(ek)p}),\qquad \nabla h_{enk}=\frac1P\sum_p\sigma'(z_{n(ek)p})\,x_{np}.$$

The rest is small. With the residual signal $r_{eno}=\partial\ell/\partial f_{eno}$ of run e,

$$\frac{\partial L_e}{\partial w_{ek}}=\frac1N\sum_n\Big(\sum_or_{eno}A_{eok}\Big)\nabla h_{enk},\qquad
\frac{\partial L_e}{\partial A_{eok}}=\frac1N\sum_nr_{eno}h_{enk}.$$

Runs and images are taken in blocks that stay in the cache, and NumPy works on several blocks at once. The formulas
stand for the arrays of NumPy and of PyTorch alike; the parameters and the rule that changes them are always NumPy's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from twinfilters.ensemble.draws import Draws
from twinfilters.ensemble.engine import Engine
from twinfilters.ensemble.rules import stacked_rule
from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet, Parameters
from twinfilters.noise import Ingredient
from twinfilters.optimizers import Rule
from twinfilters.progress import progress
from twinfilters.training import _check_count


@dataclass(frozen=True, eq=False)
class EnsembleHistory:
    """What the runs of an ensemble leave behind.

    Attributes
    ----------
    parameters : name -> (E, ...), the parameters of all runs after the last step.
    steps : (T,), the steps at which something was recorded: 0 is the start.
    records : name -> (T, E, ...), what was recorded then; always with the loss over all images under ``"loss"``.
    """

    parameters: Parameters
    steps: Int[np.ndarray, " T"]
    records: Mapping[str, Shaped[np.ndarray, "T E ..."]]
    _first: FilterNet = field(repr=False)

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "T E ..."]:
        if name not in self.records:
            raise KeyError(f"recorded were {sorted(self.records)}, got {name!r}")
        return self.records[name]

    def net(self, run: int) -> FilterNet:
        """Network of one run after the last step.

        Raises
        ------
        ValueError : there is no such run, or it diverged.
        """
        runs = len(self.parameters["bias"])
        if not 0 <= run < runs:
            raise ValueError(f"run must lie between 0 and {runs - 1}, got {run}")
        return self._first.with_parameters({name: value[run] for name, value in self.parameters.items()})


def train_ensemble(
    nets: Sequence[FilterNet],
    images: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: Rule | Sequence[Rule],
    steps: int,
    batch_size: int | None = None,
    noise: Sequence[Ingredient] | Sequence[Sequence[Ingredient]] = (),
    rng: np.random.Generator | Sequence[np.random.Generator] | None = None,
    record: Mapping[str, Callable[[Parameters], ArrayLike]] | None = None,
    every: int = 1,
    backend: str = "numpy",
    device: str = "cpu",
) -> EnsembleHistory:
    r"""Train E networks on the same images, each as :func:`twinfilters.training.train` would.

    All is computed in the floating type of the networks. A run that diverges goes on with numbers that are not finite
    and leaves the others alone. Identical units may part by rounding, whatever the arithmetic of the networks, because
    their rows stand at different places of a matrix product (chapter 6).

    Parameters
    ----------
    nets : where the runs start: networks that differ in nothing but their numbers.
    images : (N, C, H, W)
    targets : (N, O), or integer labels (N,).
    optimizer : one rule for all runs, or one for each: of one kind, with numbers of their own. A rule that looks at
        more than one entry at a time, such as ClipNorm or Muon, cannot be stacked.
    steps : how many steps to make.
    batch_size : images a step, drawn without replacement in each epoch; all of them by default.
    noise : ingredients from :mod:`twinfilters.noise` for all runs, or one list of them for each; none that acts on the
        images, which the runs share.
    rng : one source, from which all runs get the same minibatches and the same noise, or one source for each.
    record : name -> function that turns the parameters of all runs, name -> (E, ...), into something (E, ...), such as
        :func:`gaps`; measured along with the loss.
    every : record at step 0, at every so many steps, and at the end.
    backend : ``"numpy"`` or ``"torch"``.
    device : of the torch backend, such as ``"cuda"``.

    Returns
    -------
    EnsembleHistory

    Raises
    ------
    ValueError : no networks, or networks that do not belong together; rules, lists of noise or sources that are neither
        one nor E; rules that cannot be stacked; noise on the images; an unknown backend; and as
        :func:`twinfilters.training.train`.

    Examples
    --------
    >>> from twinfilters import data, optimizers, twins
    >>> digits = data.digits(3, 8, count=50)
    >>> start = FilterNet.random(np.random.default_rng(1))
    >>> nets = [twins.make_twins(start, gap=gap, rng=np.random.default_rng(2)) for gap in np.logspace(-6, 0, 100)]
    >>> history = train_ensemble(nets, digits.images, digits.targets, optimizer=optimizers.GradientDescent(0.1),
    ...                          steps=20, every=10, record={"gap": gaps})
    >>> history["gap"].shape, history.net(99).filters.shape
    ((3, 100), (2, 1, 3, 3))
    """
    _check_nets(nets)
    _check_count(steps, "steps", least=0)
    _check_count(every, "every", least=1)
    net = nets[0]
    patches = net.patches(images)
    targets = checked_targets(targets, len(patches), len(net.readout), net.loss).astype(net.filters.dtype)
    draws = Draws(nets, targets, batch_size, noise, rng)
    rule = stacked_rule(optimizer, nets)
    parameters = {name: np.stack([net.parameters[name] for net in nets], -1) for name in net.parameters}
    state = rule.start(parameters)
    recorder = _Recorder(record or {})
    with Engine(net, patches, backend, device) as engine, progress(0, steps) as numbers:
        for step in numbers:
            loss, gradients = engine(parameters, draws.sample())
            if step % every == 0:
                loss = engine(parameters, draws.everything)[0] if draws.random else loss
                recorder.add(step, loss, parameters)
            with np.errstate(over="ignore", invalid="ignore"):
                parameters, state = rule.update(parameters, draws.noisy(gradients), state)
        recorder.add(steps, engine(parameters, draws.everything)[0], parameters)
    return recorder.history(parameters, net)


def gaps(parameters: Parameters, i: int = 0, j: int = 1) -> Float[np.ndarray, " E"]:
    r"""Distance of two units in every run, $\lVert\theta_i-\theta_j\rVert$, as :func:`twinfilters.twins.gap` has it.

    Parameters
    ----------
    parameters : name -> (E, ...), as :func:`train_ensemble` hands them to what is recorded.
    i, j : two different units.

    Returns
    -------
    (E,), in units of a weight.

    Raises
    ------
    ValueError : there is no such unit, or i = j.
    """
    runs, units = parameters["bias"].shape
    if i == j or not (0 <= i < units and 0 <= j < units):
        raise ValueError(f"i and j must be different and lie between 0 and {units - 1}, got {i} and {j}")
    by_unit = (parameters["filters"], parameters["bias"], parameters["readout"].swapaxes(1, 2))
    parts = [(values[:, i] - values[:, j]).reshape(runs, -1) for values in by_unit]
    return np.linalg.norm(np.concatenate(parts, axis=1), axis=1)


class _Recorder:
    """Collects what is measured during the runs."""

    def __init__(self, measure: Mapping[str, Callable[[Parameters], ArrayLike]]):
        self.measure = measure
        self.steps, self.rows = [], []

    def add(self, step: int, loss: Float[np.ndarray, " E"], parameters: Parameters) -> None:
        parameters = _runs_first(parameters)
        # A run that has diverged is measured too.
        with np.errstate(over="ignore", invalid="ignore"):
            measured = {name: np.array(function(parameters)) for name, function in self.measure.items()}
        self.steps.append(step)
        self.rows.append({"loss": loss, **measured})

    def history(self, parameters: Parameters, net: FilterNet) -> EnsembleHistory:
        records = {name: np.stack([row[name] for row in self.rows]) for name in self.rows[0]}
        return EnsembleHistory(_runs_first(parameters), np.array(self.steps), records, net)


def _runs_first(parameters: Parameters) -> Parameters:
    """Bring the runs from the last axis, where rules have them, to the first."""
    return {name: np.ascontiguousarray(np.moveaxis(value, -1, 0)) for name, value in parameters.items()}


def _check_nets(nets: Sequence[FilterNet]) -> None:
    if len(nets) == 0:
        raise ValueError("nets must hold at least one network, got none")
    wanted = _kind(nets[0])
    if wanted["dtype"].kind != "f" or nets[0].depth > 1 or nets[0].pooling != "mean":
        raise ValueError(
            "networks of an ensemble must be real, with one layer and mean pooling, "
            f"got {wanted['dtype']}, {nets[0].depth} layers and {nets[0].pooling} pooling"
        )
    for run, net in enumerate(nets):
        for name, value in _kind(net).items():
            if value != wanted[name]:
                raise ValueError(
                    f"nets must agree in {name}, got {wanted[name]} in run 0 and {value} in run {run}"
                )


def _kind(net: FilterNet) -> dict[str, object]:
    """All that networks of an ensemble have in common."""
    shapes = {f"the shape of {name}": value.shape for name, value in net.parameters.items()}
    own = {"arithmetic", "deeper", *net.parameters}
    options = {field.name: getattr(net, field.name) for field in fields(net) if field.name not in own}
    return {**shapes, **options, "dtype": net.filters.dtype}
