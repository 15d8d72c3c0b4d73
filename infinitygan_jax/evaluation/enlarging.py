"""Pictures that a detail synthesizer enlarges: samples, and reduced photographs."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, PRNGKeyArray, UInt8
from PIL import Image

from infinitygan_jax import fields
from infinitygan_jax.config import DetailConfig
from infinitygan_jax.data.crops import prepare
from infinitygan_jax.data.readers import ImageSource
from infinitygan_jax.evaluation.photographs import ahead
from infinitygan_jax.models import detail as detail_lib
from infinitygan_jax.models.generator import to_uint8

FULL_SIZE = 256  # pixels a side that photographs are brought to
CROP = 128  # pixels a side of what is compared
DETAIL = "detail synthesizer"

Enlarge = Callable[[UInt8[np.ndarray, "n n 3"], int], UInt8[np.ndarray, "m m 3"]]


def by_filter(resampling: Image.Resampling) -> Enlarge:
    """What one of Pillow's filters makes of a picture."""

    def enlarge(
        picture: UInt8[np.ndarray, "n n 3"], factor: int
    ) -> UInt8[np.ndarray, "m m 3"]:
        side = factor * len(picture)
        return np.asarray(Image.fromarray(picture).resize((side, side), resampling))

    return enlarge


FILTERS: Mapping[str, Enlarge] = {
    "bicubic filter": by_filter(Image.Resampling.BICUBIC),
    "Lanczos' filter": by_filter(Image.Resampling.LANCZOS),
}


def by_detail(config: DetailConfig, params: Mapping[str, Any], seed: int) -> Enlarge:
    """What a detail synthesizer makes of a picture; all get the same noise."""
    return functools.partial(_enlarging(config, params), key=fields.key_of(seed))


def _enlarging(
    config: DetailConfig, params: Mapping[str, Any]
) -> Callable[..., UInt8[np.ndarray, "m m 3"]]:
    """What enlarges a picture by a factor, with noise of a key."""
    params = jax.device_put(params)
    double = jax.jit(lambda *given: detail_lib.enlarged(config, *given))

    def enlarge(
        picture: UInt8[np.ndarray, "n n 3"], factor: int, key: PRNGKeyArray
    ) -> UInt8[np.ndarray, "m m 3"]:
        for octave in range(factor.bit_length() - 1):
            own = jax.random.fold_in(key, octave)
            picture = np.asarray(double(params, picture[None], own))[0]
        return picture

    return enlarge


def closer(
    batches: Iterable[Float32[np.ndarray, "b n n 3"]],
    config: DetailConfig,
    params: Mapping[str, Any],
    factor: int,
    seed: int,
) -> Iterator[Float32[np.ndarray, "b m m 3"]]:
    """Pictures in batches, each shown larger, with detail; mirrored at their edges.

    Args:
      batches: in [-1, 1].
      config: of the detail synthesizer.
      params: of it.
      factor: how many times as large; a power of two.
      seed: of its noise, of which each picture and octave has its own.
    """
    enlarge, key = _enlarging(config, params), fields.key_of(seed)
    numbers = itertools.count()
    for batch in batches:
        # One by one: large as they become, a batch may not fit into memory.
        large = [
            enlarge(picture, factor, key=jax.random.fold_in(key, next(numbers)))
            for picture in np.asarray(to_uint8(jnp.asarray(batch)))
        ]
        yield np.stack(large).astype(np.float32) / np.float32(127.5) - 1


def crops(
    source: ImageSource, num: int, seed: int, factor: int, enlarge: Enlarge | None
) -> Iterator[Float32[np.ndarray, "c c 3"]]:
    """Crops of photographs, enlarged after they were reduced, or as they are.

    The same crops, whatever enlarges them; those of one photograph follow each other.

    Args:
      source: the photographs.
      num: of crops.
      seed: of their places.
      factor: by which photographs are reduced: squares of so many pixels a side are
        averaged.
      enlarge: what enlarges them; None for photographs as they are.

    Yields:
      float32 (128, 128, 3) in [-1, 1].
    """
    order = np.random.default_rng([seed, 0]).permutation(len(source))[:num]

    def read(index: int) -> UInt8[np.ndarray, "f f 3"]:
        return prepare(source.read(index), FULL_SIZE)

    for place, picture in enumerate(ahead(read, order.tolist())):
        if enlarge is not None:
            small = Image.fromarray(picture).reduce(factor)
            picture = enlarge(np.asarray(small), factor)
        rng = np.random.default_rng([seed, 1, int(order[place])])
        for _ in range(place, num, len(source)):
            top, left = rng.integers(FULL_SIZE - CROP + 1, size=2)
            crop = picture[top : top + CROP, left : left + CROP]
            yield crop.astype(np.float32) / np.float32(127.5) - 1
