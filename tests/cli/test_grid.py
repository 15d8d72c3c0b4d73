"""cli.grid: a sheet as asked for, or one line, status 2 and no file."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import machine
from infinitygan_jax.cli import grid, sample
from infinitygan_jax.sampling import grids
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Biomes, Constant, Seed
from infinitygan_jax.sampling.world import World
from infinitygan_jax.worldfile import documents
from tests.cli.refusals import refused
from tests.cli.shared import SHARED
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[2]
USUAL = [
    "--rows",
    "1",
    "2",
    "--columns",
    "3",
    "4",
    "5",
    "--size",
    "20x18",
    "--tile",
    "32",
]


def test_the_sheet_is_as_asked_for_and_says_how(folder, model, capsys):
    options = ["--checkpoint", model, "--origin", "-9,-4", "--labels"]
    options += ["--truncation", "0.25", "--noise_scale", "0.5"]
    grid.main([*USUAL, *options, "--margin", "2", "--out", "a.png"])
    scene = Scene(truncation=0.25, noise_scale=0.5)
    world = World(tiny.MODEL, tiny.params(), tile_size=32, scene=scene)
    sheet = grids.Sheet((1, 2), (3, 4, 5), Window(-9, -4, 18, 20), 2, True)
    with PIL.Image.open("a.png") as file:
        picture, texts = np.asarray(file), dict(file.text)
    np.testing.assert_array_equal(
        picture, np.concatenate(list(grids.strips(world, sheet)))
    )
    out, err = capsys.readouterr()
    assert re.fullmatch(r"a\.png: 6 pictures, [\d.]+ s\n", out)
    assert "6/6" in err  # the progress bar
    assert os.listdir() == ["a.png"]
    assert texts["Checkpoint digest"] == bundle_lib.load(model).digest
    words = shlex.split(texts["Command"])[3:]
    words[words.index("--checkpoint=tiny.safetensors")] = f"--checkpoint={model}"
    grid.main([*words, "--out", "again.png"])
    with PIL.Image.open("again.png") as file:
        np.testing.assert_array_equal(np.asarray(file), picture)


def _pixels(name):
    with PIL.Image.open(name) as file:
        return np.asarray(file)


def _sheet(model, *options):
    usual = ["--checkpoint", model, "--size", "32x16", "--margin", "0", "--overwrite"]
    grid.main([*usual, *options, "--out", "sheet.png"])
    return _pixels("sheet.png")


def test_seeds_may_be_ranges(folder, model):
    usual = ["--tile", "32", "--labels"]
    one = _sheet(model, *usual, "--rows", "1-2", "--columns", "7,3-4", "9")
    with PIL.Image.open("sheet.png") as file:
        assert "--rows=1-2 --columns 7,3-4 9 " in file.text["Command"]
    other = _sheet(model, *usual, "--rows", "1", "2", "--columns", "7", "3", "4", "9")
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("options", SHARED)
def test_options_mean_what_they_do_in_sample(folder, model, options):
    """A seed's look in a row of the same seed is that seed's own picture."""
    words = options.split()
    sheet = _sheet(model, "--rows", "3", "--columns", "5", "3", *words)
    usual = ["--checkpoint", model, "--size", "32x16", "--seed", "3"]
    sample.main([*usual, *words, "--out", "one.png"])
    tolerance = 0 if "--tile" in words else 1  # other tiles, where nobody says
    np.testing.assert_allclose(
        sheet[:, 32:].astype(int), _pixels("one.png"), atol=tolerance
    )
    assert np.abs(sheet[:, :32].astype(int) - sheet[:, 32:]).max() > 20


def test_biomes_of_a_column_are_of_its_seed(folder, model):
    words = ["--biomes", "32", "--tile", "32"]
    sheet = _sheet(model, "--rows", "3", "--columns", "5", *words)
    scene = Scene(Biomes(5, (Fraction(32), Fraction(32)), 16.0))
    world = World(tiny.MODEL, tiny.params(), seed=3, scene=scene, tile_size=32)
    np.testing.assert_array_equal(sheet, world[-8:8, 0:32])


def test_a_world_file_says_all_but_seed_and_styles(folder, model):
    values = {"seed": 9, "horizon": -5, "period": [None, 64], "noise_scale": 0.25}
    values["styles"] = {"kind": "one", "style": 7}
    digest = bundle_lib.load(model).digest
    document = documents.Document("tiny", digest, values)
    document.save("w.json")
    words = ["--world", "w.json", "--origin=-9,50", "--tile", "32"]
    sheet = _sheet(model, "--rows", "3", "--columns", "4", "5", *words)
    for index, style in enumerate((4, 5)):
        world = World(
            tiny.MODEL,
            tiny.params(),
            seed=3,
            horizon=-5,
            period=(None, 64),
            tile_size=32,
            scene=Scene(Constant(Seed(style)), noise_scale=0.25),
        )
        picture = sheet[:, 32 * index : 32 * (index + 1)]
        np.testing.assert_array_equal(picture, world[-9:7, 50:82])
    with PIL.Image.open("sheet.png") as file:
        assert "--world=w.json" in file.text["Command"]
        assert file.text["World digest"] == document.content_digest()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "1", "-1"], ["seed (-1)", "2**64"]),
        (["--columns", str(2**64)], ["seed", "2**64"]),
        (["--columns", "a"], ["--columns", "'a'"]),
        (["--columns"], ["--columns", "at least one"]),
        (["--columns", "9-3"], ["--columns (9-3)", "write 3-9"]),
        (["--rows", "0-10000"], ["--rows", "at most 10000"]),
        (["--size", "0x8"], ["0x8", "at least 1x1"]),
        (["--size", "8"], ["--size (8)", "WIDTHxHEIGHT"]),
        (["--origin", "1"], ["--origin (1)", "Y,X"]),
        (["--margin", "-1"], ["margin (-1)", "use 0"]),
        (["--truncation", "1.5"], ["truncation (1.5)", "from 0 to 1"]),
        (["--noise_scale", "-1"], ["noise_scale (-1.0)", "from 0 to 1"]),
        (["--tile", "30"], ["tile (30)", "nearest is 32"]),
        (["--out", "a.zarr"], ["'.zarr'", ".png"]),
        (["--out", "a"], ["''", ".png"]),
        (["--out", "no/a.png"], ["no", "does not exist"]),
        (["--out", "there.png"], ["there.png", "--overwrite"]),
        (["--size", "40000x8", "--out", "a.jpg"], ["65500", ".png"]),
        (["--colums", "3"], ["--colums", "--columns"]),
        (["--checkpoint", "nowhere"], ["nowhere", "does not exist"]),
        (["--seed", "1"], ["unknown option --seed"]),
        (["--blend", "9"], ["--blend (9) needs --biomes"]),
        (["--biomes", "1"], ["styles near one tile", "--tile"]),
        (["--wrap", "x", "--size", "30x8"], ["width (30)", "nearest is 32"]),
        (["--level", "3"], ["level (3)", "0 to 2"]),
        (["--world", "w.json"], ["w.json", "there is none"]),
        (["--world", "w.json", "--octaves", "2"], ["--octaves is said by the world"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    pathlib.Path("there.png").write_text("dear")
    usual = ["--checkpoint", model, *USUAL, "--out", "a.png"]
    refused(capsys, grid.main, [*usual, *options], *words)


def test_seeds_must_be_given(folder, capsys):
    refused(capsys, grid.main, ["--rows", "1", "--out", "a.png"], "--columns")


def test_too_little_memory_is_one_line(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 10**6)
    usual = ["--checkpoint", model, *USUAL, "--out", "a.png"]
    refused(capsys, grid.main, usual, "memory", "--size")


def test_an_error_while_painting_leaves_no_file(folder, model, capsys, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(World, "strips", fail)
    with pytest.raises(SystemExit):
        grid.main(["--checkpoint", model, *USUAL, "--out", "a.png"])
    assert "No space left" in capsys.readouterr().err
    assert not os.listdir()


@pytest.mark.parametrize("command", ["grid", "fly"])
def test_help_does_not_wait_for_jax(command):
    code = f"import sys; from infinitygan_jax.cli import {command}; "
    code += "sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
