"""The loop: steps, minibatches, records, and what happens when it diverges."""

from dataclasses import replace

import numpy as np
import pytest

from twinfilters import data, twins
from twinfilters.network import PARAMETERS, FilterNet
from twinfilters.noise import GradientNoise, HiddenDropout, InputDropout, LabelNoise
from twinfilters.optimizers import Adam, ClipNorm, Freeze, GradientDescent, Momentum, Muon
from twinfilters.training import DivergedError, train

# What two orders of adding the same float64 numbers may differ by.
ROUNDING = {"rtol": 1e-12, "atol": 1e-15}

DIGITS = data.digits(3, 8, count=60)


def rng(seed=0):
    return np.random.default_rng(seed)


def small_net(**options):
    return FilterNet.random(rng(1), **{"filters": 3, "kernel": 3, **options})


def one_linear_unit(*, weight, bias, readout):
    return FilterNet(
        np.full((1, 1, 1, 1), weight),
        np.array([bias]),
        np.array([[readout]]),
        np.zeros(1),
        activation="identity",
    )


def run(net, images=DIGITS.images, targets=DIGITS.targets, *, learning_rate=0.1, steps=5, **options):
    options = {"optimizer": GradientDescent(learning_rate), **options}
    return train(net, images, targets, steps=steps, **options)


def test_one_step_by_hand():
    """One pixel, one linear unit: f = a (w x + b) + c with w = 2, b = 1, a = 3, c = 0 at x = 1, and target 5."""
    net = one_linear_unit(weight=2.0, bias=1.0, readout=3.0)
    after = run(net, np.ones((1, 1, 1, 1)), np.array([[5.0]]), learning_rate=0.5, steps=1)
    # f = 9, residual 4; gradients a r x = 12, a r = 12, h r = 12, r = 4.
    assert [after.net.parameters[name].item() for name in PARAMETERS] == [-4.0, -5.0, -3.0, -2.0]
    assert after["loss"][0] == 8.0
    # f = -3 (-4 - 5) - 2 = 25
    assert after["loss"][1] == 200.0


@pytest.mark.parametrize("arithmetic", ["blas", "position_blind"])
def test_full_batches_follow_the_gradient_of_all_images(arithmetic):
    net = small_net(arithmetic=arithmetic)
    after = run(net, steps=3, learning_rate=0.2).net
    for _ in range(3):
        _, gradients = net.loss_and_gradients(DIGITS.images, DIGITS.targets)
        net = net.with_parameters({k: v - 0.2 * gradients[k] for k, v in net.parameters.items()})
    for name in PARAMETERS:
        np.testing.assert_array_equal(after.parameters[name], net.parameters[name])


def test_minibatches_are_drawn_without_replacement_in_each_epoch():
    """With dead units the output is c alone, and a step of rate 1 sets c to the mean target of the minibatch."""
    net = one_linear_unit(weight=0.0, bias=0.0, readout=0.0)
    history = run(
        net,
        np.ones((5, 1, 1, 1)),
        2.0 ** np.arange(5)[:, None],  # each sum of targets tells which images they belong to
        learning_rate=1.0,
        steps=6,
        batch_size=2,
        rng=rng(),
        record={"c": lambda net: net.readout_bias[0]},
    )
    epochs = history["c"][1:].reshape(2, 3) * [2, 2, 1]
    assert epochs.sum(axis=1).tolist() == [31, 31]
    assert all(
        len(set(np.flatnonzero([int(total) >> n & 1 for n in range(5)]))) == 2 for total in epochs[:, :2].flat
    )
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize("batch_size", [None, 7])
def test_same_generator_same_bits(batch_size):
    first, second = (run(small_net(), batch_size=batch_size, rng=rng(3), steps=20) for _ in range(2))
    assert first["loss"].tobytes() == second["loss"].tobytes()
    for name in PARAMETERS:
        assert first.net.parameters[name].tobytes() == second.net.parameters[name].tobytes()


