"""The generator: sizes of every patch, and windows that fit together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models.generator import (
    init_generator,
    make_generator,
    noise_shapes,
    slot_styles,
    to_uint8,
)
from tests.sampling import tiny

PATCHES = {17: 1, 53: 3, 101: 4, 197: 5, 389: 6, 773: 7, 1541: 8}


@pytest.mark.parametrize(("patch", "stages"), PATCHES.items())
def test_full_size_paints_a_patch(patch, stages):
    config = ModelConfig(patch_size=patch)
    generator = make_generator(config)
    shapes = [
        jax.ShapeDtypeStruct((2, n, n, 1), jnp.float32)
        for n in noise_shapes(11, stages)
    ]
    inputs = (
        jax.ShapeDtypeStruct((2, 512), jnp.float32),
        jax.ShapeDtypeStruct((2, 35, 35, 256), jnp.float32),
        jax.ShapeDtypeStruct((2, 35, 35, 3), jnp.float32),
        shapes,
    )
    params = jax.eval_shape(lambda key: init_generator(config, key), jax.random.key(0))
    image = jax.eval_shape(
        lambda p, *x: generator.apply({"params": p}, *x), params, *inputs
    )
    assert image.shape == (2, patch, patch, 3)
    assert image.dtype == jnp.float32
    # The last stage's channels are those of docs/model.md, section 1.
    last = (512, 512, 512, 512, 256, 128, 64, 32)[stages - 1]
    kernel = params["texture_synthesizer"][f"conv_{stages - 1}"]["kernel"]
    assert kernel.shape == (3, 3, last, last)


def window(model, params, rows, cols, seed=3):
    """A window of the tiny world from its fields: [h, w, 3]."""
    generator = make_generator(model)
    place = coords.world_coords(
        model.coords,
        rows.latent.start,
        rows.latent.size,
        cols.latent.start,
        cols.latent.size,
        coords.trained_frame(model.vertical_starts),
    )

    def draw(stream, row, col, channels):
        key = jnp.asarray(fields.stream_key(seed, stream))
        words = (fields.words(s.start, s.size) for s in (row, col))
        return fields.normal_field(key, *map(jnp.asarray, words), channels)[None]

    z_local = draw(fields.Z_LOCAL, rows.latent, cols.latent, model.z_local_size)
    noise = [
        draw(fields.NOISE + i, row, col, 1)
        for i, (row, col) in enumerate(zip(rows.noise, cols.noise, strict=True))
    ]
    z_global = fields.global_latent(seed, model.z_global_size)[None]
    where = coords.grid(*map(jnp.asarray, place))[None]
    apply = jax.jit(generator.apply)
    return np.asarray(apply({"params": params}, z_global, z_local, where, noise)[0])


def test_overlapping_windows_agree():
    model, params = tiny.MODEL, jax.tree.map(jnp.asarray, tiny.params())
    stages = model.num_stages
    rows, cols = (
        geometry.axis_spans(-4, 9, stages),
        geometry.axis_spans(2**35, 12, stages),
    )
    whole = window(model, params, rows, cols)
    assert whole.shape == (21, 33, 3)  # (9 - 5) 4 + 5 and (12 - 5) 4 + 5
    assert whole.std() > 0.1
    part_rows = geometry.axis_spans(-3, 7, stages)
    part_cols = geometry.axis_spans(2**35 + 4, 8, stages)
    part = window(model, params, part_rows, part_cols)
    y = part_rows.pixels.start - rows.pixels.start
    x = part_cols.pixels.start - cols.pixels.start
    assert (y, x) == (4, 16)  # cells of 4 px
    expected = whole[y : y + part.shape[0], x : x + part.shape[1]]
    np.testing.assert_allclose(part, expected, atol=2e-5 * np.abs(whole).max())


def test_style_slots_change_hands_at_the_mix_index():
    first, second = jnp.zeros((2, 3)), jnp.ones((2, 3))
    styles = slot_styles(first, 5, second, 2)
    np.testing.assert_array_equal(styles[0, :, 0], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(slot_styles(first, 5, second, 5), 0)


def test_bfloat16_is_near_float32():
    model, params = tiny.MODEL, jax.tree.map(jnp.asarray, tiny.params())
    rows = geometry.axis_spans(0, 11, model.num_stages)
    exact = window(model, params, rows, rows)
    import dataclasses

    rough = window(dataclasses.replace(model, dtype="bfloat16"), params, rows, rows)
    assert rough.dtype == np.float32
    # bfloat16 keeps 8 bits: 0.4% a rounding, over some ten layers.
    assert np.abs(rough - exact).max() < 0.1 * np.abs(exact).max()
    assert np.abs(rough - exact).max() > 0


def test_colours_to_bytes():
    # (x + 1) 127.5: 0 -> 127.5, a tie, to the even 128; 1/255 -> 128; 0.5 -> 191.25
    colours = jnp.asarray([-9.0, -1.0, 0.0, 1 / 255, 0.5, 1.0, 1.003, 9.0])
    expected = [0, 0, 128, 128, 191, 255, 255, 255]
    np.testing.assert_array_equal(to_uint8(colours), np.uint8(expected))
