"""What can be wrapped around a rule: weight decay, clipping, freezing."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from twinfilters.network import PARAMETERS, Parameters
from twinfilters.optimizers.rates import Rates, check_rates_fit, checked_rates, positive, put, rate_of
from twinfilters.optimizers.rules import Rule, State

# Which axis of a parameter counts the units; the readout's bias belongs to none.
UNIT_AXIS = {"filters": 0, "bias": 0, "readout": 1}


@dataclass(frozen=True)
class _Wrapper:
    """A rule made of another one, with the state of that one."""

    rule: Rule

    def __post_init__(self):
        if not isinstance(self.rule, Rule):
            raise ValueError(f"rule must be one such as GradientDescent(0.1), got {self.rule!r}")

    @property
    def learning_rate(self) -> Rates:
        """Learning rate of the rule inside."""
        return self.rule.learning_rate

    def start(self, parameters: Parameters) -> State:
        """State of the rule inside before the first step."""
        return self.rule.start(parameters)


@dataclass(frozen=True)
class WeightDecay(_Wrapper):
    r"""Add $\frac\lambda2\lVert\theta\rVert^2$ to the loss: $g\leftarrow g+\lambda\theta$. Commutes with the swap.

    Coupled to the rule, as ``weight_decay`` of torch.optim.SGD and Adam. It adds $\lambda I$ to the transverse Hessian
    (theorem 4, chapter 7).

    Parameters
    ----------
    rule : what the gradient is given to.
    strength : $\lambda\ge0$, loss per squared weight; or a mapping with one for each parameter, as learning rates.

    Raises
    ------
    ValueError : no rule; a strength that is negative or not finite.
    """

    strength: Rates

    def __post_init__(self):
        super().__post_init__()
        put(self, strength=checked_rates(self.strength, "strength", zero=True))

    def start(self, parameters: Parameters) -> State:
        """State of the rule inside before the first step.

        Raises
        ------
        ValueError : the strengths do not fit the parameters.
        """
        check_rates_fit(self.strength, parameters, "strength")
        return super().start(parameters)

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Make one step of the rule with the gradient of loss and decay."""
        gradients = {
            name: gradients[name] + rate_of(self.strength, name, value) * value
            for name, value in parameters.items()
        }
        return self.rule.update(parameters, gradients, state)


@dataclass(frozen=True)
class DecoupledWeightDecay(WeightDecay):
    r"""Shrink the weights beside the step: $\theta\leftarrow(1-\alpha\lambda)\theta$ first. Commutes with the swap.

    The gradient, taken before, does not see it. Around :class:`Adam` it is torch.optim.AdamW; around
    :class:`GradientDescent` the same as :class:`WeightDecay`.

    Parameters
    ----------
    rule : what makes the step.
    strength : as in :class:`WeightDecay`; $\alpha$ is the learning rate of the rule.

    Raises
    ------
    ValueError : no rule; a strength that is negative or not finite.
    """

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Shrink, then make one step of the rule."""
        shrunk = {
            name: value
            - rate_of(self.learning_rate, name, value) * rate_of(self.strength, name, value) * value
            for name, value in parameters.items()
        }
        return self.rule.update(shrunk, gradients, state)


@dataclass(frozen=True)
class ClipNorm(_Wrapper):
    r"""Shorten long gradients, as torch.nn.utils.clip_grad_norm_. Commutes with the swap.

    $g\leftarrow g\,\min\big(1,\,c/(\lVert g\rVert+10^{-6})\big)$ with one norm for all parameters together (chapter 4).

    Parameters
    ----------
    rule : what the gradient is given to.
    max_norm : $c>0$, loss per weight.

    Raises
    ------
    ValueError : no rule; a norm that is not positive and finite.
    """

    max_norm: float

    def __post_init__(self):
        super().__post_init__()
        put(self, max_norm=positive(self.max_norm, "max_norm"))

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Make one step of the rule with the shortened gradient."""
        length = np.sqrt(sum((gradients[name] ** 2).sum() for name in parameters))
        if length.real + 1e-6 > self.max_norm:
            factor = self.max_norm / (length + 1e-6)
            gradients = {name: gradients[name] * factor for name in parameters}
        return self.rule.update(parameters, gradients, state)


@dataclass(frozen=True)
class Freeze(_Wrapper):
    """Hold parameters or units fixed to the last bit (chapter 9).

    Commutes with swapping two units if both are frozen or both are free; with only one of them frozen it does not.

    Parameters
    ----------
    rule : what moves the others. It is told that the gradient of what is frozen is 0.
    units : these units, with filter, bias and readout; all by default.
    parameters : only these, out of "filters", "bias", "readout" and, if units are not given, "readout_bias"; by default
        all that belong to the units. Frozen readouts: ``Freeze(rule, parameters=("readout", "readout_bias"))``.

    Raises
    ------
    ValueError : no rule; neither units nor parameters; an unknown parameter.
    """

    units: Collection[int] | None = None
    parameters: Collection[str] | None = None

    def __post_init__(self):
        super().__post_init__()
        known = PARAMETERS if self.units is None else tuple(UNIT_AXIS)
        if self.units is None and self.parameters is None:
            raise ValueError("Freeze needs units, or parameters, got neither")
        if isinstance(self.parameters, str) or not set(self.parameters or ()) <= set(known):
            raise ValueError(f"parameters must be a collection out of {known}, got {self.parameters!r}")

    def start(self, parameters: Parameters) -> State:
        """State of the rule inside before the first step.

        Raises
        ------
        ValueError : there is no such unit.
        """
        count = len(parameters["filters"])
        for unit in self.units or ():
            if not 0 <= unit < count:
                raise ValueError(f"unit must lie between 0 and {count - 1}, got {unit}")
        return super().start(parameters)

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Make one step of the rule with what is free."""
        frozen = {name: self._frozen(name, value.shape) for name, value in parameters.items()}
        free_gradients = {name: np.where(frozen[name], 0, gradients[name]) for name in parameters}
        stepped, state = self.rule.update(parameters, free_gradients, state)
        return {
            name: np.where(frozen[name], value, stepped[name]) for name, value in parameters.items()
        }, state

    def _frozen(self, name: str, shape: tuple[int, ...]) -> Bool[np.ndarray, "..."]:
        """Which entries of a parameter are frozen, in a form that broadcasts to its shape."""
        if name not in (UNIT_AXIS if self.parameters is None else self.parameters):
            return np.array(False)
        if self.units is None:
            return np.array(True)
        axis = UNIT_AXIS[name]
        frozen = np.isin(np.arange(shape[axis]), list(self.units))
        return frozen.reshape([-1 if n == axis else 1 for n in range(len(shape))])
