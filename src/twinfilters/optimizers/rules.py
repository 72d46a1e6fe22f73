"""Descent, momentum, RMSProp, Adam and Muon."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Inexact

from twinfilters.arithmetic import combine
from twinfilters.network import Parameters
from twinfilters.optimizers.rates import (
    Numbers,
    Rates,
    below_one,
    check_rates_fit,
    checked_rates,
    positive,
    put,
    rate_of,
)

State = Any

# Coefficients with which five steps bring singular values between 0.001 and 1 into the neighbourhood of 1 (K. Jordan).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
# Gradients shorter than this are not brought to length 1, as in torch.optim.Muon.
SHORTEST_GRADIENT = 1e-7


@runtime_checkable
class Rule(Protocol):
    """What :func:`twinfilters.training.train` asks of a rule."""

    learning_rate: Rates

    def start(self, parameters: Parameters) -> State:
        """State before the first step."""

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Parameters and state after one step."""


@dataclass(frozen=True)
class _Descent:
    """A rule that goes down some direction, at a rate."""

    learning_rate: Rates

    def __post_init__(self):
        put(self, learning_rate=checked_rates(self.learning_rate, "learning_rate"))

    def start(self, parameters: Parameters) -> State:
        """State before the first step.

        Raises
        ------
        ValueError : the learning rates do not fit the parameters.
        """
        check_rates_fit(self.learning_rate, parameters, "learning_rate")
        return self._initial_state(parameters)

    def _initial_state(self, parameters: Parameters) -> State:
        return None

    def _descend(self, parameters: Parameters, direction: Parameters) -> Parameters:
        return {
            name: value - rate_of(self.learning_rate, name, value) * direction[name]
            for name, value in parameters.items()
        }


@dataclass(frozen=True)
class GradientDescent(_Descent):
    r"""Plain descent, $\theta\leftarrow\theta-\alpha\,\partial L/\partial\theta$ (chapter 2). Commutes with the swap.

    Parameters
    ----------
    learning_rate : $\alpha>0$, squared weight per unit of loss. Or a mapping with a rate for each parameter: a number,
        or an array that broadcasts to its shape, such as one rate a unit; 0 freezes. The merged unit of chapter 5 is
        trained with ``{"filters": rate / m, "bias": rate / m, "readout": rate * m, "readout_bias": rate}``.

    Raises
    ------
    ValueError : a learning rate that is not positive and finite; in a mapping, that is negative or not finite.
    """

    def update(self, parameters: Parameters, gradients: Parameters, state: None) -> tuple[Parameters, None]:
        """Make one step down the gradient."""
        return self._descend(parameters, gradients), state


@dataclass(frozen=True)
class Momentum(_Descent):
    r"""Descent with a memory, $v\leftarrow\mu v+g$, as torch.optim.SGD. Commutes with the swap.

    Heavy ball: $\theta\leftarrow\theta-\alpha v$. Nesterov: $\theta\leftarrow\theta-\alpha(g+\mu v)$ (chapter 4).

    Parameters
    ----------
    learning_rate : as in :class:`GradientDescent`. A steady gradient moves $1/(1-\mu)$ times as far as there.
    momentum : $0\le\mu<1$.
    nesterov : look ahead.

    Raises
    ------
    ValueError : a learning rate as in :class:`GradientDescent`, or a momentum out of range.
    """

    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self):
        super().__post_init__()
        put(self, momentum=below_one(self.momentum, "momentum"))

    def _initial_state(self, parameters: Parameters) -> Parameters:
        return _zeros(parameters)

    def update(
        self, parameters: Parameters, gradients: Parameters, state: Parameters
    ) -> tuple[Parameters, Parameters]:
        """Make one step; the state is the velocity v."""
        velocity = {name: self.momentum * state[name] + gradients[name] for name in parameters}
        direction = velocity
        if self.nesterov:
            direction = {name: gradients[name] + self.momentum * velocity[name] for name in parameters}
        return self._descend(parameters, direction), velocity


