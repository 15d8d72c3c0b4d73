"""Tiles of a world that detail is added to, octave by octave.

Such a level is painted from the pixels of the level above it, which are painted
first, once for all tiles that see them, and kept.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, UInt8, UInt32

from infinitygan_jax import devices as device_lib
from infinitygan_jax import fields
from infinitygan_jax.cache import Cache
from infinitygan_jax.config import DetailConfig
from infinitygan_jax.devices import AXIS
from infinitygan_jax.models import detail as detail_lib
from infinitygan_jax.models.detail import Detail, DetailSynthesizer
from infinitygan_jax.models.layers import applied, center_crop
from infinitygan_jax.sampling.plan import Plan, Tile, Window
from infinitygan_jax.sampling.setup import Setup
from infinitygan_jax.sampling.whole_tiles import Paints, cut_out, paint_tiles

KEPT_BYTES = 2**27  # of coarser tiles, or the rows that the next row sees again
_ROWS_SEEN = 3  # of coarser tiles, by a row of tiles


@runtime_checkable
class Coarser(Paints, Protocol):
    """What is needed of the world at the level above."""

    def plan(self, window: Window) -> Plan:
        """How a window is painted."""


class EnlargingPainter:
    """Paints tiles of a level by its detail; as `Painter`, nothing is compiled before.

    Attributes:
      setup: how they are painted.
    """

    def __init__(self, setup: Setup, detail: Detail, coarser: Coarser):
        """Takes what ``World`` has checked.

        Args:
          setup: how tiles are painted.
          detail: the network.
          coarser: the same world at the level above.
        """
        self.setup = setup
        self._detail = detail
        self._pixels = _Pixels(coarser)
        self._mesh = device_lib.make_mesh(setup.devices)

    def expect(self, window: Window) -> None:
        """Keeps what a window's next row of tiles sees again, however wide it is."""
        self._pixels.keep_rows(seen_by(window, self._detail.config.margin))

    def step(
        self, wanted: Sequence[Tile], both: bool
    ) -> Callable[[], tuple[UInt8[Array, "b p p 3"]]]:
        """What paints tiles; pixels of the level above are painted before, if not kept.

        Args:
          wanted: as many on each device.
          both: no difference here, where tiles are shown whole.
        """
        size, margin = self.setup.tile_size // 2, self._detail.config.margin
        side = size + 2 * margin
        windows = [
            Window(tile.row * size - margin, tile.col * size - margin, side, side)
            for tile in wanted
        ]
        pixels = self._pixels.of(windows)
        words = [
            np.stack([fields.words(start, side, period) for start in starts])
            for starts, period in zip(
                ([w.top for w in windows], [w.left for w in windows]),
                self._coarse_period,
                strict=True,
            )
        ]
        given = device_lib.split((pixels, *words), self._mesh)
        paint = enlarging_function(self._detail.config, self._mesh)
        return lambda: (paint(self._params, self._draws, *given),)

    @property
    def _coarse_period(self) -> tuple[int | None, int | None]:
        rows, cols = self.setup.period
        return (
            None if rows is None else rows // 2,
            None if cols is None else cols // 2,
        )

    @functools.cached_property
    def _draws(self) -> tuple[UInt32[Array, "k 2"], Float[Array, " k"]]:
        """Keys of the noise that is added up, and what each is multiplied by."""
        setup = self.setup
        stream = fields.DETAIL + setup.enlarged
        scale = setup.scene.of_painting("noise_scale", setup.model)
        mix = setup.scene.mix
        seeds, shares = [setup.seed], [1.0]
        if mix is not None:
            seeds, shares = [mix.first, mix.second, setup.seed], list(mix.shares[1])
        keys = np.array([fields.stream_key(seed, stream) for seed in seeds], np.uint32)
        weights = np.float32(scale) * np.array(shares, np.float32)
        return device_lib.replicate((keys, weights), self._mesh)

    @functools.cached_property
    def _params(self) -> Mapping[str, Any]:
        return device_lib.replicate(self._detail.params, self._mesh)


