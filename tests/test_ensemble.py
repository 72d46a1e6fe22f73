"""Many runs at once give the numbers of each run by itself."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from twinfilters import data, twins
from twinfilters.activations import ACTIVATIONS
from twinfilters.ensemble import engine, gaps, train_ensemble
from twinfilters.network import PARAMETERS, FilterNet
from twinfilters.noise import GradientNoise, HiddenDropout, InputDropout, LabelFlip, LabelNoise
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
)
from twinfilters.training import train

# What an ensemble promises in float64: the numbers of separate runs, of which all are of order one.
SAME = {"rtol": 1e-10, "atol": 1e-12}
RUNS = 5
PAIR = data.digits(3, 8, count=30)
THREE = data.digits(1, 2, 3, count=30)


def rng(seed=0):
    return np.random.default_rng(seed)


def nets(**options):
    return [FilterNet.random(rng(seed), **{"filters": 3, **options}) for seed in range(RUNS)]


def of_run(value, run):
    return value[run] if isinstance(value, list) and len(value) == RUNS else value


def assert_same_as_separate_runs(starts, digits=PAIR, *, optimizer, steps=7, backend="numpy", **options):
    """Options that are lists of E entries belong to one run each; the others, sources included, to all."""
    every = 3
    together = train_ensemble(
        starts,
        digits.images,
        digits.targets,
        optimizer=optimizer,
        steps=steps,
        every=every,
        record={"gap": gaps},
        backend=backend,
        **deepcopy(options),
    )
    for run, net in enumerate(starts):
        alone = train(
            net,
            digits.images,
            digits.targets,
            optimizer=of_run(optimizer, run),
            steps=steps,
            every=every,
            record={"gap": twins.gap},
            **{name: deepcopy(of_run(value, run)) for name, value in options.items()},
        )
        np.testing.assert_array_equal(together.steps, alone.steps)
        for name in ("loss", "gap"):
            np.testing.assert_allclose(together[name][:, run], alone[name], **SAME)
        for name, value in alone.net.parameters.items():
            np.testing.assert_allclose(together.net(run).parameters[name], value, **SAME)


# --- the numbers of separate runs


def test_one_step_by_hand():
    """One pixel, one linear unit, two runs: f = a (w x + b) + c at x = 1 with target 5, w = 2, b = 1, a = 3 or 1."""
    starts = [
        FilterNet(
            np.full((1, 1, 1, 1), 2.0), np.ones(1), np.full((1, 1), a), np.zeros(1), activation="identity"
        )
        for a in (3.0, 1.0)
    ]
    history = train_ensemble(
        starts,
        np.ones((1, 1, 1, 1)),
        np.array([[5.0]]),
        optimizer=[GradientDescent(0.5), GradientDescent(0.25)],
        steps=1,
    )
    # Residuals 4 and -2; gradients a r x, a r, h r, r.
    assert [history.net(0).parameters[name].item() for name in PARAMETERS] == [-4.0, -5.0, -3.0, -2.0]
    assert [history.net(1).parameters[name].item() for name in PARAMETERS] == [2.5, 1.5, 2.5, 0.5]
    # Then f = -3 (-4 - 5) - 2 = 25 and 2.5 (2.5 + 1.5) + 0.5 = 10.5.
    assert history["loss"].tolist() == [[8.0, 2.0], [200.0, 5.5**2 / 2]]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_squared_loss(name, backend):
    assert_same_as_separate_runs(nets(activation=name), optimizer=GradientDescent(0.3), backend=backend)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["softplus", "erf"])
def test_cross_entropy_with_stride_padding_and_dilation(name, backend):
    starts = nets(
        activation=name, loss="cross_entropy", outputs=3, stride=2, padding=((1, 0), (2, 1)), dilation=(1, 2)
    )
    assert_same_as_separate_runs(starts, THREE, optimizer=GradientDescent(0.3), backend=backend)


def test_several_channels_and_a_kernel_that_is_not_square():
    starts = nets(channels=2, kernel=(2, 3))
    images = rng().normal(size=(9, 2, 5, 4))
    pictures = SimpleNamespace(images=images, targets=rng(1).normal(size=(9, 1)))
    assert_same_as_separate_runs(starts, pictures, optimizer=GradientDescent(0.3))


@pytest.mark.parametrize(("units", "block"), [(1, 1), (6, 600), (128, 5000), (10**6, 10**9)])
def test_blocks_of_any_size(monkeypatch, units, block):
    monkeypatch.setattr(engine, "UNITS", units)
    monkeypatch.setattr(engine, "BLOCK", dict.fromkeys(engine.BLOCK, block))
    assert_same_as_separate_runs(nets(), optimizer=GradientDescent(0.3))
    assert_same_as_separate_runs(
        nets(), optimizer=GradientDescent(0.3), batch_size=7, rng=[rng(seed) for seed in range(RUNS)]
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        [GradientDescent(0.1 * run) for run in range(1, RUNS + 1)],
        GradientDescent(
            {"filters": 0.1, "bias": np.array([0.1, 0.0, 0.3]), "readout": 0.3, "readout_bias": 0.1}
        ),
        Momentum(0.1),
        [Momentum(0.1, 0.2 * run, nesterov=True) for run in range(RUNS)],
        [RMSProp(0.01 * run, 0.9, 1e-3 * run) for run in range(1, RUNS + 1)],
        [Adam(0.01, 0.1 * run, 0.9) for run in range(RUNS)],
        [WeightDecay(Adam(0.01), 0.1 * run) for run in range(RUNS)],
        [DecoupledWeightDecay(Momentum(0.1 * run), 0.1) for run in range(1, RUNS + 1)],
        Freeze(GradientDescent(0.3), units=(1,)),
        Freeze(GradientDescent(0.3), parameters=("readout", "readout_bias")),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_rules_of_one_kind_with_numbers_of_their_own(optimizer):
    assert_same_as_separate_runs(nets(), optimizer=optimizer)


@pytest.mark.parametrize("source", [rng(1), [rng(seed) for seed in range(RUNS)]], ids=["shared", "own"])
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize(
    "noise",
    [
        [],
        [LabelNoise(0.3)],
        [[LabelNoise(0.1 * run)] for run in range(RUNS)],
        [[LabelFlip(0.2 * run)] for run in range(RUNS)],
        [HiddenDropout(0.3), LabelNoise(0.1), GradientNoise(0.1)],
    ],
    ids=["none", "labels", "own labels", "own signs", "three kinds"],
)
def test_minibatches_and_noise(noise, batch_size, source):
    options = {"noise": noise, "batch_size": batch_size, "rng": source}
    assert_same_as_separate_runs(nets(), optimizer=GradientDescent(0.1), **options)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("source", [rng(1), [rng(seed) for seed in range(RUNS)]], ids=["shared", "own"])
def test_flipped_classes(source, backend):
    starts = nets(loss="cross_entropy", outputs=3)
    options = {"noise": [LabelFlip(0.3)], "batch_size": 7, "rng": source, "backend": backend}
    assert_same_as_separate_runs(starts, THREE, optimizer=GradientDescent(0.1), **options)


def test_minibatches_and_noise_with_torch():
    options = {"noise": [LabelNoise(0.3), HiddenDropout(0.3)], "batch_size": 7, "backend": "torch"}
    sources = [rng(seed) for seed in range(RUNS)]
    assert_same_as_separate_runs(nets(), optimizer=GradientDescent(0.1), rng=sources, **options)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_float32_stays_float32(backend):
    starts = [
        net.with_parameters({name: value.astype(np.float32) for name, value in net.parameters.items()})
        for net in nets()
    ]
    history = train_ensemble(
        starts, PAIR.images, PAIR.targets, optimizer=GradientDescent(0.3), steps=3, backend=backend
    )
    wanted = train_ensemble(nets(), PAIR.images, PAIR.targets, optimizer=GradientDescent(0.3), steps=3)
    assert history["loss"].dtype == np.float32
    for name, value in history.parameters.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, wanted.parameters[name], rtol=0, atol=1e-6)


def test_the_same_call_gives_the_same_bits_on_any_number_of_threads():
    results = []
    for threads in (1, 1, 2):
        with threadpool_limits(threads):
            results.append(
                train_ensemble(
                    nets() * 60,
                    PAIR.images,
                    PAIR.targets,
                    optimizer=GradientDescent(0.3),
                    steps=3,
                    noise=[LabelNoise(0.1)],
                    rng=rng(),
                )
            )
    first, *others = (history.parameters for history in results)
    for other in others:
        for name, value in first.items():
            np.testing.assert_array_equal(value, other[name])


# --- what is left behind


def test_a_run_that_diverges_leaves_the_others_alone():
    starts = nets(activation="softplus")
    rules = [GradientDescent(0.1)] * (RUNS - 1) + [GradientDescent(1e9)]
    history = train_ensemble(
        starts, PAIR.images, PAIR.targets, optimizer=rules, steps=60, every=6, record={"gap": gaps}
    )
    alone = train(starts[0], PAIR.images, PAIR.targets, optimizer=rules[0], steps=60, every=6)
    assert not np.isfinite(history["loss"][-1, -1])
    assert not np.isfinite(history["gap"][-1, -1])
    np.testing.assert_allclose(history["loss"][:, 0], alone["loss"], **SAME)
    with pytest.raises(ValueError, match="must be finite"):
        history.net(RUNS - 1)


def test_records_are_ordered_by_time_and_run():
    record = {"bias": lambda parameters: parameters["bias"], "gap": gaps}
    history = train_ensemble(
        nets(), PAIR.images, PAIR.targets, optimizer=GradientDescent(0.1), steps=5, every=2, record=record
    )
    assert history.steps.tolist() == [0, 2, 4, 5]
    assert history["bias"].shape == (4, RUNS, 3)
    assert history["gap"].shape == history["loss"].shape == (4, RUNS)
    np.testing.assert_array_equal(history["bias"][-1], history.parameters["bias"])
    with pytest.raises(KeyError, match=r"recorded were \['bias', 'gap', 'loss'\], got 'accuracy'"):
        history["accuracy"]


def test_no_steps_leave_the_networks_as_they_are():
    starts = nets()
    history = train_ensemble(starts, PAIR.images, PAIR.targets, optimizer=GradientDescent(0.1), steps=0)
    for run, net in enumerate(starts):
        assert history["loss"][0, run] == pytest.approx(net.mean_loss(PAIR.images, PAIR.targets), rel=1e-12)
        for name, value in net.parameters.items():
            np.testing.assert_array_equal(history.net(run).parameters[name], value)


@pytest.mark.parametrize(("i", "j"), [(0, 1), (2, 0)])
def test_gaps_of_any_two_units(i, j):
    starts = nets(outputs=2)
    parameters = {name: np.stack([net.parameters[name] for net in starts]) for name in PARAMETERS}
    wanted = [twins.gap(net, i, j) for net in starts]
    np.testing.assert_allclose(gaps(parameters, i, j), wanted, rtol=1e-12)


# --- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nets": []}, "at least one network"),
        (
            {"nets": [*nets(), *nets(filters=2)]},
            r"agree in the shape of filters, got \(3, 1, 3, 3\) in run 0",
        ),
        (
            {"nets": [*nets(), *nets(activation="erf")]},
            "agree in activation, got tanh in run 0 and erf in run 5",
        ),
        ({"nets": nets(pooling="max")}, "mean pooling, got float64, 1 layers and max pooling"),
        ({"nets": nets(filters=[2, 3])}, "one layer and mean pooling, got float64, 2 layers"),
        ({"optimizer": [GradientDescent(0.1)] * 2}, "one for each of 5 runs, got 2"),
        (
            {"optimizer": [*[Momentum(0.1)] * 4, Adam(0.1)]},
            r"of one kind out of .*, got \['Adam', 'Momentum'\]",
        ),
        ({"optimizer": ClipNorm(GradientDescent(0.1), 1.0)}, r"of one kind out of .*, got \['ClipNorm'\]"),
        ({"optimizer": WeightDecay(Muon(0.1), 0.1)}, r"of one kind out of .*, got \['Muon'\]"),
        (
            {"optimizer": [Freeze(GradientDescent(0.1), units=(run % 2,)) for run in range(RUNS)]},
            r"must agree in units, got \(0,\)",
        ),
        ({"optimizer": Freeze(GradientDescent(0.1), units=(3,))}, "unit must lie between 0 and 2, got 3"),
        ({"steps": -1}, "steps must be an integer of at least 0, got -1"),
        ({"every": 0}, "every must be an integer of at least 1, got 0"),
        ({"batch_size": 31, "rng": rng()}, "between 1 and the number of images, 30, got 31"),
        ({"batch_size": 0, "rng": rng()}, "between 1 and the number of images, 30, got 0"),
        ({"batch_size": 3}, "rng must be a numpy.random.Generator when there are minibatches"),
        ({"noise": [LabelNoise(0.1)]}, "rng must be a numpy.random.Generator when there are minibatches"),
        ({"noise": [[LabelNoise(0.1)]] * 2, "rng": rng()}, "noise must be one for all runs, .* 5, got 2"),
        ({"batch_size": 3, "rng": [rng()] * 2}, "rng must be one for all runs, or one for each of 5, got 2"),
        ({"noise": [0.1] * RUNS, "rng": rng()}, "noise must be a list of ingredients"),
        ({"noise": [InputDropout(0.1)], "rng": rng()}, "noise on the images cannot be had"),
        ({"backend": "jax"}, "backend must be 'numpy' or 'torch', got 'jax'"),
        ({"device": "cuda"}, "device must be 'cpu' for NumPy, got 'cuda'"),
        ({"targets": PAIR.targets[:4]}, "targets must be floating with shape"),
        ({"images": np.full_like(PAIR.images, np.nan)}, "images must be finite"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_errors_say_what_was_wanted(options, message):
    arguments = {"nets": nets(), "images": PAIR.images, "targets": PAIR.targets, "steps": 1}
    arguments |= {"optimizer": GradientDescent(0.1), **options}
    with pytest.raises(ValueError, match=message):
        train_ensemble(**arguments)


@pytest.mark.usefixtures("unchecked")
def test_label_noise_needs_the_squared_loss():
    starts = nets(loss="cross_entropy", outputs=3)
    with pytest.raises(ValueError, match=r"needs the squared loss, .* got cross_entropy"):
        train_ensemble(
            starts,
            THREE.images,
            THREE.targets,
            optimizer=GradientDescent(0.1),
            steps=1,
            noise=[LabelNoise(0.1)],
            rng=rng(),
        )


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 3), (-1, 0)])
def test_gaps_need_two_units(i, j):
    parameters = {name: value[None] for name, value in nets()[0].parameters.items()}
    with pytest.raises(ValueError, match="must be different and lie between 0 and 2"):
        gaps(parameters, i, j)


@pytest.mark.parametrize("run", [-1, RUNS])
def test_there_are_only_so_many_runs(run):
    history = train_ensemble(nets(), PAIR.images, PAIR.targets, optimizer=GradientDescent(0.1), steps=0)
    with pytest.raises(ValueError, match="run must lie between 0 and 4"):
        history.net(run)
