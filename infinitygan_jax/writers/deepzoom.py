"""Deep Zoom: a folder of PNG tiles of all levels, and a page that shows them."""

import html
import io
import json
import os
import pathlib
import re
import string
import urllib.parse
from collections.abc import Iterator

import numpy as np
from PIL import Image

from infinitygan_jax.messages import UserError
from infinitygan_jax.writers import png
from infinitygan_jax.writers.job import part_of
from infinitygan_jax.writers.layout import TILE
from infinitygan_jax.writers.pyramid import PyramidWriter

_PAGE = pathlib.Path(__file__).parent / "page"
_SCRIPTS = ("openseadragon.min.js", "openseadragon.LICENSE.txt")
_TEXTS = "picture.json"
_TILE = re.compile(r"(\d+)_(\d+)\.png")
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="0" \
TileSize="{tile}">
  <Size Height="{height}" Width="{width}"/>
</Image>
"""


class DeepZoomWriter(PyramidWriter):
    """Writes ``NAME.dzi``, ``NAME.html`` and the tiles in ``NAME_files/``.

    The page opens from disk and from any web server; OpenSeadragon lies beside the
    tiles. Level L of ours is level (last - L) of Deep Zoom, whose level 0 is one pixel.
    """

    form = "Deep Zoom 1"
    smallest = 1
    shardable = True
    end_bytes = 1_000_000  # the page and its scripts

    @staticmethod
    def tile_bytes(size: tuple[int, int]) -> int:
        """Bound of a tile, which PNG does not shrink in the worst case."""
        raw = 3 * min(TILE, size[0]) * min(TILE, size[1])
        return raw + raw // 1000 + 8192  # it takes whole blocks of the disk

    @staticmethod
    def outputs(path: pathlib.Path) -> list[pathlib.Path]:
        """Tiles, page and descriptor."""
        return [_files(path), path.with_suffix(".html"), path]

    @staticmethod
    def folder_output(path: pathlib.Path) -> pathlib.Path:
        """The folder of tiles."""
        return _files(path)

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """What a finished picture says of itself; empty where it cannot be read."""
        try:
            return dict(json.loads((_files(path) / _TEXTS).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def _open(self) -> None:
        self._folder = self._job.part(_files(self.path))
        for level in range(len(self._sizes)):
            self._level_folder(level).mkdir(parents=True, exist_ok=True)

    def _level_folder(self, level: int) -> pathlib.Path:
        return self._folder / str(self._last - level)

    def _file(self, level: int, row: int, col: int) -> pathlib.Path:
        return self._level_folder(level) / f"{col}_{row}.png"

    def _tile(self, level: int, row: int, col: int, pixels: np.ndarray) -> None:
        self._job.write(self._file(level, row, col), png.encode(pixels))

    @staticmethod
    def _find(
        path: pathlib.Path, level: int, last: int, rows: range
    ) -> Iterator[tuple[int, int, int]]:
        folder = part_of(path, _files(path)) / str(last - level)
        with os.scandir(folder) as entries:
            for entry in entries:
                if numbers := _TILE.fullmatch(entry.name):
                    col, row = map(int, numbers.groups())
                    yield row, col, col + 1

    def _read(self, level: int, row: int, col: int) -> np.ndarray:
        file = self._file(level, row, col)
        try:
            with Image.open(io.BytesIO(file.read_bytes()), formats=["PNG"]) as image:
                return np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(
                f"tile ({file}) must be unaltered since it was written, and it is not; "
                "delete it, and paint it again with the same command, or the same "
                "`shard`"
            ) from error

    def _put_together(self) -> None:
        height, width = self._size
        for name in _SCRIPTS:
            data = (_PAGE / name).read_bytes()
            self._job.write(self._folder / name, data)
        texts = json.dumps(self._texts, indent=2)
        self._job.write(self._folder / _TEXTS, texts.encode())
        page, descriptor = self.outputs(self.path)[1:]
        self._job.write(self._job.part(page), self._page().encode())
        xml = _XML.format(tile=TILE, height=height, width=width)
        self._job.write(self._job.part(descriptor), xml.encode())

    def _page(self) -> str:
        height, width = self._size
        folder = urllib.parse.quote(_files(self.path).name)
        descriptor = {
            "xmlns": "http://schemas.microsoft.com/deepzoom/2008",
            "Url": f"{folder}/",
            "Format": "png",
            "Overlap": "0",
            "TileSize": str(TILE),
            "Size": {"Height": str(height), "Width": str(width)},
        }
        texts = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>"
            for name, text in self._texts.items()
        )
        template = string.Template((_PAGE / "page.html").read_text("utf-8"))
        return template.substitute(
            title=html.escape(f"{self.path.stem}, {width} x {height} pixels"),
            texts=texts,
            folder=html.escape(folder),
            # "</script>" in a name must not end the script.
            descriptor=json.dumps(descriptor).replace("<", "\\u003c"),
        )


def _files(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.stem}_files")