def kept_bytes(window: Window, tile_pixels: int) -> int:
    """Of tiles of a level that are kept for a window of it that is seen, at most."""
    rows = 3 * _ROWS_SEEN * tile_pixels * (window.width + 2 * tile_pixels)
    return min(max(KEPT_BYTES, rows), 3 * window.height * window.width + rows)


def seen_by(window: Window, margin: int) -> Window:
    """What of the level above a window is painted from.

    Args:
      window: of a level that is painted so.
      margin: of the network.
    """
    top, left = window.top // 2 - margin, window.left // 2 - margin
    bottom, right = -(-window.bottom // 2) + margin, -(-window.right // 2) + margin
    return Window(top, left, bottom - top, right - left)


def seen_by_tiles(plan: Plan, margin: int) -> Window:
    """What of the level above all tiles of a window are painted from."""
    size = plan.tile_pixels
    rows, cols = plan.tile_rows, plan.tile_cols
    whole = Window(rows[0] * size, cols[0] * size, len(rows) * size, len(cols) * size)
    return seen_by(whole, margin)


@functools.lru_cache(maxsize=32)
def enlarging_function(config: DetailConfig, mesh: Mesh) -> Callable[..., Any]:
    """The compiled function of a network on some devices, for tiles of any size.

    (parameters, (keys, weights), coarse pixels, words of rows, of columns) -> pixels.
    """

    def paint(
        params: Mapping[str, Any],
        draws: tuple[UInt32[Array, "k 2"], Float[Array, " k"]],
        coarse: UInt8[Array, "b h w 3"],
        rows: UInt32[Array, "b h 2"],
        cols: UInt32[Array, "b w 2"],
    ) -> UInt8[Array, "b p p 3"]:
        draw = jax.vmap(fields.normal_field, in_axes=(None, 0, 0, None))
        keys, weights = draws
        noise = sum(
            weights[index] * draw(keys[index], rows, cols, config.noise_size)
            for index in range(len(keys))
        )
        colours = detail_lib.from_pixels(coarse)
        network = DetailSynthesizer(config)
        fine = applied(network, {"params": params}, colours, noise)
        sides = (size // 2 for size in fine.shape[1:3])
        return detail_lib.to_pixels(fine, center_crop(coarse, *sides))

    return jax.jit(
        jax.shard_map(
            paint,
            mesh=mesh,
            in_specs=(P(), P(), P(AXIS), P(AXIS), P(AXIS)),
            out_specs=P(AXIS),
        )
    )


class _Pixels:
    """Pixels of a level, tiles of which are kept."""

    def __init__(self, world: Coarser):
        self._world = world
        self._kept: Cache[Tile, UInt8[np.ndarray, "t t 3"]] = Cache(KEPT_BYTES)
        self._least = 1

    def keep_rows(self, window: Window) -> None:
        """Keeps at least as many tiles as some rows of a window have."""
        self._least = _ROWS_SEEN * len(self._world.plan(window).tile_cols)

    def of(self, windows: Sequence[Window]) -> UInt8[np.ndarray, "b h w 3"]:
        """Windows of one size; what is missing for them is painted in one go."""
        size = self._world.plan(windows[0]).tile_pixels
        needed = [self._world.plan(window).tiles() for window in windows]
        tiles = self._tiles(list(dict.fromkeys(itertools.chain(*needed))), size)
        return np.stack(
            [
                cut_out(window, {tile: tiles[tile] for tile in seen}, size)
                for window, seen in zip(windows, needed, strict=True)
            ]
        )

    def _tiles(
        self, wanted: Sequence[Tile], size: int
    ) -> dict[Tile, UInt8[np.ndarray, "t t 3"]]:
        found = {tile: self._kept.get(tile) for tile in wanted}
        tiles = {tile: pixels for tile, pixels in found.items() if pixels is not None}
        missing = [tile for tile in wanted if tile not in tiles]
        painted = paint_tiles(self._world, missing, size)
        for tile, pixels in zip(missing, painted, strict=True):
            tiles[tile] = pixels
            self._kept.put(tile, pixels, pixels.nbytes)
        self._kept.shrink(least=max(len(wanted), self._least))
        return tiles
