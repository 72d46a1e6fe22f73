"""Potentials, forces, and the Gauss-Newton block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hessian_oracle import loss_hessian
from twinfilters import data, stability, twins
from twinfilters.interaction import (
    energy,
    forces,
    frozen_twin_hessian,
    gauss_newton,
    pair_potential,
    potential,
)
from twinfilters.network import FilterNet
from twinfilters.optimizers import Freeze, GradientDescent, Momentum
from twinfilters.stability import growth_rate, transverse_hessian
from twinfilters.training import train

# The same products in another order, relative to the largest entry.
ROUNDING = 1e-12

# Agreement with PyTorch's second derivatives, relative to the largest entry.
TORCH = 1e-9


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(*, seed=0, outputs=2, loss="squared", count=6, **options):
    draw = rng(seed)
    options = {"kernel": (2, 3), "stride": (2, 1), "padding": 1, "channels": 2, "filters": 3, **options}
    net = FilterNet.random(draw, outputs=outputs, loss=loss, **options)
    net = net.with_parameters(bias=draw.normal(size=net.units), readout_bias=draw.normal(size=outputs))
    images = draw.normal(size=(count, net.filters.shape[1], 5, 4))
    targets = draw.normal(size=(count, outputs))
    if loss == "cross_entropy":
        targets = np.exp(targets) / np.exp(targets).sum(axis=1, keepdims=True)
    return net, images, targets


def assert_close(actual, wanted, tolerance):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def unit_gradients(net, images, targets):
    """Gradient of the loss by each unit's parameters, (F, U)."""
    _, gradients = net.loss_and_gradients(images, targets)
    slopes = net.with_parameters(gradients)
    return np.stack([twins.unit_vector(slopes, k) for k in range(net.units)])


def test_two_linear_units_by_hand():
    """One image of one pixel, x = 2: features 2 and 6; readouts 1 and -1, bias 1, target 4."""
    net = FilterNet(
        np.array([1.0, 3.0]).reshape(2, 1, 1, 1), np.zeros(2), np.array([[1.0, -1.0]]), np.ones(1),
        activation="identity",
    )  # fmt: skip
    image, target = np.full((1, 1, 1, 1), 2.0), np.array([[4.0]])
    np.testing.assert_allclose(potential(net, image, target), [[6.0, 18.0]], rtol=ROUNDING)
    np.testing.assert_allclose(pair_potential(net, image), [[4.0, 12.0], [12.0, 36.0]], rtol=ROUNDING)
    parts = energy(net, image, target)
    assert parts.constant == 4.5
    np.testing.assert_allclose(parts.external, [-6.0, 18.0], rtol=ROUNDING)
    np.testing.assert_allclose(parts.pair, [[2.0, -6.0], [-6.0, 18.0]], rtol=ROUNDING)
    # f = 2 - 6 + 1 = -3, residual -7.
    np.testing.assert_allclose(parts.total, 24.5, rtol=ROUNDING)
    acting = forces(net, image, target)
    # Filter: a y x; bias: a y; readout: y h, with y = 4 - 1.
    np.testing.assert_allclose(acting.external, [[6.0, 3.0, 6.0], [-6.0, -3.0, 18.0]], rtol=ROUNDING)
    # Unit 1 on unit 0: -a0 a1 h1 (x, 1), -a1 h1 h0.
    np.testing.assert_allclose(acting.pair[0, 1], [12.0, 6.0, 12.0], rtol=ROUNDING)
    # Unit 0 on unit 1: -a0 a1 h0 (x, 1), -a0 h1 h0.
    np.testing.assert_allclose(acting.pair[1, 0], [4.0, 2.0, -12.0], rtol=ROUNDING)
    np.testing.assert_allclose(acting.pair[0, 0], [-4.0, -2.0, -4.0], rtol=ROUNDING)
    np.testing.assert_allclose(acting.pair[1, 1], [-12.0, -6.0, -36.0 * -1], rtol=ROUNDING)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    outputs=st.integers(1, 3),
    filters=st.integers(1, 4),
    activation=st.sampled_from(["identity", "relu", "softplus", "tanh", "erf", "gelu"]),
)
def test_energy_is_the_loss_and_forces_are_its_gradient(seed, outputs, filters, activation):
    net, images, targets = problem(seed=seed, outputs=outputs, filters=filters, activation=activation)
    parts = energy(net, images, targets)
    scale = parts.constant + np.abs(parts.external).sum() + np.abs(parts.pair).sum()
    assert abs(parts.total - net.mean_loss(images, targets)) < ROUNDING * scale
    acting = forces(net, images, targets)
    scale = np.abs(acting.external).sum() + np.abs(acting.pair).sum()
    assert np.abs(acting.total + unit_gradients(net, images, targets)).max() < ROUNDING * scale
    np.testing.assert_array_equal(parts.pair, parts.pair.T)


