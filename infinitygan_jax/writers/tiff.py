"""Tiled BigTIFF with an overview pyramid, from strips; goes on after a kill."""

import contextlib
import json
import os
import pathlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from isal import isal_zlib

from infinitygan_jax import files
from infinitygan_jax.messages import UserError
from infinitygan_jax.writers.job import allocated, folder_of, part_of
from infinitygan_jax.writers.layout import BLOCK, TILE, grid
from infinitygan_jax.writers.pyramid import PyramidWriter

_LEVEL = 3  # the highest of ISA-L: as small as zlib's 3, in a sixth of the time
_BLOCK_FILE = re.compile(r"tiles_(\d+)_(\d+)")


class TiffWriter(PyramidWriter):
    """Writes one RGB picture as tiles of 512 px, deflated with horizontal differences.

    A block of encoded tiles is one file of the job, ``level_L/tiles_ROW_BLOCK``: their
    number, their sizes and checksums, and themselves. At the end tifffile lays all
    levels out in one file, so the disk holds every tile twice for a moment.
    """

    form = "TIFF 2"
    end_bytes = 131_072  # what describes all levels

    @staticmethod
    def tile_bytes(size: tuple[int, int]) -> int:
        """Bound of a tile in the job, and of the same in the picture."""
        raw = 3 * TILE**2  # also at an edge
        return 2 * (raw + raw // 1000 + 64) + 4096  # a block's file ends with its own

    @classmethod
    def rest_bytes(
        cls, path: pathlib.Path, height: int, width: int, finish: bool = False
    ) -> int:
        """Tiles that are kept are written once more, and all that is there stays."""
        rest = super().rest_bytes(path, height, width, finish)
        if not rest:
            return 0
        with contextlib.suppress(FileNotFoundError):
            for level in folder_of(path).glob("level_*"):
                with os.scandir(level) as entries:
                    rest += sum(
                        entry.stat().st_size
                        for entry in entries
                        if _BLOCK_FILE.fullmatch(entry.name)
                    )
        # What a kill has left of the picture itself is begun anew.
        return rest - allocated(part_of(path, path))

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """What the description says; empty where it is none of ours."""
        if not path.is_file():
            return {}
        import tifffile

        try:
            with tifffile.TiffFile(path) as file:
                return dict(json.loads(file.pages.first.description))
        except (OSError, ValueError, TypeError, IndexError):
            return {}
        except (struct.error, tifffile.TiffFileError):  # cut short, or none
            return {}

    def _open(self) -> None:
        for level in range(len(self._sizes)):
            (self._job.folder / f"level_{level}").mkdir(exist_ok=True)

    def _file(self, level: int, row: int, col: int) -> pathlib.Path:
        name = f"tiles_{row}_{col // BLOCK}"
        return self._job.folder / f"level_{level}" / name

    def _tile(self, level: int, row: int, col: int, pixels: np.ndarray) -> bytes:
        return _encode(pixels)

    def _keep_block(self, level: int, row: int, col: int, tiles: list[bytes]) -> None:
        numbers = [len(tiles)]
        for tile in tiles:
            numbers += [len(tile), zlib.crc32(tile)]
        head = np.array(numbers, "<u8").tobytes()
        files.write_whole(self._file(level, row, col), head, *tiles)

    @staticmethod
    def _find(
        path: pathlib.Path, level: int, last: int, rows: range
    ) -> Iterator[tuple[int, int, int]]:
        with os.scandir(folder_of(path) / f"level_{level}") as entries:
            for entry in entries:
                if numbers := _BLOCK_FILE.fullmatch(entry.name):
                    row, block = map(int, numbers.groups())
                    yield row, block * BLOCK, (block + 1) * BLOCK

    def _read(self, level: int, row: int, col: int) -> np.ndarray:
        first = col // BLOCK * BLOCK
        (data,) = self._encoded(level, row, first, col - first, col - first + 1)
        height, width = self._sizes[level]
        return _decode(data)[: height - row * TILE, : width - col * TILE]

    def _encoded(
        self, level: int, row: int, col: int, first: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """Encoded tiles of the block that begins at a column, one by one.

        Raises:
          ValueError: the file was damaged since it was written.
        """
        path = self._file(level, row, col)
        number = min(BLOCK, grid(self._sizes[level])[1] - col)
        with path.open("rb") as file:
            head = np.frombuffer(file.read(8 + 16 * number), np.uint8)
            head = head[: len(head) // 8 * 8].view("<u8")
            if len(head) == 1 + 2 * number and head[0] == number:
                sizes, checks = head[1::2].tolist(), head[2::2].tolist()
                file.seek(sum(sizes[:first]), os.SEEK_CUR)
                for size, check in list(zip(sizes, checks, strict=True))[first:stop]:
                    tile = file.read(size)
                    if (len(tile), zlib.crc32(tile)) != (size, check):
                        break
                    yield tile
                else:
                    return
        raise UserError(
            f"tiles ({path}) must be unaltered since they were written, and they are "
            "not; delete that file, and the same command paints them again"
        )

    def _put_together(self) -> None:
        import tifffile

        part = self._job.part(self.path)
        part.parent.mkdir(exist_ok=True)
        options: dict[str, Any] = {
            "dtype": np.uint8,
            "tile": (TILE, TILE),
            "compression": "adobe_deflate",
            "predictor": "horizontal",
            "photometric": "rgb",
            "metadata": None,
        }
        with tifffile.TiffWriter(part, bigtiff=True) as file:
            for level, size in enumerate(self._sizes):
                kind: dict[str, Any] = (
                    {"subfiletype": 1}
                    if level
                    else {
                        "subifds": self._last,
                        "description": json.dumps(self._texts),
                        "software": self._texts.get("Software", "infinitygan_jax"),
                    }
                )
                file.write(self._tiles(level), shape=(*size, 3), **kind, **options)
            file.filehandle.flush()
            os.fsync(file.filehandle.fileno())

    def _tiles(self, level: int) -> Iterator[bytes]:
        rows, cols = grid(self._sizes[level])
        for row in range(rows):
            for col in range(0, cols, BLOCK):
                yield from self._encoded(level, row, col)


def _encode(pixels: np.ndarray) -> bytes:
    """A tile, or the part of one that lies in the picture, as TIFF keeps it."""
    height, width = pixels.shape[:2]
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[:height, :width] = pixels
    tile[:height, 1:width] -= pixels[:, :-1]
    # Beyond the picture: the last difference undone once, so that zeros follow.
    if width < TILE:
        tile[:height, width] -= pixels[:, -1]
    return isal_zlib.compress(tile, _LEVEL)


def _decode(data: bytes) -> np.ndarray:
    tile = np.frombuffer(isal_zlib.decompress(data), np.uint8).reshape(TILE, TILE, 3)
    return np.cumsum(tile, axis=1, dtype=np.uint8)
