"""Pictures to write, and how readers that are not ours see them."""

import numpy as np
import tifffile
import zarr
from PIL import Image

from infinitygan_jax import writers
from infinitygan_jax.writers.target import Target

TEXTS = {"Seed": "3", "Software": "infinitygan_jax test"}


def picture_of(height, width):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    return np.stack([y // 5 + noise, x // 3, (x + y) // 7], axis=-1).astype(np.uint8)


def write(path, picture, heights=(200, 512, 1), stop=None, overwrite=False, **options):
    """Writes what is missing in strips of these heights; stops after so many pixels."""
    writer_type = writers.writer_of(path)
    with writer_type(
        Target(path, *picture.shape[:2], TEXTS, overwrite), **options
    ) as writer:
        turn, done = 0, 0
        for part in writer.parts:
            rows = picture[part.top : part.bottom, part.left : part.right]
            while len(rows):
                strip, rows = np.split(rows, [heights[turn % len(heights)]])
                writer.write(strip)
                turn, done = turn + 1, done + strip.size // 3
                if stop is not None and done >= stop:
                    raise KeyboardInterrupt
    return writer


def read(path):
    """All levels of a finished picture, uint8 (height, width, 3) each."""
    return {".tif": _read_tiff, ".zarr": _read_zarr, ".dzi": _read_deepzoom}[
        path.suffix
    ](path)


def _read_tiff(path):
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        return [level.asarray() for level in [page, *(page.pages or [])]]


def _read_zarr(path):
    group = zarr.open_group(path, mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return [np.moveaxis(group[each["path"]][:], 0, -1) for each in datasets]


def _read_deepzoom(path):
    levels = []
    folder = path.with_name(f"{path.stem}_files")
    for level in sorted((p for p in folder.iterdir() if p.is_dir()), key=_number):
        tiles = {}
        for file in level.iterdir():
            col, row = map(int, file.stem.split("_"))
            with Image.open(file) as image:
                assert image.mode == "RGB"
                tiles.setdefault(row, {})[col] = np.asarray(image)
        rows = [
            np.concatenate([tiles[row][col] for col in sorted(tiles[row])], axis=1)
            for row in sorted(tiles)
        ]
        levels.append(np.concatenate(rows))
    return levels[::-1]


def _number(path):
    return int(path.name)
