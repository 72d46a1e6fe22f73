r"""A convolutional layer, an activation, mean pooling and a linear readout, with gradients by hand.

Unit $k$ of the network is a filter $w_k$ with its bias $b_k$ and its column $A_{\cdot k}$ of the readout. From the
patches $x_{np}$ of image $n$ it makes

$$z_{nkp}=w_k\cdot x_{np}+b_k,\qquad h_{nk}=\frac1P\sum_p\sigma(z_{nkp}),\qquad f_{no}=\sum_kA_{ok}h_{nk}+c_o,$$

and the loss is $L=\frac1N\sum_n\ell(f_n,y_n)$. With the residual signal $r_{no}=\partial\ell/\partial f_{no}$ the chain
rule gives (BP1 to BP4, chapters 2 and 3)

$$\delta_{nkp}=\Big(\sum_or_{no}A_{ok}\Big)\frac{\sigma'(z_{nkp})}{P},\qquad
\frac{\partial L}{\partial w_k}=\frac1N\sum_{n,p}\delta_{nkp}\,x_{np},\qquad
\frac{\partial L}{\partial b_k}=\frac1N\sum_{n,p}\delta_{nkp},\qquad
\frac{\partial L}{\partial A_{ok}}=\frac1N\sum_nr_{no}h_{nk}.$$
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Inexact
from numpy.typing import ArrayLike

from twinfilters.activations import activation
from twinfilters.arithmetic import accumulate, check_arithmetic, combine
from twinfilters.conv import Padding, Pair, extract_patches
from twinfilters.losses import checked_targets, loss_function

PARAMETERS = ("filters", "bias", "readout", "readout_bias")

Parameters = dict[str, Inexact[np.ndarray, "..."]]


@dataclass(frozen=True, eq=False)
class FilterNet:
    r"""Filters, their biases and their readouts, and how they are put together (chapters 2 and 3).

    The arrays are copied, brought to one floating type, and read-only: a changed network is a new one, made by
    :meth:`with_parameters`.

    Parameters
    ----------
    filters : (F, C, K, L)
    bias : (F,)
    readout : (O, F), the matrix $A$; column k belongs to unit k.
    readout_bias : (O,), the vector $c$.
    activation : a name from :data:`twinfilters.activations.ACTIVATIONS`.
    loss : ``"squared"`` or ``"cross_entropy"``.
    stride, padding, dilation : as in :func:`twinfilters.conv.conv2d`.
    arithmetic : ``"position_blind"``, in which identical units get bit-identical gradients, or ``"blas"``, faster.

    Raises
    ------
    ValueError : shapes that do not fit together, a type that is not floating, NaN or infinity, an unknown name.
    """

    filters: Inexact[np.ndarray, "F C K L"]
    bias: Inexact[np.ndarray, " F"]
    readout: Inexact[np.ndarray, "O F"]
    readout_bias: Inexact[np.ndarray, " O"]
    activation: str = "tanh"
    loss: str = "squared"
    stride: Pair = 1
    padding: Padding = 0
    dilation: Pair = 1
    arithmetic: str = "position_blind"

    def __post_init__(self):
        activation(self.activation)
        loss_function(self.loss)
        check_arithmetic(self.arithmetic)
        for name, array in _checked_parameters(self.parameters).items():
            object.__setattr__(self, name, array)

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        *,
        filters: int = 2,
        kernel: Pair = 3,
        channels: int = 1,
        outputs: int = 1,
        scale: float = 1.0,
        **options,
    ) -> "FilterNet":
        r"""Draw weights from normal distributions of standard deviation scale / sqrt(number of inputs); biases are 0.

        Parameters
        ----------
        rng : source of the random numbers.
        filters, channels, outputs : F, C, O.
        kernel : height and width of the filters, or one number for square ones.
        scale : 1 keeps the size of the signal through a linear layer.
        options : the remaining arguments of :class:`FilterNet`.
        """
        height, width = (kernel, kernel) if np.ndim(kernel) == 0 else kernel
        shape = (filters, channels, height, width)
        return cls(
            filters=rng.normal(scale=scale / np.sqrt(np.prod(shape[1:])), size=shape),
            bias=np.zeros(filters),
            readout=rng.normal(scale=scale / np.sqrt(filters), size=(outputs, filters)),
            readout_bias=np.zeros(outputs),
            **options,
        )

    @property
    def units(self) -> int:
        """Number of filters, F."""
        return len(self.filters)

    @property
    def parameters(self) -> Parameters:
        """All trainable arrays by name."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def with_parameters(self, parameters: Mapping[str, ArrayLike] | None = None, **arrays: ArrayLike) -> "FilterNet":
        """Make the same network with some of its arrays replaced, given as a mapping or by name."""
        return replace(self, **{**(parameters or {}), **arrays})

    def stepped(self, parameters: Parameters) -> "FilterNet":
        """Do the work of :meth:`with_parameters` for finite arrays of the same shapes and type; they are not copied."""
        net = object.__new__(type(self))
        net.__dict__.update(self.__dict__, **parameters)
        for array in parameters.values():
            array.setflags(write=False)
        return net

    def unit(self, k: int) -> Parameters:
        r"""Parameters $\theta_k$ of one unit: filter (C, K, L), bias (), readout (O,).

        Raises
        ------
        ValueError : there is no unit k.
        """
        if not 0 <= k < self.units:
            raise ValueError(f"unit must lie between 0 and {self.units - 1}, got {k}")
        return {"filter": self.filters[k], "bias": self.bias[k], "readout": self.readout[:, k]}

    def patches(self, images: ArrayLike) -> Inexact[np.ndarray, "N D P"]:
        """Receptive fields of the filters in images of shape (N, C, H, W), in the network's floating type.

        Raises
        ------
        ValueError : images of a wrong shape, too small for the filters, empty, not floating or not finite.
        """
        images = np.asarray(images)
        if images.ndim == 4 and images.shape[1] != self.filters.shape[1]:
            raise ValueError(
                f"images must have shape (N, C, H, W) with C = {self.filters.shape[1]}, got {images.shape}"
            )
        patches = extract_patches(
            images,
            self.filters.shape[2:],
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        if patches.size == 0 or not np.isfinite(patches).all():
            raise ValueError(f"images must be finite, and at least one, got shape {images.shape}")
        dtype = self.filters.real.dtype
        return patches.astype(np.result_type(dtype, 1j) if np.iscomplexobj(patches) else dtype, copy=False)

    def preactivations(self, images: ArrayLike) -> Inexact[np.ndarray, "N F P"]:
        r"""Give the answer of each filter at each position, $z_{nkp}=w_k\cdot x_{np}+b_k$."""
        return self._preactivations(self.patches(images))

    def features(self, images: ArrayLike) -> Inexact[np.ndarray, "N F"]:
        r"""One number a unit and image: $h_{nk}=\frac1P\sum_p\sigma(z_{nkp})$."""
        (values,) = activation(self.activation)(self.preactivations(images))
        return self._mean_over_positions(values)

    def outputs(self, images: ArrayLike) -> Inexact[np.ndarray, "N O"]:
        r"""Give the answers of the network: $f_{no}=\sum_kA_{ok}h_{nk}+c_o$."""
        return self._outputs(self.features(images))

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
        loss, and a dictionary with an array of the parameter's shape under each name of :data:`PARAMETERS`.

        Raises
        ------
        ValueError : images or targets of a wrong shape or type, empty or not finite.
        """
        patches = self.patches(images)
        targets = checked_targets(targets, len(patches), len(self.readout), self.loss)
        return self.loss_and_gradients_of_patches(patches, targets)

    def loss_and_gradients_of_patches(
        self,
        patches: Inexact[np.ndarray, "N D P"],
        targets: Inexact[np.ndarray, "N O"],
        feature_mask: Inexact[np.ndarray, "N F"] | None = None,
    ) -> tuple[float, Parameters]:
        """Do the work of :meth:`loss_and_gradients` for patches and targets that are already checked.

        Features are multiplied by the mask, if there is one: dropout of hidden units (chapter 4).
        """
        count, _, positions = patches.shape
        values, slopes = activation(self.activation)(self._preactivations(patches), 1)
        features = self._mean_over_positions(values)
        if feature_mask is not None:
            features = features * feature_mask
        loss, residuals = loss_function(self.loss)(self._outputs(features), targets, 1)
        # BP1, and BP2 through the readout: (N,O) . (O,F) -> (N,F)
        grad_features = combine(residuals / count, self.readout, self.arithmetic)
        if feature_mask is not None:
            grad_features = grad_features * feature_mask
        # BP2 through pooling and activation: (N,F) . (N,F,P) -> (N,F,P)
        grad_preactivations = grad_features[:, :, None] * slopes / positions
        # BP4: (N,F,P) . (N,D,P) -> (F,D)
        grad_filters = accumulate(grad_preactivations, patches, self.arithmetic)
        # BP3: (N,F,P) . (N,1,P) -> (F,1)
        grad_bias = accumulate(grad_preactivations, np.ones_like(patches[:, :1]), self.arithmetic)
        # BP4 of the readout: (N,O,1) . (N,F,1) -> (O,F)
        grad_readout = accumulate(residuals[:, :, None] / count, features[:, :, None], self.arithmetic)
        gradients = {
            "filters": grad_filters.reshape(self.filters.shape),
            "bias": grad_bias[:, 0],
            "readout": grad_readout,
            "readout_bias": residuals.sum(axis=0) / count,
        }
        return loss.mean().item(), gradients

    def mean_loss_of_patches(
        self, patches: Inexact[np.ndarray, "N D P"], targets: Inexact[np.ndarray, "N O"]
    ) -> float:
        """Do the work of :meth:`mean_loss` for patches and targets that are already checked."""
        (values,) = activation(self.activation)(self._preactivations(patches))
        outputs = self._outputs(self._mean_over_positions(values))
        return loss_function(self.loss)(outputs, targets)[0].mean().item()

    def _preactivations(self, patches: Inexact[np.ndarray, "N D P"]) -> Inexact[np.ndarray, "N F P"]:
        # (F,D) . (N,D,P) -> (N,F,P)
        return combine(self.filters.reshape(self.units, -1), patches, self.arithmetic) + self.bias[:, None]

    def _mean_over_positions(self, values: Inexact[np.ndarray, "N F P"]) -> Inexact[np.ndarray, "N F"]:
        ones = np.ones((values.shape[2], 1), values.dtype)
        # (N,F,P) . (P,1) -> (N,F,1)
        return combine(values, ones, self.arithmetic)[:, :, 0] / values.shape[2]

    def _outputs(self, features: Inexact[np.ndarray, "N F"]) -> Inexact[np.ndarray, "N O"]:
        # (N,F) . (F,O) -> (N,O)
        return combine(features, self.readout.T, self.arithmetic) + self.readout_bias


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


def _checked_parameters(parameters: Mapping[str, ArrayLike]) -> Parameters:
    arrays = {name: np.array(value) for name, value in parameters.items()}
    dtype = np.result_type(*arrays.values())
    if not np.issubdtype(dtype, np.inexact):
        raise ValueError(f"parameters must have a floating dtype such as float64, got {dtype}")
    filters, outputs = arrays["filters"], np.shape(arrays["readout_bias"])
    if filters.ndim != 4 or 0 in filters.shape:
        raise ValueError(f"filters must have shape (F, C, K, L) without empty axis, got {filters.shape}")
    if len(outputs) != 1 or 0 in outputs:
        raise ValueError(f"readout_bias must have shape (O,) with O at least 1, got {outputs}")
    wanted = {"bias": filters.shape[:1], "readout": outputs + filters.shape[:1]}
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{name} must have shape {shape} beside filters {filters.shape}, got {arrays[name].shape}"
            )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got NaN or infinity")
        arrays[name] = array.astype(dtype)
        arrays[name].setflags(write=False)
    return arrays
