"""Networks of two and three convolutional layers, and every pool: outputs, gradients, twins in any layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checks import assert_close, assert_derivative, central_difference, complex_step
from twinfilters.arithmetic import ARITHMETICS
from twinfilters.data import digits
from twinfilters.layers import ConvLayer, backward, forward
from twinfilters.losses import LOSSES
from twinfilters.network import FilterNet
from twinfilters.optimizers import GradientDescent
from twinfilters.pooling import POOLINGS
from twinfilters.training import train

pytestmark = pytest.mark.usefixtures("one_thread")

TORCH_RTOL = 1e-10
COMPLEX_STEP_RTOL = 1e-12
# A central difference of step 1e-5 is wrong by 1e-10 of the third derivative, and by 1e-11 of the loss from rounding.
DIFFERENCE_RTOL = 1e-7

each_arithmetic = pytest.mark.parametrize("arithmetic", ARITHMETICS)
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)
each_depth = pytest.mark.parametrize("depth", [1, 2, 3])
seeds = st.integers(0, 2**32 - 1)

# Of images of 7 x 6 pixels, layers make 7 x 4, then 4 x 2, then 3 x 3.
GEOMETRIES = (
    {"padding": ((1, 1), (0, 0))},
    {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
    {"padding": ((0, 1), (1, 1))},
)
POSITIONS = (28, 8, 9)


def draw(seed=0, *, depth=2, pooling="mean", outputs=2, images=4, dtype=np.float64, **options):
    """A network with nothing zero in it, images, and targets that both losses take."""
    rng = np.random.default_rng(seed)
    widths = (3, 4, 5)[:depth]
    layers = [
        ConvLayer(
            rng.normal(scale=0.5, size=(f, c, *kernel)).astype(dtype),
            rng.normal(size=f).astype(dtype),
            **geometry,
        )
        for f, c, kernel, geometry in zip(
            widths, (2, 3, 4), ((3, 3), (3, 2), (3, 2)), GEOMETRIES, strict=False
        )
    ]
    readout = (outputs, widths[-1], POSITIONS[depth - 1])[: 3 if pooling == "none" else 2]
    net = FilterNet(
        layers[0].filters,
        layers[0].bias,
        rng.normal(size=readout).astype(dtype),
        rng.normal(size=outputs).astype(dtype),
        **layers[0].geometry,
        pooling=pooling,
        deeper=tuple(layers[1:]),
        **options,
    )
    return net, rng.normal(size=(images, 2, 7, 6)), rng.dirichlet(np.ones(outputs), size=images)


def by_torch(net, images, targets):
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in net.parameters.items()}
    values = torch.tensor(images)
    for number, layer in enumerate(net.layers, 1):
        padding = layer.padding if np.ndim(layer.padding) else (layer.padding,) * 2
        vertical, horizontal = (side if np.ndim(side) else (side, side) for side in padding)
        filters, bias, _ = (leaves[name] for name in net.names(number))
        padded = torch.nn.functional.pad(values, (*horizontal, *vertical))
        z = torch.nn.functional.conv2d(padded, filters, bias, stride=layer.stride, dilation=layer.dilation)
        values = {"tanh": torch.tanh, "relu": torch.relu}[net.activation](z)
    pooled = {
        "mean": lambda: values.mean(dim=(2, 3)),
        "max": lambda: torch.nn.functional.adaptive_max_pool2d(values, 1).flatten(1),
        "none": lambda: values.flatten(1),
    }
    readout = leaves["readout"].flatten(1)
    outputs = torch.nn.functional.linear(pooled[net.pooling](), readout, leaves["readout_bias"])
    targets = torch.tensor(targets)
    losses = {
        "squared": lambda: 0.5 * (outputs - targets).square().sum(dim=1).mean(),
        "cross_entropy": lambda: torch.nn.functional.cross_entropy(outputs, targets),
    }
    loss = losses[net.loss]()
    loss.backward()
    gradients = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    return outputs.detach().numpy(), loss.item(), gradients


# --- by hand


def test_two_layers_by_hand():
    """Linear units on the pixels 1, 2, 3: a filter (1, -1), above it 2 and 3, readouts 1 and 1, target 0."""
    net = FilterNet(
        np.array([[[[1.0, -1.0]]]]),
        np.array([4.0]),
        np.array([[1.0, 1.0]]),
        np.zeros(1),
        activation="identity",
        deeper=(ConvLayer(np.array([2.0, 3.0]).reshape(2, 1, 1, 1), np.array([0.0, 1.0])),),
    )
    image = np.array([[[[1.0, 2.0, 3.0]]]])
    assert net.preactivations(image).tolist() == [[[3.0, 3.0]]]
    assert net.preactivations(image, layer=2).tolist() == [[[6.0, 6.0], [10.0, 10.0]]]
    assert net.features(image).tolist() == [[6.0, 10.0]]
    loss, gradients = net.loss_and_gradients(image, np.zeros((1, 1)))
    assert loss == 128.0
    # Residual 16; each of two positions gets 16 / 2 times the readout 1 above, times 2 + 3 below.
    assert {name: value.ravel().tolist() for name, value in gradients.items()} == {
        "readout": [96.0, 160.0],
        "readout_bias": [16.0],
        "filters2": [48.0, 48.0],
        "bias2": [16.0, 16.0],
        "filters": [40.0 * (1 + 2), 40.0 * (2 + 3)],
        "bias": [80.0],
    }


@pytest.mark.parametrize(
    ("pooling", "features", "grad_filter"),
    [
        ("mean", [[2.0]], 2 * 6.0),
        ("max", [[5.0]], 5 * 15.0),
        ("none", [[[1.0, 5.0, 0.0]]], 1 * 3.0 + 5 * -3.0),
    ],
)
def test_pools_by_hand(pooling, features, grad_filter):
    """One linear unit with filter 1 on the pixels 1, 5, 0; readout 3, or (3, -3, 3) at the positions; residual 1."""
    readout = np.array([[[3.0, -3.0, 3.0]]]) if pooling == "none" else np.array([[3.0]])
    net = FilterNet(
        np.ones((1, 1, 1, 1)), np.zeros(1), readout, np.zeros(1), activation="identity", pooling=pooling
    )
    image = np.array([[[[1.0, 5.0, 0.0]]]])
    assert net.features(image).tolist() == features
    output = net.outputs(image)
    assert output.item() == {"mean": 6.0, "max": 15.0, "none": -12.0}[pooling]
    _, gradients = net.loss_and_gradients(image, output - 1)
    assert gradients["readout"].tolist() == features
    assert gradients["filters"].item() == {"mean": 6.0, "max": 15.0, "none": -12.0}[pooling]


def test_first_of_equal_maxima_gets_the_gradient():
    net = FilterNet(
        np.ones((1, 1, 1, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1), activation="relu", pooling="max"
    )
    image = np.array([[[[0.0, -1.0, 2.0, 1.0, 2.0, 2.0]]]])
    features, back = POOLINGS["max"](net.preactivations(image), "blas")
    assert features.tolist() == [[[2.0]]]
    assert back(np.array([[[7.0]]])).tolist() == [[[0, 0, 7.0, 0, 0, 0]]]


# --- PyTorch and derivatives


@each_arithmetic
@each_loss
@each_pooling
@each_depth
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_agrees_with_pytorch(depth, pooling, loss, activation, arithmetic):
    net, images, targets = draw(
        depth=depth,
        pooling=pooling,
        loss=loss,
        activation=activation,
        outputs=3,
        arithmetic=arithmetic,
    )
    wanted_outputs, wanted_loss, wanted = by_torch(net, images, targets)
    loss_value, gradients = net.loss_and_gradients(images, targets)
    assert_close(net.outputs(images), wanted_outputs, TORCH_RTOL)
    assert loss_value == pytest.approx(wanted_loss, rel=TORCH_RTOL)
    assert net.mean_loss(images, targets) == pytest.approx(wanted_loss, rel=TORCH_RTOL)
    assert set(gradients) == set(net.parameters) == set(wanted)
    for name, gradient in gradients.items():
        assert_close(gradient, wanted[name], TORCH_RTOL)


def along_one_parameter(net, name, images, targets):
    return lambda value: net.with_parameters({name: value}).mean_loss(images, targets)


@each_arithmetic
@each_loss
@each_pooling
@each_depth
@pytest.mark.usefixtures("unchecked")  # a loss of complex parameters is no float
def test_gradients_along_random_directions(depth, pooling, loss, arithmetic):
    net, images, targets = draw(depth=depth, pooling=pooling, loss=loss, arithmetic=arithmetic)
    _, gradients = net.loss_and_gradients(images, targets)
    directions = draw(seed=1, depth=depth, pooling=pooling)[0].parameters
    for name, value in net.parameters.items():
        loss_along = along_one_parameter(net, name, images, targets)
        measured = complex_step(loss_along, value, directions[name])
        assert_derivative(measured, gradients[name], directions[name], COMPLEX_STEP_RTOL)


@each_depth
def test_gradients_of_the_maximum_by_differences(depth):
    net, images, targets = draw(depth=depth, pooling="max")
    two_largest = np.sort(net.preactivations(images, layer=depth), axis=2)[:, :, -2:]
    assert np.diff(two_largest).min() > 1e-3, "a tie: choose another seed"
    _, gradients = net.loss_and_gradients(images, targets)
    directions = draw(seed=1, depth=depth, pooling="max")[0].parameters
    for name, value in net.parameters.items():
        measured = central_difference(
            along_one_parameter(net, name, images, targets), value, directions[name]
        )
        assert_derivative(measured, gradients[name], directions[name], DIFFERENCE_RTOL)


@each_pooling
def test_masked_features_take_no_part(pooling):
    """A mask of the last layer's features scales its readouts, and the gradients by these."""
    net, images, targets = draw(pooling=pooling)
    mask = np.array([2.0, 0.0, 1.0, -0.5])
    columns = mask if pooling != "none" else mask[:, None]
    _, gradients = net.loss_and_gradients_of_patches(net.patches(images), targets, np.array([mask] * 4))
    _, wanted = net.with_parameters(readout=net.readout * columns).loss_and_gradients(images, targets)
    wanted["readout"] = wanted["readout"] * columns
    for name, gradient in gradients.items():
        assert_close(gradient, wanted[name], 1e-13)


