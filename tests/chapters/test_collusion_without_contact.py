"""The statements of the chapter *Collusion without contact*, each executed under its own name."""

# The letters M, T, U, V are those of the chapter.
# ruff: noqa: N806

import numpy as np
import pytest
from tests.checks import assert_close

from twinfilters import data, interaction, stability, twins
from twinfilters.network import FilterNet
from twinfilters.optimizers import Freeze, GradientDescent
from twinfilters.stationary import at_rest
from twinfilters.training import train

pytestmark = pytest.mark.usefixtures("unchecked")

# Of complex steps; its square is lost beside any weight.
H = 1e-100
ROUNDING = 1e-12


def problem(loss="squared", outputs=2, filters=3, seed=0):
    rng = np.random.default_rng(seed)
    net = FilterNet.random(rng, filters=filters, kernel=3, outputs=outputs, loss=loss, arithmetic="blas")
    net = net.with_parameters(
        bias=rng.normal(scale=0.3, size=filters), readout_bias=rng.normal(scale=0.3, size=outputs)
    )
    images = data.digits(3, 8, count=30).images
    targets = rng.normal(size=(30, outputs)) if loss == "squared" else rng.integers(outputs, size=30)
    return net, images, targets


def unit_gradient(net, examples, k):
    return twins.unit_vector(net.with_parameters(net.loss_and_gradients(*examples)[1]), k)


def flat(net):
    return np.concatenate([value.ravel() for value in net.parameters.values()])


def hessian(net, examples):
    """Hessian by all parameters, by complex steps."""
    shapes = {name: value.shape for name, value in net.parameters.items()}
    ends = np.cumsum([value.size for value in net.parameters.values()])[:-1]
    rows = []
    for step in 1j * H * np.eye(len(flat(net))):
        pieces = zip(np.split(flat(net) + step, ends), shapes.items(), strict=True)
        moved = net.with_parameters({name: piece.reshape(shape) for piece, (name, shape) in pieces})
        rows.append(flat(net.with_parameters(moved.loss_and_gradients(*examples)[1])).imag / H)
    return np.array(rows)


def places(net, k):
    """Where the parameters of a unit stand among all."""
    zeros = net.with_parameters({name: np.zeros(value.shape) for name, value in net.parameters.items()})
    return np.flatnonzero(flat(twins.replace_unit(zeros, k, np.ones(len(twins.unit_vector(net, k))))))


# --- What a filter is told


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_prop_only_the_residual(loss, measured):
    net, images, targets = problem(loss, outputs=4)
    wanted = unit_gradient(net, (images, targets), 0)
    # Nine units in the place of two, with the same sum: each of the two cut into parts, and a pair that cancels.
    parts = np.array([0.2, 0.5, 0.3])
    copies = [0, *[1] * 3, *[2] * 4, 1, 1]
    factors = np.array([1, *parts, 0.25, 0.25, 0.25, 0.25, 7, -7])
    crowd = net.with_parameters(
        filters=net.filters[copies], bias=net.bias[copies], readout=net.readout[:, copies] * factors
    )
    off = np.abs(unit_gradient(crowd, (images, targets), 0) - wanted).max()
    measured("gradient among others with the same residual", off, at_most=1e-14)
    other = net.with_parameters(readout=net.readout * [1, 2, 1])
    assert np.abs(unit_gradient(other, (images, targets), 0) - wanted).max() > 1e-3
    if loss == "squared":
        zero = np.zeros_like(net.readout_bias)
        alone = net.with_parameters(
            filters=net.filters[:1], bias=net.bias[:1], readout=net.readout[:, :1], readout_bias=zero
        )
        moved = targets - net.outputs(images) + alone.outputs(images)
        found = unit_gradient(alone, (images, moved), 0)
        measured("gradient alone, with the moved targets", np.abs(found - wanted).max(), at_most=1e-14)


# --- A force between filters


