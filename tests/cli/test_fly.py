"""cli.fly: a film as asked for; or one line and status 2; nothing that looks whole."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import machine
from infinitygan_jax.cli import fly, sample
from infinitygan_jax.films import flights, writing
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.world import World
from infinitygan_jax.worldfile import documents
from tests.cli.refusals import refused
from tests.cli.shared import SHARED
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[2]
USUAL = ["--size", "24x18", "--tile", "32", "--frames", "5"]


def _expected(scene=Scene(), **options):  # noqa: B008
    world = World(tiny.MODEL, tiny.params(), tile_size=32, scene=scene)
    usual = dict(height=18, width=24, num_frames=5, places=((-9, 0),), seeds=(0,))
    return list(flights.fly(world, flights.Flight(**(usual | options))))


def _read(name):
    frames = []
    for path in sorted(pathlib.Path(name).iterdir()):
        with PIL.Image.open(path) as file:
            frames.append(np.asarray(file))
    return frames


@pytest.mark.parametrize(
    ("options", "flight"),
    [
        ("--to -9,8", dict(places=((-9, 0), (-9, 8)))),
        (
            "--from -30,5 --via 1,2 --via=-3,4 --to 5,6 --loop --ease",
            dict(places=((-30, 5), (1, 2), (-3, 4), (5, 6)), loop=True, ease=True),
        ),
        (
            "--styles 1,2 --seeds 3-4 5 --keep_noise",
            dict(styles=(1, 2), seeds=(3, 4, 5), keep_noise=True),
        ),
        (
            "--seeds 3 4 --truncation 0.25 --noise_scale 0",
            dict(seeds=(3, 4), scene=Scene(truncation=0.25, noise_scale=0)),
        ),
    ],
)
def test_frames_are_the_flights(folder, model, capsys, options, flight):
    fly.main([*USUAL, *options.split(), "--checkpoint", model, "--out", "film"])
    np.testing.assert_array_equal(_read("film"), _expected(**flight))
    out, err = capsys.readouterr()
    assert re.fullmatch(r"film: 5 frames, [\d.]+ s\n", out)
    assert "5/5" in err  # the progress bar
    assert os.listdir() == ["film"]


BIOMES = {"seed": 4, "horizon": 3, "styles": {"kind": "biomes", "every": 40}}


def _saved(name, **values):
    bundle = bundle_lib.Bundle(tiny.CONFIG, tiny.params())
    document = documents.Document(tiny.CONFIG.name, bundle.digest, values)
    document.save(name)
    return bundle, document


def test_one_flies_over_a_world_file(folder, model):
    bundle, document = _saved("w.json", **BIOMES)
    options = ["--world", "w.json", "--to", "5,900", "--checkpoint", model]
    fly.main([*USUAL, *options, "--out", "film"])
    flight = flights.Flight(18, 24, 5, places=((3 - 9, 0), (5, 900)))
    world = document.world(bundle, tile_size=32)
    frames = _read("film")
    np.testing.assert_array_equal(frames, list(flights.fly(world, flight)))
    np.testing.assert_array_equal(frames[0], world[-6:12, 0:24])
    np.testing.assert_array_equal(frames[-1], world[5:23, 900:924])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to=1,1", "--seeds", "1", "2"], ["--seeds does not go", "w.json"]),
        (["--styles", "1", "2"], ["--styles does not go", "w.json"]),
        (["--to=1,1", "--keep_noise"], ["--keep_noise does not go", "w.json"]),
        (["--to=1,1", "--truncation=0"], ["--truncation is said by", "w.json"]),
        (["--to=1,1", "--biomes=9"], ["--biomes is said by", "w.json"]),
        ([], ["second place", "--to Y,X"]),
        (["--to=1,1", "--world", "no.json"], ["no.json", "none"]),
        (["--to=1,1", "--checkpoint", "landscape_lite"], ["must be painted with"]),
    ],
)
def test_a_world_file_says_seed_and_styles(folder, model, capsys, options, words):
    _saved("w.json", **BIOMES)
    usual = ["--checkpoint", model, *USUAL, "--out", "film", "--world", "w.json"]
    refused(capsys, fly.main, [*usual, *options], *words)


def test_a_video_says_how_it_was_made(folder, model, capsys):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    options = [*USUAL, "--styles", "1", "2", "--fps", "12.5", "--checkpoint", model]
    options += ["--noise_scale", "0.5"]
    fly.main([*options, "--out", "a.mp4"])
    assert "5 frames, 0.4 s of film" in capsys.readouterr().out
    read = ffmpeg.read_frames("a.mp4")
    about = next(read)
    assert (about["size"], about["fps"]) == ((24, 18), 12.5)
    frames = [np.frombuffer(data, np.uint8).reshape(18, 24, 3) for data in read]
    for got, wanted in zip(
        frames, _expected(Scene(noise_scale=0.5), styles=(1, 2)), strict=True
    ):
        # Random parameters make wild colours, of which a video keeps few; but light.
        light = [(frame @ [0.2126, 0.7152, 0.0722]).ravel() for frame in (got, wanted)]
        assert np.corrcoef(*light)[0, 1] > 0.95
    command = re.search(
        rb"python -m infinitygan_jax\.cli\.fly [^\x00]*noise_scale=0.5",
        pathlib.Path("a.mp4").read_bytes(),
    )[0]
    words = shlex.split(command.decode())[3:]
    words[words.index("--checkpoint=tiny.safetensors")] = f"--checkpoint={model}"
    fly.main([*words, "--out", "b.mp4"])
    assert pathlib.Path("a.mp4").read_bytes() == pathlib.Path("b.mp4").read_bytes()


@pytest.mark.parametrize("options", SHARED)
def test_options_mean_what_they_do_in_sample(folder, model, options):
    """Frames at whole pixels are the windows that are painted as pictures."""
    words = [*options.split(), "--checkpoint", model, "--size", "32x16"]
    fly.main([*words, "--seeds", "3", "--to=-3,12", "--frames", "2", "--out", "film"])
    for index, place in enumerate(([], ["--origin=-3,12"])):
        if index and "--horizon" not in words:
            continue
        sample.main([*words, *place, "--seed", "3", "--out", f"{index}.png"])
        with PIL.Image.open(f"{index}.png") as file:
            np.testing.assert_array_equal(_read("film")[index], np.asarray(file))


def test_a_flight_around_a_wrapped_world_comes_back(folder, model):
    """Each frame continues into itself, and so a world's width later it is the same.

    17 frames over 32 columns, two columns each; the same way in 33 frames is one each.
    """
    words = ["--size", "32x16", "--wrap", "x", "--tile", "32", "--checkpoint", model]
    fly.main([*words, "--to=-8,32", "--frames", "17", "--out", "film"])
    frames = _read("film")
    np.testing.assert_array_equal(frames[0], frames[16])
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, np.roll(frames[0], -2 * index, axis=1))
    # Between pixels it is the period, too, that is seen beyond the edges.
    fly.main([*words, "--to=-8,64", "--frames", "129", "--out", "slow"])
    slow = _read("slow")
    np.testing.assert_array_equal(slow[1], slow[65])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["must lead somewhere"]),
        (["--to", "-9,0"], ["must lead somewhere"]),
        (["--to", "1"], ["--to (1)", "Y,X", "--to=-128,0"]),
        (["--from", "a,b", "--to", "1,1"], ["--from (a,b)", "Y,X"]),
        (["--from", f"{'9' * 5000},0", "--to", "1,1"], ["--from (9999", "20 digits"]),
        (["--to", "1e400,0"], ["--to (1e400,0)", "Y,X"]),
        (["--to", "1,1", "--fps", "1e400"], ["fps (inf)"]),
        (["--to", "1,1", "--via", "-1,"], ["--via (-1,)", "Y,X"]),
        (["--to", f"{2**62},0"], ["2**62"]),
        (["--to", "1,1", "--frames", "1"], ["frames (1)", "use 2"]),
        (["--to", "1,1", "--frames", "-4"], ["frames (-4)", "use 2"]),
        (["--to", "1,1", "--frames", "x"], ["--frames", "'x'"]),
        (["--to", "1,1", "--fps", "0"], ["fps (0)", "30"]),
        (["--to", "1,1", "--fps", "-3"], ["fps (-3)", "30"]),
        (["--to", "1,1", "--size", "0x2"], ["0x2", "at least 1x1"]),
        (["--to", "1,1", "--size", "2"], ["--size (2)", "WIDTHxHEIGHT"]),
        (["--to", "1,1", "--truncation", "-1"], ["truncation (-1.0)", "0 to 1"]),
        (["--to", "1,1", "--tile", "30"], ["tile (30)", "nearest is 32"]),
        (["--styles", "1", "-2"], ["seed (-2)", "2**64"]),
        (["--seeds", "1", str(2**64)], ["seed", "2**64"]),
        (["--seeds"], ["--seeds", "at least one"]),
        (["--seeds", "5-"], ["--seeds ('5-')", "0-99,120"]),
        (["--to", "1,1", "--out", "a.avi"], ["'.avi'", ".mp4", "/"]),
        (["--to", "1,1", "--out", "a.gif", "--frames", "999999"], ["GIF", "310689"]),
        (["--to", "1,1", "--out", "no/film"], ["no", "does not exist"]),
        (["--to", "1,1", "--out", "there"], ["there", "--overwrite"]),
        (["--to", "1,1", "--out", "mine"], ["mine", "other things than frames"]),
        (["--to", "1,1", "--out", "a.mp4", "--size", "25x18"], ["nearest is 26x18"]),
        (["--seed", "1"], ["--seed", "--seeds"]),
        (["--styles", "1", "2", "--biomes", "9"], ["exclude each other"]),
        (["--styles", "1", "2", "--blend", "9"], ["--blend (9) needs --biomes"]),
        (["--to", "1,1", "--wrap", "x", "--size", "26x18"], ["width (26)", "28"]),
        (["--to", "1,1", "--level", "3"], ["level (3)", "0 to 2"]),
        (["--to", "1,1", "--biomes", "1"], ["styles near one tile", "--tile"]),
        (["--to", "1,1", "--checkpoint", "no"], ["no", "does not exist"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    for name in ("there", "mine"):
        pathlib.Path(name).mkdir()
    pathlib.Path("there/000000.png").write_text("")
    pathlib.Path("mine/letter.txt").write_text("dear")
    usual = ["--checkpoint", model, *USUAL, "--out", "film"]
    refused(capsys, fly.main, [*usual, *options], *words)


def test_a_gif_needs_no_encoder(folder, model, monkeypatch, capsys):
    monkeypatch.setattr(writing.importlib.util, "find_spec", lambda name: None)
    fly.main([*USUAL, "--to", "-9,8", "--checkpoint", model, "--out", "a.gif"])
    assert "5 frames, 0.2 s of film" in capsys.readouterr().out
    assert os.listdir() == ["a.gif"]
    with PIL.Image.open("a.gif") as file:
        assert (file.n_frames, file.size) == (5, (24, 18))
        assert b"infinitygan_jax.cli.fly" in file.info["comment"]


def test_a_missing_encoder_is_one_line(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(writing.importlib.util, "find_spec", lambda name: None)
    usual = ["--checkpoint", model, *USUAL, "--to", "1,1", "--out", "a.mp4"]
    refused(capsys, fly.main, usual, "imageio-ffmpeg", "EXTRAS", "--out frames/")


def test_too_little_memory_is_one_line(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 10**6)
    usual = ["--checkpoint", model, *USUAL, "--to", "1,1", "--out", "film"]
    refused(capsys, fly.main, usual, "memory", "--size")


@pytest.mark.parametrize("name", ["a.mp4", "film/"])
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_a_killed_flight_leaves_nothing_whole(folder, model, name, number, status):
    if name.endswith(".mp4"):
        pytest.importorskip("imageio_ffmpeg")
    command = [sys.executable, "-m", "infinitygan_jax.cli.fly", "--checkpoint", model]
    command += [
        "--size",
        "64x64",
        "--tile",
        "32",
        "--styles",
        "1",
        "2",
        "--frames",
        "100000",
    ]
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.Popen(
        [*command, "--out", name],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
        text=True,
        # As in the foreground, wherever the tests run.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def begun():
        parts = list(folder.glob("*.part"))
        return parts and (name == "a.mp4" or len(os.listdir(parts[0])) > 3)

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not begun():
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    left = os.listdir()
    if number == signal.SIGKILL:
        assert left and all(part.endswith(".part") for part in left)
        again = [*USUAL, "--to", "-9,8", "--checkpoint", model, "--out", name]
        fly.main(again)
        assert os.listdir() == [name.rstrip("/")]
    else:
        assert not left
