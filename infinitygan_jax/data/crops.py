"""Whole images -> square training images -> patches with vertical labels.

docs/model.md, section 8.
"""

import dataclasses

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
    """

    full_size: int
    patch_size: int
    pre_size: int
    flip: bool

    def __post_init__(self) -> None:
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
