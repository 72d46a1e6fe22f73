r"""What rounding does to symmetry (chapter 6).

Identical filters are sums of the same products, but a library may add them up in a different order for each. Then they
come out with different last bits, and from there on they are *nearly* identical: a gap of the size of the unit
round-off $u$ that grows like $e^{\rho t}$ (chapter 7) and is visible, at a gap $g^*$, after

$$t^*\approx\frac1\rho\ln\frac{g^*}{u},\qquad\text{in steps of descent}\quad\frac{\ln(g^*/u)}{\ln(1+\alpha\rho)}.$$
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import DTypeLike

from twinfilters.arithmetic import ARITHMETICS
from twinfilters.conv import conv2d, conv2d_backward

IMPLEMENTATIONS = (*ARITHMETICS, "torch")


@dataclass(frozen=True)
class Patterns:
    """How many different results a number of identical filters have; 1 means that they are equal to the last bit.

    Attributes
    ----------
    outputs : distinct bit patterns among the outputs.
    gradients : among the gradients of the filters.
    """

    outputs: int
    gradients: int


def distinct_patterns(rows: Shaped[np.ndarray, "F ..."]) -> int:
    """Count the different bit patterns among the rows of an array; 0.0 and -0.0 differ.

    Raises
    ------
    ValueError : there are no rows.
    """
    rows = np.asarray(rows)
    if rows.ndim == 0 or len(rows) == 0:
        raise ValueError(f"rows must have shape (F, ...) with F at least 1, got {rows.shape}")
    return len({row.tobytes() for row in rows})


def distinct_filters(
    count: int,
    *,
    rng: np.random.Generator,
    implementation: str = "blas",
    dtype: DTypeLike = np.float32,
    kernel: int = 3,
    channels: int = 1,
    images: int = 64,
    size: int = 8,
) -> Patterns:
    """Run identical filters through one convolution and its gradient, and count the different results.

    Parameters
    ----------
    count : number of identical filters, F.
    rng : draws images, filter and the gradient that reaches the layer, the same for all filters.
    implementation : one of the arithmetics of this package, ``"torch"`` for PyTorch.
    dtype : float32 or float64.
    kernel, channels : the patch length is D = channels x kernel x kernel.
    images, size : N images of size x size pixels.

    Returns
    -------
    Patterns. For ``"position_blind"`` always 1 and 1, for ``"tiled"`` at most 2 and 2 on any machine; otherwise they
    depend on shape, type, library and machine.

    Raises
    ------
    ValueError : an unknown implementation, a count below 1, or a kernel larger than the images.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of {IMPLEMENTATIONS}, got {implementation!r}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if kernel > size:
        raise ValueError(f"kernel must fit into images of {size} x {size} pixels, got {kernel}")
    out_size = size - kernel + 1
    inputs = rng.normal(size=(images, channels, size, size)).astype(dtype)
    filters = rng.normal(size=(1, channels, kernel, kernel)).astype(dtype).repeat(count, axis=0)
    signal = rng.normal(size=(images, 1, out_size, out_size)).astype(dtype).repeat(count, axis=1)
    outputs, gradients = _convolve(implementation, inputs, filters, signal)
    return Patterns(distinct_patterns(outputs.swapaxes(0, 1)), distinct_patterns(gradients))


def _convolve(
    implementation: str,
    images: Float[np.ndarray, "N C H W"],
    filters: Float[np.ndarray, "F C K L"],
    signal: Float[np.ndarray, "N F H2 W2"],
) -> tuple[Float[np.ndarray, "N F H2 W2"], Float[np.ndarray, "F C K L"]]:
    if implementation == "torch":
        from twinfilters.torch_reference import conv2d_and_gradients

        outputs, _, gradients = conv2d_and_gradients(images, filters, signal)
        return outputs, gradients
    outputs = conv2d(images, filters, arithmetic=implementation)
    _, gradients, _ = conv2d_backward(signal, images, filters, arithmetic=implementation)
    return outputs, gradients


def unit_roundoff(dtype: DTypeLike) -> float:
    r"""Largest relative error of one rounding, $u$: $2^{-53}$ for float64, $2^{-24}$ for float32."""
    return float(np.finfo(dtype).eps) / 2


def predicted_escape_steps(
    growth_rate: float, learning_rate: float, *, gap: float, threshold: float
) -> float:
    r"""Count the steps of descent in which a gap grows to a threshold, $\ln(g^*/g)/\ln(1+\alpha\rho)$ (chapter 6).

    Parameters
    ----------
    growth_rate : $\rho$, per unit of gradient-flow time, held constant.
    learning_rate : $\alpha$.
    gap : what the twins start with; for identical filters about a weight times :func:`unit_roundoff`.
    threshold : the gap to reach.

    Returns
    -------
    Number of steps, not rounded; infinite if the gap does not grow, 0 if it is already there.

    Raises
    ------
    ValueError : a number that is not finite, or a gap, threshold or learning rate that is not positive.
    """
    for name, value in (("gap", gap), ("threshold", threshold), ("learning_rate", learning_rate)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if not np.isfinite(growth_rate):
        raise ValueError(f"growth_rate must be finite, got {growth_rate}")
    if gap >= threshold:
        return 0.0
    if growth_rate <= 0:
        return np.inf
    return float(np.log(threshold / gap) / np.log1p(learning_rate * growth_rate))


def measured_escape_step(
    steps: Int[np.ndarray, " T"], gaps: Float[np.ndarray, " T"], threshold: float
) -> int | None:
    """First recorded step at which a gap is at least the threshold; None if it never is.

    Raises
    ------
    ValueError : steps and gaps of different shapes.
    """
    steps, gaps = np.asarray(steps), np.asarray(gaps)
    if steps.shape != gaps.shape or steps.ndim != 1:
        raise ValueError(f"steps and gaps must have one shape (T,), got {steps.shape} and {gaps.shape}")
    beyond = np.flatnonzero(gaps >= threshold)
    return int(steps[beyond[0]]) if len(beyond) else None
