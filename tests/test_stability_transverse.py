"""The merged run, the gaps along it, and the data it is given."""

import re
from itertools import islice

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.noise import GradientNoise, HiddenDropout, InputDropout, LabelFlip, LabelNoise
from twinfilters.optimizers import Adam, ClipNorm, Freeze, GradientDescent, Momentum, WeightDecay
from twinfilters.stability import transverse_hessian
from twinfilters.stability.transverse import TransverseRun, batches, merged
from twinfilters.training import DivergedError

# The same products in another order, relative to the largest entry.
ROUNDING = 1e-12

DIGITS = data.digits(3, 8, count=20)
DESCENT = GradientDescent(0.1)


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(gap=0.3, **options):
    net = FilterNet.random(rng(1), **{"filters": 3, "stride": 2, "arithmetic": "blas", **options})
    return twins.make_twins(net, gap=gap, rng=rng(2))


def directions(count=2):
    return rng(3).normal(size=(11, count))


def run(net, optimizer, gaps, steps, **options):
    position = TransverseRun.start(net, optimizer, gaps, **options)
    for batch in islice(batches(net, DIGITS.images, DIGITS.targets), steps):
        position = position.after(*batch)
    return position


def assert_close(actual, wanted, tolerance):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def test_two_steps_of_descent_on_two_halves_of_the_data():
    net, gaps = pair(), directions()
    position = TransverseRun.start(net, DESCENT, gaps)
    np.testing.assert_array_equal(position.gaps, gaps)
    for half in (slice(10), slice(10, 20)):
        centre = position.net
        position = position.after(net.patches(DIGITS.images[half]), DIGITS.targets[half])
        gaps = gaps - 0.1 * transverse_hessian(centre, DIGITS.images[half], DIGITS.targets[half], 1) @ gaps
        assert_close(position.gaps, gaps, ROUNDING)
        _, gradients = centre.loss_and_gradients(DIGITS.images[half], DIGITS.targets[half])
        for name, value in centre.parameters.items():
            assert_close(position.net.parameters[name], value - 0.1 * gradients[name], ROUNDING)
    assert position.step == 2


def test_several_gaps_are_as_many_runs():
    gaps = directions(3)
    together = run(pair(), Adam(0.01), gaps, 5)
    for k in range(3):
        alone = run(pair(), Adam(0.01), gaps[:, k : k + 1], 5)
        assert_close(together.gaps[:, k], alone.gaps[:, 0], ROUNDING)


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_gaps_are_infinitesimal_whatever_their_size(size):
    gaps = directions()
    wanted = run(pair(), Adam(0.01), gaps, 5)
    position = run(pair(), Adam(0.01), size * gaps, 5)
    assert_close(position.gaps, size * wanted.gaps, ROUNDING)
    assert_close(position.net.filters, wanted.net.filters, ROUNDING)


@pytest.mark.parametrize("rule", [DESCENT, Momentum(0.05), WeightDecay(Adam(0.01), 0.1)])
def test_recombined_gaps_go_on_as_if_they_had_started_so(rule):
    gaps, matrix = directions(), np.array([[2.0, -1.0], [0.5, 3.0]])
    halfway = run(pair(), rule, gaps, 4).recombined(matrix)
    for batch in islice(batches(pair(), DIGITS.images, DIGITS.targets), 4):
        halfway = halfway.after(*batch)
    wanted = run(pair(), rule, gaps @ matrix, 8)
    assert_close(halfway.gaps, wanted.gaps, 1e-11)
    assert_close(halfway.net.filters, wanted.net.filters, ROUNDING)


def test_a_single_gap_is_rescaled():
    gaps = directions(1)
    position = run(pair(), Momentum(0.05), gaps, 3).recombined(np.array([[-2.0]]))
    assert_close(position.gaps, -2 * run(pair(), Momentum(0.05), gaps, 3).gaps, ROUNDING)
    position = position.after(pair().patches(DIGITS.images), DIGITS.targets)
    assert_close(position.gaps, -2 * run(pair(), Momentum(0.05), gaps, 4).gaps, ROUNDING)


