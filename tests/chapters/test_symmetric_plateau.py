"""Statements of the chapter on the symmetric plateau."""

# The letters Q, R, T, K, M, C, D, P are those of the chapter.
# ruff: noqa: N803, N806

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import minimize, minimize_scalar
from scipy.special import erf

from twinfilters import data, plateau, stability, twins
from twinfilters.network import FilterNet


def g(x):
    return erf(x / np.sqrt(2))


def slope(x):
    return np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)


def bend(x):
    return -x * slope(x)


def grid(dimensions, nodes=20):
    """Nodes (P, D) and weights (P,) of Gauss and Hermite: means over independent normal numbers."""
    points, weights = hermegauss(nodes)
    where = np.stack(np.meshgrid(*[points] * dimensions), -1).reshape(-1, dimensions)
    mass = np.stack(np.meshgrid(*[weights] * dimensions), -1).reshape(-1, dimensions).prod(1)
    return where, mass / mass.sum()


def random_filters(students, teachers, size, seed=0):
    rng = np.random.default_rng(seed)
    return 0.9 * rng.normal(size=(students, size)), rng.normal(size=(teachers, size))


def overlaps(w, b):
    size = w.shape[1]
    return w @ w.T / size, w @ b.T / size, b @ b.T / size


# --- Order parameters


def test_lem_one_step(measured):
    size, eta = 40, 0.8
    w, b = random_filters(3, 2, size)
    rng = np.random.default_rng(1)
    xi = rng.normal(size=size)
    x, y = w @ xi / np.sqrt(size), b @ xi / np.sqrt(size)
    delta = g(y).sum() - g(x).sum()
    after = w + eta / np.sqrt(size) * (delta * slope(x))[:, None] * xi
    (Q, R, _), (new_Q, new_R, _) = overlaps(w, b), overlaps(after, b)
    change = eta / size * delta * slope(x)[:, None] * y
    kicked = delta * slope(x)[:, None] * x
    told = eta / size * (kicked + kicked.T)
    told += eta**2 / size * delta**2 * np.outer(slope(x), slope(x)) * (xi @ xi) / size
    error = max(np.abs(new_R - R - change).max(), np.abs(new_Q - Q - told).max())
    measured("change of an overlap, error", error, at_most=1e-14)
    # The mean of the squared length, given the fields: resample what is orthogonal to the filters.
    basis, _ = np.linalg.qr(np.vstack([w, b]).T)
    inside = basis @ (basis.T @ xi)
    others = rng.normal(size=(20_000, size))
    others = inside + others - others @ basis @ basis.T
    lengths = (others**2).sum(1) / size
    off = abs(lengths.mean() - 1 - (inside @ inside - 5) / size)
    measured("squared length, standard errors off", off / (lengths.std() / np.sqrt(20_000)), at_most=4)


def test_prop_self_averaging(measured):
    start = 0.2 * np.eye(2), 0.3 * np.eye(2), np.eye(2)
    flow = plateau.trajectory(*start, 1.0, 15, records=16)
    squares = []
    for size in (25, 100, 400):
        run = plateau.simulate_online(*start, 1.0, 15, size, np.random.default_rng(size), runs=40, records=16)
        Q, R = run.Q - flow.Q[:, None], run.R - flow.R[:, None]
        squares.append(((Q**2).sum((2, 3)) + (R**2).sum((2, 3))).max(0).mean())
    power = np.polyfit(np.log([25, 100, 400]), np.log(squares), 1)[0]
    measured("power of N of the squared distance, off from -1", abs(power + 1), at_most=0.2)


def test_lem_tilt(measured):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3)) / 2
    C = root @ root.T
    points, mass = grid(3, nodes=60)
    x = points @ root.T
    tilted = C - np.outer(C[0], C[0]) / (1 + C[0, 0])
    weight = np.sqrt(2 / np.pi / (1 + C[0, 0]))
    for function in (
        lambda x: x[:, 1] ** 2 * x[:, 2] ** 2,
        lambda x: x[:, 1] ** 3 * x[:, 2],
        lambda x: x[:, 0] ** 2,
    ):
        new = points @ np.linalg.cholesky(tilted).T
        left, right = mass @ (slope(x[:, 0]) * function(x)), weight * (mass @ function(new))
        measured("tilting, error", abs(left - right), at_most=1e-9)
    width = np.sqrt(1 + np.diag(C))
    both = mass @ (g(x[:, 1]) * g(x[:, 2]))
    told = 2 / np.pi * np.arcsin(C[1, 2] / width[1] / width[2])
    measured("two activations, error", abs(both - told), at_most=1e-9)
    field = mass @ (x[:, 1] * g(x[:, 2]))
    measured(
        "field and activation, error", abs(field - np.sqrt(2 / np.pi) * C[1, 2] / width[2]), at_most=1e-9
    )


