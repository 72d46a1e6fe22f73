r"""Where the symmetric plateau lies, how fast it is left and when (chapter 10).

As many students as orthonormal teachers, $K=M$, $T=1$, readouts 1. On the plateau all students are alike:
$Q_{ii}=q$, $Q_{ik}=c$, $R_{in}=R$. For $\eta\to0$ they are identical, $q=c$, and $\dot Q=\dot R=0$ gives

$$q^*=\frac1{2K-1},\qquad R^*=\frac1{\sqrt{K(2K-1)}},\qquad
\varepsilon^*=\frac K\pi\Big[\frac\pi6-K\arcsin\frac1{2K}\Big].$$

**Escape rate.** The plateau is unchanged by permuting students and by permuting teachers. A disturbance $r_{in}$ of $R$
whose rows and columns sum to zero prefers certain teachers for certain students; nothing in $Q$, and no other part of
$R$, transforms like it under both permutations, so by Schur's lemma it grows alone, and all its $(K-1)^2$ components
grow at one rate. Stein's lemma turns the flow of $R$ into

$$\dot R_{in}/\eta=R_{in}\,\mathbb E[g''(x_i)\,\delta]+\sum_mT_{nm}\,\mathbb E[g'(x_i)\,g'(y_m)]
-\sum_jR_{jn}\,\mathbb E[g'(x_i)\,g'(x_j)].$$

Price's theorem, $\partial\,\mathbb E[FG]/\partial C_{12}=\mathbb E[F'G']$, gives the change of the second term, and
$\sum_jr_{jn}=0$ reduces the third:

$$\frac{\dot r_{in}}{\eta\,r_{in}}=
\underbrace{\mathbb E[g''(x_i)\,\delta]-\mathbb E[g'(x_i)^2]+\mathbb E[g'(x_i)\,g'(x_j)]}_{G}
+\underbrace{\mathbb E[g''(x_i)\,g''(y_n)]}_{A}.$$

$A$ is the pull of the teachers; $G$ is shared by gaps orthogonal to all of them. This holds for every learning rate,
as $\dot R$ has no term in $\eta^2$. For $\eta\to0$ the first group vanishes:
$x_i=x_j$, and $\mathbb E[g''(x)\,\delta]=-\mathbb E[x\,g'(x)\,\delta]=-\dot Q_{ii}/2\eta=0$.
With $g''(x)=-x\,g'(x)$ and $D=\det\begin{pmatrix}1+q&R\\R&2\end{pmatrix}=(2K+1)/K$

$$\lambda=\eta\,\mathbb E[g''(x)\,g''(y)]=\frac{2\eta}\pi\frac R{D^{3/2}}
=\frac{2\eta}\pi\,\frac K{\sqrt{2K-1}\,(2K+1)^{3/2}}.$$

It is the largest rate of the twins' transverse Hessian, $-\mathbb E[\delta\,g''(x)\,\xi\xi^\top]$ with sign changed. In
all directions orthogonal to the teachers that rate is 0: there the gap neither grows nor shrinks to first order.

**Finite asymmetry.** While every student has a teacher of its own, $R_{ii}=\rho$ and $R_{ik}=\sigma$, the asymmetry
$s=\rho-\sigma$ obeys $\dot s=\eta\,s\,\big[G+A\big]$ exactly, with $u_r=2(1+q)-r^2$ and

$$G=\frac2{\pi(1+q)}\Big[\frac{1+q+(K-1)c}{\sqrt{(1+q)^2-c^2}}-\frac1{\sqrt{1+2q}}-\frac\rho{\sqrt{u_\rho}}
-(K-1)\frac\sigma{\sqrt{u_\sigma}}\Big],\qquad
A=\frac2\pi\,\frac{\rho+\sigma}{\sqrt{u_\rho u_\sigma}\,(\sqrt{u_\rho}+\sqrt{u_\sigma})}.$$

At $\rho=\sigma$ these are the two groups above. No difference of nearly equal numbers is left, so that $\ln s$ can be
followed from any $s>0$.
"""

# The letters Q, R, T, K, M are those of chapter 10 and of the literature.
# ruff: noqa: N806

from dataclasses import dataclass, replace
from math import pi, sqrt

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import root

