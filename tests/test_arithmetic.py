"""Three ways to add up products: the same numbers, and for one of them the same bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks import assert_close
from twinfilters import arithmetic as module
from twinfilters.arithmetic import ARITHMETICS, TILE, accumulate, add_up, check_arithmetic, combine, tree_sum

RTOL = 1e-12

each_arithmetic = pytest.mark.parametrize("arithmetic", ARITHMETICS)
sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)
types = st.sampled_from([np.float16, np.float32, np.float64, np.complex64, np.complex128])


def draw(seed, shape, dtype=np.complex128):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return (array if np.issubdtype(dtype, np.complexfloating) else array.real).astype(dtype)


@each_arithmetic
def test_combine_by_hand(arithmetic):
    coefficients, rows = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[1.0, 10.0, 100.0], [3.0, 4.0, 5.0]])
    assert combine(coefficients, rows, arithmetic).tolist() == [[7.0, 18.0, 110.0], [-3.0, -4.0, -5.0]]


@each_arithmetic
def test_accumulate_by_hand(arithmetic):
    """Two images, one row against two, two positions: 1*1 + 2*0 + 3*1 + 4*2 and 1*5 + 2*6 + 3*7 + 4*8."""
    left = np.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    right = np.array([[[1.0, 0.0], [5.0, 6.0]], [[1.0, 2.0], [7.0, 8.0]]])
    assert accumulate(left, right, arithmetic).tolist() == [[12.0, 70.0]]


@given(i=sizes, j=sizes, k=sizes, seed=seeds, arithmetic=st.sampled_from(ARITHMETICS))
def test_combine_is_the_matrix_product(i, j, k, seed, arithmetic):
    """Leading axes (2, 3) and (3,) broadcast."""
    coefficients, rows = draw(seed, (2, 3, i, j)), draw(seed + 1, (3, j, k))
    wanted = np.einsum("nbij,bjk->nbik", coefficients, rows)
    assert_close(combine(coefficients, rows, arithmetic), wanted, RTOL)


@given(n=sizes, i=sizes, j=sizes, p=sizes, seed=seeds, arithmetic=st.sampled_from(ARITHMETICS))
def test_accumulate_sums_over_images_and_positions(n, i, j, p, seed, arithmetic):
    left, right = draw(seed, (n, 2, i, p)), draw(seed + 1, (n, 2, j, p))
    wanted = np.einsum("nbip,nbjp->bij", left, right)
    assert_close(accumulate(left, right, arithmetic), wanted, RTOL)


@given(i=sizes, j=sizes, k=sizes, n=sizes, seed=seeds, dtype=types)
def test_each_row_is_what_it_is_alone_to_the_last_bit(i, j, k, n, seed, dtype):
    coefficients, rows = draw(seed, (n, i, j), dtype), draw(seed + 1, (n, j, k), dtype)
    products, sums = (
        combine(coefficients, rows, "position_blind"),
        accumulate(coefficients, rows.swapaxes(1, 2), "position_blind"),
    )
    for row in range(i):
        alone = coefficients[:, row : row + 1]
        assert combine(alone, rows, "position_blind").tobytes() == products[:, row].tobytes()
        sum_alone = accumulate(alone, rows.swapaxes(1, 2), "position_blind")
        assert sum_alone.tobytes() == sums[row].tobytes()


@pytest.mark.parametrize("cached", [1, 200, 10**9])
def test_how_many_rows_are_summed_at_once_changes_no_bit(monkeypatch, cached):
    left, right = draw(0, (5, 2, 7, 6)), draw(1, (5, 2, 3, 6))
    wanted = accumulate(left, right, "position_blind")
    monkeypatch.setattr(module, "CACHED", cached)
    assert accumulate(left, right, "position_blind").tobytes() == wanted.tobytes()


@each_arithmetic
def test_add_up_sums_over_the_last_axis(arithmetic):
    terms = draw(0, (3, 4, 5))
    copy = terms.copy()
    assert_close(add_up(terms, arithmetic), terms.sum(axis=2), RTOL)
    assert (terms == copy).all()


@pytest.mark.parametrize("count", [63, 64, 65, 130, 257, 1000])
def test_add_up_is_the_tree_sum_to_the_last_bit(count):
    terms = draw(count, (3, 2, count), np.float32)
    wanted = tree_sum(np.moveaxis(terms, -1, 0).copy())
    assert add_up(terms, "position_blind").tobytes() == wanted.tobytes()


def test_combine_adds_in_the_order_of_the_terms():
    """In float64 2^53 + 1 rounds to 2^53: in one order both ones are lost, in the other none."""
    terms = np.array([[1.0, 2.0**53, 1.0, -(2.0**53)]])
    assert combine(terms, np.ones((4, 1)), "position_blind") == 0
    assert combine(terms[:, ::-1], np.ones((4, 1)), "position_blind") == 2


@pytest.mark.parametrize("count", range(1, 11))
def test_tiled_adds_the_rows_at_the_edge_in_two_halves(count):
    """1 + 2^53 + 1 - 2^53 is 0 in order, 2 in a tree over the data, and 1 if the halves are added up first."""
    rows, whole = np.tile([1.0, 2.0**53, 1.0, -(2.0**53)], (count, 1)), count // TILE * TILE
    edge = [1.0] * (count - whole)
    assert combine(rows, np.ones((4, 1)), "tiled")[:, 0].tolist() == [0.0] * whole + edge
    assert accumulate(rows[None], np.ones((1, 1, 4)), "tiled")[:, 0].tolist() == [2.0] * whole + edge


@given(i=sizes, j=sizes, k=sizes, n=sizes, seed=seeds, dtype=types)
def test_tiled_has_the_bits_of_position_blind_in_whole_tiles(i, j, k, n, seed, dtype):
    left, right = draw(seed, (n, i, j), dtype), draw(seed + 1, (n, j, k), dtype)
    whole = i // TILE * TILE
    blind, tiled = (combine(left, right, name) for name in ("position_blind", "tiled"))
    assert blind[:, :whole].tobytes() == tiled[:, :whole].tobytes()
    blind, tiled = (accumulate(left, right.swapaxes(1, 2), name) for name in ("position_blind", "tiled"))
    assert blind[:whole].tobytes() == tiled[:whole].tobytes()


@given(count=st.integers(1, 40), seed=seeds)
def test_tree_sum_adds_up(count, seed):
    terms = draw(seed, (count, 3))
    assert_close(tree_sum(terms.copy()), terms.sum(axis=0), RTOL)


def test_tree_sum_of_powers_is_exact_and_loses_less_than_a_loop():
    assert tree_sum(2.0 ** np.arange(37)[:, None]) == 2.0**37 - 1
    many = np.full(2**16, 0.1, np.float32)
    exact = 0.1 * 2**16
    assert abs(tree_sum(many.copy()) / exact - 1) < 1e-7
    assert abs(np.cumsum(many)[-1] / exact - 1) > 1e-5


def test_tree_sum_of_nothing_is_zero():
    assert tree_sum(np.zeros((0, 2), np.float32)).tolist() == [0.0, 0.0]


@each_arithmetic
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_floating_type_is_kept(dtype, arithmetic):
    left, right = draw(0, (3, 2, 4), dtype), draw(1, (3, 4, 2), dtype)
    assert combine(left, right, arithmetic).dtype == dtype
    assert accumulate(left, right.swapaxes(1, 2), arithmetic).dtype == dtype


@each_arithmetic
def test_arguments_are_left_alone(arithmetic):
    left, right = draw(0, (3, 2, 4)), draw(1, (3, 4, 2))
    copies = left.copy(), right.copy()
    combine(left, right, arithmetic)
    accumulate(left, right.swapaxes(1, 2), arithmetic)
    assert (left == copies[0]).all()
    assert (right == copies[1]).all()


@pytest.mark.parametrize("name", ["BLAS", "", None, 3])
@pytest.mark.usefixtures("unchecked")
def test_unknown_arithmetic(name):
    with pytest.raises(
        ValueError, match=rf"arithmetic must be one of \('blas', 'position_blind', 'tiled'\), got {name!r}"
    ):
        check_arithmetic(name)
