"""Classes of units, by distance and by colour refinement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinfilters import twins
from twinfilters.layers import ConvLayer
from twinfilters.network import FilterNet
from twinfilters.twins.partition import (
    effective_width,
    equitable_partition,
    signatures,
    sums_over_classes,
    unit_classes,
)

seeds = st.integers(0, 2**32 - 1)


def shallow(weights, bias=None, readout=None):
    """Units with filters of one weight, on one channel."""
    weights = np.asarray(weights, float).reshape(-1, 1, 1, 1)
    bias = np.zeros(len(weights)) if bias is None else np.asarray(bias, float)
    readout = np.ones((1, len(weights))) if readout is None else np.asarray(readout, float)
    return FilterNet(weights, bias, readout, np.zeros(len(readout)))


def deep(seed=0, widths=(3, 4, 2), **options):
    rng = np.random.default_rng(seed)
    net = FilterNet.random(rng, filters=widths, kernel=2, outputs=2, **options)
    return net.with_parameters({name: rng.normal(size=value.shape) for name, value in net.parameters.items()})


# --- by distance


def test_classes_are_numbered_in_the_order_of_their_first_units():
    assert unit_classes(shallow([5.0, 2.0, 5.0, 7.0, 2.0])).tolist() == [0, 1, 0, 2, 1]


def test_units_of_equal_filters_differ_in_bias_or_readout():
    net = shallow([1.0, 1.0, 1.0, 1.0], bias=[0.0, 0.0, 2.0, 0.0], readout=[[3.0, 3.0, 3.0, 4.0]])
    assert unit_classes(net, parts=["filter"]).tolist() == [0, 0, 0, 0]
    assert unit_classes(net).tolist() == [0, 0, 1, 0]
    assert unit_classes(net, parts=twins.PARTS).tolist() == [0, 0, 1, 2]
    assert unit_classes(net, parts=["readout"]).tolist() == [0, 0, 0, 1]
    assert [effective_width(net, parts=parts) for parts in (["filter"], ("filter", "bias"), twins.PARTS)] == [
        1,
        2,
        3,
    ]


def test_one_bit_makes_a_difference_and_the_sign_of_zero_does_not():
    assert effective_width(shallow([1.0, np.nextafter(1.0, 2.0)])) == 2
    assert effective_width(shallow([0.0, -0.0])) == 1
    assert effective_width(shallow([1e-300, 0.0])) == 2


def test_chains_and_their_ends():
    """Weights 0, 1, 2, 10 with a tolerance of 1: a chain of three, of which no group of three is within 1."""
    net = shallow([0.0, 10.0, 1.0, 2.0])
    assert unit_classes(net, tolerance=1.0).tolist() == [0, 1, 0, 0]
    assert unit_classes(net, tolerance=0.99).tolist() == [0, 1, 2, 3]
    assert effective_width(net, tolerance=1.0, chaining="complete") == 3
    assert effective_width(net, tolerance=2.0, chaining="complete") == 2


def test_tolerance_is_a_distance_of_whole_parameter_vectors():
    """A weight 3 and a bias 4 apart are 5 apart; the readout counts when it is asked for."""
    net = shallow([0.0, 3.0], bias=[0.0, 4.0], readout=[[0.0, 12.0]])
    assert [effective_width(net, tolerance=t) for t in (4.99, 5.0)] == [2, 1]
    assert [effective_width(net, tolerance=t, parts=twins.PARTS) for t in (12.99, 13.0)] == [2, 1]


def test_one_unit_is_one_class():
    assert unit_classes(shallow([2.0]), tolerance=0.1).tolist() == [0]


def test_units_of_upper_layers():
    net = twins.tie(deep(), 3, 1, layer=2)
    assert unit_classes(net, layer=2, parts=twins.PARTS).tolist() == [0, 1, 2, 1]
    assert [effective_width(net, layer=layer) for layer in (1, 2, 3)] == [3, 3, 2]


@given(seed=seeds, copies=st.lists(st.integers(0, 4), min_size=1, max_size=12), size=st.floats(1e-6, 1e6))
def test_copies_are_found_and_nothing_else(seed, copies, size):
    weights = size * np.random.default_rng(seed).normal(size=5)
    net = shallow(weights[copies])
    classes = unit_classes(net)
    for i in range(len(copies)):
        for j in range(len(copies)):
            assert (classes[i] == classes[j]) == (copies[i] == copies[j])
    assert effective_width(net) == len(set(copies))


# --- by colour refinement


def test_sums_over_classes_are_rounded_once():
    array = np.array([[0.1, 1e16, 0.2, -1e16, 0.3], [0.3, -1e16, 0.2, 1e16, 0.1]])
    sums = sums_over_classes(array, np.array([0, 1, 0, 1, 0]))
    assert sums[:, 1].tolist() == [0.0, 0.0]
    assert sums[0, 0] == sums[1, 0]
    assert sums_over_classes(array, np.arange(5)).tolist() == array.tolist()
    assert sums_over_classes(np.ones((2, 3, 4, 5), np.float32), np.zeros(3, int)).dtype == np.float32


def tower():
    """Two layers of single weights. Below, units 0 and 1 are equal; above, units 0 and 1 share weights among them."""
    return FilterNet(
        np.array([1.0, 1.0, 2.0]).reshape(3, 1, 1, 1),
        np.zeros(3),
        np.array([[1.0, 1.0, 1.0]]),
        np.zeros(1),
        deeper=(
            ConvLayer(
                np.array([[1.0, 3.0, 5.0], [2.0, 2.0, 5.0], [1.0, 3.0, 6.0]]).reshape(3, 3, 1, 1), np.zeros(3)
            ),
        ),
    )


def test_sameness_spreads_from_below():
    """Weights 1 + 3 and 2 + 2 on equal channels are the same; 5 and 6 on the third are not."""
    net = tower()
    assert [c.tolist() for c in equitable_partition(net)] == [[0, 0, 1], [0, 0, 1]]
    assert unit_classes(net, layer=2).tolist() == [0, 1, 2]


def test_signatures_by_hand():
    net, classes = tower(), (np.array([0, 0, 1]), np.array([0, 0, 1]))
    assert signatures(net, classes, 2).tolist() == [[0, 4, 5], [0, 4, 5], [0, 4, 6]]
    assert signatures(net, classes, 1, "both").tolist() == [[0, 1, 3, 1], [0, 1, 5, 3], [0, 2, 10, 6]]
    assert signatures(net, classes, 2, "both").tolist() == [[0, 4, 5, 1], [0, 4, 5, 1], [0, 4, 6, 1]]


def test_readouts_count_on_both_sides():
    """Units 0 and 1 below are read as 1 + 2 and 3 + 2 by one class above: they compute the same, but train apart."""
    assert [c.tolist() for c in equitable_partition(tower(), sides="both")] == [[0, 1, 2], [0, 1, 2]]


def test_equitable_on_both_sides_without_equal_units():
    """Weights (1 3; 3 1) between two classes of two: rows and columns have equal sums, and no two units are equal."""
    net = FilterNet(
        np.ones((2, 1, 1, 1)),
        np.zeros(2),
        np.ones((1, 2)),
        np.zeros(1),
        deeper=(ConvLayer(np.array([[1.0, 3.0], [3.0, 1.0]]).reshape(2, 2, 1, 1), np.zeros(2)),),
    )
    assert [c.tolist() for c in equitable_partition(net, sides="both")] == [[0, 0], [0, 0]]
    assert effective_width(net, layer=2) == 2


def test_constant_networks_have_one_unit_a_layer():
    net = deep(padding=1)
    constant = net.with_parameters({name: np.full_like(value, 0.1) for name, value in net.parameters.items()})
    for sides in ("below", "both"):
        assert [c.tolist() for c in equitable_partition(constant, sides=sides)] == [[0] * 3, [0] * 4, [0] * 2]


@pytest.mark.parametrize("sides", ["below", "both"])
def test_drawn_networks_have_no_classes(sides):
    net = deep()
    assert [c.tolist() for c in equitable_partition(net, sides=sides)] == [[0, 1, 2], [0, 1, 2, 3], [0, 1]]


def test_near_sums_are_one_class_within_the_tolerance():
    net = tower()
    nearly = net.with_parameters(filters=net.filters + np.array([0.0, 1e-9, 0.0]).reshape(3, 1, 1, 1))
    assert [c.max() + 1 for c in equitable_partition(nearly)] == [3, 3]
    assert [c.tolist() for c in equitable_partition(nearly, tolerance=1e-8)] == [[0, 0, 1], [0, 0, 1]]


@given(seed=seeds, sides=st.sampled_from(["below", "both"]), choice=st.data())
def test_partitions_do_not_depend_on_the_order_of_units(seed, sides, choice):
    """Blow a drawn network up by copies in two layers, shuffle each layer: the classes are the copies."""
    rng = np.random.default_rng(seed)
    net = deep(seed, widths=(2, 3))
    copies = [
        np.array(choice.draw(st.permutations([*range(width), *extra])))
        for width, extra in ((2, [0, 0]), (3, [1]))
    ]
    sizes = [np.bincount(c) for c in copies]
    weights = net.deeper[0].filters[copies[1]][:, copies[0]] / sizes[0][copies[0]][:, None, None]
    wide = FilterNet(
        net.filters[copies[0]],
        net.bias[copies[0]],
        (net.readout / sizes[1])[:, copies[1]],
        rng.normal(size=2),
        deeper=(ConvLayer(weights, net.deeper[0].bias[copies[1]]),),
    )
    found = equitable_partition(wide, sides=sides, tolerance=1e-12)
    for classes, origin in zip(found, copies, strict=True):
        assert ((classes[:, None] == classes) == (origin[:, None] == origin)).all()


# --- wrong arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"parts": "filter"},
            r"parts must be a sequence out of \('filter', 'bias', 'readout'\), got 'filter'",
        ),
        ({"parts": ["weights"]}, r"parts must be a sequence out of .* got \['weights'\]"),
        ({"parts": []}, r"parts must be a sequence out of .* got \[\]"),
        ({"tolerance": -1.0}, "tolerance must be finite and at least 0, got -1.0"),
        ({"tolerance": np.nan}, "tolerance must be finite and at least 0, got nan"),
        ({"chaining": "average"}, r"chaining must be one of \('single', 'complete'\), got 'average'"),
        ({"layer": 4}, "layer must lie between 1 and 3, got 4"),
    ],
)
def test_wrong_arguments(options, message):
    for function in (unit_classes, effective_width):
        with pytest.raises(ValueError, match=message):
            function(deep(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sides": "above"}, r"sides must be one of \('below', 'both'\), got 'above'"),
        ({"tolerance": np.inf}, "tolerance must be finite and at least 0, got inf"),
    ],
)
def test_wrong_partitions(options, message):
    with pytest.raises(ValueError, match=message):
        equitable_partition(deep(), **options)
