"""Size algebra and world positions of the generator. Integers only, no JAX.

docs/model.md, section 2. One *structure cell* is one position of the texture
synthesizer's input and spans ``2**num_stages`` pixels. *Level* j counts up-samplings:
level 0 are structure cells, level ``num_stages`` are pixels, and index i of level j is
a world position: structure cell a sits at level-j index ``a * 2**j``.
"""

import dataclasses

from infinitygan_jax.messages import UserError

PATCH_CELLS = 11  # structure cells under one training patch
STRUCTURE_MARGIN = 12  # cells lost a side by the four 7x7 valid convolutions
MAX_STAGES = 8
TILE_CELLS_BEFORE = 2  # cells left of (above) an aligned window that its pixels need
TILE_CELLS_EXTRA = 5  # cells that an aligned window needs beyond its own


def texture_size(num_cells: int, num_stages: int) -> int:
    """Pixels a side that ``num_cells`` structure cells become: (n - 5) 2^k + 5."""
    return (num_cells - 5) * 2**num_stages + 5


def patch_size_of(num_stages: int) -> int:
    """Pixels a side of a training patch: 5 + 6 * 2**k (101 at k = 4)."""
    return texture_size(PATCH_CELLS, num_stages)


def num_stages_of(patch_size: int) -> int:
    """The number of up-sampling stages that gives a patch size.

    Raises:
      ValueError: no stage count gives ``patch_size``; the message names the nearest.
    """
    sizes = {patch_size_of(k): k for k in range(1, MAX_STAGES + 1)}
    if patch_size not in sizes:
        nearest = min(sizes, key=lambda size: abs(size - patch_size))
        raise UserError(
            f"patch_size ({patch_size}) must be 5 + 6 * 2**k for k in 1..{MAX_STAGES}; "
            f"the nearest is {nearest}"
        )
    return sizes[patch_size]


@dataclasses.dataclass(frozen=True)
class Span:
    """A run of world indices ``[start, start + size)`` of one axis at one level."""

    start: int
    size: int
    level: int

    @property
    def stop(self) -> int:
        return self.start + self.size


@dataclasses.dataclass(frozen=True)
class AxisSpans:
    """What one axis of a generated window reads and makes, in world indices.

    Attributes:
      latent: level-0 span of local latents and coordinates.
      structure: level-0 span of structure cells.
      noise: one span per texture convolution (up-sampling, plain, up-sampling, ...).
      pixels: level-k span of the image that comes out.
    """

    latent: Span
    structure: Span
    noise: tuple[Span, ...]
    pixels: Span


def axis_spans(first_cell: int, num_cells: int, num_stages: int) -> AxisSpans:
    """Spans of every field for a run of structure cells along one axis.

    In a stage, output index m sits at input position m / 2 + 1 (docs/model.md, section
    2), so a stage whose input starts at world index W makes up-sampled features from
    2W + 1 and its output from 2W + 2.

    Args:
      first_cell: world index of the first structure cell; any integer.
      num_cells: structure cells, at least 6.
      num_stages: up-sampling stages.

    Raises:
      ValueError: fewer than 6 cells, which give no window.
    """
    if num_cells < 6:
        raise UserError(f"num_cells ({num_cells}) must be at least 6; use 6")
    noise = []
    start, size = first_cell, num_cells
    for level in range(1, num_stages + 1):
        noise.append(Span(2 * start + 1, 2 * size - 3, level))  # n -> 2n - 3
        start, size = 2 * start + 2, 2 * size - 5  # n -> 2n - 5
        noise.append(Span(start, size, level))
    margin = STRUCTURE_MARGIN
    return AxisSpans(
        latent=Span(first_cell - margin, num_cells + 2 * margin, 0),
        structure=Span(first_cell, num_cells, 0),
        noise=tuple(noise),
        pixels=Span(start, size, num_stages),
    )


def tile_spans(tile_index: int, tile_cells: int, num_stages: int) -> AxisSpans:
    """Spans that make the pixels ``[t T, (t + 1) T)`` of tile t, T = tile_cells * 2**k.

    The window that comes out is five pixels larger: it starts two pixels before the
    tile (see ``TILE_CROP``).
    """
    first_cell = tile_index * tile_cells - TILE_CELLS_BEFORE
    return axis_spans(first_cell, tile_cells + TILE_CELLS_EXTRA, num_stages)


# Pixels of a tile's window before the tile itself: k stages put the window's pixel 0 at
# 2**k * (first cell) + 2 (2**k - 1), two pixels before 2**k * (first cell + 2).
TILE_CROP = 2
