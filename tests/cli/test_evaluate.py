"""cli.evaluate: a table and a file, or one line and status 2."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import devices
from infinitygan_jax.cli import evaluate
from infinitygan_jax.evaluation import judge, samples
from infinitygan_jax.models import features
from tests.cli.refusals import refused
from tests.cli.test_zoom import detail_config
from tests.evaluation import standin
from tests.models import test_detail as small
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[2]
_PAINT = devices.jit_in_a_hurry(samples._paint.__wrapped__, static_argnums=(0, 1))
_TABLE = (
    r"measure +value +standard error\n"
    r"kernel distance x 1000 +(-?[\d.]+) +([\d.]+)\n"
    r"Frechet distance +(-?[\d.]+)\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and pictures."""
    place = tmp_path_factory.mktemp("place")
    bundle = bundle_lib.Bundle(tiny.CONFIG, tiny.params(), info={"step": "12"})
    bundle_lib.save(place / "tiny.safetensors", bundle)
    write(place / "few", 19, 40)
    write(place / "small", 25, 20)
    write(place / "bright", 25, 40, colour=200)
    (place / "there.json").write_text("dear")
    (place / "workdir").mkdir()
    (place / "workdir" / "config.json").write_text("{}")
    return place


def write(folder, count, side, colour=100):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        pixels = rng.normal(colour, 20, (side, side, 3)).clip(0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number:02}.png")


