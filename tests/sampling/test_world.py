"""Worlds: one picture, whatever window, device count or order it is read in."""

import concurrent.futures
import dataclasses
import functools
import itertools
import re

import jax
import jaxtyping
import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import coords, machine
from infinitygan_jax.models import generator as generator_lib
from infinitygan_jax.sampling import frame as frame_lib
from infinitygan_jax.sampling import indexing
from infinitygan_jax.sampling import strips as strips_lib
from infinitygan_jax.sampling.edits.pin import Pin
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.painter import Painter
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import PLAIN, Scene
from infinitygan_jax.sampling.styles import Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny


@functools.lru_cache
def _world(seed=3, tile_size=32, num_devices=1):
    return World(
        tiny.MODEL,
        tiny.params(),
        seed=seed,
        tile_size=tile_size,
        devices=jax.devices()[:num_devices],
    )


@pytest.fixture
def unchecked():
    """As users run it: annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("row", "col"),
    [
        (0, 0),
        (-50, -37),
        (2**40 + 5, -(2**40) - 11),
        (-(2**55), 2**61),
        (2**62 - 100, 2**62 - 100),
        (-(2**62), -(2**62)),
    ],
)
def test_overlapping_windows_agree(row, col):
    picture = _world()[row : row + 100, col : col + 90]
    assert picture.shape == (100, 90, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    for top, left, height, width in [
        (0, 0, 1, 1),
        (33, 7, 64, 64),
        (7, 33, 20, 57),
        (99, 0, 1, 90),
        (31, 31, 2, 2),
    ]:
        window = _world()[
            row + top : row + top + height, col + left : col + left + width
        ]
        expected = picture[top : top + height, left : left + width]
        np.testing.assert_array_equal(window, expected)


def test_far_places_are_places_of_their_own():
    """No distance wraps around, whichever bits of the position it is in."""
    far = [
        0,
        *(sign * 2**bits for bits in (5, 15, 16, 31, 32, 48, 61) for sign in (-1, 1)),
    ]
    rows = {_world()[place : place + 8, 0:8].tobytes() for place in far}
    cols = {_world()[0:8, place : place + 8].tobytes() for place in far}
    assert len(rows | cols) == 2 * len(far) - 1


def test_reading_again_gives_the_same_bytes():
    first = _world()[-10:40, 5:70]
    _world()[500:520, 500:520]
    np.testing.assert_array_equal(_world()[-10:40, 5:70], first)


@pytest.mark.parametrize("num_devices", [4, 8])
def test_device_counts_give_the_same_bytes(num_devices):
    expected = _world()[-20:81, -33:70]  # 4 x 5 tiles: 8 devices need fillers
    picture = _world(num_devices=num_devices)[-20:81, -33:70]
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("tile_size", [4, 48])
def test_tile_sizes_agree_to_one_level(tile_size):
    expected = _world()[-20:60, 2**41 : 2**41 + 50].astype(int)
    picture = _world(tile_size=tile_size)[-20:60, 2**41 : 2**41 + 50]
    difference = np.abs(picture - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_seeds_are_different_pictures():
    first, second = _world()[0:32, 0:32], _world(seed=4)[0:32, 0:32]
    assert np.abs(first.astype(int) - second).mean() > 5


def test_strips_are_the_window_from_the_top():
    window = Window(-20, 7, 70, 40)
    counts = []
    strips = list(_world(num_devices=4).strips(window, counts.append))
    # Rows -20..49 meet the tile rows [-32, 0), [0, 32), [32, 64).
    assert [strip.shape for strip in strips] == [(20, 40, 3), (32, 40, 3), (18, 40, 3)]
    np.testing.assert_array_equal(np.concatenate(strips), _world()[-20:50, 7:47])
    assert sum(counts) == 6  # columns 7..46 meet two tile columns


def test_steps_reach_from_one_window_into_the_next():
    """No device waits at a window's end: 6 tiles of three windows take two steps."""
    windows = [Window(0, 0, 32, 64), Window(-9, 70, 5, 9), Window(32, 0, 32, 96)]
    counts = []
    strips = list(_world(num_devices=4).strips(windows, counts.append))
    assert counts == [4, 2]
    for window, strip in zip(windows, strips, strict=True):
        expected = _world()[window.top : window.bottom, window.left : window.right]
        np.testing.assert_array_equal(strip, expected)


