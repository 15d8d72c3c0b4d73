"""What takes minutes: memory of large pictures, and learning. Run by make test-slow."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import sampling
from tests.training import running

PHOTOGRAPHS = pathlib.Path(
    os.environ.get(
        "INFINITYGAN_PHOTOGRAPHS",
        pathlib.Path(__file__).parents[2] / "shared" / "data" / "landscapes",
    )
)
pytestmark = pytest.mark.slow


def test_memory_does_not_grow_with_the_picture():
    _, small = sampling.command_cost("4096x4096", "landscape_lite")
    _, tall = sampling.command_cost("4096x16384", "landscape_lite")
    assert small < 1200  # MB
    assert tall < 1.1 * small


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs the photographs")
def test_300_steps_learn_the_colours_of_landscapes(tmp_path):
    process = running.start_config(
        "configs/landscape_lite.py",
        tmp_path,
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.source={PHOTOGRAPHS}",
        "--config.train.num_steps=300",
        "--config.train.sheet_every=299",
    )
    status, text = running.finish(process, timeout=3000)
    assert status == 0, text
    sheet = np.asarray(Image.open(tmp_path / "run/sheets/step_00000300/samples.png"))
    photographs = sorted(PHOTOGRAPHS.glob("*.jpg"))[:200]
    colours = [
        np.asarray(Image.open(p).convert("RGB")).mean((0, 1)) for p in photographs
    ]
    distance = np.abs(sheet.mean((0, 1)) - np.mean(colours, axis=0))
    assert distance.max() < 30  # of 255
