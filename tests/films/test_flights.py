"""Flights: keys are worlds' own windows, what is between joins them, no tile twice."""

import dataclasses
import itertools
from fractions import Fraction

import jax
import numpy as np
import pytest

from infinitygan_jax.films import flights, overlaps
from infinitygan_jax.films.flights import Flight
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Constant, Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

HEIGHT, WIDTH = 20, 26
USUAL = dict(height=HEIGHT, width=WIDTH, num_frames=5, places=((-10, 3),))


def _world(**options):
    return World(
        tiny.MODEL, tiny.params(), tile_size=32, devices=jax.devices()[:1], **options
    )


def _flown(world=None, **options):
    return list(flights.fly(world or _world(), Flight(**(USUAL | options))))


def _window(seed, style, top, left):
    world = _world(seed=seed, scene=Scene(styles=Constant(Seed(style))))
    return world[top : top + HEIGHT, left : left + WIDTH]


def test_frames_at_keys_are_worlds_windows():
    """Three keys of each kind in five frames: every other frame is at one."""
    frames = _flown(
        places=((-10, 3), (-21, 4), (12, 50)), seeds=(1, 2, 3), styles=(7, 8, 9)
    )
    assert len(frames) == 5
    keys = [(1, 7, -10, 3), (2, 8, -21, 4), (3, 9, 12, 50)]
    for frame, key in zip(frames[::2], keys, strict=True):
        np.testing.assert_array_equal(frame, _window(*key))
    for one, other in itertools.pairwise(frames):
        assert np.abs(one.astype(int) - other).max() > 20


def test_kinds_of_keys_are_independent():
    """Two styles, three seeds: at frames 0 and 4, and at 0, 2 and 4."""
    frames = _flown(seeds=(1, 2, 3), styles=(7, 8))
    np.testing.assert_array_equal(frames[0], _window(1, 7, -10, 3))
    np.testing.assert_array_equal(frames[4], _window(3, 8, -10, 3))
    only_styles = _flown(_world(seed=2), styles=(7, 8))
    np.testing.assert_array_equal(frames[2], only_styles[2])
    # The style of the first seed stays where only local latents change.
    np.testing.assert_array_equal(_flown(seeds=(1, 2))[4], _window(2, 1, -10, 3))


def test_noise_may_be_kept():
    frames = _flown(seeds=(1, 2), keep_noise=True)
    np.testing.assert_array_equal(frames[0], _window(1, 1, -10, 3))
    flight = Flight(**USUAL, seeds=(1, 2, 3), keep_noise=True)
    drawn = []
    for index in range(5):
        world = flights._world_of(_world(), flight, flight.frame(index).sight)
        drawn.append(world._painter._draw([Tile(0, 0)], [[]]))
    for other in drawn[1:]:
        jax.tree.map(np.testing.assert_array_equal, drawn[0].noise, other.noise)
        assert (drawn[0].z_local != other.z_local).all()
    third = _world(seed=3)._painter._draw([Tile(0, 0)], [[]])
    np.testing.assert_array_equal(drawn[4].z_local, third.z_local)


@pytest.mark.parametrize("ease", [False, True])
def test_a_loops_end_joins_its_start(ease):
    flight = Flight(
        **(USUAL | dict(num_frames=12, places=((0, 0), (0, 60), (30, 60)))),
        seeds=(1, 2, 3, 4),
        styles=(7, 8),
        loop=True,
        ease=ease,
    )
    frames = [flight.frame(index) for index in range(13)]
    assert frames[12] == frames[0]  # the one after the last
    # Keys: places every 4 frames, seeds every 3, styles every 6.
    assert [(f.top, f.left) for f in frames[::4]] == [(0, 0), (0, 60), (30, 60), (0, 0)]
    assert [f.sight.seed for f in frames[::3]] == [1, 2, 3, 4, 1]
    assert [f.sight.style for f in frames[::6]] == [Seed(7), Seed(8), Seed(7)]
    amounts = [flight.frame(i).sight.style.amount for i in (5, 7)]
    assert abs(sum(amounts) - 1) < 1e-12
    if not ease:  # the last step is as long as those before
        steps = {frames[i].left - frames[i + 1].left for i in range(8, 12)}
        assert steps == {15}


def test_easing_slows_down_at_keys():
    flight = Flight(
        **(USUAL | dict(num_frames=21, places=((0, 0), (0, 1000)))), ease=True
    )
    lefts = [float(flight.frame(index).left) for index in range(21)]
    steps = np.diff(lefts)
    assert lefts[0] == 0 and lefts[20] == 1000 and lefts[10] == 500
    assert (steps > 0).all()
    assert steps[0] < 10 < 70 < steps[10]


