"""The structure synthesizer: an implicit function of latents and coordinates."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models.layers import Style, StyledConv, center_crop, crop_style

NUM_LAYERS = 4
KERNEL_SIZE = 7


class StructureSynthesizer(nn.Module):
    """Four styled 7x7 valid convolutions of [features, coordinates] (spec section 3).

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
        z_global: Style,
    ) -> Float[Array, "b h w s"]:
        """Structure of a window of cells.

        Args:
          z_local: local latents of the window and 12 cells around it.
          coords: coordinates of the same cells.
          z_global: global latents [b, d], or a map or blend of them at z_local's size.

        Returns:
          The structure latent, 12 cells smaller on each side.
        """
        x = z_local.astype(self.dtype)
        for i in range(NUM_LAYERS):
            size = x.shape[1:3]
            here = center_crop(coords, *size).astype(self.dtype)
            style = crop_style(z_global, *size)
            layer = StyledConv(self.width, KERNEL_SIZE, noisy=False, name=f"conv_{i}")
            x = layer(jnp.concatenate([x, here], axis=-1), style)  # n -> n - 6
        return x
