"""The network: outputs, loss, and gradients by hand."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checks import assert_close, assert_derivative, central_difference, complex_step
from twinfilters import twins
from twinfilters.activations import ACTIVATIONS
from twinfilters.arithmetic import ARITHMETICS
from twinfilters.layers import ConvLayer
from twinfilters.losses import LOSSES
from twinfilters.network import PARAMETERS, FilterNet, accuracy

pytestmark = pytest.mark.usefixtures("one_thread")

TORCH_RTOL = 1e-10
COMPLEX_STEP_RTOL = 1e-12
# A central difference of step 1e-5 is wrong by 1e-10 of the third derivative, and by 1e-11 of the loss from rounding.
DIFFERENCE_RTOL = 1e-7

GEOMETRIES = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": ((1, 0), (2, 1))},
    "dilation": {"dilation": (1, 2)},
    "everything": {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)},
}

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_arithmetic = pytest.mark.parametrize("arithmetic", ARITHMETICS)
each_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
seeds = st.integers(0, 2**32 - 1)


def draw(seed=0, *, filters=3, outputs=2, channels=2, images=4, dtype=np.float64, **options):
    """A network with nothing zero in it, images, and targets that both losses take."""
    rng = np.random.default_rng(seed)
    net = FilterNet(
        rng.normal(size=(filters, channels, 3, 2)).astype(dtype),
        rng.normal(size=filters).astype(dtype),
        rng.normal(size=(outputs, filters)).astype(dtype),
        rng.normal(size=outputs).astype(dtype),
        **options,
    )
    return net, rng.normal(size=(images, channels, 6, 5)), rng.dirichlet(np.ones(outputs), size=images)


# --- by hand


def test_by_hand():
    """Two ReLU units, filters 2 and -1 with bias 0 and 1, on an image of the two pixels 1 and -3."""
    net = FilterNet(
        np.array([2.0, -1.0]).reshape(2, 1, 1, 1),
        np.array([0.0, 1.0]),
        np.array([[1.0, 0.5]]),
        np.array([0.25]),
        activation="relu",
    )
    image, target = np.array([[[[1.0, -3.0]]]]), np.array([[0.0]])
    assert net.preactivations(image).tolist() == [[[2.0, -6.0], [0.0, 4.0]]]
    assert net.features(image).tolist() == [[1.0, 2.0]]
    assert net.outputs(image).tolist() == [[2.25]]
    assert net.residuals(image, target).tolist() == [[2.25]]
    loss, gradients = net.loss_and_gradients(image, target)
    assert loss == 2.25**2 / 2 == net.mean_loss(image, target)
    # Each unit is on at one of two pixels: r A x / 2 = 2.25 * 1 * 1 / 2 and 2.25 * 0.5 * (-3) / 2.
    assert gradients["filters"].ravel().tolist() == [1.125, -1.6875]
    assert gradients["bias"].tolist() == [1.125, 0.5625]
    assert gradients["readout"].tolist() == [[2.25, 4.5]]
    assert gradients["readout_bias"].tolist() == [2.25]


def test_loss_and_gradients_are_means_over_images():
    net, images, targets = draw()
    one_by_one = [net.loss_and_gradients(images[n : n + 1], targets[n : n + 1]) for n in range(len(images))]
    loss, gradients = net.loss_and_gradients(images, targets)
    assert loss == pytest.approx(np.mean([loss for loss, _ in one_by_one]), rel=1e-13)
    for name in PARAMETERS:
        assert_close(gradients[name], np.mean([g[name] for _, g in one_by_one], axis=0), 1e-13)


# --- PyTorch and derivatives


def by_torch(net, images, targets):
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in net.parameters.items()}
    padding = net.padding if np.ndim(net.padding) else (net.padding,) * 2
    vertical, horizontal = (side if np.ndim(side) else (side, side) for side in padding)
    padded = torch.nn.functional.pad(torch.tensor(images), (*horizontal, *vertical))
    z = torch.nn.functional.conv2d(
        padded, leaves["filters"], leaves["bias"], stride=net.stride, dilation=net.dilation
    )
    activations = {
        "identity": lambda z: z,
        "relu": torch.relu,
        "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
        "tanh": torch.tanh,
        "erf": lambda z: torch.erf(z / 2**0.5),
        "gelu": torch.nn.functional.gelu,
    }
    features = activations[net.activation](z).mean(dim=(2, 3))
    outputs = torch.nn.functional.linear(features, leaves["readout"], leaves["readout_bias"])
    targets = torch.tensor(targets)
    losses = {
        "squared": lambda: 0.5 * (outputs - targets).square().sum(dim=1).mean(),
        "cross_entropy": lambda: torch.nn.functional.cross_entropy(outputs, targets),
    }
    loss = losses[net.loss]()
    loss.backward()
    return loss.item(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@each_arithmetic
@each_loss
@each_activation
@each_geometry
@pytest.mark.parametrize("outputs", [1, 3])
def test_agrees_with_pytorch(activation, loss, geometry, outputs, arithmetic):
    net, images, targets = draw(
        outputs=outputs, activation=activation, loss=loss, arithmetic=arithmetic, **geometry
    )
    value, gradients = net.loss_and_gradients(images, targets)
    wanted_value, wanted = by_torch(net, images, targets)
    assert value == pytest.approx(wanted_value, rel=TORCH_RTOL)
    assert net.mean_loss(images, targets) == pytest.approx(wanted_value, rel=TORCH_RTOL)
    assert set(gradients) == set(PARAMETERS)
    for name in PARAMETERS:
        assert_close(gradients[name], wanted[name], TORCH_RTOL)


def along_one_parameter(net, name, images, targets):
    return lambda value: net.with_parameters({name: value}).mean_loss(images, targets)


@each_arithmetic
@each_loss
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.usefixtures("unchecked")  # a loss of complex parameters is no float
def test_gradients_along_random_directions(activation, loss, name, arithmetic):
    net, images, targets = draw(
        activation=activation, loss=loss, arithmetic=arithmetic, **GEOMETRIES["everything"]
    )
    _, gradients = net.loss_and_gradients(images, targets)
    direction = draw(seed=1)[0].parameters[name]
    measured = complex_step(along_one_parameter(net, name, images, targets), net.parameters[name], direction)
    assert_derivative(measured, gradients[name], direction, COMPLEX_STEP_RTOL)


@each_loss
@pytest.mark.parametrize("name", PARAMETERS)
def test_gradients_of_relu_away_from_its_kink(loss, name):
    net, images, targets = draw(activation="relu", loss=loss)
    assert np.abs(net.preactivations(images)).min() > 1e-3
    _, gradients = net.loss_and_gradients(images, targets)
    direction = draw(seed=1)[0].parameters[name]
    measured = central_difference(
        along_one_parameter(net, name, images, targets), net.parameters[name], direction
    )
    assert_derivative(measured, gradients[name], direction, DIFFERENCE_RTOL)


@each_loss
def test_masked_features_take_no_part(loss):
    """A mask multiplies features: gradients agree with the complex step, and a masked unit gets none."""
    net, images, targets = draw(loss=loss)
    mask = np.array([[2.0, 0.0, 1.0]] * 4)
    patches = net.patches(images)
    _, gradients = net.loss_and_gradients_of_patches(patches, targets, mask)
    scaled = net.with_parameters(readout=net.readout * mask[0])
    _, wanted = scaled.loss_and_gradients(images, targets)
    for name in ("filters", "bias", "readout_bias"):
        assert_close(gradients[name], wanted[name], 1e-13)
    assert_close(gradients["readout"], wanted["readout"] * mask[0], 1e-13)
    assert not gradients["filters"][1].any()


# --- symmetry


def swapped(parameters, i, j):
    order = np.arange(len(parameters["bias"]))
    order[[i, j]] = j, i
    return {
        "filters": parameters["filters"][order],
        "bias": parameters["bias"][order],
        "readout": parameters["readout"][:, order],
        "readout_bias": parameters["readout_bias"],
    }


@given(
    seed=seeds,
    filters=st.integers(2, 6),
    outputs=st.integers(1, 3),
    activation=st.sampled_from(list(ACTIVATIONS)),
    loss=st.sampled_from(list(LOSSES)),
    arithmetic=st.sampled_from(ARITHMETICS),
    choice=st.data(),
)
def test_swapping_two_units_swaps_their_gradients(
    seed, filters, outputs, activation, loss, arithmetic, choice
):
    net, images, targets = draw(
        seed, filters=filters, outputs=outputs, activation=activation, loss=loss, arithmetic=arithmetic
    )
    i, j = choice.draw(st.lists(st.integers(0, filters - 1), min_size=2, max_size=2, unique=True))
    value, gradients = net.loss_and_gradients(images, targets)
    exchanged = net.with_parameters(swapped(net.parameters, i, j))
    value_then, gradients_then = exchanged.loss_and_gradients(images, targets)
    assert value_then == pytest.approx(value, rel=1e-12)
    for name, wanted in swapped(gradients, i, j).items():
        # Cancellation in the residuals makes some gradients small: rounding is measured by the size of their terms.
        size = max(np.linalg.norm(wanted), 1e-3 * np.linalg.norm(net.readout))
        np.testing.assert_allclose(gradients_then[name], wanted, rtol=0, atol=1e-12 * size)


@given(
    seed=seeds,
    filters=st.integers(2, 9),
    outputs=st.integers(1, 3),
    images=st.integers(1, 9),
    activation=st.sampled_from(list(ACTIVATIONS)),
    loss=st.sampled_from(list(LOSSES)),
    dtype=st.sampled_from([np.float32, np.float64]),
    choice=st.data(),
)
def test_twins_get_gradients_of_equal_bits(seed, filters, outputs, images, activation, loss, dtype, choice):
    net, images, targets = draw(
        seed, filters=filters, outputs=outputs, images=images, dtype=dtype, activation=activation, loss=loss
    )
    i, j = choice.draw(st.lists(st.integers(0, filters - 1), min_size=2, max_size=2, unique=True))
    net = twins.tie(net, i, j)
    _, gradients = net.loss_and_gradients(images, targets)
    for array in (gradients["filters"], gradients["bias"], gradients["readout"].T):
        assert array.dtype == dtype
        assert array[i].tobytes() == array[j].tobytes()


# --- what a network is


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_type_of_the_parameters_is_kept_whatever_the_data(dtype):
    net, images, targets = draw(dtype=dtype)
    for data_type in (np.float32, np.float64):
        loss, gradients = net.loss_and_gradients(images.astype(data_type), targets.astype(data_type))
        assert type(loss) is float
        assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(dtype)}
        assert net.outputs(images.astype(data_type)).dtype == dtype


def test_is_frozen_and_its_arrays_are_read_only_copies():
    filters = np.ones((2, 1, 3, 3))
    net = FilterNet(filters, np.zeros(2), np.ones((1, 2)), np.zeros(1))
    filters[:] = 7
    assert (net.filters == 1).all()
    with pytest.raises(FrozenInstanceError):
        net.filters = filters
    for array in net.parameters.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.usefixtures("unchecked")  # the annotations speak of what the network holds
def test_arrays_are_brought_to_one_floating_type():
    net = FilterNet(np.ones((2, 1, 3, 3), np.float32), np.zeros(2, int), np.ones((1, 2)), np.zeros(1))
    assert {array.dtype for array in net.parameters.values()} == {np.dtype(np.float64)}


@pytest.mark.usefixtures("unchecked")  # the annotations speak of what the network holds
def test_arrays_may_be_lists():
    net = FilterNet([[[[2.0]]]], [0], [[1]], [0])
    assert net.filters.tolist() == [[[[2.0]]]]


def test_with_parameters_replaces_some_and_keeps_the_rest():
    net, _, _ = draw(activation="gelu", stride=2)
    by_name = net.with_parameters(bias=np.zeros(3))
    by_mapping = net.with_parameters({"bias": np.zeros(3)})
    for other in (by_name, by_mapping):
        assert not other.bias.any()
        assert (other.filters == net.filters).all()
        assert (other.activation, other.stride) == ("gelu", 2)
    assert net.bias.all()
    with pytest.raises((TypeError, ValueError), match="weights"):
        net.with_parameters(weights=np.zeros(3))


def test_units_and_their_parameters():
    net, _, _ = draw(filters=3)
    assert net.units == 3
    unit = net.unit(2)
    np.testing.assert_array_equal(unit["filter"], net.filters[2])
    assert unit["bias"] == net.bias[2]
    np.testing.assert_array_equal(unit["readout"], net.readout[:, 2])


def test_random_weights_have_the_scale_that_keeps_a_signal():
    rng = np.random.default_rng(0)
    net = FilterNet.random(rng, filters=200, kernel=(3, 4), channels=5, outputs=40, scale=2.0, stride=2)
    assert net.filters.shape == (200, 5, 3, 4)
    assert net.readout.shape == (40, 200)
    # 12000 and 8000 draws: a standard deviation is known to 1 % within 1.5 and 1.3 standard errors.
    assert net.filters.std() == pytest.approx(2 / np.sqrt(60), rel=0.02)
    assert net.readout.std() == pytest.approx(2 / np.sqrt(200), rel=0.03)
    assert not net.bias.any()
    assert not net.readout_bias.any()
    assert net.stride == 2
    again = FilterNet.random(
        np.random.default_rng(0), filters=200, kernel=(3, 4), channels=5, outputs=40, scale=2.0
    )
    np.testing.assert_array_equal(net.filters, again.filters)


def test_random_defaults_and_square_kernels():
    net = FilterNet.random(np.random.default_rng(0), kernel=5)
    assert net.filters.shape == (2, 1, 5, 5)
    assert (net.activation, net.loss, net.arithmetic) == ("tanh", "squared", "position_blind")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "filters must be an integer of at least 1, got 0"),
        ({"filters": (3, 0)}, "filters must be an integer of at least 1, got 0"),
        ({"filters": 2.5}, "filters must be an integer of at least 1, got 2.5"),
        ({"filters": ()}, r"filters must be one number a layer, for at least one layer, got \(\)"),
        ({"kernel": 0}, "kernel must be an integer of at least 1 or a pair of them, got 0"),
        ({"kernel": (3, -1)}, "kernel must be an integer of at least 1 or a pair of them, got -1"),
        ({"kernel": (3, 3, 3)}, r"kernel must be an integer .* or a pair of them, got \(3, 3, 3\)"),
        ({"channels": 0}, "channels must be an integer of at least 1, got 0"),
        ({"outputs": 0}, "outputs must be an integer of at least 1, got 0"),
        ({"positions": 0, "pooling": "none"}, "positions must be an integer of at least 1, got 0"),
        ({"scale": float("inf")}, "filters must be finite, got NaN or infinity"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_shapes_of_random_networks(options, message):
    with pytest.raises(ValueError, match=message):
        FilterNet.random(np.random.default_rng(0), **options)


def test_arguments_are_left_alone():
    net, images, targets = draw()
    copies = images.copy(), targets.copy()
    images.setflags(write=False)
    targets.setflags(write=False)
    net.loss_and_gradients(images, targets)
    np.testing.assert_array_equal(images, copies[0])
    np.testing.assert_array_equal(targets, copies[1])


# --- accuracy


def reading(values):
    """A network of which the outputs are the pixels, one a class, and images of these pixels."""
    values = np.asarray(values, float)
    classes = values.shape[1]
    net = FilterNet(
        np.eye(classes).reshape(classes, classes, 1, 1),
        np.zeros(classes),
        np.eye(classes),
        np.zeros(classes),
        activation="identity",
    )
    return net, values[:, :, None, None]


def test_accuracy_of_one_output_is_about_its_sign():
    net, images = reading([[0.1], [-3.0], [2.0], [-0.5]])
    assert accuracy(net, images, np.array([[1.0], [-1.0], [-1.0], [-2.0]])) == 0.75


def test_accuracy_of_several_outputs_is_about_the_largest():
    net, images = reading([[0.1, 0.3, 0.2], [5.0, 4.0, 4.5], [-3.0, -2.0, -1.0]])
    assert accuracy(net, images, np.array([1, 0, 0])) == pytest.approx(2 / 3)
    assert accuracy(
        net, images, np.array([[0.0, 1.0, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    ) == pytest.approx(2 / 3)


# --- wrong arguments


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"filters": np.ones((3, 1, 3))},
            r"shape \(F, C, K, L\) without empty axis, got \(3, 1, 3\)",
        ),
        ({"filters": np.ones((3, 0, 3, 3))}, r"without empty axis, got \(3, 0, 3, 3\)"),
        ({"bias": np.ones(2)}, r"bias must have shape \(3,\) beside filters \(3, 2, 3, 2\), got \(2,\)"),
        ({"bias": np.ones((3, 1))}, r"bias must have shape \(3,\) beside filters .* got \(3, 1\)"),
        ({"readout": np.ones((3, 2))}, r"readout must have shape \(2, 3\) beside filters .* got \(3, 2\)"),
        ({"readout": np.ones(3)}, r"readout must have shape \(2, 3\) beside filters .* got \(3,\)"),
        ({"readout_bias": np.ones(3)}, r"readout must have shape \(3, 3\) beside filters .* got \(2, 3\)"),
        ({"readout_bias": 1.0}, r"readout_bias must have shape \(O,\) with O at least 1, got \(\)"),
        ({"readout_bias": np.ones(0)}, r"readout_bias must have shape \(O,\) with O at least 1, got \(0,\)"),
        ({"filters": np.full((3, 2, 3, 2), np.nan)}, "filters must be finite, got NaN or infinity"),
        ({"bias": np.array([0, np.inf, 0])}, "bias must be finite, got NaN or infinity"),
        (
            {"bias": np.array(["a", "b", "c"])},
            "parameters must have a floating dtype such as float64, got <U32",
        ),
        ({"bias": None}, "parameters must have a floating dtype such as float64, got object"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_networks(arrays, message):
    net, _, _ = draw()
    with pytest.raises(ValueError, match=message):
        net.with_parameters(arrays)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "sigmoid"}, r"activation must be one of \('identity', .*, got 'sigmoid'"),
        ({"loss": "hinge"}, r"loss must be one of \('squared', 'cross_entropy'\), got 'hinge'"),
        (
            {"arithmetic": "fast"},
            r"arithmetic must be one of \('blas', 'position_blind', 'tiled'\), got 'fast'",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_unknown_names(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"stride": 0}, "stride must be an integer of at least 1 or a pair of them, got 0"),
        ({"stride": (1, 2, 3)}, r"stride must be an integer .* or a pair of them, got \(1, 2, 3\)"),
        ({"padding": -1}, r"padding must be an integer of at least 0, a pair of them, or .*, got -1"),
        ({"padding": ((0, 1), 2)}, r"padding must be an integer .*, got \(\(0, 1\), 2\)"),
        ({"dilation": 1.5}, "dilation must be an integer of at least 1 or a pair of them, got 1.5"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_geometry_is_found_when_the_network_is_made(option, message):
    with pytest.raises(ValueError, match=message):
        draw(**option)
    net = draw()[0]
    above = ConvLayer(np.ones((2, 3, 1, 1)), np.ones(2), **option)
    with pytest.raises(ValueError, match=message):
        replace(net, readout=np.ones((2, 2)), deeper=(above,))


@pytest.mark.usefixtures("unchecked")
def test_integer_parameters_are_refused():
    with pytest.raises(ValueError, match="parameters must have a floating dtype such as float64, got int64"):
        FilterNet(*(np.ones(shape, int) for shape in ((1, 1, 1, 1), 1, (1, 1), 1)))


@pytest.mark.parametrize("k", [-1, 3])
def test_there_is_no_such_unit(k):
    with pytest.raises(ValueError, match=f"unit must lie between 0 and 2, got {k}"):
        draw(filters=3)[0].unit(k)


IMAGES = np.zeros((4, 2, 6, 5))


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (IMAGES[0], {}, r"images must have shape \(N, C, H, W\), got \(2, 6, 5\)"),
        (IMAGES[:, :1], {}, r"images must have shape \(N, C, H, W\) with C = 2, got \(4, 1, 6, 5\)"),
        (IMAGES[:0], {}, r"images must be finite, and at least one, got shape \(0, 2, 6, 5\)"),
        (IMAGES.astype(int), {}, "images must have a floating dtype such as float64, got int64"),
        (IMAGES + np.nan, {}, "images must be finite, and at least one"),
        (IMAGES[:, :, :2], {}, r"filters spanning \(3, 2\) for an image padded to \(2, 5\)"),
        (IMAGES, {"dilation": 5}, r"filters spanning \(11, 6\) for an image padded to \(6, 5\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_images(images, options, message):
    net, _, targets = draw(**options)
    for function in (
        net.patches,
        net.outputs,
        lambda images: net.mean_loss(images, targets),
        lambda images: net.loss_and_gradients(images, targets),
        lambda images: accuracy(net, images, targets),
    ):
        with pytest.raises(ValueError, match=message):
            function(images)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            np.zeros((4, 3)),
            r"targets must be floating with shape \(N, O\) = \(4, 2\), .* got float64 .* \(4, 3\)",
        ),
        (
            np.zeros((3, 2)),
            r"targets must be floating with shape \(N, O\) = \(4, 2\), .* got float64 .* \(3, 2\)",
        ),
        (np.full((4, 2), np.nan), "targets must be finite, got NaN or infinity"),
        (np.array([0, 1, 2, 0]), "labels must lie between 0 and 1, got between 0 and 2"),
        (np.full((4, 2), 0.6), r"rows that sum to 1, got .* between 1\.2 and 1\.2"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_targets(targets, message):
    net, images, _ = draw(loss="cross_entropy")
    for function in (net.mean_loss, net.loss_and_gradients, net.residuals):
        with pytest.raises(ValueError, match=message):
            function(images, targets)
    with pytest.raises(ValueError, match=message):
        accuracy(net, images, targets)
