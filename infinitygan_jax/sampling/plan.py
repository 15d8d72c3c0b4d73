"""Windows of the world to canonical tiles and batches. Integers, no JAX.

The tile lattice is anchored at world (0, 0) and all tiles have one size, so a tile is
the same computation whatever window asked for it. Tiles are painted in rows of tiles,
from the top and from the left, and one row of tiles makes one strip of the picture.
"""

import dataclasses
import itertools
import operator
from typing import Any, NamedTuple

from infinitygan_jax.config import ModelConfig
from infinitygan_jax.geometry import AxisSpans, tile_spans
from infinitygan_jax.messages import UserError

POSITION_LIMIT = 2**62  # rows and columns of windows lie in [-2**62, 2**62]
SIDE_LIMIT = 2**31 - 1  # pixels a side of a window; PNG's limit too
MAX_TILE = 4096
MAX_ZOOMS = 62  # levels below 0, of which each is twice as large
LEAST_TILE = 64  # below, most work is margins


@dataclasses.dataclass(frozen=True)
class Window:
    """A half-open rectangle of world pixels.

    Attributes:
      top, left: world row and column of the first pixel; any integers.
      height, width: pixels.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name in ("top", "left", "height", "width"):
            # Not NumPy's integers, whose sums overflow far away.
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if min(self.height, self.width) < 1:
            raise UserError(
                f"size ({self.width}x{self.height}, width by height) must be at least "
                "1x1; ask for one pixel or more"
            )
        if max(self.height, self.width) > SIDE_LIMIT:
            raise UserError(
                f"size ({self.width}x{self.height}) must be at most {SIDE_LIMIT} "
                "pixels a side; paint it in parts"
            )
        for name, start, stop in (
            ("rows", self.top, self.bottom),
            ("columns", self.left, self.right),
        ):
            if start < -POSITION_LIMIT or stop > POSITION_LIMIT:
                raise UserError(
                    f"{name} ({start} to {stop}) must lie within -2**62 to 2**62; "
                    "choose an origin nearer to 0"
                )

    @property
    def bottom(self) -> int:
        """World row after the last."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """World column after the last."""
        return self.left + self.width


class Tile(NamedTuple):
    """One tile: rows and columns ``[index * size, (index + 1) * size)``."""

    row: int
    col: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a window is painted.

    Attributes:
      window: what is asked for.
      tile_size: pixels a side of all tiles, as painted.
      num_devices: devices that share each batch.
      batch_size: tiles a device paints at once.
      level: tiles are reduced to 1 / 2**level when they are painted.
    """

    window: Window
    tile_size: int
    num_devices: int = 1
    batch_size: int = 1
    level: int = 0

    @property
    def tile_pixels(self) -> int:
        """Pixels a side that a tile has in the picture."""
        return self.tile_size >> self.level

    @property
    def tile_rows(self) -> range:
        """Lattice rows that the window touches."""
        size = self.tile_pixels
        return range(self.window.top // size, -(-self.window.bottom // size))

    @property
    def tile_cols(self) -> range:
        """Lattice columns that the window touches."""
        size = self.tile_pixels
        return range(self.window.left // size, -(-self.window.right // size))

    @property
    def num_tiles(self) -> int:
        """Tiles that the window touches."""
        return len(self.tile_rows) * len(self.tile_cols)

    def tiles(self) -> list[Tile]:
        """All tiles that the window touches, row by row."""
        places = itertools.product(self.tile_rows, self.tile_cols)
        return list(itertools.starmap(Tile, places))

    @property
    def tiles_per_step(self) -> int:
        """Tiles of one call of the tile function, over all devices."""
        return self.num_devices * self.batch_size

    @property
    def num_steps(self) -> int:
        """Calls of the tile function."""
        return -(-self.num_tiles // self.tiles_per_step)

    def strip_rows(self, tile_row: int) -> tuple[int, int]:
        """World rows of the window in one row of tiles, half-open."""
        top = tile_row * self.tile_pixels
        bottom = min(top + self.tile_pixels, self.window.bottom)
        return max(top, self.window.top), bottom

    def strip_cols(self, tile_col: int) -> tuple[int, int]:
        """World columns of the window in one column of tiles, half-open."""
        left = tile_col * self.tile_pixels
        right = left + self.tile_pixels
        return max(left, self.window.left), min(right, self.window.right)


def whole(name: str, value: Any) -> int:
    """An integer of any kind, NumPy's too, as Python's.

    Raises:
      ValueError: it is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise UserError(
            f"{name} ({value!r}) must be a whole number; round it"
        ) from None


def check_horizon(horizon: int) -> None:
    """Checks that a horizon is at a place that the world has.

    Raises:
      ValueError: it is not.
    """
    if abs(horizon) > POSITION_LIMIT:
        raise UserError(
            f"horizon ({horizon}) must lie within -2**62 to 2**62; choose a row nearer "
            "to 0"
        )


def least_tile_size(model: ModelConfig) -> int:
    """Pixels a side of the smallest tiles that are worth painting."""
    return max(LEAST_TILE, model.cell_size)


def check_tile_size(tile_size: int, model: ModelConfig) -> None:
    """Checks that tiles can have this size.

    Raises:
      ValueError: not a multiple of the pixels of a cell, or out of range; the message
        names the nearest.
    """
    cell = model.cell_size
    if cell <= tile_size <= MAX_TILE and tile_size % cell == 0:
        return
    nearest = min(max((2 * tile_size + cell) // (2 * cell), 1) * cell, MAX_TILE)
    raise UserError(
        f"`tile_size` ({tile_size}) must be a multiple of {cell} pixels, from {cell} "
        f"to {MAX_TILE}; the nearest is {nearest}"
    )


def at_level(position: int, level: int) -> int:
    """A position, or a number, of pixels of level 0 in those of a level, rounded down.

    Of -level, a position of the level in pixels of level 0.
    """
    return position >> level if level >= 0 else position << -level


def check_level(level: int, quick: bool, model: ModelConfig, has_detail: bool) -> None:
    """Checks that a world can be shown at 1 / 2**level of its size.

    Args:
      level: above 0 reduced, below 0 seen closer.
      quick: whether the generator is to stop early.
      model: sizes.
      has_detail: whether there is a detail synthesizer.

    Raises:
      ValueError: it cannot; the message says what can.
    """
    if level < 0:
        if not has_detail:
            raise UserError(
                f"level ({level}) must be at least 0, as this model has no detail "
                "synthesizer, which a closer look needs; use 0, or a model that has one"
            )
        if quick:
            raise UserError(
                f"quick needs a level above 0, and level ({level}) is below; leave "
                "`quick` out"
            )
        if level < -MAX_ZOOMS:
            raise UserError(
                f"level ({level}) must be at least {-MAX_ZOOMS}, as positions end at "
                f"2**62; use {-MAX_ZOOMS}"
            )
        return
    # An unreduced tile is a whole number of cells; what is quick keeps one stage.
    most = model.num_stages - 1 if quick else model.num_stages
    if quick and level == 0:
        remedy = "give `level` 1, or leave `quick` out" if most else "leave `quick` out"
        raise UserError(
            f"quick needs a level above 0 (this model has {most}), as level 0 is not "
            f"zoomed out; {remedy}"
        )
    if not 0 <= level <= most:
        kind = "a quick level" if quick else "a level"
        raise UserError(
            f"level ({level}) must be {kind} of this model, 0 to {most}; the nearest "
            f"is {min(max(level, 0), most)}"
        )


def check_period(name: str, period: int, cell: int) -> None:
    """Checks that a world can repeat after so many pixels.

    Args:
      name: of the period, for messages.
      period: pixels.
      cell: pixels of the model's cell, in the same pixels.

    Raises:
      ValueError: not a whole number of cells, or out of range; the message names the
        nearest.
    """
    if cell <= period <= SIDE_LIMIT and period % cell == 0:
        return
    if cell > SIDE_LIMIT:
        raise UserError(
            f"{name} ({period}) cannot wrap around so near, where the model's cell is "
            f"{cell} pixels, above {SIDE_LIMIT}; use a smaller zoom"
        )
    cells = (2 * period + cell) // (2 * cell)
    nearest = min(max(cells, 1), SIDE_LIMIT // cell) * cell
    raise UserError(
        f"{name} ({period}) must be a multiple of {cell} pixels, the model's cell, to "
        f"wrap around, and at most {SIDE_LIMIT}; the nearest is {nearest}"
    )


def pieces(
    start: int, size: int, first: int, period: int | None
) -> list[tuple[int, int]]:
    """A run of positions as runs of ``[first, first + period)``, in order.

    Args:
      start: first position.
      size: how many.
      first: where the period that is kept begins.
      period: positions after which the world repeats; None where it does not.

    Returns:
      Starts and sizes; the run itself where there is no period.
    """
    if period is None:
        return [(start, size)]
    runs = []
    while size:
        offset = (start - first) % period
        part = min(size, period - offset)
        runs.append((first + offset, part))
        start, size = start + part, size - part
    return runs


def tile_axes(
    tile: Tile, tile_size: int, num_stages: int
) -> tuple[AxisSpans, AxisSpans]:
    """World spans of every field that a tile reads: of its rows and of its columns."""
    cells = tile_size // 2**num_stages
    return (
        tile_spans(tile.row, cells, num_stages),
        tile_spans(tile.col, cells, num_stages),
    )
