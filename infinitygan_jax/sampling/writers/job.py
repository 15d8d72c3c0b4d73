"""Unfinished pictures on disk, which a killed run leaves behind and another goes on.

A job is a folder beside the picture, ``NAME.job``: its arguments, what is finished, and
the picture while it is put together. What is in it under its own name is whole.
"""

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from infinitygan_jax import machine

SUFFIX = ".job"
PICTURE = "picture"
_MARK = "finished"
_ARGUMENTS = "arguments.json"
_ASIDE = "aside"
_NAMES = re.compile(
    rf"lock(_\d+)?|{_MARK}|arguments\.json|{PICTURE}|{_ASIDE}|former|level_\d+"
    rf"|(arguments\.json|{_MARK})\.[0-9a-f]+\.part"
)


class Job:
    """The folder of an unfinished picture, held by one process, or one for each shard.

    Args:
      path: of the picture.
      outputs: what the picture is made of; what opens it is last.
      arguments: what determines its pixels and form; an unfinished job must have the
        same.
      overwrite: throw an unfinished job of other arguments away.
      shard: which of several processes this is; None where it is the only one.

    Attributes:
      folder: of the job.
      publishing: whether all is done and only names are left to give.

    Raises:
      ValueError: there is an unfinished job of other arguments, another process works
        on it, or something else has its name.
      OSError: the folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        outputs: Sequence[pathlib.Path],
        arguments: Mapping[str, str],
        overwrite: bool = False,
        shard: int | None = None,
    ):
        self._outputs, self.folder = list(outputs), folder_of(path)
        self._mark = self.folder / _MARK
        self._shard = shard
        _check_ours(self.folder)
        self._lock = _locked(self.folder, "lock" if shard is None else f"lock_{shard}")
        try:
            if shard is None:
                self._check_shards()
            self._check(dict(arguments), overwrite)
        except BaseException:
            self._lock.close()
            raise

    @property
    def publishing(self) -> bool:
        return is_publishing(self._outputs[-1])

    def _check(self, arguments: dict[str, str], overwrite: bool) -> None:
        file = self.folder / _ARGUMENTS
        if self._mark.exists() and not self.publishing:  # all of it has its name
            _remove_contents(self.folder)
        if not file.exists():
            if self._shard is None:
                _remove_contents(self.folder)
            write_new(file, json.dumps(arguments, indent=2).encode())
        changed = _changes(file, arguments)
        if not changed:
            return
        if not overwrite or self._shard is not None:
            # A shard must not throw away what the others paint.
            remedy = "" if self._shard is not None else ", or add --overwrite"
            raise ValueError(
                f"the unfinished job {self.folder} has other arguments "
                f"({'; '.join(changed)}); give the former ones, or delete that folder"
                f"{remedy}"
            )
        _remove_contents(self.folder)
        write_new(file, json.dumps(arguments, indent=2).encode())

    def _check_shards(self) -> None:
        """Checks that no process paints a shard."""
        for path in self.folder.glob("lock_*"):
            with path.open("rb+") as file:
                if machine.try_lock(file) is False:
                    raise ValueError(
                        f"the job {self.folder} must not be in use, and a process "
                        f"paints shard {path.name.removeprefix('lock_')}; wait for it"
                    )

    def write(self, path: pathlib.Path, data: bytes) -> None:
        """Writes a file of the picture that is whole when it has its name."""
        aside = self.folder / _ASIDE
        aside.mkdir(exist_ok=True)
        write_new(path, data, replace=True, aside=aside)

    def part(self, output: pathlib.Path) -> pathlib.Path:
        """Where a file or folder of the picture is while it is put together."""
        return self.folder / PICTURE / output.name

    def publish(self, overwrite: bool) -> None:
        """Gives what the picture is made of its names; what opens it comes last.

        Killed in between, the same command ends it.

        Raises:
          ValueError: there is a file of such a name by now, and it must stay; the job
            stays too.
        """
        if not self.publishing:
            check_free(self._outputs, overwrite)
            write_new(self._mark, b"")
        former = self.folder / "former"
        shutil.rmtree(former, ignore_errors=True)
        former.mkdir()
        last = self._outputs[-1]
        if len(self._outputs) > 1 and last.exists():
            # It must not open what is another picture already.
            os.replace(last, former / last.name)
        for output in self._outputs:
            part = self.part(output)
            if not part.exists():  # named before the kill
                continue
            if output.is_dir():  # a file is replaced in one step
                os.replace(output, former / output.name)
            os.replace(part, output)

    def close(self, keep: bool) -> None:
        """Lets go of the folder.

        Args:
          keep: whether it has something to go on from, if it is not published; it is
            removed otherwise.
        """
        published = self._mark.exists() and not self.publishing
        if published or not (keep or self._shard is not None):
            # While it is still held: nobody may have begun another job in it.
            _remove_contents(self.folder)
            with contextlib.suppress(OSError):
                for path in self.folder.glob("lock*"):
                    path.unlink()
                self.folder.rmdir()
        self._lock.close()


def folder_of(path: str | os.PathLike) -> pathlib.Path:
    """Where the job of a picture lies."""
    path = pathlib.Path(path)
    return path.with_name(path.name + SUFFIX)


def is_publishing(path: pathlib.Path) -> bool:
    """Whether the job of a picture is done but for names."""
    folder = folder_of(path)
    return (folder / _MARK).exists() and (folder / PICTURE / path.name).exists()


def arguments_of(path: str | os.PathLike) -> dict[str, str]:
    """The arguments of a picture's unfinished job; empty where there is none."""
    try:
        return dict(json.loads((folder_of(path) / _ARGUMENTS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def held_bytes(path: str | os.PathLike) -> int:
    """What the unfinished job of a picture already takes of the disk."""
    total, folders = 0, [folder_of(path)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def check_free(outputs: Sequence[pathlib.Path], overwrite: bool) -> None:
    """Checks that nothing is in the way of a picture.

    Raises:
      ValueError: there is something, and it must not be replaced.
    """
    if overwrite or is_publishing(outputs[-1]):
        return
    for path in outputs:
        if path.exists():
            kind = "folder" if path.is_dir() else "file"
            raise ValueError(
                f"output {kind} ({path}) is there already; add --overwrite to replace "
                "it, or choose another with --out"
            )


def write_new(
    path: pathlib.Path,
    *parts: bytes,
    replace: bool = False,
    aside: pathlib.Path | None = None,
) -> None:
    """Writes a file that is whole, on the disk, when it has its name.

    Args:
      path: of the file.
      *parts: what it holds.
      replace: whether it takes the place of another; otherwise the first one stays,
        whichever process wrote it.
      aside: folder in which it is written, on the same disk; by default that of the
        file, where a kill leaves a part.
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
    """Removes what a job makes, but the locks."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("lock"):
            path.unlink()


def _locked(folder: pathlib.Path, name: str) -> BinaryIO:
    """An open file whose lock the system drops with the process."""
    while True:
        file = (folder / name).open("wb")
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
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / name)):
                return file
        file.close()
