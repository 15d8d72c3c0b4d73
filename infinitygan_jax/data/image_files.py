"""Image files below a folder or in a .zip archive: found by name, read on access."""

import abc
import dataclasses
import functools
import io
import logging
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import files
from infinitygan_jax.data import decoding
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError, one_line

logger = logging.getLogger(__name__)

ARCHIVE = ".zip"
_MOST_BYTES = 2**30  # of one file in an archive
# Compressions of which a reader unpacks no more than it asks for.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_SLICED = re.compile(r"(?P<whole>.+)\[(?P<inside>[^\[\]/]*)\]")
_SLICE = re.compile(r"\s*([-+]?[0-9]{1,18})?\s*:\s*([-+]?[0-9]{1,18})?\s*")


@dataclasses.dataclass(frozen=True)
class FileSource(ImageSource):
    """Image files by their names, in order.

    Attributes:
      root: of the folder or archive.
      names: relative paths, with forward slashes.
      slice_text: such as "[:-100]", where these are not all.
    """

    root: str
    names: Sequence[str] = dataclasses.field(repr=False)
    slice_text: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return self.root + self.slice_text

    def name(self, index: int) -> str:
        return self.names[index]

    def identity(self, index: int) -> str:
        return f"{self.names[index]} {self._num_bytes(self.names[index])}"

    def read(self, index: int, min_size: int = 0) -> UInt8[np.ndarray, "h w 3"]:
        return decoding.decode(self._file(self.names[index]), min_size)

    def check(self, index: int, min_size: int, full: bool) -> None:
        decoding.check(self._file(self.names[index]), min_size, full)

    @abc.abstractmethod
    def _num_bytes(self, name: str) -> int:
        """Size of a file."""

    @abc.abstractmethod
    def _file(self, name: str) -> str | io.BytesIO:
        """Its path, or what it holds."""


@dataclasses.dataclass(frozen=True)
class FolderSource(FileSource):
    """The image files below a folder, sorted by their relative path, or a slice."""

    def _num_bytes(self, name: str) -> int:
        return os.path.getsize(os.path.join(self.root, name))

    def _file(self, name: str) -> str:
        return os.path.join(self.root, name)


@dataclasses.dataclass(frozen=True)
class ArchiveSource(FileSource):
    """The image files in a .zip archive, sorted by name, or a slice.

    The same data as the folder that was packed: a run may go on with either.
    """

    cheap_headers = False  # A file is read whole.

    @functools.cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.root)  # which several threads may read

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot be pickled.
        return {k: v for k, v in self.__dict__.items() if k != "_archive"}

    def _num_bytes(self, name: str) -> int:
        return self._archive.getinfo(name).file_size

    def _file(self, name: str) -> io.BytesIO:
        info = self._archive.getinfo(name)
        if info.compress_type not in _BOUNDED:
            raise decoding.ImageError("is neither stored nor deflated in its archive")
        if info.file_size > _MOST_BYTES:
            raise decoding.ImageError(f"is too large ({info.file_size} bytes)")
        try:
            with self._archive.open(info) as file:
                return io.BytesIO(file.read(info.file_size))
        # Broken data, or a password. What the system says has a number.
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise decoding.ImageError(f"cannot be read ({one_line(error)})") from error


def open_files(root: str) -> FileSource:
    """A folder or .zip archive of images, or a slice ROOT[a:b] -> the source.

    Image files are those with an ending of `decoding.SUFFIXES`, and those without any
    that hold an image. Names with a leading dot are passed over; folders of training
    runs, whose sheets are no photographs, and all other files are left out, and a
    warning of one line says so. A name that ends in brackets and is there is no slice.

    Raises:
      ValueError: it is missing, neither of the two, unreadable, that of a run, or holds
        no images; the brackets hold no slice, or an empty one.
    """
    match = _SLICED.fullmatch(root)
    if match is None or os.path.exists(root):
        return _whole(root)
    name, inside = match["whole"], match["inside"]
    bounds = _SLICE.fullmatch(inside)
    if bounds is None:
        raise UserError(
            "the data source must be a folder or .zip, or a slice of one, FOLDER[A:B] "
            f"with whole numbers, and there is no folder {root}, and [{inside}] is no "
            "slice; write one such as [:-100] or [-100:]"
        )
    whole = _whole(name)
    first, last = (int(text) if text else None for text in bounds.groups())
    names = whole.names[first:last]
    if not names:
        raise UserError(
            f"a slice of a data folder must hold images, but [{inside}] of the "
            f"{len(whole)} of {name} holds none; write one such as "
            f"[:{-(-len(whole) // 2)}]"
        )
    return dataclasses.replace(whole, names=names, slice_text=f"[{inside}]")


def _whole(root: str) -> FileSource:
    path = pathlib.Path(root)
    if not path.exists():
        raise UserError(
            f"the data folder must exist, but {root} does not; name a folder of "
            "images, tfds:NAME or generated:N"
        )
    if path.is_dir():
        return _whole_folder(root)
    if path.suffix.lower() == ARCHIVE:
        return _whole_archive(root)
    raise UserError(
        f"the data source must be a folder or a {ARCHIVE} archive, but {root} is "
        "another file; name the folder that it lies in"
    )


