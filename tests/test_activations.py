"""Activation functions, their slopes and their curvatures."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from checks import assert_close
from twinfilters.activations import ACTIVATIONS, activation

RTOL = 1e-13

SMOOTH = [name for name in ACTIVATIONS if name != "relu"]
POINTS = np.concatenate([np.linspace(-6, 6, 97), [-30.0, -1e-9, 1e-9, 30.0]])

ORACLES = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "tanh": torch.tanh,
    "erf": lambda z: torch.erf(z / 2**0.5),
    "gelu": torch.nn.functional.gelu,
}

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def test_all_six_are_there_and_all_have_an_oracle():
    assert list(ACTIVATIONS) == ["identity", "relu", "softplus", "tanh", "erf", "gelu"] == list(ORACLES)


@each_activation
def test_agrees_with_pytorch_up_to_the_second_derivative(name):
    z = torch.tensor(POINTS, requires_grad=True)
    value = ORACLES[name](z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    # A slope that does not depend on z has no graph; adding 0 z^2 gives it one.
    (curvature,) = torch.autograd.grad((slope + 0 * z**2).sum(), z)
    for array, wanted in zip(activation(name)(POINTS, 2), (value, slope, curvature), strict=True):
        assert_close(array, wanted.detach().numpy(), RTOL)


def test_values_by_hand():
    values = {name: activation(name)(np.array([-2.0, 0.0, 2.0]))[0].tolist() for name in ACTIVATIONS}
    assert values["identity"] == [-2, 0, 2]
    assert values["relu"] == [0, 0, 2]
    assert values["softplus"] == pytest.approx([0.12692801104297, 0.69314718055995, 2.12692801104297])
    assert values["tanh"] == pytest.approx([-0.96402758007582, 0, 0.96402758007582])
    assert values["erf"] == pytest.approx([-0.95449973610364, 0, 0.95449973610364])
    assert values["gelu"] == pytest.approx([-0.04550026389636, 0, 1.95449973610364])


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_by_complex_step(name, order):
    step = 1e-100
    measured = activation(name)(POINTS + 1j * step, order - 1)[order - 1].imag / step
    assert_close(activation(name)(POINTS, order)[order], measured, RTOL)


def test_tails_keep_their_relative_precision():
    """Far to the left, softplus is e^z and the erf's slope a Gaussian; neither is lost beside 1."""
    z = np.array([-30.0, -20.0, -15.0])
    np.testing.assert_allclose(activation("softplus")(z)[0], np.exp(z), rtol=1e-6)
    for derivative in activation("softplus")(z, 2)[1:]:
        np.testing.assert_allclose(derivative, np.exp(z), rtol=1e-6)
    np.testing.assert_allclose(
        activation("erf")(z, 1)[1], np.sqrt(2 / np.pi) * np.exp(-z * z / 2), rtol=1e-13
    )


@each_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_extreme_arguments_give_limits_without_warning(name, dtype):
    z = np.array([-1000, -100, 100, 1000], dtype)
    value, slope, curvature = activation(name)(z, 2)
    below, above = {"identity": (z[:2], z[2:]), "tanh": (-1, 1), "erf": (-1, 1)}.get(name, (0, z[2:]))
    np.testing.assert_allclose(value[:2], np.broadcast_to(below, 2), atol=1e-30)
    np.testing.assert_allclose(value[2:], np.broadcast_to(above, 2))
    below, above = {"identity": (1, 1), "tanh": (0, 0), "erf": (0, 0)}.get(name, (0, 1))
    np.testing.assert_allclose(slope, [below, below, above, above], atol=1e-30)
    np.testing.assert_allclose(curvature, np.zeros(4), atol=1e-30)


def test_relu_of_infinity_is_not_nan():
    value, slope, curvature = activation("relu")(np.array([-np.inf, np.inf]), 2)
    assert value.tolist() == [0, np.inf]
    assert slope.tolist() == [0, 1]
    assert curvature.tolist() == [0, 0]


def test_kink_of_relu_has_slope_and_curvature_zero():
    value, slope, curvature = activation("relu")(np.array([-0.0, 0.0, 5e-324, -5e-324]), 2)
    assert value.tolist() == [0, 0, 5e-324, 0]
    assert slope.tolist() == [0, 0, 1, 0]
    assert curvature.tolist() == [0, 0, 0, 0]


@each_activation
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_shape_type_and_length_of_the_answer(name, dtype, order):
    z = np.full((2, 1, 3), 0.5, dtype)
    answer = activation(name)(z, order)
    assert [array.shape for array in answer] == [z.shape] * (order + 1)
    assert [array.dtype for array in answer] == [z.dtype] * (order + 1)
    for lower, higher in zip(activation(name)(z, 2), answer, strict=False):
        np.testing.assert_array_equal(lower, higher)
    assert (z == 0.5).all()


@given(
    name=st.sampled_from(list(ACTIVATIONS)),
    dtype=st.sampled_from([np.float32, np.float64]),
    value=st.floats(-40, 40, width=32),
    others=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=70),
    copies=st.integers(2, 9),
    shuffle=st.randoms(use_true_random=False),
)
def test_equal_inputs_give_equal_bits_at_every_place_and_in_every_company(
    name, dtype, value, others, copies, shuffle
):
    """Vectorised loops treat the last entries apart: they must round them as all others."""
    entries = [value] * copies + others
    shuffle.shuffle(entries)
    z = np.array(entries, dtype)
    same = [entry.tobytes() == dtype(value).tobytes() for entry in z]
    alone = activation(name)(z[same][:1], 2)
    for array, single in zip(activation(name)(z, 2), alone, strict=True):
        assert {entry.tobytes() for entry in array[same]} == {single[0].tobytes()}


@pytest.mark.parametrize("name", ["sigmoid", "ReLU", "", None, 3])
@pytest.mark.usefixtures("unchecked")
def test_unknown_activation(name):
    with pytest.raises(
        ValueError, match=rf"activation must be one of \('identity', .*'gelu'\), got {name!r}"
    ):
        activation(name)


def test_normal_distribution_function_is_inside_gelu():
    np.testing.assert_allclose(
        activation("gelu")(POINTS)[0], POINTS * special.ndtr(POINTS), rtol=0, atol=1e-14
    )
