"""Modulated layers of the generator (docs/model.md, section 3).

Modulation scales the input instead of the kernel (docs/model.md, section 3.4): the
whole batch shares one kernel, no convolution is grouped, and a style may vary over
space.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models import convolution
from infinitygan_jax.models.layers import (
    EPSILON,
    EqualDense,
    activate,
    applied,
    center_crop,
    like,
    product,
    scaled,
    scaled_kernel,
)


class Modulation(NamedTuple):
    """A style as one modulated layer takes it; see `modulate` and `blend`.

    Attributes:
      scale: of its input channels.
      demodulation: of its output channels; None where there is none.
    """

    scale: Float[Array, "*b i"]
    demodulation: Float[Array, "*b o"] | None


class PlacedModulation(NamedTuple):
    """Styles that are modulated already, at structure cells, and linear between them.

    Attributes:
      modulation: of cells [b, h, w, c], above level 0 one more of them than samples
        lie between; or [b, 1, 1, c] of a style all over.
      level: samples of the layer's input lie 1 / 2**level cells apart.
      start: so many of these from the first cell to the first sample.
    """

    modulation: Modulation
    level: int
    start: int


Style = Float[Array, "b d"] | Float[Array, "b _ _ d"] | PlacedModulation


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, activation (docs/model.md, section 3.6).

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
          style: one vector a sample, or a map of the size of ``x``, or modulations.
          noise: standard normal, of the output's size; required if ``noisy``.
        """
        kernel = scaled_kernel(self, self.size, x.shape[-1], self.features)
        scale, demodulation = _modulation(style, kernel, x.shape[1:3], self.up)
        assert demodulation is not None  # only `ToRGB` does without
        x, kernel = x * scale.astype(x.dtype), kernel.astype(x.dtype)
        # A vector's demodulation commutes with the blur, and joins the elementwise work
        # that follows; what may vary must go in before.
        late = self.up and _is_vector(style)
        if self.up:
            x = convolution.conv_transpose_stride2(x, kernel)  # n -> 2n - 1
        else:
            x = convolution.conv_valid(x, kernel)
        if not late:
            x = x * demodulation.astype(x.dtype)
        if self.up:
            x = convolution.blur(x, (1, 2, 1), gain=4.0)  # 2n - 1 -> 2n - 3
        if late:
            x = x * demodulation.astype(x.dtype)
        if self.noisy:
            assert noise is not None
            strength = self.param("noise_strength", nn.initializers.zeros, ())
            x = x + strength.astype(x.dtype) * noise.astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return activate(x + like(bias, x))


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w i"], style: Style
    ) -> Float[Array, "b h w 3"]:
        """Colours of features, float32; a map of styles is of the size of ``x``."""
        kernel = scaled_kernel(self, 1, x.shape[-1], 3)
        bias = self.param("bias", nn.initializers.zeros, (3,))
        scale = _modulation(style, kernel, x.shape[1:3]).scale
        if _is_vector(style):
            # Scaling the kernel costs nothing beside scaling the features.
            weights = (scale[:, 0, 0, :, None] * kernel[0]).astype(x.dtype)
            precision = convolution.precision_of(x.dtype)
            rgb = jnp.einsum("bhwi,bio->bhwo", x, weights, precision=precision)
        else:
            rgb = product(x * scale.astype(x.dtype), kernel[0, 0].astype(x.dtype))
        return rgb.astype(jnp.float32) + like(bias, rgb.astype(jnp.float32))


def _is_vector(style: Style) -> bool:
    return not isinstance(style, PlacedModulation) and style.ndim == 2


def modulate(
    layer: Mapping[str, Any], vector: Float[Array, "*b d"], demodulated: bool = True
) -> Modulation:
    """What a layer makes of style vectors.

    Args:
      layer: parameters of a `StyledConv` or `ToRGB`.
      vector: styles.
      demodulated: whether the layer demodulates; `ToRGB` does not.
    """
    kernel = scaled(layer["kernel"])
    dense = EqualDense(kernel.shape[2])
    variables = {"params": layer["modulation"]}
    scale = applied(dense, variables, vector.astype(jnp.float32))
    return Modulation(scale, _demodulation(scale, kernel) if demodulated else None)


