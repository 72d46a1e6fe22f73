"""The engine in Node against the same runs made by the package: one truth.

Nothing is stored: a change of either side alone fails.
"""

import numpy as np
import pytest
from node import run_node
from threadpoolctl import threadpool_limits

from twinfilters.lab.reference import PackageRun
from twinfilters.lab.settings import SETTINGS, checked

# Largest relative difference of losses, parameters, gradients, eigenvalues and predicted gaps.
TOLERANCE = 1e-9
# A gap is a difference of weights: it begins with their rounding, and training amplifies that as it does the gap.
ROUNDING = 1e-14
CHECKPOINTS = (0, 1, 10, 100, 1000)


# A thousand steps check their annotations a hundred thousand times; the other tests of the package do that.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def one_blas_thread():
    """The matrices are small, and the cores are busy with other tests."""
    with threadpool_limits(1):
        yield


RUNS = """
answer(INPUT.map(([settings, checkpoints]) => {
  const run = createRun(settings, DIGITS);
  return checkpoints.map((steps) => {
    run.step(steps - run.now().step);
    return { ...run.now(), ...run.parameters() };
  });
}));
"""

LONG = {
    "as it starts": {},
    "an unlike pair of digits": {"digits": [7, 1], "seed": 5, "gap": 1e-3, "images": 30},
    "exact twins": {"gap": 0, "seed": 2, "images": 30},
    "cross-entropy": {"loss": "cross_entropy", "learning_rate": 0.5, "momentum": 0.5, "images": 30},
    "four filters, untied readout": {
        "filters": 4,
        "tied_readout": False,
        "activation": "softplus",
        "images": 30,
    },
    "noise of all kinds": {"batch": 16, "label_noise": 0.3, "weight_decay": 0.01, "activation": "erf"},
    "frozen readouts": {"frozen": "readouts", "gap": 1e-4, "activation": "gelu", "seed": 3, "images": 30},
    "frozen twin": {"frozen": "twin", "learning_rate": 0.05, "momentum": 0.3, "seed": 4, "images": 20},
    "identity, frozen twin, decay": {
        "activation": "identity",
        "frozen": "twin",
        "weight_decay": 0.1,
        "images": 20,
    },
}
SHORT = {
    "relu": {"activation": "relu", "gap": 0.1},
    "untied filter": {"tied_filter": False, "filters": 3},
    "untied bias": {"tied_bias": False, "gap": 1e-2},
    "nothing tied": {"tied_filter": False, "tied_bias": False, "tied_readout": False},
    "hidden dropout": {"dropout": 0.3, "batch": 25},
    "dropout with cross-entropy": {"dropout": 0.5, "loss": "cross_entropy", "frozen": "readouts"},
    "frozen twin, cross-entropy": {"frozen": "twin", "loss": "cross_entropy", "filters": 3, "kernel": 2},
    "wide filters": {"kernel": 5, "filters": 4},
    "one image": {"images": 1, "batch": 1},
    "batches that do not fit": {"images": 10, "batch": 7, "momentum": 0.9},
    "a gap of 1": {"gap": 1, "momentum": 0.9},
    "the prediction is lost": {"activation": "softplus", "learning_rate": 3, "momentum": 0.95},
}


DIVERGING = {"learning_rate": 10, "activation": "identity"}


def drawn(number):
    """Settings that nobody thought of, all of them drawn; rates small enough to be no chaos."""
    rng = np.random.default_rng(number)

    def one(name):
        setting = SETTINGS[name]
        if setting.kind == "choice":
            return str(rng.choice(setting.choices))
        if setting.kind == "flag":
            return bool(rng.random() < 0.8)
        return int(rng.integers(setting.low, setting.high + 1))

    settings = {name: one(name) for name in SETTINGS if SETTINGS[name].kind in ("choice", "flag", "integer")}
    settings["batch"] = int(rng.choice([0, rng.integers(1, settings["images"] + 1)]))
    settings["digits"] = rng.permutation(10)[:2].tolist()
    settings["gap"] = float(rng.choice([0, 10.0 ** rng.uniform(-8, -1)]))
    settings["learning_rate"] = 10.0 ** rng.uniform(-2, -0.5)
    for name, most in {"momentum": 0.9, "weight_decay": 0.1, "label_noise": 1, "dropout": 0.6}.items():
        settings[name] = float(rng.choice([0, rng.uniform(0, most)]))
    if settings["loss"] == "cross_entropy":
        settings["label_noise"] = 0.0
    return checked(settings)


