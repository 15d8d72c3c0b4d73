"""Random changes of what the discriminator sees, differentiable (Zhao et al. 2020).

docs/model.md, section 7.9. Real and generated patches are changed by the same
distribution, so that the generator learns pictures, not their changes. Each draw is a
function of a step's key and the sample's index (``draws``).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from infinitygan_jax.config import Config
from infinitygan_jax.training import draws

_REACH = 8  # a picture moves by up to its side over this


def augment(
    config: Config,
    key: PRNGKeyArray,
    index: Int[Array, " b"],
    image: Float[Array, "b p p 3"],
    label: Float[Array, " b"],
    *,
    generated: bool,
) -> tuple[Float[Array, "b p p 3"], Float[Array, " b"]]:
    """Changes patches by all of ``train.augment``: colour, then place, then cutout.

    A patch that is moved down by d pixels shows what a patch does that begins d rows
    higher, and gets that one's label: it is lower by d times ``label_slope``, which
    differs between real and generated patches. It may so leave [-1, 1], as what it
    shows leaves the picture that patches are cut from.

    Args:
      config: all settings.
      key: of one purpose and step (``draws.step_key``).
      index: the samples' places in the whole batch.
      image: patches in [-1, 1].
      label: their vertical labels.
      generated: whether they are the generator's.

    Returns:
      The patches, no longer limited to [-1, 1], and their labels.
    """
    kinds = config.train.augment
    if "color" in kinds:
        image = color(key, index, image)
    if "translation" in kinds:
        image, down = translation(key, index, image)
        label = label - down.astype(label.dtype) * label_slope(config, generated)
    if "cutout" in kinds:
        image = cutout(key, index, image)
    return image, label


def label_slope(config: Config, generated: bool) -> float:
    """How much a patch's vertical label rises for each pixel row that it lies lower.

    Labels -1 to 1 are the ``full_size - patch_size + 1`` rows where a real patch can
    begin, and the cells where a generated one can (docs/model.md, sections 8 and
    5.1). In pixels these may differ (for the paper's model 96 and 144), so a slope
    shared by both would be wrong for one: a generated patch one cell lower shows what
    the sample of the next start shows, whose label is 2 / 9 above in the paper's. 0
    where real patches can begin at one row only.
    """
    if generated:
        return 2 / ((config.model.vertical_starts - 1) * config.model.cell_size)
    lowest = config.data.full_size - config.model.patch_size
    return 2 / lowest if lowest else 0.0


def color(
    key: PRNGKeyArray, index: Int[Array, " b"], image: Float[Array, "b h w 3"]
) -> Float[Array, "b h w 3"]:
    """Random brightness, saturation and contrast.

    Brightness moves by up to 0.5 either way, saturation scales by 0 to 2, contrast by
    0.5 to 1.5.
    """

    def one(key: Array, image: Array) -> Array:
        shift, saturation, contrast = jax.random.uniform(key, (3,))
        image = image + (shift - 0.5)
        grey = jnp.mean(image, axis=-1, keepdims=True)
        image = (image - grey) * (2 * saturation) + grey
        mean = jnp.mean(image, axis=(0, 1, 2), keepdims=True)
        return (image - mean) * (contrast + 0.5) + mean

    return jax.vmap(one)(draws.sample_keys(key, "color", index), image)


def translation(
    key: PRNGKeyArray, index: Int[Array, " b"], image: Float[Array, "b h w 3"]
) -> tuple[Float[Array, "b h w 3"], Int[Array, " b"]]:
    """Moves each picture by whole pixels, up to 1/8 of its sides; grey (0) comes in.

    Returns:
      The pictures, and by how many pixels each was moved down.
    """
    _, height, width, _ = image.shape
    reach = height // _REACH, width // _REACH

    def one(key: Array, image: Array) -> tuple[Array, Array]:
        down, right = _whole(key, (2 * reach[0] + 1, 2 * reach[1] + 1))
        down, right = down - reach[0], right - reach[1]
        padded = jnp.pad(image, [(r, r) for r in reach] + [(0, 0)])
        start = (reach[0] - down, reach[1] - right, 0)
        return jax.lax.dynamic_slice(padded, start, image.shape), down

    return jax.vmap(one)(draws.sample_keys(key, "translation", index), image)


def cutout(
    key: PRNGKeyArray, index: Int[Array, " b"], image: Float[Array, "b h w 3"]
) -> Float[Array, "b h w 3"]:
    """Makes a rectangle of half of each picture's sides grey (0).

    Its middle is anywhere in the picture, so a part of it may lie outside.
    """
    _, *sides, _ = image.shape
    sizes = [round(side / 2) for side in sides]

    def one(key: Array, image: Array) -> Array:
        # Middles are pixels if the size is odd, and the lines between them if even.
        middles = _whole(
            key, [n + 1 - size % 2 for n, size in zip(sides, sizes, strict=True)]
        )
        covered = []
        for middle, side, size in zip(middles, sides, sizes, strict=True):
            place = jnp.arange(side) - (middle - size // 2)
            covered.append((place >= 0) & (place < size))
        rows, columns = covered
        return jnp.where((rows[:, None] & columns[None])[..., None], 0.0, image)

    return jax.vmap(one)(draws.sample_keys(key, "cutout", index), image)


def _whole(key: Key[Array, ""], limits: Sequence[int]) -> list[Int[Array, ""]]:
    """Uniform whole numbers from 0 to each limit - 1, from one draw."""
    uniform = jax.random.uniform(key, (len(limits),))
    return [draws.below(n, x) for n, x in zip(limits, uniform, strict=True)]
