"""Flights into depth: exact at whole levels, no step between them."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest

from infinitygan_jax.films import zooms
from infinitygan_jax.films.zooms import View, Zoom
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny
from tests.sampling.test_enlarging import DETAIL

HEIGHT, WIDTH = 20, 32
# Around the pixel (3, 21) of level 0.
USUAL = Zoom(HEIGHT, WIDTH, 9, View(0, -7, 5), View(2, 2, 68))


def _world(**options):
    options = {"seed": 3, "tile_size": 32, "detail": DETAIL, **options}
    return World(tiny.MODEL, tiny.params(), **options)


def test_whole_levels_are_the_worlds_windows():
    world = _world()
    frames = list(zooms.zoom(world, USUAL))
    assert len(frames) == 9
    for index, level, top, left in ((0, 0, -7, 5), (4, -1, -4, 26), (8, -2, 2, 68)):
        closer = world.at_level(level)
        np.testing.assert_array_equal(
            frames[index], closer[top : top + HEIGHT, left : left + WIDTH]
        )


def test_no_frame_is_a_step():
    frames = list(zooms.zoom(_world(), dataclasses.replace(USUAL, num_frames=33)))
    changes = [
        np.mean(np.abs(first.astype(float) - second))
        for first, second in itertools.pairwise(frames)
    ]
    for index in range(1, len(changes) - 1):
        beside = (changes[index - 1] + changes[index + 1]) / 2
        assert changes[index] < 1.5 * beside, index


def test_the_way_back_is_the_same_frames():
    there = list(zooms.zoom(_world(), USUAL))
    back = dataclasses.replace(USUAL, start=USUAL.stop, stop=USUAL.start)
    returned = list(zooms.zoom(_world(), back))[::-1]
    for first, second in zip(there, returned, strict=True):
        assert np.abs(first.astype(int) - second).max() <= 1


def test_one_place_stays_where_it_is():
    for depth in map(USUAL.depth, range(9)):
        for level, box in USUAL.boxes(depth).items():
            scale = 2.0 ** float(-level - depth)
            row = box.window.top + box.rows[0] + HEIGHT / 2 * scale
            col = box.window.left + box.cols[0] + WIDTH / 2 * scale
            assert row == pytest.approx(3 * 2.0**-level, abs=1e-9)
            assert col == pytest.approx(21 * 2.0**-level, abs=1e-9)


def test_far_away_and_deep_it_is_as_exact():
    place = 2**40
    far = Zoom(HEIGHT, WIDTH, 5, View(0, 0, place), View(12, 999, (place << 12) + 77))
    for index in range(5):
        depth = far.depth(index)
        assert depth == Fraction(3 * index)
        box = far.boxes(depth)[-int(depth)]
        # In pixels of the end's level, from the end's own edge.
        left = Fraction(box.window.left) + Fraction(box.cols[0])
        at_end = left * 2 ** (12 - int(depth)) - (place << 12) - 77
        share = (Fraction(1, 2 ** int(depth)) - Fraction(1, 4096)) / (
            1 - Fraction(1, 4096)
        )
        assert abs(at_end + 77 * share) < Fraction(1, 1000)
    world = _world()
    frames = list(zooms.zoom(world, dataclasses.replace(far, num_frames=3)))
    last = world.at_level(-12).view(999, (place << 12) + 77, HEIGHT, WIDTH)[:]
    np.testing.assert_array_equal(frames[-1], last)


def test_a_loop_comes_back_and_easing_slows_ends():
    loop = dataclasses.replace(USUAL, num_frames=8, loop=True)
    assert [loop.depth(index) for index in (0, 2, 4, 6)] == [0, 1, 2, 1]
    eased = dataclasses.replace(USUAL, ease=True)
    depths = [eased.depth(index) for index in range(9)]
    steps = np.diff([float(depth) for depth in depths])
    assert steps[0] < steps[4] > steps[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 1}, "frames .* must be from 2 to"),
        ({"stop": View(0, 9, 9)}, "a zoom must lead to another level"),
        ({"stop": View(2, 2**62, 0)}, "must lie within"),
    ],
)
def test_impossible_zooms_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(USUAL, **changes)


def test_a_world_without_detail_is_not_zoomed():
    with pytest.raises(ValueError, match="this model has no detail synthesizer"):
        list(zooms.zoom(_world(detail=None), USUAL))


def test_a_frame_that_is_painted_as_large_as_it_is_shown_is_resampled():
    """Its margin happens to be what its scale saves."""
    square = Zoom(64, 64, 300, View(0, -29, 0), View(3, -200, 31))
    world = _world()
    boxes = [square.boxes(square.depth(index)) for index in range(300)]
    alike = [
        index
        for index, seen in enumerate(boxes)
        for box in seen.values()
        if (box.window.height, box.window.width) == (64, 64) and not box.is_frame
    ]
    assert alike
    for index, frame in enumerate(zooms.zoom(world, square)):
        if index == alike[0]:
            depth = float(square.depth(index))
            assert 0 < depth % 1 < 1
            former = frame
        if index == alike[0] + 1:
            assert np.abs(frame.astype(int) - former).mean() < 20
            break
