"""Random fields: the same position gives the same bits, whoever asks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import random as jax_random

from infinitygan_jax import fields
from infinitygan_jax.seed_range import check_seed

KEY = fields.stream_key(7, fields.NOISE)
FAR = 2**40 + 12345

# Pinned on 2026-11-22.
GOLDEN_KEYS = [[1797259609, 2579123966], [351991824, 2303351838]]
GOLDEN_NEAR = [
    [-0.6224881410598755, -0.5482965111732483],
    [0.35427162051200867, 0.2749149799346924],
]
GOLDEN_FAR = [
    -0.575737714767456,
    0.48856213688850403,
    0.7419449090957642,
    -1.3918787240982056,
]
GOLDEN_GLOBAL = [-0.2903822362422943, -0.6149078607559204, 0.6992544531822205]


def field(top, left, height, width, channels=1, key=KEY):
    rows, cols = fields.words(top, height), fields.words(left, width)
    draw = jax.jit(fields.normal_field, static_argnums=3)
    return np.asarray(draw(key, rows, cols, channels))


def test_the_hash_is_threefry2x32():
    # Random123's known answers (kat_vectors) for threefry 2x32 with 20 rounds.
    answers = {
        (0x00000000,) * 4: (0x6B200159, 0x99BA4EFE),
        (0xFFFFFFFF,) * 4: (0x1CB996FC, 0xBB002BE7),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344): (0xC4923A9C, 0x483DF7A0),
    }
    for (c0, c1, k0, k1), expected in answers.items():
        words = [np.array([w], np.uint32) for w in (k0, k1, c0, c1)]
        found = fields.threefry2x32((words[0], words[1]), (words[2], words[3]))
        assert tuple(int(w[0]) for w in found) == expected
    rng = np.random.default_rng(0)
    key, counts = (rng.integers(0, 2**32, n, dtype=np.uint32) for n in (2, 64))
    theirs = jax_random.threefry_2x32(jnp.asarray(key), jnp.asarray(counts))
    ours = fields.threefry2x32((key[0], key[1]), (counts[:32], counts[32:]))
    np.testing.assert_array_equal(np.concatenate(ours), theirs)


def test_words_are_those_of_64_bit_positions():
    # -1 is all ones; 2**32 + 5 has the words (1, 5); -(2**32) is (2**32 - 1, 0).
    np.testing.assert_array_equal(
        fields.words(-1, 2), [[0xFFFFFFFF, 0xFFFFFFFF], [0, 0]]
    )
    np.testing.assert_array_equal(fields.words(2**32 + 5, 1), [[1, 5]])
    np.testing.assert_array_equal(fields.words(-(2**32), 1), [[0xFFFFFFFF, 0]])
    for start in (-(2**63), 2**63 - 3):
        for i, (high, low) in enumerate(fields.words(start, 3).tolist()):
            assert (high << 32 | low) == (start + i) % 2**64
    for start in (-(2**63) - 1, 2**63 - 2):
        with pytest.raises(ValueError, match="must lie in"):
            fields.words(start, 3)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("corner", [(0, 0), (-40, FAR), (-FAR, 2**32 - 30)])
def test_windows_agree_bit_for_bit(channels, corner):
    top, left = corner
    whole = field(top, left, 70, 83, channels)
    rng = np.random.default_rng(1)
    for height, width in [(1, 1), (1, 83), (32, 65)]:
        y = int(rng.integers(0, 71 - height))
        x = int(rng.integers(0, 84 - width))
        part = field(top + y, left + x, height, width, channels)
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_batch_of_windows_is_the_windows():
    tops, lefts = [0, -7, FAR], [3, 2**33, -FAR]
    rows = np.stack([fields.words(top, 20) for top in tops])
    cols = np.stack([fields.words(left, 31) for left in lefts])
    draw = jax.vmap(fields.normal_field, in_axes=(None, 0, 0, None))
    batch = jax.jit(draw, static_argnums=3)(KEY, rows, cols, 3)
    for found, top, left in zip(batch, tops, lefts, strict=True):
        np.testing.assert_array_equal(found, field(top, left, 20, 31, 3))


def test_devices_draw_the_same():
    rows, cols = fields.words(-5, 9), fields.words(FAR, 11)
    first = field(-5, FAR, 9, 11, 2)
    for device in jax.devices()[1:3]:
        inputs = jax.device_put((KEY, rows, cols), device)
        np.testing.assert_array_equal(fields.normal_field(*inputs, 2), first)


def test_golden_values_pin_the_generator():
    # Changing these is changing every picture that anyone has a link to.
    assert fields.stream_key(0, fields.Z_GLOBAL).tolist() == GOLDEN_KEYS[0]
    assert fields.stream_key(2**64 - 1, fields.NOISE + 3).tolist() == GOLDEN_KEYS[1]
    np.testing.assert_allclose(field(0, 0, 2, 2)[..., 0], GOLDEN_NEAR, rtol=1e-6)
    np.testing.assert_allclose(field(-FAR, FAR, 1, 1, 4)[0, 0], GOLDEN_FAR, rtol=1e-6)
    np.testing.assert_allclose(fields.global_latent(5, 3), GOLDEN_GLOBAL, rtol=1e-6)


def test_draws_are_standard_normal_and_independent():
    sample = field(-300, 2**41, 600, 600).ravel()
    count = sample.size
    # The mean of n draws has a deviation of 1 / sqrt(n); the variance of sqrt(2 / n).
    assert abs(sample.mean()) < 5 / count**0.5
    assert abs(sample.var() - 1) < 5 * (2 / count) ** 0.5
    # P(|x| > 3) = 0.0027.
    tail = np.mean(np.abs(sample) > 3)
    assert abs(tail - 0.0027) < 5 * (0.0027 / count) ** 0.5
    grid = sample.reshape(600, 600)
    others = [
        field(-300, 2**41, 600, 600, key=fields.stream_key(8, fields.NOISE))[..., 0],
        field(-300, 2**41, 600, 600, key=fields.stream_key(7, fields.NOISE + 1))[
            ..., 0
        ],
        field(-300, 2**41 + 1, 600, 600)[..., 0],
        field(-299, 2**41, 600, 600)[..., 0],
        field(-300, 2**41 + 2**32, 600, 600)[..., 0],
        field(-300 + 2**32, 2**41, 600, 600)[..., 0],
    ]
    for other in others:
        correlation = np.corrcoef(grid.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 5 / count**0.5
    channels = field(0, 0, 100, 100, 6).reshape(-1, 6)
    assert np.abs(np.corrcoef(channels.T) - np.eye(6)).max() < 0.05


def test_a_seed_out_of_range_is_refused():
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match=rf"seed \({seed}\) must be from 0"):
            fields.stream_key(seed, 0)


def test_words_repeat_with_a_period():
    expected = fields.words(0, 7)[[5, 6, 0, 1, 2, 3, 4, 5, 6, 0]]
    for start in (5, -2, 5 - 7 * 2**55, 5 + 7 * 2**55):
        np.testing.assert_array_equal(fields.words(start, 10, period=7), expected)


def test_seeds_of_64_bits_have_keys_of_their_own():
    """Those of 32 bits have JAX's."""
    for seed in (0, 7, 2**32 - 1):
        expected = jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))
        found = jax.random.key_data(fields.key_of(seed))
        np.testing.assert_array_equal(found, expected)
    seeds = (7, 2**32 + 7, 2**63 + 7, 2**64 - 1)
    keys = {tuple(jax.random.key_data(fields.key_of(s)).tolist()) for s in seeds}
    assert len(keys) == len(seeds)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_named(seed):
    with pytest.raises(ValueError, match=rf"--seed \({seed}\) must be from 0 to 2"):
        check_seed(seed, "--seed")
