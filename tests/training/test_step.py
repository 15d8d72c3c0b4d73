"""The four steps: the same samples and gradients on any number of devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.config import Config, ModelConfig, TrainConfig
from infinitygan_jax.devices import make_mesh
from infinitygan_jax.training.state import TrainState, ema_decay, init_state, optimizers
from infinitygan_jax.training.step import check_devices, make_steps
from infinitygan_jax.training.task import Frozen
from tests.sampling import tiny

PHASES = ("d", "d_r1", "g", "g_path")

ALONE = Frozen(None, None)  # no network beside those that learn


def config_of(dtype="float32", **train):
    model = ModelConfig(
        patch_size=17,
        z_global_size=6,
        z_local_size=4,
        structure_width=6,
        texture_widths=(6,),
        mapping_layers=2,
        discriminator_widths=(8, 6, 4),
        stddev_group=4,
        dtype=dtype,
    )
    # Nearly all of the time here is compiling.
    settings = {"batch_size": 16, "path_every": 2, "r1_every": 3, "in_a_hurry": True}
    settings |= train
    return Config(model=model, data=tiny.CONFIG.data, train=TrainConfig(**settings))


CONFIG = config_of()


def batch_of(config, step=0):
    rng = np.random.default_rng(step)
    size, patch = config.train.batch_size, config.model.patch_size
    return {
        "image": rng.uniform(-1, 1, (size, patch, patch, 3)).astype(np.float32),
        "label": rng.uniform(-1, 1, size).astype(np.float32),
    }


@pytest.fixture(autouse=True)
def optax_may_promote():
    """Optax raises a float to the power of an integer count."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def copied(state):
    """A copy to give away, as the steps take over what they are given."""
    return jax.tree.map(jnp.copy, state)


@pytest.fixture(scope="module")
def steps():
    """Steps by number of devices, compiled once."""
    return {n: make_steps(CONFIG, make_mesh(jax.devices()[:n])) for n in (1, 4, 8)}


@pytest.fixture(scope="module")
def initial():
    state = init_state(CONFIG)
    # Strengths start at 0, where their inputs would not show.
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: x + 0.3 if path[-1].key == "noise_strength" else x,
        state.g_params,
    )
    return state.replace(g_params=params, path_mean=jnp.float32(0.02))


@pytest.mark.parametrize("phase", PHASES)
def test_gradients_do_not_depend_on_the_devices(steps, initial, phase):
    results = {}
    for count, one in steps.items():
        batch = one.shard_batch(batch_of(CONFIG))
        results[count] = one.gradients[phase](one.replicate(initial), batch)
    reference = results[1][0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(reference))
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(reference))
    assert largest > 1e-4
    for count in (4, 8):
        for path, leaf in jax.tree.leaves_with_path(results[count][0]):
            expected = reference
            for part in path:
                expected = expected[part.key]
            error = np.linalg.norm(np.asarray(leaf) - np.asarray(expected))
            assert error < 1e-5 * np.linalg.norm(expected) + 1e-6 * largest, path
        for name, value in results[count][1].items():
            np.testing.assert_allclose(value, results[1][1][name], rtol=1e-5, atol=1e-7)


def test_five_steps_lose_the_same_on_any_devices(steps, initial):
    losses = {}
    for count, one in steps.items():
        state = one.replicate(copied(initial))
        losses[count] = []
        for step in range(5):
            batch = one.shard_batch(batch_of(CONFIG, step))
            state, metrics = one.iterate(state, batch, step)
            losses[count].append({k: float(v) for k, v in metrics.items()})
        assert int(state.step) == 5
    for count in (4, 8):
        for ours, theirs in zip(losses[count], losses[1], strict=True):
            assert ours.keys() == theirs.keys()
            for name in theirs:
                np.testing.assert_allclose(
                    ours[name], theirs[name], rtol=1e-3, atol=1e-4
                )


def test_periods_say_which_phases_run(steps):
    due = [steps[1].phases(step) for step in range(7)]
    assert due[0] == PHASES
    assert ["d_r1" in names for names in due] == [True, False, False] * 2 + [True]
    assert ["g_path" in names for names in due] == [True, False] * 3 + [True]
    off = make_steps(
        config_of(r1_weight=0.0, path_weight=0.0), make_mesh(jax.devices()[:1])
    )
    assert off.phases(0) == ("d", "g")


