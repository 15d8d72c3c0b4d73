"""run_sample.py --seeds: a file of each seed's own picture, and one start for all."""

import os
import pathlib
import signal

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax.cli import rendering, sample
from infinitygan_jax.training import stored
from infinitygan_jax.worldfile import documents
from infinitygan_jax.writers import WRITERS
from tests.cli.refusals import refused
from tests.writers import pictures


def _paint(model, *options):
    usual = ["--checkpoint", model, "--size", "24x12", "--tile", "32"]
    sample.main([*usual, *options])


@pytest.mark.parametrize("more", ["", "--biomes 32 --level 1", "--styles 7"])
def test_files_are_those_of_commands_for_one_seed(folder, model, monkeypatch, more):
    loaded = []
    load = stored.load_bundle
    monkeypatch.setattr(
        stored, "load_bundle", lambda name: loaded.append(name) or load(name)
    )
    _paint(model, "--seeds", "3-4,7", "3", *more.split())
    assert len(loaded) == 1
    names = sorted(os.listdir())
    assert len(names) == 3
    for seed, name in zip((3, 4, 7), names, strict=True):
        assert name.startswith(f"tiny-seed{seed}-24x12")
        painted = pathlib.Path(name).read_bytes()
        os.remove(name)
        _paint(model, "--seed", str(seed), *more.split())
        assert pathlib.Path(name).read_bytes() == painted


@pytest.mark.parametrize("ending", [e for e in WRITERS if e not in (".tiff", ".jpeg")])
def test_finished_pictures_stay_and_the_others_are_painted(
    folder, model, capsys, ending
):
    _paint(model, "--seed", "2", "--out", f"a2{ending}")
    path = pathlib.Path(f"a2{ending}")
    before = path.stat().st_mtime_ns
    capsys.readouterr()
    _paint(model, "--seeds", "1-2", "--out", f"a{{seed}}{ending}")
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(f"a1{ending}: ")
    assert out[1:] == [f"a2{ending} is finished already"]
    assert path.stat().st_mtime_ns == before
    _paint(model, "--seeds", "1-2", "--out", f"a{{seed}}{ending}", "--overwrite")
    assert "finished already" not in capsys.readouterr().out
    assert path.stat().st_mtime_ns > before


def test_another_picture_in_the_way_is_told_before_any_is_painted(
    folder, model, capsys
):
    _paint(model, "--seed", "5", "--out", "a2.png")
    pathlib.Path("b2.jpg").write_text("dear")
    pathlib.Path("c2.tif").write_text("dear")
    capsys.readouterr()
    for name in ("a{seed}.png", "b{seed}.jpg", "c{seed}.tif"):
        words = ["--checkpoint", model, "--size", "24x12", "--tile", "32"]
        words += ["--seeds", "1-2", "--out", name]
        shown = name.replace("{seed}", "2")
        refused(capsys, sample.main, words, shown, "is there already", "--overwrite")


def test_an_interrupt_tells_what_is_kept_and_the_same_command_goes_on(
    folder, model, capsys, monkeypatch
):
    paint = rendering.paint_into

    def interrupted(world, *rest):
        if world.seed == 1:
            signal.raise_signal(signal.SIGINT)
        return paint(world, *rest)

    # A shell starts what runs in the background without one.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(rendering, "paint_into", interrupted)
            with pytest.raises(SystemExit) as end:
                _paint(model, "--seeds", "0-2")
    finally:
        signal.signal(signal.SIGINT, former)
    assert end.value.code == 130
    assert "1 of 3 pictures are done, and the same" in capsys.readouterr().err
    assert os.listdir() == ["tiny-seed0-24x12.png"]
    _paint(model, "--seeds", "0-2")
    assert capsys.readouterr().out.count("finished already") == 1
    assert len(os.listdir()) == 3


def test_each_may_be_painted_in_shards_and_have_its_world_saved(folder, model):
    words = ["--seeds", "0-1", "--size", "600x8", "--out", "a{seed}.zarr"]
    words += ["--octaves", "2", "--save_world", "w{seed}.json"]
    for part in (["--shard", "0/2"], ["--shard", "1/2"], ["--finish"]):
        _paint(model, *words, *part)
    for seed in (0, 1):
        assert documents.load(f"w{seed}.json").values["seed"] == seed
        _paint(model, "--size", "600x8", "--world", f"w{seed}.json", "--out", "b.png")
        with PIL.Image.open("b.png") as file:
            np.testing.assert_array_equal(
                pictures.read(pathlib.Path(f"a{seed}.zarr"))[0], np.asarray(file)
            )
        os.remove("b.png")


def test_a_dry_run_is_of_all(folder, model, capsys):
    _paint(model, "--seed", "4")
    capsys.readouterr()
    _paint(model, "--seeds", "4-9", "--dry_run")
    assert "pictures    6, of which 1 are there" in capsys.readouterr().out
    assert len(os.listdir()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], ["--seed (1) and --seeds exclude", "one of them"]),
        (["--out", "a.png"], ["--out (a.png)", "{seed}", "a-{seed}.png"]),
        (["--save_world", "w.json"], ["--save_world (w.json)", "w-{seed}.json"]),
        (["--world", "w.json"], ["--seeds is said by the world file"]),
        (["--seeds", "3-"], ["--seeds ('3-')", "0-99,120"]),
        (["--seeds", "0-10000"], ["--seeds", "at most 10000"]),
        (["--out", "a{seed}.gif"], ["'.gif'", ".png"]),
        (["--out", "no{seed}/a.png"], ["no1", "does not exist"]),
        (["--tile", "30"], ["tile (30)"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    usual = ["--checkpoint", model, "--size", "24x12", "--seeds", "1-2"]
    refused(capsys, sample.main, [*usual, *options], *words)
