"""Known pixels on painted ones: exact where known, and without a seam around them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from infinitygan_jax.geometry import Span

_SWEEPS = 60  # of the membrane at each of its scales


class Known(NamedTuple):
    """Pixels that a placement shows exactly.

    Attributes:
      image: colours.
      mask: which of them are known.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


class Overlay(NamedTuple):
    """Known pixels, and what is added to painted ones around them so that they meet.

    Attributes:
      top, left: world row and column, of the level that it is for.
      colours: of known pixels, times their share.
      share: of each pixel that is known.
      correction: added to the rest.
    """

    top: int
    left: int
    colours: Float[np.ndarray, "h w 3"]
    share: Float[np.ndarray, "h w 1"]
    correction: Float[np.ndarray, "h w 3"]

    @property
    def nbytes(self) -> int:
        """Memory of its arrays."""
        return self.colours.nbytes + self.share.nbytes + self.correction.nbytes

    @classmethod
    def around(
        cls,
        known: Known,
        top: int,
        left: int,
        painted: UInt8[np.ndarray, "H W 3"],
        ring: int,
    ) -> "Overlay":
        """The overlay of known pixels on what was painted there.

        Pixels beside known ones take their colours, and what that adds to them is
        spread around like a membrane, down to nothing ``ring`` pixels away (Laplace's
        equation), so that colours continue across the rim, whatever was painted there.

        Args:
          known: pixels.
          top: world row of their first.
          left: world column of it.
          painted: what is painted there, and ``ring`` pixels around.
          ring: pixels.
        """
        pads = [(ring, ring), (ring, ring)]
        mask = np.pad(known.mask, pads)
        image = np.pad(known.image, [*pads, (0, 0)]).astype(np.float32)
        beside, colours = _beside(image, mask)
        fixed = mask | beside
        fixed[[0, -1]] = fixed[:, [0, -1]] = True
        difference = np.where(beside[..., None], colours - painted, 0)
        correction = membrane(difference.astype(np.float32), fixed)
        share = mask[..., None].astype(np.float32)
        return cls(top - ring, left - ring, image * share, share, correction)

    def reduced(self, level: int) -> "Overlay":
        """The overlay for a picture of 1 / 2**level of the size."""
        if not level:
            return self
        square = 2**level
        height, width = self.share.shape[:2]
        before = self.top % square, self.left % square
        after = -(before[0] + height) % square, -(before[1] + width) % square
        pads = [(before[0], after[0]), (before[1], after[1]), (0, 0)]

        def mean(array: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "H W c"]:
            padded = np.pad(array, pads)
            shape = (padded.shape[0] // square, square, -1, square, array.shape[2])
            return padded.reshape(shape).mean((1, 3))

        return Overlay(
            (self.top - before[0]) >> level,
            (self.left - before[1]) >> level,
            *(mean(array) for array in self[2:]),
        )

    def put(
        self,
        pixels: UInt8[np.ndarray, "h w 3"],
        top: int,
        left: int,
        periods: Sequence[int | None],
    ) -> None:
        """Lays it over the part of a picture that starts at ``top, left``; in place."""
        runs = [
            meetings(Span(start, size, 0), Span(own, number, 0), period)
            for start, size, own, number, period in zip(
                *((top, left), pixels.shape, (self.top, self.left)),
                *(self.share.shape, periods),
                strict=False,
            )
        ]
        for to_rows, rows in runs[0]:
            for to_cols, cols in runs[1]:
                part = pixels[to_rows, to_cols].astype(np.float32)
                part = np.clip(part + self.correction[rows, cols], 0, 255)
                part = part * (1 - self.share[rows, cols]) + self.colours[rows, cols]
                pixels[to_rows, to_cols] = np.clip(np.rint(part), 0, 255)


def _beside(
    image: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> tuple[Bool[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """Which pixels lie beside known ones, and the mean colours of those.

    The border of the mask must be unknown.
    """
    number = np.zeros(mask.shape, np.float32)
    total = np.zeros(image.shape, np.float32)
    known = image * mask[..., None]
    for axis in (0, 1):
        for step in (-1, 1):
            number += np.roll(mask, step, axis)
            total += np.roll(known, step, axis)
    return ~mask & (number > 0), total / np.maximum(number, 1)[..., None]


def membrane(
    values: Float[np.ndarray, "h w c"], fixed: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w c"]:
    """Solves Laplace's equation between fixed values: coarse grids first.

    Args:
      values: where fixed, those; elsewhere ignored.
      fixed: which are; all of the border.

    Returns:
      Values that are the mean of their neighbours wherever they are not fixed, nearly.
    """
    height, width = fixed.shape
    start = np.where(fixed[..., None], values, 0)
    if min(height, width) > 8:
        pads = [(0, height % 2), (0, width % 2)]
        count = np.pad(fixed, pads).astype(np.float32)
        total = np.pad(start, [*pads, (0, 0)])
        shape = (count.shape[0] // 2, 2, count.shape[1] // 2, 2)
        count = count.reshape(shape).sum((1, 3))
        total = total.reshape(*shape, -1).sum((1, 3))
        coarse_fixed = count > 0
        # Where the rim of what is known passes, the coarse grid keeps its value.
        coarse_fixed[[0, -1]] = coarse_fixed[:, [0, -1]] = True
        coarse = membrane(total / np.maximum(count, 1)[..., None], coarse_fixed)
        fine = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[:height, :width]
        start = np.where(fixed[..., None], values, fine)
    free = ~fixed[1:-1, 1:-1, None]
    for _ in range(_SWEEPS):
        mean = start[:-2, 1:-1] + start[2:, 1:-1] + start[1:-1, :-2] + start[1:-1, 2:]
        inner = start[1:-1, 1:-1]
        np.copyto(inner, mean / 4, where=free)
    return start


def ring_of(height: int, width: int) -> int:
    """Pixels around a picture of a size over which painted ones are corrected."""
    return int(np.clip(min(height, width) // 4, 8, 128))


def meetings(tile: Span, own: Span, period: int | None) -> list[tuple[slice, slice]]:
    """Where two runs of one axis have the same indices: slices of either."""
    cells = None if period is None else period * 2**tile.level
    shifts = [0]
    if cells is not None:
        first = (tile.start - own.stop) // cells
        shifts = [n * cells for n in range(first, first + tile.size // cells + 3)]
    meetings = []
    for shift in shifts:
        start = max(tile.start, own.start + shift)
        stop = min(tile.stop, own.stop + shift)
        if start < stop:
            to = slice(start - tile.start, stop - tile.start)
            from_ = start - shift - own.start
            meetings.append((to, slice(from_, from_ + stop - start)))
    return meetings
