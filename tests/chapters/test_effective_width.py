"""The statements of the chapter *Effective width*, each executed under its own name."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.activations import ACTIVATIONS, activation
from twinfilters.layers import ConvLayer
from twinfilters.network import FilterNet
from twinfilters.optimizers import (
    Adam,
    ClipNorm,
    DecoupledWeightDecay,
    GradientDescent,
    Momentum,
    Muon,
    RMSProp,
    WeightDecay,
)
from twinfilters.training import train
from twinfilters.twins import equitable_partition, merge, quotient, unmerge

DIGITS = data.digits(3, 8, count=40)
TEN = data.digits(count=40)
COPIES = [1, 3, 4]
M = len(COPIES)
# Rounding errors of some hundred steps at rates at which descent does not amplify them.
FOLLOWS = 1e-10


def wide(name="tanh", seed=0, outputs=1, **options):
    """Five units, of which the last two are copies of unit 1."""
    rng = np.random.default_rng(seed)
    loss = "squared" if outputs == 1 else "cross_entropy"
    net = FilterNet.random(rng, filters=5, kernel=5, activation=name, outputs=outputs, loss=loss, **options)
    net = net.with_parameters(bias=rng.normal(scale=0.3, size=5))
    return twins.tie(twins.tie(net, 1, 3), 1, 4)


def merged_by_hand(net):
    sums = net.readout[:, [0, 1, 2]].copy()
    sums[:, 1] *= M
    return replace(net, filters=net.filters[:3], bias=net.bias[:3], readout=sums)


def factors(filter_factor, readout_factor):
    """What the learning rates or decays of the narrow network are multiplied by; unit 1 is the merged one."""
    unit = np.array([0, 1, 0])
    filters = 1 + (filter_factor - 1) * unit
    return {
        "filters": filters.reshape(3, 1, 1, 1),
        "bias": filters,
        "readout": (1 + (readout_factor - 1) * unit)[None],
        "readout_bias": np.ones(1),
    }


def times(number, by_name):
    return {name: number * factor for name, factor in by_name.items()}


OF_DESCENT, ADAPTIVE = factors(1 / M, M), factors(1, M)


def largest_difference(net, other):
    return max(np.abs(net.parameters[name] - other.parameters[name]).max() for name in net.parameters)


def distance_after(rule, narrow_rule, net=None, digits=DIGITS, steps=100):
    net = wide() if net is None else net
    plan = {"steps": steps, "batch_size": 20, "every": steps}
    ends = [
        train(start, *digits.examples, optimizer=each, rng=np.random.default_rng(1), **plan).net
        for start, each in ((net, rule), (merged_by_hand(net), narrow_rule))
    ]
    assert twins.gap(ends[0], 1, 3) == twins.gap(ends[0], 1, 4) == 0
    assert np.linalg.norm(ends[0].filters[1] - net.filters[1]) > 1e-2
    return largest_difference(merged_by_hand(ends[0]), ends[1])


@pytest.mark.parametrize(("name", "outputs"), list(product(ACTIVATIONS, (1, 10))))
def test_thm_merged_dynamics(name, outputs, measured):
    digits = DIGITS if outputs == 1 else TEN
    net = wide(name, outputs=outputs)
    narrow = merged_by_hand(net)
    error = np.abs(narrow.outputs(digits.images) - net.outputs(digits.images)).max()
    measured("1. difference between the outputs", error, at_most=FOLLOWS)
    (_, g), (_, merged) = (each.loss_and_gradients(*digits.examples) for each in (net, narrow))
    others = np.abs(g["filters"][[0, 2]] - merged["filters"][[0, 2]]).max()
    for k in COPIES:
        of_filter = np.abs(M * g["filters"][k] - merged["filters"][1]).max()
        of_bias = abs(M * g["bias"][k] - merged["bias"][1])
        of_readout = np.abs(g["readout"][:, k] - merged["readout"][:, 1]).max()
        apart = max(of_filter, of_bias, of_readout, others)
        measured("2. difference between the gradients, scaled as stated", apart, at_most=FOLLOWS)
    measured("length of the merged filter's gradient", np.linalg.norm(merged["filters"][1]), at_least=1e-3)
    rule, scaled = pair(GradientDescent, 0.03, OF_DESCENT)
    apart = distance_after(rule, scaled, net, digits, steps=30)
    measured("3. difference after 30 steps on minibatches", apart, at_most=FOLLOWS)
    measured(
        "for comparison, with one rate", distance_after(rule, rule, net, digits, steps=30), at_least=1e-3
    )


def test_merged_dynamics_over_hundreds_of_steps():
    rule, narrow = pair(GradientDescent, 0.03, OF_DESCENT)
    assert distance_after(rule, narrow, steps=400) < FOLLOWS
    for wrong in (factors(M, M), factors(1 / M, 1), factors(1, M), factors(1 / M, 1 / M)):
        assert distance_after(rule, GradientDescent(times(0.03, wrong)), steps=50) > 1e-4


def test_the_packaged_factors_are_those_of_the_theorem():
    packaged = merge(wide(), COPIES)
    assert largest_difference(packaged.net, merged_by_hand(wide())) < 1e-15
    for name, factor in OF_DESCENT.items():
        np.testing.assert_allclose(
            packaged.rate_factors[name], np.broadcast_to(factor, packaged.rate_factors[name].shape)
        )


def pair(kind, learning_rate, factors, **options):
    """Give a rule for the wide network and the one for the narrow network."""
    return kind(learning_rate, **options), kind(times(learning_rate, factors), **options)


EXACT = {"epsilon": 1e-300}
RULES = {
    "momentum": pair(Momentum, 0.01, OF_DESCENT),
    "Nesterov": pair(Momentum, 0.01, OF_DESCENT, nesterov=True),
    "Adam": pair(Adam, 5e-4, ADAPTIVE, **EXACT),
    "RMSProp": pair(RMSProp, 5e-4, ADAPTIVE, **EXACT),
}


@pytest.mark.parametrize("name", RULES)
def test_thm_merged_rules(name, measured):
    rule, narrow = RULES[name]
    measured("difference after 100 steps", distance_after(rule, narrow), at_most=1e-9)
    decay, decays = 1e-2, times(1e-2, factors(M, 1 / M))
    apart = distance_after(WeightDecay(rule, decay), WeightDecay(narrow, decays))
    measured("with weight decay of the strengths stated", apart, at_most=1e-9)
    apart = distance_after(WeightDecay(rule, decay), WeightDecay(narrow, decay))
    measured("for comparison, with one strength of decay", apart, at_least=1e-3)


@pytest.mark.parametrize(("name", "decay_factors"), [("Adam", ADAPTIVE), ("momentum", OF_DESCENT)])
def test_decoupled_decay_shrinks_by_one_factor(name, decay_factors):
    """The product of rate and decay stays, so that the decay is divided by what the rate is multiplied by."""
    rule, narrow = RULES[name]
    decay = 1e-1
    decays = {key: decay / factor for key, factor in decay_factors.items()}
    wide_rule = DecoupledWeightDecay(rule, decay)
    assert distance_after(wide_rule, DecoupledWeightDecay(narrow, decays)) < 1e-9
    assert distance_after(wide_rule, DecoupledWeightDecay(narrow, decay)) > 1e-4


@pytest.mark.parametrize("name", ["tanh", "identity"])
def test_equal_filters_with_unequal_readouts(name):
    """After one step of the filters, the only rate that could do is off in second order, but without activation."""
    first, second = 0.7, 0.3
    net = FilterNet.random(np.random.default_rng(8), filters=2, kernel=5, activation=name)
    net = replace(twins.tie(net, parts=["filter", "bias"]), readout=np.array([[first, second]]))
    narrow = replace(net, filters=net.filters[:1], bias=net.bias[:1], readout=np.array([[first + second]]))
    factor = (first**2 + second**2) / (first + second) ** 2

    def apart(rate):
        frozen = {"readout": 0.0, "readout_bias": 0.0}
        ends = [
            train(
                start,
                *DIGITS.examples,
                optimizer=GradientDescent({"filters": alpha, "bias": alpha, **frozen}),
                steps=1,
            ).net.outputs(DIGITS.images)
            for start, alpha in ((net, rate), (narrow, rate * factor))
        ]
        return np.abs(ends[0] - ends[1]).max()

    if name == "identity":
        assert apart(0.5) < FOLLOWS
    else:
        assert 3.5 < apart(2e-2) / apart(1e-2) < 4.5


@pytest.mark.parametrize("kind", [Adam, RMSProp])
def test_adaptive_rules_do_not_follow_with_the_factors_of_descent(kind):
    assert distance_after(*pair(kind, 5e-4, OF_DESCENT, **EXACT)) > 1e-3


@pytest.mark.parametrize("kind", [Adam, RMSProp])
def test_epsilon_of_the_merged_unit(kind):
    """One step from one gradient, with an epsilon of its size: m epsilon for the filter, epsilon for the readout."""
    epsilon, net = 1e-3, wide()
    _, g = net.loss_and_gradients(*DIGITS.examples)
    _, merged = merged_by_hand(net).loss_and_gradients(*DIGITS.examples)

    def step(gradient, epsilon):
        rule, start = kind(1.0, epsilon=epsilon), {"x": np.zeros_like(gradient)}
        return rule.update(start, {"x": gradient}, rule.start(start))[0]["x"]

    one = step(g["filters"][1], epsilon)
    np.testing.assert_allclose(one, step(merged["filters"][1], M * epsilon), rtol=1e-8)
    assert np.abs(one / step(merged["filters"][1], epsilon) - 1).max() > 1e-3
    np.testing.assert_allclose(
        step(g["readout"][:, 1], epsilon), step(merged["readout"][:, 1], epsilon), rtol=1e-8
    )


def test_rules_that_look_at_several_units_do_not_follow():
    descent, narrow = pair(GradientDescent, 0.03, OF_DESCENT)
    assert distance_after(ClipNorm(descent, 0.1), ClipNorm(narrow, 0.1)) > 1e-4
    for chosen in (OF_DESCENT, ADAPTIVE):
        assert distance_after(*pair(Muon, 2e-3, chosen)) > 1e-3


@pytest.mark.parametrize(("name", "holds"), [("relu", True), ("identity", True), ("tanh", False)])
def test_cor_relu_copies(name, holds, measured):
    net = wide(name)
    start = twins.replace_unit(merged_by_hand(net), 1, np.sqrt(M) * twins.unit_vector(net, 1))
    error = np.abs(net.outputs(DIGITS.images) - start.outputs(DIGITS.images)).max()
    bound = {"at_most": FOLLOWS} if holds else {"at_least": 1e-3}
    measured("difference between the outputs", error, **bound)
    rule = WeightDecay(GradientDescent(0.03), 1e-2)
    copies, one = (train(each, *DIGITS.examples, optimizer=rule, steps=300).net for each in (net, start))
    difference = np.sqrt(M) * twins.unit_vector(copies, 1) - twins.unit_vector(one, 1)
    measured("difference of the units after 300 steps with decay", np.abs(difference).max(), **bound)


def hidden(seed=1, name="tanh"):
    """Equitable from both sides, with no two equal units in the second layer."""
    net = FilterNet.random(np.random.default_rng(seed), filters=(2, 2), kernel=3, activation=name)
    net = net.with_parameters({key: np.round(v * 2**10) / 2**10 for key, v in net.parameters.items()})
    net = unmerge(unmerge(net, 0, 4, layer=1), 0, 2, layer=2)
    filters = net.parameters["filters2"].copy()
    for unit, channel, sign in ((0, 0, 1), (0, 2, -1), (2, 0, -1), (2, 2, 1)):
        filters[unit, channel] += 0.25 * sign
    return net.with_parameters(filters2=filters)


BLOCK = np.ix_([0, 2], [0, 2, 3, 4])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_thm_quotient(name, measured):
    net = hidden(name=name)
    # The classes, as far as they can be seen from the way the network was made.
    both = equitable_partition(net, sides="both")
    assert [classes.tolist() for classes in both] == [[0, 1, 0, 0, 0], [0, 1, 0]]
    small = quotient(net, both)
    for layer, classes in ((1, [0, 2, 3, 4]), (2, [0, 2])):
        values = net.preactivations(DIGITS.images, layer)[:, classes]
        apart = np.ptp(values, axis=1).max()
        measured("1. difference of values within a class", apart, at_most=FOLLOWS)
    error = np.abs(small.net.outputs(DIGITS.images) - net.outputs(DIGITS.images)).max()
    measured("1. difference between the outputs", error, at_most=FOLLOWS)
    _, g = net.loss_and_gradients(*DIGITS.examples)
    block = g["filters2"][BLOCK]
    measured("2. difference of gradients inside a block", np.ptp(block, axis=(0, 1)).max(), at_most=FOLLOWS)
    measured("2. size of these gradients", np.abs(block).max(), at_least=1e-6)
    _, of_small = small.net.loss_and_gradients(*DIGITS.examples)
    apart = np.abs(of_small["filters2"][0, 0] - 2 * block[0, 0]).max()
    apart = max(apart, abs(of_small["bias"][0] - 4 * g["bias"][0]))
    measured("3. difference of the quotient's gradients from the multiples", apart, at_most=FOLLOWS)


def test_quotient_follows_and_keeps_differences():
    net = hidden()
    both = equitable_partition(net, sides="both")
    small = quotient(net, both)
    by_hand = {
        "filters": np.array([1 / 4, 1]).reshape(2, 1, 1, 1),
        "bias": np.array([1 / 4, 1]),
        "filters2": np.array([[4 / 2, 1 / 2], [4, 1]]).reshape(2, 2, 1, 1),
        "bias2": np.array([1 / 2, 1]),
        "readout": np.array([[2, 1]]),
        "readout_bias": np.ones(1),
    }
    plan = {"steps": 200, "batch_size": 20}
    end, follower = (
        train(
            start, *DIGITS.examples, optimizer=GradientDescent(rate), rng=np.random.default_rng(0), **plan
        ).net
        for start, rate in ((net, 0.03), (small.net, times(0.03, by_hand)))
    )
    assert largest_difference(quotient(end, both, tolerance=1e-9).net, follower) < FOLLOWS
    change = (end.parameters["filters2"] - net.parameters["filters2"])[BLOCK]
    assert np.ptp(change, axis=(0, 1)).max() < FOLLOWS < 1e-2 < np.abs(change).max()


def test_from_below_alone_is_lost_in_training():
    net = hidden()
    readout = net.readout + np.array([[0.3, 0, 0]])
    net = net.with_parameters(readout=readout)
    assert equitable_partition(net, sides="below")[1].tolist() == [0, 1, 0]
    assert equitable_partition(net, sides="both")[1].tolist() == [0, 1, 2]
    end = train(net, *DIGITS.examples, optimizer=GradientDescent(0.03), steps=20).net
    assert equitable_partition(end, sides="below", tolerance=1e-6)[1].tolist() == [0, 1, 2]


def partitions(units):
    """All partitions of some units, as class numbers."""
    if not units:
        yield []
        return
    for rest in partitions(units - 1):
        yield from ([*rest, label] for label in range(max(rest, default=-1) + 2))


@pytest.mark.parametrize("sides", ["below", "both"])
def test_colour_refinement_finds_the_coarsest(sides):
    """Against all partitions of both layers of small networks with small integer weights."""

    def equitable(net, parts):
        first, second, readout = (
            net.parameters[n].reshape(len(net.parameters[n]), -1) for n in ("filters", "filters2", "readout")
        )
        sums = [first, np.stack([second[:, parts[0] == c].sum(axis=1) for c in set(parts[0])], axis=1)]
        if sides == "both":
            above = np.stack([second[parts[1] == c].sum(axis=0) for c in set(parts[1])], axis=1)
            sums = [np.hstack([sums[0], above]), np.hstack([sums[1], readout.T])]
        return all(
            (rows[i] == rows[j]).all()
            for rows, classes in zip(sums, parts, strict=True)
            for i, j in product(range(len(rows)), repeat=2)
            if classes[i] == classes[j]
        )

    merged_something = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        net = FilterNet(
            rng.integers(1, 3, size=(3, 1, 1, 1)).astype(float),
            np.zeros(3),
            rng.integers(1, 3, size=(1, 3)).astype(float),
            np.zeros(1),
            deeper=(ConvLayer(rng.integers(0, 2, size=(3, 3, 1, 1)).astype(float), np.zeros(3)),),
        )
        all_of_them = [np.array(pair) for pair in product(partitions(3), repeat=2)]
        fitting = [pair for pair in all_of_them if equitable(net, pair)]
        fewest = min(fitting, key=lambda pair: sum(len(set(classes)) for classes in pair))
        found = equitable_partition(net, sides=sides)
        assert [list(c) for c in found] == [list(c) for c in fewest]
        merged_something += sum(len(set(classes)) for classes in found) < 6
    assert merged_something > 5


@pytest.mark.parametrize("name", ["tanh", "relu", "softplus", "erf"])
def test_prop_merging_error(name, measured):
    rng = np.random.default_rng(3)
    net = FilterNet.random(rng, filters=4, kernel=5, activation=name)
    size, merged_units = 0.1, [0, 2, 3]
    centre = twins.unit_vector(net, 0)[:-1]
    units = [centre + size * direction / np.linalg.norm(direction) for direction in rng.normal(size=(3, 26))]
    near, at_centre = net, net
    for k, unit in zip(merged_units, units, strict=True):
        readout = net.readout[0, k]
        near = twins.replace_unit(near, k, np.append(unit, readout))
        at_centre = twins.replace_unit(at_centre, k, np.append(centre, readout))
    change = np.abs(near.outputs(DIGITS.images) - at_centre.outputs(DIGITS.images)).max()
    slope = np.abs(activation(name)(np.linspace(-20, 20, 4001), 1)[1]).max()
    lengths = np.sqrt((near.patches(DIGITS.images) ** 2).sum(axis=1) + 1)
    bound = slope * size * lengths.max() * np.abs(net.readout[0, merged_units]).sum()
    measured("change of the outputs, relative to the bound", change / bound, at_most=1)
    measured("what the change is at least, relative to the bound", change / bound, at_least=1 / 200)
    # Without the readouts there is no bound.
    for tiny in (1e-3, 1e-6):
        step = tiny * np.eye(25)[12].reshape(5, 5)
        pair = FilterNet(
            np.stack([net.filters[0] + step, net.filters[0] - step]),
            np.zeros(2),
            np.array([[0.5, -0.5]]) / tiny,
            np.zeros(1),
            activation="identity",
        )
        merged = merge(pair, [0, 1], tolerance=1.0).net
        middle = DIGITS.images[:, 0, 2:-2, 2:-2].mean(axis=(1, 2))
        change = (pair.outputs(DIGITS.images) - merged.outputs(DIGITS.images))[:, 0]
        measured(
            "without small readouts: difference from the middle pixel's mean",
            np.abs(change - middle).max(),
            at_most=1e-8,
        )


@pytest.mark.parametrize(("factor", "falls"), [(0.95, True), (1.05, False)])
def test_largest_stable_rate_of_copies(factor, falls):
    unit = FilterNet.random(np.random.default_rng(3), filters=1, kernel=5)
    limit = 2 / (5 * np.mean(unit.features(DIGITS.images) ** 2))
    rates = {"filters": 0.0, "bias": 0.0, "readout_bias": 0.0, "readout": factor * limit}
    run = train(unmerge(unit, 0, 5), *DIGITS.examples, optimizer=GradientDescent(rates), steps=100)
    assert (run["loss"][-1] < run["loss"][0]) == falls
