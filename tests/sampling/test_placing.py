"""Placements look the same wherever they are put, and known pixels are exact."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.sampling import compositing, overlays, placing
from infinitygan_jax.sampling.compositing import Known, Overlay
from infinitygan_jax.sampling.edits import Region, Resample
from infinitygan_jax.sampling.painter import Painter, Scene
from infinitygan_jax.sampling.placing import Placement
from infinitygan_jax.sampling.plan import Tile
from infinitygan_jax.sampling.styles import Axis, Constant, Given, Looks, Seed
from infinitygan_jax.sampling.world import World, frame_of
from tests.sampling import tiny

CELL = tiny.MODEL.cell_size
HEIGHT, WIDTH = 20, 28  # 28 is whole cells, 20 too
OWN = (-8, 4)  # where the picture lies in the world that it is cut from


def _world(seed, scene=Scene(), **options):  # noqa: B008
    options = {"tile_size": 32} | options
    return World(tiny.MODEL, tiny.params(), seed=seed, scene=scene, **options)


@functools.lru_cache
def _look(seed):
    look = Looks(tiny.MODEL, tiny.params())[Seed(seed)]
    return Given(look)


def _cut(seed, top, left, **options):
    """A placement of what the world of a seed shows at ``OWN``."""
    blank = Placement(
        *(top, left, HEIGHT, WIDTH, tiny.MODEL.num_stages, _look(seed)),
        *(np.zeros((0, 0, 0), np.float32), (), tiny.MODEL.coords),
        frame_of(tiny.MODEL, 0, None, (None, None)),
        *OWN,
        **options,
    )
    rows, cols = dataclasses.replace(blank, top=OWN[0], left=OWN[1]).spans

    def draw(stream, row, col, channels):
        words = [jnp.asarray(fields.words(s.start, s.size)) for s in (row, col)]
        key = jnp.asarray(fields.stream_key(seed, stream))
        return np.asarray(fields.normal_field(key, *words, channels))

    noise = tuple(
        draw(fields.NOISE + index, *pair, 1)[..., 0]
        for index, pair in enumerate(zip(rows.noise, cols.noise, strict=True))
    )
    z_local = draw(fields.Z_LOCAL, rows.latent, cols.latent, tiny.MODEL.z_local_size)
    # Worlds spread the vertical range; this is of one that does.
    frame = coords.Frame(stretch=4.0)
    return dataclasses.replace(blank, z_local=z_local, noise=noise, frame=frame)


@functools.lru_cache
def _original(seed=5):
    return _world(seed)[OWN[0] : OWN[0] + HEIGHT, OWN[1] : OWN[1] + WIDTH]


def _show(world, top, left):
    return world[top : top + HEIGHT, left : left + WIDTH].astype(int)


@pytest.mark.parametrize(
    ("top", "left", "feather"),
    [(-8, 4, 0), (400, 164, 0), (32, -60, 40), (2**40 * 4, -(2**50) + 4, 16)],
)
def test_a_placement_looks_as_where_it_was_cut(top, left, feather):
    world = _world(11, Scene(edits=(_cut(5, top, left, feather=feather),)))
    shown = _show(world, top, left)
    assert np.abs(shown - _original()).max() <= 1
    assert np.abs(_show(_world(11), top, left) - _original()).max() > 20


@pytest.mark.parametrize("tile_size", [16, 64])
@pytest.mark.parametrize("feather", [0, 24])
def test_tiles_of_a_placement_agree(tile_size, feather):
    scene = Scene(edits=(_cut(5, 40, 44, feather=feather),))
    pictures = [
        _world(11, scene, tile_size=size)[0:100, 0:120].astype(int)
        for size in (32, tile_size)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_placement_in_a_world_of_its_style_needs_no_blend():
    """Outpainting: style and coordinates are the world's own."""
    scene = Scene(styles=Constant(_look(5)), edits=(_cut(5, *OWN),))
    world = _world(11, scene)
    assert np.abs(_show(world, *OWN) - _original()).max() == 0
    for tile in (Tile(-1, 0), Tile(0, 0), Tile(0, 1)):
        weights = world._painter._weights(tile, scene.edits)
        assert weights.sources == (_look(5),)


