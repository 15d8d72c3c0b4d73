"""run_sample.py: a picture as asked for, or one line, status 2 and no file."""

import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import machine, writers
from infinitygan_jax.cli import sample
from infinitygan_jax.sampling import costs
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.world import World
from tests.cli.refusals import refused
from tests.sampling import tiny
from tests.writers import pictures

ROOT = pathlib.Path(__file__).parents[2]


def _world(**options):
    return World(tiny.MODEL, tiny.params(), tile_size=32, **options)


@pytest.mark.parametrize("size", ["1000x200", "1_000x0200", " +1000 X 200 "])
def test_numbers_are_written_as_in_other_options(size):
    found = sample.window_of(sample.size_of(size), "-1_0,2")
    assert found == Window(-10, 2, 200, 1000)


def test_the_picture_is_the_worlds_window(folder, model, capsys):
    sample.main(
        f"--size 70x45 --checkpoint {model} --seed 3 --tile 32 --out a.png".split()
    )
    with PIL.Image.open("a.png") as file:
        picture, texts = np.asarray(file), dict(file.text)
    # 45 rows around row 0: the first is -(45 // 2).
    np.testing.assert_array_equal(picture, _world(seed=3)[-22:23, 0:70])
    digest = bundle_lib.load(model).digest
    assert texts["Checkpoint digest"] == digest
    assert texts["Seed"] == "3"
    assert texts["Origin"] == "-22,0"
    assert texts["Size"] == "70x45"
    assert texts["Tile"] == "32"
    painting = tiny.MODEL.truncation, tiny.MODEL.noise_scale
    assert (float(texts["Truncation"]), float(texts["Noise scale"])) == painting
    assert texts["Software"].startswith("infinitygan_jax")
    out, err = capsys.readouterr()
    assert re.fullmatch(r"a\.png: [\d.]+ s, [\d.]+ megapixels a second\n", out)
    assert "100%" in err  # the progress bar
    assert os.listdir() == ["a.png"]


@pytest.mark.parametrize("origin", ["--origin -100,20", "--origin=-100,20"])
def test_an_origin_may_be_negative(folder, model, origin):
    options = f"--size 40x33 {origin} --checkpoint {model} --tile 32 --out a.png"
    sample.main(options.split())
    with PIL.Image.open("a.png") as file:
        np.testing.assert_array_equal(np.asarray(file), _world()[-100:-67, 20:60])


def test_horizon_span_and_wrapping_are_the_worlds(folder, model):
    options = f"--size 60x32 --checkpoint {model} --tile 32 --origin -16,-20"
    options += " --horizon -9 --vertical_span 90 --wrap xy"
    sample.main(options.split())
    name = "tiny-seed0-60x32-at-16,-20-horizon-9-span90-wrapxy.png"
    assert os.listdir() == [name]
    world = _world(horizon=-9, vertical_span=90, period=(32, 60))
    with PIL.Image.open(name) as file:
        np.testing.assert_array_equal(np.asarray(file), world[-16:16, -20:40])
        assert file.text["Wrap"] == "xy"
        assert (file.text["Horizon"], file.text["Vertical span"]) == ("-9", "90")


def test_the_horizon_is_in_the_middle_unless_told_otherwise(folder, model):
    options = f"--size 36x32 --checkpoint {model} --tile 32 --horizon 75".split()
    sample.main(options)
    with PIL.Image.open("tiny-seed0-36x32-horizon75.png") as file:
        # 32 rows around row 75 are 59 to 90.
        expected = _world(horizon=75)[59:91, 0:36]
        np.testing.assert_array_equal(np.asarray(file), expected)
        assert file.text["Origin"] == "59,0"
    sample.main([*options, "--level", "1", "--out", "a.png"])
    with PIL.Image.open("a.png") as file:
        assert file.text["Origin"] == "21,0"  # 75 // 2 - 16


