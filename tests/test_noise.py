"""Noise: what it does to one quantity, and whether it parts exact twins."""

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import PARAMETERS, FilterNet
from twinfilters.noise import (
    GradientNoise,
    HiddenDropout,
    InputDropout,
    LabelFlip,
    LabelNoise,
    check_noise_on_targets,
)
from twinfilters.optimizers import Adam, GradientDescent
from twinfilters.training import train

# What two orders of adding the same float64 numbers may differ by.
ROUNDING = {"rtol": 1e-12, "atol": 1e-15}
# Five standard errors.
STANDARD_ERRORS = 5

DIGITS = data.digits(3, 8, count=30)
FOUR = data.digits(0, 1, 2, 3, count=40)


def rng(seed=0):
    return np.random.default_rng(seed)


def small_net(**options):
    return FilterNet.random(rng(1), **{"filters": 3, **options})


def run(noise, net=None, *, steps=1, **options):
    options = {"optimizer": GradientDescent(0.1), "rng": rng(7), **options}
    return train(net or small_net(), DIGITS.images, DIGITS.targets, steps=steps, noise=noise, **options)


# --- one quantity


def assert_normal(numbers, standard_deviation):
    """Mean and variance of independent normal numbers, within their standard errors."""
    count = numbers.size
    assert abs(numbers.mean()) < STANDARD_ERRORS * standard_deviation / np.sqrt(count)
    assert abs(numbers.var() / standard_deviation**2 - 1) < STANDARD_ERRORS * np.sqrt(2 / count)


def test_label_noise_is_normal():
    targets = rng().normal(size=(4000, 2))
    noisy = LabelNoise(0.3).disturb(targets, rng(1))
    assert_normal(noisy - targets, 0.3)
    assert len(np.unique(noisy - targets)) == targets.size


def assert_share(are, share):
    """Frequency of independent events, within its binomial standard errors."""
    assert abs(are.mean() - share) < STANDARD_ERRORS * np.sqrt(share * (1 - share) / are.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 5])
def test_flipped_labels_are_the_wrong_ones_alike(classes, dtype):
    labels = rng().integers(classes, size=8000)
    flipped = LabelFlip(0.3).disturb(np.eye(classes, dtype=dtype)[labels], rng(1))
    assert flipped.dtype == dtype
    now = flipped.argmax(axis=1)
    np.testing.assert_array_equal(flipped, np.eye(classes)[now])
    assert_share(now != labels, 0.3)
    for wrong in range(1, classes):
        assert_share(now == (labels + wrong) % classes, 0.3 / (classes - 1))
    # whether a label is flipped does not depend on the one before
    assert_share((now != labels)[1:] & (now != labels)[:-1], 0.09)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flipped_signs(dtype):
    targets = rng().choice([-1, 1], size=(8000, 1)).astype(dtype)
    flipped = LabelFlip(0.3).disturb(targets, rng(1))
    assert flipped.dtype == dtype
    np.testing.assert_array_equal(np.abs(flipped), 1)
    for sign in (-1, 1):
        assert_share(flipped[targets == sign] == -sign, 0.3)


@pytest.mark.parametrize("targets", [np.eye(3)[[0, 2, 2, 1]], np.array([[1.0], [-1.0], [1.0]])])
def test_every_label_flipped(targets):
    flipped = LabelFlip(1.0).disturb(targets, rng())
    assert (flipped != targets).any(axis=1).all()


@pytest.mark.parametrize("noise", [InputDropout(0.2), HiddenDropout(0.2)])
def test_dropout_blanks_a_share_and_enlarges_the_rest(noise):
    values = rng().uniform(1, 2, size=(400, 1, 5, 5) if noise.acts_on == "images" else (2000, 5))
    dropped = noise.disturb(values, rng(1))
    off = dropped == 0
    np.testing.assert_allclose(dropped[~off], values[~off] / 0.8, **ROUNDING)
    assert abs(off.mean() - 0.2) < STANDARD_ERRORS * np.sqrt(0.2 * 0.8 / off.size)
    # drawn anew for every entry: no two images, rows or columns agree
    assert len(np.unique(off.reshape(len(off), -1)[:8], axis=0)) > 4
    assert not (off[:, ..., 0] == off[:, ..., 1]).all()


