r"""Error and flow of the order parameters (chapter 10; Saad and Solla 1995).

All fields are listed together, student first, and the residual is one signed sum over them,
$\delta=\sum_p e_p\,g(x_p)+\zeta$ with $e=(-s,\,t)$: minus the student's readouts, then the teacher's. Then

$$\varepsilon_g=\tfrac12\,e^\top I_2\,e,\quad
\dot R_{in}=\eta\,s_i\sum_p e_p\,I_3(i,n,p),\quad
\dot Q_{ik}=\eta\sum_p e_p\big[s_i\,I_3(i,k,p)+s_k\,I_3(k,i,p)\big]
+\eta^2s_is_k\Big[\sum_{pq}e_pe_q\,I_4(i,k,p,q)+\sigma^2J_2(i,k)\Big].$$

Every integral depends on the covariances of its own fields, so all of them are read off the joint covariance.
"""

# The letters Q, R, T, K, M are those of chapter 10 and of the literature.
# ruff: noqa: N803, N806

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Inexact
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from twinfilters.plateau.integrals import activation_moments, field_moments, tilt
from twinfilters.plateau.state import (
    PerState,
    asymmetry,
    checked_array,
    checked_count,
    checked_number,
    checked_overlaps,
    join,
)


@dataclass(frozen=True)
class Trajectory:
    """Order parameters against time, from the flow or from a simulation.

    Attributes
    ----------
    times : (S,), steps / N.
    Q, R : (S, ..., K, K) and (S, ..., K, M), overlaps of student and student, student and teacher. The axes between are
        the runs of a simulation.
    T : (M, M), overlaps of the teacher.
    error : (S, ...), generalization error, without the output noise.
    asymmetry : (S, ...), degree of specialisation as :func:`twinfilters.plateau.asymmetry` defines it; 0 where there
        are fewer than two students or teachers.
    """

    times: Float[np.ndarray, " S"]
    Q: Float[np.ndarray, "S *batch K K"]
    R: Float[np.ndarray, "S *batch K M"]
    T: Float[np.ndarray, "M M"]
    error: Float[np.ndarray, "S *batch"]
    asymmetry: Float[np.ndarray, "S *batch"]


def generalization_error(
    Q: ArrayLike,
    R: ArrayLike,
    T: ArrayLike,
    student_readout: ArrayLike | None = None,
    teacher_readout: ArrayLike | None = None,
) -> PerState:
    r"""Half the mean squared residual on fresh inputs, $\varepsilon_g=\frac12\,e^\top I_2\,e$ (chapter 10).

    Parameters
    ----------
    Q, R, T : (..., K, K), (..., K, M), (..., M, M), overlaps of student and student, student and teacher, teacher and
        teacher; leading axes broadcast.
    student_readout, teacher_readout : (K,) and (M,), readout weights; 1 by default.

    Returns
    -------
    (...), squared output.

    Raises
    ------
    ValueError : wrong shape, not finite, Q or T not symmetric, or together not positive semidefinite beyond rounding.

    Examples
    --------
    A student that knows nothing misses half of the variance of a single teacher.

    >>> round(float(generalization_error([[0.0]], [[0.0]], [[1.0]])), 12)
    0.166666666667
    """
    joint = checked_overlaps(Q, R, T)
    return _error(joint, checked_signs(joint, np.shape(R)[-2], student_readout, teacher_readout))


