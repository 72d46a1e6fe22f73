r"""Convolutional layers, an activation, a pool and a linear readout, with gradients by hand.

Unit $k$ of the network is a filter $w_k$ with its bias $b_k$ and its column $A_{\cdot k}$ of the readout. From the
patches $x_{np}$ of image $n$ it makes

$$z_{nkp}=w_k\cdot x_{np}+b_k,\qquad h_{nk}=\frac1P\sum_p\sigma(z_{nkp}),\qquad f_{no}=\sum_kA_{ok}h_{nk}+c_o,$$

and the loss is $L=\frac1N\sum_n\ell(f_n,y_n)$. With the residual signal $r_{no}=\partial\ell/\partial f_{no}$ the chain
rule gives (BP1 to BP4, chapters 2 and 3)

$$\delta_{nkp}=\Big(\sum_or_{no}A_{ok}\Big)\frac{\sigma'(z_{nkp})}{P},\qquad
\frac{\partial L}{\partial w_k}=\frac1N\sum_{n,p}\delta_{nkp}\,x_{np},\qquad
\frac{\partial L}{\partial b_k}=\frac1N\sum_{n,p}\delta_{nkp},\qquad
\frac{\partial L}{\partial A_{ok}}=\frac1N\sum_nr_{no}h_{nk}.$$

Other pools are in :mod:`twinfilters.pooling`. A deep network (chapter 13) has more of these layers, see
:mod:`twinfilters.layers`, and pools the last one alone. The readout of a unit below the last layer is the slice
$w^{(l+1)}_{\cdot k}$ of the next layer's filters that sees it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.activations import activation
from twinfilters.arithmetic import accumulate, check_arithmetic, combine
from twinfilters.conv import (
    Padding,
    Pair,
    checked_geometry,
    checked_integer,
    checked_pair,
    extract_patches,
    output_size,
)
from twinfilters.layers import ConvLayer, Patches, State, backward, forward, in_a_row
from twinfilters.losses import checked_targets, loss_function
from twinfilters.pooling import Features, Pooled, Values, pool

PARAMETERS = ("filters", "bias", "readout", "readout_bias")
GEOMETRY = ("stride", "padding", "dilation")

Parameters = dict[str, Inexact[np.ndarray, "..."]]


@dataclass(frozen=True, eq=False)
class FilterNet:
    r"""Filters, their biases and their readouts, and how they are put together (chapters 2, 3 and 13).

    The arrays are copied, brought to one floating type, and read-only: a changed network is a new one, made by
    :meth:`with_parameters`.

    Parameters
    ----------
    filters : (F, C, K, L)
    bias : (F,)
    readout : (O, F), the matrix $A$; column k belongs to unit k of the last layer. Without pooling (O, F, P).
    readout_bias : (O,), the vector $c$.
    activation : a name from :data:`twinfilters.activations.ACTIVATIONS`.
    loss : ``"squared"`` or ``"cross_entropy"``.
    stride, padding, dilation : as in :func:`twinfilters.conv.conv2d`.
    arithmetic : ``"position_blind"``, in which identical units get bit-identical gradients, ``"blas"``, faster, or
        ``"tiled"``, which parts them in the last bit on every machine.
    pooling : a name from :data:`twinfilters.pooling.POOLINGS`: ``"mean"``, ``"max"`` or ``"none"``.
    deeper : the layers above the first one, from below. They share its activation.

    Raises
    ------
    ValueError : shapes that do not fit together, a type that is not floating, NaN or infinity, an unknown name; a wrong
        stride, padding or dilation of any layer.
    """

    filters: Inexact[np.ndarray, "F C K L"]
    bias: Inexact[np.ndarray, " F"]
    readout: Inexact[np.ndarray, "O _ *P"]
    readout_bias: Inexact[np.ndarray, " O"]
    activation: str = "tanh"
    loss: str = "squared"
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    arithmetic: str = "position_blind"
    pooling: str = "mean"
    deeper: tuple[ConvLayer, ...] = ()

    def __post_init__(self):
        activation(self.activation)
        loss_function(self.loss)
        check_arithmetic(self.arithmetic)
        pool(self.pooling)
        for layer in (self, *self.deeper):
            checked_geometry(layer.stride, layer.padding, layer.dilation)
        parameters = _checked_parameters(self.parameters, self.depth, self.pooling)
        self.__dict__.update(self._fields(parameters))

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        filters: int | Sequence[int] = 2,
        kernel: Pair = 3,
        channels: int = 1,
        outputs: int = 1,
        positions: int | None = None,
        scale: float = 1.0,
        **options,
    ) -> "FilterNet":
        r"""Draw weights from normal distributions of standard deviation scale / sqrt(number of inputs); biases are 0.

        Parameters
        ----------
        rng : source of the random numbers.
        filters : F; several numbers make a deep network, from below.
        channels, outputs : C, O.
        kernel : height and width of the filters, or one number for square ones.
        positions : P of the last layer, for a network without pooling.
        scale : 1 keeps the size of the signal through a linear layer.
        options : the remaining arguments of :class:`FilterNet`; all layers share stride, padding and dilation.

        Raises
        ------
        ValueError : a number that is not an integer of at least 1; no layer; and as :class:`FilterNet`.
        """
        shapes = _checked_shapes(filters, kernel, channels, outputs, positions)
        first, *above, readout = (
            rng.normal(scale=scale / np.sqrt(np.prod(shape[1:])), size=shape) for shape in shapes
        )
        geometry = {name: options[name] for name in GEOMETRY if name in options}
        return cls(
            filters=first,
            bias=np.zeros(len(first)),
            readout=readout,
            readout_bias=np.zeros(outputs),
            deeper=tuple(ConvLayer(array, np.zeros(len(array)), **geometry) for array in above),
            **options,
        )

    @property
    def units(self) -> int:
        """Number of filters of the first layer, F."""
        return len(self.filters)

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """All convolutional layers, from below."""
        geometry = {name: getattr(self, name) for name in GEOMETRY}
        return (ConvLayer(self.filters, self.bias, **geometry), *self.deeper)

    @property
    def depth(self) -> int:
        """Number of convolutional layers."""
        return 1 + len(self.deeper)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of filters of each layer, from below."""
        return tuple(len(layer.filters) for layer in self.layers)

    @property
    def parameters(self) -> Parameters:
        """All trainable arrays by name; those of the second layer are called filters2 and bias2."""
        arrays = {name: getattr(self, name) for name in PARAMETERS}
        for number, layer in enumerate(self.deeper, 2):
            arrays |= {f"filters{number}": layer.filters, f"bias{number}": layer.bias}
        return arrays

    def with_parameters(
        self, parameters: Mapping[str, ArrayLike] | None = None, **arrays: ArrayLike
    ) -> "FilterNet":
        """Make the same network with some of its arrays replaced, given as a mapping or by name.

        Raises
        ------
        ValueError : there is no parameter of that name, or arrays that do not fit together.
        """
        changes = {**(parameters or {}), **arrays}
        if not set(changes) <= set(self.parameters):
            raise ValueError(f"parameters must be out of {tuple(self.parameters)}, got {tuple(changes)}")
        return replace(self, **self._fields({**self.parameters, **changes}))

    def stepped(self, parameters: Parameters) -> "FilterNet":
        """Do the work of :meth:`with_parameters` for finite arrays of the same shapes and type; they are not copied."""
        net = object.__new__(type(self))
        net.__dict__.update(self.__dict__, **self._fields(parameters))
        for array in parameters.values():
            array.setflags(write=False)
        return net

    def _fields(self, parameters: Mapping[str, ArrayLike]) -> dict[str, ArrayLike | tuple[ConvLayer, ...]]:
        """Fields of this class that hold the parameters."""
        deeper = tuple(
            ConvLayer(parameters[f"filters{number}"], parameters[f"bias{number}"], **layer.geometry)
            for number, layer in enumerate(self.deeper, 2)
        )
        return {**{name: parameters[name] for name in PARAMETERS}, "deeper": deeper}

    def names(self, layer: int = 1) -> tuple[str, str, str]:
        """Names of the arrays in which unit k of a layer has row k, entry k and column k: filters, biases, readouts.

        Raises
        ------
        ValueError : there is no such layer; the first one is 1.
        """
        if not 1 <= index(layer) <= self.depth:
            raise ValueError(f"layer must lie between 1 and {self.depth}, got {layer}")
        readout = "readout" if layer == self.depth else f"filters{layer + 1}"
        return ("filters", "bias", readout) if layer == 1 else (f"filters{layer}", f"bias{layer}", readout)

    def unit(self, k: int, layer: int = 1) -> Parameters:
        r"""Parameters $\theta_k$ of one unit: filter (C, K, L), bias (), readout (O,).

        The readout is (O, P) without pooling, and (F, K, L) below the last layer.

        Raises
        ------
        ValueError : there is no unit k, or no such layer; the first one is 1.
        """
        filters, bias, readout = (self.parameters[name] for name in self.names(layer))
        if not 0 <= index(k) < len(filters):
            raise ValueError(f"unit must lie between 0 and {len(filters) - 1}, got {k}")
        return {"filter": filters[k], "bias": bias[k], "readout": readout[:, k]}

    def patches(self, images: ArrayLike) -> Patches:
        """Receptive fields of the first layer's filters in images, in the network's floating type.

        Parameters
        ----------
        images : (N, C, H, W)

        Returns
        -------
        (N, D, P), row by row; for a deep network, whose next layer needs to know what is where, (N, D, H', W').

        Raises
        ------
        ValueError : images of a wrong shape, too small for the filters, empty, not floating or not finite.
        """
        images = np.asarray(images)
        if images.ndim == 4 and images.shape[1] != self.filters.shape[1]:
            raise ValueError(
                f"images must have shape (N, C, H, W) with C = {self.filters.shape[1]}, got {images.shape}"
            )
        patches = extract_patches(images, self.filters.shape[2:], **self.layers[0].geometry)
        if patches.size == 0 or not np.isfinite(patches).all():
            raise ValueError(f"images must be finite, and at least one, got shape {images.shape}")
        dtype = self.filters.real.dtype
        patches = patches.astype(np.result_type(dtype, 1j) if np.iscomplexobj(patches) else dtype)
        sizes = self._sizes(images.shape[2:])
        return patches.reshape(*patches.shape[:2], *sizes[0]) if self.deeper else patches

    def _sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of what each layer makes of images, checked against the readout's positions."""
        sizes = []
        for layer in self.layers:
            size = output_size(size, layer.filters.shape[2:], **layer.geometry)
            sizes.append(size)
        if self.pooling == "none" and self.readout.shape[2] != size[0] * size[1]:
            raise ValueError(
                f"images must give the readout {self.readout.shape[2]} positions, got {size[0]} x {size[1]}"
            )
        return sizes

    def preactivations(self, images: ArrayLike, layer: int = 1) -> Values:
        r"""Give the answer of each filter of a layer at each position, $z_{nkp}=w_k\cdot x_{np}+b_k$.

        Raises
        ------
        ValueError : there is no such layer, or images that do not fit the network.
        """
        self.names(layer)
        return in_a_row(self._forward(self.patches(images), layers=layer)[-1][0])

    def features(self, images: ArrayLike) -> Inexact[np.ndarray, "N F *P"]:
        r"""One number a unit of the last layer and image, $h_{nk}=\frac1P\sum_p\sigma(z_{nkp})$; without pooling P."""
        features = self._features(self.patches(images))
        return features if self.pooling == "none" else features[:, :, 0]

    def outputs(self, images: ArrayLike) -> Inexact[np.ndarray, "N O"]:
        r"""Give the answers of the network: $f_{no}=\sum_kA_{ok}h_{nk}+c_o$."""
        return self._outputs(self._features(self.patches(images)))

    def residuals(self, images: ArrayLike, targets: ArrayLike) -> Inexact[np.ndarray, "N O"]:
        r"""Residual signal of each image: $r_{no}=\partial\ell/\partial f_{no}$."""
        outputs = self.outputs(images)
        targets = checked_targets(targets, *outputs.shape, self.loss)
        return loss_function(self.loss)(outputs, targets, 1)[1]

    def mean_loss(self, images: ArrayLike, targets: ArrayLike) -> float:
        r"""Loss averaged over the images, $L=\frac1N\sum_n\ell(f_n,y_n)$."""
        patches = self.patches(images)
        targets = checked_targets(targets, len(patches), len(self.readout), self.loss)
        return self.mean_loss_of_patches(patches, targets)

    def loss_and_gradients(self, images: ArrayLike, targets: ArrayLike) -> tuple[float, Parameters]:
        r"""Loss, and its gradient by every parameter (equations at the top of this module).

        Parameters
        ----------
        images : (N, C, H, W)
        targets : (N, O), or integer labels (N,).

        Returns
        -------
        loss, and a dictionary with an array of the parameter's shape under each name in :attr:`parameters`.

        Raises
        ------
        ValueError : images or targets of a wrong shape or type, empty or not finite.
        """
        patches = self.patches(images)
        targets = checked_targets(targets, len(patches), len(self.readout), self.loss)
        return self.loss_and_gradients_of_patches(patches, targets)

    def loss_and_gradients_of_patches(
        self,
        patches: Patches,
        targets: Inexact[np.ndarray, "N O"],
        feature_mask: Inexact[np.ndarray, "N F"] | None = None,
    ) -> tuple[float, Parameters]:
        """Do the work of :meth:`loss_and_gradients` for patches and targets that are already checked.

        Features are multiplied by the mask, if there is one: dropout of the last layer's units (chapter 4).
        """
        states = self._forward(patches, order=1)
        features, back = self._pooled(states[-1][1])
        mask = 1 if feature_mask is None else feature_mask[:, :, None]
        features = features * mask
        loss, residuals = loss_function(self.loss)(self._outputs(features), targets, 1)
        residuals = residuals / len(patches)
        # BP1, and BP2 through the readout: (N,O) . (O,FQ) -> (N,FQ)
        grad_features = combine(residuals, _flat(self.readout), self.arithmetic).reshape(features.shape)
        # BP4 of the readout: (N,O,1) . (N,FQ,1) -> (O,FQ)
        grad_readout = accumulate(residuals[:, :, None], _flat(features)[:, :, None], self.arithmetic)
        gradients = {
            "readout": grad_readout.reshape(self.readout.shape),
            "readout_bias": residuals.sum(axis=0),
        }
        grads = backward(self.layers, patches, states, back(grad_features * mask), self.arithmetic)
        for number, (grad_filters, grad_bias) in enumerate(grads, 1):
            gradients |= dict(zip(self.names(number)[:2], (grad_filters, grad_bias), strict=True))
        return loss.mean().item(), gradients

    def mean_loss_of_patches(self, patches: Patches, targets: Inexact[np.ndarray, "N O"]) -> float:
        """Do the work of :meth:`mean_loss` for patches and targets that are already checked."""
        outputs = self._outputs(self._features(patches))
        return loss_function(self.loss)(outputs, targets)[0].mean().item()

    def _forward(self, patches: Patches, order: int = 0, layers: int | None = None) -> list[State]:
        return forward(self.layers[:layers], patches, activation(self.activation), self.arithmetic, order)

    def _features(self, patches: Patches) -> Features:
        return self._pooled(self._forward(patches)[-1][1])[0]

    def _pooled(self, values: Inexact[np.ndarray, "N F *P"]) -> Pooled:
        return pool(self.pooling)(in_a_row(values), self.arithmetic)

    def _outputs(self, features: Features) -> Inexact[np.ndarray, "N O"]:
        # (N,FQ) . (FQ,O) -> (N,O)
        return combine(_flat(features), _flat(self.readout).T, self.arithmetic) + self.readout_bias


