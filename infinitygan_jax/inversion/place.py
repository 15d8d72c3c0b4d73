"""Where a picture lies in the world, and what it is painted from."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infinitygan_jax import coords, geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.geometry import AxisSpans, Span
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.generator import make_generator
from infinitygan_jax.models.layers import applied
from infinitygan_jax.sampling import frame as frame_lib

# The cells a side that a pixel's texture is made from, and that training shows.
LEAST_CELLS = geometry.TILE_CELLS_EXTRA + 1


class Latents(NamedTuple):
    """What pictures are painted from, beside coordinates; one picture a sample.

    Attributes:
      z_global: global latents, the structure synthesizer's style.
      styles: style vectors of all slots (W+).
      z_local: local latents of the pictures' cells and the margins around them.
      noise: noise maps, one per texture convolution.
    """

    z_global: Float[Array, "b d"]
    styles: Float[Array, "b n d"]
    z_local: Float[Array, "b H W l"]
    noise: tuple[Float[Array, "b _ _"], ...]


class Perspective(NamedTuple):
    """How pictures lie in their world's height.

    Attributes:
      horizon: row of the pictures in which the horizon lies; None for the middle one.
      vertical_span: pixels of the world's vertical range; None for that of `World`.
    """

    horizon: int | None = None
    vertical_span: int | None = None


class Shapes(NamedTuple):
    """Of what `Latents` hold of a place, without an axis of samples."""

    z_local: tuple[int, ...]
    noise: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a picture lies in the world.

    Attributes:
      top, left: world row and column of its first pixel, whole cells.
      height, width: its pixels; what fills its last cells is beyond it.
      num_stages: of the model; a cell is 2**num_stages pixels.
    """

    top: int
    left: int
    height: int
    width: int
    num_stages: int

    def __post_init__(self) -> None:
        cell = 2**self.num_stages
        if self.top % cell or self.left % cell:
            raise UserError(
                f"place ({self.top},{self.left}) must be whole cells of {cell} pixels; "
                f"the nearest is {round(self.top / cell) * cell},"
                f"{round(self.left / cell) * cell}"
            )

    @property
    def rows(self) -> AxisSpans:
        """World spans of all that its rows are painted from."""
        return _axis(self.top, self.height, self.num_stages)

    @property
    def cols(self) -> AxisSpans:
        """Likewise for its columns."""
        return _axis(self.left, self.width, self.num_stages)

    def cells_near(self, most: int) -> Float[np.ndarray, "H W"]:
        """For each cell of z_local, 1 where it is near the picture, else 0.

        Args:
          most: cells from the picture's, up, down, left and right.
        """
        return self._near(self.rows.latent, self.cols.latent, most)

    def noise_inside(self) -> tuple[Float[np.ndarray, "_ _"], ...]:
        """For each noise map, 1 where its values lie under the picture, else 0."""
        return tuple(map(self._near, self.rows.noise, self.cols.noise))

    def _near(self, rows: Span, cols: Span, most: int = 0) -> Float[np.ndarray, "_ _"]:
        """1 where a field's values lie at most so many of them from the picture."""
        axes = []
        for span, start, size in (
            (rows, self.top, self.height),
            (cols, self.left, self.width),
        ):
            step = 2 ** (self.num_stages - span.level)
            place = step * (span.start + np.arange(span.size)) - start
            axes.append((place >= -most * step) & (place < size + most * step))
        return np.outer(*axes).astype(np.float32)

    def shapes(self, z_local_size: int) -> Shapes:
        """Shapes of its z_local and noise, without an axis of samples."""
        rows, cols = self.rows, self.cols
        return Shapes(
            z_local=(rows.latent.size, cols.latent.size, z_local_size),
            noise=tuple(
                (row.size, col.size)
                for row, col in zip(rows.noise, cols.noise, strict=True)
            ),
        )


def _axis(start: int, size: int, num_stages: int) -> AxisSpans:
    cell = 2**num_stages
    first = start // cell - geometry.TILE_CELLS_BEFORE
    cells = -(-size // cell) + geometry.TILE_CELLS_EXTRA
    return geometry.axis_spans(first, cells, num_stages)


def default_top(height: int, horizon: int | None, num_stages: int) -> int:
    """World row of a picture's first, so that its horizon lies at world row 0.

    Args:
      height: of the picture.
      horizon: its row in which the horizon lies; None for the middle one.
      num_stages: of the model; the result is rounded to whole cells.
    """
    cell = 2**num_stages
    row = height // 2 if horizon is None else horizon
    return -((2 * row + cell) // (2 * cell)) * cell


def default_span(model: ModelConfig) -> int | None:
    """The vertical span of a world that is not told of one."""
    if model.coords == "plane":
        return None
    return frame_lib.learned_span(model)


def coords_of(
    model: ModelConfig, place: Place, vertical_span: int | None
) -> Float[np.ndarray, "H W c"]:
    """Coordinates of the cells of a place, in a world of this vertical span.

    Raises:
      ValueError: the vertical span is out of range, or of no meaning for this model.
    """
    frame = frame_lib.frame_of(model, 0, vertical_span, (None, None))
    rows, cols = place.rows.latent, place.cols.latent
    parts = coords.world_coords(
        model.coords, rows.start, rows.size, cols.start, cols.size, frame
    )
    return np.asarray(coords.grid(*map(jnp.asarray, parts)))


def paint(
    model: ModelConfig,
    params: Mapping[str, Any],
    latents: Latents,
    here: Float[Array, "H W c"],
    height: int,
    width: int,
) -> Float[Array, "b h w 3"]:
    """Paints a place from latents; differentiable.

    Args:
      model: sizes.
      params: the generator's parameters.
      latents: of the place's cells and margins.
      here: coordinates of the place (`coords_of`), the same for all.
      height: pixels of the place.
      width: likewise.

    Returns:
      float32 colours of about -1 to 1.
    """
    generator = make_generator(model)
    batch = latents.z_global.shape[0]
    everywhere = jnp.broadcast_to(here[None], (batch, *here.shape))
    structure = applied(
        generator,
        {"params": params},
        latents.z_local,
        everywhere,
        latents.z_global,
        method="structure",
    )
    noise = [each[..., None] for each in latents.noise]
    return applied(
        generator,
        {"params": params},
        structure,
        latents.styles,
        noise,
        height,
        width,
        method="window",
    )
