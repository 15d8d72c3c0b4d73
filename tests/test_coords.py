"""Coordinates of world cells and of training windows."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords
from infinitygan_jax.config import ModelConfig

AS_TRAINED = coords.trained_frame(10)


def test_row_0_is_the_horizon_and_a_row_is_0_3():
    row, _ = coords.world_coords("landscape", -3, 7, 0, 1, AS_TRAINED)
    # v = 2 cut r / (T + V - 1) = 2 * 3 / 20 r = 0.3 r
    np.testing.assert_allclose(row[:, 0], np.tanh(0.3 * np.arange(-3, 4)), rtol=1e-6)
    assert row[3, 0] == 0


def test_columns_repeat_exactly_however_far():
    near = coords.world_coords("landscape", 0, 1, 0, 300, AS_TRAINED)[1]
    # u = 2 c / 139 - 1
    u = 2 * np.arange(139) / 139 - 1
    np.testing.assert_allclose(near[:139, 0], np.cos(np.pi * u), atol=1e-6)
    np.testing.assert_allclose(near[:139, 1], np.sin(np.pi * u), atol=1e-6)
    for start in (139, -139, 139 * 10**15, -139 * 2**40):
        far = coords.world_coords("landscape", 0, 1, start, 300, AS_TRAINED)[1]
        np.testing.assert_array_equal(far, near)


def test_far_rows_saturate_and_stay_finite():
    row, _ = coords.world_coords("landscape", -(2**62), 3, 0, 1, AS_TRAINED)
    np.testing.assert_array_equal(row, -1)
    row, _ = coords.world_coords("landscape", 2**62, 3, 0, 1, AS_TRAINED)
    np.testing.assert_array_equal(row, 1)


def test_a_window_is_a_part_of_any_other():
    for kind, corner in [("landscape", (-50, 2**45)), ("plane", (-(2**45), -9))]:
        top, left = corner
        whole = coords.world_coords(kind, top, 60, left, 80, AS_TRAINED)
        part = coords.world_coords(kind, top + 7, 20, left + 31, 33, AS_TRAINED)
        np.testing.assert_array_equal(part[0], whole[0][7:27])
        np.testing.assert_array_equal(part[1], whole[1][31:64])
        full = coords.grid(*map(jnp.asarray, whole))
        assert full.shape == (60, 80, ModelConfig(coords=kind).num_coords)
        np.testing.assert_array_equal(
            coords.grid(*map(jnp.asarray, part)), full[7:27, 31:64]
        )


def test_the_plane_is_periodic_both_ways():
    row, col = coords.world_coords("plane", 5, 200, 5, 200, AS_TRAINED)
    np.testing.assert_array_equal(row, col)
    np.testing.assert_array_equal(row[:61], row[139:])


def test_training_windows_follow_the_grid():
    zero = jnp.float32(0)
    window = coords.training_coords(
        "landscape", jnp.int32(4), jnp.int32(120), zero, zero, 10
    )
    # Row r of the 45: v = 0.3 r - 6.6. Columns 120 .. 139, then 0 .. 14 of the 140.
    v = 0.3 * np.arange(4, 39) - 6.6
    u = 2 * (np.arange(120, 155) % 140) / 139 - 1
    np.testing.assert_allclose(window[:, 0, 0], np.tanh(v), atol=1e-5)
    np.testing.assert_allclose(window[0, :, 1], np.cos(np.pi * u), atol=1e-5)
    np.testing.assert_allclose(window[3, :, 2], np.sin(np.pi * u), atol=1e-5)


@pytest.mark.parametrize(("num", "step"), [(10, 0.3), (3, 6 / 13)])
def test_the_middle_training_window_lies_on_the_horizon(num, step):
    # Start rows are centred: of 0 .. 9, 4.5 would be the world window around row 0.
    starts, half = jnp.arange(num), (num - 1) / 2
    label = coords.vertical_label(starts, num)
    np.testing.assert_allclose(label, np.arange(num) / half - 1, atol=1e-6)
    zero = jnp.float32(0)
    windows = jax.vmap(
        lambda s: coords.training_coords("landscape", s, jnp.int32(0), zero, zero, num)
    )(starts)
    middle = np.arctanh(np.asarray(windows[:, 17, 0, 0], np.float64))
    expected = step * (np.arange(num) - half - 0.5)
    np.testing.assert_allclose(middle, expected, atol=1e-4)
    row, _ = coords.world_coords("landscape", 1, 1, 0, 1, coords.trained_frame(num))
    np.testing.assert_allclose(row, np.tanh(step), rtol=1e-6)


@pytest.mark.parametrize("kind", ["landscape", "plane"])
def test_jitter_moves_the_whole_window(kind):
    place = (jnp.int32(2), jnp.int32(100))
    plain = coords.training_coords(kind, *place, jnp.float32(0), jnp.float32(0), 10)
    moved = coords.training_coords(kind, *place, jnp.float32(0), jnp.float32(0.005), 10)
    angle = np.arctan2(plain[..., -1], plain[..., -2])
    shift = np.angle(np.exp(1j * (np.arctan2(moved[..., -1], moved[..., -2]) - angle)))
    np.testing.assert_allclose(shift, np.pi * 0.005, atol=1e-5)


def test_a_horizon_moves_the_rows_and_more_rows_spread_them():
    row, col = coords.world_coords("landscape", -3, 7, 0, 5, AS_TRAINED)
    for far in (0, 2**58):
        moved = dataclasses.replace(AS_TRAINED, horizon=Fraction(far + 40))
        parts = coords.world_coords("landscape", far + 37, 7, 0, 5, moved)
        np.testing.assert_array_equal(parts[0], row)
        np.testing.assert_array_equal(parts[1], col)
    frame = coords.Frame(horizon=Fraction(-1, 4), rows=40.0)
    row, _ = coords.world_coords("landscape", 3, 1, 0, 1, frame)
    np.testing.assert_allclose(row, np.tanh(0.3 * 3.25 / 2), rtol=1e-6)


@pytest.mark.parametrize(("period", "turns"), [(1, 1), (60, 1), (139, 1), (300, 2)])
def test_a_period_holds_a_whole_number_of_turns(period, turns):
    frame = dataclasses.replace(AS_TRAINED, col_period=period)
    _, col = coords.world_coords("landscape", 0, 1, -5, 3 * period, frame)
    np.testing.assert_array_equal(col[:period], col[period : 2 * period])
    angle = np.unwrap(np.arctan2(col[:, 1], col[:, 0])[: period + 1])
    whole = 2 * np.pi * turns if period > 1 else 0
    np.testing.assert_allclose(angle[-1] - angle[0], whole, rtol=1e-6)


def test_rows_of_a_period_lie_around_the_horizon():
    frame = dataclasses.replace(AS_TRAINED, horizon=Fraction(2), row_period=6)
    row, _ = coords.world_coords("landscape", -9, 18, 0, 1, frame)
    # Rows 2 - 6 / 2 = -1 to 4 are -3 to 2 from the horizon, and every sixth repeats.
    expected = np.tanh(0.3 * np.tile(np.arange(-3, 3), 4)[4:22])
    np.testing.assert_allclose(row[:, 0], expected, rtol=1e-6)
    plane = coords.world_coords("plane", -9, 18, 0, 1, frame)[0]
    np.testing.assert_array_equal(plane[:6], plane[6:12])
