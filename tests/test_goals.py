"""What takes minutes: memory of large pictures, and learning. Run by make test-slow."""

import itertools
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import sampling
from infinitygan_jax.training import sheets
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
    process = running.start_python(
        "run_train.py",
        "--config=configs/landscape_lite.py",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.source={PHOTOGRAPHS}",
        "--config.train.num_steps=300",
        "--config.train.sheet_every=299",
    )
    status, text = running.finish(process, timeout=3000)
    assert status == 0, text
    sheet = np.asarray(Image.open(tmp_path / "run/sheets/step_00000300/samples.png"))
    step = 53 + sheets.GUTTER
    starts = itertools.product(
        range(0, len(sheet), step), range(0, sheet.shape[1], step)
    )
    samples = np.stack([sheet[y : y + 53, x : x + 53] for y, x in starts])
    photographs = np.stack(
        [
            # As data.full_size and a patch from the middle show them.
            np.asarray(Image.open(path).convert("RGB").resize((101, 101)))[24:77, 24:77]
            for path in sorted(PHOTOGRAPHS.glob("*.jpg"))[:200]
        ]
    )
    # By channel: mean, deviation of all pixels, and of the pictures' means.
    means, deviations, styles = zip(*map(colours, (samples, photographs)), strict=True)
    assert np.abs(means[0] - means[1]).max() < 30  # of 255
    for ours, theirs in (deviations, styles):
        assert np.all(ours > 0.5 * theirs)
        assert np.all(ours < 1.5 * theirs)


def colours(pictures):
    pictures = pictures.astype(float)
    means = pictures.mean((1, 2))
    return means.mean(0), pictures.std((0, 1, 2)), means.std(0)
