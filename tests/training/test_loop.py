"""The loop's side effects, around steps that only count."""

import dataclasses
import json
import logging
import math
import os
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.training import (
    checkpoint,
    loop,
    preparing,
    processes,
    run_config,
    sheets,
)
from infinitygan_jax.training.state import TrainState
from infinitygan_jax.training.step import Steps
from tests.training import running


class CountingSteps(Steps):
    """Adds the batch's mean to a parameter; ``hook(step)`` may change the loss."""

    def __init__(self, hook):
        self.hook, self.batches, self.compiled = hook, [], False

    def compile(self, state):
        self.compiled = True

    def close(self):
        pass

    def replicate(self, tree):
        return tree

    def shard_batch(self, local):
        return local

    def phases(self, step):
        return ("d", "g")

    def iterate(self, state, batch, step):
        assert int(state.step) == step
        self.batches.append(batch)
        weight = state.g_params["w"] + jnp.mean(jnp.asarray(batch["image"]))
        loss = jnp.float32(self.hook(step + 1) or 0.5)
        state = state.replace(step=state.step + 1, g_params={"w": weight})
        return state, {"d_adv": loss}


def fresh_state(*unused) -> TrainState:
    return TrainState(
        step=jnp.int32(0),
        g_params={"w": jnp.zeros(3)},
        d_params={},
        d_state={},
        ema_params={"w": jnp.zeros(3)},
        g_opt_state=(),
        d_opt_state=(),
        path_mean=jnp.zeros(()),
        seen={},
    )


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Trains in ``tmp_path`` with ``CountingSteps``; returns them and the outcome."""
    image = np.zeros((2, 2, 3), np.uint8)
    for module in (loop, preparing):
        monkeypatch.setattr(module, "initializer", lambda config: fresh_state)
    monkeypatch.setattr(preparing, "check_devices", lambda *unused: None)
    monkeypatch.setattr(
        sheets.SheetPainter, "__call__", lambda self, params: {"samples": image}
    )

    def train(hook=lambda step: None, source="generated:12", amend=False, **settings):
        steps = CountingSteps(hook)
        monkeypatch.setattr(loop, "make_steps", lambda config: steps)
        config = running.tiny_config(**settings)
        data = dataclasses.replace(config.data, source=source)
        config = dataclasses.replace(config, data=data)
        return steps, loop.train(config, tmp_path, amend)

    return train


def saved_steps(workdir: pathlib.Path) -> set[str]:
    return {path.name for path in checkpoint.checkpoints_path(workdir).iterdir()}


def test_everything_is_written_at_its_period_and_at_the_end(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    _, outcome = run(num_steps=8, log_every=3, sheet_every=5, save_every=3)
    assert (outcome.step, outcome.signal) == (8, None)
    assert saved_steps(tmp_path) == {"6", "8"}
    lines = [message.split()[1] for message in caplog.messages if "images/s" in message]
    assert lines == ["3/8", "6/8", "8/8"]
    folders = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert folders == ["step_00000005", "step_00000008"]
    scalars = running.read_scalars(tmp_path)
    assert {step for name, step in scalars if name == "losses/d_adv"} == {3, 6, 8}
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["train"]["num_steps"] == 8


def test_parameters_are_listed_where_a_run_begins_and_not_where_it_goes_on(run, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    run(num_steps=2)
    said = [message for message in caplog.messages if " parameters, " in message]
    first, second = said  # the tests' generator is three numbers; nothing discriminates
    assert first.startswith("generator: 3 parameters, ")
    assert "| w " in first
    assert second.startswith("discriminator: 0 parameters, ")
    caplog.clear()
    run(num_steps=3)
    assert "going on from step 2" in caplog.text
    assert " parameters, " not in caplog.text


def test_no_sheets_with_period_zero(run, tmp_path):
    run(num_steps=2, sheet_every=0)
    assert not (tmp_path / "sheets").exists()


def test_going_on_takes_the_batches_that_follow(run):
    steps, whole = run(num_steps=7, save_every=100)
    assert [len(steps.batches), whole.step] == [7, 7]
    more, outcome = run(num_steps=9)
    assert (len(more.batches), outcome.step) == (2, 9)
    all_steps = [batch["image"] for batch in steps.batches + more.batches]
    expected = np.zeros(3, np.float32)
    for image in all_steps:
        expected += np.asarray(jnp.mean(jnp.asarray(image)))
    np.testing.assert_array_equal(outcome.state.g_params["w"], expected)
    means = [image.mean() for image in all_steps]
    assert len(set(means)) == 9  # No batch twice.


@pytest.mark.parametrize("num_steps", [3, 2])
def test_a_finished_run_says_so_and_does_nothing_again(run, caplog, num_steps):
    _, first = run(num_steps=3)
    caplog.set_level(logging.INFO)
    steps, outcome = run(num_steps=num_steps)
    assert (len(steps.batches), outcome.step, steps.compiled) == (0, 3, False)
    np.testing.assert_array_equal(
        outcome.state.g_params["w"], first.state.g_params["w"]
    )
    assert f"finished already: step 3 of {num_steps} is saved" in caplog.text
    assert "going on" not in caplog.text


def test_no_steps_save_the_first_state(run, tmp_path):
    _, outcome = run(num_steps=0)
    assert outcome.step == 0
    assert saved_steps(tmp_path) == {"0"}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("log_every", [1, 100])
def test_loss_that_is_not_finite_stops_at_once_and_saves_nothing(
    run, tmp_path, value, log_every
):
    hook = {5: value}.get
    with pytest.raises(FloatingPointError, match=r"d_adv is (nan|inf) at step 5"):
        run(hook, num_steps=1000, save_every=3, log_every=log_every)
    assert saved_steps(tmp_path) == {"3"}


def test_signal_finishes_the_step_saves_and_stops(run, tmp_path):
    def hook(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    former = signal.getsignal(signal.SIGTERM)
    _, outcome = run(hook, num_steps=1000, save_every=1000)
    assert (outcome.step, outcome.signal) == (4, signal.SIGTERM)
    assert saved_steps(tmp_path) == {"4"}
    assert signal.getsignal(signal.SIGTERM) == former
    assert run(num_steps=6)[1].step == 6


def test_other_settings_are_refused_and_nothing_changes(run, tmp_path):
    run(num_steps=3)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match=r"made with other settings \(train\.seed"):
        run(num_steps=6, seed=5)
    assert (tmp_path / "config.json").read_text() == before
    assert saved_steps(tmp_path) == {"3"}


def test_a_run_goes_on_with_other_settings_where_asked(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    run(num_steps=3, batch_size=8)
    other = dict(num_steps=5, batch_size=12, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"batch_size: 8 -> 12.*add `amend` to go on"):
        run(**other)
    steps, outcome = run(amend=True, **other)
    assert (len(steps.batches), outcome.step) == (2, 5)
    assert {len(batch["label"]) for batch in steps.batches} == {12}
    said = [m for m in caplog.messages if m.startswith("amended at step 3: ")]
    assert len(said) == 1
    assert "train.batch_size: 8 -> 12" in said[0]
    assert "train.learning_rate: 0.002 -> 0.5" in said[0]
    (amended,) = run_config.amendments(tmp_path)
    former = {"train.batch_size": 8, "train.learning_rate": 0.002}
    assert (amended.step, amended.former) == (3, former)
    # From here on it is as any run: exact, and refused other settings.
    steps, outcome = run(**{**other, "num_steps": 6})
    assert (len(steps.batches), outcome.step) == (1, 6)
    with pytest.raises(ValueError, match=r"batch_size: 12 -> 8"):
        run(num_steps=7, batch_size=8, learning_rate=0.5)
    # What it has seen: 3 steps of 8 and 3 of 12.
    amended = run_config.amendments(tmp_path)
    assert len(amended) == 1
    seen = {3: 24, 2: 16}
    for step, images in seen.items():
        assert run_config.num_images(8, step, amended) == images
    assert run_config.num_images(12, 6, amended) == 60


def test_a_run_goes_on_with_other_images_where_asked(run, tmp_path, monkeypatch):
    run(num_steps=3)
    with pytest.raises(ValueError, match="add `amend` to go on with these"):
        run(num_steps=5, source="generated:13")

    class Killed(BaseException):
        pass

    def kill(step):
        raise Killed

    for amend in (True, False):  # amended, and once more after a kill
        with pytest.raises(Killed):
            run(kill, num_steps=5, source="generated:13", amend=amend)
    (amended,) = run_config.amendments(tmp_path)
    assert (amended.step, dict(amended.former)) == (3, {})
    assert amended.data.startswith("13 images")
    # Taken back before anything was learned from them, and amended again.
    with pytest.raises(Killed):
        run(kill, num_steps=5)
    with pytest.raises(Killed):
        run(kill, num_steps=5, source="generated:13", amend=True)
    changes = [each.data[:2] for each in run_config.amendments(tmp_path)]
    assert changes == ["13", "12", "13"]
    assert run(num_steps=5, source="generated:13")[1].step == 5
    with pytest.raises(ValueError, match="12 images"):
        run(num_steps=6)


def test_what_is_trained_cannot_be_amended(run, tmp_path, monkeypatch):
    run(num_steps=3)
    before = contents(tmp_path)
    other = dataclasses.replace(running.tiny_config().model, z_global_size=16)
    monkeypatch.setattr(
        running,
        "tiny_config",
        lambda make=running.tiny_config, **train: dataclasses.replace(
            make(**train), model=other
        ),
    )
    with pytest.raises(ValueError, match=r"\(model.z_global_size: 8 -> 16\); use the"):
        run(num_steps=5, amend=True, learning_rate=0.5)
    assert contents(tmp_path) == before


def test_second_run_in_the_same_workdir_is_refused(run):
    def hook(step):
        if step == 2:
            with pytest.raises(ValueError, match="another run trains in it"):
                run(num_steps=5)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(hook, num_steps=5)
    assert run(num_steps=5)[1].step == 5


def test_short_disk_is_noticed_before_training(run, tmp_path, monkeypatch):
    usage = preparing.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match="for checkpoints, and its disk has 0 MB free"):
        run(num_steps=5)
    assert not checkpoint.checkpoints_path(tmp_path).exists()


def test_restored_state_replaces_the_fresh_one(run, tmp_path):
    _, first = run(num_steps=3)
    _, second = run(num_steps=3)
    for one, other in zip(
        jax.tree.leaves(first.state), jax.tree.leaves(second.state), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert dataclasses.is_dataclass(second.state)


def forbidden(*unused, **also_unused):
    raise AssertionError("this must not be called")


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_changed_data_is_refused_at_once_and_nothing_changes(
    run, tmp_path, monkeypatch
):
    run(num_steps=3)
    before = contents(tmp_path)
    monkeypatch.setattr(CountingSteps, "compile", forbidden)  # takes long
    with pytest.raises(ValueError, match=r"\(13 images, .* some were added, removed"):
        run(num_steps=6, source="generated:13")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("listed", [True, False])
def test_a_damaged_checkpoint_is_refused_and_nothing_changes(run, tmp_path, listed):
    run(num_steps=3)
    folder = checkpoint.checkpoints_path(tmp_path) / "3"
    if listed:
        path = folder / "_CHECKPOINT_METADATA"
        os.truncate(path, path.stat().st_size // 2)
    else:  # Its arrays alone tell, once they are restored.
        (folder / checkpoint.FILE_DIGESTS).unlink()
        path = folder / "_CHECKPOINT_METADATA"
        metadata = json.loads(path.read_text())
        metadata["custom_metadata"]["digest"] = "0"
        path.write_text(json.dumps(metadata))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="must be unaltered"):
        run(num_steps=9999)
    assert contents(tmp_path) == before


def test_a_run_that_goes_on_keeps_its_new_length(run, tmp_path):
    run(num_steps=3)
    run(num_steps=5)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["train"]["num_steps"] == 5


def test_a_kill_before_the_settings_are_kept_leaves_a_usable_workdir(
    run, tmp_path, monkeypatch
):
    class Killed(BaseException):
        pass

    def kill(*unused):
        raise Killed

    for num_steps in (3, 5):  # A new run, and one that goes on.
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(run_config, "write", kill)
            run(num_steps=num_steps)
        assert run(num_steps=num_steps)[1].step == num_steps


def test_the_workdir_is_checked_before_the_images(run, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.sources, "check_source", forbidden)
    workdir = tmp_path / "file" / "run"
    workdir.parent.write_text("")
    with pytest.raises(ValueError, match="must be a folder that can be written"):
        preparing.prepare(running.tiny_config(), workdir)


@pytest.mark.parametrize("there", [True, False])
def test_refused_images_leave_the_workdir_as_it_was(run, tmp_path, there):
    workdir = tmp_path / "runs" / "one"
    if there:
        workdir.mkdir(parents=True)
    config = running.tiny_config()
    data = dataclasses.replace(config.data, source=str(tmp_path / "none"))
    with pytest.raises(ValueError, match="none does not"):
        loop.train(dataclasses.replace(config, data=data), workdir)
    expected = ["runs", "runs/one"] if there else []
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert sorted(found) == expected


def test_where_one_process_fails_all_stop(monkeypatch):
    monkeypatch.setattr(
        processes.multihost_utils, "process_allgather", lambda failed: [failed, True]
    )
    with pytest.raises(ValueError, match="process 1 cannot start; its message"):
        processes.together(lambda: 3)
    with pytest.raises(OSError, match="full"):
        processes.together(lambda: (_ for _ in ()).throw(OSError("full")))


def test_a_batch_beyond_memory_is_refused():
    config = running.tiny_config(batch_size=10**6)
    # Three float32 images of 17 x 17 a sample: 10,404 bytes.
    preparing.check_batch_memory(config, 10_404 * 10**6)
    with pytest.raises(ValueError, match=r"10 GB a process .* far fewer than 96116"):
        preparing.check_batch_memory(config, 10**9)


def test_a_signal_before_the_first_step_acts_as_usual(run, tmp_path):
    caught = []
    former = signal.signal(signal.SIGTERM, lambda *unused: caught.append(1))
    try:

        def hook(step):
            if step == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        _, outcome = run(hook, num_steps=2)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert (caught, outcome.signal) == ([1], None)
