"""An infinite picture as an array: any window of it can be read."""

import bisect
import collections
import copy
import dataclasses
import fractions
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from infinitygan_jax import coords, fields, geometry, machine
from infinitygan_jax.config import DEFAULT_MODEL, ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models.generator import check_params, stopped_early
from infinitygan_jax.sampling import costs, indexing
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling.edits.edit import check_fits
from infinitygan_jax.sampling.edits.overlays import Ahead, Awaited, Overlays, Painting
from infinitygan_jax.sampling.edits.region import Region
from infinitygan_jax.sampling.painter import Painter, Scene
from infinitygan_jax.sampling.plan import Plan, Window
from infinitygan_jax.sampling.tiles import MAX_STREAMS
from infinitygan_jax.sampling.view import View
from infinitygan_jax.training.stored import load_bundle

MAX_ARRAY_BYTES = 2**33  # of one window read as an array
MAX_VERTICAL_SPAN = 2**31 - 1  # pixels
# Chosen by looking at pictures of the bundled model: as in training (1) one of 1000
# rows is two walls with a line between, from 10 on one of 384 has no sky. At 4096 rows
# any fixed span is one of the two; `make sample` spreads it over the picture.
SPAN_STRETCH = 4
PLAIN = Scene()
_MOST_MEASURED = 1024  # tiles
_MOST_LOOKED_AT = 128  # tiles, before painting begins: some 15 ms each
_TILES_PER_GIVING = 16  # of which clearing pages anew takes a hundredth

_ready = itertools.count()  # tiles of all worlds that became ready


