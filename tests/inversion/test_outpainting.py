"""Worlds around pictures: exact where known, no seam, several answers, any place."""

import dataclasses
import functools

import numpy as np
import pytest

from infinitygan_jax.inversion import outpainting
from infinitygan_jax.inversion.place import Place, default_span
from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.sampling.edits.compositing import Known
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.world import World
from tests.inversion import small
from tests.sampling import tiny

HIGH, WIDE = 24, 32
CELL = tiny.MODEL.cell_size


@functools.lru_cache
def _inversion(seed=0, top=-8, wide=WIDE):
    """Latents drawn at random, and a picture that is nearly what they paint."""
    rng = np.random.default_rng(seed)
    place = Place(top, 0, HIGH, wide, tiny.MODEL.num_stages)
    shapes = place.shapes(tiny.MODEL.z_local_size)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    blank = Inversion(
        z_global=draw(tiny.MODEL.z_global_size),
        styles=draw(tiny.MODEL.num_slots, tiny.MODEL.z_global_size),
        z_local=draw(*shapes.z_local),
        noise=tuple(draw(*shape) for shape in shapes.noise),
        image=np.zeros((HIGH, wide, 3), np.uint8),
        mask=np.ones((HIGH, wide), bool),
        top=top,
        left=0,
        vertical_span=default_span(tiny.MODEL),
        digest=small.bundle().digest,
        model_name=small.bundle().config.name,
    )
    painted = blank.render(small.bundle()).astype(int)
    wrong = painted + rng.integers(-6, 7, painted.shape)
    image = np.clip(wrong, 0, 255).astype(np.uint8)
    return dataclasses.replace(blank, image=image)


def _outpainted(inversion, seed=1, **options):
    options = {"tile_size": 32} | options
    return outpainting.outpainted(small.bundle(), inversion, seed=seed, **options)


@pytest.mark.parametrize("at", [(0.5, 0.5), (0.2, 0.3), (0.7, 0.8)])
@pytest.mark.parametrize("size", [(80, 120), (64, 200)])
def test_known_pixels_are_the_pictures_at_any_size_and_place(size, at):
    inversion = _inversion()
    window = outpainting.window_around(inversion, *size, at)
    picture = _read(_outpainted(inversion), window)
    assert picture.shape == (*size, 3)
    top, left = inversion.top - window.top, inversion.left - window.left
    assert abs(top + HIGH / 2 - at[0] * size[0]) <= 1
    assert abs(left + WIDE / 2 - at[1] * size[1]) <= 1
    np.testing.assert_array_equal(
        picture[top : top + HIGH, left : left + WIDE], inversion.image
    )


