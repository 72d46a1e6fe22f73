"""What several tests measure with."""

import numpy as np


def assert_close(actual, wanted, rtol):
    """Compare two arrays, the largest difference relative to the norm of the wanted one; print both if it fails."""
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    assert actual.shape == wanted.shape, f"shape {actual.shape}, wanted {wanted.shape}"
    if actual.size == 0:
        return
    error, size = np.abs(actual - wanted).max(), np.linalg.norm(wanted)
    assert error <= rtol * size, f"error {error:.2e} for norm {size:.2e}\n{actual}\nwanted\n{wanted}"


def assert_derivative(measured, gradient, direction, rtol):
    """Compare the derivative measured along a direction with a gradient, relative to the norms of both."""
    predicted = (gradient * direction).sum()
    size = np.linalg.norm(gradient) * np.linalg.norm(direction)
    assert abs(measured - predicted) <= rtol * size, (
        f"measured {measured}, predicted {predicted}, size {size:.2e}"
    )


def complex_step(function, point, direction):
    """Derivative of an analytic function along a direction, exact to rounding: no difference is taken."""
    step = 1e-100
    return function(point + 1j * step * direction).imag / step


def central_difference(function, point, direction, step=1e-5):
    """Derivative of a real function along a direction, with an error of second order in the step."""
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)