from twinfilters.plateau.flow import (
    Trajectory,
    checked_times,
    diffusion,
    drift,
    flow,
    generalization_error,
    recorded,
    solve,
)
from twinfilters.plateau.integrals import tilt
from twinfilters.plateau.state import PerState, checked_array, checked_count, checked_number, join


@dataclass(frozen=True)
class Plateau:
    r"""A state in which all students are alike and stay as they are, though none has learnt a teacher.

    Attributes
    ----------
    Q, R, T : (K, K), overlaps; T is the identity.
    learning_rate : $\eta$ for which the state is fixed; 0 stands for the limit of small rates.
    noise : variance of the output noise.
    error : generalization error.
    rate_towards_teachers : growth rate of the asymmetry per unit of learning rate x steps / N.
    rate_elsewhere : the part of it that gaps orthogonal to all teachers share, in the same unit.
    """

    Q: Float[np.ndarray, "K K"]
    R: Float[np.ndarray, "K K"]
    T: Float[np.ndarray, "K K"]
    learning_rate: float
    noise: float
    error: float
    rate_towards_teachers: float
    rate_elsewhere: float


def symmetric_plateau(units: int) -> Plateau:
    r"""Symmetric plateau in the limit of small learning rates (chapter 10; Saad and Solla 1995).

    $Q_{ik}=\frac1{2K-1}$, $R_{in}=\frac1{\sqrt{K(2K-1)}}$.

    Parameters
    ----------
    units : K, students and teachers.

    Returns
    -------
    Plateau with learning_rate 0. Its rates are per unit of learning rate x steps / N.

    Raises
    ------
    ValueError : units not a whole number of at least 1.

    Examples
    --------
    >>> round(symmetric_plateau(2).error, 5), round(symmetric_plateau(3).error, 5)
    (0.01161, 0.0203)
    """
    units = checked_count(units, "units", 1)
    length, overlap = 1 / (2 * units - 1), 1 / np.sqrt(units * (2 * units - 1))
    return _plateau(units, length, length, overlap, 0.0, 0.0)


def plateau_at(learning_rate: float, units: int, noise: float = 0.0, *, merged: bool = False) -> Plateau:
    r"""Symmetric plateau at a finite learning rate, found by root finding among the symmetric states (chapter 10).

    The steps of students that differ also differ, and the term in $\eta^2$ keeps them apart: $q-c$ is proportional to
    $\eta$. Students that are exactly identical stay so, on a plateau of their own.

    Parameters
    ----------
    learning_rate : $\eta$, at least 1e-6 (rounding limits q - c to 1e-11 / learning_rate relative).
    units : K, students and teachers, at least 2.
    noise : variance of the output noise.
    merged : False, the plateau where the students differ; True, the one where they are identical, q = c.

    Returns
    -------
    Plateau.

    Raises
    ------
    ValueError : an argument out of range, or no plateau found when it is followed from small rates to this one.
    """
    units = checked_count(units, "units", 2)
    noise = checked_number(noise, "noise")
    if checked_number(learning_rate, "learning_rate") < 1e-6:
        raise ValueError(
            f"learning_rate must be at least 1e-6, got {learning_rate}; symmetric_plateau has the limit"
        )
    start = symmetric_plateau(units)
    guess = np.array([start.Q[0, 0], 0.1 + 4 * noise, start.R[0, 0]])
    # follow the plateau from small learning rates to the one asked for
    for rate in np.append(np.arange(0.1, learning_rate, 0.1), learning_rate):
        guess = _fixed_point(guess, rate, units, noise, merged)
    length, spread, overlap = guess
    mutual = length if merged else length - learning_rate * spread
    return _plateau(units, length, mutual, overlap, float(learning_rate), noise)


def escape_rate(units: int, learning_rate: float) -> float:
    r"""Growth rate of the asymmetry on the plateau for small learning rates (chapter 10).

    $\lambda=\eta\,\mathbb E[g''(x)\,g''(y)]=\frac{2\eta}\pi\frac K{\sqrt{2K-1}\,(2K+1)^{3/2}}$. The
    docstring of this module derives it. For a finite rate see ``plateau_at(...).rate_towards_teachers``.

    Parameters
    ----------
    units : K, students and teachers, at least 2.
    learning_rate : $\eta\ge0$.

    Returns
    -------
    Rate per unit of time (steps / N).

    Raises
    ------
    ValueError : units not a whole number of at least 2; learning_rate negative or not finite.

    Examples
    --------
    >>> round(escape_rate(2, 1.0), 6)
    0.06575
    """
    units = checked_count(units, "units", 2)
    learning_rate = checked_number(learning_rate, "learning_rate")
    return 2 * learning_rate / pi * units / (sqrt(2 * units - 1) * (2 * units + 1) ** 1.5)


