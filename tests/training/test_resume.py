"""Training that was killed goes on as if nothing had happened."""

import pathlib
import signal
import time

import jax
import numpy as np
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

    stopped_at = newest(parts)
    status, text = running.finish(running.start(tmp_path, f"--workdir={parts}"))
    assert status == 0, text
    assert f"going on from step {stopped_at}" in text
    assert newest(whole) == newest(parts) == 12
    pairs = list(zip(stored(whole, 12), stored(parts, 12), strict=True))
    assert len(pairs) > 50
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
