"""Known pixels of placed pictures, which a world shows as they are, over all edits.

Around them, painted pixels are corrected so that colours meet. What they are corrected
by follows from what the world's own tiles show at a picture's edge: these tiles are
painted before the first that the picture reaches is shown.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int, UInt8

from infinitygan_jax.cache import Cache
from infinitygan_jax.sampling.edits import compositing
from infinitygan_jax.sampling.edits.compositing import Overlay, Picture, Rim
from infinitygan_jax.sampling.edits.region import Boxes, Region
from infinitygan_jax.sampling.plan import Tile, Window
from infinitygan_jax.sampling.setup import Setup

_KEPT_BYTES = 2**28  # of overlays, if there is more than one
_AHEAD_BYTES = 2**27  # of tiles that are painted before their turn


@dataclasses.dataclass(eq=False)
class Painting:
    """A tile that is or will be painted.

    Attributes:
      tile: of the lattice.
      both: whether its pixels are needed before squares of them are averaged, too.
      is_ahead: whether it may be painted before its turn.
      shown: its pixels in the picture, when they are there.
      whole: those before averaging.
    """

    tile: Tile
    both: bool
    is_ahead: bool = False
    shown: UInt8[np.ndarray, "p p 3"] | None = None
    whole: UInt8[np.ndarray, "t t 3"] | None = None


@dataclasses.dataclass(eq=False)
class Awaited:
    """An overlay, or what has to be painted before it is there.

    Attributes:
      index: of its picture.
      rim: of it, until the overlay is there.
      edges: tiles that its edge lies in, as long; for each, which of the edge's pixels,
        and their rows and columns in the tile.
      overlay: when it is there.
    """

    index: int
    rim: Rim | None
    edges: list[tuple[Painting, tuple[Int[np.ndarray, " n"], ...]]]
    overlay: Overlay | None = None


class Ahead:
    """What one reader of places awaits: tiles before their turn, and overlays."""

    def __init__(self, tile_size: int):
        """Takes pixels a side of a tile, as painted."""
        self._tile_bytes = 3 * tile_size**2
        self._paintings: Cache[Tile, Painting] = Cache(_AHEAD_BYTES)
        self.awaited: dict[int, Awaited] = {}

    def wanted(self, tile: Tile) -> tuple[Painting, bool]:
        """A tile, which is kept now, and whether it has to be painted yet."""
        painting = self._paintings.get(tile)
        if painting is not None:
            return painting, False
        painting = Painting(tile, both=True, is_ahead=True)
        self._paintings.put(tile, painting, self._tile_bytes)
        return painting, True

    def take(self, tile: Tile) -> Painting | None:
        """A tile whose turn it is, if it was painted before."""
        return self._paintings.pop(tile)

    def forget(self) -> None:
        """Drops tiles not needed for longest; whoever waits for one holds it."""
        self._paintings.shrink()


class Overlays:
    """Lays the known pixels of a world's edits over its tiles."""

    def __init__(self, setup: Setup):
        """Takes how tiles are painted."""
        self._setup = setup
        self._period = setup.period
        self._placed = _pictures_at(setup)
        areas = []
        for each in self._placed:
            region = Region(each.top, each.left, *each.mask.shape)
            areas.append((region, self._ring(each) << setup.stopped))
        self._boxes = Boxes(areas)
        # At level 0 these are the placements' own arrays, else a quarter at most.
        self._pictures: dict[int, Picture] = {}
        self._kept: Cache[int, Awaited] = Cache(_KEPT_BYTES)

    def needed(
        self, tile: Tile, part: Window, ahead: Ahead
    ) -> tuple[list[Painting], Painting, list[Awaited]]:
        """What has to be painted before a tile can be shown.

        Args:
          tile: whose turn it is.
          part: of it that is shown, in pixels as painted.
          ahead: what its reader awaits.

        Returns:
          What has to be painted yet, in order; the tile; and what lies over the part.
        """
        missing: list[Painting] = []
        over = []
        for index in self._reaching(part) if self._placed else ():
            awaited = self._kept.get(index) or ahead.awaited.get(index)
            if awaited is None and self._setup.enlarged:
                # What it is painted from meets it at its rim already.
                overlay = Overlay.of(self._picture(index))
                awaited = Awaited(index, None, [], overlay)
                self._kept.put(index, awaited, overlay.nbytes)
            elif awaited is None:
                awaited = Awaited(index, self._rim(index), [])
                missing += self._wait(awaited, ahead)
            over.append(awaited)
        painting = ahead.take(tile)
        if painting is None:
            painting = Painting(tile, both=bool(over))
            missing.append(painting)
        ahead.forget()
        return missing, painting, over

    def measure(self, awaited: Iterable[Awaited], ahead: Ahead) -> None:
        """Makes those overlays that are not there; what they wait for is painted."""
        missing = list(dict.fromkeys(each for each in awaited if each.overlay is None))
        rims, painted = [], []
        for each in missing:
            assert each.rim is not None
            values = np.empty((len(each.rim.wanted), 3), np.uint8)
            for painting, (index, rows, cols) in each.edges:
                assert painting.whole is not None
                values[index] = painting.whole[rows, cols]
            rims.append(each.rim)
            painted.append(values)
        overlays = compositing.overlays_of(rims, painted)
        for each, overlay in zip(missing, overlays, strict=True):
            each.overlay, each.rim, each.edges = overlay, None, []
            del ahead.awaited[each.index]
            self._kept.put(each.index, each, overlay.nbytes)
            self._kept.shrink()

    def over(
        self, painting: Painting, awaited: Sequence[Awaited]
    ) -> UInt8[np.ndarray, "p p 3"]:
        """What a tile shows under overlays, which are there."""
        assert painting.shown is not None
        if not awaited:
            return painting.shown
        whole, tile, size = painting.whole, painting.tile, self._setup.tile_size
        assert whole is not None
        overlays = [each.overlay for each in awaited if each.overlay is not None]
        corner = tile.row * size, tile.col * size
        laid = compositing.lay_over(whole, overlays, *corner, self._period)
        level = self._setup.averaged
        if not level:
            return laid
        # Elsewhere what is shown is the mean of colours that were not rounded before.
        changed = (laid != whole).any(axis=-1, keepdims=True).astype(np.float32)
        changed = compositing.averaged(changed, level) > 0
        means = np.rint(compositing.averaged(laid, level)).astype(np.uint8)
        return np.where(changed, means, painting.shown)

    def _ring(self, placed: Picture) -> int:
        """Pixels, as painted, around a picture that are corrected."""
        if self._setup.enlarged:
            return 0
        ring = compositing.ring_of(*placed.mask.shape)
        return max(ring >> self._setup.stopped, 1)

    def _reaching(self, part: Window) -> list[int]:
        """Pictures of which known or corrected pixels lie in a part of the world."""
        shown = compositing.spans_of(part.top, part.left, part.height, part.width)

        def reaches(index: int) -> bool:
            picture, ring = self._picture(index), self._ring(self._placed[index])
            corrected = compositing.spans_of(
                *(place - ring for place in picture[:2]),
                *(side + 2 * ring for side in picture.mask.shape),
            )
            return bool(compositing.places_of(shown, corrected, self._period))

        near = self._meeting(part.top, part.left, part.height, part.width)
        return list(filter(reaches, near))

    def _meeting(self, top: int, left: int, height: int, width: int) -> list[int]:
        """Pictures that reach a rectangle of pixels as painted."""
        level = self._setup.stopped
        period = [p if p is None else p << level for p in self._period]
        return self._boxes.meeting(
            top << level, left << level, height << level, width << level, period
        )

    def _picture(self, index: int) -> Picture:
        if index not in self._pictures:
            placed = self._placed[index].at_level(self._setup.stopped)
            # One for each edit, as `rim_of` tells them apart, equal ones too.
            self._pictures[index] = Picture(*placed)
        return self._pictures[index]

    def _rim(self, index: int) -> Rim:
        picture, ring = self._picture(index), self._ring(self._placed[index])
        height, width = picture.mask.shape
        around = ring + 1
        near = self._meeting(
            picture.top - around,
            picture.left - around,
            height + 2 * around,
            width + 2 * around,
        )
        pictures = list(map(self._picture, near))
        return compositing.rim_of(pictures, near.index(index), ring, self._period)

    def _wait(self, awaited: Awaited, ahead: Ahead) -> list[Painting]:
        """Notes which tiles an overlay waits for; those that are not painted yet."""
        assert awaited.rim is not None
        axes = []
        # Of the repeat whose tiles are painted.
        corners = (start << self._setup.averaged for start in self._setup.first_repeat)
        for place, period, corner in zip(
            awaited.rim.places, self._period, corners, strict=True
        ):
            if period is not None:
                place = (place - corner) % period + corner
            axes.append(np.divmod(place, self._setup.tile_size))
        (tile_rows, rows), (tile_cols, cols) = axes
        ahead.awaited[awaited.index] = awaited
        missing: list[Painting] = []
        # Of few tiles, whose numbers may be large.
        for row in np.unique(tile_rows):
            for col in np.unique(tile_cols[tile_rows == row]):
                index = np.flatnonzero((tile_rows == row) & (tile_cols == col))
                painting, is_new = ahead.wanted(Tile(int(row), int(col)))
                missing += [painting] * is_new
                awaited.edges.append((painting, (index, rows[index], cols[index])))
        return missing