def test_potentials_are_means_over_images():
    net, images, targets = problem()
    features = net.features(images)
    v, u = np.zeros((2, 3)), np.zeros((3, 3))
    for h, y in zip(features, targets, strict=True):
        for k in range(3):
            v[:, k] += (y - net.readout_bias) * h[k] / 6
            for j in range(3):
                u[j, k] += h[j] * h[k] / 6
    assert_close(potential(net, images, targets), v, ROUNDING)
    assert_close(pair_potential(net, images), u, ROUNDING)


@pytest.mark.parametrize("k", [0, 2])
def test_pair_force_is_the_slope_of_the_pair_energy(k):
    """Moving unit k alone changes the energy of a pair; central differences."""
    net, images, targets = problem()
    direction = rng(1).normal(size=len(twins.unit_vector(net, k)))
    step = 1e-5

    def moved(sign):
        there = twins.replace_unit(net, k, twins.unit_vector(net, k) + sign * step * direction)
        return energy(there, images, targets)

    ahead, behind = moved(1), moved(-1)
    acting = forces(net, images, targets)
    for j in {0, 1, 2} - {k}:
        slope = 2 * (ahead.pair[k, j] - behind.pair[k, j]) / (2 * step)
        np.testing.assert_allclose(acting.pair[k, j] @ direction, -slope, rtol=1e-7)
    slope = (ahead.pair[k, k] - behind.pair[k, k]) / (2 * step)
    np.testing.assert_allclose(acting.pair[k, k] @ direction, -slope, rtol=1e-7)
    slope = (ahead.external[k] - behind.external[k]) / (2 * step)
    np.testing.assert_allclose(acting.external[k] @ direction, -slope, rtol=1e-7)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(3)))
