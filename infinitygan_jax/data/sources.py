"""Names of data sources -> checked lists of images.

A source is a list: `len(source)`, `source[i]`; it can be pickled and read from several
threads. `check_source` finds the unusable images before training and returns the source
without them.
"""

import dataclasses
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from infinitygan_jax import machine
from infinitygan_jax.data import decoding, image_files, readers
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError

logger = logging.getLogger(__name__)

# Sources of up to this many images are decoded whole by `check_source`: some seconds
# for small images, a few minutes for large ones on two cores.
FULL_CHECK_LIMIT = 20_000

_CHUNK = 64  # Images a task of the thread pool.
_PROGRESS_SECONDS = 10.0
_NUM_SUBSTITUTES = 100


class CheckedSource(ImageSource):
    """The usable images of another source.

    An image that turns out to be unusable only when it is read (`check_source` says
    when that can be) is named once and replaced by the next usable one. Which one that
    is depends on the images alone, so all processes and runs draw the same.
    """

    def __init__(
        self, source: ImageSource, usable: Int[np.ndarray, " n"], min_size: int
    ):
        self.cheap_headers = source.cheap_headers
        self._source, self._usable, self._min_size = source, usable, min_size
        self._named: set[int] = set()

    def __len__(self) -> int:
        return len(self._usable)

    def __str__(self) -> str:
        return str(self._source)

    def name(self, index: int) -> str:
        return self._source.name(int(self._usable[index]))

    def identity(self, index: int) -> str:
        return self._source.identity(int(self._usable[index]))

    def check(self, index: int, min_size: int, full: bool) -> None:
        self._source.check(int(self._usable[index]), min_size, full)

    def read(self, index: int, min_size: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        min_size = max(min_size, self._min_size)
        tries = min(len(self), _NUM_SUBSTITUTES)
        for step in range(tries):
            candidate = int(self._usable[(index + step) % len(self)])
            try:
                return self._source.read(candidate, min_size)
            except decoding.ImageError as error:
                if candidate not in self._named:
                    self._named.add(candidate)
                    logger.warning(
                        "%s %s; the next one takes its place",
                        self._source.name(candidate),
                        error,
                    )
        raise decoding.ImageError(f"and the {tries - 1} after it cannot be used")


@dataclasses.dataclass(frozen=True)
class SkippedImage:
    """An unusable image: its name in the source and the reason, "is corrupt (...)"."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class SourceReport:
    """What `check_source` found.

    Attributes:
      source: the usable images, in the order of the checked source.
      num_images: number of images of the checked source.
      num_checked: how many of them were looked at.
      skipped: the unusable ones, in order.
    """

    source: ImageSource
    num_images: int
    num_checked: int
    skipped: tuple[SkippedImage, ...]


def open_source(source: str) -> ImageSource:
    """Opens a list of images.

    Args:
      source: one of
        a folder: all .jpg, .jpeg, .png, .webp, .bmp, .tif and .tiff files below it
          (and .heic and .heif where pillow-heif is installed), and images without an
          ending, sorted by relative path; links are followed, names with a leading dot
          are not, folders of training runs are left out, and what else there is named;
        "ARCHIVE.zip": the same files in an archive;
        "FOLDER[A:B]": a slice of these, by Python's rules: FOLDER[:-100] for training
          and FOLDER[-100:] for judging share no image;
        "tfds:NAME[/CONFIG][:VERSION][:SPLIT]" or "tfds:/BUILDER/FOLDER[:SPLIT]": a
          dataset prepared with file_format="array_record" and looked for in
          $TFDS_DATA_DIR, else where tfds keeps its data; the split is "train" unless
          named, and slices such as "train[:90%]" are splits too. The images are the
          feature "image", or the only image feature;
        "generated:N": N procedural landscapes of 256 x 256, for tests and trials.

    Returns:
      The images, not yet checked.

    Raises:
      ValueError: there is no such source, or it holds no images.
    """
    scheme, colon, rest = source.partition(":")
    if not source:
        raise UserError(
            "the data source must be a folder or .zip (or FOLDER[A:B]), tfds:NAME or "
            "generated:N, not empty"
        )
    if scheme == "generated" and colon:
        return readers.open_generated(rest)
    if scheme == "tfds" and colon:
        return readers.open_tfds(rest)
    # Two letters at least: C:\photos is a folder.
    is_scheme = colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", scheme)
    if is_scheme and not os.path.exists(source):
        raise UserError(
            f"the data source's scheme ({scheme}:) must be tfds: or generated:, or the "
            f"source a folder; there is no folder {source}"
        )
    return image_files.open_files(os.path.expanduser(source))


def check_source(
    source: ImageSource,
    min_size: int,
    *,
    num_threads: int | None = None,
    full_check_limit: int = FULL_CHECK_LIMIT,
) -> SourceReport:
    """Finds the unusable images, before training starts.

    Up to `full_check_limit` images, the data of all are decoded, so whatever cannot be
    decoded is known and skipped from the start. Above it (400,000 photographs take an
    hour to decode), folders are checked by header and end mark alone, which still finds
    what is small, cut off or no image; and of tfds datasets, whose records can only be
    read whole, every n-th record is decoded, `full_check_limit` of them. What that
    misses is named and replaced when it is read (`CheckedSource`). The result depends
    on the images only, not on threads or timing. Long checks log their progress.

    Args:
      source: the images.
      min_size: least length of the shorter side, in pixels: the patch size. Larger
        ones that are smaller than the training image are enlarged.
      num_threads: threads; half of the cores, at least 2, if None.
      full_check_limit: see above.

    Returns:
      The usable images and a list of the others, which are logged as warnings too.

    Raises:
      ValueError: more than half of the checked images are unusable.
    """
    full = len(source) <= full_check_limit
    stride = 1 if full or source.cheap_headers else -(-len(source) // full_check_limit)
    indices = range(0, len(source), stride)

    def check_chunk(chunk: Sequence[int]) -> list[tuple[int, str]]:
        found = ((i, _problem(source, i, min_size, full or stride > 1)) for i in chunk)
        return [(index, reason) for index, reason in found if reason]

    bad = _in_threads(check_chunk, indices, num_threads or default_num_threads())
    skipped = tuple(SkippedImage(source.name(i), reason) for i, reason in bad)
    for image in skipped:
        logger.warning("skipping %s, which %s", image.name, image.reason)
    if skipped:
        logger.warning("skipping %d of %d images", len(skipped), len(indices))
    if 2 * len(skipped) > len(indices):
        first = skipped[0]
        raise UserError(
            f"most images of the source must be usable, but {len(skipped)} of "
            f"{len(indices)} in {source} are not (the first, {first.name}, "
            f"{first.reason}); replace or remove them, or name another source"
        )
    usable = np.setdiff1d(np.arange(len(source)), [index for index, _ in bad])
    checked = CheckedSource(source, usable, min_size)
    return SourceReport(checked, len(source), len(indices), skipped)


def fingerprint(source: ImageSource) -> str:
    """What a run's checkpoints keep of its data, to notice when it was changed.

    It takes in number, order and names of the images, and of files their sizes, but not
    where they lie: a folder may be moved.
    """
    digest = hashlib.sha256()
    for index in range(len(source)):
        digest.update(source.identity(index).encode("utf-8", "surrogateescape") + b"\0")
    return f"{len(source)} images, sha256 {digest.hexdigest()[:16]}"


def default_num_threads() -> int:
    """Half of the cores that this process may use, but at least 2."""
    return max(2, machine.num_cores() // 2)


def _problem(source: ImageSource, index: int, min_size: int, full: bool) -> str:
    """Why an image cannot be used, or ''."""
    try:
        source.check(index, min_size, full)
    except decoding.ImageError as error:
        return str(error)
    # Anything else the system says (no more handles, a failing disk) is no property of
    # the image, and skipping for it would train on other data than the next run does.
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _in_threads(
    function: Callable[[Sequence[int]], list[Any]],
    indices: Sequence[int],
    num_threads: int,
) -> list[Any]:
    """Results of `function` over chunks of `indices`, in order; logs its progress."""
    chunks = [indices[i : i + _CHUNK] for i in range(0, len(indices), _CHUNK)]
    results, last = [], time.monotonic()
    with futures.ThreadPoolExecutor(num_threads) as executor:
        for number, found in enumerate(executor.map(function, chunks)):
            results += found
            if time.monotonic() - last > _PROGRESS_SECONDS:
                last = time.monotonic()
                done = min((number + 1) * _CHUNK, len(indices))
                logger.info("checked %d of %d images", done, len(indices))
    return results
