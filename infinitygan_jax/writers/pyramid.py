"""What the writers of tiled pictures share: tiles, smaller copies, going on, shards."""

import abc
import concurrent.futures
import contextlib
import math
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from infinitygan_jax import machine
from infinitygan_jax.messages import UserError
from infinitygan_jax.writers.base import Writer, check_room
from infinitygan_jax.writers.copies import Halves, halved
from infinitygan_jax.writers.job import (
    Job,
    arguments_of,
    disk_bytes,
    is_open,
    is_other,
    is_publishing,
)
from infinitygan_jax.writers.layout import (
    BLOCK,
    TILE,
    grid,
    level_sizes,
    num_pixels,
    runs_of,
    shard_range,
    windows_of,
)
from infinitygan_jax.writers.target import Target


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
    end_bytes: int  # that the end writes beside tiles, at most

    def __init__(
        self,
        target: Target,
        shard: tuple[int, int] | None = None,
        finish: bool = False,
        part_width: int | None = None,
    ):
        """Opens the job, or goes on with it.

        Args:
          target: the picture.
          shard: (index, number) of this process, where each of several paints its
            part of the tiles; the picture is then put together by ``finish``.
          finish: nothing is painted; the shards are put together.
          part_width: what is missing is asked for in parts of one row of tiles and at
            most so many columns, a multiple of ``BLOCK * TILE``; otherwise in parts as
            large as can be, for worlds whose tiles lie across those of the picture.

        Raises:
          ValueError: there is an unfinished job of another picture under this name,
            another process works on it, shards are missing that are to be put
            together, or the disk has too little room.
          OSError: the job cannot be written.
        """
        # First: what is refused must not leave a job in others' way.
        self.check_disk(target, shard, finish)
        super().__init__(target)
        self._texts = dict(target.texts)
        self._sizes = level_sizes(*target.size, self.smallest)
        self._last = len(self._sizes) - 1
        self.num_copies = sum(math.prod(grid(size)) for size in self._sizes[1:])
        num_shards = _shards_of(self.path, shard, finish)
        arguments = self.arguments(target, num_shards)
        index = shard[0] if shard else None
        throw_away = None if finish else target.overwrite
        outputs = self.outputs(self.path)
        self._job = Job(self.path, outputs, arguments, throw_away, index)
        self.is_shard = index is not None
        self._has_tiles = False  # worth going on from
        self._pool = concurrent.futures.ThreadPoolExecutor(machine.num_cores(), "tiles")
        self._keeper = concurrent.futures.ThreadPoolExecutor(1, "rows")
        self._pending: concurrent.futures.Future[None] | None = None
        self._halves = Halves(self._sizes)
        try:
            if self._job.publishing:
                self._start([])
                return
            self._open()
            if finish:
                assert num_shards is not None
                self._check_shards(num_shards)
            tiles = shard_range(grid(self._size), shard or (0, 1))
            self.num_pixels = num_pixels(windows_of([tiles], self._size, None))
            runs = [] if finish else self.missing(self.path, self._size, shard)
            self._start(windows_of(runs, self._size, part_width))
            self._has_tiles = runs != [tiles]
        except BaseException:
            self.abort()
            raise

    @classmethod
    def arguments(cls, target: Target, shards: int | None) -> dict[str, str]:
        """What determines a job: see `Job`.

        Args:
          target: the picture.
          shards: into how many it is cut; None where one process paints all of it.
        """
        # What the command says, the rest says too.
        arguments = {k: v for k, v in target.texts.items() if k != "Command"}
        return arguments | {
            "Width": str(target.width),
            "Height": str(target.height),
            "Format": cls.form,
            "Shards": "none" if shards is None else str(shards),
        }

    @staticmethod
    def host_bytes(width: int, part_width: int | None = None) -> int:
        """Rows of tiles (waiting, put together, being encoded), and halves of a row."""
        part = min(width, part_width or width)
        # A row's halves at every level, each half as wide as the last.
        return 5 * TILE * part * 3 + TILE // 2 * width * 3

    @classmethod
    def max_bytes(cls, height: int, width: int) -> int:
        """Bound of all tiles of all levels, and of what comes with them."""
        sizes = level_sizes(height, width, cls.smallest)
        tiles = sum(math.prod(grid(size)) * cls.tile_bytes(size) for size in sizes)
        return tiles + cls.end_bytes

    # What a format adds.

    @staticmethod
    @abc.abstractmethod
    def tile_bytes(size: tuple[int, int]) -> int:
        """What a tile never takes more of the disk than, until the picture is there.

        Args:
          size: rows and columns of its level.
        """

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

    @staticmethod
    @abc.abstractmethod
    def _find(
        path: pathlib.Path, level: int, last: int, rows: range
    ) -> Iterator[tuple[int, int, int]]:
        """Finds the tiles that the job of a picture keeps: row, first and last column.

        Args:
          path: of the picture.
          level: whose tiles.
          last: the highest level.
          rows: of tiles that are asked for; others may come too.

        Raises:
          FileNotFoundError: there are none at all.
        """

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
        left = self.parts[self._part].left if self._part < len(self.parts) else 0
        for row, pixels in self._cut(strip, TILE):
            self._send(row // TILE, left // TILE, pixels)

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
        if level < self._last and self._halves.wants(level, row, col, pixels.shape[1]):
            half = self._pool.submit(halved, pixels)
        self._keep_block(level, row, col, [tile.result() for tile in tiles])
        self._has_tiles = True
        if half is None:
            return None
        block = col // BLOCK
        self._halves.put(level, row, block, half.result())
        return self._halves.block_above(level, row // 2, block // 2)

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
                self._job.publish(self.target.overwrite)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stops; what is finished stays in the job, for the same command again."""
        pending, self._pending = self._pending, None
        if pending is not None:  # a row that only has to be encoded is worth keeping
            concurrent.futures.wait([pending])
        self._keeper.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._job.close(keep=self._has_tiles)

    def _complete(self, level: int) -> None:
        """Makes the tiles of a level that are not there, from the level below."""
        kept = self._kept(self.path, self._size, level)
        rows, cols = kept.shape
        for row in range(rows):
            for first in range(0, cols, BLOCK):
                missing = range(first, min(first + BLOCK, cols))
                if not kept[row, first : first + BLOCK].all():
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

    @classmethod
    def missing(
        cls,
        path: pathlib.Path,
        size: tuple[int, int],
        shard: tuple[int, int] | None = None,
    ) -> list[tuple[int, int]]:
        """The runs of tiles, counted by rows, that the job of a picture has not yet.

        Args:
          path: of the picture.
          size: its rows and columns.
          shard: (index, number), where only its part is asked for.
        """
        rows, cols = grid(size)
        first, stop = shard_range((rows, cols), shard or (0, 1))
        kept = cls._kept(path, size, 0, range(first // cols, -(-stop // cols)))
        tiles = range(first, stop)
        return runs_of(tile for tile in tiles if not kept[divmod(tile, cols)])

    @classmethod
    def _kept(
        cls,
        path: pathlib.Path,
        size: tuple[int, int],
        level: int,
        rows: range | None = None,
    ) -> np.ndarray:
        """Which tiles of a level are kept: bool, (rows, columns) of tiles.

        Folders are listed: a question for each of a million tiles is slow where it goes
        over a network.
        """
        sizes = level_sizes(*size, cls.smallest)
        kept = np.zeros(grid(sizes[level]), bool)
        rows = range(len(kept)) if rows is None else rows
        with contextlib.suppress(FileNotFoundError):  # nothing of this level yet
            for row, first, stop in cls._find(path, level, len(sizes) - 1, rows):
                if row < len(kept):
                    kept[row, first:stop] = True
        return kept

    @classmethod
    def rest_bytes(
        cls, path: pathlib.Path, height: int, width: int, finish: bool = False
    ) -> int:
        """What is still written of a picture that was begun never exceeds this.

        Args:
          path: of the picture.
          height: its rows.
          width: its columns.
          finish: nothing is painted, and only smaller copies are made.
        """
        if is_publishing(path):
            return 0
        rest = cls.end_bytes
        for level, size in enumerate(level_sizes(height, width, cls.smallest)):
            if level or not finish:
                kept = cls._kept(path, (height, width), level)
                rest += int((~kept).sum()) * cls.tile_bytes(size)
        return rest

    @classmethod
    def check_disk(
        cls,
        target: Target,
        shard: tuple[int, int] | None = None,
        finish: bool = False,
    ) -> None:
        """Checks that there is room for what is missing, as far as can be known.

        Shards fill one disk: each asks for what is missing of all of them.

        Args:
          target: the picture.
          shard: (index, number) of this process.
          finish: nothing is painted.

        Raises:
          ValueError: there is not, or there is an unfinished job of other arguments.
        """
        path = target.path
        folder = path.absolute().parent
        need = cls.max_bytes(*target.size)
        what = f"a picture of {target.width}x{target.height}"
        remedy = "free some space or choose another folder with `path`"
        if need <= shutil.disk_usage(folder).free:
            return  # whatever is there, which may be long to list
        if is_open(path):
            shards = _shards_of(path, shard, finish)
            arguments = cls.arguments(target, shards)
            if is_other(path, arguments, None if shard or finish else target.overwrite):
                need -= disk_bytes(path)
                what += ", less the unfinished one that it replaces,"
            elif shard and not cls.missing(path, target.size, shard):
                return  # a scheduler asks again for what is painted
            else:
                need = cls.rest_bytes(path, *target.size, finish)
                what = "what is missing of the picture"
                what += ", in all shards," if shard else ""
                remedy = "free some space, and the same command goes on"
        check_room(folder, need, what, remedy)

    def _check_shards(self, number: int) -> None:
        """Checks that every shard is painted.

        Raises:
          ValueError: the message names those that are not.
        """
        kept = self._kept(self.path, self._size, 0)
        missing = []
        for index in range(number):
            tiles = slice(*shard_range(kept.shape, (index, number)))
            there = kept.ravel()[tiles]
            if not there.all():
                missing.append(f"{index} has {there.sum()} of {there.size} files")
        if missing:
            more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
            raise UserError(
                f"every shard must be painted before `finish`, and {len(missing)} of "
                f"{number} are not ({'; '.join(missing[:8])}{more}); run those again "
                "with `shard`"
            )


def _shards_of(
    path: pathlib.Path, shard: tuple[int, int] | None, finish: bool
) -> int | None:
    """Into how many shards a picture is cut; None where one process paints it all."""
    if finish:
        return begun_shards(path)
    return shard[1] if shard else None


def begun_shards(path: pathlib.Path) -> int:
    """Number of shards of an unfinished job.

    Raises:
      ValueError: there is no such job.
    """
    number = arguments_of(path).get("Shards", "")
    if number == "none":
        raise UserError(
            f"`finish` puts together what was painted with `shard`, and the job of "
            f"{path} was begun without; give the command again without `finish`"
        )
    if not number.isdecimal():
        raise UserError(
            f"`finish` puts together what was painted with `shard`, and {path} has no "
            "unfinished job; run the shards first"
        )
    return int(number)
