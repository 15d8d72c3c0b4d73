"""Between two seeds: global latents along an arc, fields at unit variance."""

import dataclasses

import numpy as np
from jaxtyping import Float

from infinitygan_jax.messages import UserError
from infinitygan_jax.seed_range import check_seed


def along_arc(
    start: Float[np.ndarray, " d"], stop: Float[np.ndarray, " d"], amount: float
) -> Float[np.ndarray, " d"]:
    """A Gaussian vector between two: directions turn evenly, lengths stay typical.

    A straight line would pass nearer to 0 than any draw lies; the mean of two
    independent ones is shorter by a factor of sqrt 2.

    Args:
      start: what 0 gives, to the last bit.
      stop: what 1 gives.
      amount: 0 to 1.
    """
    if amount in (0, 1) or np.array_equal(start, stop):
        return stop if amount == 1 else start
    first, second = start.astype(float), stop.astype(float)
    cosine = first @ second / (np.linalg.norm(first) * np.linalg.norm(second))
    angle = np.arccos(np.clip(cosine, -1, 1))
    # Two draws are never opposite; nearly equal ones are joined by a line.
    if np.sin(angle) < 1e-6:
        parts = (1 - amount, amount)
    else:
        parts = np.sin([(1 - amount) * angle, amount * angle]) / np.sin(angle)
    return (parts[0] * first + parts[1] * second).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Mix:
    """Local latents, and maybe noise, between those of two seeds.

    Values are ``cos(a) first + sin(a) second``, where a goes from 0 to a right angle: a
    sum of independent draws whose variance stays 1.

    Attributes:
      first, second: seeds.
      amount: 0 is the first, 1 the second; both to the last bit.
      noise: whether noise is mixed too; else it is that of the world's own seed.
    """

    first: int
    second: int
    amount: float
    noise: bool = True

    def __post_init__(self) -> None:
        for seed in (self.first, self.second):
            check_seed(seed)
        if not 0 <= self.amount <= 1:
            raise UserError(
                f"amount ({self.amount}) must be from 0 to 1; use "
                f"{min(max(self.amount, 0), 1)}"
            )

    @property
    def shares(self) -> Float[np.ndarray, "2 3"]:
        """Of the first, the second and the world's own: of latents, and of noise."""
        amount = 0 if self.first == self.second else self.amount
        if amount == 1:
            parts = (0, 1, 0)
        else:
            angle = np.pi / 2 * amount
            parts = (np.cos(angle), np.sin(angle), 0)
        return np.array([parts, parts if self.noise else (0, 0, 1)], np.float32)