# --- The plateau and its escape


@pytest.mark.parametrize("K", [2, 3, 4])
def test_prop_plateau(K, measured):
    flat = plateau.symmetric_plateau(K)
    assert np.allclose(flat.Q, 1 / (2 * K - 1), rtol=1e-12)
    assert np.allclose(flat.R, 1 / np.sqrt(K * (2 * K - 1)), rtol=1e-12)
    told = K / np.pi * (np.pi / 6 - K * np.arcsin(1 / (2 * K)))
    measured("error of the plateau, off", abs(flat.error / told - 1), at_most=1e-12)
    # 1. The conditional mean: y_n = nu / sqrt(K) + a rest of variance 1 - 1 / K.
    points, mass = grid(1, nodes=60)
    for nu in (-2.0, 0.3, 1.5):
        mean = mass @ g(nu / np.sqrt(K) + np.sqrt(1 - 1 / K) * points[:, 0])
        measured("conditional mean, error", abs(mean - g(nu / np.sqrt(2 * K - 1))), at_most=1e-9)

    # 2. Fixed to first order in the rate, and the only such state of identical students.
    def velocity(state):
        q, R = np.exp(state)
        dQ, dR = plateau.order_parameter_flow(np.full((K, K), q), np.full((K, K), R), np.eye(K), 1e-9)
        return np.array([dQ[0, 0], dR[0, 0]]) / 1e-9

    fixed = np.log([flat.Q[0, 0], flat.R[0, 0]])
    measured("flow on the plateau", np.abs(velocity(fixed)).max(), at_most=1e-7)
    for q in np.geomspace(0.01, 5, 20):
        for cosine in np.linspace(0.05, 1, 20):
            state = np.log([q, cosine * np.sqrt(q / K)])
            if np.linalg.norm(state - fixed) > 0.05:
                assert np.abs(velocity(state)).max() > 1e-4


def test_nothing_along_the_plateau_is_better(measured):
    """Part 3: three units with any lengths, biases and readouts."""
    points, mass = grid(2, nodes=40)
    nu, target = points.sum(1) / np.sqrt(2), g(points).sum(1)

    def error(p):
        lengths, biases, readouts = p.reshape(3, 3)
        return mass @ (target - g(np.outer(nu, lengths) + biases) @ readouts) ** 2 / 2

    floor = plateau.symmetric_plateau(2).error
    for seed in range(3):
        best = minimize(error, np.random.default_rng(seed).normal(size=9), method="BFGS")
        measured("least error over that of the plateau", best.fun / floor, at_least=1 - 1e-8)
        assert best.fun < 1.001 * floor


@pytest.mark.parametrize("K", [2, 3, 4])
def test_thm_escape_rate(K, measured):
    told = 2 / np.pi * K / np.sqrt(2 * K - 1) / (2 * K + 1) ** 1.5
    states = [(plateau.symmetric_plateau(K), 0.1, told)]
    for eta in (0.3, 1.0):
        flat = plateau.plateau_at(eta, K)
        states.append((flat, eta, flat.rate_towards_teachers))
    rng, tiny = np.random.default_rng(K), 1e-6
    for flat, eta, rate in states:
        r = rng.normal(size=(K, K))
        r = r - r.mean(0) - r.mean(1)[:, None] + r.mean()
        up, down = (
            plateau.order_parameter_flow(flat.Q, flat.R + sign * tiny * r, flat.T, eta) for sign in (1, -1)
        )
        dQ, dR = ((a - b) / (2 * tiny) for a, b in zip(up, down, strict=True))
        measured(
            "growth of R, relative error", np.abs(dR - eta * rate * r).max() / np.abs(dR).max(), at_most=1e-6
        )
        measured("change of the flow of Q", np.abs(dQ).max(), at_most=1e-8)