def test_a_placement_wraps_around():
    """Across the seam of the columns, and of the rows: the same latents, once."""
    scene = Scene(edits=(_cut(5, 84, 180, feather=8),))
    world = _world(11, scene, period=(192, 192))
    tiled = np.tile(world[-96:96, 0:192], (2, 2, 1))  # from row -96
    np.testing.assert_array_equal(world[60:130, 150:250], tiled[156:226, 150:250])
    assert np.abs(_show(world, 84, 180) - _original()).max() <= 1


def test_a_placement_that_meets_itself_is_refused():
    """Its latents are those of 34 x 36 cells."""
    scene = Scene(edits=(_cut(5, 84, 84),))
    with pytest.raises(ValueError, match=r"144x136 .*width \(96\)"):
        _world(11, scene, period=(None, 96))
    _world(11, scene, period=(None, 144))


def test_later_edits_are_over_a_placement():
    region = Region(48, 60, 8, 8)
    placed = _cut(5, 40, 44)
    only = _world(11, Scene(edits=(placed,)))
    after = _world(11, Scene(edits=(placed, Resample(region, 3))))
    before = _world(11, Scene(edits=(Resample(region, 3), placed)))
    np.testing.assert_array_equal(_show(before, 40, 44), _show(only, 40, 44))
    assert np.abs(_show(after, 40, 44) - _show(only, 40, 44)).max() > 5


def test_a_placements_own_latents_are_not_truncated():
    placed = _cut(5, 40, 44)
    drawn = {}
    for psi in (1, 0.5):
        for edits in ((), (placed,)):
            scene = Scene(edits=edits, truncation=psi)
            one = {"tile_size": 128, "devices": jax.devices()[:1]}
            painter = _world(11, scene, **one)._painter
            fields = painter._draw([Tile(0, 0)], [list(edits)])
            drawn[psi, len(edits)] = np.asarray(fields.z_local)
    given = (drawn[1, 1] != drawn[1, 0]).any(axis=-1)
    assert given.any() and not given.all()
    np.testing.assert_array_equal(drawn[0.5, 1][given], drawn[1, 1][given])
    np.testing.assert_array_equal(drawn[0.5, 1][~given], drawn[1, 0][~given] / 2)


def test_places_off_the_cells_are_refused():
    with pytest.raises(ValueError, match=r"41,44 .*cells of 4 .*nearest.* 40,44"):
        _cut(5, 41, 44)
    with pytest.raises(ValueError, match=r"nearest.* 40,48"):
        _cut(5, 40, 47)


def _known(seed=0, holes=False):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[5:9, 7:15] = not holes
    return Known(image, mask)


@pytest.mark.parametrize("holes", [False, True])
def test_known_pixels_are_exact_and_others_are_not_touched_far_away(holes):
    known = _known(holes=holes)
    placed = _cut(5, 40, 44)
    exact = dataclasses.replace(placed, known=known)
    worlds = [_world(11, Scene(edits=(each,))) for each in (placed, exact)]
    before, after = (world[0:120, 0:140] for world in worlds)
    inside = after[40 : 40 + HEIGHT, 44 : 44 + WIDTH]
    np.testing.assert_array_equal(inside[known.mask], known.image[known.mask])
    ring = compositing.ring_of(HEIGHT, WIDTH)
    far = np.ones(before.shape[:2], bool)
    far[40 - ring : 40 + HEIGHT + ring, 44 - ring : 44 + WIDTH + ring] = False
    np.testing.assert_array_equal(before[far], after[far])
    part = worlds[1][30:50, 40:60]
    np.testing.assert_array_equal(part, after[30:50, 40:60])


