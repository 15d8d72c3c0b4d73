"""What the writers of one file share: written aside, by a thread, and renamed."""

import abc
import concurrent.futures
import contextlib
import os
import secrets
import threading
from typing import Any

import numpy as np

from infinitygan_jax.messages import UserError
from infinitygan_jax.writers.base import Writer
from infinitygan_jax.writers.job import check_free
from infinitygan_jax.writers.target import Target


class SingleFileWriter(Writer):
    """Writes ``NAME.*.part`` in the same folder, which `close` renames.

    A thread compresses and writes what `_send` gives it, one piece at a time, so that
    memory does not grow with the picture's height. A subclass says how.
    """

    def __init__(self, target: Target):
        """Opens the part file; see `Writer`.

        Raises:
          ValueError: a size that the format cannot hold.
          OSError: the part file cannot be written.
        """
        height, width = target.size
        if not (1 <= height <= self.max_side and 1 <= width <= self.max_side):
            raise UserError(
                f"size ({width}x{height}) must be 1 to {self.max_side} a side for this "
                "format; paint it in parts"
            )
        super().__init__(target)
        # A name of its own: two programs may paint the same file.
        name = f"{self.path.name}.{secrets.token_hex(4)}.part"
        self.part = self.path.with_name(name)
        self._keeps_part = False
        self._aborted = threading.Event()
        self._file = open(self.part, "xb")  # noqa: SIM115  closed by close or abort
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "writer")
        self._pending: concurrent.futures.Future[Any] | None = None

    @abc.abstractmethod
    def _append(self, rows: np.ndarray) -> None:
        """Compresses rows and writes them; stops early where ``_aborted`` is set."""

    @abc.abstractmethod
    def _end(self) -> None:
        """Writes what comes after the last row."""

    def _send(self, rows: np.ndarray) -> None:
        """Lets the thread append rows, when it is done with those of before."""
        self._wait()
        self._pending = self._thread.submit(self._append, rows)

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()  # its error, if it had one

    def close(self) -> None:
        """Waits for the thread, finishes the file and renames it; see `Writer`."""
        self._is_closed = True
        try:
            self._check_whole()
            self._wait()
            self._end()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            try:
                check_free([self.path], self.target.overwrite)
            except ValueError as error:  # another has its name by now
                self._keeps_part = True
                raise UserError(
                    f"{error}; what was painted is in {self.part}"
                ) from error
            os.replace(self.part, self.path)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stops the thread and removes the part file, if it is still there."""
        self._aborted.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(OSError):  # what it still held does not matter now
            self._file.close()
        if not self._keeps_part:
            self.part.unlink(missing_ok=True)
