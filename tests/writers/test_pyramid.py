"""Tiled formats: what readers see is what was written, also after a kill, in parts."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from infinitygan_jax import writers
from infinitygan_jax.writers import copies, job, layout, pyramid
from infinitygan_jax.writers.layout import BLOCK, TILE
from infinitygan_jax.writers.target import Target
from tests.writers.pictures import TEXTS, picture_of, read, write

ENDINGS = (".tif", ".zarr", ".dzi")
SHARDABLE = (".zarr", ".dzi")
WIDE = 5000  # more than a block of tiles


@pytest.fixture(params=ENDINGS)
def path(request, tmp_path):
    return tmp_path / f"a{request.param}"


@pytest.fixture(params=SHARDABLE)
def shardable(request, tmp_path):
    return tmp_path / f"a{request.param}"


def same(path, picture):
    """The picture is whole, every level, and nothing else is left."""
    levels, expected = read(path), picture
    for level in levels:
        np.testing.assert_array_equal(level, expected)
        expected = slowly_halved(expected)
    assert max(levels[-1].shape[:2]) <= (1 if path.suffix == ".dzi" else TILE)
    outputs = writers.writer_of(path).outputs(path)
    assert sorted(path.parent.iterdir()) == sorted(outputs)


def slowly_halved(picture):
    """Means of 2 x 2, rounded half up, edges repeated."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    squares = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).astype(float)
    return np.floor(squares.mean((1, 3)) + 0.5)


@pytest.mark.parametrize(
    "size", [(1, 1), (512, 512), (513, 511), (700, 1300), (1025, 40), (600, WIDE)]
)
def test_other_readers_see_the_picture_and_its_pyramid(path, size):
    picture = picture_of(*size)
    write(path, picture)
    same(path, picture)


@pytest.mark.parametrize("part_width", [None, BLOCK * TILE])
def test_an_interrupted_job_goes_on_after_its_last_whole_tiles(path, part_width):
    picture = picture_of(2000, WIDE)
    options = {"part_width": part_width}
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1300 * WIDE, **options)
    assert not path.exists()
    writer = write(path, picture, **options)
    left = sum(part.height * part.width for part in writer.parts)
    third = 0 if part_width is None else 512 * part_width  # narrow parts lose less
    assert left == (2000 - 1024) * WIDE - third
    same(path, picture)


def test_parts_are_narrow_where_that_is_asked_for(path):
    picture = picture_of(1100, WIDE)
    writer = write(path, picture, part_width=BLOCK * TILE)
    assert [(p.left, p.width, p.height) for p in writer.parts[-2:]] == [
        (0, BLOCK * TILE, 1100 - 1024),
        (BLOCK * TILE, WIDE - BLOCK * TILE, 1100 - 1024),
    ]
    assert len(writer.parts) == 6
    same(path, picture)


def test_narrow_parts_complete_copies_without_reading_tiles_back(path, monkeypatch):
    picture = picture_of(3000, 9000)  # 6 x 3 blocks

    def fail(*arguments):
        raise AssertionError("all that a copy shows is at hand")

    writer_type = writers.writer_of(path)
    held = []
    keep = writer_type._keep

    def watched(self, *arguments):
        keep(self, *arguments)
        held.append(self._halves.nbytes)

    with monkeypatch.context() as patch:
        patch.setattr(writer_type, "_read", fail)
        patch.setattr(writer_type, "_keep", watched)
        write(path, picture, part_width=BLOCK * TILE)
    # Three halves of a block wait at most at a level, and there are two such levels.
    assert 0 < max(held) <= 6 * 3 * TILE * BLOCK * TILE // 4
    same(path, picture)


def test_an_interrupt_before_the_first_tile_leaves_nothing(path):
    with pytest.raises(KeyboardInterrupt):
        write(path, picture_of(900, 30), stop=1)
    assert not list(path.parent.iterdir())


