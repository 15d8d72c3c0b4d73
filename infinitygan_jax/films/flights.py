"""Flights: frames between places, styles and local latents, each a window of a world.

Keys of each kind are spread evenly over the flight. A frame at a key is that world's
own window, byte for byte; frames between are windows of worlds between two seeds.

Positions between whole pixels are painted a few pixels larger and shifted by Lanczos
interpolation, since rounded ones make a slow flight tremble. Half way between pixels,
gradients of a former bundled model's pictures are 12 to 14% lower than at whole ones;
with linear interpolation they would be 35% lower, a visible pulse of sharpness.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from infinitygan_jax.films.overlaps import read_windows
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import costs, estimates
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.styles import Between, Constant, Seed
from infinitygan_jax.sampling.world import World
from infinitygan_jax.seed_range import check_seed

MAX_FRAMES = 10**6
_LOOKED_AT = 16  # parts of a flight, at whose ends one looks before painting
_LOBES = 3  # of the kernel that shifts frames
_BEFORE, _AFTER = _LOBES - 1, _LOBES  # pixels that it sees beyond its own


class Leg(NamedTuple):
    """Where a frame is between two keys of one kind.

    Attributes:
      first: index of a key.
      second: index of the next; the same one where the frame is at a key.
      amount: from the first to the second, below 1.
    """

    first: int
    second: int
    amount: Fraction


class Frame(NamedTuple):
    """What one frame shows.

    Attributes:
      top: world row of the first pixel, maybe between two.
      left: its column.
      sight: which world is seen.
    """

    top: Fraction
    left: Fraction
    sight: "Sight"


class Sight(NamedTuple):
    """A world that a frame shows.

    Attributes:
      seed: of local latents and noise; None for the world's own.
      style: the seed of the style, or between two; None for the world's own.
      mix: local latents between two seeds, in place of those of ``seed``.
    """

    seed: int | None = None
    style: Seed | Between | None = None
    mix: Mix | None = None


@dataclasses.dataclass(frozen=True)
class Flight:
    """A way through places, styles and local latents.

    Attributes:
      height: of a frame, in pixels.
      width: of a frame.
      num_frames: at least 2.
      places: row and column of the upper left pixel, one for each key.
      seeds: of local latents and noise; a flight without any takes the world's.
      styles: seeds of styles; a flight without any takes the world's.
      loop: goes back to the first keys, so that the first frame follows the last.
      ease: slows down before each key, and speeds up behind it.
      keep_noise: noise stays that of the first of ``seeds``.
    """

    height: int
    width: int
    num_frames: int
    places: tuple[tuple[int, int], ...]
    seeds: tuple[int, ...] = ()
    styles: tuple[int, ...] = ()
    loop: bool = False
    ease: bool = False
    keep_noise: bool = False

    def __post_init__(self) -> None:
        for seed in (*self.seeds, *self.styles):
            check_seed(seed)
        check_num_frames(self.num_frames)
        if not self.places:
            raise UserError("a flight must have a place; give row and column of one")
        margin = _BEFORE + _AFTER
        Window(0, 0, self.height, self.width)  # its limits, and those of places
        for top, left in self.places:
            Window(
                top - margin,
                left - margin,
                self.height + 2 * margin,
                self.width + 2 * margin,
            )
        if all(len(set(keys)) < 2 for keys in (self.places, self.seeds, self.styles)):
            raise UserError(
                "a flight must lead somewhere; give a second place, seed or style"
            )

    @property
    def changes_look(self) -> bool:
        """Whether frames show different worlds, so that they share no tiles."""
        return any(len(set(keys)) > 1 for keys in (self.seeds, self.styles))

    def frame(self, index: int) -> Frame:
        """What a frame shows, from 0."""
        at = self._between(index, len(self.places))
        places = [self.places[key] for key in (at.first, at.second)]
        top, left = (
            start + at.amount * (stop - start)
            for start, stop in zip(*places, strict=True)
        )
        seed, mix = self._fields(index)
        return Frame(top, left, Sight(seed, self._style(index), mix))

    def _style(self, index: int) -> Seed | Between | None:
        if not self.styles:
            return None
        at = self._between(index, len(self.styles))
        first, second = self.styles[at.first], self.styles[at.second]
        if first == second:
            return Seed(first)
        return Between(first, second, float(at.amount))

    def _fields(self, index: int) -> tuple[int | None, Mix | None]:
        if not self.seeds:
            return None, None
        at = self._between(index, len(self.seeds))
        first, second = self.seeds[at.first], self.seeds[at.second]
        seed = self.seeds[0] if self.keep_noise else first
        if first == second == seed:
            return seed, None
        return seed, Mix(first, second, float(at.amount), not self.keep_noise)

    def _between(self, index: int, num_keys: int) -> Leg:
        return between(index, num_keys, self.num_frames, self.loop, self.ease)


def check_num_frames(num_frames: int) -> None:
    """Checks how many frames a film has.

    Raises:
      ValueError: too few or too many.
    """
    if not 2 <= num_frames <= MAX_FRAMES:
        raise UserError(
            f"frames ({num_frames}) must be from 2 to {MAX_FRAMES}; use "
            f"{min(max(num_frames, 2), MAX_FRAMES)}"
        )


def between(index: int, num_keys: int, num_frames: int, loop: bool, ease: bool) -> Leg:
    """Where a frame is between so many keys, in exact numbers.

    Args:
      index: of the frame, from 0.
      num_keys: spread evenly over the frames.
      num_frames: at least 2.
      loop: the first key follows the last.
      ease: slows down before each key, and speeds up behind it.
    """
    legs = num_keys if loop else num_keys - 1
    place = Fraction(index * legs, num_frames - (not loop))
    first = math.floor(place)
    amount = place - first
    if ease:
        amount = amount * amount * (3 - 2 * amount)
    first %= num_keys
    return Leg(first, (first + (amount > 0)) % num_keys, amount)


def fly(world: World, flight: Flight) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Paints the frames of a flight, in order; memory is that of a few.

    Args:
      world: gives the model, the devices, and what the flight leaves open. With a
        period, places beyond it are its repeats.
      flight: where to.

    Yields:
      uint8 frames; the caller owns them.
    """
    frames = map(flight.frame, range(flight.num_frames))
    for sight, group in itertools.groupby(frames, key=lambda frame: frame.sight):
        seen = list(group)
        windows = [_window(frame, flight) for frame in seen]
        painted = read_windows(_world_of(world, flight, sight), windows)
        for frame, picture in zip(seen, painted, strict=True):
            down, right = frame.top % 1, frame.left % 1
            if down or right:
                picture = shifted(picture, float(down), float(right))
            yield picture


