"""Other draws of latents and noise in a region."""

import dataclasses

import numpy as np

from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling.edits.edit import Edit, TileFields
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.edits.statistics import MeasuredLater, Statistics
from infinitygan_jax.sampling.styles import Axis
from infinitygan_jax.seed_range import check_seed


@dataclasses.dataclass(frozen=True, eq=False)
class Resample(Edit):
    """Other draws of local latents, noise or both in a region.

    Attributes:
      region: where; at least a cell a side where latents are drawn anew.
      seed: whose draws.
      structure: draws local latents.
      texture: draws noise.
      statistics: that the new latents take, or None.
    """

    region: Region
    seed: int = dataclasses.field()  # not the default of `Edit`
    structure: bool = True
    texture: bool = True
    statistics: Statistics | MeasuredLater | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not (self.structure or self.texture):
            raise UserError(
                "an edit must draw structure, texture or both anew; name one of them"
            )

    def meets(self, rows: Axis, cols: Axis) -> bool:
        """See `Edit`."""
        return bool(self.region.squares(rows, cols)[1].any())

    def write(self, tile: TileFields, stream: int) -> None:
        """Writes its stream's number where it draws; nothing is given there then."""
        rows, cols = tile.spans
        drawn = []
        if self.structure:
            drawn.append(
                (rows.latent, cols.latent, tile.streams.latent, tile.masks.z_local)
            )
        if self.texture:
            noise = (rows.noise, cols.noise, tile.streams.noise, tile.masks.noise)
            drawn += zip(*noise, strict=True)
        for down, right, streams, mask in drawn:
            where, part = self.region.squares(*tile.lattice.axes(down, right))
            streams[where] = np.where(part, np.uint16(stream), streams[where])
            mask[where] &= ~part[..., None]
