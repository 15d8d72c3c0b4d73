"""Random fields over the unbounded plane: any window of them is a pure function.

Every value is a hash of (seed, stream, row, column) by threefry2x32 with 20 rounds
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), so it does not
depend on the window, batch, tile or device that asked for it. Rows and columns are
64-bit world indices, handled as two 32-bit words, so the plane has no practical edge.

docs/model.md, section 9. The algorithm is pinned: a seed and a position must name the
same place for ever. Changing anything here is changing every picture.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt16, UInt32

from infinitygan_jax.messages import UserError
from infinitygan_jax.seed_range import check_seed

# Streams: one per latent, and one per texture convolution's noise (NOISE + index).
Z_GLOBAL = 0
Z_LOCAL = 1
BIOME_Z_GLOBAL = 2  # a global latent for every point of a lattice, of all channels
BIOME_PLACE = 3  # where in its square of the lattice that point lies
NOISE = 16
OCTAVE = 64  # coarser fields of local latents (OCTAVE + index, from 1)
DETAIL = 128  # noise of detail (DETAIL - level)

POSITION_LIMIT = 2**63  # positions lie in [-2**63, 2**63)

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF


def threefry2x32(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Hashes two words under a key of two words; all uint32, broadcast together.

    Args:
      key: two uint32 arrays (NumPy's or JAX's).
      counter: two uint32 arrays.

    Returns:
      Two uint32 arrays of independent, uniform bits.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(_PARITY))
    x0, x1 = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(distance)) | (x1 >> np.uint32(32 - distance))
            x1 = x1 ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def key_of(seed: int) -> PRNGKeyArray:
    """The key of a seed, for draws that are of no place in the world.

    Of a seed below 2**32 it is `jax.random.key`'s, which drops what lies above.

    Args:
      seed: 0 to 2**64 - 1.
    """
    words_of_seed = np.array([seed >> 32, seed & _MASK], np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words_of_seed), impl="threefry2x32")


def stream_key(seed: int, stream: int) -> UInt32[np.ndarray, "2"]:
    """The key of one stream of one seed; on the host.

    Args:
      seed: 0 to 2**64 - 1.
      stream: one of the above.

    Raises:
      ValueError: the seed is out of range.
    """
    check_seed(seed)
    # Arrays, not scalars: NumPy warns of a scalar's wrap-around, which is meant here.
    high, low, zero, index = (
        np.array([word], np.uint32) for word in (seed >> 32, seed & _MASK, 0, stream)
    )
    return np.concatenate(threefry2x32((high, low), (zero, index)))


def words(
    start: int, size: int, period: int | None = None
) -> UInt32[np.ndarray, "size 2"]:
    """High and low 32-bit words of the positions ``start .. start + size - 1``.

    Two's complement of 64 bits, so negative positions have words of their own.

    Args:
      start: first position.
      size: how many.
      period: positions are taken modulo this, where given.

    Raises:
      ValueError: a position lies outside [-2**63, 2**63).
    """
    if not -POSITION_LIMIT <= start <= POSITION_LIMIT - size:
        raise UserError(
            f"positions {start} to {start + size - 1} must lie in [-2**63, 2**63); "
            "move the window towards 0"
        )
    first = start if period is None else start % period
    position = np.int64(first) + np.arange(size, dtype=np.int64)
    if period is not None:
        position %= period
    bits = position.astype(np.uint64)
    high = (bits >> np.uint64(32)).astype(np.uint32)
    return np.stack([high, bits.astype(np.uint32)], axis=-1)


def normal_field(
    key: UInt32[Array | np.ndarray, "2"],
    rows: UInt32[Array | np.ndarray, "h 2"],
    cols: UInt32[Array | np.ndarray, "w 2"],
    num_channels: int,
) -> Float[Array, "h w c"]:
    """Standard normal draws for the cells of a window; one value per cell and channel.

    The cell's hash is of its row under the stream's key, then of its column. A field of
    one channel takes that hash as its bits; channels of a wider one are hashed from it.

    Args:
      key: the stream's key (``stream_key``).
      rows: words of the window's rows (``words``).
      cols: words of the window's columns.
      num_channels: values per cell.

    Returns:
      float32 draws. The bits under them are the same everywhere; the values are the
      same on one kind of hardware and version, elsewhere to an ulp or two of erfinv.
    """
    return _field((key[0], key[1]), rows, cols, num_channels)


def mixed_normal_field(
    keys: UInt32[Array | np.ndarray, "k 2"],
    index: UInt16[Array | np.ndarray, "h w"],
    rows: UInt32[Array | np.ndarray, "h 2"],
    cols: UInt32[Array | np.ndarray, "w 2"],
    num_channels: int,
) -> Float[Array, "h w c"]:
    """``normal_field`` where every cell says which of some streams it belongs to.

    Args:
      keys: the streams' keys.
      index: for each cell, its place in ``keys``.
      rows: words of the window's rows.
      cols: words of the window's columns.
      num_channels: values per cell.
    """
    chosen = keys[index]  # [h, w, 2]
    return _field((chosen[..., 0], chosen[..., 1]), rows, cols, num_channels)


def _field(
    key: tuple[Any, Any],
    rows: UInt32[Array | np.ndarray, "h 2"],
    cols: UInt32[Array | np.ndarray, "w 2"],
    num_channels: int,
) -> Float[Array, "h w c"]:
    """Draws under one key, or under a key for each cell."""
    # With one key, rows are hashed once each.
    row_key = threefry2x32(key, (rows[:, None, 0], rows[:, None, 1]))
    cell = threefry2x32(row_key, (cols[None, :, 0], cols[None, :, 1]))
    if num_channels == 1:
        return _normal(cell[0][..., None])
    channels = jnp.arange(num_channels, dtype=jnp.uint32)[None, None, :]
    cell_key = (cell[0][..., None], cell[1][..., None])
    bits, _ = threefry2x32(cell_key, (jnp.zeros_like(channels), channels))
    return _normal(bits)


def global_latent(seed: int, size: int) -> Float[Array, " size"]:
    """The global latent of a seed: one draw per channel, without a position."""
    return latent_at(stream_key(seed, Z_GLOBAL), 0, 0, size)


def latent_at(
    key: UInt32[np.ndarray, "2"], row: int, col: int, size: int
) -> Float[Array, " size"]:
    """The draws of one cell, one per channel."""
    cell = (jnp.asarray(words(index, 1)) for index in (row, col))
    return _draw(jnp.asarray(key), *cell, size)[0, 0]


_draw = jax.jit(normal_field, static_argnums=3)


def _normal(bits: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    # The odd numbers between -2**23 and 2**23: exact in float32, symmetric, never +-1.
    odd = (bits >> np.uint32(9)).astype(jnp.int32) * 2 + (1 - 2**23)
    uniform = odd.astype(jnp.float32) * np.float32(2.0**-23)
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(uniform)