def test_second_derivatives_come_with_the_layers():
    net, images, _ = draw(depth=2, activation="tanh")
    states = forward(
        net.layers, net.patches(images), lambda z, order: [z, 2 * z, 3 * z][: order + 1], "blas", 2
    )
    assert [len(state) for state in states] == [4, 4]
    np.testing.assert_array_equal(states[1][3], 3 * states[1][0])


# --- symmetry


def tied(net, i, j, layer):
    """The same network, unit j of a layer made equal to unit i."""
    filters, bias, readout = net.names(layer)
    arrays = {name: value.copy() for name, value in net.parameters.items()}
    arrays[filters][j], arrays[bias][j] = arrays[filters][i], arrays[bias][i]
    arrays[readout][:, j] = arrays[readout][:, i]
    return net.with_parameters(arrays)


@given(
    seed=seeds,
    depth=st.integers(1, 3),
    pooling=st.sampled_from(list(POOLINGS)),
    activation=st.sampled_from(["tanh", "relu"]),
    loss=st.sampled_from(list(LOSSES)),
    images=st.integers(1, 6),
    dtype=st.sampled_from([np.float32, np.float64]),
    choice=st.data(),
)
def test_twins_of_any_layer_get_gradients_of_equal_bits(
    seed, depth, pooling, activation, loss, images, dtype, choice
):
    net, images, targets = draw(
        seed, depth=depth, pooling=pooling, activation=activation, loss=loss, images=images, dtype=dtype
    )
    layer = choice.draw(st.integers(1, depth))
    units = st.integers(0, net.widths[layer - 1] - 1)
    i, j = choice.draw(st.lists(units, min_size=2, max_size=2, unique=True))
    _, gradients = tied(net, i, j, layer).loss_and_gradients(images, targets)
    filters, bias, readout = (gradients[name] for name in net.names(layer))
    for array in (filters, bias, readout.swapaxes(0, 1)):
        assert array.dtype == dtype
        assert array[i].tobytes() == array[j].tobytes()


