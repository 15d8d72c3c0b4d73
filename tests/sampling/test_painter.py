"""Worlds of many styles, and edited ones: any tile alone, nothing out of reach."""

import dataclasses
import functools
from fractions import Fraction

import jax
import numpy as np
import pytest

from infinitygan_jax import config, geometry
from infinitygan_jax.sampling.edits.pin import Pin
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.resample import Resample
from infinitygan_jax.sampling.edits.statistics import Statistics
from infinitygan_jax.sampling.inputs import MAX_STREAMS, _octaves
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import (
    Axis,
    Biomes,
    Chain,
    Constant,
    Given,
    Painted,
    Seed,
    Site,
    Sites,
)
from infinitygan_jax.sampling.tiles import Look
from infinitygan_jax.sampling.world import World
from tests.sampling import tiny

CELL = tiny.MODEL.cell_size  # 4 px
PLAIN = Scene()
# A pixel's cell sees so many before and after it.
REACH = (geometry.STRUCTURE_MARGIN + 3) * CELL
WINDOW = (slice(-40, 56), slice(-24, 104))  # of many tiles, and none of them whole

SITES = Sites(
    tuple(Site(y, y, x, x) for y, x in ((-20, 0), (0, 50), (30, 90))),
    (Seed(1), Seed(2), Seed(3)),
    60.0,
)
PAINTED = Painted(
    np.eye(2, dtype=np.float32)[np.random.default_rng(0).integers(2, size=(6, 8))],
    (Seed(1), Seed(2)),
    -40,
    -24,
    96,
    128,
)
FIELDS = {
    "sites": SITES,
    "chain": Chain((Seed(1), Seed(2), Seed(3)), 40, 40.0, -10, cyclic=True),
    "biomes": Biomes(7, (Fraction(48), Fraction(48)), 20.0),
    "painted": PAINTED,
}
EDITS = (
    Resample(Region(-8, 8, 16, 20), 5),
    Pin(Region(0, 60, 12, 12), Seed(9), 8),
    Resample(Region(8, 8, 12, 12), 6, texture=False),
)
STATISTICS = Statistics(np.full(4, 2, np.float32), np.full(4, 0.1, np.float32))


@functools.lru_cache
def _world(scene=PLAIN, tile_size=32, devices=1, **options):
    return World(
        tiny.MODEL,
        tiny.params(),
        seed=11,
        tile_size=tile_size,
        devices=jax.devices()[:devices],
        scene=scene,
        **options,
    )


@functools.lru_cache
def _picture(scene=PLAIN, **options):
    return _world(scene, **options)[WINDOW]


def _differ(one, other):
    return np.abs(one.astype(int) - other).max()


@pytest.mark.parametrize("name", FIELDS)
def test_blended_tiles_agree_with_one_shot(name):
    """Tiles of three sizes, and one tile that is the whole window."""
    scene = Scene(styles=FIELDS[name])
    window = (slice(0, 96), slice(0, 96))
    assert _world(scene, tile_size=96).plan(Window(0, 0, 96, 96)).num_tiles == 1
    one_shot = _world(scene, tile_size=96)[window]
    for tile_size in (16, 32, 48):
        assert _differ(one_shot, _world(scene, tile_size=tile_size)[window]) <= 1
    assert _differ(one_shot, _world()[window]) > 20  # it shows


@pytest.mark.parametrize("name", FIELDS)
def test_blended_windows_and_devices_agree_byte_for_byte(name):
    scene = Scene(styles=FIELDS[name], edits=EDITS, octaves=2, truncation=0.7)
    part = _world(scene)[-8:40, 20:70]
    np.testing.assert_array_equal(part, _picture(scene)[32:80, 44:94])
    many = _picture(scene, devices=8)
    np.testing.assert_array_equal(many, _picture(scene))