def test_colours_continue_across_the_rim():
    """What was painted with an error of 40 all over meets the known pixels smoothly."""
    rng = np.random.default_rng(0)
    truth = np.add.outer(np.linspace(60, 160, 84), np.linspace(0, 40, 92))
    truth = truth[..., None] + rng.normal(0, 2, (84, 92, 3))
    painted = np.clip(truth + 40, 0, 255).round().astype(np.uint8)
    ring = 32
    image = truth[ring:-ring, ring:-ring].round().astype(np.uint8)
    known = Known(image, np.ones(image.shape[:2], bool))
    overlay = Overlay.around(known, ring, ring, painted, ring)
    shown = painted.copy()
    overlay.put(shown, 0, 0, (None, None))
    np.testing.assert_array_equal(shown[ring:-ring, ring:-ring], image)
    steps = np.abs(np.diff(shown.astype(int), axis=0))
    within, across = (
        steps[ring + 2 : -ring - 2, ring:-ring],
        steps[ring - 1, ring:-ring],
    )
    assert across.mean() < 1.5 * within.mean() + 1
    bare = np.abs(image[0].astype(int) - painted[ring - 1, ring:-ring]).mean()
    assert bare > 30


def test_a_membrane_is_harmonic():
    """Between fixed ends of one axis, the solution is the straight line."""
    height, width = 40, 33
    line = np.linspace(0, 1, width, dtype=np.float32)
    values = np.broadcast_to(line[None, :, None], (height, width, 1)).copy()
    fixed = np.zeros((height, width), bool)
    fixed[[0, -1]] = fixed[:, [0, -1]] = True
    solved = compositing.membrane(np.where(fixed[..., None], values, 0), fixed)
    np.testing.assert_allclose(solved, values, atol=0.02)


@pytest.mark.parametrize("level", [1, 2])
def test_a_reduced_overlay_is_the_average(level):
    exact = dataclasses.replace(_cut(5, 40, 44), known=_known())
    scene = Scene(edits=(exact,))
    full = _world(11, scene)[0:128, 0:128].astype(float)
    square = 2**level
    size = 128 // square
    mean = full.reshape(size, square, size, square, 3).mean((1, 3))
    reduced = _world(11, scene, level=level)[0:size, 0:size]
    # Both are rounded, and clipped before or after averaging.
    difference = np.abs(reduced - mean)
    assert np.percentile(difference, 98) <= 1.5


def test_a_later_edit_reaches_no_further_through_known_pixels():
    """Their correction of what is around them does not see it."""
    exact = dataclasses.replace(_cut(5, 40, 44), known=_known())
    edit = Resample(Region(28, 40, 4, 4), 3, structure=False)
    before = _world(11, Scene(edits=(exact,)))[0:100, 0:120]
    after = _world(11, Scene(edits=(exact, edit)))[0:100, 0:120]
    rows, cols = np.nonzero((before != after).any(axis=-1))
    # Noise is seen by two cells around it.
    assert rows.min() >= 28 - 8
    assert rows.max() < 32 + 8
    assert cols.min() >= 40 - 8
    assert cols.max() < 44 + 8


def test_only_what_is_seen_is_measured():
    """A thousand pictures far away cost nothing."""
    away = dataclasses.replace(_cut(5, 4000, 0), known=_known())
    far = tuple(dataclasses.replace(away, left=400 * index) for index in range(1000))
    near = dataclasses.replace(_cut(5, 40, 44), known=_known())
    world = _world(11, Scene(edits=(*far, near)))
    shown = _show(world, 40, 44)
    np.testing.assert_array_equal(shown, _known().image)
    assert list(world._overlays._kept) == [1000]


