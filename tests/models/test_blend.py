"""Blends of styles equal style maps, and a blend of one style is that style."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import geometry
from infinitygan_jax.models import styled
from infinitygan_jax.models.generator import (
    blended,
    make_generator,
    modulations,
    slot_styles,
)
from tests.sampling import tiny

CELLS, STYLES = 9, 3
SPANS = geometry.axis_spans(0, CELLS, tiny.MODEL.num_stages).noise


@functools.lru_cache
def _apply():
    apply = jax.jit(make_generator(tiny.MODEL).apply, static_argnames="method")
    return functools.partial(apply, {"params": tiny.params()})


def _normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def inputs():
    size = CELLS + 2 * geometry.STRUCTURE_MARGIN
    weights = np.random.default_rng(1).random((1, size, size, STYLES), np.float32)
    return {
        "z_local": _normal(2, 1, size, size, tiny.MODEL.z_local_size),
        "coords": _normal(3, 1, size, size, 3),
        "noise": [
            _normal(4 + index, 1, span.size, span.size, 1)
            for index, span in enumerate(SPANS)
        ],
        "weights": weights / weights.sum(axis=-1, keepdims=True),
        "z_global": _normal(9, STYLES, tiny.MODEL.z_global_size),
    }


@functools.lru_cache
def _modulating():
    return functools.partial(jax.jit(modulations), tiny.params())


def _styles(z_global):
    """Modulations [1, s, c] of global latents [s, d], each made alone."""
    each = []
    for latent in z_global:
        style = _apply()(latent[None], method="mapping")
        (styles,) = slot_styles(style, tiny.MODEL.num_slots)
        each.append(_modulating()(latent, styles))
    return jax.tree.map(lambda *parts: jnp.stack(parts)[None], *each)


def _alone(z_global):
    """Modulations [1, 1, 1, c] of one global latent, all over."""
    return jax.tree.map(lambda each: each[:, None], _styles(z_global[None]))


def _blended(weights, z_global):
    return jax.jit(blended)(tiny.params(), weights, _styles(z_global))


def _inner(weights):
    margin = slice(geometry.STRUCTURE_MARGIN, -geometry.STRUCTURE_MARGIN)
    return weights[:, margin, margin]


def _structure(inputs, z_global):
    apply = _apply()
    return apply(inputs["z_local"], inputs["coords"], z_global, method="structure")


def _texture(inputs, styles):
    structure = _normal(11, 1, CELLS, CELLS, tiny.MODEL.structure_width)
    return _apply()(structure, styles, inputs["noise"], method="texture")


def test_the_structure_of_a_blend_is_that_of_its_map(inputs):
    weights, z_global = inputs["weights"], inputs["z_global"]
    blend = _blended(weights, z_global).structure_synthesizer
    mapped = jnp.asarray(np.einsum("bhws,sd->bhwd", weights, z_global))
    both = [_structure(inputs, style) for style in (blend, mapped)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)
    assert np.std(both[0]) > 0.1


def test_the_texture_of_a_blend_is_that_of_its_interpolated_maps(inputs):
    """Scales between cells are linear in world position, for each layer's own.

    Demodulation between cells is linear too: for styles that differ little, it is that
    of the maps but for a small part of the difference.
    """
    weights = _inner(inputs["weights"])
    z_global = inputs["z_global"][:1] + 0.05 * _normal(5, STYLES, 6)
    mapped = np.asarray(_apply()(z_global, method="mapping"))
    maps = []
    for level, start, size in [
        (0, 0, CELLS),
        *((span.level, span.start, span.size) for span in SPANS[:-1]),
    ]:
        place = (start + np.arange(size)) / 2**level  # in cells
        hats = [np.interp(place, np.arange(CELLS), hat) for hat in np.eye(CELLS)]
        fine = np.einsum("ai,bacs,cj->bijs", hats, weights, hats)
        maps.append(np.einsum("bhws,sd->bhwd", fine, mapped).astype(np.float32))
    blend = _blended(inputs["weights"], z_global).texture_synthesizer
    first = _alone(z_global[0]).texture_synthesizer
    found, expected, other = (
        np.asarray(_texture(inputs, styles))
        for styles in (blend, tuple(map(jnp.asarray, maps)), first)
    )
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected - other).max()
    assert np.abs(expected - other).max() > 0.02


def test_slots_of_modulations_are_those_of_vectors(inputs):
    """Every layer takes its own slot's vector."""
    z_global = inputs["z_global"][0]
    vectors = jnp.asarray(_normal(12, tiny.MODEL.num_slots, tiny.MODEL.z_global_size))
    styles = _modulating()(z_global, vectors).texture_synthesizer
    all_over = jax.tree.map(lambda each: each[None, None, None], styles)
    both = [_texture(inputs, each) for each in (all_over, vectors[None])]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)


