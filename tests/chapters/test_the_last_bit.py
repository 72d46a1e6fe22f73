"""The statements of the chapter *The last bit*, each executed under its own name.

None of them is about the matrix products of this machine, which may part identical filters or not.
"""

from fractions import Fraction

import numpy as np
import pytest

from twinfilters import data, rounding, stability, twins
from twinfilters.arithmetic import TILE, combine
from twinfilters.network import FilterNet
from twinfilters.optimizers import Adam, ClipNorm, GradientDescent, Momentum, WeightDecay
from twinfilters.training import train

DIGITS = data.digits(0, 1, 2, 3, count=40)
IMAGES, TARGETS = DIGITS.images - DIGITS.images.mean(), DIGITS.targets
RULES = {
    "descent": GradientDescent(0.2),
    "momentum": Momentum(0.05, momentum=0.9),
    "Adam": Adam(0.01),
    "decay": WeightDecay(GradientDescent(0.2), 0.01),
}
# Of numbers that are equal but for the rounding of float64.
ROUNDING = 1e-12


# --- Two orders of one sum


def rounded_sum(a, b, rng, fused):
    """Add up products in a random bracketing, each rounded once by way of exact fractions; count additions."""
    terms = [(float(Fraction(x) * Fraction(y)), (x, y), 0) for x, y in zip(a, b, strict=True)]
    while len(terms) > 1:
        (one, product, i), (other, _, j) = (terms.pop(rng.integers(len(terms))) for _ in range(2))
        if fused and product is not None:
            one = Fraction(product[0]) * Fraction(product[1])
        terms.append((float(Fraction(one) + Fraction(other)), None, max(i, j) + 1))
    return terms[0][0], terms[0][2]


@pytest.mark.parametrize("fused", [False, True], ids=["rounded", "fused"])
@pytest.mark.parametrize("cancelling", [False, True], ids=["random", "cancelling"])
def test_prop_two_orders(fused, cancelling, measured):
    rng, u = np.random.default_rng(0), Fraction(rounding.unit_roundoff("float64"))
    for n in (1, 2, 3, 10, 40):
        a, b = rng.normal(size=(2, n))
        if cancelling:
            a, b = np.append(a, a), np.append(b, -b * (1 + 1e-13))
        exact = sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))
        size = sum(abs(Fraction(x) * Fraction(y)) for x, y in zip(a, b, strict=True))
        results = [rounded_sum(a, b, rng, fused and k % 2) for k in range(20)]
        for result, additions in results:
            factors = (additions + 1) * u
            share = abs(Fraction(result) - exact) / (factors / (1 - factors) * size)
            measured("error as a share of the bound", float(share), at_most=1)
        sums, most = [Fraction(result) for result, _ in results], len(a) * u
        share = (max(sums) - min(sums)) / (2 * most / (1 - most) * size)
        measured("difference as a share of the bound", float(share), at_most=1)
    measured("different results of one sum", len(set(sums)), at_least=2)


def test_the_bound_is_not_relative_to_the_sum():
    terms = np.array([1.0, 2.0**53, 1.0, -(2.0**53)])
    assert np.cumsum(terms)[-1] == 0
    assert np.cumsum(terms[[1, 3, 0, 2]])[-1] == 2


# --- Same operations, same bits


def one_step(parameters, images, targets, product):
    """Descend with tanh units each of which computes by itself; only the outputs are a matrix product."""
    weights, readout = parameters
    features = np.stack([np.tanh(product(images, w)) for w in weights])
    residual = (features.T @ readout - targets) / len(images)
    new = [
        w - 0.5 * product(images.T, a * residual * (1 - h * h))
        for w, a, h in zip(weights, readout, features, strict=True)
    ]
    return np.stack(new), readout - 0.5 * np.array([product(h[None], residual)[0] for h in features])


def in_order(matrix, vector):
    return np.cumsum(matrix * vector, axis=1)[:, -1]


