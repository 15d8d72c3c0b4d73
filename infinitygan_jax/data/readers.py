"""Lists of images that decode on access: what they are, and two that need no files.

A prepared tfds dataset, and a formula; `image_files` has folders and archives. Nothing
of TensorFlow is used.
"""

import abc
import dataclasses
import io
import os
import pathlib
import re
from typing import Any

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.data import decoding, generated
from infinitygan_jax.messages import UserError

_TFDS_NAME = re.compile(
    r"(?P<name>[^:]+(:(\d+|\*)\.(\d+|\*)\.(\d+|\*))?)(:(?P<split>.+))?"
)


class ImageSource(abc.ABC):
    """A list of images, each uint8 (h, w, 3) RGB, upright, of any size.

    Attributes:
      cheap_headers: whether an image's size can be read without all of its data.
    """

    cheap_headers = True

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def __str__(self) -> str:
        """What to call the source in messages: as `open_source` takes it."""

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """What to call an image in messages."""

    def identity(self, index: int) -> str:
        """What tells an image from another that took its place, wherever it lies."""
        return self.name(index)

    @abc.abstractmethod
    def read(self, index: int, min_size: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        """Decodes an image: uint8 (h, w, 3).

        Raises:
          decoding.ImageError: it cannot be used, or its shorter side is under
            `min_size` pixels; the message is the reason.
        """

    @abc.abstractmethod
    def check(self, index: int, min_size: int, full: bool) -> None:
        """Raises what `read` would; without `full` only from header and end mark."""

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        if not 0 <= index < len(self):  # What ends `for image in source`.
            raise IndexError(f"image {index} of {len(self)} in {self}")
        try:
            return self.read(index)
        except decoding.ImageError as error:
            raise UserError(
                f"image {self.name(index)} of {self} {error}; replace or remove it"
            ) from error


@dataclasses.dataclass(frozen=True)
class TfdsSource(ImageSource):
    """The images of a split of a prepared tfds dataset, in the order of its shards."""

    cheap_headers = False  # A record is read whole.

    location: str
    split: str
    feature: str
    records: Any = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        return f"tfds:{self.location}:{self.split}"

    def name(self, index: int) -> str:
        return f"{self.split} #{index}"

    def identity(self, index: int) -> str:
        return f"{'/'.join(pathlib.Path(self.location).parts[-2:])} {self.name(index)}"

    def read(self, index: int, min_size: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        return decoding.decode(self._file(index), min_size)

    def check(self, index: int, min_size: int, full: bool) -> None:
        decoding.check(self._file(index), min_size, full)

    def _file(self, index: int) -> io.BytesIO:
        return io.BytesIO(self.records[index][self.feature])


@dataclasses.dataclass(frozen=True)
class GeneratedSource(ImageSource):
    """Procedural landscapes of 256 x 256; picture i is a function of i."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __str__(self) -> str:
        return f"generated:{self.count}"

    def name(self, index: int) -> str:
        return f"#{index}"

    def read(self, index: int, min_size: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        self.check(index, min_size, full=False)
        return generated.landscape(index)

    def check(self, index: int, min_size: int, full: bool) -> None:
        if min_size > generated.SIZE:
            raise decoding.ImageError(
                f"is too small ({generated.SIZE} pixels, under {min_size})"
            )


def open_generated(count: str) -> GeneratedSource:
    """N of "generated:N" -> the source.

    Raises:
      ValueError: it is no number from 1 to 999999999.
    """
    if not re.fullmatch(r"[0-9]{1,9}", count) or int(count) < 1:
        raise UserError(
            f"generated:N needs a number of pictures from 1 to 999999999, not "
            f"{count!r}; try generated:256"
        )
    return GeneratedSource(int(count))


def open_tfds(name: str) -> TfdsSource:
    """NAME[/CONFIG][:VERSION][:SPLIT] or FOLDER[:SPLIT] -> the source.

    Raises:
      ValueError: tfds is not installed, or there is no such dataset, split or feature.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"tfds:{name} needs tensorflow-datasets and array_record; install them "
            "with pip install tensorflow-datasets array_record"
        ) from error
    match = _TFDS_NAME.fullmatch(name)
    if match is None:
        raise UserError(
            f"tfds:NAME[/CONFIG][:VERSION][:SPLIT] names a dataset, not tfds:{name}"
        )
    split = match["split"] or "train"
    builder = _find_builder(match["name"])
    feature = _image_feature(builder, tfds.features.Image)
    try:
        records = builder.as_data_source(
            split=split, decoders={feature: tfds.decode.SkipDecoding()}
        )
    # tfds and the readers below it raise errors of many kinds, NotImplementedError for
    # files that are no array_record among them.
    except Exception as error:
        raise UserError(
            f"split {split!r} of {builder.data_dir} must be readable by index: "
            f"{_first_line(error)}; its splits are {', '.join(builder.info.splits)}, "
            "and it must have been prepared with file_format='array_record'"
        ) from error
    if not len(records):
        raise UserError(
            f"split {split!r} of {builder.data_dir} must hold images, but it is empty; "
            f"its splits are {', '.join(builder.info.splits)}"
        )
    return TfdsSource(str(builder.data_dir), split, feature, records)


def _find_builder(name: str) -> Any:
    """The prepared tfds dataset of a name or folder, its code not needed."""
    from tensorflow_datasets.core import constants, read_only_builder, registered

    # tfds reads the variable when it is imported, which may have been long ago.
    data_dir = os.environ.get("TFDS_DATA_DIR") or constants.DATA_DIR
    folder = os.path.expanduser(name)
    try:
        if os.path.isabs(folder) or name.startswith("."):
            return read_only_builder.builder_from_directory(folder)
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except Exception as error:  # As above; a broken builder folder raises anything.
        # What tfds says of a missing one is a paragraph that names no more than we do.
        missing = isinstance(error, registered.DatasetNotFoundError)
        reason = "no such dataset" if missing else _first_line(error)
        place = "there" if os.path.isabs(folder) else f"in {data_dir}"
        raise UserError(
            f"a dataset prepared by tfds must be found for tfds:{name}, but {place} is "
            f"none ({reason}); prepare it with file_format='array_record', name its "
            "config if it has some, or set TFDS_DATA_DIR to where it is"
        ) from error


def _image_feature(builder: Any, image_type: type) -> str:
    """Key of the images among the features of a dataset."""
    features = dict(builder.info.features)
    images = [key for key, value in features.items() if isinstance(value, image_type)]
    if "image" in images:
        return "image"
    if len(images) != 1:
        raise UserError(
            f"{builder.data_dir} must have a feature 'image' or one image feature; its "
            f"features are {', '.join(features)}, {len(images)} of them images"
        )
    return images[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
