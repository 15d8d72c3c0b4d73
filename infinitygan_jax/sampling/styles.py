"""Styles over the plane: which of them show at a place, and how much of each.

A style field is a function of world position, given on the lattice of cells; what its
styles make of the generator's layers is interpolated between them. Its weights are of
bounded support: only a few styles are seen by a tile, however many there are.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64

from infinitygan_jax import fields
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import mixing
from infinitygan_jax.sampling.tiles import Look
from infinitygan_jax.seed_range import check_seed

MAX_STYLES = 64  # that one tile can see
_FAR = 2**60  # farther than any blend reaches; sums of such stay in 64 bits
_MOST_NEAR = 16 * MAX_STYLES  # places whose distances are worked out for one tile
_JITTER = 0.7  # of a lattice's square, around its middle, in which its point may lie


@dataclasses.dataclass(frozen=True)
class Seed:
    """The style of a seed: that of the world of this seed."""

    seed: int

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclasses.dataclass(frozen=True)
class LatticePoint:
    """A style that is a hash of a point of an unbounded lattice, in a world's seed."""

    seed: int
    row: int
    col: int


@dataclasses.dataclass(frozen=True)
class Between:
    """A style between those of two seeds: its global latent lies on an arc.

    Attributes:
      first, second: seeds.
      amount: 0 is the first, 1 the second.
    """

    first: int
    second: int
    amount: float

    def __post_init__(self) -> None:
        mixing.Mix(self.first, self.second, self.amount)  # refuses what is out of range


@dataclasses.dataclass(frozen=True, eq=False)
class Given:
    """A style that is known, as from an inversion; equal to others of its numbers."""

    look: Look

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    @functools.cached_property
    def _digest(self) -> bytes:
        return self.look.digest()


Source = Seed | LatticePoint | Between | Given


class Axis(NamedTuple):
    """World positions along one axis of a lattice of cells, in pixels.

    Attributes:
      start: of the first; any integer.
      size: how many.
      step: pixels from one to the next.
      period: pixels after which the world repeats, or None.
    """

    start: int
    size: int
    step: int
    period: int | None = None

    @property
    def middle(self) -> int:
        return self.start + self.size * self.step // 2

    def offsets(self, place: int | Fraction) -> Float[np.ndarray, " n"]:
        """Pixels from a place to each position: with a period, from the nearest."""
        whole = math.floor(place)
        first = self.start - whole
        if self.period is None:
            first = min(max(first, -_FAR), _FAR)
            offsets = first + self.step * np.arange(self.size, dtype=float)
        else:
            half = self.period // 2
            first = (first + half) % self.period
            steps = first + self.step * np.arange(self.size)
            offsets = (steps % self.period - half).astype(float)
        return offsets - float(place - whole)

    def distances(self, start: int, stop: int) -> Float[np.ndarray, " n"]:
        """Pixels from each position to the interval from ``start`` to ``stop``."""
        middle = Fraction(start + stop, 2)
        return np.maximum(np.abs(self.offsets(middle)) - (stop - start) / 2, 0)


class Weights(NamedTuple):
    """Styles and how much of each shows at the crossings of two axes.

    Attributes:
      sources: those that are seen at all.
      weights: they sum to 1 at every place.
    """

    sources: tuple[Source, ...]
    weights: Float[np.ndarray, "h w s"]


class Layer(NamedTuple):
    """A style on top of others.

    Attributes:
      source: the style.
      where: rows and columns of a lattice, for ``array[...]``.
      share: how much of it shows there.
    """

    source: Source
    where: tuple[np.ndarray, np.ndarray]
    share: Float[np.ndarray, "h w"]