def test_gradient_noise_is_normal_and_for_the_filters_alone():
    gradients = {
        name: rng().normal(size=value.shape) for name, value in small_net(filters=500).parameters.items()
    }
    noisy = GradientNoise(0.3).disturb(gradients, rng(1))
    assert_normal(noisy["filters"] - gradients["filters"], 0.3)
    for name in ("bias", "readout", "readout_bias"):
        np.testing.assert_array_equal(noisy[name], gradients[name])


def test_gradient_noise_is_for_the_filters_of_every_layer():
    gradients = {"filters": np.zeros((2, 1, 2, 2)), "filters2": np.zeros((3, 2, 1, 1)), "bias2": np.zeros(3)}
    noisy = GradientNoise(0.3).disturb(gradients, rng(1))
    assert {name: len(np.unique(value)) for name, value in noisy.items()} == {
        "filters": 8,
        "filters2": 6,
        "bias2": 1,
    }
    shared = GradientNoise(0.3, shared=True).disturb(gradients, rng(1))
    assert {name: len(np.unique(value)) for name, value in shared.items()} == {
        "filters": 4,
        "filters2": 2,
        "bias2": 1,
    }


def test_shared_gradient_noise_is_the_same_for_all_filters():
    gradients = small_net(filters=4, kernel=30).parameters
    added = GradientNoise(0.3, shared=True).disturb(gradients, rng(1))["filters"] - gradients["filters"]
    np.testing.assert_allclose(added, np.broadcast_to(added[:1], added.shape), **ROUNDING)
    assert_normal(added[0], 0.3)


@pytest.mark.parametrize(
    "noise", [LabelNoise(0.0), LabelFlip(0.0), InputDropout(0.0), HiddenDropout(0.0), GradientNoise(0.0)]
)
def test_no_noise_is_the_run_without(noise):
    with_noise, without = run([noise], steps=3).net, run([], steps=3).net
    for name in PARAMETERS:
        np.testing.assert_array_equal(with_noise.parameters[name], without.parameters[name])


# --- one step of training


def assert_one_step(noise, images, targets, batch_size=None):
    """Training with noise makes the step that the plain gradient makes on noisy data."""
    net = small_net(padding=1)
    _, gradients = net.loss_and_gradients(images, targets)
    after = run([noise], net, batch_size=batch_size).net
    for name, value in net.parameters.items():
        np.testing.assert_allclose(after.parameters[name], value - 0.1 * gradients[name], **ROUNDING)


def test_label_noise_in_a_step():
    assert_one_step(LabelNoise(0.3), DIGITS.images, DIGITS.targets + 0.3 * rng(7).standard_normal((30, 1)))


def test_flipped_signs_in_a_step():
    flipped = rng(7).random((30, 1)) < 0.4
    assert_one_step(LabelFlip(0.4), DIGITS.images, np.where(flipped, -1, 1) * DIGITS.targets)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_flipped_labels_in_a_step(loss):
    """The loss that the gradients come from is that of wrong labels, drawn afresh in each step."""
    net = small_net(outputs=4, loss=loss)
    generator, after = rng(7), net
    for _ in range(2):
        _, gradients = after.loss_and_gradients(FOUR.images, LabelFlip(0.4).disturb(FOUR.targets, generator))
        after = after.with_parameters({k: v - 0.1 * gradients[k] for k, v in after.parameters.items()})
    options = {"optimizer": GradientDescent(0.1), "steps": 2, "noise": [LabelFlip(0.4)], "rng": rng(7)}
    history = train(net, FOUR.images, FOUR.targets, **options)
    for name, value in after.parameters.items():
        np.testing.assert_allclose(history.net.parameters[name], value, **ROUNDING)
    assert history["loss"][0] == net.mean_loss(FOUR.images, FOUR.targets)


