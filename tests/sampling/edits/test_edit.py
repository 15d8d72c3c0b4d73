"""A kind of edit is what its class says: nothing else asks which kind it is."""

import dataclasses

import jax
import numpy as np
import pytest

from infinitygan_jax import geometry
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.edits.edit import Edit, check_fits
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Seed
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny
from tests.sampling.edits.test_placement import _cut

CELL = tiny.MODEL.cell_size
# A pixel's cell sees so many before and after it.
REACH = (geometry.STRUCTURE_MARGIN + 3) * CELL
SIDES = (-8, 16, 16, 24)
REGION = Region(*SIDES)
ROWS, COLS = slice(-96, 96), slice(-80, 144)


@dataclasses.dataclass(frozen=True, eq=False)
class _Constant(Edit):
    """Gives all latents of a region one value: a kind that the package has not."""

    region: Region
    value: float
    gives_fields = True

    def write(self, tile, stream):
        rows, cols = (axis.latent for axis in tile.spans)
        where, part = self.region.squares(*tile.lattice.axes(rows, cols))
        tile.given.z_local[where] = np.where(
            part[..., None], self.value, tile.given.z_local[where]
        )
        tile.masks.z_local[where] |= part[..., None]


@dataclasses.dataclass(frozen=True, eq=False)
class _Nothing(Edit):
    region: Region


def _world(*edits):
    return World(
        tiny.MODEL,
        tiny.params(),
        seed=11,
        tile_size=32,
        devices=jax.devices()[:1],
        scene=Scene(edits=edits),
    )


def test_a_new_kind_of_edit_needs_its_class_alone():
    plain = _world()[ROWS, COLS].astype(int)
    edited = _world(_Constant(REGION, 3.0))
    changed = (edited[ROWS, COLS] != plain).any(axis=-1)
    # Deviations over a region whose latents are all 3 are 0, their means 3.
    mean, deviation = edited.latent_statistics(*SIDES)
    np.testing.assert_array_equal(mean, np.float32(3))
    np.testing.assert_array_equal(deviation, np.float32(0))
    # Of the region, rows -8 to 8 and columns 16 to 40.
    assert changed[88:104, 96:120].mean() > 0.5
    assert min(88, 96) > REACH
    changed[88 - REACH : 104 + REACH, 96 - REACH : 120 + REACH] = False
    assert not changed.any()


def test_what_a_kind_says_composes():
    """A style and other draws in one edit, which no kind of the package has."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Both(_Constant):
        source: Seed = dataclasses.field()
        feather: int = 8

    plain = _world(_Constant(REGION, 3.0))[ROWS, COLS].astype(int)
    both = _world(Both(REGION, 3.0, Seed(9)))
    assert (both[ROWS, COLS] != plain).any()
    assert both._painter.blends(both.plan(Window(*SIDES)).tiles())


def test_latents_alone_leave_coordinates_to_what_lies_below():
    """Whichever tile asks: the same cells have the same coordinates in all."""
    picture = _cut(5, 0, 0, feather=16)
    over = _Constant(Region(0, 8, 16, 40), 3.0)
    editor = _world(picture, over)._painter._editor
    alone = _world(picture)._painter._editor
    for tile in (Tile(-1, 0), Tile(0, 0), Tile(0, 1), Tile(1, 1)):
        both = editor.edited(tile, [picture, over]).given.coords
        np.testing.assert_array_equal(both, alone.edited(tile, [picture]).given.coords)
        assert np.any(both != editor._blank(tile)[0].coords)


def test_an_edit_that_changes_nothing_changes_no_byte():
    np.testing.assert_array_equal(
        _world(_Nothing(REGION))[ROWS, COLS], _world()[ROWS, COLS]
    )


@pytest.mark.parametrize("feather", [0, 20])
def test_edits_fit_into_a_world_that_repeats(feather):
    """40 rows and feathers on both sides: 40 and 80."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Feathered(_Nothing):
        feather: int = 0

    edit = Feathered(Region(0, 0, 40, 8), feather)
    check_fits(edit, (40 + 2 * feather, None))
    with pytest.raises(UserError, match=r"must fit into the height \(\d+\) after"):
        check_fits(edit, (40 + 2 * feather - 1, None))