@pytest.fixture
def asked(monkeypatch):
    """Tiles that a painter was asked for, by call."""
    numbers, paint = [], Painter.paint

    def count(self, wanted):
        numbers.append(len(wanted))
        return paint(self, wanted)

    monkeypatch.setattr(Painter, "paint", count)
    return numbers


def _in_batches(num_devices=1, scene=PLAIN):
    options = {"seed": 3, "tile_size": 32, "batch_size": 4, "scene": scene}
    return World(
        tiny.MODEL, tiny.params(), devices=jax.devices()[:num_devices], **options
    )


@pytest.mark.parametrize(
    "scene",
    [
        PLAIN,
        Scene(edits=(Resample(Region(4, 4, 12, 12), 5),)),
        Scene(mix=Mix(3, 4, 0.3)),
    ],
    ids=["plain", "edited", "mixed"],
)
def test_a_small_window_is_painted_without_fillers(asked, scene):
    world = _in_batches(scene=scene)
    whole = world[0:32, 0:128]
    assert asked == [4]
    one = world[0:32, 0:32]
    assert asked == [4, 1]
    assert np.abs(one.astype(int) - whole[:, :32]).max() <= 1
    world[0:32, 0:96]  # three of four
    world[0:64, 0:32]
    assert asked == [4, 1, 4, 2]


def test_a_short_last_step_is_filled(asked):
    """Nothing is compiled for it."""
    world = _in_batches()
    found = world[0:32, 0:160]
    assert asked == [4, 4]
    assert np.abs(found[:, 128:].astype(int) - world[0:32, 128:160]).max() <= 1


def test_a_small_window_fills_all_devices(asked):
    world = _in_batches(num_devices=8)
    found = world[-32:64, 0:96]
    assert asked == [16]  # nine tiles
    assert np.abs(found.astype(int) - _world()[-32:64, 0:96]).max() <= 1


@pytest.mark.parametrize(("width", "tiles"), [(1, 1), (64, 2), (96, 4), (160, 8)])
def test_a_plan_has_the_batches_that_are_painted(asked, width, tiles):
    window = Window(0, 0, 32, width)
    plan = _in_batches().plan(window)
    assert plan.num_steps * plan.tiles_per_step == tiles
    list(_in_batches().strips(window))
    assert sum(asked) == tiles


def test_statistics_are_the_same_in_any_batch():
    expected = _world().latent_statistics(-20, 3, 50, 60)
    found = _in_batches(num_devices=2).latent_statistics(-20, 3, 50, 60)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_strips_come_before_the_rest_is_painted():
    """A picture of 2**40 tiles gives its first strip at once: nothing is hoarded."""
    ready = []
    strips = _world().strips(Window(0, 0, 2**31 - 1, 64), ready.append)
    for row in range(3):
        strip = next(strips)
        np.testing.assert_array_equal(strip, _world()[row * 32 : row * 32 + 32, 0:64])
        assert sum(ready) == 2 * (row + 1)
    strips.close()


def test_freed_memory_is_given_back_while_painting(monkeypatch):
    given = []
    monkeypatch.setattr(machine, "give_back", lambda: given.append(True))
    monkeypatch.setattr(strips_lib, "_TILES_PER_GIVING", 4)
    monkeypatch.setattr(strips_lib, "_ready", itertools.count())
    for number, _ in enumerate(_world().strips(Window(0, 0, 6 * 32, 64)), 1):
        assert len(given) == number // 2  # two tiles a strip
    for number in range(1, 9):  # and for many small ones
        _world()[0:8, 0:8]
        assert len(given) == 3 + number // 4


