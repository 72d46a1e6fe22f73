"""Losses, residual signals, and what counts as a target."""

import numpy as np
import pytest
import torch
from torch.autograd import functional as autograd

from checks import assert_close
from twinfilters.losses import LOSSES, checked_targets, loss_function

TORCH_RTOL = 1e-10
COMPLEX_STEP_RTOL = 1e-12

ORACLES = {
    "squared": lambda outputs, targets: 0.5 * ((outputs - targets) ** 2).sum(),
    "cross_entropy": lambda outputs, targets: torch.nn.functional.cross_entropy(
        outputs[None], targets[None], reduction="sum"
    ),
}

each_loss = pytest.mark.parametrize("name", LOSSES)


def draw(images=5, outputs=4, scale=3.0):
    """Outputs, and targets that are probabilities."""
    rng = np.random.default_rng(0)
    return rng.normal(scale=scale, size=(images, outputs)), rng.dirichlet(np.ones(outputs), size=images)


def test_squared_by_hand():
    loss, residual, curvature = loss_function("squared")(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), 2)
    assert loss.tolist() == [2.5]
    assert residual.tolist() == [[1.0, -2.0]]
    assert curvature.tolist() == [[[1.0, 0.0], [0.0, 1.0]]]


def test_cross_entropy_by_hand():
    """Odds 3 : 1, and the likelier class is the right one."""
    loss, residual, curvature = loss_function("cross_entropy")(
        np.array([[np.log(3.0), 0.0]]), np.array([[1.0, 0.0]]), 2
    )
    np.testing.assert_allclose(loss, [np.log(4 / 3)])
    np.testing.assert_allclose(residual, [[-0.25, 0.25]])
    np.testing.assert_allclose(curvature, [[[0.1875, -0.1875], [-0.1875, 0.1875]]])


@each_loss
def test_agrees_with_pytorch_up_to_the_second_derivative(name):
    outputs, targets = draw()
    loss, residual, curvature = loss_function(name)(outputs, targets, 2)
    for n in range(len(outputs)):
        target = torch.tensor(targets[n])
        oracle, f = lambda f, y=target: ORACLES[name](f, y), torch.tensor(outputs[n])
        for ours, function in zip(
            (loss, residual, curvature),
            (lambda oracle, f: oracle(f), autograd.jacobian, autograd.hessian),
            strict=True,
        ):
            assert_close(ours[n], function(oracle, f).numpy(), TORCH_RTOL)


@each_loss
def test_derivatives_by_complex_step(name):
    outputs, targets = draw()
    _, residual, curvature = loss_function(name)(outputs, targets, 2)
    for o in range(outputs.shape[1]):
        shifted = outputs.astype(complex)
        shifted[:, o] += 1e-100j
        loss, stepped = loss_function(name)(shifted, targets, 1)
        assert_close(loss.imag / 1e-100, residual[:, o], COMPLEX_STEP_RTOL)
        assert_close(stepped.imag / 1e-100, curvature[:, :, o], COMPLEX_STEP_RTOL)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_logits_neither_overflow_nor_warn(dtype):
    outputs = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 1e4]], dtype)
    targets = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype)
    loss, residual, curvature = loss_function("cross_entropy")(outputs, targets, 2)
    assert loss.tolist() == [0.0, 1e4]
    assert residual.tolist() == [[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]]
    assert not curvature.any()


def test_cross_entropy_does_not_see_a_constant_added_to_all_outputs():
    outputs, targets = draw()
    function = loss_function("cross_entropy")
    for plain, shifted in zip(function(outputs, targets, 2), function(outputs + 7, targets, 2), strict=True):
        assert_close(shifted, plain, 1e-13)


@each_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_shape_type_and_length_of_the_answer(name, dtype, order):
    outputs, targets = (array.astype(dtype) for array in draw(images=5, outputs=4))
    copies = outputs.copy(), targets.copy()
    answer = loss_function(name)(outputs, targets, order)
    assert [array.shape for array in answer] == [(5,), (5, 4), (5, 4, 4)][: order + 1]
    assert [array.dtype for array in answer] == [dtype] * (order + 1)
    assert (outputs == copies[0]).all()
    assert (targets == copies[1]).all()


@pytest.mark.parametrize("name", ["mse", "", None])
@pytest.mark.usefixtures("unchecked")
def test_unknown_loss(name):
    with pytest.raises(
        ValueError, match=rf"loss must be one of \('squared', 'cross_entropy'\), got {name!r}"
    ):
        loss_function(name)


# --- targets


def test_labels_become_one_hot_rows():
    for labels in (np.array([2, 0]), np.array([2, 0], np.uint8)):
        assert checked_targets(labels, 2, 3, "cross_entropy").tolist() == [[0, 0, 1], [1, 0, 0]]


def test_numbers_become_a_column_for_one_output():
    assert checked_targets(np.array([0.5, -1.0]), 2, 1, "squared").tolist() == [[0.5], [-1.0]]


@each_loss
def test_good_targets_pass_as_they_are(name):
    _, targets = draw()
    np.testing.assert_array_equal(checked_targets(targets, 5, 4, name), targets)
    np.testing.assert_array_equal(
        checked_targets(targets.astype(np.float32), 5, 4, name), targets.astype("f4")
    )


PROBABILITIES = "targets of the cross-entropy must be probabilities, not negative and with rows that sum to 1"


@pytest.mark.parametrize(
    ("targets", "images", "outputs", "loss", "message"),
    [
        ([0, 3], 2, 3, "squared", "labels must lie between 0 and 2, got between 0 and 3"),
        ([-1, 2], 2, 3, "cross_entropy", "labels must lie between 0 and 2, got between -1 and 2"),
        (
            [0, 1, 2],
            2,
            3,
            "squared",
            r"\(N, O\) = \(2, 3\), or .* shape \(2,\) .* got int64 with shape \(3,\)",
        ),
        ([0, 1], 2, 1, "squared", r"\(N, O\) = \(2, 1\), or .* got int64 with shape \(2,\)"),
        ([[0, 1], [1, 0]], 2, 2, "squared", r"targets must be floating .* got int64 with shape \(2, 2\)"),
        ([True, False], 2, 2, "squared", r"targets must be floating .* got bool with shape \(2,\)"),
        (["a", "b"], 2, 2, "squared", r"targets must be floating .* got <U1 with shape \(2,\)"),
        ([0.0, 1.0], 2, 2, "squared", r"targets must be floating .* got float64 with shape \(2,\)"),
        ([[0.0], [np.nan]], 2, 1, "squared", "targets must be finite, got NaN or infinity"),
        ([[0.0], [np.inf]], 2, 1, "squared", "targets must be finite, got NaN or infinity"),
        (
            [[0.5, 0.4]],
            1,
            2,
            "cross_entropy",
            rf"{PROBABILITIES}, got entries down to .* and rows that sum to between 0\.9 and 0\.9",
        ),
        ([[1.5, -0.5]], 1, 2, "cross_entropy", rf"{PROBABILITIES}, got entries down to -0\.5 and"),
        (
            [0.7],
            1,
            1,
            "cross_entropy",
            rf"{PROBABILITIES}, got .* rows that sum to between 0\.7 and 0\.7",
        ),
        ([], 0, 2, "squared", "targets must belong to at least one image, got none"),
        (np.zeros((0, 2)), 0, 2, "cross_entropy", "targets must belong to at least one image, got none"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_targets(targets, images, outputs, loss, message):
    with pytest.raises(ValueError, match=message):
        checked_targets(np.array(targets), images, outputs, loss)
