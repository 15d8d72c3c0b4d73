"""The invert command: files that hold what was found, or one line and none."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import machine
from infinitygan_jax.cli import invert, pictures
from infinitygan_jax.inversion.result import Inversion
from tests.cli.refusals import refused
from tests.cli.test_zoom import detail_config
from tests.inversion import small
from tests.models import test_detail as small_detail
from tests.sampling import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    bundle_lib.save(folder / "tiny.safetensors", small.bundle())
    bare = bundle_lib.Bundle(tiny.CONFIG, tiny.params())
    bundle_lib.save(folder / "bare.safetensors", bare)
    return folder / "tiny.safetensors"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two pictures, of which one is rectangular."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(small.sample()).save("a.png")
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (30, 50, 3), np.uint8)
    Image.fromarray(wide).save("wide.png")
    Image.fromarray(wide[:, :, 0]).save("grey.png")
    mask = np.full((30, 50), 255, np.uint8)
    mask[3:9, 30:40] = 0
    Image.fromarray(mask).save("mask.png")
    Image.fromarray(mask[:20, :20]).save("small.png")
    Image.fromarray(0 * mask).save("black.png")
    pathlib.Path("text.png").write_text("no picture")
    return tmp_path


QUICK = ["--steps", "2", "--set", "style_samples=100", "--set", "perceptual_weight=0"]


def test_an_image_becomes_a_file(folder, model, capsys):
    options = ["--region", "2,10,26x24", "--mask", "mask.png", "--horizon", "4"]
    options += ["--preview", "--checkpoint", str(model), "--seed", "3"]
    invert.main(["wide.png", "--out", "b.npz", *options, *QUICK])
    found = Inversion.load("b.npz", bundle_lib.load(model))
    with Image.open("wide.png") as image:
        np.testing.assert_array_equal(found.image, np.asarray(image)[2:26, 10:36])
    # The mask's black from row 3 and column 30 on, seen from 2, 10.
    expected = np.ones((24, 26), bool)
    expected[1:7, 20:] = False
    np.testing.assert_array_equal(found.mask, expected)
    assert (found.top, found.left) == (-4, 0)
    assert found.distance == "none"
    out, err = capsys.readouterr()
    psnr = found.figures["psnr"]
    assert re.fullmatch(rf"b\.npz: {psnr:.2f} dB, .*; 2 steps, [\d.]+ s\n", out)
    for name in ("perceptual", "autocorrelation", "z_global", "z_local", "mahalanobis"):
        assert name in out
    assert "dB" in err  # the progress bar
    with Image.open("b.png") as preview:
        assert preview.size == (52, 24)
        np.testing.assert_array_equal(np.asarray(preview)[:, :26], found.image)


def test_several_images_become_a_folder(folder, model):
    command = ["wide.png", "grey.png", "--side", "24", "--out", "found", *QUICK]
    command += ["--checkpoint", str(model), "--region", "0,0,26x26", "--batch", "1"]
    invert.main(command)
    assert sorted(path.name for path in (folder / "found").iterdir()) == [
        "grey.npz",
        "wide.npz",
    ]
    # One image goes into a folder that is there, too.
    invert.main(["a.png", "--out", "found", "--checkpoint", str(model), *QUICK])
    assert Inversion.load("found/a.npz").image.shape == (24, 24, 3)
    grey = Inversion.load("found/grey.npz").image
    assert grey.shape == (24, 24, 3)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])


def test_large_images_keep_their_own_pixels(folder, capsys):
    part = bundle_lib.DetailPart(detail_config(), small_detail.params())
    bundle = dataclasses.replace(small.bundle(), detail=part, digest="")
    bundle_lib.save("detailed.safetensors", bundle)
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (258, 266, 3), np.uint8)
    Image.fromarray(large).save("large.png")
    mask = np.full((258, 266), 255, np.uint8)
    mask[8:16, 40:50] = 0
    Image.fromarray(mask).save("mask.png")
    common = ["large.png", "--checkpoint", "detailed.safetensors", *QUICK]
    invert.main(
        [*common, "--mask", "mask.png", "--horizon", "100", "--out", "b.npz"]
        + ["--preview"]
    )
    found = Inversion.load("b.npz", bundle_lib.load("detailed.safetensors"))
    # Halved twice, and cut to whole pixels of that.
    assert found.zooms == 2 and found.image.shape == (64, 66, 3)
    np.testing.assert_array_equal(found.finer_image, large[:256, :264])
    np.testing.assert_array_equal(found.finer_mask, mask[:256, :264] > 0)
    assert not found.mask[2:4, 10:12].any() and found.mask[:, :10].all()
    assert found.top == -24  # row 25 is at the horizon, to a cell of 4
    with Image.open("b.png") as preview:
        assert preview.size == (528, 256)
        shown = np.asarray(preview)
    np.testing.assert_array_equal(shown[:, :264], found.finer_image)
    assert shown[:, 264:].std() > 1
    # A mask of which nothing is left.
    thin = np.zeros((258, 266), np.uint8)
    thin[:, 101] = 255
    Image.fromarray(thin).save("thin.png")
    capsys.readouterr()
    words = [*common, "--mask", "thin.png", "--out", "d.npz"]
    told = "--mask must leave a square of 4 pixels of large.png white"
    refused(capsys, invert.main, words, told, "give --side")
    # As before, where its side is said.
    invert.main([*common, "--side", "24", "--out", "c.npz"])
    assert Inversion.load("c.npz").zooms == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["none.png"], ["none.png", "No such file"]),
        (["."], ["image (.)", "cannot be read", "give another"]),
        (["a.png", "--mask", "b.npz", "--overwrite"], ["b.npz would be overwritten"]),
        (["text.png"], ["text.png", "no JPEG"]),
        (["small.png"], ["small.png", "20x20", "at least 24x24", "6 cells"]),
        (["a.png", "--side", "12"], ["12x12", "at least 24x24"]),
        (["a.png", "--side", "0"], ["--side (0)"]),
        (["a.png", "--out", "b.npy"], ["b.npy", "b.npz"]),
        (["a.png", "--out", "no/b.npz"], ["no", "does not exist"]),
        (["a.png", "--out", "there.npz"], ["there.npz", "--overwrite"]),
        (["there.png", "--out", "."], ["there.npz", "--overwrite"]),
        (["a.png", "--out", "no/b/"], ["no", "does not exist"]),
        (["a.png", "--out", "/proc/b.npz"], ["/proc", "cannot be written"]),
        (["a.png", "--out", "x" * 250 + ".npz"], ["name", "230"]),
        (["a.png", "--out", ""], ["--out is empty"]),
        (["a.png", "--out="], ["--out is empty"]),
        (["a.png", "wide.png", "--out", "b.npz"], ["b.npz", "folder"]),
        (["a.png", "a.png", "--out", "b"], ["two images", "a.npz"]),
        (["a.png", "--steps", "0"], ["steps (0)", "at least 1"]),
        (["a.png", "--steps", "-5"], ["steps (-5)", "at least 1"]),
        (["a.png", "--batch", "0"], ["--batch (0)"]),
        (["a.png", "--seed", "-1"], ["--seed (-1)", "use 1"]),
        (["a.png", "--set", "pixel_wieght=3"], ["pixel_wieght", "pixel_weight"]),
        (["a.png", "--set", "pixel_weight=x"], ["pixel_weight (x)", "a number"]),
        (["a.png", "--set", "pixel_weight"], ["NAME=VALUE"]),
        (["a.png", "--set", "steps=1e3"], ["steps (1e3)", "steps=400"]),
        (["a.png", "--set", "pixel_weight=1e300"], ["pixel_weight", "at most 1000000"]),
        (["a.png", "--set", f"steps={'9' * 5000}"], ["steps (9999", "whole number"]),
        (["a.png", "--region", f"0,0,{'9' * 5000}x9"], ["--region", "9 digits"]),
        (["a.png", "--region", "0,0,9"], ["--region (0,0,9)", "WIDTHxHEIGHT"]),
        (["a.png", "--region", "-4,0,24x24"], ["--region (-4,0,24x24)", "24x24"]),
        (["a.png", "--mask", "small.png"], ["--mask", "20x20", "24x24"]),
        (["wide.png", "--mask", "black.png"], ["--mask (black.png)", "white"]),
        (["a.png", "--horizon", "24"], ["--horizon (24)", "0 to 23"]),
        (["a.png", "--vertical_span", "0"], ["vertical_span (0)"]),
        (["a.png", "--lpips", "no.pth"], ["no.pth", "LPIPS"]),
        # Without a discriminator the frozen network compares, which sees from 32 px on.
        (["a.png", "--checkpoint", "bare"], ["24x24", "at least 32", "features"]),
        (["a.png", "--checkpoint", "no"], ["checkpoint (no)", "landscape_lite"]),
        (["a.png", "--stesp", "3"], ["--stesp", "--steps"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    (folder / "there.npz").write_text("mine")
    if "bare" in options:
        options = [str(model.with_stem("bare")) if o == "bare" else o for o in options]
    for name, value in (("--out", "b.npz"), ("--checkpoint", str(model))):
        options = options if name in options else [*options, name, value]
    refused(capsys, invert.main, options, *words)
    assert (folder / "there.npz").read_text() == "mine"


def test_too_little_memory_is_one_line(folder, model, monkeypatch, capsys):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 10**6)
    options = ["a.png", "--out", "b.npz", "--checkpoint", str(model)]
    refused(capsys, invert.main, options, "memory")


def test_a_resized_mask_knows_only_what_was_known():
    image = np.zeros((40, 60, 3), np.uint8)
    known = np.ones((40, 60), bool)
    known[11, 21] = False
    smaller, mask = pictures.resized(image, known, 20)
    assert smaller.shape == (20, 30, 3)
    expected = np.ones((20, 30), bool)
    expected[5, 10] = False  # of 2 x 2
    np.testing.assert_array_equal(mask, expected)
