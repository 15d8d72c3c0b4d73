"""Smaller copies of what is being painted, made from pixels at hand."""

import functools

import numpy as np

from infinitygan_jax.writers.layout import BLOCK, TILE, grid


class Halves:
    """Halves of blocks, which wait until all are there that a block above shows.

    Blocks come in nested order, so that of each level few wait.

    Attributes:
      sizes: rows and columns of every level.
    """

    def __init__(self, sizes: list[tuple[int, int]]):
        self.sizes = sizes
        # Of each level: a pair of rows, and halves of its blocks by row and number.
        self._waiting: dict[int, tuple[int, dict[tuple[int, int], np.ndarray]]] = {}

    @property
    def nbytes(self) -> int:
        """Of all that wait."""
        return sum(
            half.nbytes for _, of in self._waiting.values() for half in of.values()
        )

    def wants(self, level: int, row: int, col: int, width: int) -> bool:
        """Whether what comes will complete a block above with the half of this one.

        It will not where a former run or another shard kept the rest of what the block
        shows; that is made good for at the end, and no memory is held.

        Args:
          level: of the block.
          row: of tiles.
          col: its first column of tiles.
          width: its pixels.
        """
        pair, halves = self._waiting.get(level, (None, {}))
        if pair != row // 2:  # nothing more comes to the former, or not all of it
            halves = {}
            self._waiting[level] = row // 2, halves
        whole = min(BLOCK * TILE, self.sizes[level][1] - col * TILE)
        if col % BLOCK or width < whole:
            return False
        return row % 2 == 0 or (row - 1, col // BLOCK) in halves

    def put(self, level: int, row: int, block: int, half: np.ndarray) -> None:
        """Keeps the half of a block that `wants` said is wanted."""
        self._waiting[level][1][row, block] = half

    def block_above(
        self, level: int, row: int, block: int
    ) -> tuple[int, int, int, np.ndarray] | None:
        """A block of the level above, where all of what it shows is at hand."""
        rows, cols = grid(self.sizes[level])
        blocks = -(-cols // BLOCK)
        halves = self._waiting[level][1]
        square = [
            [(r, b) for b in (2 * block, 2 * block + 1) if b < blocks]
            for r in (2 * row, 2 * row + 1)
            if r < rows
        ]
        if not all(key in halves for line in square for key in line):
            return None
        parts = [[halves.pop(key) for key in line] for line in square]
        pixels = np.concatenate([np.concatenate(line, axis=1) for line in parts])
        return level + 1, row, block * BLOCK, pixels


def halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, rounded half up; of an odd side's last, with itself."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        edge = [(0, height % 2), (0, width % 2), (0, 0)]
        pixels = np.pad(pixels, edge, mode="edge")
    corners = (pixels[a::2, b::2] for a in (0, 1) for b in (0, 1))
    total = functools.reduce(functools.partial(np.add, dtype=np.uint16), corners)
    return ((total + 2) >> 2).astype(np.uint8)