def test_another_generator_another_order():
    losses = [run(small_net(), batch_size=7, rng=rng(seed))["loss"] for seed in (3, 4)]
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]


def test_loss_is_recorded_over_all_images_also_with_minibatches():
    nets = []
    history = run(small_net(), batch_size=7, rng=rng(), record={"net": lambda net: nets.append(net) or 0.0})
    wanted = [net.mean_loss(DIGITS.images, DIGITS.targets) for net in nets]
    np.testing.assert_allclose(history["loss"], wanted, **ROUNDING)


def test_records_have_a_row_for_each_recorded_step():
    history = run(
        small_net(), steps=7, every=3, record={"gap": twins.gap, "filters": lambda net: net.filters}
    )
    assert history.steps.tolist() == [0, 3, 6, 7]
    assert {name: rows.shape for name, rows in history.records.items()} == {
        "loss": (4,),
        "gap": (4,),
        "filters": (4, 3, 1, 3, 3),
    }
    np.testing.assert_array_equal(history["filters"][0], small_net().filters)
    np.testing.assert_array_equal(history["filters"][-1], history.net.filters)
    np.testing.assert_array_equal(history["gap"][-1], twins.gap(history.net))


def test_no_steps_is_the_start():
    net = small_net()
    history = run(net, steps=0)
    assert history.steps.tolist() == [0]
    assert history["loss"].tolist() == [net.mean_loss(DIGITS.images, DIGITS.targets)]
    for name in PARAMETERS:
        np.testing.assert_array_equal(history.net.parameters[name], net.parameters[name])


def test_training_lowers_the_loss_and_leaves_its_arguments_alone():
    images, targets = DIGITS.images.copy(), DIGITS.targets.copy()
    images.setflags(write=False)
    targets.setflags(write=False)
    net = small_net()
    history = run(net, images, targets, steps=50)
    assert (np.diff(history["loss"]) < 0).all()
    np.testing.assert_array_equal(net.filters, small_net().filters)


def test_labels_train_like_their_one_hot_rows():
    ten = data.digits(count=50)
    net = small_net(outputs=10, loss="cross_entropy")
    by_label, by_row = (run(net, ten.images, targets) for targets in (ten.labels, ten.targets))
    np.testing.assert_array_equal(by_label["loss"], by_row["loss"])


@pytest.mark.parametrize(("activation", "loss"), [("tanh", "squared"), ("relu", "cross_entropy")])
@pytest.mark.usefixtures("unchecked")  # which makes it three times as fast
def test_exact_twins_stay_equal_to_the_last_bit_for_2000_steps(activation, loss):
    outputs = {"squared": 1, "cross_entropy": 2}[loss]
    net = twins.make_twins(small_net(activation=activation, loss=loss, outputs=outputs), 0, 2)
    targets = DIGITS.targets if outputs == 1 else (DIGITS.labels == 3).astype(int)
    history = run(
        net,
        targets=targets,
        steps=2000,
        batch_size=8,
        rng=rng(2),
        every=10,
        record={"gap": lambda net: twins.gap(net, 0, 2), "other": lambda net: twins.gap(net, 0, 1)},
    )
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert not history["gap"].any()
    assert twins.unit_vector(history.net, 0).tobytes() == twins.unit_vector(history.net, 2).tobytes()
    assert history["other"].all()


def test_networks_are_kept_when_asked_for():
    history = run(small_net(), steps=7, keep_every=3, record={"filters": lambda net: net.filters})
    assert list(history.nets) == [0, 3, 6]
    for step, net in history.nets.items():
        np.testing.assert_array_equal(net.filters, history["filters"][step])
    assert not run(small_net(), steps=7).nets


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.1), ClipNorm(Muon(0.1), 1.0)])
def test_network_sets_the_floating_type(optimizer):
    """Also where data, rates and noise are float64."""
    net = small_net()
    net = net.with_parameters({name: value.astype(np.float32) for name, value in net.parameters.items()})
    noise = [LabelNoise(0.1), InputDropout(0.1), HiddenDropout(0.1), GradientNoise(0.1)]
    history = run(
        net, optimizer=optimizer, steps=2, noise=noise, rng=rng(), record={"bias": lambda net: net.bias}
    )
    assert {value.dtype for value in history.net.parameters.values()} == {np.dtype(np.float32)}
    assert history["bias"].dtype == np.float32


