"""The statements of the chapter *The gap's equation of motion*, each executed under its own name."""

from itertools import product

import numpy as np
import pytest
from tests.checks import assert_close

from twinfilters import data, interaction, stability, twins
from twinfilters.activations import ACTIVATIONS
from twinfilters.network import FilterNet
from twinfilters.noise import LabelNoise
from twinfilters.optimizers import Adam, GradientDescent, Momentum, RMSProp, WeightDecay
from twinfilters.training import train

pytestmark = pytest.mark.usefixtures("unchecked")

SMOOTH = ("identity", "softplus", "tanh", "erf", "gelu")
OUTPUTS = {"squared": 1, "cross_entropy": 10}
# Of complex steps; its square is lost beside any weight.
H = 1e-100


def problem(activation="tanh", loss="squared", seed=1, count=30):
    """Exact twins, a direction of length 1, images and targets."""
    rng = np.random.default_rng(seed)
    net = FilterNet.random(rng, filters=3, outputs=OUTPUTS[loss], loss=loss, activation=activation)
    net = twins.tie(net.with_parameters(bias=rng.normal(scale=0.3, size=3)))
    direction = rng.normal(size=len(twins.unit_vector(net, 0)))
    digits = data.digits(3, 8, count=count) if loss == "squared" else data.digits(count=count)
    return net, direction / np.linalg.norm(direction), digits.examples


def moved(net, changes):
    """Move units, unit -> what is added to it, perhaps complex."""
    dtype = np.result_type(float, *changes.values())
    net = net.with_parameters({name: array.astype(dtype) for name, array in net.parameters.items()})
    for k, change in changes.items():
        net = twins.replace_unit(net, k, twins.unit_vector(net, k) + change)
    return net


def apart(net, v):
    return moved(net, {0: v, 1: -v})


def gradient(net, examples):
    return net.with_parameters(net.loss_and_gradients(*examples)[1])


def blocks(net, examples, unit, layer=1):
    """Blocks of the loss's Hessian that belong to units 0 and 1, in the column of one of them, by complex steps."""
    columns = []
    for u in np.eye(len(twins.unit_vector(net, 0))):
        slopes = gradient(moved(net, {unit: 1j * H * u}), examples)
        columns.append([twins.unit_vector(slopes, k).imag / H for k in (0, 1)])
    return np.moveaxis(columns, 0, 2)


def half_gap(net):
    return twins.difference(net) / 2


def centre(net):
    return (twins.unit_vector(net, 0) + twins.unit_vector(net, 1)) / 2


def relative(actual, wanted):
    return np.linalg.norm(np.subtract(actual, wanted)) / np.linalg.norm(wanted)


