"""Whole images -> square training images -> patches with vertical labels.

docs/model.md, section 8.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from infinitygan_jax.messages import UserError


@dataclasses.dataclass(frozen=True)
class Cut:
    """How patches are cut from images.

    Attributes:
      full_size: side of the training images, in pixels (the paper's: 197).
      patch_size: side of the patches, in pixels (the paper's: 101).
      pre_size: size that images are brought to before ``full_size`` (the paper's:
        128), or 0.
      flip: whether half of the patches are mirrored left to right.
      least_size: where not 0, training images have sides from this to ``full_size``,
        drawn so that each octave is as likely. What a patch sees beyond the edges of
        one that is smaller is mirrored.
    """

    full_size: int
    patch_size: int
    pre_size: int
    flip: bool
    least_size: int = 0

    def __post_init__(self) -> None:
        if self.least_size and not 2 <= self.least_size <= self.full_size:
            raise UserError(
                f"least_size ({self.least_size}) must be from 2 to full_size "
                f"({self.full_size}), or 0 for none; use 0"
            )
        if self.least_size and self.patch_size >= 1:
            return
        if not 1 <= self.patch_size <= self.full_size:
            raise UserError(
                f"patch_size ({self.patch_size}) must be from 1 to full_size "
                f"({self.full_size}); use a smaller patch or a larger full_size"
            )
        if self.pre_size < 0:
            raise UserError(
                f"pre_size ({self.pre_size}) must be positive, or 0 for none"
            )


def prepare(
    image: UInt8[np.ndarray, "h w 3"], full_size: int, pre_size: int = 0
) -> UInt8[np.ndarray, "full full 3"]:
    """Makes a square training image: shorter side resized, centre cut out.

    Pillow's antialiased Lanczos filter, both to shrink and to enlarge. When it shrinks
    much, whole blocks are averaged first: half the cost, no difference to be seen.

    Args:
      image: uint8 (h, w, 3), any size.
      full_size: side of the training image, in pixels.
      pre_size: where not 0, the image is brought to this size first: 128 before 197
        gives the field of view and the sharpness of the reference's data.

    Returns:
      uint8 (full_size, full_size, 3).
    """
    picture = Image.fromarray(image)
    for size in (pre_size, full_size) if pre_size else (full_size,):
        width, height = picture.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        # The filter reads over the edge of the box: the same as resizing, then cutting.
        picture = picture.resize(
            (size, size),
            Image.Resampling.LANCZOS,
            box=(left, top, left + side, top + side),
            reducing_gap=3.0,
        )
    return np.asarray(picture)


def random_size(cut: Cut, rng: np.random.Generator) -> int:
    """Side of a training image, in pixels; draws nothing where all have one size."""
    if not cut.least_size:
        return cut.full_size
    octaves = math.log2(cut.full_size / cut.least_size)
    return round(cut.least_size * 2 ** (octaves * rng.random()))


def mirrored_to(
    image: UInt8[np.ndarray, "h w 3"], size: int
) -> UInt8[np.ndarray, "H W 3"]:
    """An image with sides of at least ``size``: what is missing is mirrored."""
    missing = [max(size - side, 0) for side in image.shape[:2]]
    around = [(each // 2, each - each // 2) for each in missing]
    return np.pad(image, [*around, (0, 0)], mode="reflect") if any(missing) else image


def random_patch(
    image: UInt8[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    patch_size: int,
    flip: bool,
) -> tuple[Float32[np.ndarray, "p p 3"], np.float32]:
    """Cuts a patch at a random place, with the label of its row.

    Args:
      image: uint8 (h, w, 3), the training image.
      rng: where the row, the column and the flip are drawn from, in this order.
      patch_size: side of the patch, in pixels.
      flip: whether half of the patches are mirrored left to right.

    Returns:
      patch: float32 (patch_size, patch_size, 3) in [-1, 1].
      label: float32, 2 top / (number of possible rows - 1) - 1: -1 for a patch at the
        top of the image, 1 at its bottom; 0 where there is one possible row only.

    Raises:
      ValueError: the patch is larger than the image.
    """
    height, width = image.shape[:2]
    num_rows, num_columns = height - patch_size + 1, width - patch_size + 1
    if patch_size < 1 or min(num_rows, num_columns) < 1:
        raise UserError(
            f"patch_size ({patch_size}) must be from 1 to the training image's side "
            f"({min(height, width)}); use a smaller patch or a larger full_size"
        )
    top = int(rng.integers(num_rows))
    left = int(rng.integers(num_columns))
    # Drawn in any case, so that the places do not depend on the setting.
    mirrored = bool(rng.integers(2)) and flip
    patch = image[top : top + patch_size, left : left + patch_size]  # [p, p, 3]
    if mirrored:
        patch = patch[:, ::-1]
    label = 2 * top / (num_rows - 1) - 1 if num_rows > 1 else 0.0
    return patch.astype(np.float32) / np.float32(127.5) - 1, np.float32(label)
