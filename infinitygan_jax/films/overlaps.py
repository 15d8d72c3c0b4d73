"""Windows that overlap, one after the other: what they share is painted once."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.cache import Cache
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.whole_tiles import cut_out, paint_tiles
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
    # What has to be painted follows from the windows alone, so that devices can be
    # ahead of what is asked for.
    painted = paint_tiles(world, _missing(world, windows, kept_bytes), size)
    kept: Cache[Tile, UInt8[np.ndarray, "t t 3"]] = Cache(kept_bytes)
    for window in windows:
        tiles = {}
        for tile in world.plan(window).tiles():
            pixels = kept.get(tile)
            if pixels is None:
                pixels = next(painted)
                kept.put(tile, pixels, pixels.nbytes)
            tiles[tile] = pixels
        kept.shrink(len(tiles))
        yield cut_out(window, tiles, size)


def _missing(
    world: World, windows: Iterable[Window], kept_bytes: int
) -> Iterator[Tile]:
    """Tiles in the order in which ``read_windows`` does not have them."""
    kept: Cache[Tile, Tile] = Cache(kept_bytes)
    for window in windows:
        plan = world.plan(window)
        for tile in plan.tiles():
            if kept.get(tile) is None:
                kept.put(tile, tile, 3 * plan.tile_pixels**2)
                yield tile
        kept.shrink(plan.num_tiles)