def test_networks_of_a_run_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        run(small_net()).net.filters[0] = 1


# --- resuming


RUNS = {
    "all images": {},
    "adam": {"optimizer": Adam(0.05)},
    "minibatches": {"optimizer": Momentum(0.05), "batch_size": 7},
    "noise": {"noise": [LabelNoise(0.5), HiddenDropout(0.3)]},
    "everything": {
        "optimizer": ClipNorm(Muon(0.05), 0.5),
        "batch_size": 16,
        "noise": [InputDropout(0.2), GradientNoise(0.1)],
    },
}


def same_bits(first, second):
    assert first.steps.tolist() == second.steps.tolist()
    assert list(first.records) == list(second.records)
    for name in first.records:
        assert first[name].dtype == second[name].dtype
        assert first[name].tobytes() == second[name].tobytes()
    assert list(first.nets) == list(second.nets)
    for one, other in zip(
        (*first.nets.values(), first.net), (*second.nets.values(), second.net), strict=True
    ):
        for name in PARAMETERS:
            assert one.parameters[name].tobytes() == other.parameters[name].tobytes()


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("parts", [(20,), (0, 20), (1, 19), (6, 0, 7, 7), (9, 11)])
@pytest.mark.usefixtures("unchecked")  # which makes it three times as fast
def test_resumed_run_has_the_bits_of_one_long_run(options, parts):
    options = {**options, "every": 3, "keep_every": 4, "record": {"gap": twins.gap}}
    whole = run(small_net(), steps=20, rng=rng(3), **options)
    generator = rng(3)
    history = run(small_net(), steps=parts[0], rng=generator, **options)
    for steps in parts[1:]:
        generator.normal(size=5)
        history = history.resume(steps)
    same_bits(history, whole)
    same_bits(history.resume(5), whole.resume(5))


def test_resuming_leaves_the_history_alone():
    history = run(small_net(), steps=4, every=3, batch_size=7, rng=rng(), keep_every=2)
    steps, loss = history.steps.copy(), history["loss"].copy()
    same_bits(history.resume(5), history.resume(5))
    assert history.steps.tolist() == steps.tolist()
    assert history["loss"].tobytes() == loss.tobytes()
    assert list(history.nets) == [0, 2, 4]


def test_resuming_needs_a_number_of_steps():
    with pytest.raises(ValueError, match="steps must be an integer of at least 0, got -1"):
        run(small_net()).resume(-1)


# --- divergence


def test_divergence_names_step_and_learning_rate_and_gives_the_history():
    with pytest.raises(DivergedError, match=r"diverged at step (\d+) with learning rate 100000;") as caught:
        run(small_net(activation="identity"), learning_rate=1e5, steps=1000)
    history = caught.value.history
    step = int(str(caught.value).split("step ")[1].split()[0])
    assert history.steps.tolist() == list(range(len(history.steps)))
    assert history.steps[-1] in (step - 1, step)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history.net.filters).all()
    assert isinstance(caught.value, ArithmeticError)


def test_divergence_of_the_start_has_no_history():
    net = small_net(activation="identity")
    huge = net.with_parameters(readout=np.full_like(net.readout, 1e200))
    with pytest.raises(DivergedError, match=r"diverged at step 0 with learning rate 0\.1;") as caught:
        run(huge)
    assert caught.value.history is None


def test_divergence_of_a_resumed_run_gives_the_whole_history():
    net = small_net(activation="identity")
    with pytest.raises(DivergedError) as caught:
        run(net, learning_rate=1e5, steps=2).resume(1000)
    history = caught.value.history
    assert history.steps.tolist() == list(range(len(history.steps)))
    assert len(history.steps) > 3
    with pytest.raises(
        ValueError, match="only a run that reached its end can be resumed, got one that diverged"
    ):
        history.resume(1)


