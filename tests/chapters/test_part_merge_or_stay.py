"""The statements of the chapter *Part, merge or stay*, each executed under its own name."""

import numpy as np
import pytest

from twinfilters import data, ensemble, stability, twins
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent, WeightDecay
from twinfilters.training import train

pytestmark = pytest.mark.usefixtures("unchecked")

OUTPUTS = {"squared": 1, "cross_entropy": 10}


def problem(activation="tanh", loss="squared", seed=1, count=30, **options):
    """Exact twins, images and targets."""
    rng = np.random.default_rng(seed)
    options = {"filters": 3, "outputs": OUTPUTS[loss], "arithmetic": "blas", **options}
    net = FilterNet.random(rng, loss=loss, activation=activation, **options)
    net = twins.tie(net.with_parameters(bias=rng.normal(scale=0.3, size=net.units)))
    digits = data.digits(3, 8, count=count) if loss == "squared" else data.digits(count=count)
    return net, digits.images, digits.targets


def assembled(splitting, coupling):
    return np.block([[splitting, coupling.T], [coupling, np.zeros((len(coupling), len(coupling)))]])


def random_blocks(rng, outputs=3, size=5):
    splitting = rng.normal(size=(size, size))
    return splitting + splitting.T, rng.normal(size=(outputs, size))


def plane_values(splitting, coupling):
    """Lower eigenvalue on the plane of each pair of singular vectors."""
    _, sizes, directions = np.linalg.svd(coupling, full_matrices=False)
    curvatures = np.array([d @ splitting @ d for d in directions])
    return (curvatures - np.sqrt(curvatures**2 + 4 * sizes**2)) / 2


def test_thm_always_grows(measured):
    rng = np.random.default_rng(0)
    for _ in range(200):
        splitting, coupling = random_blocks(rng)
        # Ranks 1 to 3.
        rank = rng.integers(1, 4)
        coupling = rng.normal(size=(3, rank)) @ coupling[:rank]
        values = np.linalg.eigvalsh(assembled(splitting, coupling))
        measured("negative eigenvalues beyond the rank", (values < -1e-10).sum() - rank, at_least=0)
        measured("positive eigenvalues beyond the rank", (values > 1e-10).sum() - rank, at_least=0)
        every = plane_values(splitting, coupling)
        bounds = every[:rank]
        measured("lowest eigenvalue minus its bound", values[0] - bounds.min(), at_most=1e-12)
        measured("largest bound", bounds.max(), at_most=-1e-6)
        best = stability.growth_bound(splitting, coupling)
        measured("packaged bound against the formula", abs(best + every.min()), at_most=1e-10)


@pytest.mark.parametrize("activation", ["identity", "tanh", "softplus"])
@pytest.mark.parametrize("loss", OUTPUTS)
def test_some_gap_grows_on_digits(activation, loss, measured):
    net, *examples = problem(activation, loss)
    splitting, coupling = stability.transverse_blocks(net, *examples, 0)
    rank = np.linalg.matrix_rank(coupling, rtol=1e-8)
    values = np.linalg.eigvalsh(stability.transverse_hessian(net, *examples, 0))
    measured("negative eigenvalues beyond the rank of G", (values < -1e-12).sum() - rank, at_least=0)
    measured(
        "lowest eigenvalue minus its bound",
        values[0] - plane_values(splitting, coupling).min(),
        at_most=1e-12,
    )


