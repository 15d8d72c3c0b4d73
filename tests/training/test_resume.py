"""Training that was killed goes on as if nothing had happened."""

import pathlib
import signal
import time

import jax
import numpy as np

from infinitygan_jax.training import checkpoint
from infinitygan_jax.training.state import init_state
from tests.training import running


def final_state(workdir: pathlib.Path, step: int) -> list[np.ndarray]:
    config = running.tiny_config()
    with checkpoint.Checkpoints(workdir, config) as checkpoints:
        assert checkpoints.latest_step == step
        state = checkpoints.restore(lambda: init_state(config))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def newest(workdir: pathlib.Path) -> int:
    folder = checkpoint.checkpoints_path(workdir)
    return max(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def wait_for_line(process, start: str) -> None:
    """Reads stderr up to the line of a step."""
    for line in process.stderr:
        if start in line:
            return
    raise AssertionError(f"the run ended before {start!r}")


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
    whole_save = checkpoint.checkpoints_path(parts) / "6" / checkpoint.FILE_DIGESTS
    deadline = time.monotonic() + 60
    while not whole_save.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert running.finish(process)[0] == -signal.SIGKILL
    assert newest(parts) == 6

    flags = [f"--workdir={parts}", "--config.train.save_every=100"]
    process = running.start(tmp_path, *flags)
    wait_for_line(process, "step 8/12")
    process.terminate()
    status, text = running.finish(process)
    assert status == 128 + signal.SIGTERM, text
    assert "stopped by signal 15" in text
    assert 8 <= newest(parts) < 12

    status, text = running.finish(running.start(tmp_path, f"--workdir={parts}"))
    assert status == 0, text
    assert f"going on from step {newest(parts)}" not in text  # 12 is saved by now.
    for one, other in zip(final_state(whole, 12), final_state(parts, 12), strict=True):
        np.testing.assert_array_equal(one, other)