KILLED = """
import os, pathlib, signal, sys
from tests.writers import pictures
left = int(sys.argv[2])

def counted(function):
    def call(*names, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        function(*names, **options)
    return call

os.replace, os.link = counted(os.replace), counted(os.link)
os.rename = counted(os.rename)
pictures.write(pathlib.Path(sys.argv[1]), pictures.picture_of(1500, 1300))
"""

# Names that are given on the way: arguments, blocks or tiles (three rows of three, two
# of two, one, and for Deep Zoom 1 for each of nine smaller levels), what describes the
# picture, that it is whole, the outputs. Zarr's chunks are tensorstore's.
NAMES = {".tif": 9, ".zarr": 4, ".dzi": 33}


@pytest.mark.parametrize(
    ("ending", "renames"),
    [
        *((".tif", number) for number in range(9)),
        *((".zarr", number) for number in range(4)),
        *((".dzi", number) for number in (0, 1, 9, 12, 24, 28, 30, 31, 32)),
    ],
)
def test_a_kill_at_any_rename_is_made_good(tmp_path, ending, renames):
    path = tmp_path / f"a{ending}"
    command = [sys.executable, "-c", KILLED, str(path), str(renames)]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (process.returncode, path.exists()) == (-9, False), process.stderr
    picture = picture_of(1500, 1300)
    writers.check_output(Target(path, 1500, 1300))  # half a picture is not in the way
    write(path, picture)
    same(path, picture)


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_renames_were_tried(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    for renames, status in ((NAMES[ending] - 1, -9), (NAMES[ending], 0)):
        shutil.rmtree(job.folder_of(path), ignore_errors=True)
        for output in writers.writer_of(path).outputs(path):
            if output.is_dir():
                shutil.rmtree(output)
            else:
                output.unlink(missing_ok=True)
        command = [sys.executable, "-c", KILLED, str(path), str(renames)]
        process = subprocess.run(command, check=False, capture_output=True)
        assert process.returncode == status


def test_a_job_of_other_arguments_is_refused_unless_told(path):
    picture, other = picture_of(1200, 30), picture_of(1200, 31)
    writer_type = writers.writer_of(path)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=600 * 30)
    with pytest.raises(ValueError, match=r"\(Width: 30 -> 31\); .* `overwrite`"):
        writer_type(Target(path, 1200, 31, TEXTS))
    with pytest.raises(ValueError, match=r"Seed: 3 -> 4"):
        writer_type(Target(path, 1200, 30, TEXTS | {"Seed": "4"}))
    write(path, other, overwrite=True)
    same(path, other)


def test_a_finished_picture_is_replaced_only_when_told(path):
    picture, other = picture_of(700, 600), picture_of(530, 40)
    write(path, picture)
    with pytest.raises(ValueError, match="is there already; add `overwrite`"):
        writers.check_output(Target(path, 530, 40))
    writers.check_output(Target(path, 530, 40, overwrite=True))
    with pytest.raises(KeyboardInterrupt):
        write(path, other, overwrite=True, stop=520 * 40)
    np.testing.assert_array_equal(read(path)[0], picture)  # it stays until then
    write(path, other, overwrite=True)
    same(path, other)


