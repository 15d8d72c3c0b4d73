"""Unfinished pictures on disk, which a killed run leaves behind and another goes on.

A job is a folder beside the picture, ``NAME.job``: its arguments, what is finished, and
the picture while it is put together. What is in it under its own name is whole.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from infinitygan_jax import files, machine
from infinitygan_jax.messages import UserError

SUFFIX = ".job"
PICTURE = "picture"
_WHOLE = "whole"
# What is as the model says, by its digest, where the world's says nothing else.
_LATER = ("Truncation", "Noise scale")
_ARGUMENTS = "arguments.json"
_ASIDE = "aside"
_FORMER = "former"
_NAMES = re.compile(
    rf"lock(_\d+)?|\.nfs.*|{PICTURE}|{_WHOLE}|{_ASIDE}|{_FORMER}|level_\d+"
    r"|arguments\.json(\.[0-9a-f]+\.part)?"
)


class Job:
    """The folder of an unfinished picture, held by one process, or shared by shards.

    The picture is put together in ``picture/``, which becomes ``whole/`` when it is;
    then its files and folders get their names. Whoever works on all of it holds the
    lock alone; shards share it, and hold one each of their own.

    Args:
      path: of the picture.
      outputs: what the picture is made of; what opens it is last.
      arguments: what determines its pixels and form; an unfinished job must have the
        same.
      overwrite: throw an unfinished job of other arguments away, unless shards made
        it: it is the work of others, who go on. None where any must stay.
      shard: which of several processes this is; None where it is the only one.

    Attributes:
      folder: of the job.
      locks: whether the file system has locks.

    Raises:
      ValueError: there is an unfinished job of other arguments, another process works
        on it, or something else has its name.
      OSError: the folder cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        outputs: Sequence[pathlib.Path],
        arguments: Mapping[str, str],
        overwrite: bool | None = False,
        shard: int | None = None,
    ):
        self._outputs, self.folder = list(outputs), folder_of(path)
        self._is_shard = shard is not None
        self._held: list[BinaryIO] = []
        _check_ours(self.folder)
        try:
            self._hold("lock", shared=self._is_shard)
            if self._is_shard:
                self._hold(f"lock_{shard}")
            if self._is_shard:  # must not throw away what the others paint
                overwrite = None
            self._was_there = self._check(dict(arguments), overwrite)
        except BaseException:
            self._let_go()
            raise

    def _hold(self, name: str, shared: bool = False) -> None:
        file, locked = _locked(self.folder, name, shared)
        self._held.append(file)
        self.locks = locked is not None

    def _let_go(self) -> None:
        for file in self._held:
            file.close()

    @property
    def publishing(self) -> bool:
        """Whether all is done and only names are left to give."""
        return is_publishing(self._outputs[-1])

    def _check(self, arguments: dict[str, str], overwrite: bool | None) -> bool:
        """Begins the job, or says that it was there."""
        file = self.folder / _ARGUMENTS
        text = json.dumps(arguments, indent=2).encode()
        if not self._is_shard and _is_of_no_use(self.folder, self._outputs[-1]):
            _remove_contents(self.folder)
        if (self.folder / PICTURE).exists() and not file.exists():
            raise UserError(  # of a shard: others may work here, so it stays
                f"the job {self.folder} holds tiles of a picture that is not known; "
                "delete that folder"
            )
        if self._is_shard and (self.folder / _WHOLE).exists():
            raise UserError(
                f"the job {self.folder} has all its tiles and was stopped while it got "
                "its name; run the command with `finish`"
            )
        if not file.exists():
            files.write_whole(file, text, replace=False)
            if not self._is_shard:
                return False
        if not is_other(self._outputs[-1], arguments, overwrite):
            return True
        _remove_contents(self.folder)
        files.write_whole(file, text, replace=False)
        return False

    def write(self, path: pathlib.Path, data: bytes) -> None:
        """Writes a file of the picture that is whole when it has its name."""
        aside = self.folder / _ASIDE
        aside.mkdir(exist_ok=True)
        files.write_whole(path, data, aside=aside)

    def part(self, output: pathlib.Path) -> pathlib.Path:
        """Where a file or folder of the picture is while it is put together."""
        return part_of(self._outputs[-1], output)

    def check_there(self) -> None:
        """Checks that nobody removed the folder while it was worked on.

        Raises:
          ValueError: somebody did.
        """
        if not (self.folder / _ARGUMENTS).exists():
            raise UserError(
                f"the job {self.folder} must stay while a picture is painted, and it "
                "was removed; give the same command again"
            )

    def publish(self, overwrite: bool) -> None:
        """Gives what the picture is made of its names; what opens it comes last.

        Killed in between, the same command ends it.

        Raises:
          ValueError: there is a file of such a name by now, and it must stay; the job
            stays too.
        """
        if not self.publishing:
            self.check_there()
            check_free(self._outputs, overwrite)
            os.rename(self.folder / PICTURE, self.folder / _WHOLE)
        former = self.folder / _FORMER
        shutil.rmtree(former, ignore_errors=True)
        former.mkdir()
        last = self._outputs[-1]
        if len(self._outputs) > 1 and last.exists():
            # It must not open what is another picture already.
            os.replace(last, former / last.name)
        for output in self._outputs:
            whole = self.folder / _WHOLE / output.name
            if not whole.exists():  # named before the kill
                continue
            if output.is_dir():  # a file is replaced in one step
                os.replace(output, former / output.name)
            os.replace(whole, output)

    def close(self, keep: bool) -> None:
        """Lets go of the folder, and removes it where it is of no use.

        Args:
          keep: whether it has something to go on from. What was there before is kept
            in any case, and what shards have begun.
        """
        if not self._is_shard:
            published = _is_of_no_use(self.folder, self._outputs[-1])
            if published or not (keep or self._was_there or self.publishing):
                # While it is still held: nobody may have begun another job in it.
                _remove_contents(self.folder)
                _remove_folder(self.folder)
        self._let_go()
        # Some network file systems keep an unlinked file until it is closed.
        _remove_if_empty(self.folder)


