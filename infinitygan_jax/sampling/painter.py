"""Tiles of one world on its devices: plain, of many styles, and edited."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from infinitygan_jax import devices as device_lib
from infinitygan_jax import geometry
from infinitygan_jax.models.generator import Modulations, with_noise_scale
from infinitygan_jax.sampling import styles as style_lib
from infinitygan_jax.sampling import tiles
from infinitygan_jax.sampling.edits.edit import Edit
from infinitygan_jax.sampling.edits.region import Boxes, Region
from infinitygan_jax.sampling.field_editor import FieldEditor, check_draws
from infinitygan_jax.sampling.inputs import (
    MAX_STREAMS,
    Keys,
    Streams,
    TileInputs,
    stack,
    tile_inputs,
)
from infinitygan_jax.sampling.looks import Looks
from infinitygan_jax.sampling.plan import Tile
from infinitygan_jax.sampling.setup import Setup
from infinitygan_jax.sampling.styles import Axis, Constant

_Edits = Sequence[Edit]


class Painter:
    """Paints tiles of one world; nothing is compiled before the first.

    Attributes:
      setup: how they are painted.
    """

    def __init__(self, setup: Setup, params: Mapping[str, Any]):
        """Takes what ``World`` has checked.

        Args:
          setup: how tiles are painted.
          params: parameters of the generator as painted.
        """
        self.setup = setup
        scene = setup.scene
        noise_scale = scene.of_painting("noise_scale", setup.model)
        self._params = with_noise_scale(params, noise_scale)
        self._mesh = device_lib.make_mesh(setup.devices)
        self._styles = scene.styles or Constant(style_lib.Seed(setup.seed))
        self._boxes = Boxes([(e.region, e.reach) for e in scene.edits])
        self._truncation = np.float32(scene.of_painting("truncation", setup.model))
        self._editor = FieldEditor(setup)
        self._last_styles: tuple[Any, Any] = (None, None)  # of tiles of one style each
        self._unedited: dict[tuple[int, int], tuple[Keys, Streams]] = {}

    def step(
        self, wanted: Sequence[Tile], both: bool
    ) -> Callable[[], tuple[UInt8[Array, "b _ _ 3"], ...]]:
        """What paints tiles, as they are shown or ``both`` these and whole.

        Raises:
          ValueError: when called, as ``paint``.
        """
        # Made once here, and not by several threads at once.
        _ = self._functions, self._looks
        if both:
            return lambda: self.paint_both(wanted)
        return lambda: (self.paint(wanted),)

    def paint(self, wanted: Sequence[Tile]) -> UInt8[Array, "b p p 3"]:
        """Starts to paint tiles, as many on each device, and returns without waiting.

        But for styles that were not seen before, which are fetched first.
        Every number of tiles is compiled anew.

        Raises:
          ValueError: a tile sees too many styles or seeds.
        """
        return self._functions.shown(self._colours(wanted))

    def paint_both(
        self, wanted: Sequence[Tile]
    ) -> tuple[UInt8[Array, "b p p 3"], UInt8[Array, "b t t 3"]]:
        """Like ``paint``, and the same tiles before squares of pixels are averaged."""
        colours = self._colours(wanted)
        shown = self._functions.shown(colours)
        return shown, self._functions.whole(colours) if self.setup.averaged else shown

    def _colours(self, wanted: Sequence[Tile]) -> Float[Array, "b t t 3"]:
        seen = [self._edits_of(tile) for tile in wanted]
        drawn = self._draw(wanted, seen)
        styles = self._styles_of(list(map(self._weights, wanted, seen)))
        params, functions = self._params_on_devices, self._functions
        structure = functions.structure(params, styles, drawn)
        return functions.paint(params, styles, structure, drawn.noise)

    def _styles_of(self, batch: Sequence[style_lib.Weights]) -> Modulations:
        """Styles of tiles at their cells, or all over, on the devices."""
        key = tuple(weights.sources for weights in batch)
        known, given = self._last_styles
        if key != known:
            given = device_lib.split(self._looks.of_tiles(batch), self._mesh)
        weights, styles = given
        if weights.shape[-1] > 1:
            return self._functions.blend(self._params_on_devices, weights, styles)
        self._last_styles = key, given
        # Where all of these show one style each, their texture is painted quicker, and
        # on a CPU to the same bits. Structure, which takes little, is by the same code.
        return self._functions.alone(weights, styles)

    def blends(self, wanted: Iterable[Tile]) -> bool:
        """Whether one of some tiles blends styles; paints nothing.

        Raises:
          ValueError: a tile sees too many styles or seeds.
        """
        edits = self.setup.scene.edits
        styled = any(edit.source is not None for edit in edits)
        few = sum(edit.seed is not None for edit in edits) < MAX_STREAMS
        if isinstance(self._styles, Constant) and not styled and few:
            return False
        blends = False
        for tile in wanted:
            seen = self._edits_of(tile)
            check_draws(seen)
            sources = self._weights(tile, seen).sources
            style_lib.check_styles(len(sources))
            blends |= len(sources) > 1
        return blends

    def check_draws(self, wanted: Iterable[Tile]) -> None:
        """Checks that latents of some tiles can be drawn; draws nothing.

        Raises:
          ValueError: a tile sees too many edits that draw anew.
        """
        for tile in wanted:
            check_draws(self._edits_of(tile))

    def latents_in(self, region: Region, tile: Tile) -> Float[np.ndarray, "h w c"]:
        """Local latents of a tile's own cells that lie in a rectangle.

        Of the rectangle itself: its repeats, where the world repeats, are not in it.
        """
        copies = self._mesh.size  # one for each device
        drawn = self._draw([tile] * copies, [self._edits_of(tile)] * copies)
        margin = geometry.TILE_CELLS_BEFORE + geometry.STRUCTURE_MARGIN
        own = slice(margin, margin + self.setup.tile_size // self.setup.model.cell_size)
        latents = np.asarray(drawn.z_local)[0, own, own]
        axes = [
            Axis(axis.start + margin * axis.step, len(latents), axis.step)
            for axis in self._editor.cell_axes(tile)
        ]
        where, _ = region.squares(*axes)
        return latents[where]

    @functools.cached_property
    def _functions(self) -> tiles.TileFunctions:
        return tiles.tile_functions(self.setup.model, self._mesh, self.setup.averaged)

    @functools.cached_property
    def _looks(self) -> Looks:
        return Looks(self.setup.model, self._params_on_devices)

    @functools.cached_property
    def _params_on_devices(self) -> Mapping[str, Any]:
        """Parameters on every device."""
        return device_lib.replicate(self._params, self._mesh)

    def _streams_of(self, seed: int, num_tiles: int) -> tuple[Keys, Streams]:
        """Keys and streams of so many tiles without edits, on the devices."""
        key = seed, num_tiles
        if key not in self._unedited:
            streams = stack([self._editor.plain(seed)] * num_tiles)
            self._unedited[key] = device_lib.split(streams, self._mesh)
        return self._unedited[key]

    def _draw(self, wanted: Sequence[Tile], seen: Sequence[_Edits]) -> tiles.Fields:
        setup = self.setup
        inputs = tile_inputs(
            setup.model, setup.tile_size, wanted, setup.frame, setup.scene.octaves
        )
        on_devices = device_lib.split(inputs, self._mesh)
        edits = [edit for tile_edits in seen for edit in tile_edits]
        if all(edit.seed is None and not edit.gives_fields for edit in edits):
            keys, streams = self._streams_of(self.setup.seed, len(wanted))
            drawn = self._functions.draw(keys, streams, on_devices)
            return self._truncated(self._mixed(drawn, streams, on_devices))
        edited = stack(list(map(self._editor.edited, wanted, seen)))
        keys, streams, affine = device_lib.split(edited[:3], self._mesh)
        drawn = self._functions.draw(keys, streams, on_devices)
        drawn = self._mixed(drawn, streams, on_devices)
        if any(edit.statistics is not None for edit in edits):
            drawn = self._functions.adapt(drawn, streams, affine)
        else:
            drawn = self._truncated(drawn)
        if any(edit.gives_fields for edit in edits):
            given, masks = device_lib.split(edited[3:], self._mesh)
            drawn = self._functions.replace(drawn, given, masks)
        return drawn

    def _truncated(self, drawn: tiles.Fields) -> tiles.Fields:
        """Fields with latents truncated as the scene has them."""
        if self._truncation == 1:
            return drawn
        return drawn._replace(z_local=_times(drawn.z_local, self._truncation))

    def _mixed(
        self,
        drawn: tiles.Fields,
        streams: Streams,
        inputs: TileInputs,
    ) -> tiles.Fields:
        """Fields with the world's own ones mixed, where the scene mixes them."""
        mix = self.setup.scene.mix
        if mix is None:
            return drawn
        num_tiles = len(streams.latent)
        ends = [
            self._functions.draw(*self._streams_of(seed, num_tiles), inputs)
            for seed in (mix.first, mix.second)
        ]
        shares = device_lib.replicate(mix.shares, self._mesh)
        return self._functions.mix(drawn, *ends, streams, shares)

    def _weights(self, tile: Tile, seen: _Edits) -> style_lib.Weights:
        """Styles of a tile's cells, margins included."""
        rows, cols = self._editor.cell_axes(tile)
        weights = self._styles.at(rows, cols)
        layers = [
            style_lib.Layer(
                edit.source, *edit.region.share_near(rows, cols, edit.feather)
            )
            for edit in seen
            if edit.source is not None
        ]
        return style_lib.with_layers(weights, layers) if layers else weights

    def _edits_of(self, tile: Tile) -> _Edits:
        if not self.setup.scene.edits:
            return []
        seen = self._boxes.seen(*self._editor.cell_axes(tile))
        return [self.setup.scene.edits[index] for index in seen]


_times = jax.jit(jnp.multiply)
