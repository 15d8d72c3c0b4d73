"""PNG, 8 bits a channel, filtered, compressed and written while strips arrive."""

import concurrent.futures
import contextlib
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Mapping

import numpy as np
from isal import isal_zlib

from infinitygan_jax.sampling.writers.base import Writer
from infinitygan_jax.sampling.writers.job import name_part

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK_BYTES = 1 << 20  # rows are filtered about so many bytes at once
_CHUNK_BYTES = 1 << 20
_LEVEL = 3  # the highest of ISA-L: as small as zlib's 3, in a sixth of the time
_SUB, _UP = 1, 2  # filter types of the PNG specification


class PngWriter(Writer):
    """Writes one RGB picture from strips; a thread of its own does the work.

    Strips are filtered (the better of "sub" and "up" for each row), deflated and
    appended to ``NAME.part`` in the same folder, which `close` renames. One strip is
    held at a time, so memory does not grow with the picture's height.
    """

    max_side = 2**31 - 1

    def __init__(
        self,
        path: str | os.PathLike,
        height: int,
        width: int,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ):
        """Opens the part file and writes the header.

        Args:
          path: where the picture shall be.
          height: its rows in all, 1 to 2**31 - 1.
          width: its columns, likewise.
          metadata: texts by keyword (Latin-1, 1 to 79 characters).
          overwrite: a file that is there when the picture is whole may be replaced.

        Raises:
          ValueError: a size or keyword that PNG cannot hold.
          OSError: the part file cannot be written.
        """
        if not (1 <= height <= self.max_side and 1 <= width <= self.max_side):
            raise ValueError(
                f"size ({width}x{height}) must be 1 to {self.max_side} a side for PNG"
            )
        start = _start(height, width, metadata or {})
        super().__init__(path, height, width, metadata, overwrite)
        # A name of its own: two programs may paint the same file.
        name = f"{self.path.name}.{secrets.token_hex(4)}.part"
        self.part = self.path.with_name(name)
        self._above = np.zeros((width, 3), np.uint8)
        self._deflate = isal_zlib.compressobj(_LEVEL)
        self._aborted = threading.Event()
        self._is_whole = False
        self._file = open(self.part, "xb")  # noqa: SIM115  closed by close or abort
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "png")
        self._pending = self._thread.submit(self._file.write, start)

    @staticmethod
    def max_bytes(height: int, width: int) -> int:
        """Bound of the file's size: deflate stores what it cannot shrink."""
        raw = height * (3 * width + 1)
        # zlib's bound for what cannot be shrunk, and 12 bytes of framing a chunk, are
        # less than 1/1000.
        return raw + raw // 1000 + 65_536

    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows; see `Writer`."""
        self._pending.result()  # its error, if it had one
        self._take(strip)
        self._pending = self._thread.submit(self._append, strip)

    def close(self) -> None:
        """Waits for the thread, finishes the file and renames it; see `Writer`."""
        self._is_closed = True
        try:
            self._check_whole()
            self._pending.result()
            end = _chunk(b"IDAT", self._deflate.flush()) + _chunk(b"IEND", b"")
            self._file.write(end)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._is_whole = True  # and stays, where another has its name by now
            name_part(self.part, self.path, self._overwrite)
        finally:
            self.abort()

    def abort(self) -> None:
        """Stops the thread and removes the part file, if it is still there."""
        self._aborted.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
        with contextlib.suppress(OSError):  # what it still held does not matter now
            self._file.close()
        if not self._is_whole:
            self.part.unlink(missing_ok=True)

    def _append(self, strip: np.ndarray) -> None:
        step = max(1, _BLOCK_BYTES // (3 * self._size[1]))
        for start in range(0, len(strip), step):
            if self._aborted.is_set():
                return
            block = strip[start : start + step]
            lines = memoryview(filtered(block, self._above)).cast("B")
            for at in range(0, len(lines), _CHUNK_BYTES):
                data = self._deflate.compress(lines[at : at + _CHUNK_BYTES])
                if data:
                    self._file.write(_chunk(b"IDAT", data))
            self._above = block[-1].copy()  # not a view, which would keep the strip


def encode(pixels: np.ndarray) -> bytes:
    """A small picture, uint8 (height, width, 3), as a whole PNG file."""
    height, width = pixels.shape[:2]
    lines = filtered(pixels, np.zeros((width, 3), np.uint8))
    data = isal_zlib.compress(lines, _LEVEL)
    return _start(height, width, {}) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def filtered(block: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Filter-type bytes and filtered rows of PNG, uint8 (rows, 1 + 3 width).

    Each row takes "sub" or "up", whichever has the smaller sum of differences taken as
    signed numbers, the PNG specification's rule of thumb.

    Args:
      block: uint8 (rows, width, 3).
      above: the row before the block, uint8 (width, 3); zeros for the first.
    """
    rows, width, _ = block.shape
    sub, up = block.copy(), block.copy()
    sub[:, 1:] -= block[:, :-1]
    up[0] -= above
    up[1:] -= block[:-1]
    prefers_up = _cost(up) < _cost(sub)
    lines = np.empty((rows, 1 + 3 * width), np.uint8)
    lines[:, 0] = np.where(prefers_up, _UP, _SUB)
    lines[:, 1:] = np.where(prefers_up[:, None, None], up, sub).reshape(rows, -1)
    return lines


def _cost(differences: np.ndarray) -> np.ndarray:
    """Sum of absolute values of each row, bytes taken as -128 to 127."""
    sizes = np.minimum(differences, np.negative(differences))  # |-128| is 128
    return sizes.sum(axis=(1, 2), dtype=np.int64)


def _start(height: int, width: int, texts: Mapping[str, str]) -> bytes:
    """All that comes before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), *(_text(*item) for item in texts.items())]
    return SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _text(keyword: str, text: str) -> bytes:
    """A tEXt chunk, or an iTXt chunk where the text is not Latin-1."""
    try:
        key = keyword.encode("latin-1")
    except UnicodeEncodeError:
        key = b""
    if not 1 <= len(key) <= 79 or b"\0" in key:
        raise ValueError(
            f"PNG keyword ({keyword!r}) must be 1 to 79 Latin-1 characters; shorten it"
        )
    text = text.replace("\0", " ")
    try:
        return _chunk(b"tEXt", key + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", key + b"\0\0\0\0\0" + text.encode("utf-8"))