def test_a_gap_does_not_change_the_length_of_the_gradient():
    """What one twin adds the other takes away: clipping shortens the pull on the gap, and nothing else."""
    net, gaps = pair(), directions()
    _, gradients = merged(net).loss_and_gradients(DIGITS.images, DIGITS.targets)
    length = np.sqrt(sum((value**2).sum() for value in gradients.values()))
    t = transverse_hessian(merged(net), DIGITS.images, DIGITS.targets, 0)
    wanted = gaps - 0.1 * 0.01 / (length + 1e-6) * t @ gaps
    assert_close(run(net, ClipNorm(DESCENT, 0.01), gaps, 1).gaps, wanted, ROUNDING)


@pytest.mark.parametrize("arithmetic", ["blas", "position_blind"])
def test_twins_stay_exact(arithmetic):
    assert twins.gap(run(pair(arithmetic=arithmetic, filters=5), Adam(0.01), directions(1), 30).net) == 0


def test_merged_puts_both_at_the_centre():
    net = pair()
    both = merged(net, 0, 2)
    centre = (twins.unit_vector(net, 0) + twins.unit_vector(net, 2)) / 2
    for k in (0, 2):
        assert_close(twins.unit_vector(both, k), centre, ROUNDING)
    np.testing.assert_array_equal(twins.unit_vector(both, 1), twins.unit_vector(net, 1))
    assert twins.gap(both, 0, 2) == 0


def test_merged_is_in_double_precision():
    net = pair()
    single = net.with_parameters({name: value.astype(np.float32) for name, value in net.parameters.items()})
    assert merged(single).filters.dtype == np.float64
    assert twins.gap(merged(single)) == 0


def test_rule_that_parts_the_twins():
    with pytest.raises(ValueError, match="optimizer must treat units 0 and 1 alike, got Freeze"):
        run(pair(), Freeze(DESCENT, units=(0,)), directions(), 1)


def test_diverging_run():
    net = pair(activation="identity")
    with pytest.raises(
        DivergedError, match=r"the merged run diverged at step \d+; try a smaller learning rate"
    ) as raised:
        run(net, GradientDescent(10.0), directions(), 200)
    step = int(re.search(r"\d+", str(raised.value))[0])
    assert run(net, GradientDescent(10.0), directions(), step - 1).step == step - 1
    with pytest.raises(DivergedError):
        run(net, GradientDescent(10.0), directions(), step)


def test_several_channels():
    images = rng(4).normal(size=(6, 2, 5, 5))
    targets = rng(5).normal(size=(6, 1))
    net = twins.make_twins(FilterNet.random(rng(1), filters=3, channels=2), gap=0.3, rng=rng(2))
    gaps = rng(3).normal(size=(20, 2))
    position = TransverseRun.start(net, DESCENT, gaps)
    wanted = gaps - 0.1 * transverse_hessian(position.net, images, targets, 1) @ gaps
    assert_close(position.after(net.patches(images), targets).gaps, wanted, ROUNDING)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((3, 1)), np.full((11, 1), np.nan)])
def test_wrong_directions(wrong):
    with pytest.raises(ValueError, match=r"directions must be finite with shape \(U, K\), U = 11, got \("):
        TransverseRun.start(pair(), DESCENT, wrong)


def test_wrong_units():
    with pytest.raises(ValueError, match="twins must be two different units, got i = j = 1"):
        TransverseRun.start(pair(), DESCENT, directions(), 1, 1)


def test_all_images_in_every_step():
    net = pair()
    for patches, targets in islice(batches(net, DIGITS.images, DIGITS.targets), 3):
        np.testing.assert_array_equal(patches, net.patches(DIGITS.images))
        np.testing.assert_array_equal(targets, DIGITS.targets)


def test_an_epoch_shows_every_image_once():
    net = pair()
    drawn = list(islice(batches(net, DIGITS.images, DIGITS.targets, batch_size=8, rng=rng()), 6))
    assert [len(patches) for patches, _ in drawn] == [8, 8, 4, 8, 8, 4]
    everything = np.sort(net.patches(DIGITS.images).sum(axis=(1, 2)))
    for epoch in (drawn[:3], drawn[3:]):
        seen = np.concatenate([patches for patches, _ in epoch]).sum(axis=(1, 2))
        np.testing.assert_allclose(np.sort(seen), everything, rtol=ROUNDING)
    assert not np.array_equal(drawn[0][0], drawn[3][0])


