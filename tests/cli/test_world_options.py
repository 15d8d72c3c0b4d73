"""run_sample.py: styles, octaves and world files; or one line, and nothing written."""

import json
import os
import pathlib

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import sample
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Chain, Constant, Seed, Site, Sites
from infinitygan_jax.sampling.world import World
from infinitygan_jax.worldfile import documents
from tests.cli.refusals import refused
from tests.sampling import tiny

RESAMPLE = {"edit": "resample", "rectangle": [0, 0, 8, 8], "seed": 3}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    levels = np.zeros((4, 8), np.uint8)
    levels[:, 4:] = 255
    PIL.Image.fromarray(levels).save("map.png")
    return tmp_path


def _paint(model, options, *, out="a.png"):
    words = f"--size 64x32 --checkpoint {model} --tile 32 --out {out} {options}"
    sample.main(words.split())
    with PIL.Image.open(out) as file:
        return np.asarray(file), dict(file.text)


def _world(scene=Scene(), **options):  # noqa: B008
    world = World(tiny.MODEL, tiny.params(), tile_size=32, scene=scene, **options)
    return world[-16:16, 0:64]


SPREAD = Sites((Site(0, 0, 16, 16), Site(0, 0, 48, 48)), (Seed(1), Seed(2)), 32.0)
SPREAD_TWICE = Sites((Site(0, 0, 32, 32), Site(0, 0, 96, 96)), (Seed(1), Seed(2)), 64.0)
SITES = Sites((Site(0, 0, 0, 0), Site(0, 0, 48, 48)), (Seed(1), Seed(2)), 20.0)


@pytest.mark.parametrize(
    ("options", "scene", "world"),
    [
        ("--styles 5 --seed 3", Scene(Constant(Seed(5))), {"seed": 3}),
        ("--styles 1@0.5,0 2@0.5,0.75 --blend 20", Scene(SITES), {}),
        # Middles of two equal parts of 64 columns: 16 and 48, 32 apart.
        ("--styles 1-2", Scene(SPREAD), {}),
        ("--styles 1 2 --wrap x", Scene(SPREAD), {"period": (None, 64)}),
        (
            "--styles 1 2 --every 40",
            Scene(Chain((Seed(1), Seed(2)), 40, 40.0)),
            {},
        ),
        # Of level 0, where the picture has 128 columns.
        (
            "--styles 1-2 --level 1",
            Scene(SPREAD_TWICE),
            {"level": 1},
        ),
        (
            "--styles 1-2,7 --every 40",
            Scene(Chain((Seed(1), Seed(2), Seed(7)), 40, 40.0)),
            {},
        ),
        (
            "--styles 1 2 --every 32 --wrap x",
            Scene(Chain((Seed(1), Seed(2)), 32, 32.0, cyclic=True)),
            {"period": (None, 64)},
        ),
        ("--octaves 3", Scene(octaves=3), {}),
        ("--truncation 0.25", Scene(truncation=0.25), {}),
        ("--noise_scale 0.25", Scene(noise_scale=0.25), {}),
    ],
)
def test_options_are_the_worlds_and_a_saved_world_is_the_same(
    folder, model, options, scene, world
):
    picture, texts = _paint(model, f"{options} --save_world w.json")
    np.testing.assert_array_equal(picture, _world(scene, **world))
    level = "--level 1" if "--level" in options else ""
    again, same = _paint(model, f"--world w.json {level}", out="b.png")
    np.testing.assert_array_equal(again, picture)
    assert same["World digest"] == texts["World digest"]
    # With its options, and without folders.
    assert options.split()[0] in texts["Command"]
    assert "--world=w.json" in same["Command"]


@pytest.mark.parametrize(
    "options",
    [
        "--styles 1 2 --style_map map.png --blend 16",
        "--biomes 32 --seed 4",
        "--biomes 32 --blend 8 --wrap xy --octaves 2",
        "--styles 1@0.5,0.2 2@0.5,0.8 --level 1",
    ],
)
def test_a_saved_world_paints_the_same_bytes(folder, model, options):
    picture, _ = _paint(model, f"{options} --save_world w.json")
    level = "--level 1" if "--level" in options else ""
    again, _ = _paint(model, f"--world w.json {level}", out="b.png")
    np.testing.assert_array_equal(again, picture)
    assert np.abs(picture.astype(int) - _world()).max() > 20


def test_a_picture_of_a_world_file_has_its_name(folder, model):
    _paint(model, "--seed 3 --horizon 20 --save_world valley.json")
    words = f"--world valley.json --size 20x12 --checkpoint {model} --tile 32"
    sample.main(words.split())
    with PIL.Image.open("valley-20x12.png") as file:
        assert file.text["Seed"] == "3"
        assert file.text["Origin"] == "14,0"  # its horizon in the middle