def from_behind(matrix, vector):
    return in_order(matrix[:, ::-1], vector[::-1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_thm_same_operations(dtype, measured):
    rng = np.random.default_rng(0)
    images, targets = rng.normal(size=(50, 9)).astype(dtype), rng.normal(size=50).astype(dtype)
    units = rng.normal(size=(4, 9)).astype(dtype), rng.normal(size=4).astype(dtype)
    start = parameters = [np.concatenate([part, part[:1]]) for part in units]
    for _ in range(200):
        parameters = one_step(parameters, images, targets, in_order)
    apart = max(np.abs(part[0] - part[-1]).max() for part in parameters)
    measured("gap of units treated alike after 200 steps", apart, exactly=0)
    assert np.abs(parameters[0][0] - start[0][0]).max() > 0.1


def test_another_order_parts_units():
    """What the theorem asks for is needed: two orders give two results."""
    rng = np.random.default_rng(0)
    images, weights = rng.normal(size=(50, 9)), rng.normal(size=9)
    assert (in_order(images, weights) != from_behind(images, weights)).any()


# --- What becomes of identical filters


def copies(count, seed=0, dtype="float64", arithmetic="tiled"):
    rng = np.random.default_rng(seed)
    net = FilterNet.random(rng, filters=count, kernel=5, outputs=4, scale=0.3, arithmetic=arithmetic)
    for k in range(1, count):
        net = twins.tie(net, 0, k)
    return net.with_parameters({name: value.astype(dtype) for name, value in net.parameters.items()})


def trained(net, rule, steps):
    dtype = net.filters.dtype
    return train(
        net, IMAGES.astype(dtype), TARGETS.astype(dtype), optimizer=rule, steps=steps, every=steps
    ).net


def spread(net, units):
    vectors = np.stack([twins.unit_vector(net, k) for k in units])
    return np.ptp(vectors, axis=0).max()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cor_treated_alike(dtype, rule, measured):
    for count in (3, 4, 5, 11):
        blind = trained(copies(count, dtype=dtype, arithmetic="position_blind"), RULES[rule], 15)
        measured("gap in position-blind arithmetic", spread(blind, range(count)), exactly=0)
        tiled, whole = trained(copies(count, dtype=dtype), RULES[rule], 15), count // TILE * TILE
        for units in (range(whole), range(whole, count)):
            if units:
                measured("gap within the tiles, and within their edge", spread(tiled, units), exactly=0)
        measured("distinct filters in tiled arithmetic", twins.effective_width(tiled), at_most=2)
        assert twins.effective_width(tiled) == (2 if 0 < whole < count else 1)


def test_a_rule_may_depend_on_shared_numbers():
    """The norm of the whole gradient is one number for all units."""
    clipped = ClipNorm(GradientDescent(0.2), 0.05)
    blind = trained(copies(5, arithmetic="position_blind"), clipped, 15)
    assert spread(blind, range(5)) == 0
    plain = trained(copies(5, arithmetic="position_blind"), GradientDescent(0.2), 15)
    assert np.abs(blind.filters - plain.filters).max() > 1e-3
    tiled = trained(copies(11), clipped, 15)
    assert spread(tiled, range(8)) == spread(tiled, range(8, 11)) == 0


def test_determinism_is_not_symmetry():
    rng = np.random.default_rng(0)
    filters, patches = rng.normal(size=(1, 25)).repeat(5, axis=0), rng.normal(size=(25, 100))
    first, second = (combine(filters, patches, "tiled") for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert rounding.distinct_patterns(first) == 2
    shuffled = [
        combine(filters[:, order], patches[order], "position_blind")
        for order in rng.permuted([range(25)] * 2, axis=1)
    ]
    assert shuffled[0].tobytes() != shuffled[1].tobytes()
    assert rounding.distinct_patterns(shuffled[0]) == 1


# --- Rounding in every step


def test_prop_rounding_grows(measured):
    rng, rate, steps = np.random.default_rng(0), 0.1, 60
    for _ in range(20):
        factors, sizes, d = [], 1e-9 * rng.random(steps), np.zeros(6)
        for t in range(steps):
            hessian = rng.normal(size=(6, 6))
            step = np.eye(6) - rate * (hessian + hessian.T) / 2
            factors.append(np.linalg.norm(step, ord=2))
            error = rng.normal(size=6)
            d = step @ d + sizes[t] * error / np.linalg.norm(error)
            # Each product runs over the steps after the one that made the error.
            most = sum(sizes[s] * np.prod(factors[s + 1 :]) for s in range(t + 1))
            measured("gap as a share of the bound", np.linalg.norm(d) / most, at_most=1 + ROUNDING)


def test_the_bound_on_rounding_is_attained(measured):
    rng, rate, rho, eta = np.random.default_rng(0), 0.2, 0.1, 1e-9
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    hessian = basis @ np.diag([-rho, 0.0, 0.1, 0.3, 0.5]) @ basis.T
    assert np.isclose(np.linalg.norm(np.eye(5) - rate * hessian, ord=2), 1 + rate * rho, rtol=ROUNDING)
    d, gaps = np.zeros(5), [0.0]
    for _ in range(900):
        d = d - rate * hessian @ d + eta * basis[:, 0]
        gaps.append(np.linalg.norm(d))
    wanted = eta * np.expm1(np.arange(901) * np.log1p(rate * rho)) / (rate * rho)
    measured("gap against the formula", np.abs(gaps[1:] / wanted[1:] - 1).max(), at_most=1e-10)
    earliest = np.log1p(rate * rho * 1e-2 / eta) / np.log1p(rate * rho)
    assert rounding.measured_escape_step(np.arange(901), np.array(gaps), 1e-2) == np.ceil(earliest)


def amplification_along(wide, rate, steps, every):
    """Root mean square over directions of how much a gap grows, from the run of the merged network alone."""
    merged = twins.merge(wide, range(wide.units))
    examples = IMAGES, TARGETS

    def transverse(narrow):
        return stability.transverse_hessian(twins.unmerge(narrow, 0, wide.units), *examples, 0)

    narrow = GradientDescent(merged.learning_rates(rate))
    run = train(merged.net, *examples, optimizer=narrow, steps=steps, every=every, record={"T": transverse})
    identity = product = np.eye(run["T"].shape[-1])
    factors = []
    for hessian in run["T"]:
        factors.append(np.linalg.norm(product) / np.sqrt(len(identity)))
        product = np.linalg.matrix_power(identity - rate * hessian, every) @ product
    return run.steps, np.array(factors)


def test_rounding_parts_copies_when_the_merged_network_says(measured):
    rate, start = 0.3, copies(5, dtype="float32")
    examples = IMAGES.astype("float32"), TARGETS.astype("float32")
    record = {"gap": lambda net: twins.gap(net, 0, 4)}
    run = train(start, *examples, optimizer=GradientDescent(rate), steps=650, every=5, record=record)
    steps, factors = amplification_along(copies(5, arithmetic="blas"), rate, steps=650, every=5)
    size = rounding.unit_roundoff("float32") * np.linalg.norm(twins.unit_vector(start, 0))
    predicted = rounding.measured_escape_step(steps, size * factors, 1e-2)
    seen = rounding.measured_escape_step(run.steps, run["gap"], 1e-2)
    measured("escape, relative error of the prediction", abs(seen / predicted - 1), at_most=0.25)
    measured("distinct filters at the end", twins.effective_width(run.net), exactly=2)
