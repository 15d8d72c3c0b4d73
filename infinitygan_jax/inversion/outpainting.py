"""Outpainting and inbetweening: worlds that continue given pictures.

Both place inversions in a world and render it: any size, any position, any number of
answers, without inverting again.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from infinitygan_jax import geometry
from infinitygan_jax.bundle import Bundle
from infinitygan_jax.inversion.placement import placement_of
from infinitygan_jax.inversion.result import Inversion
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.plan import Window
from infinitygan_jax.sampling.scene import Scene
from infinitygan_jax.sampling.styles import Constant, Site, Sites
from infinitygan_jax.sampling.world import World, detail_of

# Cells beside a picture that its pixels see; also those whose latents it brings.
_SEEN_CELLS = geometry.STRUCTURE_MARGIN + geometry.TILE_CELLS_BEFORE


def outpainted(
    bundle: Bundle,
    inversion: Inversion,
    *,
    exact: bool = True,
    truncation: float | None = None,
    noise_scale: float | None = None,
    **options: Any,
) -> World:
    """The world around a picture, which lies where it was inverted, at its own level.

    Its style is the picture's, and so are the latents of its place; all others are
    drawn from the world's seed, so every seed is another answer.

    Args:
      bundle: the model.
      inversion: of the picture.
      exact: show the picture's own known pixels, not what its latents paint.
      truncation: of what is drawn; see ``Scene``.
      noise_scale: of all; see ``Scene``.
      **options: ``seed`` and other keyword arguments of ``World``, but no scene and no
        vertical span, which is the inversion's.

    Raises:
      ValueError: the inversion is of another checkpoint, or an option out of range; or
        the picture is finer than the model paints, and the model has no detail
        synthesizer.
    """
    inversion.check_model(bundle)
    model = bundle.config.model
    place = inversion.top, inversion.left
    placed = placement_of(inversion, model, *place, exact=exact)
    scene = Scene(
        styles=Constant(inversion.source),
        edits=(placed,),
        truncation=truncation,
        noise_scale=noise_scale,
    )
    return World(
        model,
        bundle.generator,
        scene=scene,
        vertical_span=inversion.vertical_span,
        detail=detail_of(bundle),
        **{"level": -inversion.zooms, **options},
    )


def rendered(bundle: Bundle, inversion: Inversion) -> UInt8[np.ndarray, "h w 3"]:
    """What the latents paint in the picture's place, at its own size, with detail.

    Raises:
      ValueError: as for ``outpainted``.
    """
    world = outpainted(bundle, inversion, exact=False)
    window = window_around(inversion, *inversion.own_size, (0.5, 0.5))
    return np.asarray(world.view(*dataclasses.astuple(window))[:])


def window_around(
    inversion: Inversion, height: int, width: int, at: tuple[float, float]
) -> Window:
    """The window of a size, at a picture's own level, in which it lies at a place.

    Args:
      inversion: of the picture.
      height: of the window.
      width: of the window.
      at: where the picture's middle lies, as shares of height and width.

    Raises:
      ValueError: the picture does not fit there; the message says where it does.
    """
    down, right = room_around(inversion.own_size, (height, width), at)
    top, left = inversion.top << inversion.zooms, inversion.left << inversion.zooms
    return Window(top - down, left - right, height, width)


def room_around(
    picture: tuple[int, int], size: tuple[int, int], at: tuple[float, float]
) -> tuple[int, int]:
    """Row and column of a picture's first pixel in a window.

    Args:
      picture: its height and width.
      size: those of the window.
      at: where the picture's middle lies, as shares of height and width.

    Raises:
      ValueError: the picture does not fit there; the message says where it does.
    """
    high, wide = picture
    height, width = size
    if high > height or wide > width:
        raise UserError(
            f"size ({width}x{height}) must be at least the picture's, {wide}x{high}; "
            "make it larger, or reduce the `picture`"
        )
    corner = []
    for share, side, part in zip(at, size, picture, strict=True):
        first = round(share * side - part / 2)
        # A place that is off by rounding fits.
        if not -1 <= first <= side - part + 1:
            least, most = part / 2 / side, 1 - part / 2 / side
            raise UserError(
                f"the picture's middle (at {at[0]:g},{at[1]:g}) must leave room for "
                f"all of it: {share:g} must be from {least:.3f} to {most:.3f}"
            )
        corner.append(min(max(first, 0), side - part))
    return corner[0], corner[1]


def inbetween(
    bundle: Bundle,
    inversions: Sequence[Inversion],
    height: int,
    width: int,
    *,
    truncation: float | None = None,
    noise_scale: float | None = None,
    **options: Any,
) -> tuple[World, Window]:
    """Pictures from left to right, and a passage from each to the next.

    The first is at the left edge and the last at the right one, or less than a cell
    before it; the others lie between, at even gaps. Horizons lie in one row.

    Args:
      bundle: the model.
      inversions: of the pictures, at least two.
      height: of the whole.
      width: of the whole.
      truncation: of what is drawn; see ``Scene``.
      noise_scale: of all; see ``Scene``.
      **options: ``seed`` and other keyword arguments of ``World``, but no scene and no
        vertical span, which is the first inversion's.

    Returns:
      The world, and the window that shows them.

    Raises:
      ValueError: fewer than two, of another checkpoint, of several vertical spans, or
        too large for the window.
    """
    if len(inversions) < 2:
        raise UserError(
            f"pictures ({len(inversions)}) to pass between must be at least 2; give "
            "another, or outpaint the one"
        )
    for inversion in inversions:
        inversion.check_model(bundle)
    spans = {inversion.vertical_span for inversion in inversions}
    if len(spans) > 1:
        raise UserError(
            f"pictures must be inverted with one vertical span, and have {len(spans)}: "
            f"{', '.join(map(str, spans))}; invert them with the same `vertical_span`"
        )
    model = bundle.config.model
    sizes = [inversion.image.shape[:2] for inversion in inversions]
    tops = [inversion.top for inversion in inversions]
    zooms = max(inversion.zooms for inversion in inversions)
    lefts, top, bottom = passage(sizes, tops, height, width, model.cell_size, zooms)
    sites, gap = _sites(inversions, lefts, model.cell_size)
    edits = tuple(
        placement_of(
            inversion, model, inversion.top, left, max(gap // 2, 0), styled=False
        )
        for inversion, left in zip(inversions, lefts, strict=True)
    )
    sources = tuple(inversion.source for inversion in inversions)
    scene = Scene(
        Sites(sites, sources, float(max(gap, 1))),
        edits=edits,
        truncation=truncation,
        noise_scale=noise_scale,
    )
    world = World(
        model,
        bundle.generator,
        scene=scene,
        vertical_span=inversions[0].vertical_span,
        detail=detail_of(bundle),
        **{"level": -zooms, **options},
    )
    middle = ((top + bottom) << zooms) // 2
    return world, Window(middle - height // 2, 0, height, width)


def passage(
    sizes: Sequence[tuple[int, int]],
    tops: Sequence[int],
    height: int,
    width: int,
    cell: int,
    zooms: int = 0,
) -> tuple[list[int], int, int]:
    """Where pictures lie in a passage, at level 0.

    Args:
      sizes: their heights and widths.
      tops: world rows of their first pixels.
      height: of the window, at level ``-zooms``.
      width: of the window, likewise.
      cell: pixels of the model's cell.
      zooms: see ``height``.

    Returns:
      Columns of the pictures, on the cells; the first row that any takes, and the one
      after the last.

    Raises:
      ValueError: they do not fit.
    """
    top = min(tops)
    bottom = max(first + size[0] for first, size in zip(tops, sizes, strict=True))
    if bottom - top > height >> zooms:
        least = (bottom - top) << zooms
        raise UserError(
            f"height ({height}) must be at least {least}, what the pictures "
            "take with their horizons in one row; make it larger"
        )
    wides = [wide for _, wide in sizes]
    room = (width >> zooms) - sum(wides)
    least = (len(wides) - 1) * cell
    if room < least:
        raise UserError(
            f"width ({width}) must be at least {(sum(wides) + least) << zooms}, the "
            "pictures' and "
            "a cell between each two; make it larger"
        )
    lefts, left = [], 0.0
    for wide in wides:
        lefts.append(int(left) // cell * cell)
        left += wide + room / (len(wides) - 1)
    return lefts, top, bottom


def _sites(
    inversions: Sequence[Inversion], lefts: Sequence[int], cell: int
) -> tuple[tuple[Site, ...], int]:
    """Where the pictures' styles are at home, and the narrowest way between two."""
    ends = [
        (left, left + inversion.image.shape[1])
        for inversion, left in zip(inversions, lefts, strict=True)
    ]
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(ends)]
    # All that a picture sees is of its style, where there is room for a change too.
    margin = min(_SEEN_CELLS * cell, min(gaps) // 3)
    sites = tuple(Site(None, None, a - margin, b + margin) for a, b in ends)
    return sites, min(gaps) - 2 * margin