def test_thm_filters_as_particles(measured):
    net, images, targets = problem()
    h, rest = net.features(images), targets - net.readout_bias
    V, U = rest.T @ h / len(h), h.T @ h / len(h)
    weights = net.readout.T @ net.readout
    total = 0.5 * (rest**2).sum(1).mean() - (net.readout * V).sum() + 0.5 * (weights * U).sum()
    measured("energy against the loss", abs(total - net.mean_loss(images, targets)), at_most=1e-13)

    # Forces as derivatives of the potentials, by complex steps in the filters of unit 0.
    found = interaction.forces(net, images, targets)
    slopes = {"pull": [], "push": []}
    for entry in np.eye(9):
        moved = net.with_parameters(filters=net.filters + 0j)
        unit = twins.unit_vector(moved, 0) + 1j * H * np.append(entry, np.zeros(3))
        g = twins.replace_unit(moved.with_parameters(bias=net.bias + 0j, readout=net.readout + 0j), 0, unit)
        feature = g.features(images)[:, 0].imag / H
        slopes["pull"].append(net.readout[:, 0] @ (rest.T @ feature) / len(h))
        slopes["push"].append(-weights[0] * (feature @ h) / len(h))
    off = max(
        np.abs(found.external[0, :9] - slopes["pull"]).max(),
        np.abs(found.pair[0, :, :9] - np.transpose(slopes["push"])).max(),
    )
    measured("forces against slopes of the potentials", off, at_most=1e-14)
    gradients = np.stack([unit_gradient(net, (images, targets), k) for k in range(3)])
    measured("sum of the forces and the gradient", np.abs(found.total + gradients).max(), at_most=1e-14)

    # The flow loses as much energy as the forces do work.
    _, slope = net.loss_and_gradients(images, targets)
    rate = 1e-6
    later = net.with_parameters({name: net.parameters[name] - rate * slope[name] for name in slope})
    lost = (net.mean_loss(images, targets) - later.mean_loss(images, targets)) / rate
    work = (found.total**2).sum() + (slope["readout_bias"] ** 2).sum()
    measured("energy lost over squared forces, minus 1", abs(lost / work - 1), at_most=1e-4)


def test_thm_push_cancels(measured):
    net, images, targets = problem()
    exact = twins.tie(net)
    d = np.random.default_rng(1).normal(size=len(twins.unit_vector(net, 0)))
    d /= np.linalg.norm(d)
    size = 1e-4
    near = twins.make_twins(exact, gap=size, direction=d)
    assert_close(twins.difference(near), size * d, ROUNDING)
    force = interaction.forces(near, images, targets).pair
    by_twin, by_itself = force[0, 1] - force[1, 0], force[0, 0] - force[1, 1]
    gamma = interaction.gauss_newton(exact, images, targets, 0)
    # T is linear in the residual: B is T for targets that leave the outputs of one twin.
    alone = exact.with_parameters(readout=exact.readout * [1, 0, 0], readout_bias=np.zeros(2)).outputs(images)
    shifted = exact.outputs(images) - alone
    bending = stability.transverse_hessian(exact, images, shifted, 0)
    measured("push of the twin", np.abs(by_twin / size - (gamma - bending) @ d).max(), at_most=1e-6)
    measured("push of itself", np.abs(by_itself / size + (gamma + bending) @ d).max(), at_most=1e-6)
    assert np.linalg.norm(gamma @ d) > 0.05
    assert np.linalg.norm(bending @ d) > 1e-3

    # Targets moved by what the pair gives: T without the pair's own output.
    T = stability.transverse_hessian(exact, images, targets, 0)
    without = stability.transverse_hessian(exact, images, targets + 2 * alone, 0)
    measured("T without the pair against T - 2 B", np.abs(without - T + 2 * bending).max(), at_most=1e-13)


def test_different_filters_are_spread():
    """Alone, three filters end at one place; together, one of them ends elsewhere, and twins stay near."""
    digits = data.digits(3, 8)
    images = (digits.images[:60] - digits.images.mean()) / digits.images.std()
    rule = GradientDescent({"filters": 1.0, "bias": 0.0, "readout": 0.0, "readout_bias": 0.0})
    start = np.random.default_rng(1).normal(scale=1.5, size=(3, 1, 1, 2))

    def end(filters):
        arrays = filters, np.zeros(len(filters)), np.full((1, len(filters)), 3.0), np.zeros(1)
        net = FilterNet(*arrays, activation="tanh", arithmetic="blas")
        return train(net, images, digits.targets[:60], optimizer=rule, steps=1000).net.filters[:, 0, 0]

    alone = np.concatenate([end(start[[k]]) for k in range(3)])
    together = end(start)
    assert np.ptp(alone, axis=0).max() < 0.05
    assert np.abs(together[0] - together[1]).max() < 0.3
    assert np.abs(together[2] - together[0]).max() > 2


# --- Freezing


def rest(seed=21):
    digits, rng = data.digits(3, 8), np.random.default_rng(seed)
    chosen = rng.permutation(len(digits.images))[:60]
    examples = digits.images[chosen], digits.targets[chosen]
    shape = {"filters": 1, "kernel": 3, "stride": 2, "activation": "tanh"}
    return at_rest(FilterNet.random(rng, **shape, arithmetic="blas"), *examples), examples


