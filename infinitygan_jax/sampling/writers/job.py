"""Unfinished pictures on disk: rows of encoded tiles that a killed run leaves behind.

A job is a folder beside the picture, ``NAME.job``: its arguments, and one file for each
finished row of tiles. A row's file is written aside and renamed, so what is there is
whole, and the same command goes on after the last of them.
"""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

SUFFIX = ".job"


class Job:
    """The folder of an unfinished picture, held by one process.

    Args:
      path: of the picture.
      arguments: what determines its pixels and form; an unfinished job must have the
        same.
      overwrite: throw an unfinished job of other arguments away.

    Raises:
      ValueError: there is an unfinished job of other arguments, or another process
        works on it.
      OSError: the folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        arguments: Mapping[str, str],
        overwrite: bool = False,
    ):
        path = pathlib.Path(path)
        self.folder = path.with_name(path.name + SUFFIX)
        self.folder.mkdir(exist_ok=True)
        self._lock = _locked(self.folder)
        try:
            self._check(dict(arguments), overwrite)
        except BaseException:
            self._lock.close()
            raise

    def _check(self, arguments: dict[str, str], overwrite: bool) -> None:
        file = self.folder / "arguments.json"
        if file.exists():
            former = json.loads(file.read_text("utf-8"))
            changed = [
                f"{name}: {former.get(name)} -> {arguments.get(name)}"
                for name in sorted(former.keys() | arguments.keys())
                if former.get(name) != arguments.get(name)
            ]
            if not changed:
                return
            if not overwrite:
                raise ValueError(
                    f"the unfinished job {self.folder} has other arguments "
                    f"({'; '.join(changed)}); give the former ones, delete that "
                    "folder, or add --overwrite"
                )
        for place in self.folder.glob("level_*"):
            shutil.rmtree(place)
        _write_aside(file, [json.dumps(arguments, indent=2).encode()])

    def row_file(self, level: int, row: int) -> pathlib.Path:
        """Where a row of tiles is, or will be."""
        return self.folder / f"level_{level}" / f"row_{row:09}"

    def num_rows(self, level: int) -> int:
        """Finished rows of a level, from the first on without a gap."""
        row = 0
        while self.row_file(level, row).exists():
            row += 1
        return row

    def write_row(self, level: int, row: int, tiles: Sequence[bytes]) -> None:
        """Keeps one row of encoded tiles."""
        file = self.row_file(level, row)
        file.parent.mkdir(exist_ok=True)
        sizes = np.array([len(tiles), *map(len, tiles)], np.dtype("<u8"))
        _write_aside(file, [sizes.tobytes(), *tiles])

    def read_row(self, level: int, row: int) -> Iterator[bytes]:
        """The encoded tiles of a finished row, one by one."""
        with self.row_file(level, row).open("rb") as file:
            count = int(np.frombuffer(file.read(8), "<u8")[0])
            for size in np.frombuffer(file.read(8 * count), "<u8").tolist():
                yield file.read(size)

    def close(self, finished: bool) -> None:
        """Lets go of the folder, and removes it when the picture is whole."""
        if finished:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            if not any(self.folder.glob("level_*/row_*")):  # nothing to go on from
                shutil.rmtree(self.folder)


def _write_aside(path: pathlib.Path, parts: Sequence[bytes]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for each in parts:
            file.write(each)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _locked(folder: pathlib.Path) -> BinaryIO:
    """An open file whose lock the system drops with the process."""
    file = (folder / "lock").open("wb")
    try:
        import fcntl
    except ImportError:  # Windows: nobody is kept out
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ValueError(
            f"the job {folder} must not be in use, and another process works on it; "
            "wait for it, stop it, or write to another --out"
        ) from error
    except OSError:  # a file system without locks
        pass
    return file