def folder_of(path: str | os.PathLike[str]) -> pathlib.Path:
    """Where the job of a picture lies."""
    path = pathlib.Path(path)
    return path.with_name(path.name + SUFFIX)


def part_of(path: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    """Where a file or folder of a picture is while its job puts it together."""
    return folder_of(path) / PICTURE / output.name


def disk_bytes(path: pathlib.Path) -> int:
    """What the disk gets back when the job of a picture is removed."""
    files_of = (p for p in folder_of(path).rglob("*") if p.is_file())
    return sum(allocated(file) for file in files_of)


def allocated(file: pathlib.Path) -> int:
    """Bytes of the disk that a file takes; none where it is not there."""
    with contextlib.suppress(FileNotFoundError):
        return 512 * file.stat().st_blocks  # of which the rest of it may be a hole
    return 0


def is_publishing(path: pathlib.Path) -> bool:
    """Whether the job of a picture is done but for names."""
    return (folder_of(path) / _WHOLE / path.name).exists()


def is_open(path: pathlib.Path) -> bool:
    """Whether there is a job of a picture with something left to do."""
    folder = folder_of(path)
    return (folder / _ARGUMENTS).exists() and not _is_of_no_use(folder, path)


def tidy(path: pathlib.Path) -> None:
    """Removes the job of a picture that has all its names, as a kill may leave it."""
    folder = folder_of(path)
    if not (folder / _WHOLE).exists() or not _is_of_no_use(folder, path):
        return
    with contextlib.suppress(ValueError, OSError):  # in use, or not ours to write
        _check_ours(folder)
        file, _ = _locked(folder, "lock")
        with file:
            if _is_of_no_use(folder, path):
                _remove_contents(folder)
                _remove_folder(folder)
        _remove_if_empty(folder)


def arguments_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The arguments of a picture's unfinished job; empty where there is none."""
    try:
        return dict(json.loads((folder_of(path) / _ARGUMENTS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def is_other(
    path: str | os.PathLike[str], arguments: Mapping[str, str], overwrite: bool | None
) -> bool:
    """Whether a picture's unfinished job is to be thrown away for one of these.

    Args:
      path: of the picture.
      arguments: those of the job that is wanted.
      overwrite: see `Job`.

    Raises:
      ValueError: the job has others, and must stay.
    """
    folder = folder_of(path)
    changed = _changes(folder / _ARGUMENTS, arguments)
    if not changed:
        return False
    of_shards = arguments_of(path).get("Shards", "none") != "none"
    if of_shards or not overwrite:
        remedy = ", or add `overwrite`"
        if of_shards or overwrite is None:
            remedy = " once nobody needs it"
        raise UserError(
            f"the unfinished job {folder} has other arguments ({'; '.join(changed)}); "
            f"give the former ones, or delete that folder{remedy}"
        )
    return True


def check_free(outputs: Sequence[pathlib.Path], overwrite: bool) -> None:
    """Checks that nothing is in the way of a picture.

    Raises:
      ValueError: there is something, and it must not be replaced.
    """
    if overwrite or is_publishing(outputs[-1]):
        return
    for path in outputs:
        if os.path.lexists(path):  # a link that leads nowhere too
            kind = "folder" if path.is_dir() else "file"
            raise UserError(
                f"output {kind} ({path}) is there already; add `overwrite` to replace "
                "it, or choose another with `path`"
            )


def _check_ours(folder: pathlib.Path) -> None:
    """Makes the folder, or checks that nobody else made it."""
    try:
        folder.mkdir()
    except FileExistsError:
        others = [folder]
        # A link would lead to another disk, from which nothing is renamed.
        if folder.is_dir() and not folder.is_symlink():
            others = [p for p in folder.iterdir() if not _NAMES.fullmatch(p.name)]
        if others:
            raise UserError(
                f"unfinished pictures are kept in {folder}, and {others[0]} is not of "
                "one; move it away, or choose another `path`"
            ) from None


def _changes(file: pathlib.Path, arguments: Mapping[str, str]) -> list[str]:
    try:
        former = dict(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError):
        former = {}
    if not former:
        return [f"{file} cannot be read"]
    return differences(former, arguments)


def differences(former: Mapping[str, str], arguments: Mapping[str, str]) -> list[str]:
    """Lines ``NAME: FORMER -> NOW`` of what differs between two pictures' texts.

    Of a text that earlier versions wrote only where others said the same, it counts
    only where it is there.
    """
    names = former.keys() | arguments.keys()
    names -= {name for name in _LATER if name not in former}
    return [
        f"{name}: {former.get(name)} -> {arguments.get(name)}"
        for name in sorted(names)
        if former.get(name) != arguments.get(name)
    ]


def _is_of_no_use(folder: pathlib.Path, last: pathlib.Path) -> bool:
    """Whether a job's picture has all its names, or nobody knows what it would be."""
    if (folder / _WHOLE).exists():
        return not (folder / _WHOLE / last.name).exists()
    return not (folder / _ARGUMENTS).exists()


def _remove_contents(folder: pathlib.Path) -> None:
    """Removes what a job makes, but the locks.

    What says that it is done, and of what, goes last: killed in between, the rest must
    not be taken for another picture's.
    """
    last = (_WHOLE, _ARGUMENTS)
    paths = [path for path in folder.iterdir() if path.name not in last]
    for path in [*paths, *(folder / name for name in last)]:
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(("lock", ".nfs")):
            path.unlink(missing_ok=True)


def _remove_folder(folder: pathlib.Path) -> None:
    """Removes the locks too; held ones are still held."""
    for path in folder.glob("lock*"):
        path.unlink(missing_ok=True)
    _remove_if_empty(folder)


def _remove_if_empty(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _locked(
    folder: pathlib.Path, name: str, shared: bool = False
) -> tuple[BinaryIO, bool | None]:
    """An open file whose lock the system drops with the process; see `try_lock`."""
    while True:
        file = (folder / name).open("wb")
        locked = machine.try_lock(file, shared)
        if locked is False:
            file.close()
            raise UserError(
                f"the job {folder} must not be in use, and another process works on "
                "it; wait for it, stop it, or write to another `path`"
            )
        if locked is None:  # nobody is kept out
            return file, None
        # Whoever held it may have removed the folder before letting go.
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / name)):
                return file, True
        file.close()
