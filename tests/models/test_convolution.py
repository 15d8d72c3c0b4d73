"""Convolutions against slow NumPy sums, and their gradients against plain lax ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from infinitygan_jax.models import convolution, convolution_forms


def _normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _slow_correlate(x, kernel, stride=1, padding=0):
    """out[i] = sum over a of x[stride i + a - padding] kernel[a]."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    k = kernel.shape[0]
    rows = (x.shape[1] - k) // stride + 1
    columns = (x.shape[2] - k) // stride + 1
    out = np.zeros((x.shape[0], rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            piece = x[:, stride * i : stride * i + k, stride * j : stride * j + k]
            out[:, i, j] = np.einsum("bklc,klcd->bd", piece, kernel)
    return out


def _slow_transpose(x, kernel):
    """full[2 i + a] += x[i] kernel[a], cropped by one position a side."""
    b, h, w, _ = x.shape
    full = np.zeros((b, 2 * h + 1, 2 * w + 1, kernel.shape[3]))
    for i in range(h):
        for j in range(w):
            for a in range(3):
                for c in range(3):
                    full[:, 2 * i + a, 2 * j + c] += x[:, i, j] @ kernel[a, c]
    return full[:, 1:-1, 1:-1]


def _lax_valid(x, kernel, stride=1, padding=0):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _lax_transpose(x, kernel):
    # A margin of 3 - 1 zeros gives the full result, one less crops a position a side.
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        (1, 1),
        ((1, 1), (1, 1)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


# name -> (function, the same in lax, taps a side, batch, height, width)
CASES = {
    "valid": (convolution.conv_valid, _lax_valid, 3, (2, 9, 8)),
    "valid_1x1": (convolution.conv_valid, _lax_valid, 1, (2, 4, 5)),
    "valid_7x7": (convolution.conv_valid, _lax_valid, 7, (1, 11, 9)),
    # 73 x 57 outputs a sample: two pieces of the kernel gradient, 37 and 36 rows, and
    # an input gradient too large for the form by taps.
    "valid_large": (convolution.conv_valid, _lax_valid, 3, (2, 75, 59)),
    "valid_even_kernel": (convolution.conv_valid, _lax_valid, 2, (1, 5, 6)),
    "stride2": (
        lambda x, k: convolution.conv_valid(x, k, stride=2),
        lambda x, k: _lax_valid(x, k, stride=2),
        3,
        (2, 9, 7),
    ),
    "stride2_spare_row": (
        lambda x, k: convolution.conv_valid(x, k, stride=2),
        lambda x, k: _lax_valid(x, k, stride=2),
        3,
        (2, 8, 9),
    ),
    # 2 x 20 x 17 outputs: the kernel gradient as one matrix product for each tap.
    "stride2_large": (
        lambda x, k: convolution.conv_valid(x, k, stride=2),
        lambda x, k: _lax_valid(x, k, stride=2),
        3,
        (2, 41, 35),
    ),
    "stride2_1x1": (
        lambda x, k: convolution.conv_valid(x, k, stride=2),
        lambda x, k: _lax_valid(x, k, stride=2),
        1,
        (2, 6, 7),
    ),
    "same": (
        convolution.conv_same,
        lambda x, k: _lax_valid(x, k, padding=1),
        3,
        (2, 5, 6),
    ),
    "transpose": (
        convolution.conv_transpose_stride2,
        _lax_transpose,
        3,
        (2, 5, 4),
    ),
}


def _case(name):
    function, plain, k, (b, h, w) = CASES[name]
    x, kernel = _normal(0, b, h, w, 4), _normal(1, k, k, 4, 3)
    return function, plain, jnp.asarray(x), jnp.asarray(kernel)


def _agree(actual, expected, tolerance=1e-5):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        scale = np.abs(np.asarray(e)).max()
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * scale)


def _gradient(function):
    # The sine makes the cotangents differ from place to place.
    return jax.grad(lambda x, k: jnp.sum(jnp.sin(function(x, k))), argnums=(0, 1))


def _second_gradient(function):
    def penalty(x, k):
        return sum(jnp.sum(jnp.cos(g)) for g in _gradient(function)(x, k))

    return jax.grad(penalty, argnums=(0, 1))


@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (5, 1), (1, 2), (3, 2)])
def test_valid_convolution_is_the_slow_sum(size, k, stride):
    x, kernel = _normal(0, 2, *size, 3), _normal(1, k, k, 3, 4)
    actual = convolution.conv_valid(jnp.asarray(x), jnp.asarray(kernel), stride)
    _agree(actual, _slow_correlate(x, kernel, stride))