@pytest.mark.parametrize("seed", [21, 47])
def test_prop_frozen_twin(seed, measured):
    narrow, examples = rest(seed)
    net = twins.unmerge(narrow, 0, 2)
    T = stability.transverse_hessian(net, *examples, 0)
    gamma = interaction.gauss_newton(net, *examples, 0)
    whole, own, other = hessian(net, examples), places(net, 0), places(net, 1)
    off = np.abs(whole[np.ix_(own, own)] - T - gamma).max()
    measured("block of the free unit against T + Gamma", off, at_most=1e-10)
    assert (np.linalg.eigvalsh(T + gamma) >= np.linalg.eigvalsh(T) - ROUNDING).all()

    # The merged network's Hessian by (m, y): both units move by m.
    rest_of = np.setdiff1d(np.arange(len(whole)), [*own, *other])
    embed = np.zeros((len(whole), len(own) + len(rest_of)))
    embed[own, np.arange(len(own))] = embed[other, np.arange(len(own))] = 1
    embed[rest_of, len(own) + np.arange(len(rest_of))] = 1
    M, m = embed.T @ whole @ embed, slice(0, len(own))
    told = M.copy()
    told[m, m] = M[m, m] / 4 + T / 2
    told[m, len(own) :] /= 2
    told[len(own) :, m] /= 2
    free = [*own, *rest_of]
    off = np.abs(told - whole[np.ix_(free, free)]).max()
    measured("Hessian with a frozen twin, from that of the merged network", off, at_most=1e-10)
    lowest = np.linalg.eigvalsh(told)[0]
    assert lowest <= np.linalg.eigvalsh(T + gamma)[0] + ROUNDING
    y = slice(len(own), None)
    assert np.linalg.eigvalsh(M[y, y])[0] > 0
    half = np.linalg.eigvalsh(T)[0] / 2
    assert np.linalg.eigvalsh(M)[0] > -1e-9
    measured("lowest eigenvalue over half of that of free twins", lowest / half, at_most=1)
    schur = M[m, m] - M[m, y] @ np.linalg.inv(M[y, y]) @ M[y, m]
    assert (lowest > 0) == (np.linalg.eigvalsh(T + schur / 2)[0] > 0) == (seed == 21)

    # One step of descent with all else frozen, and with the twin frozen.
    d = 1e-6 * stability.fastest_direction(T)
    near = twins.replace_unit(net, 0, twins.unit_vector(net, 0) + d)
    rules = {
        "all else": (Freeze(Freeze(GradientDescent(0.1), units=[1]), parameters=["readout_bias"]), T + gamma)
    }
    rules["the twin"] = (Freeze(GradientDescent(0.1), units=[1]), whole[np.ix_(own, own)])
    for rule, matrix in rules.values():
        after = twins.difference(train(near, *examples, optimizer=rule, steps=1).net)
        measured(
            "a step beside a frozen twin", np.abs(after - d + 0.1 * matrix @ d).max() / 1e-6, at_most=1e-4
        )


def test_a_frozen_twin_slows_the_parting(measured):
    for seed, steps in ((21, 1500), (47, 500)):
        narrow, examples = rest(seed)
        net = twins.unmerge(narrow, 0, 2)
        T = stability.transverse_hessian(net, *examples, 0)
        moved = twins.unit_vector(net, 0) + 1e-6 * stability.fastest_direction(T)
        near = twins.replace_unit(net, 0, moved)
        rule = GradientDescent(0.4)
        ends = [
            twins.gap(train(near, *examples, optimizer=choice, steps=steps).net) / 1e-6
            for choice in (rule, Freeze(rule, units=[1]))
        ]
        measured("growth between free twins over that beside a frozen one", ends[0] / ends[1], at_least=20)


# --- One at a time


def test_prop_one_at_a_time(measured):
    net, images, targets = problem(filters=2)
    exact, examples = twins.tie(net), (images, targets)
    g = unit_gradient(exact, examples, 0)
    cross = interaction.gauss_newton(exact, *examples, 0)

    def swept(state, rate):
        for k in range(2):
            step = rate * unit_gradient(state, examples, k)
            state = twins.replace_unit(state, k, twins.unit_vector(state, k) - step)
        return state

    rate = 1e-3
    told = -(rate**2) * cross @ g
    off = np.linalg.norm(twins.difference(swept(exact, rate)) - told) / np.linalg.norm(told)
    measured("gap of a sweep, relative to what is derived", off, at_most=0.02)
    gaps = []
    for rate in (0.05, 0.025):
        state = exact
        for _ in range(round(4 / rate)):
            state = swept(state, rate)
        gaps.append(twins.gap(state))
    measured("gap at half the rate, relative", gaps[1] / gaps[0], at_most=0.55)
