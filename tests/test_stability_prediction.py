"""The gap predicted along the merged run, against the complex step and against measured runs."""

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.noise import InputDropout, LabelNoise
from twinfilters.optimizers import (
    Adam,
    ClipNorm,
    DecoupledWeightDecay,
    Freeze,
    GradientDescent,
    Momentum,
    Muon,
    RMSProp,
    WeightDecay,
)
from twinfilters.stability import transverse_hessian
from twinfilters.stability.prediction import amplification_budget, predict_gap
from twinfilters.stability.transverse import merged
from twinfilters.training import DivergedError, train

RULES = {
    "descent": GradientDescent(0.1),
    "rate for each unit": GradientDescent(
        {"filters": 0.1, "bias": 0.2, "readout": 0.05, "readout_bias": 0.0}
    ),
    "momentum": Momentum(0.05, 0.8),
    "nesterov": Momentum(0.05, 0.8, nesterov=True),
    "rmsprop": RMSProp(0.005, epsilon=1e-3),
    "adam": Adam(0.01, epsilon=1e-3),
    "weight decay": WeightDecay(GradientDescent(0.1), 0.05),
    "adamw": DecoupledWeightDecay(Adam(0.01, epsilon=1e-3), 0.5),
    "clipping": ClipNorm(Momentum(0.1, 0.5), 0.3),
    "frozen readouts": Freeze(GradientDescent(0.1), parameters=("readout", "readout_bias")),
    "both twins frozen": Freeze(GradientDescent(0.1), units=(0, 2)),
    "muon": Muon(0.001),
}

# The same matrices multiplied in another way, a few dozen times, relative to the largest entry.
ROUNDING = 1e-12

DIGITS = data.digits(3, 8, count=40)


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(gap=1e-6, *, seed=1, images=DIGITS.images, targets=DIGITS.targets, **options):
    """Draw twins on digits."""
    net = FilterNet.random(rng(seed), **{"arithmetic": "blas", "stride": 2, **options})
    return twins.make_twins(net, gap=gap, rng=rng(seed + 1)), images, targets


def run(function, problem, steps=5, *, optimizer=RULES["descent"], **options):
    return function(*problem, optimizer=optimizer, steps=steps, **options)


def assert_close(actual, wanted, tolerance):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def test_one_step_of_descent_by_hand():
    problem = pair(gap=1e-3)
    prediction = run(predict_gap, problem, steps=1)
    t = transverse_hessian(merged(problem[0]), *problem[1:], 0)
    difference = twins.difference(problem[0])
    np.testing.assert_array_equal(prediction.steps, [0, 1])
    np.testing.assert_array_equal(prediction.differences[0], difference)
    assert_close(prediction.differences[1], difference - 0.1 * t @ difference, ROUNDING)
    assert_close(prediction.gaps, np.linalg.norm(prediction.differences, axis=1), ROUNDING)


def complex_step_run(net, images, targets, optimizer, steps, i, j):
    """Train the network itself with complex parameters: the imaginary part of unit i follows the half-gap."""
    step = 1e-50
    half = step * 1j * twins.difference(net, i, j) / 2
    centre = twins.unit_vector(merged(net, i, j), i)
    net = net.with_parameters({name: value.astype(complex) for name, value in net.parameters.items()})
    net = twins.replace_unit(twins.replace_unit(net, i, centre + half), j, centre - half)
    state = optimizer.start(net.parameters)
    for _ in range(steps):
        _, gradients = net.loss_and_gradients(images, targets)
        parameters, state = optimizer.update(net.parameters, gradients, state)
        net = net.with_parameters(parameters)
    return 2 * twins.unit_vector(net, i).imag / step, twins.unit_vector(net, i).real


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("loss", "activation"), [("squared", "tanh"), ("cross_entropy", "gelu")])
@pytest.mark.usefixtures("unchecked")
def test_is_the_derivative_of_the_whole_run(rule, loss, activation):
    """The transverse Hessian and the derivative of the rule, against a complex step through network and rule."""
    three = data.digits(2, 5, 7, count=12)
    problem = pair(
        filters=3, outputs=3, loss=loss, activation=activation, stride=3,
        arithmetic="position_blind", images=three.images, targets=three.targets,
    )  # fmt: skip
    prediction = run(predict_gap, problem, 25, optimizer=RULES[rule], i=2, j=0)
    difference, centre = complex_step_run(*problem, RULES[rule], 25, 2, 0)
    assert_close(prediction.differences[-1], difference, 1e-11)
    assert_close(twins.unit_vector(prediction.net, 2), centre, ROUNDING)


