"""A style in a region."""

import dataclasses

from infinitygan_jax.sampling.edits.edit import Edit, check_feather
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.styles import Source


@dataclasses.dataclass(frozen=True, eq=False)
class Pin(Edit):
    """One style in a region, blended into what is around it.

    Attributes:
      region: where.
      source: the style.
      feather: pixels around the region over which it fades; at least 0.
    """

    region: Region
    source: Source = dataclasses.field()  # not the default of `Edit`
    feather: int = 0

    def __post_init__(self) -> None:
        check_feather(self.feather)
