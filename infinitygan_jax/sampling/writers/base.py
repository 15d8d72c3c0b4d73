"""What every writer of pictures offers."""

import abc
import os
import pathlib
from collections.abc import Mapping

import numpy as np


class Writer(abc.ABC):
    """Writes one RGB picture from strips; a context manager that aborts on errors.

    A writer is opened with the picture's full size, given its rows from the top in
    strips of any height, and closed; the file appears under its name only when it is
    whole.

    Attributes:
      max_side: the format's limit on pixels a side.
      rows_done: rows that an unfinished job already has; strips start after them.
    """

    max_side: int
    rows_done: int = 0

    @abc.abstractmethod
    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ):
        """Opens a part file, or a job, beside ``path``.

        Args:
          path: where the picture shall be.
          height: its rows.
          width: its columns.
          metadata: texts by keyword.
          overwrite: an unfinished job of other arguments may be thrown away, and a
            file that is there when the picture is whole be replaced.
        """
        self.path = pathlib.Path(path)
        self._shape = (height, width, 3)
        self._overwrite = overwrite
        self._rows_taken = 0

    @staticmethod
    @abc.abstractmethod
    def max_bytes(height: int, width: int) -> int:
        """What a picture of this size never exceeds on disk, while it is written."""

    @staticmethod
    def host_bytes(width: int) -> int:
        """Memory that a writer takes for a picture of this width, beside one strip."""
        return 0

    @staticmethod
    def held_bytes(path: str | os.PathLike) -> int:
        """What an unfinished job under this name already takes of the disk."""
        return 0

    @abc.abstractmethod
    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows, uint8 (rows, width, 3); the caller must not change them.

        Raises:
          ValueError: a wrong shape or dtype, or more rows than the picture has.
          OSError: an earlier strip could not be written.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Finishes the file and gives it its name.

        Raises:
          ValueError: rows are missing.
          OSError: the file could not be written.
        """

    @abc.abstractmethod
    def abort(self) -> None:
        """Gives up and removes what was written."""

    def _take(self, strip: np.ndarray) -> None:
        """Counts a strip's rows, after checking that it is the picture's."""
        height, width, _ = self._shape
        if strip.dtype != np.uint8 or strip.shape[1:] != (width, 3):
            raise ValueError(
                f"strip ({strip.dtype}, {strip.shape}) must be uint8 (rows, {width}, 3)"
            )
        rows = self._rows_taken + len(strip)
        if rows > height:
            raise ValueError(
                f"rows ({rows}) must be at most the picture's height ({height})"
            )
        self._rows_taken = rows

    def _check_whole(self) -> None:
        if self._rows_taken != self._shape[0]:
            raise ValueError(
                f"rows ({self._rows_taken}) must be the picture's height "
                f"({self._shape[0]}) when it is closed"
            )

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
