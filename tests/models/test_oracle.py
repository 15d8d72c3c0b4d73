"""The package meets the second implementation of docs/model.md, tests/oracle.py.

All sizes differ, so that no axis passes for another, and all biases and noise strengths
are far from 0, so that each term counts.
"""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords, devices, losses
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.models.generator import (
    init_generator,
    make_generator,
    noise_shapes,
    slot_styles,
)
from infinitygan_jax.models.residual_discriminator import ResidualDiscriminator
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.world import World
from tests import oracle

MODEL = ModelConfig(
    patch_size=29,  # two stages: a cell is 4 px
    z_global_size=6,
    z_local_size=4,
    structure_width=5,
    texture_widths=(8, 7),
    mapping_layers=2,
    discriminator_widths=(9, 7, 6, 5),
    stddev_group=2,
)
ROWS, COLUMNS = 7, 9  # cells
BATCH = 2


def close(ours, expected, tolerance=1e-5):
    """Largest difference, relative to the largest value."""
    ours, expected = np.asarray(ours), np.asarray(expected)
    assert ours.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 1e-3  # there is something to see
    assert np.abs(ours - expected).max() < tolerance * scale


def drawn(init, seed):
    """Parameters whose every entry shows, of the shapes that a function makes."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: init(MODEL, key), jax.random.key(0))

    def draw(path, leaf):
        names = [entry.key for entry in path]
        values = rng.standard_normal(leaf.shape)
        if names[-1] != "kernel":
            values = np.sign(values) * (0.2 + 0.3 * np.abs(values))
        if "mapping_network" in names:
            values = values * 100  # over the multiplier of their learning rate
        if names[-2:] == ["modulation", "bias"]:
            values = values + 1
        return np.float32(values)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.cache
def generator_params():
    return drawn(init_generator, 1)


@functools.cache
def discriminator_params():
    return drawn(lambda config, key: discriminator_of(config).init(key)[0], 2)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@functools.cache
def apply(method=None):
    """A method of the generator, compiled, with its parameters."""
    generator = make_generator(MODEL)
    compiled = devices.jit_in_a_hurry(
        lambda params, *inputs: generator.apply(
            {"params": params}, *inputs, method=method
        )
    )
    return functools.partial(compiled, generator_params())


@pytest.fixture(scope="module")
def window():
    """Inputs of a window that is not square."""
    rows, columns = ROWS + 24, COLUMNS + 24
    sizes = zip(*(noise_shapes(n, 2) for n in (ROWS, COLUMNS)), strict=True)
    return {
        "z_global": normal(3, BATCH, MODEL.z_global_size),
        "z_local": normal(4, BATCH, rows, columns, MODEL.z_local_size),
        "coords": normal(5, BATCH, rows, columns, 3),
        "noise": [normal(6 + sum(size), BATCH, *size, 1) for size in sizes],
    }


def test_the_generator(window):
    params, z_global, noise = generator_params(), window["z_global"], window["noise"]
    places = window["z_local"], window["coords"]
    expected = oracle.structure(params, *places, z_global)
    close(apply("structure")(*places, z_global), expected)
    assert expected.shape == (BATCH, ROWS, COLUMNS, MODEL.structure_width)
    close(apply("mapping")(z_global), oracle.mapping(params, z_global))
    expected = oracle.generate(params, z_global, *places, noise)
    assert expected.shape == (BATCH, 4 * (ROWS - 5) + 5, 4 * (COLUMNS - 5) + 5, 3)
    close(apply()(z_global, *places, noise), expected)


def test_each_slot_has_its_layer(window):
    params, noise = generator_params(), window["noise"]
    made = normal(7, BATCH, ROWS, COLUMNS, MODEL.structure_width)
    styles = normal(8, BATCH, MODEL.num_slots, MODEL.z_global_size)
    expected = oracle.texture(params, made, styles, noise)
    close(apply("texture")(made, styles, noise), expected)
    first, second = jnp.asarray(styles[:, 0]), jnp.asarray(styles[:, 1])
    for index in (1, 3, 5):
        found = slot_styles(first, 5, second, index)
        expected = oracle.mixed(first, second, index, 5)
        np.testing.assert_array_equal(found, expected)


def test_styles_over_space(window):
    params, noise = generator_params(), window["noise"]
    places = window["z_local"], window["coords"]
    z_map = normal(9, BATCH, *places[0].shape[1:3], MODEL.z_global_size)
    expected = oracle.structure(params, *places, z_map)
    close(apply("structure")(*places, z_map), expected)
    made = normal(7, BATCH, ROWS, COLUMNS, MODEL.structure_width)
    sizes = [(ROWS, COLUMNS), *(each.shape[1:3] for each in noise[:-1])]
    maps = [
        normal(10 + i, BATCH, *size, MODEL.z_global_size)
        for i, size in enumerate(sizes)
    ]
    expected = oracle.texture(params, made, maps, noise)
    close(apply("texture")(made, maps, noise), expected)


def test_coordinates():
    frame = coords.Frame(horizon=Fraction(9, 4), rows=80.0)
    for corner in ((-3, -2), (5, 137)):
        parts = coords.world_coords("landscape", corner[0], 8, corner[1], 11, frame)
        found = coords.grid(*map(jnp.asarray, parts))
        close(found, oracle.world_coords(corner[0], 8, corner[1], 11, 2.25, 4.0))
    for place in ((0, 0, 0.0, 0.0), (9, 139, 0.11, -0.006)):
        kinds = (jnp.int32, jnp.int32, jnp.float32, jnp.float32)
        given = [kind(each) for kind, each in zip(kinds, place, strict=True)]
        close(
            coords.training_coords("landscape", *given, 10),
            oracle.training_coords(*place),
        )


def judge(images):
    params = jax.tree.map(jnp.asarray, discriminator_params())
    return ResidualDiscriminator(MODEL).apply({"params": params}, images)


def test_the_discriminator():
    images = normal(20, 4, 29, 29, 3)  # two groups
    logits, places = devices.jit_in_a_hurry(judge)(images)
    expected = oracle.discriminate(discriminator_params(), images, group=2)
    close(logits, expected[0])
    close(places, expected[1])


def test_r1():
    """Along some directions of each sample's pixels, by differences of the oracle."""
    images = normal(21, 2, 29, 29, 3)
    directions = normal(22, 2, 5, 29, 29, 3)

    def score(amounts):
        moved = images + jnp.einsum("bn,bnhwc->bhwc", amounts, directions)
        return judge(moved)[0]

    found = devices.jit_in_a_hurry(lambda x: losses.r1(score, x))(jnp.zeros((2, 5)))
    expected = oracle.r1_along(discriminator_params(), images, directions, group=2)
    close(found, expected, 1e-4)