def _pictures_at(setup: Setup) -> list[Picture]:
    """Pixels that a level shows as they are, in order, a later one over an earlier one.

    Below level 0 some pictures have no finer pixels of their own any more, and what is
    painted goes on from them: there, earlier ones are not seen.
    """
    zooms, found = setup.enlarged, []
    hidden: list[Picture] = []  # by later ones
    for edit in reversed(setup.scene.edits):
        if edit.picture is None:
            continue
        picture = edit.picture_at(zooms)
        if picture is None:
            known = edit.picture
            mask = known.mask.repeat(1 << zooms, 0).repeat(1 << zooms, 1)
            nothing = np.broadcast_to(np.uint8(0), (*mask.shape, 3))
            hidden.append(
                Picture(known.top << zooms, known.left << zooms, nothing, mask)
            )
            continue
        found.append(_without(picture, hidden, setup))
    return found[::-1]


def _without(picture: Picture, hidden: Sequence[Picture], setup: Setup) -> Picture:
    """A picture of which others hide a part."""
    mask = picture.mask.copy()
    own = compositing.spans_of(*picture[:2], *mask.shape)
    for other in hidden:
        lies = compositing.spans_of(*other[:2], *other.mask.shape)
        for to, part in compositing.places_of(own, lies, setup.period):
            mask[to] &= ~other.mask[part]
    return picture._replace(mask=mask)
