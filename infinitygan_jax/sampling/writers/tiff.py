"""Tiled BigTIFF with an overview pyramid, from strips; goes on after a kill."""

import concurrent.futures
import functools
import itertools
import json
import os
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from infinitygan_jax.sampling.writers.base import Writer
from infinitygan_jax.sampling.writers.job import Job, held_bytes

TILE = 512  # pixels a side
_LEVEL = 3  # of zlib, as for PNG


class TiffWriter(Writer):
    """Writes one RGB picture as tiles of 512 px, deflated with horizontal differences.

    Rows of tiles are kept in a `Job` while strips arrive. When all are there, each
    level of the pyramid is averaged from the one below (2 x 2 pixels to one, edges
    repeated), and tifffile lays everything out in one file. Memory is that of some rows
    of tiles; the disk holds every tile twice for a moment.
    """

    max_side = 2**31 - 1

    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ):
        """Opens the job, or goes on with it.

        Args:
          path: where the picture shall be.
          height: its rows in all.
          width: its columns.
          metadata: texts by keyword; written as JSON into the image description.
          overwrite: throw an unfinished job of other arguments away.

        Raises:
          ValueError: there is an unfinished job of another picture under this name, or
            another process works on it.
          OSError: the job cannot be written.
        """
        super().__init__(path, height, width, metadata, overwrite)
        self._texts = dict(metadata or {})
        size = {"Width": str(width), "Height": str(height), "Format": "TIFF 1"}
        self._job = Job(self.path, self._texts | size, overwrite)
        self._row = self._job.num_rows(0)  # of tiles
        self.rows_done = min(self._row * TILE, height)
        self._rows_taken = self.rows_done
        self._waiting: list[np.ndarray] = []
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "tiff")
        self._pending: concurrent.futures.Future | None = None

    @staticmethod
    def max_bytes(height: int, width: int) -> int:
        """Bound of what the disk holds at once: all levels, and the same as a job."""
        rows, cols = -(-height // TILE) * TILE, -(-width // TILE) * TILE
        raw = 3 * rows * cols
        levels = raw + raw // 3 + 3 * TILE * (rows + cols + 4 * TILE)
        return 2 * (levels + levels // 1000 + 65_536)

    @staticmethod
    def host_bytes(width: int) -> int:
        """Rows of tiles: waiting, put together, being encoded, and encoded."""
        return 4 * TILE * width * 3

    held_bytes = staticmethod(held_bytes)

    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows, after ``rows_done``; see `Writer`."""
        self._take(strip)
        self._waiting.append(strip)
        while sum(map(len, self._waiting)) >= TILE:
            rows = np.concatenate(self._waiting)
            self._waiting = [rows[TILE:]]
            self._keep(rows[:TILE])
        if self._rows_taken == self._shape[0] and sum(map(len, self._waiting)):
            self._keep(np.concatenate(self._waiting))
            self._waiting = []

    def _keep(self, rows: np.ndarray) -> None:
        """Encodes and keeps one row of tiles, while the next is painted."""
        self._wait()
        tiles = [
            self._pool.submit(_encode, rows[:, col : col + TILE])
            for col in range(0, self._shape[1], TILE)
        ]
        row, self._row = self._row, self._row + 1
        # A thread of its own: it waits for those of the pool.
        keeper = concurrent.futures.ThreadPoolExecutor(1)
        self._pending = keeper.submit(
            lambda: self._job.write_row(0, row, [tile.result() for tile in tiles])
        )
        keeper.shutdown(wait=False)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None  # not before: an interrupt here must not lose the row

    def close(self) -> None:
        """Builds the pyramid, lays out the file and renames it; see `Writer`."""
        try:
            self._check_whole()
            self._wait()
            sizes = _level_sizes(*self._shape[:2])
            for level in range(1, len(sizes)):
                self._reduce(level, sizes[level], sizes[level - 1])
            self._lay_out(sizes)
            self._job.publish(self._overwrite)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stops; what is finished stays in the job, for the same command again."""
        pending, self._pending = self._pending, None
        if pending is not None:  # a row that only has to be encoded is worth keeping
            concurrent.futures.wait([pending])
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._job.close()

    def _reduce(
        self, level: int, size: tuple[int, int], below: tuple[int, int]
    ) -> None:
        num_rows = -(-size[0] // TILE)
        num_below = -(-below[0] // TILE)
        for row in range(self._job.num_rows(level), num_rows):
            rows = [r for r in (2 * row, 2 * row + 1) if r < num_below]
            squares = itertools.zip_longest(
                *(_pairs(self._job.read_row(level - 1, r)) for r in rows)
            )
            left = [below[0] - 2 * row * TILE, below[1]]
            jobs = []
            for col, square in enumerate(squares):
                valid = (left[0], left[1] - 2 * col * TILE)
                jobs.append(self._pool.submit(_reduce_square, square, valid))
                if len(jobs) > 64:  # bounded memory, however wide
                    concurrent.futures.wait(jobs[:-32])
            self._job.write_row(level, row, [job.result() for job in jobs])

    def _lay_out(self, sizes: list[tuple[int, int]]) -> None:
        import tifffile

        options = {
            "dtype": np.uint8,
            "tile": (TILE, TILE),
            "compression": "adobe_deflate",
            "predictor": "horizontal",
            "photometric": "rgb",
            "metadata": None,
        }
        with tifffile.TiffWriter(self._job.part, bigtiff=True) as file:
            for level, size in enumerate(sizes):
                kind = (
                    {"subfiletype": 1}
                    if level
                    else {
                        "subifds": len(sizes) - 1,
                        "description": json.dumps(self._texts),
                        "software": self._texts.get("Software", "infinitygan_jax"),
                    }
                )
                file.write(self._tiles(level), shape=(*size, 3), **kind, **options)
            file.filehandle.flush()
            os.fsync(file.filehandle.fileno())

    def _tiles(self, level: int) -> Iterator[bytes]:
        for row in range(self._job.num_rows(level)):
            yield from self._job.read_row(level, row)


def _level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of every level, the last of one tile."""
    sizes = [(height, width)]
    while max(sizes[-1]) > TILE:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return sizes


def _encode(pixels: np.ndarray) -> bytes:
    """A tile, or the part of one that lies in the picture, as TIFF keeps it."""
    height, width = pixels.shape[:2]
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[:height, :width] = pixels
    tile[:height, 1:width] -= pixels[:, :-1]
    # Beyond the picture: the last difference undone once, so that zeros follow.
    if width < TILE:
        tile[:height, width] -= pixels[:, -1]
    return zlib.compress(tile.tobytes(), _LEVEL)


def _decode(data: bytes) -> np.ndarray:
    tile = np.frombuffer(zlib.decompress(data), np.uint8).reshape(TILE, TILE, 3)
    return np.cumsum(tile, axis=1, dtype=np.uint8)


def _pairs(tiles: Iterator[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    for first in tiles:
        yield first, next(tiles, None)


def _reduce_square(
    square: tuple[tuple[bytes, bytes | None], ...], valid: tuple[int, int]
) -> bytes:
    """Two by two tiles, as many as there are, to one of half the density."""
    rows = [
        np.concatenate([_decode(data) for data in pair if data is not None], axis=1)
        for pair in square
    ]
    return _encode(halved(np.concatenate(rows)[: valid[0], : valid[1]]))


def halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, rounded half up; of an odd side's last, with itself."""
    odd = [(0, n % 2) for n in pixels.shape[:2]]
    wide = np.pad(pixels, [*odd, (0, 0)], mode="edge").astype(np.uint16)
    corners = (wide[a::2, b::2] for a in (0, 1) for b in (0, 1))
    return ((functools.reduce(np.add, corners) + 2) >> 2).astype(np.uint8)