# Second-order effects of a gap of 1e-6 stay below 1e-6 of it; rounding of the weights adds 1e-16 / 1e-6.
MEASURED = 1e-6


def relative_errors(problem, *, steps=2000, every=100, optimizer=RULES["descent"]):
    prediction = run(predict_gap, problem, steps, optimizer=optimizer, every=every)
    record = {"difference": twins.difference}
    history = run(train, problem, steps, optimizer=optimizer, every=every, record=record)
    np.testing.assert_array_equal(prediction.steps, history.steps)
    errors = np.linalg.norm(prediction.differences - history["difference"], axis=1)
    return errors / prediction.gaps, prediction


@pytest.mark.parametrize("activation", ["identity", "softplus", "tanh", "erf", "gelu"])
@pytest.mark.usefixtures("unchecked")
def test_theorem_4_predicts_the_measured_gap(activation):
    # At rate 0.1 the linear network reaches the edge of stability, where bursts of the centre end any prediction.
    errors, prediction = relative_errors(pair(activation=activation), optimizer=GradientDescent(0.05))
    assert errors.max() < MEASURED
    # Something was there to predict.
    assert prediction.gaps[-1] > 2 * prediction.gaps[0]


@pytest.mark.parametrize(
    "rule", [name for name in RULES if name not in ("descent", "both twins frozen", "muon")]
)
@pytest.mark.usefixtures("unchecked")
def test_theorem_4_predicts_the_measured_gap_of_other_rules(rule):
    errors, _ = relative_errors(pair(), steps=300, every=50, optimizer=RULES[rule])
    assert errors.max() < MEASURED


@pytest.mark.usefixtures("unchecked")
def test_theorem_4_fails_for_relu():
    """A patch between the twins kicks the gap as hard as if it were not small."""
    errors, _ = relative_errors(pair(activation="relu"))
    assert errors[-1] > 1


@pytest.mark.usefixtures("unchecked")
def test_error_grows_with_the_square_of_the_gap():
    """The next order of the difference is the cube of the gap: relative to the gap its square."""
    small, large = (relative_errors(pair(gap), steps=200)[0][-1] for gap in (1e-2, 1e-1))
    np.testing.assert_allclose(large / small, 100, rtol=0.1)


def test_prediction_is_linear_in_the_gap():
    one, two = (run(predict_gap, pair(gap)).differences for gap in (1e-3, 2e-3))
    # Adding the gap to weights of order one, and taking it away again.
    assert_close(two, 2 * one, 1e-12)


def test_swapping_the_twins_turns_the_sign():
    problem = pair(filters=3)
    there, back = (run(predict_gap, problem, i=i, j=j).differences for i, j in ((0, 2), (2, 0)))
    assert_close(there, -back, ROUNDING)


def test_records_every_few_steps_and_the_end():
    problem = pair()
    whole, some = run(predict_gap, problem, 7), run(predict_gap, problem, 7, every=3)
    np.testing.assert_array_equal(some.steps, [0, 3, 6, 7])
    np.testing.assert_array_equal(some.differences, whole.differences[[0, 3, 6, 7]])
    np.testing.assert_array_equal(run(predict_gap, problem, 6, every=3).steps, [0, 3, 6])


def test_no_steps_give_the_gap_itself():
    problem = pair(gap=0.5)
    prediction = run(predict_gap, problem, 0)
    np.testing.assert_array_equal(prediction.differences, [twins.difference(problem[0])])


@pytest.mark.parametrize("arithmetic", ["blas", "position_blind"])
def test_net_is_the_merged_run(arithmetic):
    problem = pair(gap=0.3, filters=3, arithmetic=arithmetic)
    net = run(predict_gap, problem, 20).net
    assert twins.gap(net) == 0
    tied = train(merged(problem[0]), *problem[1:], optimizer=RULES["descent"], steps=20).net
    for name, value in tied.parameters.items():
        assert_close(net.parameters[name], value, ROUNDING)


def test_single_precision_is_predicted_in_double():
    net, images, targets = pair(gap=0.5)
    single = net.with_parameters({name: value.astype(np.float32) for name, value in net.parameters.items()})
    prediction = run(predict_gap, (single, images, targets))
    assert prediction.differences.dtype == prediction.net.filters.dtype == np.float64
    assert_close(prediction.differences, run(predict_gap, (net, images, targets)).differences, 1e-6)


