"""One encoded image of any kind -> upright RGB uint8, or the reason why not.

What is done to the unusual ones:

- grey and 1-bit: the same value in all three channels;
- 16-bit: scaled by 255 / 65535 (grey, rounded) or by its high byte (colour, as Pillow
  reads it); never clipped;
- CMYK, YCbCr, HSV: Pillow's conversion; embedded colour profiles are not applied;
- transparency, also of palettes: laid over white, as a page shows it;
- EXIF orientation: applied, so that the sky is up (the vertical labels depend on it);
- several frames or pages: the first;
- floating point, Lab, and integers beyond 16 bits have no agreed white: refused.
"""

import contextlib
import io
import os
import struct
from collections.abc import Iterator

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageFile, UnidentifiedImageError

from infinitygan_jax.messages import UserError

# Decoders that may run on whatever lies in a data folder; Pillow knows forty more. Now,
# because Pillow fetches its rarer plugins late, and formats must be known to be named.
Image.init()
with contextlib.suppress(ImportError):  # phones' photographs; an extra
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
FORMATS = tuple(
    kind
    for kind in ("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "HEIF")
    if kind in Image.OPEN
)

# Endings of the files that hold them.
HEIF_SUFFIXES = (".heic", ".heif")
SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
if "HEIF" in FORMATS:
    SUFFIXES += HEIF_SUFFIXES

_INTEGER_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_OPAQUE_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_MODES = (*_OPAQUE_MODES, *_ALPHA_MODES, *_INTEGER_MODES)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(UserError):
    """An image that cannot be used; the message is the reason, without a name."""


def decode(
    file: str | io.BufferedIOBase, min_size: int = 0
) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes an image.

    Args:
      file: path or binary file of the encoded image.
      min_size: least length of the shorter side, in pixels.

    Returns:
      uint8 (h, w, 3), RGB, upright.

    Raises:
      ImageError: the image is broken, too small, too large or of an unusable kind.
      OSError: the file cannot be read at all.
    """
    with _opened(file, min_size) as image:
        image.load()
        return np.asarray(_upright_rgb(image))


def check(file: str | io.BufferedIOBase, min_size: int, full: bool) -> None:
    """Looks for a reason why `decode` would fail, at a fraction of its cost.

    Args:
      file: path or binary file of the encoded image.
      min_size: least length of the shorter side, in pixels.
      full: decode all of its data. Otherwise only the header and the end mark are
        looked at, and the data are decoded only where no end mark is found (cut-off
        files, but also some with a maker's trailer, which are fine).

    Raises:
      ImageError: as `decode`.
      OSError: as `decode`.
    """
    with _opened(file, min_size) as image:
        if full or not _has_end_mark(image):
            # A JPEG at 1/8 scale: every byte is parsed, few pixels are computed.
            image.draft(image.mode, (1, 1))
            image.load()
            if image.mode in _INTEGER_MODES:
                _upright_rgb(image)  # The range of integers shows in the data only.


def is_image(file: io.BufferedIOBase) -> bool:
    """Whether a file begins as an image of a kind that is read; it may be broken."""
    try:
        with _image_of(file):
            return True
    # Decoders let almost any exception through on what is none of theirs.
    except Exception:
        return False


def _image_of(file: str | io.BufferedIOBase) -> ImageFile.ImageFile:
    # Pillow asks for `typing.IO`, which files in memory and in archives are not quite.
    return Image.open(file, formats=FORMATS)  # type: ignore[arg-type]


@contextlib.contextmanager
def _opened(
    file: str | io.BufferedIOBase, min_size: int
) -> Iterator[ImageFile.ImageFile]:
    """Opens an image, checks its header, and names what is wrong with its data."""
    # Pillow warns from its limit on and refuses twice that, as this does.
    limit = Image.MAX_IMAGE_PIXELS and 2 * Image.MAX_IMAGE_PIXELS
    try:
        with _image_of(file) as image:
            width, height = image.size
            if limit is not None and width * height > limit:
                raise Image.DecompressionBombError
            if min(width, height) < min_size:
                raise ImageError(
                    f"is too small ({width}x{height}, shorter side under {min_size})"
                )
            if image.mode not in _MODES:
                raise ImageError(f"has pixels of an unusable kind ({image.mode})")
            yield image
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise ImageError("is no JPEG, PNG, WebP, BMP or TIFF image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"is too large (over {limit} pixels)") from None
    # Pillow's decoders let almost any exception through on broken data; only what the
    # operating system says (it has an errno) is not a property of the image.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"is corrupt ({reason})") from error


def _has_end_mark(image: ImageFile.ImageFile) -> bool:
    """Whether a JPEG or PNG file ends as it should; False where that is unknown."""
    if image.format not in ("JPEG", "PNG"):
        return False
    assert image.fp is not None  # until it is loaded
    position = image.fp.tell()
    image.fp.seek(-12, os.SEEK_END)
    tail = image.fp.read(12)
    image.fp.seek(position)
    return tail.endswith(b"\xff\xd9") if image.format == "JPEG" else b"IEND" in tail


def _upright_rgb(image: Image.Image) -> Image.Image:
    """A loaded image as RGB, its EXIF orientation applied."""
    if image.mode in _INTEGER_MODES:
        rgb = _from_16_bit(np.asarray(image))
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        rgb = Image.alpha_composite(page, layer).convert("RGB")
    else:
        rgb = image.convert("RGB")
    turn = _UPRIGHT.get(_orientation(image) or 1)
    return rgb if turn is None else rgb.transpose(turn)


def _from_16_bit(values: Integer[np.ndarray, "h w"]) -> Image.Image:
    values = values.astype(np.int64)
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ImageError(f"has integer pixels beyond 16 bits ({low} to {high})")
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))


def _orientation(image: Image.Image) -> int | None:
    """EXIF orientation, 1 to 8; broken EXIF data do not make an image unusable.

    Read after loading: Pillow turns TIFF images itself then, and drops the tag.
    """
    try:
        return image.getexif().get(_ORIENTATION_TAG)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return None
