"""Where a world's horizon lies, over what its vertical range is spread, its repeats."""

import fractions

from infinitygan_jax import coords
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.sampling import plan as planning

MAX_VERTICAL_SPAN = 2**31 - 1  # pixels


def learned_span(config: ModelConfig) -> int:
    """Pixels that the vertical range of training takes: v from -3 to 3."""
    return coords.trained_rows(config.vertical_starts) * config.cell_size


def trained_height(config: ModelConfig) -> int:
    """Rows of pixels that training's patches cover, from the highest to the lowest."""
    return config.patch_size + (config.vertical_starts - 1) * config.cell_size


def landscape_level(config: ModelConfig, height: int) -> int:
    """The level at which a picture of so many rows shows one landscape, at most 0.

    It then shows no more rows of the world than training covers, and more than half of
    them if it has so many.
    """
    return -((height - 1) // trained_height(config)).bit_length()


def frame_of(
    config: ModelConfig,
    horizon: int,
    vertical_span: int | None,
    period: tuple[int | None, int | None],
) -> coords.Frame:
    """Coordinates' frame, in cells, from pixels; see ``World``.

    Raises:
      ValueError: a value is out of range, or of no meaning for this model.
    """
    span = learned_span(config) if vertical_span is None else vertical_span
    if not 1 <= span <= MAX_VERTICAL_SPAN:
        raise UserError(
            f"vertical_span ({span}) must be from 1 to {MAX_VERTICAL_SPAN} pixels; "
            f"{learned_span(config)} is as in training"
        )
    planning.check_horizon(horizon)
    if config.coords == "plane" and (horizon or vertical_span is not None):
        raise UserError(
            "horizon and vertical_span need a model of landscapes, and this one has "
            "no up and down (model.coords is plane); leave them out"
        )
    rows, cols = (None if each is None else each // config.cell_size for each in period)
    return coords.Frame(
        rows=span / config.cell_size,
        horizon=fractions.Fraction(horizon, config.cell_size),
        row_period=rows,
        col_period=cols,
    )
