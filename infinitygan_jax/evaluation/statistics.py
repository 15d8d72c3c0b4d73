"""Mean and covariance of features, gathered in any number of parts."""

import dataclasses

import numpy as np
from jaxtyping import Float

from infinitygan_jax.messages import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and co-moment of some features; float64.

    Of parts, the sum is that of all of them, to rounding, however they were split: a
    stream adds batch by batch, and processes add what each has.

    Attributes:
      count: how many features.
      mean: of each channel; zeros of none.
      comoment: sum of products of their distances from the mean.
    """

    count: int
    mean: Float[np.ndarray, " d"]
    comoment: Float[np.ndarray, "d d"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "n d"]) -> "Moments":
        """Moments of features at hand, which may be none."""
        features = features.astype(np.float64)
        count, channels = features.shape
        mean = features.mean(axis=0) if count else np.zeros(channels)
        centred = features - mean[None]
        return cls(count, mean, centred.T @ centred)

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of both (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        share = other.count / count
        between = self.count * share * np.outer(apart, apart)
        return Moments(
            count,
            self.mean + share * apart,
            self.comoment + other.comoment + between,
        )

    @property
    def covariance(self) -> Float[np.ndarray, "d d"]:
        """Unbiased covariance.

        Raises:
          ValueError: of fewer than two.
        """
        if self.count < 2:
            raise UserError(
                f"a covariance needs at least 2 pictures, not {self.count}; give more"
            )
        return self.comoment / (self.count - 1)