def test_equality_in_the_bound(measured):
    """Attained if and only if the singular vector is an eigenvector of S and nothing else is lower."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    coupling = 2.0 * basis[:1]
    cases = {  # eigenvalues of S, and whether the bound is attained
        (3.0, 0.5, 1.0, 2.0): True,
        (3.0, -0.99, 1.0, 2.0): True,
        (3.0, -1.01, 1.0, 2.0): False,
        (0.0, 0.0, 0.0, 0.0): True,
    }
    for values, attained in cases.items():
        splitting = (basis.T * values) @ basis
        excess = stability.growth_rate(assembled(splitting, coupling)) - stability.growth_bound(
            splitting, coupling
        )
        assert (excess < 1e-12) == attained, values
    tilted = (basis.T * (3.0, 0.5, 1.0, 2.0)) @ basis
    tilted += 0.1 * (np.outer(basis[0], basis[1]) + np.outer(basis[1], basis[0]))
    excess = stability.growth_rate(assembled(tilted, coupling)) - stability.growth_bound(tilted, coupling)
    measured("excess where the singular vector is no eigenvector of S", excess, at_least=1e-4)


@pytest.mark.parametrize("loss", OUTPUTS)
def test_cor_linear_units(loss, measured):
    net, *examples = problem("identity", loss)
    splitting, coupling = stability.transverse_blocks(net, *examples, 0)
    measured("entries of S that are not 0", np.count_nonzero(splitting), exactly=0)
    sizes = np.linalg.svd(coupling, compute_uv=False)
    wanted = np.sort(np.concatenate([sizes, -sizes, np.zeros(len(splitting) - len(sizes))]))
    values = np.linalg.eigvalsh(stability.transverse_hessian(net, *examples, 0))
    measured(
        "largest distance of an eigenvalue from plus or minus a singular value",
        np.abs(values - wanted).max(),
        at_most=1e-12,
    )


def test_prop_frozen_readouts(measured):
    net, images, targets = problem("softplus", filters=2)
    net = net.with_parameters(readout=np.ones((1, 2)))
    rate = 1e-3
    frozen = GradientDescent({"filters": rate, "bias": rate, "readout": 0.0, "readout_bias": 0.0})
    rng = np.random.default_rng(0)
    for sign, bound in ((-1, {"at_most": 1 - 1e-6}), (1, {"at_least": 1 + 1e-6})):
        wanted = np.full_like(targets, 50.0 * sign)
        splitting, _ = stability.transverse_blocks(net, images, wanted, 0)
        values = -sign * np.linalg.eigvalsh(splitting)
        name = {-1: "the network answers too much", 1: "the network answers too little"}[sign]
        measured(f"smallest eigenvalue of S, with its sign, where {name}", values.min(), at_least=1e-9)
        for _ in range(5):
            gap = np.append(rng.normal(size=10), 0)
            pair = twins.make_twins(net, gap=1e-6, direction=gap)
            end = train(pair, images, wanted, optimizer=frozen, steps=1).net
            measured(f"factor of the gap in a step, where {name}", twins.gap(end) / twins.gap(pair), **bound)
    # Frozen readouts: S alone.
    pair = twins.make_twins(net, gap=1e-6, direction=gap)
    end = train(pair, images, targets, optimizer=frozen, steps=1).net
    splitting, _ = stability.transverse_blocks(net, images, targets, 0)
    difference = twins.difference(pair)
    wanted = difference[:10] - rate * splitting @ difference[:10]
    error = np.linalg.norm(twins.difference(end)[:10] - wanted) / np.linalg.norm(wanted)
    measured("relative error of the gap predicted by S alone", error, at_most=1e-8)


def at_rest(residual_of, outputs, seed=0, images=12):
    """One-pixel images and targets for which a tanh pair is at rest, with a residual (N, O) of our choice."""
    rng = np.random.default_rng(seed)
    pixels = np.linspace(-2, 2, images).reshape(images, 1, 1, 1)
    readout = rng.normal(size=(outputs, 1)) @ np.ones((1, 2))
    net = FilterNet(np.ones((2, 1, 1, 1)), np.full(2, 0.5), readout, np.zeros(outputs), arithmetic="blas")
    value = net.features(pixels)[:, 0]
    residual = residual_of(pixels.ravel(), value, readout[:, 0])
    targets = net.outputs(pixels) - residual
    _, gradients = net.loss_and_gradients(pixels, targets)
    assert max(np.abs(g).max() for g in gradients.values()) < 1e-11
    return net, pixels, targets


def one_output(x, value, _):
    """S is the identity and G is 0."""
    slope = 1 - value**2
    curve = -2 * value * slope
    rows = np.stack([np.ones_like(x), value, slope, slope * x, curve * x, curve, curve * x**2]) / len(x)
    return np.linalg.lstsq(rows, np.array([0, 0, 0, 0, 0, 1, 1]), rcond=None)[0][:, None]


def several_outputs(x, value, readout):
    """Each residual is orthogonal to 1 and to the features, and only their sum over outputs to the slopes."""
    rng = np.random.default_rng(5)
    slope = 1 - value**2
    residual = rng.normal(size=(len(x), len(readout)))
    rest = np.stack([np.ones_like(x), value], axis=1)
    residual -= rest @ np.linalg.lstsq(rest, residual, rcond=None)[0]
    total = residual @ readout
    more = np.column_stack([rest, slope, slope * x])
    kept = total - more @ np.linalg.lstsq(more, total, rcond=None)[0]
    return residual + np.outer(kept - total, readout) / (readout @ readout)


def test_thm_stationary(measured):
    net, pixels, targets = at_rest(one_output, 1)
    scale = net.readout[0, 0]
    splitting, coupling = stability.transverse_blocks(net, pixels, targets, 0)
    measured("one output: size of G", np.abs(coupling).max(), at_most=1e-12)
    measured(
        "one output: distance of S from the one asked for",
        np.abs(splitting / scale - np.eye(2)).max(),
        at_most=1e-10,
    )
    mirrored = 2 * net.outputs(pixels) - targets
    other, _ = stability.transverse_blocks(net, pixels, mirrored, 0)
    measured("mirrored targets turn the sign of S", np.abs(other + splitting).max(), at_most=1e-10)
    for which, sign in ((targets, np.sign(scale)), (mirrored, -np.sign(scale))):
        pair = twins.make_twins(net, gap=1e-6, direction=[1, 2, 0])
        end = train(pair, pixels, which, optimizer=GradientDescent(0.01), steps=20).net
        growth = sign * np.log(twins.gap(end) / twins.gap(pair))
        measured("logarithm of the gap's factor, over the sign of minus S", -growth, at_least=1e-3)
    for outputs in (2, 4):
        net, pixels, targets = at_rest(several_outputs, outputs)
        splitting, coupling = stability.transverse_blocks(net, pixels, targets, 0)
        readout = net.readout[:, 0]
        measured("several outputs: size of A G", np.abs(readout @ coupling).max(), at_most=1e-12)
        rank = np.linalg.matrix_rank(coupling, rtol=1e-9)
        measured("several outputs: O - 1 minus the rank of G", outputs - 1 - rank, at_least=0)
        hessian = stability.transverse_hessian(net, pixels, targets, 0)
        measured("T (0, A)", np.abs(hessian @ np.append(np.zeros(2), readout)).max(), at_most=1e-12)
        measured("several outputs: growth rate at rest", stability.growth_rate(hessian), at_least=1e-2)


@pytest.mark.parametrize("loss", OUTPUTS)
def test_prop_residual_bound(loss, measured):
    limits = {"tanh": (1, 4 / 27**0.5), "softplus": (1, 0.25), "identity": (1, 0)}
    for activation, (slope, curvature) in limits.items():
        for seed in range(5):
            net, images, targets = problem(activation, loss, seed=seed)
            longest = np.sqrt((net.patches(images) ** 2).sum(axis=1).max() + 1)
            r = net.residuals(images, targets)
            bound = curvature * longest**2 * np.abs(r @ net.readout[:, 0]).mean()
            bound += slope * longest * np.linalg.norm(r, axis=1).mean()
            hessian = stability.transverse_hessian(net, images, targets, 0)
            measured("norm of T over its bound", np.linalg.norm(hessian, 2) / bound, at_most=1)
            assert stability.growth_rate(hessian) <= np.linalg.norm(hessian, 2) * (1 + 1e-12)
    net, images, _ = problem()
    pair = twins.make_twins(net, gap=1e-4, rng=np.random.default_rng(0))
    end = train(pair, images, net.outputs(images), optimizer=GradientDescent(0.3), steps=300).net
    measured(
        "relative change of a gap without residual", abs(twins.gap(end) / twins.gap(pair) - 1), at_most=1e-6
    )


def test_prop_budget(measured):
    net, *examples = problem()
    rate, steps = 0.1, 100
    plan = {"optimizer": GradientDescent(rate), "steps": steps, "every": steps}
    budget = stability.amplification_budget(net, *examples, **plan)
    best = twins.make_twins(net, gap=1e-6, direction=budget.initial_direction)
    end = train(best, *examples, **plan).net
    factor = twins.gap(end) / twins.gap(best)
    measured(
        "growth of the best direction over the budget, minus 1",
        abs(factor / budget.factors[-1] - 1),
        at_most=1e-6,
    )
    for seed in range(5):
        other = twins.make_twins(net, gap=1e-6, rng=np.random.default_rng(seed))
        growth = twins.gap(train(other, *examples, **plan).net) / twins.gap(other)
        measured("growth of other directions over the budget", growth / budget.factors[-1], at_most=1)
    path = train(net, *examples, optimizer=GradientDescent(rate), steps=steps, keep_every=1).nets
    rates = []
    for step in range(steps):
        values = np.linalg.eigvalsh(stability.transverse_hessian(path[step], *examples, 0))
        assert rate * values[-1] - 1 <= 1 - rate * values[0]
        rates.append(-values[0])
    bound = np.exp(rate * np.sum(rates))
    measured("budget over the exponential of the rates", budget.factors[-1] / bound, at_most=1)


def test_budget_says_who_parts(measured):
    digits = data.digits(0, 1, 2, 3, count=20)
    examples = digits.images - digits.images.mean(), digits.targets
    rng = np.random.default_rng(7)
    net = FilterNet.random(rng, filters=2, kernel=5, stride=3, outputs=4, scale=0.3, arithmetic="blas")
    direction, gaps = rng.normal(size=30), np.logspace(-12, -1, 12)
    pairs = [twins.make_twins(net, gap=gap, direction=direction) for gap in gaps]
    plan = {"optimizer": GradientDescent(0.3), "steps": 400, "every": 400}
    growth = stability.predict_gap(pairs[0], *examples, **plan).gaps
    runs = ensemble.train_ensemble(pairs, *examples, record={"gap": ensemble.gaps}, **plan)
    said, seen = gaps * growth[-1] / growth[0] > 0.1, runs["gap"][-1] > 0.1
    measured("verdicts out of 12 that differ from the prediction", (said != seen).sum(), exactly=0)
    assert 0 < seen.sum() < 12


def test_cor_weight_decay(measured):
    net, *examples = problem()
    plain = stability.transverse_hessian(net, *examples, 0)
    pair = twins.make_twins(net, gap=1e-6, rng=np.random.default_rng(0))
    difference = twins.difference(pair)
    for decay in (0.1, 1.0):
        end = train(pair, *examples, optimizer=WeightDecay(GradientDescent(0.01), decay), steps=1).net
        wanted = difference - 0.01 * (plain + decay * np.eye(len(plain))) @ difference
        error = np.linalg.norm(twins.difference(end) - wanted) / np.linalg.norm(wanted)
        measured("relative error of a step with T + decay", error, at_most=1e-8)
    # Along one merged run: decay of the gap alone multiplies it by exp(-decay t).
    path = train(net, *examples, optimizer=GradientDescent(0.001), steps=400, keep_every=1).nets
    with_decay, without = np.eye(len(plain)), np.eye(len(plain))
    for step in range(400):
        hessian = stability.transverse_hessian(path[step], *examples, 0)
        without = without - 0.001 * hessian @ without
        with_decay = with_decay - 0.001 * (hessian + np.eye(len(plain))) @ with_decay
    error = np.abs(with_decay - np.exp(-0.4) * without).max()
    measured(
        "propagator with decay minus the one without times exp(-decay t)",
        error,
        at_most=1e-3,
    )
    strong = 1.5 * stability.growth_rate(plain)
    for seed in range(5):
        other = twins.make_twins(net, gap=1e-6, rng=np.random.default_rng(seed))
        end = train(other, *examples, optimizer=WeightDecay(GradientDescent(0.01), strong), steps=1).net
        measured(
            "factor of a gap under a decay above the rate",
            twins.gap(end) / twins.gap(other),
            at_most=1 - 1e-6,
        )


@pytest.mark.parametrize("gap", [1e-9, 1e-3, 0.5])
@pytest.mark.parametrize("loss", OUTPUTS)
def test_prop_relu_kicks(gap, loss, measured):
    """One step taken apart patch by patch, in a loop."""
    net, images, targets = problem("relu", loss, count=10)
    # The threshold in the middle of some patch's answers: it lies between the twins, however near they are.
    z = np.sort(net.preactivations(images)[:, 0].ravel())
    net = twins.tie(net.with_parameters(bias=net.bias - z[len(z) // 2]))
    pair = twins.make_twins(net, gap=gap, rng=np.random.default_rng(0))
    rate, size = 0.1, 10
    pieces, linear = [], np.zeros(size + len(net.readout))
    difference = twins.difference(pair)
    one, other = (pair.unit(k) for k in (0, 1))
    mean = (one["readout"] + other["readout"]) / 2
    for r, patches in zip(pair.residuals(images, targets), pair.patches(images), strict=True):
        for x in np.append(patches, np.ones((1, patches.shape[1])), axis=0).T:
            answers = [np.append(unit["filter"].ravel(), unit["bias"]) @ x for unit in (one, other)]
            slopes = [float(answer > 0) for answer in answers]
            share = rate / len(images) / patches.shape[1]
            linear[:size] -= share * np.mean(slopes) * (r @ difference[size:]) * x
            linear[size:] -= share * np.mean(slopes) * r * (x @ difference[:size])
            if slopes[0] != slopes[1]:
                kick = np.append((r @ mean) * x, r * np.mean(answers))
                pieces.append((slopes[1] - slopes[0]) * share * kick)
                assert abs(np.mean(answers)) <= abs(difference[:size] @ x) / 2 + 1e-12
    end = train(pair, images, targets, optimizer=GradientDescent(rate), steps=1).net
    change = twins.difference(end) - difference
    measured("kicks in a step", len(pieces), at_least=1)
    error = np.linalg.norm(change - linear - np.sum(pieces, axis=0)) / np.linalg.norm(change)
    measured("relative error of the change that the formula gives", error, at_most=1e-6)
    kicks = stability.relu_kicks(pair, images, targets, rate)
    assert kicks.count == len(pieces)
    measured("size of the largest kick", kicks.sizes.max(), at_least=1e-7)


def test_blank_patches_kick_at_zero_bias(measured):
    digits = data.digits(3, 8, count=60)
    net = FilterNet.random(np.random.default_rng(1), filters=2, kernel=3, activation="relu")
    totals = []
    for gap in (1e-12, 1e-6, 1e-3):
        pair = twins.make_twins(net, gap=gap, rng=np.random.default_rng(5))
        totals.append(np.linalg.norm(stability.relu_kicks(pair, *digits.examples, 0.1).total))
    measured("total kick of a gap of 1e-12", totals[0], at_least=1e-3)
    measured(
        "largest over smallest total kick of three gaps, minus 1", max(totals) / min(totals) - 1, at_most=1e-3
    )