def test_path_length(window):
    params, noise = generator_params(), window["noise"]
    made = normal(23, BATCH, ROWS, COLUMNS, MODEL.structure_width)
    styles = normal(24, BATCH, MODEL.num_slots, MODEL.z_global_size)
    projection = normal(25, BATCH, 13, 21, 3)

    def lengths(params, made, styles, noise, projection):
        def paint(styles):
            return make_generator(MODEL).apply(
                {"params": params}, made, styles, noise, method="texture"
            )

        return losses.path_lengths(paint, styles, projection)

    inputs = params, made, styles, noise, projection
    found = devices.jit_in_a_hurry(lengths)(*inputs)
    expected = oracle.path_lengths(*inputs)
    close(found, expected, 1e-4)
    mean = 0.3 + 0.01 * (expected.mean() - 0.3)
    penalty = losses.path_penalty(found, jnp.float32(mean))
    close(penalty, np.mean((expected - mean) ** 2), 1e-3)


def test_a_world():
    """A part of an infinite picture, from the seed to its bytes."""
    params, seed, top, left = generator_params(), 2**35 + 11, -8, 2**36
    world = World(
        MODEL,
        params,
        seed=seed,
        tile_size=16,
        devices=jax.devices()[:1],
        scene=Scene(truncation=0.7, noise_scale=0.6),
    )
    sizes = MODEL.z_global_size, MODEL.z_local_size
    span = 20 * 4  # as in training: 20 cells of 4 px
    expected = oracle.world(params, sizes, seed, top, left, 12, 16, 0.7, 0.6, span)
    expected = np.clip((expected + 1) * 127.5, 0, 255)
    painted = world[top : top + 12, left : left + 16]
    assert painted.std() > 20  # a picture, not a plain colour
    # Bytes are the nearest, but for what rounding in float32 does.
    assert np.abs(painted - expected).max() <= 0.5 + 1e-2
