"""A run of the lab made by the package: what the engine in the page is checked against, and what Python computes with.

:class:`PackageRun` has the methods of the run that engine.js makes, and gives the same numbers to rounding. Networks,
gradients, rules, noise, twins and transverse Hessians are the package's; only their order is written down here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from twinfilters import twins
from twinfilters.data import digits
from twinfilters.interaction import frozen_twin_hessian
from twinfilters.lab.settings import LIVE, Settings, checked
from twinfilters.lab.stream import START, TRAINING, Stream
from twinfilters.network import FilterNet, Parameters, accuracy
from twinfilters.noise import HiddenDropout, LabelNoise, disturbed
from twinfilters.optimizers import Freeze, Momentum, Rule, WeightDecay
from twinfilters.stability import transverse_hessian
from twinfilters.stability.hessian import transverse_hessian_of_patches
from twinfilters.stability.transverse import merged

# As in engine.js: the spread of an untied twin's bias, what counts as infinite, when a prediction is lost or in doubt.
OWN_BIAS = 0.5
BEYOND = 1e30
LOST = 1e3
LARGE = 0.1

READOUTS = ("readout", "readout_bias")
OUTPUTS = {"squared": 1, "cross_entropy": 2}

Batch = slice | Int[np.ndarray, " B"]


def starting_network(settings: Settings) -> FilterNet:
    """Draw the network that a run starts from: twins with the gap, and what is not tied as it was drawn."""
    rng = Stream(settings["seed"], START)
    drawn = FilterNet.random(
        rng,
        filters=settings["filters"],
        kernel=settings["kernel"],
        outputs=OUTPUTS[settings["loss"]],
        activation=settings["activation"],
        loss=settings["loss"],
    )
    direction = rng.normal(size=len(twins.unit_vector(drawn, 0)))
    drawn = drawn.with_parameters(bias=rng.normal(scale=OWN_BIAS) * np.eye(drawn.units)[1])
    tied = np.concatenate(
        [np.full(drawn.unit(0)[part].size, settings[f"tied_{part}"]) for part in twins.PARTS]
    )
    if not tied.any():
        return drawn
    made = twins.make_twins(drawn, gap=settings["gap"], direction=direction * tied)
    own = np.where(tied, twins.unit_vector(made, 1), twins.unit_vector(drawn, 1))
    return twins.replace_unit(made, 1, own)


def rule(settings: Settings, *, of_one: bool = False) -> Rule:
    """Give the rule of a step; for one unit alone, nobody else is frozen."""
    made = Momentum(settings["learning_rate"], settings["momentum"])
    if settings["frozen"] == "readouts":
        made = Freeze(made, parameters=READOUTS)
    elif settings["frozen"] == "twin" and not of_one:
        made = Freeze(made, units=[1])
    return WeightDecay(made, settings["weight_decay"])


class PackageRun:
    """A run of the lab.

    Parameters
    ----------
    settings : those that are not the default.

    Raises
    ------
    ValueError : as :func:`twinfilters.lab.settings.checked`.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = checked(settings)
        data = digits(*self.settings["digits"], count=self.settings["images"])
        self.images = data.images
        # One output answers +1 for the first class and -1 for the second; of two outputs each stands for a class.
        one_hot = np.eye(2)[(data.labels == data.classes[1]).astype(int)]
        self.targets = data.targets if self.settings["loss"] == "squared" else one_hot
        self._start = starting_network(self.settings)
        # Cut once; a step takes them from here.
        self._patches = self._start.patches(self.images)
        self.rewind()

    def rewind(self) -> None:
        """Go back to the start: the same network, and the same noise to come."""
        self.net = self._start
        self.steps, self.diverged = 0, False
        self._velocity = rule(self.settings).start(self.net.parameters)
        self._rng = Stream(self.settings["seed"], TRAINING)
        self._rest = np.arange(0)
        self._predict_from_here()

    def load(self, net: FilterNet) -> None:
        """Start from another network of the same shapes."""
        self._start = net
        self.rewind()

    def change(self, **changes: Any) -> None:
        """Change settings while the run goes on; prediction starts anew if the twins are treated otherwise.

        Raises
        ------
        ValueError : a setting that cannot change, or a value that it cannot have.
        """
        if fixed := [name for name in changes if name not in LIVE]:
            raise ValueError(f"{', '.join(fixed)} cannot change while a run goes on: start another one")
        before, self.settings = self.settings, checked({**self.settings, **changes})
        self.diverged = False
        if any(before[name] != self.settings[name] for name in ("frozen", "dropout")):
            self._predict_from_here()

    def step(self, count: int = 1) -> None:
        """Make training steps; stop where the run diverges."""
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(count):
                if self.diverged:
                    return
                self._step()

    def _step(self) -> None:
        batch = self._drawn_batch()
        noise = [LabelNoise(self.settings["label_noise"])] if self.settings["label_noise"] else []
        targets = disturbed(self.targets[batch], noise, self._rng)
        dropout = [HiddenDropout(self.settings["dropout"])] if self.settings["dropout"] else []
        mask = disturbed(np.ones((len(targets), self.net.units)), dropout, self._rng)
        images, patches = self.images[batch], self._patches[batch]
        loss, gradients = self.net.loss_and_gradients_of_patches(patches, targets, mask)
        parameters, velocity = rule(self.settings).update(self.net.parameters, gradients, self._velocity)
        self.diverged = not (loss < BEYOND and is_bounded(parameters))
        if self.diverged:
            return
        self._prediction = self._prediction.after(self.net, images, patches, targets, self.settings)
        self.net, self._velocity = self.net.stepped(parameters), velocity
        self.steps += 1

    def _drawn_batch(self) -> Batch:
        """Draw a minibatch as :func:`twinfilters.training.train` does."""
        size = self.settings["batch"]
        if size == 0:
            return slice(None)
        order = self._rest if len(self._rest) else self._rng.permutation(len(self.images))
        self._rest = order[size:]
        return order[:size]

    def _predict_from_here(self) -> None:
        self._prediction = Prediction.start(self.net, self._velocity, self.settings)

    def measured(self) -> dict[str, Any]:
        """Give a row of the run's history."""
        difference = twins.difference(self.net)
        filter_, bias, readout = np.split(
            difference, [self.net.filters[0].size, self.net.filters[0].size + 1]
        )
        return {
            "step": self.steps,
            "loss": self.net.mean_loss(self.images, self.targets),
            "accuracy": accuracy(self.net, self.images, self.targets),
            "gap": twins.gap(self.net),
            "gapFilter": float(np.linalg.norm(filter_)),
            "gapBias": float(np.linalg.norm(bias)),
            "gapReadout": float(np.linalg.norm(readout)),
            "predicted": self._prediction.gap,
            "diverged": self.diverged,
        }

    def now(self) -> dict[str, Any]:
        """Give all that the lab shows at the moment."""
        row = self.measured()
        why = self._reason(row["gap"], row["predicted"])
        eigenvalues = np.linalg.eigvalsh(self._fate()) + self.settings["weight_decay"]
        gradients = self.net.loss_and_gradients(self.images, self.targets)[1]
        slopes = self.net.with_parameters(gradients)
        units = [
            {
                **parts(self.net, k),
                "gradient": parts(slopes, k),
                "frozen": self.settings["frozen"] == "twin" and k == 1,
            }
            for k in range(self.net.units)
        ]
        return {
            **row,
            "eigenvalues": eigenvalues,
            "growthRate": -eigenvalues[0],
            "units": units,
            "linear": not why,
            "reason": why,
            "distinct": twins.effective_width(self.net),
        }

    def _reason(self, gap: float, predicted: float | None) -> str:
        """Say why the linear theory does not hold; nothing where it does."""
        if gap == predicted == self.settings["dropout"] == 0:
            return ""
        if self.settings["dropout"] > 0:
            return "dropout"
        if not all(self.settings[f"tied_{part}"] for part in twins.PARTS):
            return "untied"
        if predicted is None or max(gap, predicted) > LARGE:
            return "large"
        return "relu" if self.settings["activation"] == "relu" else ""

    def _fate(self) -> Float[np.ndarray, "U U"]:
        """Give the matrix that decides the fate of the twins (chapter 8): T, its block S, or T + Gamma."""
        if self.settings["frozen"] == "twin":
            return frozen_twin_hessian(at_frozen(self.net), self.images, self.targets, 0)
        matrix = transverse_hessian(merged(self.net), self.images, self.targets, 0)
        length = self.net.filters[0].size + 1
        return matrix[:length, :length] if self.settings["frozen"] == "readouts" else matrix


