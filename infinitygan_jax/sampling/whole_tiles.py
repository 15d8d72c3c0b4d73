"""Whole tiles of a world, and windows that are cut out of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.sampling.plan import Tile, Window


@runtime_checkable
class Paints(Protocol):
    """What is needed of a world."""

    def strips(self, windows: Iterable[Window]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Paints windows, in strips."""


def paint_tiles(
    world: Paints, tiles: Iterable[Tile], size: int
) -> Iterator[UInt8[np.ndarray, "t t 3"]]:
    """Whole tiles, in order; with a period, one may be made of several.

    Args:
      world: to paint.
      tiles: of its lattice.
      size: pixels a side that a tile has in the picture.
    """
    windows = (Window(t.row * size, t.col * size, size, size) for t in tiles)
    strips: list[UInt8[np.ndarray, "h t 3"]] = []
    for strip in world.strips(windows):
        strips.append(strip)
        if sum(map(len, strips)) == size:
            yield np.concatenate(strips)
            strips = []


def cut_out(
    window: Window,
    tiles: Mapping[Tile, UInt8[np.ndarray, "t t 3"]],
    size: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """A window from the tiles that it touches.

    Args:
      window: of the picture.
      tiles: by their place in the lattice; none that it does not touch.
      size: pixels a side of a tile.
    """
    picture = np.empty((window.height, window.width, 3), np.uint8)
    for tile, pixels in tiles.items():
        top, left = tile.row * size - window.top, tile.col * size - window.left
        target = picture[max(top, 0) : top + size, max(left, 0) : left + size]
        rows, cols = max(-top, 0), max(-left, 0)
        source = pixels[rows:, cols:]
        target[:] = source[: target.shape[0], : target.shape[1]]
    return picture