def assert_same(theirs, run, row):
    """Compare all that the engine says with all that the package says."""
    ours = {**run.now(), **parameters(run)}
    assert set(theirs) == set(ours)
    for name in ("step", "diverged", "linear", "reason", "distinct", "accuracy"):
        assert theirs[name] == ours[name], (name, row)
    for name in ("gap", "gapFilter", "gapBias", "gapReadout", "predicted"):
        if ours[name] is None:
            assert theirs[name] is None
        else:
            assert theirs[name] == pytest.approx(
                ours[name], rel=gap_tolerance(run.settings), abs=10 * ROUNDING
            ), name
    for name in ("loss", "growthRate", "eigenvalues", *parameters(run)):
        assert_close(theirs[name], ours[name], name)
    for unit, own in zip(theirs["units"], ours["units"], strict=True):
        assert unit["frozen"] == own["frozen"]
        for part in ("filter", "bias", "readout"):
            assert_close(unit[part], own[part], part)
            size = max(np.abs(gradient).max() for gradient in own["gradient"].values())
            np.testing.assert_allclose(
                unit["gradient"][part], own["gradient"][part], rtol=0, atol=TOLERANCE * max(size, 1e-3)
            )


def gap_tolerance(settings):
    return TOLERANCE + (ROUNDING / settings["gap"] if settings["gap"] else 0)


def assert_close(theirs, ours, name):
    """Entries relative to the largest of their array."""
    ours = np.asarray(ours)
    np.testing.assert_allclose(
        theirs, ours, rtol=0, atol=TOLERANCE * max(np.abs(ours).max(), 1e-6), err_msg=name
    )


def parameters(run):
    net = run.net
    return {
        "filters": net.filters.reshape(net.units, -1),
        "bias": net.bias,
        "readout": net.readout,
        "readout_bias": net.readout_bias,
    }


def assert_runs_agree(cases, checkpoints):
    given = [[settings, checkpoints] for settings in cases.values()]
    for settings, rows in zip(cases.values(), run_node(RUNS, given), strict=True):
        run = PackageRun(settings)
        for steps, row in zip(checkpoints, rows, strict=True):
            run.step(steps - run.steps)
            assert_same(row, run, steps)


@pytest.mark.parametrize("name", LONG)
def test_a_thousand_steps(name):
    assert_runs_agree({name: LONG[name]}, CHECKPOINTS)


@pytest.mark.parametrize("name", SHORT)
def test_a_hundred_steps(name):
    assert_runs_agree({name: SHORT[name]}, CHECKPOINTS[:-1])


@pytest.mark.parametrize("activation", SETTINGS["activation"].choices)
@pytest.mark.parametrize("loss", SETTINGS["loss"].choices)
def test_every_activation_with_every_loss(activation, loss):
    assert_runs_agree({"": {"activation": activation, "loss": loss, "seed": 11, "images": 40}}, (1, 100))


@pytest.mark.parametrize("number", range(40))
def test_settings_drawn_at_random(number):
    assert_runs_agree({"": drawn(number)}, (0, 1, 30))


def test_it_diverges_at_the_same_step_and_stays_finite():
    theirs = run_node(RUNS, [[DIVERGING, [1000]]])[0][0]
    run = PackageRun(DIVERGING)
    run.step(1000)
    assert run.diverged
    assert theirs["diverged"]
    assert theirs["step"] == run.steps < 1000
    assert np.isfinite(theirs["loss"])
    assert np.isfinite(theirs["eigenvalues"]).all()


