"""The generator: structure synthesizer, mapping network and texture synthesizer."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from infinitygan_jax import bundle as bundle_lib
from infinitygan_jax import geometry
from infinitygan_jax.config import ModelConfig
from infinitygan_jax.messages import UserError
from infinitygan_jax.models import structure as structure_lib
from infinitygan_jax.models import texture as texture_lib
from infinitygan_jax.models.initial import init_params
from infinitygan_jax.models.styled import Modulation, blend


class Modulations(NamedTuple):
    """Styles as each layer takes them, by its name; see `styled.Modulation`.

    Attributes:
      structure_synthesizer, texture_synthesizer: of the generator's two parts.
    """

    structure_synthesizer: Mapping[str, Modulation]
    texture_synthesizer: Mapping[str, Modulation]


class Generator(nn.Module):
    """Latents, coordinates and noise to an image (docs/model.md, section 4).

    Every random or positional input arrives as an array, so that a window of the world,
    a training patch and a fixture are the same call.

    Attributes:
      config: sizes.
    """

    config: ModelConfig

    def setup(self) -> None:
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        self.structure_synthesizer = structure_lib.StructureSynthesizer(
            config.structure_width, dtype
        )
        self.mapping_network = texture_lib.MappingNetwork(config.mapping_layers)
        widths = config.texture_widths[: config.num_stages]
        self.texture_synthesizer = texture_lib.TextureSynthesizer(
            widths, dtype, config.previews
        )

    def mapping(self, z_global: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Styles of global latents."""
        return self.mapping_network(z_global)

    def structure(
        self,
        z_local: Float[Array, "b H W l"],
        coords: Float[Array, "b H W c"],
        z_global: structure_lib.Latents,
    ) -> Float[Array, "b h w s"]:
        """Structure latents, 12 cells smaller a side than their inputs."""
        return self.structure_synthesizer(z_local, coords, z_global)

    def texture(
        self,
        structure: Float[Array, "b h w s"],
        styles: texture_lib.Styles,
        noise: Sequence[Float[Array, "b _ _ 1"]],
    ) -> Float[Array, "b H W 3"]:
        """Colours, float32 of about -1 to 1, from structure, styles and noise."""
        return self.texture_synthesizer(structure, styles, noise)[-1]

    def window(
        self,
        structure: Float[Array, "b h w s"],
        styles: texture_lib.Styles,
        noise: Sequence[Float[Array, "b _ _ 1"]],
        height: int,
        width: int,
    ) -> Float[Array, "b p q 3"]:
        """`texture`, cut to a window that begins at a cell.

        Args:
          structure: of its cells and those that texture sees around them.
          styles: see `texture`.
          noise: see `texture`.
          height: rows of pixels of the window.
          width: its columns.
        """
        first = geometry.TILE_CROP
        image = self.texture(structure, styles, noise)
        return image[:, first : first + height, first : first + width]

    def with_previews(
        self,
        structure: Float[Array, "b h w s"],
        styles: Float[Array, "b n d"],
        noise: Sequence[Float[Array, "b _ _ 1"]],
    ) -> list[Float[Array, "b _ _ 3"]]:
        """`texture`, last, and before it the previews of each stage, if it has any."""
        return self.texture_synthesizer(structure, styles, noise, previewed=True)

    def __call__(
        self,
        z_global: Float[Array, "b d"],
        z_local: Float[Array, "b H W l"],
        coords: Float[Array, "b H W c"],
        noise: Sequence[Float[Array, "b _ _ 1"]],
    ) -> Float[Array, "b h w 3"]:
        """The image of one style a sample, without style mixing."""
        structure = self.structure(z_local, coords, z_global)
        styles = slot_styles(self.mapping(z_global), self.config.num_slots)
        return self.texture(structure, styles, noise)


def slot_styles(
    style: Float[Array, "b d"],
    num_slots: int,
    mixed: Float[Array, "b d"] | None = None,
    mix_index: Int[Array, ""] | int | None = None,
) -> Float[Array, "b n d"]:
    """Style vectors of all slots; those from ``mix_index`` on take the second style.

    Args:
      style: mapped styles.
      num_slots: slots, 2k + 1.
      mixed: second mapped styles (mixing; docs/model.md, section 4.4), or none.
      mix_index: first slot of the second style, 1 .. num_slots (none at num_slots).
    """
    styles = jnp.repeat(style[:, None], num_slots, axis=1)
    if mixed is None:
        return styles
    assert mix_index is not None
    slots = jnp.arange(num_slots)[None, :, None]
    return jnp.where(slots < mix_index, styles, mixed[:, None])


