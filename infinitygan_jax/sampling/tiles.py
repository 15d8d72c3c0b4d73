"""Tiles on devices, in steps: fields are drawn, structure is formed, texture painted.

A tile is given by the world words of its rows and columns and by its coordinate
vectors; latents and noise are drawn on the device. Each step is a compiled function,
vectorized over a device's tiles and mapped over all devices.

They are functions of their own so that an edit, which changes fields or styles, changes
no bit of a pixel that does not see it: what paints takes these as arguments, and does
the same for the same numbers. (Where every tile of a batch has one style, the texture
synthesizer is given vectors in place of maps: compiled apart, with the same bits on a
CPU.)
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, UInt8

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.devices import AXIS
from infinitygan_jax.models.generator import (
    Modulations,
    blended,
    make_generator,
    to_uint8,
)
from infinitygan_jax.models.layers import applied, averaged
from infinitygan_jax.sampling.inputs import Keys, Streams, TileInputs


class Fields(NamedTuple):
    """All that the generator reads in a batch of tiles, beside styles.

    Attributes:
      z_local: local latents.
      coords: coordinates of the same cells.
      noise: one map for each texture convolution.
    """

    z_local: Float[Array | np.ndarray, "b h w c"]
    coords: Float[Array | np.ndarray, "b h w d"]
    noise: tuple[Float[Array | np.ndarray, "b _ _ 1"], ...]


class FieldMasks(NamedTuple):
    """Where given fields replace drawn ones; each of the size of its field.

    Attributes:
      z_local, coords: cells.
      noise: values.
    """

    z_local: Bool[np.ndarray, "b h w 1"]
    coords: Bool[np.ndarray, "b h w 1"]
    noise: tuple[Bool[np.ndarray, "b _ _ 1"], ...]


class Affine(NamedTuple):
    """Scale and shift of local latents, by stream.

    Attributes:
      scale, shift: per stream and channel.
    """

    scale: Float[np.ndarray, "b k c"]
    shift: Float[np.ndarray, "b k c"]


class Look(NamedTuple):
    """One style all over.

    Attributes:
      z_global: its global latent.
      styles: its mapped style for every slot.
    """

    z_global: Float[Array | np.ndarray, " d"]
    styles: Float[Array | np.ndarray, "n d"]

    def digest(self) -> bytes:
        """sha256 of its numbers."""
        hashed = hashlib.sha256(np.ascontiguousarray(self.z_global).data)
        hashed.update(np.ascontiguousarray(self.styles).data)
        return hashed.digest()


def draw_fields(
    model: ModelConfig, keys: Keys, streams: Streams, inputs: TileInputs
) -> Fields:
    """Draws the fields of a batch of tiles on one device; traceable."""
    draw = jax.vmap(fields.mixed_normal_field, in_axes=(0, 0, 0, 0, None))
    z_local = draw(
        keys.latent,
        streams.latent,
        inputs.latent_rows,
        inputs.latent_cols,
        model.z_local_size,
    )
    if inputs.octave_rows:
        z_local = _add_octaves(model, keys, inputs, z_local)
    noise = [
        draw(keys.noise[:, index], stream, rows, cols, 1)
        for index, (stream, rows, cols) in enumerate(
            zip(streams.noise, inputs.noise_rows, inputs.noise_cols, strict=True)
        )
    ]
    here = jax.vmap(coords.grid)(inputs.coord_rows, inputs.coord_cols)
    return Fields(z_local, here, tuple(noise))


def _add_octaves(
    model: ModelConfig,
    keys: Keys,
    inputs: TileInputs,
    z_local: Float[Array, "b h w c"],
) -> Float[Array, "b h w c"]:
    """The sum of a field and coarser ones, all of one variance, which it keeps."""
    draw = jax.vmap(fields.normal_field, in_axes=(0, 0, 0, None))
    axes = list(zip(inputs.octave_rows, inputs.octave_cols, strict=True))
    for index, (rows, cols) in enumerate(axes):
        coarse = draw(
            keys.octaves[:, index], rows.words, cols.words, model.z_local_size
        )
        z_local += jnp.einsum(
            "bhm,bmnc,bwn->bhwc",
            rows.weights,
            coarse,
            cols.weights,
            precision=jax.lax.Precision.HIGHEST,
        )
    return z_local * np.float32((1 + len(axes)) ** -0.5)


def adapt_latents(drawn: Fields, streams: Streams, affine: Affine) -> Fields:
    """Gives latents of each stream their scale and shift; traceable.

    Those that are only scaled are what a product gives, to the last bit.
    """
    scale, shift = (
        jax.vmap(lambda values, index: values[index])(values, streams.latent)
        for values in affine
    )
    # A stream without statistics of its own keeps its bits.
    plain = (scale == 1) & (shift == 0)
    z_local = jnp.where(plain, drawn.z_local, drawn.z_local * scale + shift)
    return drawn._replace(z_local=z_local)


def mix_fields(
    drawn: Fields,
    first: Fields,
    second: Fields,
    streams: Streams,
    shares: Float[Array, "2 3"],
) -> Fields:
    """Sums of fields where a tile is drawn from the world's own stream; traceable.

    Args:
      drawn: what there is; kept where it is drawn from other streams.
      first: drawn for one seed.
      second: drawn for another.
      streams: that ``drawn`` is drawn from.
      shares: of first, second and drawn, for latents and for noise; see ``Mix``.
    """

    def mixed(
        stream: Array | np.ndarray,
        shares: Array,
        own: Array | np.ndarray,
        *ends: Array | np.ndarray,
    ) -> Array:
        # A share of 0 adds nothing, to the last bit.
        total = sum(s * f for s, f in zip(shares, (*ends, own), strict=True))
        return jnp.where((stream == 0)[..., None], total, own)

    noise = (
        mixed(stream, shares[1], *maps)
        for stream, *maps in zip(
            streams.noise, drawn.noise, first.noise, second.noise, strict=True
        )
    )
    latents = (drawn.z_local, first.z_local, second.z_local)
    return Fields(
        mixed(streams.latent, shares[0], *latents), drawn.coords, tuple(noise)
    )


def replace_fields(drawn: Fields, given: Fields, masks: FieldMasks) -> Fields:
    """Puts given values in the place of drawn ones; traceable."""
    return jax.tree.map(
        lambda old, new, mask: jnp.where(mask, new, old), drawn, given, Fields(*masks)
    )


def modulated_alone(
    weights: Float[Array, "b h w 1"], styles: Modulations
) -> Modulations:
    """Modulations of one style a tile, of structure at its cells; traceable.

    Args:
      weights: ones, of which the size is taken.
      styles: modulations, each [b, 1, c].
    """
    structure, texture = jax.tree.map(lambda each: each[:, :, None], styles)
    at_cells = jax.tree.map(
        lambda each: jnp.broadcast_to(each, (*weights.shape[:3], each.shape[-1])),
        structure,
    )
    return Modulations(at_cells, texture)


def form_structure(
    model: ModelConfig, params: Mapping[str, Any], styles: Modulations, drawn: Fields
) -> Float[Array, "b n n s"]:
    """Structure latents of a batch of tiles, and of the margin cells that texture sees.

    Args:
      model: sizes.
      params: the generator's parameters.
      styles: of each tile all over, or at its cells.
      drawn: the tiles' fields.
    """
    apply = functools.partial(applied, make_generator(model), {"params": params})
    z_global = styles.structure_synthesizer
    return apply(drawn.z_local, drawn.coords, z_global, method="structure")


def paint_tiles(
    model: ModelConfig,
    params: Mapping[str, Any],
    styles: Modulations,
    structure: Float[Array, "b n n s"],
    noise: Sequence[Float[Array, "b _ _ 1"]],
) -> Float[Array, "b t t 3"]:
    """Paints a batch of tiles on one device; traceable.

    Args:
      model: sizes.
      params: the generator's parameters.
      styles: see `form_structure`.
      structure: see `form_structure`.
      noise: of the tiles' fields.

    Returns:
      Colours of about -1 to 1.
    """
    tile_size = (structure.shape[1] - geometry.TILE_CELLS_EXTRA) * model.cell_size
    return applied(
        make_generator(model),
        {"params": params},
        structure,
        styles.texture_synthesizer,
        list(noise),
        tile_size,
        tile_size,
        method="window",
    )


def to_pixels(
    colours: Float[Array, "b t t 3"], level: int = 0
) -> UInt8[Array, "b p p 3"]:
    """Pixels of painted tiles; traceable.

    Args:
      colours: of tiles.
      level: squares of 2**level pixels a side are averaged to one.
    """
    if level:  # the colours that would be shown are averaged
        colours = averaged(jnp.clip(colours, -1, 1), 2**level)
    return to_uint8(colours)


class TileFunctions(NamedTuple):
    """Compiled functions of one model, mapped over all devices.

    Parameters and shares lie on every device (`devices.replicate`), all else is split
    over them (`devices.split`).

    Attributes:
      draw: (keys, streams, inputs) -> fields.
      mix: (fields, fields, fields, streams, shares) -> fields.
      adapt: (fields, streams, affine) -> fields.
      replace: (fields, fields, masks) -> fields.
      blend: (parameters, weights, modulations) -> modulations at cells.
      alone: the same of one style a tile, those of texture all over.
      structure: (parameters, modulations, fields) -> structure.
      paint: (parameters, modulations, structure, noise) -> colours.
      shown: colours -> pixels of the picture's size.
      whole: colours -> a pixel for each.
    """

    draw: Callable[[Keys, Streams, TileInputs], Fields]
    mix: Callable[..., Fields]
    adapt: Callable[[Fields, Streams, Affine], Fields]
    replace: Callable[[Fields, Fields, FieldMasks], Fields]
    blend: Callable[..., Modulations]
    alone: Callable[..., Modulations]
    structure: Callable[..., Float[Array, "b n n s"]]
    paint: Callable[..., Float[Array, "b t t 3"]]
    shown: Callable[[Float[Array, "b t t 3"]], UInt8[Array, "b p p 3"]]
    whole: Callable[[Float[Array, "b t t 3"]], UInt8[Array, "b t t 3"]]


@functools.lru_cache(maxsize=32)
def tile_functions(model: ModelConfig, mesh: Mesh, level: int = 0) -> TileFunctions:
    """The compiled functions of a model on some devices, for tiles of any size."""

    # lru_cache: worlds of one model share them.
    def mapped(function: Callable[..., Any], *specs: P) -> Callable[..., Any]:
        return jax.jit(
            jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(AXIS))
        )

    structure = functools.partial(form_structure, model)
    paint = functools.partial(paint_tiles, model)
    split, copies = P(AXIS), P()
    return TileFunctions(
        draw=mapped(functools.partial(draw_fields, model), split, split, split),
        mix=mapped(mix_fields, split, split, split, split, copies),
        adapt=mapped(adapt_latents, split, split, split),
        replace=mapped(replace_fields, split, split, split),
        blend=mapped(blended, copies, split, split),
        alone=mapped(modulated_alone, split, split),
        structure=mapped(structure, copies, split, split),
        paint=mapped(paint, copies, split, split, split),
        shown=mapped(functools.partial(to_pixels, level=level), split),
        whole=mapped(to_pixels, split),
    )