def test_one_style_given_twice_is_that_style():
    look = _world()._painter._looks[Seed(11)]
    assert look.styles.shape[0] == tiny.MODEL.num_slots
    copies = [Given(Look(*map(np.copy, look))) for _ in range(3)]
    for sources in ((Seed(11),) * 3, tuple(copies)):
        same = Sites(SITES.sites, sources, 60.0)
        np.testing.assert_array_equal(_picture(Scene(styles=same)), _picture())
    # Styles that differ by one rounding are others, so that these are blended.
    near = [
        Given(look._replace(styles=look.styles * np.float32(1 + n * 2e-7)))
        for n in range(3)
    ]
    assert len(set(near)) == 3
    blended = _world(Scene(styles=Sites(SITES.sites, tuple(near), 60.0)))
    assert blended.blends(Window(WINDOW[0].start, WINDOW[1].start, 32, 32))
    assert _differ(blended[WINDOW], _picture()) <= 1


def test_styles_of_equal_numbers_are_one():
    """Copies of one inversion's file, in whichever order edits name them."""
    look = _world()._painter._looks[Seed(9)]
    first, second = (Given(Look(*map(np.copy, look))) for _ in range(2))
    assert first == second != Given(look._replace(styles=look.styles + 1))
    pins = [
        Pin(Region(0, x, 8, 8), source, 16)
        for x, source in ((32, first), (44, second), (38, Seed(3)))
    ]
    one, other = (
        _picture(
            Scene(
                edits=tuple(
                    dataclasses.replace(pin, source=source)
                    for pin, source in zip(pins, sources, strict=True)
                )
            )
        )
        for sources in ((first, second, Seed(3)), (second, first, Seed(3)))
    )
    np.testing.assert_array_equal(one, other)


def test_where_one_style_shows_the_picture_is_that_of_its_seed():
    """Far from other sites: the style is the seed's, the latents are the world's."""
    far = Sites((Site(0, 0, 0, 0), Site(0, 0, 9000, 9000)), (Seed(2), Seed(3)), 100.0)
    one = _picture(Scene(styles=Constant(Seed(2))))
    np.testing.assert_array_equal(_picture(Scene(styles=far)), one)
    assert _differ(one, _picture()) > 20


def _changed(one, other):
    """Rows and columns of the pixels that differ: first and last, in the world."""
    rows, cols = np.nonzero((one != other).any(axis=-1))
    top, left = WINDOW[0].start, WINDOW[1].start
    return rows.min() + top, rows.max() + top, cols.min() + left, cols.max() + left


@pytest.mark.parametrize(
    "edit",
    [
        Resample(Region(0, 40, 8, 8), 5),
        Resample(Region(0, 40, 8, 8), 5, texture=False),
        Resample(Region(0, 40, 8, 8), 5, structure=False),
        Resample(Region(0, 40, 8, 8), 5, True, False, STATISTICS),
        Pin(Region(0, 40, 8, 8), Seed(9), 4),
    ],
    ids=["both", "structure", "texture", "statistics", "pin"],
)
@pytest.mark.parametrize(
    "scene",
    [Scene(), Scene(truncation=0.7), Scene(styles=SITES, edits=EDITS)],
    ids=["plain", "truncated", "edited"],
)
def test_an_edit_changes_what_sees_it_and_no_other_byte(scene, edit):
    more = dataclasses.replace(scene, edits=(*scene.edits, edit))
    before, after = _picture(scene), _picture(more)
    top, bottom, left, right = _changed(before, after)
    assert 0 - REACH - 4 <= top <= bottom < 8 + REACH + 4
    assert 40 - REACH - 4 <= left <= right < 48 + REACH + 4
    inside = (slice(40, 48), slice(64, 72))
    assert (before[inside] != after[inside]).mean() > 0.5


def test_a_texture_edit_stays_near():
    """Noise is seen by few pixels: those of its last layers, two cells away at most."""
    edit = Resample(Region(0, 40, 8, 8), 5, structure=False)
    top, bottom, left, right = _changed(_picture(), _picture(Scene(edits=(edit,))))
    assert top >= -8 and bottom < 16
    assert left >= 32 and right < 56


def test_the_last_of_overlapping_edits_shows():
    region = Region(0, 40, 8, 8)
    two = Scene(edits=(Resample(region, 5), Resample(region, 6)))
    one = Scene(edits=(Resample(region, 6),))
    np.testing.assert_array_equal(_picture(two), _picture(one))


