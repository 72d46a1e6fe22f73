"""The statements of the chapter *The experiment that started it*, each executed under its own name."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from twinfilters import data
from twinfilters.conv import conv2d
from twinfilters.network import FilterNet

# Sums of some hundred products in float64.
ROUNDING = 1e-10

PIXELS = np.eye(64).reshape(64, 1, 8, 8)
POSITIONS = 48
DIGITS = data.digits(count=200)
ALL = data.digits()
# What the chapter's networks are trained on.
SEEN = train_test_split(ALL.images[:, 0], ALL.labels, train_size=1000, stratify=ALL.labels, random_state=0)[
    ::2
]


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
def test_prop_one_linear_map(filters, measured):
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
    error = np.abs(net.outputs(DIGITS.images) - expected).max()
    measured("difference between the outputs and the linear map's", error, at_most=ROUNDING)
    measured("rank of the linear map, ten outputs", np.linalg.matrix_rank(matrix), at_most=10)
    curved = network(filters, "tanh")
    above, below, none = PIXELS[[0]], PIXELS[[8]], np.zeros((1, 1, 8, 8))
    both, one, other, rest = (curved.outputs(image) for image in (above + below, above, below, none))
    sums = np.abs(both - one - other + rest).max()
    measured("for comparison, with tanh: failure of the outputs to add up", sums, at_least=1e-4)


def rank(filters):
    return np.linalg.matrix_rank(convolution(filters))


def test_thm_which_linear_maps(measured):
    """Rank 64 is every linear map of the 64 pixels; a root shared by all filters costs one in each of 8 columns."""
    one = with_roots((0.5, -2.0))
    measured("1. rank of one filter's maps, 48 positions", rank(one), exactly=48)
    at_the_roots = np.array([[root**i for i in range(8)] for root in (0.5, -2.0)])
    values = convolution(one).reshape(-1, 8, 8).sum(axis=2) @ at_the_roots.T
    measured("1. the maps' polynomials at the filter's roots", np.abs(values).max(), at_most=ROUNDING)
    measured("2. rank of two filters' maps", rank(with_roots((0.5, -2.0), (0.6, 1.5))), exactly=64)
    three = with_roots((1.0, 2.0), (2.0, 3.0), (3.0, 1.0))
    measured("2. rank of three filters' maps that share roots in pairs only", rank(three), exactly=64)
    measured("rank of two filters' maps that share a root", rank(three[:2]), exactly=56)
    short = np.random.default_rng(0).normal(size=(2, 1, 3, 1)) * [[[1], [1], [0]]]
    measured("rank of two filters' maps that both end with 0", rank(short), exactly=56)
    multiple = np.concatenate([one, -3 * one])
    measured("3. rank of the maps of a filter and its multiple", rank(multiple), exactly=48)


@pytest.mark.parametrize(("rows", "maps"), [(3, 2), (4, 4), (5, 5)])
def test_four_rows_are_the_least_for_which_two_filters_give_every_map(rows, maps):
    image = np.eye(rows).reshape(rows, 1, rows, 1)
    column = conv2d(image, np.random.default_rng(0).normal(size=(2, 1, 3, 1))).reshape(rows, -1)
    assert np.linalg.matrix_rank(column) == maps


@pytest.mark.parametrize("filters", [2, 4, 16])
def test_cor_every_count_alike(filters, measured):
    pixels = DIGITS.images.reshape(-1, 64)
    other = LogisticRegression(C=1, max_iter=500).fit(pixels, DIGITS.labels)
    net = network(filters)
    readout = np.linalg.lstsq(convolution(net.filters).T, other.coef_.T)[0].T.reshape(net.readout.shape)
    constant = other.intercept_ - np.einsum("okp,k->o", readout, net.bias)
    net = net.with_parameters(readout=readout, readout_bias=constant)
    error = np.abs(net.outputs(DIGITS.images) - other.decision_function(pixels)).max()
    measured("difference from the outputs of logistic regression", error, at_most=1e-8)
    chances = other.predict_proba(pixels)[np.arange(200), DIGITS.labels]
    above = net.mean_loss(*DIGITS.examples) + np.log(chances).mean()
    measured("difference from the loss of logistic regression", abs(above), at_most=1e-8)


def test_one_filter_is_not_enough_without_padding_and_is_with():
    target = np.random.default_rng(1).normal(size=(64, 10))
    filters = np.random.default_rng(0).normal(size=(1, 1, 3, 1))
    for options, enough in (({}, False), ({"padding": ((1, 1), (0, 0))}, True)):
        rows = convolution(filters, **options).T
        missed = np.linalg.norm(rows @ np.linalg.lstsq(rows, target)[0] - target)
        assert (missed < 1e-9) == enough


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_prop_linear_rank(pooling, measured):
    net = network(5, pooling=pooling)
    filters = net.filters.reshape(5, 3)
    measured("rank of 5 filters of 3 weights", np.linalg.matrix_rank(filters), exactly=3)
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
    error = np.abs(narrow.outputs(DIGITS.images) - net.outputs(DIGITS.images)).max()
    measured("difference between the outputs of 3 of the filters and of all 5", error, at_most=ROUNDING)


def kinks(net):
    """Count the hyperplanes z = 0 of units and positions on which the outputs have the kink of that unit's readout."""
    rng, count = np.random.default_rng(2), 0
    for k, p in product(range(net.units), range(POSITIONS)):
        row, column = divmod(p, 8)
        normal = np.zeros((8, 8))
        normal[row : row + 3, column] = net.filters[k, 0, :, 0]
        image = rng.normal(size=(8, 8))
        image -= normal * ((image * normal).sum() + net.bias[k]) / (normal**2).sum()
        size = 1e-6 / (normal**2).sum()
        line = np.stack([image - size * normal, image, image + size * normal])[:, None]
        before, middle, after = net.outputs(line)
        kink = np.abs(before + after - 2 * middle).max()
        readout = np.abs(net.readout[:, k, p] if net.readout.ndim == 3 else net.readout[:, k] / POSITIONS)
        count += np.isclose(kink, 1e-6 * readout.max(), rtol=1e-3)
    return count


