"""Pictures as features of a frozen network, and how two sets of them compare."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from infinitygan_jax.evaluation import distances
from infinitygan_jax.evaluation.distances import KernelDistance
from infinitygan_jax.evaluation.statistics import Moments
from infinitygan_jax.messages import UserError

NETWORK = "lite2"  # of `models.features`; training looks through another
MOST_PICTURES = 50_000  # features are kept: 256 MB; the kernel takes minutes
LEAST_SIZE = 64  # at 32 px, which `models.features` allows, nearly all features are 0
_AT_ONCE = 32


@runtime_checkable
class Network(Protocol):
    """What `models.features.FeatureNetwork` has of use here; a pytree."""

    name: str

    def pooled(self, image: Any) -> Any:
        """Features [b, d] of pictures [b, h, w, 3] in [-1, 1]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Features of some pictures.

    Attributes:
      features: one row a picture, in order.
      moments: of the same.
      runs: how many that follow each other are of one photograph.
    """

    features: Float32[np.ndarray, "n d"]
    moments: Moments
    runs: Int[np.ndarray, " r"]

    def __add__(self, other: "Measured") -> "Measured":
        """Of both."""
        return Measured(
            np.concatenate([self.features, other.features]),
            self.moments + other.moments,
            np.concatenate([self.runs, other.runs]),
        )


class Comparison(NamedTuple):
    """How far two sets of pictures are apart.

    Attributes:
      kernel: kernel distance, not yet times 1000.
      frechet: Frechet distance.
      full_rank: whether both are of more pictures than there are features.
    """

    kernel: KernelDistance
    frechet: float
    full_rank: bool


def compare(first: Measured, second: Measured) -> Comparison:
    """Kernel and Frechet distance of two sets of pictures.

    Raises:
      ValueError: too few pictures in one.
    """
    kernel = distances.kernel_distance(
        first.features, second.features, first.runs, second.runs
    )
    frechet = distances.frechet_distance(first.moments, second.moments)
    least = min(first.moments.count, second.moments.count)
    return Comparison(kernel, frechet, least > first.features.shape[1])


def measure(
    network: Network,
    batches: Iterable[Float32[np.ndarray, "_ p p 3"]],
    size: int,
    on_pictures: Callable[[int], Any] = lambda num: None,
    runs: Int[np.ndarray, " r"] | None = None,
) -> Measured:
    """Features of pictures.

    Args:
      network: sees them; an argument of compiled code.
      batches: pictures in [-1, 1], all of one size; only the last batch may be smaller.
      size: pixels a side that they are resized to, by Lanczos' filter (none where it
        is theirs).
      on_pictures: called with the number that were seen, batch by batch.
      runs: how many that follow each other are of one photograph; by default each is
        of its own.

    Returns:
      Features in the order of the pictures.

    Raises:
      ValueError: there are no pictures.
    """
    network = jax.device_put(network)
    moments, kept, most = None, [], 0
    for batch in batches:
        most = max(most, len(batch))
        # The last batch is filled: another shape would be compiled for it.
        filled = np.concatenate([batch, np.repeat(batch[-1:], most - len(batch), 0)])
        features = np.asarray(_features(network, filled, size))[: len(batch)]
        new = Moments.of(features)
        moments = new if moments is None else moments + new
        kept.append(features)
        on_pictures(len(batch))
    if moments is None:
        raise UserError("there must be pictures to measure, and there are none")
    if runs is None:
        runs = np.ones(moments.count, int)
    return Measured(np.concatenate(kept), moments, runs)


def batched(
    pictures: Iterable[Float32[np.ndarray, "p p 3"]],
) -> Iterator[Float32[np.ndarray, "b p p 3"]]:
    """Pictures in batches of one size, but for the last."""
    remaining = iter(pictures)
    while batch := list(itertools.islice(remaining, _AT_ONCE)):
        yield np.stack(batch)


@functools.partial(jax.jit, static_argnames="size")
def _features(
    network: Network, pictures: Float[Array, "b p p 3"], size: int
) -> Float[Array, "b d"]:
    if pictures.shape[1] != size:
        shape = (len(pictures), size, size, 3)
        pictures = jax.image.resize(pictures, shape, "lanczos3")
        pictures = jnp.clip(pictures, -1, 1)  # the filter goes beyond edges' colours
    return network.pooled(pictures).astype(jnp.float32)
