"""evaluation.enlarging: samples that are seen closer."""

import numpy as np

from infinitygan_jax.evaluation import enlarging
from infinitygan_jax.evaluation.photographs import View
from tests.models import test_detail as small


def test_samples_keep_their_means_and_get_noise_of_their_own():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    batch = pictures / np.float32(127.5) - 1
    batches = [batch, batch]
    found = list(enlarging.closer(batches, small.CONFIG, small.params(), 4, seed=3))
    for large in found:
        assert large.shape == (2, 64, 64, 3) and large.dtype == np.float32
        pixels = np.round((large + 1) * 127.5)
        means = pixels.reshape(2, 16, 4, 16, 4, 3).mean(axis=(2, 4))
        np.testing.assert_array_equal(means, pictures)
    assert np.any(found[0] != found[1])
    again = enlarging.closer(batches, small.CONFIG, small.params(), 4, seed=3)
    np.testing.assert_array_equal(next(again), found[0])
    other = enlarging.closer(batches, small.CONFIG, small.params(), 4, seed=4)
    assert np.any(next(other) != found[0])


def test_a_view_of_larger_photographs_shows_as_much_of_them():
    assert View(53, 69, 0, False, True).closer(4) == View(212, 276, 0, False, True)
    assert View(101, 197, 128).closer(1) == View(101, 197, 128)
