"""Examples run as they stand, and show what they say."""

import ast
import dataclasses
import json
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
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling.world import World
from tests.cli.test_zoom import detail_config
from tests.models import test_detail as small_detail
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[1]
TOUR = ROOT / "examples" / "tour.ipynb"
TINY = bundle_lib.Bundle(tiny.CONFIG, tiny.params())


def cells(kind):
    """The notebook's cells of one kind."""
    notebook = json.loads(TOUR.read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


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
        assert (picture.size, picture.mode) == ((320, 320), "RGB")
        assert np.std(picture) > 5  # it shows something


@pytest.mark.parametrize("size", ["0", "257"])
def test_minimal_refuses_a_size_that_it_cannot_paint_at_once(size, tmp_path, capsys):
    out = tmp_path / "a.png"
    with pytest.raises(SystemExit) as exit_info:
        minimal.main(["--size", size, "--out", str(out)])
    assert exit_info.value.code == 2
    assert re.fullmatch(
        rf"error: --size \({size}\) must be from 1 to 256, .*\n",
        capsys.readouterr().err,
    )
    assert not out.exists()


def test_the_tour_is_stored_without_outputs():
    """Whoever clones it has a small file, and changes of it can be read."""
    assert all(cell["outputs"] == [] for cell in cells("code"))
    assert all(cell["execution_count"] is None for cell in cells("code"))
    assert TOUR.stat().st_size < 20e3


def test_links_of_the_tour_lead_somewhere():
    text = "\n".join("".join(cell["source"]) for cell in cells("markdown"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        assert (TOUR.parent / target).is_file(), target


def test_all_cells_of_the_tour_run(tmp_path, monkeypatch):
    """On a tiny model, each but the first shows a picture, of which texts are true."""
    monkeypatch.setattr(costs, "_BEST_TILE", 64)  # eight devices paint one each
    model = tmp_path / "tiny.safetensors"
    part = bundle_lib.DetailPart(detail_config(), small_detail.params())
    bundle_lib.save(model, dataclasses.replace(TINY, detail=part, digest=""))
    names, shown = {}, []
    for cell in cells("code"):
        code = "".join(cell["source"])
        code = code.replace('"landscape_lite"', repr(str(model)))
        tree = ast.parse(code)
        if isinstance(tree.body[-1], ast.Expr):  # which Jupyter shows
            last = f"shown_last = {ast.unparse(tree.body[-1])}"
            tree.body[-1:] = ast.parse(last).body
        exec(compile(tree, "tour.ipynb", "exec"), names)
        shown.append(names.pop("shown_last", None))
    assert names["world"].config == tiny.MODEL
    assert shown[0] is None
    for picture in shown[1:]:
        assert isinstance(picture, Image.Image)
        assert np.std(picture) > 5
    assert not names["difference"].any()
    looks = names["looks"]
    assert all(np.any(looks[0] != other) for other in looks[1:])
    # Cells are of 4 pixels, of which structure sees 12 and texture some more; and two
    # levels of detail a margin each.
    plain, edited = names["plain"], names["edited"]
    assert np.any(plain[:, 64:160] != edited[:, 64:160])
    far = 4 * (16 + 24 + 4 * (12 + 6)) + (4 + 2) * small_detail.CONFIG.margin
    assert far < 1024
    np.testing.assert_array_equal(plain[:, far:], edited[:, far:])
    # Two windows, maybe of tiles of two sizes: equal but for rounding.
    np.testing.assert_allclose(names["above"], names["means"], atol=1)
    assert np.mean(names["above"] != names["means"]) < 1e-4
