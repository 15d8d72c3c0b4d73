"""run_sample.py --out -: a PNG on standard output and nothing else."""

import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from infinitygan_jax.cli import rendering, sample
from infinitygan_jax.sampling.world import World
from infinitygan_jax.writers import png
from tests.cli.refusals import refused
from tests.sampling import tiny

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def _words(model, *options):
    usual = ["--checkpoint", model, "--size", "40x30", "--tile", "32", "--seed", "3"]
    return [*usual, *options]


def test_it_is_the_file_and_messages_go_elsewhere(folder, model, capfdbinary):
    sample.main(_words(model, "--out", "a.png"))
    capfdbinary.readouterr()
    sample.main(_words(model, "--out", "-"))
    out, err = capfdbinary.readouterr()
    assert out == pathlib.Path("a.png").read_bytes()
    assert b"standard output: " in err and b"megapixels" in err
    assert os.listdir() == ["a.png"]


def test_a_dry_run_writes_nothing_there(folder, model, capfdbinary):
    sample.main(_words(model, "--out", "-", "--dry_run"))
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert b"40x30 px" in err and b"output      standard output, at most" in err


def test_an_error_midway_leaves_it_empty(folder, model, capfdbinary, monkeypatch):
    def fail(*rest):
        rest[2].path.write_bytes(png.SIGNATURE)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rendering, "paint_into", fail)
    with pytest.raises(SystemExit) as end:
        sample.main(_words(model, "--out", "-"))
    assert end.value.code == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.count(b"error: ") == 1
    assert not os.listdir()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "1"], ["--seeds does not go with --out -", "--out"]),
        (["--shard", "0/2"], ["--shard does not go"]),
        (["--finish"], ["--finish does not go"]),
        (["--quality", "80"], ["--quality does not go", "PNG"]),
        (["--tile", "30"], ["tile (30)"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, model, capsys, options, words):
    usual = ["--checkpoint", model, "--size", "24x12", "--out", "-"]
    refused(capsys, sample.main, [*usual, *options], *words)


def test_no_terminal_gets_a_picture(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    words = ["--out - writes a PNG", "must not be a terminal", ">"]
    refused(capsys, sample.main, _words(model, "--out", "-"), *words)


def _piped(model, size, **options):
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "run_sample.py"),
            *_words(model, "--size", size, "--out", "-"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_program_can_read_it(folder, model):
    process = _piped(model, "40x30", stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    world = World(tiny.MODEL, tiny.params(), seed=3, tile_size=32)
    with PIL.Image.open(io.BytesIO(out)) as file:
        np.testing.assert_array_equal(np.asarray(file), world[-15:15, 0:40])


def test_a_reader_may_go_away(folder, model):
    """More than a pipe and buffers hold, so that writing fails in between."""
    process = _piped(model, "600x500", stdout=subprocess.PIPE)
    assert process.stdout.read(8) == png.SIGNATURE
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(timeout=120) == 0, err
    assert "error" not in err and "Broken" not in err and "Traceback" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_it_is_one_line(folder, model):
    with open("/dev/full", "wb") as full:
        process = _piped(model, "40x30", stdout=full)
        err = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 2
    assert err.count("error: ") == 1 and "No space left" in err