@pytest.mark.parametrize("place", [(-8, 0), (40, -400)])
def test_one_inversion_is_placed_anywhere_and_shown_at_any_size(place):
    """What was found is neither changed nor searched again."""
    inversion = _inversion()
    top, left = place
    placed = placement_of(inversion, tiny.MODEL, top, left)
    world = World(
        tiny.MODEL, tiny.params(), seed=2, tile_size=32, scene=Scene(edits=(placed,))
    )
    for height, width in ((HIGH, WIDE), (48, 64), (64, 200)):
        window = Window(top - height // 3, left - width // 5, height, width)
        picture = _read(world, window)[height // 3 :, width // 5 :][:HIGH, :WIDE]
        shown = inversion.image[: picture.shape[0], : picture.shape[1]]
        np.testing.assert_array_equal(picture, shown)


def _read(world, window):
    return world[window.top : window.bottom, window.left : window.right]


def test_no_seam_is_wider_than_what_is_within_the_picture():
    """Mean steps between neighbours of each side: from the rim on, and within."""
    inversion = _inversion()
    window = outpainting.window_around(inversion, 80, 120, (0.5, 0.5))
    top, left = inversion.top - window.top, inversion.left - window.left
    # A picture brighter by 40 than what its latents paint, as a bad inversion's.
    bright = np.clip(inversion.image.astype(int) + 40, 0, 255).astype(np.uint8)
    wrong = dataclasses.replace(inversion, image=bright)
    for each in (inversion, wrong):
        picture = _read(_outpainted(each), window).astype(int)
        rows, cols = slice(top, top + HIGH), slice(left, left + WIDE)
        down = np.abs(np.diff(picture[:, cols], axis=0)).mean((1, 2))
        right = np.abs(np.diff(picture[rows], axis=1)).mean((0, 2))
        for steps, first, size in ((down, top, HIGH), (right, left, WIDE)):
            within = steps[first : first + size - 1]
            last = first + size - 1
            assert max(steps[first - 1], steps[last]) <= within.mean()
            # Nor is there one a little further out.
            for beyond in (steps[first - 5 : first - 1], steps[last + 1 : last + 5]):
                assert beyond.mean() <= within.max()


def test_answers_differ_but_for_the_picture():
    inversion = _inversion()
    window = outpainting.window_around(inversion, 80, 120, (0.5, 0.5))
    answers = [_read(_outpainted(inversion, seed), window) for seed in range(4)]
    for index, answer in enumerate(answers):
        for other in answers[:index]:
            differ = (answer != other).any(axis=-1)
            assert differ.mean() > 0.5
            top, left = inversion.top - window.top, inversion.left - window.left
            assert not differ[top : top + HIGH, left : left + WIDE].any()


def test_pictures_that_do_not_fit_are_refused():
    inversion = _inversion()
    with pytest.raises(ValueError, match=r"100x20\) must be at least .* 32x24"):
        outpainting.window_around(inversion, 20, 100, (0.5, 0.5))
    with pytest.raises(ValueError, match=r"0.1 must be from 0.150 to 0.850"):
        outpainting.window_around(inversion, 80, 100, (0.1, 0.5))


def test_a_passage_shows_all_pictures_and_wanders_between_their_styles():
    inversions = [_inversion(0), _inversion(1, -12), _inversion(2, -8, 40)]
    world, window = outpainting.inbetween(
        small.bundle(), inversions, 64, 600, seed=1, tile_size=64
    )
    assert window == Window(window.top, 0, 64, 600)
    picture = _read(world, window)
    lefts = [edit.left for edit in world.scene.edits]
    assert lefts[0] == 0
    assert lefts[-1] + 40 in range(600 - CELL + 1, 601)
    for inversion, left in zip(inversions, lefts, strict=True):
        top = inversion.top - window.top
        wide = inversion.image.shape[1]
        part = picture[top : top + HIGH, left : left + wide]
        np.testing.assert_array_equal(part, inversion.image)
    # Its own style where it lies, and no style jumps.
    bare = [dataclasses.replace(edit, known=None) for edit in world.scene.edits]
    for index, (inversion, edit) in enumerate(zip(inversions, bare, strict=True)):
        axes = [world._painter._editor.cell_axes(tile) for tile in _tiles(edit)]
        for rows, cols in axes:
            weights = world.scene.styles.at(rows, cols)
            own = weights.sources.index(inversions[index].source)
            here = cols.start + cols.step * np.arange(cols.size)
            inside = (here >= edit.left) & (here < edit.left + edit.width)
            assert (weights.weights[:, inside, own] > 0.999).all()
            steps = np.abs(np.diff(weights.weights, axis=1))
            assert steps.max() < 0.1
        assert inversion.image.std() > 10


def _tiles(edit):
    from infinitygan_jax.sampling.plan import Tile

    return [Tile(0, edit.left // 64)]


def test_a_picture_paints_its_place_wherever_the_passage_puts_it():
    """Without the known pixels: the latents, moved, paint what they painted."""
    inversions = [_inversion(0), _inversion(1)]
    world, window = outpainting.inbetween(
        small.bundle(), inversions, 64, 1200, seed=1, tile_size=64
    )
    edits = tuple(dataclasses.replace(e, known=None) for e in world.scene.edits)
    scene = dataclasses.replace(world.scene, edits=edits)
    bare = type(world)(
        tiny.MODEL,
        small.params(),
        seed=1,
        tile_size=64,
        scene=scene,
        vertical_span=inversions[0].vertical_span,
    )
    picture = _read(bare, window)
    for inversion, edit in zip(inversions, edits, strict=True):
        top = inversion.top - window.top
        part = picture[top : top + HIGH, edit.left : edit.left + WIDE].astype(int)
        own = inversion.render(small.bundle())
        assert np.abs(part - own).max() <= 1


def test_passages_that_cannot_be_are_refused():
    one, other = _inversion(0), _inversion(1)
    make = functools.partial(outpainting.inbetween, small.bundle())
    with pytest.raises(ValueError, match=r"pictures \(1\) .* at least 2"):
        make([one], 64, 600)
    with pytest.raises(ValueError, match=r"width \(60\) must be at least 68"):
        make([one, other], 64, 60)
    with pytest.raises(ValueError, match=r"height \(20\) must be at least 24"):
        make([one, other], 20, 600)
    span = dataclasses.replace(other, vertical_span=100)
    with pytest.raises(ValueError, match="one vertical span"):
        make([one, span], 64, 600)
    alien = dataclasses.replace(other, digest="0" * 64, model_name="other")
    with pytest.raises(ValueError, match="must be of checkpoint"):
        make([one, alien], 64, 600)


def test_known_is_what_the_placement_shows():
    inversion = _inversion()
    (placed,) = _outpainted(inversion).scene.edits
    assert isinstance(placed.known, Known)
    assert placed.known.image is inversion.image
