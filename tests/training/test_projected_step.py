"""Steps with a projected discriminator: its state, its batches, its objective."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from infinitygan_jax import devices, losses
from infinitygan_jax.bundle import nested
from infinitygan_jax.models import depthwise, features
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.models.projected_discriminator import MIXING, SPECTRAL, Projected
from infinitygan_jax.training import augmentation, draws, patch_features
from infinitygan_jax.training import step as step_lib
from infinitygan_jax.training.state import distance_weight, init_state, rate_share
from infinitygan_jax.training.step import check_devices, make_steps
from infinitygan_jax.training.task import Frozen, Labelled
from tests.training import test_step

optax_may_promote = test_step.optax_may_promote
copied = test_step.copied
batch_of = test_step.batch_of


def config_of(**train):
    config = test_step.config_of()
    settings = {
        "objective": "hinge",
        "shared_samples": True,
        "r1_weight": 0.0,
        "path_weight": 0.0,
        "augment": ("color", "translation", "cutout"),
        **train,
    }
    model = dataclasses.replace(
        config.model,
        discriminator="projected",
        feature_size=32,
        head_width=6,
        pixel_widths=(4, 6),
        layout_widths=(4,),
    )
    return dataclasses.replace(
        config, model=model, train=dataclasses.replace(config.train, **settings)
    )


# The weight of the first step is a quarter of it.
CONFIG = config_of(distance_weight=8.0, distance_rampup=4)


@pytest.fixture(autouse=True, scope="module")
def shallow_network():
    """A network of one block a stage, as the real one takes long to compile."""
    sizes = dataclasses.replace(features.SIZES["lite0"], repeats=(1,) * 7)
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.SIZES, "shallow", sizes)
        shapes = features.param_shapes("shallow")
        # Kernels that keep the size of what they see, and no biases: batch norm of
        # what hardly varies would blow up rounding.
        arrays = {
            name: rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
            if name.endswith("kernel")
            else np.zeros(shape)
            for name, shape in shapes.items()
        }
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        tree = jax.tree.map(jnp.asarray, nested(arrays))
        network = features.FeatureNetwork(tree, "shallow")
        # XLA's form compiles in a fraction of the time; test_depthwise is of ours.
        patch.setattr(depthwise, "_shifted", depthwise._grouped)
        patch.setattr(Projected, "network", lambda self: network)
        yield network


@pytest.fixture(scope="module")
def steps(shallow_network):
    """Steps by number of devices, compiled once."""
    return {
        n: make_steps(CONFIG, devices.make_mesh(jax.devices()[:n])) for n in (1, 2, 8)
    }


@pytest.fixture(scope="module")
def judged(shallow_network):
    """What a discriminator makes of patches, compiled once."""
    return devices.jit_in_a_hurry(
        lambda state, image: discriminator_of(CONFIG.model).judge(
            state.d_params, state.d_state, shallow_network, image
        )
    )


@pytest.fixture(scope="module")
def initial(shallow_network):
    """What follows when enough was seen for the energy distance."""
    state = init_state(CONFIG)
    rng = np.random.default_rng(1)
    seen = jax.tree.map(lambda x: x + rng.normal(size=x.shape), state.seen)
    seen = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), seen)
    return state.replace(seen=seen)


def vectors(gradients):
    """Each array, and each layer with its scalars, as a vector.

    A strength of noise, alone, is a sum that cancels itself, and mostly rounding.
    """
    arrays, layers = {}, {}
    for path, leaf in jax.tree.leaves_with_path(gradients):
        layers.setdefault(path[:-1], []).append(np.ravel(leaf))
        if np.ndim(leaf):
            arrays[path] = np.ravel(leaf)
    return arrays | {name: np.concatenate(each) for name, each in layers.items()}


def check_gradients(found, reference, rtol=1e-5):
    """Checks that gradients are the reference's, but for rounding."""
    expected = vectors(reference)
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(reference))
    assert largest > 1e-4
    for name, vector in vectors(found).items():
        error = np.linalg.norm(vector - expected[name])
        assert error < rtol * np.linalg.norm(expected[name]) + 1e-6 * largest, name


@pytest.mark.parametrize("phase", ("d", "g"))
def test_gradients_do_not_depend_on_the_devices(steps, initial, shallow_network, phase):
    """Batch norm over a part of the batch fails this."""
    batch = batch_of(CONFIG)
    if phase == "d":  # what G would have painted
        fake = batch["image"][::-1] / 2
        see = devices.jit_in_a_hurry(discriminator_of(CONFIG.model).taps)
        batch |= {
            "fake": Labelled(fake, -batch["label"], fake),
            "fake_taps": see(shallow_network, fake),
        }
    results = {
        count: one.gradients[phase](one.replicate(initial), one.shard_batch(batch))
        for count, one in steps.items()
    }
    reference, metrics = jax.device_get(results[1])
    for count in (2, 8):
        check_gradients(results[count][0], reference)
        for name, value in results[count][1].items():
            np.testing.assert_allclose(value, metrics[name], rtol=1e-5, atol=1e-6)


