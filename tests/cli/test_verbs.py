"""All commands under one name."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

import infinitygan_jax
from infinitygan_jax.cli import verbs
from tests.cli.refusals import refused

ROOT = pathlib.Path(__file__).parents[2]


def test_each_verb_is_a_command_with_its_own_help(capsys):
    for verb in verbs.VERBS:
        with pytest.raises(SystemExit) as end:
            verbs.main([verb, "--help"])
        assert end.value.code == 0
        assert "--" in capsys.readouterr().out
        assert importlib.import_module(f"infinitygan_jax.cli.{verb}").main


def test_every_command_is_a_verb():
    """But for what only those who make the package run."""
    commands = {
        path.stem
        for path in (ROOT / "infinitygan_jax" / "cli").glob("*.py")
        if "errors.run(main)" in path.read_text("utf-8")
    }
    assert commands == {*verbs.VERBS, "convert_features"}


def test_the_version_is_the_packages(capsys):
    verbs.main(["--version"])
    version = f"infinitygan_jax {infinitygan_jax.__version__}\n"
    assert capsys.readouterr().out in (version, "infinitygan_jax\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_the_verbs(words, capsys):
    verbs.main(words)
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in verbs.VERBS)


def test_what_is_no_verb_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused(capsys, verbs.main, ["smaple"], "unknown command 'smaple'", "sample")
    refused(capsys, verbs.main, ["xyz"], "sample, train")
    # The rest is the command's own.
    refused(capsys, verbs.main, ["sample", "--siz", "8x8"], "nearest is --size")


BLOCKED = """
import sys

NAMES = ("clu", "grain", "tensorboardX", "tensorflow_datasets")

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from infinitygan_jax.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("sample --size 8x8 --out a.png", 0, ""),
        ("sample --size 8x8 --out a.png --style 3", 2, "unknown option --style"),
        (
            "train --config=configs/landscape_lite.py:runlocal --workdir=w",
            2,
            "error: this needs the package grain, which painting does not; pip install "
            "'infinitygan_jax[train]', or make install\n",
        ),
    ],
)
def test_painting_needs_no_libraries_of_training(tmp_path, words, status, said):
    process = subprocess.run(
        [sys.executable, "-c", BLOCKED, *words.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == status, process.stderr
    assert said in process.stderr
    assert "Traceback" not in process.stderr
    assert (tmp_path / "a.png").exists() == (status == 0)
