"""Image sheets that show how training goes: the same latents at every visit."""

import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8
from PIL import Image

from infinitygan_jax import coords, devices, files, geometry
from infinitygan_jax.config import Config, ModelConfig
from infinitygan_jax.models.generator import make_generator, slot_styles, to_uint8
from infinitygan_jax.models.layers import applied
from infinitygan_jax.training import draws

GUTTER = 2  # white pixels between the images of a sheet
_SHEET_PIXELS = 1024  # a sheet's width, about
_WIDE_ROWS = 4  # images of a sheet of wide ones
_WIDTHS = (2, 4)  # in patches
_STREAMS = ("z_global", "own")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One image of a sheet: which latents it takes.

    Attributes:
      structure: number of the local latents and of the structure's global latent.
      style: number of the global latent of the texture's styles.
    """

    structure: int
    style: int


class SheetPainter:
    """Paints sheets of one model, jitted; from fixed latents.

    ``samples``: a latent each. ``structures``: a row is one style with many structures.
    ``styles``: a row is one structure with many styles. ``wide_2x`` and ``wide_4x``:
    windows that are that many patches wide. All are centred on world row 0.

    Args:
      config: of the model.
    """

    def __init__(self, config: Config):
        self._config = config.model
        self._paint = devices.jit_in_a_hurry(functools.partial(paint, config.model))
        self._columns = min(max(_SHEET_PIXELS // config.model.patch_size, 2), 8)
        self._rows = max(self._columns // 2, 2)

    def layouts(self) -> dict[str, list[list[Cell]]]:
        """Rows of cells of the sheets that are made of patches."""
        rows, columns = range(self._rows), range(self._columns)
        return {
            "samples": [
                [Cell(r * self._columns + c, r * self._columns + c) for c in columns]
                for r in rows
            ],
            "structures": [[Cell(c, r) for c in columns] for r in rows],
            "styles": [[Cell(r, c) for c in columns] for r in rows],
        }

    def __call__(
        self, params: Mapping[str, Any]
    ) -> dict[str, UInt8[np.ndarray, "..."]]:
        """All sheets by name, from generator parameters (host arrays)."""
        sheets = {
            name: join([self._row(params, row, 1) for row in rows])
            for name, rows in self.layouts().items()
        }
        for width in _WIDTHS:
            cells = [Cell(number, number) for number in range(_WIDE_ROWS)]
            images = [self._row(params, [cell], width)[0] for cell in cells]
            sheets[f"wide_{width}x"] = join([[image] for image in images])
        return sheets

    def _row(
        self, params: Mapping[str, Any], cells: list[Cell], width: int
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        structure = np.array([cell.structure for cell in cells], np.int32)
        style = np.array([cell.style for cell in cells], np.int32)
        num_cells = cells_across(self._config, width)
        where = window_coords(self._config, num_cells)
        images = self._paint(params, structure, style, where)
        pixels = width * self._config.patch_size
        left = (images.shape[2] - pixels) // 2
        return list(np.asarray(images[:, :, left : left + pixels]))


def cells_across(config: ModelConfig, width: int) -> int:
    """Structure cells of the narrowest window of at least ``width`` patches."""
    if width == 1:
        return geometry.PATCH_CELLS
    pixels = width * config.patch_size
    return 5 + -(-(pixels - 5) // config.cell_size)  # (n - 5) 2^k + 5 >= pixels


def window_coords(config: ModelConfig, num_cells: int) -> Float[np.ndarray, "h w c"]:
    """Coordinates of a patch-high window, margins included, centred on world row 0."""
    rows = coords.WINDOW_CELLS
    parts = coords.world_coords(
        config.coords,
        row_start=-(rows // 2),
        rows=rows,
        col_start=0,
        cols=num_cells + 2 * geometry.STRUCTURE_MARGIN,
        frame=coords.trained_frame(config.vertical_starts),
    )
    return np.asarray(coords.grid(*map(jnp.asarray, parts)))


def paint(
    config: ModelConfig,
    params: Mapping[str, Any],
    structure_number: Int[Array, " b"],
    style_number: Int[Array, " b"],
    where: Float[Array, "h w c"],
) -> UInt8[Array, "b y x 3"]:
    """Images of numbered latents; number n is the same latent in every sheet.

    Args:
      config: sizes.
      params: of the generator.
      structure_number: int32 [b], picks local latents, noise and the structure's style.
      style_number: int32 [b], picks the texture's style.
      where: coordinates of the cells, margins included.
    """
    generator = make_generator(config)
    apply = functools.partial(applied, generator, {"params": params})
    rows, cols = where.shape[0], where.shape[1]
    margin = 2 * geometry.STRUCTURE_MARGIN
    spans = [
        geometry.axis_spans(0, size - margin, config.num_stages)
        for size in (rows, cols)
    ]
    cells = (rows, cols, config.z_local_size)
    maps = [(y.size, x.size, 1) for y, x in zip(*(s.noise for s in spans), strict=True)]
    z_local, *noise = draws.normals(_keys("own", structure_number), [cells, *maps])
    z_structure, z_style = (
        draws.normals(_keys("z_global", number), [(config.z_global_size,)])[0]
        for number in (structure_number, style_number)
    )
    batch_where = jnp.broadcast_to(where, (z_local.shape[0], *where.shape))
    structure = apply(z_local, batch_where, z_structure, method="structure")
    styles = slot_styles(apply(z_style, method="mapping"), config.num_slots)
    return to_uint8(apply(structure, styles, noise, method="texture"))


def _keys(stream: str, number: Int[Array, " b"]) -> Key[Array, " b"]:
    key = jax.random.key(_STREAMS.index(stream), impl="threefry2x32")
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(number)


def join(rows: list[list[UInt8[np.ndarray, "h w 3"]]]) -> UInt8[np.ndarray, "y x 3"]:
    """One picture of rows of equally large images, thin white lines between them."""
    height, width, _ = rows[0][0].shape
    y_step, x_step = height + GUTTER, width + GUTTER
    size = (len(rows) * y_step - GUTTER, len(rows[0]) * x_step - GUTTER, 3)
    sheet = np.full(size, 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            y, x = r * y_step, c * x_step
            sheet[y : y + height, x : x + width] = image
    return sheet


def write_sheets(
    folder: str | os.PathLike[str], sheets: Mapping[str, UInt8[np.ndarray, "h w 3"]]
) -> None:
    """Writes sheets as PNG into a folder, which is made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        file = io.BytesIO()
        Image.fromarray(sheet).save(file, format="PNG")
        files.write_whole(folder / f"{name}.png", file.getvalue())