@dataclass(frozen=True, eq=False)
class Prediction:
    r"""The gap that theory predicts, from some step on.

    Free twins: their merged network is trained beside them, on the same images and targets, and the difference
    $d=\theta_0-\theta_1$ follows $d\leftarrow(I-\alpha T)d$ (chapter 7); with momentum and weight decay,
    which are linear, the rule of the run with $Td$ for a gradient: :func:`twinfilters.stability.predict_gap`.

    A frozen twin: seen from it, the other one follows the gradient there, $g+(T+\Gamma)d$ (chapter 9).

    Attributes
    ----------
    net : the merged network; of a frozen twin, whatever network was given at the start.
    velocity : of the merged network.
    difference, speed : d and its velocity, as parameters of one unit.
    frozen : whether unit 1 is.
    lost : the prediction has left all bounds, and says nothing any more.
    """

    net: FilterNet
    velocity: Parameters
    difference: FilterNet
    speed: Parameters
    frozen: bool
    lost: bool = False

    @classmethod
    def start(cls, net: FilterNet, velocity: Parameters, settings: Settings) -> "Prediction":
        """Predict from where the twins are now."""
        frozen = settings["frozen"] == "twin"
        moving = net.with_parameters(velocity)
        speed = twins.unit_vector(moving, 0) if frozen else twins.difference(moving)
        return cls(
            merged(net),
            dict(merged(moving).parameters),
            one_unit(net, twins.difference(net)),
            dict(one_unit(net, speed).parameters),
            frozen,
        )

    @property
    def gap(self) -> float | None:
        """Predicted gap; None if the prediction is lost."""
        return None if self.lost else float(np.linalg.norm(twins.unit_vector(self.difference, 0)))

    def after(
        self,
        actual: FilterNet,
        images: Float[np.ndarray, "N C H W"],
        patches: Float[np.ndarray, "N D P"],
        targets: Float[np.ndarray, "N O"],
        settings: Settings,
    ) -> "Prediction":
        """Make the step that the network is about to make."""
        if self.lost:
            return self
        base = at_frozen(actual) if self.frozen else self.net
        loss, gradients = base.loss_and_gradients_of_patches(patches, targets)
        gap = twins.unit_vector(self.difference, 0)
        if self.frozen:
            own = twins.unit_vector(base.with_parameters(gradients), 0)
            decay = settings["weight_decay"] * twins.unit_vector(base, 0)
            pull = own + decay + frozen_twin_hessian(base, images, targets, 0) @ gap
        else:
            pull = transverse_hessian_of_patches(base, patches, targets, 0) @ gap
        difference, speed = rule(settings, of_one=True).update(
            self.difference.parameters, one_unit(base, pull).parameters, self.speed
        )
        parameters, velocity = base.parameters, self.velocity
        if not self.frozen:
            parameters, velocity = rule(settings).update(parameters, gradients, velocity)
        size = np.linalg.norm(np.concatenate([np.ravel(array) for array in difference.values()]))
        if not (loss < BEYOND and size < LOST and is_bounded(parameters)):
            return replace(self, lost=True)
        return replace(
            self,
            net=base.stepped(dict(parameters)),
            velocity=velocity,
            difference=self.difference.stepped(difference),
            speed=speed,
        )


def one_unit(net: FilterNet, vector: Float[np.ndarray, " U"]) -> FilterNet:
    """Put the parameters of a unit, or a change of them, into a network of one unit."""
    single = replace(
        net,
        filters=net.filters[:1],
        bias=net.bias[:1],
        readout=net.readout[:, :1],
        readout_bias=0 * net.readout_bias,
    )
    return twins.replace_unit(single, 0, vector)


def at_frozen(net: FilterNet) -> FilterNet:
    """Put unit 0 where its frozen twin stands."""
    return twins.tie(net, 1, 0)


def is_bounded(parameters: Parameters) -> bool:
    """Whether no parameter counts as infinite."""
    return all((np.abs(value) < BEYOND).all() for value in parameters.values())


def parts(net: FilterNet, k: int) -> dict[str, Any]:
    """Give filter, bias and readout of a unit, the filter as one row."""
    unit = net.unit(k)
    return {"filter": unit["filter"].ravel(), "bias": float(unit["bias"]), "readout": unit["readout"]}


def reference_run(settings: Mapping[str, Any], steps: int) -> PackageRun:
    """Make the run of some settings, by the package."""
    run = PackageRun(settings)
    run.step(steps)
    return run