@pytest.mark.parametrize("batch_size", [1, 20])
def test_smallest_and_largest_minibatch(batch_size):
    patches, targets = next(batches(pair(), DIGITS.images, DIGITS.targets, batch_size=batch_size, rng=rng()))
    assert len(patches) == len(targets) == batch_size


def test_images_and_targets_stay_together():
    net, noise = pair(), (InputDropout(0.5), LabelNoise(1e-9))
    images = np.arange(20.0)[:, None, None, None] * np.ones((1, 1, 8, 8))
    targets = np.arange(20.0)[:, None]
    for patches, answers in islice(batches(net, images, targets, batch_size=6, noise=noise, rng=rng()), 8):
        # Pixels are blanked or doubled.
        np.testing.assert_allclose(patches.max(axis=(1, 2)) / 2, answers[:, 0], atol=1e-7)
        assert np.abs(answers - answers.round()).max() > 0
        assert (patches[answers[:, 0] > 0.5] == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must lie between 1 and the number of images, 20, got 0"),
        ({"batch_size": 21}, "batch_size must lie between 1 and the number of images, 20, got 21"),
        (
            {"batch_size": 3, "rng": None},
            "rng must be a numpy.random.Generator for minibatches and noise, got None",
        ),
        (
            {"noise": [LabelNoise(1.0)], "rng": None},
            "rng must be a numpy.random.Generator for minibatches and noise",
        ),
        (
            {"noise": [HiddenDropout(0.5)]},
            "noise must act on targets or images, alike for both twins, got HiddenDrop",
        ),
        (
            {"noise": [GradientNoise(0.5)]},
            "noise must act on targets or images, alike for both twins, got Gradient",
        ),
    ],
)
def test_wrong_noise(options, message):
    with pytest.raises(ValueError, match=message):
        next(batches(pair(), DIGITS.images, DIGITS.targets, **{"rng": rng(), **options}))


def test_label_noise_needs_the_squared_loss():
    net = FilterNet.random(rng(), loss="cross_entropy", outputs=2)
    labels = (DIGITS.targets[:, 0] > 0).astype(int)
    with pytest.raises(ValueError, match=r"needs the squared loss, .* got cross_entropy and LabelNoise"):
        next(batches(net, DIGITS.images, labels, noise=[LabelNoise(1.0)], rng=rng()))
    _, targets = next(batches(net, DIGITS.images, labels, noise=[LabelFlip(1.0)], rng=rng()))
    np.testing.assert_array_equal(targets, np.eye(2)[1 - labels])


def test_wrong_data():
    with pytest.raises(ValueError, match="images must be finite"):
        next(batches(pair(), np.full_like(DIGITS.images, np.nan), DIGITS.targets))
    with pytest.raises(ValueError, match="targets must be floating"):
        next(batches(pair(), DIGITS.images, DIGITS.targets[:3]))


def test_networks_that_are_not_covered():
    with pytest.raises(
        ValueError, match="net must have one convolutional layer and pooling 'mean' or 'max', got 2"
    ):
        TransverseRun.start(FilterNet.random(rng(), filters=(2, 3)), DESCENT, directions())


def test_a_maximum_over_positions():
    """Gaps of 1e-7 in a real run: no patch overtakes another, so the linear theory holds."""
    net = pair(1e-7, pooling="max")
    start = TransverseRun.start(net, DESCENT, twins.difference(net)[:, None])
    patches = net.patches(DIGITS.images)
    position = start.after(patches, DIGITS.targets)
    _, gradients = net.loss_and_gradients(DIGITS.images, DIGITS.targets)
    stepped, _ = DESCENT.update(net.parameters, gradients, None)
    measured = twins.difference(net.with_parameters(stepped))
    assert_close(position.gaps[:, 0], measured, 1e-6)
