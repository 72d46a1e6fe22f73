r"""The merged run of two twins, and the gaps that open along it.

To first order in the half-gap $v$ the centre of the twins moves as if they were exact twins, and the gap obeys
(chapter 7, transverse dynamics)

$$v_{t+1}=(I-\alpha T_t)\,v_t\quad\text{for descent},\qquad
(v,\dot s)_{t+1}=\partial U_t\,(v,T_tv,\dot s)_t\quad\text{for any rule }U,$$

with the transverse Hessian $T_t$ of the centre at step $t$, and the derivative of the rule $U(\theta,g,s)$ along the
antisymmetric change of parameters, gradients and state. The derivative is taken by a complex step: real parts carry
the merged run, imaginary parts of size $10^{-100}$ the gap, and no digit is lost. That asks of a rule only that it is
made of analytic operations, as all of :mod:`twinfilters.optimizers` are, and that it commutes with swapping the twins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Float, Inexact
from numpy.typing import ArrayLike

from twinfilters import twins
from twinfilters.losses import checked_targets
from twinfilters.network import FilterNet, Parameters
from twinfilters.noise import Ingredient, acting_on, check_noise_on_targets, disturbed
from twinfilters.optimizers import Rule, State
from twinfilters.stability.hessian import check_covered, transverse_hessian_of_patches
from twinfilters.training import DivergedError

# Size of the complex step. Its square is lost beside any weight and still far from underflow.
STEP = 1e-100


@dataclass(frozen=True, eq=False)
class TransverseRun:
    r"""Where a merged run stands, and what has become of gaps along several directions; made by :meth:`start`.

    Attributes
    ----------
    net : the merged network, units i and j equal.
    gaps : (U, K), the gaps, each in the order filter, bias, readout. They are infinitesimal: only ratios matter.
    optimizer : the rule.
    i, j : the twins.
    step : number of steps made.
    """

    net: FilterNet
    gaps: Float[np.ndarray, "U K"]
    optimizer: Rule
    i: int
    j: int
    step: int
    # For each gap, parameters and state of the rule, with the gap's share as imaginary part.
    _runs: list[Parameters]
    _states: list[State]

    @classmethod
    def start(
        cls, net: FilterNet, optimizer: Rule, directions: ArrayLike, i: int = 0, j: int = 1
    ) -> "TransverseRun":
        """Put units i and j at their centre, and let gaps of any size open along the columns of directions, (U, K).

        Raises
        ------
        ValueError : a network that :mod:`twinfilters.stability` does not cover; no such units; directions of a wrong
            shape or not finite; learning rates that do not fit.
        """
        check_covered(net)
        net = merged(net, i, j)
        gaps = np.array(directions, dtype=float)
        size = len(twins.unit_vector(net, i))
        if gaps.ndim != 2 or len(gaps) != size or not np.isfinite(gaps).all():
            raise ValueError(f"directions must be finite with shape (U, K), U = {size}, got {gaps.shape}")
        runs = [_split(net.parameters, gap, i, j) for gap in gaps.T]
        return cls(net, gaps, optimizer, i, j, 0, runs, [optimizer.start(run) for run in runs])

    def after(
        self, patches: Inexact[np.ndarray, "N D P"], targets: Inexact[np.ndarray, "N O"]
    ) -> "TransverseRun":
        """Make a step.

        Parameters
        ----------
        patches, targets : the data of the step, as from :func:`batches`; taken as checked.

        Raises
        ------
        ValueError : the rule has treated the twins differently.
        DivergedError : a parameter became infinite or NaN.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            gradients = self._gradients(patches, targets)
            stepped = [
                self.optimizer.update(*arguments)
                for arguments in zip(self._runs, gradients, self._states, strict=True)
            ]
        runs, states = (list(column) for column in zip(*stepped, strict=True))
        if not all(np.isfinite(value).all() for run in runs for value in run.values()):
            raise DivergedError(
                f"the merged run diverged at step {self.step + 1}; try a smaller learning rate", None
            )
        net = self.net.with_parameters({name: value.real for name, value in runs[0].items()})
        if twins.difference(net, self.i, self.j).any():
            raise ValueError(
                f"optimizer must treat units {self.i} and {self.j} alike, got {self.optimizer}, which parts them"
            )
        gaps = np.stack([_unit(run, self.i).imag / STEP for run in runs], axis=1)
        return replace(self, net=net, gaps=gaps, step=self.step + 1, _runs=runs, _states=states)

    def recombined(self, matrix: Float[np.ndarray, "K K"]) -> "TransverseRun":
        """Replace the gaps V by V times a matrix; the rule's memory of them follows."""
        runs, states = (
            [_combined(trees, weights) for weights in matrix.T] for trees in (self._runs, self._states)
        )
        return replace(self, gaps=self.gaps @ matrix, _runs=runs, _states=states)

    def _gradients(
        self, patches: Inexact[np.ndarray, "N D P"], targets: Inexact[np.ndarray, "N O"]
    ) -> list[dict[str, Complex[np.ndarray, "..."]]]:
        """For each gap v, the gradient of the merged network with T v as imaginary part."""
        _, gradients = self.net.loss_and_gradients_of_patches(patches, targets)
        # (U,U) . (U,K) -> (U,K)
        pulls = transverse_hessian_of_patches(self.net, patches, targets, self.i) @ self.gaps
        gradients = _tied(gradients, self.i, self.j)
        return [_split(gradients, pull, self.i, self.j) for pull in pulls.T]


