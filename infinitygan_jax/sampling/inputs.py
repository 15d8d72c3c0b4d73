"""What a tile is drawn from: words of its place, keys and streams; on the host.

Integers are exact, however far away a tile is.
"""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, UInt16, UInt32

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.sampling import plan as planning

MAX_STREAMS = 1024  # that one tile can be drawn from
MAX_OCTAVES = 12


class Keys(NamedTuple):
    """Keys of all streams that tiles are drawn from; the first is the world's own.

    Attributes:
      latent: of local latents, [b, k, 2].
      noise: of the noise of each texture convolution, [b, n, k, 2].
      octaves: of coarser latents, finest first, of the world's own seed: [b, o, 2].
    """

    latent: UInt32[Array | np.ndarray, "*b 2"]
    noise: UInt32[Array | np.ndarray, "*b 2"]
    octaves: UInt32[Array | np.ndarray, "*b"]


class Octave(NamedTuple):
    """One axis of a coarser field of latents over a tile.

    Attributes:
      words: of the indices of the coarse field.
      weights: from those to the rows (columns) of cells; of unit sum of squares.
    """

    words: UInt32[np.ndarray, "*b m 2"]
    weights: Float[np.ndarray, "*b n m"]


class TileInputs(NamedTuple):
    """Where a tile lies, or a batch of tiles with a leading axis.

    Attributes:
      latent_rows: words of the rows of cells, margins included.
      latent_cols: words of the columns of cells.
      coord_rows: row part of the cells' coordinates.
      coord_cols: column part of the cells' coordinates.
      noise_rows: words of the rows of each texture convolution's output.
      noise_cols: words of its columns.
      octave_rows: of the rows, for each coarser field.
      octave_cols: of the columns.
    """

    latent_rows: UInt32[np.ndarray, "*b n 2"]
    latent_cols: UInt32[np.ndarray, "*b n 2"]
    coord_rows: Float[np.ndarray, "*b n cr"]
    coord_cols: Float[np.ndarray, "*b n cc"]
    noise_rows: tuple[UInt32[np.ndarray, "*b _ 2"], ...]
    noise_cols: tuple[UInt32[np.ndarray, "*b _ 2"], ...]
    octave_rows: tuple[Octave, ...] = ()
    octave_cols: tuple[Octave, ...] = ()


class Streams(NamedTuple):
    """Which stream of ``Keys`` each value of a tile, or of a batch, is drawn from.

    Attributes:
      latent: for each cell, margins included.
      noise: for each value of the noise of each texture convolution.
    """

    latent: UInt16[Array | np.ndarray, "*b h w"]
    noise: tuple[UInt16[Array | np.ndarray, "*b _ _"], ...]


def make_keys(model: ModelConfig, seed: int, octaves: int = 1) -> Keys:
    """Keys of the streams of one seed, without the axis of seeds.

    Raises:
      ValueError: the seed is out of range.
    """
    noise = [fields.NOISE + index for index in range(2 * model.num_stages)]
    coarse = [fields.OCTAVE + index for index in range(1, octaves)]
    return Keys(
        fields.stream_key(seed, fields.Z_LOCAL),
        *(
            np.array([fields.stream_key(seed, each) for each in streams], np.uint32)
            for streams in (noise, coarse)
        ),
    )


def tile_inputs(
    model: ModelConfig,
    tile_size: int,
    tiles: Sequence[planning.Tile],
    frame: coords.Frame,
    octaves: int = 1,
) -> TileInputs:
    """Inputs of a batch of tiles; on the host, in exact integers."""
    return stack([_inputs_of(model, tile_size, tile, frame, octaves) for tile in tiles])


def stack(trees: Sequence[Any]) -> Any:
    """Trees of arrays as one, with a leading axis."""
    return jax.tree.map(lambda *parts: np.stack(parts), *trees)


def _inputs_of(
    model: ModelConfig,
    tile_size: int,
    tile: planning.Tile,
    frame: coords.Frame,
    octaves: int,
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
        octave_rows=_octaves(rows.latent, frame.row_period, octaves),
        octave_cols=_octaves(cols.latent, frame.col_period, octaves),
    )


def _words(num_cells: int | None, span: geometry.Span) -> UInt32[np.ndarray, "n 2"]:
    """Words of a span, where the world repeats after so many cells, if it does."""
    period = None if num_cells is None else num_cells * 2**span.level
    return fields.words(span.start, span.size, period)


def _octaves(
    span: geometry.Span, num_cells: int | None, octaves: int
) -> tuple[Octave, ...]:
    """Coarser fields under a run of cells; octave o has a value every 2**o cells.

    In a world that repeats, as many as fit into it best, so that they repeat too.
    """
    axes = []
    for index in range(1, octaves):
        pitch, period = Fraction(2**index), None
        if num_cells is not None:
            period = max(1, round(num_cells / pitch))
            pitch = num_cells / Fraction(period)
        first = span.start // pitch
        # As many for every tile, wherever it lies.
        size = math.floor((span.size - 1) / pitch) + 3
        # Exact: the offset of the first cell is small, however far away it is.
        place = (np.arange(span.size) + float(span.start - first * pitch)) / float(
            pitch
        )
        below = np.minimum(np.floor(place).astype(int), size - 2)
        part = np.stack([1 - (place - below), place - below])
        if period != 1:  # independent values, so that this keeps the variance
            part = part / np.hypot(*part)
        weights = np.zeros((span.size, size), np.float32)
        weights[np.arange(span.size), below] = part[0]
        weights[np.arange(span.size), below + 1] = part[1]
        axes.append(Octave(fields.words(first, size, period), weights))
    return tuple(axes)


def own_stream(model: ModelConfig, tile_size: int) -> Streams:
    """Streams of a tile that is drawn from the world's own alone."""
    axis = planning.tile_axes(planning.Tile(0, 0), tile_size, model.num_stages)[0]
    latent, *noise = (
        np.zeros((span.size, span.size), np.uint16)
        for span in (axis.latent, *axis.noise)
    )
    return Streams(latent, tuple(noise))