@pytest.mark.parametrize("ending", SHARDABLE)
def test_folders_that_are_not_ours_are_never_deleted(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    folder = writers.writer_of(path).folder_output(path)
    folder.mkdir()
    (folder / "dear.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="is there already, and is not of a pict"):
            writers.check_output(Target(path, 9, 9, overwrite=overwrite))
    assert (folder / "dear.txt").read_text() == "dear"


def test_a_job_in_use_is_refused(path):
    writer_type = writers.writer_of(path)
    with (
        pytest.raises(KeyboardInterrupt),
        writer_type(Target(path, 600, 30, TEXTS)) as writer,
    ):
        with pytest.raises(ValueError, match="another process works on it"):
            writer_type(Target(path, 600, 30, TEXTS))
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
def test_wrong_strips_are_refused_and_missing_ones_noticed(path, strip, words):
    with (
        pytest.raises(ValueError, match=words),
        writers.writer_of(path)(Target(path, 600, 30)) as writer,
    ):
        writer.write(strip)
    assert not list(path.parent.iterdir())


def noise_of(height, width):
    """A picture that cannot be shrunk."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@contextlib.contextmanager
def disk_held(folder):
    """Bytes of a folder before and at each rename."""

    def add():
        files = folder.rglob("*")
        held.append(sum(f.stat().st_size for f in files if f.is_file()))

    def watched(*names):
        add()
        replace(*names)

    held, replace = [], os.replace
    add()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", watched)
        yield held


def test_the_disk_never_holds_more_than_said(path):
    with disk_held(path.parent) as held:
        write(path, noise_of(1100, 1030))
    most = writers.writer_of(path).max_bytes(1100, 1030)
    assert 3 * 1100 * 1030 < max(held) <= most


def test_a_kill_after_the_last_rename_leaves_a_job_of_no_use(path, monkeypatch):
    monkeypatch.setattr(job.Job, "close", lambda self, keep: self._let_go())
    write(path, picture_of(600, 30))
    assert (job.folder_of(path) / "whole").exists()
    monkeypatch.undo()
    assert writers.is_finished(path)
    with pytest.raises(ValueError, match="is there already"):
        writers.check_output(Target(path, 600, 30))
    assert not job.folder_of(path).exists()
    monkeypatch.setattr(job.Job, "close", lambda self, keep: self._let_go())
    write(path, picture_of(600, 30), overwrite=True)
    monkeypatch.undo()
    other = picture_of(700, 30)
    writer = write(path, other, overwrite=True)
    assert sum(part.height for part in writer.parts) == 700
    same(path, other)


def test_a_file_that_appears_meanwhile_stays_and_so_does_the_job(path):
    picture = picture_of(600, 30)
    with (
        pytest.raises(ValueError, match="is there already"),
        writers.writer_of(path)(Target(path, 600, 30, TEXTS)) as writer,
    ):
        writer.write(picture)
        path.write_text("dear")
    assert path.read_text() == "dear"
    path.unlink()
    assert write(path, picture).parts == []
    same(path, picture)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left")])
def test_failing_to_go_on_loses_nothing(path, monkeypatch, error):
    picture = picture_of(1600, 30)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 30)

    def fail(self):
        raise error

    monkeypatch.setattr(writers.writer_of(path), "_open", fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write(path, picture)
    monkeypatch.undo()
    assert [part.top for part in write(path, picture).parts] == [1024]
    same(path, picture)


def test_only_gaps_are_painted_again(path):
    picture = picture_of(2000, 1100)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1600 * 1100)
    lost = {
        ".tif": "level_0/tiles_1_0",
        ".zarr": "picture/a.zarr/0/c/0/1/2",
        ".dzi": "picture/a_files/11/2_1.png",
    }
    (job.folder_of(path) / lost[path.suffix]).unlink()
    parts = write(path, picture).parts
    tops = [(part.top, part.height, part.left) for part in parts]
    assert tops == [(512, 512, 0 if path.suffix == ".tif" else 1024), (1536, 464, 0)]
    same(path, picture)


def test_a_half_removed_job_is_not_taken_for_anothers(shardable):
    write(shardable, picture_of(1600, 1100), shard=(0, 2))
    (job.folder_of(shardable) / "arguments.json").unlink()
    with pytest.raises(ValueError, match="of a picture that is not known; delete"):
        write(shardable, picture_of(1600, 1000), shard=(0, 2))
    picture = picture_of(1600, 1000)
    write(shardable, picture)  # which nobody else works on
    same(shardable, picture)


def test_a_shard_beside_the_end_is_refused(shardable):
    picture = picture_of(1600, 1100)
    for index in (0, 1):
        write(shardable, picture, shard=(index, 2))
    writer_type = writers.writer_of(shardable)
    end = writer_type(Target(shardable, 1600, 1100, TEXTS), finish=True)
    with pytest.raises(ValueError, match="another process works on it"):
        write(shardable, picture, shard=(1, 2))
    with pytest.MonkeyPatch.context() as patch:  # killed before the last name is given
        patch.setattr(job.Job, "publish", lambda self, overwrite: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            end.close()
    folder = job.folder_of(shardable)
    (folder / "picture").rename(folder / "whole")
    with pytest.raises(ValueError, match="run the command with `finish`"):
        write(shardable, picture, shard=(1, 2))
    write(shardable, picture, finish=True)
    same(shardable, picture)


def test_paths_may_lead_upwards(path, monkeypatch):
    (path.parent / "b").mkdir()
    monkeypatch.chdir(path.parent / "b")
    write(pathlib.Path("..") / path.name, picture_of(600, 30))
    (path.parent / "b").rmdir()
    same(path, picture_of(600, 30))


def test_a_folder_that_is_not_a_job_is_left_alone(path):
    foreign = job.folder_of(path) / "notes.txt"
    foreign.parent.mkdir()
    foreign.write_text("dear")
    writer_type = writers.writer_of(path)
    with pytest.raises(ValueError, match=r"notes\.txt is not of one"):
        writer_type(Target(path, 600, 30))
    other = path.with_stem("b")
    job.folder_of(other).write_text("dear")
    with pytest.raises(ValueError, match=r"\.job is not of one"):
        writer_type(Target(other, 600, 30))
    assert foreign.read_text() == job.folder_of(other).read_text() == "dear"
    linked = path.with_stem("c")
    (path.parent / "elsewhere").mkdir()
    job.folder_of(linked).symlink_to(path.parent / "elsewhere")
    with pytest.raises(ValueError, match=r"\.job is not of one"):
        writer_type(Target(linked, 600, 30))


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{"])
def test_arguments_that_cannot_be_read_are_named(tmp_path, text):
    path, picture = tmp_path / "a.tif", picture_of(1200, 30)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=600 * 30)
    (tmp_path / "a.tif.job" / "arguments.json").write_text(text)
    with pytest.raises(ValueError, match=r"arguments\.json cannot be read"):
        write(path, picture)
    write(path, picture, overwrite=True)
    same(path, picture)


def test_an_interrupt_while_waiting_for_tiles_keeps_them(path, monkeypatch):
    picture = picture_of(1600, 30)
    keep = pyramid.PyramidWriter._keep

    def slow(self, *arguments):
        time.sleep(0.5)
        keep(self, *arguments)

    monkeypatch.setattr(pyramid.PyramidWriter, "_keep", slow)
    # It may be ignored where the tests run in the background.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        pytest.raises(KeyboardInterrupt),
        writers.writer_of(path)(Target(path, 1600, 30, TEXTS)) as writer,
    ):
        writer.write(picture[:512])
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        writer.write(picture[512:1024])  # waits for the first
    signal.signal(signal.SIGINT, former)
    monkeypatch.undo()
    assert [part.top for part in write(path, picture).parts] == [512]


@pytest.fixture
def free(monkeypatch):
    """Called with the bytes that the disk has free from now on."""
    usage = shutil.disk_usage("/")

    def set_free(number):
        left = usage._replace(free=number)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: left)

    return set_free


def files_in(folder):
    return sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file())


# Tiles that are missing below: 2, 1 and 1 of levels of 6, 2 and 1. TIFF takes these
# twice, and the 5 others once more; Deep Zoom's are as small as what they show.
@pytest.mark.parametrize(
    ("ending", "too_few", "enough"),
    [(".tif", 12, 13.5), (".zarr", 3.9, 5.5), (".dzi", 3.4, 5)],
)
def test_going_on_needs_only_the_rest_of_the_disk(
    tmp_path, free, ending, too_few, enough
):
    path, picture = tmp_path / f"a{ending}", noise_of(1500, 1000)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 1000)
    for tiles, words in ((too_few, "missing of the picture may need"), (enough, None)):
        free(int(tiles * 3 * TILE**2))
        writers.check_output(Target(path, 1500, 1000))
        with pytest.raises(ValueError, match="free some space"):
            writers.check_output(Target(path.with_stem("b"), 1500, 1000))
        if words is not None:
            before = files_in(tmp_path)
            with pytest.raises(ValueError, match=words):
                write(path, picture)
            assert files_in(tmp_path) == before
    with disk_held(tmp_path) as held:
        write(path, picture)
    assert max(held) - held[0] <= enough * 3 * TILE**2
    same(path, picture)


def test_a_tiff_of_kept_tiles_is_still_to_be_written(tmp_path, free, monkeypatch):
    path, picture = tmp_path / "a.tif", noise_of(1100, 600)
    writer_type = writers.writer_of(path)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(writer_type, "_put_together", lambda self: 1 / 0)
        write(path, picture)
    free(0)
    with pytest.raises(ValueError, match="what is missing of the picture may need"):
        write(path, picture)
    rest = writer_type.rest_bytes(path, 1100, 600)
    # What a kill left of it is begun anew, so its bytes are not needed twice.
    begun = job.folder_of(path) / "picture" / "a.tif"
    begun.parent.mkdir(exist_ok=True)
    begun.write_bytes(os.urandom(2**20))
    assert writer_type.rest_bytes(path, 1100, 600) == rest - job.allocated(begun)
    free(rest - 2**19)
    with disk_held(tmp_path) as held:
        write(path, picture)
    assert max(held) - held[0] + 2**20 <= rest
    same(path, picture)


def test_a_picture_that_only_lacks_names_needs_no_disk(path, free, monkeypatch):
    def fail(self, overwrite):
        (self.folder / "picture").rename(self.folder / "whole")
        raise KeyboardInterrupt

    picture = picture_of(600, 30)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(job.Job, "publish", fail)
        write(path, picture)
    free(0)
    write(path, picture)
    same(path, picture)


def test_a_job_that_is_thrown_away_makes_room(path, free):
    with pytest.raises(KeyboardInterrupt):
        write(path, noise_of(1500, 1000), stop=1100 * 1000)
    other = noise_of(1500, 1001)
    most = writers.writer_of(path).max_bytes(1500, 1001)
    before = files_in(path.parent)
    free(most - 10 * 2**20)
    with pytest.raises(ValueError, match="that it replaces, may need"):
        write(path, other, overwrite=True)
    with pytest.raises(ValueError, match=r"Width: 1000 -> 1001"):
        write(path, other)
    assert files_in(path.parent) == before
    free(most - 2**20)
    write(path, other, overwrite=True)
    same(path, other)


@pytest.mark.parametrize("part_width", [None, BLOCK * TILE])
def test_memory_is_what_is_said(path, part_width):
    width = 20_000
    writer_type = writers.writer_of(path)
    tracemalloc.start()
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            writer_type(Target(path, 4000, width), part_width=part_width) as writer,
        ):
            for part in writer.parts:
                for _ in range(min(part.height, 1536) // 64):
                    writer.write(np.zeros((64, part.width, 3), np.uint8))
                if part.top > 1024:
                    break
            raise KeyboardInterrupt
        bound = writer_type.host_bytes(width, part_width)
        assert tracemalloc.get_traced_memory()[1] < bound
    finally:
        tracemalloc.stop()


# Shards.


@pytest.mark.parametrize(("size", "number"), [((1600, WIDE), 3), ((1025, 700), 5)])
def test_shards_make_the_picture_of_one_run(shardable, size, number):
    picture = picture_of(*size)
    done = []
    for index in reversed(range(number)):
        writer = write(shardable, picture, shard=(index, number))
        done.append(writer.num_pixels)
        assert not shardable.exists()
    assert sum(done) == size[0] * size[1]
    write(shardable, picture, finish=True)
    same(shardable, picture)


def test_a_shard_goes_on_and_can_be_asked_for_again(shardable):
    picture = picture_of(2100, WIDE)
    with pytest.raises(KeyboardInterrupt):
        write(shardable, picture, shard=(1, 2), stop=2_000_000)
    writer = write(shardable, picture, shard=(1, 2))
    left = sum(part.height * part.width for part in writer.parts)
    assert 0 < left < writer.num_pixels
    assert write(shardable, picture, shard=(1, 2)).parts == []
    with pytest.raises(ValueError, match=r"1 of 2 are not \(0 has 0 of \d+ files\)"):
        write(shardable, picture, finish=True)
    write(shardable, picture, shard=(0, 2))
    write(shardable, picture, finish=True)
    same(shardable, picture)


def test_shards_work_side_by_side_and_the_end_waits_for_them(shardable):
    picture = picture_of(1600, 1100)
    writer_type = writers.writer_of(shardable)
    options = [{"shard": (index, 2)} for index in (0, 1)]
    first, second = (
        writer_type(Target(shardable, 1600, 1100, TEXTS), **each) for each in options
    )
    with pytest.raises(ValueError, match="another process works on it"):
        writer_type(Target(shardable, 1600, 1100, TEXTS), shard=(1, 2))
    with pytest.raises(ValueError, match="another process works on it"):
        writer_type(Target(shardable, 1600, 1100, TEXTS), finish=True)
    for writer in (second, first):
        for part in writer.parts:
            writer.write(picture[part.top : part.bottom, part.left : part.right])
        writer.close()
    write(shardable, picture, finish=True)
    same(shardable, picture)


def test_a_shard_asks_for_room_for_all_shards(shardable, free):
    picture = noise_of(1600, 1100)
    writer_type = writers.writer_of(shardable)
    most = writer_type.max_bytes(1600, 1100)
    free(most - 1)  # much more than one shard takes
    with pytest.raises(ValueError, match="a picture of 1100x1600 may need"):
        write(shardable, picture, shard=(0, 3))
    assert not list(shardable.parent.iterdir())  # in nobody's way
    with pytest.raises(ValueError, match="a picture of 1100x1600 may need"):
        writers.check_output(Target(shardable, 1600, 1100))
    free(most)
    write(shardable, picture, shard=(0, 3))
    rest = writer_type.rest_bytes(shardable, 1600, 1100)
    assert rest < most - 3 * 512 * 1100
    before = files_in(shardable.parent)
    free(rest - 1)
    with pytest.raises(ValueError, match="missing of the picture, in all shards, may"):
        write(shardable, picture, shard=(1, 3))
    assert files_in(shardable.parent) == before
    free(0)
    assert write(shardable, picture, shard=(0, 3)).parts == []
    free(rest)
    write(shardable, picture, shard=(1, 3))


def test_the_end_needs_room_for_smaller_copies(shardable, free):
    picture = noise_of(1600, 1100)
    for index in range(3):
        write(shardable, picture, shard=(index, 3))
    before = files_in(shardable.parent)
    free(3 * 800 * 550)
    with pytest.raises(ValueError, match="missing of the picture may need"):
        write(shardable, picture, finish=True)
    assert files_in(shardable.parent) == before
    rest = writers.writer_of(shardable).rest_bytes(shardable, 1600, 1100, finish=True)
    assert rest < 3 * 1600 * 1100
    free(rest)
    with disk_held(shardable.parent) as held:
        write(shardable, picture, finish=True)
    assert max(held) - held[0] <= rest
    same(shardable, picture)


def test_shards_of_another_number_or_picture_are_refused(shardable):
    picture = picture_of(1600, 1100)
    write(shardable, picture, shard=(1, 2))
    for overwrite in (False, True):  # which others would not expect
        with pytest.raises(ValueError, match=r"\(Shards: 2 -> 3\)"):
            write(shardable, picture, shard=(1, 3), overwrite=overwrite)
        with pytest.raises(ValueError, match=r"\(Height: 1600 -> 1601\)"):
            other = picture_of(1601, 1100)
            write(shardable, other, shard=(0, 2), overwrite=overwrite)
    for overwrite in (False, True):  # it is the work of others
        words = r"\(Shards: 2 -> none\); .* delete that folder once nobody needs it$"
        with pytest.raises(ValueError, match=words):
            write(shardable, picture, overwrite=overwrite)
    assert write(shardable, picture, shard=(1, 2)).parts == []
    write(shardable, picture, shard=(0, 2))
    write(shardable, picture, finish=True)
    same(shardable, picture)


def test_there_must_be_something_to_finish(shardable):
    with pytest.raises(ValueError, match="run the shards first"):
        write(shardable, picture_of(9, 9), finish=True)
    assert not list(shardable.parent.iterdir())
    picture = picture_of(1600, 30)
    with pytest.raises(KeyboardInterrupt):
        write(shardable, picture, stop=1100 * 30)
    with pytest.raises(ValueError, match="again without `finish`"):
        write(shardable, picture, finish=True)
    write(shardable, picture, shard=None)
    same(shardable, picture)


@pytest.mark.parametrize(
    ("name", "shards", "words"),
    [
        ("a.png", 2, r"use \.zarr, \.dzi"),
        ("a.tif", 2, r"use \.zarr, \.dzi"),
        ("a.zarr", 7, "use 6 or fewer"),
        ("a.dzi", 7, "use 6 or fewer"),
    ],
)
def test_impossible_shards_are_refused(tmp_path, name, shards, words):
    with pytest.raises(ValueError, match=words):
        writers.check_shards(Target(tmp_path / name, 1025, 513), shards)


@pytest.mark.parametrize("tiles", [(1, 40), (40, 1), (8, 5), (1954, 1954), (64, 64)])
@pytest.mark.parametrize("number", [1, 2, 7, 40])
def test_shards_cut_the_tiles_into_equal_runs(tiles, number):
    runs = [layout.shard_range(tiles, (index, number)) for index in range(number)]
    total = tiles[0] * tiles[1]
    assert [start for start, _ in runs] == [0, *(stop for _, stop in runs[:-1])]
    assert runs[-1][1] == total
    largest = max(stop - start for start, stop in runs)
    assert largest <= max(1.1 * total / number, -(-total // number))


def test_large_shards_are_whole_groups_of_rows():
    # 16 rows each of 64: of 8 rows the shard itself makes levels 1 to 3.
    runs = [layout.shard_range((64, 10), (index, 4)) for index in range(4)]
    assert runs == [(0, 160), (160, 320), (320, 480), (480, 640)]
    # 500 shards of 1954 rows: four rows together, the last 11 have none.
    runs = [layout.shard_range((1954, 1), (index, 500)) for index in range(500)]
    assert {start % 4 for start, _ in runs if start < 1954} == {0}
    assert max(stop - start for start, stop in runs) == 4


@pytest.mark.parametrize("cols", [1, 3, 10])
def test_rectangles_are_the_run_in_order(cols):
    for first in range(31):
        for stop in range(first, 31):
            found = layout.rectangles(first, stop, cols)
            assert len(found) <= 3
            tiles = [
                row * cols + col
                for top, left, bottom, right in found
                for row in range(top, bottom)
                for col in range(left, right)
            ]
            assert tiles == list(range(first, stop))


def test_halving_is_the_rounded_mean():
    for size in ((5, 6), (1, 1), (4, 4), (3, 1)):
        picture = picture_of(*size)
        np.testing.assert_array_equal(copies.halved(picture), slowly_halved(picture))


def test_jobs_of_before_go_on_without_texts_that_are_new():
    """A text that says what the model's digest says may be missing."""
    former = {"Seed": "1", "World digest": "a"}
    new = {**former, "Truncation": "0.8", "Noise scale": "0.5"}
    assert job.differences(former, new) == []
    told = {**former, "Truncation": "0.7"}
    assert job.differences(told, new) == ["Truncation: 0.7 -> 0.8"]
    assert job.differences(new, former) != []
    assert job.differences({"Seed": "1"}, new) == ["World digest: None -> a"]
