"""Trait sheets: rows share structure, columns share style.

A picture of a sheet is a world whose local latents and noise are those of its row's
seed, and whose global latent is that of its column's.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import SIDE_LIMIT, Window
from infinitygan_jax.sampling.styles import Constant, Seed, of_seed
from infinitygan_jax.sampling.world import World
from infinitygan_jax.seed_range import check_seed

MAX_MARGIN = 4096  # pixels
_PAPER, _INK = 255, 64
_PADDING = 4  # pixels around a label


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A sheet of pictures of one window.

    Attributes:
      rows: seeds of local latents and noise, from the top.
      columns: seeds of styles, from the left.
      window: what every picture shows.
      margin: white pixels between pictures.
      labels: whether the seeds stand beside rows and columns.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    window: Window
    margin: int = 4
    labels: bool = False

    def __post_init__(self) -> None:
        for seed in (*self.rows, *self.columns):
            check_seed(seed)
        if not (self.rows and self.columns):
            raise UserError("a sheet must have rows and columns; give a seed of each")
        if not 0 <= self.margin <= MAX_MARGIN:
            raise UserError(
                f"margin ({self.margin}) must be from 0 to {MAX_MARGIN} pixels; use "
                f"{min(max(self.margin, 0), MAX_MARGIN)}"
            )
        if max(self.size) > SIDE_LIMIT:
            raise UserError(
                f"a sheet must be at most {SIDE_LIMIT} pixels a side, and this one is "
                f"{self.size[1]}x{self.size[0]}; use fewer seeds or smaller pictures"
            )

    @property
    def corner(self) -> tuple[int, int]:
        """Rows above and columns left of the first picture: labels."""
        if not self.labels:
            return 0, 0
        sizes = [_label(seed).shape for seed in self.rows]
        height = max(_label(seed).shape[0] for seed in self.columns)
        return height, max(width for _, width in sizes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the sheet, in pixels."""
        above, before = self.corner
        height = len(self.rows) * (self.window.height + self.margin) - self.margin
        width = len(self.columns) * (self.window.width + self.margin) - self.margin
        return above + height, before + width


def worlds(world: World, sheet: Sheet) -> list[list[World]]:
    """The world of every picture of a sheet, in rows.

    Args:
      world: gives the model, the devices, and all else but seed and style. With
        biomes, a column has those of its seed.
      sheet: which seeds.
    """
    scenes = [
        dataclasses.replace(
            world.scene,
            styles=of_seed(world.scene.styles, seed) or Constant(Seed(seed)),
            mix=None,
        )
        for seed in sheet.columns
    ]
    return [
        [dataclasses.replace(world, seed=row, scene=scene) for scene in scenes]
        for row in sheet.rows
    ]


def strips(
    world: World, sheet: Sheet, on_picture: Callable[[], Any] = lambda: None
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Paints a sheet from the top, one row of pictures at a time.

    Args:
      world: see ``worlds``.
      sheet: what to paint.
      on_picture: called after each picture, for a progress bar.

    Yields:
      uint8 strips of the sheet's full width, which is ``sheet.size[1]``.
    """
    above, before = sheet.corner
    width, window = sheet.size[1], sheet.window
    if above:
        yield _header(sheet)
    for index, row in enumerate(worlds(world, sheet)):
        margin = sheet.margin if index else 0
        strip = np.full((margin + window.height, width, 3), _PAPER, np.uint8)
        if sheet.labels:
            label = _label(sheet.rows[index])
            top = margin + max(window.height - label.shape[0], 0) // 2
            _place(strip, label, top, before - label.shape[1])
        for number, picture_world in enumerate(row):
            left = before + number * (window.width + sheet.margin)
            picture = picture_world[
                window.top : window.bottom, window.left : window.right
            ]
            strip[margin:, left : left + window.width] = picture
            on_picture()
        yield strip


def _header(sheet: Sheet) -> UInt8[np.ndarray, "h w 3"]:
    above, before = sheet.corner
    header = np.full((above, sheet.size[1], 3), _PAPER, np.uint8)
    for index, seed in enumerate(sheet.columns):
        label = _label(seed)
        left = before + index * (sheet.window.width + sheet.margin)
        room = sheet.window.width - label.shape[1]
        _place(header, label, 0, left + max(room, 0) // 2)
    return header


def _place(
    target: UInt8[np.ndarray, "h w 3"],
    label: UInt8[np.ndarray, "a b"],
    top: int,
    left: int,
) -> None:
    """Puts a label into a picture; what has no room there is cut off."""
    part = target[top : top + label.shape[0], left : left + label.shape[1]]
    part[:] = label[: part.shape[0], : part.shape[1], None]


def _label(seed: int) -> UInt8[np.ndarray, "h w"]:
    """A seed in Pillow's own font, which is always there."""
    font = ImageFont.load_default()
    left, top, _, bottom = font.getbbox("0123456789")
    width = -(-font.getlength(str(seed)) // 1)
    size = (int(width) + 2 * _PADDING, int(bottom - top) + 2 * _PADDING)
    image = Image.new("L", size, _PAPER)
    ImageDraw.Draw(image).text(
        (_PADDING - left, _PADDING - top), str(seed), fill=_INK, font=font
    )
    return np.asarray(image)