def _whole_folder(root: str) -> FolderSource:
    if files.is_run(root):
        raise UserError(
            f"the data folder must hold photographs, but {root} is the folder of a "
            "training run, whose pictures are sheets; name another"
        )
    names: list[str] = []
    others: list[str] = []
    runs: list[str] = []
    try:
        for name in _names(root, on_run=runs.append):
            path = os.path.join(root, name)
            is_image = _is_image(name, functools.partial(_open, path))
            (names if is_image else others).append(name)
    except OSError as error:
        raise UserError(
            f"the data folder must be readable, but {error.filename} is not "
            f"({error.strerror}); check its permissions"
        ) from error
    if not names:
        but = " but those of training runs" if runs else ""
        raise UserError(
            f"the data folder must hold images, but there is none below {root}{but}; "
            f"the endings looked for are {', '.join(decoding.SUFFIXES)}"
        )
    _warn_of_runs(root, runs)
    _warn_of_others(root, others)
    return FolderSource(root, tuple(sorted(names)))


def _whole_archive(path: str) -> ArchiveSource:
    names: list[str] = []
    others: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            runs = _runs_in(archive.namelist())
            for info in archive.infolist():
                parts = pathlib.PurePosixPath(info.filename).parts
                # What macOS adds beside each file is no image, whatever its name says.
                hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
                if info.is_dir() or hidden or info.filename.startswith(runs):
                    continue
                opened = functools.partial(_open_in, archive, info)
                is_image = _is_image(info.filename, opened)
                (names if is_image else others).append(info.filename)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise UserError(
            f"the data archive must be a readable {ARCHIVE} file, but {path} is not "
            f"({one_line(error)}); make it again, or name a folder"
        ) from error
    if not names:
        raise UserError(
            f"the data archive must hold images, but there is none in {path}; the "
            f"endings looked for are {', '.join(decoding.SUFFIXES)}"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"the files of a data archive must have names of their own, but {path} "
            f"has {twice} twice; make it again"
        )
    _warn_of_runs(path, [run.rstrip("/") for run in runs])
    _warn_of_others(path, others)
    return ArchiveSource(path, tuple(sorted(names)))


def _is_image(name: str, open_file: Callable[[], io.BufferedIOBase]) -> bool:
    """Whether a file is an image: by its ending, or without one by what it holds."""
    suffix = _suffix(name)
    if suffix:
        return suffix in decoding.SUFFIXES
    try:
        with open_file() as file:
            return decoding.is_image(file)
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return False  # and is named, as all that is left out


def _open_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.BufferedIOBase:
    """Opens a file of an archive, if a reader unpacks no more than it asks for."""
    if info.compress_type not in _BOUNDED:
        raise NotImplementedError
    file = archive.open(info)
    assert isinstance(file, io.BufferedIOBase)
    return file


def _runs_in(names: Sequence[str]) -> tuple[str, ...]:
    """Folders of training runs among the files of an archive; each ends in a slash."""
    folders = {
        name.removesuffix(files.RUN_SETTINGS)
        for name in names
        if name.endswith(f"/{files.RUN_SETTINGS}")
    }
    inner = f"{files.RUN_CHECKPOINTS}/"
    checkpoints = {name.partition(inner)[0] for name in names if inner in name}
    return tuple(sorted(folders & checkpoints))


def _warn_of_runs(root: str, runs: Sequence[str]) -> None:
    """Says in one line which folders are no photographs'."""
    if runs:
        logger.warning(
            "leaving out %d %s of training runs below %s; the first is %s",
            len(runs),
            "folder" if len(runs) == 1 else "folders",
            root,
            min(runs),
        )


def _open(path: str) -> io.BufferedIOBase:
    """Opens a file; a pipe or device, which might block, is none."""
    if not os.path.isfile(path):
        raise FileNotFoundError
    return open(path, "rb")


def _suffix(name: str) -> str:
    return pathlib.PurePosixPath(name).suffix.lower()


def _warn_of_others(root: str, others: Sequence[str]) -> None:
    """Says in one line what is not read."""
    if not others:
        return
    missing = set(decoding.HEIF_SUFFIXES) - set(decoding.SUFFIXES)
    hint = ""
    if any(_suffix(name) in missing for name in others):
        hint = "; pip install pillow-heif to read those of .heic"
    logger.warning(
        "leaving out %d %s of %s that %s no image of a kind that is read; the first is "
        "%s%s",
        len(others),
        *(("file", root, "is") if len(others) == 1 else ("files", root, "are")),
        min(others),
        hint,
    )


def _names(root: str, on_run: Callable[[str], Any]) -> Iterator[str]:
    """Relative paths, with forward slashes, of the files below a folder.

    Folders of training runs are told of, by their relative paths, and not looked into.
    """

    def stop(error: OSError) -> None:
        raise error

    seen = set()  # Links may lead back to a folder above.
    for folder, folders, names in os.walk(root, onerror=stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # Sorted: of two links to one folder, the same is followed on every machine.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = pathlib.Path(os.path.relpath(folder, root))
        if files.is_run(folder):
            on_run(relative.as_posix())
            folders.clear()
            continue
        for name in names:
            if not name.startswith("."):
                yield (relative / name).as_posix()