def test_input_dropout_in_a_step():
    kept = rng(7).random(DIGITS.images.shape) >= 0.3
    assert_one_step(InputDropout(0.3), DIGITS.images * kept / 0.7, DIGITS.targets)


def test_noise_follows_the_minibatch():
    generator = rng(7)
    batch = generator.permutation(30)[:8]
    kept = generator.random((8, 1, 8, 8)) >= 0.3
    assert_one_step(InputDropout(0.3), DIGITS.images[batch] * kept / 0.7, DIGITS.targets[batch], batch_size=8)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_hidden_dropout_in_a_step(loss):
    """Image by image: with the features of some units off, their readouts are 0."""
    net = small_net(outputs=2, loss=loss)
    mask = (rng(7).random((30, 3)) >= 0.4) / 0.6
    targets = np.eye(2)[np.arange(30) % 2]
    wanted = {name: np.zeros_like(value) for name, value in net.parameters.items()}
    for n in range(30):
        masked = net.with_parameters(readout=net.readout * mask[n])
        _, gradients = masked.loss_and_gradients(DIGITS.images[n : n + 1], targets[n : n + 1])
        gradients["readout"] = gradients["readout"] * mask[n]
        for name in wanted:
            wanted[name] += gradients[name] / 30
    options = {"optimizer": GradientDescent(0.1), "steps": 1, "rng": rng(7), "noise": [HiddenDropout(0.4)]}
    after = train(net, DIGITS.images, targets, **options).net
    for name, value in net.parameters.items():
        np.testing.assert_allclose(after.parameters[name], value - 0.1 * wanted[name], rtol=1e-11, atol=1e-14)


def test_gradient_noise_in_a_step():
    noisy, plain = run([GradientNoise(0.3)]).net, run([]).net
    added = -0.1 * 0.3 * rng(7).standard_normal(plain.filters.shape)
    np.testing.assert_allclose(noisy.filters - plain.filters, added, rtol=1e-11, atol=1e-14)


def test_ingredients_act_one_after_the_other():
    generator = rng(7)
    first, second = (generator.standard_normal((30, 1)) for _ in range(2))
    net = small_net()
    _, gradients = net.loss_and_gradients(DIGITS.images, DIGITS.targets + first + 2 * second)
    after = run([LabelNoise(1.0), LabelNoise(2.0)], net).net
    np.testing.assert_allclose(after.filters, net.filters - 0.1 * gradients["filters"], **ROUNDING)


def test_noise_is_drawn_anew_in_each_step():
    history = run(
        [GradientNoise(1.0)],
        optimizer=GradientDescent({**dict.fromkeys(PARAMETERS, 0.0), "filters": 1e-9}),
        steps=2,
        record={"filters": lambda net: net.filters},
    )
    first, second = np.diff(history["filters"], axis=0)
    assert not np.isclose(first, second, rtol=1e-2, atol=0).any()


def test_recorded_loss_is_without_noise():
    net = small_net()
    history = run([LabelNoise(1.0), HiddenDropout(0.5)], net, steps=0)
    assert history["loss"][0] == net.mean_loss(DIGITS.images, DIGITS.targets)
    history = run([LabelNoise(1.0), HiddenDropout(0.5)], net, steps=1)
    assert history["loss"][0] == net.mean_loss(DIGITS.images, DIGITS.targets)


# --- theorem 2: which noise parts exact twins


def gap_after(noise, optimizer):
    net = twins.make_twins(small_net(), 0, 2)
    history = run(noise, net, steps=100, optimizer=optimizer, batch_size=8)
    assert twins.gap(history.net, 0, 1) > 0
    assert np.abs(history.net.filters - net.filters).max() > 1e-3
    return twins.gap(history.net, 0, 2)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.01)])
