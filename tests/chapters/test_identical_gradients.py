"""The statements of the chapter *Identical gradients*, each executed under its own name."""

from itertools import combinations, permutations

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.activations import ACTIVATIONS
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.training import train

# Sums of some thousand products in float64.
ROUNDING = 1e-11

OUTPUTS = {"squared": 1, "cross_entropy": 10}


@pytest.fixture(params=OUTPUTS)
def examples(request):
    """Images and targets for one loss."""
    if request.param == "squared":
        return "squared", data.digits(3, 8, count=40)
    return "cross_entropy", data.digits(count=40)


def network(loss, activation="tanh", units=4, seed=0):
    rng = np.random.default_rng(seed)
    net = FilterNet.random(
        rng, filters=units, kernel=3, outputs=OUTPUTS[loss], loss=loss, activation=activation
    )
    return net.with_parameters(bias=rng.normal(scale=0.3, size=units))


def gradients_of(net, digits):
    _, gradients = net.loss_and_gradients(*digits.examples)
    return net.with_parameters(gradients)


def difference(net, i, j, parts=twins.PARTS):
    """Largest difference of two units in some of their parts."""
    a, b = net.unit(i), net.unit(j)
    return max(np.abs(a[part] - b[part]).max() for part in parts)


def equal_parts(net, i, j):
    return {part for part in twins.PARTS if np.array_equal(net.unit(i)[part], net.unit(j)[part])}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_thm_identical_gradients(examples, activation, measured):
    loss, digits = examples
    net = network(loss, activation)
    for i, j in combinations(range(4), 2):
        swap = np.arange(4)
        swap[[i, j]] = j, i
        swapped = net.with_parameters(
            filters=net.filters[swap], bias=net.bias[swap], readout=net.readout[:, swap]
        )
        change = swapped.mean_loss(*digits.examples) / net.mean_loss(*digits.examples) - 1
        measured("relative change of the loss when two units are swapped", abs(change), at_most=ROUNDING)
        gradients = gradients_of(twins.tie(net, i, j), digits)
        measured("difference of the gradients of twins", difference(gradients, i, j), exactly=0)
        measured("length of a twin's gradient", np.linalg.norm(gradients.filters[i]), at_least=1e-6)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_cor_identical_for_ever(examples, batch_size, measured):
    loss, digits = examples
    start = twins.tie(network(loss))
    run = train(
        start,
        *digits.examples,
        optimizer=GradientDescent(0.3),
        steps=500,
        batch_size=batch_size,
        rng=np.random.default_rng(1),
        record={"gap": twins.gap, "to others": lambda net: twins.gap(net, 0, 2)},
        every=25,
    )
    travelled = np.linalg.norm(twins.unit_vector(run.net, 0) - twins.unit_vector(start, 0))
    measured("largest gap of twins in 500 steps", run["gap"].max(), exactly=0)
    measured("smallest gap to another unit", run["to others"].min(), at_least=0.1)
    measured("distance that each twin has travelled", travelled, at_least=0.1)


def test_thm_tied_filters(examples, measured):
    loss, digits = examples
    net = twins.tie(network(loss), parts=["filter", "bias"])
    gradients = gradients_of(net, digits)
    assert equal_parts(gradients, 0, 1) == {"readout"}
    measured(
        "difference of the gradients of the readouts", difference(gradients, 0, 1, ["readout"]), exactly=0
    )
    # G_o from its definition: (N,O) . (N,P) . (N,D,P) -> (O,D)
    residual = net.residuals(*digits.examples)
    slope = ACTIVATIONS[net.activation](net.preactivations(digits.images), 1)[1][:, 0]
    patches = net.patches(digits.images)
    shared = np.einsum("no,np,ndp->od", residual, slope, patches) / slope.size
    for k in (0, 1):
        expected = net.readout[:, k] @ shared
        error = np.abs(gradients.filters[k].ravel() - expected).max() / np.linalg.norm(expected)
        measured(
            "error of the formula for a filter's gradient, relative to its length", error, at_most=ROUNDING
        )
    rank = np.linalg.matrix_rank(all_tied_gradients(loss, digits), rtol=1e-10)
    wanted = {"squared": 1, "cross_entropy": 9}[loss]
    measured(f"dimensions that 16 gradients span, {OUTPUTS[loss]} output(s)", rank, exactly=wanted)


def all_tied_gradients(loss, digits, units=16):
    net = network(loss, units=units)
    for k in range(1, units):
        net = twins.tie(net, 0, k, parts=["filter", "bias"])
    return gradients_of(net, digits).filters.reshape(units, -1)


def test_prop_three_way(examples, measured):
    loss, digits = examples
    net = network(loss)
    surprises = 0
    for size in range(4):
        for tied in combinations(twins.PARTS, size):
            equal = equal_parts(gradients_of(twins.tie(net, parts=tied), digits), 0, 1)
            expected = {3: set(twins.PARTS), 2: set() if "readout" in tied else {"readout"}}.get(size, set())
            surprises += equal != expected
    measured("rows of the table, out of 8, with other equal gradients than stated", surprises, exactly=0)


def test_prop_linear_units(examples, measured):
    loss, digits = examples
    for activation, bound in (("identity", {"exactly": 0}), ("tanh", {"at_least": 1e-6})):
        net = twins.tie(network(loss, activation), parts=["readout"])
        apart = difference(gradients_of(net, digits), 0, 1, ["filter", "bias"])
        name = {"identity": "linear units", "tanh": "for comparison, with tanh"}[activation]
        measured(f"difference of the gradients of filters and biases, {name}", apart, **bound)


def test_mirror_twins_stay_mirror_twins():
    digits = data.digits(3, 8, count=40)
    for activation, stays in (
        ("tanh", True),
        ("erf", True),
        ("identity", True),
        ("relu", False),
        ("softplus", False),
    ):
        net = network("squared", activation)
        start = twins.replace_unit(net, 1, -twins.unit_vector(net, 0))
        end = train(start, *digits.examples, optimizer=GradientDescent(0.1), steps=50).net
        total = twins.unit_vector(end, 0) + twins.unit_vector(end, 1)
        assert np.array_equal(total, np.zeros_like(total)) == stays, activation


def test_any_number_of_copies_in_any_order():
    digits = data.digits(3, 8, count=40)
    net = network("squared", units=3)
    net = twins.tie(twins.tie(net, 0, 1), 0, 2)
    gradients = gradients_of(net, digits)
    assert all(equal_parts(gradients, i, j) == set(twins.PARTS) for i, j in permutations(range(3), 2))
