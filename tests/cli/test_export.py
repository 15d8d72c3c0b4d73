"""Export: a workdir's model in one file that sampling takes."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import variants
from infinitygan_jax.cli import export
from infinitygan_jax.config import Config
from infinitygan_jax.training import stored
from tests.cli.refusals import refused
from tests.sampling import tiny


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A workdir in name; loading one is tested with the checkpoints."""
    data = dataclasses.replace(tiny.CONFIG.data, source="/a/private/folder")
    train = dataclasses.replace(tiny.CONFIG.train, initial="/a/private/model")
    config = dataclasses.replace(tiny.CONFIG, data=data, train=train)
    bundle = bundle_lib.Bundle(config, tiny.params(), info={"step": "12"})
    monkeypatch.setattr(stored, "load_bundle", lambda _: bundle)
    monkeypatch.chdir(tmp_path)
    return "workdir"


def test_a_workdir_becomes_one_file(workdir, tmp_path, capsys):
    export.main([workdir, "a.safetensors", "--info", "data=five = 5", "--info", "m=2c"])
    loaded = bundle_lib.load("a.safetensors")
    assert loaded.config == tiny.CONFIG  # without the folders of the files
    command = loaded.info.pop("command")
    assert f"--config=configs/{tiny.CONFIG.name}.py" in command
    assert loaded.info == {"step": "12", "data": "five = 5", "m": "2c"}
    jax.tree.map(np.testing.assert_array_equal, loaded.generator, tiny.params())
    out = capsys.readouterr().out
    assert re.search(rf"^a\.safetensors: [\d.]+ MB, digest {loaded.digest}$", out, re.M)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_command_of_a_small_variant_names_its_config(workdir, monkeypatch):
    name = variants.run_local(Config(name="landscape_lite")).name
    config = dataclasses.replace(tiny.CONFIG, name=name)
    bundle = bundle_lib.Bundle(config, tiny.params(), info={})
    monkeypatch.setattr(stored, "load_bundle", lambda _: bundle)
    export.main([workdir, "a.safetensors"])
    command = bundle_lib.load("a.safetensors").info["command"]
    assert "--config=configs/landscape_lite.py:runlocal " in command


def test_a_file_says_what_is_truncated(workdir):
    options = ["--truncation", "0.25", "--noise_scale", "0.75"]
    export.main([workdir, "a.safetensors", *options])
    model = bundle_lib.load("a.safetensors").config.model
    said = {"truncation": 0.25, "noise_scale": 0.75}
    assert model == dataclasses.replace(tiny.MODEL, **said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["WORKDIR", "FILE"]),
        (["workdir", "a.npz"], ["a.npz", ".safetensors"]),
        (["workdir", "no/a.safetensors"], ["no", "does not exist"]),
        (["workdir", "a.safetensors", "--info", "x"], ["--info (x)", "KEY=VALUE"]),
        (["workdir", "a.safetensors", "--truncation", "2"], ["--truncation (2.0)"]),
        (["workdir", "a.safetensors", "--noise_scale", "2"], ["--noise_scale (2.0)"]),
        (["workdir", "a.safetensors", "--inof", "x=y"], ["--inof", "--info"]),
    ],
)
def test_bad_input_is_one_line_and_no_file(workdir, tmp_path, capsys, options, words):
    refused(capsys, export.main, options, *words)
    assert not list(tmp_path.iterdir())


def test_a_missing_workdir_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused(capsys, export.main, ["nowhere", "a.safetensors"], "nowhere")


def test_what_a_replaced_file_says_of_data_and_use_stays_and_is_named(workdir, capsys):
    export.main([workdir, "a.safetensors", "--info", "data=five", "--info", "m=2c"])
    capsys.readouterr()
    other = ["--info", "use=any"]
    refused(capsys, export.main, [workdir, "a.safetensors", *other], "--overwrite")
    export.main([workdir, "a.safetensors", *other, "--overwrite"])
    info = bundle_lib.load("a.safetensors").info
    info.pop("command")
    assert info == {"step": "12", "data": "five", "use": "any"}
    assert "what it says of data is that of the file" in capsys.readouterr().out
