"""Edits of a world: what differs from what its seed alone would give, and where.

An edit is a few numbers. It changes the fields of a region - local latents, noise,
styles, coordinates - and so the pixels that see that region, and no others.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from infinitygan_jax import coords
from infinitygan_jax.geometry import AxisSpans, Span
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling import tiles
from infinitygan_jax.sampling.edits.compositing import Picture
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.statistics import MeasuredLater, Statistics
from infinitygan_jax.sampling.inputs import Streams
from infinitygan_jax.sampling.styles import Axis, Source


class Lattice(NamedTuple):
    """Where cells lie in the world.

    Attributes:
      cell: pixels of a cell at level 0, also where stages are left out.
      frame: of the world's coordinates.
    """

    cell: int
    frame: coords.Frame

    @property
    def periods(self) -> tuple[int | None, int | None]:
        """Rows and columns of cells after which the world repeats, or None."""
        return self.frame.row_period, self.frame.col_period

    def axes(self, rows: Span, cols: Span) -> tuple[Axis, Axis]:
        """World positions, in pixels of level 0, of two spans of any stage."""
        first, second = (
            Axis(
                span.start * (self.cell >> span.level),
                span.size,
                self.cell >> span.level,
                None if period is None else period * self.cell,
            )
            for span, period in zip((rows, cols), self.periods, strict=True)
        )
        return first, second


class TileFields(NamedTuple):
    """What the fields of one tile come from, without an axis of tiles.

    Attributes:
      spans: what they cover: of rows, and of columns.
      lattice: where that is.
      streams: which stream each value is drawn from; 0 is the world's own.
      given: values that stand in for drawn ones.
      masks: where these do.
    """

    spans: tuple[AxisSpans, AxisSpans]
    lattice: Lattice
    streams: Streams
    given: tiles.Fields
    masks: tiles.FieldMasks


class Edit:
    """What a world asks of its edits; a kind of edit is a subclass.

    What is here is an edit that changes nothing, and a kind says what it changes: draws
    of its own (``seed``), fields that it brings (``gives_fields``, ``gives_coords``), a
    style, known pixels. Edits are laid over each other in order, and do not change.

    Attributes:
      region: where.
      feather: pixels around the region over which style and coordinates fade.
      seed: of a stream of its own that fields are drawn from; None for none.
      statistics: that latents drawn from this take; None for those of any draw.
      source: the style that shows in the region; None for those around it.
      gives_fields: whether it brings latents or noise; see ``write``.
      gives_coords: whether it brings coordinates; see ``bend``.
      picture: pixels that are shown as they are, at level 0; None for none. See also
        ``picture_at``.
      subject: what messages call that of which the region is the place.
    """

    region: Region
    feather: int = 0
    seed: int | None = None
    statistics: Statistics | MeasuredLater | None = None
    source: Source | None = None
    gives_fields: bool = False
    gives_coords: bool = False
    picture: Picture | None = None
    subject: str = "it"

    @property
    def reach(self) -> int:
        """Pixels around the region that it changes, beside what sees it."""
        return self.feather

    def picture_at(self, zooms: int) -> Picture | None:
        """Pixels that are shown as they are at level ``-zooms``; None for none.

        By default at level 0 alone: a closer look goes on from them.
        """
        return None if zooms else self.picture

    def meets(self, rows: Axis, cols: Axis) -> bool:
        """Whether it changes anything at the crossings of two axes of cells."""
        return bool(self.region.share_near(rows, cols, self.feather)[1].any())

    def write(self, tile: TileFields, stream: int) -> None:
        """Changes what the latents and noise of a tile come from.

        Args:
          tile: its ``streams``, ``given`` and ``masks`` are changed.
          stream: the number of its own stream, if it has one.
        """

    def bend(
        self,
        bends: Float[np.ndarray, "h w 2"],
        where: tuple[np.ndarray, np.ndarray],
        share: Float[np.ndarray, "n m"],
        spans: tuple[Span, Span],
        lattice: Lattice,
    ) -> None:
        """Moves coordinates of a tile's cells towards its own, if it gives any.

        Args:
          bends: how far those of rows and of columns are moved; changed.
          where: rows and columns of cells that it changes.
          share: of the way to its own, there; see ``Region.share_near``.
          spans: of all cells.
          lattice: where they lie.
        """


def check_fits(edit: Edit, period: tuple[int | None, int | None]) -> None:
    """Checks that an edit does not meet itself where the world repeats.

    Raises:
      ValueError: it does.
    """
    region, reach = edit.region, 2 * edit.reach
    sides = (("height", region.height), ("width", region.width))
    for each, (name, side) in zip(period, sides, strict=True):
        if each is not None and side + reach > each:
            raise UserError(
                f"an edit of {region.width}x{region.height} pixels, {edit.reach} "
                f"beyond {edit.subject}, must fit into the {name} ({each}) after which "
                "the world repeats; wrap a larger picture"
            )


def check_feather(feather: int) -> None:
    """Checks over how many pixels a style fades.

    Raises:
      ValueError: out of range.
    """
    if not 0 <= feather <= planning.SIDE_LIMIT:
        raise UserError(
            f"feather ({feather}) must be from 0 to {planning.SIDE_LIMIT} pixels; use "
            "0 for the narrowest"
        )
