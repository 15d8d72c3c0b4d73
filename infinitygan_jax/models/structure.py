"""The structure synthesizer: an implicit function of latents and coordinates."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models.layers import center_crop
from infinitygan_jax.models.styled import (
    Modulation,
    PlacedModulation,
    Style,
    StyledConv,
    modulate,
)

Latents = Float[Array, "b d"] | Float[Array, "b H W d"] | Mapping[str, Modulation]

NUM_LAYERS = 4
KERNEL_SIZE = 7


class StructureSynthesizer(nn.Module):
    """Four styled 7x7 valid convolutions of features and coordinates.

    docs/model.md, section 4.1.

    Attributes:
      width: output channels of each.
      dtype: computing type.
    """

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        z_local: Float[Array, "b H W l"],
        coords: Float[Array, "b H W c"],
        z_global: Latents,
    ) -> Float[Array, "b h w s"]:
        """Structure of a window of cells.

        Args:
          z_local: local latents of the window and 12 cells around it.
          coords: coordinates of the same cells.
          z_global: global latents, or a map of them; or their `modulations`, all over
            or at the same cells.

        Returns:
          The structure latent, 12 cells smaller on each side.
        """
        x = z_local.astype(self.dtype)
        for i in range(NUM_LAYERS):
            name, size = f"conv_{i}", x.shape[1:3]
            here = center_crop(coords, *size).astype(self.dtype)
            style: Style
            if isinstance(z_global, Mapping):
                style = PlacedModulation(z_global[name], 0, i * (KERNEL_SIZE // 2))
            elif z_global.ndim == 2:
                style = z_global
            else:
                style = center_crop(z_global, *size)
            layer = StyledConv(self.width, KERNEL_SIZE, noisy=False, name=name)
            x = layer(jnp.concatenate([x, here], axis=-1), style)  # n -> n - 6
        return x


def modulations(
    params: Mapping[str, Any], z_global: Float[Array, "*b d"]
) -> dict[str, Modulation]:
    """Global latents as each layer takes them, by its name.

    Args:
      params: of a `StructureSynthesizer`.
      z_global: global latents.
    """
    names = (f"conv_{i}" for i in range(NUM_LAYERS))
    return {name: modulate(params[name], z_global) for name in names}
