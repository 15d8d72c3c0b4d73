"""What the energy distance compares of patches."""

import jax
import jax.numpy as jnp
import numpy as np

from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models import features
from infinitygan_jax.training import patch_features

PATCH = 17
CONFIG = ModelConfig(patch_size=PATCH, discriminator="projected", texture_widths=(4,))
RNG = np.random.default_rng(3)
TAPS = [
    jnp.asarray(RNG.normal(size=(2, 3, 3, width)), jnp.float32)
    for width in features.SIZES["lite0"].taps
]
PICTURES = jnp.asarray(RNG.uniform(-1, 1, (2, PATCH, PATCH, 3)), jnp.float32)


def groups_of(image, taps=TAPS):
    ends = np.cumsum(patch_features.widths(CONFIG))
    found = np.asarray(patch_features.of(image, taps))
    assert found.shape == (2, ends[-1])
    return np.split(found, ends[:-1], axis=1)


def test_means_deviations_and_maxima_of_what_the_network_sees_come_first():
    found = groups_of(PICTURES)
    of_taps = zip(TAPS, found[:4], found[4:8], found[8:12], strict=True)
    for tap, mean, deviation, maximum in of_taps:
        np.testing.assert_allclose(mean, tap.mean((1, 2)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(deviation, tap.std((1, 2)), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(maximum, tap.max((1, 2)))


def test_parts_tell_what_lies_above_what():
    """The network's part of the features does not."""
    upper = np.arange(PATCH) < PATCH // 2
    image = np.where(upper[:, None, None], (0.5, 0.25, -0.25), (-1.0, 0.0, 1.0))
    images = jnp.asarray(np.broadcast_to(image, (2, PATCH, PATCH, 3)), jnp.float32)
    colours = groups_of(images)[12].reshape(2, 4, 4, 3)
    np.testing.assert_allclose(colours[:, 0, 1], [(0.5, 0.25, -0.25)] * 2, atol=1e-6)
    np.testing.assert_allclose(colours[:, 3, 2], [(-1, 0, 1)] * 2, atol=1e-6)


def test_rows_tell_what_is_added_to_them():
    pattern = np.arange(PATCH) % 4 == 1
    added = jnp.asarray(pattern[None, :, None, None] / 128, jnp.float32)
    before, after = groups_of(PICTURES), groups_of(PICTURES + added)
    steps = np.diff(pattern.astype(int))[None, :, None] / 128
    found = (after[13] - before[13]).reshape(2, PATCH - 1, 3)
    np.testing.assert_allclose(found, np.broadcast_to(steps, found.shape), atol=1e-6)
    np.testing.assert_allclose(after[14], before[14], atol=1e-6)  # columns


def test_columns_tell_what_is_added_to_them_but_not_a_slope():
    pattern = np.arange(PATCH) % 4 == 1
    slope = np.arange(PATCH) / PATCH
    added = jnp.asarray((pattern / 128 + slope)[None, None, :, None], jnp.float32)
    before, after = groups_of(PICTURES), groups_of(PICTURES + added)
    bends = np.diff(pattern.astype(int), n=2)[None, :, None] / 256
    found = (after[14] - before[14]).reshape(2, PATCH - 2, 3)
    np.testing.assert_allclose(found, np.broadcast_to(bends, found.shape), atol=1e-6)
    np.testing.assert_allclose(after[13], before[13], atol=1e-6)  # rows


def test_what_is_alike_everywhere_has_a_slope():
    gradient = jax.grad(lambda taps: jnp.sum(patch_features.of(PICTURES, taps)))
    for leaf in gradient([jnp.zeros_like(tap) for tap in TAPS]):
        assert np.isfinite(leaf).all()