def test_the_energy_distance_counts_when_enough_was_seen(steps, initial):
    one = steps[1]
    batch = one.shard_batch(batch_of(CONFIG))
    others = jax.tree.map(jnp.negative, initial.seen)
    alike = dict.fromkeys(initial.seen, initial.seen["real"])  # no distance

    def gradient(seen, missing=()):
        seen = seen | {name: seen[name].at[0].set(0) for name in missing}
        state = one.replicate(initial.replace(seen=seen))
        found, metrics = one.gradients["g"](state, batch)
        return found["texture_synthesizer"]["up_0"]["kernel"], metrics["g_distance"]

    for missing in initial.seen:
        (early, distance), (early_other, _) = (
            gradient(x, [missing]) for x in (initial.seen, others)
        )
        np.testing.assert_array_equal(early, early_other)
        assert distance == 0
    (late, distance), (late_alike, none) = (gradient(x) for x in (initial.seen, alike))
    assert np.abs(late - late_alike).max() > 1e-3 * np.abs(late).max()
    assert distance != 0
    assert none == 0


def test_d_moves_with_its_state_and_nothing_frozen(steps, initial, shallow_network):
    one = steps[1]
    network = jax.device_get(shallow_network)
    state = one.replicate(copied(initial))
    assert one.phases(0) == ("g_and_d",)
    after, metrics = one.iterate(state, one.shard_batch(batch_of(CONFIG)), 0)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert {"d_adv", "d_coords", "g_adv", "g_coords"} <= metrics.keys()
    for name in ("g_params", "d_params"):
        before = dict(jax.tree.leaves_with_path(getattr(initial, name)))
        for path, leaf in jax.tree.leaves_with_path(getattr(after, name)):
            assert path[-1].key != "kernel" or (leaf != before[path]).any(), path
    for name in (MIXING, SPECTRAL):
        same = jax.tree.map(
            lambda a, b: bool((a == b).all()),
            initial.d_state[name],
            after.d_state[name],
        )
        assert all(jax.tree.leaves(same)) == (name == MIXING)
    expected = discriminator_of(CONFIG.judged).refreshed(
        after.d_params, initial.d_state
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        expected[SPECTRAL],
        after.d_state[SPECTRAL],
    )
    jax.tree.map(
        np.testing.assert_array_equal, network, jax.device_get(one._frozen.features)
    )


def test_r1_is_of_the_features_that_heads_see(shallow_network, initial):
    """On any devices; heads on pixels and on layout have no part in it."""
    config = config_of(r1_weight=1.0, batch_size=4)
    results = []
    for count in (1, 2):
        steps = make_steps(config, devices.make_mesh(jax.devices()[:count]))
        assert steps.phases(0) == ("g_and_d", "d_r1")
        state, batch = steps.replicate(initial), steps.shard_batch(batch_of(config))
        results.append(steps.gradients["d_r1"](state, batch))
    (gradients, metrics), (split, of_split) = jax.device_get(results)
    assert metrics["r1"] > 0
    # Gradients of gradients: up to 2e-5 on processors with AVX-512.
    np.testing.assert_allclose(of_split["r1"], metrics["r1"], rtol=5e-5)
    check_gradients(split, gradients, rtol=5e-5)
    for name in ("head_0", "head_3", "pixel_head", "layout_head"):
        moves = any(leaf.any() for leaf in jax.tree.leaves(gradients[name]))
        assert moves == (name in ("head_0", "head_3")), name