def test_levels_are_the_worlds(folder, model):
    options = f"--size 36x32 --checkpoint {model} --tile 32 --wrap x --level 1"
    sample.main(options.split())
    world = _world(period=(None, 72), level=1)
    with PIL.Image.open("tiny-seed0-36x32-wrapx-level1.png") as file:
        np.testing.assert_array_equal(np.asarray(file), world[-16:16, 0:36])
        assert file.text["Level"] == "1"
    sample.main([*options.split(), "--quick"])
    world = _world(period=(None, 72), level=1, quick=True)
    with PIL.Image.open("tiny-seed0-36x32-wrapx-level1-quick.png") as file:
        np.testing.assert_array_equal(np.asarray(file), world[-16:16, 0:36])


def test_the_default_name_says_what_it_is(folder, model):
    options = f"--size 8x4 --checkpoint {model} --tile 32"
    sample.main(options.split())
    sample.main([*options.split(), "--origin", "-100, +020", "--seed", "7"])
    typed = ["--size", " 08X4", "--checkpoint", model, "--overwrite"]  # the same
    sample.main([*typed, "--tile", "32"])
    assert sorted(os.listdir()) == [
        "tiny-seed0-8x4.png",
        "tiny-seed7-8x4-at-100,20.png",
    ]


def test_dry_run_prints_the_plan_and_compiles_nothing(folder, model, capsys, caplog):
    with jax.log_compiles():
        jax.jit(lambda x: x + 1)(np.float32(0))
        assert "ompil" in caplog.text
        caplog.clear()
        sample.main(f"--size 100x70 --checkpoint {model} --tile 32 --dry_run".split())
    out, err = capsys.readouterr()
    assert not os.listdir()
    assert "100x70 px, rows -35 to 34, columns 0 to 99" in out
    # Rows -35..34 meet 4 rows of tiles from -64 on, columns 0..99 meet 4.
    assert "4 rows x 4 columns of 32x32 px: 16 tiles" in out
    assert f"{len(jax.devices())} x cpu, 1 tile each at once: 2 steps" in out
    tera = 16 * costs.operations(tiny.MODEL, 32, 32) / 1e12
    assert f"{tera:.3g} TFLOP" in out
    for word in ("memory", "more than in one shot", "tiny-seed0-100x70.png"):
        assert word in out
    assert "ompil" not in caplog.text + err