def order_parameter_flow(
    Q: ArrayLike,
    R: ArrayLike,
    T: ArrayLike,
    learning_rate: float,
    noise: float = 0.0,
    student_readout: ArrayLike | None = None,
    teacher_readout: ArrayLike | None = None,
) -> tuple[Float[np.ndarray, "*batch K K"], Float[np.ndarray, "*batch K M"]]:
    r"""Velocity of the order parameters in the limit of many inputs (chapter 10; Saad and Solla 1995).

    Parameters
    ----------
    Q, R, T : (..., K, K), (..., K, M), (..., M, M), overlaps of student and student, student and teacher, teacher and
        teacher; leading axes broadcast.
    learning_rate : $\eta\ge0$ of a step $\frac{\eta}{\sqrt N}\,\delta\,s_i\,g'(x_i)\,\xi$.
    noise : variance $\sigma^2\ge0$ (not standard deviation) of the noise on the teacher's output.
    student_readout, teacher_readout : (K,) and (M,), readout weights, not trained; 1 by default.

    Returns
    -------
    dQ, dR : (..., K, K) and (..., K, M), change per unit of time; a unit of time is N steps.

    Raises
    ------
    ValueError : as :func:`generalization_error`; learning_rate or noise negative or not finite.
    """
    joint = checked_overlaps(Q, R, T)
    signs = checked_signs(joint, np.shape(R)[-2], student_readout, teacher_readout)
    return flow(
        joint,
        signs,
        np.shape(R)[-2],
        checked_number(learning_rate, "learning_rate"),
        checked_number(noise, "noise"),
    )


def trajectory(
    Q: ArrayLike,
    R: ArrayLike,
    T: ArrayLike,
    learning_rate: float,
    duration: float,
    noise: float = 0.0,
    student_readout: ArrayLike | None = None,
    teacher_readout: ArrayLike | None = None,
    *,
    records: int = 101,
    tolerance: float = 1e-10,
) -> Trajectory:
    r"""Solve the flow of the order parameters from a given state (chapter 10).

    Parameters
    ----------
    Q, R, T, learning_rate, noise, student_readout, teacher_readout : as :func:`order_parameter_flow`, without leading
        axes.
    duration : length of the run, steps / N.
    records : number of equally spaced moments to record, start and end among them.
    tolerance : relative error allowed in a step of the solver; a thousandth of it is allowed as absolute error.

    Returns
    -------
    Trajectory with ``records`` moments.

    Raises
    ------
    ValueError : as :func:`order_parameter_flow`; leading axes, duration or tolerance not above 0, fewer than 2 records.
    ArithmeticError : the solver gave up.
    """
    joint = checked_overlaps(Q, R, T)
    if joint.ndim > 2:
        raise ValueError(f"Q, R, T must be one state without batch axes, got joint shape {joint.shape}")
    K, M = np.shape(R)
    signs = checked_signs(joint, K, student_readout, teacher_readout)
    learning_rate, noise = checked_number(learning_rate, "learning_rate"), checked_number(noise, "noise")
    times = checked_times(duration, records)
    T = joint[K:, K:]

    def velocity(_time: float, state: Float[np.ndarray, " Z"]) -> Float[np.ndarray, " Z"]:
        dQ, dR = flow(join(*_unpack(state, K, M), T), signs, K, learning_rate, noise)
        return np.concatenate([dQ, dR], axis=1).ravel()

    states = solve(velocity, joint[:K].ravel(), times, checked_number(tolerance, "tolerance", above=0.0))
    Q, R = _unpack(states, K, M)
    return recorded(times, Q, R, T, signs)


def flow(
    joint: Inexact[np.ndarray, "*batch X X"],
    signs: Float[np.ndarray, " X"],
    students: int,
    learning_rate: float,
    noise: float,
) -> tuple[Inexact[np.ndarray, "*batch K K"], Inexact[np.ndarray, "*batch K M"]]:
    """Velocity of the order parameters without checks; arguments as :func:`order_parameter_flow`, joined."""
    slopes = tilt(joint, list(range(students)))
    drifts = drift(*slopes, signs)
    to_students, to_teachers = drifts[..., :students], drifts[..., students:]
    dQ = learning_rate * (to_students + to_students.swapaxes(-1, -2))
    dQ += learning_rate**2 * diffusion(*slopes, signs, noise)
    return dQ, learning_rate * to_teachers


def drift(
    weight: Inexact[np.ndarray, "*batch K"],
    tilted: Inexact[np.ndarray, "*batch K X X"],
    signs: Float[np.ndarray, " X"],
) -> Inexact[np.ndarray, "*batch K X"]:
    r"""First order in the learning rate: $s_i\sum_pe_p\,I_3(i,a,p)$ for every student i and field a."""
    # (K,X,X) . (X) -> (K,X)
    return (-signs[: weight.shape[-1]] * weight)[..., None] * (field_moments(tilted) @ signs)


