"""Networks at rest."""

import numpy as np
import pytest

from twinfilters import data
from twinfilters.network import FilterNet
from twinfilters.stationary import at_rest


def problem(seed=3, **options):
    net = FilterNet.random(
        np.random.default_rng(seed), filters=1, kernel=3, stride=2, arithmetic="blas", **options
    )
    return net, *data.digits(3, 8, count=60).examples


@pytest.mark.parametrize("outputs", [1, 2])
def test_no_parameter_feels_a_force(outputs):
    net, images, _ = problem(outputs=outputs)
    # Labels that no network of this kind can fit.
    targets = np.random.default_rng(53).normal(size=(len(images), outputs))
    rest = at_rest(net, images, targets)
    loss, gradients = rest.loss_and_gradients(images, targets)
    assert max(np.abs(gradient).max() for gradient in gradients.values()) < 1e-5
    assert 0.1 < loss < net.mean_loss(images, targets)


@pytest.mark.parametrize("seed", [1, 4, 5, 11])
def test_where_there_is_a_minimum_it_is_found_to_the_last_digits(seed):
    rng = np.random.default_rng(seed)
    digits = data.digits(3, 8)
    chosen = rng.permutation(len(digits.images))[:60]
    examples = digits.images[chosen], digits.targets[chosen]
    net = FilterNet.random(rng, filters=1, kernel=3, stride=2, activation="tanh", arithmetic="blas")
    _, gradients = at_rest(net, *examples).loss_and_gradients(*examples)
    assert max(np.abs(gradient).max() for gradient in gradients.values()) < 1e-14


def test_a_linear_network_finds_the_least_squares():
    """One linear filter and its readout can be any linear function of the mean patch."""
    net, images, targets = problem(activation="identity")
    rest = at_rest(net, images, targets)
    inputs = np.column_stack([net.patches(images).mean(axis=2), np.ones(len(images))])
    best = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    np.testing.assert_allclose(rest.outputs(images), inputs @ best, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tolerance", [0, -1e-9, np.nan])
def test_wrong_tolerance(tolerance):
    with pytest.raises(ValueError, match="tolerance must be positive, got"):
        at_rest(*problem(), tolerance=tolerance)


@pytest.mark.usefixtures("unchecked")
def test_wrong_data():
    net, images, targets = problem()
    with pytest.raises(ValueError, match=r"images must have shape \(N, C, H, W\)"):
        at_rest(net, images[:, 0], targets)
    with pytest.raises(ValueError, match=r"targets"):
        at_rest(net, images, targets[:5])