def merged(net: FilterNet, i: int = 0, j: int = 1) -> FilterNet:
    """Put units i and j both at their centre, in double precision.

    Raises
    ------
    ValueError : there is no such unit, or i = j.
    """
    centre = twins.unit_vector(net, j) + twins.difference(net, i, j) / 2
    double = net.with_parameters({name: value.astype(float) for name, value in net.parameters.items()})
    return twins.replace_unit(twins.replace_unit(double, i, centre), j, centre)


def batches(
    net: FilterNet,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    batch_size: int | None = None,
    noise: Sequence[Ingredient] = (),
    rng: np.random.Generator | None = None,
) -> Iterator[tuple[Inexact[np.ndarray, "N D P"], Inexact[np.ndarray, "N O"]]]:
    """Yield for ever the patches and targets that :func:`twinfilters.training.train` takes with the same arguments.

    Parameters
    ----------
    net : what the data are for.
    images, targets, batch_size, rng : as in :func:`twinfilters.training.train`.
    noise : ingredients that act on targets or images.

    Raises
    ------
    ValueError : data that do not fit the network; noise that acts on something else, or does not go with the loss; a
        batch size out of range; minibatches or noise without rng. Raised with the first batch.
    """
    patches = net.patches(images)
    targets = checked_targets(targets, len(patches), len(net.readout), net.loss)
    _check_noise(batch_size, len(patches), noise, rng)
    check_noise_on_targets(noise, net.loss, len(net.readout))
    on_targets, on_images = (acting_on(quantity, noise) for quantity in ("targets", "images"))
    order = np.arange(0)
    while True:
        batch = slice(None)
        if batch_size is not None:
            order = order if len(order) else rng.permutation(len(patches))
            batch, order = order[:batch_size], order[batch_size:]
        noisy_targets = disturbed(targets[batch], on_targets, rng)
        if on_images:
            yield net.patches(disturbed(images[batch], on_images, rng)), noisy_targets
        else:
            yield patches[batch], noisy_targets


def _split(
    arrays: Parameters, vector: Float[np.ndarray, " U"], i: int, j: int
) -> dict[str, Complex[np.ndarray, "..."]]:
    """Add a vector to unit i, and take it from unit j, as imaginary parts of the size of the complex step."""
    arrays = {name: value.astype(complex) for name, value in arrays.items()}
    length = arrays["filters"][0].size
    for unit, step in ((i, STEP), (j, -STEP)):
        arrays["filters"].imag[unit] = step * vector[:length].reshape(arrays["filters"].shape[1:])
        arrays["bias"].imag[unit] = step * vector[length]
        arrays["readout"].imag[:, unit] = step * vector[length + 1 :]
    return arrays


def _unit(arrays: Parameters, k: int) -> Inexact[np.ndarray, " U"]:
    return np.concatenate([arrays["filters"][k].ravel(), arrays["bias"][k : k + 1], arrays["readout"][:, k]])


def _tied(gradients: Parameters, i: int, j: int) -> Parameters:
    """Give unit j the gradient of unit i; they are equal, but in BLAS not to the last bit."""
    gradients = {name: value.copy() for name, value in gradients.items()}
    gradients["filters"][j] = gradients["filters"][i]
    gradients["bias"][j] = gradients["bias"][i]
    gradients["readout"][:, j] = gradients["readout"][:, i]
    return gradients


def _combined(trees: Sequence[State], weights: Float[np.ndarray, " K"]) -> State:
    """Combine the imaginary parts of states linearly; their real parts are the same."""
    if isinstance(trees[0], dict):
        return {name: _combined([tree[name] for tree in trees], weights) for name in trees[0]}
    if not isinstance(trees[0], np.ndarray):
        return trees[0]
    return trees[0].real + 1j * sum(weight * tree.imag for weight, tree in zip(weights, trees, strict=True))


def _check_noise(
    batch_size: int | None, images: int, noise: Sequence[Ingredient], rng: np.random.Generator | None
) -> None:
    others = [ingredient for ingredient in noise if ingredient.acts_on not in ("targets", "images")]
    if others:
        raise ValueError(f"noise must act on targets or images, alike for both twins, got {others[0]}")
    if batch_size is not None and not 1 <= batch_size <= images:
        raise ValueError(
            f"batch_size must lie between 1 and the number of images, {images}, got {batch_size}"
        )
    if (batch_size is not None or noise) and not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy.random.Generator for minibatches and noise, got {rng!r}")