def diffusion(
    weight: Inexact[np.ndarray, "*batch K"],
    tilted: Inexact[np.ndarray, "*batch K X X"],
    signs: Float[np.ndarray, " X"],
    noise: float,
) -> Inexact[np.ndarray, "*batch K K"]:
    r"""Second order in the learning rate: $s_is_k\big[\sum_{pq}e_pe_q\,I_4(i,k,p,q)+\sigma^2J_2(i,k)\big]$."""
    students = weight.shape[-1]
    second_weight, twice = tilt(tilted, list(range(students)))
    readouts = signs[:students, None] * signs[:students]
    # (X) . (K,K,X,X) . (X) -> (K,K)
    squared_residual = (activation_moments(twice) @ signs) @ signs + noise
    return readouts * weight[..., None] * second_weight * squared_residual


def checked_signs(
    joint: Float[np.ndarray, "*batch X X"],
    students: int,
    student_readout: ArrayLike | None,
    teacher_readout: ArrayLike | None,
) -> Float[np.ndarray, " X"]:
    """Signed readouts e of all fields: minus the student's, then the teacher's. ValueError if they do not fit."""
    parts = []
    for name, readout, units in (
        ("student_readout", student_readout, students),
        ("teacher_readout", teacher_readout, joint.shape[-1] - students),
    ):
        readout = np.ones(units) if readout is None else checked_array(readout, name)
        if readout.shape != (units,):
            raise ValueError(f"{name} must have shape ({units},), got {readout.shape}")
        parts.append(readout)
    return np.concatenate([-parts[0], parts[1]])


def checked_times(duration: float, records: int) -> Float[np.ndarray, " S"]:
    """Equally spaced moments from 0 to the duration, or ValueError."""
    duration = checked_number(duration, "duration", above=0.0)
    return np.linspace(0.0, duration, checked_count(records, "records", 2))


def solve(
    velocity: Callable[[float, Float[np.ndarray, " Z"]], Float[np.ndarray, " Z"]],
    start: Float[np.ndarray, " Z"],
    times: Float[np.ndarray, " S"],
    tolerance: float,
) -> Float[np.ndarray, "S Z"]:
    """States (S, Z) of an ordinary differential equation at the given times; ArithmeticError if the solver gives up."""
    solution = solve_ivp(
        velocity, times[[0, -1]], start, "DOP853", times, rtol=tolerance, atol=tolerance / 1000
    )
    if not solution.success:
        raise ArithmeticError(
            f"the flow could not be solved beyond time {solution.t[-1]:.6g}: {solution.message}"
        )
    return solution.y.T


def recorded(
    times: Float[np.ndarray, " S"],
    Q: Float[np.ndarray, "S *batch K K"],
    R: Float[np.ndarray, "S *batch K M"],
    T: Float[np.ndarray, "M M"],
    signs: Float[np.ndarray, " X"],
) -> Trajectory:
    """Add error and asymmetry to recorded order parameters."""
    specialised = asymmetry(R) if min(R.shape[-2:]) > 1 else np.zeros(R.shape[:-2])
    return Trajectory(times, Q, R, T, _error(join(Q, R, T), signs), specialised)


def _error(joint: Float[np.ndarray, "*batch X X"], signs: Float[np.ndarray, " X"]) -> PerState:
    # (X) . (X,X) . (X) -> ()
    return 0.5 * (activation_moments(joint) @ signs) @ signs


def _unpack(
    states: Float[np.ndarray, "*batch Z"], K: int, M: int
) -> tuple[Float[np.ndarray, "*batch K K"], Float[np.ndarray, "*batch K M"]]:
    """Undo the concatenation of Q and R."""
    upper = states.reshape(*states.shape[:-1], K, K + M)
    return upper[..., :K], upper[..., K:]
