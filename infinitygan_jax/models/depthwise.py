"""Depthwise convolution with kernels that do not learn, quick in both directions.

XLA's grouped convolution takes ten times as long on a CPU as a sum of shifted products,
one multiply-add a tap, and the derivative of that sum, a sum of padded arrays, is slow
again (docs/performance.md). So on a CPU the map has a gradient of its own, which is the
same map: of stride 1 with the kernel turned round; of stride 2 that of the gradient
with zeros between. Gradients of gradients stay on this path.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from infinitygan_jax.messages import UserError
from infinitygan_jax.models.convolution_forms import precision_of

_Pads = tuple[tuple[int, int], ...]  # before and after rows, and columns


def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c"], stride: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """Cross-correlates each channel with its own kernel, in TensorFlow's "SAME" way.

    Args:
      x: activations.
      kernel: taps by row and column; constant, as its gradient is 0.
      stride: step between outputs, 1 or 2.

    Returns:
      Activations of size ceil(n / stride).
    """
    if stride not in (1, 2):
        raise UserError(f"stride ({stride}) must be 1 or 2")
    kernel = lax.stop_gradient(kernel)
    pads = tuple(same_padding(n, kernel.shape[0], stride) for n in x.shape[1:3])
    if jax.default_backend() != "cpu":
        return _grouped(x, kernel, stride, pads)
    return _shifted(x, kernel, stride, pads)


def same_padding(size: int, taps: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis, so that n -> ceil(n / stride)."""
    total = max((-(-size // stride) - 1) * stride + taps - size, 0)
    return total // 2, total - total // 2


def _grouped(x: Array, kernel: Array, stride: int, pads: _Pads) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=precision_of(x.dtype),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted(x: Array, kernel: Array, stride: int, pads: _Pads) -> Array:
    # Barriers: what made x, and what takes the sum, would be fused into the sum and
    # worked out again for each tap.
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *pads, (0, 0))))
    # n -> (n - k) // stride + 1
    height, width = ((n - kernel.shape[0]) // stride + 1 for n in x.shape[1:3])
    total = sum(
        x[:, a : a + stride * (height - 1) + 1 : stride][
            :, :, c : c + stride * (width - 1) + 1 : stride
        ]
        * kernel[a, c][None, None, None]
        for a in range(kernel.shape[0])
        for c in range(kernel.shape[1])
    )
    return lax.optimization_barrier(total)


def _forward(
    x: Array, kernel: Array, stride: int, pads: _Pads
) -> tuple[Array, tuple[tuple[int, ...], Array]]:
    return _shifted(x, kernel, stride, pads), (x.shape[1:3], kernel)


def _backward(
    stride: int, pads: _Pads, saved: tuple[tuple[int, ...], Array], g: Array
) -> tuple[Array, Array]:
    sizes, kernel = saved
    taps = kernel.shape[0]
    g = lax.optimization_barrier(g)
    if stride == 2:
        zero = jnp.zeros((), g.dtype)
        g = lax.pad(g, zero, ((0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 0)))
    # Output i sees inputs i - low .. i - low + k - 1, so input j is seen by outputs
    # j + low - k + 1 .. j + low.
    turned = tuple(
        (taps - 1 - low, size + low - here)
        for size, here, (low, _) in zip(sizes, g.shape[1:3], pads, strict=True)
    )
    return _shifted(g, kernel[::-1, ::-1], 1, turned), jnp.zeros_like(kernel)


_shifted.defvjp(_forward, _backward)
