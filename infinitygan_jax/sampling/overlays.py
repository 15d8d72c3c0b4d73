"""Known pixels of placed pictures, which a world shows as they are, over all edits."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.sampling import compositing
from infinitygan_jax.sampling.edits import Boxes, Edit, Region
from infinitygan_jax.sampling.placing import Placement

_KEPT_BYTES = 2**28  # of overlays, if there is more than one

_Edits = tuple[Edit | Placement, ...]


class Overlays:
    """Lays the known pixels of a world's edits over its tiles."""

    def __init__(
        self,
        edits: _Edits,
        seen: Callable[[Region], list[int]],
        paint: Callable[[_Edits, Region], UInt8[np.ndarray, "h w 3"]],
        period: Sequence[int | None],
        level: int,
    ):
        """Takes what a world knows; nothing is painted before it is needed.

        Args:
          edits: of the world, in order.
          seen: gives the indices, in order, of the edits that pixels of a region see.
          paint: paints a region at level 0 with some edits only.
          period: rows and columns of level 0 after which the world repeats, or None.
          level: the tiles are 1 / 2**level of the world.
        """
        self._edits = edits
        self._seen = seen
        self._paint = paint
        self._period = period
        self._level = level
        self._indices = [
            index
            for index, edit in enumerate(edits)
            if isinstance(edit, Placement) and edit.known is not None
        ]
        placed = [edits[index] for index in self._indices]
        self._boxes = Boxes(
            [
                (
                    Region(each.top, each.left, each.height, each.width),
                    compositing.ring_of(each.height, each.width),
                )
                for each in placed
            ]
        )
        # Those that were needed last, the very last at the end, by their edit's index.
        self._kept: dict[int, compositing.Overlay] = {}

    def over(
        self, pixels: UInt8[np.ndarray, "h w 3"], top: int, left: int
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Painted pixels, which start at such a row and column, with the known ones."""
        if not self._indices:
            return pixels
        corner = top << self._level, left << self._level
        sides = (side << self._level for side in pixels.shape[:2])
        seen = self._boxes.meeting(*corner, *sides, self._period)
        if not seen:
            return pixels
        pixels = pixels.copy()
        periods = [p if p is None else p >> self._level for p in self._period]
        for each in seen:
            self._overlay(self._indices[each]).put(pixels, top, left, periods)
        return pixels

    def _overlay(self, index: int) -> compositing.Overlay:
        """Known pixels of one edit, at this level; those needed last are kept."""
        if index in self._kept:
            self._kept[index] = overlay = self._kept.pop(index)
            return overlay
        overlay = self._measured(index)
        self._kept[index] = overlay
        total = sum(each.nbytes for each in self._kept.values())
        while total > _KEPT_BYTES and len(self._kept) > 1:
            total -= self._kept.pop(next(iter(self._kept))).nbytes
        return overlay

    def _measured(self, index: int) -> compositing.Overlay:
        """An overlay on what is painted without later edits.

        So none of them reaches any further through it.
        """
        each = self._edits[index]
        ring = compositing.ring_of(each.height, each.width)
        around = Region(
            *(each.top - ring, each.left - ring),
            *(each.height + 2 * ring, each.width + 2 * ring),
        )
        bare = tuple(
            dataclasses.replace(edit, known=None)
            if isinstance(edit, Placement)
            else edit
            for edit in (self._edits[i] for i in self._seen(around) if i <= index)
        )
        return compositing.Overlay.around(
            each.known, each.top, each.left, self._paint(bare, around), ring
        ).reduced(self._level)
