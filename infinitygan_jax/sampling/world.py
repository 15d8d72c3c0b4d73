"""An infinite picture as an array: any window of it can be read."""

import bisect
import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from infinitygan_jax import geometry
from infinitygan_jax.bundle import Bundle
from infinitygan_jax.config import DEFAULT_MODEL, ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import detail as detail_lib
from infinitygan_jax.models.detail import Detail
from infinitygan_jax.models.generator import check_params, stopped_early
from infinitygan_jax.sampling import costs, enlarging, indexing
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.edit import check_fits
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.enlarging import EnlargingPainter
from infinitygan_jax.sampling.frame import frame_of, learned_span
from infinitygan_jax.sampling.inputs import MAX_STREAMS
from infinitygan_jax.sampling.overlays import Overlays
from infinitygan_jax.sampling.painter import Painter
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.sampling.scene import PLAIN, Scene
from infinitygan_jax.sampling.setup import Period, Setup, default_batch_size
from infinitygan_jax.sampling.strips import paint_strips
from infinitygan_jax.sampling.view import View
from infinitygan_jax.seed_range import check_seed
from infinitygan_jax.training.stored import load_bundle

MAX_ARRAY_BYTES = 2**33  # of one window read as an array
_MOST_MEASURED = 1024  # tiles
_MOST_LOOKED_AT = 128  # tiles, before painting begins: some 15 ms each


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class World:
    """The picture of one model and seed: ``world[y0:y1, x0:x1]`` is a part of it.

    Rows and columns are world positions: row 0 is the horizon of a landscape, rows
    above it are negative, and there is no end within 2**62 pixels. A window's pixels
    do not depend on the window: on a CPU overlapping windows of one tile size agree
    byte for byte, and on other devices, or with another tile size, within 1/255 (2/255
    where they are corrected around known pixels of placements). At levels that detail
    is added to, where pixels are painted from pixels, such a difference may lead to
    larger ones.

    Nothing is painted or compiled before it is needed. Another world that differs in
    some attributes is ``dataclasses.replace(world, seed=7)``; nothing is compiled
    again for one that differs in seed and scene. What was found where nothing was said,
    such as the batch size, stays, unless None is given anew.

    Attributes:
      config: the model's sizes.
      generator_params: its parameters; must not be changed.
      seed: which picture, 0 to 2**64 - 1.
      tile_size: pixels a side that are painted at once; a multiple of the model's cell
        size. Default: what is fast for the model.
      devices: those to paint on. Default: all of this process.
      batch_size: tiles a device paints at once, at most; fewer where a window has few.
        Above 1, windows agree within 1/255 only, on a CPU too. Default: see
        `default_batch_size`.
      horizon: world row of the horizon, the middle of the learned vertical range.
      vertical_span: pixels over which the learned vertical range is spread, from the
        highest sky to the nearest ground. Default: that of training,
        ``learned_span(config)``; None for a model without up and down.
      period: rows and columns after which the picture repeats, so that its edges
        continue into each other; None where it does not.
      level: shows the world at 1 / 2**level of its size, by averaging squares of
        pixels. Below 0 it is seen closer, 2**-level times as large, with detail that
        the model's detail synthesizer adds: the mean of two by two pixels is exactly
        the pixel of the level above. Positions are those of the picture shown;
        ``horizon``, ``vertical_span``, ``period`` and the scene's stay pixels of level
        0.
      quick: does not paint what is averaged, but stops the generator ``level`` stages
        early: on the bundled model with some 47% and 18% of the operations at levels 1
        and 2. Similar, not equal. Needs a level above 0.
      scene: what else differs from the seed's own world, which is the default.
      detail: the model's detail synthesizer; None where it has none.
      ndim: 3, of rows, columns and channels; there is no ``shape``, as there is no end.
      dtype: uint8.

    Raises:
      ValueError: parameters of another model, or a value out of range.
    """

    config: ModelConfig = dataclasses.field(kw_only=False)
    generator_params: Mapping[str, Any] = dataclasses.field(kw_only=False)
    seed: int = 0
    tile_size: int | None = None
    devices: Sequence[jax.Device] | None = None
    batch_size: int | None = None
    horizon: int = 0
    vertical_span: int | None = None
    period: Period = (None, None)
    level: int = 0
    quick: bool = False
    scene: Scene = PLAIN
    detail: Detail | None = None

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __post_init__(self) -> None:
        for name in ("seed", "horizon", "level"):
            self._set(name, planning.whole(name, getattr(self, name)))
        for name in ("tile_size", "batch_size", "vertical_span"):
            if getattr(self, name) is not None:
                self._set(name, planning.whole(name, getattr(self, name)))
        self._set("period", _whole_period(self.period))
        devices = tuple(self.devices or jax.local_devices())
        self._set("devices", devices)
        has_detail = self.detail is not None
        planning.check_level(self.level, self.quick, self.config, has_detail)
        if self.tile_size is None:
            self._set("tile_size", costs.default_tile_size(self._painted))
        if self.batch_size is None:
            assert self.tile_size is not None
            size = default_batch_size(self._painted, self.tile_size, devices[0])
            self._set("batch_size", size)
        if self.config.coords != "plane" and self.vertical_span is None:
            self._set("vertical_span", learned_span(self.config))
        self._check()

    def _set(self, name: str, value: Any) -> None:
        """Gives an attribute its value while the world is made."""
        object.__setattr__(self, name, value)

    def _check(self) -> None:
        """Checks what is not checked on the way; see the class."""
        assert self.tile_size is not None
        assert self.batch_size is not None
        if self.batch_size < 1:
            raise UserError(f"batch_size ({self.batch_size}) must be at least 1; use 1")
        planning.check_tile_size(self.tile_size, self._painted)
        check_seed(self.seed)
        check_params(self.config, self.generator_params)
        if self.detail is not None:
            detail_lib.check_params(*self.detail)
        for name, each in zip(("height", "width"), self.period, strict=True):
            if each is not None:
                planning.check_period(name, each, self.config.cell_size)
        for edit in self.scene.edits:
            check_fits(edit, self.period)
        frame_of(self.config, self.horizon, self.vertical_span, self.period)

    @property
    def _painted(self) -> ModelConfig:
        """Sizes of what is painted: maybe of a generator without its last stages."""
        if not self.quick:
            return self.config
        changes: dict[str, Any] = {
            "patch_size": geometry.patch_size_of(self.config.num_stages - self.level),
            "previews": False,
            # Heads of the other may be too deep for such patches.
            "discriminator": "stylegan2",
        }
        return dataclasses.replace(self.config, **changes)

    @functools.cached_property
    def setup(self) -> Setup:
        """How its tiles are painted."""
        assert self.tile_size is not None
        assert self.batch_size is not None
        return Setup(
            model=self._painted,
            tile_size=self.tile_size,
            devices=tuple(self.devices or ()),
            batch_size=self.batch_size,
            seed=self.seed,
            scene=self.scene,
            frame=frame_of(self.config, self.horizon, self.vertical_span, self.period),
            stopped=self.level if self.quick else 0,
            averaged=0 if self.quick else max(self.level, 0),
            enlarged=max(-self.level, 0),
        )

    @property
    def adds_detail(self) -> bool:
        """Whether this level, below 0, is painted by the detail synthesizer."""
        return self.level < 0

    @property
    def truncation(self) -> float:
        """What local latents are multiplied by, 0 to 1."""
        return self.scene.of_painting("truncation", self.config)

    @property
    def noise_scale(self) -> float:
        """What noise is multiplied by, 0 to 1."""
        return self.scene.of_painting("noise_scale", self.config)

    @functools.cached_property
    def _painter(self) -> Painter:
        """Of what the generator paints; see ``adds_detail`` for what it does not."""
        params = stopped_early(self.setup.model, self.generator_params)
        return Painter(self.setup, params)

    @functools.cached_property
    def coarser(self) -> "World":
        """Of a level that detail is added to: the one above, which it is painted from.

        Its tiles are smaller, as a level on the way is asked for in small parts, which
        are painted in whole tiles; much smaller ones would be margins.
        """
        assert self.tile_size is not None and self.detail is not None
        cell, level = self.config.cell_size, self.level + 1
        size = -(-(self.tile_size // 4 + 4 * self.detail.config.margin) // cell) * cell
        size = min(size, self.tile_size)
        return dataclasses.replace(self, level=level, tile_size=size)

    @functools.cached_property
    def _enlarging(self) -> EnlargingPainter:
        assert self.detail is not None
        return EnlargingPainter(self.setup, self.detail, self.coarser)

    @functools.cached_property
    def _overlays(self) -> Overlays:
        """Known pixels, which lie over all edits."""
        return Overlays(self.setup)

    @classmethod
    def load(
        cls, path_or_name: str | os.PathLike[str] = DEFAULT_MODEL, **options: Any
    ) -> "World":
        """The picture of a trained model.

        Args:
          path_or_name: the name of a bundled model, a ``.safetensors`` file, or a
            workdir of ``run_train.py``.
          **options: ``seed`` and the other attributes of ``World``.

        Raises:
          ValueError: there is no such model, or it was truncated or altered.
        """
        bundle = load_bundle(path_or_name)
        options = {"detail": detail_of(bundle), **options}
        return cls(bundle.config.model, bundle.generator, **options)

    def at_level(self, level: int) -> "World":
        """The same world at 1 / 2**level of its size; see the attribute ``level``.

        Raises:
          ValueError: the model has no such level.
        """
        quick = self.quick and level > 0
        return dataclasses.replace(self, level=level, quick=quick)

    def __getitem__(self, key: Any) -> UInt8[np.ndarray, "..."] | np.uint8:
        """A part of the picture: ``world[rows, columns]``, as of a NumPy array.

        Rows and columns are integers or ranges with both bounds; steps are taken, and
        negative numbers are positions like others. What lies between steps is painted
        only where it shares a tile with what is asked for, or nearly. A third index is
        of channels, by NumPy's rules.

        Returns:
          uint8 (rows, columns, channels); the axis of an integer is left out.

        Raises:
          ValueError: a bound is missing, or the part is too large for memory, or beyond
            2**62.
          IndexError: too many indices, or a channel that there is not.
        """
        *parts, channels = indexing.expand(key, self.ndim)
        rows, cols = map(indexing.select_unbounded, indexing.AXES, parts)
        return self.select(rows, cols, indexing.select(indexing.AXES[2], channels, 3))

    def __iter__(self) -> Iterator[Any]:
        """Says why there is none: Python would try rows 0, 1, ... one by one.

        Raises:
          TypeError: always.
        """
        raise TypeError(
            "a world has no first row to begin with; take a part, world[y0:y1, x0:x1], "
            "and go through its rows"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Says why there is none: NumPy would make an array of one object of it.

        Raises:
          ValueError: always.
        """
        raise UserError(
            "a world has no end and so no array; take a part, world[y0:y1, x0:x1] or "
            "world.view(y0, x0, height, width)"
        )

    def view(self, y0: int, x0: int, height: int, width: int) -> View:
        """A window as an array that is painted where it is read; see ``View``."""
        return View(self, Window(y0, x0, height, width))

    def select(
        self,
        rows: indexing.Selection,
        cols: indexing.Selection,
        channels: indexing.Selection,
    ) -> UInt8[np.ndarray, "..."] | np.uint8:
        """Paints the selected rows and columns; see ``__getitem__``."""
        axes = (rows, cols, channels)
        shape = [len(axis.positions) for axis in axes]
        size = math.prod(shape)
        if size > MAX_ARRAY_BYTES:
            raise UserError(
                f"window ({shape[1]}x{shape[0]}) would take {size / 1e9:.0f} "
                f"GB, above {MAX_ARRAY_BYTES / 1e9:.0f} GB; read it in parts, or write "
                "it to a file with run_sample.py"
            )
        picture = np.empty(shape, np.uint8)
        for row_place, row_run in rows.runs() if size else ():
            for col_place, col_run in cols.runs():
                part = picture[row_place, col_place]
                self._paint_into(part, row_run, col_run, channels.as_slice())
        return picture[tuple(slice(None) if axis.keeps_axis else 0 for axis in axes)]

    def _paint_into(
        self,
        part: UInt8[np.ndarray, "h w c"],
        rows: range,
        cols: range,
        channels: slice,
    ) -> None:
        window = Window(
            rows[0], cols[0], rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1
        )
        top = rows[0]
        for strip in self.strips(window):
            # Those of the rows asked for that lie in this strip.
            first = -(-(top - rows[0]) // rows.step)
            stop = -(-(top + len(strip) - rows[0]) // rows.step)
            offset = rows[0] + first * rows.step - top
            part[first:stop] = strip[offset :: rows.step, :: cols.step, channels]
            top += len(strip)

    def plan(self, window: Window) -> Plan:
        """How a window is painted here, were there no period; see `Setup.plan`."""
        return self.setup.plan(window)

    def pieces(self, window: Window) -> list[list[Window]]:
        """What is painted for a window; see `Setup.pieces`."""
        return self.setup.pieces(window)

    def blends(self, window: Window) -> bool:
        """Whether a tile of a window blends styles; paints nothing.

        Of a window of more than 128 tiles, so many are looked at, evenly spread.

        Raises:
          ValueError: a tile sees too many styles or edits to be painted.
        """
        if self.adds_detail:
            assert self.detail is not None
            margin = self.detail.config.margin
            return self.coarser.blends(enlarging.seen_by(window, margin))
        plans = [self.plan(piece) for row in self.pieces(window) for piece in row]
        ends = list(itertools.accumulate(plan.num_tiles for plan in plans))
        step = -(-ends[-1] // _MOST_LOOKED_AT)

        def tile(index: int) -> planning.Tile:
            number = bisect.bisect_right(ends, index)
            plan = plans[number]
            row, col = divmod(
                index - (ends[number] - plan.num_tiles), len(plan.tile_cols)
            )
            return planning.Tile(plan.tile_rows[row], plan.tile_cols[col])

        return self._painter.blends(map(tile, range(0, ends[-1], step)))

    def strips(
        self,
        windows: Window | Iterable[Window],
        on_tiles: Callable[[int], Any] | None = None,
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Paints windows from the top, one row of tiles at a time.

        While a strip is used, the devices already paint the next tiles, those of the
        next window too. Memory does not grow with a window's height.

        Args:
          windows: what to paint, one after the other.
          on_tiles: called with the number of tiles that can be shown now, for a
            progress bar; with 0 where what was painted is what others wait for.

        Yields:
          uint8 strips of the full width of their window, in order; the caller owns
          them.
        """
        if isinstance(windows, Window):
            windows = [windows]
        if not self.adds_detail:
            return paint_strips(self._painter, self._overlays, windows, on_tiles)
        expected = self._expected(windows)
        return paint_strips(self._enlarging, self._overlays, expected, on_tiles)

    def _expected(self, windows: Iterable[Window]) -> Iterator[Window]:
        """Windows, of which what they are painted from is kept as they are taken."""
        for window in windows:
            self._enlarging.expect(window)
            yield window

    def latent_statistics(
        self, top: int, left: int, height: int, width: int
    ) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Means and deviations of each channel of local latents in a rectangle.

        Of pixels of level 0, and the same bits whatever size and tiles it is shown in.

        Raises:
          ValueError: it is impossible, of too many tiles, or sees too many edits.
        """
        world, plan = self.check_statistics(top, left, height, width)
        region = Region(top, left, height, width)
        # As they lie in the rectangle: sums depend on their order.
        cells = [
            [
                world._painter.latents_in(region, planning.Tile(row, col))
                for col in plan.tile_cols
            ]
            for row in plan.tile_rows
        ]
        rows = [np.concatenate(row, axis=1) for row in cells]
        values = np.concatenate(rows).astype(np.float64)
        axes = (0, 1)
        mean, deviation = values.mean(axes), values.std(axes)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def check_statistics(
        self, top: int, left: int, height: int, width: int
    ) -> tuple["World", Plan]:
        """Checks that ``latent_statistics`` can be had; draws nothing.

        Returns:
          The world to draw from, and its tiles.

        Raises:
          ValueError: they cannot; see there.
        """
        window = Window(top, left, height, width)
        default = costs.default_tile_size(self.config)
        number = Plan(window, default).num_tiles
        if number > _MOST_MEASURED:
            raise UserError(
                f"statistics must be of at most {_MOST_MEASURED} tiles of {default} "
                f"pixels, and {width}x{height} pixels are {number}; take a part of it"
            )
        cell = self.config.cell_size
        # Of rows and of columns: middles of cells before the start, and before the end.
        counts = (
            [(place + cell // 2 - 1) // cell for place in (start, start + size)]
            for start, size in ((top, height), (left, width))
        )
        if not all(before < after for before, after in counts):
            raise UserError(
                f"a rectangle ({width}x{height}) must hold the middle of a cell of "
                f"{cell} pixels; take a larger one"
            )
        size = costs.measuring_tile_size(self.config, window)
        # On one device, a tile at a time: there are few, and more would be fillers.
        world = dataclasses.replace(
            self,
            level=0,
            quick=False,
            tile_size=size,
            devices=self.setup.devices[:1],
            batch_size=1,
        )
        plan = world.plan(window)
        if sum(each.seed is not None for each in self.scene.edits) >= MAX_STREAMS:
            world._painter.check_draws(plan.tiles())
        return world, plan


def detail_of(bundle: Bundle) -> Detail | None:
    """The detail synthesizer of a bundle, if it has one."""
    if bundle.detail is None:
        return None
    return Detail(bundle.detail.config.detail, bundle.detail.params)


def _whole_period(period: Any) -> tuple[int | None, int | None]:
    try:
        height, width = period
    except (TypeError, ValueError):
        raise UserError(
            f"period ({period!r}) must be two numbers, of rows and of columns; write "
            "None for one that does not repeat"
        ) from None
    rows, columns = (
        None if each is None else planning.whole(f"period's {name}", each)
        for name, each in (("height", height), ("width", width))
    )
    return rows, columns
