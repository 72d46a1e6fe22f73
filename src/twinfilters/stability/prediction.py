r"""The gap between twins, predicted along the merged run, and how much a run can amplify any gap.

For descent $v_t=\prod_{s<t}(I-\alpha T_s)\,v_0$ (chapter 7, transverse dynamics); for any rule the product of its
derivatives, see :mod:`twinfilters.stability.transverse`. The largest singular value of that product is the
amplification budget of the run (chapter 8).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Inexact, Int
from numpy.typing import ArrayLike

from twinfilters import twins
from twinfilters.network import FilterNet
from twinfilters.noise import Ingredient
from twinfilters.optimizers import Rule
from twinfilters.stability.transverse import TransverseRun, batches
from twinfilters.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class GapPrediction:
    r"""What the merged run says about the gap (chapter 7).

    Attributes
    ----------
    steps : (T,), the steps at which it was recorded: 0 is the start.
    differences : (T, U), predicted $\theta_i-\theta_j=2v$ then, in the order filter, bias, readout. It is linear in the
        initial difference: from twice the gap follows twice the prediction.
    net : the merged network after the last step, units i and j equal.
    """

    steps: Int[np.ndarray, " T"]
    differences: Float[np.ndarray, "T U"]
    net: FilterNet

    @property
    def gaps(self) -> Float[np.ndarray, " T"]:
        r"""Predicted gaps $\lVert\theta_i-\theta_j\rVert$, (T,), in units of a weight."""
        return np.linalg.norm(self.differences, axis=1)


@dataclass(frozen=True, eq=False)
class Amplification:
    r"""How a merged run amplifies gaps of every direction (chapter 8).

    Attributes
    ----------
    steps : (T,), the steps at which it was recorded: 0 is the start.
    propagators : (T, U, U), the matrices $M_t$ with $v_t=M_tv_0$; for descent $\prod_{s<t}(I-\alpha T_s)$, the latest
        factor on the left.
    net : the merged network after the last step.
    """

    steps: Int[np.ndarray, " T"]
    propagators: Float[np.ndarray, "T U U"]
    net: FilterNet

    @property
    def factors(self) -> Float[np.ndarray, " T"]:
        r"""Largest amplification of any gap until each step, (T,): the norms $\lVert M_t\rVert$."""
        return np.linalg.norm(self.propagators, ord=2, axis=(1, 2))

    @property
    def initial_direction(self) -> Float[np.ndarray, " U"]:
        """Direction, (U,) of length 1, of the initial gap that is amplified most until the last step."""
        return np.linalg.svd(self.propagators[-1])[2][0]

    @property
    def final_direction(self) -> Float[np.ndarray, " U"]:
        """Direction, (U,) of length 1, into which the last propagator turns :attr:`initial_direction`."""
        return np.linalg.svd(self.propagators[-1])[0][:, 0]


@one_blas_thread()
def predict_gap(
    net: FilterNet,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: Rule,
    steps: int,
    i: int = 0,
    j: int = 1,
    every: int = 1,
    batch_size: int | None = None,
    noise: Sequence[Ingredient] = (),
    rng: np.random.Generator | None = None,
) -> GapPrediction:
    r"""Predict the gap between units i and j from the run of their centre alone (chapter 7, transverse dynamics).

    Parameters
    ----------
    net : network whose units i and j lie a small gap apart; the run starts with both at their centre.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    optimizer : a rule that commutes with swapping the twins.
    steps : how many steps to look ahead.
    i, j : the twins.
    every : record at step 0, at every so many steps, and at the end.
    batch_size, noise, rng : as in :func:`twinfilters.training.train`, for ingredients that act on targets or images.
        From the same state of rng come the same minibatches and the same noise as there.

    Returns
    -------
    GapPrediction, in double precision whatever the type of the network. It holds while the gap is small against the
    scale on which the activation bends and the merged run itself is stable; for ReLU only until a patch falls between
    the twins (:func:`twinfilters.stability.relu_kicks`).

    Raises
    ------
    ValueError : data that do not fit the network; no such units; exact twins; steps negative or every below 1; a rule
        or noise that treats the twins differently; a batch size out of range; minibatches or noise without rng.
    DivergedError : the merged run became infinite or NaN.
    """
    difference = twins.difference(net, i, j)
    if not difference.any():
        raise ValueError(f"units {i} and {j} must differ, got exact twins: give them a gap with make_twins")
    start = TransverseRun.start(net, optimizer, difference[:, None], i, j)
    data = batches(start.net, images, targets, batch_size=batch_size, noise=noise, rng=rng)
    recorded, gaps, net = _recorded(start, data, steps, every)
    return GapPrediction(recorded, gaps[:, :, 0], net)


@one_blas_thread()
def amplification_budget(
    net: FilterNet,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: Rule,
    steps: int,
    i: int = 0,
    j: int = 1,
    every: int = 1,
    batch_size: int | None = None,
    noise: Sequence[Ingredient] = (),
    rng: np.random.Generator | None = None,
) -> Amplification:
    r"""How much a run can amplify a gap, $\lVert\prod_t(I-\alpha T_t)\rVert$ (chapter 8, the budget of a run).

    Twins of gap $\varepsilon$ become visibly different only when $\varepsilon$ times the budget reaches the size of a
    weight.

    Parameters
    ----------
    net : network with twins i and j; the run starts with both at their centre, whatever their gap.
    images, targets, optimizer, steps, i, j, every, batch_size, noise, rng : as in :func:`predict_gap`.

    Returns
    -------
    Amplification

    Raises
    ------
    ValueError, DivergedError : as :func:`predict_gap`, except that exact twins are welcome.
    """
    start = TransverseRun.start(net, optimizer, np.eye(len(twins.difference(net, i, j))), i, j)
    data = batches(start.net, images, targets, batch_size=batch_size, noise=noise, rng=rng)
    return Amplification(*_recorded(start, data, steps, every))


def _recorded(
    run: TransverseRun,
    data: Iterator[tuple[Inexact[np.ndarray, "N D P"], Inexact[np.ndarray, "N O"]]],
    steps: int,
    every: int,
) -> tuple[Int[np.ndarray, " T"], Float[np.ndarray, "T U K"], FilterNet]:
    if steps < 0 or every < 1:
        raise ValueError(
            f"steps must be at least 0 and every at least 1, got steps = {steps}, every = {every}"
        )
    rows = [(run.step, run.gaps)]
    for batch in islice(data, steps):
        run = run.after(*batch)
        if run.step % every == 0 or run.step == steps:
            rows.append((run.step, run.gaps))
    recorded, gaps = zip(*rows, strict=True)
    return np.array(recorded), np.stack(gaps), run.net