class World:
    """The picture of one model and seed: ``world[y0:y1, x0:x1]`` is a part of it.

    Rows and columns are world positions: row 0 is the horizon of a landscape, rows
    above it are negative, and there is no end within 2**62 pixels. A window's pixels
    do not depend on the window: on a CPU overlapping windows of one tile size agree
    byte for byte, and on other devices, or with another tile size, within 1/255 (2/255
    where they are corrected around known pixels of placements).

    Attributes:
      ndim: 3, of rows, columns and channels; there is no ``shape``, as there is no end.
      dtype: uint8.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        config: ModelConfig,
        generator_params: Mapping[str, Any],
        *,
        seed: int = 0,
        tile_size: int | None = None,
        devices: Sequence[jax.Device] | None = None,
        batch_size: int | None = None,
        horizon: int = 0,
        vertical_span: int | None = None,
        period: tuple[int | None, int | None] = (None, None),
        level: int = 0,
        quick: bool = False,
        scene: Scene = PLAIN,
    ):
        """Prepares the picture; nothing is painted or compiled yet.

        Args:
          config: the model's sizes.
          generator_params: its parameters; must not be changed afterwards.
          seed: which picture, 0 to 2**64 - 1.
          tile_size: pixels a side that are painted at once; a multiple of the model's
            cell size. Default: what is fast for the model.
          devices: those to paint on. Default: all of this process.
          batch_size: tiles a device paints at once, at most; fewer where a window has
            few. Above 1, windows agree within 1/255 only, on a CPU too. Default: see
            `default_batch_size`.
          horizon: world row of the horizon, the middle of the learned vertical range.
          vertical_span: pixels over which the learned vertical range is spread, from
            the highest sky to the nearest ground. Default: ``SPAN_STRETCH`` times
            that of training, ``learned_span(config)``.
          period: rows and columns after which the picture repeats, so that its edges
            continue into each other; None where it does not.
          level: shows the world at 1 / 2**level of its size, by averaging squares of
            pixels. Positions are those of the smaller picture; ``horizon``,
            ``vertical_span`` and ``period`` stay pixels of level 0.
          quick: does not paint what is averaged, but stops the generator ``level``
            stages early: on the bundled model with 64%, 31% and 13% of the operations
            at levels 1, 2 and 3. Similar, not equal. Needs a level above 0.
          scene: what else differs from the seed's own world, which is the default.

        Raises:
          ValueError: parameters of another model, or a value out of range.
        """
        devices = list(devices or jax.local_devices())
        seed, horizon, level = (
            planning.whole(name, value)
            for name, value in (("seed", seed), ("horizon", horizon), ("level", level))
        )
        tile_size, batch_size, vertical_span = (
            None if value is None else planning.whole(name, value)
            for name, value in (
                *(("tile_size", tile_size), ("batch_size", batch_size)),
                ("vertical_span", vertical_span),
            )
        )
        period = _whole_period(period)
        planning.check_level(level, quick, config)
        painted = _stopped_early(config, level) if quick else config
        if tile_size is None:
            tile_size = costs.default_tile_size(painted)
        if batch_size is None:
            batch_size = default_batch_size(painted, tile_size, devices[0])
        if batch_size < 1:
            raise UserError(f"batch_size ({batch_size}) must be at least 1; use 1")
        planning.check_tile_size(tile_size, painted)
        fields.stream_key(seed, fields.Z_LOCAL)  # refuses a seed that is out of range
        check_params(config, generator_params)
        for name, each in zip(("height", "width"), period, strict=True):
            if each is not None:
                planning.check_period(name, each, config.cell_size)
        for edit in scene.edits:
            check_fits(edit, period)
        self.config = config
        self.seed = seed
        self.horizon = horizon
        if config.coords != "plane" and vertical_span is None:
            vertical_span = SPAN_STRETCH * learned_span(config)
        self.vertical_span = vertical_span
        self.period = period
        self.level = level
        self.painted_config = painted
        self._averaged = 0 if quick else level  # levels that tiles are reduced by
        self._frame = frame_of(config, horizon, vertical_span, period)
        self.scene = scene
        self.tile_size = tile_size
        self.devices = devices
        self.batch_size = batch_size
        self._generator_params = generator_params

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
        return Painter(
            self.painted_config,
            self.config.cell_size,
            stopped_early(self.painted_config, self._generator_params),
            self.seed,
            self._frame,
            self.scene,
            self.tile_size,
            self.devices,
            self._averaged,
        )

    @classmethod
    def load(
        cls, path_or_name: str | os.PathLike = DEFAULT_MODEL, **options: Any
    ) -> "World":
        """The picture of a trained model.

        Args:
          path_or_name: the name of a bundled model, a ``.safetensors`` file, or a
            workdir of ``run_train.py``.
          **options: ``seed`` and the other keyword arguments of ``World``.

        Raises:
          ValueError: there is no such model, or it was truncated or altered.
        """
        bundle = load_bundle(path_or_name)
        return cls(bundle.config.model, bundle.generator, **options)

    def varied(self, seed: int, scene: Scene) -> "World":
        """Another world of the same model, in all else but seed and scene like this.

        Parameters are not checked again, and nothing is compiled again.

        Args:
          seed: which picture.
          scene: what else differs from the seed's own world.

        Raises:
          ValueError: a value is out of range.
        """
        fields.stream_key(seed, fields.Z_LOCAL)
        for edit in scene.edits:
            check_fits(edit, self.period)
        other = copy.copy(self)
        for name, value in vars(World).items():
            if isinstance(value, functools.cached_property):  # of seed or scene
                other.__dict__.pop(name, None)
        other.seed, other.scene = seed, scene
        return other

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
        """How a window is painted here, were there no period.

        Raises:
          ValueError: at this level it lies beyond 2**62 pixels of level 0.
        """
        plan = Plan(
            window, self.tile_size, len(self.devices), self.batch_size, self._averaged
        )
        batch_size = costs.batch_for(plan.num_tiles, plan.num_devices, self.batch_size)
        limit = planning.POSITION_LIMIT >> self.level
        if min(window.top, window.left) < -limit or (
            max(window.bottom, window.right) > limit
        ):
            raise UserError(
                f"rows and columns must lie within -2**62 to 2**62 at level 0, so "
                f"within {-limit} to {limit} at level {self.level}; choose an origin "
                "nearer to 0"
            )
        return dataclasses.replace(plan, batch_size=batch_size)

    def blends(self, window: Window) -> bool:
        """Whether a tile of a window blends styles; paints nothing.

        Of a window of more than 128 tiles, so many are looked at, evenly spread.

        Raises:
          ValueError: a tile sees too many styles or edits to be painted.
        """
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
        ahead = Ahead(self.tile_size)
        for num_painted, shown in self._painted(self._needed(windows, ahead)):
            _give_back_after(num_painted)
            if on_tiles is not None:
                on_tiles(len(shown))
            awaited = (each for needed in shown for each in needed.over)
            self._overlays.measure(awaited, ahead)
            for place, _, painting, over in shown:
                _put(place, self._overlays.over(painting, over))
                if place.is_last:
                    yield place.strip

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
        world = self._in_full(size)
        plan = world.plan(window)
        if sum(each.seed is not None for each in self.scene.edits) >= MAX_STREAMS:
            world._painter.check_draws(plan.tiles())
        return world, plan

    def pieces(self, window: Window) -> list[list[Window]]:
        """What is painted for a window: itself, or with a period its parts, in rows.

        Each part lies in one and the same period, so that a place and its repeats are
        the same computation and agree byte for byte.
        """
        height, width = (p if p is None else p >> self.level for p in self.period)
        top, left = self._first_repeat
        rows = planning.pieces(window.top, window.height, top, height)
        cols = planning.pieces(window.left, window.width, left, width)
        return [[Window(y, x, h, w) for x, w in cols] for y, h in rows]

    def _places(self, windows: Iterable[Window]) -> Iterator["_Place"]:
        """Every tile of some windows, and where it belongs."""
        for window in windows:
            for row in self.pieces(window):
                plans = [self.plan(piece) for piece in row]
                for tile_row in plans[0].tile_rows:
                    top, bottom = plans[0].strip_rows(tile_row)
                    strip = np.empty((bottom - top, window.width, 3), np.uint8)
                    left = 0
                    for plan in plans:
                        right = left + plan.window.width
                        for col in plan.tile_cols:
                            is_last = (col + 1, right) == (
                                plan.tile_cols.stop,
                                window.width,
                            )
                            tile = planning.Tile(tile_row, col)
                            yield _Place(tile, plan, strip, left, is_last)
                        left = right

    @functools.cached_property
    def _overlays(self) -> Overlays:
        """Known pixels, which lie over all edits."""
        # Periods are whole cells, which are whole pixels at any level.
        level = self.level - self._averaged
        period = [p if p is None else p >> level for p in self.period]
        top, left = (start << self._averaged for start in self._first_repeat)
        return Overlays(
            self.scene.edits, self.tile_size, level, self._averaged, period, (top, left)
        )

    @property
    def _first_repeat(self) -> tuple[int, int]:
        """Row and column where the repeat begins that is painted for all of them."""
        height = self.period[0]
        # Centred on row 0, as pictures are unless told otherwise.
        return 0 if height is None else -((height >> self.level) // 2), 0

    def _needed(self, windows: Iterable[Window], ahead: Ahead) -> Iterator["_Needed"]:
        """Every tile of some windows, and what has to be painted for it."""
        for place in self._places(windows):
            needed = self._overlays.needed(place.tile, place.part, ahead)
            yield _Needed(place, *needed)

    def _in_full(self, tile_size: int) -> "World":
        """The world at its full size, for a little work.

        On one device, a tile at a time: there are few, and more would be fillers.
        """
        other = self.varied(self.seed, self.scene)
        other.level = other._averaged = 0
        other.painted_config = self.config
        other.tile_size, other.batch_size = tile_size, 1
        other.devices = self.devices[:1]
        return other

    def _painted(
        self, needed: Iterator["_Needed"]
    ) -> Iterator[tuple[int, list["_Needed"]]]:
        """How many tiles were painted, and what can be shown now; in order.

        The next tiles are under way when some are handed out.
        """
        num_devices, batch_size = len(self.devices), None
        ahead: collections.deque = collections.deque()
        for paintings, shown in _steps(needed, num_devices * self.batch_size):
            if batch_size is None:
                # A short first step is the only one, and its batches may be smaller. A
                # short last one is filled: another shape would be compiled for it.
                batch_size = costs.batch_for(
                    len(paintings), num_devices, self.batch_size
                )
            wanted = [painting.tile for painting in paintings]
            wanted += wanted[-1:] * (num_devices * batch_size - len(wanted))
            if self._averaged and any(painting.both for painting in paintings):
                pixels = self._painter.paint_both(wanted)
            else:
                pixels = (self._painter.paint(wanted),)
            ahead.append((paintings, shown, pixels))
            if len(ahead) > 1:
                yield _fetched(*ahead.popleft())
        for each in ahead:
            yield _fetched(*each)


class _Place(NamedTuple):
    """Where a tile belongs.

    Attributes:
      tile: of the lattice.
      plan: of the piece of a window that it is painted for.
      strip: rows of the window that it is a part of.
      left: column of the strip where the piece begins.
      is_last: whether the strip is finished with it.
    """

    tile: planning.Tile
    plan: Plan
    strip: UInt8[np.ndarray, "h w 3"]
    left: int
    is_last: bool

    @property
    def part(self) -> Window:
        """What of the tile is shown, in pixels as painted."""
        (top, bottom), (left, right) = (
            self.plan.strip_rows(self.tile.row),
            self.plan.strip_cols(self.tile.col),
        )
        level = self.plan.level
        sides = top, left, bottom - top, right - left
        return Window(*(side << level for side in sides))

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the tile's first pixel, in the picture's world."""
        size = self.plan.tile_pixels
        return self.tile.row * size, self.tile.col * size


