"""The texture synthesizer: padding-free, StyleGAN2-like; and its mapping network."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from infinitygan_jax.models import convolution
from infinitygan_jax.models.layers import (
    EqualDense,
    Style,
    StyledConv,
    ToRGB,
    activate,
    center_crop,
    pixel_norm,
)


class MappingNetwork(nn.Module):
    """PixelNorm and dense layers: global latents to styles (spec section 3).

    Attributes:
      num_layers: dense layers, each as wide as the latent.
    """

    num_layers: int

    @nn.compact
    def __call__(self, z_global: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        x = pixel_norm(z_global.astype(jnp.float32))
        for i in range(self.num_layers):
            x = activate(EqualDense(x.shape[-1], lr_mul=0.01, name=f"dense_{i}")(x))
        return x


class TextureSynthesizer(nn.Module):
    """Up-sampling stages of valid convolutions: n -> (n - 5) 2**k + 5 (spec section 3).

    Attributes:
      widths: output channels by stage; their number is k.
      dtype: computing type.
    """

    widths: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        structure: Float[Array, "b h w s"],
        styles: Float[Array, "b n d"] | Sequence[Float[Array, "b _ _ d"]],
        noise: Sequence[Float[Array, "b _ _ 1"]],
    ) -> Float[Array, "b H W 3"]:
        """Paints a window.

        Args:
          structure: structure latent of the window's cells.
          styles: one vector per slot, n = 2k + 1 of them; or 2k style maps, map i of
            the size of convolution i's input.
          noise: 2k standard normal maps, map i of the size of convolution i's output.

        Returns:
          float32 colours, about -1 to 1.
        """
        x, rgb = structure.astype(self.dtype), None
        for stage, width in enumerate(self.widths):
            up, plain = 2 * stage, 2 * stage + 1
            layer = StyledConv(width, up=True, name=f"up_{stage}")
            x = layer(x, _style(styles, up), noise[up])  # n -> 2n - 3
            layer = StyledConv(width, name=f"conv_{stage}")
            x = layer(x, _style(styles, plain), noise[plain])  # n -> n - 2
            if hasattr(styles, "ndim"):
                # Slot 2j + 1 of stage j = 1 .. k - 1, and the last slot of stage k.
                style = styles[:, min(2 * stage + 3, 2 * len(self.widths))]
            else:
                style = center_crop(styles[plain], *x.shape[1:3])
            new = ToRGB(name=f"rgb_{stage}")(x, style)
            if rgb is not None:  # n -> 2n - 1, cropped to this stage's 2n - 5
                rgb = center_crop(convolution.upsample_rgb(rgb), *x.shape[1:3])
                new = new + rgb
            rgb = new
        return rgb


def _style(styles, slot: int) -> Style:
    return styles[:, slot] if hasattr(styles, "ndim") else styles[slot]
