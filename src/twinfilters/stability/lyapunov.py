r"""Does noise merge twins or part them? The Lyapunov exponents of the gap.

Under minibatch or label noise the transverse Hessian is random in each step, and the gap of a long run is
$\lVert v_t\rVert\sim e^{\Lambda t}$ with the top exponent (chapter 11)

$$\Lambda=\lim_{t\to\infty}\frac1t\ln\lVert v_t\rVert,\qquad v_{t+1}=(I-\alpha T_t)\,v_t.$$

Negative: noise merges twins. Positive: it parts them. Further exponents, in falling order, are the rates of the
directions that remain: the first K of them add up to the growth rate of a volume in K dimensions, and are read off the
diagonal of R when the gaps $V=QR$ are made orthonormal again every few steps (Benettin and others, 1980).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from twinfilters.activations import activation
from twinfilters.network import FilterNet
from twinfilters.noise import Ingredient
from twinfilters.optimizers import Rule
from twinfilters.optimizers.rates import positive
from twinfilters.stability.transverse import TransverseRun, batches
from twinfilters.threads import one_blas_thread

# Steps between two orthonormalisations: gaps of different exponents stay far from parallel, and from overflow.
RENEWAL = 10


@dataclass(frozen=True, eq=False)
class LyapunovExponents:
    """Exponents of the gap, measured in independent runs.

    Attributes
    ----------
    runs : (R, K), the K largest exponents of each run, a step; in falling order but for chance.
    """

    runs: Float[np.ndarray, "R K"]

    @property
    def exponents(self) -> Float[np.ndarray, " K"]:
        """Means over the runs, (K,), a step; times 1 / learning rate, per unit of gradient-flow time."""
        return self.runs.mean(axis=0)

    @property
    def standard_errors(self) -> Float[np.ndarray, " K"]:
        """Standard errors of the means, (K,), a step."""
        return self.runs.std(axis=0, ddof=1) / np.sqrt(len(self.runs))


@one_blas_thread()
def lyapunov_exponent(
    net: FilterNet,
    images: ArrayLike,
    targets: ArrayLike,
    *,
    optimizer: Rule,
    steps: int,
    rng: np.random.Generator,
    burn_in: int = 0,
    count: int = 1,
    runs: int = 8,
    batch_size: int | None = None,
    noise: Sequence[Ingredient] = (),
    i: int = 0,
    j: int = 1,
) -> LyapunovExponents:
    r"""Measure the exponents of the gap between units i and j along noisy merged runs (chapter 11).

    Parameters
    ----------
    net : where all runs start, with both twins at their centre.
    images, targets : as in :meth:`twinfilters.network.FilterNet.loss_and_gradients`.
    optimizer : a rule that commutes with swapping the twins.
    steps : steps that are measured, a multiple of 10.
    rng : source of the runs' own generators.
    burn_in : steps before those, for the run to become stationary; a multiple of 10.
    count : K, how many exponents.
    runs : R, at least 2 independent runs.
    batch_size, noise : as in :func:`twinfilters.stability.predict_gap`.
    i, j : the twins.

    Returns
    -------
    LyapunovExponents

    Raises
    ------
    ValueError : numbers out of range; a rule or noise that treats the twins differently; data that do not fit the
        network.
    DivergedError : a run became infinite or NaN.
    """
    size = len(net.filters[0].ravel()) + 1 + len(net.readout)
    _check_counts(steps, burn_in, count, runs, size)
    measured = []
    for own in rng.spawn(runs):
        directions, _ = np.linalg.qr(own.normal(size=(size, count)))
        run = TransverseRun.start(net, optimizer, directions, i, j)
        data = batches(run.net, images, targets, batch_size=batch_size, noise=noise, rng=own)
        growth = np.zeros(count)
        for done in range(0, burn_in + steps, RENEWAL):
            for batch in islice(data, RENEWAL):
                run = run.after(*batch)
            _, r = np.linalg.qr(run.gaps)
            run = run.recombined(np.linalg.inv(r))
            growth += np.log(np.abs(np.diag(r))) * (done >= burn_in)
        measured.append(growth / steps)
    return LyapunovExponents(np.array(measured))


def gaussian_lyapunov_exponent(
    name: str,
    *,
    dimension: int,
    learning_rate: float,
    label_noise: float,
    steps: int,
    rng: np.random.Generator,
    burn_in: int = 0,
    count: int = 1,
    runs: int = 100,
    batch_size: int = 1,
    copies: int = 2,
    weight_decay: float = 0.0,
    teacher: ArrayLike | None = None,
) -> LyapunovExponents:
    r"""Measure the exponents for one merged unit on normal inputs, many runs at a time (chapter 11).

    Copies of a unit, $f=m\,a\,\sigma(w\cdot x)$ with $m$ of them, learn $y=\sigma(w^*\!\cdot x)+\zeta\xi$ by descent,
    from standard normal $x\in\mathbb R^D$ and $\xi$, fresh in each step. The unit has U = D + 1 parameters $(w, a)$ and
    starts at $w=w^*$, $a=1/m$. What noise does to the centre takes some $1/\alpha^2$ steps: as many should burn in.

    Parameters
    ----------
    name : the activation.
    dimension : D.
    learning_rate : $\alpha$.
    label_noise : $\zeta\ge0$.
    steps, rng, burn_in, count : as in :func:`lyapunov_exponent`.
    runs : R, at least 2 independent runs.
    batch_size : inputs in each step.
    copies : m: 2 for a pair of twins without company, 1 for an imagined twin that adds nothing.
    weight_decay : $\lambda\ge0$ of $\frac\lambda2\lVert\theta\rVert^2$.
    teacher : $w^*$, (D,); by default the first unit vector.

    Returns
    -------
    LyapunovExponents

    Raises
    ------
    ValueError : an unknown activation; numbers out of range; a teacher of a wrong shape; a run that became infinite.
    """
    function = activation(name)
    _check_counts(steps, burn_in, count, runs, dimension + 1)
    learning_rate = positive(learning_rate, "learning_rate")
    _check_model(label_noise, weight_decay, batch_size, copies)
    teacher = np.eye(dimension)[0] if teacher is None else np.asarray(teacher, dtype=float)
    if teacher.shape != (dimension,) or not np.isfinite(teacher).all():
        raise ValueError(f"teacher must be finite with shape ({dimension},), got {teacher}")
    theta = np.tile(np.append(teacher, 1 / copies), (runs, 1))
    gaps, _ = np.linalg.qr(rng.normal(size=(runs, dimension + 1, count)))
    growth = np.zeros((runs, count))
    for step in range(1, burn_in + steps + 1):
        inputs = rng.normal(size=(runs, batch_size, dimension))
        noise = label_noise * rng.normal(size=(runs, batch_size))
        labels = function(inputs @ teacher)[0] + noise
        gradient, pull = _unit_gradient(function, theta, gaps, inputs, labels, copies)
        theta = theta - learning_rate * (gradient + weight_decay * theta)
        gaps = gaps - learning_rate * (pull + weight_decay * gaps)
        if step % RENEWAL == 0:
            if not np.isfinite(theta).all():
                raise ValueError(f"learning_rate must let the runs stay finite, got {learning_rate:g}")
            gaps, r = np.linalg.qr(gaps)
            growth += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))) * (step > burn_in)
    return LyapunovExponents(growth / steps)


def _unit_gradient(
    function,
    theta: Float[np.ndarray, "R U"],
    gaps: Float[np.ndarray, "R U K"],
    inputs: Float[np.ndarray, "R N D"],
    labels: Float[np.ndarray, "R N"],
    copies: int,
) -> tuple[Float[np.ndarray, "R U"], Float[np.ndarray, "R U K"]]:
    """Gradient of the loss by one of the copies' parameters, and the transverse Hessian times the gaps."""
    weights, readout = theta[:, :-1], theta[:, -1:]
    # (R,N,D) . (R,D) -> (R,N)
    z = np.einsum("rnd,rd->rn", inputs, weights)
    values, slopes, curvatures = function(z, 2)
    residuals = (copies * readout * values - labels) / labels.shape[1]
    # (R,N) . (R,N,D) -> (R,D)
    coupling = np.einsum("rn,rnd->rd", residuals * slopes, inputs)
    by_readout = (residuals * values).sum(axis=1, keepdims=True)
    # (R,N,D) . (R,D,K) -> (R,N,K)
    along = inputs @ gaps[:, :-1]
    # (R,N,D) . (R,N,K) -> (R,D,K)
    bent = inputs.swapaxes(1, 2) @ ((residuals * readout * curvatures)[:, :, None] * along)
    on_weights = bent + coupling[:, :, None] * gaps[:, -1:]
    # (R,1,D) . (R,D,K) -> (R,1,K)
    on_readout = coupling[:, None] @ gaps[:, :-1]
    gradient = np.concatenate([readout * coupling, by_readout], axis=1)
    return gradient, np.concatenate([on_weights, on_readout], axis=1)


def _check_counts(steps: int, burn_in: int, count: int, runs: int, size: int) -> None:
    if steps < RENEWAL or steps % RENEWAL or burn_in < 0 or burn_in % RENEWAL:
        raise ValueError(
            f"steps must be a positive multiple of {RENEWAL} and burn_in a multiple, "
            f"got steps = {steps}, burn_in = {burn_in}"
        )
    if not 1 <= count <= size:
        raise ValueError(f"count must lie between 1 and the parameters of a unit, {size}, got {count}")
    if runs < 2:
        raise ValueError(f"runs must be at least 2 for a standard error, got {runs}")


def _check_model(label_noise: float, weight_decay: float, batch_size: int, copies: int) -> None:
    for what, number in {"label_noise": label_noise, "weight_decay": weight_decay}.items():
        if not (np.isfinite(number) and number >= 0):
            raise ValueError(f"{what} must be finite and at least 0, got {number}")
    for what, number in {"batch_size": batch_size, "copies": copies}.items():
        if number < 1:
            raise ValueError(f"{what} must be at least 1, got {number}")