@pytest.fixture
def standing_in(place, monkeypatch):
    """Another network, and what is compiled is not optimized."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(features, "load", lambda name: standin.network())
    monkeypatch.setattr(samples, "_paint", _PAINT)


def figures(out):
    """Kernel distance, its error and Frechet distance of a printed table."""
    match = re.search(_TABLE, out)
    assert match, out
    return tuple(map(float, match.groups()))


def test_a_model_is_compared_with_photographs(standing_in, tmp_path, capsys):
    out = tmp_path / "a.json"
    usual = ["tiny.safetensors", "--data", "generated:24", "--num", "60"]
    usual += ["--size", "64", "--seed", "3", "--out", str(out)]
    evaluate.main(usual)
    printed, progress = capsys.readouterr()
    assert (
        "tiny at step 12: 60 patches of 29 px of 33, truncation 1, noise scale 1\n"
        in (printed)
    )
    assert "generated:24: 60 patches of 29 px of 33, of 24 pictures\n" in printed
    assert "120/120" in progress
    kernel, error, frechet = figures(printed)
    told = json.loads(out.read_text())
    assert told["kernel_distance_x1000"] == pytest.approx(kernel, abs=0.01)
    assert told["kernel_distance_x1000_error"] == pytest.approx(error, abs=0.01)
    assert told["frechet_distance"] == pytest.approx(frechet, abs=0.01)
    assert told["frechet_full_rank"] is True  # 60 pictures, 6 features
    assert (told["seed"], told["size"], told["network"]) == (3, 64, "standin")
    model = told["samples"]
    assert model["digest"] == bundle_lib.load("tiny.safetensors").digest
    assert (model["truncation"], model["noise_scale"]) == (1, 1)
    assert told["data"]["photographs"] == 24 and told["data"]["pictures"] == 60
    assert told["data"]["view"]["patch_size"] == 29
    evaluate.main([*usual, "--overwrite"])
    again = json.loads(out.read_text())
    assert {**again, "seconds": 0} == {**told, "seconds": 0}


def test_samples_are_seen_closer(standing_in, tmp_path, capsys):
    part = bundle_lib.DetailPart(detail_config(), small.params())
    closer = bundle_lib.Bundle(tiny.CONFIG, tiny.params(), detail=part)
    path = str(tmp_path / "closer.safetensors")
    bundle_lib.save(path, closer)
    usual = ["--data", "large", "--num", "20", "--size", "64", "--zoom", "2"]
    write(pathlib.Path("large"), 24, 66)
    out = tmp_path / "a.json"
    evaluate.main([path, *usual, "--out", str(out)])
    printed = capsys.readouterr().out
    assert "20 patches of 29 px of 33, 2 times as large with detail" in printed
    assert "large: 20 patches of 58 px of 66" in printed
    assert json.loads(out.read_text())["samples"]["zoom"] == 2
    size = "--zoom (128) must leave whole pictures at most 2048 px"
    for given, message in (
        ([path, *usual[:-1], "128"], size),
        ([path, *usual[:-1], "3"], "must be a power of two"),
        (["tiny.safetensors", *usual], "--zoom (2) needs a model with a detail"),
        (["large", *usual], "--zoom are of models"),
        ([path, *usual, "--enlarge", "4"], "--zoom does not go with --enlarge"),
    ):
        refused(capsys, evaluate.main, given, message)


def test_two_folders_are_compared(standing_in, tmp_path, capsys):
    options = ["--num", "60", "--view", "15/20", "--out", str(tmp_path / "a.json")]
    evaluate.main(["generated:30", "--data", "generated:24", *options])
    near, _, _ = figures(capsys.readouterr().out)
    evaluate.main(["bright", "--data", "generated:24", *options[:4]])
    printed = capsys.readouterr().out
    assert "bright: 60 patches of 15 px of 20, of 25 pictures" in printed
    far, _, _ = figures(printed)
    assert far > 10 * abs(near)
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["samples"]["kind"] == "photographs"
    assert told["size"] == 101


def test_a_folder_is_not_compared_with_its_own_patches(standing_in, capsys):
    """Each side is cut elsewhere: the same pictures are near, and not the same."""
    data = ["--data", "generated:24", "--num", "60", "--view", "15/20"]
    evaluate.main(["generated:24", *data])
    kernel, error, frechet = figures(capsys.readouterr().out)
    assert frechet > 0.01
    assert abs(kernel) < 3 * error


def test_patches_of_one_photograph_are_known_as_such(standing_in, monkeypatch):
    compared = []

    def spied(*sides):
        compared.append([side.runs.tolist() for side in sides])
        return compare(*sides)

    compare = judge.compare
    monkeypatch.setattr(judge, "compare", spied)
    options = ["--data", "generated:24", "--num", "60", "--view", "15/20"]
    evaluate.main(["generated:30", *options])
    assert compared == [[[2] * 30, [3] * 12 + [2] * 12]]


def test_files_name_no_folder(standing_in, place, tmp_path):
    out = tmp_path / "a.json"
    folder = [str(place / "bright"), "--data", f"{place}/bright/"]
    evaluate.main([*folder, "--num", "20", "--view", "15/20", "--out", str(out)])
    text = out.read_text()
    assert str(place) not in text
    assert json.loads(text)["data"]["name"] == "bright"
    model = [str(place / "tiny.safetensors"), "--data", f"{place}/bright/"]
    evaluate.main([*model, "--num", "20", "--out", str(out), "--overwrite"])
    assert str(place) not in out.read_text()


def test_whole_pictures_are_compared_with_whole_photographs(standing_in, capsys):
    evaluate.main(["tiny.safetensors", "--data", "bright", "--full", "--num", "30"])
    printed = capsys.readouterr().out
    assert "tiny at step 12: 30 whole pictures of 33 px" in printed
    assert "bright: 25 whole pictures of 33 px, of 25 pictures" in printed
    assert "seen at 197 px" in printed


def test_painted_as_the_model_says_or_as_told(standing_in, monkeypatch, tmp_path):
    told = []

    def spied(config, params, num, **options):
        told.append((options["truncation"], options["noise_scale"], options["whole"]))
        yield np.zeros((num, 29, 29, 3), np.float32)

    monkeypatch.setattr(samples, "samples", spied)
    model = dataclasses.replace(tiny.MODEL, truncation=0.5, noise_scale=0.25)
    config = dataclasses.replace(tiny.CONFIG, model=model)
    file = tmp_path / "b.safetensors"
    bundle_lib.save(file, bundle_lib.Bundle(config, tiny.params()))
    for options in (
        [],
        ["--painted"],
        ["--truncation", "0.75"],
        ["--painted", "--noise_scale", "1", "--full"],
    ):
        evaluate.main([str(file), "--data", "bright", "--num", "20", *options])
    assert told == [
        (1, 1, False),
        (0.5, 0.25, False),
        (0.75, 1, False),
        (0.5, 1, True),
    ]


def test_few_pictures_say_so(standing_in, monkeypatch, capsys):
    """More features than pictures: the Frechet distance is that of few."""
    whole = ["--full", "--view", "15/20"]
    evaluate.main(["bright", "--data", "generated:24", "--num", "60", *whole])
    assert "compare it only" not in capsys.readouterr().out
    wide = standin.Network(np.ones((12, 25), np.float32), "wide")
    monkeypatch.setattr(features, "load", lambda name: wide)
    evaluate.main(["bright", "--data", "generated:30", "--num", "60", *whole])
    assert "fewer than 26 pictures" in capsys.readouterr().out


def test_unusable_pictures_are_left_out_and_named_in_one_line(
    standing_in, capsys, caplog
):
    folder = pathlib.Path("mixed")
    write(folder, 30, 40)
    for name in ("a.png", "b.png"):
        (folder / name).write_text("no picture")
    evaluate.main(["mixed", "--data", "generated:24", "--num", "60", "--view", "9/18"])
    printed, errors = capsys.readouterr()
    assert "of 30 pictures" in printed
    lines = [line for line in errors.splitlines() if "skipping" in line]
    assert len(lines) == 1 and not caplog.records
    assert (
        "skipping 2 of 32 pictures of mixed; the first, a.png, is no JPEG" in lines[0]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["--data"]),
        (["--data", "few"], ["few", "at least 20 pictures", "not 19"]),
        (["--data", "small"], ["small", "20x20", "under 29"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--data", "bright", "--num", "19"], ["--num (19)", "from 20"]),
        (["--data", "bright", "--num", "50001"], ["--num (50001)", "to 50000"]),
        (["--data", "bright", "--num", "x"], ["--num ('x')", "whole number"]),
        (["--data", "bright", "--seed", "-1"], ["--seed (-1)", "2**64"]),
        (["--data", "bright", "--size", "63"], ["--size (63)", "from 64"]),
        (["--data", "bright", "--size", "99999"], ["--size (99999)", "to 2048"]),
        (["--data", "bright", "--view", "101"], ["--view (101)", "101/197"]),
        (["--data", "bright", "--view", "9/8"], ["view (9/8)", "101/197"]),
        (["--data", "bright", "--full", "--patch"], ["--patch", "--full"]),
        (["--data", "bright", "--truncation", "2"], ["truncation (2.0)", "0 to 1"]),
        (["--data", "bright", "--noise_scale", "-1"], ["noise_scale (-1.0)"]),
        (["--data", "bright", "--out", "a.txt"], ["a.txt", ".json"]),
        (["--data", "bright", "--out", "no/a.json"], ["no", "does not exist"]),
        (["--data", "bright", "--out", "there.json"], ["there.json", "--overwrite"]),
        (["--dta", "bright"], ["--data"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(standing_in, capsys, options, words):
    refused(capsys, evaluate.main, ["tiny.safetensors", *options], *words)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("nowhere", [], ["nowhere", "landscape_lite", "none of this name"]),
        ("no.safetensors", [], ["no.safetensors", "does not exist"]),
        ("workdir", [], ["workdir", "no checkpoints folder"]),
        ("few", ["--view", "9/18"], ["few", "at least 20 pictures", "not 19"]),
        ("bright", ["--painted"], ["bright", "of models", "leave them out"]),
        ("bright", ["--truncation", "1"], ["bright", "of models"]),
        ("bright", [], ["bright", "40x40", "under 101"]),
    ],
)
def test_bad_samples_are_one_line(standing_in, capsys, name, options, words):
    refused(capsys, evaluate.main, [name, "--data", "generated:24", *options], *words)


def test_weights_that_are_not_there_are_one_line(place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(place)
    features.load.cache_clear()
    monkeypatch.setattr(features, "PRETRAINED", tmp_path)
    usual = ["tiny.safetensors", "--data", "generated:24"]
    refused(capsys, evaluate.main, usual, "feature network", "install")


def test_help_does_not_wait_for_jax():
    code = "import sys; from infinitygan_jax.cli import evaluate; "
    code += "sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