def _refused(capsys, options, *words):
    refused(capsys, sample.main, options, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["--size"]),
        (["--size", "0x10"], ["0x10", "at least 1x1"]),
        (["--size", "10x0"], ["10x0", "at least 1x1"]),
        (["--size", "-5x10"], ["-5x10", "at least 1x1"]),
        (["--size", "10"], ["--size (10)", "WIDTHxHEIGHT", "4096x4096"]),
        (["--size", "axb"], ["--size (axb)", "WIDTHxHEIGHT"]),
        (["--size", "1.5x2"], ["--size (1.5x2)", "WIDTHxHEIGHT"]),
        (["--size", "10x10x10"], ["WIDTHxHEIGHT"]),
        (["--size", ""], ["--size is empty"]),
        (["--size", "9999999999x2"], ["at most 2147483647"]),
        (["--size", "9" * 5000 + "x2"], []),
        (["--size", "8x8", "--origin", "5"], ["--origin (5)", "Y,X"]),
        (["--size", "8x8", "--origin", "a,b"], ["--origin (a,b)", "Y,X"]),
        (["--size", "8x8", "--origin", "-1,"], ["--origin (-1,)", "Y,X"]),
        (["--size", "8x8", "--origin", f"{2**62},0"], ["rows", "2**62"]),
        (["--size", "8x8", "--seed", "-1"], ["--seed (-1)", "2**64"]),
        (["--size", "8x8", "--seed", str(2**64)], ["seed", "2**64"]),
        (["--size", "8x8", "--seed", "abc"], ["--seed", "abc"]),
        (["--size", "8x8", "--tile", "30"], ["tile (30)", "nearest is 32"]),
        (["--size", "8x8", "--tile", "0"], ["tile (0)", "nearest is 4"]),
        (["--size", "8x8", "--tile", "-4"], ["tile (-4)", "nearest is 4"]),
        (["--size", "8x8", "--tile", "99999"], ["tile (99999)", "nearest is 4096"]),
        (["--size", "8x8", "--out", "a.gif"], ["'.gif'", ".png"]),
        (["--size", "65501x8", "--out", "a.jpg"], ["65500", ".tif", "--origin"]),
        (["--size", "8x8", "--shard", "4/4"], ["--shard (4/4)", "0 to N - 1"]),
        (["--size", "8x8", "--shard", "0/0"], ["--shard (0/0)", "I/N"]),
        (["--size", "8x8", "--shard", "-1/2"], ["--shard (-1/2)", "I/N"]),
        (["--size", "8x8", "--shard", "1"], ["--shard (1)", "I/N"]),
        (["--size", "8x8", "--shard", "0/2"], ["--shard", ".zarr, .dzi"]),
        (["--size", "8x8", "--finish"], ["--finish", ".png"]),
        (["--size", "8x8", "--finish", "--shard", "0/2"], ["one of them"]),
        (["--size", "8x8", "--shard", "0/2", "--out", "a.dzi"], ["use 1 or fewer"]),
        (["--size", "8x8", "--out", "a"], ["''", ".png"]),
        (["--size", "8x8", "--out", "no/a.png"], ["no", "does not exist"]),
        (["--size", "8x8", "--out", "/proc/a.png"], ["/proc", "cannot be written"]),
        (["--size", "8x8", "--out", "x" * 300 + ".png"], ["name", "1 to 230"]),
        (["--size", "30x8", "--wrap", "x"], ["--size's width (30)", "nearest is 32"]),
        (
            ["--size", "31x8", "--wrap", "x", "--level", "1"],
            ["--size's width (31)", "multiple of 2", "nearest is 32"],
        ),
        (["--size", "8x8", "--tile", "9" * 20], ["tile (9", "nearest is 4096"]),
        (["--size", "8x8", "--level", "-1"], ["level (-1)", "no detail synthesizer"]),
        (
            ["--size", "8x8", "--level", "9" * 20, "--wrap", "x"],
            ["--level: (999", "from -62 to 62"],
        ),
        (["--size", "8x8", "--level", "2", "--quick"], ["quick level", "0 to 1"]),
        (["--size", "8x8", "--quick"], ["level above 0", "--level 1", "--quick out"]),
        (["--size", "8x8", "--wrap", "z"], ["--wrap", "'z'"]),
        (["--size", "8x8", "--vertical_span", "0"], ["vertical_span (0)", "1 to"]),
        (["--size", "8x8", "--horizon", str(2**63)], ["horizon", "2**62", "nearer"]),
        (
            ["--size", "8x8", "--horizon", str(2**63), "--origin", "0,0"],
            ["horizon", "2**62", "nearer"],
        ),
        (["--size", "8x8", "--out", ""], ["--out is empty"]),
        (["--size", "8x8", "--out", "a"], ["ending ''", ".png"]),
        (["--size", "8x8", "--origin", f"{'1' * 5000},0"], ["--origin", "20 digits"]),
        (["--size", f"{'9' * 5000}x8"], ["--size (9999"]),
        (["--size", "8x8", "--seed", "9" * 5000], ["--seed", "20 digits"]),
        (["--size", "8x8", "--out", "x" * 240 + ".png"], ["name", "1 to 230"]),
        (["--size", "8x8", "--sede", "1"], ["--sede", "--seed"]),
        (["--size", "8x8", "word"], ["word"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    _refused(capsys, ["--checkpoint", model, *options], *words)


def test_bad_checkpoints_are_one_line_and_no_file(folder, model, capsys):
    def refused(checkpoint, *words):
        options = ["--size", "8x8", "--out", "a.png", "--checkpoint", str(checkpoint)]
        _refused(capsys, options, *words)

    refused("nowhere", "nowhere", "does not exist", "workdir")
    os.symlink("loop", "loop")
    refused("loop", "loop", "does not exist")
    data = pathlib.Path(model).read_bytes()
    pathlib.Path("cut.safetensors").write_bytes(data[: len(data) // 2])
    refused("cut.safetensors", "cut.safetensors", "again")
    altered = bytearray(data)
    altered[-9] ^= 64
    pathlib.Path("altered.safetensors").write_bytes(altered)
    refused("altered.safetensors", "digest")
    pathlib.Path("text.safetensors").write_text("hello")
    refused("text.safetensors", "text.safetensors")
    pathlib.Path("empty").mkdir()
    refused("empty", "empty", "workdir")
    params = dict(tiny.params())
    del params["mapping_network"]
    bundle_lib.save("other.safetensors", bundle_lib.Bundle(tiny.CONFIG, params))
    refused("other.safetensors", "mapping_network", "missing")


def test_too_little_disk_or_memory_is_one_line(folder, model, capsys, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 2 * 10**6))
    options = ["--checkpoint", model, "--size"]
    _refused(capsys, [*options, "1000x1000"], "3.1 MB", "2.0 MB free")
    # 400 MB whatever is painted, and three strips of 16 rows of 400000 x 3 bytes.
    monkeypatch.setattr(machine, "memory_bytes", lambda: 450 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**9))
    refused(
        capsys,
        sample.main,
        [*options, "400000x20", "--tile", "16"],
        "0.46 GB",
        "--origin",
    )


@pytest.mark.parametrize("name", ["a.zarr", "a.dzi"])
@pytest.mark.parametrize("more", [[], ["--dry_run"]])
def test_a_shard_of_what_no_disk_holds_is_one_line(
    folder, model, capsys, monkeypatch, name, more
):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 76 * 10**9))
    monkeypatch.setattr(World, "strips", lambda *_: 1 / 0)  # would take hours
    options = ["--checkpoint", model, "--size", "1000000x1000000", "--tile", "512"]
    options += ["--out", name, "--shard", "3/500", *more]
    refused(capsys, sample.main, options, "a picture of 1000000x", "76.00 GB free")
    assert not os.listdir()