def _refused(capsys, model, options, *words):
    line = f"--size 64x32 --checkpoint {model} --tile 32 --out no.png {options}"
    refused(capsys, sample.main, line.split(), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--style_map map.png", ("--style_map needs --styles",)),
        ("--every 9", ("--every needs --styles",)),
        ("--blend 9", ("--blend needs --styles or --biomes",)),
        ("--styles 1 --biomes 9", ("exclude each other",)),
        ("--styles 1 2 --every 9 --style_map map.png", ("exclude each other",)),
        ("--styles", ("--styles", "at least one")),
        ("--styles 1 2@0.5,0.5", ("--styles (1)", "where it is")),
        ("--styles 1@7,7", ("0 to 1",)),
        ("--styles x", ("style (x)",)),
        ("--styles 9-3 --every 9", ("--styles (9-3)", "write 3-9")),
        ("--styles 5-9@0.5,0.5", ("style (5-9)",)),
        (f"--styles {2**64}", ("seed", "2**64 - 1")),
        ("--styles no.npz", ("no.npz", "does not exist")),
        ("--styles 1 2 --style_map no.png", ("no.png",)),
        ("--styles 1 2 3 --style_map map.png", ("2 levels for 3 styles",)),
        ("--styles 1 2 --every 0", ("--every (0)",)),
        ("--styles 1 2 --every 9 --blend 10", ("blend (10)", "use 9")),
        ("--styles 1 2 --every 40 --wrap x", ("width (64)", "2 x 40", "80")),
        ("--biomes 0", ("--biomes (0)",)),
        ("--biomes -5", ("--biomes (-5)",)),
        ("--biomes 1", ("styles near one tile", "--tile")),
        ("--biomes 32 --blend 33", ("blend (33)", "use 32")),
        ("--biomes many", ("--biomes ('many')", "whole number")),
        ("--octaves 0", ("octaves (0)",)),
        ("--truncation 1.1", ("truncation (1.1)", "0 to 1")),
        ("--truncation -0.5", ("truncation (-0.5)", "0 to 1")),
        ("--truncation nan", ("truncation (nan)", "0 to 1")),
        ("--noise_scale 1.1", ("noise_scale (1.1)", "0 to 1")),
        ("--noise_scale 0.5 --world w.json", ("--noise_scale is said by",)),
        ("--truncation x", ("--truncation", "'x'")),
        ("--truncation 0.5 --world w.json", ("--truncation is said by",)),
        ("--octaves 13", ("octaves (13)",)),
        ("--world no.json", ("no.json", "there is none")),
        ("--world map.png", ("map.png", "must be JSON")),
        ("--world w.json --seed 1", ("--seed is said by the world file",)),
        ("--world w.json --styles 1", ("--styles is said",)),
        ("--world w.json --wrap x", ("--wrap is said",)),
        ("--save_world no/w.json", ("does not exist",)),
        ("--save_world /proc/w.json", ("/proc", "cannot be written")),
        ("--save_world /dev/null --overwrite", ("/dev/null", "must be a file")),
        ("--styles 1 2 --style_map no.png", ("no.png would be overwritten",)),
        ("--save_world w.json", ("w.json", "--overwrite")),
        ("--save_world .", ("must be a file",)),
        ("--save_world no.png", ("another file than --out",)),
        ("--styles 1 2 --style_map map.png --save_world deep/w.json", ("map.png",)),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_written(
    folder, model, capsys, options, words
):
    os.mkdir("deep")
    digest = bundle_lib.load(model).digest
    documents.Document("tiny", digest, {"seed": 5}).save("w.json")
    _refused(capsys, model, options, *words)
    assert os.listdir("deep") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "infinitygan_jax world 2"}, ("world 1", "world 2")),
        ({"checkpoint": {"name": "other", "digest": "ab" * 32}}, ("other (abab",)),
        ({"seed": "7"}, ('seed ("7")',)),
        ({"horizon": []}, ("horizon ([])",)),
        ({"horizon": 2**70}, ("horizon",)),
        ({"edits": [RESAMPLE | {"mask": "../map.png"}]}, ("edits[0]", "folder")),
        ({"edits": [RESAMPLE | {"rectangle": [0, 0, 8]}]}, ("edits[0].rectangle",)),
        ({"edits": [RESAMPLE] * 1100}, ("edits seen by one tile", "--tile")),
    ],
)
def test_bad_world_files_are_one_line(folder, model, capsys, change, words):
    digest = bundle_lib.load(model).digest
    whole = {"format": documents.FORMAT, "seed": 5}
    whole |= {"checkpoint": {"name": "tiny", "digest": digest}, **change}
    pathlib.Path("w.json").write_text(json.dumps(whole))
    _refused(capsys, model, "--world w.json", *words)


def test_a_world_of_a_checkpoint_that_is_not_bundled_asks_for_it(folder, model, capsys):
    digest = bundle_lib.load(model).digest
    documents.Document("tiny", digest, {}).save("w.json")
    with pytest.raises(SystemExit):
        sample.main(["--size", "8x8", "--world", "w.json", "--out", "a.png"])
    err = capsys.readouterr().err
    assert "tiny" in err
    assert digest[:12] in err
    assert "--checkpoint" in err


def test_shards_may_save_the_world_that_others_saved(folder, model):
    words = f"--size 520x8 --checkpoint {model} --tile 32 --out a.zarr --octaves 2"
    words += " --save_world w.json"
    for index in (0, 1):
        sample.main([*words.split(), "--shard", f"{index}/2"])
    sample.main([*words.split(), "--finish"])
    assert documents.load("w.json").values["octaves"] == 2