@given(
    seed=seeds,
    depth=st.integers(1, 3),
    pooling=st.sampled_from(list(POOLINGS)),
    arithmetic=st.sampled_from(ARITHMETICS),
    choice=st.data(),
)
def test_permuting_the_units_of_a_layer_permutes_their_gradients(seed, depth, pooling, arithmetic, choice):
    net, images, targets = draw(seed, depth=depth, pooling=pooling, arithmetic=arithmetic)
    layer = choice.draw(st.integers(1, depth))
    order = choice.draw(st.permutations(range(net.widths[layer - 1])))
    filters, bias, readout = net.names(layer)

    def permuted(arrays):
        changed = {
            filters: arrays[filters][order],
            bias: arrays[bias][order],
            readout: arrays[readout][:, order],
        }
        return {**arrays, **changed}

    loss, gradients = net.loss_and_gradients(images, targets)
    loss_then, gradients_then = net.with_parameters(permuted(net.parameters)).loss_and_gradients(
        images, targets
    )
    assert loss_then == pytest.approx(loss, rel=1e-12)
    size = max(np.linalg.norm(gradient) for gradient in gradients.values())
    for name, wanted in permuted(gradients).items():
        np.testing.assert_allclose(gradients_then[name], wanted, rtol=0, atol=1e-12 * size)


