r"""The state of an online learner: overlaps of the student's filters and the teacher's.

$Q=ww^\top/N$ (K, K), $R=wb^\top/N$ (K, M), $T=bb^\top/N$ (M, M). Together they are the covariance of all fields,
$\begin{pmatrix}Q&R\\R^\top&T\end{pmatrix}$, student first. (chapter 10)
"""

# The letters Q, R, T, K, M are those of chapter 10 and of the literature.
# ruff: noqa: N803, N806

from operator import index

import numpy as np
from jaxtyping import Float, Inexact
from numpy.typing import ArrayLike

# One number for each state of a batch; a plain number where there is no batch.
PerState = Float[np.ndarray, "*batch"] | float

# A covariance is refused when an eigenvalue is further below zero than this times the largest variance: far more than
# a solver's tolerance leaves, far less than a mistake makes.
NEGATIVE_EIGENVALUE = 1e-7


def asymmetry(R: ArrayLike) -> PerState:
    r"""Degree of specialisation: 0 on the plateau, 1 when each student is one orthonormal teacher (chapter 10).

    $\lVert PRP'\rVert_F/\sqrt{\min(K,M)-1}$ where $P,P'$ take away the means over students and over teachers: the part
    of $R$ that favours some teacher for some student. For $R_{in}=\sigma+s\,\delta_{in}$ it is $|s|$.

    Parameters
    ----------
    R : (..., K, M), overlaps of student and teacher, both at least 2; leading axes are a batch.

    Returns
    -------
    (...), in the units of R.

    Raises
    ------
    ValueError : fewer than two axes, fewer than two students or teachers, not finite.

    Examples
    --------
    >>> round(float(asymmetry(np.eye(3) + 0.2)), 12)
    1.0
    """
    R = checked_array(R, "R")
    if R.ndim < 2 or min(R.shape[-2:]) < 2:
        raise ValueError(f"R must have shape (..., K, M) with K and M at least 2, got {R.shape}")
    centred = R - R.mean(-2, keepdims=True)
    centred = centred - centred.mean(-1, keepdims=True)
    return np.linalg.norm(centred, axis=(-2, -1)) / np.sqrt(min(R.shape[-2:]) - 1)


def weights_with_overlaps(
    Q: ArrayLike, R: ArrayLike, T: ArrayLike, input_size: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "K N"], Float[np.ndarray, "M N"]]:
    r"""Random filters of student and teacher with exactly the overlaps asked for (chapter 10).

    The symmetric square root of the joint covariance mixes K + M random orthonormal directions.

    Parameters
    ----------
    Q, R, T : (K, K), (K, M), (M, M), overlaps of student and student, student and teacher, teacher and teacher.
    input_size : N, entries of an input, at least K + M.
    rng : random generator that chooses the directions.

    Returns
    -------
    student (K, N) and teacher (M, N) with student student' / N = Q, student teacher' / N = R, teacher teacher' / N = T
    to rounding.

    Raises
    ------
    ValueError : overlaps that no filters have (wrong shape, not finite, not symmetric, not positive semidefinite), or
        input_size below K + M.
    """
    joint = checked_overlaps(Q, R, T)
    if joint.ndim > 2:
        raise ValueError(f"Q, R, T must be one state without batch axes, got joint shape {joint.shape}")
    input_size = checked_count(input_size, "input_size", len(joint))
    directions, _ = np.linalg.qr(rng.standard_normal((input_size, len(joint))))
    # (X,X) . (X,N) -> (X,N)
    weights = np.sqrt(input_size) * _square_root(joint) @ directions.T
    students = np.shape(R)[0]
    return weights[:students], weights[students:]


def checked_overlaps(Q: ArrayLike, R: ArrayLike, T: ArrayLike) -> Float[np.ndarray, "*batch X X"]:
    """Joint covariance of all fields, student first; batch axes are broadcast. ValueError if there is none."""
    Q, R, T = checked_array(Q, "Q"), checked_array(R, "R"), checked_array(T, "T")
    if R.ndim < 2 or min(R.shape[-2:]) < 1:
        raise ValueError(f"R must have shape (..., K, M) with K and M at least 1, got {R.shape}")
    for name, array, units in (("Q", Q, R.shape[-2]), ("T", T, R.shape[-1])):
        if array.shape[-2:] != (units, units):
            raise ValueError(
                f"{name} must have shape (..., {units}, {units}) to go with R of shape {R.shape}, got {array.shape}"
            )
    joint = join(Q, R, T)
    return checked_covariance(joint, joint.shape[-1], "the joint covariance of Q, R, T")


def join(
    Q: Inexact[np.ndarray, "*#batch K K"],
    R: Inexact[np.ndarray, "*#batch K M"],
    T: Inexact[np.ndarray, "*#batch M M"],
) -> Inexact[np.ndarray, "*batch X X"]:
    """Put the overlaps together into the covariance of all fields; batch axes are broadcast."""
    try:
        batch = np.broadcast_shapes(Q.shape[:-2], R.shape[:-2], T.shape[:-2])
    except ValueError:
        raise ValueError(
            f"the batch axes of Q, R, T must broadcast, got shapes {Q.shape}, {R.shape}, {T.shape}"
        ) from None
    Q, R, T = (np.broadcast_to(block, batch + block.shape[-2:]) for block in (Q, R, T))
    upper = np.concatenate([Q, R], axis=-1)
    lower = np.concatenate([R.swapaxes(-1, -2), T], axis=-1)
    return np.concatenate([upper, lower], axis=-2)


def checked_covariance(covariance: ArrayLike, size: int, name: str) -> Float[np.ndarray, "*batch X X"]:
    """Return a covariance as floats, or raise ValueError: shape, finite, symmetric, positive semidefinite."""
    covariance = checked_array(covariance, name)
    if covariance.shape[-2:] != (size, size):
        raise ValueError(f"{name} must have shape (..., {size}, {size}), got {covariance.shape}")
    scale = np.abs(covariance).max(initial=1.0)
    skew = np.abs(covariance - covariance.swapaxes(-1, -2)).max(initial=0.0)
    if skew > 1e-10 * scale:
        raise ValueError(
            f"{name} must be symmetric, got entries that differ from their mirror image by {skew:.3g}"
        )
    smallest = np.linalg.eigvalsh(covariance).min(initial=0.0)
    if smallest < -NEGATIVE_EIGENVALUE * scale:
        raise ValueError(f"{name} must be positive semidefinite, got an eigenvalue of {smallest:.3g}")
    return covariance


def checked_array(values: ArrayLike | float, name: str) -> Float[np.ndarray, "..."]:
    """Return a float64 array of finite numbers, or raise ValueError."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be an array of real numbers, got type {array.dtype}")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def checked_number(value: float, name: str, *, above: float | None = None) -> float:
    """Return a finite number that is not negative, or raise ValueError; with ``above``, larger than that."""
    number = checked_array(value, name)
    if number.ndim:
        raise ValueError(f"{name} must be one number, got shape {number.shape}")
    if above is not None and number <= above:
        raise ValueError(f"{name} must be greater than {above}, got {value}")
    if number < 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(number)


def checked_count(value: int, name: str, least: int) -> int:
    """Return a whole number of at least ``least``, or raise ValueError."""
    try:
        count = index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return count


def _square_root(covariance: Float[np.ndarray, "X X"]) -> Float[np.ndarray, "X X"]:
    """Compute the symmetric square root; eigenvalues that are only rounding count as zero, to keep twins twins."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = 8 * len(values) * np.finfo(float).eps * values[-1]
    return vectors * np.sqrt(np.where(values > rounding, values, 0.0)) @ vectors.T