def test_each_phase_moves_only_its_network(steps, initial):
    one = steps[1]
    for phase in PHASES:
        before = copied(initial)
        batch = one.shard_batch(batch_of(CONFIG))
        after, metrics = one._steps[phase](one.replicate(copied(before)), batch, ALONE)
        moved = {
            name: any(
                (np.asarray(a) != b).any()
                for a, b in zip(
                    jax.tree.leaves(getattr(after, name)),
                    jax.tree.leaves(getattr(before, name)),
                    strict=True,
                )
            )
            for name in ("g_params", "d_params", "ema_params", "path_mean")
        }
        assert moved == {
            "g_params": phase.startswith("g"),
            "d_params": phase.startswith("d"),
            "ema_params": False,
            "path_mean": phase == "g_path",
        }
        if phase == "g_path":
            # a <- a + 0.01 (mean length - a)
            expected = 0.02 + 0.01 * (metrics["path_length"] - 0.02)
            np.testing.assert_allclose(after.path_mean, expected, rtol=1e-5)


def test_the_first_update_of_adam_is_the_corrected_rate(steps, initial):
    # With beta1 = 0 Adam's first update is the rate times the gradient's sign.
    one = steps[1]
    before = copied(initial)
    after, _ = one._steps["d"](
        one.replicate(copied(before)), one.shard_batch(batch_of(CONFIG)), ALONE
    )
    change = np.asarray(after.d_params["final_conv"]["kernel"])
    change = np.abs(change - before.d_params["final_conv"]["kernel"])
    # lr n / (n + 1) with n = r1_every = 3.
    np.testing.assert_allclose(np.median(change), 0.002 * 3 / 4, rtol=1e-3)
    g, d = optimizers(config_of(r1_weight=0.0).train)
    updates, _ = d.update({"w": jnp.ones(2)}, d.init({"w": jnp.ones(2)}))
    np.testing.assert_allclose(updates["w"], -0.002, rtol=1e-4)
    updates, _ = g.update({"w": jnp.ones(2)}, g.init({"w": jnp.ones(2)}))
    np.testing.assert_allclose(updates["w"], -0.002 * 2 / 3, rtol=1e-4)


def test_the_moving_average_follows(steps, initial):
    one = steps[1]
    before = copied(initial)
    after, _ = one.iterate(
        one.replicate(copied(before)), one.shard_batch(batch_of(CONFIG)), 0
    )
    decay = 0.5 ** (32 / 10_000)
    old = before.ema_params["texture_synthesizer"]["up_0"]["kernel"]
    new = np.asarray(after.g_params["texture_synthesizer"]["up_0"]["kernel"])
    found = after.ema_params["texture_synthesizer"]["up_0"]["kernel"]
    np.testing.assert_allclose(found, old * decay + new * (1 - decay), rtol=1e-6)


def test_the_moving_average_s_half_life_ramps_up():
    train = dataclasses.replace(CONFIG.train, ema_half_life=3200.0, ema_rampup=0.1)
    steps = jnp.array([1, 10, 100, 999, 1000, 5000])
    decays = [float(ema_decay(train, step)) for step in steps]
    half_lives = np.array([0.1, 1, 10, 99.9, 100, 100])
    np.testing.assert_allclose(decays, 0.5 ** (1 / half_lives), rtol=1e-6)
    unlimited = dataclasses.replace(train, ema_rampup=0.0)
    assert ema_decay(unlimited, steps[0]) == pytest.approx(0.5**0.01)


def test_a_batch_that_the_devices_do_not_divide():
    with pytest.raises(ValueError, match=r"of 12: .* nearest that fits is 12$"):
        check_devices(CONFIG, 6)
    check_devices(CONFIG, 8)
    group = dataclasses.replace(CONFIG.model, stddev_group=5)
    with pytest.raises(ValueError, match=r"stddev_group \(5\); .* fits is 20$"):
        check_devices(dataclasses.replace(CONFIG, model=group), 1)
    for wrong, nearest in ((16, 12), (18, 12), (2, 12), (10**9, 10**9 - 4)):
        with pytest.raises(ValueError, match=rf"fits is {nearest}$"):
            check_devices(config_of(batch_size=wrong), 3)
        check_devices(config_of(batch_size=nearest), 3)


