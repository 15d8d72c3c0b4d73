"""Pictures of a folder as a model's training sees them: patches, or wholes."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int

from infinitygan_jax.config import Config
from infinitygan_jax.data import sources
from infinitygan_jax.data.crops import prepare, random_patch
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.messages import UserError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class View:
    """What of a photograph is seen.

    Attributes:
      patch_size: pixels a side of a patch; also the least that a photograph must have.
      full_size: pixels a side of the whole that patches are cut from.
      pre_size: pixels a side of an earlier reduction; 0 for none.
      flip: mirror half of them left to right.
      whole: see the whole in place of a patch.
    """

    patch_size: int = 101
    full_size: int = 197
    pre_size: int = 0
    flip: bool = True
    whole: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.patch_size <= self.full_size:
            raise UserError(
                f"view ({self.patch_size}/{self.full_size}) must be PATCH/FULL in "
                "pixels, PATCH from 1 to FULL; use e.g. 101/197"
            )

    @classmethod
    def of(cls, config: Config, whole: bool = False) -> "View":
        """What a model learns from."""
        data = config.data
        return cls(
            config.model.patch_size, data.full_size, data.pre_size, data.flip, whole
        )

    def closer(self, times: int) -> "View":
        """The same of photographs of so many times the pixels a side."""
        sizes = self.patch_size, self.full_size, self.pre_size
        patch_size, full_size, pre_size = (times * size for size in sizes)
        return View(patch_size, full_size, pre_size, self.flip, self.whole)

    @property
    def side(self) -> int:
        """Pixels a side of what is seen."""
        return self.full_size if self.whole else self.patch_size


def num_views(source: ImageSource, view: View, num: int) -> int:
    """How many pictures there are of ``num`` wanted: wholes are not repeated."""
    return min(num, len(source)) if view.whole else num


def num_of_each(
    source: ImageSource, view: View, num: int
) -> Int[np.ndarray, " photographs"]:
    """How many pictures `views` yields of each photograph, in its order."""
    num = num_views(source, view, num)
    places = np.arange(min(num, len(source)))
    return 1 + (num - 1 - places) // len(source)


def views(
    source: ImageSource, view: View, num: int, *, seed: int, stream: int
) -> Iterator[Float32[np.ndarray, "p p 3"]]:
    """Pictures of photographs, each photograph once before one comes twice.

    Those of one photograph follow each other. Which photographs are taken, where there
    are more than pictures, and where they are cut are functions of seed and stream
    alone; more pictures are these and others.

    Args:
      source: the photographs, as `check_source` returns them in its report.
      view: what is seen of each.
      num: of pictures; fewer where wholes are fewer.
      seed: not negative.
      stream: sides of a comparison take different ones, so that one folder on both
        sides is not cut at the same places.

    Yields:
      float32 (side, side, 3) in [-1, 1].
    """
    num = num_views(source, view, num)
    order = np.random.default_rng([seed, stream]).permutation(len(source))[:num]

    def read(index: int) -> np.ndarray:
        return prepare(source.read(index), view.full_size, view.pre_size)

    for place, image in enumerate(ahead(read, order.tolist())):
        rng = np.random.default_rng([seed, stream, int(order[place])])
        for _ in range(place, num, len(source)):
            yield random_patch(image, rng, view.side, view.flip)[0]


def ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Results in order; threads work out a few ahead."""
    waiting: collections.deque[futures.Future[_Result]] = collections.deque()
    with futures.ThreadPoolExecutor(sources.default_num_threads()) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * sources.default_num_threads():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
