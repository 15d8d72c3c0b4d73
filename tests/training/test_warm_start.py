"""Training can begin with the weights of a trained model."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax.training import (
    checkpoint,
    loop,
    preparing,
    processes,
    warm_start,
)
from tests.training import running

compiled = preparing.initializer


def init_state(config):
    """Makes a fresh state; compiled once, whatever a run is to begin with."""
    return compiled(dataclasses.replace(config, train=config_of().train))


def config_of(**train):
    return running.tiny_config(**{"batch_size": 16, **train})  # for eight devices


def with_sizes(config, **model):
    model = dataclasses.replace(config.model, **model)
    return dataclasses.replace(config, model=model)


@pytest.fixture(scope="module")
def model():
    """A model of the tiny sizes that another seed than that of the tests made."""
    config = config_of(seed=77)
    state = jax.device_get(compiled(config)())
    return bundle_lib.Bundle(config, state.ema_params, state.d_params)


@pytest.fixture
def initial(model, tmp_path):
    """A file of that model."""
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, model)
    return str(path)


@pytest.fixture
def no_steps(monkeypatch):
    """Lets runs of no steps compile none."""
    for module in (loop, preparing):
        monkeypatch.setattr(module, "initializer", init_state)
    monkeypatch.setattr(loop.Steps, "compile", lambda *unused: None)


def begun(config):
    return warm_start.begin(
        init_state(config)(), warm_start.read(config, init_state(config))
    )


def test_networks_are_the_models_and_all_else_is_fresh(initial, model):
    config = config_of(initial=initial)
    state, fresh = begun(config), init_state(config)()
    jax.tree.map(np.testing.assert_array_equal, state.g_params, model.generator)
    jax.tree.map(np.testing.assert_array_equal, state.ema_params, model.generator)
    jax.tree.map(np.testing.assert_array_equal, state.d_params, model.discriminator)
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    names = {field.name for field in dataclasses.fields(state)}
    for name in names - {"g_params", "ema_params", "d_params"}:
        jax.tree.map(
            np.testing.assert_array_equal, getattr(state, name), getattr(fresh, name)
        )
    types = jax.tree.map(lambda one, other: one.dtype == other.dtype, state, fresh)
    assert all(jax.tree.leaves(types))
    # The steps are given the memory of each: two may not share it.
    pointers = [
        leaf.unsafe_buffer_pointer()
        for leaf in jax.tree.leaves((state.g_params, state.ema_params))
    ]
    assert len(set(pointers)) == len(pointers)


def test_a_discriminator_of_other_sizes_begins_anew(initial, model, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    config = config_of(initial=initial)
    config = with_sizes(config, discriminator_widths=(8, 4, 8))
    state, fresh = begun(config), init_state(config)()
    jax.tree.map(np.testing.assert_array_equal, state.g_params, model.generator)
    jax.tree.map(np.testing.assert_array_equal, state.d_params, fresh.d_params)
    assert "discriminator begins anew" in caplog.text
    assert "float32[3, 3, 8, 8] for float32[3, 3, 4, " in caplog.text


def test_a_model_without_discriminator_will_do(model, tmp_path, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    path = tmp_path / "half.safetensors"
    bundle_lib.save(path, dataclasses.replace(model, discriminator=None, digest=""))
    config = config_of(initial=str(path))
    state = begun(config)
    jax.tree.map(np.testing.assert_array_equal, state.g_params, model.generator)
    jax.tree.map(
        np.testing.assert_array_equal, state.d_params, init_state(config)().d_params
    )
    assert "discriminator begins anew: train.initial has none" in caplog.text


def test_a_discriminator_is_not_taken_without_its_state(model, caplog):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    # What was learnt behind other random kernels is of no use.
    state = init_state(config_of())()
    state = state.replace(d_state={"mixing": {"kernel": np.zeros(3, np.float32)}})
    initial = checkpoint.Networks(model, model.discriminator, {})
    begun = warm_start.begin(state, initial)
    jax.tree.map(np.testing.assert_array_equal, begun.d_params, state.d_params)
    jax.tree.map(np.testing.assert_array_equal, begun.d_state, state.d_state)
    jax.tree.map(np.testing.assert_array_equal, begun.g_params, model.generator)
    assert "state/mixing/kernel is missing for float32[3]" in caplog.text


def test_a_workdir_gives_a_discriminator_that_bundles_leave_out(tmp_path):
    config = with_sizes(
        config_of(seed=77, objective="hinge"),
        discriminator="projected",
        feature_size=32,
        head_width=4,
        pixel_widths=(),
    )
    state = jax.device_get(compiled(config)())
    with checkpoint.Checkpoints(tmp_path, config) as checkpoints:
        checkpoints.save(3, state)
    train = dataclasses.replace(config.train, seed=1, initial=str(tmp_path))
    config = dataclasses.replace(config, train=train)
    state_of_zeros = jax.tree.map(np.zeros_like, state)
    begun = warm_start.begin(
        state_of_zeros, warm_start.read(config, lambda: state_of_zeros)
    )
    for name in ("g_params", "d_params", "d_state"):
        jax.tree.map(
            np.testing.assert_array_equal, getattr(begun, name), getattr(state, name)
        )
    assert begun.step == 0


def test_other_sizes_are_named_before_heavy_work(initial, tmp_path, monkeypatch):
    def forbidden(*unused, **also_unused):
        raise AssertionError("this must not be called")

    monkeypatch.setattr(preparing.sources, "check_source", forbidden)
    monkeypatch.setattr(loop, "make_steps", forbidden)
    config = with_sizes(config_of(initial=initial), z_global_size=16, mapping_layers=2)
    with pytest.raises(
        ValueError, match=r"^train.initial .*must be .*; set its own"
    ) as e:
        loop.train(config, tmp_path / "run")
    message = str(e.value)
    assert "model.z_global_size: 8 -> 16; model.mapping_layers: 1 -> 2)" in message
    assert "\n" not in message
    assert "seed" not in message  # differs, and does not matter
    assert not (tmp_path / "run").exists()


def test_other_arrays_of_the_same_settings_are_named(model, tmp_path):
    path = tmp_path / "odd.safetensors"
    generator = {**model.generator, "odd": np.zeros((2, 3), np.float32)}
    bundle_lib.save(path, dataclasses.replace(model, generator=generator, digest=""))
    config = config_of(initial=str(path))
    with pytest.raises(ValueError, match=r"odd is float32\[2, 3\] for none"):
        warm_start.read(config, init_state(config))


def test_what_is_no_model_is_an_error_that_names_the_setting(tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights")
    for name, reason in (
        ("nowhere", "does not exist; give a .safetensors file, a workdir"),
        (tmp_path / "text.safetensors", "must be a whole .safetensors file"),
        (tmp_path, "must be a workdir of run_train.py"),
    ):
        config = config_of(initial=str(name))
        with pytest.raises(ValueError, match=r"^train\.initial: ") as raised:
            preparing.prepare(config, tmp_path / "run")
        assert reason in str(raised.value)


def test_a_bundled_model_is_named_as_elsewhere():
    model = bundle_lib.load(bundle_lib.bundled("landscape_lite"))
    train = dataclasses.replace(model.config.train, initial="landscape_lite")
    config = dataclasses.replace(model.config, train=train)
    found = warm_start.read(config, init_state(config))
    assert found.bundle.digest == model.digest
    with pytest.raises(ValueError, match=r"model.patch_size: \d+ -> 17"):
        preparing.prepare(config_of(initial="landscape_lite"), "nowhere")


def test_runs_begin_with_it_once(initial, model, tmp_path, caplog, no_steps):
    caplog.set_level(logging.INFO, "infinitygan_jax")
    config = config_of(initial=initial, num_steps=0)
    outcome = loop.train(config, tmp_path / "run")
    assert "starting from step 0 with the weights of" in caplog.text
    assert outcome.step == 0
    found = checkpoint.load_for_sampling(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, found.generator, model.generator)
    jax.tree.map(
        np.testing.assert_array_equal, found.discriminator, model.discriminator
    )
    # A workdir is a model as well.
    other = config_of(initial=str(tmp_path / "run"))
    assert warm_start.read(other, init_state(other)).bundle.config == config
    # Resuming needs the file no more, and neither looks at nor waits for another.
    (tmp_path / "model.safetensors").unlink()
    caplog.clear()
    for name in (initial, "nowhere", ""):
        loop.train(config_of(initial=name, num_steps=0), tmp_path / "run")
        assert ("train.initial was for step 0" in caplog.text) == bool(name)
        caplog.clear()
    again = checkpoint.load_for_sampling(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, again.generator, model.generator)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_so_again(
    initial, model, tmp_path, monkeypatch, no_steps
):
    class Killed(BaseException):
        pass

    def kill(*unused, **also_unused):
        raise Killed

    config = config_of(initial=initial, num_steps=0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint.Checkpoints, "save", kill)
        loop.train(config, tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists()
    loop.train(config, tmp_path / "run")
    found = checkpoint.load_for_sampling(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, found.generator, model.generator)


def test_processes_must_begin_with_the_same_weights(initial, model, monkeypatch):
    gathered = []
    monkeypatch.setattr(
        processes.multihost_utils,
        "process_allgather",
        lambda value: gathered.append(value) or np.stack([gathered[0], value]),
    )
    config = config_of(initial=initial)
    initial = checkpoint.Networks(model, None, {})
    processes.check_same(config, "12 images", initial)
    # The same file may lie elsewhere.
    elsewhere = config_of(initial="elsewhere.safetensors")
    processes.check_same(elsewhere, "12 images", initial)
    other = dataclasses.replace(model, info={"step": "3"}, digest="")
    with pytest.raises(ValueError, match=rf"digest {other.digest[:16]}\); start all"):
        processes.check_same(
            config, "12 images", dataclasses.replace(initial, bundle=other)
        )
    # Nor may a discriminator differ, which the bundle's digest may be without.
    trained = dataclasses.replace(initial, d_params={"kernel": np.ones(3)})
    with pytest.raises(ValueError, match=r" and a discriminator of digest "):
        processes.check_same(config, "12 images", trained)
