"""Files that are whole when they have their name."""

import contextlib
import os
import pathlib
import secrets


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