def exponent(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("loss", OUTPUTS)
def test_lem_own_minus_cross(loss, measured):
    net, v, examples = problem(loss=loss)
    (own, cross), (back, other) = (blocks(net, examples, unit) for unit in (0, 1))
    hessian = stability.transverse_hessian(net, *examples, 0)
    pairs = {
        "own blocks": (other, own),
        "cross blocks": (back, cross),
        "cross block and its transpose": (cross.T, cross),
        "own minus cross block and T": (own - cross, hessian),
    }
    for name, pair in pairs.items():
        measured(f"relative difference, {name}", relative(*pair), at_most=1e-11)
    # No parameter of another unit, nor the centre, feels the gap.
    slopes = gradient(apart(net, 1j * H * v), examples)
    felt = [np.abs(twins.unit_vector(slopes, 2).imag / H).max(), np.abs(centre(slopes).imag / H).max()]
    measured("what all others feel of the gap in first order", max(felt), at_most=1e-12)


@pytest.mark.parametrize(
    "rule", [GradientDescent(0.3), Momentum(0.1), Adam(0.01)], ids=["descent", "momentum", "adam"]
)
def test_lem_even_odd(rule, measured):
    """The map of several steps: even for the centre, odd for the gap."""
    net, v, examples = problem()
    there, back = (
        train(apart(net, sign * 0.3 * v), *examples, optimizer=rule, steps=5).net for sign in (1, -1)
    )
    measured(
        "relative change of the centre when the gap is turned",
        relative(centre(back), centre(there)),
        at_most=1e-11,
    )
    measured("relative change of minus the gap", relative(-half_gap(back), half_gap(there)), at_most=1e-11)


@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
def test_thm_transverse_dynamics(activation, measured):
    net, v, examples = problem(activation)
    net = net.with_parameters(bias=np.zeros(3))
    plan = {"optimizer": WeightDecay(GradientDescent(0.1), 0.01), "steps": 400, "every": 20}
    pair = twins.make_twins(net, gap=1e-6, direction=v)
    predicted = stability.predict_gap(pair, *examples, **plan)
    # The product of the theorem, with decay, for the first steps.
    product, path = np.eye(len(v)), train(net, *examples, **plan | {"keep_every": 1, "steps": 20}).nets
    for step in range(20):
        hessian = stability.transverse_hessian(path[step], *examples, 0)
        product = product - 0.1 * (hessian + 0.01 * np.eye(len(v))) @ product
    assert_close(predicted.differences[1], product @ twins.difference(pair), 1e-11)
    run = train(pair, *examples, record={"difference": twins.difference}, **plan)
    errors = np.linalg.norm(run["difference"] - predicted.differences, axis=1) / predicted.gaps
    if activation == "relu":
        measured("largest relative error of the predicted gap, ReLU", errors.max(), at_least=1)
    else:
        measured("largest relative error of the predicted gap", errors.max(), at_most=1e-7)


def test_shared_noise_is_covered(measured):
    net, v, examples = problem()
    pair = twins.make_twins(net, gap=1e-6, direction=v)
    plan = {
        "optimizer": GradientDescent(0.1),
        "steps": 100,
        "batch_size": 7,
        "noise": [LabelNoise(0.5)],
        "every": 100,
    }
    predicted = stability.predict_gap(pair, *examples, **plan, rng=np.random.default_rng(3))
    run = train(pair, *examples, **plan, rng=np.random.default_rng(3)).net
    error = relative(twins.difference(run), predicted.differences[-1])
    measured("relative error under minibatches and label noise", error, at_most=1e-7)


@pytest.mark.parametrize(("activation", "loss"), [*product(SMOOTH, OUTPUTS)])
def test_thm_gauss_newton_cancels(activation, loss, measured):
    net, _, examples = problem(activation, loss)
    own, cross = blocks(net, examples, 0)
    gauss_newton = interaction.gauss_newton(net, *examples, 0)
    measured(
        "relative difference of cross block and Gauss-Newton block",
        relative(cross, gauss_newton),
        at_most=1e-11,
    )
    left = relative(own - cross, own - gauss_newton)
    measured("relative difference of own minus cross block and own minus Gauss-Newton", left, at_most=1e-11)
    measured(
        "size of the Gauss-Newton block against the own one",
        np.linalg.norm(cross) / np.linalg.norm(own),
        at_least=1e-2,
    )


def test_no_residual_no_transverse_hessian():
    net, _, (images, _) = problem()
    hessian = stability.transverse_hessian(net, images, net.outputs(images), 0)
    assert np.abs(hessian).max() < 1e-16


@pytest.mark.parametrize(("activation", "loss"), [*product(SMOOTH, OUTPUTS)])
def test_prop_blocks(activation, loss, measured):
    """The formula as a loop over images and patches, with curvatures by complex steps, against the blocks."""
    net, _, (images, targets) = problem(activation, loss, count=5)
    residuals, unit = net.residuals(images, targets), net.unit(0)
    weights = np.append(unit["filter"].ravel(), unit["bias"])
    splitting, coupling = np.zeros((10, 10)), np.zeros((len(net.readout), 10))
    for r, patches in zip(residuals, net.patches(images), strict=True):
        for x in np.append(patches, np.ones((1, patches.shape[1])), axis=0).T:
            slope, curvature = sigma(activation, weights @ x)
            splitting += (r @ unit["readout"]) * curvature * np.outer(x, x) / patches.shape[1] / len(images)
            coupling += slope * np.outer(r, x) / patches.shape[1] / len(images)
    wanted = np.block([[splitting, coupling.T], [coupling, np.zeros((len(coupling), len(coupling)))]])
    own, cross = blocks(net, (images, targets), 0)
    # Curvatures are differences of slopes here.
    measured("relative difference of the formula and the blocks", relative(own - cross, wanted), at_most=1e-8)
    assert not (own - cross)[10:, 10:].round(14).any()


def sigma(activation, z, step=1e-5):
    """Slope and curvature of an activation at one number, the first by a complex step of its value."""

    def slope(at):
        return ACTIVATIONS[activation](np.array([at + 1j * H]), 0)[0][0].imag / H

    return slope(z), (slope(z + step) - slope(z - step)) / (2 * step)


@pytest.mark.parametrize("activation", SMOOTH)
def test_cor_lowers_the_loss(activation, measured):
    net, v, examples = problem(activation)
    hessian = stability.transverse_hessian(net, *examples, 0)
    lowest = stability.fastest_direction(hessian)
    for name, direction in {"any direction": v, "the lowest eigenvector": lowest}.items():
        sizes = np.array([0.02, 0.04])
        higher = [
            apart(net, size * direction).mean_loss(*examples) - net.mean_loss(*examples) for size in sizes
        ]
        off = np.abs(higher - sizes**2 * (direction @ hessian @ direction))
        measured(
            f"distance of the error's exponent from 4, {name}", abs(exponent(sizes, off) - 4), at_most=0.1
        )
    change = -2 * half_gap(gradient(apart(net, 0.01 * lowest), examples)) @ (0.01 * lowest)
    difference = apart(net, 0.01 * lowest).mean_loss(*examples) - net.mean_loss(*examples)
    measured(
        "growth of the squared gap over -2 times the change of the loss, minus 1",
        abs(change / (-2 * difference) - 1),
        at_most=1e-3,
    )
    measured("decrease of the loss along the lowest eigenvector", -difference, at_least=1e-8)


RULES = {
    "momentum": Momentum(0.02, 0.9),
    "nesterov": Momentum(0.02, 0.9, nesterov=True),
    "adam": Adam(0.002),
    "rmsprop": RMSProp(0.002, epsilon=1e-2),
}


@pytest.mark.parametrize("rule", RULES)
def test_thm_any_rule(rule, measured):
    net, v, examples = problem()
    pair = twins.make_twins(net, gap=1e-5, direction=v)
    plan = {"optimizer": RULES[rule], "steps": 200, "every": 20}
    predicted = stability.predict_gap(pair, *examples, **plan)
    run = train(pair, *examples, record={"difference": twins.difference}, **plan)
    errors = np.linalg.norm(run["difference"] - predicted.differences, axis=1) / predicted.gaps
    measured("largest relative error of the predicted gap", errors.max(), at_most=1e-6)
    sizes = [2e-2, 4e-2]
    ends = [train(apart(net, size * v), *examples, **plan | {"steps": 20}).net for size in sizes]
    off = [
        np.linalg.norm(half_gap(end) - size / 1e-5 * predicted.differences[1])
        for end, size in zip(ends, sizes, strict=True)
    ]
    measured("exponent of the error", exponent(sizes, off), at_least=2.7)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
def test_prop_momentum(mu, measured):
    for rate, rho in product((0.01, 0.1, 1.0), (0.03, 0.5)):
        v, velocity, before = 1.0, 0.0, 1.0
        for _ in range(600):
            before = v
            velocity = mu * velocity - rho * v
            v -= rate * velocity
        s = 1 + mu + rate * rho
        z = (s + np.sqrt(s**2 - 4 * mu)) / 2
        measured("growth a step over the formula, minus 1", abs(v / before / z - 1), at_most=1e-9)
        bound = 1 + rate * rho / (1 - mu)
        measured("growth of the formula over its bound", z / bound, at_most=1 + 1e-12)
        assert z > 1
        assert (mu == 0) == bool(np.isclose(z, bound, rtol=1e-12))
    small = 1e-6
    s = 1 + mu + small
    z = (s + np.sqrt(s**2 - 4 * mu)) / 2
    measured("first order in the learning rate, minus 1", abs((z - 1) * (1 - mu) / small - 1), at_most=1e-3)


def test_prop_discrete_time(measured):
    for rate, eigenvalue in product((0.01, 0.1), (-2.0, -0.3, 0.3, 2.0)):
        exponent_of_descent = np.log(abs(1 - rate * eigenvalue)) / rate
        assert exponent_of_descent < -eigenvalue
        off = -eigenvalue - exponent_of_descent - rate / 2 * eigenvalue**2
        measured(
            "what is left beyond the first order, over its square",
            abs(off) / (rate**2 * abs(eigenvalue) ** 3),
            at_most=0.5,
        )
    assert abs(1 - 0.1 * 21) > 1
    # Euler's method: half the step, half the error; the limit is extrapolated.
    net, v, examples = problem()
    pair = twins.make_twins(net, gap=2.0, direction=v)
    ends = [
        stability.predict_gap(
            pair, *examples, optimizer=GradientDescent(4 / n), steps=n, every=n
        ).differences[-1]
        for n in (100, 200, 400)
    ]
    ratio = np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - ends[2])
    measured("distance of the ratio of differences from 2", abs(ratio - 2), at_most=0.2)


