"""Windows painted from the top, one row of tiles at a time, devices always ahead."""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import devices as device_lib
from infinitygan_jax import machine
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling.enlarging import EnlargingPainter
from infinitygan_jax.sampling.overlays import Ahead, Awaited, Overlays, Painting
from infinitygan_jax.sampling.painter import Painter
from infinitygan_jax.sampling.plan import Plan, Tile, Window
from infinitygan_jax.sampling.setup import Setup

_TILES_PER_GIVING = 16  # of which clearing pages anew takes a hundredth

_Begun = concurrent.futures.Future[tuple[Any, ...]]

_ready = itertools.count()  # tiles of all worlds that became ready


def paint_strips(
    painter: Painter | EnlargingPainter,
    overlays: Overlays,
    windows: Iterable[Window],
    on_tiles: Callable[[int], Any] | None = None,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Paints windows; see ``World.strips``.

    Args:
      painter: of a world.
      overlays: of the same.
      windows: of the picture, one after the other.
      on_tiles: called with the number of tiles that can be shown now.

    Yields:
      Strips of the full width of their window, in order.
    """
    setup = painter.setup
    ahead = Ahead(setup.tile_size)
    needed = (
        _Needed(place, *overlays.needed(place.tile, place.part, ahead))
        for place in _places(setup, windows)
    )
    for num_painted, shown in _painted(painter, needed):
        _give_back_after(num_painted)
        if on_tiles is not None:
            on_tiles(len(shown))
        overlays.measure((each for needed in shown for each in needed.over), ahead)
        for place, _, painting, over in shown:
            _put(place, overlays.over(painting, over))
            if place.is_last:
                yield place.strip


def _places(setup: Setup, windows: Iterable[Window]) -> Iterator["_Place"]:
    """Every tile of some windows, and where it belongs."""
    for window in windows:
        for row in setup.pieces(window):
            plans = [setup.plan(piece) for piece in row]
            for tile_row in plans[0].tile_rows:
                top, bottom = plans[0].strip_rows(tile_row)
                strip = np.empty((bottom - top, window.width, 3), np.uint8)
                left = 0
                for plan in plans:
                    right = left + plan.window.width
                    for col in plan.tile_cols:
                        is_last = (col + 1, right) == (
                            plan.tile_cols.stop,
                            window.width,
                        )
                        tile = Tile(tile_row, col)
                        yield _Place(tile, plan, strip, left, is_last)
                    left = right


def _painted(
    painter: Painter | EnlargingPainter, needed: Iterable["_Needed"]
) -> Iterator[tuple[int, list["_Needed"]]]:
    """How many tiles were painted, and what can be shown now; in order.

    The next tiles are under way when some are handed out.
    """
    setup = painter.setup
    num_devices, batch_size = len(setup.devices), None
    ahead: collections.deque[tuple[list[Painting], list[_Needed], _Begun]] = (
        collections.deque()
    )
    try:
        for paintings, shown in _steps(needed, num_devices * setup.batch_size):
            if batch_size is None:
                # A short first step is the only one, and its batches may be smaller. A
                # short last one is filled: another shape would be compiled for it.
                batch_size = costs.batch_for(
                    len(paintings), num_devices, setup.batch_size
                )
            wanted = [painting.tile for painting in paintings]
            wanted += wanted[-1:] * (num_devices * batch_size - len(wanted))
            both = setup.averaged > 0 and any(each.both for each in paintings)
            begun = device_lib.begin(painter.step(wanted, both), setup.devices)
            ahead.append((paintings, shown, begun))
            if len(ahead) > device_lib.steps_at_once(setup.devices):
                yield _fetched(*ahead.popleft())
        while ahead:
            yield _fetched(*ahead.popleft())
    finally:  # whoever reads may stop early
        for _, _, begun in ahead:
            begun.cancel()


class _Place(NamedTuple):
    """Where a tile belongs.

    Attributes:
      tile: of the lattice.
      plan: of the piece of a window that it is painted for.
      strip: rows of the window that it is a part of.
      left: column of the strip where the piece begins.
      is_last: whether the strip is finished with it.
    """

    tile: Tile
    plan: Plan
    strip: UInt8[np.ndarray, "h w 3"]
    left: int
    is_last: bool

    @property
    def part(self) -> Window:
        """What of the tile is shown, in pixels as painted."""
        (top, bottom), (left, right) = (
            self.plan.strip_rows(self.tile.row),
            self.plan.strip_cols(self.tile.col),
        )
        level = self.plan.level
        sides = top, left, bottom - top, right - left
        return Window(*(side << level for side in sides))

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the tile's first pixel, in the picture's world."""
        size = self.plan.tile_pixels
        return self.tile.row * size, self.tile.col * size


class _Needed(NamedTuple):
    """A tile at its place, and what is needed to show it.

    Attributes:
      place: where it belongs.
      missing: what is painted for it and for nothing before it, in order.
      painting: the tile, among these or before.
      over: what lies over it.
    """

    place: _Place
    missing: list[Painting]
    painting: Painting
    over: list[Awaited]


def _steps(
    needed: Iterable[_Needed], size: int
) -> Iterator[tuple[list[Painting], list[_Needed]]]:
    """What is painted at once, so many but for the last, and what it is enough for."""
    paintings: list[Painting] = []
    shown: list[_Needed] = []
    for each in needed:
        for painting in each.missing:
            if len(paintings) == size:
                yield paintings, shown
                paintings, shown = [], []
            paintings.append(painting)
        shown.append(each)
    if paintings:
        yield paintings, shown


def _fetched(
    paintings: list[Painting], shown: list[_Needed], begun: _Begun
) -> tuple[int, list[_Needed]]:
    """Waits for tiles, as shown, and whole if one needs it; see ``_painted``."""
    arrays = map(np.asarray, begun.result())
    for painting, *both in zip(paintings, *arrays, strict=False):  # fillers dropped
        if painting.is_ahead:  # may wait for long, and not keep what came with it
            both = [each.copy() for each in both]
        painting.shown, painting.whole = both[0], both[-1]
    return len(paintings), shown


def _put(place: _Place, pixels: UInt8[np.ndarray, "t t 3"]) -> None:
    """Copies the part of a tile that lies in its window into its strip."""
    plan, tile = place.plan, place.tile
    top, bottom = plan.strip_rows(tile.row)
    left, right = plan.strip_cols(tile.col)
    row, col = place.corner
    start = place.left + left - plan.window.left
    place.strip[:, start : start + right - left] = pixels[
        top - row : bottom - row, left - col : right - col
    ]


def _give_back_after(num_tiles: int) -> None:
    """Gives freed memory back every so many tiles, whatever they are painted for."""
    for _ in range(num_tiles):
        if next(_ready) % _TILES_PER_GIVING == _TILES_PER_GIVING - 1:
            machine.give_back()
