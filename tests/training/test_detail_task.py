"""Training of a detail synthesizer: what it sees, its losses, its steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import config as config_lib
from infinitygan_jax import losses, variants
from infinitygan_jax.config import Config, DetailConfig, TrainConfig
from infinitygan_jax.data.crops import Cut, mirrored_to, random_size
from infinitygan_jax.models.layers import averaged, center_crop
from infinitygan_jax.training import detail_sheets, draws
from infinitygan_jax.training.detail_task import base_digest
from infinitygan_jax.training.task import Frozen
from infinitygan_jax.training.tasks import task_of
from tests.models import test_detail as small
from tests.sampling import tiny

ALONE = Frozen(None, None)
OFF = {
    "path_weight": 0.0,
    "coords_weight": 0.0,
    "diversity_weight": 0.0,
    "style_mixing": 0.0,
}


def _config(**train):
    return Config(
        detail=small.CONFIG,
        data=config_lib.DataConfig(full_size=64, least_size=16, pre_size=0),
        train=TrainConfig(**{"network": "detail", **OFF, **train}),
    )


def _batch(config, number=4):
    rng = np.random.default_rng(0)
    side = config.detail.window_size
    image = rng.uniform(-1, 1, (number, side, side, 3)).astype(np.float32)
    return {"image": jnp.asarray(image), "label": jnp.ones(number)}


def test_samples_are_photographs_reduced_with_the_margin_that_is_needed():
    config = _config()
    task, batch = task_of(config), _batch(config)
    assert task.input_size == 16 + 4 * small.CONFIG.margin
    samples = task.draw(jnp.int32(3), draws.G_FAKE, jnp.arange(4), batch, ALONE)
    np.testing.assert_allclose(samples.coarse, averaged(batch["image"], 2), atol=1e-6)
    painted = task.learn(small.params(), samples)
    assert painted.image.shape == samples.wanted.shape == (4, 16, 16, 3)
    # What is painted lies where the photograph's middle does.
    np.testing.assert_allclose(
        averaged(painted.image, 2), averaged(samples.wanted, 2), atol=1e-5
    )
    real = task.real(jnp.int32(3), draws.AUGMENT_REAL, jnp.arange(4), batch)
    np.testing.assert_array_equal(real.image, samples.wanted)


def test_draws_are_of_step_and_sample():
    config = _config(augment=("color",))
    task, batch = task_of(config), _batch(config)

    def drawn(step, index):
        rows = {name: each[np.array(index)] for name, each in batch.items()}
        return task.draw(jnp.int32(step), draws.G_FAKE, jnp.array(index), rows, ALONE)

    whole, part = drawn(3, [0, 1, 2, 3]), drawn(3, [2, 3])
    for name in ("coarse", "noise", "wanted"):
        np.testing.assert_array_equal(getattr(whole, name)[2:], getattr(part, name))
        assert np.any(getattr(whole, name) != getattr(drawn(4, [0, 1, 2, 3]), name))
    assert np.abs(whole.wanted).max() <= 1  # colours beyond are none


def test_its_own_losses_are_weighed():
    config = _config(pixel_distance_weight=3.0)
    task, batch = task_of(config), _batch(config)
    samples = task.draw(jnp.int32(0), draws.G_FAKE, jnp.arange(4), batch, ALONE)
    painted = task.learn(small.params(), samples)
    weight, value = painted.losses["g_pixel_distance"]
    assert weight == 3
    apart = np.abs(painted.image - samples.wanted)
    np.testing.assert_allclose(value, np.mean(apart), rtol=1e-5)


def test_distances_of_features_are_shares_of_their_size():
    taps = [jnp.ones((2, 3, 3, 4)), jnp.full((2, 2, 2, 5), -2.0)]
    other = [2 * taps[0], taps[1]]
    assert losses.feature_distance(taps, taps) == 0
    np.testing.assert_allclose(losses.feature_distance(other, taps), 1, rtol=1e-5)
    scaled = [[100 * each for each in some] for some in (other, taps)]
    np.testing.assert_allclose(losses.feature_distance(*scaled), 1, rtol=1e-5)


def test_sizes_are_drawn_by_octaves():
    cut = Cut(256, 40, 0, True, 64)
    sizes = [random_size(cut, np.random.default_rng(n)) for n in range(4000)]
    assert min(sizes) >= 64 and max(sizes) <= 256
    below = np.mean(np.array(sizes) < 128)
    assert 0.47 < below < 0.53
    rng = np.random.default_rng(0)
    assert random_size(Cut(64, 40, 0, True), rng) == 64
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn


def test_what_lies_beyond_an_edge_is_mirrored():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    larger = mirrored_to(image, 9)
    assert larger.shape == (9, 9, 3)
    np.testing.assert_array_equal(larger[2:7, 1:8], image)
    np.testing.assert_array_equal(larger[1, 1:8], image[1])
    assert mirrored_to(image, 5) is image


def test_a_sheet_shows_photographs_enlarged():
    photographs = [np.full((40, 50, 3), 90, np.uint8)] * 2
    sheet = detail_sheets.DetailSheetPainter(_config(), photographs)
    shown = sheet(small.params())["enlarged"]
    assert shown.shape == (2 * 256 + 2, 4 * 256 + 3 * 2, 3)
    assert np.all(shown[:256, :256] == 90)  # reduced
    assert np.all(shown[:256, 516:772] == 90)  # as it is
    assert shown[:256, 258:514].std() > 1  # enlarged


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path_weight": 1.0}, "train.path_weight .* must be 0 with train.network det"),
        ({"style_mixing": 0.5}, "train.style_mixing .* must be 0 with train.network"),
        ({"augment": ("color", "cutout")}, "must be color alone .*; remove cutout"),
        ({"network": "both"}, "train.network .* must be one of generator, detail"),
    ],
)
def test_settings_that_make_no_sense_for_it_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _config(**changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"patch_size": 15}, "detail.patch_size .* must be even.*; use 16"),
        ({"noise_size": 3}, "detail.noise_size .* must be at least 4"),
        ({"width": 0}, "detail.width .* must be above 0"),
        ({"feature_size": 16}, "detail.feature_size .* must be 32 or more"),
    ],
)
def test_impossible_sizes_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DetailConfig(**values)


@pytest.mark.parametrize("name", ["pixel_distance_weight", "feature_distance_weight"])
def test_a_generator_has_no_picture_to_be_near_to(name):
    with pytest.raises(ValueError, match=f"train.{name} .* must be 0 where a generat"):
        Config(
            model=config_lib.ModelConfig(discriminator="projected"),
            train=TrainConfig(**{name: 1.0}),
        )


def test_photographs_must_be_as_large_as_what_is_painted():
    with pytest.raises(ValueError, match=r"data.least_size \(8\) must be at least"):
        dataclasses.replace(
            _config(), data=config_lib.DataConfig(full_size=64, least_size=8)
        )


def test_the_local_variant_is_small():
    local = variants.run_local(_config())
    assert local.detail.patch_size == variants.LOCAL_DETAIL
    assert local.data.least_size == variants.LOCAL_DETAIL
    shapes = jax.eval_shape(lambda: task_of(local).init(jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 10_000


@pytest.fixture
def base(tmp_path):
    """The file of a generator."""
    path = tmp_path / "base.safetensors"
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    return str(path)


def test_every_second_sample_may_enlarge_a_picture_of_a_generator(base):
    config = _config(base=base, pixel_distance_weight=1.0)
    task, batch = task_of(config), _batch(config)
    frozen = Frozen(None, jax.tree.map(jnp.asarray, task.frozen_base()))

    def drawn(index):
        rows = {name: each[np.array(index)] for name, each in batch.items()}
        return task.draw(jnp.int32(3), draws.G_FAKE, jnp.array(index), rows, frozen)

    whole, part = drawn([0, 1, 2, 3]), drawn([2, 3])
    alone = task.draw(jnp.int32(3), draws.G_FAKE, jnp.arange(4), batch, ALONE)
    np.testing.assert_array_equal(whole.coarse[::2], alone.coarse[::2])
    assert np.all(np.any(whole.coarse[1::2] != alone.coarse[1::2], axis=(1, 2, 3)))
    np.testing.assert_allclose(whole.coarse[2:], part.coarse, atol=1e-5)
    assert np.abs(whole.coarse).max() <= 1 and whole.coarse[1::2].std() > 0.01
    painted = task.learn(small.params(), whole)
    assert painted.image.shape[0] == 4 and painted.wanted.shape[0] == 2
    _, value = painted.losses["g_pixel_distance"]
    apart = np.abs(painted.image[::2] - alone.wanted[::2])
    np.testing.assert_allclose(value, np.mean(apart), rtol=1e-5)
    assert base_digest(config) == bundle_lib.load(base).digest


@pytest.mark.parametrize("octaves", [2, 3])
def test_every_second_sample_may_be_enlarged_from_its_own_detail(octaves):
    config = dataclasses.replace(
        _config(pixel_distance_weight=1.0),
        detail=dataclasses.replace(small.CONFIG, patch_size=24),
        data=config_lib.DataConfig(full_size=64, least_size=24, pre_size=0),
    )
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, octaves=octaves)
    )
    task, batch, params = task_of(config), _batch(config), small.params()

    def drawn(index):
        rows = {name: each[np.array(index)] for name, each in batch.items()}
        return task.draw(jnp.int32(3), draws.G_FAKE, jnp.array(index), rows, ALONE)

    whole, part = drawn([0, 1, 2, 3]), drawn([2, 3])
    assert whole.earlier.shape[:2] == (octaves - 1, 2)
    np.testing.assert_array_equal(whole.earlier[:, 1:], part.earlier)
    painted = task.learn(params, whole)
    assert painted.wanted.shape[0] == 2
    np.testing.assert_allclose(
        averaged(painted.image[::2], 2), averaged(painted.wanted, 2), atol=1e-5
    )
    # Reduced, it is the middle of what it was painted from before.
    before = _painted_before(task, params, whole)
    side = painted.image.shape[1] // 2
    np.testing.assert_allclose(
        averaged(painted.image, 2), center_crop(before, side, side), atol=1e-5
    )
    assert np.abs(before[1::2] - whole.coarse[1::2]).max() > 0.1
    assert np.abs(whole.earlier).min(axis=(2, 3, 4)).max() < 0.1  # noise, all of it

    def second(params, samples):
        return jnp.mean(task.paint(params, samples)[1::2] ** 2)

    # Of the octaves before the last, no gradient comes.
    given = dataclasses.replace(whole, earlier=whole.earlier[:0], coarse=before)
    for one, other in zip(
        jax.tree.leaves(jax.grad(second)(params, whole)),
        jax.tree.leaves(jax.grad(second)(params, given)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def _painted_before(task, params, samples):
    """Coarse windows, every second one as the octaves before the last paint it."""
    coarse = samples.coarse
    for noise in samples.earlier:
        every = jnp.repeat(noise, 2, axis=0)
        plain = dataclasses.replace(
            samples, coarse=coarse, noise=every, earlier=samples.earlier[:0]
        )
        side = coarse.shape[1]
        finer = center_crop(task.paint(params, plain), side, side)
        coarse = coarse.at[1::2].set(finer[1::2])
    return coarse


def test_octaves_need_patches_that_patches_are_painted_from():
    with pytest.raises(ValueError, match=r"patch_size \(16\) .* 20 with .*octaves 2"):
        _config(octaves=2)
    with pytest.raises(ValueError, match=r"train.octaves \(2\) must be 1 where a gen"):
        Config(train=TrainConfig(octaves=2))


def test_a_base_must_be_there_and_large_enough(base):
    with pytest.raises(ValueError, match=r"train.base: checkpoint .* does not exist"):
        task_of(_config(base="nothing.safetensors")).frozen_base()
    config = dataclasses.replace(
        _config(base=base),
        detail=dataclasses.replace(small.CONFIG, patch_size=64),
        data=config_lib.DataConfig(full_size=64, least_size=64, pre_size=0),
    )
    with pytest.raises(ValueError, match=r"train.base .* must paint patches of at lea"):
        task_of(config).frozen_base()
