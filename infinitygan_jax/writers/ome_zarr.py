"""OME-Zarr 0.5: one chunked array a level, written by tensorstore."""

import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from infinitygan_jax.messages import UserError
from infinitygan_jax.writers.job import part_of
from infinitygan_jax.writers.layout import TILE
from infinitygan_jax.writers.pyramid import PyramidWriter

_GROUP = "zarr.json"
_TEXTS = "infinitygan_jax"  # the attribute of our metadata
_COLOURS = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}


class OmeZarrWriter(PyramidWriter):
    """Writes a folder ``NAME.zarr``: a group with an array (3, height, width) a level.

    Chunks are (3, 512, 512), compressed by Zstandard; each is one file, written once,
    aside and renamed, by whatever process paints it.
    """

    form = "OME-Zarr 1"
    shardable = True
    end_bytes = 1_000_000  # what describes group and arrays

    @staticmethod
    def tile_bytes(size: tuple[int, int]) -> int:
        """Bound of a chunk, which Zstandard does not shrink in the worst case."""
        raw = 3 * TILE**2  # also at an edge
        return raw + raw // 200 + 8192  # it takes whole blocks of the disk

    @staticmethod
    def folder_output(path: pathlib.Path) -> pathlib.Path:
        """The folder of tiles."""
        return path

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """What a finished picture says of itself; empty where it cannot be read."""
        try:
            group = json.loads((path / _GROUP).read_text("utf-8"))
            return dict(group["attributes"][_TEXTS])
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def _open(self) -> None:
        self._folder = self._job.part(self.path)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._arrays = [self._array(level) for level in range(len(self._sizes))]

    def _array(self, level: int) -> Any:
        """The array of a level, made by whichever process comes first."""
        import tensorstore

        folder = os.path.abspath(self._folder)  # which must not hold ".."
        locks = {} if self._job.locks else {"file_io_locking": {"mode": "none"}}
        chunks = {"chunk_shape": [3, TILE, TILE]}
        opened = tensorstore.open(
            {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": f"{folder}/{level}"},
                "metadata": {
                    "shape": [3, *self._sizes[level]],
                    "data_type": "uint8",
                    "chunk_grid": {"name": "regular", "configuration": chunks},
                    "dimension_names": ["c", "y", "x"],
                    "codecs": [
                        {"name": "bytes"},
                        {"name": "zstd", "configuration": {"level": 1}},
                    ],
                },
                # A chunk that is there is finished, black or not.
                "store_data_equal_to_fill_value": True,
                "context": locks,
            },
            open=True,
            create=True,
        )
        return _result(opened)

    def _tile(self, level: int, row: int, col: int, pixels: np.ndarray) -> None:
        height, width = pixels.shape[:2]
        top, left = row * TILE, col * TILE
        place = np.s_[:, top : top + height, left : left + width]
        _result(self._arrays[level][place].write(np.moveaxis(pixels, -1, 0)))

    @staticmethod
    def _find(
        path: pathlib.Path, level: int, last: int, rows: range
    ) -> Iterator[tuple[int, int, int]]:
        folder = part_of(path, path) / str(level) / "c" / "0"
        for row in sorted(_numbers(folder).intersection(rows)):
            for col in _numbers(folder / str(row)):
                yield row, col, col + 1

    def _read(self, level: int, row: int, col: int) -> np.ndarray:
        top, left = row * TILE, col * TILE
        height, width = self._sizes[level]
        bottom, right = min(top + TILE, height), min(left + TILE, width)
        place = np.s_[:, top:bottom, left:right]
        try:
            pixels = self._arrays[level][place].read().result()
        except ValueError as error:  # tensorstore's, of several lines
            raise UserError(
                f"chunk ({self._folder}/{level}/c/0/{row}/{col}) must be unaltered "
                "since it was written, and it is not; delete it, and paint it again "
                "with the same command, or the same `shard`"
            ) from error
        return np.moveaxis(pixels, 0, -1)

    def _put_together(self) -> None:
        attributes = {
            "ome": _ome(self.path.stem, len(self._sizes)),
            _TEXTS: self._texts,
        }
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        data = json.dumps(group, indent=2).encode()
        self._job.write(self._folder / _GROUP, data)
        # What tensorstore leaves of a chunk whose process was killed.
        for path in self._folder.glob("*/c/0/*/*.__lock"):
            path.unlink(missing_ok=True)


def _numbers(folder: pathlib.Path) -> set[int]:
    """Names in a folder that are numbers; not what tensorstore locks and writes."""
    return {int(name) for name in os.listdir(folder) if name.isdecimal()}


def _result(future: Any) -> Any:
    """What tensorstore did; its errors without the whole specification."""
    try:
        return future.result()
    except ValueError as error:
        raise OSError(str(error).split(" [")[0]) from error


def _ome(name: str, levels: int) -> dict[str, Any]:
    """Metadata by which viewers find the levels, and take three channels for RGB."""
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]
    datasets = []
    for level in range(levels):
        # A pixel's centre is that of the square that it averages.
        scale, moved = float(2**level), (2**level - 1) / 2
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0, scale, scale]},
                    {"type": "translation", "translation": [0.0, moved, moved]},
                ],
            }
        )
    channels = [
        {
            "label": label,
            "color": colour,
            "active": True,
            "window": {"start": 0, "end": 255, "min": 0, "max": 255},
        }
        for label, colour in _COLOURS.items()
    ]
    multiscale = {
        "name": name,
        "axes": axes,
        "datasets": datasets,
        "type": "mean",
    }
    return {
        "version": "0.5",
        "multiscales": [multiscale],
        "omero": {"channels": channels, "rdefs": {"model": "color"}},
    }
