"""Convolutions, forward and backward, that are fast on a CPU and natural elsewhere.

Three linear maps carry everything here and are closed under differentiation, so that
gradients of gradients stay on the same fast paths:

    correlate   out[i]          = sum over a of x[s i + a - p] kernel[a]
    scatter     out[s i + a - p] += x[i] kernel[a]             (transposed convolution)
    pair        kernel[a]       = sum over i of x[s i + a - p] y[i]    (kernel gradient)

On a GPU or TPU they are plain `lax` convolutions. On a CPU each takes the form that was
measured fastest (docs/performance.md); the numbers are the same up to summation order.

Because they are `jax.custom_vjp` functions on a CPU, reverse mode nests to any depth
there, but forward mode (`jax.jvp`, `jax.linearize`, `jax.hessian`) is refused.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from infinitygan_jax.messages import UserError
from infinitygan_jax.models import convolution_forms as forms
from infinitygan_jax.models.convolution_forms import precision_of

__all__ = [
    "blur",
    "conv_same",
    "conv_transpose_stride2",
    "conv_valid",
    "precision_of",
    "upsample_rgb",
]

_Size = tuple[int, ...]  # rows and columns
_Pair = tuple[Array, Array]


def conv_valid(
    x: Float[Array, "b h w c"], kernel: Float[Array, "kh kw c d"], stride: int = 1
) -> Float[Array, "b h2 w2 d"]:
    """Cross-correlates without padding.

    Args:
        x: activations, (batch, height, width, in).
        kernel: (kernel height, kernel width, in, out), of x's dtype.
        stride: step between outputs, 1 or 2.

    Returns:
        Activations of size (n - k) // stride + 1 along rows and columns.
    """
    if stride not in (1, 2):
        raise UserError(f"stride ({stride}) must be 1 or 2")
    if any(n < k for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)):
        raise UserError(
            f"the input's size {x.shape[1:3]} must be at least the kernel's "
            f"{kernel.shape[:2]}; give a larger input"
        )
    return _dispatch_correlate(x, kernel, stride, 0)


def conv_same(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c d"]
) -> Float[Array, "b h w d"]:
    """Cross-correlates with a zero padding of (k - 1) // 2 a side, so n -> n.

    Args:
        x: activations, (batch, height, width, in).
        kernel: (k, k, in, out) with odd k, of x's dtype.

    Returns:
        Activations of x's size.
    """
    k = kernel.shape[0]
    if kernel.shape[:2] != (k, k) or k % 2 == 0:
        raise UserError(
            f"kernel size {kernel.shape[:2]} must be square and odd; "
            "use conv_valid with a padding of your own"
        )
    return _dispatch_correlate(x, kernel, 1, (k - 1) // 2)


def conv_transpose_stride2(
    x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "b h2 w2 d"]:
    """Transposed convolution of stride 2, cropped by one position a side: n -> 2n - 1.

    The full result has 2n + 1 positions, full[2 i + a] += x[i] kernel[a] for a in
    0, 1, 2 along rows and columns alike, and the return value is full[1:-1, 1:-1]. The
    kernel is not flipped. This is PyTorch's `conv_transpose2d(x, W, stride=2)` cropped,
    with W[in, out, row, column] = kernel[row, column, in, out].

    Args:
        x: activations, (batch, height, width, in).
        kernel: (3, 3, in, out), the third axis belonging to x's channels.

    Returns:
        Activations (batch, 2 height - 1, 2 width - 1, out).
    """
    if kernel.shape[:2] != (3, 3):
        raise UserError(f"kernel size {kernel.shape[:2]} must be (3, 3)")
    size = (2 * x.shape[1] - 1, 2 * x.shape[2] - 1)
    return _dispatch_scatter(x, kernel, 2, 1, size)


def blur(
    x: Float[Array, "b h w c"],
    taps: tuple[float, ...],
    gain: float = 1.0,
    padding: int = 0,
) -> Float[Array, "b h2 w2 c"]:
    """Blurs every channel with the outer product of the taps, scaled to sum to gain.

    Args:
        x: activations, (batch, height, width, channels).
        taps: symmetric weights of one axis, such as (1, 2, 1) or (1, 3, 3, 1).
        gain: sum of the weights; 4 after a stride-2 transposed convolution.
        padding: zeros added a side before the blur.

    Returns:
        Activations of size n + 2 padding - len(taps) + 1.
    """
    if tuple(taps) != tuple(taps)[::-1]:
        raise UserError(f"taps {tuple(taps)} must be symmetric")
    if not 0 <= padding < len(taps):
        raise UserError(f"padding ({padding}) must be from 0 to {len(taps) - 1}")
    scale = gain**0.5 / sum(taps)
    weights = tuple(float(tap * scale) for tap in taps)
    return (_blur if _on_cpu() else _plain_blur)(x, weights, padding)


def upsample_rgb(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Doubles an image's density by linear interpolation: n -> 2n - 1.

    Equal to stride-2 zero insertion followed by the blur [1,2,1] x [1,2,1] / 16 * 4:
    even positions keep their value, odd ones take the mean of their two neighbours.

    Args:
        x: images, (batch, height, width, channels).

    Returns:
        Images (batch, 2 height - 1, 2 width - 1, channels).
    """
    for axis in (1, 2):
        before = lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)
        after = lax.slice_in_dim(x, 1, x.shape[axis], axis=axis)
        x = forms.interleave(x, (before + after) * 0.5, axis)
    return x


