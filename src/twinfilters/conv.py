r"""The convolutional layer: one output and three gradients, in NumPy.

Conventions are those of PyTorch: cross-correlation (the filter is not flipped), images $(N, C, H, W)$, filters
$(F, C/\mathrm{groups}, K, L)$. With the patch $x_{np}\in\mathbb R^D$ that the filter sees at position $p$ of image
$n$ (chapter 2),

$$z_{nfp}=\sum_d w_{fd}\,x_{ndp}+b_f,$$

and for a loss with $\delta_{nfp}=\partial L/\partial z_{nfp}$ (Nielsen's BP1 to BP4, written for a convolution)

$$\frac{\partial L}{\partial w_{fd}}=\sum_{n,p}\delta_{nfp}\,x_{ndp},\qquad
\frac{\partial L}{\partial b_f}=\sum_{n,p}\delta_{nfp},\qquad
\frac{\partial L}{\partial x_{ndp}}=\sum_f w_{fd}\,\delta_{nfp},$$

where the last one is added up over all patches that contain a pixel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index

import numpy as np
from jaxtyping import Inexact
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from twinfilters.arithmetic import accumulate, check_arithmetic, combine

# Entries of patches in a block, which stay in the cache, and the least images in one: they lie side by side in memory,
# where the pixels of a small window are short runs.
BLOCK = 2**18
RUN = 8

Pair = int | tuple[int, int]
Padding = Pair | tuple[tuple[int, int], tuple[int, int]]


def conv2d(
    images: ArrayLike,
    filters: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    arithmetic: str = "blas",
) -> Inexact[np.ndarray, "N F H2 W2"]:
    r"""Convolve images with filters: $z_{nfp}=\sum_d w_{fd}\,x_{ndp}+b_f$ (chapter 2).

    Parameters
    ----------
    images : (N, C, H, W), real or complex floating point. Types are promoted as NumPy promotes them.
    filters : (F, C / groups, K, L). Filter f belongs to group f // (F / groups).
    bias : (F,), one number a filter; none by default.
    stride, dilation : steps between patches, and between the pixels of a patch; one number, or (vertical, horizontal).
    padding : zeros around the image; one number, (vertical, horizontal), or ((top, bottom), (left, right)).
    groups : channels and filters are split into this many groups that do not see each other.
    arithmetic : ``"blas"``, fast; ``"position_blind"``, where identical filters give bit-identical outputs;
        ``"tiled"``, where those at the edge of a tile do not.

    Returns
    -------
    (N, F, H', W') with $H' = \lfloor (H + \text{top} + \text{bottom} - \text{dilation}\,(K - 1) - 1) /
    \text{stride} \rfloor + 1$, and W' likewise.

    Raises
    ------
    ValueError : a wrong shape, type, stride, padding, dilation or number of groups; a filter larger than the padded
        image; an unknown arithmetic.

    Examples
    --------
    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(image, np.ones((1, 1, 2, 2)))[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    layer = _Layer.of(images, filters, stride, padding, dilation, groups, arithmetic)
    bias = np.zeros_like(layer.filters[..., 0]) if bias is None else _checked_bias(bias, layer.out_shape[1])
    out = np.empty(layer.out_shape, np.result_type(layer.images, layer.filters, bias))
    for block in layer.blocks(arithmetic):
        # (G,F,D) . (G,D,PN) -> (G,F,PN)
        rows = combine(layer.filters, layer.patches(block), arithmetic) + bias.reshape(groups, -1, 1)
        out[block] = _images_first(rows.reshape(*layer.out_shape[1:], -1))
    return out


def conv2d_backward(
    grad_out: ArrayLike,
    images: ArrayLike,
    filters: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    arithmetic: str = "blas",
) -> tuple[Inexact[np.ndarray, "N C H W"], Inexact[np.ndarray, "F C2 K L"], Inexact[np.ndarray, " F"]]:
    r"""Gradients of a loss with respect to the images, the filters and the bias of :func:`conv2d` (chapter 2).

    Parameters
    ----------
    grad_out : (N, F, H', W'), the gradient $\delta$ of the loss with respect to the output of :func:`conv2d`.
    images, filters, stride, padding, dilation, groups, arithmetic : as given to :func:`conv2d`.

    Returns
    -------
    grad_images, (N, C, H, W); grad_filters, (F, C / groups, K, L); grad_bias, (F,). In ``"position_blind"``
    arithmetic identical filters that receive identical ``grad_out`` get bit-identical gradients. Complex gradients are
    derivatives of a holomorphic function: the equations above, nothing conjugated (PyTorch conjugates).

    Raises
    ------
    ValueError : as :func:`conv2d`, and if grad_out does not have the shape of its output.

    Examples
    --------
    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> grads = conv2d_backward(np.ones((1, 1, 2, 2)), image, np.ones((1, 1, 2, 2)))
    >>> [grad.squeeze().tolist() for grad in grads]
    [[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]], [[8.0, 12.0], [20.0, 24.0]], 4.0]
    """
    layer = _Layer.of(images, filters, stride, padding, dilation, groups, arithmetic)
    grad_out = _checked_array(grad_out, "grad_out")
    if grad_out.shape != layer.out_shape:
        raise ValueError(
            f"grad_out must have the shape of the output, {layer.out_shape}, got {grad_out.shape}"
        )
    grad_images = np.empty(layer.images.shape, np.result_type(layer.filters, grad_out))
    grad_filters = np.zeros(layer.filters.shape, np.result_type(layer.images, grad_out))
    grad_bias = np.zeros((*layer.filters.shape[:2], 1), grad_out.dtype)
    for block in layer.blocks(arithmetic):
        patches = layer.patches(block)
        grad_rows = _images_last(grad_out[block]).reshape(*layer.filters.shape[:2], patches.shape[-1])
        # (G,F,PN) . (G,D,PN) -> (G,F,D)
        grad_filters += accumulate(grad_rows[None], patches[None], arithmetic)
        # (G,F,PN) . (G,1,PN) -> (G,F,1)
        grad_bias += accumulate(grad_rows[None], np.ones_like(grad_rows[None, :, :1]), arithmetic)
        # (G,D,F) . (G,F,PN) -> (G,D,PN)
        grad_images[block] = layer.fold(combine(layer.filters.swapaxes(-1, -2), grad_rows, arithmetic))
    return grad_images, grad_filters.reshape(layer.filters_shape), grad_bias.reshape(-1)


def extract_patches(
    images: ArrayLike,
    kernel: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> Inexact[np.ndarray, "N D P"]:
    """Receptive fields of a filter, one column for each position.

    Parameters
    ----------
    images : (N, C, H, W)
    kernel : height and width of the filter; one number for a square one.
    stride, padding, dilation : as in :func:`conv2d`.

    Returns
    -------
    (N, D, P) with D = C K L, ordered as a flattened filter is, and P = H' W', row by row.

    Raises
    ------
    ValueError : as :func:`conv2d`.
    """
    images = _checked_array(images, "images", "(N, C, H, W)", ndim=4)
    shape = (1, images.shape[1], *checked_pair(kernel, "kernel", least=1))
    layer = _Layer.of(images, np.zeros(shape), stride, padding, dilation, 1, "blas")
    padded = np.pad(layer.images, ((0, 0), (0, 0), *layer.padding))
    # (C,K,L,H',W',N) -> (N,D,P)
    patches = _images_first(layer.windows(_images_last(padded)))
    return patches.reshape(len(images), layer.filters.shape[-1], math.prod(layer.out_shape[2:]))


def output_size(
    size: tuple[int, int], kernel: Pair, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
) -> tuple[int, int]:
    """Height and width of what :func:`conv2d` makes of images of that height and width.

    Raises
    ------
    ValueError : as :func:`conv2d`.
    """
    image, filters = np.zeros((0, 1, *size)), np.zeros((1, 1, *checked_pair(kernel, "kernel", least=1)))
    return _Layer.of(image, filters, stride, padding, dilation, 1, "blas").out_shape[2:]


def checked_geometry(stride: Pair, padding: Padding, dilation: Pair) -> tuple[Pair, Padding, Pair]:
    """Write stride, padding and dilation out for both directions, or raise ValueError as :func:`conv2d` does."""
    return (
        checked_pair(stride, "stride", least=1),
        _padding(padding),
        checked_pair(dilation, "dilation", least=1),
    )


def checked_pair(value: Pair, name: str, *, least: int) -> tuple[int, int]:
    """Write a number out for both directions, or raise ValueError: a wrong type, too small, not one or two."""
    wanted = f"an integer of at least {least} or a pair of them"
    both = value if _is_sequence(value) else (value, value)
    if len(both) != 2:
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return tuple(checked_integer(entry, name, least=least, wanted=wanted) for entry in both)


def checked_integer(value: int, name: str, *, least: int, wanted: str | None = None) -> int:
    """Return an integer, or raise ValueError: a wrong type, or too small."""
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or number < least:
        raise ValueError(f"{name} must be {wanted or f'an integer of at least {least}'}, got {value!r}")
    return number


@dataclass(frozen=True, eq=False)
class _Layer:
    """One call's checked arguments. Filters are held as (G, F / G, D), patches with the images on the last axis."""

    images: Inexact[np.ndarray, "N C H W"]
    filters: Inexact[np.ndarray, "G F D"]
    filters_shape: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(cls, images, filters, stride, padding, dilation, groups, arithmetic) -> "_Layer":
        images = _checked_array(images, "images", "(N, C, H, W)", ndim=4)
        filters = _checked_array(filters, "filters", "(F, C / groups, K, L)", ndim=4)
        groups = checked_integer(groups, "groups", least=1)
        check_arithmetic(arithmetic)
        _check_channels(images.shape, filters.shape, groups)
        layer = cls(
            images,
            filters.reshape(groups, len(filters) // groups, -1),
            filters.shape,
            *checked_geometry(stride, padding, dilation),
            groups,
        )
        layer._check_extent()
        return layer

    @property
    def padded_size(self) -> tuple[int, int]:
        (top, bottom), (left, right) = self.padding
        return self.images.shape[2] + top + bottom, self.images.shape[3] + left + right

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width that a dilated filter spans."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.filters_shape[2:], strict=True))

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        height, width = (
            (size - extent) // step + 1
            for size, extent, step in zip(self.padded_size, self.extent, self.stride, strict=True)
        )
        return len(self.images), self.filters_shape[0], height, width

    def blocks(self, arithmetic: str) -> Iterator[slice]:
        """Images that are taken at once: with BLAS as many as stay in the cache, or all, in one sum."""
        count, _, height, width = self.out_shape
        entries = self.images.shape[1] * math.prod(self.filters_shape[2:]) * height * width
        step = max(RUN, BLOCK // entries) if arithmetic == "blas" else max(1, count)
        return (slice(start, start + step) for start in range(0, count, step))

    def windows(self, padded: Inexact[np.ndarray, "C H W N"]) -> Inexact[np.ndarray, "C K L H2 W2 N"]:
        """View of padded images: what each weight of a filter is multiplied with."""
        (step_y, step_x), (dil_y, dil_x) = self.stride, self.dilation
        windows = sliding_window_view(padded, self.extent, axis=(1, 2), writeable=True)
        # (C,H',W',N,K,L) -> (C,K,L,H',W',N)
        return windows[:, ::step_y, ::step_x, :, ::dil_y, ::dil_x].transpose(0, 4, 5, 1, 2, 3)

    @property
    def inside(self) -> tuple[slice, ...]:
        """What of a padded image is the image."""
        (top, _), (left, _) = self.padding
        height, width = self.images.shape[2:]
        return slice(None), slice(top, top + height), slice(left, left + width)

    def patches(self, block: slice) -> Inexact[np.ndarray, "G D PN"]:
        images = _images_last(self.images[block])
        padded = np.zeros((len(images), *self.padded_size, images.shape[-1]), images.dtype)
        padded[self.inside] = images
        windows = self.windows(padded)
        return windows.reshape(self.groups, self.filters.shape[-1], math.prod(windows.shape[3:]))

    def fold(self, patches: Inexact[np.ndarray, "G D PN"]) -> Inexact[np.ndarray, "N C H W"]:
        """Add each patch back to where it came from: the transpose of :meth:`patches`."""
        channels, count = self.images.shape[1], patches.shape[-1] // math.prod(self.out_shape[2:])
        padded = np.zeros((channels, *self.padded_size, count), patches.dtype)
        windows = self.windows(padded)
        patches = patches.reshape(windows.shape)
        for k, m in np.ndindex(*self.filters_shape[2:]):
            windows[:, k, m] += patches[:, k, m]
        return _images_first(padded[self.inside])

    def _check_extent(self) -> None:
        if any(extent > size for extent, size in zip(self.extent, self.padded_size, strict=True)):
            raise ValueError(
                "filters must fit into the padded image, got filters spanning "
                f"{self.extent} for an image padded to {self.padded_size}"
            )


def _images_last(array: Inexact[np.ndarray, "N *rest"]) -> Inexact[np.ndarray, "*rest N"]:
    return np.moveaxis(array, 0, -1)


def _images_first(array: Inexact[np.ndarray, "*rest N"]) -> Inexact[np.ndarray, "N *rest"]:
    return np.moveaxis(array, -1, 0)


def _checked_array(value: ArrayLike, name: str, wanted: str = "", ndim: int | None = None) -> np.ndarray:
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.inexact):
        raise ValueError(f"{name} must have a floating dtype such as float64, got {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    return array


def _check_channels(images: tuple[int, ...], filters: tuple[int, ...], groups: int) -> None:
    channels, count = images[1], filters[0]
    if 0 in filters:
        raise ValueError(f"filters must have no empty axis, got {filters}")
    if channels % groups or count % groups:
        raise ValueError(
            f"groups must divide the {channels} channels and the {count} filters, got groups = {groups}"
        )
    if filters[1] * groups != channels:
        raise ValueError(
            f"filters must have shape (F, C / groups, K, L) with C / groups = {channels // groups}, got {filters}"
        )


def _checked_bias(bias: ArrayLike, count: int) -> np.ndarray:
    bias = _checked_array(bias, "bias")
    if bias.shape != (count,):
        raise ValueError(f"bias must have shape (F,) with F = {count}, got {bias.shape}")
    return bias


def _is_sequence(value) -> bool:
    return isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _padding(value) -> tuple[tuple[int, int], tuple[int, int]]:
    wanted = "an integer of at least 0, a pair of them, or ((top, bottom), (left, right))"
    sides = value if _is_sequence(value) else (value, value)
    if not any(map(_is_sequence, sides)):
        sides = [(side, side) for side in sides]
    if len(sides) != 2 or any(not _is_sequence(side) or len(side) != 2 for side in sides):
        raise ValueError(f"padding must be {wanted}, got {value!r}")
    return tuple(
        tuple(checked_integer(entry, "padding", least=0, wanted=wanted) for entry in side) for side in sides
    )