def test_divergence_with_minibatches_shows_in_the_loss_over_all_images():
    """One step on the first image alone is fine for it, but sends the other one to infinity."""
    net = one_linear_unit(weight=0.0, bias=0.0, readout=1.0)
    images = np.array([1.0, 1e200]).reshape(2, 1, 1, 1)
    first = next(seed for seed in range(9) if rng(seed).permutation(2)[0] == 0)
    with pytest.raises(DivergedError, match=r"diverged at step 1 with learning rate 0\.1"):
        run(net, images, np.ones((2, 1)), steps=1, batch_size=1, rng=rng(first))


def test_divergence_of_a_parameter_under_a_bounded_loss():
    net = replace(one_linear_unit(weight=0.0, bias=0.0, readout=1.0), activation="tanh")
    rates = {"filters": 0.5, "bias": 1e308, "readout": 0.0, "readout_bias": 0.0}
    message = r"diverged at step 1 with learning rate up to 0\.5 for filters, 1e\+308 for bias, 0 for readout"
    with pytest.raises(DivergedError, match=message) as caught:
        run(net, np.zeros((1, 1, 1, 1)), np.array([[1e3]]), learning_rate=rates)
    assert caught.value.history.steps.tolist() == [0]


# --- wrong arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps must be an integer of at least 0, got -1"),
        ({"steps": 2.5}, "steps must be an integer of at least 0, got 2.5"),
        ({"every": 0}, "every must be an integer of at least 1, got 0"),
        ({"keep_every": 0}, "keep_every must be an integer of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 61}, "batch_size must be at most the number of images, 60, got 61"),
        (
            {"batch_size": 4},
            "rng must be a numpy.random.Generator when there are minibatches or noise, got None",
        ),
        (
            {"noise": [LabelNoise(1.0)]},
            "rng must be a numpy.random.Generator when there are minibatches or noise, got None",
        ),
        ({"batch_size": 4, "rng": 7}, "rng must be a numpy.random.Generator, got 7"),
        (
            {"noise": [0.1], "rng": rng()},
            r"noise must be a list of ingredients such as LabelNoise\(0.1\), got \[0.1\]",
        ),
        ({"noise": LabelNoise(1.0), "rng": rng()}, "noise must be a list of ingredients .* got LabelNoise"),
        ({"optimizer": "adam"}, r"optimizer must be a rule such as GradientDescent\(0.1\), got 'adam'"),
        ({"optimizer": Adam}, r"optimizer must be a rule such as GradientDescent\(0.1\), got <class"),
        ({"optimizer": Freeze(Adam(0.1), units=[3])}, "unit must lie between 0 and 2, got 3"),
        ({"images": DIGITS.images[:, 0]}, r"images must have shape \(N, C, H, W\), got \(60, 8, 8\)"),
        (
            {"images": DIGITS.images[:0], "targets": DIGITS.targets[:0]},
            "images must be finite, and at least one",
        ),
        ({"targets": DIGITS.targets[:5]}, r"shape \(N, O\) = \(60, 1\).* got float64 with shape \(5, 1\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        run(small_net(), **options)


@pytest.mark.usefixtures("unchecked")
def test_label_noise_needs_the_squared_loss():
    net = small_net(outputs=2, loss="cross_entropy")
    with pytest.raises(
        ValueError, match=r"noise on the targets needs the squared loss, .* got cross_entropy"
    ):
        run(net, targets=np.arange(60) % 2, noise=[LabelNoise(0.1)], rng=rng())


def test_history_says_what_was_recorded():
    history = run(small_net(), steps=0, record={"gap": twins.gap})
    with pytest.raises(KeyError, match=r"recorded were .*gap.*loss.*, got 'accuracy'"):
        history["accuracy"]
