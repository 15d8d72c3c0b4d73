"""Files that are whole when they have their name."""

import contextlib
import os
import pathlib
import re
import secrets
import tempfile
from collections.abc import Sequence

from infinitygan_jax.messages import UserError

MAX_NAME = 230  # bytes: systems allow 255, and a part file's name is longer

# What the folder of a training run holds.
RUN_SETTINGS = "config.json"
RUN_CHECKPOINTS = "checkpoints"


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a training run that has begun."""
    folder = pathlib.Path(folder)
    return (folder / RUN_SETTINGS).is_file() and (folder / RUN_CHECKPOINTS).is_dir()


def run_at(name: str | os.PathLike[str]) -> tuple[pathlib.Path, int | None]:
    """A run's folder and step of a name ``RUN@STEP``; None for the newest step.

    A folder whose own name ends like that is that folder.
    """
    match = re.fullmatch(r"(.+)@(\d{1,18})", os.fspath(name))
    if match is None or os.path.exists(name):
        return pathlib.Path(name), None
    return pathlib.Path(match[1]), int(match[2])


def check_target(path: str | os.PathLike[str], suffix: str) -> None:
    """Checks, before any work, that a file of this name can be written.

    Args:
      path: of the file, which may be there already.
      suffix: that its name must end in.

    Raises:
      ValueError: it cannot; the message says why, and what to do.
    """
    path = pathlib.Path(path)
    if path.suffix != suffix:
        raise UserError(f"file ({path}) must end in {suffix}; use {path.stem}{suffix}")
    check_name(path)
    if path.is_dir():
        raise UserError(f"file ({path}) is a folder; give a file name in it")
    check_folder(path.absolute().parent)


def check_free(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Checks, before any work, that no file is in the way of one that is written.

    Args:
      path: of the file.
      overwrite: whether another may be replaced.

    Raises:
      ValueError: there is one, and it may not.
    """
    if not overwrite and os.path.lexists(path):
        raise UserError(
            f"file ({path}) exists; choose another name, or add `overwrite`"
        )


def check_name(path: pathlib.Path) -> None:
    """Checks that a file or folder can have a name, also while it is written.

    Raises:
      ValueError: it is empty, too long, or not of printable characters.
    """
    name = path.name
    if not (name and name.isprintable() and len(os.fsencode(name)) <= MAX_NAME):
        raise UserError(
            f"output's name ({name[:20]!a}) must be of 1 to {MAX_NAME} printable "
            "characters; choose another"
        )


def check_folder(folder: pathlib.Path) -> None:
    """Checks that a folder is there and files can be written into it.

    Raises:
      ValueError: it is not, or they cannot.
    """
    for parent in (folder, *folder.parents):
        if parent.is_dir():
            break
        if parent.exists():
            raise UserError(
                f"output folder ({folder}) must be a folder, and {parent} is a file; "
                "choose another"
            )
    if not folder.is_dir():
        raise UserError(
            f"output folder ({folder}) does not exist; create it or choose another"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):  # has no name: nothing stays behind
            pass
    except OSError as error:
        raise UserError(
            f"output folder ({folder}) cannot be written ({error.strerror}); choose "
            "another"
        ) from error


def check_kept(read: Sequence[str], written: Sequence[pathlib.Path]) -> None:
    """Checks that no file that is read is written, also where it may be replaced.

    Raises:
      ValueError: one is.
    """
    targets = {os.path.realpath(path) for path in written}
    for name in read:
        if os.path.realpath(name) in targets:
            raise UserError(f"{name} would be overwritten; choose another `written`")


def write_whole(
    path: pathlib.Path,
    *parts: bytes,
    replace: bool = True,
    aside: pathlib.Path | None = None,
) -> None:
    """Writes a file aside, waits until it is on the disk, and renames it.

    Args:
      path: of the file.
      *parts: what it holds.
      replace: whether it takes the place of another; otherwise the first one stays,
        whichever process wrote it.
      aside: folder in which it is written, on the same disk; by default that of the
        file, where a kill leaves ``NAME.*.part``.

    Raises:
      OSError: it cannot be written; what was there stays.
    """
    folder = path.parent if aside is None else aside
    part = folder / f"{path.name}.{secrets.token_hex(4)}.part"
    try:
        with part.open("xb") as file:
            for each in parts:
                file.write(each)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, path)
        else:
            with contextlib.suppress(FileExistsError):
                _link(part, path)
    except OSError as error:
        if error.filename is None:  # of what was written into an open file
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def _link(part: pathlib.Path, path: pathlib.Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(part, path)
