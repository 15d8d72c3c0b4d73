"""cli.grid: a sheet as asked for, or one line, status 2 and no file."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import machine
from infinitygan_jax.cli import grid
from infinitygan_jax.sampling import grids
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.world import World
from tests.cli.refusals import refused
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


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    assert "tiny.safetensors" in words and model not in words
    words[words.index("--checkpoint") + 1] = model
    grid.main([*words, "--out", "again.png"])
    with PIL.Image.open("again.png") as file:
        np.testing.assert_array_equal(np.asarray(file), picture)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "1", "-1"], ["seed (-1)", "2**64"]),
        (["--columns", str(2**64)], ["seed", "2**64"]),
        (["--columns", "a"], ["--columns", "'a'"]),
        (["--columns"], ["--columns", "at least one"]),
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