class _Needed(NamedTuple):
    """A tile at its place, and what is needed to show it.

    Attributes:
      place: where it belongs.
      missing: what is painted for it and for nothing before it, in order.
      painting: the tile, among these or before.
      over: what lies over it.
    """

    place: _Place
    missing: list[Painting]
    painting: Painting
    over: list[Awaited]


def _steps(
    needed: Iterable[_Needed], size: int
) -> Iterator[tuple[list[Painting], list[_Needed]]]:
    """What is painted at once, so many but for the last, and what it is enough for."""
    paintings: list[Painting] = []
    shown: list[_Needed] = []
    for each in needed:
        for painting in each.missing:
            if len(paintings) == size:
                yield paintings, shown
                paintings, shown = [], []
            paintings.append(painting)
        shown.append(each)
    if paintings:
        yield paintings, shown


def _fetched(
    paintings: list[Painting], shown: list[_Needed], pixels: tuple[Any, ...]
) -> tuple[int, list[_Needed]]:
    """Waits for tiles, as shown, and whole if one needs it; see ``World._painted``."""
    arrays = map(np.asarray, pixels)
    for painting, *both in zip(paintings, *arrays, strict=False):  # fillers dropped
        if painting.is_ahead:  # may wait for long, and not keep what came with it
            both = [each.copy() for each in both]
        painting.shown, painting.whole = both[0], both[-1]
    return len(paintings), shown


