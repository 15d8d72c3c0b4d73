"""Job files: the commands in them paint a picture."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.cli import sample
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny
from tests.writers import pictures

ROOT = pathlib.Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"

# What Slurm does with a submission, but at once and in this place.
SBATCH = """#!/usr/bin/env bash
set -euo pipefail
words=("$@")
last=0
while [[ $1 == --* ]]; do
    [[ $1 == --array=0-* ]] && last="${1#--array=0-}"
    [[ $1 == --chdir=* ]] && cd "${1#--chdir=}"
    shift
done
for ((index = last; index >= 0; index--)); do
    SLURM_ARRAY_TASK_ID=$index bash "$@" >&2
done
echo "${words[0]} ${words[1]}" >>"$CALLS"
echo "12;cluster"
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.safetensors"
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    return str(path)


def test_slurm_jobs_paint_a_picture(tmp_path, model):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", '#!/bin/sh\nexec "$@"\n')):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    out = tmp_path / "a.zarr"
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "CALLS": str(tmp_path / "calls"),
        "JAX_PLATFORMS": "cpu",
    }
    options = ["--size", "600x1100", "--tile", "32", "--checkpoint", model]
    submit = [str(DEPLOY / "slurm" / "submit.sh"), "2", *options, "--out", str(out)]
    result = subprocess.run(
        submit, env=environment, check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "shards: job 12, end: job 12\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["--parsable --array=0-1", "--parsable --dependency=afterok:12"]
    expected = World(tiny.MODEL, tiny.params(), tile_size=32)[-550:550, 0:600]
    np.testing.assert_array_equal(pictures.read(out)[0], expected)


def test_submit_says_how_it_is_used():
    submit = str(DEPLOY / "slurm" / "submit.sh")
    for words in ([], ["0", "--size=8x8"], ["many", "--size=8x8"]):
        result = subprocess.run(
            [submit, *words], check=False, capture_output=True, text=True
        )
        assert result.returncode == 2
        assert re.fullmatch(r"usage: .*\n", result.stderr)


def test_kubernetes_jobs_paint_a_picture(tmp_path, model):
    shards, end = (
        yaml.safe_load((DEPLOY / "kubernetes" / name).read_text())
        for name in ("shards.yaml", "finish.yaml")
    )
    assert shards["spec"]["completionMode"] == "Indexed"
    containers = [
        job["spec"]["template"]["spec"]["containers"][0] for job in (shards, end)
    ]
    names = {each["name"]: each["value"] for each in containers[0]["env"]}
    assert int(names["SHARDS"]) == shards["spec"]["completions"]
    assert containers[0]["image"] == containers[1]["image"]
    assert containers[0]["args"][:-1] == containers[1]["args"][:-1]

    def run(container, **values):
        words = []
        for word in container["args"]:
            for name, value in values.items():
                word = word.replace(f"$({name})", value)
            word = word.replace("/pictures/", f"{tmp_path}/")
            words.append(re.sub("--size=.*", "--size=600x1100", word))
        sample.main([*words, "--checkpoint", model, "--tile", "32"])

    for index in ("1", "0"):
        run(containers[0], JOB_COMPLETION_INDEX=index, SHARDS="2")
    run(containers[1])
    world = World(tiny.MODEL, tiny.params(), tile_size=32, seed=7)
    found = pictures.read(tmp_path / "picture.zarr")[0]
    np.testing.assert_array_equal(found, world[-550:550, 0:600])
