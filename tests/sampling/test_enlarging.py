"""Levels of detail: exact means, any window, any tiles, any place."""

import dataclasses
from fractions import Fraction

import jax
import numpy as np
import pytest

from infinitygan_jax import machine
from infinitygan_jax.models.detail import Detail
from infinitygan_jax.sampling import estimates
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Biomes, Seed, Site, Sites
from infinitygan_jax.sampling.world import World
from tests.models import test_detail as small
from tests.sampling import tiny

DETAIL = Detail(small.CONFIG, small.params())


def _world(**options):
    """On one device, as most machines have it: steps run side by side."""
    options = {"seed": 3, "tile_size": 32, "detail": DETAIL, **options}
    options = {"devices": jax.devices()[:1], **options}
    return World(tiny.MODEL, tiny.params(), **options)


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(machine, "num_cores", lambda: 3)


def _means(picture):
    height, width, _ = picture.shape
    parts = picture.astype(int).reshape(height // 2, 2, width // 2, 2, 3)
    sums = parts.sum(axis=(1, 3))
    assert not np.any(sums % 4)
    return sums // 4


STYLES = Sites((Site(0, 0, 0, 0), Site(0, 0, 20, 20)), (Seed(1), Seed(2)), 16.0)
SCENES = {
    "plain": Scene(),
    "styles": Scene(styles=STYLES),
    "biomes": Scene(styles=Biomes(3, (Fraction(40), Fraction(30)), 20.0)),
    "octaves": Scene(octaves=2),
    "edited": Scene(edits=(Resample(Region(-6, 4, 12, 10), seed=8),)),
    "mixed": Scene(mix=Mix(1, 2, 0.4)),
    "quiet": Scene(truncation=0.7, noise_scale=0.5),
}


@pytest.mark.parametrize("name", SCENES)
def test_the_mean_of_a_level_is_the_level_above(name):
    world = _world(scene=SCENES[name])
    former = world[-8:8, 2:18]
    for level in range(1, 4):
        closer = world.at_level(-level)
        picture = closer[-8 << level : 8 << level, 2 << level : 18 << level]
        np.testing.assert_array_equal(_means(picture), former)
        former = picture


@pytest.mark.parametrize("level", [-1, -3])
def test_windows_agree_whatever_was_asked_for(level):
    world = _world(level=level)
    whole = world[-50:60, -20:70]
    np.testing.assert_array_equal(world[-10:3, 5:44], whole[40:53, 25:64])
    again = _world(level=level)
    np.testing.assert_array_equal(again[59:60, 69:70], whole[-1:, -1:])
    for size in (16, 64):
        other = dataclasses.replace(world, tile_size=size)
        np.testing.assert_array_equal(other[-50:60, -20:70], whole)


def test_eight_devices_paint_the_same_bytes():
    world = _world(level=-4)
    several = dataclasses.replace(world, devices=jax.devices()[:8])
    for place in (0, 2**40):
        window = np.s_[-40:40, place : place + 90]
        np.testing.assert_array_equal(world[window], several[window])


def test_batches_and_devices_paint_the_same():
    world = _world(level=-2)
    whole = world[-40:40, 0:90]
    for options in (
        {"batch_size": 3},
        {"devices": tuple(jax.local_devices())},
    ):
        other = dataclasses.replace(world, **options)
        np.testing.assert_allclose(
            other[-40:40, 0:90].astype(int), whole.astype(int), atol=1
        )


@pytest.mark.parametrize("place", [2**40, -(2**40), 2**62 - 64])
@pytest.mark.parametrize("level", [-1, -12])
def test_far_away_it_is_as_exact(place, level):
    world = _world(level=level)
    picture = world[0:24, place : place + 24]
    around = world[-9:30, place - 8 : place + 24]
    np.testing.assert_array_equal(around[9:33, 8:], picture)
    coarser = world.at_level(level + 1)
    np.testing.assert_array_equal(
        _means(picture), coarser[0:12, place // 2 : place // 2 + 12]
    )


def test_a_world_that_repeats_repeats_at_every_level():
    world = _world(level=-2, period=(32, 24))
    picture = world[-100:100, -70:130]
    np.testing.assert_array_equal(picture[:72], picture[128:])
    np.testing.assert_array_equal(picture[:, :104], picture[:, 96:])
    np.testing.assert_array_equal(_means(picture), world.at_level(-1)[-50:50, -35:65])


def test_an_edit_changes_nothing_out_of_its_reach():
    plain, level = _world(level=-2), 2
    region = Region(-6, 4, 12, 10)
    edited = dataclasses.replace(plain, scene=Scene(edits=(Resample(region, seed=8),)))
    window = np.s_[-100:100, -100:160]
    changed = np.any(plain[window] != edited[window], axis=-1)
    undone = dataclasses.replace(edited, scene=Scene())
    np.testing.assert_array_equal(undone[window], plain[window])
    rows, cols = np.nonzero(changed)
    # What each level sees of the one above adds to what the edit reaches.
    base = _world(level=0)
    there = dataclasses.replace(base, scene=edited.scene)
    at_base = np.any(base[-40:40, -40:60] != there[-40:40, -40:60], axis=-1)
    base_rows, base_cols = np.nonzero(at_base)
    more = small.CONFIG.margin * (4 + 2)
    assert rows.min() - 100 >= (base_rows.min() - 40 << level) - more
    assert rows.max() - 100 < (base_rows.max() - 39 << level) + more
    assert cols.min() - 100 >= (base_cols.min() - 40 << level) - more
    assert cols.max() - 100 < (base_cols.max() - 39 << level) + more


def test_each_level_has_noise_of_its_own():
    world = _world()
    flat = Detail(small.CONFIG, small.params())
    assert flat is not None
    first, second = world.at_level(-1), world.at_level(-2)
    draws = [each._enlarging._draws[0] for each in (first, second)]
    assert not np.array_equal(*map(np.asarray, draws))


def test_noise_of_detail_is_scaled_and_mixed():
    quiet = _world(level=-1, scene=Scene(noise_scale=0.0))
    seeds = [
        dataclasses.replace(quiet, seed=seed, scene=quiet.scene)._enlarging._draws[1]
        for seed in (1, 2)
    ]
    assert not np.any(seeds)
    ends = [
        _world(level=-1, seed=9, scene=Scene(mix=Mix(1, 2, share)))[0:32, 0:32]
        for share in (0.0, 1.0)
    ]
    # Styles are the world's own, 9's.
    alone = _world(level=-1, seed=1, scene=Scene(mix=Mix(1, 1, 0.0)))
    _, weights = alone._enlarging._draws
    np.testing.assert_array_equal(weights, [1, 0, 0])
    assert np.any(ends[0] != ends[1])


def test_views_and_steps_read_levels_below_0():
    world = _world(level=-1)
    whole = world[-20:20, 0:40]
    np.testing.assert_array_equal(world.view(-20, 0, 40, 40)[::3, 1:], whole[::3, 1:])


def test_dask_reads_levels_below_0():
    dask_array = pytest.importorskip("dask.array")
    world = _world(level=-2)
    view = world.view(-40, 0, 80, 96)
    lazy = dask_array.from_array(view, chunks=(32, 48, 3))
    np.testing.assert_array_equal(
        lazy[8:72].compute(scheduler="threads"), world[-32:32, 0:96]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detail": None}, r"level \(-1\) must be at least 0, as this model has no"),
        ({"quick": True}, r"quick needs a level above 0, and level \(-1\) is below"),
        ({"level": -63}, r"level \(-63\) must be at least -62, as positions end"),
    ],
)
def test_levels_that_there_are_not_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        _world(**{"level": -1, **options})


def test_positions_end_where_they_do_at_level_0():
    world = _world(level=-1)
    with pytest.raises(ValueError, match=r"columns .* must lie within -2\*\*62"):
        world.view(0, 2**62 - 1, 4, 4)[:]


def test_operations_count_all_levels_and_what_is_needed_of_them():
    world = _world(level=-3, tile_size=64)
    window = Window(-512, 0, 1024, 1024)
    tiled, at_once = estimates.operations(world, window)
    own = small.detail.operations(small.CONFIG, 1024, 1024)
    assert own < at_once < 1.6 * own  # a quarter for each level above, and margins
    assert at_once < tiled < 2 * at_once
    assert estimates.device_bytes(world, world.plan(window)) > 0
    assert estimates.kept_bytes(world, window) > 3 * 512**2


def test_a_coarser_tile_is_painted_once():
    # On one device: several fill their last step.
    world = _world(level=-1, tile_size=32, devices=jax.local_devices()[:1])
    painted = []

    def counting(wanted):
        painted.extend(wanted)
        return paint(wanted)

    painter = world.coarser._painter
    paint, painter.paint = painter.paint, counting
    world[0:128, 0:128]
    assert len(painted) == len(set(painted))