def test_a_mask_of_all_is_its_rectangle():
    whole = Region(0, 40, 8, 8, np.ones((8, 8), bool))
    pictures = [
        _picture(Scene(edits=(Resample(region, 5),)))
        for region in (whole, Region(0, 40, 8, 8))
    ]
    np.testing.assert_array_equal(*pictures)
    rows, cols = Axis(-40, 20, 4), Axis(0, 30, 4)
    shares = [region.share(rows, cols, 12) for region in (whole, Region(0, 40, 8, 8))]
    # A mask's last row of pixels is a pixel before its rectangle's end.
    np.testing.assert_allclose(*shares, atol=0.25)
    assert shares[0].max() == shares[1].max() == 1
    empty = Region(0, 40, 8, 8, np.zeros((8, 8), bool))
    none = Scene(edits=(Resample(empty, 5), Pin(empty, Seed(9))))
    np.testing.assert_array_equal(_picture(none), _picture())


@pytest.mark.parametrize(
    "scene",
    [
        Scene(styles=Biomes(7, (Fraction(32), Fraction(32)), 20.0)),
        Scene(styles=Chain((Seed(1), Seed(2)), 48, 48.0, cyclic=True)),
        Scene(styles=SITES, octaves=3, edits=EDITS),
        Scene(edits=(Resample(Region(-40, 90, 20, 20), 5),)),
    ],
)
def test_blends_and_edits_wrap_around(scene):
    """The window across the seam is the inside of a tiling, byte for byte."""
    world = _world(scene, period=(96, 96))
    tiled = np.tile(world[-48:48, 0:96], (2, 2, 1))
    np.testing.assert_array_equal(world[-20:76, 30:126], tiled[28:124, 30:126])


def test_truncated_latents_are_so_many_times_those_drawn():
    edits = (
        Resample(Region(0, 0, 16, 16), 5),
        Resample(Region(0, 40, 16, 16), 6, statistics=STATISTICS),
    )
    tile = Tile(0, 0)
    for seen in ((), edits[:1], edits):
        drawn, truncated = (
            np.asarray(
                _world(Scene(edits=seen, truncation=psi), 64)
                ._painter._draw([tile], [seen])
                .z_local
            )
            for psi in (1, 0.5)
        )
        # Given statistics are what is wanted, whatever the rest has.
        as_given = (truncated == drawn).all(axis=-1)
        assert as_given.sum() == (16 if len(seen) == 2 else 0)  # cells
        np.testing.assert_array_equal(truncated[~as_given], drawn[~as_given] / 2)


@pytest.mark.parametrize("name", config.PAINTING)
def test_a_model_says_how_it_is_painted_and_a_scene_says_otherwise(name):
    model = dataclasses.replace(tiny.MODEL, **{name: 0.5})

    def paint(model, scene=PLAIN):
        world = World(model, tiny.params(), seed=11, tile_size=32, scene=scene)
        return world[0:32, 0:32]

    whole, half = paint(tiny.MODEL), paint(model)
    assert _differ(whole, half) > 20
    np.testing.assert_array_equal(paint(tiny.MODEL, Scene(**{name: 0.5})), half)
    np.testing.assert_array_equal(paint(model, Scene(**{name: 1})), whole)


def test_noise_fades_to_nothing_as_it_is_scaled():
    pictures = [_picture(Scene(noise_scale=scale)) for scale in (0, 0.01, 0.5, 1)]
    assert _differ(pictures[0], pictures[1]) <= 10
    assert _differ(pictures[0], pictures[2]) < _differ(pictures[0], pictures[3])
    # There is none left that another draw could change.
    edit = Resample(Region(0, 40, 8, 8), 5, structure=False)
    edited = _picture(Scene(noise_scale=0, edits=(edit,)))
    np.testing.assert_array_equal(edited, pictures[0])


