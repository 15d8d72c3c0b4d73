"""The outpaint and inbetween commands: whole pictures, or one line and none."""

import dataclasses
import pathlib
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import inbetween, outpaint
from infinitygan_jax.inversion import outpainting
from infinitygan_jax.inversion.result import Inversion
from tests.cli.refusals import refused
from tests.cli.test_zoom import detail_config
from tests.inversion import small
from tests.models import test_detail as small_detail


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    bundle_lib.save(path, small.bundle())
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        image = rng.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(image).save(f"{name}.png")
    Image.fromarray(image[:4, :4]).save("tiny.png")
    pathlib.Path("text.png").write_text("no picture")
    pathlib.Path("loop.png").symlink_to("loop.png")
    return tmp_path


def _pixels(name):
    with Image.open(name) as image:
        return np.asarray(image.convert("RGB"))


def _common(model):
    return ["--checkpoint", str(model), "--tile", "64"]


def test_pictures_are_outpainted_and_passed_between(folder, model, capsys):
    """A search is kept, and used again for other sizes and for a passage."""
    search = ["--steps", "2", "--save_inversions", "kept"]
    options = [*_common(model), "--at", "0.4,0.25"]
    outpaint.main(["a.png", "--size", "128x64", "--count", "2", *search, *options])
    answers = [_pixels(f"a-outpainted-{seed}.png") for seed in (0, 1)]
    for answer in answers:
        assert answer.shape == (64, 128, 3)
        # The middle at 0.4 x 64 = 25.6 and 0.25 x 128 = 32: from 14 and from 16 on.
        np.testing.assert_array_equal(answer[14:38, 16:48], _pixels("a.png"))
    assert (answers[0] != answers[1]).mean() > 0.3
    assert "the model paints it at" in capsys.readouterr().err
    outpaint.main(["kept/a.npz", "--size", "64x48", *_common(model)])
    again = _pixels("a-outpainted.png")
    np.testing.assert_array_equal(again[12:36, 16:48], _pixels("a.png"))
    arguments = ["kept/a.npz", "b.png", "--size", "256x40", "--steps", "2"]
    inbetween.main([*arguments, *_common(model), "--out", "passage.png"])
    passage = _pixels("passage.png")
    assert passage.shape == (40, 256, 3)
    np.testing.assert_array_equal(passage[8:32, :32], _pixels("a.png"))
    np.testing.assert_array_equal(passage[8:32, 224:], _pixels("b.png"))
    with Image.open("passage.png") as image:
        assert image.text["Pictures"] == "a.npz, b.png"
        assert image.text["Columns"] == "0, 224"


def test_answers_are_painted_as_asked_for(folder, model, monkeypatch):
    """Truncation and noise are of what is painted around pictures, too."""
    painting = {"truncation": 0.25, "noise_scale": 0.5}
    options = [
        *_common(model),
        *(f"--{key}={value}" for key, value in painting.items()),
    ]
    search = ["--steps", "1", "--save_inversions", "kept"]
    outpaint.main(["a.png", "--size", "128x64", *search, *options])
    bundle = bundle_lib.load(model)
    found = Inversion.load("kept/a.npz", bundle)
    window = outpainting.window_around(found, 64, 128, (0.5, 0.5))
    world = outpainting.outpainted(bundle, found, tile_size=64, **painting)
    np.testing.assert_array_equal(_pixels("a-outpainted.png"), _read(world, window))
    with Image.open("a-outpainted.png") as image:
        assert (image.text["Truncation"], image.text["Noise scale"]) == ("0.25", "0.5")
    inbetween.main(
        ["kept/a.npz", "kept/a.npz", "--size", "256x40", "--out", "p.png", *options]
    )
    world, window = outpainting.inbetween(
        bundle, [found, found], 40, 256, tile_size=64, **painting
    )
    np.testing.assert_array_equal(_pixels("p.png"), _read(world, window))
    plain = outpainting.outpainted(bundle, found, tile_size=64)
    assert (_read(world, window) != _read(plain, window)).any()
    # What each says of itself makes it again, beside the files that it names.
    shutil.copy(model, "kept")
    shutil.copy("a.png", "kept")
    monkeypatch.chdir("kept")
    for command, name in ((outpaint, "a-outpainted.png"), (inbetween, "p.png")):
        with Image.open(f"../{name}") as image:
            words = shlex.split(image.text["Command"])
        assert words[:3] == ["python", "-m", command.__name__]
        command.main([*words[3:], "--out", "again.png", "--overwrite"])
        np.testing.assert_array_equal(_pixels("again.png"), _pixels(f"../{name}"))