def escape_time(initial_asymmetry: ArrayLike | float, rate: float, threshold: float = 0.1) -> PerState:
    r"""Time at which the asymmetry reaches a threshold, $t=\lambda^{-1}\ln(s_{\text{threshold}}/s_0)$ (chapter 10).

    Parameters
    ----------
    initial_asymmetry : (...), asymmetry at the start, positive, at most the threshold.
    rate : growth rate $\lambda$ per unit of time, positive.
    threshold : asymmetry at which the plateau counts as left.

    Returns
    -------
    (...), time in the unit of the rate.

    Raises
    ------
    ValueError : an argument that is not positive and finite, or an initial asymmetry above the threshold.

    Examples
    --------
    >>> round(float(escape_time(1e-9, escape_rate(2, 0.1))))
    2802
    """
    rate = checked_number(rate, "rate", above=0.0)
    threshold = checked_number(threshold, "threshold", above=0.0)
    initial = checked_array(initial_asymmetry, "initial_asymmetry")
    if not np.all((initial > 0) & (initial <= threshold)):
        raise ValueError(
            f"initial_asymmetry must be positive and at most {threshold}, got {initial_asymmetry}"
        )
    return np.log(threshold / initial) / rate


def measured_escape_time(trajectory: Trajectory, threshold: float = 0.1) -> Float[np.ndarray, "*batch"]:
    """Time at which a recorded asymmetry first reaches a threshold, interpolated in its logarithm (chapter 10).

    Parameters
    ----------
    trajectory : recorded flow or simulation.
    threshold : asymmetry at which the plateau counts as left.

    Returns
    -------
    (...), one time for each run, steps / N; infinite for a run that does not reach the threshold.

    Raises
    ------
    ValueError : threshold not positive.
    """
    threshold = checked_number(threshold, "threshold", above=0.0)
    logs = np.log(np.maximum(trajectory.asymmetry, np.finfo(float).tiny) / threshold)
    columns = logs.reshape(len(logs), -1).T
    crossings = [_first_crossing(trajectory.times, column) for column in columns]
    return np.reshape(crossings, logs.shape[1:])


