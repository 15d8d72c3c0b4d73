"""What a model's samples are painted from, and where whole pictures lie."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords, devices, geometry
from infinitygan_jax.evaluation import samples
from infinitygan_jax.models.generator import make_generator
from infinitygan_jax.sampling.frame import frame_of, learned_span
from infinitygan_jax.training import draws, sheets
from tests.sampling import tiny

NEAR = 1.01 / 127.5  # a step of 8 bits, where rounding went the other way


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(samples, "_paint", _PAINT)


def painted(num, **options):
    batches = samples.samples(tiny.CONFIG, tiny.params(), num, seed=3, **options)
    return np.concatenate(list(batches))


_INPUTS = devices.jit_in_a_hurry(samples.whole_inputs, static_argnums=0)
_PAINT = devices.jit_in_a_hurry(samples._paint.__wrapped__, static_argnums=(0, 1))
_APPLY = devices.jit_in_a_hurry(make_generator(tiny.MODEL).apply)


def by_hand(inputs, truncation=1.0, noise=1.0):
    """The generator's pictures of these inputs, clipped to what can be shown."""
    image = _APPLY(
        {"params": tiny.params()},
        inputs.z_global,
        truncation * inputs.z_local,
        inputs.coords,
        [noise * each for each in inputs.noise],
    )
    return np.clip(image, -1, 1)


def key_of(whole):
    return draws.step_key(3, samples._PURPOSE, jnp.int32(whole))


def test_patches_are_painted_from_what_training_draws():
    drawn = draws.draw_samples(tiny.CONFIG, key_of(False), jnp.arange(5), paired=False)
    pictures = painted(5)
    assert pictures.shape == (5, 29, 29, 3)
    np.testing.assert_allclose(pictures, by_hand(drawn), atol=NEAR)
    levels = (pictures + 1) * 127.5  # of a picture of 8 bits
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)


def test_truncation_and_noise_scale_are_of_latents_and_noise():
    drawn = draws.draw_samples(tiny.CONFIG, key_of(False), jnp.arange(5), paired=False)
    pictures = painted(5, truncation=0.25, noise_scale=0.5)
    np.testing.assert_allclose(pictures, by_hand(drawn, 0.25, 0.5), atol=NEAR)
    assert np.abs(pictures - painted(5)).max() > 0.1


@pytest.mark.parametrize("whole", [False, True])
def test_a_sample_is_the_same_in_any_batch(monkeypatch, whole):
    pictures = painted(5, whole=whole)
    monkeypatch.setattr(samples, "_AT_ONCE", 2)
    again = painted(7, whole=whole)
    assert len(again) == 7
    np.testing.assert_allclose(again[:5], pictures, atol=NEAR)
    apart = np.abs(again[:, None] - again[None]).max(axis=(2, 3, 4))
    assert (apart[~np.eye(7, dtype=bool)] > 0.1).all()  # and no two are alike


def test_whole_pictures_are_the_middle_of_their_windows():
    inputs = _INPUTS(tiny.CONFIG, key_of(True), jnp.arange(3))
    image = by_hand(inputs)
    spans = samples.whole_spans(tiny.CONFIG)
    rows = np.arange(spans.pixels.start, spans.pixels.stop)
    kept = np.flatnonzero((rows >= -16) & (rows < 17))  # 33 pixels
    expected = image[:, kept][:, :, kept]
    np.testing.assert_allclose(painted(3, whole=True), expected, atol=NEAR)


@pytest.mark.parametrize("full_size", [29, 33, 34, 101])
def test_the_fewest_cells_hold_a_whole_picture(full_size):
    data = dataclasses.replace(tiny.CONFIG.data, full_size=full_size)
    spans = samples.whole_spans(dataclasses.replace(tiny.CONFIG, data=data))
    top, bottom = -(full_size // 2), full_size - full_size // 2

    def holds(first, cells):
        pixels = geometry.axis_spans(first, cells, 2).pixels
        return pixels.start <= top and bottom <= pixels.stop

    first, cells = spans.structure.start, spans.structure.size
    assert holds(first, cells)
    assert not holds(first, cells - 1) and not holds(first + 1, cells - 1)


def test_a_whole_picture_of_a_patchs_size_is_a_patch_on_the_horizon():
    data = dataclasses.replace(tiny.CONFIG.data, full_size=29)
    config = dataclasses.replace(tiny.CONFIG, data=data)
    assert samples.whole_spans(config).structure == geometry.Span(-5, 11, 0)


def test_rows_of_whole_pictures_are_the_worlds_and_columns_begin_anywhere():
    spans = samples.whole_spans(tiny.CONFIG)
    where = np.asarray(_INPUTS(tiny.CONFIG, key_of(True), jnp.arange(50)).coords)
    rows, cols = coords.world_coords(
        "landscape",
        spans.latent.start,
        spans.latent.size,
        0,
        2 * coords.PERIOD,
        coords.trained_frame(tiny.MODEL.vertical_starts),
    )
    np.testing.assert_allclose(where[:, :, 0, 0], np.tile(rows[:, 0], (50, 1)))
    middle = -spans.latent.start
    np.testing.assert_array_equal(where[:, middle, :, 0], 0)  # the horizon
    starts = []
    for each in where:
        here = np.abs(cols[: coords.PERIOD] - each[0, 0, None, 1:]).max(axis=1)
        starts.append(int(here.argmin()))
        run = cols[starts[-1] : starts[-1] + spans.latent.size]
        np.testing.assert_allclose(each[0, :, 1:], run, atol=1e-6)
    assert len(set(starts)) > 30 and max(starts) > 120 and min(starts) < 19


def test_rows_of_a_model_of_few_starts_lie_as_in_its_training():
    model = dataclasses.replace(tiny.MODEL, vertical_starts=3)
    config = dataclasses.replace(tiny.CONFIG, model=model)
    first = samples.whole_spans(config).latent.start
    where = np.asarray(_INPUTS(config, key_of(True), jnp.arange(1)).coords)
    rows = np.arctanh(where[0, :, 0, 0].astype(np.float64))
    shown = slice(-first - 4, -first + 5)  # where tanh is not nearly 1
    np.testing.assert_allclose(rows[shown], 6 / 13 * np.arange(-4, 5), atol=1e-5)
    sheet = np.arctanh(sheets.window_coords(model, 11)[13:22, 0, 0].astype(np.float64))
    np.testing.assert_allclose(sheet, 6 / 13 * np.arange(-4, 5), atol=1e-5)
    frame = frame_of(model, 0, None, (None, None))
    assert frame == coords.trained_frame(3)
    assert learned_span(model) == 13 * model.cell_size


def test_whole_pictures_of_planes_begin_anywhere():
    """Rows too: there is no horizon."""
    model = dataclasses.replace(tiny.MODEL, coords="plane")
    train = dataclasses.replace(tiny.CONFIG.train, coords_weight=0.0)
    config = dataclasses.replace(tiny.CONFIG, model=model, train=train)
    where = _INPUTS(config, key_of(True), jnp.arange(20)).coords
    assert where.shape[-1] == 4
    assert len(np.unique(np.asarray(where[:, 0, 0, 0]))) > 10
