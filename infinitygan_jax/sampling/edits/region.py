"""Regions of the world that edits change: which places lie in them, and how far off."""

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.styles import Axis

_KEPT_SIDE = 64  # positions of a region and its feathers, of which shares are kept


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """A rectangle of world pixels, or a part of it.

    Attributes:
      top, left: of the first pixel; any integers.
      height, width: pixels.
      mask: which pixels of the rectangle belong to it; None for all.
    """

    top: int
    left: int
    height: int
    width: int
    mask: Bool[np.ndarray, "h w"] | None = None

    def __post_init__(self) -> None:
        planning.Window(self.top, self.left, self.height, self.width)  # its limits
        size = (self.height, self.width)
        if self.mask is not None and self.mask.shape != size:
            raise UserError(
                f"mask {self.mask.shape} must be of the region's size {size}; scale it"
            )

    def squares(
        self, rows: Axis, cols: Axis
    ) -> tuple[tuple[Any, Any], Bool[np.ndarray, "h w"]]:
        """Which of the squares that start at the crossings have their middle in it.

        Returns:
          Rows and columns of squares, for ``array[...]``, and which of them.
        """
        if self.mask is None and rows.period is None and cols.period is None:
            runs = _run(rows, self.top, self.height), _run(cols, self.left, self.width)
            return runs, np.ones([run.stop - run.start for run in runs], bool)
        # Of squares, the middle; cells span whole ones.
        row, inside_rows = _places(rows, self.top, self.height, rows.step / 2)
        col, inside_cols = _places(cols, self.left, self.width, cols.step / 2)
        where = _crossings(np.flatnonzero(inside_rows), np.flatnonzero(inside_cols))
        if self.mask is None:
            return where, np.ones((where[0].size, where[1].size), bool)
        return where, self.mask[np.ix_(row[inside_rows], col[inside_cols])]

    def share(self, rows: Axis, cols: Axis, feather: int) -> Float[np.ndarray, "h w"]:
        """1 in the region, falling smoothly to 0 over ``feather`` pixels around it."""
        share = np.zeros((rows.size, cols.size))
        where, part = self.share_near(rows, cols, feather)
        share[where] = part
        return share

    def share_near(
        self, rows: Axis, cols: Axis, feather: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], Float[np.ndarray, "h w"]]:
        """``share`` without what is 0.

        Returns:
          Indices of rows and columns, for ``array[...]``, and the shares there.
        """
        if self.mask is None and self._is_kept(rows, cols, feather):
            steps = rows.step, cols.step
            phases = rows.start % rows.step, cols.start % cols.step
            return _kept_shares(self, feather, phases, steps).of(rows, cols)
        if self.mask is None:
            return self._share_of_rectangle(rows, cols, feather)
        soft = self._soft(feather)
        row, inside_rows = _places(rows, self.top - feather, self.height + 2 * feather)
        col, inside_cols = _places(cols, self.left - feather, self.width + 2 * feather)
        where = _crossings(np.flatnonzero(inside_rows), np.flatnonzero(inside_cols))
        return where, soft[np.ix_(row[inside_rows], col[inside_cols])]

    def _is_kept(self, rows: Axis, cols: Axis, feather: int) -> bool:
        """Whether shares on a lattice are few, and the same for all tiles."""
        sides = ((rows, self.height), (cols, self.width))
        return all(
            axis.period is None and (size + 2 * feather) // axis.step <= _KEPT_SIDE
            for axis, size in sides
        )

    def _share_of_rectangle(
        self, rows: Axis, cols: Axis, feather: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], Float[np.ndarray, "h w"]]:
        """``share_near`` where there is no mask."""
        width = max(feather, 1)
        down = rows.distances(self.top, self.top + self.height)
        right = cols.distances(self.left, self.left + self.width)
        where = _crossings(np.flatnonzero(down < width), np.flatnonzero(right < width))
        distance = np.hypot(down[where[0]], right[where[1]])
        return where, (1 - smoothstep(distance / width)).astype(np.float32)

    def _soft(self, feather: int) -> Float[np.ndarray, "H W"]:
        """The mask, feathered outwards: of the rectangle and ``feather`` around it."""
        cached = self.__dict__.get("_softened")
        if cached is None or cached[0] != feather:
            assert self.mask is not None  # a rectangle needs no array
            soft = feathered(self.mask, feather)
            object.__setattr__(self, "_softened", (feather, soft))
            return soft
        return cached[1]


class _Shares(NamedTuple):
    """Shares of a region at all positions of a lattice where they are not 0.

    Attributes:
      rows, cols: the positions.
      shares: there.
    """

    rows: Axis
    cols: Axis
    shares: Float[np.ndarray, "h w"]

    def of(
        self, rows: Axis, cols: Axis
    ) -> tuple[tuple[np.ndarray, np.ndarray], Float[np.ndarray, "h w"]]:
        """See ``Region.share_near``; for axes of the lattice."""
        where, parts = [], []
        for axis, own in ((rows, self.rows), (cols, self.cols)):
            ahead = (own.start - axis.start) // axis.step
            first, stop = max(ahead, 0), min(ahead + own.size, axis.size)
            where.append(np.arange(first, stop))
            parts.append(slice(first - ahead, max(stop, first) - ahead))
        return _crossings(where[0], where[1]), self.shares[tuple(parts)]