def test_same_convolution_is_the_slow_sum_over_a_zero_margin():
    x, kernel = _normal(0, 2, 5, 4, 3), _normal(1, 3, 3, 3, 4)
    actual = convolution.conv_same(jnp.asarray(x), jnp.asarray(kernel))
    _agree(actual, _slow_correlate(x, kernel, padding=1))


def test_transposed_convolution_is_the_slow_scattered_sum():
    x, kernel = _normal(0, 2, 4, 5, 3), _normal(1, 3, 3, 3, 2)
    actual = convolution.conv_transpose_stride2(jnp.asarray(x), jnp.asarray(kernel))
    assert actual.shape == (2, 7, 9, 2)  # 2 * 4 - 1, 2 * 5 - 1
    _agree(actual, _slow_transpose(x, kernel))


def test_transposed_convolution_by_hand():
    # One row and column of two cells with kernel rows 1, 10, 100 and columns the same:
    # full[2i + a, 2j + c] += x[i, j] 10^a 10^c. Cropped index 0 is full index 1, a = 1
    # only: x 10. Cropped index 1 is full index 2, x[0] with a = 2 and x[1] with a = 0.
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]])[None, :, :, None]
    taps = jnp.asarray([1.0, 10.0, 100.0])
    kernel = jnp.outer(taps, taps)[:, :, None, None]
    expected = [
        [100.0, (1 * 100 + 2) * 10.0, 200.0],
        [
            (1 * 100 + 3) * 10.0,
            1 * 10000.0 + 2 * 100 + 3 * 100 + 4,
            (2 * 100 + 4) * 10.0,
        ],
        [300.0, (3 * 100 + 4) * 10.0, 400.0],
    ]
    actual = convolution.conv_transpose_stride2(x, kernel)[0, :, :, 0]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("taps", "gain", "padding"),
    [((1, 2, 1), 4.0, 0), ((1, 3, 3, 1), 1.0, 2), ((1, 3, 3, 1), 1.0, 1)],
)
def test_blur_is_the_slow_sum(taps, gain, padding):
    x = _normal(0, 2, 6, 5, 3)
    # [1,2,1] x [1,2,1] / 16 * 4 and [1,3,3,1] x [1,3,3,1] / 64.
    weights = np.outer(taps, taps) / sum(taps) ** 2 * gain
    kernel = weights[:, :, None, None] * np.eye(3)
    expected = _slow_correlate(x, kernel, padding=padding)
    _agree(convolution.blur(jnp.asarray(x), taps, gain, padding), expected)


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_blur_has_the_gradients_of_its_plain_form(padding):
    x, taps = _normal(0, 2, 6, 5, 3), (1, 3, 3, 1)
    weights = np.outer(taps, taps)[:, :, None, None] * np.eye(3) / 64
    weights = jnp.asarray(weights, jnp.float32)

    def plain(x, scale):
        return _lax_valid(x, weights, padding=padding) * scale

    def own(x, scale):
        return convolution.blur(x, taps, padding=padding) * scale

    arguments = jnp.asarray(x), jnp.float32(1.5)
    _agree(_gradient(own)(*arguments), _gradient(plain)(*arguments))
    _agree(_second_gradient(own)(*arguments), _second_gradient(plain)(*arguments))


def test_upsample_rgb_is_zero_insertion_and_blur():
    x = _normal(0, 2, 4, 3, 3)
    stuffed = np.zeros((2, 2 * 4 + 1, 2 * 3 + 1, 3))  # x[i] at 2 i + 1, zeros around
    stuffed[:, 1::2, 1::2] = x
    kernel = np.outer([1, 2, 1], [1, 2, 1])[:, :, None, None] * np.eye(3) / 16 * 4
    _agree(convolution.upsample_rgb(jnp.asarray(x)), _slow_correlate(stuffed, kernel))


def test_upsample_rgb_by_hand():
    x = jnp.asarray([[0.0, 4.0], [8.0, 20.0]])[None, :, :, None]
    expected = [[0.0, 2.0, 4.0], [4.0, 8.0, 12.0], [8.0, 14.0, 20.0]]
    np.testing.assert_array_equal(convolution.upsample_rgb(x)[0, :, :, 0], expected)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_lax(name):
    function, plain, x, kernel = _case(name)
    _agree(jax.jit(function)(x, kernel), plain(x, kernel))
    _agree(
        jax.jit(_gradient(function))(x, kernel), jax.jit(_gradient(plain))(x, kernel)
    )


