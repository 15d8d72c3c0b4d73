import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infinitygan_jax import config as config_lib
from infinitygan_jax.training import checkpoint, run_config, stored
from infinitygan_jax.training.checkpoint import Checkpoints
from infinitygan_jax.training.state import TrainState

CONFIG = config_lib.Config()


def make_state(step: int) -> TrainState:
    params = {
        "dense": {"kernel": jnp.full((40, 30), float(step)), "bias": jnp.arange(3.0)}
    }
    return TrainState(
        step=jnp.int32(step),
        g_params=params,
        d_params=jax.tree.map(lambda x: x + 1, params),
        d_state=jax.tree.map(lambda x: x + 3, params),
        ema_params=jax.tree.map(lambda x: x + 2, params),
        g_opt_state=optax.adam(1e-3).init(params),
        d_opt_state=optax.adam(1e-3).init(params),
        path_mean=jnp.float32(0.25 * step),
        seen={"real": jnp.full((4, 3), float(step))},
    )


def saved(workdir: pathlib.Path, *steps: int) -> pathlib.Path:
    run_config.write(workdir, CONFIG)
    with Checkpoints(workdir, CONFIG) as checkpoints:
        for step in steps:
            checkpoints.save(step, make_state(step))
    return workdir


def restored(workdir: pathlib.Path) -> TrainState:
    with Checkpoints(workdir, CONFIG) as checkpoints:
        return checkpoints.restore(lambda: make_state(0))


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_newest_state_comes_back_whole_and_two_are_kept(tmp_path):
    saved(tmp_path, 3, 6, 9)
    assert_same(restored(tmp_path), make_state(9))
    names = {path.name for path in checkpoint.checkpoints_path(tmp_path).iterdir()}
    assert names == {"6", "9"}


def test_steps_are_kept_where_asked_and_each_can_be_painted(tmp_path):
    config = changed("train", save_every=3, keep_every=6)
    run_config.write(tmp_path, config)
    with Checkpoints(tmp_path, config) as checkpoints:
        for step in range(3, 24, 3):
            checkpoints.save(step, make_state(step))
    kept = {path.name for path in checkpoint.checkpoints_path(tmp_path).iterdir()}
    assert kept == {"6", "12", "18", "21"}
    for step, name in ((6, f"{tmp_path}@6"), (18, f"{tmp_path}@18"), (21, tmp_path)):
        bundle = stored.load_bundle(name)
        assert bundle.info["step"] == str(step)
        expected = jax.device_get(make_state(step).ema_params)
        assert_same(bundle.generator, expected)
    with pytest.raises(ValueError, match=r"@9\) must be .*keeps 6, 12, 18, 21; name"):
        stored.load_bundle(f"{tmp_path}@9")
    # They stay when the run goes on without the setting, or with another.
    for number, others in ((24, {}), (30, {"save_every": 5, "keep_every": 10})):
        with Checkpoints(tmp_path, changed("train", **others)) as checkpoints:
            checkpoints.save(number, make_state(number))
            checkpoints.save(number + 1, make_state(number + 1))
    kept = {path.name for path in checkpoint.checkpoints_path(tmp_path).iterdir()}
    assert {"6", "12", "18", "30", "31"} <= kept
    file = next(p for p in (tmp_path / "checkpoints" / "12").rglob("*") if p.is_file())
    file.write_bytes(b"other")
    with pytest.raises(ValueError, match="12"):
        stored.load_bundle(f"{tmp_path}@12")
    stored.load_bundle(f"{tmp_path}@18")
    # A folder whose own name ends so is that folder.
    tmp_path.joinpath("checkpoints", "12").rename(tmp_path / "damaged")
    other = tmp_path.rename(tmp_path.with_name("run@6"))
    assert stored.load_bundle(other).info["step"] == "31"


def test_saving_a_step_twice_keeps_the_first(tmp_path):
    saved(tmp_path, 3)
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        checkpoints.save(3, make_state(4))
    assert_same(restored(tmp_path), make_state(3))


