"""The detail synthesizer: what a closer look at a picture shows, one octave at a time.

docs/model.md, section 11. From a window of a picture and noise at its pixels' world
positions it paints the window's middle at twice the size. The mean of each two by two
pixels that it paints is the pixel that they come of, by construction: what it invents
is seen only from near. All its convolutions are valid, so windows fit without a seam.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.config import DetailConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.initial import init_params
from infinitygan_jax.models.layers import (
    EqualConv,
    applied,
    averaged,
    center_crop,
    like,
)

_LIVE_LAYERS = 3  # copies of the largest layers that are there at once
_TAPS = 3  # a side, of all convolutions
_FIRST_GAIN = 0.1  # of what is added to a smooth picture before anything is learned


class Detail(NamedTuple):
    """A trained detail synthesizer.

    Attributes:
      config: sizes.
      params: parameters; must not be changed.
    """

    config: DetailConfig
    params: Mapping[str, Any]


class DetailSynthesizer(nn.Module):
    """A window and noise to its middle at twice the size.

    Attributes:
      config: sizes.
    """

    config: DetailConfig

    @nn.compact
    def __call__(
        self, coarse: Float[Array, "b H W 3"], noise: Float[Array, "b H W n"]
    ) -> Float[Array, "b h w 3"]:
        """Paints a finer picture.

        Args:
          coarse: colours in [-1, 1], with ``config.margin`` pixels on each side beside
            those that are enlarged.
          noise: standard normal, for each of these pixels.

        Returns:
          Colours in [-1, 1], float32, h = 2 (H - 2 margin). The mean of two by two is
          the coarse pixel, to rounding.
        """
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        x = jnp.concatenate([coarse, noise], axis=-1).astype(dtype)
        x = EqualConv(config.width, _TAPS, name="first")(x)
        for number in range(config.num_blocks):
            y = EqualConv(config.width, _TAPS, name=f"block_{number}_0")(x)
            y = EqualConv(config.width, _TAPS, bias=False, name=f"block_{number}_1")(y)
            x = (center_crop(x, *y.shape[1:3]) + y) * jnp.asarray(0.5**0.5, dtype)
        x = EqualConv(4 * config.fine_width, _TAPS, name="enlarge")(x)
        # Four pixels each, and a channel of noise for each pixel.
        x = x.reshape(*x.shape[:3], 4, config.fine_width)
        own_noise = center_crop(noise[..., :4], *x.shape[1:3]).astype(dtype)
        x = jnp.concatenate([x, own_noise[..., None]], axis=-1)
        x = _depth_to_space(x.reshape(*x.shape[:3], -1))
        x = EqualConv(config.fine_width, _TAPS, name="fine")(x)
        x = EqualConv(3, _TAPS, bias=False, name="colours")(x).astype(jnp.float32)
        gain = self.param("gain", nn.initializers.constant(_FIRST_GAIN), (3,))
        height, width = (size // 2 for size in x.shape[1:3])
        coarse = coarse.astype(jnp.float32)
        smooth = _smooth(center_crop(coarse, height + 2, width + 2))
        return _with_means(
            smooth + like(gain, x) * x, center_crop(coarse, height, width)
        )


def _depth_to_space(x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
    """Positions of four times the channels as two by two each: n -> 2n."""
    first, second, third, fourth = jnp.split(x, 4, axis=-1)
    return _woven(_woven(first, second, axis=2), _woven(third, fourth, axis=2), axis=1)


def _woven(even: Array, odd: Array, axis: int) -> Array:
    """Even and odd rows, or columns, in turn."""
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def _repeated(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """Each position two by two times: n -> 2n."""
    x = _woven(x, x, axis=2)
    return _woven(x, x, axis=1)


def _smooth(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """A picture at twice the size, by linear interpolation: n -> 2 (n - 2)."""
    for axis in (1, 2):
        size = x.shape[axis]
        before, middle, after = (
            jax.lax.slice_in_dim(x, start, start + size - 2, axis=axis)
            for start in range(3)
        )
        middle = 0.75 * middle
        x = _woven(middle + 0.25 * before, middle + 0.25 * after, axis)
    return x


def _with_means(
    fine: Float[Array, "b H W c"], means: Float[Array, "b h w c"]
) -> Float[Array, "b H W c"]:
    """A picture whose two by two pixels have given means and lie in [-1, 1].

    What differs from the mean is kept, but for a factor where it would lead out of the
    range: white stays white.
    """
    apart = fine - _repeated(averaged(fine, 2))
    top, bottom = (1 - means), (-1 - means)  # how far there is to go
    highest, lowest = _extreme(apart, jnp.maximum), _extreme(apart, jnp.minimum)
    share = jnp.minimum(1.0, _ratio(top, highest))
    share = jnp.minimum(share, _ratio(-bottom, -lowest))
    return _repeated(means) + apart * _repeated(share)


def _extreme(x: Float[Array, "b H W c"], choose: Any) -> Float[Array, "b h w c"]:
    """The highest or the lowest of each two by two."""
    x = choose(x[:, ::2], x[:, 1::2])
    return choose(x[:, :, ::2], x[:, :, 1::2])


def _ratio(
    room: Float[Array, "b h w c"], needed: Float[Array, "b h w c"]
) -> Float[Array, "b h w c"]:
    """Room over what is needed; of what needs next to none, much."""
    return jnp.maximum(room, 0.0) / jnp.maximum(needed, 1e-6)


def enlarged(
    config: DetailConfig,
    params: Mapping[str, Any],
    pictures: UInt8[Array, "b h w 3"],
    key: PRNGKeyArray,
) -> UInt8[Array, "b H W 3"]:
    """Whole pictures at twice the size; beyond their edges they are mirrored.

    Args:
      config: sizes.
      params: of the detail synthesizer.
      pictures: to be enlarged, each side larger than the margin.
      key: of noise.
    """
    margin = config.margin
    around = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    coarse = from_pixels(jnp.pad(pictures, around, mode="reflect"))
    noise = jax.random.normal(key, (*coarse.shape[:3], config.noise_size))
    network = DetailSynthesizer(config)
    return to_pixels(applied(network, {"params": params}, coarse, noise), pictures)


def to_pixels(
    fine: Float[Array, "b H W 3"], coarse: UInt8[Array, "b h w 3"]
) -> UInt8[Array, "b H W 3"]:
    """Colours as bytes, of which two by two have exactly the coarse pixel's mean.

    Each is rounded, and what is lost by it goes to the next of the four.

    Args:
      fine: of a `DetailSynthesizer`, in [-1, 1].
      coarse: the pixels that these come of.
    """
    wanted = (fine + 1) * 127.5
    left = 4 * coarse.astype(jnp.int32)
    lost = jnp.zeros(coarse.shape, jnp.float32)
    parts: dict[tuple[int, int], Array] = {}
    for row, col in ((0, 0), (1, 1), (0, 1)):  # the first two lie across
        value = wanted[:, row::2, col::2] + lost
        taken = jnp.clip(jnp.round(value), 0, 255)
        lost, left = value - taken, left - taken.astype(jnp.int32)
        parts[row, col] = taken.astype(jnp.uint8)
    # What is left is a whole number, as near to what was wanted as the others.
    parts[1, 0] = jnp.clip(left, 0, 255).astype(jnp.uint8)
    above, below = (_woven(parts[row, 0], parts[row, 1], axis=2) for row in range(2))
    return _woven(above, below, axis=1)


def from_pixels(pixels: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Bytes as the colours that they stand for, -1 to 1."""
    return pixels.astype(jnp.float32) * (1 / 127.5) - 1


