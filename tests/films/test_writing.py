"""Films: what was written is read back, and nothing half written looks whole."""

import importlib.util
import os
import signal
import stat
import subprocess

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax.films import writing

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

HEIGHT, WIDTH = 32, 48


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _frames(number):
    """Flat colours, which lose nothing in half the resolution."""
    colours = np.random.default_rng(0).integers(256, size=(number, 1, 1, 3))
    return np.broadcast_to(colours, (number, HEIGHT, WIDTH, 3)).astype(np.uint8)


def _write(path, frames, fps=24):
    writing.check_film(path, HEIGHT, WIDTH, fps, overwrite=True)
    with writing.open_film(path, HEIGHT, WIDTH, fps, "words") as film:
        assert isinstance(film, writing.Film)
        for frame in frames:
            film.write(frame)


@pytest.mark.parametrize("fps", [24, 12.5, 0.1])
def test_a_video_has_the_frames_size_and_rate_that_were_asked_for(folder, fps):
    frames = _frames(9)
    _write("a.mp4", frames, fps)
    assert os.listdir() == ["a.mp4"]
    assert imageio_ffmpeg.count_frames_and_secs("a.mp4")[0] == 9
    read = imageio_ffmpeg.read_frames("a.mp4")
    about = next(read)
    assert (about["size"], about["fps"]) == ((WIDTH, HEIGHT), fps)
    assert about["codec"] == "h264"
    for frame, data in zip(frames, read, strict=True):
        got = np.frombuffer(data, np.uint8).reshape(frame.shape)
        # Colours of 8 bits, and a lossy codec.
        assert np.abs(got.astype(int) - frame).mean() < 6


def test_a_gif_has_the_frames_and_takes_as_long_as_asked_for(folder):
    _write("a.gif", _frames(9), fps=30)
    assert os.listdir() == ["a.gif"]
    with PIL.Image.open("a.gif") as file:
        assert file.info["comment"] == b"words" and file.info["loop"] == 0
        time = 0
        for index, frame in enumerate(_frames(9)):
            file.seek(index)
            np.testing.assert_array_equal(np.asarray(file.convert("RGB")), frame)
            time += file.info["duration"]
        assert file.n_frames == 9
    assert time == 300  # ms: 9 at 30 a second


def test_a_folder_has_a_file_for_each_frame(folder):
    frames = np.random.default_rng(1).integers(256, size=(3, HEIGHT, WIDTH, 3))
    frames = frames.astype(np.uint8)
    for number in (3, 2):  # the second replaces the first
        _write("frames/", frames[:number])
        assert os.listdir() == ["frames"]
        names = [f"{index:06d}.png" for index in range(number)]
        assert sorted(os.listdir("frames")) == names
        for name, frame in zip(names, frames, strict=False):
            with PIL.Image.open(f"frames/{name}") as file:
                np.testing.assert_array_equal(np.asarray(file), frame)


@pytest.mark.parametrize("path", ["a.mp4", "a.gif", "frames/"])
@pytest.mark.parametrize("there", [False, True])
def test_an_error_leaves_what_was_there(folder, path, there):
    if there:
        _write(path, _frames(2))
    before = sorted(os.listdir())
    with pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with writing.open_film(path, HEIGHT, WIDTH, 24) as film:
            film.write(_frames(1)[0])
            raise KeyboardInterrupt
    assert sorted(os.listdir()) == before
    if there and path == "frames/":
        assert len(os.listdir("frames")) == 2


@pytest.mark.parametrize("path", ["a.mp4", "frames/"])
def test_what_killed_films_left_is_removed_and_nothing_else(folder, path):
    name = path.rstrip("/")
    (folder / f"{name}.0123abcd.part").mkdir()
    (folder / f"{name}.0123abcd.part" / "000000.png").write_text("half")
    (folder / f"{name}.4567abcd.part").write_text("half")
    others = [f"{name}.mine.part", f"b{name}.4567abcd.part", f"{name}.4567abcd.parts"]
    for other in others:
        (folder / other).write_text("dear")
    with writing.open_film(path, HEIGHT, WIDTH, 24) as film:
        (part,) = {each.name for each in folder.glob("*.part")} - set(others)
        _write(path, _frames(2))  # another of the same name, while this one is made
        assert (folder / part).exists()
        film.write(_frames(1)[0])
    assert sorted(os.listdir()) == sorted([*others, name])


def test_an_encoder_that_fails_is_one_line(folder, monkeypatch):
    script = folder / "ffmpeg"
    script.write_text("#!/bin/sh\necho one >&2\necho 'No space left' >&2\nexit 1\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(writing, "encoder", lambda: str(script))
    for number in (0, 400):  # at the end, and while frames are written
        with pytest.raises(OSError, match="ffmpeg says: No space left"):
            _write("a.mp4", _frames(number))
        assert os.listdir() == ["ffmpeg"]


def test_an_interrupt_while_the_encoder_starts_leaves_neither(folder, monkeypatch):
    writing.encoder()  # which starts it, too, when it is looked for
    started = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)
            signal.raise_signal(signal.SIGINT)  # before anybody knows of it

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _write("a.mp4", _frames(1))
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    assert started[0].poll() is not None
    assert not os.listdir()


def test_a_missing_encoder_is_named(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"imageio-ffmpeg; .*EXTRAS.*`path` frames/"):
        writing.check_film("a.mp4", HEIGHT, WIDTH, 24, False)
    writing.check_film("frames", HEIGHT, WIDTH, 24, False)  # needs none


def test_a_slash_makes_any_name_a_folders(folder):
    for name in ("a.mp4/", "b.gif/", "c.d/"):
        _write(name, _frames(1))
        assert os.listdir(name) == ["000000.png"]


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("a.avi", {}, "ending '.avi'.*in .mp4 or .gif"),
        ("a.gif", dict(num_frames=10**6), r"frames \(1000000\) of 48x32.*most 87381"),
        ("a.gif", dict(fps=60), r"fps \(60\) of a GIF.*at most 50"),
        ("a.gif", dict(width=70000, height=1), "at most 65535"),
        ("a.mp4", dict(width=33), "33x32.*nearest is 34x32"),
        ("a.mp4", dict(height=31), "48x31.*nearest is 48x32"),
        ("a.mp4", dict(width=20000), "at most 16384"),
        ("a.mp4", dict(fps=0), r"fps \(0\).*use e\.g\. 30"),
        ("a.mp4", dict(fps=float("nan")), "fps"),
        ("a.mp4", dict(fps=1e9), "0.1 to 240"),
        ("a.mp4", dict(fps=1e-5), "0.1 to 240"),
        ("no/a.mp4", {}, "does not exist"),
        ("no/frames/", {}, "does not exist"),
        ("", {}, "name"),
        ("x" * 240 + ".mp4", {}, "name"),
        ("file.mp4", {}, "there already; give `overwrite`"),
        ("done/", {}, "there already; give `overwrite`"),
        ("other/", dict(overwrite=True), "other things than frames"),
        ("file", dict(overwrite=True), "is a file"),
        ("folder.mp4", dict(overwrite=True), "is a folder"),
    ],
)
def test_films_that_cannot_be_are_refused(folder, path, options, words):
    for name in ("file.mp4", "file"):
        (folder / name).write_text("dear")
    for name in ("done", "other", "folder.mp4"):
        (folder / name).mkdir()
    (folder / "done" / "000000.png").write_text("")
    (folder / "other" / "letter.txt").write_text("dear")
    usual = dict(height=HEIGHT, width=WIDTH, fps=24, overwrite=False)
    with pytest.raises(ValueError, match=words):
        writing.check_film(path, **(usual | options))
