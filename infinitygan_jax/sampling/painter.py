"""Tiles of one world on its devices: plain, of many styles, and edited."""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt8

from infinitygan_jax import coords, geometry
from infinitygan_jax import devices as device_lib
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.sampling import edits as edit_lib
from infinitygan_jax.sampling import plan as planning
from infinitygan_jax.sampling import styles as style_lib
from infinitygan_jax.sampling import tiles
from infinitygan_jax.sampling.edits import Edit, Pin, Resample
from infinitygan_jax.sampling.mixing import Mix
from infinitygan_jax.sampling.plan import Tile
from infinitygan_jax.sampling.styles import Axis, Constant, StyleField

_KEPT_KEYS = 65536  # seeds
# Cells that a pixel sees on one axis: its own, those that the texture synthesizer reads
# (2 before, 3 after), and those that the structure synthesizer loses (12 a side).
_SEEN = 1 + geometry.TILE_CELLS_EXTRA + 2 * geometry.STRUCTURE_MARGIN


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a world shows beside what follows from its seed.

    Attributes:
      styles: which styles show where; None for the seed's own all over.
      octaves: fields of local latents that are summed, each twice as coarse as the one
        before; 1 is as in training.
      edits: in order; a later one is over an earlier one.
      mix: fields between those of two seeds, in place of the seed's own.
    """

    styles: StyleField | None = None
    octaves: int = 1
    edits: tuple[Edit, ...] = ()
    mix: Mix | None = None

    def __post_init__(self):
        if not 1 <= self.octaves <= tiles.MAX_OCTAVES:
            raise ValueError(
                f"octaves ({self.octaves}) must be from 1 to {tiles.MAX_OCTAVES}; 1 is "
                "as in training"
            )


class Painter:
    """Paints tiles of one world; nothing is compiled before the first."""

    def __init__(
        self,
        model: ModelConfig,
        cell_pixels: int,
        params: Mapping[str, Any],
        seed: int,
        frame: coords.Frame,
        scene: Scene,
        tile_size: int,
        devices: Sequence[jax.Device],
        batch_size: int,
        level: int,
    ):
        """Takes what ``World`` has checked.

        Args:
          model: as painted, maybe without its last stages.
          cell_pixels: pixels of a cell in the whole model; edits are in such pixels.
          params: the generator's parameters.
          seed: of the fields, and of the style where ``scene`` has none.
          frame: of the coordinates.
          scene: styles, octaves and edits.
          tile_size: pixels a side, as painted.
          devices: to paint on.
          batch_size: tiles a device paints at once.
          level: squares of 2**level pixels a side are averaged to one.
        """
        self._model = model
        self._cell_pixels = cell_pixels
        self._params = params
        self._seed = seed
        self._frame = frame
        self._scene = scene
        self._tile_size = tile_size
        self._mesh = device_lib.make_mesh(devices)
        self._level = level
        self.tiles_per_step = len(devices) * batch_size
        self._styles = scene.styles or Constant(style_lib.Seed(seed))
        self._pins = [edit for edit in scene.edits if isinstance(edit, Pin)]
        self._resamples = [e for e in scene.edits if isinstance(e, Resample)]
        self._pin_boxes = edit_lib.Boxes(self._pins)
        self._resample_boxes = edit_lib.Boxes(self._resamples)
        self._looks = style_lib.Looks(model, params)
        self._keys: collections.OrderedDict[int, tiles.Keys] = collections.OrderedDict()

    def paint(self, wanted: Sequence[Tile]) -> UInt8[Array, "b t t 3"]:
        """Starts to paint ``tiles_per_step`` tiles, and returns without waiting.

        Raises:
          ValueError: a tile sees too many styles or seeds.
        """
        drawn = self._draw(wanted)
        weights = [self._weights(tile) for tile in wanted]
        if isinstance(self._styles, Constant):
            blended = np.stack([_blended(self._styles, each) for each in weights])
        else:
            blended = np.ones((), bool)
        plain = many = None
        if not blended.all():
            plain = self._functions.paint(*self._constants, drawn)
        if blended.any():
            look = tiles.BlendedLook(*style_lib.padded(weights, self._looks))
            look = device_lib.split(look, self._mesh)
            many = self._functions.paint_blended(self._constants[0], look, drawn)
        if plain is None or many is None:
            return many if plain is None else plain
        return self._choose(device_lib.split(blended, self._mesh), many, plain)

    @functools.cached_property
    def _functions(self) -> tiles.TileFunctions:
        return tiles.tile_functions(
            self._model, self._tile_size, self._mesh, self._level
        )

    @functools.cached_property
    def _constants(self) -> tuple[Mapping[str, Any], tiles.Look | None]:
        """Parameters, and the look where there is one, on every device."""
        look = None
        if isinstance(self._styles, Constant):
            look = self._looks[self._styles.source]
        return device_lib.replicate((self._params, look), self._mesh)

    @functools.cached_property
    def _own(self) -> tuple[tiles.Keys, tiles.Streams]:
        """Keys and streams of tiles without edits, on the devices."""
        return self._streams_of(self._seed)

    @functools.cached_property
    def _ends(self) -> list[tuple[tiles.Keys, tiles.Streams]]:
        """The same of the seeds that are mixed."""
        mix = self._scene.mix
        return [self._streams_of(seed) for seed in (mix.first, mix.second)]

    def _streams_of(self, seed: int) -> tuple[tiles.Keys, tiles.Streams]:
        number = self.tiles_per_step
        keys = tiles.stack([self._keys_of([seed])] * number)
        streams = tiles.own_stream(self._model, self._tile_size, number)
        return device_lib.split((keys, streams), self._mesh)

    @functools.cached_property
    def _choose(self) -> Any:
        square = self._model.cell_size >> self._level

        def choose(mask, yes, no):
            mask = jnp.repeat(jnp.repeat(mask, square, 1), square, 2)
            return jnp.where(mask[..., None], yes, no)

        return jax.jit(choose)

    def _draw(self, wanted: Sequence[Tile]) -> tiles.Fields:
        inputs = tiles.tile_inputs(
            *(self._model, self._tile_size, wanted, self._frame),
            self._scene.octaves,
        )
        inputs = device_lib.split(inputs, self._mesh)
        seen = [self._resamples_of(tile) for tile in wanted]
        if not any(seen):
            return self._mixed(
                self._functions.draw(*self._own, inputs), self._own[1], inputs
            )
        drawn_from = [
            self._streams(tile, edits) for tile, edits in zip(wanted, seen, strict=True)
        ]
        keys, streams, affine = tiles.stack(drawn_from)
        keys, streams = device_lib.split((keys, streams), self._mesh)
        drawn = self._functions.draw(keys, streams, inputs)
        drawn = self._mixed(drawn, streams, inputs)
        if any(edit.statistics for edits in seen for edit in edits):
            affine = device_lib.split(affine, self._mesh)
            drawn = self._functions.adapt(drawn, streams, affine)
        return drawn

    def _mixed(
        self, drawn: tiles.Fields, streams: tiles.Streams, inputs: tiles.TileInputs
    ) -> tiles.Fields:
        """Fields with the world's own ones mixed, where the scene mixes them."""
        if self._scene.mix is None:
            return drawn
        ends = [self._functions.draw(*end, inputs) for end in self._ends]
        shares = device_lib.replicate(self._scene.mix.shares, self._mesh)
        return self._functions.mix(drawn, *ends, streams, shares)

    def _axes(self, tile: Tile) -> tuple[Axis, Axis]:
        """World positions of a tile's cells, margins included."""
        spans = planning.tile_axes(tile, self._tile_size, self._model.num_stages)
        rows, cols = (
            self._axis(axis.latent, period)
            for axis, period in zip(spans, self._periods, strict=True)
        )
        return rows, cols

    @property
    def _periods(self) -> tuple[int | None, int | None]:
        """Cells after which the world repeats."""
        return self._frame.row_period, self._frame.col_period

    def _axis(self, span: geometry.Span, num_cells: int | None) -> Axis:
        # Of level 0, whatever stage the span is of, also where stages are left out.
        step = self._cell_pixels >> span.level
        period = None if num_cells is None else num_cells * self._cell_pixels
        return Axis(span.start * step, span.size, step, period)

    def _weights(self, tile: Tile) -> style_lib.Weights:
        """Styles of a tile's cells, margins included."""
        rows, cols = self._axes(tile)
        weights = self._styles.at(rows, cols)
        for index in self._pin_boxes.seen(rows, cols) if self._pins else ():
            weights = self._pins[index].over(weights, rows, cols)
        return weights

    def _resamples_of(self, tile: Tile) -> list[Resample]:
        if not self._resamples:
            return []
        seen = self._resample_boxes.seen(*self._axes(tile))
        return [self._resamples[index] for index in seen]

    def _streams(
        self, tile: Tile, edits: Sequence[Resample]
    ) -> tuple[tiles.Keys, tiles.Streams, tiles.Affine]:
        """What the fields of a tile are drawn from."""
        plain = tiles.own_stream(self._model, self._tile_size, 1)
        streams = jax.tree.map(lambda array: array[0], plain)
        spans = planning.tile_axes(tile, self._tile_size, self._model.num_stages)
        channels = self._model.z_local_size
        scale = np.ones((tiles.MAX_STREAMS, channels), np.float32)
        shift = np.zeros((tiles.MAX_STREAMS, channels), np.float32)
        # A stream of its own for each edit: seeds may be equal, statistics not.
        for index, edit in enumerate(edits, 1):
            if index >= tiles.MAX_STREAMS:
                raise ValueError(
                    f"edits seen by one tile ({len(edits)}) must be below "
                    f"{tiles.MAX_STREAMS}; use a smaller --tile"
                )
            if edit.statistics is not None:
                scale[index] = edit.statistics.deviation
                shift[index] = edit.statistics.mean
            axes = [(spans[0].latent, spans[1].latent, streams.latent)] * edit.structure
            if edit.texture:
                noise = zip(spans[0].noise, spans[1].noise, streams.noise, strict=True)
                axes.extend(noise)
            for rows, cols, stream in axes:
                where = edit.region.contains(
                    *(
                        self._axis(span, period)
                        for span, period in zip(
                            (rows, cols), self._periods, strict=True
                        )
                    )
                )
                stream[where] = index
        keys = self._keys_of([self._seed, *(edit.seed for edit in edits)])
        return keys, streams, tiles.Affine(scale, shift)

    def _keys_of(self, seeds: Sequence[int]) -> tiles.Keys:
        """Keys of streams, of one number whatever the seeds."""
        for seed in seeds:
            if seed not in self._keys:
                keys = tiles.make_keys(self._model, [seed], self._scene.octaves)
                self._keys[seed] = keys
            self._keys.move_to_end(seed)
        parts = [self._keys[seed] for seed in seeds]
        more = [(0, tiles.MAX_STREAMS - len(seeds)), (0, 0)]
        keys = tiles.Keys(
            latent=np.pad(np.concatenate([k.latent for k in parts]), more),
            noise=np.pad(
                np.concatenate([k.noise for k in parts], axis=1), [(0, 0), *more]
            ),
            octaves=parts[0].octaves,
        )
        while len(self._keys) > _KEPT_KEYS:
            self._keys.popitem(last=False)
        return keys


def _blended(base: Constant, weights: style_lib.Weights) -> Bool[np.ndarray, "h w"]:
    """Which cells of a tile see another style than the one that shows all over.

    Those that do not keep the bits that they have where there is no other style.
    """
    others = [i for i, source in enumerate(weights.sources) if source != base.source]
    seen = (weights.weights[..., others] > 0).any(axis=-1)
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(seen, _SEEN, axis=axis)
        seen = windows.any(axis=-1)
    return seen
