"""What a seed may be; without JAX, so that commands can say so before it is loaded."""

from infinitygan_jax.messages import UserError

SEED_LIMIT = 2**64


def check_seed(seed: int, name: str = "seed") -> None:
    """Checks a seed of anything that is drawn.

    Args:
      seed: 0 to 2**64 - 1.
      name: what messages call it.

    Raises:
      ValueError: it is out of range.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise UserError(
            f"{name} ({seed}) must be from 0 to 2**64 - 1; use {abs(seed) % SEED_LIMIT}"
        )
