"""What every writer of pictures offers."""

import abc
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import numpy as np

from infinitygan_jax.messages import UserError, readable_bytes
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.writers.target import Target


class Writer(abc.ABC):
    """Writes one RGB picture from strips; a context manager that aborts on errors.

    A writer is opened with the picture's full size, given what it says is missing in
    strips of any height, and closed; the file appears under its name only when it is
    whole.

    Attributes:
      target: the picture.
      path: where it shall be.
      max_side: the format's limit on pixels a side.
      resumable: whether a killed run leaves something to go on from.
      shardable: whether several processes can write parts of one picture.
      num_pixels: what this process writes in all, of this and of former runs.
      parts: rectangles of the picture that are still missing, in the order in which
        they are to be written; row and column 0 are the picture's.
    """

    max_side: int
    resumable = False
    shardable = False

    @abc.abstractmethod
    def __init__(self, target: Target):
        """Opens a part file, or a job, beside the target's path."""
        self.target = target
        self.path = target.path
        self._size = target.size
        self._is_closed = False
        self.num_pixels = target.height * target.width
        self._waiting: list[np.ndarray] = []  # rows that make no piece yet
        self._start([Window(0, 0, target.height, target.width)])

    def _start(self, parts: Sequence[Window]) -> None:
        """Says what is missing; strips begin with the first of it."""
        self.parts = list(parts)
        self._part, self._row = 0, 0  # where the next strip belongs

    @staticmethod
    @abc.abstractmethod
    def max_bytes(height: int, width: int) -> int:
        """What a picture of this size never exceeds on disk, while it is written."""

    @staticmethod
    def host_bytes(width: int, part_width: int | None = None) -> int:
        """Memory that a writer takes for a picture of this width, beside one strip.

        Args:
          width: of the picture.
          part_width: that of strips, where parts are narrower.
        """
        return 0

    @staticmethod
    def outputs(path: pathlib.Path) -> list[pathlib.Path]:
        """Everything that a picture is made of; what opens it comes last."""
        return [path]

    @staticmethod
    def folder_output(path: pathlib.Path) -> pathlib.Path | None:
        """Which of them is a folder, if any."""
        return None

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """Metadata of a finished picture; empty where there is none of ours."""
        return {}

    @abc.abstractmethod
    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows of what is missing; the caller must not change them.

        Args:
          strip: uint8 (rows, width of the current part, 3).

        Raises:
          ValueError: a wrong shape or dtype, or more rows than are missing.
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
        """Gives up and removes what is of no use for going on."""

    def _take(self, strip: np.ndarray) -> tuple[int, int]:
        """The picture's row and column where a strip begins, after checking it."""
        if self._part == len(self.parts):
            if not len(strip):
                return self._size[0], 0
            raise UserError("nothing of this picture is missing; give no more strips")
        part = self.parts[self._part]
        if strip.dtype != np.uint8 or strip.shape[1:] != (part.width, 3):
            raise UserError(
                f"strip ({strip.dtype}, {strip.shape}) must be uint8 (rows, "
                f"{part.width}, 3)"
            )
        rows = self._row + len(strip)
        if rows > part.height:
            raise UserError(
                f"rows ({rows}) must be at most what is missing ({part.height})"
            )
        top, self._row = part.top + self._row, rows
        if rows == part.height:
            self._part, self._row = self._part + 1, 0
        return top, part.left

    def _cut(self, strip: np.ndarray, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Takes a strip, and cuts what waits into pieces of so many rows.

        Yields:
          Each piece's first row of the picture, and the piece; the last of a part may
          have fewer rows.
        """
        top, _ = self._take(strip)
        self._waiting.append(strip)
        bottom = top + len(strip)
        start = bottom - sum(map(len, self._waiting))
        ends = self._row == 0  # the part does, with this strip
        while bottom - start >= rows or (ends and bottom > start):
            waiting = self._waiting
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            stop = min(start + rows, bottom)
            self._waiting = [joined[rows:]] if stop < bottom else []
            yield start, joined[:rows]
            start = stop

    def _check_whole(self) -> None:
        if self._part < len(self.parts):
            part = self.parts[self._part]
            raise UserError(
                f"rows ({part.top + self._row}) must be the picture's height "
                f"({self._size[0]}) when it is closed; give the missing strips"
            )

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._is_closed:
            return
        if kind is None:
            self.close()
        else:
            self.abort()


def check_room(folder: pathlib.Path, need: int, what: str, remedy: str) -> None:
    """Checks that a folder's disk has room for so many bytes.

    Args:
      folder: in which they are to be written.
      need: bytes.
      what: takes them.
      remedy: what the message tells to do.

    Raises:
      ValueError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise UserError(
            f"{what} may need {readable_bytes(need)} and {folder} has "
            f"{readable_bytes(free)} free; {remedy}"
        )
