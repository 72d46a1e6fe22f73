"""The kicks that patches between two ReLU units give to their gap."""

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.stability import transverse_hessian
from twinfilters.stability.kicks import relu_kicks
from twinfilters.stability.transverse import merged
from twinfilters.training import train

DIGITS = data.digits(3, 8, count=50)
RATE = 0.3


def rng(seed=0):
    return np.random.default_rng(seed)


def pair(gap, *, seed=0, outputs=1, **options):
    net = FilterNet.random(rng(seed), activation="relu", outputs=outputs, **options)
    net = net.with_parameters(bias=rng(seed + 1).normal(scale=0.3, size=net.units))
    targets = DIGITS.targets if outputs == 1 else rng(seed + 2).normal(size=(50, outputs))
    return twins.make_twins(net, gap=gap, rng=rng(seed + 3)), DIGITS.images, targets


def pair_between(gap, direction):
    """Twins so placed that one patch, and hardly any other, lies in the middle between them."""
    net, images, targets = pair(0.0)
    z = net.preactivations(images)[:, 0]
    net = net.with_parameters(bias=net.bias - z[np.unravel_index(np.argsort(z, axis=None)[900], z.shape)])
    return twins.make_twins(net, gap=gap, direction=direction), images, targets


def measured_change(net, images, targets):
    after = train(net, images, targets, optimizer=GradientDescent(RATE), steps=1).net
    return twins.difference(after) - twins.difference(net)


def linear_change(net, images, targets):
    """The part of the change that is linear in the difference, with the mean of the slopes, patch by patch."""
    difference, residuals = twins.difference(net), net.residuals(images, targets)
    length, patches = net.filters[0].size + 1, net.patches(images)
    change = np.zeros_like(difference)
    for n, patch in enumerate(patches):
        for x in patch.T:
            x = np.append(x, 1.0)
            slope = np.mean([np.append(net.filters[k].ravel(), net.bias[k]) @ x > 0 for k in (0, 1)])
            for o, r in enumerate(residuals[n]):
                change[:length] -= r * slope * x * difference[length + o]
                change[length + o] -= r * slope * (x @ difference[:length])
    return RATE * change / (len(patches) * patches.shape[2])


def test_one_pixel_by_hand():
    """Pixels 1 and 2; units w = 1, 1 and b = -0.5, -1: pixel 1 lies between them, where at z = 0 the second is off."""
    net = FilterNet(
        np.ones((2, 1, 1, 1)), np.array([-0.5, -1.0]), np.array([[1.0, 3.0]]), np.zeros(1), activation="relu"
    )
    images, targets = np.array([1.0, 2.0]).reshape(1, 1, 1, 2), np.array([[0.0]])
    kicks = relu_kicks(net, images, targets, 0.1)
    # f = (0.5 + 1.5) / 2 + 3 (0 + 1) / 2 = 2.5, mean readout 2, mean preactivation 0.25.
    np.testing.assert_array_equal(kicks.images, [0])
    np.testing.assert_array_equal(kicks.positions, [0])
    np.testing.assert_array_equal(kicks.signs, [1])
    np.testing.assert_allclose(kicks.kicks, [[-0.25, -0.25, -0.1 * 2.5 * 0.25 / 2]], rtol=1e-12)
    assert kicks.count == 1
    back = relu_kicks(net, images, targets, 0.1, i=1, j=0)
    np.testing.assert_array_equal(back.signs, [-1])
    np.testing.assert_array_equal(back.kicks, -kicks.kicks)


@pytest.mark.parametrize("gap", [1e-6, 1e-1, 1.0])
@pytest.mark.parametrize("outputs", [1, 2])
def test_kicks_are_all_of_the_change_that_is_not_linear(gap, outputs):
    problem = pair(gap, outputs=outputs, filters=3)
    kicks = relu_kicks(*problem, RATE)
    assert kicks.count > 3 or gap < 1e-3
    z = problem[0].preactivations(problem[1])[kicks.images, :, kicks.positions]
    np.testing.assert_array_equal(kicks.signs, np.sign(z[:, 0] - z[:, 1]))
    beyond = measured_change(*problem) - linear_change(*problem)
    # Differences of weights of order one.
    np.testing.assert_allclose(beyond, kicks.total, rtol=0, atol=1e-15)


