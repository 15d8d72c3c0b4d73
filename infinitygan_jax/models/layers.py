"""Layers of generator and discriminator (spec section 2): equalized and modulated.

Modulation scales the input instead of the kernel (spec section 2, "input-scaling
form"): the whole batch shares one kernel, no convolution is grouped, and a style may be
a vector ``[b, d]``, a map ``[b, h, w, d]``, or a `Blend` of a few vectors.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models import convolution


class Blend(NamedTuple):
    """A style map whose every vector is a weighted mean of a few.

    Equal to the map ``sum over s of weights[..., s] * vectors[:, s]``, and far cheaper:
    modulation is affine, so the few vectors are modulated, and blended afterwards.

    Attributes:
      weights: they sum to 1 at every position.
      vectors: the styles; for all slots at once, with an axis of slots before the last.
    """

    weights: Float[Array, "b h w s"]
    vectors: Float[Array, "b s *n d"]


Style = Float[Array, "b d"] | Float[Array, "b _ _ d"] | Blend

_EPSILON = 1e-8
_GAIN = math.sqrt(2.0)


def activate(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Leaky ReLU of slope 0.2, times sqrt(2)."""
    return jnp.where(x >= 0, x * _GAIN, x * (0.2 * _GAIN))


def pixel_norm(x: Float[Array, "*shape c"]) -> Float[Array, "*shape c"]:
    """Scales each vector to a mean square of 1."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + _EPSILON)


def product(
    x: Float[Array, "*b i"], kernel: Float[Array, "i o"]
) -> Float[Array, "*b o"]:
    """Matrix product, in float32 exact to that type on every device."""
    return jnp.matmul(x, kernel, precision=convolution.precision_of(x.dtype))


def center_crop(
    x: Float[Array, "b H W c"], height: int, width: int
) -> Float[Array, "b h w c"]:
    """The middle ``height`` x ``width`` of a map, whose margins must be even."""
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]


def is_map(style: Style) -> bool:
    """Whether a style varies over space."""
    return isinstance(style, Blend) or style.ndim == 4


def crop_style(style: Style, height: int, width: int) -> Style:
    """The middle of a style that varies over space; a vector as it is."""
    if isinstance(style, Blend):
        return style._replace(weights=center_crop(style.weights, height, width))
    return center_crop(style, height, width) if is_map(style) else style


class EqualDense(nn.Module):
    """``y = x W (lr_mul / sqrt(fan_in)) + b lr_mul``; W starts as N(0, 1) / lr_mul.

    Attributes:
      features: outputs.
      lr_mul: learning rate multiplier.
      bias_start: start value of the bias.
      one_by_one: sum each product alone, so that its bits do not depend on how many
        there are, as those of a matrix product do.
    """

    features: int
    lr_mul: float = 1.0
    bias_start: float = 0.0
    one_by_one: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        init = nn.initializers.normal(1 / self.lr_mul)
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        start = nn.initializers.constant(self.bias_start)
        bias = self.param("bias", start, (self.features,))
        scale = self.lr_mul / math.sqrt(x.shape[-1])
        kernel = (kernel * scale).astype(x.dtype)
        if self.one_by_one:
            ones = (1,) * (x.ndim - 1)
            y = jnp.sum(x[..., None] * kernel.reshape(ones + kernel.shape), axis=-2)
        else:
            y = product(x, kernel)
        return y + _like(bias * self.lr_mul, y)


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
        return activate(x + _like(bias, x))


def scaled_kernel(
    module: nn.Module, size: int, inputs: int, outputs: int
) -> Float[Array, "k k i o"]:
    """The module's parameter ``kernel``, N(0, 1) at the start, over sqrt(fan_in)."""
    init = nn.initializers.normal(1.0)
    kernel = module.param("kernel", init, (size, size, inputs, outputs))
    return kernel / math.sqrt(size * size * inputs)


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, activation (spec section 2).

    Attributes:
      features: output channels.
      size: taps a side.
      up: double the resolution, n -> 2n - 3; else valid, n -> n - size + 1.
      noisy: has a noise input and its strength.
    """

    features: int
    size: int = 3
    up: bool = False
    noisy: bool = True

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w i"],
        style: Style,
        noise: Float[Array, "b H W 1"] | None = None,
    ) -> Float[Array, "b H W o"]:
        """Convolves.

        Args:
          x: features.
          style: one vector a sample, or a map or blend of the size of ``x``.
          noise: standard normal, of the output's size; required if ``noisy``.
        """
        scale = _modulation(style, x.shape[-1])
        kernel = scaled_kernel(self, self.size, x.shape[-1], self.features)
        squares = jnp.sum(kernel * kernel, axis=(0, 1))  # [i, o]
        demodulation = jax.lax.rsqrt(product(scale * scale, squares) + _EPSILON)
        x, kernel = x * scale.astype(x.dtype), kernel.astype(x.dtype)
        if self.up:
            x = _up_convolve(x, kernel, demodulation, is_map(style))
        else:
            x = convolution.conv_valid(x, kernel)
            if is_map(style):
                demodulation = center_crop(demodulation, *x.shape[1:3])
            x = x * demodulation.astype(x.dtype)
        if self.noisy:
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            x = x + strength.astype(x.dtype) * noise.astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return activate(x + _like(bias, x))


def _up_convolve(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "3 3 i o"],
    demodulation: Float[Array, "b H W o"],
    varies: bool,
) -> Float[Array, "b U V o"]:
    x = convolution.conv_transpose_stride2(x, kernel)  # n -> 2n - 1
    if varies:  # must go in before the blur, where neighbours differ
        demodulation = convolution.upsample_rgb(demodulation)
        x = x * demodulation.astype(x.dtype)
    x = convolution.blur(x, (1, 2, 1), gain=4.0)  # 2n - 1 -> 2n - 3
    # A vector commutes with the blur: here it joins the elementwise work that follows.
    return x if varies else x * demodulation.astype(x.dtype)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w i"], style: Style
    ) -> Float[Array, "b h w 3"]:
        """Colours of features, float32; a ``style`` that varies is of x's size."""
        scale = _modulation(style, x.shape[-1])
        kernel = scaled_kernel(self, 1, x.shape[-1], 3)[0, 0]
        bias = self.param("bias", nn.initializers.zeros, (3,))
        if not is_map(style):
            # Scaling the kernel costs nothing beside scaling the features.
            weights = (scale[:, 0, 0, :, None] * kernel[None]).astype(x.dtype)
            precision = convolution.precision_of(x.dtype)
            rgb = jnp.einsum("bhwi,bio->bhwo", x, weights, precision=precision)
        else:
            rgb = product(x * scale.astype(x.dtype), kernel.astype(x.dtype))
        return rgb.astype(jnp.float32) + _like(bias, rgb.astype(jnp.float32))


def _modulation(style: Style, channels: int) -> Float[Array, "b h w i"]:
    """Input scale in float32: [b, 1, 1, i] of a vector, else [b, h, w, i]."""
    several = isinstance(style, Blend)
    dense = EqualDense(channels, bias_start=1.0, one_by_one=several, name="modulation")
    if isinstance(style, Blend):
        scales = dense(style.vectors.astype(jnp.float32))  # [b, s, i]
        weights, total = style.weights, 0.0
        # Term by term: a style of weight 0 changes no bit, however many there are.
        for index in range(weights.shape[-1]):
            total += weights[..., index : index + 1] * scales[:, None, None, index]
        return total
    scale = dense(style.astype(jnp.float32))
    return scale if is_map(style) else scale[:, None, None, :]


def _like(
    vector: Float[Array, " o"], x: Float[Array, "*b o"]
) -> Float[Array, "*ones o"]:
    """A vector as an array of x's rank and type, without implicit promotion."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + vector.shape)
