"""Unfinished pictures on disk: rows of encoded tiles that a killed run leaves behind.

A job is a folder beside the picture, ``NAME.job``: its arguments, and one file for each
finished row of tiles. A row's file is written aside and renamed, so what is there is
whole, and the same command goes on after the last of them.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from infinitygan_jax import machine

SUFFIX = ".job"
_NAMES = re.compile(
    r"lock|finished|arguments\.json|picture\.part|level_\d+|(arguments\.json|finished)\.part"
)


class Job:
    """The folder of an unfinished picture, held by one process.

    Args:
      path: of the picture.
      arguments: what determines its pixels and form; an unfinished job must have the
        same.
      overwrite: throw an unfinished job of other arguments away.

    Attributes:
      part: file of the picture while it is laid out.

    Raises:
      ValueError: there is an unfinished job of other arguments, another process works
        on it, or something else has its name.
      OSError: the folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        arguments: Mapping[str, str],
        overwrite: bool = False,
    ):
        self._path, self.folder = pathlib.Path(path), folder_of(path)
        self.part = self.folder / "picture.part"
        self._finished = self.folder / "finished"
        _check_ours(self.folder)
        self._lock = _locked(self.folder)
        try:
            self._check(dict(arguments), overwrite)
        except BaseException:
            self._lock.close()
            raise

    def _check(self, arguments: dict[str, str], overwrite: bool) -> None:
        file = self.folder / "arguments.json"
        if file.exists() and not self._finished.exists():
            changed = _changes(file, arguments)
            if not changed:
                return
            if not overwrite:
                raise ValueError(
                    f"the unfinished job {self.folder} has other arguments "
                    f"({'; '.join(changed)}); give the former ones, delete that "
                    "folder, or add --overwrite"
                )
        _remove_contents(self.folder)
        _write_aside(file, [json.dumps(arguments, indent=2).encode()])

    def _row_file(self, level: int, row: int) -> pathlib.Path:
        return self.folder / f"level_{level}" / f"row_{row:09}"

    def num_rows(self, level: int) -> int:
        """Finished rows of a level, from the first on without a gap."""
        row = 0
        while self._row_file(level, row).exists():
            row += 1
        return row

    def write_row(self, level: int, row: int, tiles: Sequence[bytes]) -> None:
        """Keeps one row of encoded tiles."""
        file = self._row_file(level, row)
        file.parent.mkdir(exist_ok=True)
        head = [len(tiles)]
        for tile in tiles:
            head += [len(tile), zlib.crc32(tile)]
        _write_aside(file, [np.array(head, "<u8").tobytes(), *tiles])

    def read_row(self, level: int, row: int) -> Iterator[bytes]:
        """The encoded tiles of a finished row, one by one.

        Raises:
          ValueError: the file was damaged since it was written.
        """
        path = self._row_file(level, row)
        with path.open("rb") as file:
            count = np.frombuffer(file.read(8), "<u8").sum()
            head = np.frombuffer(file.read(16 * int(count)), "<u8")
            if count and len(head) == 2 * count:
                for size, check in head.reshape(-1, 2).tolist():
                    tile = file.read(size)
                    if (len(tile), zlib.crc32(tile)) != (size, check):
                        break
                    yield tile
                else:
                    return
        raise ValueError(
            f"row of tiles ({path}) must be unaltered since it was written, and it is "
            "not; delete it, and the same command paints it again"
        )

    def publish(self, overwrite: bool) -> None:
        """Gives the laid out picture its name, and removes the job.

        Raises:
          ValueError: there is a file of that name by now, and it must stay; the job
            stays too.
        """
        check_free(self._path, overwrite)
        # A kill after the rename leaves a job that is known to be of no use.
        _write_aside(self._finished, [])
        os.replace(self.part, self._path)

    def close(self) -> None:
        """Lets go of the folder; removes it where there is nothing to go on from."""
        rows = any(self.folder.glob("level_*/row_?????????"))
        if self._finished.exists() and not self.part.exists():
            rows = False
        if rows:
            self._finished.unlink(missing_ok=True)  # the rename failed
            self.part.unlink(missing_ok=True)
        else:
            # While it is still held: nobody may have begun another job in it.
            _remove_contents(self.folder)
            with contextlib.suppress(OSError):
                (self.folder / "lock").unlink()
                self.folder.rmdir()
        self._lock.close()


def folder_of(path: str | os.PathLike) -> pathlib.Path:
    """Where the job of a picture lies."""
    path = pathlib.Path(path)
    return path.with_name(path.name + SUFFIX)


def held_bytes(path: str | os.PathLike) -> int:
    """What the unfinished job of a picture already takes of the disk."""
    files = folder_of(path).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def check_free(path: pathlib.Path, overwrite: bool) -> None:
    """Checks that no file is in the way of a picture.

    Raises:
      ValueError: there is one, and it must not be replaced.
    """
    if path.exists() and not overwrite:
        raise ValueError(
            f"output file ({path}) is there already; add --overwrite to replace it, or "
            "choose another with --out"
        )


def _check_ours(folder: pathlib.Path) -> None:
    """Makes the folder, or checks that nobody else made it."""
    try:
        folder.mkdir()
    except FileExistsError:
        others = [folder]
        if folder.is_dir():
            others = [p for p in folder.iterdir() if not _NAMES.fullmatch(p.name)]
        if others:
            raise ValueError(
                f"unfinished pictures are kept in {folder}, and {others[0]} is not of "
                "one; move it away, or choose another --out"
            ) from None


def _changes(file: pathlib.Path, arguments: Mapping[str, str]) -> list[str]:
    try:
        former = dict(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError):
        former = {}
    if not former:
        return [f"{file} cannot be read"]
    return [
        f"{name}: {former.get(name)} -> {arguments.get(name)}"
        for name in sorted(former.keys() | arguments.keys())
        if former.get(name) != arguments.get(name)
    ]


def _remove_contents(folder: pathlib.Path) -> None:
    """Removes what a job makes, but the lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _write_aside(path: pathlib.Path, parts: Sequence[bytes]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for each in parts:
                file.write(each)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _locked(folder: pathlib.Path) -> BinaryIO:
    """An open file whose lock the system drops with the process."""
    while True:
        file = (folder / "lock").open("wb")
        locked = machine.try_lock(file)
        if locked is False:
            file.close()
            raise ValueError(
                f"the job {folder} must not be in use, and another process works on "
                "it; wait for it, stop it, or write to another --out"
            )
        if locked is None:  # nobody is kept out
            return file
        # Whoever held it may have removed the folder before letting go.
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / "lock")):
                return file
        file.close()