@dataclass(frozen=True)
class RMSProp(_Descent):
    r"""Descent in units of the gradient's running size, as torch.optim.RMSprop. Commutes with the swap.

    $s\leftarrow\rho s+(1-\rho)g^2$, $\theta\leftarrow\theta-\alpha\,g/(\sqrt s+\epsilon)$, entry by entry (chapter 4).

    Parameters
    ----------
    learning_rate : as in :class:`GradientDescent`, but in units of a weight.
    decay : $0\le\rho<1$.
    epsilon : $\epsilon>0$, the size of a gradient that counts as none.

    Raises
    ------
    ValueError : a learning rate as in :class:`GradientDescent`; a decay or an epsilon out of range.
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        put(self, decay=below_one(self.decay, "decay"))
        put(self, epsilon=positive(self.epsilon, "epsilon"))

    def _initial_state(self, parameters: Parameters) -> Parameters:
        return _zeros(parameters)

    def update(
        self, parameters: Parameters, gradients: Parameters, state: Parameters
    ) -> tuple[Parameters, Parameters]:
        """Make one step; the state is the running mean s of the squares."""
        square = {name: _mix(self.decay, state[name], gradients[name] ** 2) for name in parameters}
        direction = {name: gradients[name] / (np.sqrt(square[name]) + self.epsilon) for name in parameters}
        return self._descend(parameters, direction), square


@dataclass(frozen=True)
class Adam(_Descent):
    r"""Momentum in units of the gradient's running size, as torch.optim.Adam. Commutes with the swap.

    $m\leftarrow\beta_1m+(1-\beta_1)g$, $s\leftarrow\beta_2s+(1-\beta_2)g^2$ and, entry by entry in step $t$,
    $\theta\leftarrow\theta-\alpha\,\hat m/(\sqrt{\hat s}+\epsilon)$ with $\hat m=m/(1-\beta_1^t)$,
    $\hat s=s/(1-\beta_2^t)$ (chapter 4).

    Parameters
    ----------
    learning_rate : as in :class:`GradientDescent`, but in units of a weight.
    mean_decay, square_decay : $0\le\beta_1,\beta_2<1$.
    epsilon : $\epsilon>0$, the size of a gradient that counts as none.

    Raises
    ------
    ValueError : a learning rate as in :class:`GradientDescent`; a decay or an epsilon out of range.
    """

    mean_decay: float = 0.9
    square_decay: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        put(self, mean_decay=below_one(self.mean_decay, "mean_decay"))
        put(self, square_decay=below_one(self.square_decay, "square_decay"))
        put(self, epsilon=positive(self.epsilon, "epsilon"))

    def _initial_state(self, parameters: Parameters) -> dict[str, Any]:
        return {"step": 0, "mean": _zeros(parameters), "square": _zeros(parameters)}

    def update(
        self, parameters: Parameters, gradients: Parameters, state: dict[str, Any]
    ) -> tuple[Parameters, dict[str, Any]]:
        """Make one step; the state holds its number t and the running means m and s."""
        step = state["step"] + 1
        mean = {name: _mix(self.mean_decay, state["mean"][name], gradients[name]) for name in parameters}
        square = {
            name: _mix(self.square_decay, state["square"][name], gradients[name] ** 2) for name in parameters
        }
        short, long = 1 - self.mean_decay**step, 1 - self.square_decay**step
        direction = {
            name: mean[name] / short / (np.sqrt(square[name] / long) + self.epsilon) for name in parameters
        }
        return self._descend(parameters, direction), {"step": step, "mean": mean, "square": square}


@dataclass(frozen=True)
class Muon(_Descent):
    r"""Orthogonalised momentum for the filters, as torch.optim.Muon; Adam for all else. Commutes with the swap.

    With the gradient $G$ of a layer's filters, one row a unit: $V\leftarrow\mu V+G$, and
    $W\leftarrow W-\alpha\sqrt{\max(1,F/D)}\;\mathrm{orthogonalize}(G+\mu V)$ (chapter 4). No weight decay.

    Exact twins stay exact to the last bit. Nearly identical ones part fast: the iteration multiplies a small difference
    of their gradients, in units of the length of G, by $a^5\approx485$, until it is as large as the step itself.

    Parameters
    ----------
    learning_rate : as in :class:`GradientDescent`, but in units of a weight. A mapping gives Adam its own rates.
    momentum : $0\le\mu<1$.

    Raises
    ------
    ValueError : a learning rate as in :class:`GradientDescent`, or a momentum out of range.
    """

    momentum: float = 0.95

    def __post_init__(self):
        super().__post_init__()
        put(self, momentum=below_one(self.momentum, "momentum"))

    def _initial_state(self, parameters: Parameters) -> dict[str, Any]:
        filters, others = _split(parameters)
        return {"velocity": _zeros(filters), "others": Adam(self.learning_rate)._initial_state(others)}

    def update(
        self, parameters: Parameters, gradients: Parameters, state: dict[str, Any]
    ) -> tuple[Parameters, dict[str, Any]]:
        """Make one step; the state holds the velocity of the filters and Adam's state."""
        filters, others = _split(parameters)
        velocity = {name: self.momentum * state["velocity"][name] + gradients[name] for name in filters}
        direction = {
            name: _orthogonal_direction(gradients[name] + self.momentum * velocity[name]) for name in filters
        }
        stepped = self._descend(filters, direction)
        others, adam = Adam(self.learning_rate).update(others, gradients, state["others"])
        return {name: {**stepped, **others}[name] for name in parameters}, {
            "velocity": velocity,
            "others": adam,
        }