def test_overlays_are_kept_by_their_bytes(monkeypatch):
    first = dataclasses.replace(_cut(5, 40, 44), known=_known())
    edits = tuple(dataclasses.replace(first, left=44 + 400 * i) for i in range(3))
    world = _world(11, Scene(edits=edits))
    shown = [_show(world, 40, 44 + 400 * index) for index in (0, 1, 0, 2)]
    assert list(world._overlays._kept) == [1, 0, 2]  # as they were needed last
    size = world._overlays._kept[0].nbytes
    monkeypatch.setattr(overlays, "_KEPT_BYTES", 2 * size)
    world = _world(11, Scene(edits=edits))
    again = [_show(world, 40, 44 + 400 * index) for index in (0, 1, 0, 2)]
    np.testing.assert_array_equal(again, shown)
    assert list(world._overlays._kept) == [0, 2]
    monkeypatch.setattr(overlays, "_KEPT_BYTES", 1)  # less than one
    _show(world, 40, 444)
    assert list(world._overlays._kept) == [1]


def _overlay(world):
    world._overlays._overlay(0)
    return world._overlays._kept[0]


def test_what_surrounds_a_picture_is_painted_in_tiles_of_its_size(monkeypatch):
    """Of few sizes, whatever those of the world are, and so with the same result."""
    painted = []
    paint = Painter.paint

    def counted(painter, wanted):
        painted.extend(painter._tile_size for _ in wanted)
        return paint(painter, wanted)

    monkeypatch.setattr(Painter, "paint", counted)
    exact = dataclasses.replace(_cut(5, 40, 44), known=_known())
    worlds = [
        _world(11, Scene(edits=(exact,)), **options)
        for options in ({}, {"tile_size": 256}, {"batch_size": 3}, {"level": 1})
    ]
    one, *others, reduced = map(_overlay, worlds)
    # Rows 32 to 68 and columns 36 to 80: one tile each; by default they are of 512.
    assert painted == [128] * 4
    for other in others:
        np.testing.assert_array_equal(other.correction, one.correction)
    assert reduced.share.size * 4 == one.share.size


def test_varied_worlds_take_edits():
    scene = Scene(edits=(_cut(5, 40, 44),))
    varied = _world(3).varied(11, scene)
    np.testing.assert_array_equal(
        _show(varied, 40, 44), _show(_world(11, scene), 40, 44)
    )


@pytest.mark.parametrize("feather", [-1, 2**64])
def test_feathers_out_of_range_are_refused(feather):
    with pytest.raises(ValueError, match=r"feather .* must be from 0"):
        _cut(5, 40, 44, feather=feather)


@pytest.mark.parametrize("period", [None, 2**22])
def test_coordinates_far_around_a_placement_are_its_own(monkeypatch, period):
    """Also where, in a world that repeats, those of two repeats meet; of few cells."""
    around = 2**22
    placement = _cut(5, 0, 0)
    latent = placement.spans[1].latent
    middle = latent.start + latent.size // 2
    feather = (around - latent.size) // 2 * CELL
    placement = dataclasses.replace(placement, feather=feather)
    span = geometry.Span(middle + around // 2 - 30, 80, 0)
    cells = None if period is None else period * CELL
    axis = Axis(span.start * CELL, span.size, CELL, cells)
    sizes, part = [], placing._part

    def noted(kind, axis, start, size, frame):
        sizes.append(size)
        return part(kind, axis, start, size, frame)

    monkeypatch.setattr(placing, "_part", noted)
    world = coords.Frame(stretch=4.0, col_period=period)
    _, found, *_ = placement._parts(1, span, axis, world, np.arange(span.size))
    assert max(sizes) < 200
    away = np.arange(span.size) + span.start - middle
    if period is not None:
        away = (away + period // 2) % period - period // 2
        assert np.ptp(away) > period // 2
    moved = (placement.left - placement.own_left) // CELL
    own = [
        part(placement.coords_kind, 1, middle - moved + int(each), 1, placement.frame)
        for each in away
    ]
    np.testing.assert_array_equal(found, np.concatenate(own))
