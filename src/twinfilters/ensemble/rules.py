"""One rule for all runs out of one rule for each."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import fields

import numpy as np

from twinfilters.network import FilterNet
from twinfilters.optimizers import (
    Adam,
    DecoupledWeightDecay,
    Freeze,
    GradientDescent,
    Momentum,
    RMSProp,
    Rule,
    WeightDecay,
)
from twinfilters.optimizers.rates import put

# Rules that treat every entry of a parameter by itself: with the runs on a last axis, they treat every run by itself.
STACKABLE = (GradientDescent, Momentum, RMSProp, Adam, WeightDecay, DecoupledWeightDecay, Freeze)
# Fields with one number for all parameters, or a mapping with numbers for each.
RATES = ("learning_rate", "strength")


def stacked_rule(optimizer: Rule | Sequence[Rule], nets: Sequence[FilterNet]) -> Rule:
    """Make a rule for parameters that have the runs on their last axis.

    Parameters
    ----------
    optimizer : one rule for all runs, or one for each.
    nets : the runs.

    Raises
    ------
    ValueError : rules that are neither one nor E, not of one kind, look at more than one entry at a time, or do not fit
        the networks.
    """
    rules = list(optimizer) if isinstance(optimizer, Sequence) else [optimizer] * len(nets)
    if len(rules) != len(nets):
        raise ValueError(f"optimizer must be one rule, or one for each of {len(nets)} runs, got {len(rules)}")
    rule = _stacked(rules, nets[0])
    for one, net in zip(rules, nets, strict=True):
        one.start(net.parameters)
    return rule


def _stacked(rules: Sequence[Rule], net: FilterNet) -> Rule:
    kinds = {type(rule) for rule in rules}
    if len(kinds) > 1 or not kinds <= set(STACKABLE):
        raise ValueError(
            f"rules of an ensemble must be of one kind out of {[kind.__name__ for kind in STACKABLE]}, "
            f"got {sorted(kind.__name__ for kind in kinds)}"
        )
    rule = copy(rules[0])
    for field in fields(rule):
        values = [getattr(one, field.name) for one in rules]
        put(rule, **{field.name: _stacked_field(field.name, values, net)})
    return rule


def _stacked_field(name: str, values: Sequence, net: FilterNet):
    if isinstance(values[0], Rule):
        return _stacked(values, net)
    if name in RATES:
        return _stacked_rates(values, net)
    if all(value == values[0] for value in values):
        return values[0]
    if not all(isinstance(value, float) for value in values):
        raise ValueError(f"rules of an ensemble must agree in {name}, got {values[0]!r} and others")
    return np.array(values, net.filters.dtype)


def _stacked_rates(values: Sequence, net: FilterNet):
    if isinstance(values[0], float) and all(value == values[0] for value in values):
        return values[0]
    return {
        name: np.stack([np.broadcast_to(_rate(value, name), array.shape) for value in values], axis=-1)
        for name, array in net.parameters.items()
    }


def _rate(rates: float | Mapping, name: str):
    return rates[name] if isinstance(rates, Mapping) else rates
