"""Between two seeds: both ends to the last bit, and typical draws between."""

import dataclasses

import jax
import numpy as np
import pytest

from infinitygan_jax import fields
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.mixing import Mix, along_arc
from infinitygan_jax.sampling.plan import Tile
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Between, Constant, Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

WINDOW = (slice(-20, 20), slice(5, 50))


def _world(seed=1, scene=None, tile_size=32):
    return World(
        tiny.MODEL,
        tiny.params(),
        seed=seed,
        tile_size=tile_size,
        devices=jax.devices()[:1],
        scene=scene or Scene(),
    )


def _fields(scene=None, edits=()):
    """Of a large tile; what a world draws before it paints."""
    painter = _world(5, scene, tile_size=256)._painter
    return jax.tree.map(np.asarray, painter._draw([Tile(0, 0)], [list(edits)]))


def _pinned(mix):
    return Scene(styles=Constant(Seed(5)), mix=mix)


def test_an_arc_turns_evenly_between_its_ends():
    start, stop = (np.asarray(fields.global_latent(seed, 512)) for seed in (1, 2))
    assert along_arc(start, stop, 0) is start
    assert along_arc(start, stop, 1) is stop
    np.testing.assert_array_equal(along_arc(start, start, 0.3), start)

    def angle(one, other):
        return np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    for amount in (0.25, 0.5, 0.75):
        between = along_arc(start, stop, amount)
        # Lengths of both are sqrt(512) = 22.6, give or take 0.7.
        assert abs(np.linalg.norm(between) - 22.6) < 2
        np.testing.assert_allclose(
            angle(start, between), amount * angle(start, stop), atol=0.05
        )
        np.testing.assert_allclose(
            between, along_arc(stop, start, 1 - amount), atol=1e-5
        )


def test_styles_between_are_seeds_at_their_ends():
    looks = _world()._painter._looks
    for amount, seed in ((0, 7), (1, 8)):
        for got, wanted in zip(
            looks[Between(7, 8, amount)], looks[Seed(seed)], strict=True
        ):
            np.testing.assert_array_equal(got, wanted)
    middle = looks[Between(7, 8, 0.5)].styles
    assert np.abs(middle - looks[Seed(7)].styles).max() > 0.1


@pytest.mark.parametrize("amount", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("octaves", [1, 3])
def test_mixed_fields_keep_their_variance(amount, octaves):
    mixed = _fields(Scene(mix=Mix(1, 2, amount), octaves=octaves))
    # Of octaves, few coarse cells are independent: 93 cells are 12 x 12 of the third.
    assert abs(mixed.z_local.std() - 1) < (0.02 if octaves == 1 else 0.1)
    for noise in mixed.noise:
        assert abs(noise.std() - 1) < 0.03


def test_mixed_latents_are_truncated_once():
    whole, half = (_fields(Scene(mix=Mix(1, 2, 0.3), truncation=t)) for t in (1, 0.5))
    np.testing.assert_array_equal(half.z_local, whole.z_local / 2)


def test_mixed_fields_are_the_sum_of_two_seeds_draws():
    own, ends = _fields(Scene()), []
    for seed in (1, 2):
        painter = _world(seed, tile_size=256)._painter
        ends.append(jax.tree.map(np.asarray, painter._draw([Tile(0, 0)], [[]])))
    first, second = ends
    mixed = _fields(Scene(mix=Mix(1, 2, 0.3, noise=False)))
    cos, sin = np.cos(0.15 * np.pi), np.sin(0.15 * np.pi)
    expected = cos * first.z_local + sin * second.z_local
    np.testing.assert_allclose(mixed.z_local, expected, atol=1e-6)
    for got, wanted in zip(mixed.noise, own.noise, strict=True):
        np.testing.assert_array_equal(got, wanted)
    mixed = _fields(Scene(mix=Mix(1, 2, 0.3)))
    for got, *parts in zip(mixed.noise, first.noise, second.noise, strict=True):
        np.testing.assert_allclose(got, cos * parts[0] + sin * parts[1], atol=1e-6)


@pytest.mark.parametrize(
    ("mix", "seed"), [(Mix(1, 2, 0), 1), (Mix(1, 2, 1), 2), (Mix(3, 3, 0.4), 3)]
)
def test_ends_of_a_mix_are_its_seeds_worlds(mix, seed):
    plain = _world(seed, Scene(styles=Constant(Seed(5))))
    np.testing.assert_array_equal(_world(9, _pinned(mix))[WINDOW], plain[WINDOW])


def test_what_is_drawn_anew_is_not_mixed():
    edit = Resample(Region(40, 60, 80, 80), 4)
    mixed = _fields(Scene(mix=Mix(1, 2, 0.5), edits=(edit,)), [edit])
    plain = _fields(Scene(edits=(edit,)), [edit])
    untouched = _fields(Scene(mix=Mix(1, 2, 0.5)))
    # Cells are 4 px, and a tile's first is 14 before its own first.
    inside = (0, slice(24, 44), slice(29, 49))
    np.testing.assert_array_equal(mixed.z_local[inside], plain.z_local[inside])
    outside = (0, slice(0, 24))
    np.testing.assert_array_equal(mixed.z_local[outside], untouched.z_local[outside])
    assert (mixed.z_local[inside] != untouched.z_local[inside]).all()


def test_tiles_of_mixed_worlds_agree():
    scene = Scene(styles=Constant(Between(3, 4, 0.4)), mix=Mix(1, 2, 0.6))
    world = _world(1, scene)
    whole = world[WINDOW]
    np.testing.assert_array_equal(world[-10:10, 20:40], whole[10:30, 15:35])
    other = _world(1, scene, tile_size=16)[WINDOW]
    assert np.abs(other.astype(int) - whole).max() <= 1
    varied = dataclasses.replace(_world(8), seed=1, scene=scene)
    np.testing.assert_array_equal(varied[WINDOW], whole)


@pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan")])
def test_amounts_out_of_range_are_refused(amount):
    for kind in (Mix, Between):
        with pytest.raises(ValueError, match=r"amount .* must be from 0 to 1"):
            kind(1, 2, amount)
        with pytest.raises(ValueError, match="seed"):
            kind(1, -2, 0.5)
