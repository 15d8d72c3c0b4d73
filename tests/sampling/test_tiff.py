"""TIFF: what tifffile and Pillow read is what was written, also after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from infinitygan_jax.sampling import writers
from infinitygan_jax.sampling.writers import job, tiff
from infinitygan_jax.sampling.writers.tiff import TILE, TiffWriter

TEXTS = {"Seed": "3", "Software": "infinitygan_jax test"}


def picture_of(height, width):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    return np.stack([y // 5 + noise, x // 3, (x + y) // 7], axis=-1).astype(np.uint8)


def write(path, picture, heights=(200, 512, 1), stop=None, **options):
    """Writes in strips of these heights in turn; stops after so many rows."""
    with TiffWriter(path, *picture.shape[:2], TEXTS, **options) as writer:
        row, turn = writer.rows_done, 0
        while row < len(picture):
            strip = picture[row : row + heights[turn % len(heights)]]
            writer.write(strip)
            row, turn = row + len(strip), turn + 1
            if stop is not None and row >= stop:
                raise KeyboardInterrupt
    return writer


@pytest.mark.parametrize(
    "size", [(1, 1), (512, 512), (513, 511), (700, 1300), (1025, 40), (3, 2049)]
)
def test_other_readers_see_the_picture_and_its_pyramid(tmp_path, size):
    picture = picture_of(*size)
    path = tmp_path / "a.tif"
    write(path, picture)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.asarray(file), picture)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        page = file.pages[0]
        assert (page.tilelength, page.tilewidth) == (TILE, TILE)
        assert json.loads(page.description) == TEXTS
        if min(size) > TILE:  # what viewers take for a pyramid
            assert len(file.series[0].levels) == 1 + len(page.pages)
        levels = [page, *(page.pages or [])]
        assert max(levels[-1].shape[:2]) <= TILE
        expected = picture
        for level in levels:
            np.testing.assert_array_equal(level.asarray(), expected)
            expected = tiff.halved(expected)


def test_halving_is_the_rounded_mean():
    picture = picture_of(5, 6)
    padded = np.concatenate([picture, picture[-1:]])
    means = padded.reshape(3, 2, 3, 2, 3).astype(float).mean((1, 3))
    np.testing.assert_array_equal(tiff.halved(picture), np.floor(means + 0.5))


def test_an_interrupted_job_goes_on_after_its_last_whole_row(tmp_path):
    picture = picture_of(2000, 700)
    path = tmp_path / "a.tif"
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1300)
    assert not path.exists()
    writer = write(path, picture)
    assert writer.rows_done == 1024
    write(tmp_path / "b.tif", picture)
    assert path.read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_an_interrupt_before_the_first_row_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.tif", picture_of(900, 30), stop=1)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from infinitygan_jax.sampling.writers import job
from tests.sampling import test_tiff
left = int(sys.argv[2])
replace = os.replace

def counted(*names):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)

os.replace = counted
test_tiff.write(sys.argv[1], test_tiff.picture_of(1500, 1300))
"""


@pytest.mark.parametrize("renames", range(9))
def test_a_kill_at_any_rename_is_made_good(tmp_path, renames):
    path = tmp_path / "a.tif"
    command = [sys.executable, "-c", KILLED, str(path), str(renames)]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    # Renames: arguments, three rows, two of level 1, one of level 2, the mark of the
    # finished job, the picture.
    assert (process.returncode, path.exists()) == (-9, False), process.stderr
    picture = picture_of(1500, 1300)
    write(path, picture)
    np.testing.assert_array_equal(tifffile.imread(path), picture)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_a_job_of_other_arguments_is_refused_unless_told(tmp_path):
    path, picture = tmp_path / "a.tif", picture_of(1200, 30)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=600)
    with pytest.raises(ValueError, match=r"\(Width: 30 -> 31\); .* --overwrite"):
        TiffWriter(path, 1200, 31, TEXTS)
    with pytest.raises(ValueError, match=r"Seed: 3 -> 4"):
        TiffWriter(path, 1200, 30, TEXTS | {"Seed": "4"})
    other = picture_of(1200, 31)
    assert write(path, other, overwrite=True).rows_done == 0
    np.testing.assert_array_equal(tifffile.imread(path), other)


def test_a_job_in_use_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(KeyboardInterrupt), TiffWriter(path, 600, 30, TEXTS) as writer:
        with pytest.raises(ValueError, match="another process works on it"):
            TiffWriter(path, 600, 30, TEXTS)
        writer.write(picture_of(600, 30)[:10])
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("strip", "words"),
    [
        (np.zeros((2, 31, 3), np.uint8), "must be uint8"),
        (np.zeros((2, 30, 3), np.int16), "must be uint8"),
        (np.zeros((601, 30, 3), np.uint8), r"rows \(601\) must be at most"),
        (np.zeros((10, 30, 3), np.uint8), r"rows \(10\) must be the picture's height"),
    ],
)
def test_wrong_strips_are_refused_and_missing_ones_noticed(tmp_path, strip, words):
    with (
        pytest.raises(ValueError, match=words),
        TiffWriter(tmp_path / "a.tif", 600, 30) as writer,
    ):
        writer.write(strip)
    assert not list(tmp_path.iterdir())