@runtime_checkable
class StyleField(Protocol):
    """A style, or a blend of styles, at every place of the plane."""

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """Styles at the crossings of rows and columns."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """One style all over."""

    source: Source

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """See ``StyleField``."""
        ones = np.ones((rows.size, cols.size, 1), np.float32)
        return Weights((self.source,), ones)


class Site(NamedTuple):
    """A rectangle of the world, maybe a point, that a style is at home in.

    Attributes:
      top, bottom: rows; None for all of them.
      left, right: columns; None for all of them.
    """

    top: int | None
    bottom: int | None
    left: int | None
    right: int | None

    def distances(self, rows: Axis, cols: Axis) -> Float[np.ndarray, "h w"]:
        """Pixels from the crossings of two axes to the site."""
        across, along = np.zeros(rows.size), np.zeros(cols.size)
        if self.top is not None and self.bottom is not None:
            across = rows.distances(self.top, self.bottom)
        if self.left is not None and self.right is not None:
            along = cols.distances(self.left, self.right)
        return np.hypot(across[:, None], along[None, :])


@dataclasses.dataclass(frozen=True)
class Sites:
    """The style of the nearest site, blended where two are about as near.

    Attributes:
      sites: at least one, with a style each.
      sources: the styles.
      blend: pixels from where only one of two neighbours shows to where only the other
        does; positive.
    """

    sites: tuple[Site, ...]
    sources: tuple[Source, ...]
    blend: float

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """See ``StyleField``."""
        near = self._near(rows, cols)
        _check_number(len(near))
        distances = np.stack(
            [self.sites[index].distances(rows, cols) for index in near], axis=-1
        )
        return nearest(distances, [self.sources[index] for index in near], self.blend)

    def _near(self, rows: Axis, cols: Axis) -> Sequence[int]:
        """Sites that can show between the axes' ends, by distance to the middle."""
        if len(self.sites) == 1:
            return [0]
        distances = np.hypot(*map(_to_runs, (rows, cols), self._runs))
        radius = np.hypot(rows.size * rows.step, cols.size * cols.step) / 2
        reach = distances.min() + self.blend + 2 * (radius + rows.step)
        return np.flatnonzero(distances <= reach).tolist()

    @functools.cached_property
    def _runs(self) -> list["_Runs"]:
        """Rows and columns of all sites."""
        ends = np.array(self.sites, dtype=object)
        return [_Runs.between(ends[:, 0], ends[:, 1]), _Runs.between(*ends[:, 2:].T)]


