"""Pictures of a model: patches as training draws them, or whole training images."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, PRNGKeyArray

from infinitygan_jax import coords, geometry
from infinitygan_jax.config import Config, ModelConfig
from infinitygan_jax.models.generator import (
    make_generator,
    to_uint8,
    with_noise_scale,
)
from infinitygan_jax.models.layers import applied
from infinitygan_jax.training import draws

_PURPOSE = 1000  # beside those of training (`draws`), which count from 0
_PIXELS = 2**20  # painted at once, about
_AT_ONCE = 32


class Inputs(NamedTuple):
    """What the generator paints pictures from.

    Attributes:
      z_global: global latents.
      z_local: local latents, margins included.
      coords: coordinates of the same cells.
      noise: one map for each texture convolution.
    """

    z_global: Float[Array, "b d"]
    z_local: Float[Array, "b h w l"]
    coords: Float[Array, "b h w c"]
    noise: list[Float[Array, "b _ _ 1"]]


def samples(
    config: Config,
    params: Mapping[str, Any],
    num: int,
    *,
    seed: int,
    whole: bool = False,
    truncation: float = 1.0,
    noise_scale: float = 1.0,
) -> Iterator[Float32[np.ndarray, "b p p 3"]]:
    """Pictures that a model paints, each with latents of its own, in batches.

    Picture n is a function of seed and n alone. No styles are mixed.

    Args:
      config: of the model.
      params: of its generator.
      num: of pictures.
      seed: 0 to 2**64 - 1.
      whole: paint images of ``data.full_size`` pixels a side, their middle on the
        horizon, and not patches at places that are drawn as in training.
      truncation: local latents are multiplied by this; 1 is as in training.
      noise_scale: noise is multiplied by this, likewise.

    Yields:
      float32 (b, side, side, 3) in [-1, 1], rounded as in a picture of 8 bits.
    """
    side = config.data.full_size if whole else config.model.patch_size
    batch_size = min(num, _AT_ONCE, max(1, _PIXELS // side**2))
    params = jax.device_put(with_noise_scale(params, noise_scale))
    key = draws.step_key(seed, _PURPOSE, jnp.int32(whole))
    for first in range(0, num, batch_size):
        # The last batch is filled: another shape would be compiled for it.
        index = np.arange(first, first + batch_size, dtype=np.int32)
        pictures = _paint(config, whole, params, key, np.float32(truncation), index)
        yield np.asarray(pictures[: num - first])


def patch_inputs(config: Config, key: PRNGKeyArray, index: Int[Array, " b"]) -> Inputs:
    """What patches with these numbers are painted from, as in training."""
    drawn = draws.draw_samples(config, key, index, paired=False)
    return Inputs(drawn.z_global, drawn.z_local, drawn.coords, drawn.noise)


def whole_inputs(config: Config, key: PRNGKeyArray, index: Int[Array, " b"]) -> Inputs:
    """What whole images with these numbers are painted from.

    Rows are those of training around the horizon, at training's scale (docs/model.md,
    section 5.1); columns begin anywhere.
    """
    model, spans = config.model, whole_spans(config)
    z_global = draws.normals(
        draws.sample_keys(key, "shared", index), [(model.z_global_size,)]
    )[0]
    cells = spans.latent.size
    z_local, *noise = draws.normals(
        draws.sample_keys(key, "own", index),
        [
            (cells, cells, model.z_local_size),
            *((span.size, span.size, 1) for span in spans.noise),
        ],
    )
    where = _whole_coords(model, spans, draws.sample_keys(key, "coords", index))
    return Inputs(z_global, z_local, where, noise)


def whole_spans(config: Config) -> geometry.AxisSpans:
    """The fewest cells that paint a whole image, its middle pixel at world row 0.

    Spans of both axes.
    """
    model, side = config.model, config.data.full_size
    # Pixel 0 of the window that starts at cell 0.
    before = geometry.axis_spans(0, 6, model.num_stages).pixels.start
    top = -(side // 2)
    first = (top - before) // model.cell_size
    rest = top + side - (first * model.cell_size + before)
    num_cells = max(6, 5 - (5 - rest) // model.cell_size)  # (n - 5) 2^k + 5 >= rest
    return geometry.axis_spans(first, num_cells, model.num_stages)


def _whole_coords(
    model: ModelConfig, spans: geometry.AxisSpans, keys: Any
) -> Float[Array, "b h w c"]:
    cells, turn = spans.latent.size, coords.PERIOD
    free_rows = turn if model.coords == "plane" else 1
    rows, cols = coords.world_coords(
        model.coords,
        row_start=spans.latent.start,
        rows=cells + free_rows - 1,
        col_start=0,
        cols=cells + turn - 1,
        frame=coords.trained_frame(model.vertical_starts),
    )

    def where(key: Array) -> Array:
        row, col = jax.random.randint(key, (2,), 0, jnp.array([free_rows, turn]))
        return coords.grid(
            jax.lax.dynamic_slice_in_dim(jnp.asarray(rows), row, cells),
            jax.lax.dynamic_slice_in_dim(jnp.asarray(cols), col, cells),
        )

    return jax.vmap(where)(keys)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _paint(
    config: Config,
    whole: bool,
    params: Mapping[str, Any],
    key: PRNGKeyArray,
    truncation: Float[Array, ""],
    index: Int[Array, " b"],
) -> Float[Array, "b p p 3"]:
    inputs = (whole_inputs if whole else patch_inputs)(config, key, index)
    image = applied(
        make_generator(config.model),
        {"params": params},
        inputs.z_global,
        inputs.z_local * truncation,
        inputs.coords,
        inputs.noise,
    )
    if whole:
        spans, side = whole_spans(config), config.data.full_size
        start = -(side // 2) - spans.pixels.start
        image = image[:, start : start + side, start : start + side]
    return to_uint8(image).astype(jnp.float32) / 127.5 - 1
