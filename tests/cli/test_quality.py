"""--quality: of JPEG files alone, in every command that writes one."""

import json
import os

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import grid, inbetween, outpaint, sample
from tests.cli.refusals import refused
from tests.inversion import small

COMMANDS = [
    (sample, "--size 64x32"),
    (grid, "--rows 1 --columns 2 --size 64x32"),
    (outpaint, "a.npz --size 96x32"),
    (inbetween, "a.npz a.npz --size 160x32"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    bundle_lib.save(path, small.bundle())
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.true_inversion().save("a.npz")
    return tmp_path


def _words(model, options):
    return [*options.split(), "--checkpoint", model, "--tile", "64"]


@pytest.mark.parametrize(("command", "options"), COMMANDS)
def test_a_file_is_as_good_as_was_asked_for(folder, model, command, options):
    words = _words(model, options)
    command.main([*words, "--out", "exact.png"])
    errors, sizes, texts = [], [], []
    with PIL.Image.open("exact.png") as file:
        exact = np.asarray(file).astype(int)
    for quality in ([], ["--quality", "95"], ["--quality", "20"]):
        command.main([*words, *quality, "--out", "a.jpg", "--overwrite"])
        with PIL.Image.open("a.jpg") as file:
            errors.append(np.abs(np.asarray(file) - exact).mean())
            texts.append(json.loads(file.info["comment"]))
        sizes.append(os.path.getsize("a.jpg"))
    assert errors[0] == errors[1] < errors[2]
    assert sizes[2] < sizes[0] / 2
    # The usual one is the same picture, whether it is named or not.
    assert [each.get("Quality") for each in texts] == [None, None, "20"]
    assert "--quality=20" in texts[2]["Command"]
    assert "quality" not in texts[0]["Command"]


def test_a_picture_of_another_quality_is_another(folder, model, capsys):
    words = _words(model, "--size 64x32 --seeds 1 --out a{seed}.jpg")
    sample.main([*words, "--quality", "50"])
    capsys.readouterr()
    sample.main([*words, "--quality", "50"])
    assert capsys.readouterr().out == "a1.jpg is finished already\n"
    refused(capsys, sample.main, [*words, "--quality", "51"], "a1.jpg", "--overwrite")


@pytest.mark.parametrize(("command", "options"), COMMANDS)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--quality 0 --out a.jpg", ["--quality (0)", "1 to 100", "use 1"]),
        ("--quality 101 --out a.jpg", ["--quality (101)", "use 100"]),
        ("--quality 80 --out a.png", ["--quality (80)", "a.png", "a .jpg"]),
        ("--quality x --out a.jpg", ["--quality ('x')", "whole number"]),
    ],
)
def test_what_has_no_such_quality_is_one_line(
    folder, model, capsys, command, options, more, words
):
    refused(capsys, command.main, [*_words(model, options), *more.split()], *words)


@pytest.mark.parametrize("name", ["a.dzi", "a.zarr", "a.tif"])
def test_formats_that_keep_every_pixel_have_none(folder, model, capsys, name):
    words = _words(model, f"--size 64x32 --quality 80 --out {name}")
    refused(capsys, sample.main, words, name, "leave it out")