def test_exact_twins_stay_exact():
    program = """
    answer(INPUT.map((settings) => {
      const run = createRun({ gap: 0, ...settings }, DIGITS);
      run.step(10000);
      return run.now();
    }));
    """
    given = [
        {},
        {"images": 20, "filters": 4, "batch": 5, "label_noise": 0.5, "momentum": 0.9, "learning_rate": 0.02},
        {"images": 20, "activation": "gelu", "loss": "cross_entropy", "weight_decay": 0.01, "batch": 7},
        {"images": 20, "activation": "relu", "frozen": "readouts"},
    ]
    for settings, now in zip(given, run_node(program, given), strict=True):
        assert now["step"] == 10_000
        assert now["gap"] == now["predicted"] == 0
        assert now["distinct"] == settings.get("filters", 2) - 1
        assert now["linear"]


CHANGES = (
    {"learning_rate": 0.3, "momentum": 0.8},
    {"batch": 30, "label_noise": 0.2},
    {"frozen": "twin"},
    {"weight_decay": 0.05},
    {"frozen": "readouts", "batch": 0},
    {"dropout": 0.2},
    {"frozen": "none", "dropout": 0, "momentum": 0.1},
)


def test_changes_while_a_run_goes_on():
    program = """
    const run = createRun({}, DIGITS);
    answer(INPUT.map((changes) => {
      run.change(changes);
      run.step(20);
      return { ...run.now(), ...run.parameters() };
    }));
    """
    run = PackageRun()
    for number, row in enumerate(run_node(program, CHANGES)):
        run.change(**CHANGES[number])
        run.step(20)
        assert_same(row, run, number)


def test_rewinding_gives_the_same_run_again():
    program = """
    const run = createRun({ batch: 9, label_noise: 1, dropout: 0.1, momentum: 0.5 }, DIGITS);
    const all = () => { run.step(50); return [run.now(), run.parameters()]; };
    const first = all();
    run.rewind();
    const start = [run.now().step, run.parameters()];
    answer([first, all(), start]);
    """
    first, second, (step, start) = run_node(program)
    assert first == second
    assert step == 0
    np.testing.assert_allclose(start["filters"], PackageRun().net.filters.reshape(2, -1), rtol=1e-14)


def test_another_start():
    program = """
    const run = createRun(INPUT.settings, DIGITS);
    run.step(3);
    run.load(INPUT.start);
    run.step(20);
    const refused = [{ filters: 3 }, { kernel: 4 }, { loss: "cross_entropy" }].map((other) => {
      try { createRun(other, DIGITS).load(INPUT.start); return ""; } catch (error) { return error.message; }
    });
    answer([{ ...run.now(), ...run.parameters() }, refused]);
    """
    settings = {"seed": 3, "batch": 11}
    start = PackageRun({"seed": 8, "gap": 1e-3})
    given = {
        "settings": settings,
        "start": {name: value.tolist() for name, value in parameters(start).items()},
    }
    row, refused = run_node(program, given)
    run = PackageRun(settings)
    run.step(3)
    run.load(start.net)
    run.step(20)
    assert_same(row, run, 20)
    assert [message[:33] for message in refused] == [
        "parameters must belong to 3 filte",
        *["parameters must belong to 2 filte"] * 2,
    ]


def test_what_cannot_change():
    program = """
    const refusal = (changes) => {
      try { createRun({}, DIGITS).change(changes); return ""; } catch (error) { return error.message; }
    };
    answer([{ gap: 0 }, { learning_rate: -1 }, { nonsense: 1 }].map(refusal));
    """
    fixed, bad, unknown = run_node(program)
    run = PackageRun()
    for changes, message in (({"gap": 0}, fixed), ({"learning_rate": -1}, bad), ({"nonsense": 1}, unknown)):
        with pytest.raises(ValueError, match=r"cannot change|must be"):
            run.change(**changes)
        assert "cannot change while a run goes on" in message or "must be" in message
