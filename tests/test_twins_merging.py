"""Merging and unmerging: the same function, and the same training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import assert_close
from twinfilters import twins
from twinfilters.data import digits
from twinfilters.layers import ConvLayer
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent, Momentum
from twinfilters.pooling import POOLINGS
from twinfilters.training import train
from twinfilters.twins.merging import merge, quotient, unmerge
from twinfilters.twins.partition import equitable_partition, unit_classes

# Outputs of a merged network differ from those of the wide one in the order of a few additions.
OUTPUTS_RTOL = 1e-12
# Rounding errors of 100 steps, which the networks here hardly amplify.
TRAJECTORY_RTOL = 1e-13

DIGITS = digits(3, 8, count=40)
seeds = st.integers(0, 2**32 - 1)


def draw(seed=0, widths=(3,), **options):
    """A network with nothing zero in it, for images of 8 x 8 pixels."""
    rng = np.random.default_rng(seed)
    net = FilterNet.random(rng, **{"filters": widths, "kernel": 3, "padding": 1, **options})
    biases = {name: rng.normal(scale=0.3, size=v.shape) for name, v in net.parameters.items() if v.ndim == 1}
    return net.with_parameters(biases)


def assert_same_outputs(one, other, images=DIGITS.images):
    assert_close(one.outputs(images), other.outputs(images), OUTPUTS_RTOL)


# --- one layer


def test_merging_by_hand():
    """Units 1 and 3 have filter 5 and bias 1: one unit with readouts 2 + 4 and 20 + 40."""
    net = FilterNet(
        np.array([7.0, 5.0, 6.0, 5.0]).reshape(4, 1, 1, 1),
        np.array([0.0, 1.0, 2.0, 1.0]),
        np.array([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]),
        np.array([8.0, 9.0]),
        activation="gelu",
    )
    merged = merge(net, [3, 1])
    assert merged.net.filters.ravel().tolist() == [7.0, 5.0, 6.0]
    assert merged.net.bias.tolist() == [0.0, 1.0, 2.0]
    assert merged.net.readout.tolist() == [[1.0, 6.0, 3.0], [10.0, 60.0, 30.0]]
    assert merged.net.readout_bias.tolist() == [8.0, 9.0]
    assert merged.net.activation == "gelu"
    assert [classes.tolist() for classes in merged.partition] == [[0, 1, 2, 1]]
    assert merged.rate_factors["filters"].ravel().tolist() == [1.0, 0.5, 1.0]
    assert merged.rate_factors["bias"].tolist() == [1.0, 0.5, 1.0]
    assert merged.rate_factors["readout"].tolist() == [[1.0, 2.0, 1.0]] * 2
    assert merged.rate_factors["readout_bias"].tolist() == [1.0, 1.0]
    for name, factor in merged.rate_factors.items():
        assert factor.shape == merged.net.parameters[name].shape


def test_learning_rates_are_for_units_with_equal_readouts():
    net = twins.tie(draw(), 0, 2)
    merged = merge(net, [0, 2])
    assert merged.trains_alike
    assert merged.learning_rates(0.5)["bias"].tolist() == [0.25, 0.5]
    other = merge(twins.tie(draw(), 0, 2, ["filter", "bias"]), [0, 2])
    assert not other.trains_alike
    with pytest.raises(ValueError, match="must have equal readouts to train as one, got different ones"):
        other.learning_rates(0.5)


@given(
    seed=seeds,
    copies=st.integers(1, 5),
    k=st.integers(0, 2),
    pooling=st.sampled_from(list(POOLINGS)),
    shares=st.none() | st.floats(-2, 2),
)
def test_unmerging_and_merging_leave_the_function(seed, copies, k, pooling, shares):
    net = draw(seed, pooling=pooling, positions=64 if pooling == "none" else None)
    if shares is not None:
        shares = np.array([1 - (copies - 1) * shares] + [shares] * (copies - 1))
    wide = unmerge(net, k, copies, shares=shares)
    assert wide.units == 2 + copies
    assert_same_outputs(wide, net)
    group = [k, *range(3, 2 + copies)]
    assert len(set(unit_classes(wide)[group])) == 1
    if copies > 1:
        narrow = merge(wide, group).net
        for name, value in net.parameters.items():
            assert_close(narrow.parameters[name], value, 1e-13)


def test_shares_of_the_readout():
    net = draw()
    wide = unmerge(net, 1, 3, shares=[0.5, 2.0, -1.5])
    np.testing.assert_array_equal(wide.filters[[1, 3, 4]], net.filters[[1, 1, 1]])
    np.testing.assert_array_equal(wide.bias[[1, 3, 4]], net.bias[[1, 1, 1]])
    np.testing.assert_array_equal(wide.readout[:, [1, 3, 4]], net.readout[:, [1]] * [0.5, 2.0, -1.5])
    np.testing.assert_array_equal(wide.readout[:, [0, 2]], net.readout[:, [0, 2]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_equal_units_merge_to_the_last_bit_and_back(dtype):
    net = draw()
    net = net.with_parameters({name: value.astype(dtype) for name, value in net.parameters.items()})
    narrow = merge(unmerge(net, 2, 4), [2, 3, 4, 5]).net
    for name, value in net.parameters.items():
        assert narrow.parameters[name].tobytes() == value.tobytes()
        assert narrow.parameters[name].dtype == dtype


def test_nearly_equal_units_merge_at_their_mean_when_allowed():
    pair = twins.make_twins(draw(), 0, 2, gap=1e-3, rng=np.random.default_rng(0))
    narrow = merge(pair, [0, 2], tolerance=1e-3).net
    np.testing.assert_allclose(narrow.filters[0], (pair.filters[0] + pair.filters[2]) / 2, rtol=1e-15)
    np.testing.assert_allclose(narrow.readout[:, 0], pair.readout[:, 0] + pair.readout[:, 2], rtol=1e-15)
    error = np.abs(narrow.outputs(DIGITS.images) - pair.outputs(DIGITS.images)).max()
    # The mean of twins is right to first order in their gap if their readouts are nearly equal.
    assert 0 < error < 1e-5
    with pytest.raises(ValueError, match="units to merge must have equal biases and filters"):
        merge(pair, [0, 2], tolerance=1e-5)


# --- deep networks


def blown_up(seed=0, pooling="mean"):
    """A drawn network of three layers, and the same with copies in the first two and in the last."""
    net = draw(seed, widths=(2, 3, 2), pooling=pooling, positions=64 if pooling == "none" else None)
    wide = unmerge(net, 1, 3, layer=1)
    wide = unmerge(wide, 0, 2, layer=2)
    return net, unmerge(wide, 1, 2, layer=3)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_quotient_undoes_copies_in_every_layer(pooling):
    net, wide = blown_up(pooling=pooling)
    assert wide.widths == (4, 4, 3)
    assert_same_outputs(wide, net)
    narrow = quotient(wide, tolerance=1e-12)
    assert narrow.trains_alike
    assert narrow.net.widths == net.widths
    assert_same_outputs(narrow.net, wide)
    for name, value in net.parameters.items():
        assert_close(narrow.net.parameters[name], value, 1e-13)


def test_rate_factors_of_weights_between_classes():
    """Classes of 1 and 3 units, then of 2, 1 and 1, then of 1 and 2: from a class of m' to one of m it is m' / m."""
    factors = quotient(blown_up()[1], tolerance=1e-12).rate_factors
    assert factors["filters"][:, 0, 0, 0].tolist() == [1, 1 / 3]
    assert factors["bias"].tolist() == [1, 1 / 3]
    assert factors["filters2"][:, :, 0, 0].tolist() == [[1 / 2, 3 / 2], [1, 3], [1, 3]]
    assert factors["bias2"].tolist() == [1 / 2, 1, 1]
    assert factors["filters3"][:, :, 0, 0].tolist() == [[2, 1, 1], [1, 1 / 2, 1 / 2]]
    assert factors["readout"].tolist() == [[1, 2]]


def equitable_net(seed=0):
    """A network that has an equitable partition on both sides but no two equal units in its second layer.

    Two equal units below; between them and the four above, weights of which rows and columns add up to the same.
    """
    rng = np.random.default_rng(seed)
    first, bias, readout = rng.normal(size=(3, 3)), rng.normal(size=4), rng.normal(size=2)
    between = rng.normal(size=(2, 2, 2, 2))
    blocks = [np.stack([[a, b], [b, a]]) for a, b in between]
    return FilterNet(
        np.stack([first, first])[:, None],
        bias[[0, 0]],
        readout[[0, 0, 1, 1]][None],
        np.zeros(1),
        deeper=(ConvLayer(np.concatenate(blocks), bias[[1, 1, 2, 2]]),),
    )


@given(seed=seeds)
def test_quotients_compute_the_same_and_are_irreducible(seed):
    net = equitable_net(seed)
    merged = quotient(net)
    assert [classes.tolist() for classes in merged.partition] == [[0, 0], [0, 0, 1, 1]]
    assert len(np.unique(net.deeper[0].filters.reshape(4, -1), axis=0)) == 4
    assert_same_outputs(merged.net, net)
    for classes in equitable_partition(merged.net):
        assert len(set(classes)) == len(classes)


# --- training


def distance(one, other):
    """How far two networks are apart, relative to the norm of all parameters."""
    pairs = [(one.parameters[name], value) for name, value in other.parameters.items()]
    return np.sqrt(sum(((x - y) ** 2).sum() for x, y in pairs) / sum((y**2).sum() for _, y in pairs))


def furthest_apart(net, merged, rule=GradientDescent, *, rate=0.2, rates=None, steps=100, batch_size=None):
    """Train a wide and a narrow network, merge the wide one after every fifth step, and compare.

    Returns
    -------
    Largest distance of the two at any step, and that of the first step from the last.
    """
    wide, narrow = (
        train(
            start,
            DIGITS.images,
            DIGITS.targets,
            optimizer=rule(rates),
            steps=steps,
            batch_size=batch_size,
            rng=np.random.default_rng(0),
            keep_every=5,
        ).nets
        for start, rates in ((net, rate), (merged.net, rates or merged.learning_rates(rate)))
    )
    # Sums within a class agree to rounding, or to the last bit where units are equal.
    followed = {step: quotient(kept, merged.partition, tolerance=1e-12).net for step, kept in wide.items()}
    return max(distance(narrow[step], net) for step, net in followed.items()), distance(wide[steps], net)


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("rule", [GradientDescent, Momentum])
def test_merged_twins_train_as_their_wide_network_does(rule, batch_size):
    net = unmerge(draw(), 1, 3)
    error, way = furthest_apart(net, merge(net, [1, 3, 4]), rule, batch_size=batch_size)
    assert error < TRAJECTORY_RTOL
    assert way > 0.1


def test_merged_twins_need_their_learning_rates():
    net = unmerge(draw(), 1, 3)
    merged = merge(net, [1, 3, 4])
    for name in ("filters", "bias", "readout"):
        wrong = {**merged.learning_rates(0.2), name: np.full_like(merged.net.parameters[name], 0.2)}
        assert furthest_apart(net, merged, rates=wrong, steps=20)[0] > 1e-3


@pytest.mark.parametrize("pooling", POOLINGS)
def test_deep_quotients_train_as_their_wide_network_does(pooling):
    """Copies in all three layers, at learning rates that both networks bear."""
    _, wide = blown_up(pooling=pooling)
    rate = 0.02 if pooling == "none" else 0.05
    error, way = furthest_apart(wide, quotient(wide, tolerance=1e-12), rate=rate, steps=60)
    assert error < TRAJECTORY_RTOL
    assert way > 0.03


def test_equitable_is_enough_to_train_alike():
    """No two units of the second layer are equal, and none become so."""
    net = equitable_net()
    merged = quotient(net)
    assert merged.trains_alike
    error, way = furthest_apart(net, merged, rate=0.05, steps=60)
    assert error < TRAJECTORY_RTOL
    assert way > 0.03


# --- wrong arguments


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([1], r"units must be two or more different ones, got \[1\]"),
        ([], r"units must be two or more different ones, got \[\]"),
        ([0, 2, 0], r"units must be two or more different ones, got \[0, 2, 0\]"),
        ([0, 3], "unit must lie between 0 and 2, got 3"),
        (
            [0, 1],
            "units to merge must have equal biases and filters, summed over merged channels, to within 0; got",
        ),
    ],
)
def test_wrong_units(units, message):
    with pytest.raises(ValueError, match=message):
        merge(draw(), units)


def test_wrong_layers():
    for function in (lambda: merge(draw(), [0, 1], layer=2), lambda: unmerge(draw(), 0, 2, layer=0)):
        with pytest.raises(ValueError, match="layer must lie between 1 and 1"):
            function()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2), "unit must lie between 0 and 2, got 3"),
        ((0, 0), "copies must be at least 1, got 0"),
        ((0, 2, [1.0]), r"shares must be 2 numbers that sum to 1, got \[1.\]"),
        ((0, 2, [0.5, 0.6]), r"shares must be 2 numbers that sum to 1, got \[0.5 0.6\]"),
        ((0, 2, [np.nan, 0.6]), r"shares must be 2 numbers that sum to 1, got \[nan 0.6\]"),
    ],
)
def test_wrong_copies(arguments, message):
    k, copies, *shares = arguments
    with pytest.raises(ValueError, match=message):
        unmerge(draw(), k, copies, shares=shares[0] if shares else None)


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ([[0, 1, 2]], r"partition must have one class a unit, \(3, 2\) in the layers, got \(\(3,\),\)"),
        ([[0, 1], [0, 1]], r"one class a unit, \(3, 2\) in the layers, got \(\(2,\), \(2,\)\)"),
        ([[0, 1, 3], [0, 1]], r"classes must be numbered 0, 1, 2 ... without gaps, got \[0 1 3\]"),
        ([[0, 1, 2], [0, 0]], "to within 0; got a distance of .* in layer 2"),
    ],
)
def test_wrong_partitions(partition, message):
    with pytest.raises(ValueError, match=message):
        quotient(draw(widths=(3, 2)), [np.array(classes) for classes in partition])