def test_permuted_units_feel_permuted_forces(seed, order):
    net, images, targets = problem(seed=seed)
    turned = net.with_parameters(
        filters=net.filters[order], bias=net.bias[order], readout=net.readout[:, order]
    )
    wanted, acting = forces(net, images, targets), forces(turned, images, targets)
    np.testing.assert_allclose(acting.external, wanted.external[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(acting.pair, wanted.pair[order][:, order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ["identity", "softplus", "tanh", "erf", "gelu"])
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("cross_entropy", 3)])
def test_hessian_blocks_of_one_unit_and_of_two(activation, loss, outputs):
    """Within a unit, its twin frozen, T + Gamma; between two units Gamma. Against PyTorch."""
    net, images, targets = problem(activation=activation, loss=loss, outputs=outputs)
    net = twins.tie(net)
    whole = loss_hessian(net, images, targets)
    assert_close(frozen_twin_hessian(net, images, targets, 0), whole[0, :, 0], TORCH)
    assert_close(frozen_twin_hessian(net, images, targets, 2), whole[2, :, 2], TORCH)
    assert_close(gauss_newton(net, images, targets, 0, 1), whole[0, :, 1], TORCH)
    assert_close(gauss_newton(net, images, targets, 0, 2), whole[0, :, 2], TORCH)
    assert_close(gauss_newton(net, images, targets, 0), whole[0, :, 1], TORCH)


def test_a_maximum_over_positions():
    net, images, targets = problem(pooling="max")
    whole = loss_hessian(net, images, targets)
    assert_close(frozen_twin_hessian(net, images, targets, 2), whole[2, :, 2], TORCH)
    assert_close(-forces(net, images, targets).total, unit_gradients(net, images, targets), ROUNDING)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_gauss_newton_has_no_negative_eigenvalue(loss):
    matrix = gauss_newton(*problem(loss=loss, outputs=3, count=3), 1)
    values = np.linalg.eigvalsh(matrix)
    assert values[0] > -ROUNDING * values[-1]
    assert values[-1] > 0


def test_blocks_of_images_add_up(monkeypatch):
    net, images, targets = problem()
    whole = gauss_newton(net, images, targets, 1)
    monkeypatch.setattr(stability.hessian, "BLOCK_ENTRIES", 100)
    assert_close(gauss_newton(net, images, targets, 1), whole, ROUNDING)


def test_twins_push_each_other_alike():
    """The force between exact twins acts on their centre: it is the same on both."""
    net, images, targets = problem()
    acting = forces(twins.tie(net), images, targets)
    np.testing.assert_array_equal(acting.pair[0, 1], acting.pair[1, 0])
    np.testing.assert_array_equal(acting.pair[0, 1], acting.pair[0, 0])


def test_repulsion_of_twins_cancels_against_what_each_does_to_itself():
    """The gap feels -2 Gamma v from a unit itself, +2 Gamma v from its twin; what is left is -2 T v."""
    net, images, targets = problem()
    gap, v = 1e-6, rng(1).normal(size=len(twins.unit_vector(net, 0)))
    v /= np.linalg.norm(v)
    pair = twins.make_twins(net, gap=2 * gap, direction=v)
    acting = forces(pair, images, targets)
    merged = twins.make_twins(net)
    gamma, t = (f(merged, images, targets, 0) for f in (gauss_newton, transverse_hessian))
    own = (acting.pair[0, 0] - acting.pair[1, 1]) / gap
    mutual = (acting.pair[0, 1] - acting.pair[1, 0]) / gap
    rest = (acting.total[0] - acting.total[1]) / gap - own - mutual
    # Differences of forces of order one, divided by the gap.
    tolerance = {"rtol": 0, "atol": 1e-8}
    np.testing.assert_allclose((mutual - own) / 2, 2 * gamma @ v, **tolerance)
    np.testing.assert_allclose(own + mutual + rest, -2 * t @ v, **tolerance)
    assert np.linalg.norm(gamma @ v) > 0.01


@pytest.mark.usefixtures("unchecked")
def test_a_frozen_twin_holds_where_free_twins_part():
    """Digits 3 against 8, merged tanh twins trained until hardly anything moves: section 5 of the theory."""
    digits = data.digits(3, 8, count=60)
    net = twins.tie(FilterNet.random(rng(), activation="tanh", stride=2, arithmetic="blas"))
    rule = Momentum(0.1, 0.95)
    net = twins.tie(train(net, digits.images, digits.targets, optimizer=rule, steps=3000).net)
    here = net, digits.images, digits.targets
    assert np.abs(unit_gradients(*here)).max() < 1e-3
    assert growth_rate(transverse_hessian(*here, 0)) > 1e-4
    assert growth_rate(frozen_twin_hessian(*here, 0)) < 0


def test_gap_to_a_frozen_twin_follows_its_hessian():
    """One step of descent with unit 1 frozen: to first order the gap is multiplied by 1 - rate (T + Gamma)."""
    net, images, targets = problem()
    rule = Freeze(GradientDescent(0.1), units=(1,))
    exact = twins.tie(net)
    gap, d = 1e-6, rng(1).normal(size=len(twins.unit_vector(net, 0)))
    near = twins.replace_unit(exact, 0, twins.unit_vector(exact, 0) + gap * d)
    after, after_exact = (
        twins.difference(train(start, images, targets, optimizer=rule, steps=1).net)
        for start in (near, exact)
    )
    wanted = d - 0.1 * frozen_twin_hessian(exact, images, targets, 0) @ d
    # Second order: the gap itself, times derivatives of order one to ten.
    np.testing.assert_allclose((after - after_exact) / gap, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("function", [potential, energy, forces])
def test_pair_potential_needs_the_squared_loss(function):
    with pytest.raises(ValueError, match="a pair potential needs the loss 'squared', got 'cross_entropy'"):
        function(*problem(loss="cross_entropy"))


@pytest.mark.parametrize("function", [potential, energy, forces])
def test_wrong_data(function):
    net, images, targets = problem()
    with pytest.raises(ValueError, match=r"targets must be floating with shape \(N, O\) = \(6, 2\)"):
        function(net, images, targets[:2])
    with pytest.raises(ValueError, match="images must be finite, and at least one"):
        function(net, images[:0], targets[:0])


def test_units_that_do_not_exist():
    for function in (gauss_newton, frozen_twin_hessian):
        with pytest.raises(ValueError, match="unit must lie between 0 and 2, got 3"):
            function(*problem(), 3)
    with pytest.raises(ValueError, match="unit must lie between 0 and 2, got -1"):
        gauss_newton(*problem(), 0, -1)


def test_networks_that_are_not_covered():
    digits = data.digits(3, 8, count=5)
    deep, flat = (
        FilterNet.random(rng(), filters=(2, 3)),
        FilterNet.random(rng(), pooling="none", positions=36),
    )
    for net in (deep, flat):
        message = "net must have one convolutional layer and pooling 'mean' or 'max', got "
        for function in (potential, energy, forces):
            with pytest.raises(ValueError, match=message):
                function(net, digits.images, digits.targets)
        with pytest.raises(ValueError, match=message):
            pair_potential(net, digits.images)
        with pytest.raises(ValueError, match=message):
            gauss_newton(net, digits.images, digits.targets, 0)