def _put(place: _Place, pixels: UInt8[np.ndarray, "t t 3"]) -> None:
    """Copies the part of a tile that lies in its window into its strip."""
    plan, tile = place.plan, place.tile
    top, bottom = plan.strip_rows(tile.row)
    left, right = plan.strip_cols(tile.col)
    row, col = place.corner
    start = place.left + left - plan.window.left
    place.strip[:, start : start + right - left] = pixels[
        top - row : bottom - row, left - col : right - col
    ]


def _stopped_early(config: ModelConfig, level: int) -> ModelConfig:
    """The sizes of a generator without its last stages."""
    size = geometry.patch_size_of(config.num_stages - level)
    return dataclasses.replace(config, patch_size=size, previews=False)


def _whole_period(period: Any) -> tuple[int | None, int | None]:
    try:
        height, width = period
    except (TypeError, ValueError):
        raise UserError(
            f"period ({period!r}) must be two numbers, of rows and of columns; write "
            "None for one that does not repeat"
        ) from None
    return tuple(
        None if each is None else planning.whole(f"period's {name}", each)
        for name, each in (("height", height), ("width", width))
    )


def default_batch_size(config: ModelConfig, tile_size: int, device: jax.Device) -> int:
    """Tiles that a device paints at once where nobody says.

    On a CPU one, so that the same tile is the same computation, bit for bit, whatever
    was asked for. Elsewhere as many as fit well into the device's memory.
    """
    if device.platform == "cpu":
        return 1
    stats = device.memory_stats() or {}
    return costs.fitting_batch(config, tile_size, stats.get("bytes_limit"))


def learned_span(config: ModelConfig) -> int:
    """Pixels that the vertical range of training takes: v from -3 to 3."""
    return round(2 * coords.CUT / coords.ROW_STEP) * config.cell_size


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
        horizon=fractions.Fraction(horizon, config.cell_size),
        stretch=span / learned_span(config),
        row_period=rows,
        col_period=cols,
    )


def _give_back_after(num_tiles: int) -> None:
    """Gives freed memory back every so many tiles, whatever they are painted for."""
    for _ in range(num_tiles):
        if next(_ready) % _TILES_PER_GIVING == _TILES_PER_GIVING - 1:
            machine.give_back()
