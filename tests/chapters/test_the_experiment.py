"""The statements of the chapter *The experiment that started it*, each executed under its own name."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from twinfilters import data
from twinfilters.conv import conv2d
from twinfilters.network import FilterNet

PIXELS = np.eye(64).reshape(64, 1, 8, 8)
POSITIONS = 48
DIGITS = data.digits(count=200)


def network(filters=3, activation="identity", pooling="none", seed=0):
    rng = np.random.default_rng(seed)
    net = FilterNet.random(
        rng,
        filters=filters,
        kernel=(3, 1),
        outputs=10,
        positions=POSITIONS if pooling == "none" else None,
        activation=activation,
        pooling=pooling,
        loss="cross_entropy",
    )
    biases = {name: rng.normal(size=net.parameters[name].shape) for name in ("bias", "readout_bias")}
    return net.with_parameters(biases)


def convolution(filters, **options):
    return conv2d(PIXELS, filters, **options).reshape(64, -1).T


def with_roots(*roots):
    """Filters of 3 x 1 whose polynomials have these pairs of roots; the entries rise in degree from the top."""
    return np.array([np.poly(pair)[::-1] for pair in roots]).reshape(-1, 1, 3, 1)


@pytest.mark.parametrize("filters", [1, 2, 16])
def test_prop_one_linear_map(filters):
    net = network(filters)
    # Row of M and constant from the formula: (O,F,P) . (P, pixels of the patch), patch p = (row, column)
    matrix, constant = np.zeros((10, 64)), net.readout_bias.copy()
    for k in range(filters):
        for p in range(POSITIONS):
            row, column = divmod(p, 8)
            for d in range(3):
                matrix[:, (row + d) * 8 + column] += net.readout[:, k, p] * net.filters[k, 0, d, 0]
            constant += net.readout[:, k, p] * net.bias[k]
    expected = DIGITS.images.reshape(-1, 64) @ matrix.T + constant
    np.testing.assert_allclose(net.outputs(DIGITS.images), expected, rtol=1e-10, atol=1e-12)
    assert np.linalg.matrix_rank(matrix) <= 10
    curved = network(filters, "tanh")
    above, below, none = PIXELS[[0]], PIXELS[[8]], np.zeros((1, 1, 8, 8))
    both, one, other, rest = (curved.outputs(image) for image in (above + below, above, below, none))
    assert np.abs(both - one - other + rest).max() > 1e-4


def test_thm_which_linear_maps():
    rng = np.random.default_rng(0)
    # 1. One filter: full row rank, and its row space is the multiples of its polynomial.
    one = with_roots((0.5, -2.0))
    rows = convolution(one)
    assert np.linalg.matrix_rank(rows) == rows.shape[0] == 48
    at_the_roots = np.array([[root**i for i in range(8)] for root in (0.5, -2.0)])
    np.testing.assert_allclose(rows.reshape(-1, 8, 8).sum(axis=2) @ at_the_roots.T, 0, atol=1e-10)
    # 2. No common root: everything. Also if only all three together have none.
    assert np.linalg.matrix_rank(convolution(with_roots((0.5, -2.0), (0.6, 1.5)))) == 64
    three = with_roots((1.0, 2.0), (2.0, 3.0), (3.0, 1.0))
    assert np.linalg.matrix_rank(convolution(three)) == 64
    # A common root costs one dimension a column, and so do two filters that both end with 0.
    assert np.linalg.matrix_rank(convolution(three[:2])) == 56
    assert np.linalg.matrix_rank(convolution(rng.normal(size=(2, 1, 3, 1)) * [[[1], [1], [0]]])) == 56
    # Four rows are the least: with three, two filters give two of three dimensions.
    for size, rank in ((3, 2), (4, 4), (5, 5)):
        image = np.eye(size).reshape(size, 1, size, 1)
        column = conv2d(image, rng.normal(size=(2, 1, 3, 1))).reshape(size, -1)
        assert np.linalg.matrix_rank(column) == rank
    # 3. A multiple adds nothing.
    assert np.linalg.matrix_rank(convolution(np.concatenate([one, -3 * one]))) == 48


@pytest.mark.parametrize("filters", [2, 4, 16])
def test_cor_every_count_alike(filters):
    pixels = DIGITS.images.reshape(-1, 64)
    other = LogisticRegression(C=1, max_iter=500).fit(pixels, DIGITS.labels)
    net = network(filters)
    readout = np.linalg.lstsq(convolution(net.filters).T, other.coef_.T)[0].T.reshape(net.readout.shape)
    constant = other.intercept_ - np.einsum("okp,k->o", readout, net.bias)
    net = net.with_parameters(readout=readout, readout_bias=constant)
    np.testing.assert_allclose(net.outputs(DIGITS.images), other.decision_function(pixels), atol=1e-8)
    chances = other.predict_proba(pixels)[np.arange(200), DIGITS.labels]
    assert np.isclose(net.mean_loss(*DIGITS.examples), -np.log(chances).mean(), rtol=1e-8)


def test_one_filter_is_not_enough_without_padding_and_is_with():
    target = np.random.default_rng(1).normal(size=(64, 10))
    filters = np.random.default_rng(0).normal(size=(1, 1, 3, 1))
    for options, enough in (({}, False), ({"padding": ((1, 1), (0, 0))}, True)):
        rows = convolution(filters, **options).T
        missed = np.linalg.norm(rows @ np.linalg.lstsq(rows, target)[0] - target)
        assert (missed < 1e-9) == enough


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_prop_linear_rank(pooling):
    net = network(5, pooling=pooling)
    filters = net.filters.reshape(5, 3)
    assert np.linalg.matrix_rank(filters) == 3
    shares = np.linalg.solve(filters[:3].T, filters.T).T  # w_k = sum_j shares_kj w_j
    readout = np.einsum("kj,ok...->oj...", shares, net.readout)
    left_over = net.bias - shares @ net.bias[:3]
    weight = net.readout.sum(axis=2) if pooling == "none" else net.readout
    narrow = network(3, pooling=pooling).with_parameters(
        filters=net.filters[:3],
        bias=net.bias[:3],
        readout=readout,
        readout_bias=net.readout_bias + weight @ left_over,
    )
    np.testing.assert_allclose(
        narrow.outputs(DIGITS.images), net.outputs(DIGITS.images), rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_prop_relu_counts(pooling):
    """The function has a kink on each of the K P hyperplanes."""
    net, rng = network(3, "relu", pooling), np.random.default_rng(2)
    count = 0
    for k in range(3):
        for p in range(POSITIONS):
            row, column = divmod(p, 8)
            normal = np.zeros((8, 8))
            normal[row : row + 3, column] = net.filters[k, 0, :, 0]
            image = rng.normal(size=(8, 8))
            image -= normal * ((image * normal).sum() + net.bias[k]) / (normal**2).sum()
            size = 1e-6 / (normal**2).sum()
            line = np.stack([image - size * normal, image, image + size * normal])[:, None]
            before, middle, after = net.outputs(line)
            kink = np.abs(before + after - 2 * middle).max()
            readout = np.abs(net.readout[:, k, p] if pooling == "none" else net.readout[:, k] / POSITIONS)
            count += np.isclose(kink, 1e-6 * readout.max(), rtol=1e-3)
    assert count == 3 * POSITIONS


def test_parallel_relu_filters_are_one():
    net = network(2, "relu", "mean")
    pair = net.with_parameters(
        filters=np.stack([net.filters[0], 3 * net.filters[0]]), bias=net.bias[0] * np.array([1.0, 3.0])
    )
    one = pair.with_parameters(readout=np.stack([pair.readout @ [1, 3], np.zeros(10)], axis=1))
    np.testing.assert_allclose(one.outputs(DIGITS.images), pair.outputs(DIGITS.images), rtol=1e-10)


@pytest.mark.parametrize("rows", [4, 7, 8])
def test_padded_filter_formula(rows):
    """The eigenvalues of the exercise on padding, for roots that are real and imaginary."""
    for weights in ((1.0, 0.3, 2.0), (1.0, 0.3, -2.0), (0.0, 0.7, 1.0)):
        image = np.eye(rows).reshape(rows, 1, rows, 1)
        filters = np.array(weights).reshape(1, 1, 3, 1)
        matrix = conv2d(image, filters, padding=((1, 1), (0, 0))).reshape(rows, rows)
        angles = np.pi * np.arange(1, rows + 1) / (rows + 1)
        values = weights[1] + 2 * np.sqrt(complex(weights[0] * weights[2])) * np.cos(angles)
        assert np.isclose(np.linalg.det(matrix), np.prod(values).real, rtol=1e-9)
