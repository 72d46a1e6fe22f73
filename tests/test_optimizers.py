"""A rule makes a step out of a gradient; which rules treat identical units identically."""

import numpy as np
import pytest
import torch

from twinfilters import data, twins
from twinfilters.network import FilterNet
from twinfilters.optimizers import (
    Adam,
    ClipNorm,
    DecoupledWeightDecay,
    Freeze,
    GradientDescent,
    Momentum,
    Muon,
    RMSProp,
    WeightDecay,
    orthogonalize,
)
from twinfilters.training import train

# float64 against PyTorch in float64, relative, after tens of steps.
TORCH = {"rtol": 1e-10, "atol": 1e-13}
# What two orders of adding the same float64 numbers may differ by.
ROUNDING = {"rtol": 1e-12, "atol": 1e-15}
# Central differences with a step of 1e-5, whose error is of the order of its square.
DIFFERENCES = {"rtol": 1e-6, "atol": 1e-8}

RULES = {
    "descent": GradientDescent(0.1),
    "heavy ball": Momentum(0.05, 0.9),
    "nesterov": Momentum(0.05, 0.8, nesterov=True),
    "rmsprop": RMSProp(0.01, decay=0.9),
    "adam": Adam(0.01, mean_decay=0.8, square_decay=0.99),
    "muon": Muon(0.02),
    "coupled decay": WeightDecay(Momentum(0.05), 0.03),
    "adam, coupled decay": WeightDecay(Adam(0.01), 0.03),
    "decoupled decay": DecoupledWeightDecay(Adam(0.01), 0.3),
    "clipped": ClipNorm(Momentum(0.1), 0.05),
    "clipped, decayed": ClipNorm(WeightDecay(Adam(0.01), 0.03), 0.05),
    "frozen readout": Freeze(Adam(0.01), parameters=("readout", "readout_bias")),
}
ALL = dict.fromkeys(("filters", "bias", "readout", "readout_bias"), 0.1)
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def rng(seed=0):
    return np.random.default_rng(seed)


def net_parameters(seed=0, **options):
    return FilterNet.random(rng(seed), **{"filters": 4, "outputs": 2, **options}).parameters


def random_gradients(parameters, seed=1):
    generator = rng(seed)
    return {name: generator.normal(size=value.shape) for name, value in parameters.items()}


def run(rule, parameters, gradients_at, steps):
    """Parameters after some steps, with gradients that depend on step and parameters."""
    state = rule.start(parameters)
    for step in range(steps):
        parameters, state = rule.update(parameters, gradients_at(step, parameters), state)
    return parameters, state


# --- by hand


def one(value):
    return {"bias": np.array([value])}


def test_descent_by_hand():
    parameters = {"filters": np.array([1.0, -2.0]), "bias": np.array([0.5])}
    gradients = {"filters": np.array([4.0, 8.0]), "bias": np.array([-1.0])}
    rule = GradientDescent(0.25)
    stepped, state = rule.update(parameters, gradients, rule.start(parameters))
    assert state is None
    assert {name: value.tolist() for name, value in stepped.items()} == {
        "filters": [0.0, -4.0],
        "bias": [0.75],
    }


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        # gradients 4, then 2; velocities 4, then 0.5 * 4 + 2 = 4
        (Momentum(0.25, 0.5), [-1.0, -2.0]),
        # directions 4 + 0.5 * 4 = 6, then 2 + 0.5 * 4 = 4
        (Momentum(0.25, 0.5, nesterov=True), [-1.5, -2.5]),
        # mean squares 0.25 * 16 = 4, then 0.75 * 4 + 0.25 * 4 = 4
        (RMSProp(0.5, decay=0.75, epsilon=2.0), [-0.5, -0.75]),
        # means 3 / 0.75 = 4, then (0.25 * 3 + 0.75 * 2) / (1 - 0.25 ** 2) = 2.4; mean squares 16, then 4
        (Adam(0.5, mean_decay=0.25, square_decay=0.0, epsilon=4.0), [-0.25, -0.45]),
        # coupled: 4 + 2 * 0, then 2 + 2 * (-1) = 0
        (WeightDecay(GradientDescent(0.25), 2.0), [-1.0, -1.0]),
        # decoupled: 0 - 1, then (1 - 0.25 * 2) * (-1) - 0.5
        (DecoupledWeightDecay(GradientDescent(0.25), 2.0), [-1.0, -1.0]),
        # lengths 4, clipped to 3, then 2, which is short enough
        (ClipNorm(GradientDescent(0.25), 3.0), [-0.75, -1.25]),
    ],
)
def test_two_steps_by_hand(rule, wanted):
    first, state = rule.update(one(0.0), one(4.0), rule.start(one(0.0)))
    second, _ = rule.update(first, one(2.0), state)
    np.testing.assert_allclose([first["bias"][0], second["bias"][0]], wanted, rtol=1e-6)


