import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image

from infinitygan_jax.models.generator import init_generator
from infinitygan_jax.training import sheets
from tests.training import running

CONFIG = running.tiny_config()
PATCH = 17


@pytest.fixture(scope="module")
def params():
    return jax.device_get(init_generator(CONFIG.model, jax.random.key(0)))


@pytest.fixture(scope="module")
def painter():
    return sheets.SheetPainter(CONFIG)


@pytest.fixture(scope="module")
def painted(painter, params):
    return painter(params)


def cells_of(sheet, width=PATCH):
    step_y, step_x = PATCH + sheets.GUTTER, width + sheets.GUTTER
    return [
        [sheet[y : y + PATCH, x : x + width] for x in range(0, sheet.shape[1], step_x)]
        for y in range(0, sheet.shape[0], step_y)
    ]


def test_sheets_are_grids_with_thin_white_lines(painted):
    assert set(painted) == {"samples", "structures", "styles", "wide_2x", "wide_4x"}
    for name in ("samples", "structures", "styles"):
        # 4 rows of 8 patches of 17 pixels, 2 pixels between.
        assert painted[name].shape == (4 * 19 - 2, 8 * 19 - 2, 3)
        assert np.all(painted[name][17:19] == 255)
        assert np.all(painted[name][:, 17:19] == 255)
    for width in (2, 4):
        assert painted[f"wide_{width}x"].shape == (4 * 19 - 2, width * 17, 3)


def test_rows_share_a_style_or_a_structure(painter, painted):
    layouts = painter.layouts()
    for row in layouts["structures"]:
        assert len({cell.style for cell in row}) == 1
        assert len({cell.structure for cell in row}) == len(row)
    for row in layouts["styles"]:
        assert len({cell.structure for cell in row}) == 1
        assert len({cell.style for cell in row}) == len(row)
    samples = cells_of(painted["samples"])
    structures = cells_of(painted["structures"])
    styles = cells_of(painted["styles"])
    # Structure 1 with style 1 is on all three sheets.
    np.testing.assert_array_equal(samples[0][1], structures[1][1])
    np.testing.assert_array_equal(samples[0][1], styles[1][1])
    assert np.any(structures[0][0] != structures[0][1])
    assert np.any(styles[0][0] != styles[0][1])


def test_sheets_are_the_same_at_every_visit(painter, params, painted):
    again = painter(params)
    for name, sheet in painted.items():
        np.testing.assert_array_equal(again[name], sheet)


@pytest.mark.parametrize(
    ("patch_size", "width", "cells"),
    # (n - 5) 2^k + 5 >= width p: 15 * 2 + 5 = 35 >= 34; 13 * 16 + 5 = 213 >= 202.
    [(17, 1, 11), (17, 2, 20), (101, 2, 18), (101, 4, 30)],
)
def test_wide_windows_are_the_narrowest_that_hold_the_patches(patch_size, width, cells):
    widths = (8,) * 8
    model = dataclasses.replace(
        CONFIG.model,
        patch_size=patch_size,
        texture_widths=widths,
        discriminator_widths=widths,
    )
    assert sheets.cells_across(model, width) == cells


def test_windows_are_centred_on_the_horizon():
    where = sheets.window_coords(CONFIG.model, 11)
    assert where.shape == (35, 35, 3)
    np.testing.assert_array_equal(where[17, :, 0], 0)  # v = 0 in the middle row
    np.testing.assert_allclose(where[18, 0, 0], np.tanh(0.3), rtol=1e-6)
    np.testing.assert_array_equal(where[:17, :, 0], -where[:17:-1, :, 0])


def test_files_are_whole_pngs(tmp_path, painted):
    folder = tmp_path / "sheets" / "step_00000006"
    sheets.write_sheets(folder, painted)
    assert {p.name for p in folder.iterdir()} == {f"{name}.png" for name in painted}
    for name, sheet in painted.items():
        np.testing.assert_array_equal(Image.open(folder / f"{name}.png"), sheet)