# Of an edit, for one tile after the other that sees it. At most some 30 MB.
@functools.lru_cache(maxsize=2048)
def _kept_shares(
    region: Region, feather: int, phases: tuple[int, int], steps: tuple[int, int]
) -> _Shares:
    """Shares on the lattice of ``steps`` whose positions leave ``phases`` over."""
    width = max(feather, 1)
    starts = region.top - width, region.left - width
    sizes = region.height, region.width
    axes = []
    for start, size, phase, step in zip(starts, sizes, phases, steps, strict=True):
        start -= (start - phase) % step
        axes.append(Axis(start, (size + 2 * width) // step + 2, step))
    where, shares = region._share_of_rectangle(axes[0], axes[1], feather)
    shares.flags.writeable = False
    rows, cols = (
        Axis(axis.start + step * int(index.min(initial=axis.size)), index.size, step)
        for axis, index, step in zip(axes, where, steps, strict=True)
    )
    return _Shares(rows, cols, shares)


def feathered(mask: Bool[np.ndarray, "h w"], feather: int) -> Float[np.ndarray, "H W"]:
    """1 on a mask, falling smoothly to 0 within ``feather`` pixels around it."""
    # scipy comes with JAX; it takes half a second to import.
    from scipy import ndimage

    padded = np.pad(mask, feather)
    distance = ndimage.distance_transform_edt(~padded)
    return (1 - smoothstep(distance / max(feather, 1))).astype(np.float32)


def smoothstep(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _crossings(
    rows: Int[np.ndarray, " n"], cols: Int[np.ndarray, " m"]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows and columns for ``array[...]``, of all their crossings."""
    first, second = np.ix_(rows, cols)
    return first, second


def _places(
    axis: Axis, start: int, size: int, offset: float = 0
) -> tuple[np.ndarray, Bool[np.ndarray, " n"]]:
    """Indices from ``start`` of positions, and which of them are below ``size``."""
    # From the middle, which with a period is the same one for all of the run.
    place = axis.offsets(Fraction(2 * start + size, 2)) + size / 2 + offset
    inside = (place >= 0) & (place < size)
    return np.where(inside, np.floor(place), 0).astype(int), inside


def _run(axis: Axis, start: int, size: int) -> slice:
    """Which positions of an axis without a period have half a step more in a run."""
    ends = (
        -((axis.step - 2 * (place - axis.start)) // (2 * axis.step))
        for place in (start, start + size)
    )
    first, stop = (min(max(end, 0), axis.size) for end in ends)
    return slice(first, stop)


class Boxes:
    """Rectangles of edits, to find those that a tile sees without asking each."""

    def __init__(self, areas: Sequence[tuple[Region, int]]):
        """Takes regions, and how many pixels beyond each is changed."""
        regions = [region for region, _ in areas]
        reach = [more for _, more in areas]
        self._rows = _ends([(r.top, r.height) for r in regions], reach)
        self._cols = _ends([(r.left, r.width) for r in regions], reach)

    def seen(self, rows: Axis, cols: Axis) -> list[int]:
        """Indices, in order, of those that reach the squares of two axes."""
        along = [_meets(rows, *self._rows), _meets(cols, *self._cols)]
        return np.flatnonzero(along[0] & along[1]).tolist()

    def meeting(
        self,
        top: int,
        left: int,
        height: int,
        width: int,
        period: Sequence[int | None],
    ) -> list[int]:
        """Indices, in order, of those that reach a rectangle of world pixels.

        Args:
          top: its first row.
          left: its first column.
          height: its rows.
          width: its columns.
          period: rows and columns after which the world repeats, or None.
        """
        return self.seen(
            Axis(top, height, 1, period[0]), Axis(left, width, 1, period[1])
        )


def _ends(
    runs: Sequence[tuple[int, int]], reach: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    starts = [start - more for (start, _), more in zip(runs, reach, strict=True)]
    sizes = [size + 2 * more for (_, size), more in zip(runs, reach, strict=True)]
    return np.array(starts, np.int64), np.array(sizes, np.int64)


def _meets(axis: Axis, starts: np.ndarray, sizes: np.ndarray) -> Bool[np.ndarray, " n"]:
    # A weight is interpolated up to the next cell: a square more at each end.
    start, size = axis.start - axis.step, (axis.size + 2) * axis.step
    if axis.period is None:
        return (starts < start + size) & (starts + sizes > start)
    after = (starts - start % axis.period) % axis.period
    before = (start % axis.period - starts) % axis.period
    return (after < size) | (before < sizes)
