"""Pictures of more pixels than a model paints at once: what of them is inverted."""

import dataclasses
from collections.abc import Sequence

from infinitygan_jax.bundle import Bundle
from infinitygan_jax.inversion.place import LEAST_CELLS
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.sampling.edits.compositing import Known, Picture
from infinitygan_jax.sampling.frame import trained_height


def zooms_for(sizes: Sequence[tuple[int, int]], bundle: Bundle) -> int:
    """The level, times -1, at which pictures are to be shown in their own pixels.

    Args:
      sizes: heights and widths of pictures that are shown at one level.
      bundle: the model; without a detail synthesizer it is 0.

    Returns:
      How often they are halved for the largest one to be inverted well, and the
      smallest one at all.
    """
    if bundle.detail is None:
        return 0
    model = bundle.config.model
    most, least = trained_height(model), LEAST_CELLS * model.cell_size
    shorter = [min(size) for size in sizes]
    zooms = 0
    while max(shorter) >> zooms > most and min(shorter) >> zooms + 1 >= least:
        zooms += 1
    return zooms


def whole_squares(known: Known, zooms: int) -> Known:
    """A picture without the last rows and columns that are no whole pixel at level 0.

    Args:
      known: in its own pixels.
      zooms: how often it is halved.
    """
    height, width = (side >> zooms << zooms for side in known.mask.shape)
    return Known(known.image[:height, :width], known.mask[:height, :width])


def reduced(known: Known, zooms: int) -> Known:
    """A picture of `whole_squares` at level 0: each pixel the mean of a square."""
    picture = Picture(0, 0, *known).at_level(zooms)
    return Known(picture.image, picture.mask)


def with_own_pixels(inversion: Inversion, known: Known, zooms: int) -> Inversion:
    """An inversion of what is `reduced`, which knows the picture of `whole_squares`."""
    if not zooms:
        return inversion
    return dataclasses.replace(
        inversion, finer_image=known.image, finer_mask=known.mask, zooms=zooms
    )
