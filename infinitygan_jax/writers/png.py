"""PNG, 8 bits a channel, filtered, compressed and written while strips arrive."""

import os
import pathlib
import struct
import zlib

import numpy as np
from isal import isal_zlib

from infinitygan_jax.messages import UserError
from infinitygan_jax.writers.single import SingleFileWriter
from infinitygan_jax.writers.target import Target

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK_BYTES = 1 << 20  # rows are filtered about so many bytes at once
_CHUNK_BYTES = 1 << 20
_LEVEL = 3  # the highest of ISA-L: as small as zlib's 3, in a sixth of the time
_SUB, _UP = 1, 2  # filter types of the PNG specification


class PngWriter(SingleFileWriter):
    """Writes one RGB picture: rows filtered by "sub" or "up", whichever is better."""

    max_side = 2**31 - 1

    def __init__(self, target: Target):
        """Opens the part file and writes the header; see `Writer`.

        Raises:
          ValueError: a size or keyword (Latin-1, 1 to 79 characters) that PNG cannot
            hold.
          OSError: the part file cannot be written.
        """
        texts = [_text(*item) for item in target.texts.items()]
        super().__init__(target)
        self._above = np.zeros((target.width, 3), np.uint8)
        self._deflate = isal_zlib.compressobj(_LEVEL)
        start = SIGNATURE + _header(*target.size) + b"".join(texts)
        self._pending = self._thread.submit(self._file.write, start)

    @staticmethod
    def max_bytes(height: int, width: int) -> int:
        """Bound of the file's size: deflate stores what it cannot shrink."""
        raw = height * (3 * width + 1)
        # zlib's bound for what cannot be shrunk, and 12 bytes of framing a chunk, are
        # less than 1/1000.
        return raw + raw // 1000 + 65_536

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """Texts before the first pixels; empty where it is cut short, or not ours."""
        texts: dict[str, str] = {}
        try:
            with path.open("rb") as file:
                file.seek(-len(_END), os.SEEK_END)
                whole = file.read() == _END
                file.seek(0)
                if not whole or file.read(len(SIGNATURE)) != SIGNATURE:
                    return {}
                while True:
                    length, kind = struct.unpack(">I4s", file.read(8))
                    if kind == b"IDAT":
                        return texts
                    key, _, rest = file.read(length).partition(b"\0")
                    file.read(4)  # the check
                    if kind == b"tEXt":
                        texts[key.decode("latin-1")] = rest.decode("latin-1")
                    elif kind == b"iTXt":  # as `_text` writes it
                        texts[key.decode("latin-1")] = rest[4:].decode("utf-8")
        except (OSError, struct.error, UnicodeDecodeError):
            return {}

    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows; see `Writer`."""
        self._wait()
        self._take(strip)
        self._send(strip)

    def _end(self) -> None:
        self._file.write(_chunk(b"IDAT", self._deflate.flush()) + _END)

    def _append(self, strip: np.ndarray) -> None:
        step = max(1, _BLOCK_BYTES // (3 * self._size[1]))
        for start in range(0, len(strip), step):
            if self._aborted.is_set():
                return
            block = strip[start : start + step]
            lines = filtered(block, self._above).data.cast("B")
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
    return SIGNATURE + _header(height, width) + _chunk(b"IDAT", data) + _END


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


def _header(height: int, width: int) -> bytes:
    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _chunk(b"IHDR", fields)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


_END = _chunk(b"IEND", b"")


def _text(keyword: str, text: str) -> bytes:
    """A tEXt chunk, or an iTXt chunk where the text is not Latin-1."""
    try:
        key = keyword.encode("latin-1")
    except UnicodeEncodeError:
        key = b""
    if not 1 <= len(key) <= 79 or b"\0" in key:
        raise UserError(
            f"PNG keyword ({keyword!r}) must be 1 to 79 Latin-1 characters; shorten it"
        )
    text = text.replace("\0", " ")
    try:
        return _chunk(b"tEXt", key + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return _chunk(b"iTXt", key + b"\0\0\0\0\0" + text.encode("utf-8"))
