"""Blends of styles equal style maps, and a blend of one style is that style."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinitygan_jax import geometry
from infinitygan_jax.models.generator import make_generator, slot_styles
from infinitygan_jax.models.layers import Blend
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


def _inner(weights):
    margin = slice(geometry.STRUCTURE_MARGIN, -geometry.STRUCTURE_MARGIN)
    return weights[:, margin, margin]


def test_the_structure_of_a_blend_is_that_of_its_map(inputs):
    weights, z_global = inputs["weights"], inputs["z_global"]
    both = [
        _apply()(inputs["z_local"], inputs["coords"], style, method="structure")
        for style in (
            Blend(weights, z_global[None]),
            jnp.asarray(np.einsum("bhws,sd->bhwd", weights, z_global)),
        )
    ]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)
    assert np.std(both[0]) > 0.1


def test_the_texture_of_a_blend_is_that_of_its_interpolated_maps(inputs):
    """Weights between cells are linear in world position, for each layer's own."""
    weights = _inner(inputs["weights"])
    structure = _normal(11, 1, CELLS, CELLS, tiny.MODEL.structure_width)
    mapped = np.asarray(_apply()(inputs["z_global"], method="mapping"))
    maps = []
    for level, start, size in [
        (0, 0, CELLS),
        *((span.level, span.start, span.size) for span in SPANS[:-1]),
    ]:
        place = (start + np.arange(size)) / 2**level  # in cells
        hats = [np.interp(place, np.arange(CELLS), hat) for hat in np.eye(CELLS)]
        fine = np.einsum("ai,bacs,cj->bijs", hats, weights, hats)
        maps.append(np.einsum("bhws,sd->bhwd", fine, mapped).astype(np.float32))
    vectors = np.repeat(mapped[None, :, None], tiny.MODEL.num_slots, axis=2)
    both = [
        _apply()(structure, styles, inputs["noise"], method="texture")
        for styles in (Blend(weights, vectors), tuple(map(jnp.asarray, maps)))
    ]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)


def test_slots_of_a_blend_are_those_of_vectors(inputs):
    """Every slot takes its own vector, where all weight is on one style."""
    structure = _normal(11, 1, CELLS, CELLS, tiny.MODEL.structure_width)
    vectors = _normal(12, 1, 2, tiny.MODEL.num_slots, tiny.MODEL.z_global_size)
    weights = np.zeros((1, CELLS, CELLS, 2), np.float32)
    weights[..., 1] = 1
    both = [
        _apply()(structure, styles, inputs["noise"], method="texture")
        for styles in (Blend(weights, vectors), vectors[:, 1])
    ]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)


def test_styles_that_do_not_show_change_no_bit(inputs):
    structure = _normal(11, 1, CELLS, CELLS, tiny.MODEL.structure_width)
    mapped = _apply()(inputs["z_global"], method="mapping")
    vectors = slot_styles(mapped, tiny.MODEL.num_slots)[None]
    weights = _inner(inputs["weights"])
    few = _apply()(
        structure, Blend(weights, vectors), inputs["noise"], method="texture"
    )
    more = [
        np.pad(weights, [(0, 0)] * 3 + [(0, 5)]),
        np.pad(vectors, [(0, 0), (0, 5), (0, 0), (0, 0)], mode="edge"),
    ]
    many = _apply()(structure, Blend(*more), inputs["noise"], method="texture")
    np.testing.assert_array_equal(few, many)
