"""What styles are: latents, mapped styles and what these make of the layers."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from infinitygan_jax import fields
from infinitygan_jax.cache import Cache
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.models.generator import (
    Modulations,
    make_generator,
    modulations,
    slot_styles,
)
from infinitygan_jax.models.layers import applied
from infinitygan_jax.sampling import mixing
from infinitygan_jax.sampling.inputs import stack
from infinitygan_jax.sampling.styles import (
    Between,
    Given,
    LatticePoint,
    Seed,
    Source,
    Weights,
    check_styles,
)
from infinitygan_jax.sampling.tiles import Look

_KEPT_BYTES = 2**26  # of modulations


class _Known(NamedTuple):
    """A style that was worked out.

    Attributes:
      order: sorts styles that share a tile, by what they are.
      modulations: host arrays [c].
    """

    order: bytes
    modulations: Modulations


class Looks:
    """Latents, mapped styles and modulations of sources.

    Each is worked out when asked for; the modulations used last are kept.
    """

    def __init__(self, model: ModelConfig, params: Mapping[str, Any]):
        """Takes sizes, and the generator's parameters, best on a device."""
        self._model = model
        self._params = params
        self._known: Cache[Source, _Known] = Cache(_KEPT_BYTES)

    def __getitem__(self, source: Source) -> Look:
        """Host arrays of a style."""
        if isinstance(source, Given):
            # Of all slots: a generator that is stopped early has fewer.
            styles = source.look.styles[: self._model.num_slots]
            return source.look._replace(styles=styles)
        z_global = self._latent(source)
        styles = _mapping(self._model)(self._params, z_global)
        return Look(np.asarray(z_global), np.asarray(styles))

    def of_tiles(
        self, batch: Sequence[Weights]
    ) -> tuple[Float[np.ndarray, "b h w s"], Modulations]:
        """Styles of a batch of tiles' cells, for `TileFunctions.blend` and ``alone``.

        Returns:
          Weights, padded with zeros to a power of two of styles, which makes few
          shapes; and the styles' modulations, with axes [b, s, c].

        Raises:
          ValueError: a tile sees more than ``MAX_STYLES``.
        """
        most = max(len(each.sources) for each in batch)
        check_styles(most)
        number = 1 << (most - 1).bit_length()
        shares, styles = [], []
        for sources, weights in batch:
            known = [self._modulated(source) for source in sources]
            # Not as an edit far away happens to name them: sums depend on their order.
            order = sorted(range(len(known)), key=lambda index: known[index].order)
            more = number - len(known)
            shares.append(np.pad(weights[..., order], [(0, 0), (0, 0), (0, more)]))
            found = [known[index].modulations for index in order]
            styles.append(stack(found + found[:1] * more))
        return np.stack(shares), stack(styles)

    def _modulated(self, source: Source) -> _Known:
        def found() -> _Known:
            look = self[source]
            # By one function for all styles, so that each has the same bits wherever,
            # and beside whichever others, it shows.
            modulated = jax.device_get(_modulating(self._params, *look))
            return _Known(look.digest(), modulated)

        return self._known.of(source, found, _bytes_of)

    def _latent(
        self, source: Seed | LatticePoint | Between
    ) -> Float[np.ndarray | jax.Array, " d"]:
        size = self._model.z_global_size
        if isinstance(source, Seed):
            return fields.global_latent(source.seed, size)
        if isinstance(source, Between):
            start, stop = (
                np.asarray(fields.global_latent(seed, size))
                for seed in (source.first, source.second)
            )
            return mixing.along_arc(start, stop, source.amount)
        return fields.latent_at(
            fields.stream_key(source.seed, fields.BIOME_Z_GLOBAL),
            source.row,
            source.col,
            size,
        )


def _bytes_of(known: _Known) -> int:
    return sum(each.nbytes for each in jax.tree.leaves(known.modulations))


_modulating = jax.jit(modulations)


@functools.lru_cache(maxsize=32)
def _mapping(model: ModelConfig) -> Callable[..., Float[jax.Array, "n d"]]:
    """The compiled mapping network: a global latent to its style for every slot."""
    generator = make_generator(model)

    def styles(params: Mapping[str, Any], z_global: Array) -> Array:
        style = applied(generator, {"params": params}, z_global[None], method="mapping")
        return slot_styles(style, model.num_slots)[0]

    return jax.jit(styles)
