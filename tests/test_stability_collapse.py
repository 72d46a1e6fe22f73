"""The scalar model: collapse if and only if the squared noise exceeds twice the curvature."""

import numpy as np
import pytest

from twinfilters.stability.collapse import collapse_exponent, simulate_collapse


def rng(seed=0):
    return np.random.default_rng(seed)


def test_threshold():
    assert collapse_exponent(1.5, 1.0) == 1.0
    assert abs(collapse_exponent(1.5, np.sqrt(3))) < 1e-15
    assert collapse_exponent(1.5, 2.0) == -0.5


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_far_below_one_the_logarithm_is_a_drifting_random_walk(noise):
    start, time = 1e-20, 2.5
    ends = simulate_collapse(1.5, noise, rng=rng(), paths=4000, steps=1000, step_size=0.0025, start=start)
    change = ends - np.log(start)
    # Mean and variance of 4000 independent paths, within four standard errors.
    assert abs(change.mean() - time * collapse_exponent(1.5, noise)) < 4 * noise * np.sqrt(time / 4000)
    np.testing.assert_allclose(change.var(), noise**2 * time, rtol=4 * np.sqrt(2 / 4000))


def test_without_noise_the_weight_falls_into_the_well():
    ends = simulate_collapse(1.5, 0.0, rng=rng(), paths=3, steps=5000, start=0.01)
    np.testing.assert_allclose(np.exp(2 * ends), 1.5, rtol=1e-10)


def test_one_step_by_hand():
    (end,) = simulate_collapse(1.0, 2.0, rng=rng(5), paths=1, steps=1, step_size=0.25, start=2.0)
    # ln 2 + (1 - 2 - 4) / 4 + 2 sqrt(1 / 4) xi
    np.testing.assert_allclose(end, np.log(2) - 1.25 + rng(5).standard_normal(), rtol=1e-12)


def test_below_the_threshold_paths_follow_the_stationary_distribution():
    """By Fokker and Planck |theta|^2 then has a gamma distribution of shape Lambda / zeta^2 and scale zeta^2."""
    curvature, noise = 1.5, 1.0
    ends = simulate_collapse(curvature, noise, rng=rng(), paths=2000, steps=4000)
    square = np.exp(2 * ends)
    shape = collapse_exponent(curvature, noise) / noise**2
    # Mean shape * scale = Lambda, variance shape * scale^2; 2000 paths, Euler steps of 0.0025 on a drift of order one.
    standard_error = np.sqrt(shape) * noise**2 / np.sqrt(2000)
    assert abs(square.mean() - collapse_exponent(curvature, noise)) < 4 * standard_error + 0.01
    np.testing.assert_allclose(square.var(), shape * noise**4, rtol=0.25)


def test_noise_beyond_the_threshold_collapses():
    """Curvature 1.5: the threshold is the square root of 3, 1.732. Short runs of 300 paths, 20 000 steps."""
    shares = [
        (simulate_collapse(1.5, noise, rng=rng(), paths=300, steps=20_000) < np.log(1e-4)).mean()
        for noise in (1.2, 2.4)
    ]
    # Time 50: below the threshold the stationary share is about 1e-4^(2 * 0.54); beyond it paths drift by -69 +- 17.
    assert shares[0] < 0.02
    assert shares[1] > 0.98


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": 0}, "paths must be positive and finite, got 0"),
        ({"steps": 0}, "steps must be positive and finite, got 0"),
        ({"step_size": -0.1}, "step_size must be positive and finite, got -0.1"),
        ({"start": np.nan}, "start must be positive and finite, got nan"),
        ({"noise": -1.0}, "noise finite and at least 0, got curvature = 1.5, noise = -1.0"),
        ({"curvature": np.inf}, "curvature must be finite, noise finite and at least 0, got curvature = inf"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_collapse(**{"curvature": 1.5, "noise": 1.0, "rng": rng(), **options})
