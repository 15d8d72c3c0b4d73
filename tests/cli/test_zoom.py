"""A closer look: --zoom and levels below 0 of the verbs that paint worlds."""

import pathlib
import re
import shlex

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import export, fly, grid, sample
from infinitygan_jax.config import Config, DataConfig, TrainConfig
from infinitygan_jax.sampling.world import World
from tests.cli.refusals import refused
from tests.models import test_detail as small
from tests.sampling import tiny

SIZE = ["--size", "48x40", "--seed", "4"]


def detail_config():
    """Of a run that trained the small detail synthesizer."""
    return Config(
        name="tiny_detail",
        detail=small.CONFIG,
        data=DataConfig(source="/a/private/folder", full_size=64, pre_size=0),
        train=TrainConfig(
            network="detail",
            path_weight=0.0,
            coords_weight=0.0,
            diversity_weight=0.0,
            style_mixing=0.0,
        ),
    )


@pytest.fixture(scope="module")
def closer(tmp_path_factory):
    """The file of a tiny model with a detail synthesizer."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    part = bundle_lib.DetailPart(detail_config(), small.params(), {"step": "7"})
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params(), detail=part))
    return str(path)


def read(path):
    with PIL.Image.open(path) as picture:
        return np.asarray(picture), dict(picture.text)


def test_the_picture_is_the_worlds_window(closer, folder, capsys):
    sample.main([*SIZE, "--checkpoint", closer, "--zoom", "4"])
    name = "tiny-seed4-48x40-zoom4.png"
    assert capsys.readouterr().out.startswith(name)
    picture, texts = read(name)
    world = World.load(closer, seed=4, level=-2)
    np.testing.assert_array_equal(picture, world[-20:20, 0:48])
    assert texts["Level"] == "-2"
    assert "--level=-2" in texts["Command"] and "--zoom" not in texts["Command"]


def test_a_level_below_0_is_the_same(closer, folder):
    for option in (["--zoom", "2"], ["--level", "-1"], ["--level=-1"]):
        sample.main([*SIZE, "--checkpoint", closer, *option, "--out", "a.png"])
        former, texts = read("a.png")
        sample.main(
            [*texts["Command"].split()[2:], "--checkpoint", closer, "--overwrite"]
        )
        np.testing.assert_array_equal(read("a.png")[0], former)
        (folder / "a.png").unlink()


@pytest.mark.parametrize(
    ("rows", "level"), [(20, 0), (65, 0), (66, -1), (130, -1), (131, -2)]
)
def test_without_a_zoom_a_picture_shows_one_landscape(closer, folder, rows, level):
    # Patches of this model have 29 rows, and begin in 10 rows of cells of 4 pixels.
    usual = ["--checkpoint", closer, "--size", f"16x{rows}", "--tile", "16"]
    sample.main([*usual, "--seed", "4", "--out", "a.png"])
    picture, texts = read("a.png")
    world = World.load(closer, seed=4, level=level, tile_size=16)
    top = -(rows // 2)
    np.testing.assert_array_equal(picture, world[top : top + rows, 0:16])
    assert texts["Level"] == str(level)
    grid.main([*usual, "--rows", "4", "--columns", "4", "--out", "b.png"])
    assert f"--level={level}" in read("b.png")[1]["Command"]


def test_only_a_model_with_detail_zooms_by_itself(closer, folder):
    bundle_lib.save("plain.safetensors", bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    size = ["--size", "16x140", "--out"]
    sample.main(["--checkpoint", "plain.safetensors", *size, "a.png"])
    assert read("a.png")[1]["Level"] == "0"
    quick = ["--level", "1", "--quick"]
    sample.main(["--checkpoint", closer, *quick, *size, "b.png"])
    assert read("b.png")[1]["Level"] == "1, quick"
    fly.main(["--checkpoint", closer, "--frames", "2", "--to", "0,1", *size, "c/"])
    names = sorted(each.name for each in pathlib.Path("c").glob("*.png"))
    frame = read(f"c/{names[0]}")[0]
    world = World.load(closer, level=-2)
    np.testing.assert_array_equal(frame, world[-70:70, 0:16])


@pytest.mark.parametrize(
    "options",
    [
        "--zoom 4 --wrap xy --size 64x32",
        "--zoom 2 --biomes 40 --horizon 7",
        "--zoom 2 --styles 1 2",
        "--zoom 2 --styles 1 2 --every 30",
        "--zoom 2 --octaves 2 --truncation 0.5 --noise_scale 0.25",
    ],
)
def test_it_goes_with_what_a_world_shows(closer, folder, options):
    words = [*SIZE, "--checkpoint", closer, *options.split()]
    sample.main([*words, "--out", "a.png", "--save_world", "a.json"])
    told = ["--world", "a.json", "--checkpoint", closer, "--out", "b.png"]
    size = words[len(words) - 1 - words[::-1].index("--size") + 1]
    zoom = options.split()[1]
    sample.main([*told, "--size", size, "--zoom", zoom, *_origin(options)])
    np.testing.assert_array_equal(read("a.png")[0], read("b.png")[0])


def _origin(options):
    """Where a window lies that is centred on a horizon."""
    match = re.search(r"--horizon (\d+)", options)
    return ["--origin", f"{2 * int(match[1]) - 20},0"] if match else []


@pytest.mark.parametrize("ending", [".tif", ".zarr", ".dzi", ".jpg"])
def test_all_formats_take_it(closer, folder, ending):
    sample.main([*SIZE, "--checkpoint", closer, "--zoom", "2", "--out", f"a{ending}"])
    assert any(path.name.startswith("a") for path in folder.iterdir())


def test_shards_are_put_together(closer, folder):
    usual = ["--size", "600x520", "--checkpoint", closer, "--zoom", "8"]
    for part in ("0/2", "1/2"):
        sample.main([*usual, "--out", "a.zarr", "--shard", part])
    sample.main([*usual, "--out", "a.zarr", "--finish"])
    sample.main([*usual, "--out", "a.png"])
    import zarr

    array = zarr.open(folder / "a.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(np.moveaxis(array, 0, -1), read("a.png")[0])


def test_copies_of_a_pyramid_are_the_coarser_levels(closer, folder):
    import zarr

    usual = ["--size", "1024x600", "--checkpoint", closer, "--origin", "-256,0"]
    sample.main([*usual, "--zoom", "4", "--out", "a.zarr"])
    copy = zarr.open(folder / "a.zarr", mode="r")["1"][:]
    world = World.load(closer, level=-1)
    np.testing.assert_array_equal(np.moveaxis(copy, 0, -1), world[-128:172, 0:512])


def test_a_dry_run_counts_all_levels(closer, folder, capsys):
    sample.main([*SIZE, "--checkpoint", closer, "--zoom", "8", "--dry_run"])
    out = capsys.readouterr().out
    assert re.search(r"operations +\S+ TFLOP in convolutions, \d+% more", out)
    assert re.search(r"detail +paints levels -3 to -1\n", out)


def test_grids_and_flights_take_it(closer, folder):
    grid.main(
        ["--size", "24x24", "--checkpoint", closer, "--zoom", "2", "--rows", "1", "2"]
        + ["--columns", "3", "--out", "a.png"]
    )
    fly.main(
        ["--size", "32x24", "--checkpoint", closer, "--zoom", "2", "--out", "a.gif"]
        + ["--from", "0,0", "--to", "0,40", "--frames", "3"]
    )
    assert (folder / "a.gif").exists()


def test_one_flies_into_depth(closer, folder):
    usual = ["--size", "32x24", "--checkpoint", closer, "--frames", "5"]
    fly.main([*usual, "--zoom_to", "4", "--out", "a/"])
    names = sorted(path.name for path in (folder / "a").iterdir())
    frames = [read(folder / "a" / name)[0] for name in names if name.endswith(".png")]
    world = World.load(closer)
    np.testing.assert_array_equal(frames[0], world[-12:12, 0:32])
    # The pixel (0, 16) stays in the middle.
    np.testing.assert_array_equal(frames[-1], world.at_level(-2)[-12:12, 48:80])
    places = ["--from", "5,6", "--to", "7,8"]
    fly.main([*usual, "--zoom_from", "4", *places, "--out", "b/"])
    names = sorted(path.name for path in (folder / "b").iterdir())
    frames = [read(folder / "b" / name)[0] for name in names if name.endswith(".png")]
    np.testing.assert_array_equal(frames[0], world.at_level(-2)[5:29, 6:38])
    np.testing.assert_array_equal(frames[-1], world[7:31, 8:40])
    fly.main([*usual, "--zoom_from", "4", *places, "--out", "c.gif"])
    with PIL.Image.open("c.gif") as film:
        words = shlex.split(film.info["comment"].decode())
    assert "--zoom_from=4" in words and not any("--level" in word for word in words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--zoom_to 3", r"must be a power of two"),
        ("--zoom_to 1", r"must lead to another level"),
        ("--zoom_to 4 --zoom 2", r"leave --level and --zoom out"),
        ("--zoom_to 4 --via 1,2", r"--via does not go with --zoom_from"),
        ("--zoom_to 4 --seeds 1 2", r"--seeds must be one with --zoom_from"),
    ],
)
def test_bad_flights_into_depth_are_one_line(closer, folder, capsys, options, message):
    words = ["--size", "32x24", "--checkpoint", closer, "--frames", "3"]
    words += ["--out", "a.gif", *options.split()]
    assert re.search(message, refused(capsys, fly.main, words))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--zoom 3", r"--zoom: \(3\) must be a power of two.*; use 2"),
        ("--zoom 0", r"--zoom: \(0\) must be a power of two.*; use 1"),
        ("--zoom 2.5", r"--zoom: \(2.5\) must be a power of two"),
        ("--zoom 2 --level 1", "not allowed with argument"),
        (f"--zoom {2**63}", r"must be at most 2\*\*62"),
        ("--level -63", r"must be a whole number from -62 to 62"),
        ("--zoom 4294967296 --wrap x", r"cannot wrap around so near"),
        ("--zoom 2 --quick", r"quick needs a level above 0"),
        (
            "--zoom 4 --wrap x --size 40x40",
            r"width at --zoom 4 \(40\) must be a multiple",
        ),
        ("--zoom 2 --origin 0,4611686018427387904", "must lie within"),
    ],
)
def test_bad_zooms_are_one_line(closer, folder, capsys, options, message):
    words = ["--checkpoint", closer, "--out", "a.png", *options.split()]
    if "--size" not in words:
        words += SIZE
    assert re.search(message, refused(capsys, sample.main, words))
    assert not list(folder.iterdir())


def test_a_model_without_detail_has_no_closer_look(model, folder, capsys):
    words = [*SIZE, "--checkpoint", model, "--zoom", "2", "--out", "a.png"]
    message = refused(capsys, sample.main, words)
    assert "this model has no detail synthesizer" in message


def test_export_joins_a_generator_and_a_detail_synthesizer(
    closer, model, folder, capsys
):
    export.main([model, "a.safetensors", "--detail", closer])
    joined = bundle_lib.load("a.safetensors")
    assert joined.detail.info["step"] == "7"
    assert joined.detail.config.data.source == ""
    assert "detail's step: 7" in capsys.readouterr().out
    np.testing.assert_array_equal(
        World.load("a.safetensors", level=-1)[0:20, 0:20],
        World.load(closer, level=-1)[0:20, 0:20],
    )
    # A file that is replaced keeps its own, and --detail gives another.
    export.main([model, "a.safetensors", "--overwrite"])
    assert bundle_lib.load("a.safetensors").detail is not None
    capsys.readouterr()
    message = refused(capsys, export.main, [closer, "b.safetensors", "--detail", model])
    assert "must have a detail synthesizer, and it has none" in message


def test_a_damaged_detail_synthesizer_is_found(closer, folder, capsys):
    data = bytearray(pathlib.Path(closer).read_bytes())
    data[-100] ^= 1  # of the last arrays
    (folder / "a.safetensors").write_bytes(data)
    words = [*SIZE, "--checkpoint", "a.safetensors", "--out", "a.png"]
    assert "must be unaltered" in refused(capsys, sample.main, words)