def test_options_train_too():
    settings = {
        "augment": ("color", "translation", "cutout"),
        "coords_weight": 0.0,
        "path_mean_gradient": False,
    }
    config = config_of(batch_size=4, diversity_form="angular_distance", **settings)
    one = make_steps(config, make_mesh(jax.devices()[:1]))
    state = init_state(config)
    one.compile(state)
    batch = one.shard_batch(batch_of(config))
    state, metrics = one.iterate(one.replicate(state), batch, 0)
    assert isinstance(state, TrainState)
    # What was compiled side by side is what ran.
    assert all(isinstance(one._steps[name], jax.stages.Compiled) for name in PHASES)
    assert "d_coords" not in metrics
    assert all(np.isfinite(float(value)) for value in metrics.values())
    # The form concerns G's step alone; here it is compiled as for a long training.
    released = dataclasses.replace(
        config.train, diversity_form="released_angular_similarity", in_a_hurry=False
    )
    other = make_steps(dataclasses.replace(config, train=released), one.mesh)
    _, metrics = other.gradients["g"](state, one.shard_batch(batch_of(config)))
    assert np.isfinite(float(metrics["g_diversity"]))


def test_previews_learn_and_leave_all_else_as_it_is():
    model = dataclasses.replace(
        CONFIG.model,
        patch_size=29,
        texture_widths=(6, 4),
        previews=True,
        discriminator_widths=(8, 6, 4, 4),
    )
    config = dataclasses.replace(config_of(batch_size=4), model=model)
    state = init_state(config)

    def gradients(previews):
        its_model = dataclasses.replace(model, previews=previews)
        its_config = dataclasses.replace(config, model=its_model)
        one = make_steps(its_config, make_mesh(jax.devices()[:1]))
        batch = one.shard_batch(batch_of(config))
        found, metrics = one.gradients["g"](one.replicate(state), batch)
        assert ("g_previews" in metrics) == previews
        return dict(jax.tree.leaves_with_path(found))

    without = gradients(False)
    for path, leaf in gradients(True).items():
        if any(part.key.startswith("preview") for part in path):
            assert np.abs(leaf).max() > 0, path
            assert np.abs(without[path]).max() == 0
        else:
            np.testing.assert_allclose(leaf, without[path], rtol=1e-4, atol=1e-6)


def test_bfloat16_computes_and_float32_is_kept():
    config = config_of(dtype="bfloat16", batch_size=4)
    one = make_steps(config, make_mesh(jax.devices()[:1]))
    state = one.replicate(init_state(config))
    before = jax.device_get(state)
    batch = one.shard_batch(batch_of(config))
    # Only an outermost jit may have the options of one in a hurry.
    patient = dataclasses.replace(config.train, in_a_hurry=False)
    traced = make_steps(dataclasses.replace(config, train=patient), one.mesh)
    for phase in PHASES:
        gradients, _ = jax.eval_shape(traced.gradients[phase], state, batch)
        types = {leaf.dtype for leaf in jax.tree.leaves(gradients)}
        assert types == {jnp.dtype("float32")}, phase
    after, metrics = one.iterate(state, batch, 0)
    assert {"d_adv", "r1", "g_adv", "path_penalty"} <= metrics.keys()
    for name, value in metrics.items():
        assert np.isfinite(value), name
    # Moments of Adam and the moving average too.
    for path, leaf in jax.tree.leaves_with_path(after):
        assert leaf.dtype in (jnp.float32, jnp.int32), path
        assert np.isfinite(leaf).all(), path
    for name in ("g_params", "d_params"):
        old = dict(jax.tree.leaves_with_path(getattr(before, name)))
        for path, leaf in jax.tree.leaves_with_path(getattr(after, name)):
            # Of a bias, the gradients of so few samples may cancel.
            assert path[-1].key != "kernel" or (leaf != old[path]).any(), path