def test_the_next_tiles_are_dispatched_before_the_former_are_fetched(monkeypatch):
    world, events = _world(), []
    monkeypatch.setattr(machine, "num_cores", lambda: 1)  # elsewhere in threads
    paint = Painter.paint

    class Painted:
        def __init__(self, array):
            self.array = array
            events.append("dispatch")

        def __array__(self, *args, **kwargs):
            events.append("fetch")
            return np.asarray(self.array)

    monkeypatch.setattr(Painter, "paint", lambda *args: Painted(paint(*args)))
    list(world.strips(Window(0, 0, 32, 96)))
    expected = ["dispatch", "dispatch", "fetch", "dispatch", "fetch", "fetch"]
    assert events == expected


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ((slice(0, 5),), ["world[y0:y1, x0:x1]"]),
        (slice(0, 5), ["world[y0:y1, x0:x1]"]),
        ((slice(0, 5), slice(None, 5)), ["columns", "no ends", "world[y0:y1, x0:x1]"]),
        ((slice(0, None), slice(0, 5)), ["rows", "no ends"]),
        ((slice(0, 8, 0), slice(0, 5)), ["rows", "step other than 0"]),
        ((..., slice(0, 5)), ["rows", "no ends"]),
        ((slice(0, 5), ..., 0), ["columns", "no ends"]),
        ((slice(0, 5), None), ["columns (None)", "whole numbers", "write a range,"]),
        (([0, 5], 0), ["rows ([0, 5])", "write a range, and index the array that it"]),
        ((0, np.eye(4)), ["columns (array", "write a range, and index the array"]),
        ((0, 0, [0, 2]), ["channels ([0, 2])", "write a range, and index the array"]),
        ((slice(0.0, 8.0), slice(0, 5)), ["rows", "whole numbers", "; round them"]),
        ((slice(0, 2**62 + 1), slice(0, 5)), ["rows", "at most 2147483647"]),
        ((slice(0, 5), slice(2**70, 0, -2)), ["columns", "at most 2147483647"]),
        ((slice(2**62, 2**62 + 9), slice(0, 5)), ["rows", "2**62"]),
        ((slice(0, 10**6), slice(0, 10**6)), ["3000 GB", "run_sample.py"]),
    ],
)
def test_impossible_windows_say_what_to_write(key, words):
    with pytest.raises(ValueError) as error:
        _world()[key]
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "channels",
    [0, -1, np.int64(1), np.s_[:], np.s_[1:], np.s_[::-1], np.s_[-5::-1], np.s_[3:9]],
    ids=str,
)
def test_channels_are_taken_as_numpy_takes_them(channels):
    world, picture = _world(), _whole()
    expected = picture[30:50, 90:130:3, channels]
    found = world[-10:10, -10:30:3, channels]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(world[-10, -10, channels], picture[30, 90, channels])


def test_an_ellipsis_of_a_world_stands_for_channels():
    expected = _world()[0:4, -9]
    np.testing.assert_array_equal(_world()[0:4, -9, ...], expected)
    np.testing.assert_array_equal(_world()[0:4, ..., -9, 1], expected[:, 1])


def test_no_channels_paint_nothing():
    assert _world()[0 : 2**31 - 1, 0 : 2**31 - 1, 3:].shape == (2**31 - 1,) * 2 + (0,)


@pytest.mark.parametrize("key", [(0, 0, 3), (0, 0, -4), (0, 0, 0, 0), (0, ..., 0, ...)])
def test_indices_that_a_world_has_not_are_index_errors(key):
    with pytest.raises(IndexError):
        _world()[key]


def test_numpy_integers_are_positions():
    window = _world()[np.int64(0) : np.int32(5), np.uint8(0) : 5]
    np.testing.assert_array_equal(window, _world()[0:5, 0:5])


def test_views_take_whole_numbers_of_any_kind(unchecked):
    view = _world().view(np.int64(2**62 - 5), np.uint8(0), np.int32(5), 5)
    np.testing.assert_array_equal(view[0], _world()[2**62 - 5, 0:5])
    for place in ((0.5, 0, 5, 5), (0, 0, 5.0, 5), ("0", 0, 5, 5)):
        with pytest.raises(ValueError, match=r"must be a whole number; round it$"):
            _world().view(*place)


