"""Indices of NumPy's basic kind, on axes with and without ends. Integers, no JAX."""

import dataclasses
import numbers
import operator
import reprlib
from collections.abc import Iterator
from typing import Any

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import SIDE_LIMIT

AXES = ("rows", "columns", "channels")
_EXTENT = 4096  # positions that are painted at once to take every n-th of


@dataclasses.dataclass(frozen=True)
class Selection:
    """What an index takes of one axis.

    Attributes:
      positions: the positions, in the order of the result.
      keeps_axis: false for a single integer, whose axis goes.
    """

    positions: range
    keeps_axis: bool = True

    def as_slice(self) -> slice:
        """The positions as a slice of an array, where none of them is negative."""
        taken = self.positions
        if not taken:
            return slice(0)
        # Downwards to the first, a stop of -1 would mean the last.
        return slice(taken.start, None if taken.stop < 0 else taken.stop, taken.step)

    def runs(self) -> Iterator[tuple[slice, range]]:
        """Parts to paint one by one: where they go in the result, and what they take.

        Positions without gaps are one run; those with gaps are cut so that what lies
        between is painted only where it has to be, and memory stays flat. Each run
        goes upwards.
        """
        count, step = len(self.positions), self.positions.step
        each = max(1, count if abs(step) == 1 else _EXTENT // abs(step))
        for first in range(0, count, each):
            taken = self.positions[first : first + each]
            place = slice(first, first + len(taken))
            if step < 0:
                last = first - 1 if first else None
                place, taken = slice(place.stop - 1, last, -1), taken[::-1]
            yield place, taken


def select_unbounded(name: str, part: Any) -> Selection:
    """The positions of an integer or range on an axis that has no ends.

    Args:
      name: of the axis, for messages.
      part: an integer, or a slice with both bounds; negative ones are positions too.

    Raises:
      ValueError: anything else, with what to write instead.
    """
    if not isinstance(part, slice):
        start = _integer(name, part)
        return Selection(range(start, start + 1), keeps_axis=False)
    if part.start is None or part.stop is None:
        raise UserError(
            f"{name} must have both bounds, as an infinite picture has no ends; write "
            "world[y0:y1, x0:x1]"
        )
    step = 1 if part.step is None else _integer(name, part.step)
    if step == 0:
        raise UserError(f"{name} must have a step other than 0; leave it out for all")
    start, stop = _integer(name, part.start), _integer(name, part.stop)
    if (stop - start) // step > SIDE_LIMIT:
        raise UserError(
            f"{name} ({start} to {stop}) must be at most {SIDE_LIMIT} pixels; read "
            "them in parts"
        )
    return Selection(range(start, stop, step))


def select(name: str, part: Any, size: int) -> Selection:
    """The positions of an integer or slice on an axis of so many, by NumPy's rules.

    Raises:
      IndexError: an integer beyond the axis.
      ValueError: what is neither, or a step of 0.
    """
    if isinstance(part, slice):
        bounds = (
            None if bound is None else _integer(name, bound)
            for bound in (part.start, part.stop, part.step)
        )
        return Selection(range(*slice(*bounds).indices(size)))
    position = _integer(name, part)
    if not -size <= position < size:
        raise IndexError(f"{name} ({position}) must be from {-size} to {size - 1}")
    return Selection(range(position % size, position % size + 1), keeps_axis=False)


def expand(key: Any, ndim: int) -> tuple[Any, ...]:
    """An index as one part for each axis, an ellipsis and missing ones filled in.

    Raises:
      IndexError: too many parts, or two ellipses.
    """
    parts = key if isinstance(key, tuple) else (key,)
    given = [part for part in parts if part is not Ellipsis]
    if len(given) > ndim or len(parts) - len(given) > 1:
        raise IndexError(
            f"index ({_shown(key)}) must have at most {ndim} parts and one ...; leave "
            "the others out"
        )
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    filled = (slice(None),) * (ndim - len(given))
    return (*parts[:at], *filled, *parts[at + 1 :])


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        remedy = "write a range, and index the array that it gives"
        if isinstance(value, numbers.Real):
            remedy = "round them"
        raise UserError(
            f"{name} ({_shown(value)}) must be whole numbers or ranges of them; "
            f"{remedy}"
        ) from None


def _shown(value: Any) -> str:
    """A value on one short line, arrays too."""
    return " ".join(reprlib.repr(value).split())
