"""Placements: known latents at a place of the world, and known pixels on top of them.

A placement is an edit. Its latents and noise stand in for the drawn ones, its style and
its coordinates fade into those around it, and so it looks the same wherever it is put.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int64

from infinitygan_jax import coords, geometry
from infinitygan_jax.geometry import AxisSpans, Span
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.edits.compositing import Known, Picture, places_of
from infinitygan_jax.sampling.edits.edit import (
    Edit,
    Lattice,
    TileFields,
    check_feather,
)
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.styles import Axis, Given

_MOST_FEATHERED = 32  # cells around a picture whose coordinates are kept


@dataclasses.dataclass(frozen=True, eq=False)
class Placement(Edit):
    """Latents of a picture, at a place.

    Attributes:
      top, left: world row and column of the picture's first pixel; whole cells.
      height, width: its pixels.
      num_stages: of the whole model; a cell is 2**num_stages pixels.
      source: its style; None for that of its place in the world.
      z_local: local latents of its cells and the margins around them.
      noise: noise maps, one per texture convolution.
      coords_kind: the model's.
      frame: of the world that the latents are for, in which the picture lies at
        ``own_top`` and ``own_left``.
      own_top, own_left: whole cells, in pixels.
      feather: pixels around its latents over which style and coordinates fade.
      known: pixels to show, or None for what the latents paint.
      finer: the same seen closer, 2**zooms times as large, of which ``known`` are the
        means; None where nothing finer is known.
      zooms: see ``finer``.
    """

    top: int
    left: int
    height: int
    width: int
    num_stages: int
    source: Given | None = dataclasses.field()  # not the default of `Edit`
    z_local: Float[np.ndarray, "H W c"]
    noise: tuple[Float[np.ndarray, "_ _"], ...]
    coords_kind: str
    frame: coords.Frame
    own_top: int
    own_left: int
    feather: int = 0
    known: Known | None = None
    finer: Known | None = None
    zooms: int = 0
    gives_fields = True
    gives_coords = True
    subject = "a picture and what sees it"  # which is more than its pixels

    def __post_init__(self) -> None:
        check_feather(self.feather)
        cell = self.cell
        down = (self.top - self.own_top) % cell
        right = (self.left - self.own_left) % cell
        if down or right:
            near = [
                place - off + (cell if 2 * off >= cell else 0)
                for place, off in ((self.top, down), (self.left, right))
            ]
            raise UserError(
                f"a picture at {self.top},{self.left} (row, column) must lie on the "
                f"model's cells of {cell} pixels; the nearest place is "
                f"{near[0]},{near[1]}"
            )

    @property
    def cell(self) -> int:
        """Pixels of a cell."""
        return 2**self.num_stages

    @functools.cached_property
    def spans(self) -> tuple[AxisSpans, AxisSpans]:
        """World spans of its fields, of rows and of columns."""
        rows, cols = (
            geometry.axis_spans(
                start // self.cell - geometry.TILE_CELLS_BEFORE,
                -(-size // self.cell) + geometry.TILE_CELLS_EXTRA,
                self.num_stages,
            )
            for start, size in ((self.top, self.height), (self.left, self.width))
        )
        return rows, cols

    # Other kinds are given what is worked out here. mypy would have it settable, as in
    # `Edit`; nobody sets an edit's attributes.
    @functools.cached_property
    def region(self) -> Region:  # type: ignore[override]
        """The pixels of all cells whose latents it brings."""
        rows, cols = (axis.latent for axis in self.spans)
        cell = self.cell
        corner = rows.start * cell, cols.start * cell
        return Region(*corner, rows.size * cell, cols.size * cell)

    @functools.cached_property
    def picture(self) -> Picture | None:  # type: ignore[override]
        """Known pixels at their place."""
        return self.known and Picture(self.top, self.left, *self.known)

    def picture_at(self, zooms: int) -> Picture | None:
        """See `Edit`: its own pixels down to their own level."""
        if not zooms:
            return self.picture
        if self.finer is None or zooms > self.zooms:
            return None
        corner = self.top << self.zooms, self.left << self.zooms
        return Picture(*corner, *self.finer).at_level(self.zooms - zooms)

    def write(self, tile: TileFields, stream: int) -> None:
        """Writes its latents and noise into those of a tile, where they meet."""
        levels = zip(
            (tile.given.z_local, *tile.given.noise),
            (tile.masks.z_local, *tile.masks.noise),
            (self.z_local, *(values[..., None] for values in self.noise)),
            _levels(tile.spans),
            _levels(self.spans),
            strict=False,  # a generator that is stopped early has less noise
        )
        for given, mask, values, there, own in levels:
            for to, part in places_of(there, own, tile.lattice.periods):
                given[to] = values[part]
                mask[to] = True

    def bend(
        self,
        bends: Float[np.ndarray, "h w 2"],
        where: tuple[np.ndarray, np.ndarray],
        share: Float[np.ndarray, "n m"],
        spans: tuple[Span, Span],
        lattice: Lattice,
    ) -> None:
        """See `Edit`."""
        axes = lattice.axes(*spans)
        offsets = [
            self._offsets(
                axis, spans[axis], axes[axis], where[axis].ravel(), lattice.frame
            )
            for axis in (0, 1)
        ]
        whole = np.stack(np.broadcast_arrays(offsets[0][:, None], offsets[1]), axis=-1)
        share = share[..., None].astype(float)
        # A share of 1 leads to its own coordinates from wherever others moved them.
        bends[where] = (1 - share) * bends[where] + share * whole

    def _offsets(
        self,
        axis: int,
        span: Span,
        positions: Axis,
        index: Int64[np.ndarray, " n"],
        world: coords.Frame,
    ) -> Float[np.ndarray, " n"]:
        """How far its own coordinates of some cells are from the world's.

        Phases by as much as in its middle and the little that this differs elsewhere,
        so that no place turns back.
        """
        own = self._own(axis, positions, index)
        part = _world_part(self.coords_kind, axis, span.start, span.size, world)[index]
        if own.shape[1] == 1:
            return (own.astype(float) - part)[:, 0]
        middle = self._own_parts[axis][len(self._own_parts[axis]) // 2 :][:1]
        there = _world_part(self.coords_kind, axis, self._middle(axis), 1, world)
        turn = _wrapped(_angle(middle) - _angle(there))
        return turn + _wrapped(_angle(own) - _angle(part) - turn)

    def _own(
        self, axis: int, positions: Axis, index: Int64[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n c"]:
        """The picture's coordinates of some cells.

        Args:
          axis: 0 for rows, 1 for columns.
          positions: of a tile's cells.
          index: which of them; the picture's, or within reach of it.
        """
        # With a period, from the nearest repeat of the picture.
        away = positions.offsets(self._middle(axis) * self.cell)[index] // self.cell
        away = away.astype(int)
        own, around = self._own_parts[axis], len(self._own_parts[axis]) // 2
        if np.abs(away).max() <= around:
            return own[away + around]
        # With a period, there are runs before and after a far side.
        runs = np.split(away, np.flatnonzero(np.diff(away) != 1) + 1)
        parts = [self._own_part(axis, int(run[0]), run.size) for run in runs]
        return np.concatenate(parts)

    def _middle(self, axis: int) -> int:
        """Its middle cell, of rows or of columns."""
        latent = self.spans[axis].latent
        return latent.start + latent.size // 2

    @functools.cached_property
    def _own_parts(self) -> list[Float[np.ndarray, "_ c"]]:
        """Its own coordinates on both sides of its middle: what tiles mostly need."""
        around = [spans.latent.size // 2 + _MOST_FEATHERED for spans in self.spans]
        return [
            self._own_part(axis, -reach, 2 * reach + 1)
            for axis, reach in enumerate(around)
        ]

    def _own_part(self, axis: int, first: int, size: int) -> Float[np.ndarray, "n c"]:
        """Its own coordinates of some cells, the first so far from its middle."""
        moved = (self.top - self.own_top, self.left - self.own_left)[axis] // self.cell
        run = self.spans[axis].latent
        start = run.start + run.size // 2 - moved + first
        return _part(self.coords_kind, axis, start, size, self.frame)


def _levels(spans: tuple[AxisSpans, AxisSpans]) -> list[tuple[Span, Span]]:
    """Rows and columns of local latents, and of each map of noise."""
    rows, cols = spans
    noise = zip(rows.noise, cols.noise, strict=True)
    return [(rows.latent, cols.latent), *noise]


def _part(
    kind: str, axis: int, start: int, size: int, frame: coords.Frame
) -> Float[np.ndarray, "n c"]:
    """The row part or the column part of coordinates."""
    run = (start, size, 0, 1) if axis == 0 else (0, 1, start, size)
    return coords.world_coords(kind, *run, frame)[axis]


# The same for all placements that a tile sees, and in the middle of one for all tiles
# that see it.
@functools.lru_cache(maxsize=4096)
def _world_part(
    kind: str, axis: int, start: int, size: int, frame: coords.Frame
) -> Float[np.ndarray, "n c"]:
    """The world's part of coordinates; not to be changed."""
    part = _part(kind, axis, start, size, frame)
    part.flags.writeable = False
    return part


def _angle(phase: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    return np.arctan2(*phase.T[::-1].astype(float))


def _wrapped(turn: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (turn + np.pi) % (2 * np.pi) - np.pi
