"""JPEG: joined pieces are what one compression of the whole picture gives."""

import json

import numpy as np
import pytest
import pyvips
from PIL import Image

from infinitygan_jax.writers.jpeg import JpegWriter
from infinitygan_jax.writers.target import Target
from tests.writers.pictures import TEXTS, picture_of


def _write(path, picture, height):
    with JpegWriter(Target(path, *picture.shape[:2], TEXTS)) as writer:
        for row in range(0, len(picture), height):
            writer.write(picture[row : row + height])


@pytest.mark.parametrize("size", [(1, 1), (512, 64), (513, 9), (1537, 100), (8, 5000)])
@pytest.mark.parametrize("height", [100, 512, 2000])
def test_pieces_are_the_picture_compressed_at_once(tmp_path, size, height):
    picture = picture_of(*size)
    _write(tmp_path / "a.jpg", picture, height)
    Image.fromarray(picture).save(tmp_path / "b.jpg", quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as ours, Image.open(tmp_path / "b.jpg") as one:
        assert ours.size == one.size
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(one))
        assert json.loads(ours.info["comment"]) == TEXTS
    other = pyvips.Image.new_from_file(str(tmp_path / "a.jpg"), fail_on="warning")
    np.testing.assert_allclose(other.numpy(), np.asarray(one), atol=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_quality_is_that_of_one_compression(tmp_path, quality):
    picture = picture_of(700, 40)
    with JpegWriter(Target(tmp_path / "a.jpg", 700, 40), quality=quality) as writer:
        writer.write(picture)
    one = Image.fromarray(picture)
    one.save(tmp_path / "b.jpg", quality=quality, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as ours, Image.open(tmp_path / "b.jpg") as one:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(one))
    assert (tmp_path / "a.jpg").stat().st_size <= JpegWriter.max_bytes(700, 40)


def test_an_exception_leaves_no_file(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        JpegWriter(Target(tmp_path / "a.jpg", 2000, 30)) as writer,
    ):
        writer.write(picture_of(1100, 30))
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt
    with (
        pytest.raises(ValueError, match=r"rows \(1100\) must be"),
        JpegWriter(Target(tmp_path / "a.jpg", 2000, 30)) as writer,
    ):
        writer.write(picture_of(1100, 30))
    assert not list(tmp_path.iterdir())


def test_the_file_never_exceeds_its_bound(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (700, 500, 3), np.uint8) * 255
    _write(tmp_path / "a.jpg", noise, 512)
    assert (tmp_path / "a.jpg").stat().st_size <= JpegWriter.max_bytes(700, 500)


def test_sizes_that_jpeg_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1 to 65500 a side"):
        JpegWriter(Target(tmp_path / "a.jpg", 65_501, 9))
    assert not list(tmp_path.iterdir())