def accuracy(net: FilterNet, images: ArrayLike, targets: ArrayLike) -> float:
    """Share of images that a network puts into the right class.

    One output: the class is its sign. Several: the largest one.

    Parameters
    ----------
    images : (N, C, H, W)
    targets : as in :meth:`FilterNet.loss_and_gradients`.
    """
    outputs = net.outputs(images)
    targets = checked_targets(targets, *outputs.shape, net.loss)
    if outputs.shape[1] == 1:
        return float((np.sign(outputs) == np.sign(targets)).mean())
    return float((outputs.argmax(axis=1) == targets.argmax(axis=1)).mean())


def _checked_shapes(
    filters: int | Sequence[int], kernel: Pair, channels: int, outputs: int, positions: int | None
) -> list[tuple[int, ...]]:
    """Shapes of the filters, from below, and of the readout."""
    widths = list(filters) if np.ndim(filters) else [filters]
    if not widths:
        raise ValueError(f"filters must be one number a layer, for at least one layer, got {filters!r}")
    widths = [checked_integer(width, "filters", least=1) for width in widths]
    inputs = [checked_integer(channels, "channels", least=1), *widths[:-1]]
    kernel = checked_pair(kernel, "kernel", least=1)
    readout = [checked_integer(outputs, "outputs", least=1), widths[-1]]
    if positions is not None:
        readout.append(checked_integer(positions, "positions", least=1))
    return [*((f, c, *kernel) for f, c in zip(widths, inputs, strict=True)), tuple(readout)]