def test_too_little_disk_to_go_on_is_said_before_anything_is_written(
    folder, model, capsys, monkeypatch
):
    options = ["--checkpoint", model, "--size", "600x1024", "--tile", "32"]
    options += ["--out", "a.dzi"]
    sample.main([*options, "--shard", "0/2"])
    usage = collections.namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 0))
        for more in (["--dry_run"], ["--save_world", "a.json"], []):
            words = "in all shards, may need", "0.0 MB free", "the same command"
            command = [*options, "--shard", "1/2", *more]
            refused(capsys, sample.main, command, *words)
        assert os.listdir() == ["a.dzi.job"]
        capsys.readouterr()
        sample.main([*options, "--shard", "0/2"])
        assert "is painted already" in capsys.readouterr().out
    sample.main([*options, "--shard", "1/2"])
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 0))
        for more in (["--dry_run"], []):
            words = "missing of the picture may need", "0.0 MB free"
            refused(capsys, sample.main, [*options, "--finish", *more], *words)
    sample.main([*options, "--finish"])


def test_a_dry_run_says_what_would_be_refused(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 10**6)
    options = ["--checkpoint", model, "--size", "8x8", "--dry_run"]
    for more, reason in ([], "use a smaller --tile"), (["--out", "no/a.png"], "exist"):
        with pytest.raises(SystemExit) as end:
            sample.main([*options, *more])
        assert end.value.code == 2
        out, err = capsys.readouterr()
        assert "memory " in out
        assert reason in err


@pytest.mark.parametrize("name", ["a.zarr", "a.dzi"])
def test_a_dry_run_says_what_is_left(folder, model, capsys, name):
    options = ["--checkpoint", model, "--size", "600x1024", "--tile", "32"]
    options += ["--out", name]

    def dry(*more):
        sample.main([*options, *more, "--dry_run"])
        return capsys.readouterr().out

    # Four files of 512 px; 32 rows of 19 tiles.
    assert "to paint" not in dry()
    shard = ["--shard", "0/2"]
    assert "0 of 2: 2 of the 4 files of 512 px\nto paint    304 tiles" in dry(*shard)
    refused(
        capsys, sample.main, [*options, "--finish", "--dry_run"], "run the shards first"
    )
    sample.main([*options, *shard])
    files = writers.writer_of(name).missing(folder / name, (1024, 600))
    assert files == [(2, 4)]
    capsys.readouterr()
    assert "kept        2 of 2 files\nto paint    0 tiles, 0 TFLOP" in dry(*shard)
    found = dry("--shard", "1/2")
    assert "kept        0 of 2 files\nto paint    304 tiles" in found
    assert "kept        2 of 4 files\nfinish      nothing" in dry("--finish")
    for more in (["--seed", "1", *shard], ["--overwrite"]):
        refused(
            capsys, sample.main, [*options, *more, "--dry_run"], "has other arguments"
        )


