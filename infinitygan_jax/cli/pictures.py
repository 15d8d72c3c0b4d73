"""Pictures that commands take: read, cut out, resized."""

import pathlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from infinitygan_jax import files
from infinitygan_jax.cli import options
from infinitygan_jax.data import decoding
from infinitygan_jax.messages import UserError, one_line

_Item = TypeVar("_Item")
MOST_SIDE = 2**15  # pixels of the shorter side of a resized picture


def read(name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes an image.

    Raises:
      ValueError: it cannot be used; the message names it and says why.
    """
    try:
        return decoding.decode(name)
    except decoding.ImageError as error:
        raise UserError(f"image ({name}) {error}; give another") from error
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(
            f"image ({name}) cannot be read ({reason}); give another"
        ) from error


def files_in(
    folder: pathlib.Path, images: Sequence[str], suffix: str
) -> list[pathlib.Path]:
    """Files of the images' names in a folder, which is there or can be made.

    Raises:
      ValueError: it is a file or cannot be written, or two images have one name.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"{folder} must be a folder, and is a file; choose another name"
        )
    files.check_folder(folder if folder.exists() else folder.absolute().parent)
    found = [folder / f"{pathlib.Path(name).stem}{suffix}" for name in images]
    twice = {path for path in found if found.count(path) > 1}
    if twice:
        raise UserError(
            f"two images would be written to {min(twice)}; rename one of them"
        )
    for path in found if folder.exists() else (folder, *found):
        files.check_name(path)
    return found


def region_of(text: str | None, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a rectangle of an image.

    Args:
      text: ``Y,X,WIDTHxHEIGHT``, or None for all.
      height: of the image.
      width: of the image.

    Raises:
      ValueError: not of this form, or not within the image.
    """
    if text is None:
        return slice(0, height), slice(0, width)
    numbers = options.whole_numbers(text, "N,N,NxN", 9)
    if not numbers:
        raise UserError(
            f"--region ({text}) must be Y,X,WIDTHxHEIGHT in whole pixels of up to 9 "
            "digits; write e.g. --region 0,64,256x128"
        )
    top, left, wide, high = numbers
    inside = 0 <= top < top + high <= height and 0 <= left < left + wide <= width
    if not inside:
        raise UserError(
            f"--region ({text}) must lie within the image ({width}x{height}); all of "
            f"it is 0,0,{width}x{height}"
        )
    return slice(top, top + high), slice(left, left + wide)


def resized(
    image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], side: int | None
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], Bool[np.ndarray, "h2 w2"]]:
    """An image and its mask with a shorter side of so many pixels."""
    if side is None:
        return image, known
    height, width = image.shape[:2]
    shorter = min(height, width)
    if not 1 <= side <= MOST_SIDE:
        raise UserError(f"--side ({side}) must be from 1 to {MOST_SIDE}; use {shorter}")
    size = (round(width * side / shorter), round(height * side / shorter))
    if max(size) > 2 * MOST_SIDE:
        raise UserError(f"--side ({side}) makes {size[0]}x{size[1]}; use a smaller")
    picture = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    part = Image.fromarray(known.astype(np.float32))
    share = np.asarray(part.resize(size, Image.Resampling.BOX))
    # A pixel is known where all that it was made of is, or nearly.
    return np.asarray(picture), share > 0.99


def batches(
    items: Sequence[_Item], shapes: Sequence[tuple[int, ...]], most: int
) -> list[list[_Item]]:
    """Items whose pictures are of one shape, in order, in groups of up to so many."""
    by_shape: dict[tuple[int, ...], list[_Item]] = {}
    for item, shape in zip(items, shapes, strict=True):
        by_shape.setdefault(shape, []).append(item)
    return [
        group[first : first + most]
        for group in by_shape.values()
        for first in range(0, len(group), most)
    ]
