"""Stored inversions: painted where they lie, and whole or refused when read."""

import dataclasses
import io
import json
import re
import zipfile

import jax
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.inversion.place import Place, default_top
from infinitygan_jax.inversion.result import Inversion
from tests.inversion import small
from tests.sampling import tiny


@pytest.mark.parametrize("window", [(-12, 0, 24, 24), (4, -1000, 25, 31)])
def test_true_latents_paint_what_the_world_paints(window):
    """Also where the picture ends within a cell."""
    inversion = small.true_inversion(*window)
    painted = inversion.render(small.bundle()).astype(int)
    assert np.abs(painted - inversion.image).max() <= 1


@pytest.mark.parametrize(
    ("height", "horizon", "top"),
    # Cells of 4 px; row 14 of 28 is 3.5 cells, and halves go to the lower row.
    [(24, None, -12), (28, None, -16), (24, 0, 0), (24, 5, -4), (24, 7, -8)],
)
def test_the_horizon_is_row_0(height, horizon, top):
    assert default_top(height, horizon, 2) == top


def test_a_place_is_whole_cells():
    with pytest.raises(ValueError, match=r"whole cells of 4 pixels.*nearest is -12,0"):
        Place(-11, 0, 24, 24, 2)


def test_a_file_gives_back_everything(tmp_path):
    mask = np.ones((small.SIDE, small.SIDE), bool)
    mask[3] = False
    inversion = dataclasses.replace(small.true_inversion(), mask=mask)
    size = inversion.save(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert size == (tmp_path / "a.npz").stat().st_size
    loaded = Inversion.load(tmp_path / "a.npz", small.bundle())
    for field in dataclasses.fields(Inversion):
        first, second = (getattr(each, field.name) for each in (inversion, loaded))
        jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_array_equal(
        loaded.render(small.bundle()), inversion.render(small.bundle())
    )


def rewritten(path, change):
    """The file's arrays after a change, with the sha256 that it had."""
    small.true_inversion().save(path)
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)


def _move(arrays):
    arrays["z_local"][0, 0, 0] += 1


def _other_version(arrays):
    about = json.loads(arrays["about"].item())
    arrays["about"] = np.array(json.dumps({**about, "format": "inversion 9"}))


def _other_place(arrays):
    about = json.loads(arrays["about"].item())
    arrays["about"] = np.array(json.dumps({**about, "top": 0}))


def _without(name):
    return lambda arrays: arrays.pop(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_move, "sha256"),
        (_other_place, "sha256"),
        (_other_version, "inversion 9"),
        (_without("about"), "about"),
        (_without("mask"), "sha256"),
        (lambda arrays: arrays.update(about=np.array("x" * 70_000)), "too long"),
        (lambda arrays: arrays.update(about=np.array([{}], object)), "pickle"),
    ],
)
def test_an_altered_file_is_refused(tmp_path, change, words):
    path = tmp_path / "a.npz"
    rewritten(path, change)
    with pytest.raises(ValueError, match=r"^inversion \(.*a\.npz\)") as error:
        Inversion.load(path)
    assert "\n" not in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_torn_file_is_refused(tmp_path, share):
    path = tmp_path / "a.npz"
    small.true_inversion().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="must be a whole"):
        Inversion.load(path)


def test_a_file_that_would_fill_memory_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    small.true_inversion().save(path)
    monkeypatch.setattr("infinitygan_jax.inversion.result.MAX_BYTES", 5000)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(ValueError, match="more than 5000 bytes"):
        Inversion.load(path)


def test_another_checkpoint_is_named(tmp_path):
    small.true_inversion().save(tmp_path / "a.npz")
    other = bundle_lib.Bundle(tiny.CONFIG, tiny.params(1))
    digests = re.escape(other.digest[:12]), re.escape(small.bundle().digest[:12])
    with pytest.raises(ValueError, match=r"{}.*{}".format(*digests)):
        Inversion.load(tmp_path / "a.npz", other)
    with pytest.raises(ValueError, match="checkpoint"):
        small.true_inversion().render(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top": 1}, "whole cells"),
        ({"left": 2**63}, "2\\*\\*62"),
        ({"styles": np.zeros((5, 7), np.float32)}, "z_global must be of shape"),
        ({"z_global": np.full(6, np.nan, np.float32)}, "finite"),
        ({"noise": ()}, "noise maps"),
        ({"mask": np.ones((24, 23), bool)}, "mask"),
        ({"figures": {"psnr": float("inf")}}, "finite"),
    ],
)
def test_parts_must_fit_each_other(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(small.true_inversion(), **change)


def test_names_of_files(tmp_path):
    with pytest.raises(ValueError, match=r"a\.npz"):
        small.true_inversion().save(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="does not exist"):
        small.true_inversion().save(tmp_path / "no" / "a.npz")
    with pytest.raises(ValueError, match="does not exist"):
        Inversion.load(tmp_path / "a.npz")


def test_a_zip_of_something_else_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("hello.txt", "hello")
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="must be a whole"):
        Inversion.load(tmp_path / "a.npz")
