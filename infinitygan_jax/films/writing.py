"""Frames to a video, a GIF or a folder of pictures, whole when they have their name."""

import contextlib
import importlib.util
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import files, machine
from infinitygan_jax.films import gif
from infinitygan_jax.messages import UserError
from infinitygan_jax.writers import png

VIDEO = ".mp4"
MAX_SIDE = 16384  # of a video: H.264's limit is about that
MIN_FPS, MAX_FPS = 0.1, 240
# As players expect them, and said so; ffmpeg's own are those of old television.
_COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv,setparams=range=tv:colorspace=bt709"
    ":color_primaries=bt709:color_trc=bt709"
)
_FRAME = re.compile(r"\d{6,}\.png")


@runtime_checkable
class Film(Protocol):
    """Takes frames; a context that discards what it has when it ends by an error."""

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Takes the next frame."""

    def __enter__(self) -> "Film": ...

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None: ...


def file_ending(path: str) -> str:
    """``.mp4`` or ``.gif`` where frames become one file, "" where a folder.

    Raises:
      ValueError: the name has another ending.
    """
    ending = pathlib.Path(path).suffix
    if not ending or path.endswith(("/", os.sep)):
        return ""
    if ending.lower() not in (VIDEO, gif.ENDING):
        raise UserError(
            f"no film can have the ending {ending!r} of {path}; give a name that ends "
            f"in {VIDEO} or {gif.ENDING}, or a folder's, with / at its end"
        )
    return ending.lower()


def check_film(
    path: str,
    height: int,
    width: int,
    fps: float,
    overwrite: bool,
    num_frames: int = 1,
) -> None:
    """Checks, before anything is computed, that a film can be written.

    Args:
      path: ends in ``.mp4`` or ``.gif``, or is a folder's.
      height: of the frames.
      width: of the frames.
      fps: frames a second.
      overwrite: whether what is there may be replaced.
      num_frames: how many, which a GIF limits.

    Raises:
      ValueError: another ending, a size or rate that videos cannot have, no encoder, a
        folder that does not exist or cannot be written, or something in the way.
    """
    ending = file_ending(path)
    if not MIN_FPS <= fps <= MAX_FPS:
        raise UserError(
            f"fps ({fps:g}) must be from {MIN_FPS} to {MAX_FPS}; use e.g. 30"
        )
    target = pathlib.Path(path)
    if ending == VIDEO:
        _check_video(height, width)
    elif ending == gif.ENDING:
        gif.check(height, width, fps, num_frames)
    files.check_name(target)
    files.check_folder(target.absolute().parent)
    if not os.path.lexists(target):
        return
    if bool(ending) == target.is_dir():
        kind = "folder" if target.is_dir() else "file"
        raise UserError(f"output ({target}) is a {kind}; give another name")
    if not ending and not _is_ours(target):
        raise UserError(
            f"output folder ({target}) holds other things than frames; give the name "
            "of a new one"
        )
    if not overwrite:
        raise UserError(
            f"output ({target}) is there already; give `overwrite` to replace it, or "
            "another name"
        )


def _check_video(height: int, width: int) -> None:
    if height % 2 or width % 2:
        raise UserError(
            f"size ({width}x{height}) must be even for a video, whose colours have "
            f"half the resolution; the nearest is {width + width % 2}x"
            f"{height + height % 2}"
        )
    if max(height, width) > MAX_SIDE:
        raise UserError(
            f"size ({width}x{height}) must be at most {MAX_SIDE} a side for a video; "
            "write frames into a folder"
        )
    encoder()


def _is_ours(folder: pathlib.Path) -> bool:
    """Whether a folder holds frames and nothing else."""
    return all(_FRAME.fullmatch(name) for name in os.listdir(folder))


def encoder() -> str:
    """The program ffmpeg that comes with the package imageio-ffmpeg.

    Raises:
      ValueError: the package is not installed, or has none for this machine.
    """
    # The package is BSD-licensed. The program in its wheels is built under the GPL (as
    # it holds x264); it is run as a process of its own, neither linked nor distributed
    # with this project. IMAGEIO_FFMPEG_EXE names another.
    remedy = (
        "install it (pip install imageio-ffmpeg, or make install EXTRAS=test,video) or "
        "write frames into a folder (`path` frames/)"
    )
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(f"videos need the package imageio-ffmpeg; {remedy}")
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise UserError(f"videos need the program ffmpeg ({error}); {remedy}") from None


def open_film(
    path: str, height: int, width: int, fps: float, comment: str = ""
) -> Film:
    """A film to be written; what had its name is replaced when it is whole.

    Args:
      path: ends in ``.mp4`` or ``.gif``, or is a folder's.
      height: of the frames.
      width: of the frames.
      fps: frames a second, of a video or GIF.
      comment: what these say of themselves.
    """
    ending = file_ending(path)
    if ending == VIDEO:
        return Video(pathlib.Path(path), height, width, fps, comment)
    if ending == gif.ENDING:
        return gif.Gif(pathlib.Path(path), fps, comment)
    return Frames(pathlib.Path(path))


class Frames:
    """A folder of PNG files, ``000000.png`` and so on; made as ``NAME.*.part``."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._count = 0

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """See ``Film``."""
        path = self._part.path / f"{self._count:06d}.png"
        files.write_whole(path, png.encode(np.ascontiguousarray(frame)))
        self._count += 1

    def __enter__(self) -> "Frames":
        self._part = _Part(self._path, folder=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        former = _part_name(self._path)
        try:
            if kind is None:
                if self._path.exists():
                    self._path.rename(former)
                try:
                    self._part.path.rename(self._path)
                except OSError:  # what was there comes back
                    if former.exists():
                        former.rename(self._path)
                    raise
        finally:
            self._part.close()
            shutil.rmtree(former, ignore_errors=True)


class Video:
    """An MP4 file of H.264, which everything plays; made as ``NAME.*.part``."""

    def __init__(
        self, path: pathlib.Path, height: int, width: int, fps: float, comment: str
    ):
        self._path = path
        quiet = "-nostdin -hide_banner -loglevel error -y"
        source = (
            f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps:.12g} -i - -an"
        )
        coding = "-c:v libx264 -crf 18 -pix_fmt yuv420p"
        container = "-movflags +faststart -f mp4"  # plays before all of it is there
        self._command = [
            encoder(),
            *quiet.split(),
            *source.split(),
            "-vf",
            _COLOURS,
            *coding.split(),
            "-metadata",
            f"comment={comment}",
            *container.split(),
        ]

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """See ``Film``.

        Raises:
          OSError: the encoder stopped; the message says why.
        """
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:
            self._process.wait()
            raise self._failure() from None

    def __enter__(self) -> "Video":
        self._part = _Part(self._path, folder=False)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._log = tempfile.TemporaryFile()
            with _signals_wait():
                # In a group of its own: an interrupt at the keyboard is this program's.
                self._process = subprocess.Popen(
                    [*self._command, str(self._part.path.absolute())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self._log,
                    start_new_session=True,
                )
        except BaseException:  # an interrupt too
            self._stop()
            self._part.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._stop()
            self._part.close()
            self._log.close()

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _finish(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait():
            raise self._failure()
        with self._part.path.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(self._part.path, self._path)

    def _failure(self) -> OSError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        reason = said[-1] if said else "it gave no reason"
        return OSError(f"ffmpeg says: {reason}")


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Lets signals to stop wait for the end of this context.

    An exception in the middle of starting a process would leave that running, unknown,
    and it would make the file again that is removed.
    """
    came: list[int] = []
    former = {}
    with contextlib.suppress(ValueError):  # not in the main thread, which has them
        for number in (signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(number)):
                former[number] = signal.signal(number, lambda n, frame: came.append(n))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)


class _Part:
    """A file or folder ``NAME.*.part`` in which a film is made.

    It is locked while it is, so that the next film of this name can remove what killed
    processes left, and nothing of those that run.
    """

    def __init__(self, target: pathlib.Path, folder: bool):
        _remove_left(target)
        self._descriptor: int | None = None
        while True:
            self.path = _part_name(target)
            try:
                if folder:
                    self.path.mkdir()
                else:
                    self.path.touch(exist_ok=False)
                if self._lock():
                    return
            except BaseException:  # an interrupt too
                self.close()
                raise
            self.close()

    def _lock(self) -> bool:
        """Locks it where there are locks, unless another film took it for left."""
        if os.name != "posix":  # Windows, which does not rename what is open
            return True
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        return machine.try_lock(self._descriptor) is not False and self.path.exists()

    def close(self) -> None:
        """Lets go of it, and removes it if it has not got another name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        _remove(self.path)


def _part_name(target: pathlib.Path) -> pathlib.Path:
    return target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")


def _remove_left(target: pathlib.Path) -> None:
    """Removes parts of films of this name that nobody makes any more."""
    for path in target.absolute().parent.iterdir():
        name = path.name.removeprefix(f"{target.name}.")
        if name == path.name or not re.fullmatch(r"[0-9a-f]{8}\.part", name):
            continue
        with contextlib.suppress(OSError):  # others may have removed it
            descriptor = os.open(path, os.O_RDONLY)
            try:
                if machine.try_lock(descriptor):
                    _remove(path)
            finally:
                os.close(descriptor)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
