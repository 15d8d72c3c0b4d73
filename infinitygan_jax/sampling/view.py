"""A window of a world that looks like an array."""

import dataclasses
import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import indexing
from infinitygan_jax.sampling.plan import Plan, Window


@runtime_checkable
class Paintable(Protocol):
    """What a view needs of a world."""

    def plan(self, window: Window) -> Plan:
        """How a window is painted."""

    def select(
        self,
        rows: indexing.Selection,
        cols: indexing.Selection,
        channels: indexing.Selection,
    ) -> UInt8[np.ndarray, "..."] | np.uint8:
        """Paints the selected rows and columns."""


class View:
    """A window of a world that looks like an array and is painted where it is read.

    It takes NumPy's basic indices, counted from the window's corner, and goes where
    arrays are read lazily: ``numpy.asarray(view)``, ``dask.array.from_array(view)``.

    Attributes:
      world: the world.
      window: the part that is seen.
      shape: (height, width, 3).
      dtype: uint8.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, world: Paintable, window: Window):
        self.world, self.window = world, window
        self.shape = (window.height, window.width, 3)

    def __repr__(self) -> str:
        return (
            f"View(shape={self.shape}, top={self.window.top}, left={self.window.left})"
        )

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Numbers in all."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the array that it stands for."""
        return self.size

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes along each axis of the parts that are whole tiles; as Dask's."""
        tile = self.world.plan(self.window).tile_pixels
        axes = ((self.window.top, self.shape[0]), (self.window.left, self.shape[1]))
        return (*(_chunks(start, size, tile) for start, size in axes), (3,))

    def __getitem__(self, key: Any) -> UInt8[np.ndarray, "..."] | np.uint8:
        """NumPy's basic indexing; see ``World.__getitem__`` for what is painted."""
        parts = indexing.expand(key, self.ndim)
        rows, cols, channels = map(indexing.select, indexing.AXES, parts, self.shape)
        return self.world.select(
            _moved(rows, self.window.top), _moved(cols, self.window.left), channels
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole window.

        Raises:
          ValueError: it must not be copied, but it has to be painted.
        """
        if copy is False:
            raise UserError("a view is painted when it is read; leave copy=False out")
        return np.asarray(self[:], dtype=dtype)


def _moved(selection: indexing.Selection, by: int) -> indexing.Selection:
    taken = selection.positions
    moved = range(taken.start + by, taken.stop + by, taken.step)
    return dataclasses.replace(selection, positions=moved)


def _chunks(start: int, size: int, tile: int) -> tuple[int, ...]:
    """Sizes of the parts of a run that multiples of ``tile`` cut it into."""
    first = min(size, tile - start % tile)
    whole, rest = divmod(size - first, tile)
    return (first, *(tile,) * whole, *(rest,) * bool(rest))
