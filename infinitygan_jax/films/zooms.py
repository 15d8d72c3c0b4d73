"""Flights into depth: frames that see a place closer and closer, or from farther away.

Between whole levels a frame is the level above it enlarged and the one below reduced,
each by Lanczos' filter, faded into each other: no frame is a step, and at whole levels
it is the world's own window, byte for byte, where this lies at whole pixels.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from infinitygan_jax.films.flights import between, check_num_frames
from infinitygan_jax.films.overlaps import read_windows
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.world import World

_LOBES = 3  # of the filter; it sees so many pixels to each side, of the coarser kind


class View(NamedTuple):
    """A first or last frame.

    Attributes:
      zooms: its level is minus this.
      top, left: world row and column of its upper left pixel, at that level.
    """

    zooms: int
    top: int
    left: int


class _Box(NamedTuple):
    """What a frame sees of a level.

    Attributes:
      window: pixels that are painted, more than it shows where it is resampled.
      rows, cols: from where to where it shows them, counted from the window's corner.
    """

    window: Window
    rows: tuple[float, float]
    cols: tuple[float, float]

    @property
    def is_frame(self) -> bool:
        """Whether the window is what is shown, pixel for pixel."""
        sides = self.window.height, self.window.width
        return (self.rows, self.cols) == ((0, sides[0]), (0, sides[1]))


@dataclasses.dataclass(frozen=True)
class Zoom:
    """A way from one view to another, at an even pace in octaves.

    Attributes:
      height: of a frame, in pixels.
      width: of a frame.
      num_frames: at least 2.
      start: what the first frame sees.
      stop: what the last one sees.
      loop: goes back to the start, so that the first frame follows the last.
      ease: slows down at both ends.
    """

    height: int
    width: int
    num_frames: int
    start: View
    stop: View
    loop: bool = False
    ease: bool = False

    def __post_init__(self) -> None:
        check_num_frames(self.num_frames)
        if self.start.zooms == self.stop.zooms:
            raise UserError(
                "a zoom must lead to another level; give another end, or fly from "
                "place to place"
            )
        for view in (self.start, self.stop):
            Window(view.top, view.left, self.height, self.width)

    def depth(self, index: int) -> Fraction:
        """Minus the level that a frame sees; between levels where it is not whole."""
        at = between(index, 2, self.num_frames, self.loop, self.ease)
        ends = self.start.zooms, self.stop.zooms
        first, second = ends[at.first], ends[at.second]
        return first + at.amount * (second - first)

    def boxes(self, depth: Fraction) -> dict[int, _Box]:
        """What a frame sees, by level: of one, or of the two beside it."""
        above = math.floor(depth)
        levels = [above] if depth == above else [above, above + 1]
        return {-zooms: self._box(depth, zooms) for zooms in levels}

    def _box(self, depth: Fraction, zooms: int) -> _Box:
        """What a frame sees of one level."""
        scale = 2.0 ** float(zooms - depth)  # pixels of the level for one of the frame
        spans = []
        for side, start, stop in (
            (self.height, self.start.top, self.stop.top),
            (self.width, self.start.left, self.stop.left),
        ):
            first, part = self._edge(depth, zooms, start, stop)
            length = side * scale
            is_whole = depth == zooms and part == 0
            more = 0 if is_whole else math.ceil(_LOBES * max(scale, 1.0))
            last = math.ceil(part + length - 1e-9)
            spans.append(
                (first - more, last + 2 * more, (more + part, more + part + length))
            )
        (top, height, rows), (left, width, cols) = spans
        return _Box(Window(top, left, height, width), rows, cols)

    def _edge(
        self, depth: Fraction, zooms: int, start: int, stop: int
    ) -> tuple[int, float]:
        """Whole and part of where a frame begins, in pixels of a level.

        In pixels of level 0 edges are affine in 2**-depth, so that one place stays
        where it is. The end's own edge is exact, however far away it is.
        """
        exact = Fraction(stop) * Fraction(2) ** (zooms - self.stop.zooms)
        # Edges at level 0 that lie apart, in pixels of the level.
        unit = Fraction(2) ** zooms
        ends = [Fraction(2) ** -view.zooms for view in (self.start, self.stop)]
        apart = (start * ends[0] - stop * ends[1]) * unit
        if depth.denominator == 1:
            share = (Fraction(2) ** -int(depth) - ends[1]) / (ends[0] - ends[1])
            exact += apart * share
            whole = math.floor(exact)
            return whole, float(exact - whole)
        whole = math.floor(exact)
        part = float(exact - whole) + float(apart) * (
            (2.0 ** -float(depth) - float(ends[1])) / float(ends[0] - ends[1])
        )
        more = math.floor(part)
        return whole + more, part - more


def zoom(world: World, flight: Zoom) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Paints the frames of a zoom, in order; memory is that of a few.

    Args:
      world: at any level; gives all but level and place.
      flight: where to.

    Yields:
      uint8 frames; the caller owns them.
    """
    depths = map(flight.depth, range(flight.num_frames))
    for _, group in itertools.groupby(depths, key=_octave):
        seen = [(depth, flight.boxes(depth)) for depth in group]
        levels = sorted({level for _, boxes in seen for level in boxes})
        read = {
            level: read_windows(
                world.at_level(level),
                [boxes[level].window for _, boxes in seen if level in boxes],
            )
            for level in levels
        }
        for depth, boxes in seen:
            pictures = [
                _resampled(next(read[level]), box, flight)
                for level, box in sorted(boxes.items(), reverse=True)
            ]
            yield _faded(pictures, float(depth % 1))


def _octave(depth: Fraction) -> int:
    """Frames of one number see the same two levels, or one of them."""
    return math.ceil(depth)


def _resampled(
    picture: UInt8[np.ndarray, "_ _ 3"], box: _Box, flight: Zoom
) -> Float[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 3"]:
    """A frame of what was painted of one level."""
    if box.is_frame:
        return picture
    (top, bottom), (left, right) = box.rows, box.cols
    channels = [
        Image.fromarray(np.ascontiguousarray(picture[..., channel], np.float32)).resize(
            (flight.width, flight.height),
            Image.Resampling.LANCZOS,
            box=(left, top, right, bottom),
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _faded(
    pictures: list[Float[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 3"]],
    amount: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """From the first picture to the second, if there are two."""
    if len(pictures) == 1:
        values = pictures[0]
    else:
        first, second = pictures
        values = first * np.float32(1 - amount) + second * np.float32(amount)
    if values.dtype == np.uint8:
        return values
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