# --- against PyTorch


class TorchRun:
    """The same parameters under an optimiser of PyTorch."""

    def __init__(self, parameters, make, max_norm=None):
        self.tensors = {name: torch.tensor(value) for name, value in parameters.items()}
        self.optimizer = make(list(self.tensors.values()))
        self.max_norm = max_norm

    def step(self, gradients):
        for name, tensor in self.tensors.items():
            tensor.grad = torch.tensor(gradients[name])
        if self.max_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.max_norm)
        self.optimizer.step()


PEERS = {
    "descent": (GradientDescent(0.1), lambda p: torch.optim.SGD(p, 0.1), None),
    "heavy ball": (Momentum(0.05, 0.9), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), None),
    "nesterov": (
        Momentum(0.05, 0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.8, nesterov=True),
        None,
    ),
    "rmsprop": (RMSProp(0.01, decay=0.9), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9), None),
    "adam": (Adam(0.01, 0.8, 0.99), lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.99)), None),
    "defaults of rmsprop": (RMSProp(0.01), lambda p: torch.optim.RMSprop(p, 0.01), None),
    "defaults of adam": (Adam(0.01), lambda p: torch.optim.Adam(p, 0.01), None),
    "coupled decay": (
        WeightDecay(Momentum(0.05), 0.03),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.03),
        None,
    ),
    "adam, coupled decay": (
        WeightDecay(Adam(0.01), 0.03),
        lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.03),
        None,
    ),
    "adamw": (
        DecoupledWeightDecay(Adam(0.01), 0.3),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3),
        None,
    ),
    "clipped": (ClipNorm(Momentum(0.05), 7.0), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), 7.0),
    "clipped, decayed": (
        ClipNorm(WeightDecay(Adam(0.01), 0.03), 7.0),
        lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.03),
        7.0,
    ),
}


@pytest.mark.parametrize(("rule", "make", "max_norm"), PEERS.values(), ids=PEERS)
def test_forty_steps_agree_with_torch(rule, make, max_norm):
    parameters, noise = net_parameters(), rng(5)
    peer, state, lengths = TorchRun(parameters, make, max_norm), rule.start(parameters), []
    for _ in range(40):
        gradients = {
            name: value + noise.normal(size=value.shape, scale=noise.uniform(0.1, 2))
            for name, value in parameters.items()
        }
        lengths.append(np.sqrt(sum((gradient**2).sum() for gradient in gradients.values())))
        parameters, state = rule.update(parameters, gradients, state)
        peer.step(gradients)
    assert min(lengths) < 7 < max(lengths)
    for name, tensor in peer.tensors.items():
        np.testing.assert_allclose(parameters[name], tensor.numpy(), **TORCH)


