"""The statements of the chapter *What breaks the tie*, each executed under its own name."""

from itertools import combinations

import numpy as np
import pytest
import torch

from twinfilters import data, twins
from twinfilters.activations import ACTIVATIONS, activation
from twinfilters.ensemble import train_ensemble
from twinfilters.network import FilterNet
from twinfilters.noise import GradientNoise, HiddenDropout, InputDropout, LabelNoise
from twinfilters.optimizers import (
    Adam,
    ClipNorm,
    DecoupledWeightDecay,
    Freeze,
    GradientDescent,
    Momentum,
    Muon,
    RMSProp,
    WeightDecay,
)
from twinfilters.training import train

DIGITS = data.digits(3, 8, count=40)
DESCENT = GradientDescent(0.1)
COMMUTING = {
    "descent": DESCENT,
    "momentum": Momentum(0.1, momentum=0.9),
    "Nesterov": Momentum(0.1, momentum=0.9, nesterov=True),
    "RMSProp": RMSProp(0.01),
    "Adam": Adam(0.01),
    "Muon": Muon(0.01),
    "coupled decay": WeightDecay(DESCENT, 0.1),
    "decoupled decay": DecoupledWeightDecay(Adam(0.01), 0.1),
    "clipping": ClipNorm(Momentum(0.1), 0.05),
}
# Sums over units are added in another order after a swap.
ROUNDING = 1e-11


def network(**options):
    rng = np.random.default_rng(0)
    net = FilterNet.random(rng, filters=4, kernel=3, **{"arithmetic": "position_blind"} | options)
    return net.with_parameters(bias=rng.normal(scale=0.3, size=4))


def swapped(arrays, i=0, j=1):
    axes, order = {"filters": 0, "bias": 0, "readout": 1}, np.arange(4)
    order[[i, j]] = j, i
    return {name: array.take(order, axes[name]) if name in axes else array for name, array in arrays.items()}


def after_three_steps(rule, parameters, change):
    rng, state = np.random.default_rng(3), rule.start(parameters)
    for _ in range(3):
        gradient = {name: rng.normal(size=array.shape) for name, array in parameters.items()}
        parameters, state = rule.update(parameters, change(gradient), state)
    return parameters


def distance_from_commuting(rule):
    parameters = network().parameters
    after = swapped(after_three_steps(rule, parameters, lambda arrays: arrays))
    before = after_three_steps(rule, swapped(parameters), swapped)
    return max(np.abs(before[name] - after[name]).max() for name in after)


@pytest.mark.parametrize("name", COMMUTING)
def test_prop_what_commutes(name, measured):
    apart = distance_from_commuting(COMMUTING[name])
    measured("stepping after swapping against swapping after stepping", apart, at_most=ROUNDING)


def test_a_rule_that_knows_one_twin_does_not_commute():
    assert distance_from_commuting(Freeze(DESCENT, units=[1])) > 0.01


@pytest.mark.parametrize(
    "noise", [[], [LabelNoise(1.0)], [InputDropout(0.5)], [GradientNoise(0.1, shared=True)]]
)
@pytest.mark.parametrize("name", COMMUTING)
def test_thm_commuting_updates(name, noise, measured):
    start = twins.tie(network())
    run = train(
        start,
        *DIGITS.examples,
        optimizer=COMMUTING[name],
        steps=30,
        batch_size=7,
        noise=noise,
        rng=np.random.default_rng(1),
        record={"gap": twins.gap},
    )
    measured("largest gap of twins in 30 steps", run["gap"].max(), exactly=0)
    travelled = np.linalg.norm(twins.unit_vector(run.net, 0) - twins.unit_vector(start, 0))
    measured("distance that each twin has travelled", travelled, at_least=0.01)


@pytest.mark.parametrize("noise", [HiddenDropout(0.5), GradientNoise(0.1)])
def test_what_is_drawn_for_each_unit_parts_twins(noise):
    start = twins.tie(network())
    run = train(
        start, *DIGITS.examples, optimizer=DESCENT, steps=5, noise=[noise], rng=np.random.default_rng(1)
    )
    assert twins.gap(run.net) > 1e-4


