"""Training that was killed goes on as if nothing had happened."""

import pathlib
import signal
import time

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from infinitygan_jax.training import checkpoint
from tests.training import running


def stored(workdir: pathlib.Path, step: int) -> list[np.ndarray]:
    """All arrays of a checkpoint, as Orbax alone reads them."""
    folder = checkpoint.checkpoints_path(workdir) / str(step)
    return jax.tree.leaves(ocp.load_checkpointables(folder)["state"])


def newest(workdir: pathlib.Path) -> int:
    folder = checkpoint.checkpoints_path(workdir)
    return max(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def wait_for_line(process, start: str) -> None:
    """Reads stderr up to the line of a step."""
    for line in process.stderr:
        if start in line:
            return
    raise AssertionError(f"the run ended before {start!r}")


def kill_after_save(process, workdir: pathlib.Path, step: int) -> None:
    """Kills a run as soon as the checkpoint of a step, its newest, is whole."""
    whole_save = checkpoint.checkpoints_path(workdir) / f"{step}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (whole_save / checkpoint.FILE_DIGESTS).exists():
            break
        time.sleep(0.01)
    process.kill()
    assert running.finish(process)[0] == -signal.SIGKILL
    assert newest(workdir) == step


def assert_same(whole: pathlib.Path, parts: pathlib.Path, step: int) -> None:
    """Compares the newest checkpoints of two runs, bit for bit."""
    assert newest(whole) == newest(parts) == step
    pairs = list(zip(stored(whole, step), stored(parts, step), strict=True))
    assert len(pairs) > 50
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_killed_and_stopped_runs_equal_an_uninterrupted_one(tmp_path):
    """12 steps = 6 steps, kill -9, some steps, SIGTERM, the rest; bit for bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    status, text = running.finish(running.start(tmp_path, f"--workdir={whole}"))
    assert status == 0, text

    flags = [f"--workdir={parts}", "--config.train.save_every=6"]
    # Painting the first sheet takes seconds: the save of step 6 ends, 12 is far away.
    flags.append("--config.train.sheet_every=7")
    process = running.start(tmp_path, *flags)
    wait_for_line(process, "step 7/12")
    kill_after_save(process, parts, 6)

    flags = [f"--workdir={parts}", "--config.train.save_every=100"]
    process = running.start(tmp_path, *flags)
    wait_for_line(process, "step 8/12")
    process.terminate()
    status, text = running.finish(process)
    assert status == 128 + signal.SIGTERM, text
    assert "stopped by signal 15" in text
    assert 8 <= newest(parts) < 12

    stopped_at = newest(parts)
    status, text = running.finish(running.start(tmp_path, f"--workdir={parts}"))
    assert status == 0, text
    assert f"going on from step {stopped_at}" in text
    assert_same(whole, parts, 12)


PROJECTED = (
    "--config.model.discriminator=projected",
    "--config.model.feature_size=32",
    "--config.model.head_width=8",
    "--config.model.pixel_widths=(8,8)",
    "--config.model.layout_widths=(8,)",
    "--config.model.previews=true",
    "--config.train.objective=hinge",
    "--config.train.shared_samples=true",
    "--config.train.augment=color,translation,cutout",
    "--config.train.constant_steps=4",
    "--config.train.distance_weight=1.0",
    "--config.train.r1_weight=0.0",
    "--config.train.path_weight=0.0",
)


def test_a_killed_run_of_a_projected_discriminator_equals_an_uninterrupted_one(
    tmp_path,
):
    """12 steps = 6 steps, kill -9, the rest: its state is a part of checkpoints."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    flags = [*PROJECTED, f"--workdir={whole}"]
    status, text = running.finish(running.start(tmp_path, *flags))
    assert status == 0, text

    flags = [*PROJECTED, f"--workdir={parts}", "--config.train.save_every=6"]
    process = running.start(tmp_path, *flags, "--config.train.sheet_every=7")
    wait_for_line(process, "step 7/12")
    kill_after_save(process, parts, 6)
    status, text = running.finish(running.start(tmp_path, *flags))
    assert status == 0, text
    assert "going on from step 6" in text
    assert_same(whole, parts, 12)


@pytest.mark.slow
def test_a_killed_run_equals_an_uninterrupted_one_when_compiled_for_long_ones(
    tmp_path,
):
    """4 steps = 2 steps, kill -9, the rest; optimized as users' runs are."""

    def start(workdir, *flags):
        return running.start_python(
            "run_train.py",
            f"--config={running.tiny_file(tmp_path)}",
            f"--workdir={workdir}",
            "--config.train.in_a_hurry=false",
            "--config.train.num_steps=4",
            "--config.train.save_every=2",
            *flags,
        )

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    status, text = running.finish(start(whole))
    assert status == 0, text
    # Painting the first sheet takes seconds: the save of step 2 ends, 4 is far away.
    process = start(parts, "--config.train.sheet_every=3")
    wait_for_line(process, "step 3/4")
    kill_after_save(process, parts, 2)
    status, text = running.finish(start(parts))
    assert status == 0, text
    assert "going on from step 2" in text
    assert_same(whole, parts, 4)