@pytest.mark.parametrize("activation", SMOOTH)
def test_centre_is_stiffer_than_the_gap(activation, measured):
    """The centre's own curvature is at least the gap's, and the merged network's at least the centre's."""
    net, _, examples = problem(activation)
    for steps in (0, 50):
        here = train(net, *examples, optimizer=GradientDescent(0.1), steps=steps).net
        own, cross = blocks(here, examples, 0)
        largest = [
            np.linalg.eigvalsh(block)[-1]
            for block in (own - cross, own + cross, scaled_hessian(here, examples))
        ]
        measured("curvature of the gap over that of the centre", largest[0] / largest[1], at_most=1 + 1e-10)
        measured(
            "curvature of the centre over that of the merged network",
            largest[1] / largest[2],
            at_most=1 + 1e-10,
        )


def scaled_hessian(net, examples):
    """Hessian of the merged network by sqrt(2) m and all else."""
    merged, others = len(twins.unit_vector(net, 0)), len(twins.unit_vector(net, 2)) + len(net.readout)

    def slopes(y):
        arrays = net.parameters | {"readout_bias": net.readout_bias + y[-len(net.readout) :]}
        here = net.with_parameters({name: array.astype(complex) for name, array in arrays.items()})
        step = y[:merged] / np.sqrt(2)
        here = moved(here, {0: step, 1: step, 2: y[merged : -len(net.readout)]})
        by = gradient(here, examples)
        pair = (twins.unit_vector(by, 0) + twins.unit_vector(by, 1)) / np.sqrt(2)
        return np.concatenate([pair, twins.unit_vector(by, 2), by.readout_bias])

    return np.stack([slopes(1j * H * u).imag / H for u in np.eye(merged + others)])