def blend(
    layer: Mapping[str, Any],
    weights: Float[Array, "b h w s"],
    styles: Modulation,
) -> Modulation:
    """Styles that share a place, modulated: those of their mean by weight, at cells.

    Modulation is affine, so the scales of a mean style are the mean of the scales; its
    demodulation follows from these. A style that has all of a cell's weight comes
    out to the last bit, and styles without weight change no bit of any cell.

    Args:
      layer: parameters of a `StyledConv` or `ToRGB`.
      weights: of each style at each cell; they sum to 1.
      styles: their modulations, with axes [b, s, c].
    """
    scale = _weighted(weights, styles.scale)
    if styles.demodulation is None:
        return Modulation(scale, None)
    # A product of matrices has other last bits where it is one of many, so that of a
    # style alone is taken as it was made.
    alone = (weights == 1).any(axis=-1, keepdims=True)
    own = _weighted(weights, styles.demodulation)
    mixed = _demodulation(scale, scaled(layer["kernel"]))
    return Modulation(scale, jnp.where(alone, own, mixed))


def _weighted(
    weights: Float[Array, "b h w s"], values: Float[Array, "b s c"]
) -> Float[Array, "b h w c"]:
    # In order and each term alike, so that zeros change no bit, wherever they stand;
    # from a 0 that compilers may not remove, since of two products that are added they
    # fuse one with the sum, and round the other.
    total = weights[..., :1] * 0.0
    for index in range(weights.shape[-1]):
        total += weights[..., index : index + 1] * values[:, None, None, index]
    return total


def _demodulation(
    scale: Float[Array, "*b i"], kernel: Float[Array, "k k i o"]
) -> Float[Array, "*b o"]:
    squares = jnp.sum(kernel * kernel, axis=(0, 1))
    return jax.lax.rsqrt(product(scale * scale, squares) + EPSILON)


def _modulation(
    style: Style,
    kernel: Float[Array, "k k i o"],
    size: Sequence[int],
    up: bool = False,
) -> Modulation:
    """A layer's style where it is used, float32: [b, 1, 1, c] of one all over.

    Args:
      style: see `StyledConv`, in whose compact method, or `ToRGB`'s, this is called.
      kernel: scaled.
      size: rows and columns of the input.
      up: demodulate the transposed convolution's grid, 2n - 1; else a valid one's.
    """
    lost = kernel.shape[0] // 2  # a side
    if isinstance(style, PlacedModulation):
        (scale, demodulation), level, start = style
        scale = _between(scale, level, start, size)
        if demodulation is not None:
            if up:
                level, start, size = level + 1, 2 * start, [2 * n - 1 for n in size]
            else:
                start, size = start + lost, [n - 2 * lost for n in size]
            demodulation = _between(demodulation, level, start, size)
        return Modulation(scale, demodulation)
    dense = EqualDense(kernel.shape[2], bias_start=1.0, name="modulation")
    scale = dense(style.astype(jnp.float32))
    if _is_vector(style):
        scale = scale[:, None, None]
        return Modulation(scale, _demodulation(scale, kernel))
    demodulation = _demodulation(scale, kernel)
    if up:
        demodulation = convolution.upsample_rgb(demodulation)
    else:
        demodulation = center_crop(demodulation, *(n - 2 * lost for n in size))
    return Modulation(scale, demodulation)


def _between(
    cells: Float[Array, "b H W c"], level: int, start: int, size: Sequence[int]
) -> Float[Array, "b h w c"]:
    """Values of cells, linear between them; for the numbers see `PlacedModulation`."""
    if cells.shape[1:3] == (1, 1):
        return cells
    for axis, wanted in zip((1, 2), size, strict=True):
        cells = _between_along(cells, axis, 2**level, start, wanted)
    return cells


def _between_along(
    x: Float[Array, "b H W c"], axis: int, parts: int, start: int, size: int
) -> Float[Array, "b h w c"]:
    first, last = start // parts, (start + size - 1) // parts
    before = jax.lax.slice_in_dim(x, first, last + 1, axis=axis)
    if parts == 1:
        return before
    after = jax.lax.slice_in_dim(x, first + 1, last + 2, axis=axis)
    before, after = (jnp.expand_dims(each, axis + 1) for each in (before, after))
    share = np.arange(parts, dtype=np.float32) / parts
    share = np.expand_dims(share, [i for i in range(x.ndim + 1) if i != axis + 1])
    # In this form the mean of equal values is that value, to the last bit.
    fine = before + share * (after - before)
    number = (last - first + 1) * parts
    fine = fine.reshape(*x.shape[:axis], number, *x.shape[axis + 1 :])
    offset = start - first * parts
    return jax.lax.slice_in_dim(fine, offset, offset + size, axis=axis)
