"""Placements: known latents at a place of the world, and known pixels on top of them.

A placement is an edit. Its latents and noise stand in for the drawn ones, its style and
its coordinates fade into those around it, and so it looks the same wherever it is put.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from infinitygan_jax import coords, geometry
from infinitygan_jax.geometry import AxisSpans, Span
from infinitygan_jax.sampling import tiles
from infinitygan_jax.sampling.edits import Region
from infinitygan_jax.sampling.styles import Axis, Given, Weights, without_unseen

_SWEEPS = 60  # of the membrane at each of its scales


class Known(NamedTuple):
    """Pixels that a placement shows exactly.

    Attributes:
      image: colours.
      mask: which of them are known.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


@dataclasses.dataclass(frozen=True, eq=False)
class Placement:
    """Latents of a picture, at a place.

    Attributes:
      top, left: world row and column of the picture's first pixel; whole cells.
      height, width: its pixels.
      num_stages: of the whole model; a cell is 2**num_stages pixels.
      source: its style.
      z_local: local latents of its cells and the margins around them.
      noise: noise maps, one per texture convolution.
      coords_kind: the model's.
      frame: of the world that the latents are for, in which the picture lies at
        ``own_top`` and ``own_left``.
      own_top, own_left: whole cells, in pixels.
      feather: pixels around its latents over which style and coordinates fade.
      known: pixels to show, or None for what the latents paint.
    """

    top: int
    left: int
    height: int
    width: int
    num_stages: int
    source: Given
    z_local: Float[np.ndarray, "H W c"]
    noise: tuple[Float[np.ndarray, "_ _"], ...]
    coords_kind: str
    frame: coords.Frame
    own_top: int
    own_left: int
    feather: int = 0
    known: Known | None = None

    def __post_init__(self):
        cell = self.cell
        down, right = (
            (self.top - self.own_top) % cell,
            (self.left - self.own_left) % cell,
        )
        if down or right:
            near = [
                place - off + (cell if 2 * off >= cell else 0)
                for place, off in ((self.top, down), (self.left, right))
            ]
            raise ValueError(
                f"a picture at {self.top},{self.left} (row, column) must lie on the "
                f"model's cells of {cell} pixels; the nearest place is "
                f"{near[0]},{near[1]}"
            )

    @property
    def cell(self) -> int:
        """Pixels of a cell."""
        return 2**self.num_stages

    @property
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

    @property
    def region(self) -> Region:
        """The pixels of all cells whose latents it brings."""
        rows, cols = (axis.latent for axis in self.spans)
        cell = self.cell
        return Region(
            *(rows.start * cell, cols.start * cell),
            *(rows.size * cell, cols.size * cell),
        )

    @property
    def reach(self) -> int:
        """Pixels around the region that it changes, beside what sees it."""
        return self.feather

    def over(self, below: Weights, rows: Axis, cols: Axis) -> Weights:
        """Styles with its own on top."""
        share = self.region.share(rows, cols, self.feather)[..., None]
        weights = np.concatenate([below.weights * (1 - share), share], axis=-1)
        return without_unseen(Weights((*below.sources, self.source), weights))

    def put(
        self,
        given: tiles.Fields,
        masks: tiles.FieldMasks,
        spans: tuple[AxisSpans, AxisSpans],
        periods: tuple[int | None, int | None],
    ) -> None:
        """Writes its latents and noise into those of one tile, where they meet.

        Args:
          given: of one tile, without an axis of tiles; changed.
          masks: where ``given`` holds; changed.
          spans: of the tile.
          periods: cells after which the world repeats, or None.
        """
        rows, cols = spans
        own_rows, own_cols = self.spans
        fields = [(given.z_local, masks.z_local, self.z_local, "latent", 0)]
        fields += [
            (drawn, mask, values[..., None], "noise", index)
            for index, (drawn, mask, values) in enumerate(
                zip(given.noise, masks.noise, self.noise, strict=False)
            )
        ]
        for drawn, mask, values, name, index in fields:
            pairs = []
            for tile, own, period in zip(
                (rows, cols), (own_rows, own_cols), periods, strict=True
            ):
                one, other = getattr(tile, name), getattr(own, name)
                if name == "noise":
                    one, other = one[index], other[index]
                pairs.append(_meetings(one, other, period))
            for to_rows, from_rows in pairs[0]:
                for to_cols, from_cols in pairs[1]:
                    drawn[to_rows, to_cols] = values[from_rows, from_cols]
                    mask[to_rows, to_cols] = True

    def bend(
        self,
        here: Float[np.ndarray, "h w c"],
        spans: tuple[Span, Span],
        axes: tuple[Axis, Axis],
        world: coords.Frame,
    ) -> Float[np.ndarray, "h w c"]:
        """Coordinates of a tile's cells, turned into its own where it lies.

        Args:
          here: as they are without it.
          spans: of the cells.
          axes: their positions.
          world: frame of the world.
        """
        share = self.region.share(*axes, self.feather)[..., None].astype(np.float32)
        if not share.any():
            return here
        cell = self.cell
        shift = (self.top - self.own_top) // cell, (self.left - self.own_left) // cell
        parts = []
        for axis, (span, moved) in enumerate(zip(spans, shift, strict=True)):
            middle = self.spans[axis].latent
            middle = middle.start + middle.size // 2
            kept = [
                _part(self.coords_kind, axis, *run, frame)
                for run, frame in (
                    ((span.start, span.size), world),
                    ((span.start - moved, span.size), self.frame),
                    ((middle, 1), world),
                    ((middle - moved, 1), self.frame),
                )
            ]
            parts.append(kept)
        rows = _bent(here[..., : parts[0][0].shape[1]], *parts[0], share, axis=0)
        cols = _bent(here[..., parts[0][0].shape[1] :], *parts[1], share, axis=1)
        return np.concatenate([rows, cols], axis=-1)


