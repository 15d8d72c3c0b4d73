"""Pictures of more pixels than a model paints at once: what of them is inverted."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import devices
from infinitygan_jax.bundle import Bundle
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.models import detail as detail_lib
from infinitygan_jax.sampling.edits.compositing import Known, Picture
from infinitygan_jax.sampling.frame import trained_height

_LEAST_SIDE = 32  # a picture beside larger ones is not made smaller than this


def zooms_for(sizes: Sequence[tuple[int, int]], bundle: Bundle) -> int:
    """The level, times -1, at which pictures are to be shown in their own pixels.

    Args:
      sizes: heights and widths of pictures that are shown at one level.
      bundle: the model; without a detail synthesizer it is 0.

    Returns:
      How often they are halved for the largest one to be inverted well.
    """
    if bundle.detail is None:
        return 0
    most = trained_height(bundle.config.model)
    shorter = [min(size) for size in sizes]
    zooms = 0
    while max(shorter) >> zooms > most and min(shorter) >> zooms >= 2 * _LEAST_SIDE:
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


def rendered(inversion: Inversion, bundle: Bundle) -> UInt8[np.ndarray, "h w 3"]:
    """What the latents paint in the picture's place, at its own size, with detail.

    Raises:
      ValueError: the checkpoint is another.
    """
    picture = inversion.render(bundle)
    if not inversion.zooms:
        return picture
    assert bundle.detail is not None  # as the checkpoint is that which reduced it
    config, params = bundle.detail.config.detail, bundle.detail.params
    double = devices.jit_in_a_hurry(lambda *given: detail_lib.enlarged(config, *given))
    for octave in range(inversion.zooms):
        picture = np.asarray(double(params, picture[None], jax.random.key(octave))[0])
    return picture
