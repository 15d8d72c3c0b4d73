"""What the writers of tiled pictures share: tiles, smaller copies, going on, shards."""

import abc
import concurrent.futures
import functools
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from infinitygan_jax.sampling.plan import Window, readable_bytes
from infinitygan_jax.sampling.writers.base import Writer
from infinitygan_jax.sampling.writers.job import Job, arguments_of

TILE = 512  # pixels a side
BLOCK = 8  # tiles of a row that are kept and halved together


class PyramidWriter(Writer):
    """Writes one RGB picture as tiles of 512 px, and copies of half the size each.

    Level 0 is the picture, and each pixel of a level the mean of 2 x 2 of the one below
    (edges repeated). Tiles are kept in a `Job` while strips arrive, the smaller copies
    are made beside them, and what a kill has left out of those at the end. Memory is
    that of some rows of tiles.

    A subclass says how a tile is kept and read, and puts the picture together.

    Attributes:
      on_copies: called with the number of tiles of smaller copies that are there, while
        `close` looks for those that are not.
      num_copies: tiles of smaller copies in all.
      is_shard: whether others paint the rest, and `close` looks for no copies.
    """

    on_copies: Callable[[int], object] = staticmethod(lambda number: None)

    max_side = 2**31 - 1
    resumable = True
    form: str  # of the job: changes where an unfinished job of before is of no use
    smallest = TILE  # longest side of the last level, at most

    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
        shard: tuple[int, int] | None = None,
        finish: bool = False,
        part_width: int | None = None,
    ):
        """Opens the job, or goes on with it.

        Args:
          path: where the picture shall be.
          height: its rows in all.
          width: its columns.
          metadata: texts by keyword.
          overwrite: throw an unfinished job of other arguments away.
          shard: (index, number) of this process, where each of several paints its
            part of the tiles; the picture is then put together by ``finish``.
          finish: nothing is painted; the shards are put together.
          part_width: what is missing is asked for in parts of one row of tiles and at
            most so many columns, a multiple of ``BLOCK * TILE``; otherwise in parts as
            large as can be, for worlds whose tiles lie across those of the picture.

        Raises:
          ValueError: there is an unfinished job of another picture under this name,
            another process works on it, or shards are missing that are to be put
            together.
          OSError: the job cannot be written.
        """
        super().__init__(path, height, width, metadata, overwrite)
        self._texts = dict(metadata or {})
        self._sizes = level_sizes(height, width, self.smallest)
        self._last = len(self._sizes) - 1
        self.num_copies = sum(math.prod(grid(size)) for size in self._sizes[1:])
        num_shards = _begun_shards(self.path) if finish else shard[1] if shard else 1
        # What the command says, the rest says too.
        arguments = {k: v for k, v in self._texts.items() if k != "Command"} | {
            "Width": str(width),
            "Height": str(height),
            "Format": self.form,
            "Shards": str(num_shards) if shard or finish else "none",
        }
        index = shard[0] if shard else None
        throw_away = None if finish else overwrite
        outputs = self.outputs(self.path)
        self._job = Job(self.path, outputs, arguments, throw_away, index)
        self._is_open, self.is_shard = False, index is not None
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "tiles")
        self._keeper = concurrent.futures.ThreadPoolExecutor(1, "rows")
        self._pending: concurrent.futures.Future | None = None
        self._waiting: list[np.ndarray] = []
        # Of each level: a pair of rows, and halves of its blocks by row and number.
        self._halves: dict[int, tuple[int, dict[tuple[int, int], np.ndarray]]] = {}
        self._part_width = part_width
        try:
            if self._job.publishing:
                self._start([])
                return
            self._open()
            self._is_open = True
            if finish:
                self._check_shards(num_shards)
            tiles = shard_range(grid(self._sizes[0]), shard or (0, 1))
            self.num_pixels = _pixels(self._windows([tiles]))
            self._start([] if finish else self._windows(self._missing(tiles)))
            self._check_disk()
        except BaseException:
            self.abort()
            raise

    @staticmethod
    def host_bytes(width: int, part_width: int | None = None) -> int:
        """Rows of tiles (waiting, put together, being encoded), and halves of a row."""
        part = min(width, part_width or width)
        # A row's halves at every level, each half as wide as the last.
        return 5 * TILE * part * 3 + TILE // 2 * width * 3

    # What a format adds.

    @abc.abstractmethod
    def _open(self) -> None:
        """Prepares the job's folder; called once."""

    @abc.abstractmethod
    def _tile(self, level: int, row: int, col: int, pixels: np.ndarray) -> Any:
        """Keeps a tile, or encodes it for `_keep_block`; called in several threads."""

    def _keep_block(self, level: int, row: int, col: int, tiles: list[Any]) -> None:
        """Keeps what `_tile` gave for up to ``BLOCK`` tiles of a row, from a column on.

        Where a format needs it: then all writers give it the same blocks.
        """

    @abc.abstractmethod
    def _has(self, level: int, row: int, col: int) -> bool:
        """Whether a tile is kept."""

    @abc.abstractmethod
    def _read(self, level: int, row: int, col: int) -> np.ndarray:
        """Pixels of a kept tile, without what lies beyond the picture.

        Raises:
          ValueError: it was damaged since it was kept.
        """

    @abc.abstractmethod
    def _put_together(self) -> None:
        """Makes the picture's files in the job, from all tiles of all levels."""

    # Strips to tiles.

    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows of what is missing; see `Writer`."""
        top, left = self._take(strip)
        self._waiting.append(strip)
        bottom = top + len(strip)
        start = bottom - sum(map(len, self._waiting))
        ends = self._row == 0  # the part does, with this strip
        while bottom - start >= TILE or (ends and bottom > start):
            rows = self._waiting
            rows = rows[0] if len(rows) == 1 else np.concatenate(rows)
            start_next = min(start + TILE, bottom)
            self._waiting = [rows[TILE:]] if start_next < bottom else []
            self._send(start // TILE, left // TILE, rows[:TILE])
            start = start_next

    def _send(self, row: int, col: int, pixels: np.ndarray) -> None:
        """Keeps one row of tiles while the next is painted."""
        self._wait()
        self._pending = self._keeper.submit(self._keep, row, col, pixels)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None  # not before: an interrupt here must not lose the row

    def _keep(self, row: int, col: int, pixels: np.ndarray) -> None:
        """Keeps tiles of one row of the picture, and the copies that they complete."""
        stop = col + -(-pixels.shape[1] // TILE)
        first = col
        while first < stop:
            end = min(stop, (first // BLOCK + 1) * BLOCK)
            part = pixels[:, (first - col) * TILE : (end - col) * TILE]
            work: tuple[int, int, int, np.ndarray] | None = 0, row, first, part
            while work is not None:  # not recursion, which would hold every level
                work = self._keep_part(*work)
            first = end

    def _keep_part(
        self, level: int, row: int, col: int, pixels: np.ndarray
    ) -> tuple[int, int, int, np.ndarray] | None:
        """Keeps one block, or what a shard has of it.

        Returns:
          The block of the level above that it completes, if it does.
        """
        tiles = [
            self._pool.submit(
                self._tile, level, row, col + x // TILE, pixels[:, x : x + TILE]
            )
            for x in range(0, pixels.shape[1], TILE)
        ]
        half = None
        if level < self._last and self._is_of_use(level, row, col, pixels.shape[1]):
            half = self._pool.submit(halved, pixels)
        self._keep_block(level, row, col, [tile.result() for tile in tiles])
        if half is None:
            return None
        self._halves[level][1][row, col // BLOCK] = half.result()
        return self._above(level, row // 2, col // BLOCK // 2)

    def _is_of_use(self, level: int, row: int, col: int, width: int) -> bool:
        """Whether what comes will complete a block above with the half of this one.

        It will not where a former run or another shard kept the rest of what the block
        shows; `_complete` makes good for that, and no memory is held.
        """
        pair, halves = self._halves.get(level, (None, {}))
        if pair != row // 2:  # nothing more comes to the former, or not all of it
            halves = {}
            self._halves[level] = row // 2, halves
        whole = min(BLOCK * TILE, self._sizes[level][1] - col * TILE)
        if col % BLOCK or width < whole:
            return False
        return row % 2 == 0 or (row - 1, col // BLOCK) in halves

    def _above(
        self, level: int, row: int, block: int
    ) -> tuple[int, int, int, np.ndarray] | None:
        """A block of the level above, where all of what it shows is at hand."""
        rows, cols = grid(self._sizes[level])
        blocks = -(-cols // BLOCK)
        halves = self._halves[level][1]
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

    # The end.

    def close(self) -> None:
        """Makes what is missing of the smaller copies, and names the picture.

        Of a shard, nothing but its tiles is kept.
        """
        self._is_closed = True
        try:
            self._check_whole()
            self._wait()
            if self.is_shard:
                self._job.check_there()
            else:
                if not self._job.publishing:
                    for level in range(1, len(self._sizes)):
                        self._complete(level)
                    self._put_together()
                self._job.publish(self._overwrite)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stops; what is finished stays in the job, for the same command again."""
        pending, self._pending = self._pending, None
        if pending is not None:  # a row that only has to be encoded is worth keeping
            concurrent.futures.wait([pending])
        self._keeper.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        # Without the first tile little is done.
        self._job.close(keep=self._is_open and self._has(0, 0, 0))

    def _complete(self, level: int) -> None:
        """Makes the tiles of a level that are not there, from the level below."""
        rows, cols = grid(self._sizes[level])
        for row in range(rows):
            for first in range(0, cols, BLOCK):
                missing = range(first, min(first + BLOCK, cols))
                if not all(self._has(level, row, col) for col in missing):
                    jobs = [
                        self._pool.submit(self._reduce, level, row, col)
                        for col in missing
                    ]
                    tiles = [job.result() for job in jobs]
                    self._keep_block(level, row, first, tiles)
                self.on_copies(len(missing))

    def _reduce(self, level: int, row: int, col: int) -> Any:
        below = grid(self._sizes[level - 1])
        square = [
            np.concatenate(
                [
                    self._read(level - 1, r, c)
                    for c in range(2 * col, min(2 * col + 2, below[1]))
                ],
                axis=1,
            )
            for r in range(2 * row, min(2 * row + 2, below[0]))
        ]
        return self._tile(level, row, col, halved(np.concatenate(square)))

    # What is missing.

    def _missing(self, tiles: tuple[int, int]) -> list[tuple[int, int]]:
        """The runs of tiles of a run, counted by rows, that are not kept yet."""
        cols = grid(self._sizes[0])[1]
        runs: list[tuple[int, int]] = []
        for tile in range(*tiles):
            if self._has(0, *divmod(tile, cols)):
                continue
            if runs and runs[-1][1] == tile:
                runs[-1] = runs[-1][0], tile + 1
            else:
                runs.append((tile, tile + 1))
        return runs

    def _windows(self, runs: list[tuple[int, int]]) -> list[Window]:
        """The picture's rectangles of some runs of tiles."""
        height, width = self._size
        cols = grid(self._sizes[0])[1]
        windows = []
        for tiles in [each for run in runs for each in rectangles(*run, cols)]:
            top, left, bottom, right = (TILE * each for each in tiles)
            bottom, right = min(bottom, height), min(right, width)
            tall = wide = None
            if self._part_width is not None:
                tall, wide = TILE, self._part_width
            for y in range(top, bottom, tall or bottom - top):
                x = left
                while x < right:
                    # Cut where blocks end, wherever the run begins.
                    end = min((x // wide + 1) * wide, right) if wide else right
                    windows.append(
                        Window(y, x, min(tall or bottom, bottom - y), end - x)
                    )
                    x = end
        if self._part_width is not None:
            windows.sort(key=_nested)
        return windows

    def _check_disk(self) -> None:
        """Checks that there is room for what is missing, as far as can be known.

        Raises:
          ValueError: there is not.
        """
        most = self.max_bytes(*self._size)
        need = most * _pixels(self.parts) // math.prod(self._size)
        free = shutil.disk_usage(self._job.folder).free
        if need > free:
            raise ValueError(
                f"what is missing of the picture may need {readable_bytes(need)} and "
                f"{self._job.folder} has {readable_bytes(free)} free; free some space, "
                "and the same command goes on"
            )

    def _check_shards(self, number: int) -> None:
        """Checks that every shard is painted.

        Raises:
          ValueError: the message names those that are not.
        """
        rows, cols = grid(self._sizes[0])
        missing = []
        for index in range(number):
            tiles = range(*shard_range((rows, cols), (index, number)))
            there = sum(self._has(0, *divmod(tile, cols)) for tile in tiles)
            if there < len(tiles):
                missing.append(f"{index} has {there} of {len(tiles)} files")
        if missing:
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            raise ValueError(
                f"every shard must be painted before --finish, and {len(missing)} of "
                f"{number} are not ({'; '.join(missing[:8])}{more}); run those again "
                "with --shard"
            )


def _begun_shards(path: pathlib.Path) -> int:
    """Number of shards of an unfinished job.

    Raises:
      ValueError: there is no such job.
    """
    number = arguments_of(path).get("Shards", "")
    if number == "none":
        raise ValueError(
            f"--finish puts together what was painted with --shard, and the job of "
            f"{path} was begun without; give the command again without --finish"
        )
    if not number.isdecimal():
        raise ValueError(
            f"--finish puts together what was painted with --shard, and {path} has no "
            "unfinished job; run the shards first"
        )
    return int(number)


def level_sizes(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """Rows and columns of every level, the last of at most ``smallest`` a side."""
    sizes = [(height, width)]
    while max(sizes[-1]) > smallest:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return sizes


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


def _pixels(windows: Iterable[Window]) -> int:
    return sum(window.height * window.width for window in windows)


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


def halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, rounded half up; of an odd side's last, with itself."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        edge = [(0, height % 2), (0, width % 2), (0, 0)]
        pixels = np.pad(pixels, edge, mode="edge")
    corners = (pixels[a::2, b::2] for a in (0, 1) for b in (0, 1))
    total = functools.reduce(functools.partial(np.add, dtype=np.uint16), corners)
    return ((total + 2) >> 2).astype(np.uint8)


def bytes_of_levels(height: int, width: int, smallest: int) -> tuple[int, int]:
    """Bytes of all tiles of all levels before they are shrunk, and their number."""
    grids = [grid(size) for size in level_sizes(height, width, smallest)]
    number = sum(rows * cols for rows, cols in grids)
    return number * 3 * TILE**2, number