def test_d_judges_what_g_was_trained_with(judged, initial, shallow_network):
    """The same patches, painted before G's update and augmented once; D as it was."""
    config = config_of(pixel_weight=3.0, layout_weight=5.0, distance_weight=2.0)
    one = make_steps(config, devices.make_mesh(jax.devices()[:2]))
    one.compile(initial)
    batch, state = one.shard_batch(batch_of(config)), one.replicate(copied(initial))
    specs = P(), P(), P(devices.AXIS)
    phase = partial(step_lib._PHASES["g"], config)
    _, of_g, made = devices.jit_in_a_hurry(
        jax.shard_map(
            lambda state, network, batch: phase(state, batch, Frozen(network, None)),
            mesh=one.mesh,
            in_specs=specs,
            out_specs=specs,
            check_vma=False,
        )
    )(state, shallow_network, batch)
    fake, taps = jax.tree.map(np.asarray, tuple(made.values()))
    # What G was trained with is what it lost by: judged again, the loss is the same.
    on_fake = judged(initial, jnp.asarray(fake.image))
    loss = losses.adversarial_g("hinge", on_fake.logits, (1, 1, 1, 1, 3, 5))
    np.testing.assert_allclose(loss, of_g["g_adv"], rtol=1e-4)
    distance = losses.witness(
        patch_features.of(jnp.asarray(fake.plain), on_fake.taps),
        initial.seen["real"],
        initial.seen["fake"],
        patch_features.widths(CONFIG.judged),
    )
    np.testing.assert_allclose(of_g["g_distance"], distance, rtol=1e-3)
    key = draws.step_key(config.train.seed, draws.AUGMENT_G, initial.step)
    index = jnp.arange(len(fake.plain))
    # What the distance compares the colours of is not augmented; D's input is.
    moved, _ = augmentation.augment(
        config,
        key,
        index,
        jnp.asarray(fake.plain),
        jnp.asarray(fake.label),
        generated=True,
    )
    np.testing.assert_allclose(moved, fake.image, atol=1e-6)
    for tap, expected in zip(taps, on_fake.taps, strict=True):
        np.testing.assert_allclose(tap, expected, rtol=1e-3, atol=1e-4)
    size = config.train.batch_size
    given = jax.tree.map(jnp.asarray, batch_of(config))
    key = draws.step_key(config.train.seed, draws.AUGMENT_REAL, initial.step)
    real, real_label = augmentation.augment(
        config, key, jnp.arange(size), given["image"], given["label"], generated=False
    )
    on_real = judged(initial, real)
    after, metrics = one.iterate(state, batch, 0)
    np.testing.assert_allclose(metrics["g_adv"], of_g["g_adv"], rtol=1e-4)
    for name, found in (("d_real", on_real), ("d_fake", on_fake)):
        mean = jnp.mean(losses.score(found.logits))
        np.testing.assert_allclose(metrics[name], mean, rtol=1e-4)
    places = [
        losses.vertical_coordinate(found.coords, jnp.asarray(label))
        for found, label in ((on_real, real_label), (on_fake, fake.label))
    ]
    np.testing.assert_allclose(metrics["g_coords"], places[1], rtol=1e-4)
    np.testing.assert_allclose(metrics["d_coords"], sum(places), rtol=1e-4)
    # And what was seen, from all devices in order, follows what was seen before.
    for kind, plain, taps in (
        ("real", given["image"], on_real.taps),
        ("fake", jnp.asarray(fake.plain), on_fake.taps),
    ):
        seen, before = after.seen[kind], initial.seen[kind]
        np.testing.assert_array_equal(seen[:-size], before[size:])
        expected = patch_features.of(plain, taps)
        np.testing.assert_allclose(seen[-size:], expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_computes_and_float32_is_kept(shallow_network):
    config = config_of(batch_size=4)
    model = dataclasses.replace(config.model, dtype="bfloat16")
    config = dataclasses.replace(config, model=model)
    one = make_steps(config, devices.make_mesh(jax.devices()[:1]))
    state = one.replicate(init_state(config))
    after, metrics = one.iterate(state, one.shard_batch(batch_of(config)), 0)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    for path, leaf in jax.tree.leaves_with_path(after):
        assert leaf.dtype in (jnp.float32, jnp.int32), path
        assert np.isfinite(leaf).all(), path


def test_groups_do_not_bind_a_batch_without_minibatch_deviation():
    model = dataclasses.replace(CONFIG.model, stddev_group=5)
    check_devices(dataclasses.replace(CONFIG, model=model), 4)


def test_rates_fall_with_the_root_of_the_steps():
    train = dataclasses.replace(CONFIG.train, constant_steps=100)
    steps = jnp.array([0, 50, 99, 399, 9_999])
    shares = [float(rate_share(train, step)) for step in steps]
    np.testing.assert_allclose(shares, [1, 1, 1, 0.5, 0.1], rtol=1e-6)
    assert rate_share(CONFIG.train, steps[-1]) == 1


def test_the_distances_weight_grows_evenly():
    train = dataclasses.replace(CONFIG.train, distance_weight=8.0, distance_rampup=100)
    steps = jnp.array([0, 49, 99, 9_999])
    weights = [float(distance_weight(train, step)) for step in steps]
    np.testing.assert_allclose(weights, [0.08, 4, 8, 8], rtol=1e-6)
    train = dataclasses.replace(train, distance_rampup=0)
    assert distance_weight(train, steps[0]) == 8


def test_rates_of_both_networks_are_set_apart(shallow_network, initial):
    config = config_of(learning_rate=0.01, d_learning_rate=0.001, constant_steps=1)
    one = make_steps(config, devices.make_mesh(jax.devices()[:1]))
    # Adam's first update with beta1 = 0 is the rate times the gradient's sign; after
    # 24 steps with one constant, a fifth of it.
    state = copied(initial).replace(step=jnp.int32(24), seen={})
    after, _ = one.iterate(one.replicate(state), one.shard_batch(batch_of(config)), 24)
    for name, path, rate in (
        ("g_params", ("texture_synthesizer", "up_0", "kernel"), 0.01),
        ("d_params", ("head_0", "logit", "kernel"), 0.001),
    ):
        new, old = getattr(after, name), getattr(initial, name)
        for part in path:
            new, old = new[part], old[part]
        np.testing.assert_allclose(
            np.median(np.abs(np.asarray(new) - old)), rate / 5, rtol=1e-2
        )
