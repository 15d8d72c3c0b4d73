"""Depthwise convolution on a CPU against XLA's grouped one, both directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from infinitygan_jax.models import depthwise as depthwise_lib
from infinitygan_jax.models.depthwise import depthwise, same_padding

CASES = [
    (taps, stride, shape)
    for taps in (3, 5)
    for stride in (1, 2)
    for shape in ((9, 12), (8, 7), (2, 1))
]


def grouped(x, kernel, stride):
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def draw(taps, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, *shape, 3), np.float32)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((taps, taps, 3), np.float32))


@pytest.mark.parametrize(("taps", "stride", "shape"), CASES)
def test_it_is_the_grouped_convolution(taps, stride, shape):
    x, kernel = draw(taps, shape)
    expected = grouped(x, kernel, stride)
    found = depthwise(x, kernel, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("taps", "stride", "shape"), CASES)
def test_its_gradients_are_those_of_the_grouped_convolution(taps, stride, shape):
    x, kernel = draw(taps, shape)
    weight = jnp.asarray(
        np.random.default_rng(1).standard_normal(grouped(x, kernel, stride).shape),
        jnp.float32,
    )

    def first(function):
        return jax.grad(lambda x: jnp.sum(function(x, kernel, stride) ** 2 * weight))

    def second(function):  # as R1 takes it
        return jax.grad(lambda x: jnp.sum(first(function)(x) ** 2))

    for order in (first, second):
        expected = order(grouped)(x)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(order(depthwise)(x), expected, atol=1e-5 * scale)


def test_kernels_do_not_learn():
    x, kernel = draw(3, (5, 5))
    gradient = jax.grad(lambda k: jnp.sum(depthwise(x, k) ** 2))(kernel)
    np.testing.assert_array_equal(gradient, 0)


def test_accelerators_take_the_grouped_form(monkeypatch):
    x, kernel = draw(5, (7, 6))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(depthwise_lib, "_shifted", None)  # not to be called
    expected = grouped(x, kernel, 2)
    np.testing.assert_allclose(depthwise(x, kernel, 2), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("taps", (3, 5))
def test_padding_keeps_one_output_a_stride(size, stride, taps):
    low, high = same_padding(size, taps, stride)
    assert (size + low + high - taps) // stride + 1 == -(-size // stride)
    assert high - low in (0, 1)  # TensorFlow puts the odd one after


def test_other_strides_are_refused():
    x, kernel = draw(3, (5, 5))
    with pytest.raises(ValueError, match=r"stride \(3\)"):
        depthwise(x, kernel, 3)
