import numpy as np
import pytest
from node import run_node
from scipy import special

from twinfilters.activations import ACTIVATIONS
from twinfilters.losses import LOSSES

POINTS = [
    *np.linspace(-9, 9, 361).tolist(),
    *(sign * 10.0**power for power in range(-12, 3) for sign in (-1, 1)),
]


def test_erf_to_the_last_bits():
    values = run_node("answer(INPUT.map(erf))", [*POINTS, 0.0, 40.0, -1e30])
    np.testing.assert_allclose(values, special.erf([*POINTS, 0.0, 40.0, -1e30]), rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_with_two_derivatives(name):
    program = """
    const z = Float64Array.from(INPUT.points);
    const [slope, curvature] = [z.slice(), z.slice()];
    ACTIVATIONS[INPUT.name](z, slope, curvature);
    answer([z, slope, curvature]);
    """
    theirs = run_node(program, {"name": name, "points": POINTS})
    for mine, ours in zip(theirs, ACTIVATIONS[name](np.array(POINTS), 2), strict=True):
        # Relative to the size near the point: where a function is as good as 0, so is its error.
        np.testing.assert_allclose(mine, ours, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_with_two_derivatives(name):
    program = """
    const { value, bend } = LOSSES[INPUT.name];
    answer(INPUT.cases.map(([outputs, target, change]) => {
      const residual = outputs.slice();
      const loss = value(Float64Array.from(outputs), target, residual);
      const changed = change.slice();
      bend(changed, target, residual);
      return [loss, residual, changed];
    }));
    """
    rng = np.random.default_rng(0)
    count = {"squared": 1, "cross_entropy": 2}[name]
    outputs, changes = rng.normal(size=(2, 20, count)) * 10
    targets = np.eye(2)[rng.integers(2, size=20)] if count == 2 else rng.choice([-1.0, 1.0], size=(20, 1))
    cases = [[row.tolist() for row in case] for case in zip(outputs, targets, changes, strict=True)]
    values, residuals, curvatures = LOSSES[name](outputs, targets, 2)
    for row, (loss, residual, changed) in enumerate(run_node(program, {"name": name, "cases": cases})):
        assert loss == pytest.approx(values[row], rel=1e-13)
        assert residual == pytest.approx(residuals[row], rel=1e-12)
        assert changed == pytest.approx(curvatures[row] @ changes[row], rel=1e-12, abs=1e-14)


def matrices():
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 11, 28):
        matrix = rng.normal(size=(size, size))
        yield matrix + matrix.T
        yield np.outer(matrix[0], matrix[0])
    # Degenerate, diagonal, zero; and as the transverse Hessian is: a block of zeros, entries of many sizes.
    yield np.eye(4)
    yield np.diag([3.0, -1.0, 2.0])
    yield np.zeros((3, 3))
    yield np.block(
        [[np.diag(10.0 ** -np.arange(8)), np.full((8, 1), 1e-9)], [np.full((1, 8), 1e-9), np.zeros((1, 1))]]
    )


def test_eigenvalues():
    given = [matrix.tolist() for matrix in matrices()]
    for matrix, values in zip(given, run_node("answer(INPUT.map(eigenvalues))", given), strict=True):
        size = np.abs(matrix).max()
        np.testing.assert_allclose(
            values, np.linalg.eigvalsh(matrix), rtol=0, atol=1e-14 * len(matrix) * size
        )
