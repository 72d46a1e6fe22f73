r"""Three ways to add up products, and why a book on symmetry needs them.

Everything a convolutional layer computes is one of two sums of products:

* :func:`combine`, $\sum_j a_{ij}\,x_{jk}$ over a short axis: the entries of a patch, the units, the outputs;
* :func:`accumulate`, $\sum_{n,p} a_{nip}\,b_{njp}$ over the data: images and positions.

``"blas"`` hands them to the matrix kernels of NumPy. These are fast, but they treat the last columns of a tile
differently from the others, so that two identical filters may come out with different last bits (chapter 6).

``"position_blind"`` uses elementwise products and sums alone, in an order that depends on the length of the sum and
on nothing else. IEEE 754 rounds each of these operations correctly, so equal inputs give equal bits: for every
shape, every floating type, every machine and every number of threads.

``"tiled"`` is the fast kernels' way with rows in miniature, made of the same elementwise operations: rows come in tiles
of :data:`TILE`, each of them as ``"position_blind"`` has it, and the rows left over at the edge are added up in two
halves. It parts identical filters in the last bit, in the same way on every machine.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Inexact

ARITHMETICS = ("blas", "position_blind", "tiled")

# Rows of a tile in "tiled" arithmetic.
TILE = 4

# Products held in memory at once by accumulate: 1 MB in double precision. Does not touch the order of the additions.
CACHED = 2**17
# Longest axis that is transposed before it is summed. Does not touch the order of the additions either.
SHORT = 64


def check_arithmetic(arithmetic: str) -> None:
    """Raise ValueError unless the name is one of :data:`ARITHMETICS`."""
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"arithmetic must be one of {ARITHMETICS}, got {arithmetic!r}")


def combine(
    coefficients: Inexact[np.ndarray, "*#batch I J"],
    rows: Inexact[np.ndarray, "*#batch J K"],
    arithmetic: str,
) -> Inexact[np.ndarray, "*batch I K"]:
    r"""Combine rows linearly, $y_{ik}=\sum_j a_{ij}\,x_{jk}$.

    Parameters
    ----------
    coefficients : (..., I, J)
    rows : (..., J, K), leading axes broadcast against those of the coefficients.
    arithmetic : "blas", "position_blind", which adds the terms in the order of j, or "tiled".

    Returns
    -------
    (..., I, K)
    """
    if arithmetic == "blas":
        return coefficients @ rows
    if arithmetic == "tiled":
        return _tiled(_combine_in_order, coefficients, rows)
    return _combine_in_order(coefficients, rows)


def _combine_in_order(
    coefficients: Inexact[np.ndarray, "*#batch I J"], rows: Inexact[np.ndarray, "*#batch J K"]
) -> Inexact[np.ndarray, "*batch I K"]:
    total, term = (_empty_combination(coefficients, rows) for _ in range(2))
    total[...] = 0
    for j in range(rows.shape[-2]):
        row = np.ascontiguousarray(rows[..., j, :])[..., None, :]
        total += _multiply(coefficients[..., :, j, None], row, term)
    return total


def _empty_combination(
    coefficients: Inexact[np.ndarray, "*#batch I J"], rows: Inexact[np.ndarray, "*#batch J K"]
) -> Inexact[np.ndarray, "*batch I K"]:
    """Room for a result with i outermost in memory, where one operation runs through all of the data."""
    batch = np.broadcast_shapes(coefficients.shape[:-2], rows.shape[:-2])
    memory = np.empty((coefficients.shape[-2], *batch, rows.shape[-1]), np.result_type(coefficients, rows))
    return memory.transpose(*range(1, memory.ndim - 1), 0, -1)


def accumulate(
    left: Inexact[np.ndarray, "N *batch I P"], right: Inexact[np.ndarray, "N *batch J P"], arithmetic: str
) -> Inexact[np.ndarray, "*batch I J"]:
    r"""Sum products over the data, $s_{ij}=\sum_{n,p} a_{nip}\,b_{njp}$.

    Parameters
    ----------
    left : (N, ..., I, P)
    right : (N, ..., J, P)
    arithmetic : "blas", "position_blind", which adds in a balanced binary tree, first over n, then over p, or "tiled".

    Returns
    -------
    (..., I, J)
    """
    if arithmetic == "blas":
        return (left @ right.swapaxes(-1, -2)).sum(axis=0)
    if arithmetic == "tiled":
        return _tiled(lambda a, b: _accumulate_in_tree(a, b.swapaxes(-1, -2)), left, right.swapaxes(-1, -2))
    return _accumulate_in_tree(left, right)


def _accumulate_in_tree(
    left: Inexact[np.ndarray, "N *batch I P"], right: Inexact[np.ndarray, "N *batch J P"]
) -> Inexact[np.ndarray, "*batch I J"]:
    units, entries = left.shape[-2], right.shape[-2]
    sums = np.empty((*left.shape[1:-1], entries), np.result_type(left, right))
    at_once = max(1, min(units, CACHED // max(1, right.size)))
    terms = np.empty((*left.shape[:-2], at_once, *right.shape[-2:]), sums.dtype)
    for start in range(0, units, at_once):
        some = left[..., start : start + at_once, None, :]
        products = _multiply(some, right[..., None, :, :], terms[..., : some.shape[-3], :, :])
        sums[..., start : start + at_once, :] = _add_up_in_tree(tree_sum(products))
    return sums


def _tiled(
    multiply: Callable[[np.ndarray, np.ndarray], np.ndarray],
    left: Inexact[np.ndarray, "*_ I J"],
    right: Inexact[np.ndarray, "*_ J K"],
) -> Inexact[np.ndarray, "*_ I K"]:
    """Multiply the rows of whole tiles as they are, and those left over in two halves of the sum over j."""
    whole, half = left.shape[-2] // TILE * TILE, left.shape[-1] // 2
    tiles, edge = left[..., :whole, :], left[..., whole:, :]
    front = multiply(edge[..., :half], right[..., :half, :])
    back = multiply(edge[..., half:], right[..., half:, :])
    return np.concatenate([multiply(tiles, right), front + back], axis=-2)


def add_up(terms: Inexact[np.ndarray, "*rest J"], arithmetic: str) -> Inexact[np.ndarray, "*rest"]:
    """Sum over the last axis, by :func:`tree_sum` unless the arithmetic is ``"blas"``."""
    return terms.sum(axis=-1) if arithmetic == "blas" else _add_up_in_tree(terms)


def _add_up_in_tree(terms: Inexact[np.ndarray, "*rest J"]) -> Inexact[np.ndarray, "*rest"]:
    while terms.shape[-1] > SHORT:
        half = terms.shape[-1] // 2
        folded = terms[..., :-half].copy()
        folded[..., :half] += terms[..., -half:]
        terms = folded
    return tree_sum(terms.T.copy()).T


def tree_sum(terms: Inexact[np.ndarray, "J *rest"]) -> Inexact[np.ndarray, "*rest"]:
    """Sum over the first axis in a balanced binary tree of elementwise additions; overwrites its input."""
    count = len(terms)
    if count == 0:
        return np.zeros(terms.shape[1:], terms.dtype)
    while count > 1:
        half = count // 2
        terms[:half] += terms[count - half : count]
        count -= half
    return terms[0, ...]


def _multiply(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Elementwise product; complex ones from real operations, since fused kernels round body and tail differently."""
    if out.dtype.kind != "c":
        return np.multiply(left, right, out=out)
    out.real = left.real * right.real - left.imag * right.imag
    out.imag = left.real * right.imag + left.imag * right.real
    return out