def test_linear_part_is_the_transverse_hessian_without_patches_between():
    problem = pair(1e-9)
    assert relu_kicks(*problem, RATE).count == 0
    t = transverse_hessian(merged(problem[0]), *problem[1:], 0)
    wanted = -RATE * t @ twins.difference(problem[0])
    np.testing.assert_allclose(measured_change(*problem), wanted, rtol=0, atol=1e-15)


def test_kicks_beside_the_prediction_of_the_centre():
    """With the transverse Hessian of the centre, the kicks explain the change up to the size of the gap."""
    gap = 1e-4
    problem = pair_between(gap, rng(7).normal(size=11))
    kicks = relu_kicks(*problem, RATE)
    assert kicks.count >= 1
    t = transverse_hessian(merged(problem[0]), *problem[1:], 0)
    predicted = -RATE * t @ twins.difference(problem[0])
    beyond = measured_change(*problem) - predicted
    assert np.linalg.norm(beyond) > 5 * np.linalg.norm(predicted)
    # Each patch between the twins counts with half its slope, or misjudges it by a half.
    share = RATE * kicks.count / problem[1].shape[0] / 36
    assert np.linalg.norm(beyond - kicks.total) < 10 * share * gap


def test_size_of_a_kick_does_not_depend_on_the_gap():
    direction = rng(7).normal(size=11)
    sizes = []
    for gap in (1e-12, 1e-9, 1e-6, 1e-3):
        kicks = relu_kicks(*pair_between(gap, direction), RATE)
        assert kicks.count >= 1
        sizes.append(kicks.sizes.max())
    np.testing.assert_allclose(sizes[:3], sizes[0], rtol=1e-5)
    np.testing.assert_allclose(sizes[3], sizes[0], rtol=0.1)


def test_number_of_kicks_is_proportional_to_the_gap():
    """Averaged over directions: patches have a density near the hyperplane."""
    counts = []
    for gap in (0.01, 0.1):
        counts.append(sum(relu_kicks(*pair(gap, seed=seed), RATE).count for seed in range(40)))
    # Poisson: about 50 and 500 patches, so 15 % is one standard error.
    np.testing.assert_allclose(counts[1] / counts[0], 10, rtol=0.5)


def test_exact_twins_are_not_kicked():
    kicks = relu_kicks(*pair(0.0), RATE)
    assert kicks.count == 0
    assert kicks.kicks.shape == (0, 11)
    np.testing.assert_array_equal(kicks.total, np.zeros(11))


def test_other_units_than_the_first_two():
    net, images, targets = pair(0.5, filters=4)
    order = [2, 3, 0, 1]
    turned = net.with_parameters(
        filters=net.filters[order], bias=net.bias[order], readout=net.readout[:, order]
    )
    wanted = relu_kicks(net, images, targets, RATE)
    kicks = relu_kicks(turned, images, targets, RATE, i=2, j=3)
    np.testing.assert_array_equal(kicks.positions, wanted.positions)
    np.testing.assert_allclose(kicks.kicks, wanted.kicks, rtol=1e-10, atol=1e-16)


def test_wrong_arguments():
    net, images, targets = pair(0.1)
    with pytest.raises(ValueError, match="kicks need the activation 'relu', got 'tanh'"):
        relu_kicks(FilterNet.random(rng()), images, targets, RATE)
    with pytest.raises(
        ValueError, match="kicks need one convolutional layer and mean pooling, got 1 with pooling 'max'"
    ):
        relu_kicks(FilterNet.random(rng(), activation="relu", pooling="max"), images, targets, RATE)
    with pytest.raises(ValueError, match="learning_rate must be positive and finite, got 0"):
        relu_kicks(net, images, targets, 0.0)
    with pytest.raises(ValueError, match="twins must be two different units, got i = j = 1"):
        relu_kicks(net, images, targets, RATE, i=1)
    with pytest.raises(ValueError, match="targets must be floating"):
        relu_kicks(net, images, targets[:3], RATE)