def _flat(array: Inexact[np.ndarray, "N *rest"]) -> Inexact[np.ndarray, "N _"]:
    return array.reshape(len(array), -1)


def _checked_parameters(parameters: Mapping[str, ArrayLike], depth: int, pooling: str) -> Parameters:
    arrays = {name: np.array(value) for name, value in parameters.items()}
    dtype = np.result_type(*arrays.values())
    if not np.issubdtype(dtype, np.inexact):
        raise ValueError(f"parameters must have a floating dtype such as float64, got {dtype}")
    _check_layers(arrays, depth)
    _check_readout(arrays, len(arrays["filters" if depth == 1 else f"filters{depth}"]), pooling)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
        arrays[name] = array.astype(dtype)
        arrays[name].setflags(write=False)
    return arrays


def _check_layers(arrays: Parameters, depth: int) -> None:
    channels = None
    for number in ("", *range(2, depth + 1)):
        shape, name = arrays[f"filters{number}"].shape, f"filters{number}"
        if len(shape) != 4 or 0 in shape or channels not in (None, shape[1]):
            wanted = "without empty axis" if channels is None else f"with C = {channels}"
            raise ValueError(f"{name} must have shape (F, C, K, L) {wanted}, got {shape}")
        _check_beside(name, arrays, f"bias{number}", shape[:1])
        channels = shape[0]


def _check_readout(arrays: Parameters, units: int, pooling: str) -> None:
    outputs, shape = arrays["readout_bias"].shape, arrays["readout"].shape
    if len(outputs) != 1 or 0 in outputs:
        raise ValueError(f"readout_bias must have shape (O,) with O at least 1, got {outputs}")
    if pooling != "none":
        _check_beside("filters", arrays, "readout", (*outputs, units))
    elif len(shape) != 3 or shape[:2] != (*outputs, units) or shape[2] == 0:
        raise ValueError(
            f"readout must have shape (O, F, P) with O = {outputs[0]} and F = {units} without pooling, got {shape}"
        )


def _check_beside(other: str, arrays: Parameters, name: str, shape: tuple[int, ...]) -> None:
    if arrays[name].shape != shape:
        raise ValueError(
            f"{name} must have shape {shape} beside {other} {arrays[other].shape}, got {arrays[name].shape}"
        )