def _plain_blur(x: Array, weights: tuple[float, ...], padding: int) -> Array:
    if padding:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for axis in (1, 2):
        size = x.shape[axis] - len(weights) + 1
        parts = [
            lax.slice_in_dim(x, i, i + size, axis=axis) * weight
            for i, weight in enumerate(weights)
        ]
        x = sum(parts, jnp.zeros((), x.dtype))
    return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _blur(x: Array, weights: tuple[float, ...], padding: int) -> Array:
    return _plain_blur(x, weights, padding)


def _blur_forward(
    x: Array, weights: tuple[float, ...], padding: int
) -> tuple[Array, None]:
    return _blur(x, weights, padding), None


def _blur_backward(
    weights: tuple[float, ...], padding: int, _: None, g: Array
) -> tuple[Array]:
    # The transpose of a symmetric blur is the same blur. The derivative of the shifted
    # sum, a sum of padded arrays, is several times slower on a CPU.
    return (_blur(g, weights, len(weights) - 1 - padding),)


_blur.defvjp(_blur_forward, _blur_backward)


def _on_cpu() -> bool:
    # While tracing, the devices of the call are not known yet. Where a machine with a
    # GPU is told to use its CPU, the plain forms are right all the same, only slower.
    return jax.default_backend() == "cpu"


def _dispatch_correlate(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    if not _on_cpu():
        return forms.plain_correlate(x, kernel, stride, padding)
    return _correlate(*_equally_varying(x, kernel), stride, padding)


def _dispatch_scatter(
    x: Array, kernel: Array, stride: int, padding: int, size: _Size
) -> Array:
    if not _on_cpu():
        return forms.plain_scatter(x, kernel, stride, padding, size)
    return _scatter(*_equally_varying(x, kernel), stride, padding, size)


def _equally_varying(x: Array, y: Array) -> _Pair:
    # Inside shard_map a custom_vjp must return cotangents that vary over the same mesh
    # axes as its arguments. Making the kernel vary out here leaves the sum over devices
    # to the transposition of this cast, as for any built-in operation.
    x_axes, y_axes = forms.varying_axes(x), forms.varying_axes(y)
    if y_axes - x_axes:
        x = lax.pcast(x, tuple(y_axes - x_axes), to="varying")
    if x_axes - y_axes:
        y = lax.pcast(y, tuple(x_axes - y_axes), to="varying")
    return x, y


def _swap(kernel: Array) -> Array:
    return kernel.swapaxes(2, 3)


def _in_float32(
    function: Callable[..., Array], x: Array, y: Array, *arguments: Any
) -> Array:
    # No CPU convolution is faster in bfloat16, and sums in float32 are better.
    dtype = x.dtype
    if dtype == jnp.bfloat16:
        x, y = x.astype(jnp.float32), y.astype(jnp.float32)
    return function(x, y, *arguments).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    return _in_float32(forms.cpu_correlate, x, kernel, stride, padding)


def _correlate_forward(
    x: Array, kernel: Array, stride: int, padding: int
) -> tuple[Array, _Pair]:
    return _correlate(x, kernel, stride, padding), (x, kernel)


def _correlate_backward(stride: int, padding: int, saved: _Pair, g: Array) -> _Pair:
    x, kernel = saved
    return (
        _scatter(g, _swap(kernel), stride, padding, x.shape[1:3]),
        _pair(x, g, stride, padding, kernel.shape[:2]),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _scatter(x: Array, kernel: Array, stride: int, padding: int, size: _Size) -> Array:
    return _in_float32(forms.cpu_scatter, x, kernel, stride, padding, size)


def _scatter_forward(
    x: Array, kernel: Array, stride: int, padding: int, size: _Size
) -> tuple[Array, _Pair]:
    return _scatter(x, kernel, stride, padding, size), (x, kernel)


def _scatter_backward(
    stride: int, padding: int, size: _Size, saved: _Pair, g: Array
) -> _Pair:
    x, kernel = saved
    return (
        _correlate(g, _swap(kernel), stride, padding),
        _swap(_pair(g, x, stride, padding, kernel.shape[:2])),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _pair(x: Array, y: Array, stride: int, padding: int, window: _Size) -> Array:
    return _in_float32(forms.cpu_pair, x, y, stride, padding, window)


def _pair_forward(
    x: Array, y: Array, stride: int, padding: int, window: _Size
) -> tuple[Array, _Pair]:
    return _pair(x, y, stride, padding, window), (x, y)


def _pair_backward(
    stride: int, padding: int, window: _Size, saved: _Pair, g: Array
) -> _Pair:
    x, y = saved
    return (
        _scatter(y, _swap(g), stride, padding, x.shape[1:3]),
        _correlate(x, g, stride, padding),
    )


_correlate.defvjp(_correlate_forward, _correlate_backward)
_scatter.defvjp(_scatter_forward, _scatter_backward)
_pair.defvjp(_pair_forward, _pair_backward)
