r"""Two ways to add up products, and why a book on symmetry needs both.

Everything a convolutional layer computes is one of two sums of products:

* :func:`combine`, $\sum_j a_{ij}\,x_{jk}$ over a short axis: the entries of a patch, the units, the outputs;
* :func:`accumulate`, $\sum_{n,p} a_{nip}\,b_{njp}$ over the data: images and positions.

``"blas"`` hands them to the matrix kernels of NumPy. These are fast, but they treat the last columns of a tile
differently from the others, so that two identical filters may come out with different last bits (chapter 6).

``"position_blind"`` uses elementwise products and sums alone, in an order that depends on the length of the sum and
on nothing else. IEEE 754 rounds each of these operations correctly, so equal inputs give equal bits: for every
shape, every floating type, every machine and every number of threads.
"""

import numpy as np
from jaxtyping import Inexact

ARITHMETICS = ("blas", "position_blind")


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
    arithmetic : "blas" or "position_blind"; the latter adds the terms in the order of j.

    Returns
    -------
    (..., I, K)
    """
    if arithmetic == "blas":
        return coefficients @ rows
    batch = np.broadcast_shapes(coefficients.shape[:-2], rows.shape[:-2])
    total = np.zeros((*batch, coefficients.shape[-2], rows.shape[-1]), np.result_type(coefficients, rows))
    term = np.empty_like(total)
    for j in range(rows.shape[-2]):
        total += _multiply(coefficients[..., :, j, None], rows[..., j, None, :], term)
    return total


def accumulate(
    left: Inexact[np.ndarray, "N *batch I P"], right: Inexact[np.ndarray, "N *batch J P"], arithmetic: str
) -> Inexact[np.ndarray, "*batch I J"]:
    r"""Sum products over the data, $s_{ij}=\sum_{n,p} a_{nip}\,b_{njp}$.

    Parameters
    ----------
    left : (N, ..., I, P)
    right : (N, ..., J, P)
    arithmetic : "blas" or "position_blind"; the latter adds in a balanced binary tree, first over n, then over p.

    Returns
    -------
    (..., I, J)
    """
    if arithmetic == "blas":
        return (left @ right.swapaxes(-1, -2)).sum(axis=0)
    sums = [_accumulate_one(left[..., i, :], right) for i in range(left.shape[-2])]
    return np.stack(sums, axis=-2)


def _accumulate_one(
    left: Inexact[np.ndarray, "N *batch P"], right: Inexact[np.ndarray, "N *batch J P"]
) -> Inexact[np.ndarray, "*batch J"]:
    terms = np.empty(right.shape, np.result_type(left, right))
    over_images = tree_sum(_multiply(left[..., None, :], right, terms))
    return tree_sum(np.moveaxis(over_images, -1, 0))


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
    if not np.iscomplexobj(out):
        return np.multiply(left, right, out=out)
    out.real = left.real * right.real - left.imag * right.imag
    out.imag = left.real * right.imag + left.imag * right.real
    return out
