"""Making twins, tying parts of them, and measuring their gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinfilters.network import PARAMETERS, FilterNet
from twinfilters.twins import PARTS, difference, gap, make_twins, replace_unit, tie, unit_vector

# Each of two units is rounded once: their distance is off by at most a few units of rounding of a weight.
ROUNDING = 8 * np.finfo(np.float64).eps


def draw(seed=0, filters=3, outputs=2, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return FilterNet(
        rng.normal(size=(filters, 1, 2, 3)).astype(dtype),
        rng.normal(size=filters).astype(dtype),
        rng.normal(size=(outputs, filters)).astype(dtype),
        rng.normal(size=outputs).astype(dtype),
        activation="gelu",
    )


def same_bits(net, i, j):
    return unit_vector(net, i).tobytes() == unit_vector(net, j).tobytes()


def test_vector_of_a_unit_is_filter_bias_readout():
    net = draw()
    wanted = [*net.filters[1].ravel(), net.bias[1], *net.readout[:, 1]]
    assert unit_vector(net, 1).tolist() == wanted


def test_difference_and_gap_by_hand():
    """Units that differ by 2 in a weight, 3 in the bias and 6 in a readout lie sqrt(4 + 9 + 36) = 7 apart."""
    net = FilterNet(
        np.array([5.0, 3.0]).reshape(2, 1, 1, 1), np.array([0.0, 3.0]), np.array([[1.0, 7.0]]), np.zeros(1)
    )
    assert difference(net).tolist() == [2.0, -3.0, -6.0]
    assert difference(net, 1, 0).tolist() == [-2.0, 3.0, 6.0]
    assert gap(net) == gap(net, 1, 0) == 7.0


def test_replaced_unit_is_the_vector_and_the_rest_stays():
    net, vector = draw(), np.arange(9.0)
    other = replace_unit(net, 1, vector)
    assert unit_vector(other, 1).tolist() == vector.tolist()
    assert other.filters[1].tolist() == [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    assert other.activation == "gelu"
    for k in (0, 2):
        np.testing.assert_array_equal(unit_vector(other, k), unit_vector(net, k))
    np.testing.assert_array_equal(other.readout_bias, net.readout_bias)


@pytest.mark.parametrize("parts", [PARTS, ("filter",), ("bias", "readout"), ["readout"], ()])
def test_tied_parts_have_the_bits_of_the_first_unit_and_the_others_keep_theirs(parts):
    net = draw()
    tied = tie(net, 2, 0, parts)
    for part in PARTS:
        wanted = net.unit(2 if part in parts else 0)[part]
        assert tied.unit(0)[part].tobytes() == wanted.tobytes()
    for k in (1, 2):
        np.testing.assert_array_equal(unit_vector(tied, k), unit_vector(net, k))


def test_ties_and_twins_are_those_of_the_first_two_units_by_default():
    assert same_bits(tie(draw()), 0, 1)
    assert same_bits(make_twins(draw()), 0, 1)
    np.testing.assert_array_equal(tie(draw()).filters[1], draw().filters[0])


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.floats(1e-12, 1e3),
    filters=st.integers(2, 5),
    outputs=st.integers(1, 3),
    choice=st.data(),
)
def test_gap_is_the_one_asked_for_around_the_parameters_of_the_first(seed, size, filters, outputs, choice):
    net = draw(seed, filters, outputs)
    i, j = choice.draw(st.lists(st.integers(0, filters - 1), min_size=2, max_size=2, unique=True))
    pair = make_twins(net, i, j, gap=size, rng=np.random.default_rng(seed))
    centre = unit_vector(net, i)
    rounding = ROUNDING * (np.linalg.norm(centre) + size)
    assert abs(gap(pair, i, j) - size) <= rounding
    middle = (unit_vector(pair, i) + unit_vector(pair, j)) / 2
    assert np.linalg.norm(middle - centre) <= rounding
    for k in set(range(filters)) - {i, j}:
        np.testing.assert_array_equal(unit_vector(pair, k), unit_vector(net, k))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gap_zero_is_equal_bits(dtype):
    net = draw(dtype=dtype)
    pair = make_twins(net, 1, 2, gap=0)
    assert same_bits(pair, 1, 2)
    assert gap(pair, 1, 2) == 0.0
    assert pair.filters.dtype == dtype
    np.testing.assert_array_equal(unit_vector(pair, 1), unit_vector(net, 1))


def test_twins_lie_along_the_direction_given():
    direction = np.array([0.0, 0, 0, 0, 0, 0, 3.0, -4.0, 0])
    pair = make_twins(draw(), 0, 1, gap=10.0, direction=direction)
    np.testing.assert_allclose(difference(pair), 2 * direction, atol=1e-14)
    np.testing.assert_array_equal(pair.filters[0], pair.filters[1])


def test_random_directions_are_reproducible_and_different():
    first, again, other = (
        difference(make_twins(draw(), gap=1e-3, rng=np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert abs(first @ other) < 0.9e-6
    assert first.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_type_and_arguments_are_kept(dtype):
    net = draw(dtype=dtype)
    for other in (
        tie(net),
        make_twins(net, gap=0.1, rng=np.random.default_rng(0)),
        make_twins(net, gap=0.1, direction=np.ones(9)),
    ):
        assert {array.dtype for array in other.parameters.values()} == {np.dtype(dtype)}
    for name in PARAMETERS:
        np.testing.assert_array_equal(net.parameters[name], draw(dtype=dtype).parameters[name])


# --- wrong arguments


@pytest.mark.parametrize("function", [difference, gap, tie, make_twins])
@pytest.mark.parametrize(
    ("i", "j", "message"),
    [
        (0, 3, "unit must lie between 0 and 2, got 3"),
        (-1, 0, "unit must lie between 0 and 2, got -1"),
        (1, 1, "twins must be two different units, got i = j = 1"),
    ],
)
def test_wrong_pairs(function, i, j, message):
    with pytest.raises(ValueError, match=message):
        function(draw(), i, j)


@pytest.mark.parametrize("parts", ["filter", ("filters",), ("filter", "gap")])
@pytest.mark.usefixtures("unchecked")
def test_wrong_parts(parts):
    with pytest.raises(
        ValueError, match=r"parts must be a sequence out of \('filter', 'bias', 'readout'\), got"
    ):
        tie(draw(), parts=parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": -1.0}, r"gap must be finite and at least 0, got -1\.0"),
        ({"gap": np.nan}, "gap must be finite and at least 0, got nan"),
        ({"gap": np.inf}, "gap must be finite and at least 0, got inf"),
        ({"gap": 1.0}, r"a gap needs a direction, or a numpy\.random\.Generator to draw one, got rng = None"),
        ({"gap": 1.0, "rng": 7}, "a gap needs a direction, or a .* got rng = 7"),
        (
            {"gap": 1.0, "direction": np.ones(8)},
            r"direction must be a finite vector of shape \(9,\), not zero",
        ),
        ({"gap": 1.0, "direction": np.ones((9, 1))}, r"direction must be a finite vector of shape \(9,\)"),
        (
            {"gap": 1.0, "direction": np.zeros(9)},
            r"direction must be a finite vector of shape \(9,\), not zero",
        ),
        ({"gap": 1.0, "direction": np.full(9, np.inf)}, r"direction must be a finite vector of shape \(9,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_gaps(options, message):
    with pytest.raises(ValueError, match=message):
        make_twins(draw(), **options)


@pytest.mark.parametrize(
    ("k", "vector", "message"),
    [
        (0, np.ones(8), r"vector must have shape \(9,\), got \(8,\)"),
        (0, np.ones((3, 3)), r"vector must have shape \(9,\), got \(3, 3\)"),
        (3, np.ones(9), "unit must lie between 0 and 2, got 3"),
        (0, np.full(9, np.nan), "filters must be finite, got NaN or infinity"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_vectors(k, vector, message):
    with pytest.raises(ValueError, match=message):
        replace_unit(draw(), k, vector)
