"""What can be wrapped around a rule: weight decay, clipping, freezing."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from twinfilters.network import Parameters
from twinfilters.optimizers.rates import Rates, check_rates_fit, checked_rates, positive, put, rate_of
from twinfilters.optimizers.rules import Rule, State


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
    (chapter 7, transverse dynamics).

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
    parameters : only these; by default all that belong to the units. Frozen readouts:
        ``Freeze(rule, parameters=("readout", "readout_bias"))``.
    layer : the layer of the units, 1 for the first.

    Raises
    ------
    ValueError : no rule; neither units nor parameters.
    """

    units: Collection[int] | None = None
    parameters: Collection[str] | None = None
    layer: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.units is None and self.parameters is None:
            raise ValueError("Freeze needs units, or parameters, got neither")
        if isinstance(self.parameters, str):
            raise ValueError(f"parameters must be a collection of names, got {self.parameters!r}")

    def start(self, parameters: Parameters) -> State:
        """State of the rule inside before the first step.

        Raises
        ------
        ValueError : there is no such layer, unit or parameter; a parameter that belongs to no unit, beside units.
        """
        axes = self._unit_axes(parameters)
        filters = next(iter(axes))
        if filters not in parameters:
            raise ValueError(f"layer must be one that the network has, got {self.layer}")
        for unit in self.units or ():
            if not 0 <= unit < len(parameters[filters]):
                raise ValueError(f"unit must lie between 0 and {len(parameters[filters]) - 1}, got {unit}")
        known = tuple(parameters if self.units is None else axes)
        if not set(self.parameters or ()) <= set(known):
            raise ValueError(f"parameters must be a collection out of {known}, got {self.parameters!r}")
        return super().start(parameters)

    def update(self, parameters: Parameters, gradients: Parameters, state: State) -> tuple[Parameters, State]:
        """Make one step of the rule with what is free."""
        frozen = {name: self._frozen(name, parameters) for name in parameters}
        free_gradients = {name: np.where(frozen[name], 0, gradients[name]) for name in parameters}
        stepped, state = self.rule.update(parameters, free_gradients, state)
        return {
            name: np.where(frozen[name], value, stepped[name]) for name, value in parameters.items()
        }, state

    def _unit_axes(self, parameters: Parameters) -> dict[str, int]:
        """Parameters of the layer's units, and the axis that counts the units."""
        this, above = "" if self.layer == 1 else str(self.layer), f"filters{self.layer + 1}"
        return {f"filters{this}": 0, f"bias{this}": 0, above if above in parameters else "readout": 1}

    def _frozen(self, name: str, parameters: Parameters) -> Bool[np.ndarray, "..."]:
        """Which entries of a parameter are frozen, in a form that broadcasts to its shape."""
        axes = self._unit_axes(parameters)
        if name not in (axes if self.parameters is None else self.parameters):
            return np.array(False)
        if self.units is None:
            return np.array(True)
        shape = parameters[name].shape
        frozen = np.isin(np.arange(shape[axes[name]]), list(self.units))
        return frozen.reshape([-1 if axis == axes[name] else 1 for axis in range(len(shape))])