def test_no_tile_is_painted_twice(monkeypatch):
    painted = tiny.count_painted(monkeypatch)
    frames = _flown(num_frames=81, places=((-10, 3), (-10, 83)))
    # Rows -10 to 10 and columns 3 to 109: 2 rows and 4 columns of tiles of 32 px.
    assert len(painted) == len(set(painted)) == 8
    whole = _world()[-10:10, 3:109]
    for index, frame in enumerate(frames):  # a pixel a frame
        np.testing.assert_array_equal(frame, whole[:, index : index + WIDTH])


def test_kept_tiles_are_bounded_and_change_nothing(monkeypatch):
    painted = tiny.count_painted(monkeypatch)
    windows = [Window(-10, 3 + 8 * step % 90, 20, 26) for step in range(30)]
    world = _world()
    whole = world[-10:10, 0:128]
    del painted[:]
    for kept_bytes in (0, 3 * 32 * 32 * 5):
        read = overlaps.read_windows(world, windows, kept_bytes)
        for window, picture in zip(windows, read, strict=True):
            inside = slice(window.left, window.right)
            np.testing.assert_array_equal(picture, whole[:, inside])
    assert 16 < len(painted) < 30 * 4 * 2


def test_worlds_that_repeat_are_flown_over_their_seam():
    world = _world(period=(96, 96))
    frames = _flown(world, num_frames=3, places=((-10, 80), (-10, 100)))
    for frame, left in zip(frames, (80, 90, 100), strict=True):
        np.testing.assert_array_equal(frame, world[-10:10, left : left + WIDTH])


def test_far_away_is_as_exact():
    far = 2**61
    frames = _flown(num_frames=3, places=((-far, far), (-far + 1, far + 2)))
    for frame, (down, right) in zip(frames[::2], ((0, 0), (1, 2)), strict=True):
        rows = slice(-far + down, -far + down + HEIGHT)
        cols = slice(far + right, far + right + WIDTH)
        np.testing.assert_array_equal(frame, _world()[rows, cols])
    flight = Flight(**(USUAL | dict(num_frames=3, places=((far, 0), (far + 1, 0)))))
    assert flight.frame(1).top == far + Fraction(1, 2)


def test_between_pixels_frames_are_shifted():
    """Waves of 12 and 16 pixels, which a kernel of six taps follows to 2/255."""

    def wave(down, right, height, width):
        rows = 2 * np.pi / 12 * (np.arange(height) + down)
        cols = 2 * np.pi / 16 * (np.arange(width) + right)
        values = 127.5 + 60 * np.sin(rows)[:, None] + 60 * np.sin(cols)[None, :]
        return np.rint(np.repeat(values[..., None], 3, axis=-1)).astype(np.uint8)

    picture = wave(-2, -2, 25, 45)
    for down, right in ((0.5, 0.25), (0, 0.5), (0.9, 0.1)):
        got = flights.shifted(picture, down, right)
        difference = got.astype(int) - wave(down, right, 20, 40)
        assert np.abs(difference).max() <= 2
    np.testing.assert_array_equal(
        flights.shifted(picture, 0.0, 0.0), picture[2:22, 2:42]
    )


def test_a_slow_flight_moves_by_parts_of_pixels():
    frames = _flown(places=((-10, 3), (-10, 4)))
    world = _world()
    around = world[-12:13, 1 : 1 + WIDTH + 5]
    np.testing.assert_array_equal(frames[1], flights.shifted(around, 0.0, 0.25))
    np.testing.assert_array_equal(frames[4], world[-10:10, 4 : 4 + WIDTH])


def test_tiles_suit_the_flight():
    still = Flight(**(USUAL | dict(height=64, width=64)), styles=(1, 2))
    pan = dataclasses.replace(still, styles=(), places=((0, 0), (0, 900)))
    assert flights.tile_size_for(_world(), pan) == 512
    assert flights.tile_size_for(_world(), still) <= 128


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(), "must lead somewhere"),
        (dict(styles=(4, 4)), "must lead somewhere"),
        (dict(styles=(1, 2), num_frames=1), r"frames \(1\) must be from 2"),
        (dict(styles=(1, 2), num_frames=10**7), "use 1000000"),
        (dict(styles=(1, -2)), "seed"),
        (dict(seeds=(1, 2**64)), "seed"),
        (dict(places=((0, 0), (2**62, 0))), "nearer to 0"),
        (dict(places=()), "give row and column"),
        (dict(styles=(1, 2), height=0), "at least 1"),
    ],
)
def test_flights_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Flight(**(USUAL | options))
