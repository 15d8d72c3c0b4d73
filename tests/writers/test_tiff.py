"""TIFF: what viewers look for, and damage that is noticed."""

import json

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from infinitygan_jax.writers.layout import TILE
from tests.writers.pictures import TEXTS, picture_of, write


def test_other_readers_find_the_levels_and_the_texts(tmp_path):
    path, picture = tmp_path / "a.tif", picture_of(1100, 1300)
    write(path, picture)
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.asarray(file), picture)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        page = file.pages[0]
        assert (page.tilelength, page.tilewidth) == (TILE, TILE)
        assert json.loads(page.description) == TEXTS
        assert len(file.series[0].levels) == 3  # what viewers take for a pyramid
    options = {"access": "sequential", "fail_on": "warning"}
    whole = pyvips.Image.tiffload(str(path), **options)
    np.testing.assert_array_equal(whole.numpy(), picture)
    half = pyvips.Image.tiffload(str(path), subifd=0, **options)
    assert (half.width, half.height) == (650, 550)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_damaged_tiles_are_named_and_can_be_painted_again(tmp_path, damage):
    path, picture = tmp_path / "a.tif", picture_of(1200, 600)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 600)
    tiles = tmp_path / "a.tif.job" / "level_0" / "tiles_1_0"
    data = bytearray(tiles.read_bytes())
    data[-3] ^= 1
    tiles.write_bytes({"empty": b"", "cut": data[:-9], "flipped": data}[damage])
    with pytest.raises(ValueError, match=r"tiles_1_0\) must be unal.* delete"):
        write(path, picture)
    tiles.unlink()
    assert [part.top for part in write(path, picture).parts] == [512]
    np.testing.assert_array_equal(tifffile.imread(path), picture)
