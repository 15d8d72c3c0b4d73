"""Windows that overlap, one after the other: what they share is painted once."""

import collections
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.world import World

KEPT_BYTES = 2**28  # of painted tiles


def read_windows(
    world: World, windows: Sequence[Window], kept_bytes: int = KEPT_BYTES
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Reads windows that overlap; what they share is painted once, while it is kept.

    Args:
      world: to read.
      windows: in order.
      kept_bytes: of painted tiles, those used last; or as many as a window needs.

    Yields:
      The windows' pixels, byte for byte as ``world[...]`` gives them.
    """
    size = world.plan(windows[0]).tile_pixels
    most = kept_bytes // (3 * size * size)
    # What has to be painted follows from the windows alone, so that devices can be
    # ahead of what is asked for.
    ahead = _Kept(most)
    wanted = (
        tile for window in windows for tile in ahead.missing(world.plan(window).tiles())
    )
    painted = _paint_tiles(world, wanted, size)
    kept = _Kept(most)
    tiles: dict[Tile, UInt8[np.ndarray, "t t 3"]] = {}
    for window in windows:
        seen = world.plan(window).tiles()
        for tile in kept.missing(seen):
            tiles[tile] = next(painted)
        yield _cut_out(window, tiles, seen, size)
        for tile in [tile for tile in tiles if tile not in kept]:
            del tiles[tile]


class _Kept:
    """Which tiles are kept: those used last, up to a number, or those of one window."""

    def __init__(self, most: int):
        self._most = most
        self._tiles: collections.OrderedDict[Tile, None] = collections.OrderedDict()

    def __contains__(self, tile: Tile) -> bool:
        return tile in self._tiles

    def missing(self, seen: Sequence[Tile]) -> list[Tile]:
        """Those of the tiles that are not kept; now they are, and others may not."""
        missing = []
        for tile in seen:
            if tile not in self._tiles:
                missing.append(tile)
            self._tiles[tile] = None
            self._tiles.move_to_end(tile)
        while len(self._tiles) > max(self._most, len(seen)):
            self._tiles.popitem(last=False)
        return missing


def _paint_tiles(
    world: World, tiles: Iterable[Tile], size: int
) -> Iterator[UInt8[np.ndarray, "t t 3"]]:
    """Whole tiles, in order; with a period, one may be made of several."""
    windows = (Window(t.row * size, t.col * size, size, size) for t in tiles)
    strips: list[UInt8[np.ndarray, "h t 3"]] = []
    for strip in world.strips(windows):
        strips.append(strip)
        if sum(map(len, strips)) == size:
            yield np.concatenate(strips)
            strips = []


def _cut_out(
    window: Window,
    tiles: dict[Tile, UInt8[np.ndarray, "t t 3"]],
    seen: Sequence[Tile],
    size: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """A window from the tiles that it touches."""
    picture = np.empty((window.height, window.width, 3), np.uint8)
    for tile in seen:
        top, left = tile.row * size - window.top, tile.col * size - window.left
        target = picture[max(top, 0) : top + size, max(left, 0) : left + size]
        rows, cols = max(-top, 0), max(-left, 0)
        source = tiles[tile][rows:, cols:]
        target[:] = source[: target.shape[0], : target.shape[1]]
    return picture
