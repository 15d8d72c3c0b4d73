"""Pictures to files, strip by strip; one file of this folder for each format."""

import os
import pathlib
import shutil
import tempfile

from infinitygan_jax.sampling.plan import readable_bytes
from infinitygan_jax.sampling.writers import job, png, tiff
from infinitygan_jax.sampling.writers.base import Writer

MAX_NAME = 230  # bytes: systems allow 255, and the part file's name is longer
WRITERS: dict[str, type[Writer]] = {
    ".png": png.PngWriter,
    ".tif": tiff.TiffWriter,
    ".tiff": tiff.TiffWriter,
}


def writer_of(path: str | os.PathLike) -> type[Writer]:
    """The writer for a file name's ending.

    Raises:
      ValueError: no writer knows the ending; the message lists the valid ones.
    """
    ending = pathlib.Path(path).suffix
    if ending.lower() not in WRITERS:
        raise ValueError(
            f"no writer knows the ending {ending!r} of {path}; valid endings are "
            f"{', '.join(WRITERS)}"
        )
    return WRITERS[ending.lower()]


def check_output(
    path: str | os.PathLike, height: int, width: int, overwrite: bool = False
) -> None:
    """Checks, before anything is computed, that a picture can be written to a file.

    Args:
      path: the file.
      height: rows of the picture.
      width: its columns.
      overwrite: whether a file that is there may be replaced.

    Raises:
      ValueError: an unknown ending, a side beyond the format's limit, a folder that
        does not exist or cannot be written, a file in the way, or too little room on
        the disk.
    """
    path = pathlib.Path(path)
    writer = writer_of(path)
    if max(height, width) > writer.max_side:
        raise ValueError(
            f"size ({width}x{height}) must be at most {writer.max_side} a side for a "
            f"{path.suffix} file; paint it in parts with --origin"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ValueError(
            f"output folder ({folder}) does not exist; create it or choose another"
        )
    if len(os.fsencode(path.name)) > MAX_NAME:
        raise ValueError(
            f"output file's name ({path.name[:20]}...) must be at most {MAX_NAME} "
            "bytes, as it is longer while it is written; choose another with --out"
        )
    if path.is_dir():
        raise ValueError(f"output file ({path}) is a folder; give a file name in it")
    job.check_free(path, overwrite)
    try:
        with tempfile.TemporaryFile(dir=folder):  # has no name: nothing stays behind
            pass
    except OSError as error:
        raise ValueError(
            f"output folder ({folder}) cannot be written ({error.strerror}); choose "
            "another with --out"
        ) from error
    need = writer.max_bytes(height, width) - writer.held_bytes(path)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise ValueError(
            f"a picture of {width}x{height} may need {readable_bytes(need)} and "
            f"{folder} has {readable_bytes(free)} free; free some space or choose "
            "another folder with --out"
        )
