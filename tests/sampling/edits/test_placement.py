"""Placements look the same wherever they are put, and known pixels are exact."""

import concurrent.futures
import dataclasses
import functools
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

from infinitygan_jax import fields, geometry
from infinitygan_jax.sampling import field_editor, overlays
from infinitygan_jax.sampling.edits import compositing
from infinitygan_jax.sampling.edits import placement as placing
from infinitygan_jax.sampling.edits.compositing import Known, Picture
from infinitygan_jax.sampling.edits.placement import Placement
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.frame import frame_of
from infinitygan_jax.sampling.looks import Looks
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Axis, Constant, Given, Seed
from infinitygan_jax.sampling.world import World
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


def _cut(seed, top, left, size=(HEIGHT, WIDTH), **options):
    """A placement of what the world of a seed shows at ``OWN``."""
    blank = Placement(
        top,
        left,
        *size,
        tiny.MODEL.num_stages,
        _look(seed),
        np.zeros((0, 0, 0), np.float32),
        (),
        tiny.MODEL.coords,
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
    return dataclasses.replace(blank, z_local=z_local, noise=noise)


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


def _laid(pictures, painted, ring, periods=(None, None)):
    """Pictures over what is painted, which begins at row 0 and column 0."""
    rims = [
        compositing.rim_of(pictures, which, ring, periods)
        for which in range(len(pictures))
    ]
    values = []
    for rim in rims:
        rows, cols = rim.places
        values.append(painted[rows % painted.shape[0], cols % painted.shape[1]])
    overlays = compositing.overlays_of(rims, values)
    return compositing.lay_over(painted, overlays, 0, 0, periods)


def _brighter(painted, boxes, error):
    """Pictures of what is painted in some boxes, with an error."""
    return [
        Picture(
            y,
            x,
            _to_uint8(painted[y : y + h, x : x + w].astype(int) + error),
            np.ones((h, w), bool),
        )
        for y, x, h, w in boxes
    ]


def _smooth(height, width, seed=0):
    """A slope with a little noise."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.linspace(60, 160, height), np.linspace(0, 40, width))
    return slope[..., None] + rng.normal(0, 2, (height, width, 3))


def _to_uint8(values):
    return np.clip(values, 0, 255).round().astype(np.uint8)


def test_colours_continue_across_the_rim():
    """What was painted with an error of 40 all over meets the known pixels smoothly."""
    truth = _smooth(84, 92)
    painted, ring = _to_uint8(truth + 40), 32
    image = _to_uint8(truth[ring:-ring, ring:-ring])
    known = np.ones(image.shape[:2], bool)
    shown = _laid([Picture(ring, ring, image, known)], painted, ring)
    np.testing.assert_array_equal(shown[ring:-ring, ring:-ring], image)
    steps = np.abs(np.diff(shown.astype(int), axis=0))
    within = steps[ring + 2 : -ring - 2, ring:-ring].mean()
    across = steps[:, ring:-ring].mean((1, 2))
    assert across[ring - 1] < 1.5 * within + 1
    assert across[:ring].max() < 2 * within + 1  # nor is there a step further out
    bare = np.abs(image[0].astype(int) - painted[ring - 1, ring:-ring]).mean()
    assert bare > 30


def test_near_pictures_are_all_exact_and_colours_meet_all_of_them():
    """Corrections of one neither change what another knows nor what lies beside it."""
    truth = _smooth(90, 120)
    painted = _to_uint8(truth)
    boxes = ((20, 20, 30, 30), (24, 54, 40, 24), (51, 22, 20, 20), (40, 40, 14, 18))
    errors = (-40, 30, 20, -50)
    pictures = [
        Picture(
            y, x, _to_uint8(truth[y : y + h, x : x + w] + error), np.ones((h, w), bool)
        )
        for (y, x, h, w), error in zip(boxes, errors, strict=True)
    ]
    shown = _laid(pictures, painted, 16).astype(int)
    expected, known = np.zeros_like(shown), np.zeros(shown.shape[:2], bool)
    for picture in pictures:
        rows, cols = (
            slice(start, start + side)
            for start, side in zip(picture[:2], picture.mask.shape, strict=True)
        )
        expected[rows, cols], known[rows, cols] = picture.image, True
    np.testing.assert_array_equal(shown[known], expected[known])
    # Pixels beside known ones are means of these.
    total, number = np.zeros(shown.shape), np.zeros(shown.shape[:2])
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        total += np.roll(expected, step, axis)
        number += np.roll(known, step, axis)
    beside = ~known & (number > 0)
    assert beside.sum() > 200
    means = total[beside] / number[beside][:, None]
    assert np.abs(shown[beside] - means).max() <= 0.5
    far = np.ones(shown.shape[:2], bool)
    far[4:88, 4:95] = False
    np.testing.assert_array_equal(shown[far], painted[far])


def _near_known(known, most):
    """Pixels at most so many beside or above or below known ones."""
    near = known
    for _ in range(most):
        padded = np.pad(near, 1)
        near = near | padded[2:, 1:-1] | padded[:-2, 1:-1]
        near = near | padded[1:-1, 2:] | padded[1:-1, :-2]
    return near & ~known


def test_corrections_of_near_pictures_add_up_to_what_each_needs():
    """All have one error, which is that of what lies between them, too."""
    painted = _to_uint8(_smooth(90, 120))
    boxes = [(20, 20, 30, 30), (24, 54, 40, 24), (51, 22, 20, 20), (40, 81, 14, 18)]
    shown = _laid(_brighter(painted, boxes, 40), painted, 16).astype(int)
    known = np.zeros(painted.shape[:2], bool)
    for y, x, h, w in boxes:
        known[y : y + h, x : x + w] = True
    added = (shown - painted).mean(-1)[_near_known(known, 3)]
    # At corners, which see little of the picture, it falls quickly.
    assert np.percentile(added, 2) > 20
    assert added.max() < 50
    between = (shown - painted)[26:48, 51:53]  # of two, 4 pixels apart
    assert np.abs(between - 40).max() < 12


def test_each_pixel_beside_pictures_is_corrected_by_one():
    """Here some lie beside two: pictures touch, or a pixel is between them."""
    painted = np.zeros((60, 80, 3), np.uint8)
    boxes = [(20, 20, 12, 12), (20, 33, 12, 12), (32, 20, 9, 9), (33, 33, 5, 5)]
    pictures = _brighter(painted, boxes, 40)
    known = np.zeros(painted.shape[:2], bool)
    for y, x, h, w in boxes:
        known[y : y + h, x : x + w] = True
    number = np.zeros(known.shape, int)
    for which in range(4):
        rim = compositing.rim_of(pictures, which, 10)
        height, width = rim.beside.shape
        number[rim.top : rim.top + height, rim.left : rim.left + width] += rim.beside
    np.testing.assert_array_equal(number, _near_known(known, 1))


@pytest.mark.parametrize("size", [30, 64, 99, 200])
def test_runs_meet_all_repeats_of_one_that_is_longer_than_the_period(size):
    tile, own = geometry.Span(-37, 150, 0), geometry.Span(1000, size, 0)
    met = np.zeros(150, int)
    for to, from_ in compositing.meetings(tile, own, 64):
        met[to] += 1
        assert (np.arange(-37, 113)[to] % 64 == np.arange(1000, 1200)[from_] % 64).all()
    places = (np.arange(-37, 113) - 1000) % 64
    expected = sum((places + 64 * n < size).astype(int) for n in range(5))
    np.testing.assert_array_equal(met, expected)


def test_a_picture_that_others_hide_changes_nothing():
    painted = _to_uint8(_smooth(60, 60))
    rng = np.random.default_rng(1)
    small, large = (
        Picture(
            *corner, rng.integers(0, 256, (n, n, 3), np.uint8), np.ones((n, n), bool)
        )
        for corner, n in (((25, 25), 8), ((20, 20), 20))
    )
    both, one = _laid([small, large], painted, 8), _laid([large], painted, 8)
    np.testing.assert_array_equal(both, one)
    assert (_laid([large, small], painted, 8) != one).any()


def test_pictures_repeat_with_the_world():
    """One that lies across the end, and meets its own repeat within its ring."""
    painted = np.tile(_to_uint8(_smooth(40, 48)), (2, 2, 1))
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (30, 30, 3)).astype(np.uint8)
    picture = Picture(30, 40, image, np.ones((30, 30), bool))
    shown = _laid([picture], painted, 12, (40, 48))
    np.testing.assert_array_equal(shown[:40, :48], shown[40:, 48:])
    np.testing.assert_array_equal(shown[30:60, 40:70], image)
    # Rows 20 to 30 and columns 22 to 40 lie between repeats.
    painted = _to_uint8(_smooth(40, 48))
    big = np.tile(painted, (2, 2, 1))
    (bright,) = _brighter(big, [(30, 40, 30, 30)], 40)
    added = (_laid([bright], painted, 12, (40, 48)).astype(int) - painted).mean(-1)
    assert added.max() < 50
    assert added[20:30, 40:].min() > 20  # near both


@pytest.mark.parametrize("shape", [(40, 33), (9, 64), (5, 5), (4, 7)])
def test_a_membrane_is_harmonic(shape):
    """Between fixed ends of one axis, the solution is the straight line."""
    height, width = shape
    line = np.linspace(0, 1, width, dtype=np.float32)
    values = np.broadcast_to(line, (2, 1, height, width)).copy()
    values[1] = 1 - values[1]
    fixed = np.zeros((2, height, width), bool)
    fixed[:, [0, -1]] = fixed[:, :, [0, -1]] = True
    solved = compositing.membranes(np.where(fixed[:, None], values, 0), fixed)
    np.testing.assert_allclose(solved, values, atol=0.06)


def _solved(values, fixed):
    """Laplace's equation as a system of all free pixels."""
    free = ~fixed
    number = np.full(fixed.shape, -1)
    number[free] = np.arange(free.sum())
    rows, cols = np.nonzero(free)
    ends, sides = [], np.zeros((len(rows), 1))
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        to = rows + down, cols + right
        inside = number[to] >= 0
        ends.append(np.stack([number[rows, cols], number[to]])[:, inside])
        sides[~inside, 0] += values[to][~inside]
    pairs = np.concatenate(ends, axis=1)
    matrix = scipy.sparse.coo_matrix((-np.ones(pairs.shape[1]), pairs))
    matrix = scipy.sparse.csc_matrix(matrix + 4 * scipy.sparse.eye(len(rows)))
    solved = np.where(fixed, values, 0).astype(float)
    solved[free] = scipy.sparse.linalg.spsolve(matrix, sides)
    return solved


def _shape(name, side):
    known = np.zeros((side, side), bool)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    if name == "rectangle":
        known[:] = True
    elif name == "disc":
        known = np.hypot(y, x) < side / 2
    elif name == "hole":
        known = np.hypot(y, x) > side / 3
    elif name == "bars":
        known[:, : side // 4] = known[:, -(side // 4) :] = True
    return known


@pytest.mark.parametrize("name", ["rectangle", "disc", "hole", "bars"])
@pytest.mark.parametrize("side", [20, 50, 75, 100])
def test_corrections_around_pictures_are_harmonic(name, side):
    """Whatever size and shape: of what is corrected at the rim nothing is lost."""
    known, ring = _shape(name, side), compositing.ring_of(side, side)
    painted = np.full((side + 2 * ring,) * 2 + (3,), 100, np.uint8)
    image = np.full((side, side, 3), 160, np.uint8)
    rim = compositing.rim_of([Picture(ring, ring, image, known)], 0, ring)
    (overlay,) = compositing.overlays_of([rim], [painted[rim.places]])
    expected = _solved(np.where(rim.beside, 60, 0), rim.fixed)
    away = np.abs(overlay.correction[..., 0] - expected)
    assert away.max() < 0.15 * 60
    assert np.sqrt(np.square(away[~rim.fixed]).mean()) < 0.08 * 60


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("size", [(20, 28), (21, 27), (23, 30)])
def test_reduced_pictures_meet_what_is_painted(level, size, holes):
    """Also where squares at their ends, and around holes, are known in part."""
    square = 2**level
    painted = _to_uint8(_smooth(96 // square, 96 // square))
    mask = np.ones(size, bool)
    mask[5:8, 7:15] = not holes
    large = np.repeat(np.repeat(painted, square, 0), square, 1).astype(int) + 40
    image = _to_uint8(large[32 : 32 + size[0], 32 : 32 + size[1]])
    picture = Picture(32, 32, image, mask).at_level(level)
    assert picture[:2] == (32 // square, 32 // square)
    shown = _laid([picture], painted, 8)
    added = (shown.astype(int) - painted).mean(-1)
    rows, cols = (-(-side // square) for side in size)
    first = 32 // square
    inside = added[first : first + size[0] // square, first : first + size[1] // square]
    assert np.abs(inside - 40).max() < (12 if holes else 1.5)
    for axis in (0, 1):
        assert np.abs(np.diff(added, axis=axis)).max() < 18
    share = np.zeros((rows * square, cols * square))
    share[: size[0], : size[1]] = mask
    share = share.reshape(rows, square, cols, square).mean((1, 3))
    np.testing.assert_array_equal(picture.mask, share >= 0.5)


def test_membranes_are_solved_alone_or_together(monkeypatch):
    rng = np.random.default_rng(0)
    painted = _to_uint8(_smooth(80, 200))
    pictures = [
        Picture(
            20,
            20 + 40 * i,
            rng.integers(0, 256, (s, 16, 3), np.uint8),
            np.ones((s, 16), bool),
        )
        for i, s in enumerate((16, 20, 16, 20))
    ]
    together = _laid(pictures, painted, 8)
    monkeypatch.setattr(compositing, "_BATCH", 1)
    np.testing.assert_array_equal(_laid(pictures, painted, 8), together)


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_is_the_average_where_pictures_lie(level):
    scene = Scene(edits=(_exact(40, 44), _exact(64, 52, 1)))
    full = _world(11, scene)[0:128, 0:128]
    square = 2**level
    size = 128 // square
    mean = full.reshape(size, square, size, square, 3).mean((1, 3))
    reduced = _world(11, scene, level=level)[0:size, 0:size].astype(int)
    assert np.abs(reduced - mean).max() <= 1
    bare = _world(11, Scene(edits=tuple(map(_bare, scene.edits))), level=level)
    far = slice(0, 20 // square)
    np.testing.assert_array_equal(reduced[far], bare[0:size, 0:size][far])


def _bare(placed):
    return dataclasses.replace(placed, known=None)


@pytest.mark.parametrize("holes", [False, True])
def test_a_quick_level_shows_known_pixels_averages_without_a_seam(holes):
    known = _known(holes=holes)
    placed = _cut(5, 40, 44)
    exact = dataclasses.replace(placed, known=known)
    bare, shown = (
        _world(11, Scene(edits=(each,)), level=1, quick=True)[0:60, 0:70].astype(int)
        for each in (placed, exact)
    )
    halves = known.image.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3)
    whole = known.mask.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).all((1, 3))
    inside = shown[20 : 20 + HEIGHT // 2, 22 : 22 + WIDTH // 2]
    assert np.abs(inside - halves.mean((1, 3)))[whole].max() <= 0.5
    far = np.ones(bare.shape[:2], bool)
    ring = compositing.ring_of(HEIGHT, WIDTH) // 2
    far[20 - ring : 30 + ring, 22 - ring : 36 + ring] = False
    np.testing.assert_array_equal(bare[far], shown[far])
    above = np.abs(shown[19, 22:36] - halves.mean((1, 3))[0])
    assert above.max() <= 0.5


def _exact(top, left, seed=0, **options):
    return dataclasses.replace(_cut(5, top, left, **options), known=_known(seed))


def _changed(one, other):
    """First rows and columns that differ, and those after the last."""
    rows, cols = np.nonzero((one != other).any(axis=-1))
    return rows.min(), cols.min(), rows.max() + 1, cols.max() + 1


def test_an_edit_changes_what_surrounds_a_picture_only_through_its_edge():
    """Colours meet whatever edits come after; if its edge does not see one, no more."""
    exact = _exact(40, 44)
    ring = compositing.ring_of(HEIGHT, WIDTH)
    before = _world(11, Scene(edits=(exact,)))[0:100, 0:120]
    # Noise is seen by two cells around it.
    for top, reaches in ((20, False), (40, True)):
        edit = Resample(Region(top, 40, 4, 4), 3, structure=False)
        for edits in ((exact, edit), (edit, exact)):
            after = _world(11, Scene(edits=edits))[0:100, 0:120]
            if edits[0] is edit and reaches:
                continue  # the picture's own noise lies over it
            own = (top - 8, 32, top + 12, 52)
            ringed = (40 - ring, 44 - ring, 60 + ring, 72 + ring)
            first = np.minimum(own, ringed) if reaches else np.array(own)
            last = np.maximum(own, ringed) if reaches else np.array(own)
            found = np.array(_changed(before, after))
            assert (found[:2] >= first[:2]).all()
            assert (found[2:] <= last[2:]).all()
            if reaches:  # all around, as one membrane
                assert found[2] > own[2] or found[3] > own[3]
            picture = after[40 : 40 + HEIGHT, 44 : 44 + WIDTH]
            np.testing.assert_array_equal(picture, _known().image)


def test_only_what_is_seen_is_measured():
    """A thousand pictures far away cost nothing."""
    away = _exact(4000, 0)
    far = tuple(dataclasses.replace(away, left=400 * index) for index in range(1000))
    world = _world(11, Scene(edits=(*far, _exact(40, 44))))
    shown = _show(world, 40, 44)
    np.testing.assert_array_equal(shown, _known().image)
    assert world._overlays._kept.keys() == [1000]


def test_overlays_are_kept_by_their_bytes(monkeypatch):
    edits = tuple(_exact(40, 44 + 400 * i) for i in range(3))
    world = _world(11, Scene(edits=edits))

    def show(world):
        return [_show(world, 40, 44 + 400 * index) for index in (0, 1, 0, 2)]

    shown = show(world)
    assert world._overlays._kept.keys() == [1, 0, 2]  # as they were needed last
    for index in range(3):
        each = world._overlays._kept.get(index)
        assert each.rim is None
        assert not each.edges
    size = each.overlay.nbytes
    assert world._overlays._kept.num_bytes == 3 * size
    monkeypatch.setattr(overlays, "_KEPT_BYTES", 2 * size)
    world = _world(11, Scene(edits=edits))
    np.testing.assert_array_equal(show(world), shown)
    assert world._overlays._kept.keys() == [0, 2]
    monkeypatch.setattr(overlays, "_KEPT_BYTES", 1)  # less than one
    world = _world(11, Scene(edits=edits))
    np.testing.assert_array_equal(show(world), shown)
    assert world._overlays._kept.keys() == [2]


def test_a_picture_that_is_placed_twice_is_as_one():
    """The second is laid over the first, and it alone is what is corrected around."""
    placed = _exact(40, 44)
    once, twice = (
        _world(11, Scene(edits=(placed,) * number))[0:128, 0:128] for number in (1, 2)
    )
    np.testing.assert_array_equal(twice, once)


def test_tiles_are_painted_once_for_all_pictures(monkeypatch):
    """Those of a window, and those outside in which a picture's edge lies."""
    tiles = tiny.count_painted(monkeypatch)
    one = {"devices": jax.devices()[:1]}
    # Across four tiles; within one; and one that only reaches into the window.
    edits = (_exact(52, 52), _exact(68, 4, 1), _exact(132, 36, 2))
    world = _world(11, Scene(edits=edits), **one)
    picture = world[32:128, 0:96]
    window = {Tile(row, col) for row in (1, 2, 3) for col in range(3)}
    assert len(tiles) == len(set(tiles))
    assert set(tiles) == window | {Tile(4, 1)}
    # None for a picture whose corrected pixels end where the window, or a tile, does.
    tiles.clear()
    for top in (40, 72):
        _world(11, Scene(edits=(_exact(top, 4),)), **one)[16:32, 0:32]
    assert tiles == [Tile(0, 0)] * 2
    # Of windows that follow, what is known is known.
    tiles.clear()
    np.testing.assert_array_equal(world[32:64, 0:96], picture[:32])
    assert sorted(tiles) == [Tile(1, 0), Tile(1, 1), Tile(1, 2)]


@pytest.mark.parametrize(
    "options",
    [
        {"devices": 1},
        {"devices": 8, "batch_size": 2},
        {"devices": 3},
        {"level": 1},
        {"level": 1, "quick": True},
        {"period": (192, 192)},
    ],
)
def test_windows_of_a_world_of_pictures_agree(monkeypatch, options):
    """Also where overlays and tiles that are ahead are dropped before they are used."""
    options = dict(options)
    options["devices"] = jax.devices()[: options.get("devices", 1)]
    most = 1 if options.get("batch_size", 1) > 1 else 0
    edits = (_exact(20, 20), _exact(52, 52, 1), _exact(84, 28, 2), _exact(60, 68, 3))
    scene = Scene(edits=edits)
    whole = _world(11, scene, **options)[0:128, 0:128].astype(int)
    for top, left, height, width in (
        (30, 10, 50, 60),
        (64, 64, 20, 20),
        (3, 40, 90, 9),
    ):
        part = _world(11, scene, **options)[top : top + height, left : left + width]
        expected = whole[top : top + height, left : left + width]
        assert np.abs(part - expected).max() <= most
    monkeypatch.setattr(overlays, "_KEPT_BYTES", 1)
    monkeypatch.setattr(overlays, "_AHEAD_BYTES", 1)
    again = _world(11, scene, **options)[0:128, 0:128]
    assert np.abs(again - whole).max() <= most


def test_reading_can_be_broken_off():
    """What was awaited is painted by who reads next, here while the first waits."""
    scene = Scene(edits=(_exact(52, 52), _exact(84, 28, 1)))
    one = {"devices": jax.devices()[:1]}
    whole = _world(11, scene, **one)[0:128, 0:128]
    world = _world(11, scene, **one)
    first = world.strips(Window(0, 0, 128, 128))
    strips = [next(first)]
    np.testing.assert_array_equal(world[0:128, 0:128], whole)
    np.testing.assert_array_equal(np.concatenate([*strips, *first]), whole)
    world = _world(11, scene, **one)
    next(world.strips(Window(0, 0, 128, 128)))
    np.testing.assert_array_equal(world[32:128, 0:128], whole[32:])


def test_who_breaks_off_leaves_nothing(monkeypatch):
    """What he awaited goes with him."""
    heads = []
    start = overlays.Ahead.__init__

    def noted(ahead, *args):
        heads.append(weakref.ref(ahead))
        start(ahead, *args)

    monkeypatch.setattr(overlays.Ahead, "__init__", noted)
    world = _world(11, Scene(edits=(_exact(60, 52),)), devices=jax.devices()[:1])
    strips = world.strips(Window(0, 0, 128, 128))
    next(strips)
    assert heads[0]().awaited
    assert not world._overlays._kept.keys()
    del strips
    gc.collect()
    assert heads[0]() is None


def test_tiles_ahead_are_those_needed_last(monkeypatch):
    monkeypatch.setattr(overlays, "_AHEAD_BYTES", 3 * 3 * 32 * 32)
    ahead = overlays.Ahead(32)
    for col in (0, 1, 2, 3, 1):
        painting, is_new = ahead.wanted(Tile(0, col))
        assert is_new == (painting.shown is None)
        painting.shown = np.zeros((32, 32, 3), np.uint8)
    ahead.forget()
    left = [col for col in range(4) if ahead.take(Tile(0, col))]
    assert left == [1, 2, 3]
    assert ahead.take(Tile(0, 1)) is None  # it was its turn


def test_progress_is_of_what_is_shown():
    """And is told while tiles are painted that others wait for."""
    edits = (_exact(132, 36, 2), _exact(132, 160))
    world = _world(11, Scene(edits=edits), devices=jax.devices()[:1])
    told = []
    list(world.strips(Window(96, 0, 32, 256), told.append))
    assert sum(told) == 8
    assert told.count(0) == 2  # of the edges of two pictures, in tiles below


def test_large_pictures_know_of_small_ones_in_their_rings():
    large, small = (
        dataclasses.replace(
            _cut(5, *place, size=(side, side)),
            known=Known(
                np.zeros((side, side, 3), np.uint8), np.ones((side, side), bool)
            ),
        )
        for place, side in (((40, 40), 64), ((40, 116), 8))
    )
    world = _world(11, Scene(edits=(large, small)))
    rim = world._overlays._rim(0)
    assert rim.fixed[16:24, 16 + 76 : 16 + 80].all()
    assert not rim.fixed[30, 16 + 68]


def test_windows_are_read_at_once():
    scene = Scene(edits=tuple(_exact(20 + 40 * i, 20 + 28 * i, i) for i in range(3)))
    whole = _world(11, scene)[0:128, 0:128]
    world = _world(11, scene)
    tops = [0, 32, 64, 96] * 3
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        strips = list(pool.map(lambda top: world[top : top + 32, 0:128], tops))
    for top, strip in zip(tops, strips, strict=True):
        np.testing.assert_array_equal(strip, whole[top : top + 32])


@pytest.mark.parametrize("feather", [0, 24])
def test_a_later_placement_looks_as_where_it_was_cut(feather):
    """Whatever latents, style and coordinates an earlier one had in its place."""
    first, last = _cut(6, 88, 76, feather=feather), _cut(5, 40, 44, feather=feather)
    shown = _show(_world(11, Scene(edits=(first, last))), 40, 44)
    assert np.abs(shown - _original()).max() <= 1


def test_placements_that_others_cover_are_not_bent(monkeypatch):
    """It would change nothing: here all are bent, one after the other."""
    rng = np.random.default_rng(0)
    places = rng.integers(-20, 40, (30, 2)) * CELL
    edits = [_cut(5, int(top), int(left), feather=16) for top, left in places]
    one = {"tile_size": 128, "devices": jax.devices()[:1]}
    editor = _world(11, Scene(edits=tuple(edits)), **one)._painter._editor
    bent = []
    bend = Placement.bend
    monkeypatch.setattr(
        Placement, "bend", lambda *args: (bent.append(args[0]), bend(*args))
    )
    found = editor.edited(Tile(0, 0), edits).given.coords
    assert 0 < len(bent) < 30
    here = editor._blank(Tile(0, 0))[0].coords
    latent = [axis.latent for axis in editor._spans(Tile(0, 0))]
    axes = editor.cell_axes(Tile(0, 0))
    bends = np.zeros((*here.shape[:2], 2))
    for edit in edits:
        where, share = edit.region.share_near(*axes, edit.feather)
        if share.any():
            bend(edit, bends, where, share, tuple(latent), editor._lattice)
    np.testing.assert_array_equal(found, field_editor.bent_coords(here, bends))


def test_phases_never_jump_where_feathers_overlap():
    """In worlds that repeat phases differ from place to place, and turn either way."""
    rng = np.random.default_rng(0)
    one = {"tile_size": 768, "devices": jax.devices()[:1], "period": (None, 4096)}
    placed = _cut(5, 0, 0, feather=200)
    places = [(464, 772, 248), *rng.integers(0, 256, (20, 3)) * CELL]
    for first, second, gap in places:
        edits = [
            dataclasses.replace(placed, left=200, own_left=int(first)),
            dataclasses.replace(placed, left=200 + int(gap), own_left=int(second)),
        ]
        editor = _world(11, Scene(edits=tuple(edits)), **one)._painter._editor
        here = editor.edited(Tile(0, 0), edits).given.coords
        phases = np.arctan2(here[..., -1], here[..., -2])
        for axis in (0, 1):
            steps = np.diff(phases, axis=axis)
            steps = (steps + np.pi) % (2 * np.pi) - np.pi
            assert np.abs(steps).max() < 0.4


def test_varied_worlds_take_edits():
    scene = Scene(edits=(_cut(5, 40, 44),))
    varied = dataclasses.replace(_world(3), seed=11, scene=scene)
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
    found = placement._own(1, axis, np.arange(span.size))
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