def _meetings(tile: Span, own: Span, period: int | None) -> list[tuple[slice, slice]]:
    """Where two runs of one axis have the same indices: slices of either."""
    cells = None if period is None else period * 2**tile.level
    shifts = [0]
    if cells is not None:
        first = (tile.start - own.stop) // cells
        shifts = [n * cells for n in range(first, first + tile.size // cells + 3)]
    meetings = []
    for shift in shifts:
        start = max(tile.start, own.start + shift)
        stop = min(tile.stop, own.stop + shift)
        if start < stop:
            to = slice(start - tile.start, stop - tile.start)
            from_ = start - shift - own.start
            meetings.append((to, slice(from_, from_ + stop - start)))
    return meetings


def _part(
    kind: str, axis: int, start: int, size: int, frame: coords.Frame
) -> Float[np.ndarray, "n c"]:
    """The row part or the column part of coordinates."""
    run = (start, size, 0, 1) if axis == 0 else (0, 1, start, size)
    return coords.world_coords(kind, *run, frame)[axis]


def _bent(
    here: Float[np.ndarray, "h w c"],
    world: Float[np.ndarray, "n c"],
    own: Float[np.ndarray, "n c"],
    world_middle: Float[np.ndarray, "1 c"],
    own_middle: Float[np.ndarray, "1 c"],
    share: Float[np.ndarray, "h w 1"],
    axis: int,
) -> Float[np.ndarray, "h w c"]:
    """One axis's coordinates, moved by a share of the way from one part to another.

    A height is moved along a line. A phase is turned, by as much as in the placement's
    middle and the little that it differs elsewhere, so that no place turns back.
    """
    if np.array_equal(world, own):
        return here
    if world.shape[1] == 1:
        way = np.expand_dims(own - world, 1 - axis)
        return (here + share * way).astype(np.float32)

    def angle(part: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
        return np.arctan2(part[:, 1], part[:, 0]).astype(float)

    def wrapped(turn: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return (turn + np.pi) % (2 * np.pi) - np.pi

    turn = wrapped(angle(own_middle) - angle(world_middle))
    turn = turn + wrapped(angle(own) - angle(world) - turn)
    turn = share[..., 0] * np.expand_dims(turn, 1 - axis)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = [
        here[..., 0] * cos - here[..., 1] * sin,
        here[..., 0] * sin + here[..., 1] * cos,
    ]
    return np.stack(turned, axis=-1).astype(np.float32)


class Overlay(NamedTuple):
    """Known pixels, and what is added to painted ones around them so that they meet.

    Attributes:
      top, left: world row and column, of the level that it is for.
      colours: of known pixels, times their share.
      share: of each pixel that is known.
      correction: added to the rest.
    """

    top: int
    left: int
    colours: Float[np.ndarray, "h w 3"]
    share: Float[np.ndarray, "h w 1"]
    correction: Float[np.ndarray, "h w 3"]

    @classmethod
    def around(
        cls,
        known: Known,
        top: int,
        left: int,
        painted: UInt8[np.ndarray, "H W 3"],
        ring: int,
    ) -> "Overlay":
        """The overlay of known pixels on what was painted there.

        The difference at the rim of the known pixels is spread around them like a
        membrane, down to nothing ``ring`` pixels away (Laplace's equation), so that
        colours continue across the rim.

        Args:
          known: pixels.
          top: world row of their first.
          left: world column of it.
          painted: what is painted there, and ``ring`` pixels around.
          ring: pixels.
        """
        pads = [(ring, ring), (ring, ring)]
        mask = np.pad(known.mask, pads)
        image = np.pad(known.image, [*pads, (0, 0)]).astype(np.float32)
        fixed = mask.copy()
        fixed[[0, -1]] = fixed[:, [0, -1]] = True
        difference = np.where(mask[..., None], image - painted, 0)
        correction = membrane(difference.astype(np.float32), fixed)
        share = mask[..., None].astype(np.float32)
        return cls(top - ring, left - ring, image * share, share, correction)

    def reduced(self, level: int) -> "Overlay":
        """The overlay for a picture of 1 / 2**level of the size."""
        if not level:
            return self
        square = 2**level
        height, width = self.share.shape[:2]
        before = self.top % square, self.left % square
        after = -(before[0] + height) % square, -(before[1] + width) % square
        pads = [(before[0], after[0]), (before[1], after[1]), (0, 0)]

        def mean(array: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
            padded = np.pad(array, pads)
            shape = (padded.shape[0] // square, square, -1, square, array.shape[2])
            return padded.reshape(shape).mean((1, 3))

        return Overlay(
            (self.top - before[0]) >> level,
            (self.left - before[1]) >> level,
            *(mean(array) for array in self[2:]),
        )

    def put(
        self,
        pixels: UInt8[np.ndarray, "h w 3"],
        top: int,
        left: int,
        periods: Sequence[int | None],
    ) -> None:
        """Lays it over the part of a picture that starts at ``top, left``; in place."""
        runs = [
            _meetings(Span(start, size, 0), Span(own, number, 0), period)
            for start, size, own, number, period in zip(
                *((top, left), pixels.shape, (self.top, self.left)),
                *(self.share.shape, periods),
                strict=False,
            )
        ]
        for to_rows, rows in runs[0]:
            for to_cols, cols in runs[1]:
                part = pixels[to_rows, to_cols].astype(np.float32)
                part = np.clip(part + self.correction[rows, cols], 0, 255)
                part = part * (1 - self.share[rows, cols]) + self.colours[rows, cols]
                pixels[to_rows, to_cols] = np.clip(np.rint(part), 0, 255)


def membrane(
    values: Float[np.ndarray, "h w c"], fixed: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w c"]:
    """Solves Laplace's equation between fixed values: coarse grids first.

    Args:
      values: where fixed, those; elsewhere ignored.
      fixed: which are; all of the border.

    Returns:
      Values that are the mean of their neighbours wherever they are not fixed, nearly.
    """
    height, width = fixed.shape
    start = np.where(fixed[..., None], values, 0)
    if min(height, width) > 8:
        pads = [(0, height % 2), (0, width % 2)]
        count = np.pad(fixed, pads).astype(np.float32)
        total = np.pad(start, [*pads, (0, 0)])
        shape = (count.shape[0] // 2, 2, count.shape[1] // 2, 2)
        count = count.reshape(shape).sum((1, 3))
        total = total.reshape(*shape, -1).sum((1, 3))
        coarse_fixed = count > 0
        # Where the rim of what is known passes, the coarse grid keeps its value.
        coarse_fixed[[0, -1]] = coarse_fixed[:, [0, -1]] = True
        coarse = membrane(total / np.maximum(count, 1)[..., None], coarse_fixed)
        fine = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:height, :width]
        start = np.where(fixed[..., None], values, fine)
    free = ~fixed[1:-1, 1:-1, None]
    for _ in range(_SWEEPS):
        mean = start[:-2, 1:-1] + start[2:, 1:-1] + start[1:-1, :-2] + start[1:-1, 2:]
        inner = start[1:-1, 1:-1]
        np.copyto(inner, mean / 4, where=free)
    return start


def ring_of(height: int, width: int) -> int:
    """Pixels around a picture of a size over which painted ones are corrected."""
    return int(np.clip(min(height, width) // 4, 8, 128))
