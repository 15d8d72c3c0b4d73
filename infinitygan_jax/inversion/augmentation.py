"""One random change of colour and place for two pictures that are compared."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from infinitygan_jax.training.augmentation import color as change_color


def augmented(
    key: PRNGKeyArray,
    first: Float[Array, "b h w 3"],
    second: Float[Array, "b h w 3"],
    color: Float[Array, ""] | float,
    translation: Float[Array, ""] | float,
) -> tuple[Float[Array, "b h w 3"], Float[Array, "b h w 3"]]:
    """Changes both pictures of each pair alike; differentiable.

    All pairs get the same draw, so that one does not depend on what it is beside.

    Args:
      key: of the draw.
      first: pictures.
      second: pictures.
      color: 0 leaves the colours, 1 changes them as training does
        (`training.augmentation.color`), and in between it is a mixture of both.
      translation: pictures move by up to this share of their sides, 0 to 1; what comes
        in is grey (0).
    """
    batch, height, width, _ = first.shape
    # One above the other, so that what depends on a picture's mean is the same too.
    both = jnp.concatenate([first, second], axis=1)  # [b, 2h, w, 3]
    index = jnp.zeros(batch, jnp.int32)
    changed = change_color(jax.random.fold_in(key, 0), index, both)
    both = both + color * (changed - both)
    moves = jax.random.uniform(jax.random.fold_in(key, 1), (2,), minval=-1, maxval=1)
    both = both.reshape(batch, 2, height, width, 3)
    for axis, size in ((2, height), (3, width)):
        offset = jnp.round(moves[axis - 2] * translation * size).astype(jnp.int32)
        both = _moved(both, offset, axis)
    return both[:, 0], both[:, 1]


def _moved(
    x: Float[Array, "b 2 h w 3"], offset: Int[Array, ""], axis: int
) -> Float[Array, "b 2 h w 3"]:
    source = jnp.arange(x.shape[axis]) - offset
    inside = (source >= 0) & (source < x.shape[axis])
    shape = [1] * x.ndim
    shape[axis] = -1
    return jnp.where(inside.reshape(shape), jnp.roll(x, offset, axis), 0.0)