def tile_size_for(world: World, flight: Flight) -> int:
    """Pixels a side of the tiles that paint a flight with little work.

    Args:
      world: with tiles of any size.
      flight: where to.
    """
    if not flight.changes_look:  # tiles are painted once and seen by many frames
        return costs.default_tile_size(world.setup.model)
    return estimates.cheapest_tile_size(world, some_windows(flight))


def some_windows(flight: Flight) -> list[Window]:
    """What is painted for the first frame, the last, and others evenly between."""
    last = flight.num_frames - 1
    chosen = sorted({last * part // _LOOKED_AT for part in range(_LOOKED_AT + 1)})
    return [_window(flight.frame(index), flight) for index in chosen]


def _window(frame: Frame, flight: Flight) -> Window:
    """What is painted for a frame: its window, or more where it must be shifted."""
    top, left = math.floor(frame.top), math.floor(frame.left)
    if top == frame.top and left == frame.left:
        return Window(top, left, flight.height, flight.width)
    more = _BEFORE + _AFTER
    return Window(
        top - _BEFORE, left - _BEFORE, flight.height + more, flight.width + more
    )


def _world_of(world: World, flight: Flight, sight: Sight) -> World:
    styles = world.scene.styles
    if sight.style is not None:
        styles = Constant(sight.style)
    elif styles is None:  # the look stays where local latents change
        styles = Constant(Seed(flight.seeds[0] if flight.seeds else world.seed))
    mix = sight.mix if flight.seeds else world.scene.mix
    scene = dataclasses.replace(world.scene, styles=styles, mix=mix)
    return dataclasses.replace(
        world, seed=world.seed if sight.seed is None else sight.seed, scene=scene
    )


def shifted(
    picture: UInt8[np.ndarray, "h2 w2 3"], down: float, right: float
) -> UInt8[np.ndarray, "h w 3"]:
    """A picture between pixels, by Lanczos interpolation.

    Args:
      picture: with two more pixels above and left, and three more below and right.
      down: where between two rows the result begins, 0 to 1.
      right: where between two columns.
    """
    values = picture.astype(np.float32)
    for axis, part in enumerate((down, right)):
        size = values.shape[axis] - _BEFORE - _AFTER
        taps = [
            values[(slice(None),) * axis + (slice(start, start + size),)] * weight
            for start, weight in enumerate(_kernel(part))
        ]
        values = sum(taps[1:], taps[0])
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _kernel(part: float) -> Float[np.ndarray, " n"]:
    """Weights of the pixels around a place between two."""
    offsets = np.arange(-_BEFORE, _AFTER + 1) - part
    weights = np.sinc(offsets) * np.sinc(offsets / _LOBES)
    return (weights / weights.sum()).astype(np.float32)