def test_saved_state_is_a_copy(tmp_path):
    # On the CPU a host view shares memory with the array, which the next step reuses.
    state = make_state(1)
    change = jax.jit(
        lambda s: jax.tree.map(lambda x: x + jnp.ones_like(x), s), donate_argnums=0
    )
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        checkpoints.save(1, state)
        jax.block_until_ready(change(state))
    assert_same(restored(tmp_path), make_state(1))


@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_any_damaged_file_of_the_newest_checkpoint_is_an_error(tmp_path, damage):
    saved(tmp_path, 3, 6)
    folder = checkpoint.checkpoints_path(tmp_path) / "6"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        if path.name == checkpoint.FILE_DIGESTS and damage == "missing":
            continue  # As after a kill right after Orbax's rename: still whole.
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        half = data[: len(data) // 2]
        path.write_bytes(half if damage == "cut" else data)
        if damage == "missing":
            path.unlink()
        with pytest.raises(ValueError, match=r"checkpoints/6\) must be unaltered"):
            restored(tmp_path)
        with pytest.raises(ValueError, match=r"delete that folder"):
            checkpoint.load_for_sampling(tmp_path)
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    assert_same(restored(tmp_path), make_state(6))


def test_arrays_are_checked_where_the_list_of_files_is_missing(tmp_path):
    # Orbax itself restores other bytes silently, if they are well formed.
    saved(tmp_path, 3)
    folder = checkpoint.checkpoints_path(tmp_path) / "3"
    (folder / checkpoint.FILE_DIGESTS).unlink()
    assert_same(restored(tmp_path), make_state(3))
    path = folder / "_CHECKPOINT_METADATA"
    metadata = json.loads(path.read_text())
    digest = metadata["custom_metadata"]["digest"]
    metadata["custom_metadata"]["digest"] = digest[::-1]
    path.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="digest of its arrays differs"):
        restored(tmp_path)


def test_deleting_the_damaged_checkpoint_goes_on_from_the_one_before(tmp_path):
    saved(tmp_path, 3, 6)
    folder = checkpoint.checkpoints_path(tmp_path) / "6"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    assert_same(restored(tmp_path), make_state(3))


KILLED_IN_A_SAVE = """
import sys, numpy as np
from infinitygan_jax import config
from infinitygan_jax.training.checkpoint import Checkpoints
with Checkpoints(sys.argv[1], config.Config()) as checkpoints:
    checkpoints.save(3, {"a": np.zeros(3, np.float32)})
    checkpoints.wait()
    checkpoints.save(6, {str(i): np.random.rand(1000, 1000) for i in range(60)})
"""


