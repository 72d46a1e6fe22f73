"""Lyapunov exponents of the gap under noise."""

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.noise import LabelNoise
from twinfilters.optimizers import Adam, DecoupledWeightDecay, GradientDescent, Momentum
from twinfilters.stability import transverse_hessian
from twinfilters.stability.lyapunov import LyapunovExponents, gaussian_lyapunov_exponent, lyapunov_exponent
from twinfilters.stability.prediction import amplification_budget, predict_gap

DIGITS = data.digits(3, 8, count=12)
DESCENT = GradientDescent(0.1)


def rng(seed=0):
    return np.random.default_rng(seed)


def net(**options):
    return twins.tie(FilterNet.random(rng(1), **{"stride": 3, "arithmetic": "blas", **options}))


def exponents(optimizer=DESCENT, **options):
    given = {"steps": 20, "runs": 2, "batch_size": 4, "noise": [LabelNoise(0.5)], "rng": rng(), **options}
    return lyapunov_exponent(net(), DIGITS.images, DIGITS.targets, optimizer=optimizer, **given)


def gaussian(name="tanh", **options):
    given = {"dimension": 2, "learning_rate": 0.05, "label_noise": 1.0, "steps": 20, "rng": rng(), "runs": 3}
    return gaussian_lyapunov_exponent(name, **{**given, **options})


def test_mean_and_standard_error_by_hand():
    measured = LyapunovExponents(np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]]))
    np.testing.assert_array_equal(measured.exponents, [3.0, 5.0])
    np.testing.assert_allclose(measured.standard_errors, [2 / np.sqrt(3), 0.0])


@pytest.mark.parametrize("rule", [DESCENT, Momentum(0.05), Adam(0.01)])
def test_sum_of_all_exponents_is_the_growth_of_the_volume(rule):
    """And the largest one is below the logarithm of the budget: both from the same minibatches and noise."""
    measured = exponents(rule, count=11, runs=3)
    for run, own in zip(measured.runs, rng().spawn(3), strict=True):
        # The run draws its directions first.
        own.normal(size=(11, 11))
        budget = amplification_budget(
            net(), DIGITS.images, DIGITS.targets, optimizer=rule, steps=20, every=20,
            batch_size=4, noise=[LabelNoise(0.5)], rng=own,
        )  # fmt: skip
        volume = np.linalg.slogdet(budget.propagators[-1])[1]
        np.testing.assert_allclose(20 * run.sum(), volume, atol=1e-9)
        assert 20 * run[0] < np.log(budget.factors[-1])