def test_statistics_are_of_truncated_latents():
    whole, half = (
        np.stack(_world(Scene(truncation=psi)).latent_statistics(-20, 3, 50, 60))
        for psi in (1, 0.5)
    )
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", config.PAINTING)
def test_impossible_settings_of_painting_are_refused(name, value):
    match = rf"{name} \(.*from 0 to 1; 1 is as in training"
    with pytest.raises(ValueError, match=match):
        Scene(**{name: value})
    with pytest.raises(ValueError, match=rf"model\.{name} \("):
        dataclasses.replace(tiny.MODEL, **{name: value})


def test_octaves_keep_the_variance_of_latents():
    model = tiny.MODEL
    for octaves in (1, 2, 4):
        painter = _world(Scene(octaves=octaves), tile_size=256)._painter
        draws = [np.asarray(painter._draw([tile], [[]]).z_local) for tile in _tiles()]
        latents = np.concatenate([d.reshape(-1, model.z_local_size) for d in draws])
        assert abs(latents.mean()) < 0.1
        assert abs(latents.std() - 1) < 0.05


def _tiles():
    from infinitygan_jax.sampling.plan import Tile

    return [Tile(row * 9, col * 9) for row in range(6) for col in range(6)]


@pytest.mark.parametrize("cells", [1, 3, 10, 24, 25])
def test_octaves_fit_into_a_world_that_repeats(cells):
    """Beyond a period the same; neighbours across its seam are as alike as others."""
    period = cells * CELL
    world = _world(Scene(octaves=4), period=(period, period))
    picture = world[-period // 2 : period + period // 2, 0 : 2 * period]
    np.testing.assert_array_equal(picture[:period], picture[period : 2 * period])
    np.testing.assert_array_equal(picture[:, :period], picture[:, period:])
    span = geometry.Span(-13, cells + 30, 0)
    for octave in _octaves(span, cells, 4):
        values = np.random.default_rng(0).standard_normal(2**12).astype(np.float32)
        known = octave.weights @ values[octave.words[:, 1]]
        np.testing.assert_allclose(known[:30], known[cells:][:30], atol=1e-5)
        if len(set(octave.words[:, 1].tolist())) > 1:  # of unit variance
            np.testing.assert_allclose((octave.weights**2).sum(axis=1), 1, atol=1e-6)
        else:
            np.testing.assert_allclose(octave.weights.sum(axis=1), 1, atol=1e-6)


def test_octaves_are_alike_nearby():
    """Neighbouring cells of white latents are unrelated; those of coarse are not."""

    def likeness(octaves):
        painter = _world(Scene(octaves=octaves), tile_size=256)._painter
        latents = np.asarray(painter._draw(_tiles()[:1], [[]]).z_local)[0]
        return (latents[1:] * latents[:-1]).mean()

    assert abs(likeness(1)) < 0.05
    assert likeness(4) > 0.4


def test_far_from_the_origin_all_is_as_near():
    """Sites and regions shifted by a multiple of all periods see the same styles."""
    shift = 2**50
    for scene in (Scene(styles=SITES), Scene(edits=EDITS)):
        world = _world(scene)
        part = world[0:8, shift : shift + 8]
        assert part.shape == (8, 8, 3)


@pytest.mark.parametrize("octaves", [0, 13, -1])
def test_octaves_out_of_range_are_refused(octaves):
    with pytest.raises(ValueError, match=r"octaves .* must be from 1"):
        Scene(octaves=octaves)


def test_edits_out_of_range_are_refused():
    region = Region(0, 0, 8, 8)
    with pytest.raises(ValueError, match="seed"):
        Resample(region, -1)
    with pytest.raises(ValueError, match="structure, texture or both"):
        Resample(region, 1, structure=False, texture=False)
    with pytest.raises(ValueError, match="feather"):
        Pin(region, Seed(1), -1)
    with pytest.raises(ValueError, match="1x1"):
        Region(0, 0, 0, 8)
    with pytest.raises(ValueError, match="mask"):
        Region(0, 0, 8, 8, np.ones((4, 4), bool))


STREWN = tuple(
    Pin(Region(y, x, 8, 8), Seed(20 + x), 4) for y, x in ((-30, 30), (40, 84), (44, 0))
)


def test_pins_change_no_byte_beside_them_in_large_tiles():
    options = {"tile_size": 160}
    before = _picture(**options)
    for index, pin in enumerate(STREWN):
        after = _picture(Scene(edits=STREWN[: index + 1]), **options)
        top, bottom, left, right = _changed(before, after)
        region, reach = pin.region, REACH + 4
        assert region.top - reach <= top <= bottom < region.top + 8 + reach
        assert region.left - reach <= left <= right < region.left + 8 + reach
        assert bottom - top > 16  # it does show
        before = after


@pytest.mark.parametrize("seed", [32, 40, 41, 42, 43])
def test_a_pin_far_away_changes_no_bit_of_a_mix(seed):
    """Nor does its place in the list; of a style that the mix has too, or a new one."""
    mix = tuple(Pin(Region(-30, 20, 8, 8), Seed(30 + i), 90) for i in range(3))
    options = {"tile_size": 160}
    before = _picture(Scene(edits=mix), **options)
    far = Pin(Region(44, 90, 8, 8), Seed(seed), 4)
    after = _picture(Scene(edits=(far, *mix)), **options)
    top, _, left, _ = _changed(before, after)
    assert top >= 44 - REACH - 4
    assert left >= 90 - REACH - 4
    assert (before != _picture(**options)).any(axis=-1)[:20].mean() > 0.9


def test_strewn_pins_agree_in_tiles_of_any_size():
    scene = Scene(edits=(*EDITS, *STREWN))
    expected = _picture(scene, tile_size=16)
    for tile_size in (64, 160):
        assert _differ(_picture(scene, tile_size=tile_size), expected) <= 1
    part = _world(scene, tile_size=160)[-8:40, 20:70]
    whole = _picture(scene, tile_size=160)
    np.testing.assert_array_equal(part, whole[32:80, 44:94])


@pytest.mark.parametrize(
    ("pin", "cells"),
    [((16, 16, 8, 8), 36), ((-200, -200, 600, 600), 1), ((400, 8, 8, 8), 1)],
    ids=["within", "all over", "out of reach"],
)
def test_only_what_sees_several_styles_is_painted_with_maps(monkeypatch, pin, cells):
    scene = Scene(edits=(Pin(Region(*pin), Seed(9)),))
    painter = _world(scene, tile_size=120)._painter
    given, functions = [], painter._functions

    def paint(params, styles, *others):
        given.extend(jax.tree.leaves(styles.texture_synthesizer))
        return functions.paint(params, styles, *others)

    monkeypatch.setattr(painter, "_functions", functions._replace(paint=paint))
    painter.paint([Tile(0, 0)])
    assert {each.shape[1:3] for each in given} == {(cells, cells)}


def test_too_much_in_one_tile_is_known_before_painting():
    """Of a window that meets it alone, and told by the number that is too much."""
    window = Window(0, 0, 8, 8)
    row = [Region(0, x % 8, 8, 8) for x in range(MAX_STREAMS)]
    many = tuple(Resample(region, 5) for region in row)
    assert not _world(Scene(edits=many[1:])).blends(window)
    with pytest.raises(
        ValueError, match=r"edits .*\(1024\).* below 1024; .*`tile_size`"
    ):
        _world(Scene(edits=many)).blends(window)
    pins = tuple(
        Pin(Region(y, x, 4, 4), Seed(100 + 10 * y + x))
        for y in range(0, 32, 4)
        for x in range(0, 32, 4)
    )
    # 64 pins that cover what is between them, and the world's own style around.
    assert _world(Scene(edits=pins[1:])).blends(window)
    with pytest.raises(
        ValueError, match=r"styles .*\(65\).* at most 64; .*`tile_size`"
    ):
        _world(Scene(edits=pins)).blends(window)
    far = Window(4000, 0, 8, 8)
    assert not _world(Scene(edits=pins)).blends(far)
    # One that is all that is seen is not blended.
    large = Pin(Region(-200, -200, 400, 400), Seed(9))
    assert not _world(Scene(edits=(large,))).blends(window)
