"""The tile function: everything about a batch of tiles from a few short vectors.

A tile is given by the world words of its rows and columns and by its coordinate
vectors; latents and noise are drawn on the device, inside the compiled function. The
function is vectorized over a device's tiles and mapped over all devices.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8, UInt32

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.devices import AXIS
from infinitygan_jax.models.generator import make_generator, slot_styles, to_uint8
from infinitygan_jax.sampling import plan as planning


class Look(NamedTuple):
    """What all tiles of a world share, beside the parameters.

    Attributes:
      z_global: the global latent.
      style: its mapped style.
      latent_key: key of the stream of local latents.
      noise_keys: keys of the noise streams, one per texture convolution.
    """

    z_global: Float[Array, " d"]
    style: Float[Array, " d"]
    latent_key: UInt32[Array, "2"]
    noise_keys: UInt32[Array, "n 2"]


class TileInputs(NamedTuple):
    """Where a tile lies, or a batch of tiles with a leading axis.

    Attributes:
      latent_rows: words of the rows of cells, margins included.
      latent_cols: words of the columns of cells.
      coord_rows: row part of the cells' coordinates.
      coord_cols: column part of the cells' coordinates.
      noise_rows: words of the rows of each texture convolution's output.
      noise_cols: words of its columns.
    """

    latent_rows: UInt32[np.ndarray, "*b n 2"]
    latent_cols: UInt32[np.ndarray, "*b n 2"]
    coord_rows: Float[np.ndarray, "*b n cr"]
    coord_cols: Float[np.ndarray, "*b n cc"]
    noise_rows: tuple[UInt32[np.ndarray, "*b _ 2"], ...]
    noise_cols: tuple[UInt32[np.ndarray, "*b _ 2"], ...]


def make_look(model: ModelConfig, params: Mapping[str, Any], seed: int) -> Look:
    """Draws the global latent of a seed and maps it to its style, once.

    Raises:
      ValueError: the seed is out of range.
    """
    noise_keys = [
        fields.stream_key(seed, fields.NOISE + index)
        for index in range(2 * model.num_stages)
    ]
    z_global = fields.global_latent(seed, model.z_global_size)
    mapping = functools.partial(make_generator(model).apply, method="mapping")
    return Look(
        z_global=z_global,
        style=jax.jit(mapping)({"params": params}, z_global[None])[0],
        latent_key=jnp.asarray(fields.stream_key(seed, fields.Z_LOCAL)),
        noise_keys=jnp.asarray(np.stack(noise_keys)),
    )


def tile_inputs(
    model: ModelConfig,
    tile_size: int,
    tiles: Sequence[planning.Tile],
    frame: coords.Frame = coords.AS_TRAINED,
) -> TileInputs:
    """Inputs of a batch of tiles; on the host, in exact integers."""
    return jax.tree.map(
        lambda *parts: np.stack(parts),
        *(_inputs_of(model, tile_size, tile, frame) for tile in tiles),
    )


def _inputs_of(
    model: ModelConfig, tile_size: int, tile: planning.Tile, frame: coords.Frame
) -> TileInputs:
    rows, cols = planning.tile_axes(tile, tile_size, model.num_stages)
    row_part, col_part = coords.world_coords(
        model.coords,
        rows.latent.start,
        rows.latent.size,
        cols.latent.start,
        cols.latent.size,
        frame,
    )
    row_words = functools.partial(_words, frame.row_period)
    col_words = functools.partial(_words, frame.col_period)
    return TileInputs(
        latent_rows=row_words(rows.latent),
        latent_cols=col_words(cols.latent),
        coord_rows=row_part,
        coord_cols=col_part,
        noise_rows=tuple(map(row_words, rows.noise)),
        noise_cols=tuple(map(col_words, cols.noise)),
    )


def _words(num_cells: int | None, span: geometry.Span) -> UInt32[np.ndarray, "n 2"]:
    """Words of a span, where the world repeats after so many cells, if it does."""
    period = None if num_cells is None else num_cells * 2**span.level
    return fields.words(span.start, span.size, period)


def paint_tiles(
    model: ModelConfig,
    tile_size: int,
    params: Mapping[str, Any],
    look: Look,
    inputs: TileInputs,
    level: int = 0,
) -> UInt8[Array, "b t t 3"]:
    """Paints a batch of tiles on one device; traceable.

    Args:
      model: sizes.
      tile_size: pixels a side, a multiple of the model's cell size.
      params: the generator's parameters.
      look: seed and style.
      inputs: where the tiles lie, with a leading batch axis.
      level: squares of 2**level pixels a side are averaged to one.
    """
    generator = make_generator(model)
    batch = inputs.latent_rows.shape[0]
    draw = jax.vmap(fields.normal_field, in_axes=(None, 0, 0, None))
    z_local = draw(
        look.latent_key, inputs.latent_rows, inputs.latent_cols, model.z_local_size
    )
    here = jax.vmap(coords.grid)(inputs.coord_rows, inputs.coord_cols)
    z_global = jnp.broadcast_to(look.z_global, (batch, model.z_global_size))
    structure = generator.apply(
        {"params": params}, z_local, here, z_global, method="structure"
    )
    style = jnp.broadcast_to(look.style, (batch, model.z_global_size))
    noise = [
        draw(look.noise_keys[index], rows, cols, 1)
        for index, (rows, cols) in enumerate(
            zip(inputs.noise_rows, inputs.noise_cols, strict=True)
        )
    ]
    image = generator.apply(
        {"params": params},
        structure,
        slot_styles(style, model.num_slots),
        noise,
        method="texture",
    )
    crop = slice(geometry.TILE_CROP, geometry.TILE_CROP + tile_size)
    image = image[:, crop, crop]
    if level:  # the colours that would be shown are averaged
        pixels, square = tile_size >> level, 2**level
        image = jnp.clip(image, -1, 1)
        image = image.reshape(batch, pixels, square, pixels, square, 3).mean((2, 4))
    return to_uint8(image)


@functools.lru_cache(maxsize=32)
def tile_function(
    model: ModelConfig, tile_size: int, mesh: Mesh, level: int = 0
) -> Callable[[Mapping[str, Any], Look, TileInputs], UInt8[Array, "b t t 3"]]:
    """The compiled function of a model and tile size, mapped over all devices.

    It takes parameters and look on every device (`devices.replicate`) and a batch that
    is split over them (`devices.split`).
    """
    # lru_cache: worlds of one model share the compiled function.
    paint = functools.partial(paint_tiles, model, tile_size, level=level)
    mapped = jax.shard_map(
        paint, mesh=mesh, in_specs=(P(), P(), P(AXIS)), out_specs=P(AXIS)
    )
    return jax.jit(mapped)