def test_the_rate_is_the_means_it_is_derived_as(measured):
    """Equation eq-growth at a symmetric state that is no fixed point, by quadrature; K = 2."""
    q, c, R = 0.5, 0.2, 0.3
    C = np.array([[q, c, R, R], [c, q, R, R], [R, R, 1, 0], [R, R, 0, 1]])
    points, mass = grid(4, nodes=24)
    x1, x2, y1, y2 = (points @ np.linalg.cholesky(C).T).T
    delta = g(y1) + g(y2) - g(x1) - g(x2)
    G = mass @ (bend(x1) * delta - slope(x1) ** 2 + slope(x1) * slope(x2))
    P = mass @ (bend(x1) * bend(y1))
    r, tiny = np.array([[1.0, -1], [-1, 1]]), 1e-6
    up, down = (
        plateau.order_parameter_flow(C[:2, :2], C[:2, 2:] + sign * tiny * r, np.eye(2), 0.7)[1]
        for sign in (1, -1)
    )
    measured("rate against G + P, error", abs((up - down)[0, 0] / (2 * tiny) / 0.7 - G - P), at_most=1e-6)


@pytest.mark.parametrize("K", [2, 3])
def test_prop_transverse_plateau(K, measured):
    points, mass = grid(K + 1, nodes=20)
    x = points[:, :K].sum(1) / np.sqrt(K) / np.sqrt(2 * K - 1)
    delta = g(points[:, :K]).sum(1) - K * g(x)
    H = -np.einsum("p,pd,pe->de", mass * delta * bend(x), points, points)
    values = np.linalg.eigvalsh(H)
    told = np.append(np.full(K - 1, -plateau.escape_rate(K, 1.0)), [0, 0])
    measured("eigenvalues, error", np.abs(values - told).max(), at_most=1e-6)


def test_large_rates_hold_many_students(measured):
    """The plateau of eight students at 0.65 attracts; at 0.1 it does not."""
    for eta, sign in ((0.65, -1), (0.1, 1)):
        rate = plateau.plateau_at(eta, 8).rate_towards_teachers
        assert np.sign(rate) == sign
    rng, K = np.random.default_rng(0), 8
    flat = plateau.plateau_at(0.65, K)
    change = 0.01 * rng.normal(size=(K, K))
    run = plateau.trajectory(flat.Q, flat.R + change, flat.T, 0.65, 2000, records=3, tolerance=1e-8)
    measured("disturbance that is left", np.abs(run.R[-1] - flat.R).max() / np.abs(change).max(), at_most=0.2)


# --- Biases


def test_prop_erf_never_holds(measured):
    """Merged erf networks on digits, brought to a stationary point of filter and bias."""
    digits = data.digits(3, 8, count=30)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        teacher, net = (
            FilterNet.random(rng, filters=2, kernel=3, stride=2, activation="erf").with_parameters(
                readout=np.ones((1, 2))
            )
            for _ in range(2)
        )
        examples = digits.images, teacher.outputs(digits.images)
        net = twins.tie(net)

        def at(theta, net=net):
            vector = np.append(theta, net.readout[:, 0])
            for k in (0, 1):
                net = twins.replace_unit(net, k, vector)
            return net

        def loss(theta, at=at, examples=examples):
            value, gradients = at(theta).loss_and_gradients(*examples)
            return value, 2 * np.append(gradients["filters"][0].ravel(), gradients["bias"][0])

        start = twins.unit_vector(net, 0)[:-1]
        end = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-10})
        S, _ = stability.transverse_blocks(at(end.x), *examples, 0)
        measured("entry of the bias over the largest", abs(S[-1, -1]) / np.abs(S).max(), at_most=1e-5)
        measured(
            "least eigenvalue over the largest entry",
            np.linalg.eigvalsh(S)[0] / np.abs(S).max(),
            at_most=-1e-3,
        )


def test_prop_valley(measured):
    points, mass = grid(2, nodes=40)
    nu, target = points.sum(1) / np.sqrt(2), g(points).sum(1)
    floor = plateau.symmetric_plateau(2).error

    def excess(beta):
        def error(a):
            return mass @ (target - g(a * nu + beta) - g(a * nu - beta)) ** 2 / 2

        best = minimize_scalar(error, bounds=(0.4, 0.9), method="bounded", options={"xatol": 1e-12})
        return best.fun - floor

    power = np.log2(excess(0.4) / excess(0.2))
    measured("power of the bias in the excess error, off from 8", abs(power - 8), at_most=0.1)