def test_checkpoint_that_was_cut_off_by_a_kill_is_not_counted(tmp_path):
    folder = checkpoint.checkpoints_path(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", KILLED_IN_A_SAVE, tmp_path])
    deadline = time.monotonic() + 120
    while not list(folder.glob("6.*")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "6").exists()
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        assert checkpoints.latest_step == 3
        state = {"a": jnp.zeros(3)}
        assert_same(checkpoints.restore(lambda: state), state)
        checkpoints.save(6, state)  # The step can be saved again.
    assert {path.name for path in folder.iterdir()} == {"3", "6"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_state_that_is_not_finite_is_not_saved(tmp_path, value):
    saved(tmp_path, 3)
    broken = make_state(6).replace(path_mean=jnp.float32(value))
    wanted = pytest.raises(FloatingPointError, match=r"path_mean .* after step 6")
    with Checkpoints(tmp_path, CONFIG) as checkpoints, wanted:
        checkpoints.save(6, broken)
    assert_same(restored(tmp_path), make_state(3))


def test_checkpoint_of_another_model_says_which_arrays_differ(tmp_path):
    saved(tmp_path, 3)
    other = make_state(0)
    other = other.replace(d_params={"dense": {"kernel": jnp.zeros((2, 2))}})
    wanted = pytest.raises(ValueError, match="d_params/dense/bias, d_params/dense/ker")
    with Checkpoints(tmp_path, CONFIG) as checkpoints, wanted:
        checkpoints.restore(lambda: other)


def test_nothing_to_restore_is_an_error(tmp_path):
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        assert checkpoints.latest_step is None
        with pytest.raises(ValueError, match="holds no whole checkpoint"):
            checkpoints.restore(lambda: make_state(0))
    with pytest.raises(ValueError, match="holds no whole checkpoint"):
        checkpoint.load_for_sampling(tmp_path)
    with pytest.raises(ValueError, match="no checkpoints folder"):
        checkpoint.load_for_sampling(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_sampling_takes_the_average_and_the_discriminator(tmp_path):
    bundle = checkpoint.load_for_sampling(saved(tmp_path, 3))
    assert bundle.config == CONFIG
    assert (bundle.info["step"], bundle.info["images seen"]) == ("3", "48 (16 a step)")
    assert bundle.info["time"] == "0.0 hours"
    assert "cpu" in bundle.info["machine"]
    assert_same(bundle.generator, jax.device_get(make_state(3).ema_params))
    assert_same(bundle.discriminator, jax.device_get(make_state(3).d_params))


def changed(group: str, **values) -> config_lib.Config:
    part = dataclasses.replace(getattr(CONFIG, group), **values)
    return dataclasses.replace(CONFIG, **{group: part})


def test_other_settings_are_named(tmp_path):
    run_config.check(
        tmp_path, CONFIG, checkpoint.has_checkpoint(tmp_path)
    )  # A new workdir takes any.
    run_config.write(tmp_path, CONFIG)
    run_config.check(tmp_path, CONFIG, checkpoint.has_checkpoint(tmp_path))
    with pytest.raises(ValueError, match=r"train\.seed: 0 -> 7"):
        run_config.check(tmp_path, changed("train", seed=7), True)
    with pytest.raises(ValueError, match=r"data.flip: True -> False\)"):
        run_config.check(tmp_path, changed("data", flip=False), True)


def test_length_and_periods_may_change(tmp_path):
    run_config.write(tmp_path, CONFIG)
    run_config.check(
        tmp_path,
        changed("train", num_steps=1, log_every=2, sheet_every=0, save_every=4),
        has_checkpoint=True,
    )
    run_config.check(tmp_path, changed("data", num_threads=9), True)
    run_config.check(tmp_path, changed("model", truncation=0.5, noise_scale=0.5), True)


def test_a_workdir_is_painted_as_it_was_last_told(tmp_path):
    saved(tmp_path, 3)
    before = checkpoint.load_for_sampling(tmp_path)
    run_config.write(tmp_path, changed("model", truncation=0.5, noise_scale=0.2))
    told = checkpoint.load_for_sampling(tmp_path)
    for bundle, said in ((before, (1, 1)), (told, (0.5, 0.2))):
        model = bundle.config.model
        assert (model.truncation, model.noise_scale) == said
    assert told.digest != before.digest
    run_config.write(tmp_path, CONFIG)
    assert checkpoint.load_for_sampling(tmp_path).digest == before.digest


def test_unreadable_or_missing_settings_are_errors(tmp_path):
    saved(tmp_path, 3)
    path = run_config.config_path(tmp_path)
    path.write_text(path.read_text()[:-30])
    with pytest.raises(ValueError, match="must hold settings as JSON"):
        run_config.check(tmp_path, CONFIG, checkpoint.has_checkpoint(tmp_path))
    path.unlink()
    with pytest.raises(ValueError, match=r"no config\.json"):
        run_config.check(tmp_path, CONFIG, checkpoint.has_checkpoint(tmp_path))


def test_state_bytes_counts_all_arrays():
    size = checkpoint.state_bytes(lambda: {"a": jnp.zeros((3, 5)), "b": jnp.int32(0)})
    assert size == 3 * 5 * 4 + 4


def test_time_adds_up_over_runs(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    for step in (1, 2):
        with Checkpoints(tmp_path, CONFIG) as checkpoints:
            if step > 1:
                checkpoints.restore(lambda: make_state(0))
            now[0] += 3600.0
            checkpoints.save(step, make_state(step))
        now[0] += 7200.0  # between the runs
    assert checkpoint.load_for_sampling(tmp_path).info["time"] == "2.0 hours"
