"""Tiles, levels and shards of a picture: which there are, and where. Integers only."""

from collections.abc import Iterable

from infinitygan_jax.sampling.plan import Window

TILE = 512  # pixels a side
BLOCK = 8  # tiles of a row that are kept and halved together


def level_sizes(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """Rows and columns of every level, the last of at most ``smallest`` a side."""
    sizes = [(height, width)]
    while max(sizes[-1]) > smallest:
        rows, cols = sizes[-1]
        sizes.append((-(-rows // 2), -(-cols // 2)))
    return sizes


def grid(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles."""
    return -(-size[0] // TILE), -(-size[1] // TILE)


def shard_range(tiles: tuple[int, int], shard: tuple[int, int]) -> tuple[int, int]:
    """First and last (excluded) of all tiles, counted by rows, that a shard paints.

    Where there are rows enough, shards are whole rows, and as many of 8, 4 or 2 rows
    together as does not make the largest shard 10% larger than the mean: of those a
    shard makes the smaller copies itself.

    Args:
      tiles: rows and columns of tiles.
      shard: index and number of shards.
    """
    (rows, cols), (index, number) = tiles, shard
    mean = rows / number
    for group in (8, 4, 2, 1):
        groups = -(-rows // group)
        if -(-groups // number) * group <= 1.1 * mean:
            bounds = (groups * each // number * group for each in (index, index + 1))
            first, stop = (min(rows, bound) * cols for bound in bounds)
            return first, stop
    return rows * cols * index // number, rows * cols * (index + 1) // number


def rectangles(first: int, stop: int, cols: int) -> list[tuple[int, int, int, int]]:
    """A run of tiles, counted by rows, as at most three rectangles.

    Returns:
      (top, left, bottom, right) in tiles, half-open, in the order of the run.
    """
    found = []
    while first < stop:
        row, col = divmod(first, cols)
        if col or stop - first < cols:
            end = min(stop, (row + 1) * cols)
            found.append((row, col, row + 1, col + end - first))
        else:
            end = stop // cols * cols
            found.append((row, 0, end // cols, cols))
        first = end
    return found


def runs_of(tiles: Iterable[int]) -> list[tuple[int, int]]:
    """Rising numbers as runs without gaps, half-open."""
    runs: list[tuple[int, int]] = []
    for tile in tiles:
        if runs and runs[-1][1] == tile:
            runs[-1] = runs[-1][0], tile + 1
        else:
            runs.append((tile, tile + 1))
    return runs


def windows_of(
    runs: Iterable[tuple[int, int]], size: tuple[int, int], part_width: int | None
) -> list[Window]:
    """The picture's rectangles of some runs of tiles.

    Args:
      runs: of tiles of level 0, counted by rows, half-open.
      size: rows and columns of the picture.
      part_width: most columns of a rectangle, which is then one row of tiles high; None
        for rectangles as large as can be.
    """
    height, width = size
    cols = grid(size)[1]
    windows = []
    for tiles in [each for run in runs for each in rectangles(*run, cols)]:
        top, left, bottom, right = (TILE * each for each in tiles)
        bottom, right = min(bottom, height), min(right, width)
        if part_width is None:
            windows.append(Window(top, left, bottom - top, right - left))
            continue
        for y in range(top, bottom, TILE):
            x = left
            while x < right:
                # Cut where blocks end, wherever the run begins.
                end = min((x // part_width + 1) * part_width, right)
                windows.append(Window(y, x, min(TILE, bottom - y), end - x))
                x = end
    if part_width is not None:
        windows.sort(key=_nested)
    return windows


def num_pixels(windows: Iterable[Window]) -> int:
    """Pixels of some windows in all."""
    return sum(window.height * window.width for window in windows)


def _nested(window: Window) -> tuple[int, int, int]:
    """Key of an order of blocks in which smaller copies are complete soon.

    Two by two blocks, two by two of those, and so for three levels; whole rows of
    blocks would keep halves of the picture's full width waiting.
    """
    row, block = window.top // TILE, window.left // (BLOCK * TILE)
    code = sum(
        (row >> bit & 1) << 2 * bit + 1 | (block >> bit & 1) << 2 * bit
        for bit in range(3)
    )
    return row // 8, block // 8, code
