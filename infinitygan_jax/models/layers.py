"""Equalized layers of generator and discriminator (docs/model.md, section 3)."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Shaped

from infinitygan_jax.models import convolution

EPSILON = 1e-8

_GAIN = math.sqrt(2.0)


def applied(
    module: nn.Module, variables: Mapping[str, Any], *inputs: Any, **options: Any
) -> Any:
    """What a module makes of inputs.

    Flax's `apply` is declared to return changed variables beside it, or not; here none
    are changed, and callers may take what comes for what the module returns.

    Args:
      module: a network or a layer.
      variables: its parameters, and state, by collection.
      *inputs: of the method.
      **options: more of them, and ``method``, by default ``__call__``.
    """
    return module.apply(variables, *inputs, **options)


def activate(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Leaky ReLU of slope 0.2, times sqrt(2)."""
    return jnp.where(x >= 0, x * _GAIN, x * (0.2 * _GAIN))


def pixel_norm(x: Float[Array, "*shape c"]) -> Float[Array, "*shape c"]:
    """Scales each vector to a mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON)


def product(
    x: Float[Array, "*b i"], kernel: Float[Array, "i o"]
) -> Float[Array, "*b o"]:
    """Matrix product, in float32 exact to that type on every device."""
    return jnp.matmul(x, kernel, precision=convolution.precision_of(x.dtype))


def center_crop(
    x: Shaped[Array, "b H W c"], height: int, width: int
) -> Shaped[Array, "b h w c"]:
    """The middle ``height`` x ``width`` of a map, whose margins must be even."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


def averaged(x: Float[Array, "b h w c"], square: int) -> Float[Array, "b H W c"]:
    """Means of squares of ``square`` positions a side; what fills none is left out."""
    batch, height, width, channels = x.shape
    rows, columns = height // square, width // square
    x = x[:, : rows * square, : columns * square]
    shape = (batch, rows, square, columns, square, channels)
    return jnp.mean(x.reshape(shape), axis=(2, 4))


class EqualDense(nn.Module):
    """``y = x W (lr_mul / sqrt(fan_in)) + b lr_mul``; W starts as N(0, 1) / lr_mul.

    Attributes:
      features: outputs.
      lr_mul: learning rate multiplier.
      bias_start: start value of the bias.
    """

    features: int
    lr_mul: float = 1.0
    bias_start: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        init = nn.initializers.normal(1 / self.lr_mul)
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        start = nn.initializers.constant(self.bias_start)
        bias = self.param("bias", start, (self.features,))
        scale = self.lr_mul / math.sqrt(x.shape[-1])
        y = product(x, (kernel * scale).astype(x.dtype))
        return y + like(bias * self.lr_mul, y)


class EqualConv(nn.Module):
    """Convolution with N(0, 1) weights, scaled by 1 / sqrt(fan_in) when used.

    Attributes:
      features: output channels.
      size: taps a side.
      stride: 1 or 2.
      same: pad with zeros to keep the size (stride 1), else valid.
      bias: add a bias and activate.
    """

    features: int
    size: int
    stride: int = 1
    same: bool = False
    bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b H W o"]:
        kernel = scaled_kernel(self, self.size, x.shape[-1], self.features)
        kernel = kernel.astype(x.dtype)
        if self.same:
            x = convolution.conv_same(x, kernel)
        else:
            x = convolution.conv_valid(x, kernel, stride=self.stride)
        if not self.bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return activate(x + like(bias, x))


def scaled_kernel(
    module: nn.Module, size: int, inputs: int, outputs: int
) -> Float[Array, "k k i o"]:
    """The module's parameter ``kernel``, N(0, 1) at the start, over sqrt(fan_in)."""
    init = nn.initializers.normal(1.0)
    return scaled(module.param("kernel", init, (size, size, inputs, outputs)))


def scaled(kernel: Float[Array, "k k i o"]) -> Float[Array, "k k i o"]:
    """A kernel over sqrt(fan_in)."""
    return kernel / math.sqrt(math.prod(kernel.shape[:3]))


def like(
    vector: Float[Array, " o"], x: Float[Array, "*b o"]
) -> Float[Array, "*ones o"]:
    """A vector as an array of x's rank and type, without implicit promotion."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + vector.shape)
