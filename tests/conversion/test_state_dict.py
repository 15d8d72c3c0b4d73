"""Conversion is exhaustive: every key is used, dead, or an error that names it."""

import re

import jax
import numpy as np
import pytest

from infinitygan_jax import conversion
from infinitygan_jax.models.discriminators import discriminator_of
from infinitygan_jax.models.generator import init_generator
from tests.conversion.public import state_dict


@pytest.fixture
def arrays():
    return state_dict()


@pytest.mark.parametrize(
    ("stages", "width", "coords"), [(1, 6, 3), (2, 8, 4), (4, 4, 3)]
)
def test_sizes_are_inferred_and_shapes_fit(stages, width, coords):
    converted = conversion.from_state_dict(
        state_dict(num_stages=stages, width=width, num_coords=coords)
    )
    config = converted.config
    assert config.patch_size == 5 + 6 * 2**stages
    assert config.coords == {3: "landscape", 4: "plane"}[coords]
    assert config.texture_widths == (width,) * stages
    for ours, init in (
        (converted.generator, init_generator),
        (converted.discriminator, lambda c, k: discriminator_of(c).init(k)[0]),
    ):
        expected = jax.eval_shape(lambda k, f=init: f(config, k), jax.random.key(0))
        shapes = jax.tree.map(np.shape, ours)
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, expected)


def test_one_side_alone(arrays):
    only = {k: v for k, v in arrays.items() if k.startswith("d/")}
    converted = conversion.from_state_dict(only)
    assert converted.generator is None
    assert converted.config.patch_size == 29
    assert (
        conversion.from_state_dict(
            {k: v for k, v in arrays.items() if k.startswith("g/")}
        ).discriminator
        is None
    )


def test_every_missing_key_is_named(arrays):
    live = [k for k in arrays if not k.endswith("kernel") and "noises" not in k]
    live = [k for k in live if "const_z" not in k]
    for key in live:
        rest = {k: v for k, v in arrays.items() if k != key}
        with pytest.raises(ValueError) as caught:
            conversion.from_state_dict(rest)
        # Where the missing key changes the sizes, what then does not fit is named.
        assert re.search(r"[gd]/\w+", str(caught.value)), key
        assert "\n" not in str(caught.value)


def test_a_key_left_over_is_named(arrays):
    for key in ("g/texture_synthesizer.extra.weight", "d/extra.bias"):
        with pytest.raises(ValueError, match=key.replace(".", r"\.")):
            conversion.from_state_dict(arrays | {key: np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="optimizer must start with g/"):
        conversion.from_state_dict(arrays | {"optimizer": np.zeros(3)})


def test_wrong_shapes_and_values_are_named(arrays):
    key = "d/final_linear.0.bias"
    with pytest.raises(ValueError, match=r"final_linear\.0\.bias has shape"):
        conversion.from_state_dict(arrays | {key: np.zeros(7, np.float32)})
    bad = np.full_like(arrays[key], np.nan)
    with pytest.raises(ValueError, match="not finite"):
        conversion.from_state_dict(arrays | {key: bad})
    deeper = state_dict(num_stages=3)
    mixed = {k: v for k, v in arrays.items() if k.startswith("g/")} | {
        k: v for k, v in deeper.items() if k.startswith("d/")
    }
    with pytest.raises(ValueError, match="take both from one checkpoint"):
        conversion.from_state_dict(mixed)
    with pytest.raises(ValueError, match="no key"):
        conversion.from_state_dict({})
