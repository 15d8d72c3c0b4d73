"""Writers: what is read back is what was written, whole or not at all."""

import collections
import io
import pathlib
import shutil
import time

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import writers
from infinitygan_jax.writers import png
from infinitygan_jax.writers.target import Target


def _picture(height, width, seed=0):
    """Smooth rows, smooth columns and noise, so that both filters are taken."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    image = np.stack([rows * 3, cols * 5, rows + cols], axis=-1).astype(np.uint8)
    image[height // 2 :] ^= rng.integers(0, 4, image[height // 2 :].shape, np.uint8)
    image[: height // 4, :, :] = rng.integers(0, 256, (1, width, 3))
    return image


def _write(path, image, cuts, **options):
    target = Target(path, *image.shape[:2], **options)
    with writers.writer_of(path)(target) as writer:
        for strip in np.split(image, cuts):
            writer.write(strip)


@pytest.mark.parametrize(
    ("height", "width", "cuts"),
    [(1, 1, []), (1, 70, []), (65, 1, [3]), (50, 33, [1, 2, 40]), (9, 40, [0, 9])],
)
def test_png_reads_back_equal(tmp_path, height, width, cuts):
    image = _picture(height, width)
    path = tmp_path / "out.png"
    _write(path, image, cuts)
    with PIL.Image.open(path) as file:
        assert file.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(file), image)
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".zarr", ".dzi"])
def test_texts_are_read_back(tmp_path, ending):
    texts = {"Seed": "3", "Command": "paint --out caf\u00e9", "Name": "\u68ee 1"}
    path = tmp_path / f"out{ending}"
    _write(path, _picture(20, 30), [7], texts=texts)
    assert writers.writer_of(path).texts_of(path) == texts


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("length", [None, 0, 9, 60, 10**6])
def test_other_files_have_no_texts(tmp_path, ending, length):
    """None at all, files cut short, and what is no picture; and none of these fails."""
    path, whole = tmp_path / f"out{ending}", tmp_path / f"whole{ending}"
    _write(whole, _picture(200, 200), [7], texts={"Seed": "3"})
    texts_of = writers.writer_of(path).texts_of
    if length is not None:
        path.write_bytes(whole.read_bytes()[:length])
    assert texts_of(path) == ({"Seed": "3"} if length == 10**6 else {})
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    assert texts_of(path) == {}


def test_png_bytes_do_not_depend_on_block_size(tmp_path, monkeypatch):
    image = _picture(40, 50)
    _write(tmp_path / "a.png", image, [7])
    monkeypatch.setattr(png, "_BLOCK_BYTES", 200)  # one row and less
    monkeypatch.setattr(png, "_CHUNK_BYTES", 64)
    _write(tmp_path / "b.png", image, [7])
    with PIL.Image.open(tmp_path / "b.png") as file:
        np.testing.assert_array_equal(np.asarray(file), image)


def test_png_rows_take_the_better_filter():
    rng = np.random.default_rng(0)
    repeated = np.broadcast_to(rng.integers(0, 256, (1, 20, 3), np.uint8), (3, 20, 3))
    lines = png.filtered(repeated, repeated[0])
    np.testing.assert_array_equal(lines[:, 0], 2)  # the row above says it all
    np.testing.assert_array_equal(lines[:, 1:], 0)
    flat = np.broadcast_to(rng.integers(0, 256, (3, 1, 1), np.uint8), (3, 20, 3))
    lines = png.filtered(flat, np.zeros((20, 3), np.uint8))
    np.testing.assert_array_equal(lines[:, 0], 1)  # the pixel to the left does
    np.testing.assert_array_equal(lines[:, 4:], 0)


def test_png_keeps_its_texts(tmp_path):
    texts = {"Software": "infinitygan_jax", "Title": "Straße", "Comment": "山 at 12"}
    path = tmp_path / "out.png"
    _write(path, _picture(4, 4), [], texts=texts)
    with PIL.Image.open(path) as file:
        assert dict(file.text) == texts


def test_png_never_exceeds_its_bound(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8)
    _write(tmp_path / "out.png", image, [150])
    bound = png.PngWriter.max_bytes(300, 500)
    assert (tmp_path / "out.png").stat().st_size <= bound


def test_an_exception_leaves_no_file(tmp_path):
    path = tmp_path / "out.png"
    with pytest.raises(KeyboardInterrupt), png.PngWriter(Target(path, 64, 8)) as writer:
        for _ in range(4):
            writer.write(np.zeros((8, 8, 3), np.uint8))
        (part,) = tmp_path.iterdir()
        assert part.match("out.png.*.part")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_older_picture_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    with (
        pytest.raises(ValueError, match="rows"),
        png.PngWriter(Target(path, 9, 8)) as writer,
    ):
        writer.write(np.zeros((8, 8, 3), np.uint8))
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("name", ["out.png", "out.jpg"])
def test_a_picture_whose_name_was_taken_meanwhile_is_not_lost(tmp_path, name):
    path, image = tmp_path / name, _picture(9, 8)
    with (
        pytest.raises(ValueError, match=r"is there already.* what was painted is in "),
        writers.writer_of(path)(Target(path, 9, 8)) as writer,
    ):
        writer.write(image)
        path.write_text("dear")
    assert path.read_text() == "dear"
    (part,) = tmp_path.glob("*.part")
    with PIL.Image.open(part) as file:
        assert file.size == (8, 9)


@pytest.mark.parametrize(
    "strip",
    [
        np.zeros((8, 9, 3), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((10, 8, 3), np.uint8),
    ],
)
def test_wrong_strips_are_refused(tmp_path, strip):
    with (
        pytest.raises(ValueError, match=r"strip|rows"),
        png.PngWriter(Target(tmp_path / "out.png", 9, 8)) as writer,
    ):
        writer.write(strip)
    assert not list(tmp_path.iterdir())


class _FullDisk(io.RawIOBase):
    def write(self, data):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_and_leaves_no_file(tmp_path):
    path = tmp_path / "out.png"
    with (
        pytest.raises(OSError, match="No space"),
        png.PngWriter(Target(path, 64, 8)) as writer,
    ):
        writer._file.close()
        writer._file = _FullDisk()
        writer.write(np.zeros((32, 8, 3), np.uint8))
        writer.write(np.zeros((32, 8, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_writing_waits_rather_than_hoard_strips(tmp_path, monkeypatch):
    """With a slow disk one strip is held; the next is taken when it is done."""
    append, done = png.PngWriter._append, []

    def slowly(self, strip):
        time.sleep(0.02)
        append(self, strip)
        done.append(1)

    monkeypatch.setattr(png.PngWriter, "_append", slowly)
    with png.PngWriter(Target(tmp_path / "out.png", 10, 8)) as writer:
        for index in range(10):
            writer.write(np.zeros((1, 8, 3), np.uint8))
            assert len(done) >= index


def _refused(path, *words, size=(8, 8)):
    with pytest.raises(ValueError) as error:
        writers.check_output(Target(pathlib.Path(path), *size))
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_outputs_are_checked_before_anything_is_computed(tmp_path, monkeypatch):
    writers.check_output(Target(tmp_path / "out.PNG", 8, 8))
    writers.check_output(Target(pathlib.Path("out.png"), 8, 8))
    _refused(tmp_path / "out.gif", "'.gif'", ".png")
    _refused(tmp_path / "out", "''", ".png")
    _refused(tmp_path / "no" / "out.png", "does not exist")
    _refused(tmp_path / "out.png", "2147483647", size=(8, 2**31))
    _refused(tmp_path / "out.jpg", "65500", ".tif", size=(8, 65_501))
    (tmp_path / "folder.png").mkdir()
    _refused(tmp_path / "folder.png", "is a folder")
    (tmp_path / "file").write_text("dear")
    for name in ("file/out.png", "file/no/out.dzi"):
        _refused(tmp_path / name, f"{tmp_path / 'file'} is a file")
    (tmp_path / "file").unlink()
    _refused("/proc/out.png", "cannot be written")
    _refused("out\udcff.png", "printable")
    _refused("out\n.dzi", "printable")
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**5))
    _refused(tmp_path / "out.png", "3.1 MB", "0.1 MB free", size=(1000, 1000))
    writers.check_output(Target(tmp_path / "out.png", 100, 100))  # 30 kB and its frame
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.parametrize("target", ["there", "nowhere"])
@pytest.mark.parametrize(
    ("name", "linked"),
    [
        ("a.png", "a.png"),
        ("a.tif", "a.tif"),
        ("a.zarr", "a.zarr"),
        ("a.dzi", "a.dzi"),
        ("a.dzi", "a_files"),
        ("a.dzi", "a.html"),
    ],
)
def test_links_are_refused_before_anything_is_computed(tmp_path, name, linked, target):
    """Names are given by renames: the link would go, and its target would stay."""
    (tmp_path / "there").write_text("dear")
    (tmp_path / linked).symlink_to(target)
    for overwrite in (False, True):
        words = rf"{linked}\) must not be a symbolic link.*{target}; .*`path`"
        with pytest.raises(ValueError, match=words):
            writers.check_output(Target(tmp_path / name, 8, 8, overwrite=overwrite))
    assert (tmp_path / linked).is_symlink()


def test_a_link_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.png"
    with (
        pytest.raises(ValueError, match="is there already"),
        png.PngWriter(Target(path, 9, 8)) as writer,
    ):
        writer.write(_picture(9, 8))
        path.symlink_to("nowhere")
    assert path.is_symlink()
