"""Pictures of more pixels than a model paints at once: what of them is inverted."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.sampling.edits.compositing import Picture

_LEAST_SIDE = 32  # a picture beside larger ones is not made smaller than this


def zooms_for(sizes: Sequence[tuple[int, int]], most: int) -> int:
    """The level, times -1, at which pictures are to be shown in their own pixels.

    Args:
      sizes: heights and widths of pictures that are shown at one level.
      most: pixels of the shorter side that the model knows.

    Returns:
      How often they are halved for the largest one to be inverted well.
    """
    shorter = [min(size) for size in sizes]
    zooms = 0
    while max(shorter) >> zooms > most and min(shorter) >> zooms >= 2 * _LEAST_SIDE:
        zooms += 1
    return zooms


def whole_squares(
    image: UInt8[np.ndarray, "h w 3"], zooms: int
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture without the last rows and columns that are no whole pixel at level 0.

    Args:
      image: in its own pixels.
      zooms: how often it is halved.
    """
    height, width = (side >> zooms << zooms for side in image.shape[:2])
    return image[:height, :width]


def reduced(
    image: UInt8[np.ndarray, "H W 3"], zooms: int
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of `whole_squares` at level 0: each pixel the mean of a square."""
    known = np.ones(image.shape[:2], bool)
    return Picture(0, 0, image, known).at_level(zooms).image
