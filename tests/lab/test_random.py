import copy

import numpy as np
import pytest
from node import run_node

from twinfilters.lab.stream import START, TRAINING, Stream

SEEDS = (0, 1, 2, 999_999, 2**31, 2**32 - 1)
PARTS = (START, TRAINING)
DRAWS = """
answer(INPUT.map(([seed, part]) => {
  const random = stream(seed, part);
  const draw = (one) => Array.from({ length: 50 }, one);
  return [draw(random.uniform), random.shuffled(23), draw(random.normal), draw(() => random.below(7))];
}));
"""


def test_both_sides_draw_the_same_numbers():
    given = [(seed, part) for seed in SEEDS for part in PARTS]
    for (seed, part), (uniform, order, normal, below) in zip(given, run_node(DRAWS, given), strict=True):
        stream = Stream(seed, part)
        np.testing.assert_array_equal(stream.random(50), uniform)
        np.testing.assert_array_equal(stream.permutation(23), order)
        # Logarithm and cosine are each library's own.
        np.testing.assert_allclose(stream.standard_normal(50), normal, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(np.floor(7 * stream.random(50)), below)


def test_it_is_sfc():
    """The same steps on words of 64 bits, with that generator's shifts, are NumPy's SFC64."""
    bits = np.random.SFC64(0)
    a, b, c, counter = map(int, bits.state["state"]["state"])
    for _ in range(10):
        drawn = (a + b + counter) % 2**64
        rotated = (c << 24 | c >> 40) % 2**64
        a, b, c, counter = b ^ b >> 11, 9 * c % 2**64, (rotated + drawn) % 2**64, counter + 1
        assert bits.random_raw() == drawn


def test_numbers_are_spread_as_they_should_be():
    stream = Stream(5, TRAINING)
    uniform, normal = stream.random(20_000), stream.standard_normal(20_000)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # Three standard errors.
    assert uniform.mean() == pytest.approx(0.5, abs=3 / np.sqrt(12 * 20_000))
    assert normal.mean() == pytest.approx(0, abs=3 / np.sqrt(20_000))
    assert normal.var() == pytest.approx(1, abs=3 * np.sqrt(2 / 20_000))
    assert np.corrcoef(uniform[1:], uniform[:-1])[0, 1] == pytest.approx(0, abs=3 / np.sqrt(20_000))
    firsts = [
        Stream(7, TRAINING).permutation(1)[0],
        *(Stream(seed, 1).permutation(4)[0] for seed in range(4000)),
    ]
    assert np.bincount(firsts[1:]) / 4000 == pytest.approx(0.25, abs=3 * np.sqrt(3 / 16 / 4000))


def test_seeds_and_parts_give_different_numbers():
    firsts = {Stream(seed, part).random(3).tobytes() for seed in SEEDS for part in PARTS}
    assert len(firsts) == len(SEEDS) * len(PARTS)


def test_a_copy_goes_on_alone():
    stream = Stream(1, TRAINING)
    stream.random(3)
    copied = copy.deepcopy(stream)
    np.testing.assert_array_equal(copied.random(5), stream.random(5))
    copied.random(1)
    assert copied.random(1) != stream.random(1)


def test_shapes():
    stream = Stream(1, START)
    assert stream.random((2, 3)).shape == (2, 3)
    assert stream.normal(size=4).shape == (4,)
    assert np.shape(stream.normal(scale=2.0)) == ()
    assert np.ravel(Stream(1, START).normal(1.0, 2.0, (1, 2))) == pytest.approx(
        1 + 2 * Stream(1, START).standard_normal(2)
    )
