"""The three maps of convolution.py in the forms that devices are fast at.

``plain_*`` are single `lax` convolutions, for accelerators. ``cpu_*`` are what was
measured fastest on a CPU with jaxlib 0.10.2 (docs/performance.md). All take NHWC
activations and HWIO kernels; what the maps compute is stated in convolution.py.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# The kernel gradient is a sum over pixels. Eigen's convolution is fastest when it sums
# over about this many at a time, and several times slower at ten times as many.
_PIXELS_PER_PIECE = 2000

# Up to this many pixels a sample it is faster as one matrix product a tap.
_SMALL_SAMPLE = 1000

# Up to this many pixels a kernel gradient of stride 2 is one product for all taps.
_SMALL_PAIR = 500

# From this many input channels on, a convolution of stride 2 is faster as the sum of
# four of stride 1, one for each parity of row and column.
_WIDE = 128

# Up to this size (pixels a side times taps a side) a scatter of stride 1 is faster as
# one matrix product and shifted sums.
_SMALL_SCATTER = 100


def precision_of(dtype: DTypeLike) -> lax.Precision | None:
    """Keeps float32 products float32, which GPUs and TPUs shorten by default."""
    return lax.Precision.HIGHEST if dtype == jnp.float32 else None


def varying_axes(x: Array) -> frozenset[Any]:
    """Mesh axes of an enclosing shard_map over which an array varies."""
    # jax 0.10 moved a type's set of varying mesh axes from `vma` to `mat.varying`.
    kind = jax.typeof(x)
    if hasattr(kind, "mat"):
        return kind.mat.varying
    return getattr(kind, "vma", frozenset())


def interleave(even: Array, odd: Array, axis: int) -> Array:
    """Even has n positions along the axis, odd n - 1; the result 2n - 1."""
    n = even.shape[axis]
    widths = [(0, 0)] * even.ndim
    widths[axis] = (0, 1)
    both = jnp.stack([even, jnp.pad(odd, widths)], axis + 1)
    shape = (*even.shape[:axis], 2 * n, *even.shape[axis + 1 :])
    return lax.slice_in_dim(both.reshape(shape), 0, 2 * n - 1, axis=axis)


def plain_correlate(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Correlates, stride 1 or 2, with zeros around."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=_LAYOUT,
        precision=precision_of(x.dtype),
    )


def plain_scatter(
    x: Array, kernel: Array, stride: int, padding: int, size: Sequence[int]
) -> Array:
    """Transposed correlation; ``size`` are the rows and columns that come out."""
    # A transposed convolution correlates the zero-stuffed input with the flipped
    # kernel. Positions that no input reaches lie beyond the last one.
    pads = []
    for n, k, out in zip(x.shape[1:3], kernel.shape[:2], size, strict=True):
        low = k - 1 - padding
        pads.append((low, out - (stride * (n - 1) + 1) - low + k - 1))
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
        precision=precision_of(x.dtype),
    )


def cpu_correlate(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """Correlates, as ``plain_correlate``."""
    if kernel.shape[:2] == (1, 1) and padding == 0:
        return jnp.einsum("bhwi,io->bhwo", x[:, ::stride, ::stride], kernel[0, 0])
    if padding:
        return plain_correlate(x, kernel, stride, padding)
    if stride == 2 and kernel.shape[:2] == (3, 3) and x.shape[-1] >= _WIDE:
        x = x[:, : (x.shape[1] - 1) // 2 * 2 + 1, : (x.shape[2] - 1) // 2 * 2 + 1]
        parts = (
            cpu_correlate(x[:, a::2, c::2], kernel[a::2, c::2], 1, 0)
            for a in (0, 1)
            for c in (0, 1)
        )
        return sum(parts, jnp.zeros((), x.dtype))
    # jaxlib 0.10.2 sends convolutions without any padding to a kernel several times
    # slower than its padded ones. One output row more, cropped again, avoids it with
    # the same bits, and the crop fuses with what follows.
    rows = (x.shape[1] - kernel.shape[0]) // stride + 1
    spare = rows * stride + kernel.shape[0] - x.shape[1]
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), ((0, spare), (0, 0)), dimension_numbers=_LAYOUT
    )
    return y[:, :rows]


def cpu_scatter(
    x: Array, kernel: Array, stride: int, padding: int, size: Sequence[int]
) -> Array:
    """Transposed correlation, as ``plain_scatter``."""
    k = kernel.shape[0]
    if stride == 2 and kernel.shape[:2] == (3, 3):
        return _scatter_phases(x, kernel, padding, size)
    if stride == 1 and max(x.shape[1:3]) * k <= _SMALL_SCATTER:
        return _scatter_taps(x, kernel, padding, size)
    return plain_scatter(x, kernel, stride, padding, size)


def _scatter_taps(x: Array, kernel: Array, padding: int, size: Sequence[int]) -> Array:
    # One matrix product for all taps, then shifted sums. The convolution would also
    # multiply the kernel with the margin of zeros, most of the work where x is small.
    taps = jnp.einsum("bhwi,klio->bhwklo", x, kernel)
    height, width = x.shape[1:3]
    out = jnp.zeros((), x.dtype)
    for a in range(kernel.shape[0]):
        low = a - padding
        row = jnp.zeros((), x.dtype)
        for c in range(kernel.shape[1]):
            left = c - padding
            row += _place(taps[:, :, :, a, c], 2, left, size[1] - width - left)
        out += _place(row, 1, low, size[0] - height - low)
    return out


def _place(x: Array, axis: int, low: int, high: int) -> Array:
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (low, high, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _scatter_phases(
    x: Array, kernel: Array, padding: int, size: Sequence[int]
) -> Array:
    """Stride 2, 3x3: four small convolutions, one for each parity of row and column."""
    # With one position cropped a side, out[2 i] = x[i] kernel[1] and
    # out[2 i + 1] = x[i] kernel[2] + x[i + 1] kernel[0]. A margin of zeros around x
    # gives the positions that other croppings keep.
    margin = 0 if (padding, size[0] % 2, size[1] % 2) == (1, 1, 1) else 1
    if margin:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    middle, outer = slice(1, 2), slice(None, None, -2)

    def phase(rows: slice, columns: slice) -> Array:
        return cpu_correlate(x, kernel[rows, columns], 1, 0)

    out = interleave(
        interleave(phase(middle, middle), phase(middle, outer), axis=2),
        interleave(phase(outer, middle), phase(outer, outer), axis=2),
        axis=1,
    )
    start = 2 * margin - 1 + padding
    return out[:, start : start + size[0], start : start + size[1]]


def cpu_pair(
    x: Array, y: Array, stride: int, padding: int, window: Sequence[int]
) -> Array:
    """Gradient of a kernel of ``window`` taps: sums of products over all pixels."""
    if padding:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = y.shape[1:3]
    if stride == 1 and (window == (1, 1) or height * width > _SMALL_SAMPLE):
        x = x[:, : height + window[0] - 1, : width + window[1] - 1]
        return _pair_stride1(x, y)
    taps = [
        x[:, a : a + stride * height : stride, c : c + stride * width : stride]
        for a in range(window[0])
        for c in range(window[1])
    ]
    if y.shape[0] * height * width <= _SMALL_PAIR:
        z = jnp.einsum("bhwi,bhwo->io", jnp.concatenate(taps, axis=-1), y)
        return z.reshape(*window, x.shape[-1], y.shape[-1])
    # With y on the left no operand has to be transposed for the matrix product.
    z = jnp.stack([jnp.einsum("bhwo,bhwi->oi", y, tap) for tap in taps])
    return z.reshape(*window, y.shape[-1], x.shape[-1]).swapaxes(2, 3)


def _pair_stride1(x: Array, y: Array) -> Array:
    """Sums x[i + a] y[i] over samples and pixels, in pieces of a favourable size."""
    batch, height, width = y.shape[:3]
    window = (x.shape[1] - height + 1, x.shape[2] - width + 1)
    if window == (1, 1):
        return jnp.einsum("bhwi,bhwo->io", x, y)[None, None]
    if batch * height * width <= _PIXELS_PER_PIECE:
        return _pair_piece(x, y)
    pieces = max(1, round(height * width / _PIXELS_PER_PIECE))
    rows = -(-height // pieces)

    def add_sample(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        x, y = pair
        for top in range(0, height, rows):
            strip = x[None, top : top + rows + window[0] - 1]
            total += _pair_piece(strip, y[None, top : top + rows])
        return total, None

    zero = jnp.zeros((*window, x.shape[-1], y.shape[-1]), x.dtype)
    axes = tuple(varying_axes(x) | varying_axes(y))
    if axes:
        zero = lax.pcast(zero, axes, to="varying")
    return lax.scan(add_sample, zero, (x, y))[0]


def _pair_piece(x: Array, y: Array) -> Array:
    # The channels of x are the samples of this convolution and y is its kernel. The
    # transpositions are written out because XLA's CPU compiler, left to choose layouts
    # inside a loop, falls back to scalar code (a hundred times slower).
    z = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        y.transpose(1, 2, 0, 3),
        (1, 1),
        "VALID",
        dimension_numbers=_LAYOUT,
    )
    return z.transpose(1, 2, 0, 3)
