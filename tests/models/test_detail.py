"""The detail synthesizer: means, sizes, seams, bytes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.config import DetailConfig
from infinitygan_jax.models import detail
from infinitygan_jax.models.layers import averaged, center_crop

CONFIG = DetailConfig(
    patch_size=16, width=8, num_blocks=1, fine_width=4, noise_size=5, pixel_widths=(8,)
)


@functools.lru_cache
def params(seed=0):
    """Random parameters in which everything shows."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(
        lambda key: detail.init_detail(CONFIG, key), jax.random.key(0)
    )
    drawn = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes
    )
    return jax.tree.map(jnp.asarray, {**drawn, "gain": np.full(3, 0.5, np.float32)})


@functools.cache
def _paint():
    network, variables = detail.DetailSynthesizer(CONFIG), {"params": params()}
    paint = jax.jit(network.apply)
    return lambda *given: paint(variables, *given)


def _inputs(height, width, seed=1, low=0, high=256):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(low, high, (2, height, width, 3), dtype=np.uint8)
    noise = rng.standard_normal((2, height, width, CONFIG.noise_size))
    return pixels, noise.astype(np.float32)


@pytest.mark.parametrize(("low", "high"), [(0, 256), (0, 1), (255, 256), (250, 256)])
def test_means_of_what_it_paints_are_what_it_is_given(low, high):
    pixels, noise = _inputs(20, 26, low=low, high=high)
    colours = detail.from_pixels(jnp.asarray(pixels))
    fine = _paint()(colours, noise)
    assert fine.shape == (2, 2 * (20 - 2 * CONFIG.margin), 32, 3)
    middle = center_crop(colours, *(side // 2 for side in fine.shape[1:3]))
    np.testing.assert_allclose(averaged(fine, 2), middle, atol=1e-6)
    assert np.abs(fine).max() <= 1 + 1e-6


def test_it_adds_something():
    pixels, noise = _inputs(20, 20, low=100, high=101)
    fine = _paint()(detail.from_pixels(jnp.asarray(pixels)), noise)
    assert np.std(fine) > 0.01


@pytest.mark.parametrize(("low", "high"), [(0, 256), (0, 1), (255, 256), (0, 3)])
def test_bytes_have_exactly_the_given_means(low, high):
    pixels, noise = _inputs(24, 24, low=low, high=high)
    fine = _paint()(detail.from_pixels(jnp.asarray(pixels)), noise)
    coarse = center_crop(jnp.asarray(pixels), *(n // 2 for n in fine.shape[1:3]))
    shown = np.asarray(detail.to_pixels(fine, coarse))
    sums = shown.astype(int).reshape(2, 14, 2, 14, 2, 3).sum(axis=(2, 4))
    np.testing.assert_array_equal(sums, 4 * np.asarray(coarse, int))
    # And each is near to what was wanted.
    assert np.abs(shown - (np.asarray(fine) + 1) * 127.5).max() <= 1.5 + 1e-3


def test_windows_that_overlap_agree():
    pixels, noise = _inputs(28, 28)
    colours = detail.from_pixels(jnp.asarray(pixels))
    whole = _paint()(colours, noise)
    part = _paint()(colours[:, 6:26, 4:24], noise[:, 6:26, 4:24])
    np.testing.assert_allclose(part, whole[:, 12:32, 8:28], atol=1e-5)


def test_the_margin_is_what_it_sees():
    pixels, noise = _inputs(2 * CONFIG.margin + 1, 2 * CONFIG.margin + 1)
    colours = detail.from_pixels(jnp.asarray(pixels))
    gradient = jax.grad(lambda x, n: jnp.sum(_paint()(x, n)[..., 0] ** 3), (0, 1))
    for moved in gradient(colours, noise):
        assert np.any(moved[:, 0]) and np.any(moved[:, -1])  # first and last rows
        assert np.any(moved[:, :, 0]) and np.any(moved[:, :, -1])


def test_noise_of_each_pixel_counts():
    pixels, noise = _inputs(20, 20)
    colours = detail.from_pixels(jnp.asarray(pixels))
    first = _paint()(colours, noise)
    for channel in range(CONFIG.noise_size):
        other = noise.copy()
        other[..., channel] += 1
        assert np.abs(_paint()(colours, other) - first).max() > 1e-3


def test_whole_pictures_are_enlarged_to_their_edges():
    pixels, _ = _inputs(12, 16)
    doubled = detail.enlarged(CONFIG, params(), jnp.asarray(pixels), jax.random.key(0))
    assert doubled.shape == (2, 24, 32, 3)
    sums = np.asarray(doubled, int).reshape(2, 12, 2, 16, 2, 3).sum(axis=(2, 4))
    np.testing.assert_array_equal(sums, 4 * pixels.astype(int))


def test_operations_are_what_xla_counts():
    side = 64
    coarse = side // 2 + 2 * CONFIG.margin
    network = detail.DetailSynthesizer(CONFIG)
    shapes = [
        jax.ShapeDtypeStruct((1, coarse, coarse, channels), np.float32)
        for channels in (3, CONFIG.noise_size)
    ]
    lowered = jax.jit(network.apply).lower({"params": params()}, *shapes)
    counted = lowered.compile().cost_analysis()["flops"]
    own = detail.operations(CONFIG, side, side)
    assert own < counted < 1.6 * own  # which counts sums of colours, too


def test_the_bundled_sizes_cost_what_they_may():
    config = DetailConfig()
    sides = [4096 >> level for level in range(4)]
    total = sum(detail.operations(config, side, side) for side in sides)
    assert total <= 100_000 * 4096**2


def test_parameters_of_other_sizes_are_refused():
    detail.check_params(CONFIG, params())
    with pytest.raises(ValueError, match="detail synthesizer's parameters must have"):
        detail.check_params(DetailConfig(), params())
