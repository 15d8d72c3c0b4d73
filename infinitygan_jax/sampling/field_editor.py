"""What the fields of a tile are drawn from, and what stands in for drawn values."""

import functools
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from infinitygan_jax import coords, geometry
from infinitygan_jax.cache import Cache
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling import tiles
from infinitygan_jax.sampling.edits.edit import Edit, TileFields
from infinitygan_jax.sampling.inputs import (
    MAX_STREAMS,
    Keys,
    Streams,
    make_keys,
    own_stream,
)
from infinitygan_jax.sampling.plan import Tile
from infinitygan_jax.sampling.setup import Setup
from infinitygan_jax.sampling.styles import Axis

_KEPT_BYTES = 2**26  # of keys


class EditedFields(NamedTuple):
    """Of one tile, or of a batch with a leading axis.

    Attributes:
      keys, streams: what values are drawn from.
      affine: what is then done to latents.
      given, masks: values that stand in for drawn ones, and where.
    """

    keys: Keys
    streams: Streams
    affine: tiles.Affine
    given: tiles.Fields
    masks: tiles.FieldMasks


class FieldEditor:
    """Lays edits over the fields of a world's tiles; on the host."""

    def __init__(self, setup: Setup):
        """Takes how tiles are painted."""
        self._setup = setup
        self._lattice = setup.lattice
        self._keys: Cache[int, Keys] = Cache(_KEPT_BYTES)

    def cell_axes(self, tile: Tile) -> tuple[Axis, Axis]:
        """World positions of a tile's cells, margins included."""
        rows, cols = self._spans(tile)
        return self._lattice.axes(rows.latent, cols.latent)

    def plain(self, seed: int) -> tuple[Keys, Streams]:
        """Keys and streams of a tile without edits, of a seed."""
        streams = own_stream(self._setup.model, self._setup.tile_size)
        return self._keys_of([seed]), streams

    def edited(self, tile: Tile, edits: Sequence[Edit]) -> EditedFields:
        """Fields of a tile with the edits that it sees, in order.

        Raises:
          ValueError: too many of them draw anew.
        """
        spans = self._spans(tile)
        drawing = [edit for edit in edits if edit.seed is not None]
        check_draws(edits)
        streams = own_stream(self._setup.model, self._setup.tile_size)
        given, masks = self._blank(tile)
        changed = TileFields(spans, self._lattice, streams, given, masks)
        stream = 0
        for edit in edits:
            # A stream of its own for each: seeds may be equal, statistics not.
            stream += edit.seed is not None
            edit.write(changed, stream)
        seeds = [edit.seed for edit in drawing if edit.seed is not None]
        here = self._bent_coords(np.asarray(given.coords), edits, spans)
        masks.coords[...] = (here != given.coords).any(axis=-1, keepdims=True)
        return EditedFields(
            keys=self._keys_of([self._setup.seed, *seeds]),
            streams=streams,
            affine=self._affine(drawing),
            given=given._replace(coords=here),
            masks=masks,
        )

    def _spans(self, tile: Tile) -> tuple[geometry.AxisSpans, geometry.AxisSpans]:
        setup = self._setup
        return planning.tile_axes(tile, setup.tile_size, setup.model.num_stages)

    def _bent_coords(
        self,
        here: Float[np.ndarray, "h w c"],
        edits: Sequence[Edit],
        spans: tuple[geometry.AxisSpans, geometry.AxisSpans],
    ) -> Float[np.ndarray, "h w c"]:
        """Coordinates, turned into those that edits give, the last over the others."""
        latent = spans[0].latent, spans[1].latent
        axes = self._lattice.axes(*latent)
        covered = np.zeros(here.shape[:2], bool)
        shown = []
        for edit in reversed(edits):
            if edit.gives_coords:
                where, share = edit.region.share_near(*axes, edit.feather)
                if not (covered[where] | (share == 0)).all():
                    shown.append((edit, where, share))
                    covered[where] |= share == 1
        if not shown:
            return here
        bends = np.zeros((*here.shape[:2], 2))
        for edit, where, share in reversed(shown):
            edit.bend(bends, where, share, latent, self._lattice)
        return bent_coords(here, bends)

    def _affine(self, drawing: Sequence[Edit]) -> tiles.Affine:
        shape = (MAX_STREAMS, self._setup.model.z_local_size)
        truncation = self._setup.scene.of_painting("truncation", self._setup.model)
        # Where no statistics are given.
        scale = np.full(shape, truncation, np.float32)
        shift = np.zeros(shape, np.float32)
        for index, edit in enumerate(drawing, 1):
            if edit.statistics is not None:
                scale[index] = edit.statistics.deviation
                shift[index] = edit.statistics.mean
        return tiles.Affine(scale, shift)

    def _blank(self, tile: Tile) -> tuple[tiles.Fields, tiles.FieldMasks]:
        """Fields of which nothing is given; the coordinates are the tile's own."""
        rows, cols = self._spans(tile)
        parts = coords.world_coords(
            self._setup.model.coords,
            rows.latent.start,
            rows.latent.size,
            cols.latent.start,
            cols.latent.size,
            self._setup.frame,
        )
        size = (rows.latent.size, cols.latent.size)
        here = [
            np.broadcast_to(parts[0][:, None], (*size, parts[0].shape[1])),
            np.broadcast_to(parts[1][None, :], (*size, parts[1].shape[1])),
        ]
        shapes = [(r.size, c.size) for r, c in zip(rows.noise, cols.noise, strict=True)]
        fields = tiles.Fields(
            z_local=np.zeros((*size, self._setup.model.z_local_size), np.float32),
            coords=np.concatenate(here, axis=-1),
            noise=tuple(np.zeros((*shape, 1), np.float32) for shape in shapes),
        )
        masks = tiles.FieldMasks(
            z_local=np.zeros((*size, 1), bool),
            coords=np.zeros((*size, 1), bool),
            noise=tuple(np.zeros((*shape, 1), bool) for shape in shapes),
        )
        return fields, masks

    def _keys_of(self, seeds: Sequence[int]) -> Keys:
        """Keys of streams, of one number whatever the seeds."""
        model, octaves = self._setup.model, self._setup.scene.octaves
        parts = [
            self._keys.of(
                seed,
                functools.partial(make_keys, model, seed, octaves),
                _bytes_of,
            )
            for seed in seeds
        ]
        more = [(0, MAX_STREAMS - len(seeds)), (0, 0)]
        latent = np.stack([keys.latent for keys in parts])
        noise = np.stack([keys.noise for keys in parts], axis=1)
        return Keys(
            latent=np.pad(latent, more),
            noise=np.pad(noise, [(0, 0), *more]),
            octaves=parts[0].octaves,
        )


