"""How far two sets of features are apart: Frechet's distance and a kernel's."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from infinitygan_jax.evaluation.statistics import Moments
from infinitygan_jax.messages import UserError

GROUPS = 20  # of the jackknife, and so the least number of features


class KernelDistance(NamedTuple):
    """Squared maximum mean discrepancy.

    Attributes:
      value: unbiased, so that it may be a little below 0 for sets of one kind.
      error: its standard error; for sets of one kind, up to half too large.
    """

    value: float
    error: float


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared Frechet distance of the normal distributions with these moments.

    |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). With C = A A^T for each, the
    last trace is the sum of the singular values of A1^T A2: no root of a product that
    is not symmetric, which may come out complex, and none of numbers near 0 that are
    differences.

    It is too large where pictures are few, by what depends on their number.

    Raises:
      ValueError: one is of fewer than two features.
    """
    roots, traces = [], []
    for each in (first, second):
        covariance = each.covariance
        values, vectors = np.linalg.eigh(covariance)
        roots.append(vectors * np.sqrt(np.maximum(values, 0))[None])
        traces.append(np.trace(covariance))
    shared = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    apart = first.mean - second.mean
    return float(apart @ apart + sum(traces) - 2 * shared)


def kernel_distance(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m d"],
    first_runs: Int[np.ndarray, " r"] | None = None,
    second_runs: Int[np.ndarray, " s"] | None = None,
) -> KernelDistance:
    """Kernel distance (KID, Binkowski et al. 2018): kernel (x . y / d + 1)^3.

    The estimate takes all pairs, so it is what means over random subsets tend to.
    Patches of one photograph are alike: pairs of them are left out, as those of a
    feature with itself are, which keeps the estimate unbiased. Its error is a
    jackknife's: `GROUPS` parts of both sets are left out one after the other, and
    patches of one photograph together.

    Args:
      first: features of one set.
      second: of the other.
      first_runs: how many features that follow each other are of one photograph, from
        the first on; by default each is of its own.
      second_runs: likewise.

    Raises:
      ValueError: too few of one.
    """
    one, other = _Set(first, first_runs), _Set(second, second_runs)
    between = np.array([[_sum(x, y) for y in other.groups] for x in one.groups])

    def estimate(left_out: int | None) -> float:
        kept = np.arange(GROUPS) != left_out
        block = np.ix_(kept, kept)
        n, m = (each.sizes[kept].sum() for each in (one, other))
        own = [each.mean_within(kept) for each in (one, other)]
        return float(sum(own) - 2 * between[block].sum() / (n * m))

    parted = np.array([estimate(group) for group in range(GROUPS)])
    variance = (GROUPS - 1) * parted.var()
    return KernelDistance(estimate(None), float(np.sqrt(variance)))


def check_count(name: str, count: int) -> None:
    """Checks that pictures are enough for a distance and its error.

    Raises:
      ValueError: they are not; the message says how many are.
    """
    if count < GROUPS:
        raise UserError(
            f"{name} must be of at least {GROUPS} pictures for the kernel distance and "
            f"its error, not {count}; give more"
        )


class _Set:
    """A set's features in groups, and sums of the kernel over its pairs.

    Attributes:
      groups: features, by group.
      sizes: how many those are.
    """

    def __init__(
        self,
        features: Float[np.ndarray, "n d"],
        lengths: Int[np.ndarray, " r"] | None,
    ):
        if lengths is None:
            lengths = np.ones(len(features), int)
        check_count("a set of features", len(lengths))
        ends = np.cumsum(lengths)
        runs = np.split(features.astype(np.float64), ends[:-1])
        parts = np.array_split(np.arange(len(runs)), GROUPS)
        self.groups = [np.concatenate([runs[i] for i in part]) for part in parts]
        self.sizes = np.array([len(group) for group in self.groups])
        self._sums = np.zeros((GROUPS, GROUPS))
        for i, x in enumerate(self.groups):
            for j, y in enumerate(self.groups[: i + 1]):
                self._sums[i, j] = self._sums[j, i] = _sum(x, y)
            self._sums[i, i] -= sum(_sum(runs[r], runs[r]) for r in parts[i])
        self._left_out = np.array([(lengths[part] ** 2).sum() for part in parts])

    def mean_within(self, kept: Bool[np.ndarray, " g"]) -> float:
        """Of the kernel over pairs of different runs of these groups."""
        pairs = self.sizes[kept].sum() ** 2 - self._left_out[kept].sum()
        return float(self._sums[np.ix_(kept, kept)].sum() / pairs)


def _sum(x: np.ndarray, y: np.ndarray) -> float:
    """Of the kernel over all pairs; called often, so not checked in tests."""
    values = x @ y.T / x.shape[1] + 1
    return float((values * values * values).sum())