def escape_trajectory(
    plateau: Plateau,
    initial_asymmetry: float,
    duration: float,
    *,
    records: int = 101,
    tolerance: float = 1e-10,
) -> Trajectory:
    r"""Flow away from a plateau, with the asymmetry followed as $\ln s$: exact however small its start (chapter 10).

    Student i starts with $R_{ii}-R_{ik}=s$ and the mean overlap of the plateau, and keeps teacher i.

    Parameters
    ----------
    plateau : plateau to leave, of at least 2 units, at its own learning rate and noise.
    initial_asymmetry : s at the start, above 0 and small enough that such students exist.
    duration : length of the run, steps / N.
    records : number of equally spaced moments to record.
    tolerance : error allowed in a step of the solver.

    Returns
    -------
    Trajectory with ``records`` moments.

    Raises
    ------
    ValueError : an argument out of range, or a plateau with learning rate 0, which is never left.
    ArithmeticError : the solver gave up.
    """
    units = checked_count(len(plateau.Q), "units of the plateau", 2)
    rate = checked_number(plateau.learning_rate, "learning_rate of the plateau", above=0.0)
    asymmetry = checked_number(initial_asymmetry, "initial_asymmetry", above=0.0)
    times = checked_times(duration, records)

    def velocity(_time: float, state: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4"]:
        Q, R, own, other = _matched(state, units)
        dQ, dR = flow(join(Q, R, plateau.T), _signs(units), units, rate, plateau.noise)
        growth = sum(_rates(state[0], state[1], own, other, units))
        return np.array([dQ[0, 0], dQ[0, 1], dR.mean(), rate * growth])

    start = np.array([plateau.Q[0, 0], plateau.Q[0, 1], plateau.R.mean(), np.log(asymmetry)])
    states = solve(velocity, start, times, checked_number(tolerance, "tolerance", above=0.0))
    Q, R = map(np.array, zip(*(_matched(state, units)[:2] for state in states), strict=True))
    path = recorded(times, Q, R, plateau.T, _signs(units))
    return replace(path, asymmetry=np.exp(states[:, 3]))


def _plateau(
    units: int, length: float, mutual: float, overlap: float, learning_rate: float, noise: float
) -> Plateau:
    """Symmetric state with its error and rates."""
    Q, R, T = _uniform(length, mutual, units), _uniform(overlap, overlap, units), np.eye(units)
    elsewhere, pull = _rates(length, mutual, overlap, overlap, units)
    error = float(generalization_error(Q, R, T))
    return Plateau(Q, R, T, learning_rate, noise, error, float(elsewhere + pull), float(elsewhere))


def _rates(length: float, mutual: float, own: float, other: float, units: int) -> tuple[float, float]:
    """G and A of the module's docstring, per unit of learning rate."""
    own_width, other_width = np.sqrt(2 * (1 + length) - own**2), np.sqrt(2 * (1 + length) - other**2)
    pull = (own + other) / (own_width * other_width * (own_width + other_width))
    students = (1 + length + (units - 1) * mutual) / np.sqrt((1 + length) ** 2 - mutual**2)
    teachers = own / own_width + (units - 1) * other / other_width
    elsewhere = (students - 1 / np.sqrt(1 + 2 * length) - teachers) / (1 + length)
    return 2 / np.pi * elsewhere, 2 / np.pi * pull


def _fixed_point(
    guess: Float[np.ndarray, "3"], learning_rate: float, units: int, noise: float, merged: bool
) -> Float[np.ndarray, "3"]:
    r"""Length q, spread $(q-c)/\eta$ and overlap R at which nothing moves; ValueError if none is near the guess."""

    def residual(state: Float[np.ndarray, "3"]) -> list[float]:
        length, spread, overlap = state
        mutual = length if merged else length - learning_rate * spread
        joint = join(_uniform(length, mutual, units), _uniform(overlap, overlap, units), np.eye(units))
        slopes = tilt(joint, list(range(units)))
        drifts, kicks = drift(*slopes, _signs(units)), diffusion(*slopes, _signs(units), noise)
        elsewhere, _ = _rates(length, mutual, overlap, overlap, units)
        # q - c moves as 2 eta elsewhere (q - c) + eta^2 (difference of the kicks); divided by eta (q - c)
        apart = spread - guess[1] if merged else 2 * elsewhere + (kicks[0, 0] - kicks[0, 1]) / spread
        return [2 * drifts[0, 0] + learning_rate * kicks[0, 0], apart, drifts[0, units]]

    with np.errstate(all="ignore"):
        solution = root(residual, guess, tol=1e-13, options={"eps": 1e-6})
    if not np.abs(solution.fun).max() < 1e-12:
        raise ValueError(f"no symmetric plateau found for {units} units at learning_rate {learning_rate:.6g}")
    return solution.x


def _matched(
    state: Float[np.ndarray, "4"], units: int
) -> tuple[Float[np.ndarray, "K K"], Float[np.ndarray, "K K"], float, float]:
    """Q, R, own and other overlap of students that each have a teacher, from (q, c, mean overlap, log asymmetry)."""
    length, mutual, mean, log_asymmetry = state
    asymmetry = np.exp(log_asymmetry)
    own, other = mean + asymmetry * (units - 1) / units, mean - asymmetry / units
    return _uniform(length, mutual, units), _uniform(own, other, units), own, other


def _uniform(diagonal: float, elsewhere: float, units: int) -> Float[np.ndarray, "K K"]:
    """Build a matrix with one value on the diagonal and one elsewhere."""
    return np.where(np.eye(units, dtype=bool), diagonal, elsewhere)


def _signs(units: int) -> Float[np.ndarray, " X"]:
    """Signed readouts e when all readouts are 1."""
    return np.repeat([-1.0, 1.0], units)


def _first_crossing(times: Float[np.ndarray, " S"], logs: Float[np.ndarray, " S"]) -> float:
    """Time at which a piecewise linear function first reaches zero; infinite if it does not."""
    if logs.max() < 0:
        return np.inf
    after = int(np.argmax(logs >= 0))
    if after == 0:
        return float(times[0])
    return float(np.interp(0.0, logs[[after - 1, after]], times[[after - 1, after]]))