def test_the_disk_never_holds_more_than_said(tmp_path):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1100, 1030, 3), np.uint8)  # cannot be shrunk
    path = tmp_path / "a.tif"
    held = []
    replace = os.replace

    def watched(*names):
        held.append(sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()))
        replace(*names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched)
        write(path, picture)
    assert path.stat().st_size < max(held) <= TiffWriter.max_bytes(1100, 1030)


def test_a_kill_after_the_last_rename_leaves_a_job_of_no_use(tmp_path, monkeypatch):
    path, picture = tmp_path / "a.tif", picture_of(600, 30)
    monkeypatch.setattr(job.Job, "close", lambda self: self._lock.close())
    write(path, picture)
    assert (tmp_path / "a.tif.job" / "finished").exists()
    monkeypatch.undo()
    other = picture_of(700, 30)
    assert write(path, other, overwrite=True).rows_done == 0
    np.testing.assert_array_equal(tifffile.imread(path), other)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_a_file_that_appears_meanwhile_stays_and_so_does_the_job(tmp_path):
    path, picture = tmp_path / "a.tif", picture_of(600, 30)
    with (
        pytest.raises(ValueError, match="is there already"),
        TiffWriter(path, 600, 30, TEXTS) as writer,
    ):
        writer.write(picture)
        path.write_text("dear")
    assert path.read_text() == "dear"
    path.unlink()
    assert write(path, picture).rows_done == 600
    np.testing.assert_array_equal(tifffile.imread(path), picture)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_row_is_named_and_can_be_painted_again(tmp_path, damage):
    path, picture = tmp_path / "a.tif", picture_of(1200, 600)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100)
    row = tmp_path / "a.tif.job" / "level_0" / "row_000000001"
    data = bytearray(row.read_bytes())
    data[-3] ^= 1
    row.write_bytes({"empty": b"", "cut": data[:-9], "flipped": data}[damage])
    with pytest.raises(ValueError, match=r"row_000000001\) must be unal.* delete"):
        write(path, picture)
    row.unlink()
    assert write(path, picture).rows_done == 512
    np.testing.assert_array_equal(tifffile.imread(path), picture)


def test_a_folder_that_is_not_a_job_is_left_alone(tmp_path):
    foreign = tmp_path / "a.tif.job" / "notes.txt"
    foreign.parent.mkdir()
    foreign.write_text("dear")
    with pytest.raises(ValueError, match=r"notes\.txt is not of one"):
        TiffWriter(tmp_path / "a.tif", 600, 30)
    (tmp_path / "b.tif.job").write_text("dear")
    with pytest.raises(ValueError, match=r"b\.tif\.job is not of one"):
        TiffWriter(tmp_path / "b.tif", 600, 30)
    assert foreign.read_text() == (tmp_path / "b.tif.job").read_text() == "dear"


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{"])
def test_arguments_that_cannot_be_read_are_named(tmp_path, text):
    path, picture = tmp_path / "a.tif", picture_of(1200, 30)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=600)
    (tmp_path / "a.tif.job" / "arguments.json").write_text(text)
    with pytest.raises(ValueError, match=r"arguments\.json cannot be read"):
        write(path, picture)
    assert write(path, picture, overwrite=True).rows_done == 0


def test_an_interrupt_while_waiting_for_a_row_keeps_it(tmp_path, monkeypatch):
    path, picture = tmp_path / "a.tif", picture_of(1600, 30)
    write_row = job.Job.write_row

    def slow(self, *arguments):
        time.sleep(0.5)
        write_row(self, *arguments)

    monkeypatch.setattr(job.Job, "write_row", slow)
    # It may be ignored where the tests run in the background.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        pytest.raises(KeyboardInterrupt),
        TiffWriter(path, 1600, 30, TEXTS) as writer,
    ):
        writer.write(picture[:512])
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        writer.write(picture[512:1024])  # waits for the first
    signal.signal(signal.SIGINT, former)
    monkeypatch.undo()
    assert write(path, picture).rows_done == 512


def test_going_on_needs_only_the_rest_of_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (1500, 1000, 3), np.uint8)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100)
    need, held = TiffWriter.max_bytes(1500, 1000), job.held_bytes(path)
    assert held > 3 * 1024 * 1000
    usage = shutil.disk_usage(tmp_path)._replace(free=need - held)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    writers.check_output(path, 1500, 1000)
    with pytest.raises(ValueError, match="free some space"):
        writers.check_output(tmp_path / "b.tif", 1500, 1000)


def test_memory_is_what_is_said(tmp_path):
    width = 20_000
    strip = np.zeros((64, width, 3), np.uint8)
    tracemalloc.start()
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            TiffWriter(tmp_path / "a.tif", 4000, width) as writer,
        ):
            for _ in range(1200 // 64):
                writer.write(strip.copy())
            raise KeyboardInterrupt
        assert tracemalloc.get_traced_memory()[1] < TiffWriter.host_bytes(width)
    finally:
        tracemalloc.stop()
