"""World rows and columns as the generator sees them: (tanh, cos, sin).

docs/model.md, section 5. Everything is computed on the host, in exact integers and
float64, and split into a row part and a column part: two short vectors per window. Far
away is as sharp as near.
"""

import dataclasses
import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from infinitygan_jax import geometry

CUT = 3.0  # v spans [-CUT, CUT] over the training rows
NUM_COLUMNS = 140  # columns of the training grid
PERIOD = NUM_COLUMNS - 1  # cells after which cos and sin repeat
COLUMN_STEP = 2 / PERIOD  # u per cell
WINDOW_CELLS = geometry.PATCH_CELLS + 2 * geometry.STRUCTURE_MARGIN


def trained_rows(num_starts: int) -> int:
    """Rows of cells over which v spans [-CUT, CUT] in training: 20 for 10 starts."""
    return geometry.PATCH_CELLS + num_starts - 1


def row_step(num_starts: int) -> float:
    """How much v rises from a row of cells to the next in training: 0.3 likewise."""
    return 2 * CUT / trained_rows(num_starts)


@dataclasses.dataclass(frozen=True)
class Frame:
    """How coordinates lie over a world's cells.

    Attributes:
      rows: of cells over which v spans [-CUT, CUT], the learned vertical range.
      horizon: cell row of v = 0, the middle of that range.
      row_period: rows after which the world repeats; None where it does not.
      col_period: columns after which it repeats. (Columns' coordinates alone repeat
        after ``PERIOD`` cells even so.)
    """

    rows: float
    horizon: Fraction = Fraction(0)
    row_period: int | None = None
    col_period: int | None = None


def trained_frame(num_starts: int) -> Frame:
    """The frame of training, the horizon in cell row 0."""
    return Frame(rows=trained_rows(num_starts))


def world_coords(
    kind: str,
    row_start: int,
    rows: int,
    col_start: int,
    cols: int,
    frame: Frame,
) -> tuple[Float[np.ndarray, "h cr"], Float[np.ndarray, "w cc"]]:
    """Coordinates of the structure cells of a world window, as row and column parts.

    The middle of the learned vertical range, v = 0, is the horizon of a landscape
    (docs/model.md, section 5.1).

    Args:
      kind: "landscape" or "plane".
      row_start: world index of the first cell row; any integer.
      rows: cell rows, margins included.
      col_start: world index of the first cell column; any integer.
      cols: cell columns, margins included.
      frame: the learned vertical range, horizon and periods.
    """
    col_part = _periodic(col_start, cols, frame.col_period)
    if kind == "plane":
        return _periodic(row_start, rows, frame.row_period), col_part
    v = 2 * CUT / frame.rows * _below_horizon(row_start, rows, frame)
    return np.tanh(v)[:, None].astype(np.float32), col_part


def _below_horizon(start: int, size: int, frame: Frame) -> Float[np.ndarray, " n"]:
    """Cells from the horizon down to each row; with a period, to its nearest repeat."""
    whole = math.floor(frame.horizon)
    first = start - whole
    if frame.row_period is None:
        # float64 saturates far later than tanh does.
        distance = np.clip(first, -(2**60), 2**60) + np.arange(size, dtype=float)
    else:
        half = frame.row_period // 2
        index = (first + half) % frame.row_period + np.arange(size)
        distance = (index % frame.row_period - half).astype(float)
    return distance - float(frame.horizon - whole)


def grid(
    row_part: Float[Array | np.ndarray, "h cr"],
    col_part: Float[Array | np.ndarray, "w cc"],
) -> Float[Array, "h w c"]:
    """Joins the two parts to one coordinate vector per cell."""
    size = (row_part.shape[0], col_part.shape[0])
    row = jnp.broadcast_to(row_part[:, None, :], (*size, row_part.shape[1]))
    col = jnp.broadcast_to(col_part[None, :, :], (*size, col_part.shape[1]))
    return jnp.concatenate([row, col], axis=-1)


def training_coords(
    kind: str,
    row_start: Int[Array, ""],
    col_start: Int[Array, ""],
    row_jitter: Float[Array, ""],
    col_jitter: Float[Array, ""],
    num_starts: int,
) -> Float[Array, "35 35 c"]:
    """Coordinates of one training window (docs/model.md, section 5.1).

    Args:
      kind: "landscape" or "plane" (which takes the column's rule for both axes).
      row_start: first grid row, below ``num_starts`` ("plane": 0 .. 139).
      col_start: first grid column, 0 .. 139; columns wrap around.
      row_jitter: added to v (to u of the rows for "plane"), within half a grid step.
      col_jitter: added to u, within half a grid step: +-1/139.
      num_starts: rows of the grid in which a landscape's window can begin.
    """
    index = jnp.arange(WINDOW_CELLS)
    col = _phase(jnp.asarray(_grid_u())[(col_start + index) % NUM_COLUMNS] + col_jitter)
    if kind == "plane":
        u = jnp.asarray(_grid_u())[(row_start + index) % NUM_COLUMNS]
        return grid(_phase(u + row_jitter), col)
    v = jnp.asarray(_grid_v(num_starts))[row_start + index] + row_jitter
    return grid(jnp.tanh(v)[:, None], col)


def vertical_label(row_start: Int[Array, "*n"], num_starts: int) -> Float[Array, "*n"]:
    """Vertical label of training windows: the first start as -1, the last as 1."""
    return 2 * row_start.astype(jnp.float32) / (num_starts - 1) - 1


def _periodic(
    start: int, size: int, period: int | None = None
) -> Float[np.ndarray, "n 2"]:
    # The index is reduced first, so that the phase of a far cell has no rounding.
    period = PERIOD if period is None else period
    # A whole number of turns near the learned speed.
    turns = max(1, round(period / PERIOD))
    index = (start % period + np.arange(size)) * turns % period
    phase = np.pi * (2 / period * index - 1)
    return np.stack([np.cos(phase), np.sin(phase)], axis=-1).astype(np.float32)


def _phase(u: Float[Array, " n"]) -> Float[Array, "n 2"]:
    return jnp.stack([jnp.cos(np.pi * u), jnp.sin(np.pi * u)], axis=-1)


def _grid_v(num_starts: int) -> Float[np.ndarray, " n"]:
    x = np.arange(WINDOW_CELLS + num_starts) / trained_rows(num_starts)
    x = x - (x[-1] - 1) / 2  # the middle of the grid at 0.5
    return (CUT * (2 * x - 1)).astype(np.float32)


def _grid_u() -> Float[np.ndarray, " 140"]:
    return (COLUMN_STEP * np.arange(NUM_COLUMNS) - 1).astype(np.float32)
