"""Known pixels on painted ones: exact where known, and without a seam around them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from infinitygan_jax.geometry import Span

_SWEEPS = 8  # of a membrane at each of its scales
_BATCH = 2**18  # numbers of the membranes that are solved at once: they fit into caches


class Known(NamedTuple):
    """Pixels that a placement shows exactly.

    Attributes:
      image: colours.
      mask: which of them are known.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


class Picture(NamedTuple):
    """Known pixels at a place.

    Attributes:
      top, left: row and column of the first.
      image: colours.
      mask: which of them are known.
    """

    top: int
    left: int
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]

    def at_level(self, level: int) -> "Picture":
        """The same in a picture of 1 / 2**level of the size.

        Colours are means of what is known in a square, and known if half of it is.
        """
        if not level:
            return self
        mask = self.mask[..., None].astype(np.float32)
        # From the start of a square on, and of whole ones.
        pads = [
            (start % 2**level, -(start + side) % 2**level)
            for start, side in zip((self.top, self.left), self.mask.shape, strict=True)
        ]
        colours, share = (
            averaged(np.pad(each, [*pads, (0, 0)]), level)
            for each in (self.image * mask, mask)
        )
        image = np.rint(colours / np.maximum(share, 4.0**-level)).astype(np.uint8)
        return Picture(
            self.top >> level, self.left >> level, image, share[..., 0] >= 0.5
        )


class Rim(NamedTuple):
    """A picture among others, before what is painted there is known.

    All arrays are of the picture and the pixels around it that are corrected.

    Attributes:
      top, left: row and column of the first pixel.
      image: colours of the picture's known pixels; 0 elsewhere.
      mask: which are these.
      fixed: which pixels are known, or beside those, or far enough to be left alone.
      beside: which lie beside known ones, and are this picture's to correct.
      edge: which known ones lie beside those.
      wanted: colours of these, row by row.
    """

    top: int
    left: int
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    fixed: Bool[np.ndarray, "h w"]
    beside: Bool[np.ndarray, "h w"]
    edge: Bool[np.ndarray, "h w"]
    wanted: UInt8[np.ndarray, "n 3"]

    @property
    def places(self) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Rows and columns where what is painted has to be known: the edge's."""
        rows, cols = np.nonzero(self.edge)
        return rows + self.top, cols + self.left


class Overlay(NamedTuple):
    """Known pixels, and what is added to painted ones around them so that they meet.

    Attributes:
      top, left: row and column of the first pixel.
      image: colours of known pixels and of those beside them.
      mask: which are these.
      correction: added to the rest.
    """

    top: int
    left: int
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    correction: Float[np.ndarray, "h w 3"]

    @classmethod
    def of(cls, picture: Picture) -> "Overlay":
        """Known pixels alone, around which nothing is corrected."""
        nothing = np.broadcast_to(np.float32(0), picture.image.shape)
        return cls(*picture, nothing)

    @property
    def nbytes(self) -> int:
        """Memory of its arrays."""
        return self.image.nbytes + self.mask.nbytes + self.correction.nbytes


def rim_of(
    pictures: Sequence[Picture],
    which: int,
    ring: int,
    periods: Sequence[int | None] = (None, None),
) -> Rim:
    """What has to be known to lay a picture over what is painted, among others.

    A pixel beside known ones is corrected by one picture alone: by the last of those
    beside it. To the others it is fixed, as what they know is, so that corrections
    can be added and colours meet at each rim, however near pictures lie.

    Args:
      pictures: in order, a later one over an earlier one; this one, and all that lie
        within ``ring`` and a pixel of it.
      which: of these.
      ring: pixels around the picture that are corrected.
      periods: rows and columns after which all repeats, or None.
    """
    own = pictures[which]
    shape = tuple(side + 2 * ring for side in own.mask.shape)
    # Of the pixels around these too, which may be known to others.
    box = spans_of(
        *(place - ring - 1 for place in own[:2]), *(side + 2 for side in shape)
    )
    image = np.zeros((*(span.size for span in box), 3), np.uint8)
    owner = np.full(image.shape[:2], -1, np.int32)
    this, copies = -1, itertools.count()
    for picture in pictures:
        lies = spans_of(*picture[:2], *picture.mask.shape)
        for to, part in places_of(box, lies, periods):
            known, copy = picture.mask[part], next(copies)
            owner[to][known] = copy
            np.copyto(image[to], picture.image[part], where=known[..., None])
            # Not one of its repeats.
            if picture is own and to[0].start == to[1].start == ring + 1:
                this = copy
    known = owner >= 0
    beside = ~known & (_neighbours(owner, np.maximum, -1) == this)
    edge = known & _neighbours(beside, np.logical_or, False)
    fixed = known | _neighbours(known, np.logical_or, False)
    inner = slice(1, -1), slice(1, -1)
    fixed, beside, edge = (each[inner] for each in (fixed, beside, edge))
    fixed[[0, -1]] = fixed[:, [0, -1]] = True
    middle = slice(ring, shape[0] - ring), slice(ring, shape[1] - ring)
    mask = np.zeros(shape, bool)
    mask[middle] = own.mask
    shown = np.zeros((*shape, 3), np.uint8)
    np.copyto(shown[middle], own.image, where=own.mask[..., None])
    corner = own.top - ring, own.left - ring
    return Rim(*corner, shown, mask, fixed, beside, edge, image[inner][edge])


