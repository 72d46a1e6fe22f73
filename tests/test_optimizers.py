"""A rule makes a step out of a gradient."""

import numpy as np
import pytest

from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent


def test_descent_by_hand():
    parameters = {"filters": np.array([1.0, -2.0]), "bias": np.array([0.5])}
    gradients = {"filters": np.array([4.0, 8.0]), "bias": np.array([-1.0])}
    rule = GradientDescent(0.25)
    stepped, state = rule.update(parameters, gradients, rule.start(parameters))
    assert state is None
    assert {name: value.tolist() for name, value in stepped.items()} == {
        "filters": [0.0, -4.0],
        "bias": [0.75],
    }


def test_descent_leaves_parameters_and_gradients_alone():
    parameters, gradients = {"bias": np.array([1.0])}, {"bias": np.array([3.0])}
    for array in (*parameters.values(), *gradients.values()):
        array.setflags(write=False)
    GradientDescent(0.1).update(parameters, gradients, None)
    assert parameters["bias"] == 1
    assert gradients["bias"] == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.usefixtures("unchecked")  # jaxtyping does not know long double
def test_descent_keeps_the_floating_type(dtype):
    net = FilterNet.random(np.random.default_rng(0))
    parameters = {name: value.astype(dtype) for name, value in net.parameters.items()}
    stepped, _ = GradientDescent(0.1).update(parameters, parameters, None)
    assert {value.dtype for value in stepped.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan"), float("inf")])
@pytest.mark.usefixtures("unchecked")
def test_learning_rate_must_be_positive_and_finite(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate must be positive and finite, got {learning_rate}"):
        GradientDescent(learning_rate)
