"""Statements of the chapter on noise."""

# The letters C, D, H, K, N, T, V are those of the chapter.
# ruff: noqa: N806

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import root

from twinfilters import twins
from twinfilters.activations import activation
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.stability.collapse import simulate_collapse
from twinfilters.stability.lyapunov import gaussian_lyapunov_exponent


def test_prop_collapse(measured):
    rng = np.random.default_rng(0)
    ends = simulate_collapse(0.5, 2.0, rng=rng, steps=10_000, step_size=0.01)
    slope = ends / 100
    off = abs(slope.mean() - (0.5 - 2)) / (slope.std() / np.sqrt(len(slope)))
    # The barrier costs a little of the time.
    measured("decay beyond the threshold, slowest path", slope.max(), at_most=-0.5)
    measured("mean decay, standard errors off", off, at_most=4)
    ends = simulate_collapse(1.5, 0.7, rng=rng, steps=10_000, step_size=0.01)
    measured("smallest logarithm below the threshold", ends.min(), at_least=-4)


def test_thm_one_matrix(measured):
    rng = np.random.default_rng(0)
    net = FilterNet.random(rng, filters=5, kernel=3, outputs=2, activation="identity")
    net = net.with_parameters(bias=rng.normal(size=5))
    descent = GradientDescent(0.1)
    for _ in range(5):
        images, targets = rng.normal(size=(7, 1, 6, 6)), rng.normal(size=(7, 2))
        patches = net.patches(images)
        mean = np.column_stack([patches.mean(2), np.ones(7)])
        G = net.residuals(images, targets).T @ mean / 7
        T = np.block([[np.zeros((10, 10)), G.T], [G, np.zeros((2, 2))]])
        units = np.stack([twins.unit_vector(net, k) for k in range(5)], axis=1)
        _, gradients = net.loss_and_gradients(images, targets)
        parameters, _ = descent.update(net.parameters, gradients, descent.start(net.parameters))
        net = net.with_parameters(parameters)
        after = np.stack([twins.unit_vector(net, k) for k in range(5)], axis=1)
        measured("units against one matrix", np.abs(after - units + 0.1 * T @ units).max(), at_most=1e-13)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_prop_linear_rates(dimension, measured):
    told = -np.array([0.0] + [0.5] * (dimension - 1) + [(dimension + 1) / 2])
    found = []
    for rate in (0.06, 0.03):
        exponents = gaussian_lyapunov_exponent(
            "identity", dimension=dimension, learning_rate=rate, label_noise=1.0, steps=8000,
            burn_in=10 * round(1.5 / rate**2), count=dimension + 1, runs=12, rng=np.random.default_rng(0),
        ).exponents  # fmt: skip
        found.append(exponents / rate**2)
    # To a rate of 0; the next order is largest for the deepest exponent.
    limit = 2 * found[1] - found[0]
    measured("all but the deepest, distance", np.abs(limit - told)[:-1].max(), at_most=0.04)
    measured("the deepest, relative distance", abs(limit[-1] / told[-1] - 1), at_most=0.15)


def predicted(name, dimension, length=1.0, count=40_000, a=0.5):
    """Drift -(N + C) / 2 of the gap, from a sample of inputs, and N alone."""
    half = np.random.default_rng(0).normal(size=(count // 2, dimension))
    x = np.vstack([half, -half])

    def block(on_weights, on_readout):
        K = np.zeros((count, dimension + 1, dimension + 1))
        K[:, :-1, :-1] = np.einsum("n,ni,nj->nij", on_weights, x, x)
        K[:, :-1, -1] = K[:, -1, :-1] = on_readout[:, None] * x
        return K

    f, z, h = activation(name), length * x[:, 0], 1e-4
    value, slope, bend = f(z, 2)
    third = (f(z + h, 2)[2] - f(z - h, 2)[2]) / (2 * h)
    phi = np.column_stack([a * slope[:, None] * x, value])
    along = a * slope * (x**2).sum(1)
    K, change = block(a * bend, slope), block(value * bend + a * third * along, bend * along)
    inverse, trace = np.linalg.inv(phi.T @ phi / count), np.trace(K, axis1=1, axis2=2)
    K_c = np.einsum("nc,nij->cij", phi, K) / count
    q = np.einsum("nij,nj->i", K, phi) / count + phi.T @ trace / (2 * count)
    N = np.einsum("n,nij->ij", trace, K) / (2 * count) + change.mean(0)
    N = N - np.einsum("c,cij->ij", inverse @ q, K_c)
    C = np.einsum("cij,cd,djk->ik", K_c, inverse, K_c)
    return -(N + C) / 2, N, C


def test_crit_sign(measured):
    """The sign for teachers of two lengths, and the value where its corrections are small."""
    for name, dimension, length, sign in (
        ("softplus", 2, 0.5, -1),
        ("softplus", 2, 2.0, 1),
        ("gelu", 2, 0.5, -1),
        ("tanh", 1, 1.0, 1),
    ):
        drift, _, C = predicted(name, dimension, length)
        told = np.linalg.eigvalsh((drift + drift.T) / 2)[-1]
        assert np.sign(told) == sign
        measured("least eigenvalue of C", np.linalg.eigvalsh(C)[0], at_least=-1e-12)
        found = gaussian_lyapunov_exponent(
            name, dimension=dimension, learning_rate=0.05, label_noise=1.0, steps=4000, burn_in=3000,
            runs=50, rng=np.random.default_rng(0), teacher=length * np.eye(dimension)[0],
        )  # fmt: skip
        deviation = sign * found.exponents[0] / found.standard_errors[0]
        measured("sign, standard errors from 0", deviation, at_least=3)
    # The last case is tanh with one input.
    measured("value for tanh, relative error", abs(found.exponents[0] / 0.05**2 / told - 1), at_most=0.2)


def test_the_residual_that_noise_leaves(measured):
    """N of the criterion by brute force: a centre that fluctuates a little, at the shift that makes its force 0."""
    nodes, weights = hermegauss(40)
    x, mass = nodes[:, None], weights / weights.sum()
    few, share = hermegauss(7)
    kicks = np.array([(one, two) for one in few for two in few])
    shares = np.outer(share, share).ravel() / share.sum() ** 2
    variance, f = 1e-5, activation("tanh")

    def means(shift):
        force, hessian = np.zeros(2), np.zeros((2, 2))
        for kick, part in zip(kicks, shares, strict=True):
            w, a = np.array([1, 0.5]) + shift + np.sqrt(variance) * kick
            value, slope, bend = f(w * x[:, 0], 2)
            r = mass * (2 * a * value - f(x[:, 0])[0])
            force += part * np.array([r @ (a * slope * x[:, 0]), r @ value])
            corner = r @ (slope * x[:, 0])
            hessian += part * np.array([[r @ (a * bend * x[:, 0] ** 2), corner], [corner, 0]])
        return force, hessian

    solution = root(lambda shift: means(shift * variance)[0] / variance, np.zeros(2))
    brute = means(solution.x * variance)[1] / (2 * variance)
    _, N, _ = predicted("tanh", 1, count=400_000)
    measured("N against brute force", np.abs(brute - N).max() / np.abs(N).max(), at_most=0.02)
