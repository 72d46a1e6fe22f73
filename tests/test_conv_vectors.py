"""The layer against test vectors that other projects publish: strides, padding, dilation, groups, gradients."""

import numpy as np
import pytest

from twinfilters.arithmetic import ARITHMETICS
from twinfilters.conv import conv2d, conv2d_backward

each_arithmetic = pytest.mark.parametrize("arithmetic", ARITHMETICS)

ONES = np.ones((1, 1, 3, 3))
# The operator Conv in https://onnx.ai/onnx/operators/onnx__Conv.html (onnx/backend/test/case/node/conv.py), whose pads
# are top, left, bottom, right. Images count upwards from 0.
ONNX = {
    "basic_conv_with_padding": (
        (5, 5),
        {"padding": 1},
        [
            [12, 21, 27, 33, 24],
            [33, 54, 63, 72, 51],
            [63, 99, 108, 117, 81],
            [93, 144, 153, 162, 111],
            [72, 111, 117, 123, 84],
        ],
    ),
    "basic_conv_without_padding": ((5, 5), {}, [[54, 63, 72], [99, 108, 117], [144, 153, 162]]),
    "conv_with_strides_padding": (
        (7, 5),
        {"padding": 1, "stride": 2},
        [[12, 27, 24], [63, 108, 81], [123, 198, 141], [112, 177, 124]],
    ),
    "conv_with_strides_no_padding": ((7, 5), {"stride": 2}, [[54, 72], [144, 162], [234, 252]]),
    "conv_with_strides_and_asymmetric_padding": (
        (7, 5),
        {"padding": ((1, 1), (0, 0)), "stride": 2},
        [[21, 33], [99, 117], [189, 207], [171, 183]],
    ),
}


@each_arithmetic
@pytest.mark.parametrize(("size", "options", "wanted"), ONNX.values(), ids=ONNX.keys())
def test_vectors_of_onnx(size, options, wanted, arithmetic):
    image = np.arange(np.prod(size), dtype=float).reshape(1, 1, *size)
    assert conv2d(image, ONES, **options, arithmetic=arithmetic)[0, 0].tolist() == wanted


def channels_first(values, *shape):
    """Read an array as TensorFlow writes images: (N, H, W, C)."""
    return np.moveaxis(np.array(values, dtype=float).reshape(shape), -1, 1)


# TensorFlow Lite, tensorflow/lite/kernels/conv_test.cc (SimpleTestFloat32, PaddingTest,
# SimpleTestFloat32WithAnisotropicStrides, SimpleTestFloatWithDilation) and depthwise_conv_test.cc (SimpleTest).
EDGES = channels_first([1, 2, 3, 4, -1, 1, -1, 1, -1, -1, 1, 1], 3, 2, 2, 1)
TENSORFLOW_LITE = {
    "several images and filters": (
        channels_first([1, 1, 1, 1, 2, 2, 2, 2, 1, 2, 3, 4, 1, 2, 3, 4], 2, 2, 4, 1),
        EDGES,
        [1.0, 2.0, 3.0],
        {"stride": 2},
        channels_first([18, 2, 5, 18, 2, 5, 17, 4, 3, 37, 4, 3], 2, 1, 2, 3),
    ),
    "same padding of an even kernel": (
        channels_first([1, 1, 1, 1, 2, 2, 3, 2], 1, 2, 4, 1),
        EDGES,
        [1.0, 2.0, 3.0],
        {"padding": ((0, 1), (0, 1))},
        channels_first(
            [18, 2, 5, 22, 3, 6, 21, 1, 6, 8, -1, 4, 7, 2, -1, 9, 3, -2, 8, 1, -2, 3, 0, 1], 1, 2, 4, 3
        ),
    ),
    "anisotropic strides": (
        channels_first([3, 2, 1, -1, -2, -3, 4, 3, 2, -2, -3, -4, 5, 4, 3, -3, -4, -5], 1, 3, 6, 1),
        channels_first([1, 2, 3, 4], 1, 2, 2, 1),
        [-1.0],
        {"stride": (1, 3)},
        channels_first([30, -24, 40, -34], 1, 2, 2, 1),
    ),
    "dilation": (
        np.pad(np.ones((1, 1, 3, 3)), ((0, 0), (0, 0), (3, 3), (3, 3))),
        channels_first(range(1, 10), 1, 3, 3, 1),
        [0.0],
        {"dilation": 3},
        np.full((1, 1, 3, 3), 5.0),
    ),
    "groups": (
        channels_first([1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12], 1, 3, 2, 2),
        channels_first([1, -9, 5, 13, 2, 10, 6, -14, 3, -11, 7, 15, 4, 12, 8, -16], 4, 2, 2, 1),
        [1.0, 2.0, 3.0, 4.0],
        {"groups": 2},
        channels_first([71, -34, 99, -20, 91, -26, 127, -4], 1, 2, 1, 4),
    ),
}


@each_arithmetic
@pytest.mark.parametrize(
    ("images", "filters", "bias", "options", "wanted"), TENSORFLOW_LITE.values(), ids=TENSORFLOW_LITE.keys()
)
def test_vectors_of_tensorflow_lite(images, filters, bias, options, wanted, arithmetic):
    np.testing.assert_array_equal(conv2d(images, filters, bias, **options, arithmetic=arithmetic), wanted)


def counting(*shape):
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)


# TensorFlow, tensorflow/python/kernel_tests/nn_ops/conv_ops_test.py: BackpropInput and BackpropFilter. Images
# (N, H, W, C), filters (K, L, C, F) and gradients of the output all count upwards from 1.
# fmt: off
TENSORFLOW = {
    "2x2Depth1Valid": ((1, 2, 3, 1), (2, 2, 1, 1), (1, 1), [1, 4, 4, 3, 10, 8], [5, 8, 14, 17]),
    "2x2Depth3Valid": (
        (1, 2, 3, 3),
        (2, 2, 3, 3),
        (1, 1),
        [14, 32, 50, 100, 163, 226, 167, 212, 257, 122, 140, 158, 478, 541, 604, 437, 482, 527],
        [17, 22, 27, 22, 29, 36, 27, 36, 45, 32, 43, 54, 37, 50, 63, 42, 57, 72,
         62, 85, 108, 67, 92, 117, 72, 99, 126, 77, 106, 135, 82, 113, 144, 87, 120, 153],
    ),
    "2x2Depth3ValidStride1x2": (
        (1, 3, 6, 1),
        (2, 2, 1, 1),
        (1, 2),
        [1, 2, 2, 4, 3, 6, 7, 12, 11, 18, 15, 24, 12, 16, 15, 20, 18, 24],
        [161, 182, 287, 308],
    ),
}
# fmt: on


@each_arithmetic
@pytest.mark.parametrize(
    ("images", "filters", "stride", "grad_images", "grad_filters"), TENSORFLOW.values(), ids=TENSORFLOW.keys()
)
def test_gradient_vectors_of_tensorflow(images, filters, stride, grad_images, grad_filters, arithmetic):
    images, filters = np.moveaxis(counting(*images), -1, 1), counting(*filters).transpose(3, 2, 0, 1)
    count, _, height, width = conv2d(images, filters, stride=stride).shape
    grad_out = np.moveaxis(counting(count, height, width, len(filters)), -1, 1)
    grads = conv2d_backward(grad_out, images, filters, stride=stride, arithmetic=arithmetic)
    assert np.moveaxis(grads[0], 1, -1).ravel().tolist() == grad_images
    assert grads[1].transpose(2, 3, 1, 0).ravel().tolist() == grad_filters