def modulations(
    params: Mapping[str, Any],
    z_global: Float[Array, "*b d"],
    styles: Float[Array, "*b n d"],
) -> Modulations:
    """Styles as each layer takes them, in place of vectors for `Generator`.

    Args:
      params: of a generator, which may have more stages than these styles are for.
      z_global: global latents, which the structure synthesizer takes.
      styles: mapped styles of all slots, which the texture synthesizer takes.
    """
    return Modulations(
        structure_lib.modulations(params["structure_synthesizer"], z_global),
        texture_lib.modulations(params["texture_synthesizer"], styles),
    )


def blended(
    params: Mapping[str, Any],
    weights: Float[Array, "b h w s"],
    styles: Modulations,
) -> Modulations:
    """Styles that share a window, as each layer takes them at its cells.

    Args:
      params: the generator's.
      weights: of each style at each cell that the structure synthesizer sees.
      styles: their `modulations`, with axes [b, s, c].
    """
    inner = slice(geometry.STRUCTURE_MARGIN, 1 - geometry.STRUCTURE_MARGIN)
    where = weights, weights[:, inner, inner]
    return Modulations(
        *(
            {name: blend(params[part][name], at, each) for name, each in layers.items()}
            for part, at, layers in zip(Modulations._fields, where, styles, strict=True)
        )
    )


def to_uint8(image: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Colours of [-1, 1] to the nearest of 0 .. 255; those outside are clipped."""
    return jnp.clip(jnp.round((image + 1) * 127.5), 0, 255).astype(jnp.uint8)


def with_noise_scale(params: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    """The generator's parameters, with noise multiplied by a number."""
    if scale == 1:
        return params
    layers = {
        name: layer
        if "noise_strength" not in layer
        else {**layer, "noise_strength": layer["noise_strength"] * np.float32(scale)}
        for name, layer in params["texture_synthesizer"].items()
    }
    return {**params, "texture_synthesizer": layers}


def stopped_early(config: ModelConfig, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """A generator's parameters for its first stages alone, which paint it smaller.

    Args:
      config: sizes with fewer stages.
      params: of the whole generator.
    """
    texture = params["texture_synthesizer"]
    texture = texture_lib.stopped_early(texture, config.num_stages)
    return {**params, "texture_synthesizer": texture}


def noise_shapes(num_cells: int, num_stages: int) -> list[int]:
    """Sizes a side of the noise maps of a square window of structure cells."""
    return [span.size for span in geometry.axis_spans(0, num_cells, num_stages).noise]


def make_generator(config: ModelConfig) -> Generator:
    """The generator of these sizes."""
    return Generator(config)


def init_generator(config: ModelConfig, key: PRNGKeyArray) -> Mapping[str, Any]:
    """Fresh float32 parameters of the generator."""
    cells = geometry.PATCH_CELLS + 2 * geometry.STRUCTURE_MARGIN
    inputs = (
        jnp.zeros((1, config.z_global_size)),
        jnp.zeros((1, cells, cells, config.z_local_size)),
        jnp.zeros((1, cells, cells, config.num_coords)),
        [
            jnp.zeros((1, size, size, 1))
            for size in noise_shapes(geometry.PATCH_CELLS, config.num_stages)
        ],
    )
    return init_params(make_generator(config), key, *inputs)


def check_params(config: ModelConfig, params: Mapping[str, Any]) -> None:
    """Checks that parameters are a generator's of these sizes.

    Raises:
      ValueError: the message names the first parameters that differ.
    """
    wrong = bundle_lib.shape_differences(_shapes(config), params)
    if wrong:
        raise UserError(
            "the generator's parameters must have the shapes that the settings give: "
            f"{len(wrong)} differ ({'; '.join(wrong[:3])}); use the settings it was "
            "trained with"
        )


@functools.lru_cache(maxsize=16)
def _shapes(config: ModelConfig) -> Mapping[str, Any]:
    """Of the generator's parameters: every world asks, and tracing takes a while."""
    return jax.eval_shape(lambda key: init_generator(config, key), jax.random.key(0))
