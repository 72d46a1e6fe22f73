r"""Rules that turn gradients into steps.

A rule is a frozen data class with two methods: ``start(parameters)`` gives its initial state, and
``update(parameters, gradients, state)`` the parameters after one step and the new state. Parameters and gradients are
dictionaries of arrays, as in :mod:`twinfilters.network`.

Whether twins stay twins depends on one property of the rule: that swapping two units and then updating gives the same
as updating and then swapping. Then it *commutes with the swap*, and identical units remain identical (theorem 2,
chapter 4).
"""

from dataclasses import dataclass

import numpy as np

from twinfilters.network import Parameters


@dataclass(frozen=True)
class GradientDescent:
    r"""Plain descent, $\theta\leftarrow\theta-\alpha\,\partial L/\partial\theta$. Commutes with the swap.

    Parameters
    ----------
    learning_rate : $\alpha>0$, squared weight per unit of loss.

    Raises
    ------
    ValueError : the learning rate is not a positive finite number.
    """

    learning_rate: float

    def __post_init__(self):
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")

    def start(self, parameters: Parameters) -> None:
        """Descent remembers nothing."""

    def update(self, parameters: Parameters, gradients: Parameters, state: None) -> tuple[Parameters, None]:
        """Make one step down the gradient."""
        stepped = {name: value - self.learning_rate * gradients[name] for name, value in parameters.items()}
        return stepped, state
