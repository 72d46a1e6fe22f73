"""The transverse Hessian, its eigenvalues, and the bound on them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hessian_oracle import loss_hessian
from twinfilters import data, stability, twins
from twinfilters.network import FilterNet
from twinfilters.stability import (
    fastest_direction,
    growth_bound,
    growth_rate,
    transverse_blocks,
    transverse_hessian,
)
from twinfilters.stability.hessian import transverse_hessian_of_patches

SMOOTH = ("identity", "softplus", "tanh", "erf", "gelu")

# Two ways to add up the same products in double precision, relative to the largest entry.
ROUNDING = 1e-12

# Agreement with PyTorch's second derivatives, relative to the largest entry.
TORCH = 1e-9


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(*, outputs=2, loss="squared", seed=0, count=7, **options):
    """Draw a network whose units 0 and 1 are exact twins beside a third one, with images and targets."""
    draw = rng(seed)
    options = {"kernel": (2, 3), "stride": (2, 1), "padding": 1, "channels": 2, "filters": 3, **options}
    net = FilterNet.random(draw, outputs=outputs, loss=loss, **options)
    net = net.with_parameters(
        bias=draw.normal(size=net.units), readout_bias=draw.normal(size=outputs), readout=3 * net.readout
    )
    images = draw.normal(size=(count, net.filters.shape[1], 5, 4))
    targets = draw.normal(size=(count, outputs))
    if loss == "cross_entropy":
        targets = np.exp(targets) / np.exp(targets).sum(axis=1, keepdims=True)
    return twins.tie(net), images, targets


def assert_close(actual, wanted, tolerance):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def slow_hessian(net, images, targets, k):
    """Add up the definition, one patch at a time."""
    size = len(twins.unit_vector(net, k))
    filter_size = net.filters[k].size
    total = np.zeros((size, size))
    patches, residuals = net.patches(images), net.residuals(images, targets)
    for patch, r in zip(patches, residuals, strict=True):
        for x in patch.T:
            x = np.append(x, 1.0)
            z = net.filters[k].ravel() @ x[:-1] + net.bias[k]
            _, slope, curvature = stability.hessian.activation(net.activation)(np.array(z), 2)
            for a in range(filter_size + 1):
                for b in range(filter_size + 1):
                    total[a, b] += (r @ net.readout[:, k]) * curvature * x[a] * x[b]
                for o in range(len(r)):
                    total[a, filter_size + 1 + o] += r[o] * slope * x[a]
                    total[filter_size + 1 + o, a] += r[o] * slope * x[a]
    return total / (len(patches) * patches.shape[2])


def test_one_pixel_by_hand():
    """One pixel x = 2, one erf unit with w = 1, b = -1, a = 3, c = 0.5, so that z = 1; target 1."""
    net = FilterNet(np.ones((1, 1, 1, 1)), -np.ones(1), np.array([[3.0]]), np.array([0.5]), activation="erf")
    image, target = np.full((1, 1, 1, 1), 2.0), np.array([[1.0]])
    slope = 2 * np.exp(-0.5) / np.sqrt(2 * np.pi)
    residual = 3 * stability.hessian.activation("erf")(np.array(1.0))[0] + 0.5 - 1
    # curvature = -z slope = -slope
    s = residual * 3 * -slope * np.array([[4.0, 2.0], [2.0, 1.0]])
    g = residual * slope * np.array([[2.0, 1.0]])
    splitting, coupling = transverse_blocks(net, image, target, 0)
    np.testing.assert_allclose(splitting, s, rtol=ROUNDING)
    np.testing.assert_allclose(coupling, g, rtol=ROUNDING)


@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_against_slow_sum(activation, loss):
    net, images, targets = problem(activation=activation, loss=loss)
    for unit in (0, 2):
        wanted = slow_hessian(net, images, targets, unit)
        assert_close(transverse_hessian(net, images, targets, unit), wanted, ROUNDING)


@pytest.mark.parametrize("activation", [*SMOOTH, "relu"])
@pytest.mark.parametrize(("loss", "outputs"), [("squared", 1), ("cross_entropy", 3)])
def test_antisymmetric_block_of_the_whole_hessian(activation, loss, outputs):
    """Directions (v, -v) / sqrt 2 of the twins: the Gauss-Newton part is gone."""
    net, images, targets = problem(activation=activation, loss=loss, outputs=outputs)
    whole = loss_hessian(net, images, targets)
    wanted = (whole[0, :, 0] - whole[0, :, 1] - whole[1, :, 0] + whole[1, :, 1]) / 2
    assert_close(transverse_hessian(net, images, targets, 0), wanted, TORCH)


@pytest.mark.parametrize("activation", ["identity", "gelu", "relu"])
def test_antisymmetric_block_with_a_maximum_over_positions(activation):
    net, images, targets = problem(activation=activation, pooling="max")
    whole = loss_hessian(net, images, targets)
    for k, wanted in ((0, whole[0, :, 0] - whole[0, :, 1]), (1, whole[1, :, 1] - whole[1, :, 0])):
        assert_close(transverse_hessian(net, images, targets, k), wanted, TORCH)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_antisymmetric_directions_see_nothing_but_themselves(activation):
    """The gap neither pushes the centre nor any other unit, to first order."""
    net, images, targets = problem(activation=activation)
    whole = loss_hessian(net, images, targets)
    mixed = whole[:, :, 0] - whole[:, :, 1]
    assert np.abs(mixed[2]).max() < ROUNDING * np.abs(whole).max()
    assert np.abs(mixed[0] + mixed[1]).max() < ROUNDING * np.abs(whole).max()


@pytest.mark.parametrize("entries", [1, 150, 400])
def test_blocks_of_images_add_up(monkeypatch, entries):
    net, images, targets = problem()
    whole = transverse_hessian(net, images, targets, 0)
    monkeypatch.setattr(stability.hessian, "BLOCK_ENTRIES", entries)
    assert_close(transverse_hessian(net, images, targets, 0), whole, ROUNDING)


def test_a_block_holds_as_many_entries_as_allowed(monkeypatch):
    net, images, targets = problem()
    sizes = []
    original = FilterNet.patches
    # Kernels of 2 x 3, two channels, 5 x 4 pixels.
    monkeypatch.setattr(stability.hessian, "BLOCK_ENTRIES", 3 * 2 * 3 * 2 * 5 * 4)
    monkeypatch.setattr(FilterNet, "patches", lambda net, x: sizes.append(len(x)) or original(net, x))
    transverse_hessian(net, images, targets, 0)
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("entries", [1, 2**18])
def test_the_same_from_patches(monkeypatch, entries):
    net, images, targets = problem()
    whole = transverse_hessian(net, images, targets, 1)
    monkeypatch.setattr(stability.hessian, "BLOCK_ENTRIES", entries)
    assert_close(transverse_hessian_of_patches(net, net.patches(images), targets, 1), whole, ROUNDING)


def test_symmetric_to_the_last_bit():
    t = transverse_hessian(*problem(count=40), 0)
    np.testing.assert_array_equal(t, t.T)


def test_labels_stand_for_one_hot_targets():
    net, images, _ = problem(outputs=3, loss="cross_entropy")
    labels = rng().integers(3, size=len(images))
    t = transverse_hessian(net, images, labels, 0)
    np.testing.assert_array_equal(t, transverse_hessian(net, images, np.eye(3)[labels], 0))


def test_follows_the_floating_type():
    net, images, targets = problem()
    single = net.with_parameters({k: v.astype(np.float32) for k, v in net.parameters.items()})
    t = transverse_hessian(single, images.astype(np.float32), targets.astype(np.float32), 0)
    assert t.dtype == np.float32
    # Single precision keeps 24 bits; some hundred products are added up.
    assert_close(t, transverse_hessian(net, images, targets, 0), 1e-5)


def test_zero_residual_stops_the_gap():
    net, images, _ = problem()
    t = transverse_hessian(net, images, net.outputs(images), 0)
    # What is left of the residual is the rounding of outputs of order one.
    assert np.abs(t).max() < 1e-14


def test_inputs_are_left_alone():
    net, images, targets = problem()
    images.setflags(write=False)
    targets.setflags(write=False)
    before = images.copy(), targets.copy()
    transverse_hessian(net, images, targets, 0)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(targets, before[1])


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations(range(3)),
    activation=st.sampled_from([*SMOOTH, "relu"]),
    loss=st.sampled_from(["squared", "cross_entropy"]),
)
def test_does_not_depend_on_the_order_of_units_and_images(seed, order, activation, loss):
    net, images, targets = problem(seed=seed, activation=activation, loss=loss)
    shuffled = net.with_parameters(
        filters=net.filters[order], bias=net.bias[order], readout=net.readout[:, order]
    )
    turned = rng(seed).permutation(len(images))
    for k in range(3):
        t = transverse_hessian(shuffled, images[turned], targets[turned], k)
        wanted = transverse_hessian(net, images, targets, order[k])
        # The outputs that residuals are made of are added up in another order too.
        np.testing.assert_allclose(t, wanted, rtol=0, atol=1e-11 * (1 + np.abs(wanted).max()))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    channels=st.integers(1, 3),
    outputs=st.integers(1, 3),
)
def test_odd_shapes(seed, kernel, stride, dilation, channels, outputs):
    net, images, targets = problem(
        seed=seed, kernel=kernel, stride=stride, dilation=dilation, channels=channels, outputs=outputs
    )
    t = transverse_hessian(net, images, targets, 1)
    assert t.shape == (channels * kernel[0] * kernel[1] + 1 + outputs,) * 2
    wanted = slow_hessian(net, images, targets, 1)
    np.testing.assert_allclose(t, wanted, rtol=0, atol=ROUNDING * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("activation", SMOOTH)
def test_twins_part_as_the_transverse_hessian_says(activation):
    """Units at m + v and m - v: the gradients differ by 2 T v, up to the cube of the gap."""
    net, images, targets = problem(activation=activation)
    t = transverse_hessian(net, images, targets, 0)
    v = rng(1).normal(size=len(t))
    gap = 1e-5
    pair = twins.make_twins(net, gap=2 * gap, direction=v)
    _, gradients = pair.loss_and_gradients(images, targets)
    slopes = pair.with_parameters(gradients)
    # Central differences of a third-order function: gap squared, and rounding divided by the gap.
    assert_close(twins.difference(slopes) / 2 / gap, t @ (v / np.linalg.norm(v)), 1e-8)


def test_splitting_changes_the_loss_by_its_eigenvalue():
    """Halves of unit 2 moved apart along the lowest eigenvector of S lower the loss by eps^2 / 2 lambda_min."""
    net, images, targets = problem(outputs=1)
    splitting, _ = transverse_blocks(net, images, targets, 2)
    step = 1e-3 * fastest_direction(splitting)
    filter_step, bias_step = step[:-1].reshape(net.filters[2].shape), step[-1]
    split = net.with_parameters(
        filters=np.stack([*net.filters[:2], net.filters[2] + filter_step, net.filters[2] - filter_step]),
        bias=np.append(net.bias[:2], [net.bias[2] + bias_step, net.bias[2] - bias_step]),
        readout=np.append(net.readout, net.readout[:, 2:], axis=1) * [1, 1, 0.5, 0.5],
    )
    change = split.mean_loss(images, targets) - net.mean_loss(images, targets)
    assert growth_rate(splitting) > 0
    # The next order is eps^4, one millionth of the effect; rounding of the loss some 1e-8 of it.
    np.testing.assert_allclose(change, -0.5e-6 * growth_rate(splitting), rtol=1e-5)


def test_linear_units_grow_as_fast_as_they_shrink():
    """Theorem 5: the eigenvalues are plus and minus |g|, and 0."""
    net, images, targets = problem(activation="identity", outputs=1)
    t = transverse_hessian(net, images, targets, 0)
    size = np.linalg.norm(transverse_blocks(net, images, targets, 0)[1])
    values = np.linalg.eigvalsh(t)
    np.testing.assert_allclose(values[[0, -1]], [-size, size], rtol=ROUNDING)
    assert np.abs(values[1:-1]).max() < ROUNDING * size
    np.testing.assert_allclose(growth_rate(t), size, rtol=ROUNDING)


def test_growth_rate_is_the_rate():
    matrix = np.diag([2.0, -3.0, 1.0])
    assert growth_rate(matrix) == 3
    assert growth_rate(-matrix) == 2
    assert growth_rate(matrix + 5 * np.eye(3)) == -2


def test_fastest_direction_is_a_unit_eigenvector_with_a_fixed_sign():
    t = transverse_hessian(*problem(), 0)
    direction = fastest_direction(t)
    np.testing.assert_allclose(np.linalg.norm(direction), 1, rtol=ROUNDING)
    assert_close(t @ direction, -growth_rate(t) * direction, ROUNDING * 10)
    assert direction[np.abs(direction).argmax()] > 0


SYMMETRIC = hnp.arrays(float, (4, 4), elements=st.floats(-3, 3)).map(lambda a: a + a.T)


@given(splitting=SYMMETRIC, coupling=hnp.arrays(float, (2, 4), elements=st.floats(-3, 3)))
def test_bound_holds(splitting, coupling):
    t = np.block([[splitting, coupling.T], [coupling, np.zeros((2, 2))]])
    assert growth_bound(splitting, coupling) <= growth_rate(t) + 1e-12 * (1 + np.abs(t).max())
    # Some direction grows whenever G is not 0. Squares of tiny couplings underflow.
    if np.abs(coupling).max() > 1e-3:
        assert growth_rate(t) > 0
        assert growth_bound(splitting, coupling) > 0


@given(splitting=SYMMETRIC, coupling=hnp.arrays(float, (1, 4), elements=st.floats(0.1, 3)))
def test_bound_for_one_output_is_the_formula_of_theorem_5(splitting, coupling):
    size = np.linalg.norm(coupling)
    direction = coupling[0] / size
    s = direction @ splitting @ direction
    wanted = -0.5 * (s - np.sqrt(s**2 + 4 * size**2))
    np.testing.assert_allclose(growth_bound(splitting, coupling), wanted, rtol=1e-9)


def test_bound_is_attained_when_the_gradient_is_an_eigenvector():
    splitting = np.diag([1.5, 4.0])
    t = np.array([[1.5, 0, 2.0], [0, 4, 0], [2, 0, 0]])
    np.testing.assert_allclose(growth_bound(splitting, [[2.0, 0.0]]), growth_rate(t), rtol=ROUNDING)
    np.testing.assert_allclose(growth_rate(t), (np.sqrt(1.5**2 + 16) - 1.5) / 2, rtol=ROUNDING)


def test_without_coupling_the_bound_promises_nothing():
    assert growth_bound(np.eye(2), np.zeros((1, 2))) == 0


def test_several_outputs_take_the_best_bound():
    """A stiff strong direction, a soft weak one: the weak one gives the better bound."""
    bound = growth_bound(np.diag([100.0, -1.0]), np.diag([2.0, 1.0]))
    np.testing.assert_allclose(bound, (np.sqrt(5) + 1) / 2, rtol=ROUNDING)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), r"matrix must be square, got shape \(2, 3\)"),
        (np.zeros(4), r"matrix must be square, got shape \(4,\)"),
        (np.zeros((0, 0)), r"matrix must be square, got shape \(0, 0\)"),
        ([[np.nan]], "matrix must be finite, got NaN or infinity"),
        ([[np.inf, 0], [0, 1]], "matrix must be finite, got NaN or infinity"),
        (
            [[1, 1], [1 + 2.5e-10, 1]],
            "matrix must be symmetric, got a difference of 2.5e-10 from its transpose",
        ),
    ],
)
@pytest.mark.parametrize("function", [growth_rate, fastest_direction, lambda s: growth_bound(s, np.eye(2))])
def test_matrices_that_are_no_hessians(function, matrix, message):
    with pytest.raises(ValueError, match=message):
        function(matrix)


def test_nearly_symmetric_is_symmetric_enough():
    assert growth_rate([[1, 1e-11], [0, 1]]) == -1


@pytest.mark.parametrize("coupling", [np.zeros(2), np.zeros((1, 3)), [[0, np.nan]]])
def test_coupling_that_does_not_fit(coupling):
    with pytest.raises(
        ValueError, match=r"coupling must be finite with shape \(O, M\) with M = 2, got shape"
    ):
        growth_bound(np.eye(2), coupling)


def test_errors_of_the_network_come_through():
    net, images, targets = problem()
    with pytest.raises(ValueError, match="unit must lie between 0 and 2, got 3"):
        transverse_hessian(net, images, targets, 3)
    with pytest.raises(ValueError, match="images must be finite, and at least one"):
        transverse_hessian(net, np.full_like(images, np.nan), targets, 0)
    with pytest.raises(ValueError, match="at least one image"):
        transverse_hessian(net, images[:0], targets[:0], 0)
    with pytest.raises(ValueError, match=r"targets must be floating with shape \(N, O\) = \(7, 2\)"):
        transverse_hessian(net, images, targets[:5], 0)


@pytest.mark.parametrize(
    ("net", "got"),
    [
        (FilterNet.random(rng(), pooling="none", positions=36), "got 1 with pooling 'none'"),
        (FilterNet.random(rng(), filters=(2, 3)), "got 2 with pooling 'mean'"),
    ],
)
def test_networks_that_are_not_covered(net, got):
    pair = data.digits(3, 8, count=5)
    with pytest.raises(ValueError, match=f"net must have one convolutional layer and pooling .* {got}"):
        transverse_hessian(net, pair.images, pair.targets, 0)


def test_digits_part():
    """Real digits, tanh twins with trainable readouts: some direction grows, as theorem 5 says."""
    pair = data.digits(3, 8, count=100)
    net = twins.tie(FilterNet.random(rng(1), activation="tanh"))
    splitting, coupling = transverse_blocks(net, pair.images, pair.targets, 0)
    t = transverse_hessian(net, pair.images, pair.targets, 0)
    assert 0 < growth_bound(splitting, coupling) <= growth_rate(t)
