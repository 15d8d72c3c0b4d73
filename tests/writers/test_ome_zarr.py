"""OME-Zarr: metadata of the specification, chunks written once."""

import json

import numpy as np
import pytest
import zarr

from tests.writers.pictures import TEXTS, picture_of, write


@pytest.fixture
def group(tmp_path):
    write(tmp_path / "a.zarr", picture_of(700, 1300))
    return zarr.open_group(tmp_path / "a.zarr", mode="r")


def test_the_levels_are_named_with_their_scales(group):
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["c", "y", "x"]
    shapes = [group[each["path"]].shape for each in multiscale["datasets"]]
    assert shapes == [(3, 700, 1300), (3, 350, 650), (3, 175, 325)]
    for level, each in enumerate(multiscale["datasets"]):
        scale, moved = each["coordinateTransformations"]
        # The centre of a pixel of level 2 is that of 4 x 4 pixels: 1.5 from the first.
        assert scale == {"type": "scale", "scale": [1, 2**level, 2**level]}
        offset = (2**level - 1) / 2
        assert moved == {"type": "translation", "translation": [0, offset, offset]}
    assert [c["color"] for c in ome["omero"]["channels"]] == [
        "FF0000",
        "00FF00",
        "0000FF",
    ]
    assert dict(group.attrs["infinitygan_jax"]) == TEXTS


def test_arrays_say_what_they_are(group):
    array = group["0"]
    assert (array.dtype, array.chunks) == (np.uint8, (3, 512, 512))
    assert array.metadata.dimension_names == ("c", "y", "x")


def test_black_chunks_are_kept_and_need_no_second_painting(tmp_path):
    path, picture = tmp_path / "a.zarr", np.zeros((1600, 600, 3), np.uint8)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 600)
    assert [part.top for part in write(path, picture).parts] == [1024]
    assert len(list((path / "0").glob("c/0/*/*"))) == 8
    group = json.loads((path / "zarr.json").read_text())
    assert group["node_type"] == "group"


def test_a_damaged_chunk_is_named(tmp_path):
    path, picture = tmp_path / "a.zarr", picture_of(1600, 600)
    with pytest.raises(KeyboardInterrupt):
        write(path, picture, stop=1100 * 600)
    folder = tmp_path / "a.zarr.job" / "picture" / "a.zarr" / "0" / "c" / "0"
    chunk = folder / "1" / "0"
    data = bytearray(chunk.read_bytes())
    chunk.write_bytes(data[: len(data) // 2])
    upper = tmp_path / "a.zarr.job" / "picture" / "a.zarr" / "1" / "c" / "0" / "0" / "0"
    upper.unlink()  # it is made again from what was damaged
    with pytest.raises(ValueError, match=r"0/c/0/1/0\) must be unaltered.* delete"):
        write(path, picture)