def _alone_above(rows, number):
    """Random weights of cells, of which the first style has all in so many rows."""
    size = CELLS + 2 * geometry.STRUCTURE_MARGIN
    weights = np.random.default_rng(1).random((1, size, size, number), np.float32)
    weights /= weights.sum(axis=-1, keepdims=True)
    weights[:, :rows] = np.eye(number)[0]
    return weights


@pytest.mark.parametrize("number", [2, 3, 8])
def test_what_sees_one_style_alone_has_its_bits(inputs, number):
    z_global = _normal(13, number, tiny.MODEL.z_global_size)
    # A row of structure sees 12 rows of cells before and after it.
    own, among = (
        np.asarray(_structure(inputs, styles.structure_synthesizer))
        for styles in (
            _blended(np.ones((1, 33, 33, 1), np.float32), z_global[:1]),
            _blended(_alone_above(29, number), z_global),
        )
    )
    np.testing.assert_array_equal(own[:, :5], among[:, :5])
    assert (own[:, 5:] != among[:, 5:]).any(axis=(0, 2, 3)).all()
    # Pixels of cells up to 3 see rows of cells up to 6; row p lies in cell
    # (p + 2 (2**k - 1)) // 2**k (docs/model.md, section 2).
    blend = _blended(_alone_above(geometry.STRUCTURE_MARGIN + 7, number), z_global)
    own, among = (
        np.asarray(_texture(inputs, styles.texture_synthesizer))
        for styles in (_alone(z_global[0]), blend)
    )
    rows = 2 * tiny.MODEL.cell_size + 2
    np.testing.assert_array_equal(own[:, :rows], among[:, :rows])
    assert (own[:, -5:] != among[:, -5:]).any(axis=(0, 2, 3)).all()


@pytest.mark.parametrize("index", range(STYLES + 1))
def test_styles_that_do_not_show_change_no_bit(inputs, index):
    """Wherever they stand among the others."""
    weights, z_global = inputs["weights"], inputs["z_global"]
    few = _blended(weights, z_global)
    other = _normal(6, 1, tiny.MODEL.z_global_size)
    more = np.concatenate([z_global[:index], other, z_global[index:]])
    many = _blended(np.insert(weights, index, 0, axis=-1), more)
    jax.tree.map(np.testing.assert_array_equal, few, many)


@pytest.mark.parametrize("number", [4, 8, 32])
@pytest.mark.parametrize("channels", [5, 67, 512])
def test_two_styles_are_summed_alike_among_any_others(channels, number):
    rng = np.random.default_rng(0)
    weights = rng.random((1, 9, 9, 2), np.float32)
    values = rng.standard_normal((1, 2, channels)).astype(np.float32)
    weighted = jax.jit(styled._weighted)
    expected = weighted(weights, values)
    for first, second in ((0, 1), (1, 3), (0, number - 1), (number - 2, number - 1)):
        spread = np.zeros((1, 9, 9, number), np.float32)
        spread[..., [first, second]] = weights
        among = rng.standard_normal((1, number, channels)).astype(np.float32)
        among[:, [first, second]] = values
        np.testing.assert_array_equal(weighted(spread, among), expected)
