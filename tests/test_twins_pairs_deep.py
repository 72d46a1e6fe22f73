"""Twins in the lower and upper layers of a deep network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinfilters.network import FilterNet
from twinfilters.twins import PARTS, difference, gap, make_twins, replace_unit, tie, unit_vector

# Each of two units is rounded once: their distance is off by at most a few units of rounding of a weight.
ROUNDING = 8 * np.finfo(np.float64).eps


def draw(seed=0):
    return FilterNet.random(
        np.random.default_rng(seed), filters=(3, 4, 2), kernel=(2, 3), outputs=2, positions=5, pooling="none"
    )


def pairs_of_units(choice):
    layer = choice.draw(st.integers(1, 3))
    units = st.integers(0, (3, 4, 2)[layer - 1] - 1)
    return layer, *choice.draw(st.lists(units, min_size=2, max_size=2, unique=True))


@pytest.mark.parametrize(("layer", "length"), [(1, 6 + 1 + 4 * 6), (2, 18 + 1 + 2 * 6), (3, 24 + 1 + 2 * 5)])
def test_vector_of_a_unit_is_filter_bias_and_what_reads_it(layer, length):
    net = draw()
    filters, bias, readout = (net.parameters[name] for name in net.names(layer))
    wanted = [*filters[1].ravel(), bias[1], *readout[:, 1].ravel()]
    assert len(wanted) == length
    assert unit_vector(net, 1, layer=layer).tolist() == wanted


@given(choice=st.data(), seed=st.integers(0, 2**32 - 1))
def test_replacing_a_unit_changes_that_unit_alone(choice, seed):
    layer, k, other = pairs_of_units(choice)
    net, rng = draw(seed), np.random.default_rng(seed)
    vector = rng.normal(size=unit_vector(net, k, layer=layer).shape)
    changed = replace_unit(net, k, vector, layer=layer)
    assert unit_vector(changed, k, layer=layer).tolist() == vector.tolist()
    np.testing.assert_array_equal(
        unit_vector(changed, other, layer=layer), unit_vector(net, other, layer=layer)
    )
    touched = set(net.names(layer))
    for name, value in net.parameters.items():
        assert (changed.parameters[name] == value).all() == (name not in touched)


@given(choice=st.data(), size=st.floats(1e-9, 1e3), seed=st.integers(0, 2**32 - 1))
def test_gap_is_the_one_asked_for(choice, size, seed):
    layer, i, j = pairs_of_units(choice)
    net = draw(seed)
    pair = make_twins(net, i, j, gap=size, rng=np.random.default_rng(seed), layer=layer)
    rounding = ROUNDING * (np.linalg.norm(unit_vector(net, i, layer=layer)) + size)
    assert abs(gap(pair, i, j, layer=layer) - size) <= rounding
    assert np.linalg.norm(difference(pair, i, j, layer=layer)) == gap(pair, i, j, layer=layer)


@given(choice=st.data(), parts=st.sets(st.sampled_from(PARTS)))
def test_tied_parts_are_equal_and_the_others_stay(choice, parts):
    layer, i, j = pairs_of_units(choice)
    net = draw()
    tied = tie(net, i, j, tuple(parts), layer=layer)
    for part in PARTS:
        wanted = net.unit(i if part in parts else j, layer)[part]
        assert np.ravel(tied.unit(j, layer)[part]).tobytes() == np.ravel(wanted).tobytes()
    assert unit_vector(tied, i, layer=layer).tobytes() == unit_vector(net, i, layer=layer).tobytes()


@given(choice=st.data())
def test_gap_zero_is_equal_bits(choice):
    layer, i, j = pairs_of_units(choice)
    pair = make_twins(draw(), i, j, layer=layer)
    assert unit_vector(pair, i, layer=layer).tobytes() == unit_vector(pair, j, layer=layer).tobytes()
    assert gap(pair, i, j, layer=layer) == 0


@pytest.mark.parametrize("function", [difference, gap, tie, make_twins])
def test_wrong_layers_and_units(function):
    with pytest.raises(ValueError, match="layer must lie between 1 and 3, got 4"):
        function(draw(), layer=4)
    with pytest.raises(ValueError, match="unit must lie between 0 and 1, got 2"):
        function(draw(), 0, 2, layer=3)
    with pytest.raises(ValueError, match="twins must be two different units, got i = j = 1"):
        function(draw(), 1, 1, layer=3)


def test_vectors_have_the_length_of_their_layer():
    with pytest.raises(ValueError, match=r"vector must have shape \(31,\), got \(35,\)"):
        replace_unit(draw(), 0, np.zeros(35), layer=2)