def test_numpys_integers_make_the_same_world(unchecked):
    options = {"seed": 5, "horizon": 9, "vertical_span": 90, "level": 1}
    options |= {"tile_size": 32, "batch_size": 1}
    expected = World(tiny.MODEL, tiny.params(), period=(None, 32), **options)
    options = {name: np.int64(value) for name, value in options.items()}
    found = World(tiny.MODEL, tiny.params(), period=[None, np.int32(32)], **options)
    np.testing.assert_array_equal(found[-5:9, 0:40], expected[-5:9, 0:40])


def test_a_world_is_no_array_and_says_what_is():
    with pytest.raises(ValueError, match=r"no end.*world\[y0:y1, x0:x1\] or world\.v"):
        np.asarray(_world())
    with pytest.raises(TypeError, match=r"no first row.*world\[y0:y1, x0:x1\]"):
        iter(_world())
    assert (_world().ndim, _world().dtype) == (3, np.uint8)
    assert not hasattr(_world(), "shape")


def test_parameters_of_other_sizes_are_refused():
    params = tiny.params()
    up = params["texture_synthesizer"]["up_0"]
    for broken, words in [
        (params | {"extra": {"kernel": np.zeros(3, np.float32)}}, ["extra/kernel"]),
        (
            {name: params[name] for name in params if name != "mapping_network"},
            ["mapping_network/dense_0/bias is missing"],
        ),
        (
            params
            | {
                "texture_synthesizer": params["texture_synthesizer"]
                | {"up_0": up | {"bias": np.zeros(9, np.float32)}}
            },
            ["up_0/bias is float32[9] for float32[8]"],
        ),
    ]:
        with pytest.raises(ValueError) as error:
            World(tiny.MODEL, broken)
        for word in words:
            assert word in str(error.value)


def test_bad_tiles_are_refused():
    with pytest.raises(ValueError, match=r"`tile_size` \(30\).*nearest is 32"):
        World(tiny.MODEL, tiny.params(), tile_size=30)
    with pytest.raises(ValueError, match=r"`tile_size` \(0\)"):
        World(tiny.MODEL, tiny.params(), tile_size=0)


def test_loading_files_and_bundled_names(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, tiny.params()))
    expected = _world()[0:40, 0:40]
    world = World.load(path, seed=3, tile_size=32, devices=jax.devices()[:1])
    np.testing.assert_array_equal(world[0:40, 0:40], expected)
    monkeypatch.setattr(bundle_lib, "WEIGHTS", tmp_path)
    world = World.load("model", seed=3, tile_size=32, devices=jax.devices()[:1])
    np.testing.assert_array_equal(world[0:40, 0:40], expected)
    with pytest.raises(ValueError, match=r"nomodel.*does not exist.*model"):
        World.load("nomodel")


def test_a_file_of_other_sizes_than_its_settings_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    params = dict(tiny.params())
    del params["structure_synthesizer"]
    bundle_lib.save(path, bundle_lib.Bundle(tiny.CONFIG, params))
    with pytest.raises(ValueError, match="structure_synthesizer"):
        World.load(path)


def _wrapped(period, tile_size=32, **options):
    return World(
        tiny.MODEL,
        tiny.params(),
        seed=3,
        tile_size=tile_size,
        devices=jax.devices()[:1],
        period=period,
        **options,
    )