def overlays_of(
    rims: Sequence[Rim], painted: Sequence[UInt8[np.ndarray, "_ 3"]]
) -> list[Overlay]:
    """The overlays of pictures on what is painted at their edges.

    Pixels beside known ones take the mean colours of these. What known ones differ from
    what is painted in their place is spread around like a membrane, from the pixels
    beside them down to nothing at the ring's end (Laplace's equation), so that colours
    continue across the rim, whatever was painted there.

    Args:
      rims: of the pictures.
      painted: for each what is painted at its ``places``.
    """
    found: dict[int, Overlay] = {}
    shapes: dict[tuple[int, ...], list[int]] = {}
    for index, rim in enumerate(rims):
        shapes.setdefault(rim.edge.shape, []).append(index)
    for (height, width), indices in shapes.items():
        step = max(_BATCH // (3 * height * width), 1)
        for first in range(0, len(indices), step):
            batch = indices[first : first + step]
            overlays = _overlays_of_one_size(
                [rims[index] for index in batch], [painted[index] for index in batch]
            )
            for index, overlay in zip(batch, overlays, strict=True):
                found[index] = overlay
    return [found[index] for index in range(len(rims))]


def _overlays_of_one_size(
    rims: Sequence[Rim], painted: Sequence[UInt8[np.ndarray, "_ 3"]]
) -> list[Overlay]:
    edge = np.stack([rim.edge for rim in rims])
    at_edges = np.zeros((2, 3, *edge.shape), np.float32)  # colours, and differences
    wanted = np.concatenate([rim.wanted for rim in rims]).astype(np.float32)
    at_edges[0][:, edge] = wanted.T
    at_edges[1][:, edge] = (wanted - np.concatenate(painted)).T
    beside = np.stack([rim.beside for rim in rims])
    number = np.maximum(_neighbours(edge.astype(np.float32), np.add, 0), 1)
    means = _neighbours(at_edges, np.add, 0) / number * beside
    fixed = np.stack([rim.fixed for rim in rims])
    corrections = membranes(np.moveaxis(means[1], 0, 1), fixed)
    colours = np.rint(np.moveaxis(means[0], 0, -1)).astype(np.uint8)
    return [
        Overlay(
            rim.top,
            rim.left,
            rim.image + colours[index],
            rim.mask | rim.beside,
            np.ascontiguousarray(np.moveaxis(corrections[index], 0, -1)),
        )
        for index, rim in enumerate(rims)
    ]


def lay_over(
    pixels: UInt8[np.ndarray, "h w 3"],
    overlays: Sequence[Overlay],
    top: int,
    left: int,
    periods: Sequence[int | None] = (None, None),
) -> UInt8[np.ndarray, "h w 3"]:
    """Painted pixels with known ones over them, the later ones over the earlier ones.

    Args:
      pixels: of the part of a picture that starts at ``top, left``.
      overlays: in order.
      top: row of the first pixel.
      left: column of it.
      periods: rows and columns after which the overlays repeat, or None.
    """
    corrected = pixels.astype(np.float32)
    tile = spans_of(top, left, *pixels.shape[:2])
    places = [
        (overlay, to, part)
        for overlay in overlays
        for to, part in places_of(
            tile, spans_of(*overlay[:2], *overlay.mask.shape), periods
        )
    ]
    for overlay, to, part in places:
        corrected[to] += overlay.correction[part]
    np.rint(corrected, out=corrected)
    shown = np.clip(corrected, 0, 255, out=corrected).astype(np.uint8)
    # After all corrections: what is known is not corrected by a neighbour.
    for overlay, to, part in places:
        known = overlay.mask[part][..., None]
        np.copyto(shown[to], overlay.image[part], where=known)
    return shown


def membranes(
    values: Float[np.ndarray, "n c h w"],
    fixed: Bool[np.ndarray, "n h w"],
    seen: Bool[np.ndarray, "n h w"] | None = None,
) -> Float[np.ndarray, "n c h w"]:
    """Solves Laplace's equation between fixed values, nearly: coarse grids first.

    Args:
      values: where fixed, those; 0 elsewhere.
      fixed: which are; all of the border.
      seen: which fixed ones count on coarser grids; those beside others if not given.
        (All would not do: what lies within a picture is fixed too, at 0.)

    Returns:
      Values that are the mean of their neighbours wherever they are not fixed, nearly.
    """
    height, width = fixed.shape[1:]
    free = ~fixed[:, None]
    if seen is None:
        seen = fixed & _neighbours(~fixed, np.logical_or, False)
    solved = values.copy()
    if min(height, width) > 4:
        sides = ((0, height % 2), (0, width % 2))
        count, coarse_fixed = (
            _of_squares(np.pad(each, ((0, 0), *sides)).astype(np.float32))
            for each in (seen, fixed)
        )
        total = np.pad(values * seen[:, None], ((0, 0), (0, 0), *sides))
        means = _of_squares(total) / np.maximum(count, 1)[:, None]
        # Where the rim of what is known passes, the coarse grid keeps its value.
        coarse_fixed = coarse_fixed > 0
        coarse_fixed[:, [0, -1]] = coarse_fixed[:, :, [0, -1]] = True
        coarse = membranes(means, coarse_fixed, count > 0)
        solved += free * _twice(coarse)[..., :height, :width]
    inner = solved[..., 1:-1, 1:-1]
    kept = values[..., 1:-1, 1:-1]
    quarter = free[..., 1:-1, 1:-1] * np.float32(0.25)
    for _ in range(_SWEEPS):
        mean = solved[..., :-2, 1:-1] + solved[..., 2:, 1:-1]
        mean += solved[..., 1:-1, :-2]
        mean += solved[..., 1:-1, 2:]
        mean *= quarter
        np.add(mean, kept, out=inner)
    return solved


def _of_squares(array: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n H W"]:
    """Sums of squares of two numbers a side."""
    rows = array[..., ::2, :] + array[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def _twice(array: Float[np.ndarray, "*n h w"]) -> Float[np.ndarray, "*n H W"]:
    """An array of twice the size, interpolated."""
    for _ in range(2):  # columns, then rows; the last two axes change places twice
        wide = np.empty((*array.shape[:-1], 2 * array.shape[-1]), np.float32)
        most, rest = np.float32(0.75) * array, np.float32(0.25) * array
        wide[..., ::2] = most
        wide[..., 1::2] = most
        wide[..., 2::2] += rest[..., :-1]
        wide[..., 1:-1:2] += rest[..., 1:]
        wide[..., 0] += rest[..., 0]
        wide[..., -1] += rest[..., -1]
        array = np.swapaxes(wide, -1, -2)
    return array


def _neighbours(array: np.ndarray, join: np.ufunc, nothing: bool | float) -> np.ndarray:
    """What joins each element's four neighbours in the last two axes."""
    joined = np.full_like(array, nothing)
    later, former = slice(1, None), slice(None, -1)
    for to, source in ((later, former), (former, later)):
        join(joined[..., to, :], array[..., source, :], out=joined[..., to, :])
        join(joined[..., to], array[..., source], out=joined[..., to])
    return joined


def averaged(
    array: Float[np.ndarray, "h w c"] | UInt8[np.ndarray, "h w c"], level: int
) -> Float[np.ndarray, "H W c"]:
    """Means of squares of 2**level pixels a side."""
    square = 2**level
    height, width, channels = array.shape
    shape = (height // square, square, width // square, square, channels)
    return array.reshape(shape).mean((1, 3), dtype=np.float32)


def ring_of(height: int, width: int) -> int:
    """Pixels around a picture of a size over which painted ones are corrected."""
    return int(np.clip(min(height, width) // 4, 8, 128))


def spans_of(top: int, left: int, height: int, width: int) -> tuple[Span, Span]:
    """Rows and columns of a rectangle of pixels."""
    return Span(top, height, 0), Span(left, width, 0)


def places_of(
    tile: Sequence[Span], own: Sequence[Span], periods: Sequence[int | None]
) -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Where two rectangles have the same places: rows and columns of either.

    Args:
      tile: rows and columns of one.
      own: of the other, of the same levels.
      periods: cells after which rows and columns repeat, or None.
    """
    rows, cols = map(meetings, tile, own, periods)
    return [
        ((to_rows, to_cols), (from_rows, from_cols))
        for to_rows, from_rows in rows
        for to_cols, from_cols in cols
    ]


def meetings(tile: Span, own: Span, period: int | None) -> list[tuple[slice, slice]]:
    """Where two runs of one axis have the same indices: slices of either."""
    shifts: Iterable[int] = (0,)
    if period is not None:
        cells = period * 2**tile.level
        first, last = (
            (end - other) // cells
            for end, other in ((tile.start, own.stop), (tile.stop, own.start))
        )
        shifts = range(first * cells, (last + 1) * cells, cells)
    found = []
    for shift in shifts:
        start = max(tile.start, own.start + shift)
        stop = min(tile.stop, own.stop + shift)
        if start < stop:
            to = slice(start - tile.start, stop - tile.start)
            from_ = start - shift - own.start
            found.append((to, slice(from_, from_ + stop - start)))
    return found
