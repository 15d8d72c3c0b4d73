"""All draws are functions of (seed, purpose, step, sample index)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax.config import Config, TrainConfig
from infinitygan_jax.training import draws
from tests.sampling import tiny

CONFIG = Config(
    model=tiny.MODEL,
    data=tiny.CONFIG.data,
    train=TrainConfig(batch_size=8, style_mixing=0.9),
)


def draw(index, step=3, paired=True, purpose=draws.G_FAKE, config=CONFIG, seed=0):
    key = draws.step_key(seed, purpose, jnp.int32(step))
    function = jax.jit(draws.draw_samples, static_argnums=(0, 3))
    return function(config, key, jnp.asarray(index), paired)


def test_a_part_of_the_batch_draws_its_own_samples():
    whole, part = draw(range(8)), draw([4, 5])
    for all_of, some in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        if all_of.ndim:
            np.testing.assert_array_equal(all_of[4:6], some)
        else:
            assert all_of == some


def test_pairs_share_style_place_and_label():
    pairs = draw(range(8))
    for shared in (pairs.z_global, pairs.z_mix, pairs.coords, pairs.label):
        np.testing.assert_array_equal(shared[::2], shared[1::2])
    for own in (pairs.z_local, *pairs.noise):
        assert np.abs(np.asarray(own[::2] - own[1::2])).max() > 1
    single = draw(range(8), paired=False)
    assert np.abs(np.asarray(single.z_global[::2] - single.z_global[1::2])).max() > 0.5


def test_seed_step_and_purpose_change_everything():
    first = draw(range(8))
    for other in (
        draw(range(8), step=4),
        draw(range(8), seed=1),
        draw(range(8), purpose=draws.D_FAKE),
    ):
        for name in ("z_global", "z_mix", "z_local"):
            ours, theirs = (np.ravel(getattr(s, name)) for s in (first, other))
            assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.5
        assert np.abs(np.asarray(first.noise[0] - other.noise[0])).max() > 1


def test_labels_say_where_the_window_starts():
    samples = draw(range(64), paired=False)
    # v of the first row: 0.3 start - 6.6, moved by at most half a step.
    v = np.arctanh(np.asarray(samples.coords[:, 22, 0, 0], np.float64))
    start = (np.asarray(samples.label) + 1) / 2 * 9
    np.testing.assert_allclose(v, 0.3 * start, atol=0.1501)
    assert set(np.round(start).astype(int)) == set(range(10))
    assert np.abs(v - 0.3 * start).max() > 0.1  # the jitter is there


def test_windows_of_few_starts_lie_closer_together():
    model = dataclasses.replace(CONFIG.model, vertical_starts=3)
    config = dataclasses.replace(CONFIG, model=model)
    samples = draw(range(64), paired=False, config=config)
    label = np.asarray(samples.label)
    assert set(label.tolist()) == {-1, 0, 1}
    # Three starts, 13 rows between v = -3 and 3: the middle row, 17, lies half a row
    # above the start's own, and is moved by at most half a row.
    v = np.arctanh(np.asarray(samples.coords[:, 17, 0, 0], np.float64))
    np.testing.assert_allclose(v, 6 / 13 * (label - 0.5), atol=3 / 13 + 1e-4)


@pytest.mark.parametrize("probability", [0.0, 0.9, 1.0])
def test_style_mixing_happens_as_often_as_asked(probability):
    train = dataclasses.replace(CONFIG.train, style_mixing=probability)
    config = dataclasses.replace(CONFIG, train=train)
    slots = config.model.num_slots

    def index(step):
        key = draws.step_key(0, draws.G_FAKE, step)
        return draws._mix_index(key, slots, probability)

    found = np.asarray(jax.jit(jax.vmap(index))(jnp.arange(1000)))
    mixed = found < slots
    assert abs(mixed.mean() - probability) < 0.05
    if probability:
        assert set(found[mixed]) == set(range(1, slots))  # uniform on 1 .. slots - 1
