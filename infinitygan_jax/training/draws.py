"""All randomness of training: a function of (seed, purpose, step, sample index).

docs/model.md, section 7.10. Nothing random is stored, any number of devices draws the
same samples, and resuming is exact. A sample's index counts over the whole batch, so a
device draws for its own samples without knowing of the others.
"""

import itertools
import math
from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from infinitygan_jax import coords, fields, geometry
from infinitygan_jax.config import Config, ModelConfig
from infinitygan_jax.models.generator import noise_shapes

# Purposes: one per phase of a step, so that no phase sees another's samples (unless
# D is to judge G's: then D_FAKE and AUGMENT_FAKE are not drawn).
D_FAKE, G_FAKE, PATH, AUGMENT_REAL, AUGMENT_FAKE, AUGMENT_G, AUGMENT_R1 = range(7)
_STREAMS = (
    "shared",
    "own",
    "coords",
    "projection",
    "color",
    "translation",
    "cutout",
    "base",
)


@flax.struct.dataclass
class Samples:
    """Inputs of the generator for one batch (or a device's part of it).

    Attributes:
      z_global, z_mix: global latents, and the second ones of style mixing.
      z_local: local latents of the patch and its margin.
      coords: coordinates of the same cells.
      label: vertical label, -1 to 1.
      noise: standard normal maps, one per texture convolution.
      mix_index: first style slot that takes the second style; one for the whole batch.
    """

    z_global: Float[Array, "b d"]
    z_mix: Float[Array, "b d"]
    z_local: Float[Array, "b 35 35 l"]
    coords: Float[Array, "b 35 35 c"]
    label: Float[Array, " b"]
    noise: list[Float[Array, "b _ _ 1"]]
    mix_index: Int[Array, ""]


def step_key(seed: int, purpose: int, step: Int[Array, ""]) -> PRNGKeyArray:
    """The key of one purpose in one step."""
    key = jax.random.fold_in(fields.key_of(seed), purpose)
    return jax.random.fold_in(key, step)


def sample_keys(
    key: PRNGKeyArray, stream: str, index: Int[Array, " b"]
) -> Key[Array, " b"]:
    """One key a sample, [b], of a stream of a step's key."""
    stream_key = jax.random.fold_in(key, _STREAMS.index(stream) + 1)
    return jax.vmap(lambda i: jax.random.fold_in(stream_key, i))(index)


def draw_samples(
    config: Config, key: PRNGKeyArray, index: Int[Array, " b"], paired: bool
) -> Samples:
    """Generator inputs of the samples with these indices.

    Args:
      config: sizes and probabilities.
      key: of one purpose and step (``step_key``).
      index: the samples' places in the whole batch.
      paired: samples 2i and 2i + 1 share global latents and coordinates (and with them
        the vertical label) and differ in local latents and noise.
    """
    model = config.model
    shared = index // 2 if paired else index
    cells = coords.WINDOW_CELLS

    z_global, z_mix = normals(
        sample_keys(key, "shared", shared), [(model.z_global_size,)] * 2
    )
    sizes = noise_shapes(geometry.PATCH_CELLS, model.num_stages)
    z_local, *noise = normals(
        sample_keys(key, "own", index),
        [(cells, cells, model.z_local_size), *((n, n, 1) for n in sizes)],
    )
    place, label = _places(model, sample_keys(key, "coords", shared))
    return Samples(
        z_global=z_global,
        z_mix=z_mix,
        z_local=z_local,
        coords=place,
        label=label,
        noise=noise,
        mix_index=_mix_index(key, model.num_slots, config.train.style_mixing),
    )


def normals(
    keys: Key[Array, " b"], shapes: Sequence[tuple[int, ...]]
) -> list[Float[Array, "b *_"]]:
    """Standard normal arrays of these shapes, for each key.

    One draw, cut in pieces: the compiler takes a second for every generator it meets.
    """
    counts = [math.prod(shape) for shape in shapes]
    flat = jax.vmap(lambda k: jax.random.normal(k, (sum(counts),)))(keys)
    pieces = jnp.split(flat, list(itertools.accumulate(counts))[:-1], axis=1)
    return [
        piece.reshape(-1, *shape) for piece, shape in zip(pieces, shapes, strict=True)
    ]


def _places(
    model: ModelConfig, keys: Key[Array, " b"]
) -> tuple[Float[Array, "b 35 35 c"], Float[Array, " b"]]:
    """Coordinates and labels of random windows (docs/model.md, section 5.1)."""
    kind, starts = model.coords, model.vertical_starts
    if kind == "plane":
        num_rows, step = coords.NUM_COLUMNS, coords.COLUMN_STEP
    else:
        num_rows, step = starts, coords.row_step(starts)

    def place(key: Array) -> tuple[Array, Array]:
        # One draw for all four: the compiler pays for every generator.
        row, col, row_jitter, col_jitter = jax.random.uniform(key, (4,))
        row, col = below(num_rows, row), below(coords.NUM_COLUMNS, col)
        row_jitter = (row_jitter - 0.5) * step
        col_jitter = (col_jitter - 0.5) * coords.COLUMN_STEP
        jitters = row_jitter, col_jitter
        where = coords.training_coords(kind, row, col, *jitters, starts)
        return where, coords.vertical_label(row, starts)

    return jax.vmap(place)(keys)


def _mix_index(key: PRNGKeyArray, num_slots: int, probability: float) -> Int[Array, ""]:
    """First slot of the second style; ``num_slots`` where the batch is not mixed."""
    mixes, index = jax.random.uniform(jax.random.fold_in(key, 0), (2,))
    return jnp.where(mixes < probability, 1 + below(num_slots - 1, index), num_slots)


def below(limit: int, uniform: Float[Array, ""]) -> Int[Array, ""]:
    """Uniform in [0, 1) to 0 .. limit - 1, each as likely as 23 bits allow."""
    return jnp.minimum((uniform * limit).astype(jnp.int32), limit - 1)


def projections(
    key: PRNGKeyArray, index: Int[Array, " b"], patch_size: int
) -> Float[Array, "b p p 3"]:
    """Standard normal images for the path lengths of these samples."""
    keys = sample_keys(key, "projection", index)
    shape = (patch_size, patch_size, 3)
    return jax.vmap(lambda k: jax.random.normal(k, shape))(keys)