def test_twins_below_stay_equal_to_the_last_bit_while_training():
    data = digits(3, 8, count=30)
    rng = np.random.default_rng(0)
    net = FilterNet.random(rng, filters=(3, 4), kernel=3, positions=16, pooling="none")
    net = tied(net, 2, 0, layer=1)
    after = train(
        net, data.images, data.targets, optimizer=GradientDescent(0.1), steps=100, batch_size=7, rng=rng
    ).net
    assert np.abs(after.filters[0] - net.filters[0]).max() > 0.01
    for array in (after.filters, after.bias, after.deeper[0].filters.swapaxes(0, 1)):
        assert array[2].tobytes() == array[0].tobytes()
    assert (after.filters[1] != after.filters[0]).any()


# --- what a deep network is


@each_pooling
def test_floating_type_is_kept(pooling):
    net, images, targets = draw(depth=3, pooling=pooling, dtype=np.float32)
    _, gradients = net.loss_and_gradients(images, targets)
    assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(np.float32)}
    assert net.outputs(images).dtype == np.float32


def test_parameters_have_names_by_layer():
    net, _, _ = draw(depth=3)
    assert set(net.parameters) == {
        *("filters", "bias", "filters2", "bias2", "filters3", "bias3", "readout", "readout_bias")
    }
    assert net.names(1) == ("filters", "bias", "filters2")
    assert net.names(2) == ("filters2", "bias2", "filters3")
    assert net.names(3) == ("filters3", "bias3", "readout")
    assert (net.depth, net.widths, net.units) == (3, (3, 4, 5), 3)
    assert [layer.geometry for layer in net.layers] == [
        {"stride": 1, "padding": 0, "dilation": 1, **geometry} for geometry in GEOMETRIES
    ]


def test_a_unit_below_has_its_readout_in_the_next_filters():
    net, _, _ = draw(depth=2)
    unit = net.unit(1)
    np.testing.assert_array_equal(unit["readout"], net.deeper[0].filters[:, 1])
    np.testing.assert_array_equal(net.unit(3, layer=2)["readout"], net.readout[:, 3])
    np.testing.assert_array_equal(net.unit(3, layer=2)["filter"], net.deeper[0].filters[3])


def test_with_parameters_reaches_every_layer():
    net, _, _ = draw(depth=3)
    other = net.with_parameters({"bias3": np.zeros(5)}, filters2=np.ones((4, 3, 3, 2)))
    assert not other.deeper[1].bias.any()
    assert (other.deeper[0].filters == 1).all()
    assert other.deeper[0].geometry == net.deeper[0].geometry
    np.testing.assert_array_equal(other.deeper[0].bias, net.deeper[0].bias)
    np.testing.assert_array_equal(other.filters, net.filters)
    stepped = net.stepped({name: value + 1 for name, value in net.parameters.items()})
    for name, value in stepped.parameters.items():
        np.testing.assert_array_equal(value, net.parameters[name] + 1)
        assert not value.flags.writeable


