"""Pictures shown in their own pixels, larger than what is inverted of them."""

import dataclasses
import functools

import numpy as np
import pytest

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import load_bundle
from infinitygan_jax.inversion import outpainting, own_size
from infinitygan_jax.inversion.place import Place
from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.sampling.edits.compositing import Known, averaged
from infinitygan_jax.sampling.frame import trained_height
from tests.cli.test_zoom import detail_config
from tests.inversion import small
from tests.models import test_detail as small_detail
from tests.sampling import tiny


@functools.lru_cache
def _bundle():
    part = bundle_lib.DetailPart(detail_config(), small_detail.params())
    return dataclasses.replace(small.bundle(), detail=part, digest="")


@functools.lru_cache
def _inversion():
    """Of a picture four times as large."""
    rng = np.random.default_rng(0)
    whole = rng.integers(60, 190, (99, 96, 3), np.uint8)
    known = Known(whole, np.ones(whole.shape[:2], bool))
    finer = own_size.whole_squares(known, 2)
    inversion = dataclasses.replace(
        small.true_inversion(),
        image=own_size.reduced(finer, 2).image,
        digest=_bundle().digest,
    )
    return own_size.with_own_pixels(inversion, finer, 2)


def _world(**options):
    options = {"tile_size": 32, "seed": 1, **options}
    return outpainting.outpainted(_bundle(), _inversion(), **options)


def test_own_pixels_are_shown_at_their_level():
    inversion, world = _inversion(), _world()
    assert world.level == -2
    window = outpainting.window_around(inversion, 160, 200, (0.5, 0.4))
    picture = world.view(*_parts(window))[:]
    top, left = 4 * inversion.top - window.top, 4 * inversion.left - window.left
    np.testing.assert_array_equal(
        picture[top : top + 96, left : left + 96], inversion.finer_image
    )
    assert picture[:top].std() > 1  # and something around it


def _parts(window):
    return window.top, window.left, window.height, window.width


def test_above_their_level_they_are_averaged_and_below_gone_on_from():
    inversion, world = _inversion(), _world()
    top, left = 4 * inversion.top, 4 * inversion.left
    own = world[top : top + 96, left : left + 96]
    for level in (1, 2):
        seen = world.at_level(level - 2)
        sides = top >> level, left >> level, 96 >> level, 96 >> level
        part = seen.view(*sides)[:]
        assert np.abs(averaged(own, level) - part).max() <= 0.5 + 1e-4
    closer = world.at_level(-3).view(2 * top, 2 * left, 192, 192)[:]
    np.testing.assert_array_equal(averaged(closer, 1), own)


def test_a_later_picture_hides_finer_pixels_at_every_level():
    inversion, world = _inversion(), _world()
    flat = np.full((8, 8, 3), 200, np.uint8)
    place = Place(inversion.top + 8, inversion.left + 8, 8, 8, tiny.MODEL.num_stages)
    later = dataclasses.replace(
        small.true_inversion(place.top, place.left, 8, 8), image=flat
    )
    edits = (
        *world.scene.edits,
        placement_of(later, tiny.MODEL, place.top, place.left),
    )
    both = dataclasses.replace(
        world, scene=dataclasses.replace(world.scene, edits=edits)
    )
    for zooms in range(3):
        top, left = place.top << zooms, place.left << zooms
        seen = both.at_level(-zooms).view(top, left, 8 << zooms, 8 << zooms)[:]
        assert np.all(averaged(seen, zooms) == 200)


def test_windows_and_tiles_do_not_matter():
    inversion, world = _inversion(), _world(level=-3)
    top, left = 8 * inversion.top - 20, 8 * inversion.left - 20
    whole = world.view(top, left, 240, 230)[:]
    again = _world(level=-3, tile_size=64).view(top + 30, left + 50, 90, 80)[:]
    np.testing.assert_array_equal(again, whole[30:120, 50:130])


def test_a_file_keeps_own_pixels(tmp_path):
    inversion = _inversion()
    inversion.save(tmp_path / "a.npz")
    loaded = Inversion.load(tmp_path / "a.npz", _bundle())
    assert loaded.zooms == 2 and loaded.own_size == (96, 96)
    np.testing.assert_array_equal(loaded.finer_image, inversion.finer_image)
    for changes, message in (
        ({"zooms": 0}, "must be there together"),
        ({"zooms": 3}, r"seen from afar, must be of shape \(24, 24\), not \(12, 12\)"),
        ({"finer_mask": None}, "must be there together"),
        ({"finer_mask": np.ones((96, 93), bool)}, "finer_mask must be of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(inversion, **changes)


def test_what_is_inverted_is_as_large_as_models_know():
    bundle = _bundle()
    assert trained_height(bundle.config.model) == 65
    for sizes, zooms in (
        ([(50, 300)], 0),
        ([(65, 900)], 0),
        ([(66, 900)], 1),
        ([(256, 500)], 2),
        ([(256, 500), (128, 170)], 2),
        ([(256, 500), (47, 700)], 0),  # which would become too small
        ([(4096, 4096)], 6),
    ):
        assert own_size.zooms_for(sizes, bundle) == zooms
        assert own_size.zooms_for(sizes, small.bundle()) == 0  # which has no detail


def test_latents_of_a_large_picture_are_shown_at_its_size():
    inversion = _inversion()
    picture = outpainting.rendered(_bundle(), inversion)
    assert picture.shape == inversion.finer_image.shape
    means = averaged(picture.astype(np.float32), 2)
    # Painted in tiles, and once in one piece.
    np.testing.assert_allclose(means, inversion.render(_bundle()), atol=2)
    plain = small.true_inversion()
    np.testing.assert_array_equal(
        outpainting.rendered(small.bundle(), plain), plain.render(small.bundle())
    )


def test_pictures_of_any_size_are_left_large_enough_by_any_model():
    detail = _bundle().detail
    for config in (tiny.CONFIG, load_bundle("landscape_lite").config):
        bundle, model = bundle_lib.Bundle(config, {}, detail=detail), config.model
        least = 6 * model.cell_size
        for side in range(least, 5000):
            zooms = own_size.zooms_for([(side, side)], bundle)
            assert least <= side >> zooms < 2 * max(least, trained_height(model))


def test_a_model_without_detail_shows_none():
    with pytest.raises(ValueError, match="this model has no detail synthesizer"):
        outpainting.outpainted(
            small.bundle(),
            dataclasses.replace(_inversion(), digest=small.bundle().digest),
        )