def _read(world, window):
    return world[window.top : window.bottom, window.left : window.right]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--size", "128"], ["--size", "WIDTHxHEIGHT"]),
        (["a.png", "--size", "128x64", "--at", "2,0"], ["--at", "0.5,0.5"]),
        (["a.png", "--size", "128x64", "--at", "x"], ["--at", "0.5,0.5"]),
        (["a.png", "--size", "128x64", "--count", "0"], ["--count", "1"]),
        (["a.png", "--size", "128x64", "--out", "a.bmp"], ["a.bmp", ".png"]),
        (["a.png", "--size", "128x64", "--out", "no/a.png"], ["no", "create"]),
        (["a.png", "--size", "128x64", "--out", "b.png"], ["b.png", "--overwrite"]),
        (
            ["a.png", "--size", "128x64", "--out", "./a.png", "--overwrite"],
            ["a.png would be overwritten"],
        ),
        (["loop.png", "--size", "128x64"], ["loop.png", "cannot be read"]),
        (["c.png", "--size", "128x64"], ["c.png"]),
        (["text.png", "--size", "128x64"], ["text.png"]),
        (["c.npz", "--size", "128x64"], ["c.npz", "does not exist"]),
        (["c.npz", "--size", "128x64", "--steps", "3"], ["--steps", "leave it out"]),
        (["a.png", "--size", "128x64", "--horizon", "24"], ["--horizon", "0 to 23"]),
        (["a.png", "--size", "20x64"], ["at least", "32x24", "reduce the"]),
        (["a.png", "--size", "128x64", "--at", "0,0"], ["0.188 to 0.812"]),
        (["a.png", "--size", "128x64", "--truncation=2"], ["truncation (2.0)", "0 to"]),
        (["a.png", "--size", "128x64", "--tile", "30"], ["tile", "nearest"]),
        (["a.png", "--size", "128x64", "--seed=-1"], ["seed", "2**64"]),
        (["a.png", "--size", "128x64", "--save_inversions", "x/y"], ["create"]),
    ],
)
def test_bad_outpainting_is_one_line(folder, model, capsys, arguments, words):
    refused(capsys, outpaint.main, [*_common(model), *arguments], *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--size", "128x64"], ["pictures (1)", "outpaint"]),
        (["a.png", "c.png", "--size", "128x64"], ["c.png"]),
        (["a.png", "b.png", "--size", "60x64"], ["at least 68"]),
        (["a.png", "b.png", "--size", "600x20"], ["at least 24"]),
        (["tiny.png", "a.png", "--size", "128x64"], ["tiny.png", "24"]),
    ],
)
def test_bad_passages_are_one_line(folder, model, capsys, arguments, words):
    refused(capsys, inbetween.main, [*arguments, *_common(model)], *words)


def test_large_pictures_are_continued_in_their_own_pixels(folder, tmp_path, capsys):
    path = tmp_path / "detailed.safetensors"
    part = bundle_lib.DetailPart(detail_config(), small_detail.params())
    bundle_lib.save(path, dataclasses.replace(small.bundle(), detail=part, digest=""))
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (256, 264, 3), np.uint8)
    Image.fromarray(large).save("large.png")
    common = ["--checkpoint", str(path), "--steps", "1"]
    outpaint.main(["large.png", "--size", "320x280", *common])
    answer = _pixels("large-outpainted.png")
    np.testing.assert_array_equal(answer[12:268, 28:292], large)
    assert "Level" in Image.open("large-outpainted.png").text
    options = ["--save_inversions", "kept", "--out", "c.png"]
    inbetween.main(["large.png", "large.png", "--size", "620x280", *common, *options])
    passage = _pixels("c.png")
    np.testing.assert_array_equal(passage[12:268, :264], large)
    # As before, where its shorter side is said.
    side = ["--side", "24", "--out", "d.png"]
    outpaint.main(["large.png", *side, "--size", "64x48", *common])
    capsys.readouterr()
    words = ["large.png", "--size", "260x280", "--out", "e.png", *common]
    told = refused(capsys, outpaint.main, words)
    assert "must be at least the picture's, 264x256" in told
