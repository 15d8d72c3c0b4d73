"""JPEG from strips: Pillow compresses them, and restart markers join them."""

import io
import json
import os
import pathlib

import numpy as np
from PIL import Image

from infinitygan_jax.writers.single import SingleFileWriter
from infinitygan_jax.writers.target import Target

ROWS = 512  # of a piece; a multiple of 64, see `JpegWriter`
QUALITY = 95  # where nobody says
LEAST_QUALITY, MOST_QUALITY = 1, 100
_LIMIT_COMMENT = 65_533  # bytes, of one segment
_SOF0, _SOS = 0xC0, 0xDA  # baseline frame, start of scan
_COM = 0xFE
_HEAD_BYTES = 1 << 18  # all segments before the scan are within
_END = b"\xff\xd9"
_LAST_RESTART = b"\xff\xd7"


class JpegWriter(SingleFileWriter):
    """Writes one RGB picture as a baseline JPEG, without subsampling of colours.

    Pieces of 512 rows are compressed on their own, with a restart marker
    after every row of blocks (8 px), after which decoders start anew. Markers are
    numbered 0 to 7 and around; a piece has 64 rows of blocks, so its markers are those
    that its rows would have in one picture, and pieces are joined by a marker 7. The
    head is the first piece's, with the picture's height.
    """

    max_side = 65_500

    def __init__(self, target: Target, quality: int = QUALITY):
        """Opens the part file; see `Writer`. Texts are JSON in the comment.

        Args:
          target: the picture.
          quality: 1 to 100, as libjpeg has it: with less, a smaller file.
        """
        self._quality = quality
        super().__init__(target)
        self._comment = json.dumps(dict(target.texts)).encode()[:_LIMIT_COMMENT]
        self._begun = False

    @staticmethod
    def max_bytes(height: int, width: int) -> int:
        """Bound of the file: at most 4 bytes a number of a block, and markers."""
        blocks = (height // 8 + 1) * (width // 8 + 1)
        return 3 * 64 * 4 * blocks + height + 131_072

    @staticmethod
    def host_bytes(width: int, part_width: int | None = None) -> int:
        """Pieces: waiting, put together, and being compressed, twice."""
        return 5 * ROWS * width * 3

    @staticmethod
    def texts_of(path: pathlib.Path) -> dict[str, str]:
        """Texts of the comment; empty where it is cut short, or not ours."""
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
                file.seek(-len(_END), os.SEEK_END)
                if file.read() != _END:
                    return {}
            at = _segments(head)[_COM]
            end = at + 2 + int.from_bytes(head[at + 2 : at + 4], "big")
            return dict(json.loads(head[at + 4 : end]))
        except (OSError, IndexError, KeyError, ValueError, TypeError):
            return {}

    def write(self, strip: np.ndarray) -> None:
        """Takes the next rows; see `Writer`."""
        for _, rows in self._cut(strip, ROWS):
            self._send(rows)

    def _end(self) -> None:
        self._file.write(_END)

    def _append(self, rows: np.ndarray) -> None:
        head, scan = _split(_compress(rows, self._comment, self._quality))
        if self._begun:
            self._file.write(_LAST_RESTART)
        else:
            self._file.write(_with_height(head, self._size[0]))
            self._begun = True
        self._file.write(scan)


def _compress(rows: np.ndarray, comment: bytes, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rows).save(
        file,
        "JPEG",
        quality=quality,
        subsampling=0,
        restart_marker_rows=1,
        comment=comment,
    )
    return file.getvalue()


def _segments(data: bytes) -> dict[int, int]:
    """Where the segments of a JPEG begin, by their code, up to the scan."""
    found, at = {}, 2
    while _SOS not in found:
        found[data[at + 1]] = at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def _split(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG's segments, that of the scan included, and its compressed data."""
    scan = _segments(data)[_SOS]
    start = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    return data[:start], data[start : -len(_END)]


def _with_height(head: bytes, height: int) -> bytes:
    """The segments, for another number of rows."""
    # Marker and length take 4 bytes, the precision one, and then comes the height.
    at = _segments(head)[_SOF0] + 5
    return head[:at] + height.to_bytes(2, "big") + head[at + 2 :]
