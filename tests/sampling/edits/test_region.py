"""Regions and layers: which places an edit covers, against their definition."""

import numpy as np
import pytest

from infinitygan_jax.sampling.edits.region import Boxes, Region
from infinitygan_jax.sampling.styles import Axis, Layer, Seed, Weights, with_layers


def _random_axes(rng, period=None):
    step = int(rng.choice([1, 2, 4, 8]))
    return [
        Axis(step * int(rng.integers(-40, 40)), int(rng.integers(1, 40)), step, period)
        for _ in range(2)
    ]


def _positions(axis):
    return axis.start + axis.step * np.arange(axis.size)


def _random_region(rng, mask=False):
    top, left = rng.integers(-200, 200, 2).tolist()
    height, width = rng.integers(1, 120, 2).tolist()
    part = rng.random((height, width)) < 0.5 if mask else None
    return Region(top, left, height, width, part)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("period", [None, 640])
def test_squares_are_those_whose_middle_lies_in_the_region(mask, period):
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, cols = _random_axes(rng, period)
        region = _random_region(rng, mask)
        found = np.zeros((rows.size, cols.size), bool)
        where, part = region.squares(rows, cols)
        found[where] = part
        y = _positions(rows) + rows.step / 2 - region.top
        x = _positions(cols) + cols.step / 2 - region.left
        if period is not None:
            y, x = y % period, x % period
        inside = [(y >= 0) & (y < region.height), (x >= 0) & (x < region.width)]
        expected = inside[0][:, None] & inside[1][None, :]
        if mask:
            row = np.where(inside[0], y, 0).astype(int)
            col = np.where(inside[1], x, 0).astype(int)
            expected &= region.mask[np.ix_(row, col)]
        np.testing.assert_array_equal(found, expected)


def test_far_squares_are_like_near_ones():
    near = Region(3, -5, 40, 24).squares(Axis(-16, 20, 8), Axis(-32, 20, 8))
    shift = 2**60
    far = Region(3 + shift, -5 - shift, 40, 24).squares(
        Axis(-16 + shift, 20, 8), Axis(-32 - shift, 20, 8)
    )
    assert near[0] == far[0]
    assert near[1].shape == (5, 3)  # middles at 4 .. 36, and at -4 .. 12


@pytest.mark.parametrize("feather", [0, 30])
def test_shares_fall_from_the_region_to_the_feather(feather):
    """1 inside, 0 beyond; half way, 1 - (3/4 - 2/8) = 0.5."""
    region = Region(0, 0, 64, 64)
    rows, cols = Axis(-96, 60, 4), Axis(-96, 60, 4)
    share = region.share(rows, cols, feather)
    y, x = np.meshgrid(_positions(rows), _positions(cols), indexing="ij")
    outside = np.hypot(
        np.maximum(np.maximum(-y, y - 64), 0), np.maximum(np.maximum(-x, x - 64), 0)
    )
    assert (share[outside == 0] == 1).all()
    assert (share[outside >= max(feather, 1)] == 0).all()
    if feather:
        half = region.share(Axis(-15, 1, 4), Axis(32, 1, 4), feather)
        np.testing.assert_allclose(half, 0.5)
        assert np.abs(np.diff(share, axis=0)).max() <= 1.5 * 4 / feather + 1e-9


@pytest.mark.parametrize("period", [None, 640])
def test_boxes_find_every_edit_that_shows(period):
    rng = np.random.default_rng(1)
    regions = [_random_region(rng) for _ in range(60)]
    reach = rng.integers(0, 50, 60).tolist()
    boxes = Boxes(list(zip(regions, reach, strict=True)))
    missed_all = 0
    for _ in range(50):
        rows, cols = _random_axes(rng, period)
        seen = boxes.seen(rows, cols)
        assert seen == sorted(seen)
        missed_all += 60 - len(seen)
        for index, (region, feather) in enumerate(zip(regions, reach, strict=True)):
            shows = region.share(rows, cols, feather).any()
            shows |= region.squares(rows, cols)[1].any()
            assert index in seen or not shows
    assert missed_all > 500  # and not all of them


def test_layers_are_over_those_before_them():
    """Slow reference: every place alone, one layer after the other."""
    rng = np.random.default_rng(2)
    base = rng.random((9, 11, 2)).astype(np.float32)
    base /= base.sum(axis=-1, keepdims=True)
    layers, expected = [], np.concatenate([base, np.zeros((9, 11, 2))], axis=-1)
    for index in (2, 0, 3, 2):
        where = np.ix_(*(np.sort(rng.permutation(n)[: n // 2]) for n in (9, 11)))
        share = rng.random((4, 5)) * (rng.random((4, 5)) < 0.8)
        layers.append(Layer(Seed(index), where, share))
        expected[where] *= 1 - share[..., None]
        expected[(*where, index)] += share
    found = with_layers(Weights((Seed(0), Seed(1)), base), layers)
    assert found.sources == tuple(map(Seed, (0, 1, 2, 3)))
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    np.testing.assert_allclose(found.weights.sum(axis=-1), 1, atol=1e-6)


def test_a_layer_changes_no_bit_beside_it():
    rng = np.random.default_rng(3)
    base = rng.random((9, 11, 2)).astype(np.float32)
    before = base.copy()
    where = np.ix_([2, 3], [4, 5])
    layers = [Layer(Seed(7), where, np.ones((2, 2)))]
    found = with_layers(Weights((Seed(0), Seed(1)), base), layers)
    np.testing.assert_array_equal(base, before)
    beside = np.ones((9, 11), bool)
    beside[where] = False
    np.testing.assert_array_equal(found.weights[beside][:, :2], base[beside])
    assert (found.weights[where] == [0, 0, 1]).all()
    # Covered wholly, a style is not seen at all.
    whole = [Layer(Seed(7), np.ix_(range(9), range(11)), np.ones((9, 11)))]
    assert with_layers(Weights((Seed(0),), base[..., :1]), whole).sources == (Seed(7),)


def test_shares_that_are_kept_are_those_worked_out_anew():
    """Of regions that cells fall beside, too, wherever they lie and cells begin."""
    rng = np.random.default_rng(0)
    shown = 0
    for index in range(3000):
        far = (0, 2**41, -(2**50))[index % 3]
        step = int(2 ** rng.integers(4))
        top, left = (far + int(place) for place in rng.integers(-150, 150, 2))
        region = Region(top, left, *map(int, rng.integers(1, 120, 2)))
        feather = int(rng.choice([0, 1, 5, 40]))
        rows, cols = (
            Axis(far + int(start), int(size), step)
            for start, size in zip(
                rng.integers(-200, 200, 2), rng.integers(1, 60, 2), strict=True
            )
        )
        pictures = []
        for share in (region.share_near, region._share_of_rectangle):
            where, part = share(rows, cols, feather)
            assert part.dtype == np.float32
            pictures.append(np.zeros((rows.size, cols.size), np.float32))
            pictures[-1][where] = part
        np.testing.assert_array_equal(*pictures)
        shown += pictures[0].any()
    assert shown > 300
