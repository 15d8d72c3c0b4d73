"""Short films as animated GIF files, which show where videos do not."""

import io
import pathlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from infinitygan_jax import files
from infinitygan_jax.messages import UserError

ENDING = ".gif"
MAX_FPS = 50  # browsers show quicker ones slowly
MAX_PIXELS = 2**27  # of all frames, of which memory holds about three bytes each
MAX_SIDE = 65535


def check(height: int, width: int, fps: float, num_frames: int) -> None:
    """Checks that a GIF file can hold frames.

    Raises:
      ValueError: it cannot; the message says what can.
    """
    if fps > MAX_FPS:
        raise UserError(f"fps ({fps:g}) of a GIF must be at most {MAX_FPS}; use 25")
    if max(height, width) > MAX_SIDE:
        raise UserError(
            f"size ({width}x{height}) must be at most {MAX_SIDE} a side for a GIF; use "
            "a smaller one"
        )
    if height * width * num_frames > MAX_PIXELS:
        raise UserError(
            f"frames ({num_frames}) of {width}x{height} are too many for a GIF, which "
            f"is made in memory; at most {MAX_PIXELS // (height * width)} of this size "
            "can be, or write a .mp4"
        )


def host_bytes(height: int, width: int, num_frames: int) -> int:
    """Memory that the frames of a GIF take: Pillow makes two more of each."""
    return 3 * height * width * num_frames


class Gif:
    """An animated GIF file that repeats for ever, of 256 colours a frame.

    Memory holds all frames, a byte a pixel; the file is whole when it has its name.
    """

    def __init__(self, path: pathlib.Path, fps: float, comment: str):
        self._path, self._fps, self._comment = path, fps, comment
        self._frames: list[Image.Image] = []

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Takes the next frame."""
        image = Image.fromarray(frame)
        colours = image.quantize(256)
        # Pillow only dithers to colours that it is given, and skies need it.
        dithered = image.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
        self._frames.append(dithered)

    def __enter__(self) -> "Gif":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            # In hundredths of a second, as GIF has it; rounding does not add up.
            times = np.rint(100 / self._fps * np.arange(len(self._frames) + 1))
            buffer = io.BytesIO()
            self._frames[0].save(
                buffer,
                "GIF",
                save_all=True,
                append_images=self._frames[1:],
                duration=[int(10 * each) for each in np.diff(times)],
                loop=0,
                comment=self._comment.encode(),
            )
            files.write_whole(self._path, buffer.getvalue())