@pytest.mark.parametrize("period", [(None, 120), (88, None), (88, 120)])
def test_a_wrapped_world_is_its_picture_tiled(period):
    world = _wrapped(period)
    rows, cols = (length or 100 for length in period)
    top = -(rows // 2)
    picture = world[top : top + rows, 0:cols]
    both = np.tile(picture, [1 if each is None else 2 for each in period] + [1])
    height, width = both.shape[:2]
    np.testing.assert_array_equal(world[top : top + height, 0:width], both)
    y, x = (0 if each is None else each - 20 for each in period)
    across = both[y : y + 40, x : x + 40]
    start = top + y, x
    found = world[start[0] : start[0] + 40, start[1] : start[1] + 40]
    np.testing.assert_array_equal(found, across)
    far = [0 if each is None else each * 2**40 for each in period]
    found = world[
        start[0] - far[0] : start[0] - far[0] + 40,
        start[1] + far[1] : start[1] + far[1] + 40,
    ]
    np.testing.assert_array_equal(found, across)


def test_edges_of_a_wrapped_world_fit():
    """Across the seam neighbours differ as much as anywhere; without wrapping, more."""

    def jump(world, axis):
        period = (88, 120)[axis]
        picture = world[-44:44, 0:120].astype(int)
        inside = np.abs(np.diff(picture, axis=axis)).mean()
        edges = picture.take(-1, axis) - picture.take(0, axis)
        assert picture.shape[axis] == period
        return np.abs(edges).mean() / inside

    wrapped, open_world = _wrapped((88, 120)), _world()
    for axis in (0, 1):
        assert jump(wrapped, axis) < 1.1
        assert jump(open_world, axis) > 1.4


def test_a_wrapped_world_does_not_depend_on_its_tiles():
    whole = _wrapped((88, 120))[-44:44, 0:120].astype(int)
    other = _wrapped((88, 120), tile_size=16)[-44:44, 0:120]
    assert np.abs(whole - other).max() <= 1


def test_the_horizon_and_span_move_coordinates_alone():
    options = {"seed": 3, "tile_size": 32, "devices": jax.devices()[:1]}
    world = functools.partial(World, tiny.MODEL, tiny.params(), **options)
    span = frame_lib.learned_span(tiny.MODEL)
    assert span == 80  # 20 cells of 4 px
    picture = world()[-20:40, 0:40]
    assert world().vertical_span == span
    as_trained = frame_lib.frame_of(tiny.MODEL, 0, span, (None, None))
    assert as_trained == coords.trained_frame(tiny.MODEL.vertical_starts)
    same = world(vertical_span=span, horizon=0)[-20:40, 0:40]
    np.testing.assert_array_equal(same, picture)
    assert np.any(world(horizon=8)[-20:40, 0:40] != picture)
    assert np.any(world(vertical_span=200)[-20:40, 0:40] != picture)
    # Far below any horizon all is ground: where it lies does not matter.
    deep = slice(2**40, 2**40 + 40)
    found = world(horizon=-60, vertical_span=200)[deep, 0:40]
    np.testing.assert_array_equal(found, world()[deep, 0:40])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vertical_span": 0}, "vertical_span (0) must be from 1"),
        ({"vertical_span": 2**31}, "must be from 1 to 2147483647"),
        ({"horizon": 2**62 + 1}, "within -2**62 to 2**62"),
        ({"period": (None, 30)}, "width (30) must be a multiple of 4 pixels"),
        ({"period": (30, None)}, "height (30) must be a multiple of 4 pixels"),
        ({"period": 32}, "period (32) must be two numbers"),
        ({"period": (32, 32, 32)}, "must be two numbers"),
        ({"period": (32.0, None)}, "period's height (32.0) must be a whole number"),
        ({"horizon": 0.5}, "horizon (0.5) must be a whole number; round it"),
        ({"vertical_span": 90.0}, "vertical_span (90.0) must be a whole number"),
        ({"seed": 1.0}, "seed (1.0) must be a whole number"),
        ({"seed": "1"}, "seed ('1') must be a whole number"),
        ({"level": 1.0}, "level (1.0) must be a whole number"),
        ({"tile_size": 32.0}, "tile_size (32.0) must be a whole number"),
        ({"batch_size": 1.5}, "batch_size (1.5) must be a whole number"),
    ],
)
def test_impossible_frames_are_refused(unchecked, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        World(tiny.MODEL, tiny.params(), **options)


def test_a_plane_has_no_horizon():
    model = dataclasses.replace(tiny.MODEL, coords="plane")
    with pytest.raises(ValueError, match="no up and down"):
        frame_lib.frame_of(model, 0, 100, (None, None))
    frame = frame_lib.frame_of(model, 0, None, (None, 12))
    assert (frame.row_period, frame.col_period) == (None, 3)


@functools.lru_cache
def _whole():
    """The window [-40:80, -100:60] of the world, to index as NumPy does."""
    return _world()[-40:80, -100:60]


@pytest.mark.parametrize("rows", [np.s_[-40:80:3], np.s_[70:-41:-7], np.s_[79:78:-1]])
@pytest.mark.parametrize("cols", [np.s_[-99:60:50], np.s_[59:-101:-1], np.s_[-4:-3]])
def test_steps_are_taken_as_numpy_takes_them(rows, cols, monkeypatch):
    # So that runs are cut, too.
    monkeypatch.setattr(indexing, "_EXTENT", 32)

    def moved(part, start):
        stop = part.stop - start
        return slice(part.start - start, None if stop < 0 else stop, part.step)

    expected = _whole()[moved(rows, -40), moved(cols, -100)]
    np.testing.assert_array_equal(_world()[rows, cols], expected)


def test_integers_leave_their_axis_out():
    np.testing.assert_array_equal(_world()[-3, 10:20], _whole()[37, 110:120])
    np.testing.assert_array_equal(_world()[10:20, -3], _whole()[50:60, 97])
    np.testing.assert_array_equal(_world()[-3, -3], _whole()[37, 97])
    assert _world()[5:5, 0:9].shape == (0, 9, 3)
    assert _world()[9:5, 0:9:-1].shape == (0, 0, 3)


def test_wide_steps_paint_only_what_they_need(monkeypatch):
    painted = []
    strips = World.strips

    def count(self, window):
        painted.append(window.height * window.width)
        return strips(self, window)

    monkeypatch.setattr(World, "strips", count)
    found = _world()[0 : 2**40 : 2**39, 0 : 2**40 : 2**39]
    assert (found.shape, painted) == ((2, 2, 3), [1] * 4)


VIEW_KEYS = [
    np.s_[:],
    np.s_[3],
    np.s_[-1, -1],
    np.s_[..., 1],
    np.s_[5:50, ..., ::-1],
    np.s_[::-20, 7:-7:9],
    np.s_[:, :, -1:],
    np.s_[200:, 3],
    np.s_[0:0, 0:0, 0:0],
    np.s_[-1, -1, -1],
]


@pytest.mark.parametrize("key", VIEW_KEYS, ids=str)
def test_a_view_is_indexed_like_its_array(key):
    view = _world().view(-40, -100, 120, 160)
    expected = _whole()[key]
    found = view[key]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_a_view_is_an_array_to_numpy():
    view = _world().view(-40, -100, 120, 160)
    assert (view.shape, view.ndim, view.dtype) == ((120, 160, 3), 3, np.uint8)
    assert (len(view), view.size, view.nbytes) == (120, 57_600, 57_600)
    np.testing.assert_array_equal(np.asarray(view), _whole())
    assert np.asarray(view, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="painted when it is read"):
        np.array(view, copy=False)
    huge = _world().view(-(2**61), 0, 2**30, 2**30)
    assert huge.nbytes == 3 * 2**60
    assert huge[2**29, 5:9].shape == (4, 3)


@pytest.mark.parametrize("key", [120, (0, -161), (0, 0, 3), (0, 0, 0, 0), (..., ...)])
def test_indices_beyond_a_view_are_index_errors(key):
    with pytest.raises(IndexError):
        _world().view(-40, -100, 120, 160)[key]


def test_chunks_of_a_view_are_whole_tiles():
    view = _world().view(-40, -100, 120, 160)
    # Tiles of 32: rows -40 | -32 .. 64 | 80, columns -100 | -96 .. 32 | 60.
    assert view.chunks == ((8, 32, 32, 32, 16), (4, 32, 32, 32, 32, 28), (3,))
    assert _world().view(3, 32, 5, 32).chunks == ((5,), (32,), (3,))


def test_dask_reads_a_view_chunk_by_chunk():
    dask_array = pytest.importorskip("dask.array")
    view = _world().view(-40, -100, 120, 160)
    lazy = dask_array.from_array(view, chunks=view.chunks)
    assert (lazy.shape, lazy.dtype) == (view.shape, view.dtype)
    means = lazy[8:, 4:132].mean(axis=(0, 1)).compute(scheduler="synchronous")
    np.testing.assert_allclose(means, _whole()[8:, 4:132].mean((0, 1)))


def _zoomed(level, **options):
    options = {"tile_size": 32, "devices": jax.devices()[:1]} | options
    return World(tiny.MODEL, tiny.params(), seed=3, level=level, **options)


def _reduced(picture, level):
    square = 2**level
    height, width = (n // square for n in picture.shape[:2])
    squares = picture.reshape(height, square, width, square, 3)
    return squares.astype(float).mean((1, 3))


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_is_the_average_of_what_it_shows(level):
    whole = _world()[-40:80, -100:60]
    top, left, height, width = (n >> level for n in (-40, -100, 120, 160))
    found = _zoomed(level)[top : top + height, left : left + width]
    # Bytes were rounded before they are averaged here, and not there.
    assert np.abs(found - _reduced(whole, level)).max() <= 1


def test_a_level_has_the_horizon_and_period_of_level_0():
    options = {"horizon": -9, "vertical_span": 90, "period": (64, 96)}
    whole = _wrapped(**options)[-32:96, 0:192]
    found = _zoomed(1, **options)[-16:48, 0:96]
    assert np.abs(found - _reduced(whole, 1)).max() <= 1
    np.testing.assert_array_equal(found[:32], found[32:])
    quick = _zoomed(1, quick=True, **options)
    twice = quick[-16:48, 0:96]
    np.testing.assert_array_equal(twice[:32, :48], twice[32:, 48:])
    assert quick.setup.frame == _zoomed(1, **options).setup.frame


def test_a_quick_level_is_the_generator_without_its_last_stages():
    model = dataclasses.replace(tiny.MODEL, patch_size=17)  # one stage of the two
    params = dict(tiny.params())
    texture = params["texture_synthesizer"]
    params["texture_synthesizer"] = {n: texture[n] for n in ("up_0", "conv_0", "rgb_0")}
    options = {"seed": 3, "tile_size": 32, "devices": jax.devices()[:1]}
    expected = World(model, params, **options)[-30:40, -20:50]
    found = _zoomed(1, quick=True)[-30:40, -20:50]
    np.testing.assert_array_equal(found, expected)
    # Whatever its patches were judged by, for which those of one stage are too small.
    judged = dataclasses.replace(
        tiny.MODEL, discriminator="projected", feature_blur=3.0
    )
    world = World(judged, tiny.params(), level=1, quick=True, **options)
    np.testing.assert_array_equal(world[-30:40, -20:50], expected)


def test_a_quick_level_shows_the_preview_of_its_stage():
    model = dataclasses.replace(tiny.MODEL, previews=True)
    params = dict(tiny.params())
    texture = params["texture_synthesizer"]
    # What stage 0 adds to the picture, as if it were a preview.
    other = {**texture, "rgb_0": jax.tree.map(np.zeros_like, texture["rgb_0"])}
    other["preview_0"] = texture["rgb_0"]
    params["texture_synthesizer"] = other
    options = {"seed": 3, "tile_size": 32, "level": 1, "devices": jax.devices()[:1]}
    found = World(model, params, quick=True, **options)[-30:40, -20:50]
    np.testing.assert_array_equal(found, _zoomed(1, quick=True)[-30:40, -20:50])
    # And nothing of it is seen at other levels.
    exact = World(model, params, **options)[-30:40, -20:50]
    plain = {**params, "texture_synthesizer": {**other}}
    del plain["texture_synthesizer"]["preview_0"]
    expected = World(tiny.MODEL, plain, **options)[-30:40, -20:50]
    np.testing.assert_array_equal(exact, expected)


def test_a_quick_level_of_the_bundled_model_resembles_the_average():
    options = {"seed": 1, "level": 1, "tile_size": 128, "devices": jax.devices()[:1]}
    exact, quick = (
        World.load(quick=quick, **options)[-32:32, 0:256].astype(float)
        for quick in (False, True)
    )
    noise = np.square(exact - quick).mean()
    assert 10 * np.log10(255**2 / noise) > 10  # decibels
    # Within rows, as all pictures of a model are sky above and ground below.
    one, other = (p.mean(-1) - p.mean((1, 2))[:, None] for p in (exact, quick))
    here = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    beside = np.corrcoef(one[:, 20:].ravel(), other[:, :-20].ravel())[0, 1]
    assert here > max(0.5, beside + 0.3)


@pytest.mark.parametrize(
    ("level", "quick", "words"),
    [
        (-1, False, r"level \(-1\) must be at least 0, as this model has no detail"),
        (3, False, r"level \(3\) must be .* nearest is 2$"),
        (0, True, r"quick needs a level above 0 .* `level` 1, or leave `quick` out$"),
        (2, True, r"level \(2\) must be a quick level of this model, 0 to 1; .* is 1$"),
    ],
)
def test_levels_that_a_model_has_not_are_refused(level, quick, words):
    with pytest.raises(ValueError, match=words):
        _zoomed(level, quick=quick)


def test_far_places_of_a_level_are_those_of_level_0():
    far = 2**61
    expected = _reduced(_world()[2 * far - 64 : 2 * far, 0:64], 1)
    found = _zoomed(1)[far - 32 : far, 0:32]
    assert np.abs(found - expected).max() <= 1
    with pytest.raises(ValueError, match="within -2305843009213693952 to"):
        _zoomed(1)[far : far + 1, 0:32]


def test_another_level_is_the_same_world():
    world = _zoomed(0, horizon=-9, period=(64, 96))
    for level, quick in ((1, False), (2, False), (1, True)):
        zoomed = _zoomed(level, quick=quick, horizon=-9, period=(64, 96))
        start = dataclasses.replace(world, level=level, quick=quick)
        other = start.at_level(2).at_level(level) if not quick else start.at_level(1)
        assert other.quick == quick
        np.testing.assert_array_equal(other[-9:20, 3:40], zoomed[-9:20, 3:40])
    back = dataclasses.replace(world, level=1, quick=True).at_level(0)
    np.testing.assert_array_equal(back[-9:20, 3:40], world[-9:20, 3:40])
    with pytest.raises(ValueError, match="level"):
        world.at_level(3)


def test_a_world_does_not_change():
    world = _world()
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.seed = 4
    other = dataclasses.replace(world, seed=4)
    assert (world.seed, other.seed) == (3, 4)
    assert np.any(other[0:8, 0:8] != world[0:8, 0:8])
    with pytest.raises(ValueError, match="seed"):
        dataclasses.replace(world, seed=-1)


def test_threads_may_read_one_world_at_once():
    """Of many styles and edits, whose keys and styles are kept in common."""
    edits = tuple(
        Resample(Region(16 * index, -8, 16, 24), seed=100 + index) for index in range(6)
    ) + tuple(
        Pin(Region(16 * index, 40, 16, 24), Seed(200 + index), 4) for index in range(6)
    )
    options = {"seed": 3, "tile_size": 32, "devices": jax.devices()[:1]}
    scene = Scene(edits=edits)
    make = functools.partial(World, tiny.MODEL, tiny.params(), scene=scene, **options)
    windows = [
        (slice(y, y + 24), slice(x, x + 40)) for y in range(0, 96, 8) for x in (0, 30)
    ]
    alone = make()
    expected = [alone[window] for window in windows]
    shared = make()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(shared.__getitem__, windows[::-1]))
    for one, other in zip(found[::-1], expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_of_a_quick_world_are_of_the_full_one():
    """Its tiles may be of a size that whole ones cannot have: here 9 cells of 2 px."""
    quick = _zoomed(1, quick=True, tile_size=18)
    expected = _world().latent_statistics(-20, 3, 50, 60)
    np.testing.assert_array_equal(quick.latent_statistics(-20, 3, 50, 60), expected)


def test_parameters_are_checked_without_tracing_anew(monkeypatch):
    world, params = _world(), tiny.params()
    traced, init = [], generator_lib.init_generator
    monkeypatch.setattr(
        generator_lib, "init_generator", lambda *a: traced.append(init(*a))
    )
    for seed in range(3):
        other = dataclasses.replace(world, seed=seed, tile_size=16).at_level(1)
        World(tiny.MODEL, params, tile_size=32)
    assert not traced
    params = dict(tiny.params())
    del params["structure_synthesizer"]
    with pytest.raises(ValueError, match="structure_synthesizer"):
        dataclasses.replace(other, generator_params=params)