class _Runs(NamedTuple):
    """Runs of one axis's positions.

    Attributes:
      middles: rounded down.
      halves: of their lengths, with what the middles lack; infinite for a whole axis.
      odd: what the middles lack.
    """

    middles: Int64[np.ndarray, " n"]
    halves: Float[np.ndarray, " n"]
    odd: Float[np.ndarray, " n"]

    @classmethod
    def between(cls, starts: np.ndarray, stops: np.ndarray) -> "_Runs":
        """Takes first positions and those after the last; or None for both."""
        whole = np.array([start is None for start in starts])
        starts, stops = np.where(whole, 0, starts), np.where(whole, 0, stops)
        sizes = (stops - starts).astype(float)
        middles = (starts + (stops - starts) // 2).astype(np.int64)
        return cls(middles, np.where(whole, np.inf, sizes / 2), sizes % 2 / 2)


def _to_runs(axis: Axis, runs: _Runs) -> Float[np.ndarray, " n"]:
    """Pixels from the middle of an axis to each of some runs."""
    if axis.period is None:
        # Differences that leave 64 bits are far all the same.
        rough = axis.middle - runs.middles.astype(float)
        with np.errstate(over="ignore"):
            away = np.int64(axis.middle) - runs.middles
        away = np.where(np.abs(rough) < _FAR, away, np.copysign(_FAR, rough))
    else:
        half = axis.period // 2
        away = axis.middle % axis.period - runs.middles % axis.period
        away = (away + half) % axis.period - half
    return np.maximum(np.abs(away - runs.odd) - runs.halves, 0)


@dataclasses.dataclass(frozen=True)
class Chain:
    """Styles side by side at even gaps along the columns, each blending into the next.

    Attributes:
      sources: in order; style i is at home at column ``start + i * every``.
      every: pixels between two.
      blend: see ``Sites``.
      start: column of the first.
      cyclic: the first follows the last, for ever; else the first and the last show
        beyond their ends.
    """

    sources: tuple[Source, ...]
    every: int
    blend: float
    start: int = 0
    cyclic: bool = False

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """See ``StyleField``."""
        reach = int(self.blend // self.every) + 2
        first = (cols.start - self.start) // self.every - reach
        last = (cols.start + cols.size * cols.step - self.start) // self.every + reach
        number = len(self.sources)
        if not self.cyclic:
            first, last = (min(max(end, 0), number - 1) for end in (first, last))
        # A world that repeats is painted from one period, and the chain repeats too.
        straight = cols._replace(period=None)
        _check_number(last + 1 - first)
        along = [
            np.abs(straight.offsets(self.start + index * self.every))
            for index in range(first, last + 1)
        ]
        sources = [self.sources[index % number] for index in range(first, last + 1)]
        weights = nearest(np.stack(along, axis=-1)[None], sources, self.blend)
        shape = (rows.size, *weights.weights.shape[1:])
        return weights._replace(weights=np.broadcast_to(weights.weights, shape))


@dataclasses.dataclass(frozen=True)
class Biomes:
    """Styles without end: each point of a jittered lattice has one of its own.

    Attributes:
      seed: whose lattice.
      pitch: pixels from point to point, before the jitter, of rows and columns; a
        period is a multiple of it.
      blend: see ``Sites``; at most the pitch.
    """

    seed: int
    pitch: tuple[Fraction, Fraction]
    blend: float

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """See ``StyleField``."""
        axes = list(zip((rows, cols), self.pitch, strict=True))
        around = [self._around(*each) for each in axes]
        _check_number(math.prod(each.stop - each.start for each in around))
        points = list(itertools.product(*around))
        own = [tuple(map(_in_period, axes, point)) for point in points]
        distances = []
        for point, parts in zip(points, self._places(own), strict=True):
            down, right = (
                # The world is painted from one period, and the points repeat too.
                axis._replace(period=None).offsets(index * pitch) - part * float(pitch)
                for (axis, pitch), index, part in zip(axes, point, parts, strict=True)
            )
            distances.append(np.hypot(down[:, None], right[None, :]))
        sources = [LatticePoint(self.seed, *point) for point in own]
        return nearest(np.stack(distances, axis=-1), sources, self.blend)

    def _around(self, axis: Axis, pitch: Fraction) -> range:
        """Lattice indices whose points can be the nearest, or nearly, of a position."""
        # Within a square and a half of any place there is a point: so many more show.
        reach = 2 + math.ceil(self.blend / pitch)
        first = axis.start // pitch - reach
        last = (axis.start + axis.size * axis.step) // pitch + reach
        return range(first, last + 1)

    def _places(self, points: Sequence[tuple[int, ...]]) -> Float[np.ndarray, "n 2"]:
        """Where in their squares the points lie, 0 to 1."""
        key = fields.stream_key(self.seed, fields.BIOME_PLACE)
        each = [np.concatenate([fields.words(i, 1) for i in p]) for p in points]
        words = np.stack(each)  # [n, 2, 2]
        row_key = fields.threefry2x32(
            (key[:1], key[1:]), (words[:, 0, 0], words[:, 0, 1])
        )
        bits = fields.threefry2x32(row_key, (words[:, 1, 0], words[:, 1, 1]))
        uniform = np.stack(bits, axis=-1).astype(float) / 2**32
        return 0.5 + _JITTER * (uniform - 0.5)


def _check_number(number: int) -> None:
    """Checks how many places of styles are near a tile, before there is an array."""
    if number > _MOST_NEAR:
        raise UserError(
            f"places of styles near one tile ({number}) must be at most {_MOST_NEAR}; "
            "place them farther apart, or use a smaller `tile_size`"
        )


def check_styles(number: int) -> None:
    """Checks how many styles one tile sees.

    Raises:
      ValueError: more than ``MAX_STYLES``.
    """
    if number > MAX_STYLES:
        raise UserError(
            f"styles seen by one tile ({number}) must be at most {MAX_STYLES}; place "
            "them farther apart, or use a smaller `tile_size`"
        )


def _in_period(axis: tuple[Axis, Fraction], index: int) -> int:
    """A lattice index in the period that the world is painted from, if it repeats."""
    positions, pitch = axis
    if positions.period is None:
        return index
    return index % int(positions.period / pitch)


@dataclasses.dataclass(frozen=True, eq=False)
class Painted:
    """Styles painted on a map that is laid over a rectangle of the world.

    Beyond the rectangle, what is at its edge goes on.

    Attributes:
      shares: of each style at each pixel of the map; they sum to 1.
      sources: the styles.
      top, left, height, width: the rectangle, in pixels.
    """

    shares: Float[np.ndarray, "h w s"]
    sources: tuple[Source, ...]
    top: int
    left: int
    height: int
    width: int

    def at(self, rows: Axis, cols: Axis) -> Weights:
        """See ``StyleField``."""
        axes = ((rows, self.top, self.height), (cols, self.left, self.width))
        parts = []
        for (axis, start, extent), number in zip(axes, self.shares.shape, strict=False):
            place = axis._replace(period=None).offsets(start)
            place = place * number / extent - 0.5  # in pixels of the map
            if axis.period is None:
                place = np.clip(place, 0, number - 1)
            below = np.floor(place).astype(int)
            ends = [below, below + 1]
            if axis.period is None:
                ends = [np.minimum(end, number - 1) for end in ends]
            parts.append(([end % number for end in ends], place - below))
        (upper, lower), down = parts[0]
        (before, after), right = parts[1]
        down, right = down[:, None, None], right[None, :, None]
        total = (1 - down) * (1 - right) * self.shares[np.ix_(upper, before)]
        total += (1 - down) * right * self.shares[np.ix_(upper, after)]
        total += down * (1 - right) * self.shares[np.ix_(lower, before)]
        total += down * right * self.shares[np.ix_(lower, after)]
        return without_unseen(Weights(self.sources, total))


def of_seed(styles: StyleField | None, seed: int) -> StyleField | None:
    """Styles that follow from a seed, of another one; None for those that do not."""
    if isinstance(styles, Biomes):
        return dataclasses.replace(styles, seed=seed)
    return None


def nearest(
    distances: Float[np.ndarray, "h w s"], sources: Sequence[Source], blend: float
) -> Weights:
    """Shares of styles at some distances: all for the nearest, but where two are near.

    A style's share falls from that of the nearest to 0 as it is up to ``blend`` farther
    away, so that between two places the change takes ``blend`` pixels, smoothly.
    """
    farther = distances - distances.min(axis=-1, keepdims=True)
    shares = np.maximum(1 - farther / blend, 0) ** 2
    shares /= shares.sum(axis=-1, keepdims=True)
    return without_unseen(Weights(tuple(sources), shares))


def with_layers(below: Weights, layers: Iterable[Layer]) -> Weights:
    """Styles with others on top of them, each over those before it."""
    known = {
        source: below.weights[..., index].astype(np.float32)
        for index, source in enumerate(below.sources)
    }
    for source, where, share in layers:
        share = share.astype(np.float32)
        if not share.any():
            continue
        for weights in known.values():
            weights[where] *= 1 - share
        if source not in known:
            known[source] = np.zeros(below.weights.shape[:2], np.float32)
        known[source][where] += share
    return without_unseen(Weights(tuple(known), np.stack([*known.values()], axis=-1)))


def without_unseen(weights: Weights) -> Weights:
    """The same without styles whose share is nowhere above 0; equal ones are joined."""
    places: dict[Source, list[int]] = {}
    for index, source in enumerate(weights.sources):
        if weights.weights[..., index].any():
            places.setdefault(source, []).append(index)
    shares = [
        weights.weights[..., indices].sum(axis=-1, dtype=float)
        for indices in places.values()
    ]
    return Weights(tuple(places), np.stack(shares, axis=-1).astype(np.float32))
