"""Sheets: rows share latents and noise, columns share styles, cells are worlds."""

import jax
import numpy as np
import pytest

from infinitygan_jax.sampling import grids
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Constant, Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

WINDOW = Window(-11, 7, 22, 30)


def _world(**options):
    return World(
        tiny.MODEL, tiny.params(), tile_size=32, devices=jax.devices()[:1], **options
    )


def _painted(sheet):
    return np.concatenate(list(grids.strips(_world(), sheet)))


def test_rows_share_latents_and_noise_and_columns_share_styles():
    sheet = grids.Sheet((1, 2), (11, 22, 33), WINDOW)
    drawn, looks = [], []
    for row in grids.worlds(_world(), sheet):
        painters = [world._painter for world in row]
        drawn.append([p._draw([Tile(0, 0)], [[]]) for p in painters])
        looks.append([p._looks[p._styles.source] for p in painters])
    for row in drawn:
        for other in row[1:]:
            jax.tree.map(np.testing.assert_array_equal, row[0], other)
    for one, other in zip(*looks, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    assert (drawn[0][0].z_local != drawn[1][0].z_local).all()
    assert (drawn[0][0].noise[0] != drawn[1][0].noise[0]).mean() > 0.99
    assert (looks[0][0].z_global != looks[0][1].z_global).all()


def _places(sheet):
    """Where the pictures lie in the sheet, row by row."""
    above, before = sheet.corner
    down = sheet.window.height + sheet.margin
    right = sheet.window.width + sheet.margin
    return [
        Window(
            above + row * down,
            before + column * right,
            sheet.window.height,
            sheet.window.width,
        )
        for row in range(len(sheet.rows))
        for column in range(len(sheet.columns))
    ]


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("margin", [0, 5])
def test_every_picture_is_its_worlds_window(labels, margin):
    sheet = grids.Sheet((1, 2), (11, 2**64 - 1), WINDOW, margin, labels)
    painted = _painted(sheet)
    assert painted.shape == (*sheet.size, 3)
    if not labels:
        assert sheet.size == (2 * 22 + margin, 2 * 30 + margin)
    covered = np.zeros(sheet.size, bool)
    seeds = [(row, column) for row in sheet.rows for column in sheet.columns]
    for (row, column), place in zip(seeds, _places(sheet), strict=True):
        inside = (slice(place.top, place.bottom), slice(place.left, place.right))
        world = _world(seed=row, scene=Scene(styles=Constant(Seed(column))))
        np.testing.assert_array_equal(painted[inside], world[-11:11, 7:37])
        covered[inside] = True
    rest = painted[~covered]
    if labels:  # dark letters on white
        assert rest.min() < 128 and (rest == 255).mean() > 0.7
    else:
        assert (rest == 255).all()


def test_labels_that_are_larger_than_pictures_are_cut():
    sheet = grids.Sheet((2**64 - 1,), (2**64 - 1,), Window(0, 0, 3, 4), 1, True)
    assert _painted(sheet).shape == (*sheet.size, 3)


def test_a_pictures_own_row_and_column_is_the_seeds_world():
    painted = _painted(grids.Sheet((3,), (3,), WINDOW))
    np.testing.assert_array_equal(painted, _world(seed=3)[-11:11, 7:37])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(rows=()), "give a seed of each"),
        (dict(columns=()), "give a seed of each"),
        (dict(rows=(1, -1)), "seed"),
        (dict(columns=(2**64,)), "seed"),
        (dict(margin=-1), "margin .* use 0"),
        (dict(margin=5000), "margin .* use 4096"),
        (dict(window=Window(0, 0, 8, 2**31 - 1)), "at most 2147483647"),
    ],
)
def test_sheets_that_cannot_be_are_refused(options, words):
    usual = dict(rows=(1,), columns=(1, 2), window=WINDOW)
    with pytest.raises(ValueError, match=words):
        grids.Sheet(**(usual | options))