@pytest.mark.parametrize("name", CASES)
def test_second_gradients_are_those_of_lax(name):
    function, plain, x, kernel = _case(name)
    actual = jax.jit(_second_gradient(function))(x, kernel)
    _agree(actual, jax.jit(_second_gradient(plain))(x, kernel), 3e-5)


@pytest.mark.parametrize("name", ["stride2", "stride2_spare_row"])
def test_the_form_of_wide_layers_agrees(name, monkeypatch):
    monkeypatch.setattr(convolution_forms, "_WIDE", 1)
    function, plain, x, kernel = _case(name)
    _agree(jax.jit(lambda x, k: function(x, k))(x, kernel), plain(x, kernel))


@pytest.mark.parametrize("name", CASES)
def test_the_accelerators_forms_agree(name, monkeypatch):
    function, _, x, kernel = _case(name)
    expected = function(x, kernel), jax.jit(_gradient(function))(x, kernel)
    monkeypatch.setattr(convolution, "_on_cpu", lambda: False)
    # A new function, so that nothing traced for a CPU is found again.
    gradient = _gradient(lambda x, kernel: function(x, kernel))
    _agree((function(x, kernel), jax.jit(gradient)(x, kernel)), expected)


@pytest.mark.parametrize("name", ["valid", "stride2", "same", "transpose"])
def test_vmap_is_a_loop(name):
    function, _, x, kernel = _case(name)
    xs = jnp.stack([x, x[:, ::-1]])
    kernels = jnp.stack([kernel, 2 * kernel])
    for axes, arguments in [((0, None), (xs, kernel)), ((0, 0), (xs, kernels))]:
        gradients = jax.jit(jax.vmap(_gradient(function), axes))(*arguments)
        last = arguments[1][1] if axes[1] == 0 else kernel
        one = jax.jit(_gradient(function))(xs[1], last)
        _agree([g[1] for g in gradients], one)


@pytest.mark.parametrize("name", ["valid", "valid_large", "stride2", "transpose"])
def test_shard_map_sums_the_kernels_gradient_over_devices(name):
    function, _, x, kernel = _case(name)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def penalty(x, kernel):
        def loss(x):
            return jnp.sum(jnp.sin(function(x, kernel)))

        return jnp.sum(jax.grad(loss)(x) ** 2) + loss(x)

    def per_device(x, kernel):
        return jax.grad(penalty, argnums=(0, 1))(x, kernel)

    batch, everywhere = PartitionSpec("data"), PartitionSpec()
    mapped = jax.shard_map(
        per_device,
        mesh=mesh,
        in_specs=(batch, everywhere),
        out_specs=(batch, everywhere),
    )
    actual = jax.jit(mapped)(x, kernel)
    _agree(actual, jax.jit(jax.grad(penalty, argnums=(0, 1)))(x, kernel), 3e-5)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_is_float32_rounded(name):
    function, _, x, kernel = _case(name)
    x, kernel = jnp.asarray(x, jnp.bfloat16), jnp.asarray(kernel, jnp.bfloat16)
    actual = function(x, kernel), jax.jit(_gradient(function))(x, kernel)
    assert {leaf.dtype for leaf in jax.tree.leaves(actual)} == {jnp.dtype(jnp.bfloat16)}
    expected = function(x.astype(jnp.float32), kernel.astype(jnp.float32))
    # A bfloat16 has 8 significant bits: rounding moves a value by at most 2^-9 of it.
    _agree(actual[0].astype(jnp.float32), expected, 2**-8)


def test_same_input_gives_same_bytes():
    x = jnp.asarray(_normal(0, 3, 40, 40, 32))
    kernel = jnp.asarray(_normal(1, 3, 3, 32, 32))
    gradient = jax.jit(_gradient(convolution.conv_valid))
    first = jax.tree.map(np.asarray, gradient(x, kernel))
    for _ in range(3):
        for a, b in zip(first, gradient(x, kernel), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, k: convolution.conv_valid(x, k, stride=3), "1 or 2"),
        (lambda x, k: convolution.conv_valid(x[:, :2], k), "larger input"),
        (lambda x, k: convolution.conv_same(x, k[:2, :2]), "odd"),
        (lambda x, k: convolution.blur(x, (1, 2, 3)), "symmetric"),
        (lambda x, k: convolution.blur(x, (1, 2, 1), padding=3), "from 0 to 2"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((1, 5, 5, 2)), jnp.zeros((3, 3, 2, 2)))
