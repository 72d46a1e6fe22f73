"""The layer: one output and three gradients."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checks import assert_close, assert_derivative, complex_step
from twinfilters import conv
from twinfilters.arithmetic import ARITHMETICS
from twinfilters.conv import conv2d, conv2d_backward, extract_patches, output_size

pytestmark = pytest.mark.usefixtures("one_thread")

LOOP_RTOL = 1e-12
TORCH_RTOL = 1e-10
COMPLEX_STEP_RTOL = 1e-12


@dataclass(frozen=True)
class Layer:
    """Shapes and geometry of one call, everything written out."""

    images: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def options(self):
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def out(self):
        height, width = (
            (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1
            for size, pad, dilation, kernel, stride in zip(
                self.images[2:], self.padding, self.dilation, self.filters[2:], self.stride, strict=True
            )
        )
        return self.images[0], self.filters[0], height, width

    def draw(self, seed=0, dtype=np.float64):
        """Random images, filters, bias and gradient of the output."""
        rng = np.random.default_rng(seed)
        shapes = self.images, self.filters, self.filters[:1], self.out
        real = [rng.normal(size=shape) for shape in shapes]
        if np.issubdtype(dtype, np.complexfloating):
            real = [array + 1j * rng.normal(size=array.shape) for array in real]
        return tuple(array.astype(dtype) for array in real)

    def links(self):
        """All products of the layer: an entry of the output is made of an entry of an image times one of a filter."""
        per_group = self.filters[0] // self.groups
        (top, _), (left, _) = self.padding
        for n, f, y, x in np.ndindex(self.out):
            for c, k, m in np.ndindex(self.filters[1:]):
                row = y * self.stride[0] + k * self.dilation[0] - top
                column = x * self.stride[1] + m * self.dilation[1] - left
                if 0 <= row < self.images[2] and 0 <= column < self.images[3]:
                    channel = f // per_group * self.filters[1] + c
                    yield (n, f, y, x), (n, channel, row, column), (f, c, k, m)


GRID = {
    "plain": Layer((2, 1, 5, 5), (3, 1, 3, 3)),
    "even kernel, oblong": Layer((2, 3, 6, 5), (4, 3, 2, 4)),
    "as large as the image": Layer((3, 2, 4, 3), (2, 2, 4, 3)),
    "single pixels": Layer((2, 3, 4, 5), (2, 3, 1, 1)),
    "stride": Layer((2, 2, 8, 9), (3, 2, 3, 2), stride=(2, 3)),
    "stride over unseen pixels": Layer((2, 1, 7, 8), (2, 1, 1, 2), stride=(3, 4)),
    "padding": Layer((2, 2, 4, 5), (3, 2, 3, 3), padding=((1, 1), (2, 2))),
    "asymmetric padding": Layer((2, 2, 4, 5), (3, 2, 2, 3), padding=((1, 0), (2, 3))),
    "dilation": Layer((2, 2, 7, 8), (3, 2, 3, 2), dilation=(2, 3)),
    "groups": Layer((2, 4, 5, 4), (6, 2, 2, 3), groups=2),
    "a group for each channel": Layer((2, 3, 4, 4), (6, 1, 3, 2), groups=3),
    "everything": Layer(
        (2, 4, 8, 7), (6, 2, 3, 2), stride=(2, 1), padding=((0, 3), (1, 2)), dilation=(2, 3), groups=2
    ),
}
each_layer = pytest.mark.parametrize("layer", GRID.values(), ids=GRID.keys())
each_arithmetic = pytest.mark.parametrize("arithmetic", ARITHMETICS)


small = st.integers(1, 3)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def layers(draw, *, groups=small, filters=small):
    """Draw small layers of every kind; a filter always fits at least once."""
    count, channels, groups = draw(small), draw(st.integers(1, 2)), draw(groups)
    sizes, kernels, strides, paddings, dilations = [], [], [], [], []
    for _ in range(2):
        kernel, dilation = draw(small), draw(small)
        padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        extent = dilation * (kernel - 1) + 1
        sizes.append(max(1, extent - sum(padding)) + draw(st.integers(0, 4)))
        kernels.append(kernel)
        strides.append(draw(small))
        paddings.append(padding)
        dilations.append(dilation)
    return Layer(
        (count, channels * groups, *sizes),
        (draw(filters) * groups, channels, *kernels),
        tuple(strides),
        tuple(paddings),
        tuple(dilations),
        groups,
    )


# --- by hand, by loops, by derivatives, by PyTorch


@each_arithmetic
def test_by_hand(arithmetic):
    """One filter subtracts the right neighbour, the other doubles a pixel."""
    image = np.array([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]])
    filters = np.array([[[[1.0, -1.0]]], [[[2.0, 0.0]]]])
    out = conv2d(image, filters, np.array([0.5, 0.0]), arithmetic=arithmetic)
    assert out.tolist() == [[[[-0.5, -0.5], [-0.5, -0.5]], [[0.0, 2.0], [6.0, 8.0]]]]

    grad_out = np.array([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]]])
    grads = conv2d_backward(grad_out, image, filters, arithmetic=arithmetic)
    # Entry (0, 1) is -1 from the first filter and 2 * 3 from the second.
    assert grads[0].tolist() == [[[[1.0, 5.0, 0.0], [0.0, 2.0, -2.0]]]]
    # 1 * 0 + 2 * 4 and 1 * 1 + 2 * 5; 3 * 1 and 3 * 2.
    assert grads[1].tolist() == [[[[8.0, 11.0]]], [[[3.0, 6.0]]]]
    assert grads[2].tolist() == [3.0, 3.0]


def by_loops(layer, images, filters, bias, grad_out):
    out = np.zeros(layer.out, images.dtype) + bias[:, None, None]
    grad_images, grad_filters, grad_bias = np.zeros_like(images), np.zeros_like(filters), np.zeros_like(bias)
    for o, i, w in layer.links():
        out[o] += images[i] * filters[w]
        grad_images[i] += grad_out[o] * filters[w]
        grad_filters[w] += grad_out[o] * images[i]
    for o in np.ndindex(layer.out):
        grad_bias[o[1]] += grad_out[o]
    return out, grad_images, grad_filters, grad_bias


def by_package(layer, images, filters, bias, grad_out, arithmetic):
    options = {**layer.options, "arithmetic": arithmetic}
    return conv2d(images, filters, bias, **options), *conv2d_backward(grad_out, images, filters, **options)


@each_arithmetic
@each_layer
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_agrees_with_loops(layer, arithmetic, dtype):
    arrays = layer.draw(dtype=dtype)
    wanted = by_loops(layer, *arrays)
    for array, loop in zip(by_package(layer, *arrays, arithmetic), wanted, strict=True):
        assert_close(array, loop, LOOP_RTOL)


@each_arithmetic
@each_layer
def test_gradients_along_random_directions(layer, arithmetic):
    images, filters, bias, grad_out = layer.draw()
    options = {**layer.options, "arithmetic": arithmetic}
    gradients = conv2d_backward(grad_out, images, filters, **options)
    losses = (
        lambda images: (grad_out * conv2d(images, filters, bias, **options)).sum(),
        lambda filters: (grad_out * conv2d(images, filters, bias, **options)).sum(),
        lambda bias: (grad_out * conv2d(images, filters, bias, **options)).sum(),
    )
    directions = layer.draw(seed=1)
    for loss, point, direction, gradient in zip(
        losses, (images, filters, bias), directions[:3], gradients, strict=True
    ):
        assert_derivative(complex_step(loss, point, direction), gradient, direction, COMPLEX_STEP_RTOL)


def by_torch(layer, images, filters, bias, grad_out):
    leaves = [torch.tensor(array, requires_grad=True) for array in (images, filters, bias)]
    padded = torch.nn.functional.pad(leaves[0], (*layer.padding[1], *layer.padding[0]))
    out = torch.nn.functional.conv2d(padded, *leaves[1:], layer.stride, 0, layer.dilation, layer.groups)
    out.backward(torch.tensor(grad_out))
    return out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)


@each_layer
def test_agrees_with_pytorch(layer):
    arrays = layer.draw()
    for array, wanted in zip(by_package(layer, *arrays, "blas"), by_torch(layer, *arrays), strict=True):
        assert_close(array, wanted, TORCH_RTOL)


@given(layer=layers(), seed=seeds, arithmetic=st.sampled_from(ARITHMETICS))
def test_agrees_with_pytorch_for_drawn_layers(layer, seed, arithmetic):
    arrays = layer.draw(seed)
    for array, wanted in zip(by_package(layer, *arrays, arithmetic), by_torch(layer, *arrays), strict=True):
        assert_close(array, wanted, TORCH_RTOL)


def test_arguments_mean_what_they_mean_in_pytorch():
    """Numbers and pairs for stride, padding and dilation, handed to both as they are."""
    images, filters = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 4, 9, 8), (6, 2, 3, 2)))
    for options in (
        {"stride": 2, "padding": 1, "dilation": 2},
        {"stride": (1, 3), "padding": (2, 0), "dilation": (3, 1)},
    ):
        wanted = torch.nn.functional.conv2d(images, filters, groups=2, **options)
        assert_close(conv2d(images.numpy(), filters.numpy(), groups=2, **options), wanted.numpy(), TORCH_RTOL)


# --- symmetry


def same_bits(left, right):
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


FLOATING = [np.float16, np.float32, np.float64, np.complex64, np.complex128]


@given(layer=layers(filters=st.integers(2, 9)), seed=seeds, dtype=st.sampled_from(FLOATING), choice=st.data())
def test_identical_filters_have_identical_bits_when_blind_to_position(layer, seed, dtype, choice):
    """Twins at any two places of a group, and the same filter with no other beside it."""
    images, filters, bias, grad_out = layer.draw(seed, dtype)
    groups, count = layer.groups, layer.filters[0] // layer.groups
    i, j = choice.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    of_group = [array.reshape(groups, count, *array.shape[1:]) for array in (filters, bias)]
    of_group.append(grad_out.reshape(len(images), groups, count, -1).transpose(1, 2, 0, 3))
    for array in of_group:
        array[:, j] = array[:, i]
    out, _, grad_filters, grad_bias = by_package(layer, images, filters, bias, grad_out, "position_blind")
    alone = by_package(
        layer, images, filters[i::count], bias[i::count], grad_out[:, i::count], "position_blind"
    )
    for k in (i, j):
        assert same_bits(out[:, k::count], alone[0])
        assert same_bits(grad_filters[k::count], alone[2])
        assert same_bits(grad_bias[k::count], alone[3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [5, 17])
def test_identical_filters_where_matrix_kernels_are_known_to_part_them(count, dtype):
    """The 75 weights a filter and some thousand patches for which OpenBLAS gives unequal columns (chapter 6)."""
    layer = Layer((4, 3, 24, 24), (count, 3, 5, 5))
    images, filters, bias, grad_out = layer.draw(dtype=dtype)
    filters[:], bias[:], grad_out[:] = filters[:1], bias[:1], grad_out[:, :1]
    out, _, grad_filters, grad_bias = by_package(layer, images, filters, bias, grad_out, "position_blind")
    for k in range(count):
        assert same_bits(out[:, k], out[:, 0])
        assert same_bits(grad_filters[k], grad_filters[0])
        assert same_bits(grad_bias[k], grad_bias[0])


@given(layer=layers(groups=st.just(1), filters=st.integers(2, 6)), seed=seeds, choice=st.data())
def test_permuting_filters_permutes_outputs_and_gradients(layer, seed, choice):
    images, filters, bias, grad_out = layer.draw(seed)
    order = choice.draw(st.permutations(range(layer.filters[0])))
    plain = by_package(layer, images, filters, bias, grad_out, "position_blind")
    permuted = by_package(layer, images, filters[order], bias[order], grad_out[:, order], "position_blind")
    assert same_bits(permuted[0], plain[0][:, order])
    assert_close(permuted[1], plain[1], LOOP_RTOL)
    assert same_bits(permuted[2], plain[2][order])
    assert same_bits(permuted[3], plain[3][order])


@given(layer=layers(), seed=seeds, arithmetic=st.sampled_from(ARITHMETICS))
def test_is_linear_in_images_and_in_filters(layer, seed, arithmetic):
    images, filters, _, _ = layer.draw(seed)
    more_images, more_filters, _, _ = layer.draw(seed + 1)
    options = {**layer.options, "arithmetic": arithmetic}
    out = conv2d(2 * images - more_images, filters + 3 * more_filters, **options)
    parts = [
        factor * conv2d(x, w, **options)
        for x, w, factor in (
            (images, filters, 2),
            (images, more_filters, 6),
            (more_images, filters, -1),
            (more_images, more_filters, -3),
        )
    ]
    np.testing.assert_allclose(out, sum(parts), rtol=0, atol=LOOP_RTOL * np.linalg.norm(parts))


# --- what goes in and what comes out


@each_arithmetic
@pytest.mark.parametrize("dtype", [*FLOATING, np.longdouble, np.clongdouble])
@pytest.mark.usefixtures("unchecked")  # jaxtyping does not know long double
def test_floating_type_is_kept(dtype, arithmetic):
    layer = GRID["everything"]
    arrays = layer.draw(dtype=dtype)
    exact = by_loops(layer, *(array.astype(np.clongdouble) for array in arrays))
    terms = np.prod(layer.out[:1] + layer.out[2:])
    for array, wanted in zip(by_package(layer, *arrays, arithmetic), exact, strict=True):
        assert array.dtype == dtype
        assert_close(array, wanted, terms * np.finfo(dtype).eps)


def test_types_are_promoted_as_numpy_promotes_them():
    images, filters, bias, grad_out = GRID["plain"].draw(dtype=np.float32)
    assert conv2d(images, filters.astype(np.float64)).dtype == np.float64
    assert conv2d(images, filters, bias.astype(np.complex64)).dtype == np.complex64
    single, double = np.float32, np.float64
    for types, wanted in (
        ((single, double, single), [single, double, single]),
        ((single, single, double), [double, single, single]),
        ((double, single, single), [double, double, double]),
    ):
        arrays = (array.astype(t) for array, t in zip((grad_out, images, filters), types, strict=True))
        assert [grad.dtype for grad in conv2d_backward(*arrays)] == wanted


@each_arithmetic
def test_accepts_read_only_and_strided_arrays_and_leaves_them_alone(arithmetic):
    layer = GRID["everything"]
    arrays = [np.repeat(array, 2, axis=-1).T[::-1].T[..., ::2] for array in layer.draw()]
    copies = [np.ascontiguousarray(array) for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    assert not arrays[0].flags.c_contiguous
    results = by_package(layer, *arrays, arithmetic)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    for result, wanted in zip(results, by_package(layer, *copies, arithmetic), strict=True):
        np.testing.assert_array_equal(result, wanted)
        assert result.flags.writeable
        assert not any(np.shares_memory(result, array) for array in arrays)


def test_accepts_lists_and_foreign_byte_orders():
    images, filters, bias, _ = GRID["plain"].draw()
    wanted = conv2d(images, filters, bias)
    np.testing.assert_array_equal(conv2d(images.tolist(), filters.tolist(), bias.tolist()), wanted)
    np.testing.assert_array_equal(conv2d(images.astype(">f8"), filters.astype(">f8"), bias), wanted)


@each_arithmetic
def test_no_images_give_empty_outputs_and_zero_gradients(arithmetic):
    layer = Layer((0, 2, 5, 5), (3, 2, 3, 3))
    out, *grads = by_package(layer, *layer.draw(), arithmetic)
    assert out.shape == (0, 3, 3, 3)
    assert [grad.shape for grad in grads] == [layer.images, layer.filters, (3,)]
    assert not any(grad.any() for grad in grads)


@pytest.mark.usefixtures("unchecked")  # the annotations promise less than is accepted
def test_numbers_may_be_numpy_integers_and_pairs_may_be_lists_or_arrays():
    images, filters, _, _ = Layer((1, 2, 7, 7), (2, 1, 2, 2)).draw()
    wanted = conv2d(images, filters, stride=(2, 2), padding=((1, 1), (2, 2)), dilation=(3, 1), groups=2)
    for stride, padding, dilation, groups in (
        (2, (1, 2), (3, 1), np.int64(2)),
        (np.uint8(2), [1, 2], [3, 1], 2),
        (np.array(2), np.array([1, 2]), np.array([3, 1]), np.array(2)),
        ([2, 2], np.array([[1, 1], [2, 2]]), (np.int8(3), 1), 2),
        ((2, 2), [[1, 1], (2, 2)], (3, 1), 2),
    ):
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        np.testing.assert_array_equal(conv2d(images, filters, **options), wanted)


def test_output_size_is_that_of_the_convolution():
    assert output_size((9, 7), (3, 2)) == (7, 6)
    assert output_size((9, 7), 1) == (9, 7)
    geometry = {"stride": (2, 3), "padding": ((1, 0), (2, 3)), "dilation": (2, 1)}
    out = conv2d(np.zeros((1, 1, 9, 7)), np.zeros((1, 1, 3, 2)), **geometry)
    assert output_size((9, 7), (3, 2), **geometry) == out.shape[2:] == (3, 4)


def test_a_stride_beyond_the_image_leaves_one_position():
    images, filters, _, _ = GRID["plain"].draw()
    assert conv2d(images, filters, stride=10**30).shape == (2, 3, 1, 1)


@each_layer
def test_patches_are_what_the_filters_see(layer):
    images, filters, _, _ = layer.draw()
    options = {name: layer.options[name] for name in ("stride", "padding", "dilation")}
    patches = extract_patches(images, layer.filters[2:], **options)
    one_filter = filters[:1, :1].repeat(layer.images[1], axis=1)
    wanted = conv2d(images, one_filter, **options).reshape(len(images), -1)
    assert_close(np.einsum("d,ndp->np", one_filter.ravel(), patches), wanted, LOOP_RTOL)
    square = extract_patches(np.arange(9.0).reshape(1, 1, 3, 3), 2)
    assert square[0].T.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]


@pytest.mark.parametrize(
    ("arithmetic", "entries", "least", "sizes"),
    [
        ("blas", 5 * 192 - 1, 2, [4, 3]),
        ("blas", 1, 2, [2, 2, 2, 1]),
        ("blas", 10**9, 2, [7]),
        ("position_blind", 1, 2, [7]),
    ],
)
def test_images_in_blocks(monkeypatch, arithmetic, entries, least, sizes):
    """As many patches of 2 x 3 x 2 entries at 4 x 4 positions as asked for, or, blind to position, one sum of all."""
    layer = Layer((7, 2, 6, 5), (3, 2, 3, 2))
    arrays = layer.draw()
    seen = []
    original = conv.accumulate
    monkeypatch.setattr(conv, "BLOCK", entries)
    monkeypatch.setattr(conv, "RUN", least)
    monkeypatch.setattr(conv, "accumulate", lambda a, b, c: seen.append(a.shape[-1]) or original(a, b, c))
    for array, loop in zip(by_package(layer, *arrays, arithmetic), by_loops(layer, *arrays), strict=True):
        assert_close(array, loop, LOOP_RTOL)
    # once for the filters, once for the bias
    assert [positions / 16 for positions in seen] == [size for size in sizes for _ in range(2)]


# --- wrong arguments


IMAGES, FILTERS = np.zeros((2, 4, 5, 6)), np.zeros((6, 4, 3, 2))
WANTED_PADDING = (
    r"padding must be an integer of at least 0, a pair of them, or \(\(top, bottom\), \(left, right\)\)"
)
WRONG = [
    ({"images": np.zeros((2, 4, 5, 6), int)}, "images must have a floating dtype such as float64, got int64"),
    ({"images": np.zeros((2, 4, 5, 6), bool)}, "images must have a floating dtype such as float64, got bool"),
    ({"images": np.full((2, 4, 5, 6), "x")}, "images must have a floating dtype such as float64, got <U1"),
    ({"images": IMAGES.astype(object)}, "images must have a floating dtype such as float64, got object"),
    ({"images": None}, "images must have a floating dtype such as float64, got object"),
    ({"filters": [[[[1, 2]]]]}, "filters must have a floating dtype such as float64, got int64"),
    ({"filters": [[1.0], [2.0, 3.0]]}, "inhomogeneous shape"),
    ({"images": IMAGES[0]}, r"images must have shape \(N, C, H, W\), got \(4, 5, 6\)"),
    ({"filters": FILTERS[0]}, r"filters must have shape \(F, C / groups, K, L\), got \(4, 3, 2\)"),
    (
        {"filters": FILTERS[:, :1]},
        r"filters must have shape \(F, C / groups, K, L\) with C / groups = 4, got \(6, 1, 3, 2\)",
    ),
    ({"filters": FILTERS[:0]}, r"filters must have no empty axis, got \(0, 4, 3, 2\)"),
    ({"filters": FILTERS[:, :, :, :0]}, r"filters must have no empty axis, got \(6, 4, 3, 0\)"),
    (
        {"images": IMAGES[:, :0], "filters": FILTERS[:, :0]},
        r"filters must have no empty axis, got \(6, 0, 3, 2\)",
    ),
    ({"groups": 3}, "groups must divide the 4 channels and the 6 filters, got groups = 3"),
    ({"groups": 4}, "groups must divide the 4 channels and the 6 filters, got groups = 4"),
    (
        {"groups": 2},
        r"filters must have shape \(F, C / groups, K, L\) with C / groups = 2, got \(6, 4, 3, 2\)",
    ),
    ({"groups": 0}, "groups must be an integer of at least 1, got 0"),
    ({"groups": 1.0}, r"groups must be an integer of at least 1, got 1\.0"),
    ({"groups": True}, "groups must be an integer of at least 1, got True"),
    *(
        ({name: value}, f"{name} must be an integer of at least 1 or a pair of them, got {shown}")
        for name in ("stride", "dilation")
        for value, shown in (
            (0, "0"),
            (-1, "-1"),
            (1.0, r"1\.0"),
            (float("nan"), "nan"),
            (float("inf"), "inf"),
            ("2", "'2'"),
            (None, "None"),
            (True, "True"),
            (np.True_, "np.True_"),
            ((1, 0), "0"),
            ((1, float("nan")), "nan"),
            ((1,), r"\(1,\)"),
            ((1, 1, 1), r"\(1, 1, 1\)"),
            (((1, 1), 1), r"\(1, 1\)"),
            ({1, 2}, r"\{1, 2\}"),
        )
    ),
    *(
        ({"padding": value}, f"{WANTED_PADDING}, got {shown}")
        for value, shown in (
            (-1, "-1"),
            (0.5, r"0\.5"),
            (float("nan"), "nan"),
            (float("inf"), "inf"),
            ("same", "'same'"),
            (False, "False"),
            (None, "None"),
            ((1, -1), "-1"),
            ((1, 2, 1, 2), r"\(1, 2, 1, 2\)"),
            (((1, 2),), r"\(\(1, 2\),\)"),
            (((1, 2), (3,)), r"\(\(1, 2\), \(3,\)\)"),
            (((1, 2), 3), r"\(\(1, 2\), 3\)"),
            (((1, 2), (3, -4)), "-4"),
            (((1, 2), (3, float("nan"))), "nan"),
            (((1, 2), (3, (4, 5))), r"\(4, 5\)"),
        )
    ),
    (
        {"filters": np.zeros((6, 4, 3, 9)), "padding": 1},
        r"filters must fit into the padded image, got filters spanning \(3, 9\) for an image padded to \(7, 8\)",
    ),
    (
        {"dilation": (3, 1)},
        r"filters must fit into the padded image, got filters spanning \(7, 2\) for an image padded to \(5, 6\)",
    ),
    (
        {"arithmetic": "exact"},
        r"arithmetic must be one of \('blas', 'position_blind', 'tiled'\), got 'exact'",
    ),
    ({"arithmetic": None}, r"arithmetic must be one of \('blas', 'position_blind', 'tiled'\), got None"),
]


@pytest.fixture
def nothing_computed(unchecked, monkeypatch):
    """Arguments are wrong before any work is done."""

    def too_early(*args):
        raise AssertionError("computed before all arguments were checked")

    for name in ("combine", "accumulate"):
        monkeypatch.setattr(conv, name, too_early)


@pytest.mark.parametrize(("options", "message"), WRONG)
@pytest.mark.usefixtures("nothing_computed")
def test_wrong_arguments(options, message):
    options = {"images": IMAGES, "filters": FILTERS, **options}
    with pytest.raises(ValueError, match=message):
        conv2d(**options)
    with pytest.raises(ValueError, match=message):
        conv2d_backward(np.zeros((2, 6, 3, 5)), **options)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (np.zeros(5), r"bias must have shape \(F,\) with F = 6, got \(5,\)"),
        (np.zeros((6, 1)), r"bias must have shape \(F,\) with F = 6, got \(6, 1\)"),
        (0.5, r"bias must have shape \(F,\) with F = 6, got \(\)"),
        (np.zeros(6, int), "bias must have a floating dtype such as float64, got int64"),
    ],
)
@pytest.mark.usefixtures("nothing_computed")
def test_wrong_bias(bias, message):
    with pytest.raises(ValueError, match=message):
        conv2d(IMAGES, FILTERS, bias)


@pytest.mark.parametrize(
    ("grad_out", "message"),
    [
        (
            np.zeros((2, 6, 3, 4)),
            r"grad_out must have the shape of the output, \(2, 6, 3, 5\), got \(2, 6, 3, 4\)",
        ),
        (np.zeros(180), r"grad_out must have the shape of the output, \(2, 6, 3, 5\), got \(180,\)"),
        (np.ones((2, 6, 3, 5), int), "grad_out must have a floating dtype such as float64, got int64"),
    ],
)
@pytest.mark.usefixtures("nothing_computed")
def test_wrong_gradient_of_the_output(grad_out, message):
    with pytest.raises(ValueError, match=message):
        conv2d_backward(grad_out, IMAGES, FILTERS)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (0, "kernel must be an integer of at least 1 or a pair of them, got 0"),
        ((3, 3, 3), r"kernel must be an integer of at least 1 or a pair of them, got \(3, 3, 3\)"),
        (7, "filters must fit into the padded image"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_wrong_kernel(kernel, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        extract_patches(IMAGES, kernel)
    with pytest.raises(ValueError, match=f"^{message}"):
        output_size((5, 6), kernel)


@pytest.mark.parametrize("images", [np.zeros(3), IMAGES[0]])
@pytest.mark.usefixtures("unchecked")
def test_wrong_images_for_patches(images):
    with pytest.raises(ValueError, match=r"^images must have shape \(N, C, H, W\), got"):
        extract_patches(images, 2)
    with pytest.raises(ValueError, match="images must have a floating dtype such as float64, got int64"):
        extract_patches(images.astype(int), 2)