@pytest.mark.parametrize("filters", [4, 12])
@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs torch.optim.Muon")
def test_muon_agrees_with_torch(filters, monkeypatch):
    """In float64: PyTorch's iteration rounds to bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    parameters, noise, rule = net_parameters(filters=filters), rng(5), Muon(0.02, 0.9)
    rows = {"filters": parameters["filters"].reshape(filters, -1)}
    peer = TorchRun(rows, lambda p: torch.optim.Muon(p, 0.02, momentum=0.9, weight_decay=0.0))
    rest = {name: value for name, value in parameters.items() if name != "filters"}
    adam = TorchRun(rest, lambda p: torch.optim.Adam(p, 0.02))
    state = rule.start(parameters)
    for _ in range(20):
        gradients = {name: noise.normal(size=value.shape) for name, value in parameters.items()}
        parameters, state = rule.update(parameters, gradients, state)
        peer.step({"filters": gradients["filters"].reshape(filters, -1)})
        adam.step(gradients)
    for name, tensor in {**peer.tensors, **adam.tensors}.items():
        np.testing.assert_allclose(parameters[name].reshape(tensor.shape), tensor.numpy(), **TORCH)


# --- orthogonalised updates


@pytest.mark.parametrize("shape", [(3, 9), (9, 3), (5, 5), (1, 4)])
def test_orthogonalize_keeps_singular_vectors(shape):
    left, values, right = np.linalg.svd(rng().normal(size=shape), full_matrices=False)
    x = values / np.linalg.norm(values)
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    np.testing.assert_allclose(orthogonalize(left * values @ right), left * x @ right, rtol=1e-11, atol=1e-12)


def test_orthogonalize_brings_singular_values_near_one():
    left, _, right = np.linalg.svd(rng().normal(size=(8, 9)), full_matrices=False)
    values = np.linalg.svd(orthogonalize(left * np.geomspace(1e-2, 1, 8) @ right), compute_uv=False)
    assert values.min() > 0.67
    assert values.max() < 1.15


def test_orthogonalize_keeps_zero():
    np.testing.assert_array_equal(orthogonalize(np.zeros((3, 4))), np.zeros((3, 4)))


@pytest.mark.parametrize("shape", [(2, 9), (7, 9), (12, 4), (17, 25)])
def test_orthogonalize_gives_identical_rows_identical_bits(shape):
    matrix = rng().normal(size=shape)
    matrix[-1] = matrix[0]
    rows = orthogonalize(matrix)
    assert rows[-1].tobytes() == rows[0].tobytes()


def test_orthogonalize_multiplies_a_small_difference_of_rows():
    matrix = np.tile(rng().normal(size=9), (2, 1))
    difference = 1e-9 * rng(1).normal(size=9)
    difference -= matrix[0] * (difference @ matrix[0]) / (matrix[0] @ matrix[0])
    rows = orthogonalize(matrix + 0.5 * np.array([[1], [-1]]) * difference)
    gain = 3.4445**5 / np.linalg.norm(matrix)
    np.testing.assert_allclose(rows[0] - rows[1], gain * difference, rtol=1e-5, atol=1e-12)


# --- the swap


def swapped(parameters, order):
    return {
        name: value if name == "readout_bias" else value[:, order] if name == "readout" else value[order]
        for name, value in parameters.items()
    }


@every_rule
def test_rule_commutes_with_swapping_units(rule):
    parameters, order = net_parameters(), [0, 3, 2, 1]
    gradients = [random_gradients(parameters, seed) for seed in range(4)]
    after, _ = run(rule, parameters, lambda step, _: gradients[step], 4)
    swapped_first, _ = run(
        rule, swapped(parameters, order), lambda step, _: swapped(gradients[step], order), 4
    )
    for name, value in swapped(after, order).items():
        np.testing.assert_allclose(swapped_first[name], value, **ROUNDING)


@every_rule
@pytest.mark.usefixtures("unchecked")  # which makes it three times as fast
def test_exact_twins_keep_a_gap_of_exactly_zero(rule):
    """Theorem 2, 200 steps on digits in minibatches."""
    digits = data.digits(3, 8, count=40)
    net = twins.make_twins(FilterNet.random(rng(1), filters=3), 0, 2)
    history = train(
        net,
        digits.images,
        digits.targets,
        optimizer=rule,
        steps=200,
        batch_size=8,
        rng=rng(2),
        every=10,
        record={"gap": lambda net: twins.gap(net, 0, 2), "other": lambda net: twins.gap(net, 0, 1)},
    )
    assert twins.unit_vector(history.net, 0).tobytes() == twins.unit_vector(history.net, 2).tobytes()
    assert not history["gap"].any()
    assert history["other"].all()
    assert np.abs(history.net.filters - net.filters).max() > 1e-2


@pytest.mark.parametrize(
    "rule",
    [
        Freeze(GradientDescent(0.1), units=(2,)),
        GradientDescent({**ALL, "filters": np.array([0.1, 0.1, 0.2])[:, None, None, None]}),
    ],
    ids=["one twin frozen", "unequal rates"],
)
def test_a_rule_that_does_not_commute_parts_exact_twins(rule):
    digits = data.digits(3, 8, count=10)
    net = twins.make_twins(FilterNet.random(rng(1), filters=3), 0, 2)
    history = train(net, digits.images, digits.targets, optimizer=rule, steps=1)
    assert twins.gap(history.net, 0, 2) > 1e-4


# --- freezing, and a rate for each parameter


def frozen_run(rule):
    parameters = net_parameters()
    return parameters, run(rule, parameters, lambda step, p: random_gradients(p, step), 5)[0]


def test_frozen_units_keep_their_bits_and_others_move():
    before, after = frozen_run(Freeze(DecoupledWeightDecay(Adam(0.1), 0.1), units=(1, 3)))
    for name, axis in {"filters": 0, "bias": 0, "readout": 1}.items():
        fixed = [
            old.tobytes() == new.tobytes()
            for old, new in zip(
                np.moveaxis(before[name], axis, 0), np.moveaxis(after[name], axis, 0), strict=True
            )
        ]
        assert fixed == [False, True, False, True]
    assert (before["readout_bias"] != after["readout_bias"]).all()


def test_frozen_parameters_keep_their_bits_and_others_move():
    before, after = frozen_run(Freeze(Momentum(0.1), parameters=("readout", "readout_bias")))
    fixed = {name: before[name].tobytes() == after[name].tobytes() for name in before}
    assert fixed == {"filters": False, "bias": False, "readout": True, "readout_bias": True}


def test_frozen_parameters_of_units():
    before, after = frozen_run(Freeze(GradientDescent(0.1), units=(2,), parameters=("bias",)))
    assert (before["bias"] == after["bias"]).tolist() == [False, False, True, False]
    assert not (before["filters"] == after["filters"]).any()


def deep_parameters():
    """Three layers of 4, 3 and 2 filters, named as FilterNet names them."""
    shapes = {"filters": (4, 1, 3, 3), "bias": (4,), "filters2": (3, 4, 2, 2), "bias2": (3,)}
    shapes |= {"filters3": (2, 3, 1, 1), "bias3": (2,), "readout": (5, 2, 6), "readout_bias": (5,)}
    return {name: rng().normal(size=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (1, {"filters": np.s_[1], "bias": np.s_[1], "filters2": np.s_[:, 1]}),
        (2, {"filters2": np.s_[1], "bias2": np.s_[1], "filters3": np.s_[:, 1]}),
        (3, {"filters3": np.s_[1], "bias3": np.s_[1], "readout": np.s_[:, 1]}),
    ],
)
def test_units_of_deeper_layers_can_be_frozen(layer, wanted):
    parameters = deep_parameters()
    after, _ = run(Freeze(Adam(0.1), units=(1,), layer=layer), parameters, lambda *_: parameters, 2)
    for name, value in parameters.items():
        fixed = np.zeros(value.shape, bool)
        if name in wanted:
            fixed[wanted[name]] = True
        np.testing.assert_array_equal(after[name] == value, fixed)


def test_muon_orthogonalizes_the_filters_of_every_layer():
    parameters = deep_parameters()
    gradients = random_gradients(parameters)
    after, _ = run(Muon(0.1), parameters, lambda *_: gradients, 1)
    for name in ("filters", "filters2", "filters3"):
        step = orthogonalize(gradients[name].reshape(len(gradients[name]), -1)).reshape(gradients[name].shape)
        np.testing.assert_allclose(after[name], parameters[name] - 0.1 * step, **ROUNDING)
    adam, _ = run(Adam(0.1), parameters, lambda *_: gradients, 1)
    for name in ("bias", "bias2", "bias3", "readout", "readout_bias"):
        np.testing.assert_array_equal(after[name], adam[name])


def test_what_is_frozen_does_not_count_in_the_norm():
    parameters, gradients = net_parameters(), random_gradients(net_parameters())
    gradients["readout"] = 1e9 * gradients["readout"]
    rule = Freeze(ClipNorm(GradientDescent(1.0), 0.5), parameters=("readout",))
    stepped, _ = rule.update(parameters, gradients, rule.start(parameters))
    length = np.sqrt(sum(((stepped[name] - parameters[name]) ** 2).sum() for name in parameters))
    np.testing.assert_allclose(length, 0.5, rtol=1e-5)


def test_rates_for_each_parameter_and_unit():
    parameters, gradients = net_parameters(), random_gradients(net_parameters())
    per_unit = np.array([0.0, 0.1, 0.2, 0.3])
    rates = {
        "filters": per_unit[:, None, None, None],
        "bias": per_unit,
        "readout": 2 * per_unit,
        "readout_bias": 0.5,
    }
    stepped, _ = run(GradientDescent(rates), parameters, lambda *_: gradients, 1)
    for k, rate in enumerate(per_unit):
        np.testing.assert_array_equal(
            stepped["filters"][k], parameters["filters"][k] - rate * gradients["filters"][k]
        )
        np.testing.assert_array_equal(
            stepped["readout"][:, k], parameters["readout"][:, k] - 2 * rate * gradients["readout"][:, k]
        )
    np.testing.assert_array_equal(
        stepped["readout_bias"], parameters["readout_bias"] - 0.5 * gradients["readout_bias"]
    )


@pytest.mark.usefixtures("unchecked")
def test_merged_unit_follows_its_copies_with_scaled_rates():
    """Section 3 of the theory: m copies of (w, b, a) are one unit (w, b, m a) with rates 1/m, 1/m, m."""
    digits, copies = data.digits(3, 8, count=40), 3
    one = FilterNet.random(rng(4), filters=1)
    merged = one.with_parameters(readout=copies * one.readout)
    many = one.with_parameters(
        filters=one.filters.repeat(copies, 0),
        bias=one.bias.repeat(copies),
        readout=one.readout.repeat(copies, 1),
    )
    rates = {"filters": 0.3 / copies, "bias": 0.3 / copies, "readout": 0.3 * copies, "readout_bias": 0.3}
    ends = [
        train(net, digits.images, digits.targets, optimizer=GradientDescent(rate), steps=100).net
        for net, rate in ((many, 0.3), (merged, rates))
    ]
    np.testing.assert_allclose(ends[0].filters[:1], ends[1].filters, rtol=1e-11)
    np.testing.assert_allclose(ends[0].readout[:, :1] * copies, ends[1].readout, rtol=1e-11)


# --- complex steps, types, and leaving things alone


@every_rule
def test_update_can_be_differentiated_by_a_complex_step(rule):
    """Along a direction in parameters and gradients, from a state that has seen three steps."""
    parameters = net_parameters()
    parameters, state = run(rule, parameters, lambda step, p: random_gradients(p, step), 3)
    gradients = random_gradients(parameters, 7)
    along = random_gradients(parameters, 8)

    def after(step):
        moved = [
            {name: value[name] + step * along[name] for name in along} for value in (parameters, gradients)
        ]
        return rule.update(*moved, state)[0]

    analytic, plus, minus = after(1e-30j), after(1e-5), after(-1e-5)
    for name in parameters:
        derivative = analytic[name].imag / 1e-30
        np.testing.assert_allclose(derivative, (plus[name] - minus[name]) / 2e-5, **DIFFERENCES)


def arrays_in(tree):
    if isinstance(tree, dict):
        return [array for value in tree.values() for array in arrays_in(value)]
    return [tree] if isinstance(tree, np.ndarray) else []


@every_rule
def test_update_changes_nothing_in_place(rule):
    parameters = net_parameters()
    state = rule.start(parameters)
    for seed in range(3):
        gradients = random_gradients(parameters, seed)
        for array in arrays_in({"before": parameters, "along": gradients, "state": state}):
            array.setflags(write=False)
        parameters, state = rule.update(parameters, gradients, state)


FLOATING = {
    **RULES,
    "numbers of NumPy": WeightDecay(Momentum(np.float64(0.1), np.float64(0.5)), np.float64(0.1)),
    "arrays": GradientDescent(
        {"filters": np.full((4, 1, 1, 1), 0.1), "bias": 0.1, "readout": np.full(4, 0.1), "readout_bias": 0.1}
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("rule", FLOATING.values(), ids=FLOATING)
@pytest.mark.usefixtures("unchecked")  # jaxtyping does not know long double
def test_rule_keeps_the_floating_type(rule, dtype):
    parameters = {name: value.astype(dtype) for name, value in net_parameters().items()}
    after, state = run(rule, parameters, lambda step, p: {name: 10 * value for name, value in p.items()}, 2)
    assert {array.dtype for array in (*after.values(), *arrays_in(state))} == {np.dtype(dtype)}


# --- wrong arguments


@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan"), float("inf"), "fast", None])
@pytest.mark.usefixtures("unchecked")
def test_learning_rate_must_be_positive_and_finite(learning_rate):
    with pytest.raises(ValueError, match=f"learning_rate must be positive and finite, got {learning_rate}"):
        GradientDescent(learning_rate)


RATE = GradientDescent(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Momentum(0.1, 1.0), "momentum must be at least 0 and less than 1, got 1.0"),
        (lambda: Momentum(0.1, -0.1), "momentum must be at least 0 and less than 1, got -0.1"),
        (lambda: Muon(0.1, float("nan")), "momentum must be at least 0 and less than 1, got nan"),
        (lambda: RMSProp(0.1, decay=1), "decay must be at least 0 and less than 1, got 1"),
        (lambda: RMSProp(0.1, epsilon=0), "epsilon must be positive and finite, got 0"),
        (lambda: Adam(0.1, mean_decay=2), "mean_decay must be at least 0 and less than 1, got 2"),
        (lambda: Adam(0.1, square_decay=-1), "square_decay must be at least 0 and less than 1, got -1"),
        (lambda: Adam(0.1, epsilon=-1), "epsilon must be positive and finite, got -1"),
        (lambda: WeightDecay(0.1, 0.1), r"rule must be one such as GradientDescent\(0.1\), got 0.1"),
        (lambda: ClipNorm("adam", 1.0), r"rule must be one such as GradientDescent\(0.1\), got 'adam'"),
        (lambda: WeightDecay(RATE, -0.1), "strength must be positive and finite, got -0.1"),
        (lambda: DecoupledWeightDecay(RATE, float("inf")), "strength must be positive and finite, got inf"),
        (lambda: ClipNorm(RATE, 0), "max_norm must be positive and finite, got 0"),
        (lambda: Freeze(RATE), "Freeze needs units, or parameters, got neither"),
        (lambda: Freeze(RATE, parameters="bias"), "parameters must be a collection of names, got 'bias'"),
        (
            lambda: GradientDescent({"bias": -1.0}),
            "learning_rate of bias must be finite and at least 0, got -1.0",
        ),
        (
            lambda: WeightDecay(RATE, {"bias": float("nan")}),
            "strength of bias must be finite and at least 0, got nan",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            GradientDescent({"bias": 0.1}),
            r"learning_rate must be given for \['bias', 'filters', .*got \['bias'\]",
        ),
        (
            Muon({**ALL, "filters": np.ones(5)}),
            r"learning_rate of filters must broadcast to its shape \(4, 1, 3, 3\), got \(5,\)",
        ),
        (
            WeightDecay(RATE, {"bias": 0.1}),
            r"strength must be given for \['bias', 'filters', .*got \['bias'\]",
        ),
        (Freeze(RATE, units=[1, 4]), "unit must lie between 0 and 3, got 4"),
        (ClipNorm(Freeze(RATE, units=[-1]), 1.0), "unit must lie between 0 and 3, got -1"),
        (Freeze(RATE, units=[0], layer=2), "layer must be one that the network has, got 2"),
        (
            Freeze(RATE, parameters=["weights"]),
            r"parameters must be a collection out of \('filters', .*\), got \['weights'\]",
        ),
        (
            Freeze(RATE, units=[0], parameters=["readout_bias"]),
            r"parameters must be a collection out of \('filters', 'bias', 'readout'\), got",
        ),
    ],
)
def test_rules_that_do_not_fit_the_parameters(rule, message):
    with pytest.raises(ValueError, match=message):
        rule.start(net_parameters())


def test_a_decay_may_be_zero():
    parameters, gradients = net_parameters(), random_gradients(net_parameters())
    plain, _ = run(RATE, parameters, lambda *_: gradients, 1)
    decayed, _ = run(WeightDecay(RATE, 0.0), parameters, lambda *_: gradients, 1)
    for name in parameters:
        np.testing.assert_array_equal(plain[name], decayed[name])