@pytest.mark.parametrize(
    "noise",
    [
        [LabelNoise(1.0)],
        [LabelFlip(0.3)],
        [InputDropout(0.3)],
        [GradientNoise(0.1, shared=True)],
        [InputDropout(0.3), LabelNoise(1.0)],
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_noise_that_reaches_all_filters_alike_keeps_exact_twins(noise, optimizer):
    assert gap_after(noise, optimizer) == 0


@pytest.mark.usefixtures("unchecked")
def test_flipped_classes_keep_exact_twins():
    net = twins.make_twins(small_net(outputs=4, loss="cross_entropy"), 0, 2)
    options = {"optimizer": GradientDescent(0.3), "steps": 100, "batch_size": 8, "rng": rng(7)}
    history = train(net, FOUR.images, FOUR.targets, noise=[LabelFlip(0.3)], **options)
    assert np.abs(history.net.filters - net.filters).max() > 1e-3
    assert twins.gap(history.net, 0, 2) == 0


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.01)])
@pytest.mark.parametrize("noise", [[HiddenDropout(0.3)], [GradientNoise(0.1)]])
@pytest.mark.usefixtures("unchecked")
def test_noise_drawn_for_each_filter_parts_exact_twins(noise, optimizer):
    assert gap_after(noise, optimizer) > 1e-3


# --- wrong arguments


@pytest.mark.parametrize("kind", [LabelNoise, GradientNoise])
@pytest.mark.parametrize("number", [-0.1, float("nan"), float("inf")])
def test_standard_deviation_must_not_be_negative(kind, number):
    with pytest.raises(ValueError, match=f"standard_deviation must be finite and at least 0, got {number}"):
        kind(number)


@pytest.mark.parametrize("kind", [InputDropout, HiddenDropout])
@pytest.mark.parametrize("number", [-0.1, 1.0, float("nan")])
def test_rate_must_be_a_share(kind, number):
    with pytest.raises(ValueError, match=f"rate must be at least 0 and less than 1, got {number}"):
        kind(number)


@pytest.mark.parametrize("number", [-0.1, 1.1, float("nan")])
def test_rate_of_flips_must_be_a_probability(number):
    with pytest.raises(ValueError, match=f"rate must lie between 0 and 1, got {number}"):
        LabelFlip(number)


@pytest.mark.parametrize(
    ("targets", "wrong"),
    [
        (np.array([[1.0], [0.0], [-1.0], [2.0]]), 2),
        (np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), 1),
        (np.array([[2.0, 0.0], [-1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]), 4),
    ],
)
def test_only_labels_can_be_flipped(targets, wrong):
    message = f"targets must be one-hot, or 1 and -1 for one output, .* got {wrong} of {len(targets)}"
    with pytest.raises(ValueError, match=message):
        LabelFlip(0.5).disturb(targets, rng())


def test_labels_are_flipped_before_other_noise():
    run([LabelFlip(0.1), LabelNoise(0.1)])
    with pytest.raises(ValueError, match=r"targets must be one-hot, or 1 and -1 .* got 30 of 30"):
        run([LabelNoise(0.1), LabelFlip(0.1)])


@pytest.mark.parametrize(
    ("outputs", "noise", "message"),
    [
        (2, [LabelFlip(0.1), LabelNoise(0.1)], "needs the squared loss, .* got cross_entropy and LabelNoise"),
        (1, [LabelFlip(0.1)], "LabelFlip needs two classes or more, got one output with cross_entropy"),
    ],
)
def test_noise_on_targets_that_the_loss_cannot_use(outputs, noise, message):
    with pytest.raises(ValueError, match=message):
        check_noise_on_targets(noise, "cross_entropy", outputs)
    check_noise_on_targets(noise, "squared", outputs)
