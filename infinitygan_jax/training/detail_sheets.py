"""Image sheets that show how the training of a detail synthesizer goes."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import devices
from infinitygan_jax.config import Config
from infinitygan_jax.data.crops import prepare
from infinitygan_jax.models.detail import enlarged
from infinitygan_jax.training.sheets import join

NUM_PHOTOGRAPHS = 6
_COARSE = 64  # pixels a side that photographs are reduced to
_OCTAVES = 2  # by which they are enlarged again
_DEEPER = 2  # octaves more, of which the middle is shown


class DetailSheetPainter:
    """Paints the sheet ``enlarged`` of one detail synthesizer, jitted.

    A row is a photograph: reduced to 64 pixels a side, this enlarged by two octaves,
    the photograph itself, and the middle of what two octaves more make of it.

    Args:
      config: all settings.
      photographs: a few.
    """

    def __init__(
        self, config: Config, photographs: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    ):
        self._photographs = [
            (prepare(each, _COARSE), prepare(each, _COARSE << _OCTAVES))
            for each in photographs
        ]
        # Noise is the same at every visit.
        self._enlarge = devices.jit_in_a_hurry(
            functools.partial(enlarged, config.detail)
        )

    def __call__(
        self, params: Mapping[str, Any]
    ) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """The sheet, by name, from a detail synthesizer's parameters (host arrays)."""
        return {"enlarged": join([self._row(params, *e) for e in self._photographs])}

    def _row(
        self,
        params: Mapping[str, Any],
        coarse: UInt8[np.ndarray, "c c 3"],
        photograph: UInt8[np.ndarray, "p p 3"],
    ) -> list[UInt8[np.ndarray, "p p 3"]]:
        repeated = np.kron(coarse, np.ones((1 << _OCTAVES, 1 << _OCTAVES, 1), np.uint8))
        picture = coarse
        shown = []
        for octave in range(_OCTAVES + _DEEPER):
            key = jax.random.key(octave)
            picture = np.asarray(self._enlarge(params, picture[None], key))[0]
            if octave + 1 >= _OCTAVES:
                # Of what is larger than a cell, the middle is enlarged on.
                size = photograph.shape[0]
                first = (picture.shape[0] - size) // 2
                picture = picture[first : first + size, first : first + size]
                shown.append(picture)
        return [repeated, shown[0], photograph, shown[-1]]