@pytest.mark.parametrize("activation", SMOOTH)
def test_thm_next_order(activation, measured):
    net, v, examples = problem(activation)
    plan = {"optimizer": GradientDescent(0.1), "steps": 12, "every": 12}
    a, mu, b = recursion(net, v, examples, 0.1, 12)
    merged = train(net, *examples, **plan).net
    sizes = np.array([0.01, 0.02])
    ends = [train(apart(net, size * v), *examples, **plan).net for size in sizes]
    off = [np.linalg.norm(half_gap(end) - size * a) for size, end in zip(sizes, ends, strict=True)]
    measured("exponent of the gap's error, distance from 3", abs(exponent(sizes, off) - 3), at_most=0.02)
    off = [np.linalg.norm(centre(end) - centre(merged)) for end in ends]
    measured("exponent of the centre's shift, distance from 2", abs(exponent(sizes, off) - 2), at_most=0.02)
    cubic = (half_gap(ends[0]) - sizes[0] * a) / sizes[0] ** 3
    measured("relative error of b from the recursion", relative(cubic, b), at_most=0.01)
    shift = (centre(ends[0]) - centre(merged)) / sizes[0] ** 2
    measured("relative error of the centre's shift from the recursion", relative(shift, mu), at_most=0.01)
    eta = 1e-4
    size = np.sqrt(eta * np.linalg.norm(a) / np.linalg.norm(b))
    found = relative(half_gap(train(apart(net, size * v), *examples, **plan).net), size * a)
    measured(
        "error at the gap of the formula over the error asked for, minus 1",
        abs(found / eta - 1),
        at_most=0.05,
    )


def recursion(net, a, examples, rate, steps):
    """The theorem's recursion, its derivatives by central differences of T and of the gradient."""
    small = 1e-4
    y = net.parameters
    mu = {name: np.zeros_like(array) for name, array in y.items()}
    b = np.zeros_like(a)

    def shifted(direction, size):
        return here.with_parameters({name: y[name] + size * direction[name] for name in y})

    def transverse(size):
        return stability.transverse_hessian(shifted(mu, size), *examples, 0)

    def along(direction, size):
        return gradient(shifted(direction, size), examples).parameters

    for _ in range(steps):
        here = net.with_parameters(y)
        hessian = stability.transverse_hessian(here, *examples, 0)
        bend = (transverse(small) - transverse(-small)) @ a / (2 * small)
        curve = {n: (along(mu, small)[n] - along(mu, -small)[n]) / (2 * small) for n in y}
        # The gradient of the merged run by all parameters, even in the gap: twice its second derivative is what bends
        # the centre, and it has each twin's share, which is P.
        ends = [gradient(apart(here, sign * 1e-3 * a), examples) for sign in (1, -1)]
        mean = [(x + z) / 2 for x, z in zip(*(even(end) for end in ends), strict=True)]
        pull = [(x - z) / 1e-6 for x, z in zip(mean, even(gradient(here, examples)), strict=True)]
        pull = dict(zip(y, pull, strict=True))
        # Odd part: real and imaginary gap tell first and third order apart.
        size = 1e-2
        third = half_gap(gradient(apart(here, size * a), examples))
        third = (third - half_gap(gradient(apart(here, 1j * size * a), examples)).imag) / (2 * size**3)
        slopes = gradient(here, examples).parameters
        b = b - rate * (hessian @ b + bend + third)
        mu = {n: mu[n] - rate * (curve[n] + pull[n]) for n in y}
        a = a - rate * hessian @ a
        y = {n: y[n] - rate * slopes[n] for n in y}
    return a, twins.unit_vector(net.with_parameters(mu), 0), b


def even(net):
    """Arrays with both twins at the mean of what they have."""
    mean = centre(net)
    tied = twins.replace_unit(twins.replace_unit(net, 0, mean), 1, mean)
    return list(tied.parameters.values())