def test_arrays_of_every_layer_are_read_only():
    net, _, _ = draw(depth=3)
    for array in net.parameters.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_random_networks_of_several_layers():
    rng = np.random.default_rng(0)
    net = FilterNet.random(
        rng,
        filters=(100, 90, 80),
        kernel=(3, 2),
        channels=2,
        outputs=30,
        positions=7,
        pooling="none",
        padding=1,
    )
    assert [layer.filters.shape for layer in net.layers] == [
        (100, 2, 3, 2),
        (90, 100, 3, 2),
        (80, 90, 3, 2),
    ]
    assert net.readout.shape == (30, 80, 7)
    # 1200 draws or more: a standard deviation is known to 8 % within 4 standard errors.
    for array, inputs in ((net.filters, 12), (net.deeper[0].filters, 600), (net.readout, 560)):
        assert array.std() == pytest.approx(inputs**-0.5, rel=0.08)
    assert [layer.padding for layer in net.layers] == [1, 1, 1]
    assert not any(layer.bias.any() for layer in net.layers)


def test_arguments_are_left_alone():
    net, images, targets = draw(depth=2, pooling="max")
    images.setflags(write=False)
    targets.setflags(write=False)
    patches = net.patches(images)
    patches.setflags(write=False)
    states = forward(
        net.layers, patches, lambda z, order: [np.tanh(z), 1 - np.tanh(z) ** 2], "position_blind", 1
    )
    copies = [[array.copy() for array in state] for state in states]
    backward(net.layers, patches, states, np.ones((4, 4, 1)), "position_blind")
    for state, copy in zip(states, copies, strict=True):
        np.testing.assert_array_equal(state, copy)
    net.loss_and_gradients_of_patches(patches, targets)


# --- wrong arguments


def test_unknown_pooling():
    with pytest.raises(ValueError, match=r"pooling must be one of \('mean', 'max', 'none'\), got 'average'"):
        replace(draw()[0], pooling="average")


@pytest.mark.parametrize("layer", [0, 3, -1])
def test_there_is_no_such_layer(layer):
    net, images, _ = draw(depth=2)
    for function in (
        net.names,
        lambda layer: net.unit(0, layer),
        lambda layer: net.preactivations(images, layer),
    ):
        with pytest.raises(ValueError, match=f"layer must lie between 1 and 2, got {layer}"):
            function(layer)


@pytest.mark.parametrize(("k", "layer", "last"), [(3, 1, 2), (4, 2, 3), (-1, 2, 3)])
def test_there_is_no_such_unit(k, layer, last):
    with pytest.raises(ValueError, match=f"unit must lie between 0 and {last}, got {k}"):
        draw(depth=2)[0].unit(k, layer)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"filters2": np.ones((4, 2, 3, 2))},
            r"filters2 must have shape \(F, C, K, L\) with C = 3, got \(4, 2, 3, 2\)",
        ),
        ({"filters2": np.ones((4, 3, 3))}, r"filters2 must have shape .* with C = 3, got \(4, 3, 3\)"),
        ({"filters2": np.ones((4, 3, 0, 2))}, r"filters2 must have shape .* got \(4, 3, 0, 2\)"),
        ({"bias2": np.ones(3)}, r"bias2 must have shape \(4,\) beside filters2 .* got \(3,\)"),
        ({"readout": np.ones((2, 3))}, r"readout must have shape \(2, 4\) .* got \(2, 3\)"),
        ({"bias2": np.array([0, 0, np.nan, 0])}, "bias2 must be finite, got NaN or infinity"),
        ({"bias3": np.ones(4)}, r"parameters must be out of \('filters', .*'bias2'\), got \('bias3',\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_parameters(arrays, message):
    with pytest.raises(ValueError, match=message):
        draw(depth=2)[0].with_parameters(arrays)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 8), (3, 4, 8), (2, 4, 0), (2, 4, 8, 1)])
@pytest.mark.usefixtures("unchecked")
def test_wrong_readout_without_pooling(shape):
    with pytest.raises(
        ValueError, match=r"readout must have shape \(O, F, P\) with O = 2 and F = 4 without pooling, got"
    ):
        draw(depth=2, pooling="none")[0].with_parameters(readout=np.ones(shape))


def test_images_that_do_not_fit_the_readout_or_the_upper_layers():
    net, images, _ = draw(depth=2, pooling="none")
    with pytest.raises(ValueError, match="images must give the readout 8 positions, got 4 x 1"):
        net.outputs(images[:, :, :, :5])
    with pytest.raises(ValueError, match="filters must fit into the padded image, got filters spanning"):
        net.outputs(images[:, :, :, :4])
