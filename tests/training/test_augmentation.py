"""What the discriminator sees is changed at random, with labels that stay true."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from infinitygan_jax import devices
from infinitygan_jax.config import (
    AUGMENTATIONS,
    Config,
    DataConfig,
    ModelConfig,
    TrainConfig,
)
from infinitygan_jax.training import augmentation, draws

SIDE = 29  # two stages: a cell is 4 pixels
SUBSETS = [
    kinds for n in range(4) for kinds in itertools.combinations(AUGMENTATIONS, n)
]


def config_of(kinds=AUGMENTATIONS, full_size=50):
    return Config(
        model=ModelConfig(patch_size=SIDE),
        data=DataConfig(full_size=full_size, pre_size=0),
        train=TrainConfig(augment=tuple(kinds)),
    )


def key_of(purpose=draws.AUGMENT_REAL, step=0):
    return draws.step_key(0, purpose, jnp.int32(step))


def images(count, key=0, height=SIDE, width=SIDE):
    shape = (count, height, width, 3)
    return jax.random.uniform(jax.random.key(key), shape, minval=-1, maxval=1)


def augmented(kinds, image, key=None, generated=False, label=None):
    index = jnp.arange(len(image))
    label = jnp.zeros(len(image)) if label is None else label
    return augmentation.augment(
        config_of(kinds),
        key_of() if key is None else key,
        index,
        image,
        label,
        generated=generated,
    )


@pytest.mark.parametrize("kinds", [*SUBSETS[1:4], AUGMENTATIONS], ids="+".join)
def test_two_devices_make_the_changes_of_one(kinds):
    image, label = images(6), jnp.linspace(-1, 1, 6)

    def local(image, label):
        count = len(label)
        index = jax.lax.axis_index(devices.AXIS) * count + jnp.arange(count)
        return augmentation.augment(
            config_of(kinds), key_of(), index, image, label, generated=False
        )

    def on(count):
        mesh = devices.make_mesh(jax.devices()[:count])
        spec = P(devices.AXIS)
        mapped = jax.shard_map(
            local, mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False
        )
        return jax.device_get(jax.jit(mapped)(image, label))

    one, two = on(1), on(2)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(one[1], two[1])


def test_nothing_changes_unless_asked():
    image, label = images(3), jnp.array([-1.0, 0.2, 1.0])
    same, same_label = augmented((), image, label=label)
    np.testing.assert_array_equal(image, same)
    np.testing.assert_array_equal(label, same_label)


@pytest.mark.parametrize("kinds", SUBSETS[1:], ids="+".join)
def test_each_change_is_the_same_among_others(kinds):
    image, index = images(4), jnp.arange(4)
    alone = {
        "color": lambda x: augmentation.color(key_of(), index, x),
        "translation": lambda x: augmentation.translation(key_of(), index, x)[0],
        "cutout": lambda x: augmentation.cutout(key_of(), index, x),
    }
    expected = image
    for kind in kinds:
        expected = alone[kind](expected)
        assert np.abs(np.asarray(expected - image)).max() > 0.1
    for order in (kinds, kinds[::-1]):
        together, _ = augmented(order, image)
        np.testing.assert_allclose(together, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_real_and_generated_differ_in_their_draws_not_in_what_is_drawn(kind):
    image = images(8)
    real, _ = augmented([kind], image, key_of(draws.AUGMENT_REAL))
    fake, _ = augmented([kind], image, key_of(draws.AUGMENT_FAKE), generated=True)
    assert np.all(np.abs(np.asarray(real - fake)).max((1, 2, 3)) > 0.01)
    same, _ = augmented([kind], image, key_of(draws.AUGMENT_FAKE), generated=False)
    np.testing.assert_array_equal(same, fake)


def test_colors_are_moved_and_scaled_within_their_limits():
    # Of an image a + b c, with a grey and c of zero mean in each pixel and channel, the
    # mean moves by the brightness, c scales by saturation and contrast.
    count = 500
    pattern = np.zeros((4, 4, 3), np.float32)
    pattern[..., 0], pattern[..., 1] = 0.25, -0.25
    image = jnp.broadcast_to(pattern, (count, 4, 4, 3))
    out = augmentation.color(key_of(), jnp.arange(count), image)
    brightness = np.asarray(out).mean((1, 2, 3))
    assert -0.5 <= brightness.min() < -0.45 < 0.45 < brightness.max() <= 0.5
    assert abs(brightness.mean()) < 0.05
    # Contrast is about the mean of all, which is the brightness here.
    scale = (np.asarray(out)[:, 0, 0, 0] - brightness) / 0.25
    assert 0 <= scale.min() < 0.1 < 2.0 < scale.max() <= 3.0  # 0 to 2 times 0.5 to 1.5
    assert abs(scale.mean() - 1) < 0.1


def test_colors_are_those_of_earlier_versions():
    # Trained states go on as they began: the draws of key 0, sample 3, by its formula.
    image = images(4)
    key = draws.sample_keys(key_of(), "color", jnp.array([3]))[0]
    shift, saturation, contrast = np.asarray(jax.random.uniform(key, (3,)), np.float64)
    x = np.asarray(image[3], np.float64) + shift - 0.5
    grey = x.mean(-1, keepdims=True)
    x = (x - grey) * 2 * saturation + grey
    x = (x - x.mean()) * (contrast + 0.5) + x.mean()
    out = augmentation.color(key_of(), jnp.arange(4), image)[3]
    np.testing.assert_allclose(out, x, rtol=1e-5, atol=1e-6)
    stream = jax.random.fold_in(key_of(), 5)  # the place of "color" among the streams
    assert key == jax.random.fold_in(stream, 3)


@pytest.mark.parametrize("generated", [False, True])
def test_a_moved_patch_has_the_label_of_the_rows_that_it_shows(generated):
    # A picture whose pixels say where they are: row in channel 0, column in channel 1.
    # Real patches begin at its rows 0 to 21, generated ones at multiples of 4 px, the
    # cell, from 0 to 36: these are the labels from -1 to 1.
    lowest = 9 * 4 if generated else 50 - SIDE
    tops = 4 * (np.arange(200) % 10) if generated else np.arange(200) % (lowest + 1)
    lefts = np.arange(200) % 7
    rows = tops[:, None, None] + np.arange(SIDE)[:, None]
    columns = lefts[:, None, None] + np.arange(SIDE)
    place = np.stack(np.broadcast_arrays(rows, columns, 1), -1).astype(np.float32)
    label = 2 * tops / lowest - 1
    moved, moved_label = augmented(
        ["translation"],
        jnp.asarray(place),
        generated=generated,
        label=jnp.asarray(label, jnp.float32),
    )
    moved, moved_label = np.asarray(moved), np.asarray(moved_label)
    down, right = set(), set()
    for number in range(200):
        seen = moved[number, :, :, 2] == 1
        assert not moved[number][~seen].any()  # what came in is grey
        row, column = np.nonzero(seen)
        # The same top and left of all that is seen: moved as a whole, by whole pixels.
        (top,) = set(moved[number, row, column, 0] - row)
        (left,) = set(moved[number, row, column, 1] - column)
        down.add(tops[number] - top)
        right.add(lefts[number] - left)
        assert moved_label[number] == pytest.approx(2 * top / lowest - 1, abs=1e-6)
        # All that is left of the patch is seen.
        size = SIDE - abs(tops[number] - top), SIDE - abs(lefts[number] - left)
        assert seen.sum() == size[0] * size[1]
    # 1/8 of 29 pixels is 3.6.
    assert down == right == set(range(-3, 4))


def test_a_cell_is_a_start_of_generated_patches():
    config = config_of()
    model = dataclasses.replace(config.model, vertical_starts=3)
    for each, starts in ((config, 10), (dataclasses.replace(config, model=model), 3)):
        slope = augmentation.label_slope(each, generated=True)
        assert slope * each.model.cell_size == pytest.approx(2 / (starts - 1))


def test_labels_stay_where_real_patches_have_one_row_only():
    config = config_of(["translation"], full_size=SIDE)
    image, label = images(8), jnp.zeros(8)
    arguments = config, key_of(), jnp.arange(8), image, label
    moved, real = augmentation.augment(*arguments, generated=False)
    np.testing.assert_array_equal(real, label)
    assert np.abs(np.asarray(moved - image)).max() > 0.1
    _, fake = augmentation.augment(*arguments, generated=True)
    assert np.abs(np.asarray(fake)).max() > 0.01


@pytest.mark.parametrize("sides", [(29, 29), (12, 21)])
def test_cutouts_are_half_as_wide_and_anywhere(sides):
    sizes = [round(side / 2) for side in sides]
    image = jnp.ones((400, *sides, 3))
    out = np.asarray(augmentation.cutout(key_of(), jnp.arange(400), image))
    assert set(out.ravel()) == {0, 1}
    cut = out == 0
    for axis, side, size in (
        (1, *_pair(sides, sizes, 0)),
        (2, *_pair(sides, sizes, 1)),
    ):
        along = cut.any(tuple({1, 2, 3} - {axis}))  # [400, side]
        first, number = along.argmax(1), along.sum(1)
        # One run of pixels; shorter only where a part of it lies outside.
        for start, length, line in zip(first, number, along, strict=True):
            assert line[start : start + length].all()
            assert length == size or start == 0 or start + length == side
        # The middle stays inside, and each of them is as likely.
        assert number.min() == size // 2 or number.min() == size - size // 2
        assert np.abs(along.mean(0)[::-1] - along.mean(0)).max() < 0.15
    rectangle = cut.any((2, 3))[:, :, None] & cut.any((1, 3))[:, None]
    np.testing.assert_array_equal(cut, np.broadcast_to(rectangle[..., None], cut.shape))


def _pair(sides, sizes, axis):
    return sides[axis], sizes[axis]


@pytest.mark.parametrize("kinds", SUBSETS[1:], ids="+".join)
def test_gradients_are_what_a_change_of_the_image_does(kinds):
    # For given draws the changes are affine: differences are as large as one likes.
    image, other, weight = images(4, 1), images(4, 2), images(4, 3)

    def total(x):
        return jnp.sum(weight * augmented(kinds, x)[0])

    slope = jax.grad(total)(image)
    expected = float(total(image + other) - total(image))
    assert float(jnp.sum(slope * other)) == pytest.approx(expected, rel=1e-3, abs=1e-2)
    assert abs(expected) > 1
    # And they reach the last of the pixels that are still seen, alone.
    if "color" not in kinds:
        ones = jax.grad(lambda x: jnp.sum(augmented(kinds, x)[0]))(image)
        assert set(np.unique(ones)) == {0.0, 1.0}


def test_steps_and_samples_have_draws_of_their_own():
    image = jnp.broadcast_to(images(1), (8, SIDE, SIDE, 3))
    first, _ = augmented(AUGMENTATIONS, image)
    later, _ = augmented(AUGMENTATIONS, image, key_of(step=1))
    assert np.all(np.abs(np.asarray(first - later)).max((1, 2, 3)) > 0.01)
    gaps = np.abs(np.asarray(first[:, None] - first[None])).max((2, 3, 4))
    assert np.all(gaps + np.eye(8) > 0.01)
    again = dataclasses.replace(config_of(), name="other")
    same, _ = augmentation.augment(
        again, key_of(), jnp.arange(8), image, jnp.zeros(8), generated=False
    )
    np.testing.assert_array_equal(same, first)