def independent_terms(net):
    """Count what the readout combines, one term a unit and position and the constant, that no others combine to."""
    answers = np.tanh(net.preactivations(np.random.default_rng(3).normal(scale=2, size=(1000, 1, 8, 8))))
    terms = np.hstack([answers.reshape(1000, -1), np.ones((1000, 1))])
    return np.linalg.matrix_rank(terms)


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_prop_each_filter_counts(pooling, measured):
    """ReLU has a kink on each of the F P hyperplanes. The F P terms of tanh, and the constant, are independent."""
    measured("ReLU: kinks, of 3 filters at 48 positions", kinks(network(3, "relu", pooling)), exactly=144)
    net = network(3, "tanh", pooling)
    measured("tanh: independent terms, constant included", independent_terms(net), exactly=145)
    sign = np.array([1, 1, -1])
    filters = net.filters[[0, 1, 0]] * sign.reshape(3, 1, 1, 1)
    fewer = independent_terms(net.with_parameters(filters=filters, bias=net.bias[[0, 1, 0]] * sign))
    measured("for comparison, a unit and its negative among the three", fewer, exactly=97)


def test_mean_patches_leave_no_part_of_the_digits_separable():
    """No direction of the weights raises some logit's lead and lowers none, so logistic regression has an optimum."""
    images, targets = SEEN
    means = [images[:, row : row + 6].mean(axis=(1, 2)) for row in range(3)]
    inputs = np.stack([*means, np.ones(1000)], axis=1)
    leads = np.zeros((1000, 10, 10, 4))
    for right in range(10):
        leads[targets == right, :, right] += inputs[targets == right, None]
    for other in range(10):
        leads[:, other, other] -= inputs
    leads = leads.reshape(-1, 40)
    most = linprog(-leads.sum(axis=0), A_ub=-leads, b_ub=np.zeros(len(leads)), bounds=(-1, 1))
    assert most.status == 0
    assert -most.fun < 1e-6


def test_leftmost_column_has_four_independent_pixels():
    ranks = [np.linalg.matrix_rank(column) for column in SEEN[0].transpose(2, 0, 1)]
    assert ranks[0] == 4
    assert min(ranks[1:]) > 6


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_opposite_relu_filters_are_a_relu_unit_and_a_linear_one(pooling):
    scale, net = 2.0, network(2, "relu", pooling)
    pair = net.with_parameters(
        filters=np.stack([net.filters[0], -scale * net.filters[0]]),
        bias=net.bias[0] * np.array([1.0, -scale]),
    )
    first, second = pair.readout[:, 0], pair.readout[:, 1]
    z, images = pair.preactivations(DIGITS.images)[:, 0], DIGITS.images
    positions = (lambda a, h: h @ a.T) if pooling == "none" else (lambda a, h: np.outer(h.mean(axis=1), a))
    formula = positions(first + scale * second, np.maximum(z, 0)) - positions(scale * second, z)
    np.testing.assert_allclose(pair.outputs(images), formula + pair.readout_bias, rtol=1e-10, atol=1e-10)


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
