"""What takes minutes: large pictures, kills, learning. Run by make test-slow."""

import itertools
import os
import pathlib
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks import sampling
from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import writers
from infinitygan_jax.training import run_config, sheets
from infinitygan_jax.writers import job
from tests.sampling import tiny
from tests.training import running
from tests.writers import pictures

PHOTOGRAPHS = pathlib.Path(
    os.environ.get(
        "INFINITYGAN_PHOTOGRAPHS",
        pathlib.Path(__file__).parents[2] / "shared" / "data" / "landscapes",
    )
)
pytestmark = pytest.mark.slow


AS_PAINTED = "--zoom", "1"


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """The commands run as users run them, not on the eight devices of tests."""
    monkeypatch.delenv("XLA_FLAGS")


def test_memory_does_not_grow_with_the_picture():
    _, small = sampling.command_cost("4096x4096", "landscape_lite", "png", *AS_PAINTED)
    _, tall = sampling.command_cost("4096x16384", "landscape_lite", "png", *AS_PAINTED)
    assert small < 1200  # MB
    assert tall < 1.1 * small


def test_width_costs_a_tif_little_memory():
    _, small = sampling.command_cost("4096x4096", "landscape_lite", "tif", *AS_PAINTED)
    _, wide = sampling.command_cost("32768x2048", "landscape_lite", "tif", *AS_PAINTED)
    assert wide < 1200  # MB
    assert wide < 1.1 * small


@pytest.mark.parametrize("name", ["a.tif", "a.zarr", "a.dzi"])
def test_a_kill_at_any_moment_is_made_good(tmp_path, name):
    """20 renders are killed at a random moment each, and gone on with."""
    model = tmp_path / "tiny.safetensors"
    bundle_lib.save(model, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    options = [f"--checkpoint={model}", "--size=700x1700", "--tile=32", "--seed=3"]
    path = tmp_path / name

    def start():
        return running.start_python("run_sample.py", *options, f"--out={path}")

    assert running.finish(start())[0] == 0  # what it compiles is kept
    begin = time.perf_counter()
    assert running.finish(start_over(start, path))[0] == 0
    seconds = time.perf_counter() - begin
    expected = pictures.read(path)
    moments = np.random.default_rng().uniform(0, seconds, 20)
    gone_on = 0
    for moment in moments:
        process = start_over(start, path)
        time.sleep(moment)
        process.kill()
        process.communicate()
        if writers.is_finished(path):
            continue
        status, err = running.finish(start())
        assert status == 0, (moment, err)
        gone_on += "going on" in err
        for level, former in zip(pictures.read(path), expected, strict=True):
            np.testing.assert_array_equal(level, former, err_msg=str(moment))
        outputs = writers.writer_of(path).outputs(path)
        assert sorted(tmp_path.iterdir()) == sorted([model, *outputs])
    assert gone_on >= 3  # not all kills came before the first tile


def start_over(start, path):
    """Starts a render anew, of which nothing is there yet."""
    for output in [*writers.writer_of(path).outputs(path), job.folder_of(path)]:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
    return start()


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs the photographs")
def test_300_steps_learn_the_colours_of_landscapes(tmp_path):
    process = running.start_python(
        "run_train.py",
        "--config=configs/landscape_lite.py",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.source={PHOTOGRAPHS}[:-297]",
        "--config.train.num_steps=300",
        "--config.train.sheet_every=299",
    )
    status, text = running.finish(process, timeout=3000)
    assert status == 0, text
    sheet = np.asarray(Image.open(tmp_path / "run/sheets/step_00000300/samples.png"))
    config = run_config.read(tmp_path / "run")
    patch, full = config.model.patch_size, config.data.full_size
    step = patch + sheets.GUTTER
    starts = itertools.product(
        range(0, len(sheet), step), range(0, sheet.shape[1], step)
    )
    samples = np.stack([sheet[y : y + patch, x : x + patch] for y, x in starts])
    photographs = np.stack(
        [
            # As data.full_size and a patch from the middle show them.
            np.asarray(Image.open(path).convert("RGB").resize((full, full)))
            for path in sorted(PHOTOGRAPHS.glob("*.jpg"))[:200]
        ]
    )
    margin = (full - patch) // 2
    photographs = photographs[:, margin : margin + patch, margin : margin + patch]
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