@pytest.mark.parametrize("noise", [(), (LabelNoise(0.3), InputDropout(0.1))])
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.usefixtures("unchecked")
def test_the_same_generator_gives_the_same_minibatches_and_noise(noise, batch_size):
    """Prediction and measurement under the same random numbers."""
    problem, record = pair(), {"difference": twins.difference}
    given = {"steps": 60, "noise": noise, "batch_size": batch_size, "every": 20}
    prediction = run(predict_gap, problem, rng=rng(4), **given)
    history = run(train, problem, rng=rng(4), record=record, **given)
    assert_close(history["difference"], prediction.differences, MEASURED)
    other = run(predict_gap, problem, rng=rng(5), **given)
    assert (noise == () and batch_size is None) or np.abs(other.gaps / prediction.gaps - 1).max() > 1e-3
    budget = run(amplification_budget, problem, rng=rng(4), **given)
    assert_close(budget.propagators @ twins.difference(problem[0]), prediction.differences, 1e-10)


def test_propagators_are_products():
    problem = pair(filters=3)
    budget = run(amplification_budget, problem, 4, i=1, j=2, every=2)
    np.testing.assert_array_equal(budget.steps, [0, 2, 4])
    product, net = np.eye(len(budget.propagators[0])), merged(problem[0], 1, 2)
    for _ in range(4):
        product = product - 0.1 * transverse_hessian(net, *problem[1:], 1) @ product
        net = train(net, *problem[1:], optimizer=RULES["descent"], steps=1).net
    assert_close(budget.propagators[-1], product, ROUNDING)
    np.testing.assert_array_equal(budget.propagators[0], np.eye(len(product)))
    assert_close(twins.unit_vector(budget.net, 2), twins.unit_vector(net, 2), ROUNDING)


@pytest.mark.parametrize("rule", ["descent", "adam"])
@pytest.mark.usefixtures("unchecked")
def test_no_gap_is_amplified_more_than_the_budget(rule):
    net, images, targets = pair()
    rule = RULES[rule]
    budget = run(amplification_budget, (net, images, targets), 50, optimizer=rule, every=25)
    factor = budget.factors[-1]
    np.testing.assert_allclose(budget.factors[0], 1, rtol=ROUNDING)
    assert factor > 1
    best = twins.make_twins(net, gap=1e-3, direction=budget.initial_direction)
    prediction = run(predict_gap, (best, images, targets), 50, optimizer=rule)
    # The centre of the new twins is the old unit 0, half a gap of 1e-6 away.
    np.testing.assert_allclose(prediction.gaps[-1], 1e-3 * factor, rtol=1e-4)
    direction = prediction.differences[-1] / prediction.gaps[-1]
    assert abs(direction @ budget.final_direction) > 1 - 1e-6
    some = run(predict_gap, (net, images, targets), 50, optimizer=rule)
    assert some.gaps[-1] < factor * some.gaps[0]


def test_exact_twins_have_a_budget_but_no_gap_to_predict():
    problem = pair(gap=0.0)
    assert run(amplification_budget, problem).factors[-1] > 1
    with pytest.raises(ValueError, match="units 0 and 1 must differ, got exact twins: give them a gap"):
        run(predict_gap, problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps must be at least 0 and every at least 1, got steps = -1, every = 1"),
        ({"every": 0}, "steps must be at least 0 and every at least 1, got steps = 5, every = 0"),
        ({"i": 1}, "twins must be two different units, got i = j = 1"),
        ({"j": 2}, "unit must lie between 0 and 1, got 2"),
    ],
)
@pytest.mark.parametrize("function", [predict_gap, amplification_budget])
def test_wrong_arguments(function, options, message):
    with pytest.raises(ValueError, match=message):
        run(function, pair(), **options)


def test_wrong_data():
    net, images, targets = pair()
    with pytest.raises(ValueError, match="images must be finite"):
        run(predict_gap, (net, np.full_like(images, np.nan), targets))
    with pytest.raises(ValueError, match="targets must be floating"):
        run(predict_gap, (net, images, targets[:3]))


def test_diverging_run():
    with pytest.raises(
        DivergedError, match=r"the merged run diverged at step \d+; try a smaller learning rate"
    ):
        run(predict_gap, pair(activation="identity"), 200, optimizer=GradientDescent(10.0))