def bent_coords(
    here: Float[np.ndarray, "h w c"], bends: Float[np.ndarray, "h w 2"]
) -> Float[np.ndarray, "h w c"]:
    """Coordinates of which heights are moved and phases turned by so much.

    Args:
      here: of cells.
      bends: of rows and of columns; where 0, coordinates keep their bits.
    """
    num_rows = here.shape[-1] - 2  # channels of the row part
    moved = []
    for part, bend in (
        (here[..., :num_rows], bends[..., 0]),
        (here[..., num_rows:], bends[..., 1]),
    ):
        if part.shape[-1] == 1:
            moved.append(part + bend[..., None])
            continue
        cos, sin = np.cos(bend), np.sin(bend)
        turned = part[..., 0] * cos - part[..., 1] * sin
        moved += [turned[..., None]]
        moved += [(part[..., 0] * sin + part[..., 1] * cos)[..., None]]
    return np.concatenate(moved, axis=-1).astype(np.float32)


def _bytes_of(keys: Keys) -> int:
    """Memory of keys, Python's objects included."""
    return sum(sys.getsizeof(each) + each.nbytes for each in keys)


def check_draws(edits: Sequence[Edit]) -> None:
    """Checks how many of the edits that one tile sees draw anew.

    Raises:
      ValueError: too many.
    """
    number = sum(edit.seed is not None for edit in edits)
    if number >= MAX_STREAMS:
        raise UserError(
            f"edits seen by one tile ({number}) that draw anew must be below "
            f"{MAX_STREAMS}; use a smaller `tile_size`"
        )