@pytest.mark.parametrize(
    ("name", "symmetric"), [("max of PyTorch", False), ("amax of PyTorch", True)], ids=["max", "amax"]
)
def test_prop_symmetric_choice(name, symmetric, measured):
    """A choice at the tie is symmetric exactly if twins stay equal."""
    function = (lambda z: z.amax(dim=0)) if symmetric else (lambda z: z.max(dim=0).values)
    weights = torch.tensor([[0.5, -0.2], [0.5, -0.2], [0.1, 0.7]], dtype=torch.float64)
    inputs = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]], dtype=torch.float64)

    def gradient(at):
        at = at.clone().requires_grad_()
        (torch.tanh(function(at[:2] @ inputs)) + torch.tanh(at[2] @ inputs)).sum().backward()
        return at.grad

    swap = [1, 0, 2]
    assert torch.equal(gradient(weights[swap]), gradient(weights)[swap]) == symmetric
    stepped = weights - 0.1 * gradient(weights)
    gap = (stepped[0] - stepped[1]).norm().item()
    measured(f"gap after one step, {name}", gap, **({"exactly": 0} if symmetric else {"at_least": 0.1}))


def test_of_the_two_maxima_one_is_symmetric():
    tied = torch.ones(2, requires_grad=True)
    (first,) = torch.autograd.grad(tied.max(dim=0).values, tied)
    (shared,) = torch.autograd.grad(tied.amax(), tied)
    assert (first.tolist(), shared.tolist()) == ([1.0, 0.0], [0.5, 0.5])


def test_prop_equal_in_law(measured):
    """The difference of the twins is as often positive as negative, of mean 0, and never 0."""
    runs, start = 400, twins.tie(network(arithmetic="blas"))
    end = train_ensemble(
        [start] * runs,
        *DIGITS.examples,
        optimizer=DESCENT,
        steps=20,
        every=20,
        noise=[HiddenDropout(0.5)],
        rng=np.random.default_rng(4).spawn(runs),
    ).parameters
    difference = end["readout"][:, 0, 0] - end["readout"][:, 0, 1]
    measured("runs of 400 in which the twins are still equal", (difference == 0).sum(), exactly=0)
    # In standard errors: of a mean, and of a count of coin flips.
    error = abs(difference.mean()) / (difference.std() / np.sqrt(runs))
    measured("mean difference, in standard errors", error, at_most=4)
    leaning = abs((difference > 0).sum() - runs / 2) / (np.sqrt(runs) / 2)
    measured("surplus of runs in which twin A is ahead, in standard errors", leaning, at_most=4)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_prop_zero_start(name, measured):
    zero = {part: 0 * array for part, array in network().parameters.items()}
    net = FilterNet(**zero, activation=name, arithmetic="position_blind")
    (value, slope) = activation(name)(np.zeros(1), 1)
    _, gradients = net.loss_and_gradients(*DIGITS.examples)
    moving = {part for part, gradient in gradients.items() if gradient.any()}
    assert moving == ({"readout", "readout_bias"} if value[0] else {"readout_bias"})
    end = train(net, *DIGITS.examples, optimizer=Momentum(0.1), steps=100).net
    widest = max(twins.gap(end, 0, k) for k in (1, 2, 3))
    measured("largest gap between any two units after 100 steps", widest, exactly=0)
    assert end.filters.any() == bool(value[0])

    readout = np.array([[0.5, -1.0, 2.0, 0.25]])
    net = net.with_parameters(readout=readout)
    _, gradients = net.loss_and_gradients(*DIGITS.examples)
    patches = net.patches(DIGITS.images).mean(axis=2)
    # (N,1) . (N,D) -> (1,D)
    pull = net.residuals(*DIGITS.examples).T @ patches / len(patches)
    wanted = slope[0] * readout.T * pull
    apart = np.abs(gradients["filters"].reshape(4, -1) - wanted).max()
    measured("first gradients of the filters against the formula", apart, at_most=1e-13)
    assert np.linalg.norm(pull) > 0.01
    after = train(net, *DIGITS.examples, optimizer=GradientDescent(0.1), steps=1).net
    apart = [np.linalg.norm(after.filters[i] - after.filters[j]) for i, j in combinations(range(4), 2)]
    assert (min(apart) > 1e-4) == bool(slope[0])