def _split(parameters: Parameters) -> tuple[Parameters, Parameters]:
    """Part the filters of all layers from the rest."""
    filters = {name: value for name, value in parameters.items() if name.startswith("filters")}
    return filters, {name: value for name, value in parameters.items() if name not in filters}


def _orthogonal_direction(gradient: Inexact[np.ndarray, "F C K L"]) -> Inexact[np.ndarray, "F C K L"]:
    rows = gradient.reshape(len(gradient), -1)
    return max(1.0, rows.shape[0] / rows.shape[1]) ** 0.5 * orthogonalize(rows).reshape(gradient.shape)


def orthogonalize(matrix: Inexact[np.ndarray, "F D"]) -> Inexact[np.ndarray, "F D"]:
    r"""Bring the singular values of a matrix near 1 by Newton and Schulz's iteration, as torch.optim.Muon.

    From $X=G/\lVert G\rVert$ five times $X\leftarrow aX+(bXX^\top+c\,(XX^\top)^2)X$ (chapter 4): the singular vectors
    stay, and values above some $10^{-3}\lVert G\rVert$ end between 0.68 and 1.14.

    The sums are position-blind: identical rows give bit-identical rows.

    Parameters
    ----------
    matrix : (F, D), one row a filter.

    Returns
    -------
    (F, D)
    """
    a, b, c = NEWTON_SCHULZ
    length = np.sqrt((matrix * matrix).sum())
    rows = matrix / (length if length.real > SHORTEST_GRADIENT else SHORTEST_GRADIENT)
    for _ in range(NEWTON_SCHULZ_STEPS):
        # (F,D) . (D,F) -> (F,F)
        gram = combine(rows, rows.T, "position_blind")
        # (F,F) . (F,F) -> (F,F)
        mixing = b * gram + c * combine(gram, gram, "position_blind")
        # (F,F) . (F,D) -> (F,D)
        rows = a * rows + combine(mixing, rows, "position_blind")
    return rows


def _zeros(parameters: Parameters) -> Parameters:
    return {name: np.zeros_like(value) for name, value in parameters.items()}


def _mix(
    decay: Numbers, old: Inexact[np.ndarray, "*shape"], new: Inexact[np.ndarray, "*shape"]
) -> Inexact[np.ndarray, "*shape"]:
    return decay * old + (1 - decay) * new