def test_an_error_while_writing_leaves_no_file(folder, model, capsys, monkeypatch):
    def fail(*args, **kwargs):
        yield np.zeros((4, 8, 3), np.uint8)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(World, "strips", fail)
    options = ["--checkpoint", model, "--size", "8x8", "--out"]
    for name in ("a.png", "a.tif"):
        words = f"{name} cannot be written", "No space left", "free some space, and try"
        _refused(capsys, [*options, name], *words)


def test_a_disk_that_fills_up_midway_is_told_what_is_kept(
    folder, model, capsys, monkeypatch
):
    strips = World.strips

    def fail(self, windows, on_tiles):
        number = 0
        for strip in strips(self, windows, on_tiles):
            number += len(strip)
            if number > 600:
                raise OSError(28, "No space left on device")
            yield strip

    options = ["--checkpoint", model, "--size", "8x1100", "--tile", "32"]
    options += ["--out", "a.tif"]
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(World, "strips", fail)
        sample.main(options)
    assert os.listdir() == ["a.tif.job"]
    _, err = capsys.readouterr()
    assert "free some space, and the same command goes on\n" in err
    sample.main(options)
    assert "going on: 20 tiles are left" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_a_job_of_another_user_is_one_line(folder, model, capsys, monkeypatch, name):
    def fail(file, shared):
        raise PermissionError(13, "Permission denied", file.name)

    monkeypatch.setattr(machine, "try_lock", fail)
    options = ["--checkpoint", model, "--size", "8x8", "--out", name]
    pathlib.Path(f"{name}.job").mkdir()
    words = f"{name}.job/lock: Permission denied", "another with --out", "belongs to"
    with pytest.raises(SystemExit):
        sample.main(options)
    err = capsys.readouterr().err
    assert all(word in err for word in words), err


