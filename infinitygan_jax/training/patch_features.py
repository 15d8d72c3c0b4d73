"""What the energy distance compares of patches (docs/model.md, section 7.6).

A discriminator's frozen network tells which textures and objects a patch holds, but
hardly where. Nor does it show what repeats with the generator's cells: generated
patches begin at a cell's edge, but may be moved before the network sees them. Colours
of the patch before augmentation show both.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from infinitygan_jax.config import DiscriminatorConfig
from infinitygan_jax.models import features
from infinitygan_jax.models import projected_discriminator as projected
from infinitygan_jax.models.layers import averaged

# A patch has so many parts a side whose colours are compared: the means of what the
# network sees do not tell sky above ground from ground above sky.
_PARTS = 4
_EPSILON = 1e-6  # a deviation's slope is infinite at 0


def widths(config: DiscriminatorConfig) -> tuple[int, ...]:
    """How many features each group has, of a model whose D sees a frozen network."""
    taps = features.SIZES[projected.NETWORK].taps
    rows, columns = 3 * (config.patch_size - 1), 3 * (config.patch_size - 2)
    return (*taps, *taps, *taps, 3 * _PARTS**2, rows, columns)


def of(
    image: Float[Array, "b p p 3"], taps: Sequence[Float[Array, "b _ _ _"]]
) -> Float[Array, "b d"]:
    """Features of patches, of the groups of `widths` one after another.

    Args:
      image: float32 patches before any augmentation.
      taps: what the discriminator's frozen network sees in them (augmented).

    Returns:
      Means of each tap's channels over positions; their standard deviations; their
      maxima; mean colours of the patch's parts; what the mean colour of a row adds to
      that of the row above; how far that of a column is from its neighbours' mean.
      float32.
    """
    seen = [tap.astype(jnp.float32) for tap in taps]
    means = [jnp.mean(tap, axis=(1, 2)) for tap in seen]
    deviations = [jnp.sqrt(jnp.var(tap, axis=(1, 2)) + _EPSILON) for tap in seen]
    # A mean hardly shows one strong response.
    maxima = [jnp.max(tap, axis=(1, 2)) for tap in seen]
    parts = averaged(image, image.shape[1] // _PARTS)[:, :_PARTS, :_PARTS]
    rows = jnp.diff(jnp.mean(image, axis=2), axis=1)
    # Not first differences: photographs are brighter in the middle, and an endless
    # world has no middle.
    columns = jnp.diff(jnp.mean(image, axis=1), n=2, axis=1) / 2
    colours = [each.reshape(len(image), -1) for each in (parts, rows, columns)]
    return jnp.concatenate([*means, *deviations, *maxima, *colours], axis=1)