def operations(config: DetailConfig, height: int, width: int) -> int:
    """Operations of the convolutions that paint a window in one shot.

    Args:
      config: sizes.
      height: rows of pixels that are painted; even.
      width: columns likewise.
    """
    sides = [size // 2 + 2 * config.margin for size in (height, width)]
    taps = _TAPS**2

    def products(inputs: int, outputs: int) -> int:
        for axis in range(2):
            sides[axis] -= _TAPS - 1
        return sides[0] * sides[1] * taps * inputs * outputs

    total = products(3 + config.noise_size, config.width)
    for _ in range(2 * config.num_blocks):
        total += products(config.width, config.width)
    total += products(config.width, 4 * config.fine_width)
    sides[:] = (2 * side for side in sides)
    total += products(config.fine_width + 1, config.fine_width)
    total += products(config.fine_width, 3)
    return 2 * total


def working_bytes(config: DetailConfig, size: int) -> int:
    """Estimated memory that painting a square takes, of so many pixels a side."""
    coarse = (size // 2 + 2 * config.margin) ** 2 * config.width
    fine = size**2 * (config.fine_width + 1)
    each = 2 if config.dtype == "bfloat16" else 4
    return _LIVE_LAYERS * each * (coarse + fine)


def init_detail(config: DetailConfig, key: PRNGKeyArray) -> Mapping[str, Any]:
    """Fresh float32 parameters of the detail synthesizer."""
    size = 2 * config.margin + 2
    coarse = jnp.zeros((1, size, size, 3))
    noise = jnp.zeros((1, size, size, config.noise_size))
    return init_params(DetailSynthesizer(config), key, coarse, noise)


def check_params(config: DetailConfig, params: Mapping[str, Any]) -> None:
    """Checks that parameters are a detail synthesizer's of these sizes.

    Raises:
      ValueError: the message names the first parameters that differ.
    """
    wrong = bundle_lib.shape_differences(_shapes(config), params)
    if wrong:
        raise UserError(
            "the detail synthesizer's parameters must have the shapes that the "
            f"settings give: {len(wrong)} differ ({'; '.join(wrong[:3])}); use the "
            "settings it was trained with"
        )


@functools.lru_cache(maxsize=16)
def _shapes(config: DetailConfig) -> Mapping[str, Any]:
    """Of the detail synthesizer's parameters: every world asks."""
    return jax.eval_shape(lambda key: init_detail(config, key), jax.random.key(0))