def _start(model, *options):
    """Starts painting a large picture of tiny tiles; stderr is a pipe."""
    command = [sys.executable, str(ROOT / "run_sample.py"), "--checkpoint", model]
    return subprocess.Popen(
        [*command, "--tile", "16", *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # As in the foreground, wherever the tests run.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for(process, condition):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not condition():
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_an_interrupt_leaves_no_file(folder, model, number, status):
    process = _start(model, *["--size", "3000x3000", "--out", "a.png"])
    parts = folder.glob
    _wait_for(
        process, lambda: any(p.stat().st_size > 10_000 for p in parts("a.png.*.part"))
    )
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert not os.listdir()


@pytest.mark.parametrize(
    ("name", "second_row"),
    [
        ("a.tif", "level_0/tiles_1_0"),
        ("a.zarr", "picture/a.zarr/0/c/0/1/0"),
        ("a.dzi", "picture/a_files/*/0_1.png"),
    ],
)
def test_a_killed_job_goes_on_and_is_the_same(folder, model, name, second_row):
    options = ["--size", "600x1700", "--out", name, "--tile", "32"]
    process = _start(model, *options)
    _wait_for(process, lambda: list(folder.glob(f"{name}.job/{second_row}")))
    process.kill()
    process.communicate()
    assert os.listdir() == [f"{name}.job"]
    process = _start(model, *options)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    left = re.search(r"^going on: (\d+) tiles are left to paint$", err, re.MULTILINE)
    # One or two of four rows of files; 54 rows of 19 tiles in all.
    assert 19 * 5 <= int(left[1]) <= 19 * 40
    found = pictures.read(pathlib.Path(name))[0]
    np.testing.assert_array_equal(found, _world()[-850:850, 0:600])
    assert not pathlib.Path(f"{name}.job").exists()


@pytest.mark.parametrize("name", ["a.zarr", "a.dzi"])
def test_shards_are_put_together_and_may_be_asked_for_again(
    folder, model, capsys, name
):
    options = ["--checkpoint", model, "--size", "600x1100", "--tile", "32"]
    options += ["--origin=-7,100", "--out", name]
    for index in (1, 0):
        sample.main([*options, "--shard", f"{index}/2"])
        assert f"{name}, shard {index}/2: " in capsys.readouterr().out
    for _ in range(2):
        sample.main([*options, "--finish"])
    assert "is finished already" in capsys.readouterr().out
    sample.main([*options, "--shard", "1/2"])
    assert "is finished already" in capsys.readouterr().out
    path = pathlib.Path(name)
    np.testing.assert_array_equal(pictures.read(path)[0], _world()[-7:1093, 100:700])
    texts = writers.writer_of(path).texts_of(path)
    assert texts["Origin"] == "-7,100"
    command = "python run_sample.py --size=600x1100 --origin=-7,100 "
    command += "--checkpoint=tiny.safetensors --level=0 --tile=32"
    assert texts["Command"] == command
    others = [*options, "--seed", "4"]
    for words in (["--shard", "0/2"], ["--finish"]):
        _refused(capsys, [*others, *words], "is there already")


@pytest.mark.parametrize("name", ["a.zarr", "a.dzi"])
def test_a_late_shard_does_not_begin_a_finished_picture_anew(
    folder, model, capsys, name
):
    options = ["--checkpoint", model, "--size", "600x520", "--tile", "32"]
    options += ["--out", name]
    sample.main([*options, "--seed", "3"])
    options.append("--overwrite")  # each of them says so, since that is in the way
    sample.main([*options, "--shard", "0/1"])
    sample.main([*options, "--finish"])
    before = sorted(os.listdir())
    capsys.readouterr()
    # The same origin as by default: the command differs, the picture does not.
    for words in (["--shard", "0/1"], ["--finish"], ["--origin=-260,0", "--finish"]):
        sample.main([*options, *words])
        assert capsys.readouterr().out == f"{name} is finished already\n"
    assert sorted(os.listdir()) == before
    found = pictures.read(pathlib.Path(name))[0]
    np.testing.assert_array_equal(found, _world()[-260:260, 0:600])


def test_shards_that_are_not_there_are_named(folder, model, capsys):
    options = ["--checkpoint", model, "--size", "600x1100", "--tile", "32"]
    options += ["--out", "a.zarr"]
    _refused(capsys, [*options, "--finish"], "run the shards first")
    sample.main([*options, "--shard", "2/3"])
    capsys.readouterr()
    words = ("0 has 0 of 2 files", "1 has 0 of 2 files", "--shard")
    _refused(capsys, [*options, "--finish"], *words)
    others = [*options, "--shard", "1/4"]
    _refused(capsys, others, "Shards: 3 -> 4")


def test_a_file_in_the_way_is_replaced_only_when_told(folder, model, capsys):
    options = ["--checkpoint", model, "--size", "8x8", "--tile", "32", "--out"]
    for name in ("a.png", "a.tif"):
        pathlib.Path(name).write_text("dear")
        refused(
            capsys,
            sample.main,
            [*options, name],
            name,
            "is there already",
            "--overwrite",
        )
        assert pathlib.Path(name).read_text() == "dear"
        sample.main([*options, name, "--overwrite"])
        with PIL.Image.open(name) as file:
            np.testing.assert_array_equal(np.asarray(file), _world()[-4:4, 0:8])
        capsys.readouterr()
    assert sorted(os.listdir()) == ["a.png", "a.tif"]


def test_help_does_not_wait_for_jax():
    code = "import sys; from infinitygan_jax.cli import sample; "
    code += "sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    result = subprocess.run(
        [sys.executable, str(ROOT / "run_sample.py"), "--help"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in ("size", "checkpoint", "seed", "origin", "out", "tile", "shard"):
        assert f"--{name}" in result.stdout
