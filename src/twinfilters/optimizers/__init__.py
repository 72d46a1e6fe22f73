r"""Rules that turn gradients into steps.

A rule is a frozen data class with two methods: ``start(parameters)`` gives its initial state, and
``update(parameters, gradients, state)`` the parameters after one step and the new state. Parameters and gradients are
dictionaries of arrays, as in :mod:`twinfilters.network`; a state is made of such dictionaries. Nothing is changed in
place, and complex numbers are taken as an analytic function takes them, so that a rule can be differentiated by a
complex step (chapter 7).

Whether twins stay twins depends on one property of the rule: that swapping two units and then updating gives the same
as updating and then swapping. Then it *commutes with the swap*, and identical units remain identical
(commuting updates, chapter 4). Every rule here does, as long as both units have the same learning rates, and
:class:`Freeze` leaves out both or neither. In position-blind arithmetic the gap of exact twins is then 0 to the last
bit.

The rules are those of PyTorch, with its conventions. What changes a gradient or a step in a way that does not depend
on the rule is wrapped around it: ``ClipNorm(WeightDecay(Adam(0.01), 1e-4), 1.0)`` clips, then decays, then steps.
"""

from twinfilters.optimizers.rates import Rates
from twinfilters.optimizers.rules import (
    Adam,
    GradientDescent,
    Momentum,
    Muon,
    RMSProp,
    Rule,
    State,
    orthogonalize,
)
from twinfilters.optimizers.wrappers import ClipNorm, DecoupledWeightDecay, Freeze, WeightDecay

__all__ = [
    "Adam",
    "ClipNorm",
    "DecoupledWeightDecay",
    "Freeze",
    "GradientDescent",
    "Momentum",
    "Muon",
    "RMSProp",
    "Rates",
    "Rule",
    "State",
    "WeightDecay",
    "orthogonalize",
]
