"""Pictures to files, strip by strip; one file of this folder for each format."""

import os
import pathlib

from infinitygan_jax import files
from infinitygan_jax.messages import UserError
from infinitygan_jax.writers import (
    deepzoom,
    job,
    jpeg,
    layout,
    ome_zarr,
    png,
    tiff,
)
from infinitygan_jax.writers.base import Writer, check_room
from infinitygan_jax.writers.target import Target

__all__ = [
    "WRITERS",
    "Target",
    "Writer",
    "check_output",
    "check_shards",
    "is_finished",
    "writer_of",
]

WRITERS: dict[str, type[Writer]] = {
    ".png": png.PngWriter,
    ".tif": tiff.TiffWriter,
    ".tiff": tiff.TiffWriter,
    ".jpg": jpeg.JpegWriter,
    ".jpeg": jpeg.JpegWriter,
    ".zarr": ome_zarr.OmeZarrWriter,
    ".dzi": deepzoom.DeepZoomWriter,
}


def writer_of(path: str | os.PathLike[str]) -> type[Writer]:
    """The writer for a file name's ending.

    Raises:
      ValueError: no writer knows the ending; the message lists the valid ones.
    """
    ending = pathlib.Path(path).suffix
    if ending.lower() not in WRITERS:
        raise UserError(
            f"no writer knows the ending {ending!r} of {path}; valid endings are "
            f"{', '.join(WRITERS)}"
        )
    return WRITERS[ending.lower()]


def is_finished(path: str | os.PathLike[str]) -> bool:
    """Whether a picture has its name, and no work on it is left."""
    path = pathlib.Path(path)
    outputs = writer_of(path).outputs(path)
    return all(p.exists() for p in outputs) and not job.is_open(path)


def check_output(target: Target) -> None:
    """Checks, before anything is computed, that a picture can be written.

    Raises:
      ValueError: an unknown ending, a side beyond the format's limit, a folder that
        does not exist or cannot be written, a file or link in the way, or too little
        room on the disk.
    """
    path, (height, width) = target.path, target.size
    writer = writer_of(path)
    if max(height, width) > writer.max_side:
        others = [e for e, w in WRITERS.items() if w.max_side >= max(height, width)]
        remedy = f"{', '.join(others)} can hold it, or " if others else ""
        raise UserError(
            f"size ({width}x{height}) must be at most {writer.max_side} a side for a "
            f"{path.suffix} file; {remedy}paint it in parts, each with its `window`"
        )
    folder = path.absolute().parent
    files.check_folder(folder)
    files.check_name(path)
    job.tidy(path)  # of a picture that is finished, so not in anybody's way
    _check_in_the_way(writer, path, target.overwrite)
    # Of a job that is there only the rest is needed, which the writer knows.
    if not job.is_open(path):
        check_room(
            folder,
            writer.max_bytes(height, width),
            f"a picture of {width}x{height}",
            "free some space or choose another folder with `path`",
        )


def check_shards(target: Target, shards: int) -> None:
    """Checks that a picture can be painted in so many shards.

    Raises:
      ValueError: it cannot.
    """
    path = target.path
    writer = writer_of(path)
    if not writer.shardable:
        able = ", ".join(e for e, w in WRITERS.items() if w.shardable)
        raise UserError(
            "`shard` and `finish` need a format whose tiles are files, and "
            f"{path.suffix} is one file; use {able}"
        )
    rows, cols = layout.grid(target.size)
    if shards > rows * cols:
        raise UserError(
            f"shards ({shards}) must be at most the tiles of {layout.TILE} px of the "
            f"picture ({rows * cols}); use {rows * cols} or fewer"
        )


def _check_in_the_way(
    writer: type[Writer], path: pathlib.Path, overwrite: bool
) -> None:
    folder = writer.folder_output(path)
    for output in writer.outputs(path):
        if output.is_symlink():
            # A picture gets its names by renames, which would replace the link; and
            # what lies beside it would not lie beside what it leads to.
            raise UserError(
                f"output ({output}) must not be a symbolic link, and it leads to "
                f"{os.path.realpath(output)}; write there with `path`, or remove the "
                "link"
            )
        if output != folder and output.is_dir():
            raise UserError(
                f"output file ({output}) is a folder; give a file name in it"
            )
        if output == folder and output.exists() and not output.is_dir():
            raise UserError(
                f"output folder ({output}) is a file; move it away, or choose another "
                "with `path`"
            )
    # Nobody's folder or page is deleted because of its name.
    besides = [p for p in writer.outputs(path) if p == folder or p != path]
    ours = writer.texts_of(path) or job.is_publishing(path)
    for output in besides:
        if output.exists() and not ours:
            raise UserError(
                f"output ({output}) is there already, and is not of a picture of "
                "infinitygan_jax; move it away, or choose another with `path`"
            )
    job.check_free(writer.outputs(path), overwrite)
