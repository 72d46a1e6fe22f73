r"""Stochastic collapse in one dimension: when noise beats a barrier.

A weight on an invariant line, such as the gap of twins, feels noise in proportion to itself. The smallest model is
(Chen, Kunin, Yamamura and Ganguli, 2023; chapter 11)

$$d\theta=-L'(\theta)\,dt+\zeta\,\theta\,dB,\qquad L=\tfrac14(\theta^2-\mu)^2,$$

in the sense of Ito: a double well with curvature $-\mu$ at 0. Near 0 its logarithm drifts with the Lyapunov exponent
$\Lambda=\mu-\zeta^2/2$. Noise makes 0 attractive, where the loss has a maximum, if and only if $\zeta^2>2\mu$.
"""

import numpy as np
from jaxtyping import Float


def collapse_exponent(curvature: float, noise: float) -> float:
    r"""Drift of $\ln|\theta|$ near 0 per unit of time, $\Lambda=\mu-\zeta^2/2$ (chapter 11).

    Parameters
    ----------
    curvature : $\mu$, minus the curvature of the loss at 0.
    noise : $\zeta$.
    """
    return curvature - noise**2 / 2


def simulate_collapse(
    curvature: float,
    noise: float,
    *,
    rng: np.random.Generator,
    paths: int = 1000,
    steps: int = 80_000,
    step_size: float = 0.0025,
    start: float = 1.0,
) -> Float[np.ndarray, " paths"]:
    r"""Follow paths of the model, and give $\ln|\theta|$ at their end (chapter 11).

    With $u=\ln|\theta|$ Ito's formula gives $du=(\Lambda-e^{2u})\,dt+\zeta\,dB$. This is stepped by Euler's method: the
    noise is no longer multiplied by anything, the drift near 0 is exact, and nothing underflows.

    Parameters
    ----------
    curvature : $\mu$.
    noise : $\zeta\ge0$.
    rng : source of the noise.
    paths : how many, all at once.
    steps, step_size : how many steps, and of which time.
    start : initial $|\theta|$, in the units of $\sqrt\mu$.

    Returns
    -------
    (paths,). A path counts as collapsed when it lies below some threshold such as $\ln10^{-6}$.

    Raises
    ------
    ValueError : noise negative; paths, steps, step_size or start not positive; a number that is not finite.
    """
    for what, number in {"paths": paths, "steps": steps, "step_size": step_size, "start": start}.items():
        if not (np.isfinite(number) and number > 0):
            raise ValueError(f"{what} must be positive and finite, got {number}")
    if not (np.isfinite(curvature) and np.isfinite(noise) and noise >= 0):
        raise ValueError(
            f"curvature must be finite, noise finite and at least 0, got curvature = {curvature}, noise = {noise}"
        )
    drift, spread = collapse_exponent(curvature, noise) * step_size, noise * np.sqrt(step_size)
    logarithm = np.full(paths, np.log(start))
    for _ in range(steps):
        logarithm += drift - step_size * np.exp(2 * logarithm) + spread * rng.standard_normal(paths)
    return logarithm