def test_one_exponent_is_the_growth_of_one_gap():
    measured = exponents(burn_in=10)
    for run, own in zip(measured.runs, rng().spawn(2), strict=True):
        direction = own.normal(size=11)
        start = twins.make_twins(net(), gap=1e-3, direction=direction)
        prediction = predict_gap(
            start, DIGITS.images, DIGITS.targets, optimizer=DESCENT, steps=30, every=10,
            batch_size=4, noise=[LabelNoise(0.5)], rng=own,
        )  # fmt: skip
        wanted = np.log(prediction.gaps[-1] / prediction.gaps[1]) / 20
        np.testing.assert_allclose(run[0], wanted, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_long_runs_neither_overflow_nor_vanish():
    """Hardly any learning, strong decay: every gap shrinks to a tenth, 400 times."""
    rule = DecoupledWeightDecay(GradientDescent(1e-9), 9e8)
    measured = exponents(rule, steps=400, batch_size=None, noise=())
    np.testing.assert_allclose(measured.runs, np.log(0.1), rtol=1e-6)


def test_without_noise_the_exponent_is_that_of_the_transverse_hessian():
    """A network that fits: no residual, nothing moves, the exponents are 0; with weight decay they are not."""
    images = DIGITS.images
    measured = lyapunov_exponent(
        net(), images, net().outputs(images), optimizer=DESCENT, steps=20, runs=2, rng=rng(), count=3
    )
    np.testing.assert_allclose(measured.runs, 0, atol=1e-12)


def one_step_gaussian(name, copies, weight_decay):
    """What a single-unit network of FilterNet says about the first step of the Gaussian model."""
    draw = rng(0)
    teacher = np.array([0.5, -1.0])
    directions, _ = np.linalg.qr(draw.normal(size=(2, 3, 2)))
    inputs, noise = draw.normal(size=(2, 4, 2)), 0.3 * draw.normal(size=(2, 4))
    both = FilterNet(
        np.tile(teacher.reshape(1, 1, 1, 2), (copies, 1, 1, 1)), np.zeros(copies),
        np.full((1, copies), 1 / copies), np.zeros(1), activation=name,
    )  # fmt: skip
    after = []
    for x, xi, v in zip(inputs, noise, directions, strict=True):
        images = x[:, None, None, :]
        targets = both.outputs(images) + xi[:, None]
        t = transverse_hessian(both, images, targets, 0)[np.ix_([0, 1, 3], [0, 1, 3])]
        after.append(v - 0.1 * (t @ v + weight_decay * v))
    return np.array(after)


@pytest.mark.parametrize("name", ["identity", "relu", "softplus", "tanh", "erf", "gelu"])
@pytest.mark.parametrize(("copies", "weight_decay"), [(1, 0.0), (2, 0.5)])
def test_gaussian_model_is_the_network_with_copies(monkeypatch, name, copies, weight_decay):
    monkeypatch.setattr("twinfilters.stability.lyapunov.RENEWAL", 1)
    measured = gaussian(
        name, learning_rate=0.1, label_noise=0.3, steps=1, count=2, runs=2, batch_size=4,
        copies=copies, weight_decay=weight_decay, teacher=[0.5, -1.0],
    )  # fmt: skip
    _, r = np.linalg.qr(one_step_gaussian(name, copies, weight_decay))
    wanted = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    np.testing.assert_allclose(measured.runs, wanted, rtol=1e-9, atol=1e-12)


def test_gaussian_unit_moves_as_its_gradient_says(monkeypatch):
    """Two steps: the second starts where the gradient of the first, of one copy, has led."""
    monkeypatch.setattr("twinfilters.stability.lyapunov.RENEWAL", 1)
    rate, decay, copies = 0.1, 0.2, 2
    measured = gaussian(
        "tanh", learning_rate=rate, steps=2, runs=2, copies=copies, weight_decay=decay, batch_size=3
    )
    draw = rng(0)
    v, _ = np.linalg.qr(draw.normal(size=(2, 3, 1)))
    data_of_step = [(draw.normal(size=(2, 3, 2)), draw.normal(size=(2, 3))) for _ in range(2)]
    for run in range(2):
        both = FilterNet(
            np.tile(np.eye(2)[0].reshape(1, 1, 1, 2), (2, 1, 1, 1)),
            np.zeros(2),
            np.full((1, 2), 0.5),
            np.zeros(1),
        )
        growth, gap = 0.0, v[run, :, 0]
        for inputs, noise in data_of_step:
            images = inputs[run][:, None, None, :]
            targets = np.tanh(inputs[run][:, :1]) + noise[run][:, None]
            t = transverse_hessian(both, images, targets, 0)[np.ix_([0, 1, 3], [0, 1, 3])]
            gap = gap - rate * (t @ gap + decay * gap)
            growth += np.log(np.linalg.norm(gap))
            gap = gap / np.linalg.norm(gap)
            _, gradients = both.loss_and_gradients(images, targets)
            both = both.with_parameters(
                filters=both.filters - rate * (gradients["filters"] + decay * both.filters),
                readout=both.readout - rate * (gradients["readout"] + decay * both.readout),
            )
        np.testing.assert_allclose(measured.runs[run, 0], growth / 2, rtol=1e-9)


def test_linear_units_become_parallel():
    """Chapter 11: exponent 0 along the centre, the other one minus rate^2 times the variance of the gradient."""
    rate = 0.05
    measured = gaussian(
        "identity", dimension=1, learning_rate=rate, steps=4000, burn_in=2000, runs=60, count=2, rng=rng(3)
    )
    top, second = measured.exponents
    # The volume shrinks by ln(1 - rate^2 g^2). The variance of g = r x is that of the noise, 1, and somewhat more from
    # what the centre wanders. Standard error 0.01.
    np.testing.assert_allclose((top + second) / rate**2, -1.15, atol=0.1)
    # What is left at the top is the centre's own wandering, divided by the length of the run.
    assert abs(top) < 0.05 * abs(second)
    assert measured.standard_errors[1] < 0.02 * rate**2


def test_label_noise_parts_tanh_twins():
    measured = gaussian("tanh", dimension=5, steps=4000, burn_in=1000, runs=40)
    assert measured.exponents[0] > 5 * measured.standard_errors[0]


@pytest.mark.parametrize("function", [exponents, gaussian])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"steps": 0},
            "steps must be a positive multiple of 10 and burn_in a multiple, got steps = 0, burn_in = 0",
        ),
        ({"steps": 15}, "steps must be a positive multiple of 10 and burn_in a multiple, got steps = 15"),
        ({"burn_in": -10}, "got steps = 20, burn_in = -10"),
        ({"burn_in": 3}, "got steps = 20, burn_in = 3"),
        ({"count": 0}, r"count must lie between 1 and the parameters of a unit, \d+, got 0"),
        ({"count": 12}, r"count must lie between 1 and the parameters of a unit, \d+, got 12"),
        ({"runs": 1}, "runs must be at least 2 for a standard error, got 1"),
    ],
)
def test_wrong_counts(function, options, message):
    with pytest.raises(ValueError, match=message):
        function(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "sine"}, "activation must be one of"),
        ({"label_noise": -1.0}, "label_noise must be finite and at least 0, got -1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and at least 0, got -1.0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"copies": 0}, "copies must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"teacher": np.ones(3)}, r"teacher must be finite with shape \(2,\), got \[1. 1. 1.\]"),
        ({"teacher": np.array([1.0, np.nan])}, r"teacher must be finite with shape \(2,\)"),
    ],
)
def test_wrong_model(options, message):
    with pytest.raises(ValueError, match=message):
        gaussian(**options)


def test_a_pair_of_twins_without_company_is_the_default():
    wanted = gaussian(
        copies=2, batch_size=1, weight_decay=0.0, burn_in=0, count=1, teacher=np.array([1.0, 0.0])
    )
    np.testing.assert_array_equal(gaussian().runs, wanted.runs)


def test_burning_in_leaves_out_the_first_steps():
    first, second, whole = (gaussian(count=2, **given).runs for given in (
        {"steps": 10}, {"steps": 10, "burn_in": 10}, {"steps": 20}
    ))  # fmt: skip
    np.testing.assert_allclose(first + second, 2 * whole, rtol=1e-9)


def test_largest_count_is_allowed():
    assert gaussian(count=3).runs.shape == (3, 3)
    assert exponents(count=11).runs.shape == (2, 11)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_rate_that_is_too_large():
    with pytest.raises(ValueError, match="learning_rate must let the runs stay finite, got 50"):
        gaussian("identity", learning_rate=50.0, steps=1000)
