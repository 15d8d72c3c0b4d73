"""The tile function: the generator's own window, wherever and on how many devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import coords, devices, fields, geometry
from infinitygan_jax.models.generator import make_generator
from infinitygan_jax.sampling import looks, styles, tiles
from infinitygan_jax.sampling.inputs import make_keys, own_stream, stack, tile_inputs
from infinitygan_jax.sampling.plan import Tile
from tests.sampling import tiny

SEED = 11
FRAME = coords.trained_frame(tiny.MODEL.vertical_starts)
_field = jax.jit(fields.normal_field, static_argnums=3)


def _one_shot(row_cell, col_cell, rows, cols):
    """The generator on a window of cells, by docs/model.md, section 2; float32."""
    model, params = tiny.MODEL, {"params": tiny.params()}
    generator = make_generator(model)
    spans = [
        geometry.axis_spans(first, size, model.num_stages)
        for first, size in ((row_cell, rows), (col_cell, cols))
    ]
    z_global = fields.global_latent(SEED, model.z_global_size)[None]

    def draw(stream, level_spans, channels):
        words = (jnp.asarray(fields.words(s.start, s.size)) for s in level_spans)
        key = jnp.asarray(fields.stream_key(SEED, stream))
        return _field(key, *words, channels)[None]

    latent = [axis.latent for axis in spans]
    parts = coords.world_coords(
        "landscape",
        *(number for span in latent for number in (span.start, span.size)),
        FRAME,
    )
    here = coords.grid(*(jnp.asarray(part) for part in parts))[None]
    z_local = draw(fields.Z_LOCAL, latent, model.z_local_size)
    noise = [
        draw(fields.NOISE + index, pair, 1)
        for index, pair in enumerate(zip(*(axis.noise for axis in spans), strict=True))
    ]
    image = jax.jit(generator.apply)(params, z_global, z_local, here, noise)[0]
    return np.asarray(image), [axis.pixels for axis in spans]


def _painted(tile_size, batch, change=lambda keys: keys):
    mesh = devices.make_mesh(jax.devices()[:1])
    functions = tiles.tile_functions(tiny.MODEL, mesh)
    own = [make_keys(tiny.MODEL, SEED)] * len(batch)
    keys = jax.tree.map(lambda *parts: np.stack(parts)[..., None, :], *own)
    streams = stack([own_stream(tiny.MODEL, tile_size)] * len(batch))
    inputs = tile_inputs(tiny.MODEL, tile_size, batch, FRAME)
    drawn = functions.draw(change(keys), streams, inputs)
    own_styles = _own_styles(len(batch), tile_size)
    structure = functions.structure(tiny.params(), own_styles, drawn)
    colours = functions.paint(tiny.params(), own_styles, structure, drawn.noise)
    return np.asarray(functions.shown(colours))


def _own_styles(num_tiles, tile_size):
    """Of the seed, all over."""
    size = len(own_stream(tiny.MODEL, tile_size).latent)
    ones = np.ones((size, size, 1), np.float32)
    weights = [styles.Weights((styles.Seed(SEED),), ones)] * num_tiles
    given = looks.Looks(tiny.MODEL, tiny.params()).of_tiles(weights)
    return tiles.modulated_alone(*jax.tree.map(jnp.asarray, given))


@pytest.mark.parametrize("tile", [Tile(0, 0), Tile(-2, 1), Tile(2**40, -(2**40))])
def test_a_tile_is_the_generators_window(tile):
    """A one-shot window with another origin and size holds the tile, within 1/255."""
    size = 16
    cells = size // tiny.MODEL.cell_size
    top, left = tile.row * cells - 4, tile.col * cells - 3
    image, (rows, cols) = _one_shot(top, left, cells + 9, cells + 8)
    row, col = tile.row * size - rows.start, tile.col * size - cols.start
    expected = image[row : row + size, col : col + size]
    assert expected.shape == (size, size, 3)
    expected = np.clip((expected.astype(np.float64) + 1) * 127.5, 0, 255)
    (painted,) = _painted(size, [tile])
    # Rounding to the nearest, and float32 rounding of another summation order.
    assert np.abs(painted - expected).max() <= 0.5 + 1e-3
    assert painted.std() > 20  # a picture, not a plain colour


def test_a_batch_is_its_tiles():
    batch = [Tile(0, 0), Tile(-1, 3), Tile(2, -2)]
    together = _painted(16, batch)
    alone = np.concatenate([_painted(16, [tile]) for tile in batch])
    difference = together.astype(int) - alone
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.01


def test_noise_shows():
    """The tests above see the noise only if it matters to the picture."""
    expected = _painted(16, [Tile(0, 0)]).astype(int)
    for index in range(2 * tiny.MODEL.num_stages):

        def change(keys, index=index):
            noise = keys.noise.copy()
            noise[:, index] += np.uint32(1)
            return keys._replace(noise=noise)

        other = _painted(16, [Tile(0, 0)], change)
        assert np.abs(other - expected).max() > 2


def test_the_style_is_mapped_once():
    """What paints takes the mapped style and never the mapping network."""
    look = looks.Looks(tiny.MODEL, tiny.params())[styles.Seed(SEED)]
    generator = make_generator(tiny.MODEL)
    mapping = jax.jit(functools.partial(generator.apply, method="mapping"))
    style = mapping({"params": tiny.params()}, jnp.asarray(look.z_global)[None])
    for slot in look.styles:
        np.testing.assert_allclose(slot, style[0], rtol=1e-5, atol=1e-6)
    broken = tiny.params() | {"mapping_network": {}}
    own = make_keys(tiny.MODEL, SEED)
    keys = jax.tree.map(lambda part: part[None, ..., None, :], own)
    streams = stack([own_stream(tiny.MODEL, 16)])
    inputs = tile_inputs(tiny.MODEL, 16, [Tile(0, 0)], FRAME)
    drawn = jax.eval_shape(
        functools.partial(tiles.draw_fields, tiny.MODEL), keys, streams, inputs
    )

    own_styles = _own_styles(1, 16)

    def painted(params, drawn):
        structure = tiles.form_structure(tiny.MODEL, params, own_styles, drawn)
        return tiles.paint_tiles(tiny.MODEL, params, own_styles, structure, drawn.noise)

    jax.eval_shape(painted, broken, drawn)


def test_seeds_out_of_range_are_refused():
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed"):
            styles.Seed(seed)
