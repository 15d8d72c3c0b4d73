"""Examples run as they stand, and show what they say."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from examples import minimal
from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[1]
TINY = bundle_lib.Bundle(tiny.CONFIG, tiny.params())


@pytest.mark.parametrize(
    ("top", "left", "size"),
    [(-21, 7, 30), (-8, -(2**40) - 4, 8)],
)
def test_minimal_paints_what_a_world_does(top, left, size):
    """Within 1/255, wherever the square lies on the lattice of cells."""
    picture = minimal.paint(TINY, 3, top, left, size)
    assert picture.dtype == np.uint8
    world = World(tiny.MODEL, tiny.params(), seed=3, tile_size=32)
    expected = world[top : top + size, left : left + size]
    np.testing.assert_allclose(picture.astype(int), expected, atol=1)
    assert picture.std() > 5  # it shows something


def test_minimal_runs_on_the_bundled_model(tmp_path):
    out = tmp_path / "a.png"
    command = ["examples/minimal.py", "--seed", "7", "--size", "40", "--out", str(out)]
    result = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "World paints the same: " in result.stdout
    with Image.open(out) as picture:
        assert (picture.size, picture.mode) == ((40, 40), "RGB")
        assert np.std(picture) > 5  # it shows something


@pytest.mark.parametrize("size", ["0", "1025"])
def test_minimal_refuses_a_size_that_it_cannot_paint_at_once(size, tmp_path, capsys):
    out = tmp_path / "a.png"
    with pytest.raises(SystemExit) as exit_info:
        minimal.main(["--size", size, "--out", str(out)])
    assert exit_info.value.code == 2
    assert re.fullmatch(
        rf"error: --size \({size}\) must be from 1 to 1024, .*\n",
        capsys.readouterr().err,
    )
    assert not out.exists()
