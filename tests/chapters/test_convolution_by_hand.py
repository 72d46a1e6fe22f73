"""The statements of the chapter *A convolution by hand*, each executed under its own name."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checks import assert_close, assert_derivative, complex_step
from twinfilters import data, twins
from twinfilters.conv import conv2d, conv2d_backward, extract_patches, output_size
from twinfilters.network import FilterNet

pytestmark = pytest.mark.usefixtures("one_thread")

# Sums of some hundred products in float64.
ROUNDING = 1e-12
CHANNELS, FILTERS = 2, 3

# Of all geometries that are drawn, the worst figure counts.
drawn_geometries = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def error(found, wanted):
    """Largest difference, in units of the largest entry."""
    return np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-300)


@st.composite
def geometries(draw):
    """Draw the size of an image, of a filter, and how the filter moves; it fits at least once."""
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    stride, padding, dilation = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(1, 3))
    size = tuple(max(1, dilation * (k - 1) + 1 - 2 * padding) + draw(st.integers(0, 6)) for k in kernel)
    return size, kernel, {"stride": stride, "padding": padding, "dilation": dilation}


def case(size, kernel, geometry, seed=0):
    """Image, filters, bias and what comes down from above, for one geometry."""
    rng = np.random.default_rng(seed)
    shapes = (CHANNELS, *size), (FILTERS, CHANNELS, *kernel), (FILTERS,)
    arrays = [rng.normal(size=shape) for shape in shapes]
    return *arrays, rng.normal(size=(FILTERS, *output_size(size, kernel, **geometry)))


def meetings(size, kernel, positions, geometry):
    """All triples (position, weight, pixel) with pixel = stride position + dilation weight - padding."""
    stride, padding, dilation = (geometry[name] for name in ("stride", "padding", "dilation"))
    for p in np.ndindex(*positions):
        for u in np.ndindex(*kernel):
            pixel = tuple(stride * a + dilation * b - padding for a, b in zip(p, u, strict=True))
            if all(0 <= place < length for place, length in zip(pixel, size, strict=True)):
                yield p, u, pixel


def folded(columns, size, kernel, positions, geometry):
    """Fold from its definition: (C,K,L,H',W') to (C,H,W)."""
    image = np.zeros((len(columns), *size))
    for p, u, pixel in meetings(size, kernel, positions, geometry):
        image[:, *pixel] += columns[:, *u, *p]
    return image


@drawn_geometries
@given(drawn=geometries())
def test_prop_output_size(measured, drawn):
    size, kernel, geometry = drawn
    stride, padding, dilation = geometry.values()
    for axis, (length, k) in enumerate(zip(size, kernel, strict=True)):
        padded, extent = length + 2 * padding, dilation * (k - 1) + 1
        starts = [start for start in range(0, padded, stride) if start + extent <= padded]
        formula = (padded - extent) // stride + 1
        assert formula == len(starts) == output_size(size, kernel, **geometry)[axis]
        unseen = (padded - extent) % stride
        assert starts[-1] + extent == padded - unseen
        measured(
            "difference of the formula from the positions counted", abs(formula - len(starts)), exactly=0
        )
    image, filters, bias, _ = case(*drawn)
    with torch.no_grad():
        out = torch.nn.functional.conv2d(*map(torch.tensor, (image, filters, bias)), **geometry)
    assert out.shape[1:] == output_size(size, kernel, **geometry)


@drawn_geometries
@given(drawn=geometries())
def test_prop_cut_fold(measured, drawn):
    size, kernel, geometry = drawn
    image, _, _, above = case(*drawn)
    positions = above.shape[1:]
    cut = extract_patches(image[None], kernel, **geometry)[0].reshape(CHANNELS, *kernel, *positions)
    columns = np.random.default_rng(1).normal(size=cut.shape)
    fold = folded(columns, size, kernel, positions, geometry)
    difference = (cut * columns).sum() - (image * fold).sum()
    size_of_both = np.linalg.norm(cut) * np.linalg.norm(columns) + 1e-300
    measured(
        "difference of the two inner products, relative", abs(difference) / size_of_both, at_most=ROUNDING
    )
    count = np.zeros(size)
    for _, _, pixel in meetings(size, kernel, positions, geometry):
        count[pixel] += 1
    assert_close(folded(cut, size, kernel, positions, geometry), count * image, ROUNDING)


@drawn_geometries
@given(drawn=geometries())
def test_thm_bp_convolution(measured, drawn):
    size, kernel, geometry = drawn
    image, filters, bias, above = case(*drawn)
    positions = above.shape[1:]

    def loss(image, filters, bias):
        return (above * np.tanh(conv2d(image[None], filters, bias, **geometry)[0])).sum()

    # Index by index, from the theorem.
    z = conv2d(image[None], filters, bias, **geometry)[0]
    delta = above * (1 - np.tanh(z) ** 2)
    by_index = [np.zeros_like(image), np.zeros_like(filters), delta.sum(axis=(1, 2))]
    for p, u, pixel in meetings(size, kernel, positions, geometry):
        by_index[0][:, *pixel] += delta[:, *p] @ filters[:, :, *u]
        by_index[1][:, :, *u] += np.outer(delta[:, *p], image[:, *pixel])
    # As matrix products.
    patches = extract_patches(image[None], kernel, **geometry)[0]
    weights, rows = filters.reshape(FILTERS, -1), delta.reshape(FILTERS, -1)
    columns = (weights.T @ rows).reshape(CHANNELS, *kernel, *positions)
    by_matrix = [
        folded(columns, size, kernel, positions, geometry),
        (rows @ patches.T).reshape(filters.shape),
        rows.sum(axis=1),
    ]
    packaged = conv2d_backward(delta[None], image[None], filters, **geometry)
    directions = case(*drawn, seed=2)[:3]
    point = image, filters, bias
    scale = np.linalg.norm(above) * (1 + np.linalg.norm(image)) * (1 + np.linalg.norm(filters))
    for number, (index, matrix) in enumerate(zip(by_index, by_matrix, strict=True)):
        measured("matrix products against indices, relative", error(matrix, index), at_most=ROUNDING)
        assert_close(packaged[number][0] if number == 0 else packaged[number], index, ROUNDING)

        def along(array, number=number):
            return loss(*point[:number], array, *point[number + 1 :])

        slope = complex_step(along, point[number], directions[number])
        predicted = (index * directions[number]).sum()
        mistake = abs(slope - predicted) / (scale * np.linalg.norm(directions[number]))
        measured("equations against the complex step, relative", mistake, at_most=ROUNDING)


@drawn_geometries
@given(drawn=geometries())
def test_cor_shared_weight(measured, drawn):
    """Every position has its own copy of the filters, and moves it alone."""
    _, kernel, geometry = drawn
    image, filters, _, above = case(*drawn)
    patches = extract_patches(image[None], kernel, **geometry)[0]
    copies = np.repeat(filters.reshape(FILTERS, -1, 1), patches.shape[1], axis=2)
    rows = above.reshape(FILTERS, -1)

    def loss(copies):
        return (rows * np.tanh(np.einsum("fdp,dp->fp", copies, patches))).sum()

    delta = rows * (1 - np.tanh(np.einsum("fdp,dp->fp", copies, patches)) ** 2)
    of_copies = np.einsum("fp,dp->fdp", delta, patches)
    direction = np.random.default_rng(3).normal(size=copies.shape)
    assert_derivative(complex_step(loss, copies, direction), of_copies, direction, ROUNDING)
    shared = conv2d_backward(delta.reshape(1, *above.shape), image[None], filters, **geometry)[1]
    scale = np.linalg.norm(delta) * np.linalg.norm(patches)
    mistake = np.abs(of_copies.sum(axis=2) - shared.reshape(FILTERS, -1)).max() / (scale + 1e-300)
    measured("sum over the copies against the shared filter, relative", mistake, at_most=ROUNDING)


def padded_or_cropped(array, before, after):
    """Zeros before and after the last two axes; a negative number cuts off."""
    wide = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]
    padded = np.pad(array, [(0, 0), *wide])
    cut = [
        slice(max(-b, 0), length - max(-a, 0))
        for b, a, length in zip(before, after, padded.shape[1:], strict=True)
    ]
    return padded[:, *cut]


@drawn_geometries
@given(drawn=geometries())
def test_prop_three_convolutions(measured, drawn):
    size, kernel, geometry = drawn
    stride, padding, dilation = geometry.values()
    image, filters, _, delta = case(*drawn)
    grad_image, grad_filters, _ = conv2d_backward(delta[None], image[None], filters, **geometry)
    # 1. Channels play the images, delta plays the filters, stride and dilation change places.
    exchanged = {"stride": dilation, "padding": padding, "dilation": stride}
    out = conv2d(image[:, None], delta[:, None], **exchanged).swapaxes(0, 1)
    by_images = error(out[:, :, : kernel[0], : kernel[1]], grad_filters)
    measured("gradient of the filters as a convolution, relative error", by_images, at_most=ROUNDING)
    # 2. Spread delta, flip the filters.
    spread = np.zeros((FILTERS, *(stride * (n - 1) + 1 for n in delta.shape[1:])))
    spread[:, ::stride, ::stride] = delta
    before = [dilation * (k - 1) - padding for k in kernel]
    rest = [(n + 2 * padding - dilation * (k - 1) - 1) % stride for n, k in zip(size, kernel, strict=True)]
    after = [b + r for b, r in zip(before, rest, strict=True)]
    spread = padded_or_cropped(spread, before, after)
    flipped = filters[:, :, ::-1, ::-1].swapaxes(0, 1)
    by_flipping = error(conv2d(spread[None], flipped, dilation=dilation), grad_image)
    measured("gradient of the image as a convolution, relative error", by_flipping, at_most=ROUNDING)


@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_prop_only_above(pooling, measured):
    digits = data.digits(3, 8, count=40)
    rng = np.random.default_rng(4)
    positions = {"positions": 36} if pooling == "none" else {}
    net = FilterNet.random(rng, filters=3, kernel=3, pooling=pooling, **positions)
    net = twins.tie(net.with_parameters(bias=rng.normal(size=3)), parts=["filter", "bias"])
    gradients = net.with_parameters(net.loss_and_gradients(*digits.examples)[1])
    z = net.preactivations(digits.images)
    if pooling == "max":
        weight = np.zeros(z.shape)
        np.put_along_axis(weight, z.argmax(axis=2, keepdims=True), 1, axis=2)
    else:
        weight = np.full(z.shape, 1 / 36 if pooling == "mean" else 1.0)
    readout = net.readout if pooling == "none" else net.readout[:, :, None]
    above = np.einsum("no,ofp->nfp", net.residuals(*digits.examples), readout) * weight
    delta = (above[:, 0] - above[:, 1]) * (1 - np.tanh(z[:, 0]) ** 2)
    wanted = np.einsum("np,ndp->d", delta, net.patches(digits.images)) / 40
    assert np.linalg.norm(wanted) > 1e-3
    found = (gradients.filters[0] - gradients.filters[1]).ravel()
    measured("difference of the gradients against the formula, relative", error(found, wanted), at_most=1e-10)
    assert_close(gradients.bias[0] - gradients.bias[1], delta.sum() / 40, 1e-10)
    # The last sentence: equal above, equal gradients.
    same = twins.tie(net, parts=["readout"])
    gradients = net.with_parameters(same.loss_and_gradients(*digits.examples)[1])
    apart = np.abs(gradients.filters[0] - gradients.filters[1]).max()
    measured("difference with equal readouts", apart, exactly=0)


def test_filters_of_two_groups_see_different_patches():
    image, filters = np.random.default_rng(5).normal(size=(1, 2, 6, 6)), np.ones((2, 1, 3, 3))
    gradient = conv2d_backward(np.ones((1, 2, 4, 4)), image, filters, groups=2)[1]
    assert not np.array_equal(gradient[0], gradient[1])


def test_every_pixel_that_is_seen_receives_a_gradient_from_the_filter_shown():
    """The filter of the widget, with stride 2: no weight is 0, so 49 of the 64 pixels receive one."""
    image = data.digits(3, 8).images[:1]
    filters = np.array([[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0], [-2.0, -4.0, -2.0]]]]) / 4
    z = conv2d(image, filters, stride=2)
    delta = (np.tanh(z).mean() - 1) * (1 - np.tanh(z) ** 2) / z.size
    assert z.shape[2:] == (3, 3)
    assert np.count_nonzero(conv2d_backward(delta, image, filters, stride=2)[0]) == 49


# --- where it stops holding


def test_kink_of_relu_at_the_usual_start():
    """The one-sided slopes differ by what the blank patches send; the package returns the left one."""
    digits = data.digits(3, 8, count=40)
    net = FilterNet.random(np.random.default_rng(6), filters=1, kernel=3, padding=1, activation="relu")
    blank = (net.patches(digits.images) == 0).all(axis=1)
    loss, gradients = net.loss_and_gradients(*digits.examples)
    left, right = (
        (net.with_parameters(bias=np.array([step])).mean_loss(*digits.examples) - loss) / step
        for step in (-1e-6, 1e-6)
    )
    jump = (net.residuals(*digits.examples)[:, 0] * net.readout[0, 0] * blank.mean(axis=1)).mean()
    assert abs(jump) > 1e-4
    assert abs(left - gradients["bias"][0]) < 1e-3 * abs(jump)
    assert abs(right - left - jump) < 1e-3 * abs(jump)
    zero = torch.zeros(1, requires_grad=True)
    torch.relu(zero).backward()
    assert zero.grad.item() == 0


def test_ties_are_settled_by_convention():
    image = np.array([[[[1.0, 0.0, 1.0]]]])
    net = FilterNet(
        filters=np.ones((1, 1, 1, 1)),
        bias=np.zeros(1),
        readout=np.ones((1, 1)),
        readout_bias=np.zeros(1),
        activation="identity",
        pooling="max",
    )
    _, gradients = net.loss_and_gradients(image, np.zeros((1, 1)))
    assert gradients["filters"].item() == 1.0
    for maximum, shares in (
        (lambda x: torch.nn.functional.max_pool2d(x, (1, 3)).sum(), [1, 0, 0]),
        (lambda x: torch.amax(x), [0.5, 0, 0.5]),
    ):
        leaf = torch.tensor(image, requires_grad=True)
        maximum(leaf).backward()
        assert leaf.grad.flatten().tolist() == shares


# --- exercises


def test_exercise_by_hand():
    image = np.array([[[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]]]])
    filters, delta = np.array([[[[1.0, -1.0], [2.0, 0.0]]]]), np.array([[[[1.0, 0.0], [-1.0, 2.0]]]])
    assert conv2d(image, filters, np.ones(1)).tolist() == [[[[2, 1], [6, 2]]]]
    grads = conv2d_backward(delta, image, filters)
    assert grads[0].tolist() == [[[[1, -1, 0], [1, 3, -2], [-2, 4, 0]]]]
    assert grads[1].tolist() == [[[[3, -1], [-3, 3]]]]
    assert grads[2].tolist() == [2]


@pytest.mark.parametrize(("first", "second"), [*product([(3, 2, 1), (2, 1, 3), (3, 1, 1)], repeat=2)])
def test_exercise_receptive_field(first, second):
    (k1, s1, d1), (k2, s2, d2) = first, second
    below = output_size((40, 40), k1, stride=s1, dilation=d1)
    above = output_size(below, k2, stride=s2, dilation=d2)
    delta = np.zeros((1, 1, *above))
    delta[0, 0, above[0] // 2, above[1] // 2] = 1
    middle = conv2d_backward(delta, np.zeros((1, 1, *below)), np.ones((1, 1, k2, k2)), stride=s2, dilation=d2)
    bottom = conv2d_backward(
        middle[0], np.zeros((1, 1, 40, 40)), np.ones((1, 1, k1, k1)), stride=s1, dilation=d1
    )
    rows = np.flatnonzero(bottom[0][0, 0].any(axis=1))
    assert rows[-1] - rows[0] + 1 == 1 + d1 * (k1 - 1) + s1 * d2 * (k2 - 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("size", "padding"), [(5, 0), (9, 0), (9, 2), (14, 1)])
def test_exercise_spectral_norm(size, padding, seed):
    weights = np.random.default_rng(seed).normal(size=(3, 3))
    pixels = np.eye(size * size).reshape(-1, 1, size, size)
    out = conv2d(pixels, weights[None, None], padding=padding)
    matrix = out.reshape(size * size, -1).T
    # Doubly block Toeplitz: moving position and pixel together changes nothing.
    blocks = matrix.reshape(*out.shape[2:], size, size)
    np.testing.assert_array_equal(blocks[1:, 1:, 1:, 1:], blocks[:-1, :-1, :-1, :-1])
    # The maximum over a grid is too small by less than a thousandth.
    most = np.abs(np.fft.fft2(weights, (512, 512))).max()
    norm = np.linalg.norm(matrix, 2)
    assert (1 - 2 / size) * most <= norm <= 1.001 * most
    assert most <= np.abs(weights).sum()
    for stride, pad in product((2, 3), {0, padding}):
        strided = conv2d(pixels, weights[None, None], padding=pad, stride=stride).reshape(size * size, -1)
        inside = ((size - 3) // stride + 1) / size if pad == 0 else 0
        assert inside * most <= np.linalg.norm(strided, 2) <= 1.001 * most
