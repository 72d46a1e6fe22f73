r"""Online learning with a finite number of inputs, to compare with the flow (chapter 10)."""

# The letters Q, R, T, K, M are those of chapter 10 and of the literature.
# ruff: noqa: N803, N806

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from twinfilters.activations import erf
from twinfilters.plateau.flow import Trajectory, checked_signs, checked_times, recorded
from twinfilters.plateau.state import checked_count, checked_number, checked_overlaps, weights_with_overlaps


def simulate_online(
    Q: ArrayLike,
    R: ArrayLike,
    T: ArrayLike,
    learning_rate: float,
    duration: float,
    input_size: int,
    rng: np.random.Generator,
    noise: float = 0.0,
    student_readout: ArrayLike | None = None,
    teacher_readout: ArrayLike | None = None,
    *,
    runs: int = 1,
    records: int = 21,
) -> Trajectory:
    r"""Learn from one fresh normal input a step (chapter 10).

    A step is $w_i\to w_i+\frac{\eta}{\sqrt N}\,\delta\,s_i\,g'(x_i)\,\xi$.

    Every run starts from the same filters, whose overlaps are exactly Q, R, T, and sees its own examples: the spread of
    the runs is that of the examples. (Turning all filters together changes nothing, as the inputs have no direction.)

    Parameters
    ----------
    Q, R, T, learning_rate, noise, student_readout, teacher_readout : as
        :func:`twinfilters.plateau.order_parameter_flow`, without leading axes; noise is a variance.
    duration : length of a run, steps / N.
    input_size : N, entries of an input, at least K + M.
    rng : random generator of the filters, the inputs and the noise.
    runs : E, independent runs.
    records : number of moments to record, spaced equally to the nearest step, start and end among them.

    Returns
    -------
    Trajectory with runs on the axis after time: Q (S, E, K, K), R (S, E, K, M), error (S, E).

    Raises
    ------
    ValueError : as :func:`twinfilters.plateau.trajectory`; input_size below K + M, runs below 1.
    """
    student, teacher = weights_with_overlaps(Q, R, T, input_size, rng)
    signs = checked_signs(checked_overlaps(Q, R, T), len(student), student_readout, teacher_readout)
    step = checked_number(learning_rate, "learning_rate") / np.sqrt(input_size)
    deviation = np.sqrt(checked_number(noise, "noise"))
    moments = np.rint(checked_times(duration, records) * input_size).astype(int)
    students = np.repeat(student[None], checked_count(runs, "runs", 1), axis=0)
    overlaps = [_overlaps(students, teacher)]
    for steps in np.diff(moments):
        for _ in range(steps):
            _learn(students, teacher, signs, step, deviation, rng)
        overlaps.append(_overlaps(students, teacher))
    Q, R = map(np.array, zip(*overlaps, strict=True))
    return recorded(moments / input_size, Q, R, teacher @ teacher.T / input_size, signs)


def _learn(
    students: Float[np.ndarray, "E K N"],
    teacher: Float[np.ndarray, "M N"],
    signs: Float[np.ndarray, " X"],
    step: float,
    deviation: float,
    rng: np.random.Generator,
) -> None:
    """Take one step of every run, in place."""
    runs, units, input_size = students.shape
    inputs = rng.standard_normal((runs, input_size))
    # (E,K,N) . (E,N) -> (E,K)
    fields = (students @ inputs[:, :, None])[:, :, 0] / np.sqrt(input_size)
    # (E,N) . (M,N) -> (E,M)
    teacher_fields = inputs @ teacher.T / np.sqrt(input_size)
    value, slope = erf(fields, 1)
    residual = value @ signs[:units] + erf(teacher_fields)[0] @ signs[units:]
    residual += deviation * rng.standard_normal(runs)
    # (E,K) (E,N) -> (E,K,N)
    students += (-step * residual[:, None] * signs[:units] * slope)[:, :, None] * inputs[:, None, :]


def _overlaps(
    students: Float[np.ndarray, "E K N"], teacher: Float[np.ndarray, "M N"]
) -> tuple[Float[np.ndarray, "E K K"], Float[np.ndarray, "E K M"]]:
    input_size = students.shape[-1]
    return students @ students.swapaxes(-1, -2) / input_size, students @ teacher.T / input_size
