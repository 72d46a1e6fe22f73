"""Rounding: counting bit patterns, and the time until rounding is visible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.rounding import (
    IMPLEMENTATIONS,
    Patterns,
    distinct_filters,
    distinct_patterns,
    measured_escape_step,
    predicted_escape_steps,
    unit_roundoff,
)
from twinfilters.stability import growth_rate, transverse_hessian
from twinfilters.training import train


def test_patterns_are_counted_by_bits():
    above = np.nextafter(1.0, 2.0)
    assert distinct_patterns(np.array([[1.0, 2.0], [1.0, 2.0], [above, 2.0]])) == 2
    assert distinct_patterns(np.array([0.0, -0.0])) == 2
    assert distinct_patterns(np.zeros((5, 2, 2))) == 1


@given(
    count=st.integers(1, 20),
    kernel=st.integers(1, 5),
    channels=st.integers(1, 4),
    images=st.integers(1, 9),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    seed=st.integers(0, 100),
)
def test_position_blind_gives_one_pattern(count, kernel, channels, images, dtype, seed):
    patterns = distinct_filters(
        count,
        rng=np.random.default_rng(seed),
        implementation="position_blind",
        dtype=dtype,
        kernel=kernel,
        channels=channels,
        images=images,
        size=6,
    )
    assert patterns == Patterns(outputs=1, gradients=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("count", "patterns"), [(1, 1), (3, 1), (4, 1), (5, 2), (8, 1), (11, 2)])
def test_tiled_gives_two_patterns_where_a_tile_is_followed_by_an_edge(count, patterns, dtype):
    rng = np.random.default_rng(0)
    found = distinct_filters(count, rng=rng, implementation="tiled", dtype=dtype)
    assert found == Patterns(outputs=patterns, gradients=patterns)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_patterns_lie_between_one_and_the_number_of_filters(implementation, dtype):
    patterns = distinct_filters(
        17, rng=np.random.default_rng(0), implementation=implementation, dtype=dtype, channels=3, kernel=5
    )
    assert 1 <= patterns.outputs <= 17
    assert 1 <= patterns.gradients <= 17


def test_unit_roundoff():
    assert unit_roundoff("float64") == 2.0**-53
    assert unit_roundoff(np.float32) == 2.0**-24
    assert 1 + unit_roundoff("float64") == 1
    assert 1 + 2.1 * unit_roundoff("float64") > 1


def test_escape_steps_by_hand():
    # 1.5 ** 4 = 5.0625
    assert np.isclose(predicted_escape_steps(5.0, 0.1, gap=1.0, threshold=5.0625), 4, rtol=1e-14)
    assert predicted_escape_steps(-1.0, 0.1, gap=1e-9, threshold=1.0) == np.inf
    assert predicted_escape_steps(1.0, 0.1, gap=2.0, threshold=1.0) == 0
    steps, gaps = np.array([0, 10, 20]), np.array([1e-9, 1e-3, 0.5])
    assert measured_escape_step(steps, gaps, 1e-3) == 10
    assert measured_escape_step(steps, gaps, 0.6) is None


def test_escape_from_a_held_growth_rate_is_the_predicted_one():
    digits = data.digits(3, 8, count=30)
    net = twins.make_twins(FilterNet.random(np.random.default_rng(0), kernel=3))
    hessian = transverse_hessian(net, *digits.examples, 0)
    values, vectors = np.linalg.eigh(hessian)
    near = twins.make_twins(net, gap=1e-9, direction=vectors[:, 0])
    learning_rate = 1e-4
    run = train(
        near,
        *digits.examples,
        optimizer=GradientDescent(learning_rate),
        steps=60,
        record={"gap": twins.gap},
    )
    threshold = run["gap"][50]
    predicted = predicted_escape_steps(growth_rate(hessian), learning_rate, gap=1e-9, threshold=threshold)
    # The growth rate changes a little on the way: half a step in 50.
    assert abs(predicted - measured_escape_step(run.steps, run["gap"], threshold)) < 0.5
    assert np.isclose(-values[0], growth_rate(hessian), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: distinct_patterns(np.float64(1.0)), r"rows must have shape \(F, ...\)"),
        (
            lambda: distinct_filters(3, rng=np.random.default_rng(0), implementation="gpu"),
            "one of .* got 'gpu'",
        ),
        (lambda: distinct_filters(0, rng=np.random.default_rng(0)), "count must be at least 1, got 0"),
        (
            lambda: distinct_filters(1, rng=np.random.default_rng(0), kernel=9),
            "fit into images of 8 x 8 pixels, got 9",
        ),
        (
            lambda: predicted_escape_steps(1.0, 0.1, gap=0.0, threshold=1.0),
            "gap must be positive and finite, got 0",
        ),
        (
            lambda: predicted_escape_steps(np.nan, 0.1, gap=0.1, threshold=1.0),
            "growth_rate must be finite, got nan",
        ),
        (
            lambda: measured_escape_step(np.arange(3), np.ones(2), 0.1),
            r"one shape \(T,\), got \(3,\) and \(2,\)",
        ),
    ],
)
def test_errors_say_what_was_wanted(call, match, unchecked):
    with pytest.raises(ValueError, match=match):
        call()
